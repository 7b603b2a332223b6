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
    assert [cell.source for cell in solved_cells(course, 0)] == SOLUTION
    assert mistaken(course) == SOLUTION


HEAD, TRAIN, SHOW = SOLUTION


@pytest.mark.parametrize(
    ("what", "cells"),
    [
        pytest.param(
            {"swap": {"log": ("log(1)", "log(2)"), "show": ("()", "(3)")}},
            [HEAD, "with run():\n    fit(x, x)\n    log(2)", "show(3)"],
            id="words are swapped",
        ),
        pytest.param(
            {"code": {"fit": "if x:\n    fit()"}},
            [HEAD, "with run():\n    if x:\n        fit()\n    log(1)", SHOW],
            id="a section is replaced, with its indentation",
        ),
        pytest.param(
            {"code": {"run": ""}}, [HEAD, "fit(x, x)\nlog(1)", SHOW], id="no head, no indentation"
        ),
        pytest.param({"code": {"show": ""}}, [HEAD, TRAIN], id="a cell whose sections are gone"),
        pytest.param(
            {"code": {"show": "show(1)"}, "swap": {"show": ("1", "2")}},
            [HEAD, TRAIN, "show(2)"],
            id="what was replaced is swapped",
        ),
        pytest.param({"twice": "train"}, [HEAD, TRAIN, TRAIN, SHOW], id="a cell runs twice"),
        pytest.param({"skip": ("imports", "result")}, [TRAIN], id="cells are left out"),
        pytest.param({"skip": ("*",)}, [], id="all cells are left out"),
        pytest.param(
            {"before": "early()", "after": "late()", "skip": ("train", "imports")},
            ["early()", SHOW, "late()"],
            id="code before and after",
        ),
    ],
)
def test_a_mistake_is_made_in_the_solution_which_stays_as_it_was(
    course: Course, what: dict[str, Any], cells: list[str]
) -> None:
    assert mistaken(course, **what) == cells
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
