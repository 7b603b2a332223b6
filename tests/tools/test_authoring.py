"""What the checks of all blocks are written with."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from tools.made_up import mlflow_at
from winelab.checks.authoring import close, newest_try, regression_metrics, scratch_store
from winelab.tracking.run_tags import TRY_TAG


def test_the_metrics_are_scikit_learns_too() -> None:
    numbers = np.random.default_rng(7)
    actual, predicted = numbers.normal(5, 1, 400), numbers.normal(5, 1, (400, 1))
    assert regression_metrics(actual, predicted) == pytest.approx(
        {
            "rmse": root_mean_squared_error(actual, predicted),
            "mae": mean_absolute_error(actual, predicted),
            "r2": r2_score(actual, predicted),
        },
        abs=1e-12,
    )


def test_the_newest_try_is_that_of_the_first_run_whatever_became_of_it() -> None:
    def run(tried: str) -> Any:
        return SimpleNamespace(data=SimpleNamespace(tags={TRY_TAG: tried}))

    runs = [run("b/7"), run("b/7"), run("b/3")]
    assert newest_try(runs) == runs[:2]
    assert newest_try([]) == []


def test_close_is_absolute_near_zero_and_relative_far_from_it() -> None:
    assert close(0.0, 9e-10) and not close(0.0, 2e-9)
    assert close(1e6, 1e6 + 9e-4) and not close(1e6, 1e6 + 2e-3)


def test_what_is_done_in_a_scratch_store_stays_there(tmp_path: Path) -> None:
    import mlflow

    own = f"sqlite:///{(tmp_path / 'own.db').as_posix()}"
    with mlflow_at(own):
        with pytest.raises(ZeroDivisionError), scratch_store() as client:
            client.create_registered_model("tea")
            # Also of a function that makes a client of its own, and whatever error it ends in.
            assert mlflow.MlflowClient().get_registered_model("tea").name == "tea"
            raise ZeroDivisionError
        assert mlflow.get_tracking_uri() == own
        assert not mlflow.MlflowClient().search_registered_models()
        with scratch_store() as client:
            assert not client.search_registered_models()
