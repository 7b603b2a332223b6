"""Tag every MLflow run with the block and the try that made it (a run-context plugin).

MLflow loads it by its entry point (pyproject.toml) when it is imported in the course's
environment; outside of it, scripts and notebooks work the same, without these tags.
"""

from __future__ import annotations

import os
import re
import sys
import time
from functools import cache
from pathlib import PureWindowsPath
from typing import TYPE_CHECKING

from winelab.core.errors import CourseError
from winelab.core.order import Listed, read_order

if TYPE_CHECKING:
    from mlflow.entities import Run

# MLflow reads this at the end of its own import, after loading this plugin. So a script that
# is started by hand in the course's environment asks the network for nothing either.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
# And this, when it sets up its logger: its warnings are shown, and not what it is busy with, which
# would bury a result below ten lines in red.
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
# And so with its progress bars.
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

BLOCK_TAG = "winelab.block"
TRY_TAG = "winelab.try"
CATCHUP_TAG = "winelab.catchup"
"""On a run that `make catchup` made."""
CATCHUP_VARIABLE = "WINELAB_CATCHUP"
STARTED = "WINELAB_STARTED"
"""The variable that says when the notebook began that this process executes, in seconds."""

_sessions: dict[int, str] = {}


def session() -> str:
    """Return an id of this process, new after a restart of the kernel and in a forked process."""
    return _sessions.setdefault(os.getpid(), f"{time.time_ns() // 1_000_000:x}-{os.getpid():x}")


def _shell() -> object | None:
    # Asked without importing: a script has no IPython and must not pay for it.
    module = sys.modules.get("IPython.core.getipython")
    return module.get_ipython() if module else None


def this_try() -> str:
    """Return the try that runs now: this process and, in a notebook, this execution of a cell."""
    shell = _shell()
    cell = getattr(shell, "execution_count", 0) if shell else os.environ.get("WINELAB_CELL", 0)
    return f"{session()}/{cell}"


def same_try(runs: list[Run], run: Run) -> list[Run]:
    """Return those of `runs` that the same execution of a cell or script made as `run`."""
    this = run.data.tags.get(TRY_TAG)
    if this is None:  # a client made it
        return [run]
    return [other for other in runs if other.data.tags.get(TRY_TAG) == this]


def source_name() -> str:
    """Return the file name of the notebook or script that runs now, "" where nobody says it.

    Of a program that a notebook has started, and that is no block's, the notebook's.
    """
    shell = _shell()
    names = [
        os.environ.get("WINELAB_SOURCE"),
        getattr(shell, "user_ns", {}).get("__vsc_ipynb_file__") if shell else None,
        sys.argv[0] if sys.argv and not shell else None,
        os.environ.get("JPY_SESSION_NAME"),
    ]
    # PureWindowsPath splits at both kinds of slash.
    files = [PureWindowsPath(name).name for name in names if name]
    return next((file for file in files if block_slug(file)), next(iter(files), ""))


@cache
def _listed() -> tuple[Listed, ...]:
    # Where the course is not at hand, the names of files are all there is.
    try:
        return read_order().blocks
    except CourseError:
        return ()


def block_slug(name: str) -> str:
    """Return the block that a file name stands for, "autolog" for "14_autolog (1).ipynb".

    The slug in the name counts, else the number; "" where there is neither.
    """
    match = re.fullmatch(r"(\d{1,2})(?:[_ .-]+(.*))?", PureWindowsPath(name).stem.lower())
    if not match:
        return ""
    number, rest = int(match[1]), re.sub(r"[ .-]", "_", match[2] or "")
    slugs = [block.slug for block in _listed()]
    # Of two slugs that begin alike the longer one.
    for slug in sorted(slugs, key=len, reverse=True):
        if re.match(rf"{slug}(?![a-z0-9])", rest):
            return slug
    if slugs:
        return slugs[number] if number < len(slugs) else ""
    return rest


class CourseContext:
    """MLflow asks it for tags at the start of every run.

    It has the methods of MLflow's RunContextProvider without inheriting from it: MLflow loads
    this module in the middle of its own import, and importing it here would be a circle.
    """

    def in_context(self) -> bool:
        """Return True: the tags say where a run comes from, whatever made it."""
        return True

    def tags(self) -> dict[str, str]:
        """Return the try, and the block where the file's name says it."""
        slug = block_slug(source_name())
        found = {TRY_TAG: this_try()}
        if os.environ.get(CATCHUP_VARIABLE):
            found[CATCHUP_TAG] = "yes"
        return {BLOCK_TAG: slug, **found} if slug else found
