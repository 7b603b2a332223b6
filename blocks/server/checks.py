"""The run went through a tracking server, into its database and its artifact store."""

from winelab.checks.authoring import (
    before,
    catches,
    error,
    given,
    hint,
    put,
    right,
    skip,
    skip_all,
    swap,
    twice,
)
from winelab.checks.comparing import kind

SERVER_BESIDE_SCRIPT = True
"""In a notebook a given cell starts the server; beside a script somebody else does."""

NAME = "wine-server"
FROM_ENVIRONMENT = 'os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{store}")'


@catches("no cell has been run yet", skip_all())
@hint("has made no run since it started")
@catches("the address still stands in the code")
@put("tracking-uri", 'mlflow.set_tracking_uri(f"sqlite:///{store}")')
@hint("take the address from the environment")
@catches("the variable's name is misspelt")
@swap("tracking-uri", '"MLFLOW_TRACKING_URI"', '"MLFLOW_TRACKING_URL"')
@hint("take the address from the environment")
@catches("the name and the default changed places")
@put("tracking-uri", 'mlflow.set_tracking_uri(os.environ.get(store, "MLFLOW_TRACKING_URI"))')
@hint("takes that name first")
@error("maintenance mode")
def test_the_run_was_sent_to_a_server(run, namespace):
    "the run was sent to the server that the environment names"
    uri = namespace["tracking_uri"]
    assert isinstance(uri, str), (
        f"`tracking_uri` is {kind(uri)}: keep `tracking_uri = mlflow.get_tracking_uri()`."
    )
    assert uri.startswith("http"), (
        f"MLflow wrote straight to {uri}: take the address from the environment, "
        f"`mlflow.set_tracking_uri({FROM_ENVIRONMENT})`, and leave that variable to the given "
        "line above. A script needs a server beside it."
    )


@catches("the old experiment was used, which was created without a server")
@swap("experiment", "wine-server", "wine-quality")
@hint('`mlflow.set_experiment("wine-server")`')
@catches("the experiment was created before there was a server")
@before('import mlflow\nmlflow.set_experiment("wine-server")')
@hint("rename_experiment")
@catches("MLflow was set to the file again before the training")
@swap("run", "with mlflow", "mlflow.set_tracking_uri(database)\nwith mlflow")
@hint("ended as FAILED")
@error("the tracking URI must be a valid http or https URI")
def test_the_files_went_through_the_server(run, client, logged_model):
    'the run is in "wine-server", and its files went through the server'
    experiment = client.get_experiment(run.info.experiment_id)
    assert experiment.name == NAME, (
        f'the run is in "{experiment.name}": call `mlflow.set_experiment("{NAME}")`, so that the '
        "server creates the experiment."
    )
    places = (experiment.artifact_location, logged_model.artifact_location)
    assert all(place.startswith("mlflow-artifacts:") for place in places), (
        f'"{NAME}" was created without a server, and keeps its files at {places[0]}. Rename it, '
        f'`mlflow.MlflowClient().rename_experiment("{experiment.experiment_id}", "{NAME}-old")`, '
        "and run all cells again."
    )


@catches("the cell that stops the server was not run")
@skip("stop")
@hint('run the cell "Stop the server')
@catches("the server was stopped, and MLflow still asks it")
@put("stop", "stop_server(server)\nmlflow.set_tracking_uri(address)")
@hint("Nothing answers at http://127.0.0.1")
@given
def test_the_server_is_stopped(run, namespace):
    "the server of this notebook has been stopped"
    server = namespace.get("server")
    if server is None:
        return  # A script starts none.
    assert hasattr(server, "poll"), (
        f"`server` is {kind(server)}: give nothing else this name, and run the cells from the top."
    )
    assert server.poll() is not None, 'the server is still running: run the cell "Stop the server".'


CREATED = """\
made = mlflow.MlflowClient().create_experiment("wine-server")
experiment = mlflow.set_experiment(experiment_id=made)
"""
DEFAULT = 'os.environ.setdefault("MLFLOW_TRACKING_URI", f"sqlite:///{store}")'
OR = 'os.getenv("MLFLOW_TRACKING_URI") or store'
RIGHT_WAYS = (
    right("os.getenv, and `or`", swap("tracking-uri", FROM_ENVIRONMENT, OR)),
    right("MLFLOW_TRACKING_URI is set, and nothing else", put("tracking-uri", DEFAULT)),
    right("a client creates the experiment, chosen by its id", put("experiment", CREATED)),
    right("the cell that starts the server was run twice", twice("store")),
)
