"""Read blocks/: the outline of the script, and each block's lesson and changes.

Every mistake in a source is a CourseError that names the file and the line to fix.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, Field

from winelab.core.errors import fail
from winelab.core.order import (
    ORDER,
    CoursePart,
    Listed,
    Order,
    find_all,
    find_one,
    read_order,
)
from winelab.core.paths import BLOCKS
from winelab.course.reading import Line, read_lines, read_top

Form = Literal["script", "notebook"]
FORMS: tuple[Form, ...] = get_args(Form)

HEADINGS = ("Goal", "Why", "Your task", "Look at it", "If it goes wrong", "Recap")
CHECK_HEADING = "## Check it"
"""What stands below it is said above the check, which is a notebook's last cell."""

_OUTLINE = re.compile(r"( *)(?:\[([a-z0-9-]+)\]\s*(.*)|([a-z0-9-]+)(:?)\s*)")
_FILE = re.compile(r">\s*([\w.-]+(?:/[\w.-]+)*)\s*")
# The ids of a notebook's cells are made of these (see notebook.py) and of the cells' names.
_RESERVED = re.compile(r"title|check|answer|end|text-\d+|.*-hints")
# Formatters indent a comment that stands below indented code.
_CHANGE = re.compile(r"\s*# %% ([a-z0-9-]+)(?: \((.+)\))?\s*")
_FLAG = re.compile(r"script|notebook|removed|given|as in (\w+)")
_HINT = re.compile(r"hint:\s*(.*)", re.IGNORECASE)
_MISSPELT = re.compile(r"#\s*\?|#\s+:|#:\s*hint(?!:)", re.IGNORECASE)
_DIRECTIVE = re.compile(r":::\s*(?:(cell) ([a-z0-9-]+)|(given))\s*")


@dataclass(frozen=True)
class Slot:
    """A section's place in its cell: the heads that it stands in, the blank line before it."""

    section: str
    parents: tuple[str, ...]
    gap: bool
    """A blank line stands before it, where something of its cell precedes."""


@dataclass(frozen=True)
class OutlineCell:
    """A cell's place in the script, and the sections that it may hold, in order."""

    name: str
    title: str
    """The comment above its code; "" where it has none."""
    line: Line
    parents: tuple[str, ...]
    """The heads of earlier cells that the whole cell stands in."""
    file: str = ""
    """The file of the package that it is, such as "src/tea/shop.py"; "" for a cell of the script,
    or of the notebook alone."""
    slots: list[Slot] = field(default_factory=list)


@dataclass(frozen=True)
class Outline:
    """The fixed order of cells and sections of what the course grows: one script, or a package."""

    cells: dict[str, OutlineCell]
    cell_of: dict[str, str]
    """The name of the cell in which each section stands."""

    @cached_property
    def passing(self) -> frozenset[str]:
        """The sections that are only there in a block that names them: they try a package out.

        They stand below its first file, in cells that are none.
        """
        cells = list(self.cells.values())
        first = next((at for at, cell in enumerate(cells) if cell.file), len(cells))
        return frozenset(s.section for cell in cells[first:] if not cell.file for s in cell.slots)


@dataclass(frozen=True)
class Change:
    """What one block does to one section, and what it asks a student to do there."""

    mark: Line
    """The `# %%` line in code.py."""
    section: str
    forms: tuple[Form, ...]
    given: bool
    """The student finds it there already, and is not asked for it."""
    back_to: str
    """The slug of the block after which it was as it is brought back; "" where it is not."""
    lines: tuple[Line, ...]
    """Its new code; without it the section is removed or brought back."""
    todo: tuple[str, ...]
    """The lines of the TODO; none where it asks for nothing."""
    hints: tuple[str, ...]
    """A nudge first."""


@dataclass(frozen=True)
class LessonPiece:
    """A stretch of a lesson: prose, the place of cells, or what is said above the check."""

    kind: Literal["text", "cell", "given", "check"]
    content: str
    line: Line
    """The line of its directive; the first one of prose."""


_Text = Annotated[str, Field(min_length=1)]
_Texts = Annotated[list[_Text], Field(min_length=1)]


class Metadata(BaseModel, frozen=True, strict=True, extra="forbid"):
    """What a lesson declares on top."""

    title: _Text
    minutes: Annotated[int, Field(gt=0)]
    level: Literal[1, 2, 3]
    objectives: _Texts
    teaches: list[_Text]
    keypoints: _Texts
    runs: list[_Text] = []
    """Of a package: the modules that are run one after the other, each with its arguments."""


