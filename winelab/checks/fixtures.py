"""What a check can ask for by the name of its parameter, and what is said when it is not there.

Each fixture is a function of `CheckContext`, the place where one check run keeps what it has seen.
Import of MLflow waits until a fixture needs the store: a check of variables alone is instant.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from winelab.checks.comparing import kind
from winelab.checks.looking import EXPERIMENT, REGISTERED, newest_finished
from winelab.core.errors import Missing
from winelab.core.order import Listed
from winelab.tracking import store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment, LoggedModel, Run
    from mlflow.entities.model_registry import ModelVersion


class Namespace(dict[str, Any]):
    """The student's variables; a missing one is a hint, not a KeyError."""

    def __init__(self, variables: Mapping[str, Any]) -> None:
        super().__init__(variables)
        self.read: dict[str, Any] = {}
        """The names that were asked for and are there, in order, with what they hold."""

    def _note(self, name: object) -> None:
        # What begins with _ is no name of the lesson: a check may keep something there.
        if super().__contains__(name) and not str(name).startswith("_"):
            self.read[str(name)] = super().__getitem__(str(name))

    def __getitem__(self, name: str) -> Any:
        self._note(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        """Return the variable, or `default` where there is none."""
        self._note(name)
        return super().get(name, default)

    def __contains__(self, name: object) -> bool:
        self._note(name)
        return super().__contains__(name)

    def __missing__(self, name: str) -> Any:
        raise Missing(
            f"there is no variable `{name}` here yet: if a cell above stopped with an error, fix "
            "that one first. Then run the cells from the top, and mind the spelling."
        )


@dataclass
class CheckContext:
    """One look at the student's work: the block, the variables, and what was found so far."""

    block: Listed
    variables: Mapping[str, Any]
    found: dict[str, Any] = field(default_factory=dict)
    """What each fixture gave; its error, where there was one."""

    def get(self, name: str) -> Any:
        """Return the value of fixture `name`, made once. Raises Missing where there is none."""
        if name not in self.found:
            try:
                self.found[name] = FIXTURES[name](self)
            except Exception as error:
                # Remembered too: five checks must not wait five times for a dead server.
                self.found[name] = error
        if isinstance(self.found[name], Exception):
            raise self.found[name]
        return self.found[name]

    @property
    def failed(self) -> bool:
        """Return whether something that a check asked for was not there."""
        return any(isinstance(value, Exception) for value in self.found.values())


def namespace(context: CheckContext) -> Namespace:
    """Return the variables of the notebook or script."""
    return Namespace(context.variables)


def client(context: CheckContext) -> MlflowClient:
    """Return a client of the store that this process writes to."""
    import mlflow

    uri = mlflow.get_tracking_uri()
    if problem := store.problem(uri):
        raise Missing(problem)
    if store.is_replaced(uri):
        raise Missing(store.REPLACED)
    return mlflow.MlflowClient(uri)


def experiment(context: CheckContext) -> Experiment:
    """Return the course's experiment, which is active."""
    found = context.get("client").get_experiment_by_name(EXPERIMENT)
    if found is None:
        raise Missing(
            f'there is no experiment "{EXPERIMENT}" in this store yet: run the cell with '
            f'mlflow.set_experiment("{EXPERIMENT}").'
        )
    if found.lifecycle_stage != "active":
        raise Missing(
            f'the experiment "{EXPERIMENT}" is deleted, and its name stays taken: bring it back '
            f'with mlflow.MlflowClient().restore_experiment("{found.experiment_id}").'
        )
    return found


def runs(context: CheckContext) -> list[Run]:
    """Return the runs that this process made for this block, newest first, of any status.

    Of this process, because the store also holds the tries of yesterday, those of other
    notebooks, and those of `make run`: on an untouched notebook they must prove nothing. A
    notebook under another name says no block; all that its kernel made counts. So does a run
    without our tags that began since this process did: a client's create_run asks for none. The
    programs of a package are processes of their own, so what any process has made since counts.
    """
    import psutil

    from winelab.tracking.run_tags import BLOCK_TAG, STARTED, TRY_TAG, session

    client = context.get("client")
    # In milliseconds. The system rounds the start of a process to a second or so; what executes
    # notebooks in one process says it (see proof/run_code).
    began = os.environ.get(STARTED) or psutil.Process().create_time() - 2
    since = int(float(began) * 1000)
    everywhere = [experiment.experiment_id for experiment in client.search_experiments()]

    def search(filter_string: str) -> list[Run]:
        order = ["attributes.start_time DESC"]
        return list(client.search_runs(everywhere, filter_string, order_by=order, max_results=1000))

    made = search(f"tags.`{TRY_TAG}` LIKE '{session()}/%'")
    ids = {run.info.run_id for run in made}
    # A package's programs are processes of their own, and so are their tries.
    made += [
        run
        for run in search(f"attributes.start_time > {since}")
        if run.info.run_id not in ids and (context.block.package or TRY_TAG not in run.data.tags)
    ]
    made.sort(key=lambda r: r.info.start_time, reverse=True)
    slug = context.block.slug
    return [r for r in made if r.data.tags.get(BLOCK_TAG, slug) == slug]


def run(context: CheckContext) -> Run:
    """Return the newest run of this block, which has finished, and no other is open."""
    return newest_finished(context.get("runs"))


def attempt(context: CheckContext) -> list[Run]:
    """Return all runs of the try that made `run`: one execution of its cell, or of the script."""
    from winelab.tracking.run_tags import same_try

    return same_try(context.get("runs"), context.get("run"))


def model(context: CheckContext) -> Any:
    """Return the variable `model`, a scikit-learn model that is fitted."""
    found = context.get("namespace")["model"]
    if isinstance(found, type) or not (hasattr(found, "fit") and hasattr(found, "predict")):
        raise Missing(
            f"`model` is {kind(found)}, and should be a scikit-learn model: run the cells again "
            "from the top, and give nothing else this name."
        )
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    try:
        check_is_fitted(found)
    except NotFittedError:
        raise Missing("`model` is not fitted yet: call model.fit(X_train, y_train).") from None
    return found


def logged_model(context: CheckContext) -> LoggedModel:
    """Return the one model that was logged in `run`: what MLflow keeps of it, with its URI."""
    found = context.get("run").outputs.model_outputs
    if not found:
        raise Missing(
            "there is no model on the run: inside the `with`, after the training, log it with "
            'name="model".'
        )
    if len(found) > 1:
        raise Missing(f"there are {len(found)} models on the run: log one, once.")
    logged: LoggedModel = context.get("client").get_logged_model(found[0].model_id)
    return logged


def versions(context: CheckContext) -> list[ModelVersion]:
    """Return the versions of the registered model that `attempt` made, oldest first.

    Of these runs only: the registry also holds the versions of other days and of other blocks.
    """
    mine = {run.info.run_id for run in context.get("attempt")}
    found = context.get("client").search_model_versions(f"name='{REGISTERED}'")
    made = [version for version in found if version.run_id in mine]
    if not made:
        raise Missing(
            f'no run of this notebook or script has made a version of "{REGISTERED}" yet: run the '
            "cells above, from the top, and see that a model is registered under that name."
        )
    # A number on SQLite, a text through a server.
    return sorted(made, key=lambda version: int(version.version))


def fresh(context: CheckContext) -> Callable[[str, Any], list[float]]:
    """Return a function of a model's URI and a table: its predictions, made in a fresh process.

    It raises Missing, with MLflow's message, where the model cannot be loaded or asked there.
    """
    from winelab.checks.isolated_predict import predictions

    return predictions


_ALL = (namespace, client, experiment, runs, run, attempt, model, logged_model, versions, fresh)
FIXTURES: dict[str, Callable[[CheckContext], Any]] = {made.__name__: made for made in _ALL}
NEED_A_RUN = frozenset({"run", "attempt", "logged_model", "versions"})
"""The fixtures that there are only where a run of this block has finished."""
