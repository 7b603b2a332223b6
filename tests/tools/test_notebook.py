"""Laying a lesson and its sections out as notebooks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tools.made_up import lesson, made_up, task, write_block, write_course
from winelab.core.errors import CourseError
from winelab.course.notebook import as_text, lab_notebook, solved_notebook
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
    """The cells by the name at the end of their ids, in order."""
    return {cell["id"].split("-", maxsplit=1)[1]: cell for cell in notebook.cells}


def code_of(notebook: Any) -> dict[str, str]:
    """The sources of the code cells by name, in order."""
    return {n: c.source for n, c in by_name(notebook).items() if c.cell_type == "code"}


def with_lesson(tmp_path: Path, text: str, code: str = CHANGE) -> Course:
    """A course whose block 1 has this lesson."""
    folder = write_course(tmp_path, OUTLINE, BASE)
    write_block(folder, "01_block", code, text)
    return read_course(folder)


# --- the lab -----------------------------------------------------------------------------------


def test_prose_and_cells_stand_where_the_lesson_puts_them(tmp_path: Path) -> None:
    text = lesson().replace(
        "## Your task\n", "## Your task\n\nFirst.\n\n::: cell data\n\nThen.\n\n::: cell train\n"
    )
    notebook = lab_notebook(with_lesson(tmp_path, text), 1)
    order = [cell.source for cell in notebook.cells]
    marks = ["import a", "First.", "x = read()", "Then.", "fit(x)", "print(x)", "check(1)"]
    places = [next(at for at, text in enumerate(order) if mark in text) for mark in marks]
    # The prose before a cell comes first, and with it the cells that the lesson does not name.
    assert places[1:] == sorted(places[1:])
    assert places[0] < places[2]
    assert set(code_of(notebook)) == {"imports", "data", "train", "result", "check"}


def test_given_says_where_the_cells_before_the_next_named_one_stand(tmp_path: Path) -> None:
    text = lesson("train").replace("## Why\n", "## Why\n\n::: given\n\nAfter the given ones.\n")
    cells = lab_notebook(with_lesson(tmp_path, text), 1).cells
    order = [cell["id"].split("-", maxsplit=1)[1] for cell in cells]
    after = next(at for at, cell in enumerate(cells) if "After the given ones." in cell.source)
    assert order.index("imports") < order.index("data") < after < order.index("train")


def test_only_cells_that_the_lesson_does_not_place_are_folded(tmp_path: Path) -> None:
    cells = by_name(lab_notebook(with_lesson(tmp_path, lesson("data train")), 1))
    folded = {n for n, c in cells.items() if c.metadata.get("jupyter", {}).get("source_hidden")}
    assert folded == {"imports", "result"}
    tags = {n: c.metadata["tags"] for n, c in cells.items() if c.cell_type == "code"}
    assert tags == {
        "imports": ["given"],
        "data": ["shown"],
        "train": ["task"],
        "result": ["given"],
        "check": ["check"],
    }


def test_the_hints_of_a_cell_stand_folded_below_it_a_nudge_first(tmp_path: Path) -> None:
    notebook = lab_notebook(with_lesson(tmp_path, lesson("train")), 1)
    ids = [cell["id"] for cell in notebook.cells]
    hints = notebook.cells[ids.index("b01-train") + 1].source
    # Two tasks with two hints each; only <details> are hidden before a click.
    assert hints.count("<details>") == hints.count("</details>") == 4
    assert re.sub(r"<details>.*?</details>", "", hints, flags=re.DOTALL).strip() == ""
    assert hints.index("A nudge.") < hints.index("The call.")
    assert "The call." not in code_of(notebook)["train"]


def test_the_unsolved_code_is_the_solved_code_of_the_block_before_and_todos(
    tmp_path: Path,
) -> None:
    course = made_up(
        tmp_path,
        OUTLINE,
        (f"# %% import-a (given)\nimport a\n\n# %% read\n{task()}x = read()\n", "data"),
        ("# %% fit\n#: fit.\n#? A.\n#?\n#? B.\nfit(x)\n\n# %% show\nprint(x)\n", "train"),
        (CHANGE, "train"),
        (f"# %% show (removed)\n{task()}\n# %% read (as in 0)\n", "result"),
        (f"# %% import-a\n{task()}import a, b\n", "imports"),
    )
    for number in range(1, 5):
        lab, solved = lab_notebook(course, number), solved_notebook(course, number - 1)
        assert "TODO" in "".join(code_of(lab).values())
        assert lines_of_code(lab) == lines_of_code(solved)


def lines_of_code(notebook: Any) -> list[str]:
    """The code of a notebook without comments and without the check."""
    sources = [source for name, source in code_of(notebook).items() if name != "check"]
    lines = "\n".join(sources).splitlines()
    return [line for line in lines if line.strip() and not line.strip().startswith("#")]


def test_a_solved_notebook_has_the_solution_and_no_todo(tmp_path: Path) -> None:
    notebook = solved_notebook(with_lesson(tmp_path, lesson("train")), 1)
    assert code_of(notebook)["train"] == "# 2. Train\nwith run():\n    fit(x)\n    log()"
    assert "TODO" not in as_text(notebook)
    assert "<details>" not in as_text(notebook)
    assert not any(cell.metadata.get("jupyter") for cell in notebook.cells)


@pytest.mark.parametrize("make", [lab_notebook, solved_notebook], ids=["lab", "solved"])
def test_the_check_is_the_last_code_cell_and_alone_uses_winelab(tmp_path: Path, make: Any) -> None:
    code = code_of(make(with_lesson(tmp_path, lesson("train")), 1))
    *others, last = code.values()
    assert last.endswith("check(1)")
    assert not any("winelab" in source for source in others)


@pytest.mark.parametrize("make", [lab_notebook, solved_notebook], ids=["lab", "solved"])
def test_a_notebook_is_valid_and_its_ids_are_unique(tmp_path: Path, make: Any) -> None:
    course = with_lesson(tmp_path, lesson("data train"))
    for number in (0, 1):
        notebook = nbformat.reads(as_text(make(course, number)), as_version=4)
        nbformat.validate(notebook)
        ids = [cell["id"] for cell in notebook.cells]
        assert len(ids) == len(set(ids))
        assert all(re.fullmatch(r"[a-zA-Z0-9-_]{1,64}", name) for name in ids)
        assert notebook.metadata["kernelspec"]["name"] == "python3"


def test_the_ids_of_code_cells_stay_when_prose_and_code_change(tmp_path: Path) -> None:
    before = lab_notebook(with_lesson(tmp_path / "1", lesson("train")), 1)
    text = lesson("data train").replace("## Why\n", "## Why\n\n::: given\n\nMore words.\n")
    after = lab_notebook(with_lesson(tmp_path / "2", text, CHANGE.replace("log()", "log(1)")), 1)
    assert list(code_of(before)) == list(code_of(after))


def test_a_notebook_says_where_its_text_is_edited(tmp_path: Path) -> None:
    course = with_lesson(tmp_path, lesson("train"))
    for notebook in (lab_notebook(course, 1), solved_notebook(course, 1)):
        assert "blocks/01_block/" in "".join(c.source for c in notebook.cells)
        assert notebook.metadata["winelab"]["block"] == 1


def test_a_lab_shows_what_one_can_do_afterwards_and_what_to_remember(tmp_path: Path) -> None:
    text = lesson("train", objectives="[open a run]", keypoints="[a run ends]")
    cells = lab_notebook(with_lesson(tmp_path, text), 1).cells
    assert "open a run" in cells[0].source
    assert "a run ends" in cells[-1].source


def test_each_lab_links_to_the_next_one_but_the_last(tmp_path: Path) -> None:
    course = with_lesson(tmp_path, lesson("train"))
    assert "(01_block.ipynb)" in lab_notebook(course, 0).cells[-1].source
    assert ".ipynb)" not in lab_notebook(course, 1).cells[-1].source


# --- what cannot be laid out -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "named"),
    [
        pytest.param("train data", "data", id="against the outline's order"),
        pytest.param("result train", "train", id="after the last cell"),
    ],
)
def test_cells_placed_out_of_order_are_refused_with_the_line(
    tmp_path: Path, cells: str, named: str
) -> None:
    text = lesson(cells)
    course = with_lesson(tmp_path, text)
    line = text.splitlines().index(f"::: cell {named}") + 1
    with pytest.raises(CourseError, match=rf"^01_block/lesson\.md:{line}: .*{named}"):
        lab_notebook(course, 1)


def test_a_cell_that_is_empty_at_this_block_cannot_be_placed(tmp_path: Path) -> None:
    course = made_up(tmp_path, OUTLINE, ("# %% import-a (given)\nimport a\n", "train"))
    with pytest.raises(CourseError, match=r"^00_block/lesson\.md:\d+: .*train"):
        lab_notebook(course, 0)


def test_a_cell_cannot_be_placed_below_the_check(tmp_path: Path) -> None:
    course = with_lesson(tmp_path, f"{lesson()}\n::: cell train\n")
    with pytest.raises(CourseError, match=r"^01_block/lesson\.md:\d+: .*train"):
        lab_notebook(course, 1)
