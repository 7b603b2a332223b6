"""Blocks of a part on request, which change the files of a package: on a made-up course."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools.made_up import lesson, task, write_block, write_course
from winelab.checks.authoring import Variant, after, swap
from winelab.commands import progress, student_files, watch
from winelab.core.errors import CourseError
from winelab.core.order import ORDER
from winelab.course import build
from winelab.course.compose import WRITTEN_TO, script_text, solution_files, unsolved_files
from winelab.course.difference import unified_diff
from winelab.course.notebook import lab_notebook, solved_notebook
from winelab.course.source import Course, read_course
from winelab.proof import start
from winelab.proof.execute import Code, execute
from winelab.proof.mistakes import edited_cells
from winelab.tracking.workspace import clean_workspace

PACKAGE = """\
[readme] > README.md
readme

[shop] > src/tea/shop.py
imports

price:
    cost

[hello] > src/tea/__init__.py
hello

[try] 1. Try it
try
"""
FIRST = f"""\
# %% readme (given)
# Tea

Edit blocks/shop/code.py.

# %% hello (given)
'''Tea.'''

# %% imports (given)
import sys

# %% price
def price(cups):
    '''What these cups cost.'''

# %% cost
{task("say what a cup costs.")}return 2 * cups

# %% try
{task("print the price.")}print("cups", 2)
"""
SECOND = f"""\
# %% imports
{task("say it aloud.")}import sys

