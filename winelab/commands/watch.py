"""`make watch`: runs a student's own script at each save, and shows the check below it.

The script runs in a process of its own (``python -m winelab.commands.watch SCRIPT BLOCK``), as
`make run` runs a solution. The file is looked at five times a second instead of asking the
system for events: that works the same on every system, and on a network drive.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from winelab.checks.checking import Report, look_at, note
from winelab.checks.fixtures import Look
from winelab.commands.student_files import begin_script, block_or_last, script_path
from winelab.core.errors import CourseError
from winelab.core.paths import ROOT, SOLUTIONS, STATE, TABLE
from winelab.core.processes import patiently, signal_group, stop_group, until_stopped
from winelab.course.source import Block, Course, read_course
from winelab.system.environment import venv_environment
from winelab.tracking.store import prepare

PAUSE = 0.2
"""Seconds between two looks at the file; it must be the same in two of them to count as saved."""
PATIENCE = 20.0
"""Seconds after which a run that has not ended is spoken of."""
GRACE = 5.0
"""Seconds that a script has to close its run and stop what it started."""
MESSAGE_LINES = 8
"""Lines of an error's message that are shown; some of MLflow's fill a page."""
CELLS = "In your script, a cell is a part below a numbered comment; each run runs all of them."
"""Said below hints that speak of cells."""


class Saves:
    """Tells when a file was saved with another content, however its editor does that."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._last: bytes | None = None
        self.content = self._read()
        """What counts as saved now; None while the file is not there."""

    def _read(self) -> bytes | None:
        # Missing for a moment, or locked by its editor on Windows.
        try:
            self._last = self.path.read_bytes()
        except OSError:
            self._last = None
        return self._last

    def changed(self) -> bool:
        """Whether the file is there with a new content, the same as at the look before."""
        before = self._last
        now = self._read()
        if now is None or now != before or now == self.content:
            return False
        self.content = now
        return True


# --- beside the editor -------------------------------------------------------------------------


def main(number: int | None = None, script: str = "") -> int:
    """Watch the student's script of a block until Ctrl-C; returns 0.

    Args:
        number: the block; the one worked on last without it.
        script: a file of the student's, instead of the one in my/.

    CourseError where there is no such file, or no telling which block is meant.
    """
    course = read_course()
    block = block_or_last(course, number, "watch")
    path, greeting = script_path(block), ""
    if script:
        path = Path(script).expanduser().resolve()
        if not path.is_file():
            raise CourseError(f"There is no file {path}: name your script with SCRIPT=.")
    elif begin_script(course, block):
        greeting = f"Your script is {shown(path)}: open it in your editor. TODO marks what to do."
    prepare(ROOT)
    with until_stopped():
        watch(course, block, path, greeting)
    print("Stopped.")
    return 0


def watch(course: Course, block: Block, path: Path, greeting: str = "") -> None:
    """Run the script now and at each save, until KeyboardInterrupt; the greeting comes once."""
    console = Console(highlight=False)
    saves = Saves(path)
    while True:
        if console.is_terminal:
            console.clear()
        if greeting:
            console.print(greeting, style="bold", markup=False)
            greeting = ""
        console.print(f"Running {shown(path)}", style="dim", markup=False)
        # What the script runs with is what is on disk when it starts.
        code = run_until_saved(block, path, saves, console)
        if code is None:
            console.print("Saved again: starting anew.", style="dim")
            continue
        if code == 0:
            console.print(following(course, block), markup=False)
        console.print(
            f"\nWaiting for the next save of {shown(path)} with a change (Ctrl-C ends this).",
            style="dim",
            markup=False,
        )
        while not saves.changed():
            time.sleep(PAUSE)


def shown(path: Path) -> str:
    """A path as it is named to the student: from the course's folder where it lies in it."""
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)


def following(course: Course, block: Block) -> str:
    """What comes after a block that is done."""
    if block.number + 1 == len(course.blocks):
        return "That was the last block. `make progress` shows which ones are done."
    after = course.block(block.number + 1)
    return f"Next: block {after.number}, {after.title}. `make watch BLOCK={after.number}`"


def run_until_saved(block: Block, path: Path, saves: Saves, console: Console) -> int | None:
    """Run the script to its end; its exit code, or None when a save has ended it."""
    process = start(block, path)
    began = time.monotonic()
    told = False
    try:
        while process.poll() is None:
            if saves.changed():
                return None
            if not told and time.monotonic() - began > PATIENCE:
                told = True
                console.print(
                    f"It still runs, after {PATIENCE:.0f} s. The next save ends it and starts "
                    "anew; Ctrl-C ends it for good.",
                    style="yellow",
                )
            time.sleep(PAUSE / 4)
        return process.returncode
    finally:
        with patiently():
            end(process)


