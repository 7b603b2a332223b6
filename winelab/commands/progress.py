"""`make progress`: which blocks are done, read from the student's own store."""

from __future__ import annotations

import os
from collections.abc import Collection

from winelab.core.errors import CourseError
from winelab.core.paths import STORE, course_environment, store_uri
from winelab.course.source import Course, read_course
from winelab.tracking import store


def lines(course: Course, done: Collection[int], caught: Collection[int] = ()) -> list[str]:
    """A line a block: done, next (the first that is not), or open; and how far one is.

    `caught` are the blocks that `make catchup` has added: not done, and not next either, for as
    long as another one is open.
    """
    left_open = [b.number for b in course.blocks if b.number not in done]
    unseen = (n for n in left_open if n > max((n for n in caught if n not in done), default=-1))
    following = next(unseen, next(iter(left_open), None))
    text = []
    for block in course.blocks:
        waiting = "next" if block.number == following else "    "
        if waiting != "next" and block.number in caught:
            waiting = "ran "
        word = "done" if block.number in done else waiting
        place = f"  labs/{block.name}.ipynb" if word == "next" else ""
        text.append(f"{word}  {block.number:2d}  {block.title}{place}")
    left = sum(b.meta["minutes"] for b in course.blocks if b.number not in done)
    count = sum(b.number in done for b in course.blocks)
    rest = f", about {left} minutes to go." if left else ": the whole course."
    if any(line.startswith("ran ") for line in text):
        text.append("ran: `make catchup` added its runs; work it yourself to have it done.")
    return [*text, f"{count} of {len(course.blocks)} blocks done{rest}"]


def main() -> int:
    """Print the progress that the course's store shows."""
    uri = store_uri()
    done: set[int] = set()
    caught: set[int] = set()
    if STORE.exists():
        if problem := store.trouble(uri):
            raise CourseError(problem)
        os.environ.update(course_environment())
        from mlflow import MlflowClient

        try:
            client = MlflowClient(uri)
            done, caught = store.marks(client), store.caught_up(client)
        except Exception as error:
            raise CourseError(store.explain(error)) from error
    print("\n".join(lines(read_course(), done, caught)))
    return 0
