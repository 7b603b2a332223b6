"""Where the package finds its tables and its store, and the names it uses there."""

import os
from pathlib import Path

import mlflow

home = Path(__file__).resolve().parents[2]  # the folder with pyproject.toml
course = home.parents[1]  # the folder with data/ and mlflow.db

data_folder = Path(os.environ.get("WINEOPS_DATA", course / "data"))
output = Path(os.environ.get("WINEOPS_OUTPUT", course / "output"))
experiment = "wine-quality"
registered_name = "wine-quality-elasticnet"


def open_store():
    """Open the store that the environment names, or the course's; return a client of it."""
    store = (course / "mlflow.db").as_posix()
    mlflow.set_tracking_uri(os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{store}"))
    mlflow.set_experiment(experiment)
    output.mkdir(exist_ok=True)
    return mlflow.MlflowClient()
