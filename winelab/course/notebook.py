"""Lays a lesson and its sections out as notebooks: the one to work through, and the solved one."""

from __future__ import annotations

import hashlib
from typing import Any

import nbformat

from winelab.core.errors import CourseError
from winelab.course.compose import Cell, solved_cells, unsolved_cells
from winelab.course.source import PARTS, Block, Course, fail

KERNEL = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def check_source(number: int) -> str:
    """The code of a notebook's last code cell, the only one that is the course's own."""
    return f"from winelab import check\n\ncheck({number})"


def _text(block: Block, name: str, source: str) -> Any:
    cell = nbformat.v4.new_markdown_cell(source)
    cell["id"] = f"b{block.number:02d}-{name}"
    return cell


def _code(block: Block, name: str, source: str, tag: str) -> Any:
    cell = nbformat.v4.new_code_cell(source)
    cell["id"] = f"b{block.number:02d}-{name}"
    cell["metadata"]["tags"] = [tag]
    if tag == "given":
        # Folded: the student sees that it is there, and opens it when it matters.
        cell["metadata"]["jupyter"] = {"source_hidden": True}
    return cell


def _banner(block: Block) -> str:
    """The notebook's first lines: title, place in the course, what one can do afterwards."""
    meta = block.meta
    goals = "\n".join(f"- {goal}" for goal in meta["objectives"])
    return (
        f"# {block.number}. {meta['title']}\n\n"
        f"*Part {meta['part']}: {PARTS[meta['part']]} · {meta['minutes']} minutes · "
        f"{block.stars}*\n\n"
        f"After this block you can:\n\n{goals}"
    )


def _footer(course: Course, block: Block) -> str:
    """The notebook's last lines: what to remember, the next block, where this text is edited."""
    points = "\n".join(f"- {point}" for point in block.meta["keypoints"])
    following = ""
    if block.number + 1 < len(course.blocks):
        after = course.block(block.number + 1)
        following = f"**Next:** [{after.number}. {after.title}]({after.name}.ipynb)\n\n"
    return (
        f"## Remember\n\n{points}\n\n{following}"
        f"<small>Built by <code>make build</code> from <code>blocks/{block.name}/</code>: "
        "edit there, not here.</small>"
    )


def _hints(cell: Cell) -> str:
    """A task cell's hints, folded: a nudge, then the call."""
    several = len(cell.tasks) > 1
    folds = []
    for at, task in enumerate(cell.tasks, start=1):
        for step, hint in enumerate(task.hints, start=1):
            which = f"TODO {at} of {len(cell.tasks)}, hint {step}" if several else f"Hint {step}"
            folds.append(f"<details><summary>{which}</summary>\n\n{hint}\n\n</details>")
    return "\n\n".join(folds)


def _answer(block: Block) -> str:
    """The line below the check: the whole answer, one link away."""
    return (
        f"Stuck, or done and curious? The whole answer: [the script]"
        f"(../solutions/{block.name}.py) and [the solved notebook]"
        f"(../solutions/{block.name}.ipynb)."
    )


def lab_notebook(course: Course, number: int) -> Any:
    """The notebook that a student works through at block `number`, without outputs.

    Its code is the script after block ``number - 1``, in cells, with TODO comments where this
    block's change belongs; the lesson says where each cell stands.
    """
    block = course.block(number)
    waiting = unsolved_cells(course, number)
    cells = [_text(block, "title", _banner(block))]

    def place(until: str | None) -> None:
        while waiting and waiting[0].name != until:
            given = waiting.pop(0)
            cells.append(_code(block, given.name, given.source, "given"))

    for at, part in enumerate(block.parts):
        if part.kind == "text":
            cells.append(_text(block, f"text-{at}", part.content))
        elif part.kind == "given":
            named = [p.content for p in block.parts[at:] if p.kind == "cell"]
            place(named[0] if named else None)
        elif part.kind == "cell":
            place(part.content)
            if not waiting:
                raise _misplaced(block, part.line, part.content)
            cell = waiting.pop(0)
            cells.append(_code(block, cell.name, cell.source, "task" if cell.tasks else "shown"))
            if cell.tasks:
                cells.append(_text(block, f"{cell.name}-hints", _hints(cell)))
        else:
            place(None)
            cells.append(_code(block, "check", check_source(number), "check"))
            cells.append(_text(block, "answer", _answer(block)))
    cells.append(_text(block, "end", _footer(course, block)))
    return _notebook(block, cells)


def _misplaced(block: Block, line: int, cell: str) -> CourseError:
    return fail(
        block.folder / "lesson.md",
        line,
        f"the cell [{cell}] is empty at this block or stands earlier in the outline; "
        "place cells in the outline's order.",
    )


def solved_notebook(course: Course, number: int) -> Any:
    """The solved notebook of block `number`, without outputs: the code in cells, and the check."""
    block = course.block(number)
    title = (
        f"# {number}. {block.title}: solved\n\n"
        f"The script after this block, in cells. The lesson is in "
        f"[labs/{block.name}.ipynb](../labs/{block.name}.ipynb).\n\n"
        f"<small>Built by <code>make build</code> and <code>make outputs</code> from "
        f"<code>blocks/{block.name}/</code>: edit there, not here.</small>"
    )
    changed = {course.outline.cell_of(section) for section in block.sections()}
    cells = [_text(block, "title", title)]
    for cell in solved_cells(course, number):
        tag = "task" if cell.name in changed else "given"
        made = _code(block, cell.name, cell.source, tag)
        made["metadata"].pop("jupyter", None)
        cells.append(made)
    cells.append(_code(block, "check", check_source(number), "check"))
    return _notebook(block, cells)


def fingerprint(cells: list[Any]) -> str:
    """A short hash of the cells' text: tells whether a person has edited a built notebook."""
    text = "\0".join(cell["source"] for cell in cells)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]


def _notebook(block: Block, cells: list[Any]) -> Any:
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook["metadata"] = {
        **KERNEL,
        "winelab": {
            "block": block.number,
            "edit": f"blocks/{block.name}",
            "built": fingerprint(cells),
        },
    }
    nbformat.validate(notebook)
    return notebook


def as_text(notebook: Any) -> str:
    """The notebook as it stands on disk: keys sorted, one newline at the end."""
    return nbformat.writes(notebook, version=4).rstrip("\n") + "\n"
