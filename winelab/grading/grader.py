"""Grades one hand-in: runs it in a sandbox, and lets the block's checks look at what it left.

What is believed. The checks look at the hand-in's variables, thus they run in its process, and
that process tells their result. Against a verdict that comes from somewhere else:

- It is asked for only after the hand-in's code has ended, by the process's own word; an end by
  os._exit, a signal or a limit is no such word, and nothing is checked then.
- The line to the grader is no standard stream, and no environment variable or file names it. Each
  message must carry a key that came by it, the last one a key that came after the code had ended.
- The checks come by the same line after the code has ended: until then there is no copy of them
  inside. The course's modules are loaded again from read-only files before they are used.
- The verdicts must be about exactly the checks of this block; their lines are written here.

What remains possible: code in a Python process can change all of that process. A hand-in that
searches its own interpreter for the line and the key, or that replaces functions of MLflow's or
Python's in memory, can deceive its checks. It cannot do so by accident, it cannot reach another
hand-in's grade, and what it did stands in its file. A person should look at a grade that surprises.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from winelab.checks.checking import Verdict, checks_of
from winelab.core.errors import CourseError
from winelab.core.paths import TABLE, course_environment
from winelab.course.source import Block, course
from winelab.grading import sandbox
from winelab.grading.result import Grade, HandIn
from winelab.grading.sandbox import Limits, Sandbox, size
from winelab.grading.sandbox_worker import JUPYTERS_BACKEND
from winelab.tracking.workspace import NAME, clean_store, furnish

PRINTED = 4000
"""Characters of the output that a grade keeps."""
LONGEST = 25 * sandbox.MB
"""Bytes of a hand-in that is read: a notebook with many pictures has five."""
WORDS = 200
"""Characters of an error's last line that are shown."""

# Windows starts no program without these.
_WINDOWS = ("SYSTEMROOT", "SYSTEMDRIVE", "COMSPEC", "PATHEXT", "WINDIR", "PROGRAMDATA")


def grade_one(hand_in: HandIn, limits: Limits | None = None) -> Grade:
    """Grade one hand-in. Never raises for anything that it is or does, and cleans up after it.

    It may be called from several threads at once.

    Args:
        hand_in: the notebook (``.ipynb``) or script.
        limits: what it may take; the defaults of `sandbox.Limits` where nothing is said.

    Returns:
        The grade; its verdicts are empty where the checks could not be run. A script that calls
        sys.exit() or sys.exit(0) has ended normally, wherever that stands, as for a shell.
    """
    started = time.monotonic()
    try:
        verdicts, trouble, printed = _graded(hand_in, limits or Limits())
    except CourseError as error:
        verdicts, trouble, printed = (), str(error), ""
    except Exception as error:
        words = _clean(str(error)) or "no message"
        verdicts, printed = (), ""
        trouble = f"The grader failed on it ({type(error).__name__}: {words})."
    seconds = time.monotonic() - started
    return Grade(hand_in, verdicts, trouble, _end_of(printed), seconds)


@contextmanager
def session() -> Iterator[Callable[[HandIn], Grade]]:
    """`grade_one`, with all that is made once prepared before the first hand-in."""
    _prepare()
    yield partial(grade_one)


# --- before it runs -----------------------------------------------------------------------------


def read_hand_in(file: Path) -> bytes:
    """The bytes of a hand-in.

    Raises CourseError for what is no file of its own: a link, a device, or one that is too long.
    """
    if file.is_symlink():
        raise CourseError("The file is a symbolic link, which is not followed: hand in the file.")
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        number = os.open(file, flags | getattr(os, "O_BINARY", 0))
    except OSError as error:
        raise CourseError(f"The file cannot be read ({error.strerror}).") from None
    state = os.fstat(number)
    if not stat.S_ISREG(state.st_mode):
        os.close(number)
        raise CourseError("This is no plain file, but a folder or a device.")
    with os.fdopen(number, "rb") as opened:
        if state.st_size > LONGEST:
            raise CourseError(
                f"The file has {state.st_size / sandbox.MB:.0f} MB; a hand-in may have "
                f"{size(LONGEST)}. Clear its outputs, and hand it in again."
            )
        try:
            return opened.read(LONGEST + 1)[:LONGEST]
        except OSError as error:
            raise CourseError(f"The file cannot be read ({error.strerror}).") from None


_preparing = threading.Lock()
_prepared: dict[str, Any] = {}


