"""The timetables of docs/teaching.md: which blocks a session has, and its minutes.

A timetable stands between two comments, and the first says what is planned:

    <!-- sessions: 90 minutes; every block; home 9 16; 0-3 | 4-7 | 8-10 -->
    (the table, which `make build` writes)
    <!-- sessions: end -->
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from winelab.core.errors import CourseError
from winelab.course.source import Course

TALK = 15
"""Minutes that a session must leave for its opening question, the slides and the end."""

_PLACE = re.compile(r"(<!-- sessions: (?!end)(.*?) -->\n).*?(<!-- sessions: end -->)", re.DOTALL)


@dataclass(frozen=True)
class Plan:
    """What a first comment says."""

    minutes: int
    sessions: tuple[tuple[int, ...], ...]
    """The blocks of each session, in order."""
    home: frozenset[int]
    """Blocks of these sessions that are done at home."""
    every: bool
    """Whether each block of the course must be there."""


def _wrong(message: str) -> CourseError:
    return CourseError(f"docs/teaching.md: {message}")


def read_plan(words: str) -> Plan:
    """Read the plan in a comment's words. Raises CourseError for words it does not know."""
    minutes, every, home = 0, False, frozenset[int]()
    sessions: tuple[tuple[int, ...], ...] = ()
    for part in (part.strip() for part in words.split(";")):
        if found := re.fullmatch(r"(\d+) minutes", part):
            minutes = int(found[1])
        elif part == "every block":
            every = True
        elif re.fullmatch(r"home( \d+)+", part):
            home = frozenset(map(int, part.split()[1:]))
        elif re.fullmatch(r"[\d\s|-]+", part) and not sessions:
            sessions = tuple(_blocks(text) for text in part.split("|"))
        else:
            raise _wrong(f'"{part}" is not understood in a timetable.')
    if not minutes or not sessions:
        raise _wrong('a timetable needs "N minutes" and its blocks.')
    return Plan(minutes, sessions, home, every)


def _blocks(text: str) -> tuple[int, ...]:
    found: list[int] = []
    for word in text.split():
        match = re.fullmatch(r"(\d+)(?:-(\d*))?", word)
        if not match:
            raise _wrong(f'"{word}" names no blocks, such as 4 or 4-7.')
        found += range(int(match[1]), int(match[2] or match[1]) + 1)
    return tuple(found)


def timetable(plan: Plan, course: Course) -> str:
    """Return a Markdown table with a row a session.

    Raises CourseError for a block that is missing, planned twice, or not there, and for a
    session with too little time left to talk.
    """
    minutes = {block.number: block.meta.minutes for block in course.blocks}
    planned = [number for session in plan.sessions for number in session]
    for number in sorted({*planned, *plan.home}):
        if number not in minutes:
            raise _wrong(f"there is no block {number} to plan.")
        if planned.count(number) != 1:
            raise _wrong(f"block {number} is planned {planned.count(number)} times.")
    missing = [str(number) for number in minutes if plan.every and number not in planned]
    if missing:
        named = ", ".join(missing)
        raise _wrong(f"no session has block {named}: put it into the line above the table.")
    rows = [
        "| session | in class | minutes of work | left to talk | at home |",
        "| ---: | --- | ---: | ---: | --- |",
    ]
    for at, session in enumerate(plan.sessions, start=1):
        here = [number for number in session if number not in plan.home]
        work = sum(minutes[number] for number in here)
        left = plan.minutes - work
        if left < TALK:
            raise _wrong(
                f"session {at} has {work} minutes of work in {plan.minutes}, and {TALK} must be "
                "left to talk: move a block, or send it home."
            )
        there = [f"{number} ({minutes[number]} min)" for number in session if number in plan.home]
        blocks = ", ".join(f"{number} ({minutes[number]})" for number in here)
        rows.append(f"| {at} | {blocks} | {work} | {left} | {', '.join(there) or '-'} |")
    at_home = sum(minutes[number] for number in plan.home)
    in_class = sum(minutes[number] for number in planned) - at_home
    home = f", {at_home} at home" if at_home else ""
    return "\n".join(rows) + (
        f"\n\n{len(planned)} blocks: {in_class} minutes of work in class{home}, in "
        f"{len(plan.sessions)} sessions of {plan.minutes} minutes."
    )


def with_timetables(text: str, course: Course) -> str:
    """Return `text` with today's table in each of its places. Raises CourseError as `timetable`."""

    def table(place: re.Match[str]) -> str:
        return f"{place[1]}\n{timetable(read_plan(place[2]), course)}\n\n{place[3]}"

    return _PLACE.sub(table, text)
