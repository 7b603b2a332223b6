"""The training is one finished run with a name."""

import re

from winelab.checks.authoring import Mistake, given


@given
def test_the_experiment_is_there(experiment):
    'the experiment "wine-quality" is in the store'


def test_one_run_finished(run, runs):
    "the run finished, and no run is left open"
    # A fixture has seen that one finished; an earlier try may still be open behind it.
    still_open = [r for r in runs if r.info.status == "RUNNING"]
    assert not still_open, (
        "a run is still open: end it with mlflow.end_run(), then use `with "
        "mlflow.start_run(...):`, which ends the run by itself."
    )


def test_it_is_the_only_one(attempt):
    "the cell made exactly one run"
    assert len(attempt) == 1, (
        f"the cell made {len(attempt)} runs: one `with mlflow.start_run(...)` is enough, "
        "around all of the training."
    )


def test_it_is_in_the_experiment(run, experiment):
    'the run is in "wine-quality"'
    assert run.info.experiment_id == experiment.experiment_id, (
        "the run went to another experiment: run the cell with set_experiment first, then the "
        "training."
    )


def test_it_has_a_name(run):
    "the run has the name that you gave it"
    name = run.info.run_name
    assert not re.fullmatch(r"[a-z]+-[a-z]+-\d+", name), (
        f'"{name}" is a name that MLflow drew by lot: say run_name="elasticnet" in start_run.'
    )


MISTAKES = [
    Mistake(
        "no cell has been run yet",
        caught_by="test_the_experiment_is_there",
        hint='no experiment "wine-quality"',
        skip=("*",),
    ),
    Mistake(
        "a cell with a bare start_run() was run twice",
        caught_by="test_one_run_finished",
        hint="end it with mlflow.end_run()",
        code={"run": 'mlflow.start_run(run_name="elasticnet")'},
        twice="train",
        error="is already active",
    ),
    Mistake(
        "the training is not in a run",
        caught_by="test_one_run_finished",
        hint="has made no run since it started",
        code={"run": ""},
    ),
    Mistake(
        "start_run() was never ended",
        caught_by="test_one_run_finished",
        hint="the run is still open",
        code={"run": 'mlflow.start_run(run_name="elasticnet")'},
    ),
    Mistake(
        "the training inside the run raised an error",
        caught_by="test_one_run_finished",
        hint="ended as FAILED",
        swap={"fit": ("y_train", "y_tran")},
        error="name 'y_tran' is not defined",
    ),
    Mistake(
        "the run has no name",
        caught_by="test_it_has_a_name",
        hint='say run_name="elasticnet"',
        swap={"run": ('run_name="elasticnet"', "")},
    ),
    Mistake(
        "the cell that sets the experiment was not run",
        caught_by="test_it_is_in_the_experiment",
        hint="the run went to another experiment",
        before='import mlflow\nmlflow.MlflowClient().create_experiment("wine-quality")',
        skip=("store",),
    ),
    Mistake(
        "each line got a run of its own",
        caught_by="test_it_is_the_only_one",
        hint="the cell made 2 runs",
        swap={
            "fit": (
                "model.fit(X_train, y_train)",
                "model.fit(X_train, y_train)\n"
                'with mlflow.start_run(run_name="predict", nested=True):\n    pass',
            )
        },
    ),
]
