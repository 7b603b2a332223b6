"""`make progress`: which blocks are done, read from the student's own store."""

from __future__ import annotations

from collections.abc import Collection

from winelab.core.paths import STORE
from winelab.course.source import Course, read_course
from winelab.tracking import store


def lines(course: Course, done: Collection[int], caught: Collection[int] = ()) -> list[str]:
    """Return a line a block: done, next (the first that is not), or open; and how far one is.

    `caught` are the blocks that `make catchup` has added: not done, and not next either, for as
    long as another one is open.
    """
    left = [block.number for block in course.blocks if block.number not in done]
    ran = set(caught) - set(done)
    unseen = (number for number in left if number > max(ran, default=-1))
    following = next(unseen, next(iter(left), None))
    text = []
    for block in course.blocks:
        word, place = "ran" if block.number in ran else "", ""
        if block.number in done:
            word = "done"
        elif block.number == following:
            word, place = "next", f"  labs/{block.name}.ipynb"
        text.append(f"{word:4}  {block.number:2d}  {block.title}{place}")
    if any(line.startswith("ran ") for line in text):
        text.append("ran: `make catchup` added its runs; work it yourself to have it done.")
    minutes = sum(b.meta.minutes for b in course.blocks if b.number not in done)
    rest = f", about {minutes} minutes to go." if minutes else ": the whole course."
    count = len(course.blocks) - len(left)
    return [*text, f"{count} of {len(course.blocks)} blocks done{rest}"]


def main() -> int:
    """Print the progress that the course's store shows; return 0."""
    done: set[int] = set()
    caught: set[int] = set()
    if STORE.exists():
        with store.opened() as client:
            done, caught = store.marks(client), store.caught_up(client)
    print("\n".join(lines(read_course(), done, caught)))
    return 0
