"""Print for a person at a terminal."""

from __future__ import annotations

import sys
from pathlib import Path

from winelab.core.errors import CourseError


def say(line: str) -> None:
    """Print a line of progress at once."""
    print(line, flush=True)


def last_line(message: str) -> str:
    """Return the last line of a traceback or a log that says anything, or "" where none does."""
    lines = message.strip().splitlines()
    return lines[-1].strip() if lines else ""


def shortened(text: str, width: int = 120) -> str:
    """Return text on one line of at most `width` characters, cut between two words."""
    text = " ".join(text.split())
    if len(text) <= width:
        return text
    kept = text[: width - 6]
    # A single long word, such as a path, is cut where it must be.
    return f"{kept.rpartition(' ')[0] or kept} [...]"


def end_of(message: str) -> str:
    """Return the last four lines of a message as one line of some 300 characters at most."""
    lines = [" ".join(line.split()) for line in message.splitlines() if line.strip()]
    text = " ".join(lines[-4:]).rstrip(".")
    if len(text) > 300:
        text = "... " + text[-300:].partition(" ")[2]
    return text or "(it said nothing)"


def end_of_log(log: Path) -> str:
    """Return the end of a log's file as one line, with the place of all of it."""
    return f"{end_of(log.read_text(encoding='utf-8', errors='replace'))} (all of it: {log})"


def agreed(command: str, question: str) -> bool:
    """Ask the person at the terminal; True for "yes". Raises CourseError without a terminal."""
    if not sys.stdin.isatty():
        raise CourseError(
            f"{command} asks first ({question}), and there is no terminal to ask on: "
            "add --yes (with make, YES=1)."
        )
    return input(f"{question} Type yes to go on: ").strip().lower() == "yes"
