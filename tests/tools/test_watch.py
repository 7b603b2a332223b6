"""`make watch`, as a process beside an editor: saves of every kind, errors, loops, Ctrl-C."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from tools.made_up import Lifeline
from winelab.checks.checking import Report, Verdict
from winelab.commands import student_files, watch
from winelab.core.paths import ROOT, store_uri
from winelab.course.compose import script_text, unsolved_script
from winelab.course.source import course
from winelab.proof.runner import run
from winelab.tracking.workspace import furnish

LIMIT = 120
"""Seconds within which a text must come; far more than it takes."""

needs_signals = pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is sent as a signal here")


class Watching:
    """`make watch` in a course's folder, and what it has printed."""

    def __init__(self, root: Path, number: int, script: str = "") -> None:
        call = f"from winelab.commands import watch; raise SystemExit(watch.main({number}, {script!r}))"
        self.process = subprocess.Popen(
            [sys.executable, "-c", call],
            cwd=root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUTF8": "1", "COLUMNS": "80", "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )
        self.text = ""
        self._more = threading.Condition()
        self._seen = 0
        self._ended = False
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        while piece := os.read(self.process.stdout.fileno(), 65536):
            with self._more:
                self.text += piece.decode("utf-8", errors="replace")
                self._more.notify_all()
        with self._more:
            self._ended = True
            self._more.notify_all()

    def until(self, words: str) -> str:
        """All from where the last wait ended to these words, which must come."""
        with self._more:
            came = self._more.wait_for(
                lambda: words in self.text[self._seen :] or self._ended, LIMIT
            )
            assert came and words in self.text[self._seen :], self.text[self._seen :]
            end = self.text.index(words, self._seen) + len(words)
            new, self._seen = self.text[self._seen : end], end
            return new

    def stop(self) -> int:
        """Ctrl-C; the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(LIMIT)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A copy of the course in a folder with a space and an accent."""
    root = furnish(tmp_path / "Wine Lab é")
    no_bytecode = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "winelab", root / "winelab", ignore=no_bytecode)
    shutil.copytree(ROOT / "blocks", root / "blocks", ignore=no_bytecode)
    return root


@pytest.fixture
def started() -> Iterator[list[Watching]]:
    """What a test has started; ended with all that it left, should the test fail."""
    those: list[Watching] = []
    yield those
    for one in those:
        if one.process.poll() is None:
            one.stop()


def by_rename(path: Path, text: str) -> None:
    """Save as vim and PyCharm do: a new file under the old name."""
    draft = path.with_suffix(".tmp")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


@needs_signals
def test_each_kind_of_save_runs_it_once(home: Path, started: list[Watching]) -> None:
    path = home / "my" / "00_train.py"
    watching = Watching(home, 0)
    started.append(watching)
    first = watching.until("Waiting for the next save of my/00_train.py")
    assert path.read_text(encoding="utf-8") == unsolved_script(course(), 0)
    assert "TODO" in first and "hint:" in first and "\x1b" not in first
    # A touch is no save.
    path.touch()
    # A mistake, written in place.
    path.write_text(
        "import pandas\n\ndef deep():\n    pandas.nothing\n\ndeep()\n", encoding="utf-8"
    )
    failed = watching.until("Waiting for")
    assert "00_train.py, line 4, in deep" in failed
    assert "AttributeError: module 'pandas' has no attribute 'nothing'" in failed
    assert "Traceback" not in failed
    # Gone for a moment, as in a save of two steps, and back in a burst of events.
    path.unlink()
    for _ in range(5):
        path.write_text("x = (\n", encoding="utf-8")
        path.touch()
    broken = watching.until("Waiting for")
    assert "SyntaxError" in broken and "Block 0" not in broken
    by_rename(path, script_text(course(), 0))
    done = watching.until("Waiting for")
    assert "Block 0 is yours." in done
    assert "make watch BLOCK=1" in done
    assert watching.stop() == 0
    watching.until("Stopped.")
    assert watching.text.count("Running my/00_train.py") == 4
    # The student's file is never written again.
    assert path.read_text(encoding="utf-8") == script_text(course(), 0)
    from mlflow import MlflowClient

    from winelab.tracking.store import marks

    assert marks(MlflowClient(store_uri(home))) == {0}


