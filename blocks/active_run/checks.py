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
    assert isinstance(found, str), f"`{name}` is {kind(found)}, not an id: keep `.info.run_id`."
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
        f"`run_id` is {short(mine)}, the name of your newest run, and many runs can share a name: "
        "keep the id, `.info.run_id`."
    )
    older = mine in {one.info.run_id for one in runs}
    what = "the id of an older run" if older else "which is not the id of your newest run"
    assert mine == run.info.run_id, (
        f"`run_id` is {short(mine)}, {what}. {ask} Then run the cells again from the top."
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
    ask = 'Ask `mlflow.last_active_run()` in the cell "5. Look at the result", after the run.'
    assert _id(namespace, "last_run_id", ask) == run.info.run_id, (
        f"`last_run_id` is the id of another run than your newest one. {ask}"
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

    ask = 'in the cell "5. Look at the result", keep what `mlflow.get_run(run_id)` returns.'
    mine = namespace.get("finished")
    assert isinstance(mine, Run), f"`finished` is {kind(mine)}, not a run: {ask}"
    newest = mine.info.run_id == run.info.run_id
    assert newest, f"`finished` is another run than your newest one: {ask}"
    status, metrics = mine.info.status, mine.data.metrics
    assert status == run.info.status and metrics == run.data.metrics, (
        f"`finished` says {status} with {plural(len(metrics), 'metric')}, the store says "
        f"{run.info.status} with {len(run.data.metrics)}. Yours is a snapshot from the time when "
        "the run was open: call `mlflow.get_run(run_id)` below the `with`."
    )


RIGHT_WAYS = (
    right(
        "the `with` names the run, and a client reads it back",
        swap("run", '"elasticnet"):', '"elasticnet") as opened:'),
        put("run-id", "run_id = opened.info.run_id"),
        swap("read-back", "mlflow.get_run(", "mlflow.MlflowClient().get_run("),
    ),
    right(
        "the run was opened and ended by hand, and its id asked for in the middle",
        put("run", 'mlflow.start_run(run_name="elasticnet")\nif True:'),
        swap("show", "print(", "mlflow.end_run()\nprint("),
        remove("run-id"),
        swap("model", "model = ", f"{RUN_ID}\nmodel = "),
    ),
    right(
        "the last active run is the run that was read back, in a cell of its own",
        put("read-back", "finished = mlflow.last_active_run()\nlast_run_id = finished.info.run_id"),
        split("result", "finished = "),
    ),
)
