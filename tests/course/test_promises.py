"""The promises of the course, as properties over all blocks, read from what is committed."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

from winelab.core.paths import LABS, ROOT, SOLUTIONS
from winelab.course.build import differences
from winelab.course.compose import sections_after, sections_before
from winelab.course.notebook import check_source
from winelab.course.source import Block, Course, Form
from winelab.proof.examples import examples
from winelab.proof.minutes import estimate
from winelab.proof.new_calls import calls


def code_cells(path: Path) -> list[Any]:
    notebook = nbformat.read(path, as_version=4)
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def code_lines(sources: list[str]) -> list[str]:
    """The lines of code: no empty lines, no comments, as `sources` have them."""
    return [
        line
        for source in sources
        for line in source.splitlines()
        if line.strip() and not line.strip().startswith("#")
    ]


def own_code(path: Path, number: int) -> list[str]:
    """The code of a notebook without its last cell, which must be the check."""
    sources = [cell.source for cell in code_cells(path)]
    assert sources[-1] == check_source(number), f"the last cell of {path.name} is not the check"
    return code_lines(sources[:-1])


# --- P1: one source ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def differing(whole: Course) -> list[str]:
    """What `make build` would change; found once, since it builds the whole course."""
    return differences(whole)


@pytest.mark.quick
def test_built_files_are_what_their_sources_say(block: Block, differing: list[str]) -> None:
    found = [line for line in differing if f"/{block.name}." in line.split()[0]]
    assert not found, "\n".join(found)


@pytest.mark.quick
def test_no_other_built_file_differs(differing: list[str]) -> None:
    """The README's table, and files of blocks that are no longer there."""
    assert not differing, "\n".join(differing)


def test_each_built_file_says_which_source_to_edit(block: Block) -> None:
    assert f"blocks/{block.name}/code.py" in (SOLUTIONS / f"{block.name}.py").read_text("utf-8")
    for folder in (LABS, SOLUTIONS):
        text = (folder / f"{block.name}.ipynb").read_text("utf-8")
        assert f"blocks/{block.name}/" in text


def test_no_code_stands_twice_in_the_sources(whole: Course) -> None:
    """Three lines in a row of one section must not stand in another change of it or of others."""
    seen: dict[tuple[str, ...], str] = {}
    for block in whole.blocks:
        for change in block.changes:
            lines = [line.text.strip() for line in change.lines if line.text.strip()]
            where = f"{block.name} {change.section}"
            for at in range(len(lines) - 2):
                chunk = tuple(lines[at : at + 3])
                assert seen.get(chunk, where) == where, f"{where} repeats {seen[chunk]}"
                seen[chunk] = where


# --- P2: a block is a change -------------------------------------------------------------------


def _without(lines: list[str], parts: list[list[str]]) -> list[str]:
    """`lines` without each of `parts`, which must stand in it as an unbroken stretch."""
    for part in parts:
        size = len(part)
        for at in range(len(lines) - size + 1):
            if lines[at : at + size] == part:
                lines = lines[:at] + lines[at + size :]
                break
        else:
            raise AssertionError(f"these lines do not stand together: {part}")
    return lines


def _script_code(number: int) -> list[str]:
    path = next(SOLUTIONS.glob(f"{number:02d}_*.py"))
    body = path.read_text(encoding="utf-8").split('"""', 2)[2]
    return [line.strip() for line in code_lines([body])]


def test_a_solution_differs_from_the_one_before_in_the_named_sections_only(
    block: Block, whole: Course
) -> None:
    """Read from the built scripts: without the named sections, nothing differs.

    Not compared: the docstring on top (it names the block), and indentation, because a named
    head such as `with ...:` indents what stands in it.
    """
    form: Form = "script"

    def named(number: int) -> list[list[str]]:
        sections = sections_after(whole, number, form) if number >= 0 else {}
        texts = [
            [line.strip() for line in code_lines([row.text for row in sections[name]])]
            for name in sorted(block.sections())
            if name in sections
        ]
        # Longest first: a short section's line may also stand in a long one.
        return sorted(texts, key=len, reverse=True)

    before = _script_code(block.number - 1) if block.number else []
    after = _script_code(block.number)
    if block.number:
        assert before != after, "the block changes nothing"
    assert _without(after, named(block.number)) == _without(before, named(block.number - 1))