@needs_signals
@pytest.mark.parametrize("how", ["save", "ctrl-c"])
def test_an_endless_script_is_ended_with_all_that_it_started(
    home: Path, started: list[Watching], how: str
) -> None:
    life = Lifeline()
    path = home / "my" / "00_train.py"
    path.parent.mkdir()
    keep = f"{life.code}\nimport time\nwhile True: time.sleep(1)"
    path.write_text(
        "import subprocess, sys, time\n"
        f"subprocess.Popen([sys.executable, '-c', {keep!r}])\n"
        "print('it has begun')\n"
        "while True:\n    time.sleep(0.1)\n",
        encoding="utf-8",
    )
    watching = Watching(home, 0)
    started.append(watching)
    watching.until("it has begun")
    line = life.taken_up(within=LIMIT)
    if how == "save":
        path.write_text("print('the next one')\n", encoding="utf-8")
        watching.until("Saved again: starting anew.")
        watching.until("the next one")
    else:
        assert watching.stop() == 0
        watching.until("Stopped.")
        assert "KeyboardInterrupt" not in watching.text
    assert life.cut(line, within=LIMIT)
    life.close()


@needs_signals
def test_a_run_that_is_ended_is_closed_in_the_store(home: Path, started: list[Watching]) -> None:
    path = home / "own try.py"
    path.write_text(
        "import time, mlflow\nmlflow.set_experiment('wine-quality')\n"
        "with mlflow.start_run():\n    print('open')\n    while True: time.sleep(0.1)\n",
        encoding="utf-8",
    )
    watching = Watching(home, 3, str(path))
    started.append(watching)
    watching.until("open\n")
    assert watching.stop() == 0
    from mlflow import MlflowClient

    client = MlflowClient(store_uri(home))
    [run_] = client.search_runs([e.experiment_id for e in client.search_experiments()])
    assert run_.info.status == "FAILED"
    # Tagged for its block, whatever the file is called.
    assert run_.data.tags["winelab.block"] == "3"


@pytest.mark.skipif(sys.platform == "win32", reason="a pseudo-terminal is needed")
def test_it_clears_the_screen_on_a_terminal_alone(home: Path) -> None:
    import pty

    call = "from winelab.commands import watch; watch.main(0)"
    above, below = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", call], cwd=home, stdin=below, stdout=below, stderr=below,
        start_new_session=True, env={**os.environ, "TERM": "xterm", "PYTHONUTF8": "1"},
    )  # fmt: skip
    os.close(below)
    said = b""
    try:
        while b"Waiting for" not in said:
            said += os.read(above, 65536)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(LIMIT)
        os.close(above)
    assert b"\x1b[2J" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [("run the cells above.", True), ("Run that cell.", True), ("excellent", False)],
)
def test_what_a_cell_is_in_a_script_is_said_where_a_hint_speaks_of_one(
    words: str, said: bool
) -> None:
    console = Console(record=True, width=200, file=io.StringIO())
    verdict = Verdict("test_a", "a line", False, words)
    watch.show_report(Report(3, "A title", (verdict,), "solutions/03_run.py"), console)
    assert (watch.CELLS in console.export_text()) == said


def test_only_a_new_content_that_stays_counts(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text("one", encoding="utf-8")
    saves = watch.Saves(path)
    assert not saves.changed()
    path.write_text("", encoding="utf-8")
    assert not saves.changed()
    path.write_text("two", encoding="utf-8")
    # Seen once, it may be half of it.
    assert not saves.changed()
    assert saves.changed()
    assert not saves.changed()
    path.unlink()
    assert not saves.changed()
    assert not saves.changed()
    path.write_text("two", encoding="utf-8")
    assert not saves.changed()
    assert not saves.changed()


def test_the_script_to_begin_with_is_never_written_over(tmp_path: Path) -> None:
    block = course().block(3)
    assert student_files.begin_script(course(), block, tmp_path)
    path = student_files.script_path(block, tmp_path)
    path.write_text("mine", encoding="utf-8")
    assert not student_files.begin_script(course(), block, tmp_path)
    assert path.read_text(encoding="utf-8") == "mine"


def test_in_my_a_script_finds_the_course_by_itself(tmp_path: Path) -> None:
    room = furnish(tmp_path / "room")
    student_files.begin_script(course(), course().block(5), room)
    outcome = run(room, source="../my/05_tracking_uri.py", folder="labs")
    assert not outcome.error, outcome.error
    assert not list((room / "my").glob("*.db"))
