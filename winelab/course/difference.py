"""What a block changes in the script: its solution beside the one before, line by line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Literal, NamedTuple

from winelab.course.compose import header, script_lines
from winelab.course.source import Course

SIGNS = {"added": "+", "removed": "-", "kept": " "}


class Changed(NamedTuple):
    """One line of the two scripts laid over each other."""

    kind: Literal["added", "removed", "kept"]
    text: str


class _Compared(difflib.SequenceMatcher[str]):
    """The scripts after the block before and after block `number`, without headers."""

    def __init__(self, course: Course, number: int) -> None:
        self.old = _body(course, number - 1) if number else []
        self.new = _body(course, number)
        super().__init__(a=self.old, b=self.new, autojunk=False)

    def lines(self, opcodes: Iterable[tuple[str, int, int, int, int]]) -> list[Changed]:
        """Return the lines that these steps from the one script to the other speak of."""
        found = []
        for kind, a0, a1, b0, b1 in opcodes:
            if kind == "equal":
                found += [Changed("kept", text) for text in self.new[b0:b1]]
            else:
                found += [Changed("removed", text) for text in self.old[a0:a1]]
                found += [Changed("added", text) for text in self.new[b0:b1]]
        return found


def _body(course: Course, number: int) -> list[str]:
    # The header names the block, and differs by nature.
    skipped = len(header(course.block(number)).splitlines())
    return [line.text for line in script_lines(course, number)[skipped:]]


def changed_lines(course: Course, number: int) -> list[Changed]:
    """Return each line of the scripts of block `number` and of the one before, in order.

    Block 0 has none before it: all of its lines are added. The headers are left out. Raises
    CourseError where there is no such block.
    """
    compared = _Compared(course, number)
    return compared.lines(compared.get_opcodes())


def unified_diff(course: Course, number: int) -> list[str]:
    """Return a unified diff from the script of the block before to that of block `number`.

    `patch` makes the one of the other, but for the names in its header. After the @@ stands the
    title of the script's part that the lines are in. Empty where the script stays as it is.
    """
    compared = _Compared(course, number)
    titles = {f"# {cell.title}": cell.title for cell in course.outline.cells.values() if cell.title}
    # The headers are left out of the comparison, not of the count.
    first = 1 + len(header(course.block(number)).splitlines())
    diff = []
    # As difflib.unified_diff does it, which takes common lines for junk in a long script.
    for group in compared.get_grouped_opcodes(3):
        (_, a0, _, b0, _), (_, _, a1, _, b1) = group[0], group[-1]
        above = (titles.get(text.strip(), "") for text in reversed(compared.new[:b0]))
        title = next(filter(None, above), "")
        head = f"@@ -{first + a0},{a1 - a0} +{first + b0},{b1 - b0} @@ {title}"
        diff += [head.rstrip(), *(SIGNS[kind] + text for kind, text in compared.lines(group))]
    before, after = (course.block(n).name for n in (number - 1, number))
    return [f"--- solutions/{before}.py", f"+++ solutions/{after}.py", *diff] if diff else []
