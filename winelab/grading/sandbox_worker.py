"""Run one hand-in inside the sandbox: its code, and after it the block's checks.

It speaks with `grader` in lines of JSON: a job comes in; "at" says which cell runs, "ended" in a
sentence how the code ended; then the checks come in, and "verdicts" go out. See `grader` for what
is believed.
"""

from __future__ import annotations

import base64
import builtins
import concurrent.futures.thread
import errno
import gc
import importlib.util
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, BinaryIO

from winelab.core.errors import CourseError
from winelab.grading.limits import Limits, clean
from winelab.proof.beside import beside
from winelab.proof.run_code import End, new_main, run_script
from winelab.proof.start import unpack_store
from winelab.tracking.workspace import NAME, furnish

# --- how a hand-in's code can end ---------------------------------------------------------------

# What the sandbox denied, by what the last line of a traceback says; "refused" is an answer of this
# machine, not of the net.
_DENIED = {
    r"\w*MemoryError\b": "asked for more memory than the {memory} that a hand-in may have",
    r".*(Network is unreachable|No route to host|Name or service not known|nodename nor servname"
    r"|Temporary failure in name resolution|NameResolutionError|getaddrinfo failed)": "asked the "
    "network, which is not there while a hand-in is graded",
    r".*(No space left on device|Dis[ck] quota exceeded|File too large|database or disk is full)": (
        "wrote more to disk than the {disk} that a hand-in may have"
    ),
    r"BlockingIOError|.*can't start new thread": (
        "started more than the {processes} processes that a hand-in may have"
    ),
    r"EOFError: .*reading a line": "waits for something to be typed, and nobody is there",
    r"TclError: .*display": "wants to open a window, and there is no screen",
}
_REFUSED = (errno.EROFS, errno.EACCES, errno.EPERM)


def denied(error: BaseException | None) -> str:
    """Return what the sandbox denied, to follow "Line 3"; "" for the hand-in's own affair.

    Looks at the error and at those that it came from. The limits' names stand in braces.
    """
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        error = error.__cause__ or error.__context__
    for one in seen:
        for pattern, words in _DENIED.items():
            if re.match(pattern, last_line(one)):
                return words
        file = Path(str(getattr(one, "filename", None) or ""))
        # Its own file, whose rights it has changed itself, is its own affair.
        elsewhere = file.is_absolute() and not file.is_relative_to(Path.home())
        if elsewhere and getattr(one, "errno", None) in _REFUSED:
            return "tried to reach what is outside of its own folder"
    return ""


def last_line(error: BaseException) -> str:
    """Return an error as the last line of its traceback, in one line."""
    # Python's own way to say it copes with an error that cannot say what it is.
    words = traceback.format_exception_only(type(error), error)
    line = " ".join((words[-1] if words else type(error).__name__).split())
    # The name alone: where its class is defined is no help to anybody.
    return re.sub(r"^(?:\w+\.)+(?=\w+(?::|$))", "", line)


def worded(end: End, where: str, rest: str, limits: Limits) -> str:
    """Return how the code ended, in a sentence; "" for a normal end.

    `where` is such as "Code cell 3 of 9", and the `rest`, "cells" or "lines", did not run.
    """
    if end.error is None:
        return ""
    error, words = clean(last_line(end.error)), denied(end.error)
    how = f"{limits.fill(words)} ({error})" if words else f"ended in {error}"
    if isinstance(end.error, SystemExit):
        code = "" if end.error.code is None else clean(end.error.code)
        how = f"ended the run {f'with {code}' if code else 'by exit() or sys.exit()'}"
    return f"{where} {how}; the {rest} after it did not run."


# --- reading what was handed in -----------------------------------------------------------------


_NO_NOTEBOOK = {
    UnicodeDecodeError: "it is not in UTF-8",
    RecursionError: "its JSON is nested without end",
    ValueError: "it is not JSON",
    Exception: "its cells are not as Jupyter writes them",
}