def test_notebook_and_script_differ_only_where_a_section_has_two_forms(
    block: Block, whole: Course
) -> None:
    script = sections_after(whole, block.number, "script")
    notebook = sections_after(whole, block.number, "notebook")
    both = [name for name in script if script[name] == notebook.get(name)]
    in_script = _script_code(block.number)
    in_notebook = [x.strip() for x in own_code(SOLUTIONS / f"{block.name}.ipynb", block.number)]
    for name in both:
        for line in code_lines([row.text for row in script[name]]):
            assert line.strip() in in_script, f"{name}: {line}"
            assert line.strip() in in_notebook, f"{name}: {line}"
    # Only the command line, where the table lies, and `main()` round it all may differ.
    two_forms = {name for name in {*script, *notebook} if script.get(name) != notebook.get(name)}
    cells = {whole.outline.cell_of(name) for name in two_forms}
    assert cells <= {"imports", "settings", "main", "call-main"}, (
        f"these have two forms: {sorted(two_forms)}"
    )


# --- P3: the unsolved notebook -----------------------------------------------------------------


def test_a_lab_is_the_solution_before_it_with_todos(block: Block, whole: Course) -> None:
    """But for what the block gives: scaffolding, and ways back to a simpler script."""
    lab = own_code(LABS / f"{block.name}.ipynb", block.number)
    found = sections_before(whole, block.number, "notebook")
    before = sections_after(whole, block.number - 1, "notebook")
    given = {change.section for change in block.changes if change.given}
    assert {name: code for name, code in found.items() if name not in given} == {
        name: code for name, code in before.items() if name not in given
    }
    assert sorted(line.strip() for line in lab) == sorted(
        line.strip() for code in found.values() for line in code_lines([row.text for row in code])
    )
    if block.number and not given:
        solved = whole.block(block.number - 1)
        assert lab == own_code(SOLUTIONS / f"{solved.name}.ipynb", solved.number)


def test_a_lab_has_a_todo_and_no_outputs(block: Block) -> None:
    cells = code_cells(LABS / f"{block.name}.ipynb")
    assert any("# TODO: " in cell.source for cell in cells)
    assert all(not cell.outputs and cell.execution_count is None for cell in cells)


def test_a_todo_can_be_read_without_scrolling(block: Block) -> None:
    """Jupyter does not wrap code; 80 columns fit beside its file list on a small laptop."""
    for cell in code_cells(LABS / f"{block.name}.ipynb"):
        for line in cell.source.splitlines():
            if line.strip().startswith("#"):
                assert len(line) <= 80, f"{cell.id}: {line}"


def test_a_solved_notebook_has_all_its_outputs(block: Block) -> None:
    """A cell without an execution count has not run."""
    for cell in code_cells(SOLUTIONS / f"{block.name}.ipynb"):
        assert cell.execution_count, f"{cell.id} has no stored output: run make outputs"
        assert "# TODO" not in cell.source


def test_stored_outputs_name_no_folder_of_the_machine(block: Block) -> None:
    cells = code_cells(SOLUTIONS / f"{block.name}.ipynb")
    text = json.dumps([cell.outputs for cell in cells])
    # A picture's bytes, written as letters, may read like anything.
    text = re.sub(r'"image/png": "[^"]*"', "", text)
    assert str(ROOT) not in text and str(Path.home()) + "/" not in text
    assert not re.search(r"[/\\](tmp|temp|T)[/\\]", text), "a temporary folder is in the outputs"


