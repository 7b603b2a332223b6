"""`make hint`: the hints of a block, first the nudges, then the calls, one TODO after the other."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

from pydantic import TypeAdapter
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from winelab.commands.student_files import block_or_last, work
from winelab.core.files import write_text
from winelab.core.paths import ROOT, STATE
from winelab.course.compose import sections_after, sections_before
from winelab.course.source import Block, Change, Course, Form, read_course

MEMORY = Path(STATE, "hints.json")
NUDGE, CALL = range(2)
"""Which of a task's hints is which."""
Shown = list[tuple[Change, tuple[int, ...]]]
"""Tasks, each with those of its hints that are shown."""


def open_tasks(course: Course, block: Block, code: str, form: Form) -> list[Change]:
    """Return the block's tasks of which `code` does not have the solution's lines yet, in order.

    Another way to write it looks open; a hint too many does no harm.
    """
    before = sections_before(course, block.number, form)
    after = sections_after(course, block.number, form)
    there = _plain(code.splitlines())
    left = []
    for task in block.tasks:
        old = _plain(line.text for line in before.get(task.section, ()))
        new = _plain(line.text for line in after.get(task.section, ()))
        done = old != new and new <= there and not (old - new) & there
        if form in task.forms and not done:
            left.append(task)
    return left


def _plain(lines: Iterable[str]) -> set[str]:
    """Return lines of code as they compare: without indent, comments and empty ones."""
    texts = (" ".join(line.split()) for line in lines)
    return {text for text in texts if text and not text.startswith("#")}


def next_hints(tasks: list[Change], seen: dict[str, int]) -> tuple[Shown, str]:
    """Return what to show of these open tasks, and the sentence on what comes next.

    First the nudge of each; then the call of the first that lacks it, the one a student is at;
    all of them again when everything was shown. `seen` says how many hints of a section were.
    """
    if fresh := [task for task in tasks if not seen.get(task.section)]:
        several = "calls, one at a time" if len(tasks) > 1 else "call"
        return [(task, (NUDGE,)) for task in fresh], f"Next: `make hint` again shows the {several}."
    if half := [task for task in tasks if seen[task.section] < 2]:
        left = f"Next: `make hint` again shows the call of the next TODO ({len(half) - 1} to go)."
        return [(half[0], (CALL,))], left if len(half) > 1 else "That was the last hint."
    return [(task, (NUDGE, CALL)) for task in tasks], "These are all hints."


def remembered(root: Path = ROOT) -> dict[str, dict[str, int]]:
    """Return how many hints were shown: block's slug to section to number; none if not known."""
    try:
        text = (root / MEMORY).read_bytes()
        return TypeAdapter(dict[str, dict[str, int]]).validate_json(text)
    # Damaged: then the hints begin anew.
    except (OSError, ValueError):
        return {}


def show(hints: Shown, tasks: list[Change], console: Console) -> None:
    """Print hints below the TODOs that they belong to; `tasks` are all of them."""
    for task, steps in hints:
        head = f"TODO {tasks.index(task) + 1} of {len(tasks)}: " if len(tasks) > 1 else ""
        console.print()
        console.print(_code_marked(head + " ".join(task.todo), "bold"))
        for step in steps:
            kind = "the call: " if step == CALL else "nudge: "
            words = Text.assemble((kind, "yellow"), _code_marked(task.hints[step]))
            console.print(Padding(words, (0, 0, 0, 2), expand=False))


def _code_marked(text: str, style: str = "") -> Text:
    """Return text in which what stands between backticks is coloured, and keeps them."""
    words = Text(text, style=style)
    words.highlight_regex(re.compile(r"`[^`]+`"), "cyan")
    return words


def main(number: int | None = None, root: Path = ROOT) -> int:
    """Show a block's next hints; without a number, of the block worked on last; return 0."""
    course = read_course()
    block = block_or_last(course, number, "hint")
    console = Console(highlight=False, markup=False)
    console.print(f"Block {block.number} - {block.title}", style="bold")
    found = work(block, root)
    form: Form = "script" if found and found[0].suffix == ".py" else "notebook"
    mine = [task for task in block.tasks if form in task.forms]
    tasks = open_tasks(course, block, found[1], form) if found else mine
    if found and len(tasks) < len(mine):
        where = f"{found[0].parent.name}/{found[0].name}"
        console.print(f"{len(mine) - len(tasks)} of {len(mine)} TODOs look done in {where}.")
    solution = f"Next: `make solution BLOCK={block.number}`"
    if not tasks:
        check = f"`make watch BLOCK={block.number}`" if form == "script" else "the notebook"
        words = f"All hints were about them. Does the check agree? Run {check}."
        console.print(f"{words} {solution}.")
        return 0
    memory = remembered(root)
    seen = memory.setdefault(block.slug, {})
    hints, following = next_hints(tasks, seen)
    show(hints, mine, console)
    for task, steps in hints:
        seen[task.section] = max(seen.get(task.section, 0), steps[-1] + 1)
    write_text(root / MEMORY, json.dumps(memory, indent=1) + "\n")
    console.print(f"\n{following}")
    if "again" not in following:
        console.print(f"{solution} shows the whole answer.")
    return 0
