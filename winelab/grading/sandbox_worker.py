"""What runs in the sandbox for one hand-in: its code, and after it the block's checks.

It speaks with `grading` in lines of JSON: a job comes in; "at" says which cell runs, "ended" how
the code ended; then the checks come in, and "verdicts" go out. See `grading` for what is believed.
"""

from __future__ import annotations

import base64
import builtins
import concurrent.futures.thread
import contextlib
import errno
import json
import os
import re
import secrets
import shutil
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

from winelab.tracking.workspace import NAME, furnish

JUPYTERS_BACKEND = "module://matplotlib_inline.backend_inline"


# --- how a hand-in's code can end ---------------------------------------------------------------

# What says that it was the network that was missing; "refused" is an answer of this machine.
_OFFLINE = (
    *("Network is unreachable", "Name or service not known", "nodename nor servname"),
    *("Temporary failure in name resolution", "NameResolutionError", "getaddrinfo failed"),
)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def kind_of(error: BaseException | None) -> str:
    """What an error tells of the sandbox, or "" where it is the hand-in's own affair.

    "network", "memory", "disk", "processes", "outside", "input", "display" or "exit".
    """
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        error = error.__cause__ or error.__context__
    for one in seen:
        number = one.errno if isinstance(one, OSError) else None
        text = last_line(one)
        if isinstance(one, SystemExit):
            return "exit"
        if isinstance(one, MemoryError):
            return "memory"
        if number in (errno.ENETUNREACH, errno.EHOSTUNREACH) or any(w in text for w in _OFFLINE):
            return "network"
        if number in _FULL or "database or disk is full" in text:
            return "disk"
        if isinstance(one, BlockingIOError) or "can't start new thread" in text:
            return "processes"
        refused = number in (errno.EROFS, errno.EACCES, errno.EPERM)
        named = one.filename if isinstance(one, OSError) else None
        # Its own file, whose rights it has changed itself, is its own affair.
        if refused and isinstance(named, str) and not _at_home(named):
            return "outside"
        if isinstance(one, EOFError) and "reading a line" in text:
            return "input"
        if type(one).__name__ == "TclError" and "display" in text:
            return "display"
    return ""


def _at_home(name: str) -> bool:
    # Not by way of the working folder, which may be gone.
    return not Path(name).is_absolute() or Path(name).is_relative_to(Path.home())


def last_line(error: BaseException) -> str:
    """An error as the last line of its traceback, in one line."""
    # Python's own way to say it copes with an error that cannot say what it is.
    words = traceback.format_exception_only(type(error), error)
    line = " ".join((words[-1] if words else type(error).__name__).split())
    # The name alone: where its class is defined is no help to anybody.
    return re.sub(r"^(?:\w+\.)+(?=\w+(?::|$))", "", line)


@dataclass
class End:
    """How the code of a hand-in ended."""

    error: str = ""
    """The last line of the traceback; "" for a normal end."""
    kind: str = ""
    """See `kind_of`."""
    where: str = ""
    """The cell or line that it ended in, such as "Code cell 3 of 9"."""
    code: str = ""
    """What was given to sys.exit."""
    refused: str = ""
    """A sentence, where the file is nothing that could be run."""
    variables: dict[str, Any] = field(default_factory=dict)

    def told(self) -> dict[str, str]:
        """All but the variables."""
        return {name: value for name, value in vars(self).items() if isinstance(value, str)}

    def after(self, error: BaseException, where: str) -> End:
        """This end, by an error."""
        self.error, self.kind, self.where = last_line(error), kind_of(error), where
        if isinstance(error, SystemExit):
            self.code = "" if error.code is None else str(error.code)
        return self


# --- reading what was handed in -----------------------------------------------------------------


class Unreadable(Exception):
    """The file is no notebook or script; the message is the sentence to show."""


