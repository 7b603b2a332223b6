"""Asks a logged model for predictions in a process that knows nothing of the student's.

What only works in the kernel that logged it fails here, as it would on a server.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from winelab.core.errors import CourseError
from winelab.proof.sampling import sampled
from winelab.system.run_module import run_module

if TYPE_CHECKING:
    import pandas as pd

TIME_LIMIT = 60.0
"""Seconds for loading MLflow and the model: a slow laptop needs ten times what ours does."""


def predictions(uri: str, table: pd.DataFrame, limit: float = TIME_LIMIT) -> list[float]:
    """The predictions of the model at `uri` for `table`, made in a fresh process.

    Args:
        uri: a model's URI in the store that this process uses, such as ``models:/m-...``.
        table: a row a wine, with the columns that the model was trained on.
        limit: seconds.

    Returns:
        A float for each row.

    Raises CourseError, with MLflow's own message, when the model cannot be loaded or asked.
    """
    import mlflow

    # The plain model's own answer must not depend on where its process was started.
    with tempfile.TemporaryDirectory(prefix="winelab-fresh-") as desk:
        folder = Path(desk)
        table.to_pickle(folder / "table.pickle")
        variables = os.environ | {"MLFLOW_TRACKING_URI": mlflow.get_tracking_uri()}
        with (folder / "stderr").open("w+b") as err:
            code = run_module(
                "winelab.checks.isolated_predict", [uri], folder, variables, err.fileno(), limit
            )
            err.seek(0)
            said = err.read().decode("utf-8", errors="replace").strip()
        if code is None:
            raise CourseError(f"the model {uri} gave no answer within {limit:g} s.")
        try:
            answer = json.loads((folder / "answer.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            last = said.splitlines()[-1] if said else f"exit code {code}"
            raise CourseError(f"a fresh process died over the model {uri}: {last}") from None
    if "error" in answer:
        raise CourseError(answer["error"])
    return [float(value) for value in answer["predictions"]]


def _answer(uri: str) -> dict[str, Any]:
    import mlflow
    import numpy as np
    import pandas as pd

    # Our own file, written a moment ago by the process that waits for us.
    table = pd.read_pickle("table.pickle")
    try:
        model = mlflow.pyfunc.load_model(uri)
        return {"predictions": np.ravel(model.predict(table)).astype(float).tolist()}
    except BaseException as error:
        return {"error": f"{type(error).__name__}: {' '.join(str(error).split())}"}


def main() -> None:
    """Write answer.json into the working folder, whole: the predictions, or the error."""
    draft = Path("answer.draft")
    with sampled("fresh"):
        answer = _answer(sys.argv[1])
    draft.write_text(json.dumps(answer), encoding="utf-8")
    draft.replace("answer.json")


if __name__ == "__main__":
    main()
