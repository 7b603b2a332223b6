"""Lay a lesson and its sections out as notebooks: the one to work through, and the solved one."""

from __future__ import annotations

import hashlib
import html
import re
from pathlib import Path
from typing import Any

import nbformat

from winelab.course.compose import solved_cells, unsolved_cells
from winelab.course.source import Block, Course
from winelab.course.templates import render

TEMPLATES = Path(__file__).with_name("templates")
"""Of the cells that the course writes around a lesson."""
CHECK = "check"
"""The id and the tag of a notebook's last code cell."""
KERNEL = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def check_source(number: int) -> str:
    """Return the code of a notebook's last code cell, the only one that is the course's own."""
    return f"from winelab import check\n\ncheck({number})"


# A cell's id is its name: stored outputs find their cell by it, whatever the block's number is.
def _text(name: str, source: str) -> Any:
    return nbformat.v4.new_markdown_cell(source, id=name)


def _code(name: str, source: str, tag: str) -> Any:
    return nbformat.v4.new_code_cell(source, id=name, metadata={"tags": [tag]})


def _check(block: Block) -> Any:
    return _code(CHECK, check_source(block.number), CHECK)


def _filled_in(block: Block, name: str, template: str, **values: Any) -> Any:
    source = render(TEMPLATES / f"{template}.md.j2", block=block, **values).strip()
    return _text(name, source)


def lab_notebook(course: Course, number: int) -> Any:
    """Return the notebook that a student works through at block `number`, without outputs.

    Its code is the script after block ``number - 1``, in cells, with TODO comments where this
    block's change belongs; the lesson says where each cell stands. Raises CourseError where it
    places one that is empty, or not in the outline's order.
    """
    block = course.block(number)
    waiting = unsolved_cells(course, number)
    cells = [_filled_in(block, "title", "title", parts=course.parts)]

    def place_given(until: str | None) -> None:
        while waiting and waiting[0].name != until:
            given = waiting.pop(0)
            cells.append(_code(given.name, given.source, "given"))
            # Folded: the student sees that it is there, and opens it when it matters.
            cells[-1]["metadata"]["jupyter"] = {"source_hidden": True}

    last = max((at for at, p in enumerate(block.pieces) if p.kind in ("cell", "given")), default=0)
    for at, piece in enumerate(block.pieces):
        if piece.kind == "text":
            cells.append(_text(f"text-{at}", with_folded_cases(piece.content)))
        elif piece.kind == "given":
            named = [later.content for later in block.pieces[at:] if later.kind == "cell"]
            place_given(named[0] if named else None)
        elif piece.kind == "cell":
            place_given(piece.content)
            if not waiting:
                raise piece.line.wrong(
                    f"the cell [{piece.content}] is empty at this block or stands earlier in the "
                    "outline; place cells in the outline's order."
                )
            cell = waiting.pop(0)
            cells.append(_code(cell.name, cell.source, "task" if cell.tasks else "shown"))
            if cell.tasks:
                hints = _filled_in(block, f"{cell.name}-hints", "hints", tasks=cell.tasks)
                cells.append(hints)
        if at == last:
            place_given(None)
    about_check = "\n\n".join(piece.content for piece in block.pieces if piece.kind == "check")
    following = course.after(block)
    # Nothing stands below the check: "Run All" ends with its table in sight.
    cells += [
        _filled_in(block, "end", "end", about_check=about_check),
        _filled_in(block, "answer", "answer", following=following),
        _check(block),
    ]
    return _notebook(block, cells)


_WRONG = re.compile(r"^(## If it goes wrong\n)(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_CASE = re.compile(r"^\*\*(.+?)\*\*[ \n](.*?)(?=^\*\*|\Z)", re.MULTILINE | re.DOTALL)


def with_folded_cases(text: str) -> str:
    """Return prose with each case of "If it goes wrong" folded below its first words.

    A case begins with a line in bold, which names it.
    """

    def folded(case: re.Match[str]) -> str:
        # There is no Markdown inside of a summary.
        name = html.escape(" ".join(case[1].split()), quote=False)
        name = re.sub(r"`(.+?)`", r"<code>\1</code>", name)
        return f"<details><summary>{name}</summary>\n\n{case[2].strip()}\n\n</details>\n\n"

    return _WRONG.sub(lambda found: found[1] + _CASE.sub(folded, found[2]), text).strip()


def solved_notebook(course: Course, number: int) -> Any:
    """Return block `number`'s solved notebook, without outputs: its code in cells, the check."""
    block = course.block(number)
    changed = {block.outline.cell_of[section] for section in block.sections()}
    cells = [
        _code(cell.name, cell.source, "task" if cell.name in changed else "given")
        for cell in solved_cells(course, number)
    ]
    return _notebook(block, [_filled_in(block, "title", "solved"), *cells, _check(block)])


def fingerprint(cells: list[Any]) -> str:
    """Return a short hash of the cells' text: tells whether a person has edited them."""
    text = "\0".join(cell["source"] for cell in cells)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]


def _notebook(block: Block, cells: list[Any]) -> Any:
    own = {"block": block.slug, "edit": f"blocks/{block.slug}", "built": fingerprint(cells)}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={**KERNEL, "winelab": own})
    nbformat.validate(notebook)
    return notebook


def as_text(notebook: Any) -> str:
    """Return the notebook as it stands on disk: keys sorted, one newline at the end."""
    return nbformat.writes(notebook, version=4).rstrip("\n") + "\n"
