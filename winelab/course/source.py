"""Read blocks/: the outline of the script, and each block's lesson and changes.

Every mistake in a source is a CourseError that names the file and the line to mend.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, Field, ValidationError

from winelab.core.errors import CourseError
from winelab.core.paths import BLOCKS

Form = Literal["script", "notebook"]
FORMS: tuple[Form, ...] = get_args(Form)

COURSE_PARTS = {1: "Track", 2: "Package and evaluate", 3: "Register and release"}
HEADINGS = ("Goal", "Why", "Your task", "Look at it", "If it goes wrong", "Recap")

_FOLDER = re.compile(r"\d\d_[a-z0-9_]+")
_OUTLINE = re.compile(r"( *)(?:\[([a-z0-9-]+)\]\s*(.*)|([a-z0-9-]+)(:?)\s*)")
# The ids of a notebook's cells are made of these (see notebook.py) and of the cells' names.
_RESERVED = re.compile(r"title|check|answer|end|text-\d+|.*-hints")
# Formatters indent a comment that stands below indented code.
_CHANGE = re.compile(r"\s*# %% ([a-z0-9-]+)(?: \((.+)\))?\s*")
_FLAG = re.compile(r"script|notebook|removed|given|as in (\d+)")
_HINT = re.compile(r"hint:\s*(.*)", re.IGNORECASE)
_MISSPELT = re.compile(r"#\s*\?|#\s+:|#:\s*hint(?!:)", re.IGNORECASE)
_DIRECTIVE = re.compile(r":::\s*(?:(cell) ([a-z0-9-]+)|(given|check))\s*")


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
    line: int
    parents: tuple[str, ...]
    """The heads of earlier cells that the whole cell stands in."""
    slots: list[Slot] = field(default_factory=list)


@dataclass(frozen=True)
class Outline:
    """The fixed order of cells and sections of the one script that the course grows."""

    path: Path
    cells: dict[str, OutlineCell]

    def cell_of(self, section: str) -> str | None:
        """Return the name of the cell in which `section` stands, None where it stands nowhere."""
        for cell in self.cells.values():
            if any(slot.section == section for slot in cell.slots):
                return cell.name
        return None


@dataclass(frozen=True)
class Line:
    """A line of code, and the place it was written at."""

    text: str
    source: Path
    number: int


@dataclass(frozen=True)
class Change:
    """What one block does to one section in one form."""

    section: str
    form: Form
    lines: tuple[Line, ...]
    """Its new code; without it the section is removed or brought back."""
    back_to: int | None
    """The block after which it was as it is brought back; None where it is not."""
    given: bool
    """The student finds it there already, and is not asked for it."""
    where: int
    """The line of the `# %%` mark in code.py."""


@dataclass(frozen=True)
class Task:
    """What a student is asked to do at a section: the TODO and its hints, a nudge first."""

    section: str
    forms: tuple[Form, ...]
    todo: tuple[str, ...]
    hints: tuple[str, ...]


@dataclass(frozen=True)
class LessonPiece:
    """A stretch of a lesson: prose, or the place where cells or the check stand."""

    kind: Literal["text", "cell", "given", "check"]
    content: str
    line: int = 0
    """The line of its directive; 0 for prose."""


_Text = Annotated[str, Field(min_length=1)]
_Texts = Annotated[list[_Text], Field(min_length=1)]


class Metadata(BaseModel, frozen=True, strict=True, extra="forbid"):
    """What a lesson declares on top."""

    title: _Text
    part: Literal[1, 2, 3]
    minutes: Annotated[int, Field(gt=0)]
    level: Literal[1, 2, 3]
    objectives: _Texts
    teaches: list[_Text]
    keypoints: _Texts


@dataclass(frozen=True)
class Block:
    """One block as written in its folder."""

    number: int
    folder: Path
    meta: Metadata
    pieces: tuple[LessonPiece, ...]
    changes: tuple[Change, ...]
    tasks: tuple[Task, ...]

    @property
    def name(self) -> str:
        """The folder's and the built files' stem, for example ``03_run``."""
        return self.folder.name

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
    """The outline and all blocks, by number from 0 without a gap."""

    outline: Outline
    blocks: tuple[Block, ...]

    def block(self, number: int) -> Block:
        """Return the block with that number. Raises CourseError where there is none."""
        if 0 <= number < len(self.blocks):
            return self.blocks[number]
        raise CourseError(
            f"There is no block {number}: the blocks are 0 to {len(self.blocks) - 1}."
        )


def fail(path: Path, line: int, message: str) -> CourseError:
    """Return the error for a mistake in a source: file, line, what to do."""
    return CourseError(f"{path.parent.name}/{path.name}:{line}: {message}")


def _read_lines(path: Path) -> list[str]:
    """Return the lines of a source. Raises CourseError where it is missing or not in UTF-8."""
    try:
        content = path.read_bytes()
        # Editors on Windows may put a byte order mark in front.
        return content.decode("utf-8-sig").splitlines()
    except OSError:
        raise fail(path, 1, "the file is missing, or cannot be read.") from None
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise fail(path, line, "this line is not in UTF-8; save the file as UTF-8.") from None


# --- the outline -------------------------------------------------------------------------------


def read_outline(path: Path) -> Outline:
    """Read the outline: ``[cell] title`` lines, and below each its sections, in order.

    An indented section stands inside the one above it whose name ends in a colon (a ``with``
    block, a function), and so does an indented cell with all its sections. A blank line between
    two sections is a blank line in the script. Raises CourseError for a line that is neither.
    """
    cells: dict[str, OutlineCell] = {}
    sections: set[str] = set()
    current: OutlineCell | None = None
    parents: tuple[str, ...] = ()
    gap = False
    for number, text in enumerate(_read_lines(path), start=1):
        if text.startswith("#"):
            continue
        if not text.strip():
            gap = True
            continue
        match = _OUTLINE.fullmatch(text)
        if not match:
            raise fail(path, number, f'not a "[cell] title" and not a section name: {text!r}.')
        indent, cell, title, section, colon = match.groups()
        if section and not current:
            raise fail(path, number, f'"{section}" stands above the first [cell].')
        depth, odd = divmod(len(indent), 4)
        least = len(current.parents) if section and current else 0
        if odd or not least <= depth <= len(parents):
            what = f'"{section}"' if section else f"[{cell}]"
            raise fail(path, number, f'indent {what} by four spaces below a name that ends in ":".')
        parents = parents[:depth]
        if cell:
            if cell in cells:
                raise fail(path, number, f"the cell [{cell}] stands here a second time.")
            if _RESERVED.fullmatch(cell):
                raise fail(path, number, f"[{cell}] is a name of the notebook's own; take another.")
            current = cells[cell] = OutlineCell(cell, title, number, parents)
        elif current:
            if section in sections:
                raise fail(path, number, f'the section "{section}" stands here a second time.')
            sections.add(section)
            current.slots.append(Slot(section, parents, gap))
            if colon:
                parents += (section,)
        gap = False
    return Outline(path, cells)


# --- code.py -----------------------------------------------------------------------------------


def read_code(path: Path, outline: Outline) -> tuple[tuple[Change, ...], tuple[Task, ...]]:
    """Read a block's code.py: percent cells named after the sections that they change.

    In a cell, ``#:`` lines are the task (the TODO of the student's cell). Those from a
    ``#: hint:`` on are a hint, a nudge first and then the call; all else is code. Raises
    CourseError for a mark that is not understood.
    """
    changes: dict[tuple[str, Form, bool], Change] = {}
    tasks: list[Task] = []
    for where, section, flags, body in _percent_cells(path, outline):
        for flag in flags:
            if not _FLAG.fullmatch(flag):
                known = 'script, notebook, removed, given or "as in 4"'
                raise fail(path, where, f'"{flag}" is unknown; write {known}.')
        back = [int(flag.removeprefix("as in ")) for flag in flags if flag.startswith("as in ")]
        gone, given = bool(back) or "removed" in flags, "given" in flags
        forms = tuple(form for form in FORMS if form in flags) or FORMS
        todo, hints, code = _read_marks(path, body)
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
            # What is given may be changed by the student: two changes of one section then.
            (
                any((section, form, given) in changes for form in forms),
                f"is changed twice for the {' and the '.join(forms)}.",
            ),
        ):
            if wrong:
                raise fail(path, where, f'"{section}" {message}')
        for form in forms:
            change = Change(section, form, code, back[0] if back else None, given, where)
            changes[section, form, given] = change
        if todo:
            tasks.append(Task(section, forms, todo, hints))
    return tuple(changes.values()), tuple(tasks)


def _percent_cells(
    path: Path, outline: Outline
) -> Iterator[tuple[int, str, list[str], list[Line]]]:
    """Yield each ``# %%`` mark's line, section and flags, and the lines below it."""
    lines = [Line(text, path, number) for number, text in enumerate(_read_lines(path), start=1)]
    marks = [at for at, line in enumerate(lines) if line.text.lstrip().startswith("# %%")]
    marks.append(len(lines))
    for line in lines[: marks[0]]:
        if line.text.strip() and not line.text.startswith("#"):
            raise fail(path, line.number, 'code stands above the first "# %% section" mark.')
    for at, end in pairwise(marks):
        match = _CHANGE.fullmatch(lines[at].text)
        if not match:
            raise fail(path, at + 1, 'write the mark as "# %% section" or "# %% section (...)".')
        section, flags = match.groups()
        if outline.cell_of(section) is None:
            there = f"in {outline.path.name}; add it, or mend the name."
            raise fail(path, at + 1, f'no section "{section}" {there}')
        yield at + 1, section, flags.split(", ") if flags else [], lines[at + 1 : end]


