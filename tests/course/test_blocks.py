"""Each block, as its users meet it: unsolved, and solved."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from winelab.core.paths import SOLUTIONS
from winelab.course.compose import solved_cells, unsolved_cells, unsolved_script
from winelab.course.source import Block, Course, course
from winelab.proof.runner import Outcome, run
from winelab.tracking.workspace import clean_room

# The facts of DESIGN.md: the test RMSE of ElasticNet on the original table, by alpha.
MODEL = {"eval-metrics", "read", "split", "models", "model", "fit", "predict", "log-metrics"}
AGE = re.compile(r"\b(Deprecation|PendingDeprecation|Future)Warning\b")
ORIGINAL_RMSE = {"0.5": "0.744", "0.1": "0.692", "0.01": "0.641"}


def run_script(room: Path, block: Block, *arguments: str, check: bool = True) -> Outcome:
    """Run the built script of a block in a room, as `python solutions/NN_slug.py` would."""
    name = f"{block.name}.py"
    shutil.copyfile(SOLUTIONS / name, room / "solutions" / name)
    return run(room, source=name, arguments=arguments, check=block.number if check else None)


@pytest.mark.parametrize("store", ["fresh", "after the solution"])
def test_unsolved_runs_and_fails_its_checks(block: Block, whole: Course, store: str) -> None:
    """On a fresh store, and where `make run` or another day's kernel has left a solved run."""
    cells = [cell.source for cell in unsolved_cells(whole, block.number)]
    with clean_room() as room:
        if store != "fresh":
            run_script(room, block)
        outcome = run(room, source=f"{block.name}.ipynb", cells=cells, check=block.number)
    assert not outcome.error, outcome.error
    assert not outcome.warnings, "deprecations: " + "; ".join(outcome.warnings)
    assert outcome.report is not None
    for verdict in outcome.report.verdicts:
        if verdict.given:
            assert verdict.done, f"{verdict.name} is marked given, and fails on the untouched lab"
        else:
            assert not verdict.done, f"{verdict.name} passes on the untouched lab"
            assert verdict.hint, f"{verdict.name} has no hint"
    assert any(not verdict.given for verdict in outcome.report.verdicts), "no check can fail"


def test_unsolved_script_runs_and_fails_its_checks(block: Block, whole: Course) -> None:
    """What `make watch` lays out for those who write the script instead of the notebook."""
    text = unsolved_script(whole, block.number)
    assert "winelab" not in text
    assert text.count("# TODO: ") == sum("script" in task.forms for task in block.tasks)
    with clean_room() as room:
        (room / "solutions" / f"{block.name}.py").write_text(text, encoding="utf-8")
        outcome = run(room, source=f"{block.name}.py", check=block.number)
    assert not outcome.error, outcome.error
    assert outcome.report is not None
    open_ones = [verdict for verdict in outcome.report.verdicts if not verdict.done]
    assert open_ones and not any(verdict.given for verdict in open_ones), outcome.report
    # What stands in main() cannot be seen from outside; all else that is asked for is missing.
    unseen = [verdict for verdict in outcome.report.verdicts if verdict.done and not verdict.given]
    assert len(unseen) <= (1 if "def main(" in text else 0), unseen


# A process that is killed while a model learns: nobody has ended its run, nor cleaned up.
KILLED = """
import os
import signal
import sklearn.linear_model

def killed(*arguments, **settings):
    os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))

for name in ("ElasticNet", "Ridge", "Lasso"):
    getattr(sklearn.linear_model, name).fit = killed
"""


def test_solution_runs_again_and_again_after_a_run_that_was_killed(
    block: Block, whole: Course
) -> None:
    """On one store: a run that is killed in the middle, three times the script, three times all."""
    cells = [cell.source for cell in solved_cells(whole, block.number)]
    with clean_room() as room:
        killed = run(room, source=f"{block.name}.ipynb", cells=[KILLED, *cells])
        assert "died" in killed.error, "no model learned anything, so nothing was killed"
        for _ in range(3):
            outcome = run_script(room, block)
            assert not outcome.error, outcome.error
            assert outcome.report is not None and outcome.report.done, str(outcome.report)
            assert not outcome.not_noted, outcome.not_noted
            assert not outcome.warnings, "deprecations: " + "; ".join(outcome.warnings)
        # The student runs all cells, and again, and again, in one kernel.
        outcome = run(
            room, source=f"{block.name}.ipynb", cells=cells * 3, check=block.number, limit=300
        )
        assert not outcome.error, outcome.error
        assert outcome.report is not None and outcome.report.done, str(outcome.report)
        assert not outcome.warnings, "deprecations: " + "; ".join(outcome.warnings)
        # A server that a cell starts has a log instead of warnings.
        for log in (room / "output").glob("*.log"):
            words = log.read_text(encoding="utf-8")
            assert not AGE.search(words), f"{log.name} tells of a deprecation: {words}"


def test_solution_runs_alone_with_a_table_named(block: Block, tmp_path: Path) -> None:
    """P9: copied out of the course, and without what `make` sets, a script still runs."""
    with clean_room() as room:
        away = room / "elsewhere"
        away.mkdir()
        shutil.copyfile(SOLUTIONS / f"{block.name}.py", away / f"{block.name}.py")
        table = tmp_path / "my wines.csv"
        shutil.copyfile(room / "data" / "red-wine-quality.csv", table)
        outcome = run(
            room,
            source=f"../elsewhere/{block.name}.py",
            arguments=("--data", str(table)),
            environment={"MLFLOW_TRACKING_URI": "", "_MLFLOW_SERVER_ARTIFACT_ROOT": ""},
            folder="elsewhere",
        )
    assert not outcome.error, outcome.error


@pytest.mark.parametrize("number", [f"{b.number:02d}" for b in course().blocks[4:]])
def test_solution_takes_its_settings_from_the_command_line(number: str, whole: Course) -> None:
    block = whole.block(int(number))
    with clean_room() as room:
        outcome = run_script(room, block, "--alpha", "0.01", "--l1-ratio", "0.9")
        assert outcome.report is not None and outcome.report.done, str(outcome.report)
        wrong = run_script(room, block, "--alpha", "strong", check=False)
    assert "SystemExit: 2" in wrong.error
    assert "argument --alpha: invalid float value: 'strong'" in wrong.stderr


def test_solution_passes_on_the_original_table(block: Block, original: Path) -> None:
    with clean_room(original) as room:
        outcome = run_script(room, block)
        assert not outcome.error, outcome.error
        assert outcome.report is not None and outcome.report.done, str(outcome.report)
        # Where nothing of the model is new, the figures were compared a block before.
        if block.number == 4 or (block.number > 4 and MODEL & block.sections()):
            for alpha, figure in ORIGINAL_RMSE.items():
                assert figure in run_script(room, block, "--alpha", alpha, check=False).printed
