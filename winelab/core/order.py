"""Read blocks/course.txt: the course's parts, and its blocks in order; find blocks by name.

Standard library only, and no syntax newer than Python 3.8: a command is read before anything is
installed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from winelab.core.errors import CourseError, fail
from winelab.core.paths import BLOCKS

ORDER = "course.txt"

# A letter at least: digits alone are a number.
_SLUG = r"[a-z0-9_]*[a-z][a-z0-9_]*"
_PART = re.compile(r"\[(\d+)\]\s+([^,\s][^,]*)(?:,\s*(.+))?")
_REFERENCE = re.compile(rf"\[\[({_SLUG})\]\](_?)")
_RANGE = re.compile(r"(\w+)(?:-|\.\.)(\w+)")


@dataclass(frozen=True)
class Listed:
    """A block as course.txt lists it."""

    number: int
    """Its place, from 0."""
    slug: str
    part: int
    folder: Path
    package: bool
    """What it changes is a package, not the script."""

    @property
    def name(self) -> str:
        """The stem of the built files, for example ``03_run``."""
        return f"{self.number:02d}_{self.slug}"

    @property
    def solution(self) -> str:
        """The reference script in solutions/, or the page that a reference package begins with."""
        return f"{self.name}/README.md" if self.package else f"{self.name}.py"


B = TypeVar("B", bound=Listed)

ON_REQUEST = "on request"
SCRIPT = "outline.txt"
"""The outline of the script that a course grows."""


@dataclass(frozen=True)
class CoursePart:
    """A part as course.txt lists it: ``[4] Operate, on request, package.txt``."""

    title: str
    on_request: bool = False
    """It is installed, shown and checked only where it is asked for."""
    outline: str = SCRIPT
    """Of what its blocks grow: the script, or a package, which begins with nothing."""


@dataclass(frozen=True)
class Order:
    """What course.txt says."""

    parts: dict[int, CoursePart]
    blocks: tuple[Listed, ...]

    def fill(self, text: str, path: Path, line: int) -> str:
        """Return a line of the source `path` with the number of a block for each ``[[slug]]``.

        In a file's name, where "_" follows, it has two digits. Raises CourseError for a block that
        is not there.
        """

        def number(match: re.Match[str]) -> str:
            try:
                block = find_one(self.blocks, match[1])
            except CourseError as error:
                raise fail(path, line, f"{match[0]}: {error}") from None
            return f"{block.number:02d}_" if match[2] else str(block.number)

        return _REFERENCE.sub(number, text)


def refers(text: str) -> bool:
    """Return whether a text names a block by ``[[slug]]``; Python's own ``[[4]]`` names none."""
    return bool(_REFERENCE.search(text))


def read_order(folder: Path = BLOCKS) -> Order:
    """Read course.txt in `folder`: ``[1] Title`` lines, and below each its blocks, one a line.

    Behind a title may stand ", on request" and the name of an outline (see CoursePart).

    Raises CourseError for a line that is neither, and for a block that stands there twice or has
    no folder.
    """
    path = folder / ORDER
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        raise fail(path, 1, "the file is missing, or not in UTF-8.") from None
    part = 0
    parts: dict[int, CoursePart] = {}
    blocks: dict[str, Listed] = {}
    for at, line in enumerate(lines, start=1):
        text = line.partition("#")[0].strip()
        if match := _PART.fullmatch(text):
            part = int(match[1])
            if part in parts:
                raise fail(path, at, f"part {part} stands here a second time.")
            more = re.split(r",\s*", match[3]) if match[3] else []
            outlines = [word for word in more if word != ON_REQUEST]
            if len(outlines) > 1 or any(not (folder / name).is_file() for name in outlines):
                form = f'write "{ON_REQUEST}" or the name of an outline beside this file'
                raise fail(path, at, f'"{match[3]}" is not understood: {form}.')
            parts[part] = CoursePart(match[2].rstrip(), ON_REQUEST in more, *outlines)
        elif text:
            if not re.fullmatch(_SLUG, text):
                form = 'write "[1] Title" for a part, and a block\'s name with a-z, 0-9 and _'
                raise fail(path, at, f'"{text}" is neither a part nor a block: {form}.')
            if not parts:
                raise fail(path, at, f'"{text}" stands above the first part.')
            if text in blocks:
                raise fail(path, at, f'"{text}" stands here a second time.')
            if not (folder / text).is_dir():
                raise fail(path, at, f'there is no folder "{text}" beside this file.')
            package = parts[part].outline != SCRIPT
            blocks[text] = Listed(len(blocks), text, part, folder / text, package)
    return Order(parts, tuple(blocks.values()))


# --- finding blocks ----------------------------------------------------------------------------


def find_one(blocks: Sequence[B], which: int | str) -> B:
    """Return the block that a number or a name says: 14, "14", "autolog" or "14_autolog".

    Raises CourseError where there is none.
    """
    text = str(which).strip()
    for block in blocks:
        if text in (block.slug, block.name) or (text.isdecimal() and int(text) == block.number):
            return block
    known = "their names stand in blocks/course.txt"
    if re.fullmatch(r"-?\d+", text):
        known = f"the blocks are 0 to {len(blocks) - 1}"
    raise CourseError(f"There is no block {text}: {known}.")


def find_all(blocks: Sequence[B], text: str) -> list[B]:
    """Return the blocks that a text names, in its order.

    Such as "3", "autolog", "3,14", "run tags", "0-13", "run..tags", "part 2" or "all". Raises
    CourseError for what names none.
    """
    text = text.strip()
    if text == "all":
        return list(blocks)
    if match := re.fullmatch(r"part (\d+)", text):
        if found := [block for block in blocks if block.part == int(match[1])]:
            return found
        raise CourseError(f"There is no part {match[1]}.")
    found = []
    for word in re.split(r"[\s,]+", text):
        ends = _RANGE.fullmatch(word)
        if not (ends or re.fullmatch(r"\w+", word)):
            raise CourseError(
                f'"{word}" names no blocks: write numbers or names, such as 3,14 or 3-5 or '
                "run..tags."
            )
        first, last = (find_one(blocks, end) for end in (ends.groups() if ends else (word, word)))
        if first.number > last.number:
            raise CourseError(f'"{word}" names no blocks: {last.name} comes before {first.name}.')
        found += blocks[first.number : last.number + 1]
    return found
