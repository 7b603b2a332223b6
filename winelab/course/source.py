"""Reads blocks/: the outline of the script, and each block's lesson and changes.

Every mistake in a source is a CourseError that names the file and the line to mend.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml

from winelab.core.errors import CourseError
from winelab.core.paths import BLOCKS

Form = Literal["script", "notebook"]
FORMS: tuple[Form, ...] = ("script", "notebook")

PARTS = {1: "Track", 2: "Package and evaluate", 3: "Register and release"}
# What a lesson must declare, and the type of each value.
METADATA: dict[str, type] = {
    "title": str,
    "part": int,
    "minutes": int,
    "level": int,
    "objectives": list,
    "teaches": list,
    "keypoints": list,
}
HEADINGS = ("Goal", "Why", "Your task", "Look at it", "If it goes wrong", "Recap")

_FOLDER = re.compile(r"(\d\d)_([a-z0-9_]+)")
_CELL = re.compile(r"\[([a-z0-9-]+)\]\s*(.*)")
# The ids of a notebook's cells are made of these (see notebook.py) and of the cells' names.
_RESERVED = re.compile(r"title|check|answer|end|text-\d+|.*-hints")
_SECTION = re.compile(r"( *)([a-z0-9-]+)(:?)")
_CHANGE = re.compile(r"# %% ([a-z0-9-]+)(?: \((.+)\))?")
_DIRECTIVE = re.compile(r":::\s*(\w+)\s*([a-z0-9-]*)")


@dataclass(frozen=True)
class Slot:
    """A section's place in the script: its cell, what it stands in, the blank line before it."""

    section: str
    cell: str
    parents: tuple[str, ...]
    gap: bool
    """A blank line stands before it, where something of its cell precedes."""


@dataclass(frozen=True)
class Outline:
    """The fixed order of cells and sections of the one script that the course grows."""

    path: Path
    titles: dict[str, str]
    """Cell name to the comment above it ("" where it has none), in order."""
    slots: tuple[Slot, ...]
    where: dict[str, int] = field(default_factory=dict)
    """Cell name to its line in the outline."""
    inside: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Cell name to the heads of earlier cells that the whole cell stands in."""

    def cell_of(self, section: str) -> str:
        """The cell in which `section` stands."""
        return next(slot.cell for slot in self.slots if slot.section == section)


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
    kind: Literal["code", "removed", "back"]
    lines: tuple[Line, ...] = ()
    back_to: int | None = None
    given: bool = False
    """The student finds it there already, and is not asked for it."""
    where: int = 0
    """The line of the `# %%` mark in code.py."""


@dataclass(frozen=True)
class Task:
    """What a student is asked to do at a section: the TODO and its hints, a nudge first."""

    section: str
    forms: tuple[Form, ...]
    todo: tuple[str, ...]
    hints: tuple[str, ...]


@dataclass(frozen=True)
class Part:
    """A stretch of a lesson: prose, or the place where cells or the check stand."""

    kind: Literal["text", "cell", "given", "check"]
    content: str
    line: int


@dataclass(frozen=True)
class Block:
    """One block as written in its folder."""

    number: int
    slug: str
    folder: Path
    meta: dict[str, Any]
    parts: tuple[Part, ...]
    changes: tuple[Change, ...]
    tasks: tuple[Task, ...] = field(default=())

    @property
    def name(self) -> str:
        """The folder's and the built files' stem, for example ``03_run``."""
        return f"{self.number:02d}_{self.slug}"

    @property
    def title(self) -> str:
        """The lesson's title."""
        return str(self.meta["title"])

    @property
    def stars(self) -> str:
        """The level, drawn: one to three full stars out of three."""
        level = int(self.meta["level"])
        return "★" * level + "☆" * (3 - level)

    def sections(self) -> set[str]:
        """The sections that this block names: adds, replaces, removes or brings back."""
        return {change.section for change in self.changes}


@dataclass(frozen=True)
class Course:
    """The outline and all blocks, by number from 0 without a gap."""

    outline: Outline
    blocks: tuple[Block, ...]

    def block(self, number: int) -> Block:
        """The block with that number; CourseError where there is none."""
        if 0 <= number < len(self.blocks):
            return self.blocks[number]
        raise CourseError(
            f"There is no block {number}: the blocks are 0 to {len(self.blocks) - 1}."
        )


