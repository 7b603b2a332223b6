"""Composing sections: the newest version of each, in the outline's order, well laid out."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.made_up import made_up, task
from winelab.course.compose import script_text, solved_cells, unsolved_cells
from winelab.course.source import Course

OUTLINE = """\
[imports]
import-a
import-b

import-c
import-d

[tools]
first
helper:
    body

    more
use

[train] 1. Train
run:
    fit
    each:
        step

    log

show
"""


def body(course: Course, number: int) -> str:
    """The script after a block, without its docstring."""
    return script_text(course, number).split('"""\n', maxsplit=1)[1].lstrip("\n")


def cell(course: Course, number: int, name: str, solved: bool = True) -> str:
    """The source of one cell of a notebook; "" where it is not there."""
    cells = solved_cells(course, number) if solved else unsolved_cells(course, number)
    return next((cell.source for cell in cells if cell.name == name), "")


def changes(**sections: str) -> str:
    """A code.py that gives these sections this code."""
    named = {name.replace("_", "-"): code for name, code in sections.items()}
    return "\n".join(f"# %% {name}\n{code}\n" for name, code in named.items())


# --- the newest version of each section --------------------------------------------------------


def test_a_section_is_added_replaced_removed_and_brought_back(tmp_path: Path) -> None:
    course = made_up(
        tmp_path,
        OUTLINE,
        "# %% import-a\nimport a\n",
        "# %% import-b\nimport b\n",
        "# %% import-b\nimport b2\n",
        "# %% import-b (removed)\n",
        "# %% import-b (as in block1)\n",
        "# %% import-b (as in block2)\n",
    )
    found = [body(course, number).replace("import ", "").split() for number in range(6)]
    assert found == [["a"], ["a", "b"], ["a", "b2"], ["a"], ["a", "b"], ["a", "b2"]]


def test_a_section_may_differ_between_script_and_notebook(tmp_path: Path) -> None:
    course = made_up(
        tmp_path,
        OUTLINE,
        "# %% show (script)\nprint('script')\n\n# %% show (notebook)\nprint('notebook')\n",
        "# %% show (script, removed)\n",
    )
    assert body(course, 0) == "# 1. Train\nprint('script')\n"
    assert body(course, 1) == ""
    assert cell(course, 0, "train") == cell(course, 1, "train") == "# 1. Train\nprint('notebook')"


def test_a_later_block_can_give_sections_too(tmp_path: Path) -> None:
    """Scaffolding, a way back to a simpler script, and something to change further."""
    course = made_up(
        tmp_path,
        OUTLINE,
        changes(import_a="import a", show="print(0)"),
        changes(show="print(1)", import_b="import b"),
        (
            "# %% import-b (removed, given)\n\n"
            "# %% show (as in block0, given)\n\n"
            f"# %% show\n{task('show more.')}print(2)\n",
            "train",
        ),
    )
    assert cell(course, 2, "imports", solved=False) == "import a"
    assert cell(course, 2, "train", solved=False) == "# 1. Train\n# TODO: show more.\nprint(0)"
    assert cell(course, 2, "train") == "# 1. Train\nprint(2)"
    assert "import b" not in script_text(course, 2)


# --- layout ------------------------------------------------------------------------------------


def test_children_are_indented_only_while_their_head_is_there(tmp_path: Path) -> None:
    course = made_up(
        tmp_path,
        OUTLINE,
        changes(fit="fit()", step="if a:\n    step()"),
        changes(run="with run():"),
        changes(each="for a in b:"),
        "# %% run (removed)\n",
    )
    assert [cell(course, number, "train").removeprefix("# 1. Train\n") for number in range(4)] == [
        "fit()\nif a:\n    step()",
        "with run():\n    fit()\n    if a:\n        step()",
        "with run():\n    fit()\n    for a in b:\n        if a:\n            step()",
        "fit()\nfor a in b:\n    if a:\n        step()",
    ]


# Why it is laid out so: the code of some sections, and the script.
LAYOUTS = {
    "in the outline's order, whatever the block's": (
        {"show": "print(a)", "import_b": "import b", "import_a": "import a"},
        "import a\nimport b\n\n# 1. Train\nprint(a)\n",
    ),
    "a head that opens nothing indents nothing": (
        {"run": "start()", "fit": "fit()"},
        "# 1. Train\nstart()\nfit()\n",
    ),
    "the last line of a head opens it": (
        {"run": "x = 1\nwith run():", "fit": "fit()"},
        "# 1. Train\nx = 1\nwith run():\n    fit()\n",
    ),
    "only the last line of a head opens it": (
        {"run": "if x:\n    start()", "fit": "fit()"},
        "# 1. Train\nif x:\n    start()\nfit()\n",
    ),
    "an empty line stands between": (
        {"import_b": "import b", "import_c": "import c"},
        "import b\n\nimport c\n",
    ),
    "none stands above the first": ({"import_c": "import c"}, "import c\n"),
    "that of a section that is away stands above the one that follows": (
        {"import_b": "import b", "import_d": "import d"},
        "import b\n\nimport d\n",
    ),
    "that of a head is not carried out of it": (
        {"helper": "with run():", "body": "fit()", "use": "show()"},
        "with run():\n    fit()\nshow()\n",
    ),
    # What a program writes to a file must not change because the line moved into a function.
    "a text of several lines keeps its left edge": (
        {"run": "with run():", "fit": "text = '''one\n  two\n'''\nprint(text)"},
        "# 1. Train\nwith run():\n    text = '''one\n  two\n'''\n    print(text)\n",
    ),
}


@pytest.mark.parametrize("why", LAYOUTS)
def test_a_script_is_laid_out(tmp_path: Path, why: str) -> None:
    sections, script = LAYOUTS[why]
    assert body(made_up(tmp_path, OUTLINE, changes(**sections)), 0) == script


# --- tasks -------------------------------------------------------------------------------------


# Where the TODO stands: the code before, the block that asks, and what the student finds.
TODOS = {
    "above the code that is there": (
        {"fit": "fit(1)", "show": "show()"},
        f"# %% fit\n{task('fit better.')}fit(2)\n",
        "# TODO: fit better.\nfit(1)\n\nshow()",
    ),
    "under its head": (
        {"run": "with run():", "fit": "fit()"},
        f"# %% log\n#: log it,\n{task('all of it.')}log()\n",
        "with run():\n    fit()\n\n    # TODO: log it,\n    #       all of it.",
    ),
    "where a new head will be, and the code below stays as it is": (
        {"fit": "fit()"},
        f"# %% run\n{task('open a run.')}with run():\n",
        "# TODO: open a run.\nfit()",
    ),
    "above what shall go": (
        {"fit": "fit()", "show": "show()"},
        f"# %% show (removed)\n{task('take it out.')}",
        "fit()\n\n# TODO: take it out.\nshow()",
    ),
    "as far in as the argument it is about": (
        {"fit": "    a=1,"},
        f"# %% fit\n{task('more.')}    a=2,\n",
        "    # TODO: more.\n    a=1,",
    ),
    "not there: the script alone has the task": (
        {"fit": "fit()"},
        f"# %% show (script)\n{task()}show()\n",
        "fit()",
    ),
}


@pytest.mark.parametrize("where", TODOS)
def test_a_todo_stands(tmp_path: Path, where: str) -> None:
    before, asked, unsolved = TODOS[where]
    course = made_up(tmp_path, OUTLINE, changes(**before), (asked, "train"))
    assert cell(course, 1, "train", solved=False) == f"# 1. Train\n{unsolved}"
    assert "TODO" not in script_text(course, 1)
