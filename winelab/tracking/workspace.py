"""A clean workspace: an empty folder laid out like the course, with a store of its own."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.metadata import version
from pathlib import Path

from winelab.core.paths import ARTIFACTS, NEW_WINES, ROOT, STATE, STORE, TABLE, course_environment
from winelab.tracking import store
from winelab.tracking.data import twin_bytes

NAME = "wine-lab"
"""The folder's name in every workspace, so that a path in an output can be recognised."""

# What a process needs of its system to work at all; all else of the caller's stays out.
PASSED_ON = (
    "PATH", "HOME", "USERPROFILE", "SYSTEMROOT", "SYSTEMDRIVE", "COMSPEC", "PATHEXT", "WINDIR",
    "APPDATA", "LOCALAPPDATA", "PROGRAMDATA", "TMPDIR", "TEMP", "TMP", "LANG", "LC_ALL", "TZ",
    "VIRTUAL_ENV", "WINELAB_FORKSERVER", "JUPYTER_PATH",
)  # fmt: skip


def _prepared_store() -> Path:
    """An empty store of the MLflow installed: copying it is far quicker than making one.

    Kept from run to run in .winelab/, which `make clean` empties.
    """
    kept = ROOT / STATE / "cache" / f"empty-store-mlflow-{version('mlflow')}.db"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
            store.prepare(Path(folder))
            # Two processes may be here at once: each makes a whole one, the last one stays.
            (Path(folder) / STORE.name).replace(kept)
    return kept


def workspace_environment(workspace: Path, **more: str) -> dict[str, str]:
    """Return a process' environment in the workspace: the system's, the course's, and `more`.

    An empty value takes a variable away.
    """
    values = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    values |= course_environment(workspace) | {"MPLBACKEND": ""} | more
    return {name: value for name, value in values.items() if value}


def empty_store(target: Path) -> Path:
    """Put an empty SQLite store at `target`, a file that is not there yet.

    The artifacts of its Default experiment go into the folder mlruns beside it.
    """
    shutil.copyfile(_prepared_store(), target)
    with closing(sqlite3.connect(target)) as database:
        # The Default experiment remembers the folder that the store was made in.
        database.execute(
            "UPDATE experiments SET artifact_location = ? WHERE experiment_id = 0",
            [(target.parent / ARTIFACTS.name / "0").as_uri()],
        )
        database.commit()
    return target


@contextmanager
def clean_store() -> Iterator[Path]:
    """Yield the file of an empty store in a temporary folder, taken away afterwards."""
    with tempfile.TemporaryDirectory(prefix="winelab-", ignore_cleanup_errors=True) as folder:
        yield empty_store(Path(folder).resolve() / STORE.name)


def furnish(workspace: Path, table: bytes | None = None) -> Path:
    """Lay out `workspace` like the course: the wine table, empty labs and solutions, a fresh store.

    Args:
        workspace: an empty folder, or one that does not exist yet.
        table: the wine table's file to put there; the twin by default, whatever data/ holds.
    """
    for name in ("data", "labs", "solutions"):
        (workspace / name).mkdir(parents=True)
    (workspace / "data" / TABLE.name).write_bytes(table or twin_bytes())
    shutil.copy(NEW_WINES, workspace / "data")
    empty_store(workspace / STORE.name)
    return workspace


@contextmanager
def clean_workspace(table: Path | None = None) -> Iterator[Path]:
    """Yield a furnished workspace in a temporary folder, taken away afterwards."""
    with tempfile.TemporaryDirectory(prefix="winelab-", ignore_cleanup_errors=True) as folder:
        content = table.read_bytes() if table else None
        yield furnish(Path(folder).resolve() / NAME, content)