def _read_marks(
    path: Path, body: list[Line]
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[Line, ...]]:
    """Return the TODO lines, the hints and the code of a section."""
    todo: list[str] = []
    hints: list[str] = []
    code: list[Line] = []
    for line in body:
        text = line.text.strip()
        if wrong := _MISSPELT.match(text):
            right = 'a task as "#: ...", a hint as "#: hint: ..."'
            raise fail(path, line.number, f'"{wrong[0]}" is no mark; write {right}.')
        if not text.startswith("#:"):
            code.append(line)
            continue
        words = text.removeprefix("#:").strip()
        if hint := _HINT.fullmatch(words):
            hints.append(hint[1])
        elif hints:
            hints[-1] += f" {words}"
        else:
            todo.append(words)
    filled = [at for at, line in enumerate(code) if line.text.strip()]
    return tuple(todo), tuple(hints), tuple(code[filled[0] : filled[-1] + 1] if filled else ())


# --- lesson.md ---------------------------------------------------------------------------------


def _read_metadata(path: Path, lines: list[str]) -> tuple[Metadata, int]:
    """Return the metadata on top of a lesson, and the number of lines that it takes."""
    if not lines or lines[0].strip() != "---":
        raise fail(path, 1, 'the lesson must begin with "---" and its metadata.')
    if "---" not in lines[1:]:
        raise fail(path, 1, 'no second "---" closes the metadata.')
    end = lines.index("---", 1)
    try:
        values = yaml.safe_load("\n".join(lines[1:end])) or {}
    except yaml.MarkedYAMLError as error:
        at = (error.problem_mark.line if error.problem_mark else 0) + 2
        raise fail(path, at, f"the metadata is not YAML: {error.problem}.") from None
    except (yaml.YAMLError, ValueError) as error:
        why = " ".join(str(error).split())
        raise fail(path, 2, f"the metadata is not YAML: {why}.") from None
    if not isinstance(values, dict):
        raise fail(path, 2, 'the metadata must be lines of "name: value".')
    try:
        return Metadata.model_validate(values), end + 1
    except ValidationError as wrong:
        first = wrong.errors()[0]
        name, why = first["loc"][0], first["msg"][0].lower() + first["msg"][1:]
        sentence = {
            "missing": f'the metadata lacks "{name}".',
            "extra_forbidden": f'the metadata has "{name}", which nothing reads.',
        }.get(first["type"], f'"{name}" in the metadata is wrong: {why}.')
        own = [at for at, text in enumerate(lines[:end], start=1) if text.startswith(f"{name}:")]
        raise fail(path, own[0] if own else end + 1, sentence) from None


