"""Execute what `make matrix` asks of a version of MLflow, with the packages of this Python.

``python -m winelab.proof.run_cases BLOCK ...`` prints the number of cases, and then a line of JSON
for each case that ran: a list with a result for each column that the case is about.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from importlib import import_module

from winelab.core.console import last_line
from winelab.course.source import Course, course
from winelab.proof.cases import DEPRECATED, Case, Part, Step, cases, passes, reasons
from winelab.proof.outputs import solved_code
from winelab.system import forkserver
from winelab.tracking.workspace import clean_workspace


class Column(StrEnum):
    """What is asked of a block; all but the last are named as the Part that it comes from."""

    UNSOLVED = "unsolved"
    SOLVED = "solution"
    MISTAKES = "mistakes"
    EXAMPLES = "examples"
    DEPRECATIONS = "deprecations"


@dataclass(frozen=True)
class Result:
    """What became of a case, in one column."""

    block: int
    column: Column
    name: str
    reasons: list[str]
    """Why it does not hold, a line each; empty where it does."""


# --- a reason in one line ------------------------------------------------------------------------

REASON_LENGTH = 240
"""Characters of a reason that are kept."""
TRACEBACK = "Traceback (most recent call last)"
# The line of a traceback that names the exception: what follows it may be advice over many lines.
_RAISED = re.compile(r"^(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Exit|Interrupt|Warning)\b.*")
# What differs from run to run, and would make two of the same reason look like two reasons.
_BY_CHANCE = (
    (re.compile(r"\b[0-9a-f]{32}\b"), "<id>"),
    (re.compile(r"(?:[A-Za-z]:)?[\w./\\~-]*winelab-[\w./\\-]+"), "<folder>"),
    (re.compile(r"0x[0-9a-f]{6,}"), "<address>"),
    # Where a package lies says nothing, and names a folder of this machine.
    (re.compile(r"\S*[\\/]site-packages[\\/]"), ""),
)


def plain(text: str) -> str:
    """Return a reason in one line, without ids and temporary folders, short enough for a page."""
    line = " ".join(text.split())
    for form, word in _BY_CHANCE:
        line = form.sub(word, line)
    if len(line) > REASON_LENGTH:
        line = line[:REASON_LENGTH].rsplit(" ", 1)[0] + " ..."
    return line


def raised(error: str) -> str:
    """Return the line of a traceback that names the exception, or else its last line."""
    named = [line for line in error.splitlines() if _RAISED.match(line)]
    return plain(named[-1] if named else last_line(error) or "it said nothing")


def shortened(reason: str) -> str:
    """Return a reason in one line; of a traceback in it, what was raised."""
    before, traceback, after = reason.partition(TRACEBACK)
    return plain(before + raised(after)) if traceback else plain(reason)


# --- the cases -----------------------------------------------------------------------------------


def cases_for_matrix(course: Course, numbers: list[int]) -> list[Case]:
    """Return the cases of these blocks that another version of MLflow must hold too."""
    found = []
    for case in cases(course):
        if case.part is Part.OUTPUTS:
            # The stored outputs name the version: here the notebook must run, and pass.
            step = Step(solved_code(course, case.block), passes)
            case = replace(case, part=Part.SOLVED, steps=(step,))
        if case.block.number in numbers and case.part.name in Column.__members__:
            found.append(case)
    return found


def results_of(case: Case) -> list[Result]:
    """Execute a case, and once more where something breaks: then the second time counts.

    What another MLflow breaks, it breaks each time. A server that was slow once is no break.
    """
    found = [shortened(reason) for reason in reasons(case) and reasons(case)]
    told = {
        Column[case.part.name]: [one for one in found if not one.startswith(DEPRECATED)],
        Column.DEPRECATIONS: [
            one.removeprefix(DEPRECATED) for one in found if one.startswith(DEPRECATED)
        ],
    }
    return [Result(case.block.number, column, case.name, lines) for column, lines in told.items()]


def run(found: list[Case], workers: int) -> Iterator[list[Result]]:
    """Yield the results of each case, `workers` at a time.

    The mistakes are last, and left out where the solution does not pass: a mistake is a change
    of it, and nothing would be learned.
    """
    broken = set()
    with ThreadPoolExecutor(workers) as pool:
        others = [case for case in found if case.part is not Part.MISTAKES]
        for results in pool.map(results_of, others):
            broken |= {one.block for one in results if one.column is Column.SOLVED and one.reasons}
            yield results
        mistakes = [case for case in found if case.part is Part.MISTAKES]
        yield from pool.map(
            results_of, [case for case in mistakes if case.block.number not in broken]
        )


def main() -> None:
    """Execute the cases of the blocks that the command line names."""
    lines = sys.stdout
    # Nothing else may come between the lines, whatever a package prints when it is imported.
    with redirect_stdout(sys.stderr):
        # Loaded here as well, so that what this MLflow lacks is said once and not by each case.
        for name in ("mlflow.sklearn", "mlflow.models", "winelab.proof.worker"):
            import_module(name)
        found = cases_for_matrix(course(), [int(text) for text in sys.argv[1:]])
        print(len(found), file=lines, flush=True)
        with forkserver.fork_server():
            with clean_workspace():
                # Makes the empty store that all others are copied from, before the threads start.
                pass
            for results in run(found, min(os.cpu_count() or 1, 8)):
                print(json.dumps([asdict(one) for one in results]), file=lines, flush=True)


if __name__ == "__main__":
    main()