@dataclass(frozen=True)
class Block(Listed):
    """One block as written in its folder."""

    outline: Outline = field(repr=False, compare=False)
    """Of what it changes."""
    meta: Metadata
    pieces: tuple[LessonPiece, ...]
    changes: tuple[Change, ...]

    @property
    def tasks(self) -> list[Change]:
        """The changes that a student is asked for."""
        return [change for change in self.changes if change.todo]

    @property
    def title(self) -> str:
        """The lesson's title."""
        return self.meta.title

    @property
    def stars(self) -> str:
        """The level, drawn: one to three full stars out of three."""
        return "★" * self.meta.level + "☆" * (3 - self.meta.level)

    def sections(self) -> set[str]:
        """Return the sections that this block names: adds, replaces, removes or brings back."""
        return {change.section for change in self.changes}


@dataclass(frozen=True)
class Course:
    """The order and all blocks, by number from 0."""

    order: Order
    blocks: tuple[Block, ...]

    @property
    def parts(self) -> dict[int, CoursePart]:
        """The parts, by number."""
        return self.order.parts

    @property
    def main(self) -> tuple[Block, ...]:
        """The blocks that everybody works through: those of the parts that are not on request."""
        return tuple(self.shown_with())

    def before(self, block: Block) -> Block | None:
        """Return the last block before this one that has changed the same script, or package."""
        return next(iter(self.until(block)[-2:-1]), None)

    def shown_with(self, *parts: int) -> list[Block]:
        """Return everybody's blocks, and those of these parts that are on request."""
        return [
            one for one in self.blocks if one.part in parts or not self.parts[one.part].on_request
        ]

    def after(self, block: Block) -> list[Block]:
        """Return the block that comes next, if any; of a part on request, only to one within it."""
        found = self.blocks[block.number + 1 : block.number + 2]
        return [one for one in found if one in self.shown_with(block.part)]

    def until(self, block: Block) -> list[Block]:
        """Return the blocks that have grown what a block changes: those of its outline, to it."""
        return [one for one in self.blocks[: block.number + 1] if one.outline is block.outline]

    def block(self, which: int | str) -> Block:
        """Return the block of a number or name. Raises CourseError where there is none."""
        return find_one(self.blocks, which)

    def find(self, text: str) -> list[Block]:
        """Return the blocks that a text names (see `find_all`). Raises CourseError for none.

        All are those that everybody works through.
        """
        return list(self.main) if text.strip() == "all" else find_all(self.blocks, text)


# --- the outline -------------------------------------------------------------------------------


def read_outline(path: Path) -> Outline:
    """Read the outline: ``[cell] title`` lines, and below each its sections, in order.

    An indented section stands inside the one above it whose name ends in a colon (a ``with``
    block, a function), and so does an indented cell with all its sections. A blank line between
    two sections is a blank line in the script. In a package's outline a cell may be a file of it:
    ``[cell] > src/tea/shop.py``. Raises CourseError for a line that is neither.
    """
    cells: dict[str, OutlineCell] = {}
    cell_of: dict[str, str] = {}
    current: OutlineCell | None = None
    parents: tuple[str, ...] = ()
    gap = False
    for line in read_lines(path):
        if line.text.startswith("#"):
            continue
        if not line.text.strip():
            gap = True
            continue
        match = _OUTLINE.fullmatch(line.text)
        if not match:
            raise line.wrong(f'not a "[cell] title" and not a section name: {line.text!r}.')
        indent, cell, title, section, colon = match.groups()
        if section and not current:
            raise line.wrong(f'"{section}" stands above the first [cell].')
        depth, odd = divmod(len(indent), 4)
        least = len(current.parents) if section and current else 0
        if odd or not least <= depth <= len(parents):
            what = f'"{section}"' if section else f"[{cell}]"
            raise line.wrong(f'indent {what} by four spaces below a name that ends in ":".')
        parents = parents[:depth]
        if cell:
            if cell in cells:
                raise line.wrong(f"the cell [{cell}] stands here a second time.")
            if _RESERVED.fullmatch(cell):
                raise line.wrong(f"[{cell}] is a name of the notebook's own; take another.")
            match = _FILE.fullmatch(title)
            file, title = (match[1], "") if match else ("", title)
            if file and file in {other.file for other in cells.values()}:
                raise line.wrong(f"the file {file} stands here a second time.")
            current = cells[cell] = OutlineCell(cell, title, line, parents, file)
        elif current:
            if section in cell_of:
                raise line.wrong(f'the section "{section}" stands here a second time.')
            cell_of[section] = current.name
            current.slots.append(Slot(section, parents, gap))
            if colon:
                parents += (section,)
        gap = False
    return Outline(cells, cell_of)


# --- code.py -----------------------------------------------------------------------------------


