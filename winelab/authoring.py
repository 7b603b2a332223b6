"""What a block's checks.py is written with, beside plain functions and plain asserts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

F = TypeVar("F", bound=Callable[..., None])


def given(check: F) -> F:
    """Mark a check of something that is already true on the untouched notebook.

    All other checks are about the block's own change, and must fail there.
    """
    check.given = True  # type: ignore[attr-defined]
    return check


@dataclass(frozen=True)
class Mistake:
    """A mistake that learners make: a small edit of the solution, and the hint meant for it."""

    what: str
    """What the learner did, for the report."""
    caught_by: str
    """The name of the check that must fail."""
    hint: str
    """Words of the hint that the learner must read then."""
    swap: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Section to (old, new): `old` stands exactly once in it, and becomes `new`."""
    code: Mapping[str, str] = field(default_factory=dict)
    """Section to the code that stands there instead ("" takes it away)."""
    twice: str = ""
    """The cell that is run twice."""
    skip: tuple[str, ...] = ()
    """The cells that are not run."""
    before: str = ""
    """Code that runs before the first cell: what happened earlier."""
    after: str = ""
    """Code that runs after the last cell, before the check."""
    error: str = ""
    """Words of the error that the learner sees, where there is one."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Environment variables that differ; an empty value takes one away."""


def close(one: float, other: float, tolerance: float = 1e-9) -> bool:
    """Whether two figures agree to `tolerance`, absolute or relative, whichever is wider."""
    return abs(one - other) <= tolerance * max(1.0, abs(one), abs(other))
