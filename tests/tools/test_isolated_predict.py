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
from winelab.checks import isolated_predict
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


def test_an_answer_is_remembered_by_model_and_table(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = log(store, "return model_input.sugar")
    other = log(store, "return model_input.salt")
    found = predictions(uri, TABLE)
    asked: list[str] = []
    ask = isolated_predict._ask

    def seen(uri: str, folder: Path, limit: float) -> dict[str, Any]:
        asked.append(uri)
        return ask(uri, folder, limit)

    monkeypatch.setattr(isolated_predict, "_ask", seen)
    # What a caller does with the list is its own.
    found.clear()
    assert predictions(uri, TABLE) == TABLE.sugar.tolist() and asked == []
    assert predictions(uri, TABLE.head(1)) == [1.0]
    assert predictions(other, TABLE) == TABLE.salt.tolist()
    assert asked == [uri, other]


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process keeps a fresh one ready, as a kernel does."""
    monkeypatch.delenv(forkserver.SOCKET_VARIABLE, raising=False)
    isolated_predict.keep_ready()
    yield
    monkeypatch.setattr(isolated_predict, "_keeper", 0)
    assert isolated_predict._kept is not None
    isolated_predict._kept.stop()
    monkeypatch.setattr(isolated_predict, "_kept", None)


MARKS = "import builtins; was = getattr(builtins, 'was', 0.0); builtins.was = 1.0; "
FOLDER = "import os; print('never an answer'); "


def test_each_question_meets_a_fresh_process_with_todays_store(
    store: Path, tmp_path: Path, kept: None
) -> None:
    """What a model leaves behind in its process, the next one does not find."""
    body = f"{MARKS}{FOLDER}return model_input.sugar * 0 + was + len(os.listdir('.')) / 10"
    for number in range(2):
        # A store that was not there when the process started.
        workspace = furnish(tmp_path / str(number))
        with mlflow_at(store_uri(workspace)):
            uri = log(workspace, body)
            # The folder holds the table, and nothing of the student's.
            assert predictions(uri, TABLE) == [0.1] * 3


def test_a_model_that_ends_or_hangs_is_followed_by_another_process(store: Path, kept: None) -> None:
    right = log(store, "return model_input.sugar")
    for body in ("import os; os._exit(3)", "import time; time.sleep(60)"):
        with pytest.raises(Missing):
            predictions(log(store, body), TABLE, limit=20 if "sleep" in body else 60)
    assert predictions(right, TABLE) == TABLE.sugar.tolist()