def read_code(path: Path, outline: Outline, order: Order, package: bool) -> tuple[Change, ...]:
    """Read a block's code.py: percent cells named after the sections that they change.

    In a cell, ``#:`` lines are the task (the TODO of the student's cell). Those from a
    ``#: hint:`` on are a hint, a nudge first and then the call; lines of it that are indented by
    four spaces are code. All else is the solution. Raises CourseError for a mark that is not
    understood.
    """
    changes: list[Change] = []
    seen: set[tuple[str, Form, bool]] = set()
    for mark, section, flags, body in _percent_cells(path, outline, order):
        for flag in flags:
            if not _FLAG.fullmatch(flag):
                known = 'script, notebook, removed, given or "as in SLUG"'
                raise mark.wrong(f'"{flag}" is unknown; write {known}.')
        back = [flag.removeprefix("as in ") for flag in flags if flag.startswith("as in ")]
        for slug in back:
            if slug not in {block.slug for block in order.blocks}:
                raise mark.wrong(f'"as in {slug}" names no block of {ORDER}.')
        gone, given = bool(back) or "removed" in flags, "given" in flags
        forms = tuple(form for form in FORMS if form in flags) or FORMS
        if package and not outline.cells[outline.cell_of[section]].file:
            # What is no file of the package is there to try it out.
            forms = ("notebook",)
        todo, hints, code = _read_marks(body)
        # What is given may be changed by the student: two changes of one section then.
        places = {(section, form, given) for form in forms}
        for wrong, message in (
            (given and todo, 'is given: the student finds it there, so take its "#:" lines away.'),
            (not code and not gone, 'has no code; write "(removed)" to take it away.'),
            (code and gone, "is removed or brought back, and has code; delete one of the two."),
            (
                todo and len(hints) < 2,
                f'has a TODO and {len(hints)} hints; write two as "#: hint: ...", a nudge and '
                "then the call.",
            ),
            (hints and not todo, 'has hints but no "#:" line above them to hint at.'),
            (seen & places, f"is changed twice for the {' and the '.join(forms)}."),
        ):
            if wrong:
                raise mark.wrong(f'"{section}" {message}')
        seen |= places
        back_to = back[0] if back else ""
        changes.append(Change(mark, section, forms, given, back_to, code, todo, hints))
    return tuple(changes)


def _percent_cells(
    path: Path, outline: Outline, order: Order
) -> Iterator[tuple[Line, str, list[str], list[Line]]]:
    """Yield each ``# %%`` mark, its section and flags, and the lines below it."""
    lines = read_lines(path, order)
    marks = [at for at, line in enumerate(lines) if line.text.lstrip().startswith("# %%")]
    marks.append(len(lines))
    for line in lines[: marks[0]]:
        if line.text.strip() and not line.text.startswith("#"):
            raise line.wrong('code stands above the first "# %% section" mark.')
    for at, end in pairwise(marks):
        mark = lines[at]
        match = _CHANGE.fullmatch(mark.text)
        if not match:
            raise mark.wrong('write the mark as "# %% section" or "# %% section (...)".')
        section, flags = match.groups()
        if section not in outline.cell_of:
            raise mark.wrong(f'no section "{section}" in outline.txt; add it, or fix the name.')
        yield mark, section, flags.split(", ") if flags else [], lines[at + 1 : end]


CODE_INDENT = " " * 4
"""What the lines of code in a hint begin with, as in Markdown."""


def _with_line(hint: str, raw: str) -> str:
    """Return a hint with one more line: more words, or a line of code where it is indented."""
    below_code = hint.rpartition("\n")[2].startswith(CODE_INDENT)
    if raw.startswith(f" {CODE_INDENT}"):
        return f"{hint}{'' if below_code else chr(10)}\n{raw[1:].rstrip()}"
    return f"{hint}{chr(10) * 2 if below_code else ' '}{raw.strip()}"


def _read_marks(body: list[Line]) -> tuple[tuple[str, ...], tuple[str, ...], tuple[Line, ...]]:
    """Return the TODO lines, the hints and the code of a section."""
    todo: list[str] = []
    hints: list[str] = []
    code: list[Line] = []
    for line in body:
        text = line.text.strip()
        if wrong := _MISSPELT.match(text):
            right = 'a task as "#: ...", a hint as "#: hint: ..."'
            raise line.wrong(f'"{wrong[0]}" is no mark; write {right}.')
        if not text.startswith("#:"):
            code.append(line)
            continue
        raw = text.removeprefix("#:")
        words = raw.strip()
        if hint := _HINT.fullmatch(words):
            hints.append(hint[1])
        elif hints:
            hints[-1] = _with_line(hints[-1], raw)
        else:
            todo.append(words)
    hints = [hint.strip("\n") for hint in hints]
    filled = [at for at, line in enumerate(code) if line.text.strip()]
    return tuple(todo), tuple(hints), tuple(code[filled[0] : filled[-1] + 1] if filled else ())


