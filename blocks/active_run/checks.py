"""The run is known by its id, and read back from the store."""

from winelab.checks.authoring import after, catches, error, hint, put, remove, right, split, swap
from winelab.checks.comparing import kind, plural, short

RUN_ID = "run_id = mlflow.active_run().info.run_id"
LAST = "last_run_id = mlflow.last_active_run().info.run_id"
FINISHED = "finished = mlflow.get_run(run_id)"


def _id(namespace, name, missing):
    """The id that a variable holds; an AssertionError with what to do where it holds none."""
    found = namespace.get(name)
    assert found is not None, f"there is no id in `{name}` yet. {missing}"
    assert isinstance(found, str), (
        f"`{name}` is {kind(found)}, not an id: the id is a text, and a run has it in "
        "`.info.run_id`."
    )
    return found


@catches("the active run was asked for after the run")
@remove("run-id")
@swap("read-back", LAST, f"{RUN_ID}\n{LAST}")
@hint("Below the `with`, no run is active")
@error("'NoneType' object has no attribute 'info'")
@catches("the run was kept, not its id")
@swap("run-id", ".info.run_id", "")
@hint("`run_id` is an ActiveRun, not an id")
@error("expected string or bytes-like object")
@catches("the name was kept in place of the id")
@swap("run-id", ".run_id", ".run_name")
@hint('`run_id` is "elasticnet", the name of your newest run')
@error("Run with id=elasticnet not found")
@catches("the id of the experiment was kept")
@swap("run-id", ".run_id", ".experiment_id")
@hint("which is not the id of your newest run")
@error("not found")
@catches("the training was run again in a new cell, and the id stayed")
@after('with mlflow.start_run(run_name="elasticnet"):\n    mlflow.log_metrics(metrics)')
@hint("the id of an older run")
def test_run_id_is_the_id_of_the_newest_run(run, runs, namespace):
    "`run_id` is the id of your newest run"
    ask = "Ask `mlflow.active_run()` in the last line inside the `with`."
    mine = _id(namespace, "run_id", f"{ask} Below the `with`, no run is active any more.")
    assert mine != run.info.run_name, (
        f"`run_id` is {short(mine)}, the name of your newest run. Many runs can share a name: keep "
        "the id, `.info.run_id`."
    )
    assert mine == run.info.run_id or mine not in {one.info.run_id for one in runs}, (
        f"`run_id` is the id of an older run of this notebook. {ask} Then each new run brings its "
        "own id: run the cells again from the top."
    )
    assert mine == run.info.run_id, (
        f"`run_id` is {short(mine)}, which is not the id of your newest run. {ask}"
    )


@catches("the last active run was not asked for")
@swap("read-back", LAST, "")
@hint("there is no id in `last_run_id` yet")
@catches("the last run was kept, not its id")
@swap("read-back", "run().info.run_id", "run()")
@hint("`last_run_id` is a Run, not an id")
@catches("a metric was logged after the run, which opens another one")
@swap("read-back", LAST, f'mlflow.log_metric("wines", len(predictions))\n{LAST}')
@hint("Call mlflow.end_run() once")
@catches("the question came before the training, and got the run before")
@swap("run", "with mlflow", f"with mlflow.start_run():\n    pass\n{LAST}\nwith mlflow")
@swap("read-back", LAST, "")
@hint("`last_run_id` is the id of another run")
def test_the_last_active_run_is_the_same_one(run, namespace):
    "`last_run_id` is the id of the same run"
    ask = (
        'In the cell "5. Look at the result", ask `mlflow.last_active_run()`: it still answers '
        "after the run has ended."
    )
    assert _id(namespace, "last_run_id", ask) == run.info.run_id, (
        f"`last_run_id` is the id of another run than your newest one. {ask} Then run the cells "
        "again from the top."
    )


@catches("the run object from inside the run was taken for the result")
@swap("run-id", RUN_ID, f"finished = mlflow.active_run()\n{RUN_ID}")
@swap("read-back", FINISHED, "")
@hint("a snapshot from the time when the run was open")
@error("KeyError: 'rmse'")
@catches("the run was read back before it ended")
@swap("run-id", RUN_ID, f"{RUN_ID}\n{FINISHED}")
@swap("read-back", FINISHED, "")
@hint("`finished` says RUNNING with 3 metrics")
@catches("the data of the run was kept, not the run")
@swap("read-back", FINISHED, f"{FINISHED}.data")
@hint("`finished` is a RunData, not a run")
@error("has no attribute 'data'")
@catches("another run was read back")
@swap("run", "with mlflow", "with mlflow.start_run() as first:\n    pass\nwith mlflow")
@swap("read-back", "get_run(run_id)", "get_run(first.info.run_id)")
@hint("`finished` is another run")
@error("KeyError: 'rmse'")
def test_the_run_was_read_back(run, namespace):
    "`finished` is your run as the store has it after its end"
    from mlflow.entities import Run

    mine, ask = namespace.get("finished"), "keep what `mlflow.get_run(run_id)` returns."
    assert mine is not None, (
        f'there is no run in `finished` yet: in the cell "5. Look at the result", {ask}'
    )
    assert isinstance(mine, Run), f"`finished` is {kind(mine)}, not a run: {ask}"
    assert mine.info.run_id == run.info.run_id, (
        f"`finished` is another run than your newest one: {ask}"
    )
    status, metrics = mine.info.status, mine.data.metrics
    assert status == run.info.status and metrics == run.data.metrics, (
        f"`finished` says {status} with {plural(len(metrics), 'metric')}, the store says "
        f"{run.info.status} with {len(run.data.metrics)}. Yours is a snapshot from the time when "
        "the run was open: read it with `mlflow.get_run(run_id)` below the `with`."
    )


RIGHT_WAYS = (
    right(
        "the `with` names the run, and a client reads it back",
        swap("run", '"elasticnet"):', '"elasticnet") as opened:'),
        put("run-id", "run_id = opened.info.run_id"),
        swap("read-back", "mlflow.get_run(", "mlflow.MlflowClient().get_run("),
    ),
    right(
        "the run was opened and ended by hand",
        put("run", 'mlflow.start_run(run_name="elasticnet")\nif True:'),
        swap("show", "print(", "mlflow.end_run()\nprint("),
    ),
    right(
        "the last active run is the run that was read back",
        put(
            "read-back",
            "finished = mlflow.last_active_run()\nlast_run_id = finished.info.run_id\n"
            "print(finished.info.status)",
        ),
    ),
    right("the questions stand in a cell of their own", split("result", "last_run_id = ")),
    right(
        "the id was asked for inside the run, in the middle",
        remove("run-id"),
        swap("model", "model = ", f"{RUN_ID}\nmodel = "),
    ),
)
