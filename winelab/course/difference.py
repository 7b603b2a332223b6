"""What a block changes in the script: its solution beside the one before, line by line."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Literal

from winelab.course.compose import header, script_lines
from winelab.course.source import Course


@dataclass(frozen=True)
class Changed:
    """One line of the two scripts laid over each other."""

    kind: Literal["added", "removed", "kept"]
    text: str


def changed_lines(course: Course, number: int) -> list[Changed]:
    """Each line of the scripts of block `number` and of the one before, in order.

    Block 0 has none before it: all of its lines are added. The header, which names the block
    and differs by nature, is left out. CourseError where there is no such block.
    """
    new = _body(course, number)
    old = _body(course, number - 1) if number else []
    found = []
    matcher = difflib.SequenceMatcher(a=old, b=new, autojunk=False)
    for kind, a0, a1, b0, b1 in matcher.get_opcodes():
        if kind == "equal":
            found += [Changed("kept", text) for text in new[b0:b1]]
            continue
        found += [Changed("removed", text) for text in old[a0:a1]]
        found += [Changed("added", text) for text in new[b0:b1]]
    return found


def _body(course: Course, number: int) -> list[str]:
    """The script after block `number`, without its header."""
    skipped = len(header(course.block(number)).splitlines())
    return [line.text for line in script_lines(course, number)[skipped:]]
