"""`make watch` and `make run`, as processes: saves of every kind, errors, loops, Ctrl-C."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest
from mlflow import MlflowClient
from rich.console import Console

from tools.made_up import Lifeline
from winelab.checks.checking import Report, Verdict
from winelab.commands import run_and_check, student_files, watch
from winelab.core.paths import ROOT, store_uri
from winelab.course.compose import script_text, unsolved_script
from winelab.course.source import course
from winelab.proof.execute import Code, execute
from winelab.tracking.store import marks
from winelab.tracking.workspace import furnish

LIMIT = 120
"""Seconds within which a text must come; far more than it takes."""

needs_signals = pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is sent as a signal here")

FIRST = f"{course().block(0).name}.py"


class Command:
    """A command, such as ``watch.main(3)``, in a course's folder, and what it has printed."""

    def __init__(self, root: Path, call: str) -> None:
        self._log = root / f"{time.time_ns()}.log"
        self._seen = 0
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", f"from winelab.commands import run, watch\n{call}"],
                cwd=root,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUTF8": "1", "COLUMNS": "80", "PYTHONUNBUFFERED": "1"},
                start_new_session=True,
            )

    @property
    def text(self) -> str:
        """All that it has printed until now."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def until(self, words: str) -> str:
        """All from where the last wait ended to these words, which must come."""
        late = time.monotonic() + LIMIT
        while words not in self.text[self._seen :]:
            ended = self.process.poll() is not None and words not in self.text[self._seen :]
            assert not ended and time.monotonic() < late, self.text[self._seen :]
            time.sleep(0.05)
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
    (root / "my").mkdir()
    return root


@pytest.fixture
def start(home: Path) -> Iterator[Callable[[str], Command]]:
    """Start a command in the course's folder; it is ended, should the test fail."""
    started: list[Command] = []

    def start(call: str) -> Command:
        started.append(Command(home, call))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.stop()


@needs_signals
def test_each_kind_of_save_runs_it_once(home: Path, start: Callable[[str], Command]) -> None:
    path = home / "my" / FIRST
    watching = start("watch.main(0)")
    first = watching.until("Waiting for the next save of my/" + FIRST)
    assert path.read_text(encoding="utf-8") == unsolved_script(course(), 0)
    assert "TODO" in first and "hint:" in first and "\x1b" not in first
    # A touch is no save.
    path.touch()
    # A mistake, written in place.
    path.write_text(
        "import pandas\n\ndef deep():\n    pandas.nothing\n\ndeep()\n", encoding="utf-8"
    )
    failed = watching.until("Waiting for")
    assert f"{FIRST}, line 4, in deep" in failed
    assert "AttributeError: module 'pandas' has no attribute 'nothing'" in failed
    assert "raceback" not in failed, "all of it is the student's own"
    # Gone for a moment, as in a save of two steps, and back in a burst of events.
    path.unlink()
    for _ in range(5):
        path.write_text("x = (\n", encoding="utf-8")
        path.touch()
    broken = watching.until("Waiting for")
    assert "SyntaxError" in broken and "Block 0" not in broken and "raceback" not in broken
    # As vim and PyCharm save: a new file under the old name.
    draft = path.with_suffix(".tmp")
    draft.write_text(script_text(course(), 0), encoding="utf-8")
    draft.replace(path)
    done = watching.until("Waiting for")
    assert "Block 0 is yours." in done
    assert "make watch BLOCK=1" in done
    assert watching.stop() == 0
    watching.until("Stopped.")
    assert watching.text.count(f"Running my/{FIRST}") == 4
    # The student's file is never written again.
    assert path.read_text(encoding="utf-8") == script_text(course(), 0)
    assert marks(MlflowClient(store_uri(home))) == {course().block(0).slug}


