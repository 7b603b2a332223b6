"""Making the mistakes of learners: small edits of the solution, refused where they do not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tools.made_up import made_up
from winelab.checks.authoring import Mistake
from winelab.core.errors import CourseError
from winelab.course.compose import solved_cells
from winelab.course.source import Course
from winelab.proof.mistakes import mistaken_cells

OUTLINE = """\
[imports]
import-a

[train]
run:
    fit
    log

[result]
show
"""
CODE = (
    "# %% import-a\nimport a\n\n# %% run\nwith run():\n\n# %% fit\nfit(x, x)\n\n"
    "# %% log (script)\nlog('script')\n\n# %% log (notebook)\nlog(1)\n\n# %% show\nshow()\n"
)
SOLUTION = ["import a", "with run():\n    fit(x, x)\n    log(1)", "show()"]


@pytest.fixture
def course(tmp_path: Path) -> Course:
    return made_up(tmp_path, OUTLINE, CODE)


def mistaken(course: Course, **what: Any) -> list[str]:
    """The cells with this mistake in them."""
    mistake = Mistake("a slip", caught_by="test_something", hint="mind it", **what)
    return mistaken_cells(course, course.block(0), mistake)


def test_without_an_edit_it_is_the_solution(course: Course) -> None:
    assert mistaken(course) == SOLUTION
    assert [cell.source for cell in solved_cells(course, 0)] == SOLUTION


def test_words_of_a_section_can_be_swapped(course: Course) -> None:
    cells = mistaken(course, swap={"log": ("log(1)", "log(2)"), "show": ("()", "(3)")})
    assert cells == ["import a", "with run():\n    fit(x, x)\n    log(2)", "show(3)"]


def test_a_section_can_be_replaced_and_keeps_its_indentation(course: Course) -> None:
    cells = mistaken(course, code={"fit": "if x:\n    fit()"})
    assert cells[1] == "with run():\n    if x:\n        fit()\n    log(1)"


def test_a_head_that_is_taken_away_indents_nothing(course: Course) -> None:
    assert mistaken(course, code={"run": ""})[1] == "fit(x, x)\nlog(1)"


def test_a_cell_whose_sections_are_all_gone_is_not_run(course: Course) -> None:
    assert mistaken(course, code={"show": ""}) == SOLUTION[:2]


def test_what_was_replaced_can_be_swapped(course: Course) -> None:
    cells = mistaken(course, code={"show": "show(1)"}, swap={"show": ("1", "2")})
    assert cells[2] == "show(2)"


def test_a_cell_can_be_run_twice(course: Course) -> None:
    assert mistaken(course, twice="train") == [SOLUTION[0], SOLUTION[1], SOLUTION[1], SOLUTION[2]]


def test_cells_can_be_left_out(course: Course) -> None:
    assert mistaken(course, skip=("imports", "result")) == SOLUTION[1:2]


def test_code_can_run_before_the_first_cell_and_after_the_last(course: Course) -> None:
    cells = mistaken(course, before="early()", after="late()", skip=("train", "imports"))
    assert cells == ["early()", "show()", "late()"]


def test_a_mistake_leaves_the_solution_as_it_was(course: Course) -> None:
    mistaken(course, code={"show": "other()"}, swap={"log": ("1", "2")})
    assert mistaken(course) == SOLUTION


@pytest.mark.parametrize(
    ("what", "words"),
    [
        pytest.param({"swap": {"log": ("log(9)", "x")}}, "log(9)", id="words that are not there"),
        pytest.param({"swap": {"fit": ("x", "y")}}, "2 times", id="words that stand twice"),
        pytest.param({"swap": {"nowhere": ("a", "b")}}, "nowhere", id="swap in no section"),
        pytest.param({"code": {"nowhere": "a"}}, "nowhere", id="code for no section"),
        pytest.param({"twice": "nowhere"}, "nowhere", id="no cell to run twice"),
        pytest.param({"skip": ("nowhere",)}, "nowhere", id="no cell to leave out"),
        pytest.param(
            {"code": {"show": ""}, "skip": ("result",)}, "result", id="a cell that is gone"
        ),
    ],
)
def test_a_mistake_that_does_not_fit_the_solution_is_refused_by_its_name(
    course: Course, what: dict[str, Any], words: str
) -> None:
    with pytest.raises(CourseError) as caught:
        mistaken(course, **what)
    assert str(caught.value).startswith("00_block/checks.py: ")
    assert "a slip" in str(caught.value)
    assert words in str(caught.value)
