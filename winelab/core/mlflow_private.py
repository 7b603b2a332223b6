"""What MLflow keeps private and the course needs, in one place: why, and what to do when it goes.

Standard library only at import: this module is read before anything is installed.
docs/newer-mlflow.md says what notices a change.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Without it a SQLite store puts artifacts into the folder that a process started in.
# When it goes: let the store's Default experiment be made with an artifact_location, and have
# the blocks that create experiments name one.
ARTIFACT_ROOT = "_MLFLOW_SERVER_ARTIFACT_ROOT"


def active_experiment_id() -> str:
    """Return the id of the experiment that the next run goes to.

    There is no public way to ask without starting a run. When it goes: start a run, read its
    experiment_id, and delete the run again.
    """
    from mlflow.tracking import fluent

    return str(fluent._get_experiment_id())


def last_run_id() -> str | None:
    """Return the id of the last run that was active in this thread, or None.

    The public last_active_run reads the run too, in whatever store is set by now. When it goes:
    keep the id of that one, where it does not raise.
    """
    from mlflow.tracking import fluent

    found: str | None = fluent._last_active_run_id.get()
    return found


def autolog_is_off(flavor: str) -> bool:
    """Return True if autologging of a flavor, such as "sklearn", is turned off.

    There is no public way to ask without a fit, which would make a run. When it goes: fit on ten
    rows in a store of their own, and count the runs there.
    """
    from mlflow.utils.autologging_utils import autologging_is_disabled

    return bool(autologging_is_disabled(flavor))


def local_path(place: str) -> Path:
    """Return the path that a path, or an address such as file:///home/me, stands for.

    MLflow's own reading of it is what a student's files follow, on Windows too. When it goes:
    urllib.request.url2pathname of the address's path (Path.from_uri from Python 3.13 on).
    """
    from mlflow.utils.file_utils import local_file_uri_to_path

    return Path(local_file_uri_to_path(place))


@contextmanager
def own_state() -> Iterator[None]:
    """Run the block with no active run or experiment, and put back what MLflow knew before.

    That is the active runs, the last run and model, the active experiment, the addresses of
    tracking and registry, and what autolog was told. MLflow lets only some of it be asked and set.
    When a name goes, the tests of the checks fail: look for what took its place in the same module.
    """
    import mlflow.tracing
    from mlflow.tracking import fluent
    from mlflow.tracking._model_registry import utils as registry
    from mlflow.tracking._tracking_service import utils as tracking
    from mlflow.utils import autologging_utils

    of_thread = (
        fluent._active_run_stack,
        fluent._last_active_run_id,
        fluent._last_logged_model_id,
        fluent._ACTIVE_MODEL_CONTEXT,
    )
    values = [variable.get() for variable in of_thread]
    experiment = fluent._active_experiment_id
    uris = tracking._tracking_uri, registry._registry_uri
    autolog = autologging_utils.AUTOLOGGING_INTEGRATIONS
    told = {flavor: dict(settings) for flavor, settings in autolog.items()}
    try:
        for variable in of_thread:
            variable.set(variable.default_factory())
        fluent._active_experiment_id = None
        yield
    finally:
        for variable, value in zip(of_thread, values, strict=True):
            variable.set(value)
        fluent._active_experiment_id = experiment
        autolog.clear()
        autolog.update(told)
        if uris != (tracking._tracking_uri, registry._registry_uri):
            tracking._tracking_uri, registry._registry_uri = uris
            # Traces go to the tracking address that was last told.
            mlflow.tracing.reset()
