"""Making the mistakes of learners: small edits of the solution, refused where they do not fit."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.made_up import made_up, write_block, write_order
from winelab.checks.authoring import (
    Edit,
    Variant,
    after,
    before,
    put,
    remove,
    skip,
    skip_all,
    split,
    swap,
    twice,
)
from winelab.checks.checking import load_checks
from winelab.core.errors import CourseError
from winelab.course.compose import solved_cells
from winelab.course.source import Course
from winelab.proof.mistakes import edited_cells

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


def edited(course: Course, *edits: Edit) -> list[str]:
    """The cells after these edits."""
    return edited_cells(course, course.block(0), Variant("a slip", edits))


HEAD, TRAIN, SHOW = SOLUTION


MADE: dict[str, tuple[tuple[Edit, ...], list[str]]] = {
    # The edits, and the cells that come of them.
    "words are swapped": (
        (swap("log", "log(1)", "log(2)"), swap("show", "()", "(3)")),
        [HEAD, "with run():\n    fit(x, x)\n    log(2)", "show(3)"],
    ),
    "a section is replaced, with its indentation": (
        (put("fit", "if x:\n    fit()"),),
        [HEAD, "with run():\n    if x:\n        fit()\n    log(1)", SHOW],
    ),
    "no head, no indentation": ((remove("run"),), [HEAD, "fit(x, x)\nlog(1)", SHOW]),
    "a cell whose sections are gone": ((remove("show"),), [HEAD, TRAIN]),
    "what was replaced is swapped": (
        (put("show", "show(1)"), swap("show", "1", "2"), swap("show", "2", "3")),
        [HEAD, TRAIN, "show(3)"],
    ),
    "a cell runs twice": ((twice("train"),), [HEAD, TRAIN, TRAIN, SHOW]),
    "cells are left out": ((skip("imports", "result"),), [TRAIN]),
    "all cells are left out": ((skip_all(),), []),
    "all cells are left out, but for what happened before": (
        (before("early()"), skip_all()),
        ["early()"],
    ),
    "code before and after": (
        (before("early()"), after("late()"), skip("train", "imports")),
        ["early()", SHOW, "late()"],
    ),
    "a cell is cut in two": (
        (put("show", "show()\n\nshow(2)\nmore()"), split("result", "show(2)"), skip("train")),
        [HEAD, "show()\n", "show(2)\nmore()"],
    ),
    "cells are edited after sections, whatever comes first": (
        (twice("result"), swap("show", "()", "(1)")),
        [HEAD, TRAIN, "show(1)", "show(1)"],
    ),
}


@pytest.mark.parametrize("what", MADE)
def test_edits_are_made_in_the_solution_which_stays_as_it_was(course: Course, what: str) -> None:
    edits, cells = MADE[what]
    assert edited(course, *edits) == cells
    assert edited(course) == [cell.source for cell in solved_cells(course, 0)] == SOLUTION


REFUSED: dict[str, tuple[tuple[Edit, ...], str]] = {
    # The edits, and what is said of them.
    "words that are not there": ((swap("log", "log(9)", "x"),), "log(9)"),
    "words that stand twice": ((swap("fit", "x", "y"),), "2 times"),
    "swap in no section": ((swap("nowhere", "a", "b"),), "nowhere"),
    "code for no section": ((put("nowhere", "a"),), "nowhere"),
    "no cell to run twice": ((twice("nowhere"),), "nowhere"),
    "no cell to leave out": ((skip("nowhere"),), "nowhere"),
    "a cell that is gone": ((remove("show"), skip("result")), "result"),
    "no line to cut a cell at": ((split("train", "fit"),), '0 lines of [train] begin with "fit"'),
}


@pytest.mark.parametrize("what", REFUSED)
def test_an_edit_that_does_not_fit_the_solution_is_refused_by_its_variants_name(
    course: Course, what: str
) -> None:
    edits, words = REFUSED[what]
    with pytest.raises(CourseError) as caught:
        edited(course, *edits)
    assert str(caught.value).startswith("block0/checks.py: ")
    assert "a slip" in str(caught.value)
    assert words in str(caught.value)


def test_a_checks_mistakes_are_those_above_it_from_the_top(tmp_path: Path) -> None:
    text = (
        "from winelab.checks.authoring import *\n\n"
        "@catches('one', skip_all())\n@skip('x')\n@hint('a')\n"
        "@catches('two')\n@hint('b')\n@error('e')\n@given\n"
        "def test_first(namespace):\n    'first'\n\n"
        "@catches('three', environment={'A': '1'})\n@hint('c')\n"
        "def test_second(namespace):\n    'second'\n\n"
        "RIGHT_WAYS = (right('otherwise'),)\n"
    )
    write_order(tmp_path, "made")
    checks = load_checks(write_block(tmp_path, "made", checks=text) / "checks.py")
    found = [(m.what, m.caught_by, m.hint, m.error, m.environment) for m in checks.mistakes]
    assert found == [
        ("one", "test_first", "a", "", {}),
        ("two", "test_first", "b", "e", {}),
        ("three", "test_second", "c", "", {"A": "1"}),
    ]
    assert [len(m.edits) for m in checks.mistakes] == [2, 0, 0]
    assert [way.what for way in checks.right_ways] == ["otherwise"]
