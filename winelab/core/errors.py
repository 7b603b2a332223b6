"""The exceptions of the course that are shown as a sentence, without a traceback."""

from __future__ import annotations

from pathlib import Path


class CourseError(Exception):
    """A mistake of the user's or of a block's author, worded for them."""


class Missing(CourseError):
    """Something that a check needs is not there; the message is the student's hint."""


def fail(path: Path, line: int, message: str) -> CourseError:
    """Return the error for a mistake in a source: file, line, what to do."""
    return CourseError(f"{path.parent.name}/{path.name}:{line}: {message}")
