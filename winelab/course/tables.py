"""The tables in Markdown pages: README.md's of the blocks, docs/teaching.md's of sessions.

A table of sessions, a timetable, stands between two comments. The first says what is planned:

    <!-- sessions: 90 minutes; home tags; every block, from train | params_metrics | artifacts -->
    (the table, which `make build` writes)
    <!-- sessions: end -->

With "every block, from" the first block of each session stands there: a new block is in the session
of the one before it. Without it, all blocks of each session do: `train run..tags | autolog`.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from winelab.core.errors import CourseError
from winelab.course.notebook import TEMPLATES
from winelab.course.source import Block, Course, minutes
from winelab.course.templates import render

_BLOCKS = re.compile(
    r"(<!-- blocks(?: of part (\d+))?: start -->).*?(<!-- blocks: end -->)", re.DOTALL
)
TALK = 15
"""Minutes that a session must leave for its opening question, the slides and the end."""

_PLAN = re.compile(r"(\d+) minutes; (?:home ([^;]+); )?(every block, from )?([^;]+)")
_PLACE = re.compile(r"(<!-- sessions: (?!end)(.*?) -->\n).*?(<!-- sessions: end -->)", re.DOTALL)


def with_blocks(page: str, course: Course, root: str = "") -> str:
    """Return `page` with today's table between its two marks; unchanged where it has none.

    Args:
        page: its text.
        course: all blocks.
        root: the way from the page's folder to the course's, such as "../".

    The table has a row a block, and one with name and minutes above those of a part. It has the
    blocks that everybody works through, or those of a part: ``<!-- blocks of part 4: start -->``.
    """

    def table(found: re.Match[str]) -> str:
        blocks = course.find(f"part {found[2]}") if found[2] else course.main
        rows = render(
            TEMPLATES / "blocks.md.j2",
            blocks=blocks,
            parts=course.parts,
            minutes=minutes,
            root=root,
        )
        return f"{found[1]}\n\n{rows}\n\n{found[3]}"

    return _BLOCKS.sub(table, page)


@dataclass(frozen=True)
class Plan:
    """What the comment above a timetable says."""

    minutes: int
    sessions: list[list[Block]]
    """The blocks of each session, in order."""
    home: list[Block]
    """Blocks of these sessions that are done at home."""


def read_plan(words: str, course: Course) -> Plan:
    """Read the plan in a comment's words. Raises CourseError for what is none."""
    match = _PLAN.fullmatch(words)
    if not match:
        form = "90 minutes; home tags; every block, from train | params_metrics"
        raise CourseError(f'"{words}" is not understood; write a timetable like "{form}".')
    length, home, every, planned = match.groups()
    sessions = [course.find(text) for text in planned.split("|")]
    if every:
        firsts = [block.number for session in sessions for block in session]
        if firsts[0] != 0 or firsts != sorted({*firsts}) or len(firsts) != len(sessions):
            raise CourseError(
                f'"{planned}" must be the first block of each session, in order, from '
                f"{course.blocks[0].slug} on."
            )
        ends = [*firsts[1:], len(course.main)]
        sessions = [list(course.blocks[first:end]) for first, end in zip(firsts, ends, strict=True)]
    return Plan(int(length), sessions, course.find(home) if home else [])


def timetable(plan: Plan, course: Course) -> str:
    """Return a Markdown table with a row a session.

    Raises CourseError for a block that is missing or planned twice, and for a session with too
    little time left to talk.
    """
    planned = [block for session in plan.sessions for block in session]
    times = Counter(block.number for block in planned)
    for block in [*planned, *plan.home]:
        if times[block.number] != 1:
            raise CourseError(f"{block.slug} is planned {times[block.number]} times.")
    sessions = []
    for at, session in enumerate(plan.sessions, start=1):
        here = [block for block in session if block not in plan.home]
        work = minutes(here)
        left = plan.minutes - work
        if left < TALK:
            raise CourseError(
                f"session {at} has {work} minutes of work in {plan.minutes}, and {TALK} must be "
                "left to talk: move a block, or send it home."
            )
        home = [block for block in session if block in plan.home]
        sessions.append({"here": here, "home": home, "work": work, "left": left})
    return render(
        TEMPLATES / "timetable.md.j2",
        sessions=sessions,
        blocks=len(planned),
        in_class=sum(session["work"] for session in sessions),
        at_home=minutes(plan.home),
        minutes=plan.minutes,
    )


def with_timetables(page: str, course: Course) -> str:
    """Return `page` with today's table in each of its places.

    Raises CourseError for a plan that cannot be read or kept.
    """

    def table(place: re.Match[str]) -> str:
        try:
            made = timetable(read_plan(place[2], course), course)
        except CourseError as error:
            raise CourseError(f"docs/teaching.md: {error}") from None
        return f"{place[1]}\n{made}\n\n{place[3]}"

    return _PLACE.sub(table, page)