def _prepare() -> dict[str, Any]:
    """What every hand-in needs and is made once: the wine table, an empty store, fonts."""
    with _preparing:
        if not _prepared:
            sandbox.best_way()
            course()
            with clean_store() as store:
                # All that a room is laid out with, made or read where it is allowed.
                table = furnish(store.parent / NAME) / "data" / TABLE.name
                _prepared["table"] = base64.b64encode(table.read_bytes()).decode()
            _prepared["fonts"] = str(_fonts())
        return _prepared


def _fonts() -> Path:
    """The folder with matplotlib's list of fonts: making it takes longer than most blocks."""
    folder = sandbox.cache_folder() / "matplotlib"
    folder.mkdir(exist_ok=True)
    if not any(folder.glob("fontlist*.json")):
        subprocess.run(
            [sys.executable, "-c", "import matplotlib.font_manager"],
            env=os.environ | {"MPLCONFIGDIR": str(folder)},
            capture_output=True,
            check=False,
        )
    return folder


def _variables(home: Path, source: str, notebook: bool) -> dict[str, str]:
    """The whole environment of a hand-in: nothing of the caller's that is not said here."""
    room = home / NAME
    temporary = home / "tmp" if home != sandbox.ROOM else Path("/tmp")
    found = {name: os.environ[name] for name in _WINDOWS if name in os.environ}
    scripts = str(Path(sys.executable).parent)
    system = os.environ.get("PATH", "") if os.name == "nt" else "/usr/local/bin:/usr/bin:/bin"
    return {
        **found,
        **course_environment(room),
        "PATH": f"{scripts}{os.pathsep}{system}",
        "HOME": str(home),
        "USERPROFILE": str(home),
        "USER": "student",
        "LOGNAME": "student",
        "LANG": "C.UTF-8",
        **{name: str(temporary) for name in ("TMPDIR", "TEMP", "TMP")},
        "IPYTHONDIR": str(home / ".ipython"),
        "MPLCONFIGDIR": str(home / ".matplotlib"),
        "MPLBACKEND": JUPYTERS_BACKEND if notebook else "agg",
        # The block is known by it, whatever the student has called the file.
        "WINELAB_SOURCE": source,
        # Several hand-ins run at once: each has one core.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        # A cell with `!pip install` fails at once.
        "PIP_RETRIES": "0",
        "PIP_TIMEOUT": "2",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
    }


# --- the conversation ---------------------------------------------------------------------------


class _Ended(Exception):
    """The hand-in's process has ended, or said what it must not say."""


def _heard(box: Sandbox, key: str, *wanted: str) -> dict[str, Any]:
    """The next message that has one of the wanted parts; _Ended where there is none."""
    line = box.receive()
    if line is None:
        raise _Ended
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        raise _Ended from None
    if not isinstance(message, dict) or message.get("key") != key or not set(wanted) & set(message):
        raise _Ended
    return message


def _graded(hand_in: HandIn, limits: Limits) -> tuple[tuple[Verdict, ...], str, str]:
    """The verdicts, the trouble, and what was printed."""
    block = course().block(hand_in.block)
    content = read_hand_in(hand_in.file)
    kept = _prepare()
    notebook = hand_in.file.suffix.lower() == ".ipynb"
    source = f"{block.name}.{'ipynb' if notebook else 'py'}"
    key = secrets.token_hex(16)
    job = {
        "key": key,
        "kind": "notebook" if notebook else "script",
        "name": block.name,
        "number": block.number,
        "content": base64.b64encode(content).decode(),
        "table": kept["table"],
        "fonts": kept["fonts"],
    }
    with Sandbox(limits) as box:
        # -P: a file in the working folder is not taken for a module of the course.
        command = [
            sys.executable,
            "-P",
            "-c",
            "from winelab.grading import sandbox_worker; sandbox_worker.main()",
        ]
        box.start(command, _variables(box.home, source, notebook))
        box.send(json.dumps(job).encode())
        where = ""
        try:
            while True:
                message = _heard(box, key, "at", "ended")
                if "ended" in message:
                    break
                where = f" in code cell {_number(message['at'])}"
            ended = {name: _clean(value) for name, value in dict(message["ended"]).items()}
        except (_Ended, ValueError, TypeError):
            return (), _how_it_went(box, limits, where), box.printed()
        if ended.get("refused"):
            return (), ended["refused"], ""
        trouble = _worded(ended, limits, notebook)
        key = secrets.token_hex(16)
        checks = (block.folder / "checks.py").read_text(encoding="utf-8")
        box.send(json.dumps({"key": key, "checks": checks}).encode())
        try:
            message = _heard(box, key, "verdicts", "failed")
            if "failed" in message:
                raise ValueError(_clean(message["failed"]))
            verdicts = _believed(block, message["verdicts"])
        except (_Ended, ValueError, TypeError, KeyError) as error:
            how = _how_it_went(box, limits, " when it was checked", _clean(error))
            return (), " ".join(filter(None, [trouble, how])), box.printed()
        box.stop()
        return verdicts, trouble, box.printed()


