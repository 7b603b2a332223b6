"""What a block changes in the script: its solution beside the one before, line by line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from winelab.course.compose import header, script_lines
from winelab.course.source import Course

SIGNS = {"added": "+", "removed": "-", "kept": " "}


@dataclass(frozen=True)
class Changed:
    """One line of the two scripts laid over each other."""

    kind: Literal["added", "removed", "kept"]
    text: str


def changed_lines(course: Course, number: int) -> list[Changed]:
    """Return each line of the scripts of block `number` and of the one before, in order.

    Block 0 has none before it: all of its lines are added. The header, which names the block
    and differs by nature, is left out. Raises CourseError where there is no such block.
    """
    old, new = _bodies(course, number)
    return _lines(old, new, _matcher(old, new).get_opcodes())


def unified_diff(course: Course, number: int) -> list[str]:
    """Return a unified diff from the script of the block before to that of block `number`.

    `patch` makes the one of the other, but for the names in its header. After the @@ stands the
    title of the script's part that the lines are in. Empty where the script stays as it is.
    """
    old, new = _bodies(course, number)
    titles = {f"# {cell.title}": cell.title for cell in course.outline.cells.values() if cell.title}
    # The headers are left out of the comparison, not of the count.
    first = 1 + len(header(course.block(number)).splitlines())
    diff = []
    # As difflib.unified_diff does it, which takes common lines for junk in a long script.
    for group in _matcher(old, new).get_grouped_opcodes(3):
        (_, a0, _, b0, _), (_, _, a1, _, b1) = group[0], group[-1]
        above = (titles.get(text.strip(), "") for text in reversed(new[:b0]))
        title = next(filter(None, above), "")
        head = f"@@ -{first + a0},{a1 - a0} +{first + b0},{b1 - b0} @@ {title}"
        lines = _lines(old, new, group)
        diff += [head.rstrip(), *(SIGNS[line.kind] + line.text for line in lines)]
    before, after = (course.block(n).name for n in (number - 1, number))
    return [f"--- solutions/{before}.py", f"+++ solutions/{after}.py", *diff] if diff else []


def _matcher(old: list[str], new: list[str]) -> difflib.SequenceMatcher[str]:
    return difflib.SequenceMatcher(a=old, b=new, autojunk=False)


def _lines(
    old: list[str], new: list[str], opcodes: Iterable[tuple[str, int, int, int, int]]
) -> list[Changed]:
    found = []
    for kind, a0, a1, b0, b1 in opcodes:
        if kind == "equal":
            found += [Changed("kept", text) for text in new[b0:b1]]
        else:
            found += [Changed("removed", text) for text in old[a0:a1]]
            found += [Changed("added", text) for text in new[b0:b1]]
    return found


def _bodies(course: Course, number: int) -> tuple[list[str], list[str]]:
    """Return the scripts after the block before and after block `number`, without headers."""

    def body(number: int) -> list[str]:
        skipped = len(header(course.block(number)).splitlines())
        return [line.text for line in script_lines(course, number)[skipped:]]

    return body(number - 1) if number else [], body(number)
