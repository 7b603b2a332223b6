"""`make hint`: the hints of a block, first the nudges, then the calls, one TODO after the other."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from winelab.commands.student_files import block_or_last, work
from winelab.core.files import write_text
from winelab.core.paths import ROOT, STATE
from winelab.course.compose import sections_after, sections_before
from winelab.course.source import Block, Course, Form, Task, read_course

MEMORY = Path(STATE, "hints.json")


@dataclass(frozen=True)
class Shown:
    """What one call shows: some TODOs with one of their hints each, and what comes next."""

    hints: tuple[tuple[Task, int], ...]
    """The task, and which of its hints: 0 the nudge, 1 the call."""
    following: str


def open_tasks(course: Course, block: Block, code: str, form: Form) -> list[Task]:
    """The block's tasks of which `code` does not have the solution's lines yet, in order.

    Another way to write it looks open; a hint too many does no harm.
    """
    before = sections_before(course, block.number, form)
    after = sections_after(course, block.number, form)
    there = _plain(code.splitlines())
    left = []
    for task in block.tasks:
        if form not in task.forms:
            continue
        old = _plain(line.text for line in before.get(task.section, ()))
        new = _plain(line.text for line in after.get(task.section, ()))
        done = (new - old or old - new) and new <= there and not (old - new) & there
        if not done:
            left.append(task)
    return left


def _plain(lines: object) -> set[str]:
    """Lines of code as they compare: without indent, comments and empty ones."""
    texts = (" ".join(str(line).split()) for line in lines)  # type: ignore[attr-defined]
    return {text for text in texts if text and not text.startswith("#")}


def next_hints(tasks: list[Task], seen: dict[str, int]) -> Shown:
    """What to show of these open tasks; `seen` says how many hints of a section were shown.

    First the nudge of each; then the call of the first that lacks it, the one a student is at;
    all of them again when everything was shown.
    """
    fresh = [task for task in tasks if not seen.get(task.section)]
    if fresh:
        several = "calls, one at a time" if len(tasks) > 1 else "call"
        return Shown(tuple((t, 0) for t in fresh), f"Next: `make hint` again shows the {several}.")
    half = [task for task in tasks if seen[task.section] < 2]
    if half:
        left = len(half) - 1
        following = (
            f"Next: `make hint` again shows the call of the next TODO ({left} to go)."
            if left
            else "That was the last hint."
        )
        return Shown(((half[0], 1),), following)
    return Shown(tuple((t, step) for t in tasks for step in (0, 1)), "These are all hints.")


def remembered(root: Path = ROOT) -> dict[str, dict[str, int]]:
    """How many hints were shown: block's name to section to number. Empty if it is not known."""
    try:
        memory = json.loads((root / MEMORY).read_text(encoding="utf-8"))
        return {
            str(name): {str(section): int(count) for section, count in shown.items()}
            for name, shown in memory.items()
        }
    # Damaged: then the hints begin anew.
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def show(block: Block, shown: Shown, numbers: dict[str, int], console: Console) -> None:
    """Print hints below the TODOs that they belong to; `numbers` are the sections' places."""
    last = ""
    for task, step in shown.hints:
        if task.section != last:
            todo = " ".join(task.todo)
            head = f"TODO {numbers[task.section]} of {len(numbers)}: " if len(numbers) > 1 else ""
            console.print()
            console.print(_code_marked(head + todo, "bold"))
        last = task.section
        words = Text.assemble((("nudge: ", "the call: ")[step], "yellow"))
        words.append_text(_code_marked(task.hints[step]))
        console.print(Padding(words, (0, 0, 0, 2), expand=False))


def _code_marked(text: str, style: str = "") -> Text:
    """Text in which what stands between backticks is coloured, and keeps them."""
    words = Text(text, style=style)
    words.highlight_regex(re.compile(r"`[^`]+`"), "cyan")
    return words


def main(number: int | None = None, root: Path = ROOT) -> int:
    """Show a block's next hints; without a number, of the block worked on last. Returns 0."""
    course = read_course()
    block = block_or_last(course, number, "hint")
    console = Console(highlight=False)
    console.print(f"Block {block.number} - {block.title}", style="bold", markup=False)
    found = work(block, root)
    form: Form = "script" if found and found[0].suffix == ".py" else "notebook"
    mine = [task for task in block.tasks if form in task.forms]
    tasks = open_tasks(course, block, found[1], form) if found else mine
    if found and len(tasks) < len(mine):
        where = f"{found[0].parent.name}/{found[0].name}"
        console.print(
            f"{len(mine) - len(tasks)} of {len(mine)} TODOs look done in {where}.", markup=False
        )
    if not tasks:
        check = f"`make watch BLOCK={block.number}`" if form == "script" else "the notebook"
        console.print(
            f"All hints were about them. Does the check agree? Run {check}. "
            f"Next: `make solution BLOCK={block.number}`.",
            markup=False,
        )
        return 0
    memory = remembered(root)
    seen = memory.setdefault(block.name, {})
    shown = next_hints(tasks, seen)
    show(block, shown, {task.section: at for at, task in enumerate(mine, 1)}, console)
    for task, step in shown.hints:
        seen[task.section] = max(seen.get(task.section, 0), step + 1)
    write_text(root / MEMORY, json.dumps(memory, indent=1) + "\n")
    solution = f"`make solution BLOCK={block.number}` shows the whole answer."
    console.print(f"\n{shown.following}", markup=False)
    if "again" not in shown.following:
        console.print(f"Next: {solution}", markup=False)
    return 0
