"""The promises of the course, as properties over all blocks, read from what is committed."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

from winelab.checks.checking import checks_of, source_text
from winelab.core.paths import LABS, ROOT, SOLUTIONS
from winelab.course.build import differences
from winelab.course.compose import (
    WRITTEN_TO,
    Sections,
    sections_after,
    sections_before,
    solution_files,
)
from winelab.course.notebook import check_source
from winelab.course.source import Block, Course, Form, course
from winelab.proof.examples import examples
from winelab.proof.minutes import estimate
from winelab.proof.new_calls import calls


def code_cells(path: Path) -> list[Any]:
    notebook = nbformat.read(path, as_version=4)
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def code_lines(source: str) -> list[str]:
    """The lines of code as they compare: no empty lines, no comments, no indent."""
    lines = (line.strip() for line in source.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def code_of(sections: Sections) -> list[str]:
    """The lines of code of all these sections, sorted."""
    lines = [line.text for code in sections.values() for line in code]
    return sorted(code_lines("\n".join(lines)))


def notebook_code(path: Path, number: int) -> list[str]:
    """The code of a notebook without its last cell, which must be the check."""
    *sources, last = (cell.source for cell in code_cells(path))
    assert last == check_source(number), f"the last cell of {path.name} is not the check"
    lines = code_lines("\n".join(sources))
    return [line for line in lines if not line.startswith(f"%%writefile {WRITTEN_TO}/")]


# --- P1: one source ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def differing(whole: Course) -> list[str]:
    """What `make build` would change; found once, since it builds the whole course."""
    return differences(whole)


@pytest.mark.quick
def test_built_files_are_what_their_sources_say(block: Block, differing: list[str]) -> None:
    found = [line for line in differing if re.search(rf"/{block.name}[./]", line.split()[0])]
    assert not found, "\n".join(found)


@pytest.mark.quick
def test_no_other_built_file_differs(differing: list[str]) -> None:
    """The README's table, and files of blocks that are no longer there."""
    assert not differing, "\n".join(differing)


def test_each_built_file_says_which_source_to_edit(block: Block) -> None:
    assert f"blocks/{block.slug}/code.py" in (SOLUTIONS / block.solution).read_text("utf-8")
    for folder in (LABS, SOLUTIONS):
        text = (folder / f"{block.name}.ipynb").read_text("utf-8")
        assert f"blocks/{block.slug}/" in text


def test_no_code_stands_twice_in_the_sources(whole: Course) -> None:
    """Three lines in a row of one section must not stand in another change of it or of others."""
    found: dict[bool, dict[tuple[str, ...], str]] = {True: {}, False: {}}
    for block in whole.blocks:
        # A package begins with nothing, and may do again what the script has done.
        seen = found[block.package]
        for change in block.changes:
            lines = [line.text.strip() for line in change.lines if line.text.strip()]
            if block.package:
                # Each file has its imports; one that is no program has the form that it must have.
                file = block.outline.cells[block.outline.cell_of[change.section]].file
                begins = ("import ", "from ", '"""')
                lines = [line for line in lines if not line.startswith(begins)]
                lines = [] if file and not file.endswith(".py") else lines
            where = f"{block.name} {change.section}"
            for at in range(len(lines) - 2):
                chunk = tuple(lines[at : at + 3])
                assert seen.get(chunk, where) == where, f"{where} repeats {seen[chunk]}"
                seen[chunk] = where


# --- P2: a block is a change -------------------------------------------------------------------


def _two(whole: Course, block: Block, form: Form) -> list[Sections]:
    """The sections before the block, none where it begins with nothing, and after it.

    Without those that were only there to try out the package of the block before.
    """
    before = whole.before(block)
    two = [sections_after(whole, one.number, form) if one else {} for one in (before, block)]
    passed = block.outline.passing - two[1].keys()
    return [{name: code for name, code in one.items() if name not in passed} for one in two]


def test_a_solution_differs_from_the_one_before_in_the_named_sections_only(
    block: Block, whole: Course
) -> None:
    before, after = _two(whole, block, "script")
    changed = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    assert changed, "the block changes nothing"
    assert changed <= block.sections()


def test_a_solution_is_made_of_its_sections_and_nothing_else(block: Block, whole: Course) -> None:
    script = sections_after(whole, block.number, "script")
    names = solution_files(whole, block.number)
    text = "".join((SOLUTIONS / name).read_text("utf-8") for name in names)
    text = text if block.package else text.split('"""', 2)[2]
    assert sorted(code_lines(text)) == code_of(script)
    notebook = sections_after(whole, block.number, "notebook")
    path = SOLUTIONS / f"{block.name}.ipynb"
    assert sorted(notebook_code(path, block.number)) == code_of(notebook)
    if block.package:  # what is no file of it is there to try it out
        return
    # Only the command line, where the table lies, `main()` round it all, a server that is started
    # beside the script, and how a file is written may differ.
    two_forms = {name for name in {*script, *notebook} if script.get(name) != notebook.get(name)}
    cells = {block.outline.cell_of[name] for name in two_forms}
    allowed = {"imports", "settings", "main", "call-main", "server", "store", "stop", "code"}
    assert cells <= allowed, f"these have two forms: {sorted(two_forms)}"


# --- P3: the unsolved notebook -----------------------------------------------------------------


