"""Composing sections: the newest version of each, in the outline's order, well laid out."""

from __future__ import annotations

from pathlib import Path

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
helper

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


# --- the newest version of each section --------------------------------------------------------


def test_the_script_says_which_block_it_is_and_where_it_is_edited(tmp_path: Path) -> None:
    text = script_text(made_up(tmp_path, OUTLINE, "# %% show\nprint(1)\n"), 0)
    docstring = text.split('"""')[1]
    assert "block 0" in docstring
    assert "blocks/00_block/" in docstring


def test_sections_stand_in_the_outlines_order_whatever_the_blocks_order(tmp_path: Path) -> None:
    course = made_up(
        tmp_path,
        OUTLINE,
        "# %% show\nprint(a)\n\n# %% import-b\nimport b\n",
        "# %% import-a\nimport a\n",
    )
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
    assert [body(course, number).split() for number in range(6)] == [
        ["import", "a"],
        ["import", "a", "import", "b"],
        ["import", "a", "import", "b2"],
        ["import", "a"],
        ["import", "a", "import", "b"],
        ["import", "a", "import", "b2"],
    ]


def test_an_early_section_mended_once_shows_in_every_later_script(tmp_path: Path) -> None:
    later = ["# %% show\nprint(2)\n", "# %% import-b\nimport b\n", ""]
    old = made_up(tmp_path / "old", OUTLINE, "# %% import-a\nimport a\n", *later)
    new = made_up(tmp_path / "new", OUTLINE, "# %% import-a\nimport mended\n", *later)
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
    assert "print('script')" in script_text(course, 0)
    assert "notebook" not in script_text(course, 0)
    assert "print('notebook')" in cell(course, 0, "train")
    assert "print" not in script_text(course, 1)
    assert "print('notebook')" in cell(course, 1, "train")


def test_block_0_starts_from_its_given_sections(tmp_path: Path) -> None:
    course = made_up(
        tmp_path,
        OUTLINE,
        (
            "# %% import-a (given)\nimport a\n\n"
            "# %% import-b (given, script)\nimport b\n\n"
            f"# %% show\n{task('show it.')}print(a)\n",
            "train",
        ),
    )
    assert cell(course, 0, "imports", solved=False) == "import a"
    assert cell(course, 0, "train", solved=False) == "# 1. Train\n# TODO: show it."
    assert cell(course, 0, "train") == "# 1. Train\nprint(a)"


def test_a_later_block_can_give_sections_too(tmp_path: Path) -> None:
    """Scaffolding, a way back to a simpler script, and something to change further."""
    course = made_up(
        tmp_path,
        OUTLINE,
        "# %% import-a\nimport a\n\n# %% show\nprint(0)\n",
        "# %% show\nprint(1)\n\n# %% import-b\nimport b\n",
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
        "# %% fit\nfit()\n\n# %% step\nif a:\n    step()\n",
        "# %% run\nwith run():\n",
        "# %% each\nfor a in b:\n",
        "# %% run (removed)\n",
    )
    assert cell(course, 0, "train") == "# 1. Train\nfit()\nif a:\n    step()"
    assert cell(course, 1, "train") == (
        "# 1. Train\nwith run():\n    fit()\n    if a:\n        step()"
    )
    assert cell(course, 2, "train") == (
        "# 1. Train\nwith run():\n    fit()\n    for a in b:\n        if a:\n            step()"
    )
    assert cell(course, 3, "train") == ("# 1. Train\nfit()\nfor a in b:\n    if a:\n        step()")


def test_a_head_that_opens_nothing_indents_nothing(tmp_path: Path) -> None:
    course = made_up(tmp_path, OUTLINE, "# %% run\nstart()\n\n# %% fit\nfit()\n")
    assert cell(course, 0, "train") == "# 1. Train\nstart()\nfit()"


def test_only_the_last_line_of_a_head_opens_it(tmp_path: Path) -> None:
    course = made_up(
        tmp_path,
        OUTLINE,
        "# %% run\nx = 1\nwith run():\n\n# %% fit\nfit()\n",
        "# %% run\nif x:\n    start()\n",
    )
    assert cell(course, 0, "train") == "# 1. Train\nx = 1\nwith run():\n    fit()"
    assert cell(course, 1, "train") == "# 1. Train\nif x:\n    start()\nfit()"