def _number(value: Any) -> int:
    return value if isinstance(value, int) and 0 < value < 10_000 else 0


def _believed(block: Block, told: list[dict[str, Any]]) -> tuple[Verdict, ...]:
    """The verdicts, worded by our own copy of the checks; ValueError if they are about others."""
    functions = checks_of(block.folder).functions
    if [verdict["name"] for verdict in told] != [function.__name__ for function in functions]:
        raise ValueError("its verdicts are not about this block's checks")
    found = []
    for function, verdict in zip(functions, told, strict=True):
        done, hint = verdict["done"] is True, _clean(verdict["hint"], 1000)
        line = next(line.strip() for line in (function.__doc__ or "").splitlines() if line.strip())
        given = bool(getattr(function, "given", False))
        found.append(Verdict(function.__name__, line, done, "" if done else hint, given))
    return tuple(found)


# --- what is said -------------------------------------------------------------------------------


def _clean(text: object, most: int = WORDS) -> str:
    """What a hand-in may have said, as one line that can be shown."""
    words = " ".join("".join(c if c.isprintable() else " " for c in str(text)[: 4 * most]).split())
    return words if len(words) <= most else words[: most - 3] + "..."


def _end_of(text: str) -> str:
    """The end of an output, without what would steer a terminal."""
    kept = "".join(c for c in text if c.isprintable() or c in "\n\t")
    return kept if len(kept) <= PRINTED else "...\n" + kept[-PRINTED:]


def _worded(ended: dict[str, str], limits: Limits, notebook: bool) -> str:
    """How the code ended, in a sentence; "" for a normal end."""
    error, kind = ended.get("error", ""), ended.get("kind", "")
    if not error:
        return ""
    where = ended.get("where") or "It"
    rest = "; the cells after it did not run." if notebook else "; the lines after it did not run."
    if kind == "exit":
        code = ended.get("code", "")
        how = f"with {code}" if code else "by exit() or sys.exit()"
        return f"{where} ended the run {how}{rest}"
    reasons = {
        "network": "asked the network, which is not there while a hand-in is graded",
        "memory": f"asked for more memory than the {size(limits.memory)} that a hand-in may have",
        "disk": f"wrote more to disk than the {size(limits.disk)} that a hand-in may have",
        "processes": f"started more than the {limits.processes} processes that a hand-in may have",
        "outside": "tried to reach what is outside of its own folder",
        "input": "waits for something to be typed, and nobody is there",
        "display": "wants to open a window, and there is no screen",
    }
    if kind in reasons:
        return f"{where} {reasons[kind]} ({error}){rest}"
    return f"{where} ended in {error}{rest}"


def _how_it_went(box: Sandbox, limits: Limits, where: str, said: str = "") -> str:
    """Why there is no answer, in a sentence."""
    if not box.stopped and not said:
        # It may have closed its line, and go on: that is an end too.
        box.wait_for_end(2.0)
    box.stop()
    reasons = {
        sandbox.TIME: f"did not end within {limits.seconds:g} s{where}, and was stopped: a loop "
        "without an end, or a wait for something that never comes",
        sandbox.MEMORY: f"took more than {size(limits.memory)} of memory{where}, and was stopped",
        sandbox.PROCESSES: f"started more processes than the {limits.processes} allowed{where}, "
        "and was stopped",
        sandbox.DISK: f"wrote more than {size(limits.disk)} or {limits.files} files{where}, and "
        "was stopped",
        sandbox.OUTPUT: f"printed more than {size(limits.output)}{where}, and was stopped",
        sandbox.LINES: f"wrote into the grader's own line{where}, and was stopped",
    }
    if box.stopped in reasons:
        return f"It {reasons[box.stopped]}."
    if said:
        return f"Its checks could not be run ({said})."
    if box.code is None:
        return f"It wrote into the grader's own line, or closed it{where}: nothing was checked."
    number = -box.code if box.code < 0 else box.code - 128
    if number > 0:
        with suppress(ValueError):
            return f"Its process died of {signal.Signals(number).name}{where}: nothing was checked."
    return (
        f"It ended its own process{where}, with exit code {box.code} and before its end: nothing "
        "was checked."
    )
