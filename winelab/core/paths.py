"""Where things are in the course, and the environment that its processes share.

Standard library only: this module is read before anything is installed.
"""

from __future__ import annotations

from pathlib import Path

from winelab.core.mlflow_private import ARTIFACT_ROOT

ROOT = Path(__file__).resolve().parents[2]
BLOCKS = ROOT / "blocks"
LABS = ROOT / "labs"
SOLUTIONS = ROOT / "solutions"
DATA = ROOT / "data"
TABLE = DATA / "red-wine-quality.csv"
# Of a later harvest: part 4 begins with them.
NEW_WINES = DATA / "new-red-wines.csv"
STORE = ROOT / "mlflow.db"
ARTIFACTS = ROOT / "mlruns"
# What the scripts write for themselves: the tables' two parts, the model's code, a log.
OUTPUT = ROOT / "output"
# What the tools keep for themselves, by its name in the root; of it, the labs that were worked in.
STATE = ".winelab"
KEPT = Path(STATE, "kept")
# The stores that `make reset` has put aside.
OLD_STORES = Path(STATE, "old-stores")
# The database and the bucket of `make stack`, where no Docker keeps them.
STACK_DATA = Path(STATE, "stack")


def store_uri(root: Path = ROOT) -> str:
    """Return the tracking URI of the course that lives in `root`: an absolute SQLite address."""
    return f"sqlite:///{(root / STORE.name).as_posix()}"


def course_environment(root: Path = ROOT) -> dict[str, str]:
    """Return the variables set for every process that the course starts (P8 and P10 of the design).

    One store and one artifact folder, whatever folder a process starts in; nothing sent
    out; UTF-8 everywhere.
    """
    return {
        "MLFLOW_TRACKING_URI": store_uri(root),
        ARTIFACT_ROOT: (root / ARTIFACTS.name).as_uri(),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        # Drawn where tqdm is, which part 4 brings along: the same outputs with it and without.
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "PYTHONUTF8": "1",
        # A hand-made folder is no git checkout: MLflow would warn at every run.
        "GIT_PYTHON_REFRESH": "quiet",
    }
