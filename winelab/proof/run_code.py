"""Run cells, a script or a package in this process, as Jupyter or `python` would.

The one place where a student's code is executed: in a clean workspace by `execute`, on the
student's own store by `make run` and `make watch`, in the sandbox by `make grade`.
"""

from __future__ import annotations

import builtins
import linecache
import os
import runpy
import shlex
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from winelab.tracking.run_tags import STARTED


@dataclass
class End:
    """How the code ended, and what it left."""

    variables: dict[str, Any] = field(default_factory=dict)
    """The names of its `__main__`."""
    error: BaseException | None = None
    """What ended it; None for a normal end, and `sys.exit()` or `sys.exit(0)` is one."""
    cell: int = 0
    """The number of the cell that it ended in, from 1; 0 for a script."""

    def traceback(self) -> str:
        """Return the traceback as Python prints it, without our own frames; "" for a normal end."""
        if self.error is None:
            return ""
        if isinstance(self.error, SystemExit):
            return f"SystemExit: {self.error.code}"
        trace = self.error.__traceback__
        return "".join(traceback.format_exception(type(self.error), self.error, trace))


def new_main() -> dict[str, Any]:
    """Put an empty `__main__` in place, and return its names.

    Pickle and inspect look a class or function of the student's up in that module.
    """
    module = ModuleType("__main__")
    module.__dict__["__builtins__"] = builtins
    sys.modules["__main__"] = module
    return module.__dict__


def run_cells(cells: Sequence[str], starts: Callable[[int], None] = lambda number: None) -> End:
    """Run cells in order; the first error ends the run.

    Args:
        cells: the sources.
        starts: called with each cell's number, from 1 on, before it runs.
    """
    end = End(new_main())
    os.environ[STARTED] = str(time.time())
    for end.cell, source in enumerate(cells, start=1):
        starts(end.cell)
        # By it a run is tagged with the cell that made it (see tracking/run_tags).
        os.environ["WINELAB_CELL"] = str(end.cell)
        name = f"<cell {end.cell}>"
        # As Jupyter does it: a traceback shows the line, not only its number.
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
        python = without_writefile(source)
        end.error = _run(lambda: compile(python, name, "exec"), end.variables)  # noqa: B023
        if end.error is not None:
            break
    return end


def without_writefile(source: str) -> str:
    """Return a cell as Python: `%%writefile FILE` in its first line writes the others there.

    It is the only magic of Jupyter's that the course uses; any other is left as it is.
    """
    first, _, rest = source.partition("\n")
    words = first.split()
    if len(words) != 2 or words[0] != "%%writefile":
        return source
    text = f"{rest}\n"
    return f"__import__('pathlib').Path({words[1]!r}).write_text({text!r}, encoding='utf-8')"


def run_script(path: Path, arguments: Sequence[str] = (), content: bytes | None = None) -> End:
    """Run a script as ``python PATH ARGUMENTS`` does, from the working folder.

    Args:
        path: the script; imports are looked for in its folder first.
        arguments: its command line.
        content: the script's bytes, where they are known already; else the file is read.
    """
    end = End(new_main())
    end.variables["__file__"] = str(path)
    sys.argv = [str(path), *arguments]
    sys.path[0] = str(path.parent)
    error = _run(
        lambda: compile(path.read_bytes() if content is None else content, str(path), "exec"),
        end.variables,
    )
    end.error = _unless_exit(error)
    return end


def run_package(folder: Path, runs: Sequence[str]) -> End:
    """Run modules of a package as ``python -m MODULE ARGUMENTS`` does, one after the other.

    Args:
        folder: what a team has in its repository; the modules lie in src/, and run from here.
        runs: each module with its arguments; the first error ends them.

    Its variables are only `package`, the folder, as a notebook names it.
    """
    end = End({"package": folder})
    os.environ[STARTED] = str(time.time())
    os.chdir(folder)
    sys.path[0] = str(folder / "src")
    own = {path.stem for path in (folder / "src").iterdir()}
    for line in runs:
        name, *arguments = shlex.split(line)
        sys.argv = [name, *arguments]
        # Each is a process of its own elsewhere.
        for loaded in [one for one in sys.modules if one.partition(".")[0] in own]:
            del sys.modules[loaded]
        run = partial(runpy.run_module, name, run_name="__main__", alter_sys=True)
        end.error = _unless_exit(_ended(run))
        if end.error is not None:
            break
    return end


def _unless_exit(error: BaseException | None) -> BaseException | None:
    """Return None for `sys.exit()` and `sys.exit(0)`, which end a process normally."""
    return None if isinstance(error, SystemExit) and error.code in (None, 0) else error


def _ended(run: Callable[[], Any]) -> BaseException | None:
    """Call a function; return what ended it, without the frame of this one."""
    try:
        run()
    except BaseException as error:
        return error.with_traceback(error.__traceback__ and error.__traceback__.tb_next)
    return None


def _run(compiled: Callable[[], Any], variables: dict[str, Any]) -> BaseException | None:
    """Compile and execute; return what ended it, without the frames of these functions."""
    error = _ended(lambda: exec(compiled(), variables))
    return error and error.with_traceback(error.__traceback__ and error.__traceback__.tb_next)