@needs_signals
@pytest.mark.parametrize(
    ("end", "name", "call"),
    [
        ("save", f"my/{FIRST}", "watch.main(0)"),
        # Tagged for its block, whatever the file is called.
        ("ctrl-c", "own try.py", "watch.main(0, 'own try.py')"),
        ("ctrl-c of a run", f"solutions/{FIRST}", "run.main(0)"),
    ],
)
def test_an_endless_script_is_ended_with_all_that_it_started_and_its_run_is_closed(
    home: Path, start: Callable[[str], Command], end: str, name: str, call: str
) -> None:
    life = Lifeline()
    keep = f"{life.code}\nimport time\nwhile True: time.sleep(1)"
    (home / name).write_text(
        "import subprocess, sys, time, mlflow\n"
        "mlflow.set_experiment('wine-quality')\n"
        "with mlflow.start_run():\n"
        f"    subprocess.Popen([sys.executable, '-c', {keep!r}])\n"
        "    print('it has begun')\n"
        "    while True: time.sleep(0.1)\n",
        encoding="utf-8",
    )
    command = start(call)
    command.until("it has begun")
    line = life.taken_up(within=LIMIT)
    if end == "save":
        (home / name).write_text("print('the next one')\n", encoding="utf-8")
        command.until("Saved again: starting anew.")
        command.until("the next one")
    elif end == "ctrl-c":
        assert command.stop() == 0
        command.until("Stopped.")
        assert "KeyboardInterrupt" not in command.text
    else:
        # The command line turns it into 130.
        assert command.stop() == -signal.SIGINT
    assert life.cut(line, within=LIMIT)
    life.close()
    client = MlflowClient(store_uri(home))
    [run] = client.search_runs([e.experiment_id for e in client.search_experiments()])
    assert (run.info.status, run.data.tags["winelab.block"]) == ("FAILED", course().block(0).slug)


def test_a_reference_script_is_checked_and_not_noted_as_done(
    home: Path, start: Callable[[str], Command]
) -> None:
    block = course().block("run")
    script = home / "solutions" / f"{block.name}.py"
    script.write_text(script_text(course(), block.number), encoding="utf-8")
    command = start(f"raise SystemExit(run.main({block.number}))")
    said = command.until("then the experiment wine-quality.")
    assert said.startswith(f"Running solutions/{script.name}\n")
    assert f"Block {block.number} is yours." in said
    assert command.process.wait(LIMIT) == 0
    assert marks(MlflowClient(store_uri(home))) == set()
    script.write_text("import pandas\npandas.read_csv('no such file')\n", encoding="utf-8")
    command = start(f"raise SystemExit(run.main({block.number}))")
    said = command.until("Solution: ")
    assert f"{script.name}, line 2" in said
    assert "The whole traceback: .winelab/logs/traceback.log" in said
    assert command.process.wait(LIMIT) == 1


def test_it_clears_the_screen_of_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    screen = Console(file=io.StringIO(), force_terminal=True, legacy_windows=False)
    monkeypatch.setattr(watch, "Console", lambda **_: screen)
    monkeypatch.setattr(watch, "run_until_saved", Mock(side_effect=KeyboardInterrupt))
    with screen.capture() as shown, pytest.raises(KeyboardInterrupt):
        watch.watch(course(), course().block(0), tmp_path / "mine.py", "")
    assert "\x1b[2J" in shown.get()


@pytest.mark.parametrize(
    ("words", "said"),
    [("run the cells above.", True), ("Run that cell.", True), ("excellent", False)],
)
def test_what_a_cell_is_in_a_script_is_said_where_a_hint_speaks_of_one(
    words: str, said: bool
) -> None:
    console = Console(record=True, width=200, file=io.StringIO())
    verdict = Verdict("test_a", "a line", False, words)
    run_and_check.show_report(Report(3, "A title", (verdict,), "solutions/03_run.py"), console)
    assert (run_and_check.CELLS in console.export_text()) == said


def test_only_a_new_content_that_stays_counts(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text("one", encoding="utf-8")
    saves = watch.Saves(path)
    # At each look, the file's content, None where it is gone; and whether that is a save. Seen
    # once, it may be half of it.
    looks: list[tuple[str | None, bool]] = [("one", False), ("", False)]
    looks += [("two", False), ("two", True), ("two", False)]
    looks += [(None, False), (None, False), ("two", False), ("two", False)]
    for content, counts in looks:
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_text(content, encoding="utf-8")
        assert saves.changed() == counts


def test_in_my_a_script_finds_the_course_by_itself(tmp_path: Path) -> None:
    room = furnish(tmp_path / "room")
    student_files.begin_script(course(), course().block("tracking_uri"), room)
    outcome = execute(Code(f"../my/{course().block('tracking_uri').name}.py", folder="labs"), room)
    assert not outcome.error, outcome.error
    assert not list((room / "my").glob("*.db"))
