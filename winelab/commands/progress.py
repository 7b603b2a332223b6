"""`make progress`: which blocks are done, read from the student's own store."""

from __future__ import annotations

from collections.abc import Collection

from winelab.core.paths import STORE
from winelab.course.source import Course, read_course
from winelab.tracking import store


def lines(course: Course, done: Collection[str], caught: Collection[str] = ()) -> list[str]:
    """Return a line a block: done, next (the first that is not), or open; and how far one is.

    `caught` are the blocks that `make catchup` has added: not done, and not next either, for as
    long as another one is open.
    """
    # A part on request is shown to who has begun it.
    begun = {block.part for block in course.blocks if block.slug in {*done, *caught}}
    shown = course.shown_with(*begun)
    left = [block for block in shown if block.slug not in done]
    ran = [block for block in left if block.slug in caught]
    unseen = (block for block in left if not ran or block.number > ran[-1].number)
    following = next(unseen, next(iter(left), None))
    text = []
    for block in shown:
        word, place = "ran" if block in ran else "", ""
        if block not in left:
            word = "done"
        elif block == following:
            word, place = "next", f"  labs/{block.name}.ipynb"
        text.append(f"{word:4}  {block.number:2d}  {block.title}{place}")
    if any(line.startswith("ran ") for line in text):
        text.append("ran: `make catchup` added its runs; work it yourself to have it done.")
    minutes = sum(block.meta.minutes for block in left)
    rest = f", about {minutes} minutes to go." if minutes else ": the whole course."
    return [*text, f"{len(shown) - len(left)} of {len(shown)} blocks done{rest}"]


def main() -> int:
    """Print the progress that the course's store shows; return 0."""
    done: set[str] = set()
    caught: set[str] = set()
    if STORE.exists():
        with store.opened() as client:
            done, caught = store.marks(client), store.caught_up(client)
    print("\n".join(lines(read_course(), done, caught)))
    return 0
