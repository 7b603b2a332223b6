"""Asking a logged model in a process of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest

from tools.made_up import mlflow_at
from winelab.checks.fixtures import CheckContext
from winelab.checks.isolated_predict import predictions
from winelab.core.errors import Missing
from winelab.core.paths import store_uri
from winelab.course.source import course
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


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Path]:
    """A workspace whose store MLflow writes to."""
    workspace = furnish(tmp_path / "wine-lab")
    with mlflow_at(store_uri(workspace)):
        yield workspace


def log(workspace: Path, body: str) -> str:
    """Log a model whose `predict` has this body; its URI."""
    code = workspace / "sum.py"
    code.write_text(CODE.format(body=body), encoding="utf-8")
    with mlflow.start_run():
        info: Any = mlflow.pyfunc.log_model(
            name="model", python_model=code, pip_requirements=["pandas"]
        )
    return str(info.model_uri)


@pytest.mark.parametrize("forked", [True, False], ids=["forked", "fresh"])
def test_the_predictions_come_back_to_the_last_bit(
    store: Path, monkeypatch: pytest.MonkeyPatch, forked: bool
) -> None:
    if not forked:
        monkeypatch.delenv(forkserver.SOCKET_VARIABLE, raising=False)
    uri = log(store, "return model_input.sugar + model_input.salt")
    assert (
        CheckContext(course().block("pyfunc"), {}).get("fresh")(uri, TABLE)
        == (TABLE.sugar + TABLE.salt).tolist()
    )


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param(
            "import os; return model_input.sugar * os.FACTOR",
            "AttributeError: module 'os' has no attribute 'FACTOR'",
            id="lives off its kernel",
        ),
        pytest.param("import os; os._exit(3)", "it ended there: ", id="ends its process"),
        pytest.param("import time; time.sleep(60)", "no answer within 2 s", id="never answers"),
        pytest.param("", "MlflowException: .*nowhere", id="is not there"),
    ],
)
def test_a_model_that_cannot_be_asked_there_is_a_hint(
    store: Path, monkeypatch: pytest.MonkeyPatch, body: str, reason: str
) -> None:
    # Only this process has it.
    monkeypatch.setattr(os, "FACTOR", 2.0, raising=False)
    uri = log(store, body) if body else "models:/nowhere/1"
    with pytest.raises(
        Missing, match=f"a fresh process could not use the model: .*{reason}"
    ) as got:
        predictions(uri, TABLE, limit=2 if "sleep" in body else 60)
    assert "\n" not in str(got.value)
