"""Grade one hand-in: run it in a sandbox, and let the block's checks look at what it left.

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
from contextlib import suppress
from pathlib import Path
from typing import Any

from winelab.checks.checking import checks_of
from winelab.checks.report import Verdict
from winelab.core.errors import CourseError
from winelab.core.paths import TABLE, course_environment
from winelab.course.source import Block, course
from winelab.grading.backends import HOME, cache_folder
from winelab.grading.limits import MB, Denial, Limits, size
from winelab.grading.result import Grade, HandIn
from winelab.grading.sandbox import Sandbox, best_backend
from winelab.tracking.workspace import NAME, clean_store, furnish

PRINTED = 4000
"""Characters of the output that a grade keeps."""
LONGEST = 25 * MB
"""Bytes of a hand-in that is read: a notebook with many pictures has five."""
WORDS = 200
"""Characters of an error's last line that are shown."""

# -P: a file in the working folder is not taken for a module of the course.
_WORKER = [
    *(sys.executable, "-P", "-c"),
    "from winelab.grading import sandbox_worker; sandbox_worker.main()",
]
# Windows starts no program without these.
_WINDOWS = ("SYSTEMROOT", "SYSTEMDRIVE", "COMSPEC", "PATHEXT", "WINDIR", "PROGRAMDATA")


def grade_one(hand_in: HandIn, limits: Limits | None = None) -> Grade:
    """Grade one hand-in. Never raises for anything that it is or does, and cleans up after it.

    It may be called from several threads at once.

    Args:
        hand_in: the notebook (``.ipynb``) or script.
        limits: what it may take; the defaults of `Limits` where nothing is said.

    Returns:
        The grade; its verdicts are empty where the checks could not be run. A script that calls
        sys.exit() or sys.exit(0) has ended normally, wherever that stands, as for a shell.
    """
    started = time.monotonic()
    verdicts: tuple[Verdict, ...] = ()
    printed = ""
    try:
        verdicts, problem, printed = _graded(hand_in, limits or Limits())
    except CourseError as error:
        problem = str(error)
    except Exception as error:
        words = _clean(str(error)) or "no message"
        problem = f"The grader failed on it ({type(error).__name__}: {words})."
    seconds = time.monotonic() - started
    return Grade(hand_in, verdicts, problem, printed[-PRINTED:], seconds)


# --- before it runs -----------------------------------------------------------------------------


def read_hand_in(file: Path) -> bytes:
    """Return the bytes of a hand-in.

    Raises CourseError for what is no file of its own: a link, a device, or one that is too long.
    """
    if file.is_symlink():
        raise CourseError("The file is a symbolic link, which is not followed: hand in the file.")
    # Neither follow a link that has just been put there, nor wait for somebody to fill a pipe.
    careful = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise CourseError("This is no plain file, but a folder or a device.")
        with open(file, "rb", opener=lambda name, flags: os.open(name, flags | careful)) as opened:
            content = opened.read(LONGEST + 1)
    except OSError as error:
        raise CourseError(f"The file cannot be read ({error.strerror}).") from None
    if len(content) > LONGEST:
        raise CourseError(
            f"The file has {file.stat().st_size / MB:.0f} MB; a hand-in may have "
            f"{size(LONGEST)}. Clear its outputs, and hand it in again."
        )
    return content


_preparing = threading.Lock()
_prepared: dict[str, str] = {}


def _prepare() -> dict[str, str]:
    """Make what every hand-in needs, once: the wine table, an empty store, a list of fonts."""
    with _preparing:
        if not _prepared:
            best_backend()
            course()
            # Making matplotlib's list takes longer than most blocks.
            fonts = cache_folder() / "matplotlib"
            if not any(fonts.glob("fontlist*.json")):
                command = [sys.executable, "-c", "import matplotlib.font_manager"]
                environment = os.environ | {"MPLCONFIGDIR": str(fonts)}
                subprocess.run(command, env=environment, capture_output=True, check=False)
            with clean_store() as store:
                # All that a workspace is laid out with, made or read where it is allowed.
                table = furnish(store.parent / NAME) / "data" / TABLE.name
                _prepared["table"] = base64.b64encode(table.read_bytes()).decode()
            _prepared["fonts"] = str(fonts)
        return _prepared


def _variables(home: Path, source: str) -> dict[str, str]:
    """Return the whole environment of a hand-in: nothing of the caller's that is not said here."""
    temporary = str(home / "tmp" if home != HOME else Path("/tmp"))
    scripts = str(Path(sys.executable).parent)
    system = os.environ.get("PATH", "") if os.name == "nt" else "/usr/local/bin:/usr/bin:/bin"
    notebook = source.endswith(".ipynb")
    return {
        **{name: os.environ[name] for name in _WINDOWS if name in os.environ},
        **course_environment(home / NAME),
        "PATH": f"{scripts}{os.pathsep}{system}",
        **dict.fromkeys(("HOME", "USERPROFILE"), str(home)),
        **dict.fromkeys(("USER", "LOGNAME"), "student"),
        **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), temporary),
        "LANG": "C.UTF-8",
        "IPYTHONDIR": str(home / ".ipython"),
        "MPLCONFIGDIR": str(home / ".matplotlib"),
        "MPLBACKEND": "module://matplotlib_inline.backend_inline" if notebook else "agg",
        # The block is known by it, whatever the student has called the file.
        "WINELAB_SOURCE": source,
        # Several hand-ins run at once: each has one core.
        **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"),
        **dict.fromkeys(("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"), "1"),
        # A cell with `!pip install` fails at once.
        "PIP_RETRIES": "0",
        "PIP_TIMEOUT": "2",
        **dict.fromkeys(("PIP_DISABLE_PIP_VERSION_CHECK", "PIP_NO_INPUT"), "1"),
    }


