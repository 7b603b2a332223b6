"""The run is known by its id, and read back from the store."""

from winelab.checks.authoring import after, catches, swap


def _id(namespace, name, how):
    """The id in a variable; an assert with the way to it where there is none."""
    found = namespace.get(name)
    assert found is not None, f"there is no id in `{name}` yet: {how}"
    assert isinstance(found, str), (
        f"`{name}` is not an id but {type(found).__name__}: the id is a text, and stands in "
        "`.info.run_id` of the run."
    )
    return found


@catches(
    "the active run was asked for after the run",
    swap("run-id", "run_id = mlflow.active_run().info.run_id", ""),
    swap(
        "read-back",
        "last_run_id = mlflow",
        "run_id = mlflow.active_run().info.run_id\nlast_run_id = mlflow",
    ),
    hint="no run is active any more",
    error="'NoneType' object has no attribute 'info'",
)
@catches(
    "the run was kept, not its id",
    swap("run-id", ".info.run_id", ""),
    hint="is not an id but ActiveRun",
    error="expected string or bytes-like object",
)
@catches(
    "the name was kept in place of the id",
    swap("run-id", ".run_id", ".run_name"),
    hint='"elasticnet" is not the id of your newest run',
    error="Run with id=elasticnet not found",
)
@catches(
    "the training was run again in a new cell, and the id stayed",
    after('with mlflow.start_run(run_name="elasticnet"):\n    mlflow.log_metrics(metrics)'),
    hint="the id of an older run",
)
def test_the_id_was_kept_inside_the_run(run, runs, namespace):
    "`run_id` is the id of the newest run"
    mine = _id(
        namespace,
        "run_id",
        "ask mlflow.active_run() as the last line inside the `with`. Below it, no run is active "
        "any more, and the answer is None.",
    )
    older = [r for r in runs if r.info.run_id == mine != run.info.run_id]
    assert not older, (
        "`run_id` is the id of an older run of this notebook: the line stands inside the `with`, "
        "so that each new run brings its own id. Run all cells."
    )
    assert mine == run.info.run_id, (
        f'"{mine}" is not the id of your newest run: take it from mlflow.active_run().info.run_id, '
        "inside the `with`."
    )


@catches(
    "the last run was asked for before the training",
    swap("read-back", "last_run_id = mlflow.last_active_run().info.run_id", ""),
    swap(
        "experiment",
        'location = (course / "mlruns"',
        'last_run_id = mlflow.last_active_run().info.run_id\nlocation = (course / "mlruns"',
    ),
    hint="there is no id in `last_run_id`",
    error="'NoneType' object has no attribute 'info'",
)
@catches(
    "something was logged after the run, which opens another one",
    swap(
        "read-back",
        "last_run_id = mlflow",
        'mlflow.log_metric("wines", len(predictions))\nlast_run_id = mlflow',
    ),
    hint="anything logged outside of the `with` does that",
)
def test_the_last_run_is_the_same_one(namespace, runs):
    "`last_run_id` is the same id: the two ways agree"
    last = _id(
        namespace,
        "last_run_id",
        "in the last cell, ask mlflow.last_active_run(), which answers after a run has ended too.",
    )
    finished = [run.info.run_id for run in runs if run.info.status == "FINISHED"]
    assert last in finished[:1], (
        "`last_run_id` is the id of another run. Either you asked before the training: ask in the "
        "last cell. Or another run was opened after it: anything logged outside of the `with` "
        "does that. End it with mlflow.end_run(), and take the line away."
    )


@catches(
    "the variable from inside the run was taken for the result",
    swap(
        "run-id",
        "run_id = mlflow.active_run().info.run_id",
        "finished = mlflow.active_run()\nrun_id = finished.info.run_id",
    ),
    swap("read-back", "finished = mlflow.get_run(run_id)", ""),
    hint="taken while the run was open",
    error="KeyError: 'rmse'",
)
@catches(
    "the run was read back before it ended",
    swap(
        "run-id",
        "run_id = mlflow.active_run().info.run_id",
        "run_id = mlflow.active_run().info.run_id\nfinished = mlflow.get_run(run_id)",
    ),
    swap("read-back", "finished = mlflow.get_run(run_id)", ""),
    hint="`finished` says RUNNING with 3 metrics",
)
def test_the_run_was_read_back(run, client, namespace):
    "`finished` is what the store says of the run, after its end"
    from mlflow.entities import Run

    mine = namespace.get("finished")
    assert mine is not None, (
        "there is no run in `finished` yet: in the last cell, read it back with "
        "mlflow.get_run(run_id)."
    )
    assert isinstance(mine, Run), (
        f"`finished` is not a run but {type(mine).__name__}: keep what mlflow.get_run answers."
    )
    assert mine.info.run_id == run.info.run_id, (
        "`finished` is another run than the newest one: run all cells from the top."
    )
    stored = client.get_run(run.info.run_id)
    assert mine.info.status == stored.info.status and mine.data.metrics == stored.data.metrics, (
        f"`finished` says {mine.info.status} with {len(mine.data.metrics)} metrics, the store says "
        f"{stored.info.status} with {len(stored.data.metrics)}: yours was taken while the run was "
        "open, and stays as it was. Ask mlflow.get_run(run_id) in the last cell."
    )