def code_cells(content: bytes) -> list[tuple[str, bool]]:
    """The sources of a notebook's code cells, and whether each is marked as meant to fail.

    Any format from 3 on, with or without a byte-order mark. Raises Unreadable.
    """
    try:
        notebook = json.loads(content.decode("utf-8-sig"))
        if not isinstance(notebook, dict) or not ({"cells", "worksheets"} & set(notebook)):
            raise Unreadable("The file is no notebook: it is JSON, and has no cells.")
        if "worksheets" in notebook:
            cells = [cell for sheet in notebook["worksheets"] for cell in sheet["cells"]]
        else:
            cells = notebook["cells"]
        found = []
        for cell in cells:
            if cell["cell_type"] != "code":
                continue
            source = cell["source"] if "source" in cell else cell["input"]
            text = source if isinstance(source, str) else "".join(source)
            tags = (cell.get("metadata") or {}).get("tags") or []
            found.append((text.replace("\r\n", "\n"), "raises-exception" in tags))
    except UnicodeDecodeError:
        raise Unreadable("The file is no notebook: it is not in UTF-8.") from None
    except RecursionError:
        raise Unreadable("The file is no notebook: its JSON is nested without end.") from None
    except ValueError:
        empty = not content.strip()
        raise Unreadable(
            "The file is empty." if empty else "The file is no notebook: it is not JSON."
        ) from None
    except (TypeError, KeyError, AttributeError):
        raise Unreadable(
            "The file is no notebook: its cells are not as Jupyter writes them."
        ) from None
    if not any(source.strip() for source, _ in found):
        raise Unreadable("The notebook has no code in it.")
    spec = (notebook.get("metadata") or {}).get("kernelspec") or {}
    language = str(spec.get("language") or "python") if isinstance(spec, dict) else "python"
    if not language.lower().startswith("python"):
        raise Unreadable(f"The notebook is written in {language[:20]}, not in Python.")
    return found


def compiled(content: bytes, path: Path) -> Any:
    """A script's code. Raises Unreadable where it is no text that Python takes, or SyntaxError."""
    if not content.strip():
        raise Unreadable("The file is empty.")
    if content.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in content:
        raise Unreadable("The script is no text in UTF-8, which Python wants: save it so.")
    try:
        return compile(content, str(path), "exec")
    except SyntaxError as error:
        if "codec can't decode" in str(error) or "Non-UTF-8" in str(error):
            raise Unreadable(
                "The script is not in UTF-8, which Python wants, and names no other encoding: "
                "save it as UTF-8."
            ) from None
        raise


# --- running it ---------------------------------------------------------------------------------


def _new_main() -> ModuleType:
    # Pickle and inspect look a class or function of the student's up in this module.
    module = ModuleType("__main__")
    module.__dict__["__builtins__"] = builtins
    sys.modules["__main__"] = module
    return module


def run_notebook(content: bytes, end: End, at: Callable[[int], None]) -> End:
    """Run all code cells in IPython, as Jupyter's "Run all" does: an error ends it.

    Args:
        content: the file.
        end: filled and returned.
        at: called with each code cell's number, from 1 on, before it runs.
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
    shell = Shell.instance(config=settings, user_module=_new_main())
    end.variables = shell.user_ns
    for number, (source, may_fail) in enumerate(cells, start=1):
        at(number)
        result = shell.run_cell(source, store_history=True)
        where = f"Code cell {number} of {len(cells)}"
        error = result.error_before_exec or result.error_in_exec
        if shell.exit_now:
            return end.after(SystemExit(), where)
        if error is not None and not may_fail:
            return end.after(error, where)
    return end


def run_script(content: bytes, path: Path, end: End) -> End:
    """Run a script as ``python SCRIPT`` does, from its folder, until its threads have ended."""
    path.write_bytes(content)
    module = _new_main()
    end.variables = module.__dict__
    module.__dict__["__file__"] = str(path)
    sys.argv = [str(path)]
    sys.path.insert(0, str(path.parent))
    try:
        exec(compiled(content, path), module.__dict__)
        pools = getattr(concurrent.futures.thread, "_threads_queues", ())
        for thread in threading.enumerate():
            # Those of a pool are sent home by Python at the very end.
            if (
                not thread.daemon
                and thread is not threading.current_thread()
                and thread not in pools
            ):
                thread.join()
    except Unreadable:
        raise
    except SystemExit as stop:
        if stop.code not in (None, 0):
            line = _line_in(stop, path)
            return end.after(stop, f"Line {line}" if line else "The script")
    except BaseException as error:
        trace = error.__traceback__.tb_next if error.__traceback__ else None
        traceback.print_exception(type(error), error, trace)
        line = _line_in(error, path)
        return end.after(error, f"Line {line}" if line else "The script")
    return end


def _line_in(error: BaseException, path: Path) -> int:
    """The innermost line of the script that the error went through; 0 for none."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return error.lineno or 0
    frames = traceback.extract_tb(error.__traceback__)
    return next((f.lineno or 0 for f in reversed(frames) if f.filename == str(path)), 0)


