"""Look things up for a check: a run by its name, a variable, files, a model's packages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from winelab.checks.comparing import kind
from winelab.core.errors import Missing

# For the blocks' checks.
from winelab.core.mlflow_private import active_experiment_id as active_experiment_id
from winelab.core.mlflow_private import autolog_is_off as autolog_is_off
from winelab.core.mlflow_private import local_path as local_path

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel, Run
    from mlflow.entities.model_registry import ModelVersion


EXPERIMENT = "wine-quality"
"""The experiment of the course, from the block `experiment` on."""
REGISTERED = "wine-quality-elasticnet"
"""The registered model of the course, from the block `register` on."""
NO_RUN = (
    "this notebook or script has made no run since it started: if a cell above stopped with an "
    "error, fix that one first. Then run the cells from the top, and see that the training is "
    "inside `with mlflow.start_run():`."
)


def trouble(runs: list[Run]) -> str:
    """Return what to do about a run that is open, or a newest run that failed; "" if all is well.

    Args:
        runs: those of this block, newest first.
    """
    status = {run.info.status for run in runs}
    if "RUNNING" in status:
        return (
            "a run is still open: a start_run without `with` has opened it, or a call outside of "
            "the `with` that logs or sets something. Call mlflow.end_run() once, in a cell of its "
            "own, then move that line inside the `with` and run the cell again."
        )
    if runs and runs[0].info.status != "FINISHED":
        return (
            f"your newest run ended as {runs[0].info.status}: fix the error shown above, and run "
            "that cell again."
        )
    return ""


def newest_finished(runs: list[Run]) -> Run:
    """Return the newest run of a block, the first of `runs`, if it has finished and none is open.

    After a cell that failed, an older run says nothing about what the student has now. For a check
    that asks for `runs`, to say more of a run that failed before; others ask for `run`.

    Raises Missing, with what to do.
    """
    if not runs:
        raise Missing(NO_RUN)
    if found := trouble(runs):
        raise Missing(found)
    return runs[0]


def newest_try(runs: list[Run]) -> list[Run]:
    """Return those of `runs`, newest first, that the newest execution of a cell or script made.

    Of any status, while the fixture `attempt` wants the newest run to have finished.
    """
    from winelab.tracking.run_tags import same_try

    return same_try(runs, runs[0]) if runs else []


def run_named(name: str, runs: list[Run], missing: str = "") -> Run:
    """Return the newest of `runs`, newest first, that has this name.

    Raises AssertionError with `missing`, what to do, where there is none.
    """
    found = next((run for run in runs if run.info.run_name == name), None)
    if found is None:
        raise AssertionError(f'there is no run "{name}". {missing}'.strip())
    return found


def children_of(parent: Run, runs: list[Run]) -> list[Run]:
    """Return those of `runs`, in their order, that were opened as children of the run `parent`."""
    return [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]


def found_ids(namespace: Mapping[str, Any], name: str, missing: str = "") -> list[str]:
    """Return the ids of the runs in a search's result, in its order: a table, or a list of runs.

    Args:
        namespace: the student's variables.
        name: of the variable that keeps the result.
        missing: what to do where there is none; a sentence.

    Raises AssertionError, in plain words, where it is something else.
    """
    found = student_value(namespace, name, missing)
    if hasattr(found, "columns") and "run_id" in found.columns:
        return [str(one) for one in found["run_id"]]
    if isinstance(found, list) and all(hasattr(one, "info") for one in found):
        return [str(one.info.run_id) for one in found]
    # A search that finds nothing has no columns.
    if hasattr(found, "columns") and not len(found):
        return []
    raise AssertionError(
        f"`{name}` is {kind(found)} without the runs' ids: keep what `mlflow.search_runs` returns."
    )


def student_value(
    namespace: Mapping[str, Any], name: str, advice: str, expect: type | tuple[type, ...] = object
) -> Any:
    """Return the student's variable `name`.

    Args:
        namespace: the student's variables.
        name: of the variable.
        advice: what to write instead; a sentence.
        expect: the types that it may have.

    Raises AssertionError, with `advice`, where there is none, or it has another type.
    """
    found = namespace.get(name)
    assert found is not None, f"there is no `{name}` yet. {advice}".strip()
    assert isinstance(found, expect), f"`{name}` is {kind(found)}. {advice}".strip()
    return found


def artifact_paths(client: MlflowClient, run: Run) -> set[str]:
    """Return the paths of all files on a run, those in its folders too."""
    found: set[str] = set()
    folders: list[str | None] = [None]
    while folders:
        for entry in client.list_artifacts(run.info.run_id, folders.pop()):
            if entry.is_dir:
                folders.append(entry.path)
            else:
                found.add(entry.path)
    return found


def model_folder(uri: str) -> Path:
    """Return the folder with the files of the logged model at `uri`, as MLflow keeps them."""
    import mlflow

    return Path(mlflow.artifacts.download_artifacts(uri))


def required_packages(uri: str) -> set[str]:
    """Return the names in the requirements.txt of the model at `uri`, in small letters."""
    lines = (model_folder(uri) / "requirements.txt").read_text(encoding="utf-8").split("\n")
    return {re.split(r"[^\w.-]", line.strip())[0].lower() for line in lines if line.strip()}


def datasets_of(model: LoggedModel, run: Run, metric: str) -> set[str | None]:
    """Return the names of the datasets that `run` measured this metric of a logged model on.

    None stands among them where the metric was logged without a dataset.
    """
    return {
        found.dataset_name
        for found in model.metrics or []
        if found.key == metric and found.run_id == run.info.run_id
    }


def champion_of(client: MlflowClient) -> ModelVersion:
    """Return the version of the course's registered model that has the alias "champion".

    Raises AssertionError, with what to do, where none has it.
    """
    number = client.get_registered_model(REGISTERED).aliases.get("champion")
    assert number is not None, (
        "no version has the alias champion yet: run the cells above, from the top."
    )
    return client.get_model_version(REGISTERED, number)


def output_file(
    namespace: Mapping[str, Any], name: str, since: float, *, missing: str, old: str
) -> Path:
    """Return the file of this name in the student's folder `output`.

    Args:
        namespace: the student's variables.
        name: of the file.
        since: when it must have been written, or later: milliseconds since 1970, as MLflow has.
        missing: what to do where there is no such file; a sentence.
        old: what is wrong with an older one, and what to do: the end of "NAME is older than ...".

    Raises AssertionError, with one of these, or where `output` is no folder.
    """
    folder = namespace["output"]
    assert isinstance(folder, str | Path), (
        f"`output` is {kind(folder)}, not a folder: run the cells again from the top."
    )
    file = Path(folder) / name
    assert file.is_file(), f"there is no {name} in the folder output yet: {missing}"
    written = file.stat().st_mtime * 1000
    assert written >= since - 1, f"{name} in the folder output is older than {old}"
    return file
