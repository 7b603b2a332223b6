"""The training is one finished run with a name."""

import re

from winelab.checks.authoring import (
    before,
    catches,
    given,
    put,
    remove,
    skip,
    skip_all,
    swap,
    twice,
)


@catches("no cell has been run yet", skip_all(), hint='no experiment "wine-quality"')
@given
def test_the_experiment_is_there(experiment):
    'the experiment "wine-quality" is in the store'


@catches(
    "a cell with a bare start_run() was run twice",
    put("run", 'mlflow.start_run(run_name="elasticnet")'),
    twice("train"),
    hint="Call mlflow.end_run() once",
    error="is already active",
)
@catches("the training is not in a run", remove("run"), hint="has made no run since it started")
@catches(
    "start_run() was never ended",
    put("run", 'mlflow.start_run(run_name="elasticnet")'),
    hint="a run is still open",
)
@catches(
    "the training inside the run raised an error",
    swap("fit", "y_train", "y_tran"),
    hint="ended as FAILED",
    error="name 'y_tran' is not defined",
)
def test_one_run_finished(run, runs):
    "the run finished, and no run is left open"
    # A fixture has seen that one finished; an earlier try may still be open behind it.
    still_open = [r for r in runs if r.info.status == "RUNNING"]
    assert not still_open, (
        "a run is still open: end it with mlflow.end_run(), then use `with "
        "mlflow.start_run(...):`, which ends the run by itself."
    )


@catches(
    "each line got a run of its own",
    swap(
        "fit",
        "model.fit(X_train, y_train)",
        "model.fit(X_train, y_train)\n"
        'with mlflow.start_run(run_name="predict", nested=True):\n    pass',
    ),
    hint="the cell made 2 runs",
)
def test_it_is_the_only_one(attempt):
    "the cell made exactly one run"
    assert len(attempt) == 1, (
        f"the cell made {len(attempt)} runs: one `with mlflow.start_run(...)` is enough, "
        "around all of the training."
    )


@catches(
    "the cell that sets the experiment was not run",
    skip("store"),
    before('import mlflow\nmlflow.MlflowClient().create_experiment("wine-quality")'),
    hint="the run went to another experiment",
)
def test_it_is_in_the_experiment(run, experiment):
    'the run is in "wine-quality"'
    assert run.info.experiment_id == experiment.experiment_id, (
        "the run went to another experiment: run the cell with set_experiment first, then the "
        "training."
    )


@catches(
    "the run has no name",
    swap("run", 'run_name="elasticnet"', ""),
    hint='say run_name="elasticnet"',
)
def test_it_has_a_name(run):
    "the run has the name that you gave it"
    name = run.info.run_name
    assert not re.fullmatch(r"[a-z]+-[a-z]+-\d+", name), (
        f'"{name}" is a name that MLflow drew by lot: say run_name="elasticnet" in start_run.'
    )