# --- the state that must be ours again after the hand-in's code ---------------------------------


@dataclass
class Before:
    """What the interpreter was like before the hand-in's code ran."""

    path: list[str]
    finders: list[Any]
    hooks: list[Any]
    limit: int
    names: dict[str, Any]
    session: str

    @staticmethod
    def now() -> Before:
        """Take it down."""
        from winelab.tracking.run_tags import session

        return Before(
            list(sys.path), list(sys.meta_path), list(sys.path_hooks), sys.getrecursionlimit(),
            dict(vars(builtins)), session(),
        )  # fmt: skip

    def restore(self) -> None:
        """Put it back, and forget every module of the course, so that each is read again.

        A hand-in may have changed them, by mistake or on purpose: this undoes the plain cases.
        """
        os.chdir(Path.home().anchor)
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)
        sys.settrace(None)
        sys.setprofile(None)
        sys.setrecursionlimit(self.limit)
        sys.path[:] = self.path
        # Not only ours: a library may have put its own in place of one of Python's services.
        kept: list[tuple[list[Any], list[Any]]] = [
            (sys.meta_path, self.finders),
            (sys.path_hooks, self.hooks),
        ]
        for there, ours in kept:
            there[:] = [*ours, *(one for one in there if one not in ours)]
        sys.path_importer_cache.clear()
        vars(builtins).update(self.names)
        for name in [name for name in sys.modules if name.partition(".")[0] == "winelab"]:
            del sys.modules[name]
        from winelab.tracking import run_tags

        # The runs carry it: the fresh module must look for the same.
        run_tags._sessions[os.getpid()] = self.session


def verdicts(
    number: int, name: str, checks: str, variables: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Run a block's checks on the variables and on the store of this process.

    Returns:
        For each check its "name", whether it is "done", and its "hint".
    """
    from winelab.checks.checking import look_at
    from winelab.checks.fixtures import Look

    desk = Path(tempfile.mkdtemp(prefix="winelab-"))
    folder = desk / name
    folder.mkdir()
    (folder / "checks.py").write_text(checks, encoding="utf-8")
    (folder / "lesson.md").write_text(f"title: {name}\n", encoding="utf-8")
    report = look_at(Look(number, variables), desk)
    return [{"name": v.name, "done": v.done, "hint": v.hint} for v in report.verdicts]


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
        with contextlib.suppress(Exception):
            stream.flush()
    null = os.open(os.devnull, os.O_WRONLY)
    for number in (1, 2):
        os.dup2(null, number)
    sys.stdout = sys.stderr = open(null, "w", encoding="utf-8")  # noqa: PTH123, SIM115


def _settle(job: dict[str, Any]) -> Path:
    """Furnish the room, and make the home's few folders; returns the room."""
    home = Path.home()
    table = home / f"{secrets.token_hex(4)}.csv"
    table.write_bytes(base64.b64decode(job["table"]))
    room = furnish(home / NAME, table)
    table.unlink()
    for name in ("TMPDIR", "MPLCONFIGDIR"):
        Path(os.environ[name]).mkdir(parents=True, exist_ok=True)
    for kept in Path(job["fonts"]).glob("*.json"):
        shutil.copyfile(kept, Path(os.environ["MPLCONFIGDIR"]) / kept.name)
    return room


def _not_here(*_: object, **__: object) -> None:
    """What `check` is for a hand-in."""
    print("(The checks are run by the grader, after all cells.)")


def main() -> None:
    """Do one job, and end without a word."""
    import winelab

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
    room = _settle(job)
    before = Before.now()
    winelab.check = _not_here
    end = End()
    try:
        if job["kind"] == "notebook":
            os.chdir(room / "labs")
            end = run_notebook(content, end, lambda number: tell(at=number))
        else:
            os.chdir(room / "solutions")
            end = run_script(content, room / "solutions" / f"{name}.py", end)
    except Unreadable as error:
        end.refused = str(error)
    _silence()
    tell(ended=end.told())
    if end.refused:
        os._exit(0)
    before.restore()
    more = json.loads(jobs.readline())
    key = more["key"]
    try:
        tell(verdicts=verdicts(job["number"], name, more["checks"], end.variables))
    except BaseException as error:
        tell(failed=last_line(error), kind=kind_of(error))
    # Not by way of the hand-in's atexit functions and threads.
    os._exit(0)