# --- lesson.md ---------------------------------------------------------------------------------


def read_lesson(
    path: Path, outline: Outline, order: Order
) -> tuple[Metadata, tuple[LessonPiece, ...]]:
    """Read a block's lesson.md: metadata, prose, and ``:::`` lines that say where cells stand.

    ``::: cell train`` is the place of a cell, ``::: given`` that of all cells before the next
    named one. Raises CourseError for what is wrong or missing.
    """
    whole = read_lines(path, order)
    meta, lines = read_top(whole, path, Metadata)
    pieces: list[LessonPiece] = []
    prose: list[Line] = []
    fenced = False
    seen: set[str] = set()
    prose_is: Literal["text", "check"] = "text"

    def end_prose() -> None:
        if text := "\n".join(line.text for line in prose).strip():
            pieces.append(LessonPiece(prose_is, text, prose[0]))
        prose.clear()

    for line in lines:
        if line.text.startswith("```"):
            fenced = not fenced
        if line.text.startswith("## ") and not fenced:
            heading = line.text.rstrip()
            seen.add(heading)
            if heading == CHECK_HEADING or prose_is == "check":
                end_prose()
            prose_is = "check" if heading == CHECK_HEADING else "text"
            if prose_is == "check":
                continue
        if not line.text.startswith(":::") or fenced:
            prose.append(line)
            continue
        match = _DIRECTIVE.fullmatch(line.text)
        if not match:
            raise line.wrong('write "::: cell NAME" or "::: given".')
        kind: Any = match[1] or match[3]
        name = match[2] or ""
        if name and name not in outline.cells:
            raise line.wrong(f"no cell [{name}] in outline.txt.")
        place = f"::: {kind} {name}".rstrip()
        if place in seen and kind != "given":
            raise line.wrong(f'"{place}" stands here a second time.')
        seen.add(place)
        end_prose()
        pieces.append(LessonPiece(kind, name, line))
    end_prose()
    for heading in HEADINGS:
        if f"## {heading}" not in seen:
            raise whole[-1].wrong(f'the line "## {heading}" is missing.')
    return meta, tuple(pieces)


# --- the course --------------------------------------------------------------------------------


def read_block(listed: Listed, outline: Outline, order: Order) -> Block:
    """Read one block's folder. Raises CourseError for a mistake in it."""
    folder = listed.folder
    lesson = folder / "lesson.md"
    # Others read these; that they name no block that is not there is seen here.
    for name in ("checks.py", "picture.yaml"):
        if name == "checks.py" or (folder / name).is_file():
            read_lines(folder / name, order)
    meta, pieces = read_lesson(lesson, outline, order)
    changes = read_code(folder / "code.py", outline, order, listed.package)
    block = Block(**vars(listed), outline=outline, meta=meta, pieces=pieces, changes=changes)
    placed = {piece.content for piece in pieces if piece.kind == "cell"}
    for task in block.tasks:
        cell = outline.cell_of[task.section]
        if "notebook" in task.forms and cell not in placed:
            what = f'the task "{task.section}" has no place; write "::: cell {cell}" there.'
            raise fail(lesson, 1, what)
    return block


def minutes(blocks: Iterable[Block]) -> int:
    """Return the minutes in the lab of all these blocks together."""
    return sum(block.meta.minutes for block in blocks)


def read_course(folder: Path = BLOCKS) -> Course:
    """Read the course in `folder`: the order and the outlines first, then each block.

    Raises CourseError for a mistake in any of them, and for a folder that the order does not list.
    """
    order = read_order(folder)
    path = folder / ORDER
    listed = {block.slug for block in order.blocks}
    # Of a block that was renamed, Git leaves the folder where Python has put a cache into it.
    for name in sorted(one.parent.name for one in folder.glob("*/*.*")):
        if name not in listed and name[0] not in "._":
            last = len(path.read_text(encoding="utf-8").splitlines())
            raise fail(path, last, f'the folder "{name}" is not listed here.')
    names = {part.outline for part in order.parts.values()}
    outlines = {name: read_outline(folder / name) for name in sorted(names)}
    blocks = [
        read_block(block, outlines[order.parts[block.part].outline], order)
        for block in order.blocks
    ]
    return Course(order, tuple(blocks))


@cache
def course() -> Course:
    """Return the course of this folder, read once a process."""
    return read_course()
