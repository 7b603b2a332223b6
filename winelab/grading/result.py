"""Describe one hand-in, and what became of it: what `grader` makes and `report` shows."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from winelab.checks.report import Verdict
from winelab.core.errors import CourseError

MOST_BYTES = 20_000_000
"""A hand-in larger than this is left out: a notebook with all its pictures has a tenth."""


class Level(Enum):
    """How many of its checks a hand-in passed: a sign, a terminal's colour, and words.

    All three, since not everybody sees every colour, and printers may have only one.
    """

    ALL = ("✓", "green", "all checks passed")
    MOST = ("◕", "yellow", "half of them or more")
    FEW = ("◔", "yellow", "fewer than half")
    NONE = ("✗", "red", "none")

    def __init__(self, sign: str, colour: str, words: str) -> None:
        self.sign, self.colour, self.words = sign, colour, words


@dataclass(frozen=True)
class HandIn:
    """One file that a student handed in for one block."""

    student: str
    """As it is shown: the folder's name, or what the file's name says in a flat folder."""
    block: int
    file: Path


def read_file(file: Path) -> bytes:
    """Return the bytes of what was handed in.

    Raises CourseError, which says so in a few words, for what cannot be read, is too large, or is
    no file of its own: a link or a device.
    """
    # Neither follow a link that has just been put there, nor wait for somebody to fill a pipe.
    careful = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        if not stat.S_ISREG(file.lstat().st_mode):
            raise CourseError("left out, it is a link, a folder or a device")
        with open(file, "rb", opener=lambda name, flags: os.open(name, flags | careful)) as opened:
            content = opened.read(MOST_BYTES + 1)
    except OSError as error:
        raise CourseError(f"cannot be read ({error.strerror})") from None
    if len(content) > MOST_BYTES:
        raise CourseError(f"left out, it is larger than {MOST_BYTES:,} bytes")
    return content


@dataclass(frozen=True)
class Grade:
    """What became of one hand-in."""

    hand_in: HandIn
    verdicts: tuple[Verdict, ...] = ()
    """The block's checks; empty where they could not be run."""
    problem: str = ""
    """One clear sentence where the hand-in did not run to its end, "" where it did."""
    printed: str = ""
    """The end of what it printed, traceback included: at most some thousand characters."""
    seconds: float = 0.0

    @property
    def own(self) -> list[Verdict]:
        """The checks that count: the block's own, and not those of what was given."""
        return [verdict for verdict in self.verdicts if not verdict.given]

    @property
    def score(self) -> float:
        """The share of the checks that count and passed, 0 to 1."""
        return sum(verdict.done for verdict in self.own) / len(self.own) if self.own else 0.0

    @property
    def count(self) -> str:
        """How many of the checks that count are done: "7 of 9"."""
        done = sum(verdict.done for verdict in self.own)
        return f"{done} of {len(self.own)}" if self.own else "not checked"

    @property
    def level(self) -> Level:
        """The level of its score; a problem is a mark beside it."""
        if self.score >= 0.5:
            return Level.ALL if self.score >= 1 else Level.MOST
        return Level.FEW if self.score > 0 else Level.NONE