# --- P6: nothing unexplained -------------------------------------------------------------------


def _calls(number: int) -> set[str]:
    if number < 0:
        return set()
    script = next(SOLUTIONS.glob(f"{number:02d}_*.py"))
    cells = code_cells(script.with_suffix(".ipynb"))[:-1]
    return calls(script.read_text("utf-8")) | calls("\n".join(cell.source for cell in cells))


def test_each_new_call_is_taught_and_explained(block: Block) -> None:
    new = _calls(block.number) - _calls(block.number - 1)
    teaches = set(block.meta.teaches)
    assert new == teaches, (
        f"new but not in teaches: {sorted(new - teaches)}; "
        f"in teaches but not new: {sorted(teaches - new)}"
    )
    lesson = (block.folder / "lesson.md").read_text("utf-8")
    prose = re.sub(r"^```.*?^```$", "", lesson, flags=re.DOTALL | re.MULTILINE)
    words = " ".join(re.findall(r"`([^`]+)`", prose.split("\n---\n", 1)[1]))
    for call in sorted(teaches):
        name = call.rsplit(".", 1)[-1]
        assert re.search(rf"\b{name}\b", words), f"the lesson does not explain {call}"


# --- P9: plain code ----------------------------------------------------------------------------


def test_solutions_import_nothing_of_winelab(block: Block) -> None:
    for source in (
        (SOLUTIONS / f"{block.name}.py").read_text("utf-8"),
        "\n".join(cell.source for cell in code_cells(SOLUTIONS / f"{block.name}.ipynb")[:-1]),
    ):
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import):
                assert all(not alias.name.startswith("winelab") for alias in node.names)
            if isinstance(node, ast.ImportFrom):
                assert not (node.module or "").startswith("winelab")


# --- lessons -----------------------------------------------------------------------------------


def test_a_lesson_has_an_example(block: Block) -> None:
    """What it prints is compared in the block's cases."""
    found = examples((block.folder / "lesson.md").read_text("utf-8"))
    assert found, "a lesson shows its new call in a small example of its own"


def test_an_example_is_not_the_answer(block: Block) -> None:
    answer = {
        line.text.strip()
        for change in block.changes
        if change.section in {task.section for task in block.tasks}
        for line in change.lines
        if "(" in line.text
    }
    for example in examples((block.folder / "lesson.md").read_text("utf-8")):
        shown = {line.strip() for line in example.code.splitlines()}
        assert not answer & shown, f"the example gives away: {answer & shown}"


def test_pictures_and_links_lead_somewhere(block: Block) -> None:
    lesson = (block.folder / "lesson.md").read_text("utf-8")
    for alt, target in re.findall(r"!\[(.*?)\]\((.*?)\)", lesson):
        assert len(alt) > 20, f"{target} needs alternative text that says what is to be seen"
        picture = LABS / target
        assert picture.is_file(), f"{target} is not there"
        assert picture.stat().st_size < 150_000, f"{target} is over 150 kB"
    for target in re.findall(r"(?<!!)\[[^\]]*\]\(([^)#]+)[^)]*\)", lesson):
        if not target.startswith("https://"):
            assert (LABS / target).exists(), f"{target} is not there"


def test_the_minutes_declared_are_those_it_takes(block: Block, whole: Course) -> None:
    """Reading, writing and looking, as estimated from the lesson, within a third either way."""
    needed = estimate(whole, block)
    declared = block.meta.minutes
    assert needed / 1.34 <= declared <= needed * 1.34, f"declared {declared}, needs {needed:.0f}"


def test_a_lesson_ends_in_a_recap_table(block: Block) -> None:
    lesson = (block.folder / "lesson.md").read_text("utf-8")
    recap = lesson.split("## Recap", 1)[1]
    assert re.search(r"^\| *step *\| *where *\| *why *\|$", recap, re.MULTILINE | re.IGNORECASE)
