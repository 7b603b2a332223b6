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
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from winelab.checks.checking import checks_of, source_text, verdict_on
from winelab.checks.report import Verdict
from winelab.core.errors import CourseError
from winelab.core.paths import course_environment
from winelab.course.source import Block, course
from winelab.grading.backends import HOME, cache_folder
from winelab.grading.limits import Limits, clean
from winelab.grading.result import Grade, HandIn, read_file
from winelab.grading.sandbox import Sandbox, best_backend
from winelab.proof.start import packed_store
from winelab.tracking.data import twin_bytes
from winelab.tracking.workspace import NAME, clean_store

PRINTED = 4000
"""Characters of the output that a grade keeps."""
SENTENCE = 430
"""Characters of the sentence that says how a hand-in ended."""

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
        words = clean(str(error)) or "no message"
        problem = f"The grader failed on it ({type(error).__name__}: {words})."
    seconds = time.monotonic() - started
    return Grade(hand_in, verdicts, problem, printed[-PRINTED:], seconds)


# --- before it runs -----------------------------------------------------------------------------


_preparing = threading.Lock()


@cache
def _prepared() -> dict[str, str]:
    """Make what every hand-in needs, once: the wine table, an empty store, a list of fonts."""
    best_backend()
    course()
    # Making matplotlib's list takes longer than most blocks.
    fonts = cache_folder() / "matplotlib"
    if not any(fonts.glob("fontlist*.json")):
        command = [sys.executable, "-c", "import matplotlib.font_manager"]
        environment = os.environ | {"MPLCONFIGDIR": str(fonts)}
        subprocess.run(command, env=environment, capture_output=True, check=False)
    # Inside, an empty store can be copied, and not made.
    with clean_store():
        return {"table": base64.b64encode(twin_bytes()).decode(), "fonts": str(fonts)}


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
    with _preparing:
        prepared = _prepared()
    block = course().block(hand_in.block)
    try:
        content = read_file(hand_in.file)
    except CourseError as error:
        raise CourseError(f"{hand_in.file.name}: {error}.") from None
    notebook = hand_in.file.suffix.lower() == ".ipynb"
    job = {
        "notebook": notebook,
        "server": not notebook and checks_of(block.folder).server_beside_script,
        "name": block.name,
        "slug": block.slug,
        "package": block.package,
        "store": base64.b64encode(packed_store(course(), block)).decode(),
        "limits": asdict(limits),
        "content": base64.b64encode(content).decode(),
        **prepared,
    }
    with Sandbox(limits) as box:
        box.start(_WORKER, _variables(box.home, f"{block.name}.{'ipynb' if notebook else 'py'}"))
        where = problem = ""
        try:
            key = _tell(box, job)
            while "ended" not in (message := _heard(box, key, "at", "ended")):
                where = f" in code cell {clean(message['at'], 5)}"
            problem = clean(message["ended"], SENTENCE)
            if "unread" in message:
                return (), problem, ""
            where = " when it was checked"
            key = _tell(box, {"checks": source_text(block.folder / "checks.py")})
            message = _heard(box, key, "verdicts", "failed")
            if "failed" in message:
                raise ValueError(message["failed"])
            verdicts = _believed(block, message["verdicts"])
        except (_EndedError, ValueError, TypeError, KeyError) as error:
            how = _how_it_went(box, where, clean(error))
            return (), f"{problem} {how}".strip(), box.printed()
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
    functions = checks_of(block.folder).lines
    if [verdict["name"] for verdict in told] != [function.__name__ for function in functions]:
        raise ValueError("its verdicts are not about this block's checks")
    hints = [
        "" if verdict["done"] is True else clean(verdict["hint"], 1000) or "there is no hint."
        for verdict in told
    ]
    return tuple(map(verdict_on, functions, hints))


# --- what is said -------------------------------------------------------------------------------


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