print("price of", *sys.argv[1:], __name__)
"""


def made(root: Path) -> Course:
    """One block of the script, and two of a package, on request."""
    folder = write_course(root, "[one]\none\n", "# %% one (given)\na = 1\n")
    (folder / "package.txt").write_text(PACKAGE, encoding="utf-8")
    runs = "[tea.shop green]"
    write_block(folder, "shop", FIRST, lesson("shop try", title="Shop", runs=runs))
    write_block(folder, "aloud", SECOND, lesson("shop", title="Aloud", runs=runs))
    (folder / ORDER).write_text(
        "[1] Track\nblock0\n[2] Sell, on request, package.txt\nshop\naloud\n", encoding="utf-8"
    )
    return read_course(folder)


@pytest.fixture
def course(tmp_path: Path) -> Course:
    return made(tmp_path)


SHOP = "import sys\n\n\ndef price(cups):\n    '''What these cups cost.'''\n"


def test_the_solution_is_a_folder_of_files_and_begins_with_nothing(course: Course) -> None:
    texts = build.built_files(course, course.block(0).folder.parents[1])
    found = {path.as_posix().partition("solutions/")[2]: text for path, text in texts.items()}
    assert found["01_shop/src/tea/shop.py"] == SHOP + "    return 2 * cups\n"
    assert found["01_shop/README.md"].startswith("# Tea\n")
    assert {name for name in found if "/" in name} == {*solution_files(course, 1)} | {
        *solution_files(course, 2)
    }
    assert "a = 1" not in "".join(found["01_shop/src/tea/shop.py"])
    assert script_text(course, 0).endswith("a = 1\n")


def test_a_lab_writes_each_file_and_its_other_cells_are_in_no_file(course: Course) -> None:
    cells = {cell["id"]: cell["source"] for cell in lab_notebook(course, 1)["cells"]}
    first = f"%%writefile {WRITTEN_TO}/src/tea/shop.py\n"
    # The function is the student's to write: its line is not there yet.
    assert cells["shop"] == f"{first}import sys\n\n# TODO: say what a cup costs."
    assert cells["readme"].startswith(f"%%writefile {WRITTEN_TO}/README.md\n# Tea")
    assert cells["try"] == "# 1. Try it\n# TODO: print the price."
    solved = {cell["id"]: cell["source"] for cell in solved_notebook(course, 2)["cells"]}
    assert solved["shop"].startswith(f"{first}import sys\n\nprint(")
    assert "try" not in solved
    first_solved = {cell["id"]: cell["source"] for cell in solved_notebook(course, 1)["cells"]}
    assert first_solved["try"].endswith('print("cups", 2)')
    assert all('print("cups"' not in text for text in unsolved_files(course, 2).values())


def test_a_block_changes_files_and_the_first_one_has_none_before_it(course: Course) -> None:
    assert unified_diff(course, 1) == []
    assert unified_diff(course, 2) == [
        "--- solutions/01_shop/src/tea/shop.py",
        "+++ solutions/02_aloud/src/tea/shop.py",
        "@@ -1,4 +1,6 @@",
        " import sys",
        "+",
        '+print("price of", *sys.argv[1:], __name__)',
        " ",
        " ",
        " def price(cups):",
    ]


def test_a_file_that_no_block_writes_any_more_is_taken_away_and_kept(
    course: Course, tmp_path: Path
) -> None:
    build.write(course, tmp_path)
    own, cache = (
        tmp_path / "solutions" / "01_shop" / name
        for name in ("src/tea/old.py", "__pycache__/a.pyc")
    )
    for path in (own, cache):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x = 1\n", encoding="utf-8")
    assert any(
        "src/tea/old.py has no block" in line for line in build.differences(course, tmp_path)
    )
    assert build.write(course, tmp_path) == [own]
    assert cache.is_file() and not own.exists()
    (kept,) = (tmp_path / ".winelab" / "kept").iterdir()
    assert kept.read_text(encoding="utf-8") == "x = 1\n"
    (tmp_path / "solutions" / "01_shop" / "README.md").write_text("mine\n", encoding="utf-8")
    (line,) = build.differences(course, tmp_path)
    assert line.endswith("edit blocks/shop/code.py:2, then run make build.")


def test_everybodys_blocks_are_without_a_part_on_request(course: Course, tmp_path: Path) -> None:
    assert [block.slug for block in course.main] == ["block0"]
    assert [block.slug for block in course.find("all")] == ["block0"]
    assert course.after(course.block(0)) == []
    assert course.after(course.block(1)) == [course.block(2)]
    assert "1 of 1" in progress.lines(course, {"block0"})[-1]
    assert "2 of 3" in progress.lines(course, {"block0", "shop"})[-1]
    assert "blocks/course.txt:2: " in refusal(tmp_path, "[1] Track, at night\nblock0\n")


def refusal(root: Path, text: str) -> str:
    """What is said of this course.txt."""
    (root / "blocks" / ORDER).write_text("# a line\n" + text, encoding="utf-8")
    with pytest.raises(CourseError) as caught:
        read_course(root / "blocks")
    return str(caught.value)


def test_a_package_is_begun_in_my_watched_and_found_again(course: Course, tmp_path: Path) -> None:
    block = course.block("shop")
    assert student_files.begin_script(course, block, tmp_path)
    assert not student_files.begin_script(course, block, tmp_path)
    mine = tmp_path / "my" / "01_shop"
    shop = mine / "src" / "tea" / "shop.py"
    assert shop.read_text(encoding="utf-8").endswith("# TODO: say what a cup costs.\n")
    saves = watch.Saves(mine)
    shop.write_text(SHOP + "    return 2 * cups\n", encoding="utf-8")
    (mine / "__pycache__").mkdir()
    assert not saves.changed() and saves.changed() and not saves.changed()
    (mine / "__pycache__" / "a.pyc").write_bytes(b"1")
    assert not saves.changed() and not saves.changed()
    found = student_files.work(block, tmp_path)
    assert found is not None and found[0] == mine
    assert any("return 2 * cups" in text for text in found[1])


def test_modules_of_a_package_run_as_python_runs_them(course: Course) -> None:
    block = course.block("aloud")
    code = start.solution_code(block)
    assert code == Code("02_aloud", runs=("tea.shop green",))
    with clean_workspace() as workspace:
        for name, lines in solution_files(course, block.number).items():
            path = workspace / "solutions" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(f"{line.text}\n" for line in lines), encoding="utf-8")
        outcome = execute(code, workspace)
        assert (outcome.error, outcome.printed) == ("", "price of green __main__\n")
        (workspace / "solutions" / "02_aloud" / "src" / "tea" / "shop.py").write_text("1 / 0\n")
        outcome = execute(code, workspace)
        assert outcome.last_line == "ZeroDivisionError: division by zero"
        assert "run_code.py" not in outcome.error


def test_a_mistake_is_made_in_a_file_as_in_a_cell(course: Course) -> None:
    block = course.block("shop")
    variant = Variant("dear", (swap("cost", "2 *", "3 *"), after("print(1)")))
    *cells, last = edited_cells(course, block, variant)
    assert last == "print(1)"
    (shop,) = [cell for cell in cells if "shop.py" in cell]
    assert shop.endswith("return 3 * cups")
    assert json.dumps(cells)