def test_empty_lines_stand_between_the_sections_that_are_there(tmp_path: Path) -> None:
    both = made_up(tmp_path / "1", OUTLINE, "# %% import-b\nimport b\n\n# %% import-c\nimport c\n")
    assert cell(both, 0, "imports") == "import b\n\nimport c"
    alone = made_up(tmp_path / "2", OUTLINE, "# %% import-c\nimport c\n")
    assert cell(alone, 0, "imports") == "import c"
    # The empty line above a section that is away stands above the one that follows it.
    over = made_up(tmp_path / "4", OUTLINE, "# %% import-b\nimport b\n\n# %% import-d\nimport d\n")
    assert cell(over, 0, "imports") == "import b\n\nimport d"
    # The sections on both sides of `step` and of its empty line are there, `step` is not.
    around = made_up(tmp_path / "3", OUTLINE, "# %% fit\nfit()\n\n# %% show\nshow()\n")
    assert cell(around, 0, "train") == "# 1. Train\nfit()\n\nshow()"


def test_an_empty_line_of_a_head_is_not_carried_out_of_it(tmp_path: Path) -> None:
    outline = "[a]\nrun:\n    fit\n\n    log\nshow\n"
    course = made_up(
        tmp_path, outline, "# %% run\nwith run():\n\n# %% fit\nfit()\n\n# %% show\nshow()\n"
    )
    assert body(course, 0) == "with run():\n    fit()\nshow()\n"


def test_empty_lines_inside_a_section_stay_and_carry_no_blanks(tmp_path: Path) -> None:
    course = made_up(
        tmp_path, OUTLINE, "# %% run\nwith run():\n\n# %% fit\n\nfit()\n\nfit_again()\n\n\n"
    )
    assert cell(course, 0, "train") == "# 1. Train\nwith run():\n    fit()\n\n    fit_again()"


def test_two_empty_lines_stand_around_a_function_and_one_between_other_cells(
    tmp_path: Path,
) -> None:
    code = "# %% import-a\nimport a\n\n# %% fit\nfit()\n"
    plain = made_up(tmp_path / "plain", OUTLINE, code)
    assert body(plain, 0) == "import a\n\n# 1. Train\nfit()\n"
    defined = made_up(
        tmp_path / "defined", OUTLINE, f"{code}\n# %% helper\ndef help():\n    pass\n"
    )
    assert body(defined, 0) == ("import a\n\n\ndef help():\n    pass\n\n\n# 1. Train\nfit()\n")


def test_a_cell_without_sections_has_no_title_either(tmp_path: Path) -> None:
    course = made_up(tmp_path, OUTLINE, "# %% import-a\nimport a\n")
    assert [cell.name for cell in solved_cells(course, 0)] == ["imports"]
    assert "Train" not in script_text(course, 0)


# --- tasks -------------------------------------------------------------------------------------


def test_a_todo_stands_at_its_sections_place_above_the_code_that_is_there(tmp_path: Path) -> None:
    course = made_up(
        tmp_path,
        OUTLINE,
        "# %% fit\nfit(1)\n\n# %% show\nshow()\n",
        (f"# %% fit\n{task('fit better.')}fit(2)\n", "train"),
    )
    assert cell(course, 1, "train", solved=False) == (
        "# 1. Train\n# TODO: fit better.\nfit(1)\n\nshow()"
    )


def test_a_todo_of_a_new_section_has_the_indentation_of_its_head(tmp_path: Path) -> None:
    code = "# %% log\n#: log it,\n#: all of it.\n#? A nudge.\n#?\n#? The call.\nlog()\n"
    course = made_up(
        tmp_path, OUTLINE, "# %% run\nwith run():\n\n# %% fit\nfit()\n", (code, "train")
    )
    assert cell(course, 1, "train", solved=False) == (
        "# 1. Train\nwith run():\n    fit()\n\n    # TODO: log it,\n    #       all of it."
    )


