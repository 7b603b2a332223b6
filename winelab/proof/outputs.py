"""`make outputs`: execute the solved notebooks, store what they show, and compare it later."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from winelab.checks.checking import UNFILLED
from winelab.core.errors import CourseError
from winelab.core.files import write_text
from winelab.core.paths import SOLUTIONS
from winelab.course.build import OUTPUTS, outputs_text, solved_text
from winelab.course.compose import solved_cells
from winelab.course.notebook import check_source, solved_notebook
from winelab.course.source import Block, Course, read_course
from winelab.proof.execute import Code, Where, execute
from winelab.proof.start import furnish_for
from winelab.system.forkserver import fork_server
from winelab.tracking.workspace import clean_workspace

# What differs from run to run by nature; all else is compared to the letter, each digit of a
# metric too. tests/README.md says why for each.
BY_NATURE = (
    ("ID", re.compile(r"\b[0-9a-f]{32}\b")),
    ("TIME", re.compile(r"\d{4}[-/]\d\d[-/]\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?")),
    ("CELL", re.compile(r"[^\s'\"<>]*ipykernel_\d+[/\\]\d+\.py")),
    ("SERVER", re.compile(r"127\.0\.0\.1:\d+")),
    ("SECONDS", re.compile(r" *\b\d+\.\d+ ?s\b")),
)
# Drawn, not printed: another machine has other fonts.
PICTURES = ("image/png", "image/svg+xml")


def solved_code(course: Course, block: Block, times: int = 1, check: bool = False) -> Code:
    """Return the solution's cells, all of them several `times`; with the `check` below them."""
    cells = tuple(cell.source for cell in solved_cells(course, block.number)) * times
    return Code(f"{block.name}.ipynb", (*cells, *[check_source(block.number)] * check))


def comparable(cell: list[Any]) -> dict[str, str]:
    """Return a cell's outputs as texts that must be the same in each run, by their kind.

    What is printed and what is shown reach the notebook by two ways: how they mix is by chance.
    """
    texts: dict[str, str] = {}
    for output in cell:
        shown = output.get("data") or {output.get("name", "error"): output.get("text", "")}
        for kind, content in shown.items():
            text = content if isinstance(content, str) else json.dumps(content)
            if kind in PICTURES:
                text = ""
            for word, form in BY_NATURE:
                text = form.sub(word, text)
            texts[kind] = texts.get(kind, "") + text
    return texts


def differences(stored: Sequence[list[Any]], fresh: Sequence[list[Any]]) -> list[str]:
    """Return what today's run shows otherwise than the stored outputs, a sentence a cell."""
    if len(stored) != len(fresh):
        return [f"{len(stored)} cells have stored outputs, and {len(fresh)} ran: run make outputs"]
    found = []
    for number, (old, new) in enumerate(zip(stored, fresh, strict=True), start=1):
        before, now = comparable(old), comparable(new)
        for kind in sorted(before | now):
            if (was := before.get(kind)) != (shown := now.get(kind)):
                found.append(f"cell {number}, {kind}: it shows {shown!r}; stored is {was!r}")
    return found


def with_outputs(course: Course, block: Block) -> Any:
    """Return the solved notebook with fresh outputs, those of its check with references.

    Raises CourseError when it does not run.
    """
    notebook = solved_notebook(course, block.number)
    code = solved_code(course, block, check=True)
    with clean_workspace() as workspace:
        furnish_for(course, block, workspace)
        outcome = execute(code, workspace, Where.KERNEL, environment={UNFILLED: "1"})
    if outcome.error:
        raise CourseError(f"{code.source} does not run: {outcome.last_line}")
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for number, (cell, outputs) in enumerate(zip(cells, outcome.outputs, strict=True), 1):
        cell["outputs"] = outputs
        cell["execution_count"] = number
    return notebook


def main(number: int | None = None) -> int:
    """Execute and store the solved notebook of one block, or of all; return 0."""
    course = read_course()
    blocks = course.blocks if number is None else (course.block(number),)
    with fork_server():
        for block in blocks:
            notebook = with_outputs(course, block)
            write_text(block.folder / OUTPUTS, outputs_text(course, block, notebook))
            write_text(SOLUTIONS / f"{block.name}.ipynb", solved_text(course, block))
            print(f"solutions/{block.name}.ipynb")
    return 0
