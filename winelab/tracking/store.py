"""The tracking store: whether it can be read, how it is made, and the marks of progress in it."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from winelab.core.console import last_line, shortened
from winelab.core.errors import CourseError
from winelab.core.paths import OLD_STORES, ROOT, STORE, course_environment, store_uri
from winelab.system.environment import only_one

if TYPE_CHECKING:
    import psutil
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

VERIFIED_TAG = "winelab.verified"
"""On a run, its value is the block's slug; on an experiment, the slug is the end of its name."""
CAUGHT_UP_TAG = "winelab.caught-up"
"""On the Default experiment; the slug is the end of its name."""
DEFAULT_EXPERIMENT = "0"

REPLACED = (
    "The store was put aside or replaced after this process had opened it: restart the kernel "
    "(Kernel > Restart Kernel and Run All Cells)."
)
# A server that is not there must not cost a student four minutes of silence (MLflow's own
# defaults); a check asks twice and then says so.
IMPATIENT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "5"}


@contextmanager
def environment(**values: str | None) -> Iterator[None]:
    """Set environment variables for a moment; None takes one away."""
    before = {name: os.environ.get(name) for name in values}
    try:
        _set_variables(values)
        yield
    finally:
        _set_variables(before)


def _set_variables(values: dict[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def sqlite_file(uri: str) -> Path | None:
    """Return the file of a SQLite tracking URI; None for any other kind of store.

    SQLAlchemy decodes ``%20`` in the path, and MLflow's own default address is written so.
    """
    match = re.match(r"sqlite:///([^?]+)", uri)
    return Path(unquote(match[1])) if match else None


def problem(uri: str) -> str | None:
    """Return what keeps the store at `uri` from being read, in one sentence; None if it looks fine.

    Creates nothing. A server is not asked here: the first question to it tells.
    """
    if uri == "MLFLOW_TRACKING_URI":
        return (
            "The address is the name of the variable, not what it holds: os.environ.get takes that "
            "name first, and then what to use without it."
        )
    if uri.startswith("file:") or "://" not in uri:
        return (
            f"MLflow is told to write into a folder of files ({uri}), which it no longer does: "
            "take that set_tracking_uri call out, or name an SQLite file, such as sqlite:///mlflow.db."
        )
    file = sqlite_file(uri)
    if file is None:
        return None
    if not file.exists():
        return (
            f"There is no store at {file} yet: run the cells above, from the top. If there was "
            "one a moment ago, restart the kernel first."
        )
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as database:
            tables = {row[0] for row in database.execute("SELECT name FROM sqlite_master")}
    except sqlite3.DatabaseError as error:
        return f"The store {file} cannot be read ({error}): `make reset` starts a fresh one."
    if not {"runs", "experiments", "alembic_version"} <= tables:
        return f"The file {file} is no MLflow store: `make reset` starts a fresh one."
    return None


def explain(error: Exception) -> str:
    """Return one sentence for an error of MLflow's about the store, with what to do."""
    return known_trouble(error) or f"The store could not be asked: {shortened(str(error))}."


def known_trouble(error: Exception) -> str:
    """Return one sentence for an error that comes from the store itself; "" for any other."""
    text = " ".join(str(error).split())
    if "out-of-date database schema" in text or "Can't locate revision" in text:
        return (
            "This store was made by another version of MLflow: run `mlflow db upgrade` on a copy "
            "of it, or start a fresh one with `make reset`."
        )
    if "Max retries exceeded" in text or "Connection refused" in text or "API request" in text:
        import mlflow

        return f"Nothing answers at {mlflow.get_tracking_uri()}: start the server, or set the URI."
    if "readonly database" in text:
        return REPLACED
    if "database is locked" in text:
        return "The store is busy with another process: wait a moment, and check again."
    return ""


def is_replaced(uri: str) -> bool:
    """Return whether this process has an older file open than the SQLite store at `uri` now."""
    # Windows neither moves nor deletes a file that is open.
    if os.name == "nt" or (file := sqlite_file(uri)) is None:
        return False
    import psutil

    return _has_an_old_one(psutil.Process(), file.resolve())


def on_an_old_store(root: Path = ROOT) -> list[str]:
    """Return which programs still work on a store of `root` that was put aside or replaced."""
    if os.name == "nt":
        return []
    import psutil

    file = (root / STORE.name).resolve()
    found: dict[str, None] = {}
    for process in psutil.process_iter():
        # Those of other people may not be looked into, and some end meanwhile.
        with suppress(psutil.Error, OSError):
            if _has_an_old_one(process, file):
                found[_program(process)] = None
    return list(found)


def _has_an_old_one(process: psutil.Process, file: Path) -> bool:
    for opened in process.open_files():
        path = Path(opened.path)
        if path.name == file.name and path.is_relative_to(file.parent / OLD_STORES):
            return True
        # Linux also tells a file that was deleted from the one that has its name now.
        there = Path(f"/proc/{process.pid}/fd/{opened.fd}")
        if path == file and there.exists() and not there.samefile(file):
            return True
    return False


def _program(process: psutil.Process) -> str:
    """Return what a person knows a process by."""
    command = " ".join(process.cmdline())
    if "ipykernel" in command:
        notebook = process.environ().get("JPY_SESSION_NAME")
        return f"the kernel of {Path(notebook).name}" if notebook else "a notebook's kernel"
    if "mlflow" in command:
        return "`make ui`, or another server of MLflow's"
    return f"{process.name()} (process {process.pid})"


@contextmanager
def opened(root: Path = ROOT) -> Iterator[MlflowClient]:
    """Give a client of the course's store in `root`, which is there.

    Raises CourseError, which says what to do, when the store cannot be read, and in place of any
    other error in the block.
    """
    if found := problem(store_uri(root)):
        raise CourseError(found)
    os.environ.update(course_environment(root))
    from mlflow import MlflowClient

    try:
        yield MlflowClient(store_uri(root))
    except CourseError:
        raise
    except Exception as error:
        raise CourseError(explain(error)) from error


def prepare(root: Path = ROOT) -> int:
    """Make the course's store in `root`, an empty database, if it is not there; return 0.

    MLflow creates the tables at the first use, with a page of log lines; done here, a
    student's first run starts clean. Raises CourseError when it cannot be made.
    """
    file = root / STORE.name
    if not file.exists():
        # Another terminal may be making it: two at once would be in each other's way.
        with only_one(root):
            if not file.exists():
                _make(file, root)
    return 0


def _make(file: Path, root: Path) -> None:
    draft = file.with_name(f".{file.name}.new")
    draft.unlink(missing_ok=True)
    # In a process of its own, which lets go of the file: Windows renames no open file. Under
    # its name only when it is whole, so that an interruption leaves no half of a store.
    made = subprocess.run(
        [sys.executable, "-m", "winelab.tracking.store", f"sqlite:///{draft.as_posix()}"],
        env=os.environ | course_environment(root) | {"MLFLOW_LOGGING_LEVEL": "ERROR"},
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    )
    if made.returncode:
        draft.unlink(missing_ok=True)
        why = last_line(made.stderr) or "no message"
        raise CourseError(f"The store {file} could not be made ({why}): see `make doctor`.")
    draft.replace(file)


def _make_tables(uri: str) -> None:
    """Let MLflow create the tables of a new store, without its log lines."""
    import logging

    from mlflow import MlflowClient

    logging.getLogger("mlflow").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.ERROR)
    MlflowClient(uri).search_experiments(max_results=1)


# --- marks of progress -------------------------------------------------------------------------


def mark(client: MlflowClient, slug: str, run: Any = None, experiment: Any = None) -> None:
    """Note in the store that the block `slug` is done.

    The tag goes to the run that was verified; for a block that makes none, to its experiment,
    or else to the store's Default experiment.
    """
    if run is not None:
        client.set_tag(run.info.run_id, VERIFIED_TAG, slug)
    else:
        where = experiment.experiment_id if experiment is not None else DEFAULT_EXPERIMENT
        _tag(client, where, VERIFIED_TAG, slug)


def mark_caught_up(client: MlflowClient, slug: str) -> None:
    """Note in the store that `make catchup` has added the block `slug`; that is not done."""
    _tag(client, DEFAULT_EXPERIMENT, CAUGHT_UP_TAG, slug)


def _tag(client: MlflowClient, experiment: str, tag: str, slug: str) -> None:
    now = datetime.now().astimezone().isoformat(timespec="seconds")
    client.set_experiment_tag(experiment, f"{tag}.{slug}", now)


def marks(client: MlflowClient) -> set[str]:
    """Return the names of the blocks that this store shows as done."""
    from mlflow.entities import ViewType

    experiments = list(_pages(client.search_experiments, view_type=ViewType.ALL))
    runs = _pages(
        client.search_runs,
        experiment_ids=[experiment.experiment_id for experiment in experiments],
        filter_string=f"tags.`{VERIFIED_TAG}` LIKE '%'",
        run_view_type=ViewType.ALL,
    )
    done = {run.data.tags[VERIFIED_TAG] for run in runs}
    return done.union(*(_tagged(experiment, VERIFIED_TAG) for experiment in experiments))


def caught_up(client: MlflowClient) -> set[str]:
    """Return the names of the blocks that `make catchup` has added to this store."""
    return _tagged(client.get_experiment(DEFAULT_EXPERIMENT), CAUGHT_UP_TAG)


def _tagged(experiment: Experiment, tag: str) -> set[str]:
    """Return the blocks at the end of those tags' names."""
    return {name.removeprefix(f"{tag}.") for name in experiment.tags if name.startswith(f"{tag}.")}


def _pages(search: Any, **arguments: Any) -> Iterator[Any]:
    token = None
    while True:
        page = search(**arguments, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


if __name__ == "__main__":
    _make_tables(sys.argv[1])