def test_a_todo_for_a_new_head_leaves_the_code_below_as_it_is(tmp_path: Path) -> None:
    course = made_up(
        tmp_path,
        OUTLINE,
        "# %% fit\nfit()\n",
        (f"# %% run\n{task('open a run.')}with run():\n", "train"),
    )
    assert cell(course, 1, "train", solved=False) == "# 1. Train\n# TODO: open a run.\nfit()"
    assert cell(course, 1, "train") == "# 1. Train\nwith run():\n    fit()"


def test_a_todo_to_remove_stands_above_what_shall_go(tmp_path: Path) -> None:
    course = made_up(
        tmp_path,
        OUTLINE,
        "# %% fit\nfit()\n\n# %% show\nshow()\n",
        (f"# %% show (removed)\n{task('take it out.')}", "train"),
    )
    assert cell(course, 1, "train", solved=False) == (
        "# 1. Train\nfit()\n\n# TODO: take it out.\nshow()"
    )
    assert cell(course, 1, "train") == "# 1. Train\nfit()"


def test_a_task_of_the_script_alone_is_not_asked_in_the_notebook(tmp_path: Path) -> None:
    course = made_up(
        tmp_path, OUTLINE, "# %% fit\nfit()\n", f"# %% show (script)\n{task()}show()\n"
    )
    assert cell(course, 1, "train", solved=False) == "# 1. Train\nfit()"


# --- where a line comes from -------------------------------------------------------------------


def test_each_line_of_a_script_knows_the_place_it_was_written_at(tmp_path: Path) -> None:
    course = made_up(
        tmp_path, OUTLINE, "# %% import-a\nimport a\n", "\n# %% fit\nfit()\n\nfit_again()\n"
    )
    places = {line.text: (line.source, line.number) for line in script_lines(course, 1)}
    assert places["import a"] == (tmp_path / "blocks" / "00_block" / "code.py", 2)
    assert places["fit_again()"] == (tmp_path / "blocks" / "01_block" / "code.py", 5)
    assert places["# 1. Train"] == (tmp_path / "blocks" / "outline.txt", 11)


def test_the_lines_of_a_script_are_its_text(tmp_path: Path) -> None:
    course = made_up(tmp_path, OUTLINE, "# %% import-a\nimport a\n\n# %% fit\nfit()\n")
    lines = [line.text for line in script_lines(course, 0)]
    assert "\n".join(lines) + "\n" == script_text(course, 0)


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
    assert body(course, 0) == (
        'def tool(x):\n    """A tool."""\n    return x\n\n\n'
        "# 1. Settings\nsize = 1\n\n\n"
        'def main():\n    """All of it."""\n    take()\n\n'
        "    # 2. Work\n    work(size)\n\n    for a in b:\n        step(a)\n\n\n"
        "main()\n"
    )
    assert cell(course, 0, "work") == "# 2. Work\nwork(size)\n\nfor a in b:\n    step(a)"
    assert cell(course, 0, "main") == cell(course, 0, "call") == ""


def test_a_functions_docstring_stands_for_its_cells_title_in_the_script(tmp_path: Path) -> None:
    course = made_up(tmp_path, PROGRAM, MAIN)
    assert "# A tool" not in script_text(course, 0)
    assert cell(course, 0, "tools").startswith("# A tool\ndef tool(x):")


def test_two_empty_lines_stand_around_a_function_within_a_cell(tmp_path: Path) -> None:
    outline = "[a]\none\ntwo:\n    three\nfour\n"
    course = made_up(
        tmp_path,
        outline,
        "# %% one\na = 1\n\n# %% two\ndef b():\n\n# %% three\nreturn a\n\n# %% four\nb()\n",
    )
    assert body(course, 0) == "a = 1\n\n\ndef b():\n    return a\n\n\nb()\n"


def test_a_text_of_several_lines_keeps_its_left_edge(tmp_path: Path) -> None:
    """What a program writes to a file must not change because the line moved into a function."""
    text = "# %% fit\ntext = '''one\n  two\n'''\nprint(text)\n"
    course = made_up(tmp_path, OUTLINE, text, "# %% run\nwith run():\n")
    assert body(course, 1).endswith("with run():\n    text = '''one\n  two\n'''\n    print(text)\n")