def code_cells(content: bytes) -> list[tuple[str, bool]]:
    """Return the sources of a notebook's code cells, and whether each is marked as meant to fail.

    Any format from 3 on, with or without a byte-order mark. Raises CourseError for another file.
    """
    try:
        notebook = json.loads(content.decode("utf-8-sig"))
        if not isinstance(notebook, dict) or not ({"cells", "worksheets"} & set(notebook)):
            raise CourseError("The file is no notebook: it is JSON, and has no cells.")
        sheets = notebook.get("worksheets", [notebook])
        found = []
        for cell in (cell for sheet in sheets for cell in sheet["cells"]):
            if cell["cell_type"] == "code":
                source = cell["source"] if "source" in cell else cell["input"]
                text = source if isinstance(source, str) else "".join(source)
                tags = (cell.get("metadata") or {}).get("tags") or []
                found.append((text.replace("\r\n", "\n"), "raises-exception" in tags))
    except CourseError:
        raise
    except Exception as error:
        words = next(words for kind, words in _NO_NOTEBOOK.items() if isinstance(error, kind))
        raise CourseError(f"The file is no notebook: {words}.") from None
    if not any(source.strip() for source, _ in found):
        raise CourseError("The notebook has no code in it.")
    spec = (notebook.get("metadata") or {}).get("kernelspec") or {}
    language = str(spec.get("language") or "python") if isinstance(spec, dict) else "python"
    if not language.lower().startswith("python"):
        raise CourseError(f"The notebook is written in {language[:20]}, not in Python.")
    return found


def check_script(content: bytes) -> None:
    """Raise CourseError where a script is no text that Python takes."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in content:
        raise CourseError("The script is no text in UTF-8, which Python wants: save it so.")
    try:
        importlib.util.decode_source(content)
    except (UnicodeError, SyntaxError):
        raise CourseError(
            "The script is not in UTF-8, which Python wants, and names no other encoding: "
            "save it as UTF-8."
        ) from None


# --- running it ---------------------------------------------------------------------------------


def run_notebook(content: bytes, starts: Callable[[int], None]) -> tuple[End, str]:
    """Run all code cells in IPython, as Jupyter's "Run all" does: an error ends it.

    Calls `starts` with each code cell's number, from 1 on, before it runs. Returns how it ended,
    and in which cell. Raises CourseError for what is no notebook.
    """
    cells = code_cells(content)
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    class Shell(InteractiveShell):
        """IPython's shell, of which exit() and quit() end the run."""

        def ask_exit(self) -> None:
            self.exit_now = True

        def enable_gui(self, gui: str | None = None) -> None:
            """There is no window to care for: `%matplotlib inline` asks for none."""

    settings = Config()
    settings.HistoryManager.enabled = False
    settings.InteractiveShell.colors = "nocolor"
    new_main()
    shell = Shell.instance(config=settings, user_module=sys.modules["__main__"])
    for number, (source, may_fail) in enumerate(cells, start=1):
        starts(number)
        result = shell.run_cell(source, store_history=True)
        error = result.error_before_exec or result.error_in_exec
        if shell.exit_now:
            error, may_fail = SystemExit(), False
        if error is not None and not may_fail:
            return End(shell.user_ns, error), f"Code cell {number} of {len(cells)}"
    return End(shell.user_ns), ""


def run_whole_script(content: bytes, path: Path) -> tuple[End, str]:
    """Run a script as ``python SCRIPT`` does, until its threads have ended.

    Returns how it ended, and at which line. Raises CourseError for what is no script.
    """
    check_script(content)
    # A traceback shows its lines from the file.
    path.write_bytes(content)
    # What follows replaces the first place to import from, which -P has left out.
    sys.path.insert(0, "")
    end = run_script(path)
    if end.error is None:
        _wait_for_threads()
        return end, ""
    if not isinstance(end.error, SystemExit):
        print(end.traceback(), file=sys.stderr)
    line = _line_in(end.error, path)
    return end, f"Line {line}" if line else "The script"


def _wait_for_threads() -> None:
    # Those of a pool are sent home by Python at the very end.
    pools = getattr(concurrent.futures.thread, "_threads_queues", ())
    for thread in threading.enumerate():
        if not (thread.daemon or thread is threading.current_thread() or thread in pools):
            thread.join()


