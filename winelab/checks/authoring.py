"""What a block's checks.py is written with, beside plain functions and plain asserts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

# For the blocks' checks.
from winelab.core.mlflow_private import active_experiment_id as active_experiment_id
from winelab.core.mlflow_private import autolog_is_off as autolog_is_off
from winelab.core.mlflow_private import local_path as local_path

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from numpy.typing import ArrayLike

F = TypeVar("F", bound=Callable[..., None])
EVERY_CELL = ("*",)
"""Of a mistake: every cell was skipped."""


def given(check: F) -> F:
    """Mark a check of something that is already true on the untouched notebook.

    All other checks are about the block's own change, and must fail there.
    """
    check.given = True  # type: ignore[attr-defined]
    return check


@dataclass(frozen=True)
class Mistake:
    """A mistake that learners make: a small edit of the solution, and the hint meant for it."""

    what: str
    """What the learner did, for the report."""
    caught_by: str
    """The name of the check that must fail."""
    hint: str
    """Words of the hint that the learner must read then."""
    swap: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Section to (old, new): `old` stands exactly once in it, and becomes `new`."""
    code: Mapping[str, str] = field(default_factory=dict)
    """Section to the code that stands there instead ("" takes it away)."""
    twice: str = ""
    """The cell that is run twice."""
    skip: tuple[str, ...] = ()
    """The cells that are not run; `("*",)` for all of them."""
    before: str = ""
    """Code that runs before the first cell: what happened earlier."""
    after: str = ""
    """Code that runs after the last cell, before the check."""
    error: str = ""
    """Words of the error that the learner sees, where there is one."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Environment variables that differ; an empty value takes one away."""


def close(one: float, other: float, tolerance: float = 1e-9) -> bool:
    """Return whether two numbers agree to `tolerance`, absolute or relative, whichever is wider."""
    return abs(one - other) <= tolerance * max(1.0, abs(one), abs(other))


def newest_try(runs: list[Run]) -> list[Run]:
    """Return those of `runs`, newest first, that the newest execution of a cell or script made.

    Of any status: unlike the fixture `attempt`, which goes by the newest run that finished.
    """
    from winelab.tracking.run_tags import same_try

    return same_try(runs, runs[0]) if runs else []


@contextmanager
def scratch_store() -> Iterator[MlflowClient]:
    """Yield a client of an empty store of its own, to call a student's function on.

    Meanwhile it is also the store of MLflow's other calls, so that a function which asks `mlflow`
    instead of the client cannot write into the student's store.
    """
    import mlflow

    from winelab.tracking.workspace import clean_store

    before = mlflow.get_tracking_uri()
    with clean_store() as file:
        uri = f"sqlite:///{file.as_posix()}"
        mlflow.set_tracking_uri(uri)
        try:
            yield mlflow.MlflowClient(uri, registry_uri=uri)
        finally:
            mlflow.set_tracking_uri(before)


def model_folder(uri: str) -> Path:
    """Return the folder with the files of the logged model at `uri`, as MLflow keeps them."""
    import mlflow

    return Path(mlflow.artifacts.download_artifacts(uri))


def required_packages(uri: str) -> set[str]:
    """Return the names in the requirements.txt of the model at `uri`, in small letters."""
    lines = (model_folder(uri) / "requirements.txt").read_text(encoding="utf-8").split("\n")
    return {re.split(r"[^\w.-]", line.strip())[0].lower() for line in lines if line.strip()}


def regression_metrics(actual: ArrayLike, predicted: ArrayLike) -> dict[str, float]:
    """Return RMSE, MAE and R2 by their definitions, with numpy alone, to compare a student's with.

    Args:
        actual: the true values, shape (n,) or (n, 1).
        predicted: as many predictions, in the same order and unit.

    Returns "rmse" and "mae" in the unit of the values, and "r2" without one: 1 minus the sum of
    squared errors over the sum of squared distances from the mean of `actual`.
    """
    import numpy as np

    truth = np.ravel(np.asarray(actual, dtype=float))
    error = truth - np.ravel(np.asarray(predicted, dtype=float))
    return {
        "rmse": float(np.sqrt(np.mean(error**2))),
        "mae": float(np.mean(np.abs(error))),
        "r2": float(1 - np.sum(error**2) / np.sum((truth - truth.mean()) ** 2)),
    }
