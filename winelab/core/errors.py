"""The one exception of the course that is shown as a sentence, without a traceback."""

from __future__ import annotations


class CourseError(Exception):
    """A mistake of the user's or of a block's author, worded for them."""
