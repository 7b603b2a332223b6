"""Laying a lesson and its sections out as notebooks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tools.made_up import lesson, task, write_block, write_course
from winelab.core.errors import CourseError
from winelab.course.notebook import lab_notebook, solved_notebook, with_folded_cases
from winelab.course.source import Course, read_course

OUTLINE = """\
[imports]
import-a

[data] 1. Data
read

[train] 2. Train
run:
    fit
    log

[result] 3. Result
show
"""
BASE = (
    "# %% import-a\nimport a\n\n# %% read\nx = read()\n\n# %% fit\nfit(x)\n\n# %% show\nprint(x)\n"
)
CHANGE = f"# %% run\n{task('open a run.')}with run():\n\n# %% log\n{task('log it.')}log()\n"


def by_name(notebook: Any) -> dict[str, Any]:
    """The cells by their ids, in order."""
    return {cell["id"]: cell for cell in notebook.cells}


def code_of(notebook: Any) -> dict[str, str]:
    """The sources of the code cells by name, in order."""
    return {n: c.source for n, c in by_name(notebook).items() if c.cell_type == "code"}


def with_lesson(tmp_path: Path, text: str, code: str = CHANGE) -> Course:
    """A course whose block 1 has this lesson."""
    folder = write_course(tmp_path, OUTLINE, BASE)
    write_block(folder, "block1", code, text)
    return read_course(folder)


@pytest.fixture
def course(tmp_path: Path) -> Course:
    """A course whose block 1 changes the cell "train", and shows the cell "data"."""
    return with_lesson(tmp_path, lesson("data train"))


# --- the lab -----------------------------------------------------------------------------------


def test_prose_and_cells_stand_where_the_lesson_puts_them(tmp_path: Path) -> None:
    text = lesson("train").replace("## Why\n", "## Why\n\n::: given\n\nAfter the given ones.\n")
    text = text.replace("::: cell train", "First.\n\n::: cell train\n\nThen.")
    order = [cell.source for cell in lab_notebook(with_lesson(tmp_path, text), 1).cells]
    # `::: given` is the place of the cells before the next named one; the last stand below the
    # last that is named.
    marks = ["import a", "x = read()", "After the given ones.", "First.", "fit(x)"]
    marks += ["print(x)", "Then.", "## Recap", "check(1)"]
    places = [next(at for at, text in enumerate(order) if mark in text) for mark in marks]
    assert places == sorted(places)


def test_only_cells_that_the_lesson_does_not_place_are_folded(course: Course) -> None:
    cells = by_name(lab_notebook(course, 1))
    folded = {n for n, c in cells.items() if c.metadata.get("jupyter", {}).get("source_hidden")}
    assert folded == {"imports", "result"}
    assert {n: c.metadata["tags"][0] for n, c in cells.items() if c.cell_type == "code"} == {
        "imports": "given",
        "data": "shown",
        "train": "task",
        "result": "given",
        "check": "check",
    }


def test_the_hints_of_a_cell_stand_folded_below_it_a_nudge_first(course: Course) -> None:
    cells = by_name(lab_notebook(course, 1))
    names = list(cells)
    assert names[names.index("train") + 1] == "train-hints"
    hints = cells["train-hints"].source
    # Two tasks with two hints each; only <details> are hidden before a click.
    assert hints.count("<details>") == hints.count("</details>") == 4
    assert re.sub(r"<details>.*?</details>", "", hints, flags=re.DOTALL).strip() == ""
    assert hints.index("A nudge.") < hints.index("The call.")
    assert "The call." not in cells["train"].source


def test_a_lab_begins_with_its_aims_and_ends_with_what_to_remember(tmp_path: Path) -> None:
    text = lesson("train", objectives="[open a run]", keypoints="[a run ends]")
    course = with_lesson(tmp_path, text)
    cells = lab_notebook(course, 1).cells
    assert "# 1. A made-up block" in cells[0].source and "- open a run" in cells[0].source
    assert "- a run ends" in cells[-3].source
    # Each links to the next one, but the last, and says how to leave this one.
    words = lab_notebook(course, 0).cells[-2].source
    assert "(01_block1.ipynb)" in words and "Close and Shut Down" in words
    assert "**Next:**" not in cells[-2].source


def test_the_check_is_the_last_cell_below_what_the_lesson_says_of_it(tmp_path: Path) -> None:
    text = lesson("train").replace("## Look at it\n", "## Check it\n\nIt asks.\n\n## Look at it\n")
    course = with_lesson(tmp_path, text)
    *above, check = lab_notebook(course, 1).cells
    assert check.source.endswith("check(1)") and check.id == "check"
    whole = "\n".join(cell.source for cell in above)
    assert whole.count("## Check it") == whole.count("It asks.") == 1
    assert whole.index("## Recap") < whole.index("## Check it") < whole.index("It asks.")
    assert whole.index("It asks.") < whole.index("../solutions/01_block1.py")
    assert solved_notebook(course, 1).cells[-1].source == check.source


CASES = """## Why

**Not a case.** Prose.

## If it goes wrong

First of all, breathe.

**"`x` < 1".** It is
small.

- so fix it

**It takes two
lines.** (Or three.) `run`.

## Recap

**Bold.** Prose.
"""


def test_each_case_of_what_goes_wrong_is_folded_below_its_name() -> None:
    folded = with_folded_cases(CASES)
    shown = re.sub(r"</summary>.*?</details>", "</summary>", folded, flags=re.DOTALL)
    assert re.findall("<summary>(.*?)</summary>", shown, re.DOTALL) == [
        '"<code>x</code> &lt; 1".',
        "It takes two lines.",
    ]
    assert "breathe" in shown and "so fix it" not in shown and "(Or three.)" not in shown
    assert shown.count("**") == 4
    assert "small.\n\n- so fix it\n\n</details>\n\n<details>" in folded
    assert "(Or three.) `run`.\n\n</details>\n\n## Recap" in folded


def test_the_ids_of_code_cells_stay_when_prose_and_code_change(
    tmp_path: Path, course: Course
) -> None:
    text = lesson("data train").replace("## Why\n", "## Why\n\n::: given\n\nMore words.\n")
    after = with_lesson(tmp_path / "2", text, CHANGE.replace("log()", "log(1)"))
    for make in (lab_notebook, solved_notebook):
        notebook = make(course, 1)
        assert len(by_name(notebook)) == len(notebook.cells), "an id stands twice"
        assert list(code_of(notebook)) == list(code_of(make(after, 1)))


# --- what cannot be laid out -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "named"),
    [
        pytest.param(lesson("train data"), "data", id="against the outline's order"),
        pytest.param(lesson("result train"), "train", id="after the last cell"),
        pytest.param(lesson("train empty"), "empty", id="empty at this block"),
    ],
)
def test_cells_that_cannot_be_placed_are_refused_with_the_line(
    tmp_path: Path, text: str, named: str
) -> None:
    folder = write_course(tmp_path, f"{OUTLINE}\n[empty]\nnothing\n", BASE)
    write_block(folder, "block1", "# %% show (removed)\n", text)
    line = text.splitlines().index(f"::: cell {named}") + 1
    with pytest.raises(CourseError, match=rf"^block1/lesson\.md:{line}: .*{named}"):
        lab_notebook(read_course(folder), 1)
