"""The examples of a lesson: code blocks that the test run executes, with what they print."""

from __future__ import annotations

import doctest
import re
from dataclasses import dataclass

_FENCE = re.compile(r"^```python\n(.*?)^```$(?:\n+^```text\n(.*?)^```$)?", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Example:
    """A ``python`` fence of a lesson, and the ``text`` fence below it, if there is one."""

    code: str
    prints: str | None
    line: int


def examples(lesson: str) -> list[Example]:
    """Return all examples of a lesson's text, in order."""
    return [
        Example(match[1], match[2], lesson.count("\n", 0, match.start()) + 1)
        for match in _FENCE.finditer(lesson)
    ]


def output_matches(said: str, printed: str) -> bool:
    """Return whether an example printed what the lesson says; ``...`` stands for anything."""
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    return doctest.OutputChecker().check_output(said, printed, options)