def start(block: Block, path: Path) -> subprocess.Popen[bytes]:
    """Start the script, and its check, in a process group of its own."""
    variables = venv_environment(ROOT) | {
        # The runs belong to this block, whatever the file is called.
        "WINELAB_SOURCE": f"{block.name}.py",
        "PYTHONUNBUFFERED": "1",
    }
    apart: dict[str, Any]
    if sys.platform == "win32":
        apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    else:
        # Ctrl-C reaches us alone: the script, and what it started, is then ended in good order.
        apart = {"start_new_session": True}
    return subprocess.Popen(
        [sys.executable, "-m", "winelab.commands.watch", str(path), str(block.number)],
        cwd=ROOT,
        env=variables,
        stdin=subprocess.DEVNULL,
        **apart,
    )


def end(process: subprocess.Popen[bytes]) -> None:
    """End a script and all that it started; it may close its run and stop its server first."""
    if process.poll() is None:
        if sys.platform == "win32":
            process.send_signal(signal.CTRL_BREAK_EVENT)
        else:
            # To the script alone, which stops what it has started itself.
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
    stop_group(process, limit=0 if process.poll() is None else GRACE)
    if sys.platform != "win32":
        signal_group(process, signal.SIGKILL)


# --- in the script's process -------------------------------------------------------------------


def run_and_check(path: Path, number: int) -> int:
    """Run a script as ``python SCRIPT`` would, then its block's checks; 0 if all are done."""
    console = Console(highlight=False)
    main_module = ModuleType("__main__")
    sys.modules["__main__"] = main_module
    variables = vars(main_module)
    variables["__file__"] = str(path)
    sys.argv = [str(path), *arguments(path)]
    sys.path[0] = str(path.parent)
    os.chdir(path.parent)
    try:
        source = path.read_bytes()
        exec(compile(source, str(path), "exec"), variables)
    except KeyboardInterrupt:
        return 1
    except SystemExit as stop:
        if stop.code not in (None, 0):
            console.print(f"\nThe script ended itself: exit({stop.code!r}).", style="red",
                          markup=False)  # fmt: skip
    except SyntaxError as error:
        show_error(error, path, console)
        # No line has run: the check would only say that everything is missing.
        if error.filename == str(path):
            return 1
    except BaseException as error:
        show_error(error, path, console)
    sys.stdout.flush()
    try:
        look = Look(number, variables)
        report = look_at(look)
        show_report(report, console)
        if missed := note(look, report):
            console.print(missed, markup=False)
    except KeyboardInterrupt:
        return 1
    return 0 if report.done else 1


def arguments(path: Path) -> list[str]:
    """The command line of a script: where the table is, if it cannot find it by itself."""
    at_home = (ROOT, SOLUTIONS, ROOT / "my")
    return [] if path.parent in at_home else ["--data", str(TABLE)]


def show_error(error: BaseException, path: Path, console: Console) -> None:
    """Print the lines of the student's own script that led to an error, and what it says.

    The whole traceback is kept in a file.
    """
    whole = traceback.TracebackException.from_exception(error)
    own = [frame for frame in whole.stack if frame.filename == str(path)]
    console.print()
    for frame in own:
        within = "" if frame.name == "<module>" else f", in {frame.name}"
        console.print(f"{path.name}, line {frame.lineno}{within}", style="red", markup=False)
        console.print(f"    {frame.line}", markup=False)
    message = "".join(whole.format_exception_only()).rstrip().splitlines()
    console.print("\n".join(message[:MESSAGE_LINES]), style="bold red", markup=False)
    if len(message) > MESSAGE_LINES or any(f.filename != str(path) for f in whole.stack[1:]):
        log = ROOT / STATE / "logs" / "watch.log"
        with contextlib.suppress(OSError):
            log.parent.mkdir(parents=True, exist_ok=True)
            log.write_text("".join(whole.format()), encoding="utf-8")
            console.print(f"The whole traceback: {shown(log)}", style="dim", markup=False)


def show_report(report: Report, console: Console) -> None:
    """Print a report as a table: words as well as colours."""
    console.print()
    console.print(f"Block {report.number} - {report.title}", style="bold", markup=False)
    table = Table.grid(padding=(0, 1))
    for verdict, hint in report.rows():
        word = Text("  ok  ", "green") if verdict.done else Text("  TODO", "bold yellow")
        table.add_row(word, verdict.line.replace("`", ""))
        if hint:
            table.add_row("", Text.assemble(("hint: ", "yellow"), (hint, "cyan")))
    console.print(table, markup=False)
    # The hints are worded for both, and most students work in a notebook.
    if any(re.search(r"\bcells?\b", verdict.hint) for verdict in report.verdicts):
        console.print(CELLS, style="dim", markup=False)
    console.print(report.summary(), style="bold green" if report.done else "", markup=False)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    # Set anew: a process that was started in the background may have Ctrl-C turned off.
    signal.signal(signal.SIGINT, _interrupt)
    if sys.platform == "win32":
        signal.signal(signal.SIGBREAK, _interrupt)
    status = run_and_check(Path(sys.argv[1]), int(sys.argv[2]))
    sys.stdout.flush()
    sys.exit(status)
