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


HEAD, TRAIN, SHOW = SOLUTION


MADE: dict[str, tuple[dict[str, Any], list[str]]] = {
    # The edit, and the cells that come of it.
    "words are swapped": (
        {"swap": {"log": ("log(1)", "log(2)"), "show": ("()", "(3)")}},
        [HEAD, "with run():\n    fit(x, x)\n    log(2)", "show(3)"],
    ),
    "a section is replaced, with its indentation": (
        {"code": {"fit": "if x:\n    fit()"}},
        [HEAD, "with run():\n    if x:\n        fit()\n    log(1)", SHOW],
    ),
    "no head, no indentation": ({"code": {"run": ""}}, [HEAD, "fit(x, x)\nlog(1)", SHOW]),
    "a cell whose sections are gone": ({"code": {"show": ""}}, [HEAD, TRAIN]),
    "what was replaced is swapped": (
        {"code": {"show": "show(1)"}, "swap": {"show": ("1", "2")}},
        [HEAD, TRAIN, "show(2)"],
    ),
    "a cell runs twice": ({"twice": "train"}, [HEAD, TRAIN, TRAIN, SHOW]),
    "cells are left out": ({"skip": ("imports", "result")}, [TRAIN]),
    "all cells are left out": ({"skip": ("*",)}, []),
    "code before and after": (
        {"before": "early()", "after": "late()", "skip": ("train", "imports")},
        ["early()", SHOW, "late()"],
    ),
}


@pytest.mark.parametrize("what", MADE)
def test_a_mistake_is_made_in_the_solution_which_stays_as_it_was(course: Course, what: str) -> None:
    edit, cells = MADE[what]
    assert mistaken(course, **edit) == cells
    assert mistaken(course) == [cell.source for cell in solved_cells(course, 0)] == SOLUTION


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    # The edit, and what is said of it.
    "words that are not there": ({"swap": {"log": ("log(9)", "x")}}, "log(9)"),
    "words that stand twice": ({"swap": {"fit": ("x", "y")}}, "2 times"),
    "swap in no section": ({"swap": {"nowhere": ("a", "b")}}, "nowhere"),
    "code for no section": ({"code": {"nowhere": "a"}}, "nowhere"),
    "no cell to run twice": ({"twice": "nowhere"}, "nowhere"),
    "no cell to leave out": ({"skip": ("nowhere",)}, "nowhere"),
    "a cell that is gone": ({"code": {"show": ""}, "skip": ("result",)}, "result"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_mistake_that_does_not_fit_the_solution_is_refused_by_its_name(
    course: Course, what: str
) -> None:
    edit, words = REFUSED[what]
    with pytest.raises(CourseError) as caught:
        mistaken(course, **edit)
    assert str(caught.value).startswith("block0/checks.py: ")
    assert "a slip" in str(caught.value)
    assert words in str(caught.value)
