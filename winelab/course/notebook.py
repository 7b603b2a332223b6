"""Lay a lesson and its sections out as notebooks: the one to work through, and the solved one."""

from __future__ import annotations

import hashlib
from typing import Any

import nbformat

from winelab.course.compose import Cell, solved_cells, unsolved_cells
from winelab.course.source import COURSE_PARTS, Block, Course, fail

KERNEL = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def check_source(number: int) -> str:
    """Return the code of a notebook's last code cell, the only one that is the course's own."""
    return f"from winelab import check\n\ncheck({number})"


def _text(block: Block, name: str, source: str) -> Any:
    return nbformat.v4.new_markdown_cell(source, id=f"b{block.number:02d}-{name}")


def _code(block: Block, name: str, source: str, tag: str) -> Any:
    cell_id = f"b{block.number:02d}-{name}"
    return nbformat.v4.new_code_cell(source, id=cell_id, metadata={"tags": [tag]})


def _check(block: Block) -> Any:
    return _code(block, "check", check_source(block.number), "check")


def _bullets(points: list[str]) -> str:
    return "\n".join(f"- {point}" for point in points)


def _banner(block: Block) -> str:
    """Return a lab's first lines: title, place in the course, what one can do afterwards."""
    meta = block.meta
    return (
        f"# {block.number}. {meta.title}\n\n"
        f"*Part {meta.part}: {COURSE_PARTS[meta.part]} · {meta.minutes} minutes · "
        f"{block.stars}*\n\n"
        f"After this block you can:\n\n{_bullets(meta.objectives)}"
    )


def _footer(course: Course, block: Block) -> str:
    """Return a lab's last lines: what to remember, the next block, where this text is edited."""
    following = "".join(
        f"**Next:** [{after.number}. {after.title}]({after.name}.ipynb)\n\n"
        for after in course.blocks[block.number + 1 : block.number + 2]
    )
    return (
        f"## Remember\n\n{_bullets(block.meta.keypoints)}\n\n{following}"
        f"<small>Built by <code>make build</code> from <code>blocks/{block.name}/</code>: "
        "edit there, not here.</small>"
    )


def _hints(cell: Cell) -> str:
    """Return a task cell's hints, folded: a nudge, then the call."""
    folds = []
    for at, task in enumerate(cell.tasks, start=1):
        which = f"TODO {at} of {len(cell.tasks)}, hint" if len(cell.tasks) > 1 else "Hint"
        for step, hint in enumerate(task.hints, start=1):
            folds.append(f"<details><summary>{which} {step}</summary>\n\n{hint}\n\n</details>")
    return "\n\n".join(folds)


def _answer(block: Block) -> str:
    """Return the line below the check: the whole answer, one link away."""
    return (
        f"Stuck, or done and curious? The whole answer: [the script]"
        f"(../solutions/{block.name}.py) and [the solved notebook]"
        f"(../solutions/{block.name}.ipynb)."
    )


def lab_notebook(course: Course, number: int) -> Any:
    """Return the notebook that a student works through at block `number`, without outputs.

    Its code is the script after block ``number - 1``, in cells, with TODO comments where this
    block's change belongs; the lesson says where each cell stands. Raises CourseError where it
    places one that is empty, or not in the outline's order.
    """
    block = course.block(number)
    waiting = unsolved_cells(course, number)
    cells = [_text(block, "title", _banner(block))]

    def place_given(until: str | None) -> None:
        while waiting and waiting[0].name != until:
            given = waiting.pop(0)
            cells.append(_code(block, given.name, given.source, "given"))
            # Folded: the student sees that it is there, and opens it when it matters.
            cells[-1]["metadata"]["jupyter"] = {"source_hidden": True}

    for at, piece in enumerate(block.pieces):
        if piece.kind == "text":
            cells.append(_text(block, f"text-{at}", piece.content))
        elif piece.kind == "given":
            named = [later.content for later in block.pieces[at:] if later.kind == "cell"]
            place_given(named[0] if named else None)
        elif piece.kind == "cell":
            place_given(piece.content)
            if not waiting:
                raise fail(
                    block.folder / "lesson.md",
                    piece.line,
                    f"the cell [{piece.content}] is empty at this block or stands earlier in the "
                    "outline; place cells in the outline's order.",
                )
            cell = waiting.pop(0)
            cells.append(_code(block, cell.name, cell.source, "task" if cell.tasks else "shown"))
            if cell.tasks:
                cells.append(_text(block, f"{cell.name}-hints", _hints(cell)))
        else:
            place_given(None)
            cells += [_check(block), _text(block, "answer", _answer(block))]
    return _notebook(block, [*cells, _text(block, "end", _footer(course, block))])


def solved_notebook(course: Course, number: int) -> Any:
    """Return block `number`'s solved notebook, without outputs: its code in cells, the check."""
    block = course.block(number)
    title = (
        f"# {number}. {block.title}: solved\n\n"
        f"The script after this block, in cells. The lesson is in "
        f"[labs/{block.name}.ipynb](../labs/{block.name}.ipynb).\n\n"
        f"<small>Built by <code>make build</code> and <code>make outputs</code> from "
        f"<code>blocks/{block.name}/</code>: edit there, not here.</small>"
    )
    changed = {course.outline.cell_of(section) for section in block.sections()}
    cells = [
        _code(block, cell.name, cell.source, "task" if cell.name in changed else "given")
        for cell in solved_cells(course, number)
    ]
    return _notebook(block, [_text(block, "title", title), *cells, _check(block)])


def fingerprint(cells: list[Any]) -> str:
    """Return a short hash of the cells' text: tells whether a person has edited them."""
    text = "\0".join(cell["source"] for cell in cells)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]


def _notebook(block: Block, cells: list[Any]) -> Any:
    own = {"block": block.number, "edit": f"blocks/{block.name}", "built": fingerprint(cells)}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={**KERNEL, "winelab": own})
    nbformat.validate(notebook)
    return notebook


def as_text(notebook: Any) -> str:
    """Return the notebook as it stands on disk: keys sorted, one newline at the end."""
    return nbformat.writes(notebook, version=4).rstrip("\n") + "\n"
