"""Asking a logged model in a process of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from winelab.checks import isolated_predict
from winelab.checks.fixtures import Look, Missing
from winelab.core.errors import CourseError
from winelab.core.paths import store_uri
from winelab.proof.runner import fork_server
from winelab.system import forkserver
from winelab.tracking.workspace import furnish

TABLE = pd.DataFrame({"sugar": [1.0, 2.0, 0.1 + 0.2], "salt": [3.0, 5.0, 1 / 3]})
CODE = """
import mlflow
import pandas as pd

class Sum(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input: pd.DataFrame):
        {body}

mlflow.models.set_model(Sum())
"""


@pytest.fixture(params=["forked", "fresh"])
def store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A room whose store MLflow writes to, and both ways of starting the process."""
    import mlflow

    room = furnish(tmp_path / "room")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(store_uri(room))
    with fork_server() as server:
        if request.param == "forked" and not server:
            pytest.skip("this system cannot fork")
        if request.param == "fresh":
            monkeypatch.delenv(forkserver.SOCKET_VARIABLE, raising=False)
        yield room
    mlflow.set_tracking_uri(before)


def log(room: Path, body: str, **more: Any) -> str:
    import mlflow

    code = room / "sum.py"
    code.write_text(CODE.format(body=body), encoding="utf-8")
    with mlflow.start_run():
        info = mlflow.pyfunc.log_model(
            name="model", python_model=code, pip_requirements=["pandas"], **more
        )
    return str(info.model_uri)


def test_the_predictions_come_back_to_the_last_bit(store: Path) -> None:
    uri = log(store, "return model_input.sugar + model_input.salt")
    assert isolated_predict.predictions(uri, TABLE) == (TABLE.sugar + TABLE.salt).tolist()


def test_a_model_that_lives_off_its_kernel_is_found_out(store: Path) -> None:
    """It reads a variable that only this process has."""
    uri = log(store, "import os; return model_input.sugar * os.FACTOR")
    os.FACTOR = 2.0  # type: ignore[attr-defined]
    try:
        with pytest.raises(CourseError, match="FACTOR"):
            isolated_predict.predictions(uri, TABLE)
    finally:
        del os.FACTOR  # type: ignore[attr-defined]


def test_a_model_that_is_not_there_is_one_sentence_of_mlflows(store: Path) -> None:
    with pytest.raises(CourseError, match="nowhere") as caught:
        isolated_predict.predictions("models:/nowhere/1", TABLE)
    assert "\n" not in str(caught.value)


def test_a_model_that_ends_its_process_is_told(store: Path) -> None:
    uri = log(store, "import os; os._exit(3)")
    with pytest.raises(CourseError, match="a fresh process died"):
        isolated_predict.predictions(uri, TABLE)


def test_a_model_that_never_answers_is_given_up(store: Path) -> None:
    uri = log(store, "import time; time.sleep(600)")
    with pytest.raises(CourseError, match="no answer within 8 s"):
        isolated_predict.predictions(uri, TABLE, limit=8)


def test_a_check_gets_the_predictions_or_a_hint(store: Path) -> None:
    ask = Look(15, {}).get("fresh")
    assert ask(log(store, "return model_input.salt"), TABLE) == TABLE.salt.tolist()
    with pytest.raises(Missing, match=r"a fresh process could not use the model: .*nowhere"):
        ask("models:/nowhere/1", TABLE)