def fail(path: Path, line: int, message: str) -> CourseError:
    """The error for a mistake in a source: file, line, what to do."""
    return CourseError(f"{path.parent.name}/{path.name}:{line}: {message}")


def _read_lines(path: Path) -> list[str]:
    """The lines of a source; CourseError where it is missing or in another encoding."""
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
    two sections is a blank line in the script.
    """
    titles: dict[str, str] = {}
    where: dict[str, int] = {}
    inside: dict[str, tuple[str, ...]] = {}
    slots: list[Slot] = []
    cell, gap = "", False
    parents: list[str] = []
    for number, text in enumerate(_read_lines(path), start=1):
        if text.startswith("#"):
            continue
        if not text.strip():
            gap = True
        elif match := _CELL.fullmatch(text.strip()):
            cell = match[1]
            if cell in titles:
                raise fail(path, number, f"the cell [{cell}] stands here a second time.")
            if _RESERVED.fullmatch(cell):
                raise fail(path, number, f"[{cell}] is a name of the notebook's own; take another.")
            depth = (len(text) - len(text.lstrip())) // 4
            if depth > len(parents):
                raise fail(
                    path, number, f'indent [{cell}] by four spaces below a name that ends in ":".'
                )
            titles[cell], where[cell] = match[2], number
            parents, gap = parents[:depth], False
            inside[cell] = tuple(parents)
        elif match := _SECTION.fullmatch(text.rstrip()):
            depth, name = len(match[1]) // 4, match[2]
            if not cell:
                raise fail(path, number, f'"{name}" stands above the first [cell].')
            if len(match[1]) % 4 or not len(inside[cell]) <= depth <= len(parents):
                raise fail(
                    path, number, f'indent "{name}" by four spaces below a name that ends in ":".'
                )
            if name in {slot.section for slot in slots}:
                raise fail(path, number, f'the section "{name}" stands here a second time.')
            parents = parents[:depth]
            slots.append(Slot(name, cell, tuple(parents), gap))
            gap = False
            if match[3]:
                parents.append(name)
        else:
            raise fail(path, number, f'not a "[cell] title" and not a section name: {text!r}.')
    return Outline(path, titles, tuple(slots), where, inside)


# --- code.py -----------------------------------------------------------------------------------


def _read_flags(path: Path, number: int, text: str | None) -> dict[str, Any]:
    flags: dict[str, Any] = {"forms": FORMS, "kind": "code", "back_to": None, "given": False}
    for word in (text or "").split(", ") if text else []:
        if word in FORMS and flags["forms"] == FORMS:
            flags["forms"] = (word,)
        elif word == "removed":
            flags["kind"] = "removed"
        elif word == "given":
            flags["given"] = True
        elif match := re.fullmatch(r"as in (\d+)", word):
            flags["kind"], flags["back_to"] = "back", int(match[1])
        else:
            raise fail(
                path,
                number,
                f'"{word}" is unknown; write script, notebook, removed, given or "as in 4".',
            )
    return flags


def _hints(lines: list[str]) -> tuple[str, ...]:
    """Join hint lines into hints; an empty one stands between two."""
    return tuple(
        " ".join(part.split("\n")) for part in "\n".join(lines).strip("\n").split("\n\n") if part
    )


def read_code(path: Path, outline: Outline) -> tuple[tuple[Change, ...], tuple[Task, ...]]:
    """Read a block's code.py: percent cells named after the sections that they change.

    In a cell, ``#:`` lines are the task (the TODO of the student's cell) and ``#?`` lines its
    hints, from a nudge to the call, with an empty ``#?`` between two; all else is code.
    """
    known = {slot.section for slot in outline.slots}
    changes: list[Change] = []
    tasks: list[Task] = []
    cells: list[tuple[int, str, dict[str, Any], list[tuple[int, str]]]] = []
    for where, text in enumerate(_read_lines(path), start=1):
        if text.startswith("# %%"):
            match = _CHANGE.fullmatch(text.rstrip())
            if not match:
                raise fail(path, where, 'write the mark as "# %% section" or "# %% section (...)".')
            if match[1] not in known:
                raise fail(
                    path,
                    where,
                    f'no section "{match[1]}" in {outline.path.name}; add it, or mend the name.',
                )
            cells.append((where, match[1], _read_flags(path, where, match[2]), []))
        elif cells:
            cells[-1][3].append((where, text))
        elif text.strip() and not text.startswith("#"):
            raise fail(path, where, 'code stands above the first "# %% section" mark.')

    for where, section, flags, body in cells:
        todo = tuple(text.lstrip()[2:].strip() for _, text in body if text.lstrip()[:2] == "#:")
        hints = _hints([text.lstrip()[2:].strip() for _, text in body if text.lstrip()[:2] == "#?"])
        code = [Line(text, path, at) for at, text in body if text.lstrip()[:2] not in ("#:", "#?")]
        while code and not code[-1].text.strip():
            code.pop()
        while code and not code[0].text.strip():
            code.pop(0)
        if flags["given"] and todo:
            raise fail(
                path,
                where,
                f'"{section}" is given: the student finds it there, so take its "#:" '
                "lines away, or the word.",
            )
        if bool(code) != (flags["kind"] == "code"):
            raise fail(
                path,
                where,
                f'"{section}" has no code; write "(removed)" to take it away.'
                if flags["kind"] == "code"
                else f'"{section}" is {flags["kind"]} and has code; delete one of the two.',
            )
        if todo and len(hints) < 2:
            raise fail(
                path,
                where,
                f'the TODO of "{section}" has {len(hints)} hints; write two as "#?" lines, '
                'a nudge and then the call, with an empty "#?" between them.',
            )
        if hints and not todo:
            raise fail(path, where, f'"{section}" has hints but no "#:" line to hint at.')
        for form in flags["forms"]:
            same = [c for c in changes if c.section == section and c.form == form]
            # What is given may be changed by the student: two changes of one section then.
            if any(c.given == flags["given"] for c in same):
                raise fail(path, where, f'"{section}" is changed twice for the {form}.')
            changes.append(
                Change(
                    section,
                    form,
                    flags["kind"],
                    tuple(code),
                    flags["back_to"],
                    flags["given"],
                    where,
                )
            )
        if todo:
            tasks.append(Task(section, flags["forms"], todo, hints))
    return tuple(changes), tuple(tasks)


# --- lesson.md ---------------------------------------------------------------------------------


def _read_metadata(path: Path, lines: list[str]) -> tuple[dict[str, Any], int]:
    """The metadata on top of a lesson, and the number of the line that closes it."""
    if not lines or lines[0].strip() != "---":
        raise fail(path, 1, 'the lesson must begin with "---" and its metadata.')
    try:
        end = lines.index("---", 1)
    except ValueError:
        raise fail(path, 1, 'no second "---" closes the metadata.') from None
    try:
        meta = yaml.safe_load("\n".join(lines[1:end])) or {}
    except yaml.MarkedYAMLError as error:
        at = (error.problem_mark.line if error.problem_mark else 0) + 2
        raise fail(path, at, f"the metadata is not YAML: {error.problem}.") from None
    except (yaml.YAMLError, ValueError) as error:
        why = " ".join(str(error).split())
        raise fail(path, 2, f"the metadata is not YAML: {why}.") from None
    if not isinstance(meta, dict):
        raise fail(path, 2, 'the metadata must be lines of "name: value".')
    for name, kind in METADATA.items():
        if name not in meta:
            raise fail(path, end + 1, f'the metadata lacks "{name}".')
        # `true` is an int to Python.
        wrong = not isinstance(meta[name], kind) or isinstance(meta[name], bool)
        if wrong or meta[name] in ("", []):
            if name == "teaches" and meta[name] == []:
                continue
            raise fail(path, end + 1, f'the metadata\'s "{name}" must be a {kind.__name__}.')
    for name in meta:
        if name not in METADATA:
            raise fail(path, end + 1, f'the metadata has "{name}", which nothing reads.')
    if meta["level"] not in (1, 2, 3):
        raise fail(path, end + 1, '"level" is 1, 2 or 3 stars.')
    if meta["part"] not in PARTS:
        raise fail(path, end + 1, f'"part" is one of {", ".join(map(str, PARTS))}.')
    return meta, end + 1


def read_lesson(path: Path, outline: Outline) -> tuple[dict[str, Any], tuple[Part, ...]]:
    """Read a block's lesson.md: metadata, prose, and ``:::`` lines that say where cells stand.

    ``::: cell train`` is the place of a cell, ``::: given`` that of all cells before the next
    named one, ``::: check`` that of the check.
    """
    lines = _read_lines(path)
    meta, start = _read_metadata(path, lines)
    parts: list[Part] = []
    prose: list[str] = []
    first, fenced, found = start + 1, False, set()
    for number, text in enumerate(lines[start:], start=start + 1):
        if text.startswith("```"):
            fenced = not fenced
        if text.startswith("## ") and not fenced:
            found.add(text[3:].strip())
        if not text.startswith(":::") or fenced:
            prose.append(text)
            continue
        match = _DIRECTIVE.fullmatch(text.strip())
        kind, name = (match[1], match[2]) if match else ("", "")
        if kind not in ("cell", "given", "check") or bool(name) != (kind == "cell"):
            raise fail(path, number, 'write "::: cell NAME", "::: given" or "::: check".')
        if kind == "cell" and name not in outline.titles:
            raise fail(path, number, f"no cell [{name}] in {outline.path.name}.")
        if any(part.kind == kind and part.content == name for part in parts if kind != "given"):
            raise fail(path, number, f'"{text.strip()}" stands here a second time.')
        parts += [
            Part("text", "\n".join(prose).strip(), first),
            Part(kind, name, number),  # type: ignore[arg-type]
        ]
        prose, first = [], number + 1
    parts.append(Part("text", "\n".join(prose).strip(), first))
    for heading in HEADINGS:
        if heading not in found:
            raise fail(path, len(lines), f'the heading "## {heading}" is missing.')
    if not any(part.kind == "check" for part in parts):
        raise fail(path, len(lines), 'the line "::: check" is missing.')
    return meta, tuple(part for part in parts if part.content or part.kind != "text")


# --- the course --------------------------------------------------------------------------------


def read_block(folder: Path, outline: Outline) -> Block:
    """Read one block's folder."""
    match = _FOLDER.fullmatch(folder.name)
    if not match:
        raise fail(folder / "lesson.md", 1, 'name the folder with two digits and a slug: "03_run".')
    for name in ("lesson.md", "code.py", "checks.py"):
        if not (folder / name).is_file():
            raise fail(folder / name, 1, "the file is missing.")
    number = int(match[1])
    meta, parts = read_lesson(folder / "lesson.md", outline)
    changes, tasks = read_code(folder / "code.py", outline)
    block = Block(number, match[2], folder, meta, parts, changes, tasks)
    placed = {part.content for part in parts if part.kind == "cell"}
    for task in tasks:
        cell = outline.cell_of(task.section)
        if "notebook" in task.forms and cell not in placed:
            raise fail(
                folder / "lesson.md",
                1,
                f'the task "{task.section}" has no place; write "::: cell {cell}" there.',
            )
    return block


def read_course(folder: Path = BLOCKS) -> Course:
    """Read all blocks of `folder`: the outline first, then each block, numbered without a gap."""
    outline = read_outline(folder / "outline.txt")
    folders = sorted(
        path for path in folder.iterdir() if path.is_dir() and path.name[0] not in "._"
    )
    blocks: list[Block] = []
    for path in folders:
        block = read_block(path, outline)
        expected = len(blocks)
        if block.number < expected:
            raise fail(
                path / "lesson.md",
                1,
                f"block {block.number} is there twice: {blocks[-1].name} and {path.name}.",
            )
        if block.number > expected:
            raise fail(
                path / "lesson.md", 1, f"block number {expected} is missing before {path.name}."
            )
        blocks.append(block)
    return Course(outline, tuple(blocks))


@cache
def course() -> Course:
    """The course of this folder, read once a process."""
    return read_course()
