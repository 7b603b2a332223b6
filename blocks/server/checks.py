"""The run went through a tracking server, into its database and its artifact store."""

import os
from contextlib import closing, suppress

from winelab.checks.authoring import before, catches, given, put, remove, skip_all, swap, twice
from winelab.checks.comparing import close

NAME = "wine-server"


def _named_server():
    """The server that the environment names; "" where it names none."""
    address = os.environ.get("MLFLOW_TRACKING_URI", "")
    return address if address.startswith("http") else ""


def _servers_left():
    """The process ids of tracking servers that this process has started, and that still run."""
    import psutil

    left = []
    for child in psutil.Process().children():
        with suppress(psutil.Error):
            words = child.cmdline()
            if {"mlflow", "server"} <= set(words) and child.status() != psutil.STATUS_ZOMBIE:
                left.append(str(child.pid))
    return left


@catches("no cell has been run yet", skip_all(), hint="has made no run since it started")
@given
def test_a_run_finished(run):
    "a run finished"


# The experiment is one that an earlier try has made in the right way.
@catches(
    "the server was started, and MLflow was not told",
    put("experiment", 'experiment = mlflow.set_experiment("wine-quality")'),
    swap("tracking-uri", "address", "database"),
    hint="mlflow.set_tracking_uri(address)",
)
def test_the_run_was_sent_to_a_server(namespace):
    "the run was sent to a server, not written into a file"
    address, named = namespace["tracking_uri"], _named_server()
    assert address.startswith("http"), (
        f"MLflow wrote straight into {address}: call mlflow.set_tracking_uri(address) with the "
        "address that start_server gave, above the line that prints it."
    )
    assert not named or address.rstrip("/") == named.rstrip("/"), (
        f"MLFLOW_TRACKING_URI names the server {named}, and the run went to {address}: start a "
        'server only where the variable does not begin with "http".'
    )


@catches(
    "the old experiment was used, whose place was fixed without a server",
    swap("experiment", "wine-server", "wine-quality"),
    before('import mlflow\nmlflow.set_experiment("wine-quality")'),
    hint='call mlflow.set_experiment("wine-server")',
)
@catches(
    "the experiment was made before the server was there",
    before('import mlflow\nmlflow.set_experiment("wine-server")'),
    hint="rename_experiment",
)
@catches(
    "the environment names a server that is not there",
    hint="Nothing answers at http://127.0.0.1:9",
    error="Connection refused",
    environment={
        "MLFLOW_TRACKING_URI": "http://127.0.0.1:9",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    },
)
def test_the_experiment_was_made_by_a_server(run, client):
    'the run is in "wine-server", an experiment that a server has made'
    experiment = client.get_experiment(run.info.experiment_id)
    assert experiment.name == NAME, (
        f'the run is in "{experiment.name}", whose place was fixed without a server: call '
        f'mlflow.set_experiment("{NAME}").'
    )
    assert experiment.artifact_location.startswith("mlflow-artifacts:"), (
        f'"{NAME}" was made without a server, and keeps its files at '
        f"{experiment.artifact_location}. Put it out of the way with "
        f'mlflow.MlflowClient().rename_experiment("{experiment.experiment_id}", "old"), and run '
        "all cells again, mlflow.set_tracking_uri before mlflow.set_experiment."
    )


@catches(
    "the server was stopped, and MLflow still asks it",
    put("stop", "stop_server(server)"),
    hint="Nothing answers at http://127.0.0.1",
)
@catches(
    "the server got a database of its own, not the one that was named",
    put("stop", "stop_server(server)\nmlflow.set_tracking_uri(f'sqlite:///{store}2')"),
    swap("server", "start_server(database,", 'start_server(f"sqlite:///{store}2",'),
    hint="the database that `database` names",
)
def test_the_run_is_in_the_servers_database(run, namespace):
    "the run and its figures are in the server's database"
    from winelab.tracking.store import sqlite_file

    assert run.data.metrics, (
        "the run has no metrics: log them inside the `with`, as in block [[params_metrics]]."
    )
    database = namespace.get("database")
    assert isinstance(database, str), (
        'there is no `database` yet: in the cell "MLflow, and where it writes", keep the address '
        'there, database = os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{store}").'
    )
    file = sqlite_file(database)
    if file is None:
        # A database elsewhere: what its server says of it is all that can be seen from here.
        found = run.data.metrics
    else:
        import sqlite3

        assert file.is_file(), (
            f"there is no database at {file}: name the course's file, as in block [[tracking_uri]]."
        )
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as rows:
            found = dict(
                rows.execute(
                    "SELECT key, value FROM latest_metrics WHERE run_uuid = ?", [run.info.run_id]
                )
            )
    for name, value in namespace["metrics"].items():
        assert name in found and close(found[name], value), (
            f"{name} of this run is not in {database}: give start_server the database "
            "that `database` names."
        )


@catches(
    "the old experiment was used: the model's files went past the server",
    swap("experiment", "wine-server", "wine-quality"),
    before('import mlflow\nmlflow.set_experiment("wine-quality")'),
    hint="past the server",
)
def test_the_model_went_through_the_server(logged_model, namespace):
    "the model's files are where the server keeps artifacts"
    place = logged_model.artifact_location
    assert place.startswith("mlflow-artifacts:"), (
        f"the model was written to {place}, past the server: use an experiment that the server "
        f'has made, mlflow.set_experiment("{NAME}").'
    )
    if namespace.get("server") is None:
        import mlflow

        files = [file.path for file in mlflow.artifacts.list_artifacts(logged_model.model_uri)]
        assert "MLmodel" in files, f"the server has no files of the model {logged_model.model_uri}."
        return
    folder = namespace["course"] / "mlruns" / place.removeprefix("mlflow-artifacts:/")
    assert (folder / "MLmodel").is_file(), (
        f"the server did not put the model into {folder}: give start_server the folder "
        'course / "mlruns".'
    )


@catches("the server was never stopped", remove("stop"), hint="call stop_server(server)")
@catches(
    "the cell that starts the server was run twice", twice("store"), hint="`server` has lost it"
)
def test_the_server_is_stopped(namespace):
    "the server that was started here has been stopped"
    import mlflow

    server = namespace.get("server")
    left = _servers_left()
    assert server is not None or not left, (
        f"a server that was started here still runs (process {', '.join(left)}), and `server` has "
        "lost it: its cell was run twice. Restart the kernel, which stops it, and run all cells."
    )
    if server is None:
        assert _named_server(), (
            "no server was started, and MLFLOW_TRACKING_URI names none: call start_server, which "
            "stands above, and keep what it gives: server, address = start_server(...)."
        )
        return
    assert server.poll() is not None, (
        "the server is still running: call stop_server(server) in the last cell."
    )
    assert mlflow.get_tracking_uri() == namespace["database"], (
        "MLflow is still set to the server that has gone: call mlflow.set_tracking_uri(database) "
        "after stop_server."
    )
