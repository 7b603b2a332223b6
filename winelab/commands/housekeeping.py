"""`make setup`, `reset`, `clean` and `data`: packages, store, what can be made again, table.

Standard library only at import: `make clean` works when nothing is installed.
"""

from __future__ import annotations

import os
import shutil
from datetime import datetime
from pathlib import Path

from winelab.core.console import agreed
from winelab.core.errors import CourseError
from winelab.core.paths import (
    ARTIFACTS,
    KEPT,
    OLD_STORES,
    OUTPUT,
    ROOT,
    STACK_DATA,
    STATE,
    STORE,
)
from winelab.system import environment, packages

# What `clean` removes wherever it lies, and where it does not look.
MADE_AGAIN = ("__pycache__", ".pytest_cache", ".ruff_cache", ".mypy_cache", ".ipynb_checkpoints")
NOT_OURS = (".git", ".venv", STATE, "mlruns", "node_modules")


def setup(groups: list[str]) -> int:
    """Install these groups of packages; .venv is made before a command runs. Return 0.

    Raises CourseError when they cannot be installed.
    """
    for name in groups:
        packages.install(packages.GROUPS[name], f"the group {name}")
    print(".venv is ready: `make lab` opens the course.")
    return 0


def data(twin: bool) -> int:
    """Get the original wine table, or put the `twin` back that ships with the course; return 0.

    Raises CourseError, with the table as it was, when that is not possible.
    """
    from winelab.tracking.data import get_original, restore_twin

    print(restore_twin() if twin else get_original())
    return 0


def clean(all: bool) -> int:
    """Remove what the course made and can make again, with .venv if `all`; return 0."""
    keep = [ROOT / OLD_STORES, ROOT / KEPT, ROOT / STACK_DATA]
    remove = [ROOT / OUTPUT.name, *(path for path in ROOT.glob(f"{STATE}/*") if path not in keep)]
    for folder, names, _ in os.walk(ROOT):
        remove += [Path(folder, name) for name in names if name in MADE_AGAIN]
        names[:] = [name for name in names if name not in (*MADE_AGAIN, *NOT_OURS)]
    if all:
        environment.remove_venv(ROOT)
    for path in remove:
        # What another program holds open or has just removed is no reason to stop.
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    print("Clean." if all else "Clean. `make clean ALL=1` would remove .venv too.")
    return 0


def reset(yes: bool) -> int:
    """Put the tracking store aside and start with a fresh one; return 1 if the person says no."""
    if not yes and not agreed("reset", "This puts the store with all your runs aside."):
        print("Nothing was changed.")
        return 1
    from winelab.tracking.store import on_an_old_store, prepare

    aside = put_store_aside(ROOT)
    if aside is not None:
        print(f"The old store is in {aside}: move its files back to have it again.")
    prepare(ROOT)
    print("There is a fresh store now.")
    # Nothing else would show that they go on with the old one.
    for what in on_an_old_store(ROOT):
        print(f"Restart {what}: it still works on the old store.")
    return 0


def put_store_aside(root: Path) -> Path | None:
    """Move the store and its artifacts aside; return where they are, None if there were none.

    Raises CourseError when another program holds the store; nothing is moved then.
    """
    # The database first: where open files cannot be moved, it is the one that is held open.
    names = [STORE.name, *(STORE.name + end for end in ("-wal", "-shm", "-journal"))]
    there = [name for name in (*names, ARTIFACTS.name) if (root / name).exists()]
    if not there:
        return None
    aside = root / OLD_STORES / datetime.now().strftime("%Y-%m-%d-%H%M%S")
    aside.mkdir(parents=True)
    moved: list[str] = []
    try:
        for name in there:
            (root / name).rename(aside / name)
            moved.append(name)
    except OSError as error:
        for name in moved:
            (aside / name).rename(root / name)
        aside.rmdir()
        raise CourseError(
            f"The store is in use ({error}): stop `make lab` and `make ui`, then try again."
        ) from error
    return aside