def test_a_lab_is_the_solution_before_it_with_todos(block: Block, whole: Course) -> None:
    """But for what the block gives: scaffolding, and ways back to a simpler script."""
    lab = notebook_code(LABS / f"{block.name}.ipynb", block.number)
    found = sections_before(whole, block.number, "notebook")
    before, _ = _two(whole, block, "notebook")
    given = {change.section for change in block.changes if change.given}
    differs = {name for name in {*found, *before} if found.get(name) != before.get(name)}
    # What is no file of a package is there in its own block alone.
    assert differs <= {*given, *block.outline.passing}
    assert sorted(lab) == code_of(found)
    solved = whole.before(block)
    if solved and not given:
        assert lab == notebook_code(SOLUTIONS / f"{solved.name}.ipynb", solved.number)


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


# --- P12: fair checks ---------------------------------------------------------------------------


def test_a_block_has_at_least_three_other_right_ways(block: Block) -> None:
    """Every check accepts them: that is compared in the block's cases."""
    right_ways = checks_of(block.folder).right_ways
    assert len(right_ways) >= 3


# --- P6: nothing unexplained -------------------------------------------------------------------


def _solution(block: Block) -> list[str]:
    """The code of a block's script or package, and of its solved notebook without the check.

    Not a package's own tests, which are given.
    """
    names = [name for name in solution_files(course(), block.number) if name.endswith(".py")]
    names = [name for name in names if "/tests/" not in name]
    files = [(SOLUTIONS / name).read_text("utf-8") for name in names]
    cells = [cell.source for cell in code_cells(SOLUTIONS / f"{block.name}.ipynb")[:-1]]
    own = [cell for cell in cells if not cell.startswith(f"%%writefile {WRITTEN_TO}/")]
    return [*files, "\n".join(re.sub(r"^%%writefile .*\n", "", cell) for cell in own)]


def _calls(block: Block) -> set[str]:
    return {call for source in _solution(block) for call in calls(source)}


def _asked_for(block: Block, found: set[str]) -> set[str]:
    """Those of the calls that stand in what a block's tasks ask for."""
    asked = {task.section for task in block.tasks}
    lines = [c.lines for c in block.changes if c.section in asked and not c.given]
    text = "\n".join(line.text for code in lines for line in code)
    return {call for call in found if re.search(rf"\b{call.rpartition('.')[2]}\(", text)}


def test_each_new_call_is_taught_and_explained(block: Block, whole: Course) -> None:
    # A package begins with nothing, and its student knows the whole script.
    known = [whole.before(block), whole.main[-1] if block.package else None]
    new = _calls(block) - {call for one in known if one for call in _calls(one)}
    own = {name.split("/")[2] for name in solution_files(whole, block.number) if "/src/" in name}
    new = {call for call in new if call.partition(".")[0] not in own}
    must = new
    if block.package:
        # Much is given in files of its own, to be read; a lesson may be about it. A client has
        # the calls that MLflow has, by the same names.
        taught = [call for one in whole.blocks[: block.number] for call in one.meta.teaches]
        names = {call.rpartition(".")[2] for call in taught}
        must = {one for one in _asked_for(block, new) if one.rpartition(".")[2] not in names}
    teaches = set(block.meta.teaches)
    assert must <= teaches <= new, (
        f"new but not in teaches: {sorted(must - teaches)}; "
        f"in teaches but not new: {sorted(teaches - new)}"
    )
    lesson = source_text(block.folder / "lesson.md")
    prose = re.sub(r"^```.*?^```$", "", lesson, flags=re.DOTALL | re.MULTILINE)
    words = " ".join(re.findall(r"`([^`]+)`", prose.split("\n---\n", 1)[1]))
    for call in sorted(teaches):
        name = call.rsplit(".", 1)[-1]
        assert re.search(rf"\b{name}\b", words), f"the lesson does not explain {call}"


# --- P9: plain code ----------------------------------------------------------------------------


def test_solutions_import_nothing_of_winelab(block: Block) -> None:
    for source in _solution(block):
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import):
                assert all(not alias.name.startswith("winelab") for alias in node.names)
            if isinstance(node, ast.ImportFrom):
                assert not (node.module or "").startswith("winelab")


# --- lessons -----------------------------------------------------------------------------------


def test_a_lesson_has_an_example_that_is_not_the_answer(block: Block) -> None:
    """What it prints is compared in the block's cases."""
    found = examples(source_text(block.folder / "lesson.md"))
    assert found, "a lesson shows its new call in a small example of its own"
    answer = {
        line.text.strip()
        for change in block.changes
        if change.section in {task.section for task in block.tasks}
        for line in change.lines
        if "(" in line.text
    }
    for example in found:
        shown = {line.strip() for line in example.code.splitlines()}
        assert not answer & shown, f"the example gives away: {answer & shown}"


def test_pictures_and_links_lead_somewhere(block: Block) -> None:
    lesson = source_text(block.folder / "lesson.md")
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", lesson):
        if not target.startswith("https://"):
            assert (LABS / target).exists(), f"{target} is not there"


def test_the_minutes_declared_are_those_it_takes(block: Block, whole: Course) -> None:
    """Reading, writing and looking, as estimated from the lesson, within a third either way."""
    needed = estimate(whole, block)
    declared = block.meta.minutes
    assert needed / 1.34 <= declared <= needed * 1.34, f"declared {declared}, needs {needed:.0f}"


def test_a_lesson_ends_in_a_recap_table(block: Block) -> None:
    lesson = source_text(block.folder / "lesson.md")
    recap = lesson.split("## Recap", 1)[1]
    assert re.search(r"^\| *step *\| *where *\| *why *\|$", recap, re.MULTILINE | re.IGNORECASE)