def read_lesson(path: Path, outline: Outline) -> tuple[Metadata, tuple[LessonPiece, ...]]:
    """Read a block's lesson.md: metadata, prose, and ``:::`` lines that say where cells stand.

    ``::: cell train`` is the place of a cell, ``::: given`` that of all cells before the next
    named one, ``::: check`` that of the check. Raises CourseError for what is wrong or missing.
    """
    lines = _read_lines(path)
    meta, start = _read_metadata(path, lines)
    pieces: list[LessonPiece] = []
    prose: list[str] = []
    fenced = False
    headings, places = set(), set()

    def end_prose() -> None:
        if text := "\n".join(prose).strip():
            pieces.append(LessonPiece("text", text))
        prose.clear()

    for number, text in enumerate(lines[start:], start=start + 1):
        if text.startswith("```"):
            fenced = not fenced
        if text.startswith("## ") and not fenced:
            headings.add(text[3:].strip())
        if not text.startswith(":::") or fenced:
            prose.append(text)
            continue
        match = _DIRECTIVE.fullmatch(text)
        if not match:
            raise fail(path, number, 'write "::: cell NAME", "::: given" or "::: check".')
        kind: Any = match[1] or match[3]
        name = match[2] or ""
        if name and name not in outline.cells:
            raise fail(path, number, f"no cell [{name}] in {outline.path.name}.")
        if (kind, name) in places and kind != "given":
            raise fail(path, number, f'"{text.strip()}" stands here a second time.')
        places.add((kind, name))
        end_prose()
        pieces.append(LessonPiece(kind, name, number))
    end_prose()
    for heading in HEADINGS:
        if heading not in headings:
            raise fail(path, len(lines), f'the heading "## {heading}" is missing.')
    if ("check", "") not in places:
        raise fail(path, len(lines), 'the line "::: check" is missing.')
    return meta, tuple(pieces)


