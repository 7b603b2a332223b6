# Every command a person types. Each calls `python -m winelab`, which makes .venv when needed.
ifeq ($(OS),Windows_NT)
PYTHON ?= python
else
PYTHON ?= python3
endif
WINELAB = $(PYTHON) -m winelab

.DEFAULT_GOAL := help
.PHONY: help lab ui stack run watch hint solution catchup progress data doctor check grade \
	nbgrader matrix build outputs slides pictures lint bench setup reset clean

help: ## these commands
	@$(WINELAB) help

lab: ## open the course in JupyterLab (the first time: set it up)
	@$(WINELAB) lab$(if $(PART), --part "$(PART)") $(ARGS)

ui: ## open MLflow's UI on the course's runs
	@$(WINELAB) ui

stack: ## run MLflow on PostgreSQL and S3, for the block about servers (in Docker, or without)
	@$(WINELAB) stack

run: ## run the script of a block: make run BLOCK=14
	@$(WINELAB) run --block "$(BLOCK)"

watch: ## run your own script at each save, and check it: make watch BLOCK=14
	@$(WINELAB) watch --block "$(BLOCK)" $(if $(SCRIPT),--script "$(SCRIPT)")

hint: ## the next hint for the block you are at (another one: BLOCK=14)
	@$(WINELAB) hint --block "$(BLOCK)"

solution: ## what the block you are at changes in the script (another one: BLOCK=14)
	@$(WINELAB) solution --block "$(BLOCK)"

catchup: ## after a missed class: add the runs of all blocks before BLOCK=24 to your store
	@$(WINELAB) catchup --block "$(BLOCK)"

progress: ## show which blocks are done
	@$(WINELAB) progress

data: ## get the original wine table (make data TWIN=1: back to the one that ships)
	@$(WINELAB) data $(if $(TWIN),--twin)

doctor: ## say what is right and wrong on this machine
	@$(WINELAB) doctor

check: ## prove that every block works (one of them: BLOCK=3; everything: FULL=1)
	@$(WINELAB) check --block "$(BLOCK)"$(if $(PART), --part "$(PART)") $(if $(FULL),--full)

grade: ## grade a folder of hand-ins: make grade SUBMISSIONS=folder
	@$(WINELAB) grade --submissions "$(SUBMISSIONS)" $(if $(REPORT),--report "$(REPORT)") $(if $(YES),--yes)

nbgrader: ## write blocks as nbgrader assignments: make nbgrader COURSE=folder BLOCKS=3,14
	@$(WINELAB) nbgrader --course "$(COURSE)" --blocks "$(BLOCKS)"

matrix: ## run the course on other versions of MLflow, and say what breaks
	@$(WINELAB) matrix --block "$(BLOCK)" $(ARGS)

build: ## build labs/ and solutions/ from blocks/
	@$(WINELAB) build

outputs: ## execute the solved notebooks and keep their outputs (one: BLOCK=3)
	@$(WINELAB) outputs --block "$(BLOCK)"

slides: ## build slides/ to HTML and PDF
	@$(WINELAB) slides

pictures: ## take the pictures of the lessons again (one block's: BLOCK=3)
	@$(WINELAB) pictures --block "$(BLOCK)"

lint: ## fix the code's style (ruff, types), and say what is left
	@$(WINELAB) lint

bench: ## measure what takes time (ONLY=checks: how long check(N) takes, block by block)
	@$(WINELAB) bench $(if $(ONLY),--only $(ONLY))

setup: ## make .venv, or bring it up to date
	@$(WINELAB) setup $(if $(WITH),--with $(WITH))

reset: ## put the store aside and start with a fresh one (asks first; YES=1 does not)
	@$(WINELAB) reset $(if $(YES),--yes)

clean: ## remove what can be made again (make clean ALL=1: .venv too)
	@$(WINELAB) clean $(if $(ALL),--all)
