"""Composing sections: the newest version of each, in the outline's order, well laid out."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.made_up import made_up, task
from winelab.course.compose import script_lines, script_text, solved_cells, unsolved_cells
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


def test_the_script_says_which_block_it_is_and_where_it_is_edited(tmp_path: Path) -> None:
    docstring = script_text(made_up(tmp_path, OUTLINE, changes(show="print(1)")), 0).split('"""')[1]
    assert "block 0" in docstring
    assert "blocks/00_block/" in docstring


def test_sections_stand_in_the_outlines_order_whatever_the_blocks_order(tmp_path: Path) -> None:
    first = changes(show="print(a)", import_b="import b")
    course = made_up(tmp_path, OUTLINE, first, changes(import_a="import a"))
    assert body(course, 1) == "import a\nimport b\n\n# 1. Train\nprint(a)\n"


def test_a_section_is_added_replaced_removed_and_brought_back(tmp_path: Path) -> None:
    course = made_up(
        tmp_path,
        OUTLINE,
        "# %% import-a\nimport a\n",
        "# %% import-b\nimport b\n",
        "# %% import-b\nimport b2\n",
        "# %% import-b (removed)\n",
        "# %% import-b (as in 1)\n",
        "# %% import-b (as in 2)\n",
    )
    found = [body(course, number).replace("import ", "").split() for number in range(6)]
    assert found == [["a"], ["a", "b"], ["a", "b2"], ["a"], ["a", "b"], ["a", "b2"]]


def test_an_early_section_mended_once_shows_in_every_later_script(tmp_path: Path) -> None:
    later = [changes(show="print(2)"), changes(import_b="import b"), ""]
    old = made_up(tmp_path / "old", OUTLINE, changes(import_a="import a"), *later)
    new = made_up(tmp_path / "new", OUTLINE, changes(import_a="import mended"), *later)
    for number in range(4):
        expected = script_text(old, number).replace("import a\n", "import mended\n")
        assert script_text(new, number) == expected
        assert "import mended\n" in expected


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


def test_block_0_starts_from_its_given_sections(tmp_path: Path) -> None:
    code = (
        "# %% import-a (given)\nimport a\n\n"
        "# %% import-b (given, script)\nimport b\n\n"
        f"# %% show\n{task('show it.')}print(a)\n"
    )
    course = made_up(tmp_path, OUTLINE, (code, "train"))
    assert cell(course, 0, "imports", solved=False) == "import a"
    assert cell(course, 0, "train", solved=False) == "# 1. Train\n# TODO: show it."
    assert cell(course, 0, "train") == "# 1. Train\nprint(a)"


def test_a_later_block_can_give_sections_too(tmp_path: Path) -> None:
    """Scaffolding, a way back to a simpler script, and something to change further."""
    course = made_up(
        tmp_path,
        OUTLINE,
        changes(import_a="import a", show="print(0)"),
        changes(show="print(1)", import_b="import b"),
        (
            "# %% import-b (removed, given)\n\n"
            "# %% show (as in 0, given)\n\n"
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
    "those inside a section stay, and carry no blanks": (
        {"run": "with run():", "fit": "\nfit()\n\nfit_again()\n\n"},
        "# 1. Train\nwith run():\n    fit()\n\n    fit_again()\n",
    ),
    "one stands between cells": (
        {"import_a": "import a", "fit": "fit()", "show": "show()"},
        "import a\n\n# 1. Train\nfit()\n\nshow()\n",
    ),
    "two stand around a function": (
        {"import_a": "import a", "fit": "fit()", "helper": "def help():\n    pass"},
        "import a\n\n\ndef help():\n    pass\n\n\n# 1. Train\nfit()\n",
    ),
    "two stand around a function within a cell": (
        {"first": "a = 1", "helper": "def b():", "body": "return a", "use": "b()"},
        "a = 1\n\n\ndef b():\n    return a\n\n\nb()\n",
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


def test_a_cell_without_sections_has_no_title_either(tmp_path: Path) -> None:
    course = made_up(tmp_path, OUTLINE, changes(import_a="import a"))
    assert [cell.name for cell in solved_cells(course, 0)] == ["imports"]


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


# --- where a line comes from -------------------------------------------------------------------


def test_each_line_of_a_script_knows_the_place_it_was_written_at(tmp_path: Path) -> None:
    course = made_up(
        tmp_path, OUTLINE, "# %% import-a\nimport a\n", "\n# %% fit\nfit()\n\nfit_again()\n"
    )
    lines = script_lines(course, 1)
    assert "".join(f"{line.text}\n" for line in lines) == script_text(course, 1)
    places = {line.text: (line.source, line.number) for line in lines}
    assert places["import a"] == (tmp_path / "blocks" / "00_block" / "code.py", 2)
    assert places["fit_again()"] == (tmp_path / "blocks" / "01_block" / "code.py", 5)
    assert places["# 1. Train"] == (tmp_path / "blocks" / "outline.txt", 16)


# --- a program: functions, and a main() round the steps ------------------------------------------

PROGRAM = """\
[tools] A tool
tool:
    body

[settings] 1. Settings
size

[main]
main:
    take

    [work] 2. Work
    work

    each:
        step

[call]
call
"""
MAIN = (
    '# %% tool\ndef tool(x):\n    """A tool."""\n\n# %% body\nreturn x\n\n'
    '# %% size\nsize = 1\n\n# %% main (script)\ndef main():\n    """All of it."""\n\n'
    "# %% take (script)\ntake()\n\n# %% work\nwork(size)\n\n# %% each\nfor a in b:\n\n"
    "# %% step\nstep(a)\n\n# %% call (script)\nmain()\n"
)


def test_cells_below_a_function_are_its_body_in_the_script_alone(tmp_path: Path) -> None:
    course = made_up(tmp_path, PROGRAM, MAIN)
    # A function's docstring stands for its cell's title.
    assert body(course, 0) == (
        'def tool(x):\n    """A tool."""\n    return x\n\n\n'
        "# 1. Settings\nsize = 1\n\n\n"
        'def main():\n    """All of it."""\n    take()\n\n'
        "    # 2. Work\n    work(size)\n\n    for a in b:\n        step(a)\n\n\n"
        "main()\n"
    )
    assert cell(course, 0, "tools").startswith("# A tool\ndef tool(x):")
    assert cell(course, 0, "work") == "# 2. Work\nwork(size)\n\nfor a in b:\n    step(a)"
    assert cell(course, 0, "main") == cell(course, 0, "call") == ""