# --- the conversation ---------------------------------------------------------------------------


def _graded(hand_in: HandIn, limits: Limits) -> tuple[tuple[Verdict, ...], str, str]:
    """Return the verdicts, the problem, and what was printed."""
    block = course().block(hand_in.block)
    content = read_hand_in(hand_in.file)
    notebook = hand_in.file.suffix.lower() == ".ipynb"
    job = {
        "notebook": notebook,
        "name": block.name,
        "number": block.number,
        "content": base64.b64encode(content).decode(),
        **_prepare(),
    }
    with Sandbox(limits) as box:
        box.start(_WORKER, _variables(box.home, f"{block.name}.{'ipynb' if notebook else 'py'}"))
        where = ""
        try:
            key = _tell(box, job)
            while "ended" not in (message := _heard(box, key, "at", "ended")):
                where = f" in code cell {_clean(message['at'], 5)}"
            ended = {name: _clean(value) for name, value in dict(message["ended"]).items()}
        except (_EndedError, ValueError, TypeError):
            return (), _how_it_went(box, where), box.printed()
        if ended.get("refused"):
            return (), ended["refused"], ""
        problem = _worded(ended, limits, notebook)
        try:
            key = _tell(box, {"checks": (block.folder / "checks.py").read_text(encoding="utf-8")})
            message = _heard(box, key, "verdicts", "failed")
            if "failed" in message:
                raise ValueError(_clean(message["failed"]))
            verdicts = _believed(block, message["verdicts"])
        except (_EndedError, ValueError, TypeError, KeyError) as error:
            how = _how_it_went(box, " when it was checked", _clean(error))
            return (), " ".join(filter(None, [problem, how])), box.printed()
        box.stop()
        return verdicts, problem, box.printed()


class _EndedError(Exception):
    """The hand-in's process has ended, or said what it must not say."""


def _tell(box: Sandbox, message: dict[str, Any]) -> str:
    """Send a message with a fresh key, which the answer must carry; returns the key."""
    key = secrets.token_hex(16)
    box.send(json.dumps({"key": key, **message}).encode())
    return key


def _heard(box: Sandbox, key: str, *wanted: str) -> dict[str, Any]:
    """Return the next message that has one of the wanted parts; _EndedError without one."""
    try:
        message = json.loads(box.receive() or b"")
    except (ValueError, RecursionError):
        raise _EndedError from None
    if not isinstance(message, dict) or message.get("key") != key or not set(wanted) & set(message):
        raise _EndedError
    return message


def _believed(block: Block, told: list[dict[str, Any]]) -> tuple[Verdict, ...]:
    """Return the verdicts, worded by our own checks; ValueError if they are about others."""
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
    """Return what a hand-in may have said, as one line that can be shown."""
    words = " ".join("".join(c if c.isprintable() else " " for c in str(text)[: 4 * most]).split())
    return words if len(words) <= most else words[: most - 3] + "..."


def _worded(ended: dict[str, str], limits: Limits, notebook: bool) -> str:
    """Return how the code ended, in a sentence; "" for a normal end."""
    if not (error := ended.get("error", "")):
        return ""
    where = ended.get("where") or "It"
    rest = f"; the {'cells' if notebook else 'lines'} after it did not run."
    if "exit" in ended:
        how = f"with {ended['exit']}" if ended["exit"] else "by exit() or sys.exit()"
        return f"{where} ended the run {how}{rest}"
    denial = Denial.__members__.get(ended.get("denial", ""))
    if denial:
        return f"{where} {limits.fill(denial.value)} ({error}){rest}"
    return f"{where} ended in {error}{rest}"


def _how_it_went(box: Sandbox, where: str, said: str = "") -> str:
    """Return why there is no answer, in a sentence."""
    # It may have closed its line, and go on: that is an end too.
    box.wait(0 if said else 2)
    if box.stopped:
        return f"It {box.limits.fill(box.stopped.value, where=where)}."
    if said:
        return f"Its checks could not be run ({said})."
    if box.code is None:
        return f"It wrote into the grader's own line, or closed it{where}: nothing was checked."
    number = -box.code if box.code < 0 else box.code - 128
    with suppress(ValueError):
        return f"Its process died of {signal.Signals(number).name}{where}: nothing was checked."
    return (
        f"It ended its own process{where}, with exit code {box.code} and before its end: nothing "
        "was checked."
    )
