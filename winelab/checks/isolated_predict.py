"""Ask a logged model for predictions in a process that knows nothing of the student's.

What only works in the kernel that logged it fails here, as it would on a server.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from winelab.core.console import last_line
from winelab.core.errors import Missing
from winelab.core.files import write_text
from winelab.system.run_module import run_module

if TYPE_CHECKING:
    import pandas as pd

TIME_LIMIT = 60.0
"""Seconds for loading MLflow and the model: a slow laptop needs ten times what ours does."""


def predictions(uri: str, table: pd.DataFrame, limit: float = TIME_LIMIT) -> list[float]:
    """Return the predictions of the model at `uri` for `table`, one a row, from a fresh process.

    Args:
        uri: a model's URI in the store that this process uses, such as ``models:/m-...``.
        table: a row a wine, with the columns that the model was trained on.
        limit: seconds.

    Raises Missing, with MLflow's own message, when the model cannot be loaded or asked.
    """
    import mlflow

    # A folder of its own: what a model answers must not depend on where its process was started.
    with tempfile.TemporaryDirectory(prefix="winelab-fresh-") as name:
        folder = Path(name)
        table.to_pickle(folder / "table.pickle")
        variables = os.environ | {"MLFLOW_TRACKING_URI": mlflow.get_tracking_uri()}
        module = "winelab.checks.isolated_predict"
        with (folder / "stderr").open("w+b") as err:
            code = run_module(module, [uri], folder, variables, err.fileno(), limit)
            err.seek(0)
            said = err.read().decode("utf-8", errors="replace")
        try:
            answer = json.loads((folder / "answer.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            died = f"it ended there: {last_line(said) or f'exit code {code}'}"
            answer = {"error": f"no answer within {limit:g} s" if code is None else died}
    if "error" in answer:
        raise Missing(f"a fresh process could not use the model: {answer['error']}")
    return [float(value) for value in answer["predictions"]]


def main() -> None:
    """Write answer.json into the working folder, whole: the predictions, or the error."""
    import mlflow
    import numpy as np
    import pandas as pd

    # Our own file, written a moment ago by the process that waits for us.
    table = pd.read_pickle("table.pickle")
    answer: dict[str, object]
    try:
        found = mlflow.pyfunc.load_model(sys.argv[1]).predict(table)
        answer = {"predictions": np.ravel(found).astype(float).tolist()}
    except BaseException as error:
        answer = {"error": f"{type(error).__name__}: {' '.join(str(error).split())}"}
    write_text(Path("answer.json"), json.dumps(answer))


if __name__ == "__main__":
    main()
