"""Runs every block once with the packages of this Python, and writes down what broke.

``python -m winelab.proof.cases RESULTS [BLOCK ...]``: `make matrix` calls it with the
Python of another MLflow. RESULTS gets a line of JSON for each block as soon as it is done.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from winelab.checks.authoring import Mistake
from winelab.checks.checking import Verdict, checks_of
from winelab.core.paths import SOLUTIONS
from winelab.course.compose import solved_cells, unsolved_cells
from winelab.course.source import Block, Course, read_course
from winelab.proof.examples import examples, prints_as_said
from winelab.proof.mistakes import mistaken_cells
from winelab.proof.runner import Outcome, fork_server, run
from winelab.system.forkserver import PRELOAD
from winelab.tracking.workspace import clean_room

PARTS = ("unsolved", "solution", "mistakes", "examples", "deprecations")
"""What is tried of a block, in the order of the table's columns."""

REASON_LENGTH = 240
"""Characters of a reason that are kept."""

# The line of a traceback that names the exception: what follows it may be advice over many lines.
_RAISED = re.compile(r"^(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Exit|Interrupt|Warning)\b.*")
# What differs from run to run, and would make two of the same reason look like two reasons.
_BY_CHANCE = (
    (re.compile(r"\b[0-9a-f]{32}\b"), "<id>"),
    (re.compile(r"(?:[A-Za-z]:)?[\w./\\~-]*winelab-[\w./\\-]+"), "<room>"),
    (re.compile(r"0x[0-9a-f]{6,}"), "<address>"),
    # Where a package lies says nothing, and names a folder of this machine.
    (re.compile(r"\S*[\\/]site-packages[\\/]"), ""),
)


@dataclass(frozen=True)
class Break:
    """Something of a block that does not work."""

    block: int
    part: str
    """One of PARTS."""
    reason: str
    """One line: the failing check, or the line of the traceback that says what was raised."""


@dataclass(frozen=True)
class Trial:
    """What became of one block."""

    block: int
    counts: dict[str, tuple[int, int]]
    """For each part tried: how many went well, of how many."""
    breaks: tuple[Break, ...] = ()
    seconds: float = 0.0

    def word(self, part: str) -> str:
        """A part in one word: "ok", "3 of 7", or "-" where it was not tried."""
        good, of = self.counts.get(part, (0, 0))
        if not of:
            return "-"
        return "ok" if good == of else f"{good} of {of}"


@dataclass
class _Tally:
    """Gathers a block's results."""

    block: int
    counts: dict[str, tuple[int, int]] = field(default_factory=dict)
    breaks: list[Break] = field(default_factory=list)

    def add(self, part: str, reasons: list[str]) -> None:
        """Count one try of a part, which went well if there is no reason against it."""
        good, of = self.counts.get(part, (0, 0))
        self.counts[part] = (good + (not reasons), of + 1)
        for reason in reasons:
            found = Break(self.block, part, reason)
            # What breaks the script and the notebook alike is said once.
            if found not in self.breaks:
                self.breaks.append(found)


def plain(text: str) -> str:
    """A reason in one line: without ids and temporary folders, and not too long for a table."""
    line = " ".join(text.split())
    for form, word in _BY_CHANCE:
        line = form.sub(word, line)
    if len(line) > REASON_LENGTH:
        line = line[:REASON_LENGTH].rsplit(" ", 1)[0] + " ..."
    return line


def raised(error: str) -> str:
    """The line of a traceback that names the exception, or else its last line."""
    lines = [line for line in error.splitlines() if line.strip()]
    named = [line for line in lines if _RAISED.match(line)]
    return plain((named or lines or ["it said nothing"])[-1])


def _not_checked(outcome: Outcome) -> list[str]:
    """Why a run did not come as far as its checks; empty if it did."""
    if outcome.error:
        return [raised(outcome.error)]
    if _verdicts(outcome):
        return []
    return [plain(outcome.report.trouble if outcome.report else "") or "its checks did not run"]


def _verdicts(outcome: Outcome) -> tuple[Verdict, ...]:
    report = outcome.report
    return report.verdicts if report and not report.trouble else ()


def against_solution(outcome: Outcome) -> list[str]:
    """Why a solution does not pass; empty if it does."""
    return _not_checked(outcome) or [
        plain(f'the check "{verdict.line}" fails: {verdict.hint}')
        for verdict in _verdicts(outcome)
        if not verdict.done
    ]


def against_unsolved(outcome: Outcome) -> list[str]:
    """Why an untouched notebook is not what a student should open; empty if it is."""
    return _not_checked(outcome) or [
        plain(
            f'the check "{verdict.line}" fails before there is anything to do: {verdict.hint}'
            if verdict.given
            else f'the check "{verdict.line}" passes before anything is done'
        )
        for verdict in _verdicts(outcome)
        if verdict.done != verdict.given
    ]


