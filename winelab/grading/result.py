"""What grading says of one hand-in: the record that `grade` makes and `gradebook` shows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from winelab.checks.checking import Verdict


@dataclass(frozen=True)
class HandIn:
    """One file that a student handed in for one block."""

    student: str
    """As it is shown: the folder's name, or what the file's name says in a flat folder."""
    block: int
    file: Path


@dataclass(frozen=True)
class Grade:
    """What became of one hand-in."""

    hand_in: HandIn
    verdicts: tuple[Verdict, ...] = ()
    """The block's checks; empty where they could not be run."""
    trouble: str = ""
    """One clear sentence where the hand-in did not run to its end, "" where it did."""
    printed: str = ""
    """The end of what it printed, traceback included: at most some thousand characters."""
    seconds: float = 0.0

    @property
    def score(self) -> float:
        """The share of the block's own checks that passed, 0 to 1; given ones do not count."""
        own = [verdict for verdict in self.verdicts if not verdict.given]
        return sum(verdict.done for verdict in own) / len(own) if own else 0.0
