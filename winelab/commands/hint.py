"""`make hint`: what the check says of a student's work, and the hints for what is still to do.

The judge is the one of `check`: the work is run in a clean workspace, and the block's checks look
at it. The hints come as nudges first, and then as calls, one TODO after the other.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Collection, Iterable
from pathlib import Path

from pydantic import TypeAdapter
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from winelab.checks.checking import checks_of
from winelab.checks.report import Report
from winelab.commands.student_files import block_or_last, done_blocks, work
from winelab.core.files import write_text
from winelab.core.paths import ROOT, STATE, TABLE
from winelab.course.compose import sections_after, sections_before
from winelab.course.source import CODE_INDENT, Block, Change, Course, Form, read_course
from winelab.proof.execute import Code, Outcome, execute
from winelab.proof.run_code import without_writefile
from winelab.proof.start import furnish_for, solution_code
from winelab.system.forkserver import fork_server
from winelab.tracking.workspace import clean_workspace

MEMORY = Path(STATE, "hints.json")
TIME_LIMIT = 60.0
"""Seconds that a student's code may run."""
NUDGE, CALL = range(2)
"""Which of a task's hints is which."""
Shown = list[tuple[Change, tuple[int, ...]]]
"""Tasks, each with those of its hints that are shown."""


def open_tasks(
    course: Course, block: Block, code: str, form: Form, failing: Collection[str]
) -> list[Change]:
    """Return the block's tasks that are still to do, in order.

    Args:
        course: all blocks.
        block: this one.
        code: the student's.
        form: which kind of file it is from.
        failing: the names of the checks that fail.

    A task is to do if its lines are not there as the solution has them. Once something is done,
    those that a failing check is about come alone, where there are any: the others may be done in
    another way.
    """
    mine = [task for task in block.tasks if form in task.forms]
    before = sections_before(course, block.number, form)
    after = sections_after(course, block.number, form)
    there = _plain(code.splitlines())
    unlike = []
    for task in mine:
        old = _plain(line.text for line in before.get(task.section, ()))
        new = _plain(line.text for line in after.get(task.section, ()))
        if old == new or not new <= there or (old - new) & there:
            unlike.append(task)
    seen_by: dict[str, set[str]] = {}
    for mistake in checks_of(block.folder).mistakes:
        for edit in mistake.edits:
            seen_by.setdefault(edit.section, set()).add(mistake.caught_by)
    seen = [one for one in unlike if not seen_by.get(one.section, set()).isdisjoint(failing)]
    left = [one for one in unlike if one in seen or one.section not in seen_by]
    return (seen if unlike != mine else []) or left or unlike or mine


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


def judged(course: Course, block: Block, path: Path, cells: tuple[str, ...]) -> Outcome:
    """Run a student's work in a clean workspace, and let the checks look at it."""
    with fork_server(), clean_workspace(TABLE if TABLE.is_file() else None) as workspace:
        furnish_for(course, block, workspace)
        if path.suffix == ".ipynb":
            code = Code(f"{block.name}.ipynb", tuple(map(_without_magics, cells)))
        else:
            code = solution_code(block)
            place = workspace / "solutions" / code.source
            if block.package:
                shutil.copytree(path, place)
            else:
                place.write_text(cells[0], encoding="utf-8")
        return execute(code, workspace, check=block.number, limit=TIME_LIMIT)


def _without_magics(cell: str) -> str:
    """Return a cell without what only Jupyter understands: but for a file, it is no solution's."""
    cell = without_writefile(cell)
    if cell.lstrip().startswith("%%"):
        return ""
    return "\n".join(line for line in cell.splitlines() if not line.startswith(("%", "!")))


def show_first(outcome: Outcome, report: Report, console: Console) -> None:
    """Print the error that ended the run, if one did, and the first check that fails."""
    if outcome.error:
        console.print(Text.assemble(("It ends in an error: ", "red"), outcome.last_line))
    first = next(verdict for verdict in report.verdicts if not verdict.done)
    console.print(Text.assemble(("TODO ", "bold yellow"), _code_marked(first.line)))
    words = Text.assemble(("hint: ", "yellow"), _code_marked(first.hint))
    console.print(Padding(words, (0, 0, 0, 5), expand=False))


def show(hints: Shown, tasks: list[Change], console: Console) -> None:
    """Print hints below the TODOs that they belong to; `tasks` are all of them."""
    for task, steps in hints:
        head = f"TODO {tasks.index(task) + 1} of {len(tasks)}: " if len(tasks) > 1 else ""
        console.print()
        console.print(_code_marked(head + " ".join(task.todo), "bold"))
        for step in steps:
            kind = "the call: " if step == CALL else "nudge: "
            for part in task.hints[step].split("\n\n"):
                if part.startswith(CODE_INDENT):
                    console.print(Padding(Text(part, "cyan"), (0, 0, 0, 2), expand=False))
                else:
                    words = Text.assemble((kind, "yellow"), _code_marked(part))
                    console.print(Padding(words, (0, 0, 0, 2), expand=False))
                kind = ""


def _code_marked(text: str, style: str = "") -> Text:
    """Return text in which what stands between backticks is coloured, and keeps them."""
    words = Text(text, style=style)
    words.highlight_regex(re.compile(r"`[^`]+`"), "cyan")
    return words


def main(number: int | None = None, root: Path = ROOT) -> int:
    """Show a block's next hints; without a number, of the block worked on last; return 0.

    Of a block that is done it says so, and goes on with the next one that is not.
    """
    course = read_course()
    block: Block | None = block_or_last(course, number, "hint")
    console = Console(highlight=False, markup=False)
    done = done_blocks(root)
    while block is not None:
        console.print(f"Block {block.number} - {block.title}", style="bold")
        if block.slug not in done and not _hinted(course, block, root, console):
            return 0
        console.print("Done: every check is ok.", style="green")
        done.add(block.slug)
        left = [other for other in course.shown_with(block.part) if other.slug not in done]
        later = [other for other in left if other.number > block.number]
        block = next(iter(later or left), None)
    console.print("All blocks are done.", style="bold green")
    return 0


def _hinted(course: Course, block: Block, root: Path, console: Console) -> bool:
    """Show a block's next hints, unless its checks all pass; return whether they do."""
    found = work(block, root)
    form: Form = "script" if found and found[0].suffix != ".ipynb" else "notebook"
    mine = tasks = [task for task in block.tasks if form in task.forms]
    if found:
        path, cells = found
        name = f"{path.parent.name}/{path.name}"
        console.print(f"Running {name}, as it was saved, beside your store ...", style="dim")
        outcome = judged(course, block, path, cells)
        report = outcome.report
        if report is not None and report.done:
            console.print(f"Run the check in {name} too, so that `make progress` knows.")
            return True
        if report is None or report.problem:
            # It was ended, or died, before a check could look at it.
            console.print(Text(outcome.error.splitlines()[0] if outcome.error else "", "red"))
            failing: list[str] = []
        else:
            show_first(outcome, report, console)
            failing = [verdict.name for verdict in report.verdicts if not verdict.done]
        tasks = open_tasks(course, block, "\n".join(cells), form, failing)
    memory = remembered(root)
    seen = memory.setdefault(block.slug, {})
    hints, following = next_hints(tasks, seen)
    show(hints, mine, console)
    for task, steps in hints:
        seen[task.section] = max(seen.get(task.section, 0), steps[-1] + 1)
    write_text(root / MEMORY, json.dumps(memory, indent=1) + "\n")
    console.print(f"\n{following}")
    if "again" not in following:
        console.print(f"Next: `make solution BLOCK={block.number}` shows the whole answer.")
    return False