def against_mistake(mistake: Mistake, outcome: Outcome) -> list[str]:
    """Why a mistake is not caught as it should be; empty if it is."""
    name = f'the mistake "{mistake.what}"'
    if mistake.error and mistake.error not in outcome.error:
        seen = raised(outcome.error) if outcome.error else "none"
        return [plain(f'{name} no longer ends in the error "{mistake.error}": {seen}')]
    if outcome.error and not mistake.error:
        return [plain(f"{name} ends in an error: {raised(outcome.error)}")]
    for verdict in _verdicts(outcome):
        if verdict.name == mistake.caught_by:
            if verdict.done:
                return [plain(f"{name} is not caught")]
            if mistake.hint not in verdict.hint:
                return [plain(f"{name} meets another hint: {verdict.hint}")]
            return []
    return [plain(f"{name}: its checks did not run")]


def try_block(course: Course, block: Block, mistakes: tuple[Mistake, ...]) -> Trial:
    """Run one block in all its forms, each in a clean room of its own."""
    started = time.monotonic()
    tally = _Tally(block.number)
    source = f"{block.name}.ipynb"

    def cells(sources: list[str], mistake: Mistake | None = None) -> Outcome:
        environment = dict(mistake.environment) if mistake else {}
        with clean_room() as room:
            return run(
                room, source=source, cells=sources, check=block.number, environment=environment
            )

    untouched = cells([cell.source for cell in unsolved_cells(course, block.number)])
    tally.add("unsolved", against_unsolved(untouched))
    with clean_room() as room:
        name = f"{block.name}.py"
        shutil.copyfile(SOLUTIONS / name, room / "solutions" / name)
        script = run(room, source=name, check=block.number)
    notebook = cells([cell.source for cell in solved_cells(course, block.number)])
    for outcome in (script, notebook):
        tally.add("solution", against_solution(outcome))
    for outcome in (untouched, script, notebook):
        tally.add("deprecations", [plain(warning) for warning in outcome.warnings])
    # A mistake is a change of the solution: where that does not run, nothing can be learned.
    for mistake in () if against_solution(notebook) else mistakes:
        outcome = cells(mistaken_cells(course, block, mistake), mistake)
        tally.add("mistakes", against_mistake(mistake, outcome))
    for reasons in _try_examples(block):
        tally.add("examples", reasons)
    seconds = round(time.monotonic() - started, 1)
    return Trial(block.number, tally.counts, tuple(tally.breaks), seconds)


def _try_examples(block: Block) -> list[list[str]]:
    found = []
    for example in examples((block.folder / "lesson.md").read_text(encoding="utf-8")):
        with clean_room() as room:
            outcome = run(room, source="example.ipynb", cells=[example.code])
        where = f"lesson.md:{example.line}"
        printed = outcome.printed + outcome.last_line
        if example.prints is None:
            found.append([f"{where}: {raised(outcome.error)}"] if outcome.error else [])
        elif prints_as_said(example.prints, printed):
            found.append([])
        else:
            shown = plain(printed) or "nothing"
            found.append([f"{where} prints something else than the lesson says: {shown}"])
    return found


def try_twice(course: Course, block: Block, mistakes: tuple[Mistake, ...]) -> Trial:
    """Run a block as `try_block` does, and once more where something breaks: then that counts.

    What another MLflow breaks, it breaks each time. A server that was slow once is no break.
    """
    trial = try_block(course, block, mistakes)
    return try_block(course, block, mistakes) if trial.breaks else trial


def try_blocks(
    course: Course, numbers: list[int], done: Callable[[Trial], None], workers: int
) -> None:
    """Run blocks, `workers` at a time; `done` hears of each as it ends."""
    blocks = [course.block(number) for number in numbers]
    # Read before the threads start: reading a block's checks imports them.
    mistakes = {block.number: tuple(checks_of(block.folder).mistakes) for block in blocks}
    with clean_room():
        # Makes the empty store that all others are copied from.
        pass
    with ThreadPoolExecutor(workers) as pool:
        waiting = [pool.submit(try_twice, course, one, mistakes[one.number]) for one in blocks]
        for future in as_completed(waiting):
            done(future.result())


def as_json(trial: Trial) -> str:
    """A trial as one line."""
    return json.dumps(asdict(trial))


def from_json(line: str) -> Trial:
    """The trial that `as_json` wrote."""
    values: dict[str, Any] = json.loads(line)
    counts = {part: (good, of) for part, (good, of) in values["counts"].items()}
    breaks = tuple(Break(**one) for one in values["breaks"])
    return Trial(values["block"], counts, breaks, values["seconds"])


def main() -> None:
    """Try the blocks that the command line names, or all; a line each into the results' file."""
    results = Path(sys.argv[1])
    # Loaded here as well, so that what this MLflow lacks is said once and not by each block.
    for name in PRELOAD:
        import_module(name)
    course = read_course()
    numbers = [int(text) for text in sys.argv[2:]] or [block.number for block in course.blocks]
    with results.open("a", encoding="utf-8") as file, fork_server():

        def write(trial: Trial) -> None:
            file.write(as_json(trial) + "\n")
            file.flush()

        try_blocks(course, numbers, write, min(os.cpu_count() or 1, 8))


if __name__ == "__main__":
    main()