# --- the course --------------------------------------------------------------------------------


def read_block(folder: Path, outline: Outline) -> Block:
    """Read one block's folder. Raises CourseError for a mistake in it."""
    lesson = folder / "lesson.md"
    if not _FOLDER.fullmatch(folder.name):
        raise fail(lesson, 1, 'name the folder with two digits and a slug: "03_run".')
    for name in ("lesson.md", "code.py", "checks.py"):
        if not (folder / name).is_file():
            raise fail(folder / name, 1, "the file is missing.")
    meta, pieces = read_lesson(lesson, outline)
    changes, tasks = read_code(folder / "code.py", outline)
    placed = {piece.content for piece in pieces if piece.kind == "cell"}
    for task in tasks:
        cell = outline.cell_of(task.section)
        if "notebook" in task.forms and cell not in placed:
            what = f'the task "{task.section}" has no place; write "::: cell {cell}" there.'
            raise fail(lesson, 1, what)
    return Block(int(folder.name[:2]), folder, meta, pieces, changes, tasks)


def read_course(folder: Path = BLOCKS) -> Course:
    """Read all blocks of `folder`: the outline first, then each block.

    Raises CourseError for a mistake in a block, and for numbers that leave a gap or come twice.
    """
    outline = read_outline(folder / "outline.txt")
    blocks: list[Block] = []
    for path in sorted(folder.iterdir()):
        if not path.is_dir() or path.name[0] in "._":
            continue
        block = read_block(path, outline)
        expected = len(blocks)
        if block.number != expected:
            message = (
                f"block {block.number} is there twice: {blocks[-1].name} and {path.name}."
                if block.number < expected
                else f"block number {expected} is missing before {path.name}."
            )
            raise fail(path / "lesson.md", 1, message)
        blocks.append(block)
    return Course(outline, tuple(blocks))


@cache
def course() -> Course:
    """Return the course of this folder, read once a process."""
    return read_course()