def _line_in(error: BaseException, path: Path) -> int:
    """Return the innermost line of the script that the error went through; 0 for none."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return error.lineno or 0
    frames = traceback.extract_tb(error.__traceback__)
    return next((f.lineno or 0 for f in reversed(frames) if f.filename == str(path)), 0)


# --- the state that must be ours again after the hand-in's code ---------------------------------


def keep_interpreter() -> Callable[[], None]:
    """Take down what the interpreter is like now; return the function that puts it back.

    That also forgets every module of the course, so that each is read again. A hand-in may have
    changed them, by mistake or on purpose: this undoes the plain cases.
    """
    from winelab.tracking.run_tags import session

    path, finders, hooks = list(sys.path), list(sys.meta_path), list(sys.path_hooks)
    limit, names, name_of_runs = sys.getrecursionlimit(), dict(vars(builtins)), session()

    def restore() -> None:
        os.chdir(Path.home().anchor)
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)
        sys.settrace(None)
        sys.setprofile(None)
        sys.setrecursionlimit(limit)
        sys.path[:] = path
        # Not only ours: a library may have put its own in place of one of Python's services.
        sys.meta_path[:] = [*finders, *(one for one in sys.meta_path if one not in finders)]
        sys.path_hooks[:] = [*hooks, *(one for one in sys.path_hooks if one not in hooks)]
        sys.path_importer_cache.clear()
        vars(builtins).update(names)
        for name in [name for name in sys.modules if name.partition(".")[0] == "winelab"]:
            del sys.modules[name]
        from winelab.tracking import run_tags

        # The runs carry it: the fresh module must look for the same.
        run_tags._sessions[os.getpid()] = name_of_runs

    return restore


def verdicts(
    slug: str, checks: str, variables: Mapping[str, Any], package: bool = False
) -> list[dict[str, Any]]:
    """Run a block's checks on the variables and on the store of this process.

    Returns each check's "name", whether it is "done", and its "hint".
    """
    from winelab.checks.checking import checks_of, run_checks
    from winelab.checks.fixtures import CheckContext
    from winelab.core.order import Listed

    folder = Path(tempfile.mkdtemp(prefix="winelab-"))
    (folder / "checks.py").write_text(checks, encoding="utf-8")
    (folder / "lesson.md").write_text(f"title: {slug}\n", encoding="utf-8")
    # The worker has no course of which this were a part; number and part are nobody's question.
    report = run_checks(CheckContext(Listed(0, slug, 1, folder, package), variables))
    # Where a block is about no run, a line about one may come on top: no check of the block.
    asked = {function.__name__ for function in checks_of(folder).lines}
    found = [verdict for verdict in report.verdicts if verdict.name in asked]
    return [{"name": v.name, "done": v.done, "hint": v.hint} for v in found]


# --- the conversation ---------------------------------------------------------------------------


def _own_streams() -> tuple[BinaryIO, BinaryIO]:
    """Take standard input and output away from the hand-in: what it prints goes to the error."""
    jobs, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb", buffering=0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    return jobs, answers


def _silence() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    null = os.open(os.devnull, os.O_WRONLY)
    for number in (1, 2):
        os.dup2(null, number)
    sys.stdout = sys.stderr = open(null, "w", encoding="utf-8")  # noqa: PTH123, SIM115


def _settle(job: dict[str, Any]) -> Path:
    """Lay out the workspace, and make the home's few folders; returns the workspace."""
    for name in ("TMPDIR", "MPLCONFIGDIR"):
        Path(os.environ[name]).mkdir(parents=True, exist_ok=True)
    for kept in Path(job["fonts"]).glob("*.json"):
        shutil.copyfile(kept, Path(os.environ["MPLCONFIGDIR"]) / kept.name)
    workspace = furnish(Path.home() / NAME, base64.b64decode(job["table"]))
    if job["store"]:
        unpack_store(base64.b64decode(job["store"]), workspace)
    return workspace


def _not_here(*_: object, **__: object) -> None:
    """What `check` is for a hand-in."""
    print("(The checks are run by the grader, after all cells.)")


def main() -> None:
    """Do one job, and end without a word."""
    import winelab

    # What is imported is no garbage: to look for some so often is a fifth of a hand-in's time.
    gc.set_threshold(100_000)
    jobs, answers = _own_streams()
    me = os.getpid()
    job = json.loads(jobs.readline())
    key = job.pop("key")

    def tell(**message: Any) -> None:
        # A fork that comes out of the hand-in's code must not speak for it.
        if os.getpid() != me:
            os._exit(0)
        answers.write(json.dumps({"key": key, **message}).encode() + b"\n")

    content, name = base64.b64decode(job["content"]), job["name"]
    workspace = _settle(job)
    stack = ExitStack()
    stack.enter_context(beside(job["server"]))
    restore = keep_interpreter()
    winelab.check = _not_here
    folder = workspace / ("labs" if job["notebook"] else "solutions")
    os.chdir(folder)
    try:
        if not content.strip():
            raise CourseError("The file is empty.")
        if job["notebook"]:
            end, where = run_notebook(content, lambda number: tell(at=number))
        else:
            end, where = run_whole_script(content, folder / f"{name}.py")
    except CourseError as error:
        tell(ended=str(error), unread=True)
        stack.close()
        os._exit(0)
    rest = "cells" if job["notebook"] else "lines"
    ended = worded(end, where, rest, Limits(**job["limits"]))
    _silence()
    tell(ended=ended)
    restore()
    more = json.loads(jobs.readline())
    key = more["key"]
    try:
        tell(verdicts=verdicts(job["slug"], more["checks"], end.variables, job["package"]))
    except BaseException as error:
        tell(failed=last_line(error))
    stack.close()
    # Not by way of the hand-in's atexit functions and threads.
    os._exit(0)
