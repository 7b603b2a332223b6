"""`make watch`: runs a student's own script at each save, and shows the check below it.

The file is looked at five times a second instead of asking the system for events: that works
the same on every system, and on a network drive.
"""

from __future__ import annotations

import math
import time
from pathlib import Path

from rich.console import Console

from winelab.commands.run_and_check import shown, started
from winelab.commands.student_files import begin_script, block_or_last, script_path
from winelab.core.errors import CourseError
from winelab.core.files import files_within
from winelab.core.paths import ROOT
from winelab.core.processes import until_stopped
from winelab.course.source import Block, Course, read_course
from winelab.tracking.store import prepare

PAUSE = 0.2
"""Seconds between two looks at the file; it must be the same in two of them to count as saved."""
PATIENCE = 20.0
"""Seconds after which a run that has not ended is spoken of."""


class Saves:
    """Tells when a file, or one in a folder, was saved with another content, however it is done."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._last = self._saved = self._read()

    def _read(self) -> list[tuple[Path, bytes]] | None:
        # Missing for a moment, or locked by its editor on Windows.
        try:
            files = files_within(self.path) if self.path.is_dir() else [self.path]
            return [(path, path.read_bytes()) for path in files]
        except OSError:
            return None

    def changed(self) -> bool:
        """Return whether it is there with a new content, the same as at the look before."""
        before, self._last = self._last, self._read()
        if self._last is None or self._last != before or self._last == self._saved:
            return False
        self._saved = self._last
        return True


def main(number: int | None = None, script: str = "") -> int:
    """Watch the student's script of a block until Ctrl-C; return 0.

    Args:
        number: the block; the one worked on last without it.
        script: a file of the student's, instead of the one in my/.

    Raises CourseError where there is no such file, or no telling which block is meant.
    """
    course = read_course()
    block = block_or_last(course, number, "watch")
    path, greeting = script_path(block), ""
    if script:
        path = Path(script).expanduser().resolve()
        if not path.is_file():
            raise CourseError(f"There is no file {path}: name your script with SCRIPT=.")
    elif begin_script(course, block):
        what = "package" if block.package else "script"
        greeting = f"Your {what} is {shown(path)}: open it in your editor. TODO marks what to do."
    prepare(ROOT)
    with until_stopped():
        watch(course, block, path, greeting)
    print("Stopped.")
    return 0


def watch(course: Course, block: Block, path: Path, greeting: str) -> None:
    """Run the script now and at each save, until KeyboardInterrupt; the greeting comes once."""
    console = Console(highlight=False, markup=False)
    saves = Saves(path)
    while True:
        if console.is_terminal:
            console.clear()
        if greeting:
            console.print(greeting, style="bold")
            greeting = ""
        console.print(f"Running {shown(path)}", style="dim")
        # What the script runs with is what is on disk when it starts.
        code = run_until_saved(block, path, saves, console)
        if code is None:
            console.print("Saved again: starting anew.", style="dim")
            continue
        if code == 0:
            console.print(following(course, block))
        waiting = f"Waiting for the next save of {shown(path)} with a change (Ctrl-C ends this)."
        console.print(f"\n{waiting}", style="dim")
        while not saves.changed():
            time.sleep(PAUSE)


def following(course: Course, block: Block) -> str:
    """Return what comes after a block that is done."""
    if not course.after(block):
        return "That was the last block. `make progress` shows which ones are done."
    (after,) = course.after(block)
    return f"Next: block {after.number}, {after.title}. `make watch BLOCK={after.number}`"


def run_until_saved(block: Block, path: Path, saves: Saves, console: Console) -> int | None:
    """Run the script to its end; return its exit code, or None when a save has ended it."""
    late = time.monotonic() + PATIENCE
    with started(block, path, "--note") as process:
        while process.poll() is None:
            if saves.changed():
                return None
            if time.monotonic() > late:
                # Said once.
                late = math.inf
                words = f"It still runs, after {PATIENCE:.0f} s. The next save ends it and starts "
                console.print(words + "anew; Ctrl-C ends it for good.", style="yellow")
            time.sleep(PAUSE / 4)
        return process.returncode
