"""What a block changes in the script: its solution beside the one before, line by line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Literal, NamedTuple

from winelab.course.compose import header, solution_files
from winelab.course.source import Course

SIGNS = {"added": "+", "removed": "-", "kept": " "}


class Changed(NamedTuple):
    """One line of the two texts laid over each other."""

    kind: Literal["added", "removed", "kept"]
    text: str


def _bodies(course: Course, number: int) -> dict[str, list[str]]:
    """Return the lines of a block's solution by file: by "" those of the one script."""
    block = course.block(number)
    files = {
        name: [line.text for line in lines]
        for name, lines in solution_files(course, number).items()
    }
    if block.package:
        return {name.partition("/")[2]: lines for name, lines in files.items()}
    # The header names the block, and differs by nature.
    ((_, lines),) = files.items()
    return {"": lines[_header_length(course, number) :]}


def _header_length(course: Course, number: int) -> int:
    return len(header(course.block(number)).splitlines())


def _two(course: Course, number: int) -> dict[str, tuple[list[str], list[str]]]:
    """Return what stood in each file before block `number`, and what stands there after it."""
    new, before = _bodies(course, number), course.before(course.block(number))
    old = _bodies(course, before.number) if before else {}
    return {name: (old.get(name, []), new.get(name, [])) for name in {**new, **old}}


class _Compared(difflib.SequenceMatcher[str]):
    """A text of the block before, and what it is after the block."""

    def __init__(self, old: list[str], new: list[str]) -> None:
        self.old, self.new = old, new
        # With its junk, difflib.unified_diff leaves common lines out in a long script.
        super().__init__(a=old, b=new, autojunk=False)

    def lines(self, opcodes: Iterable[tuple[str, int, int, int, int]]) -> list[Changed]:
        """Return the lines that these steps from the one text to the other speak of."""
        found = []
        for kind, a0, a1, b0, b1 in opcodes:
            if kind == "equal":
                found += [Changed("kept", text) for text in self.new[b0:b1]]
            else:
                found += [Changed("removed", text) for text in self.old[a0:a1]]
                found += [Changed("added", text) for text in self.new[b0:b1]]
        return found


def changed_lines(course: Course, number: int) -> list[Changed]:
    """Return each line of the solutions of block `number` and of the one before, in order.

    The first block has none before it: all of its lines are added. The headers are left out. Raises
    CourseError where there is no such block.
    """
    found = []
    for old, new in _two(course, number).values():
        compared = _Compared(old, new)
        found += compared.lines(compared.get_opcodes())
    return found


def unified_diff(course: Course, number: int) -> list[str]:
    """Return a unified diff from the solution of the block before to that of block `number`.

    `patch` makes the one of the other, but for the names in a script's header. After the @@ stands
    the title of the script's part that the lines are in. Empty where nothing changes, and for the
    first block, of which all is new.
    """
    block = course.block(number)
    before = course.before(block)
    if not before:
        return []
    cells = block.outline.cells.values()
    titles = {f"# {cell.title}": cell.title for cell in cells if cell.title}
    # A header is left out of the comparison, not of the count.
    first = 1 if block.package else 1 + _header_length(course, number)
    diff = []
    for name, (old, new) in _two(course, number).items():
        ends = [f"{one.name}/{name}" if name else f"{one.name}.py" for one in (before, block)]
        compared, hunks = _Compared(old, new), []
        for group in compared.get_grouped_opcodes(3):
            (_, a0, _, b0, _), (_, _, a1, _, b1) = group[0], group[-1]
            above = (titles.get(text.strip(), "") for text in reversed(new[:b0]))
            title = next(filter(None, above), "")
            head = f"@@ -{first + a0},{a1 - a0} +{first + b0},{b1 - b0} @@ {title}"
            hunks += [head.rstrip(), *(SIGNS[kind] + text for kind, text in compared.lines(group))]
        if hunks:
            marks = zip(("---", "+++"), ends, (old, new), strict=True)
            diff += [
                f"{mark} solutions/{end}" if text else f"{mark} /dev/null"
                for mark, end, text in marks
            ]
            diff += hunks
    return diff
