"""Run a script or package on the terminal, then its checks: for `make run` and `make watch`.

``python -m winelab.commands.run_and_check SCRIPT BLOCK [--note]`` is the process of its own that
`started` starts: the script's variables can be checked there afterwards.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from winelab.checks.checking import checks_of, note, run_checks
from winelab.checks.fixtures import CheckContext
from winelab.checks.report import Report
from winelab.core.files import write_text
from winelab.core.order import Listed, find_one, read_order
from winelab.core.paths import ROOT, SOLUTIONS, STATE, TABLE
from winelab.core.processes import own_group, patiently, stop_group, until_stopped
from winelab.course.source import Block, course
from winelab.proof import run_code
from winelab.proof.beside import beside
from winelab.system.environment import venv_environment

GRACE = 5.0
"""Seconds that a script has to close its run and stop what it started."""
MESSAGE_LINES = 8
"""Lines of an error's message that are shown; some of MLflow's fill a page."""
CELLS = "In your script, a cell is a part below a numbered comment; each run runs all of them."
"""Said below hints that speak of cells."""


@contextmanager
def started(block: Block, script: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a script of a block; at the end of the `with` end it, with all that it started.

    Its exit code is 0 when all checks are done, else 1. The option ``--note`` notes a block that
    is done for `make progress`.
    """
    # The runs belong to this block, whatever the file is called.
    more = {"WINELAB_SOURCE": f"{block.name}.py", "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, str(script), block.slug, *options],
        cwd=ROOT,
        env=venv_environment(ROOT) | more,
        stdin=subprocess.DEVNULL,
        **own_group(),
    )
    try:
        yield process
    finally:
        with patiently():
            if process.poll() is None:
                # To the script alone, which closes its run and stops what it has started itself.
                process.send_signal(getattr(signal, "CTRL_BREAK_EVENT", signal.SIGINT))
                with suppress(subprocess.TimeoutExpired):
                    process.wait(GRACE)
            stop_group(process, limit=0)


def shown(path: Path) -> str:
    """Return a path as the student knows it: from the course's folder where it lies in it."""
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)


# --- in the script's process -------------------------------------------------------------------


def run_and_check(script: Path, slug: str, noted: bool) -> int:
    """Run a script as ``python SCRIPT`` would, then its block's checks; 0 if all are done.

    Raises KeyboardInterrupt.
    """
    block = find_one(read_order().blocks, slug)
    os.chdir(script if block.package else script.parent)
    with beside(checks_of(block.folder).server_beside_script):
        return _run_and_check(script, block, noted)


def _run_and_check(script: Path, block: Listed, noted: bool) -> int:
    console = Console(highlight=False, markup=False)
    if block.package:
        end = run_code.run_package(script, course().block(block.slug).meta.runs)
    else:
        # Where the table is, if the script cannot find it by itself.
        at_home = script.parent in (ROOT, SOLUTIONS, ROOT / "my")
        end = run_code.run_script(script, [] if at_home else ["--data", str(TABLE)])
    if isinstance(end.error, KeyboardInterrupt):
        raise end.error
    if end.error is not None:
        show_error(end.error, script, console)
    if isinstance(end.error, SyntaxError) and _is_mine(end.error.filename, script):
        # No line has run: the check would only say that everything is missing.
        return 1
    sys.stdout.flush()
    context = CheckContext(block, end.variables)
    report = run_checks(context)
    show_report(report, console)
    if noted and (missed := note(context, report)):
        console.print(missed)
    return 0 if report.done else 1


def show_error(error: BaseException, script: Path, console: Console) -> None:
    """Print the lines of the student's own script that led to an error, and what it says.

    The whole traceback is kept in a file.
    """
    console.print()
    if isinstance(error, SystemExit):
        console.print(f"The script ended itself: exit({error.code!r}).", style="red")
        return
    whole = traceback.TracebackException.from_exception(error)
    for frame in whole.stack:
        if _is_mine(frame.filename, script):
            within = "" if frame.name == "<module>" else f", in {frame.name}"
            name = Path(frame.filename).name
            console.print(f"{name}, line {frame.lineno}{within}", style="red")
            console.print(f"    {frame.line}")
    message = "".join(whole.format_exception_only()).rstrip().splitlines()
    console.print("\n".join(message[:MESSAGE_LINES]), style="bold red")
    foreign = [
        frame
        for frame in whole.stack
        if frame.filename != run_code.__file__ and not _is_mine(frame.filename, script)
    ]
    if len(message) > MESSAGE_LINES or foreign:
        log = ROOT / STATE / "logs" / "traceback.log"
        with suppress(OSError):
            write_text(log, "".join(whole.format()))
            console.print(f"The whole traceback: {shown(log)}", style="dim")


def _is_mine(name: str | None, script: Path) -> bool:
    """Whether a file is the script, or one of the package in that folder."""
    return name is not None and Path(name).is_relative_to(script)


def show_report(report: Report, console: Console) -> None:
    """Print a report as a table: words as well as colours."""
    console.print(f"\nBlock {report.number} - {report.title}", style="bold")
    table = Table.grid(padding=(0, 1))
    for verdict, hint in report.rows():
        word = Text("  ok  ", "green") if verdict.done else Text("  TODO", "bold yellow")
        table.add_row(word, verdict.line.replace("`", ""))
        if hint:
            table.add_row("", Text.assemble(("hint: ", "yellow"), (hint, "cyan")))
    console.print(table)
    # The hints are worded for both, and most students work in a notebook.
    if any(re.search(r"\bcells?\b", verdict.hint) for verdict in report.verdicts):
        console.print(CELLS, style="dim")
    console.print(report.summary(), style="bold green" if report.done else "")


def main(script: str, slug: str, *options: str) -> int:
    """Run and check a script; return the exit code, 1 too when it is stopped."""
    with until_stopped():
        return run_and_check(Path(script), slug, "--note" in options)
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
