"""MLflow is imported, says where it writes, and has an experiment."""

from winelab.checks.authoring import (
    after,
    before,
    catches,
    error,
    hint,
    put,
    remove,
    right,
    split,
    swap,
)
from winelab.checks.comparing import kind
from winelab.checks.looking import active_experiment_id

NAME = "wine-quality"


@catches("mlflow was never imported")
@remove("import-mlflow")
@hint("no variable `mlflow_version`")
@error("name 'mlflow' is not defined")
@catches("the version was typed by hand, from an older page")
@swap("version", "= mlflow.__version__", '= "2.9.2"')
@hint('`mlflow_version` is "2.9.2", and this is MLflow')
@catches("the version was printed, and not kept")
@put("version", "mlflow_version = print(mlflow.__version__)")
@hint("`mlflow_version` is nothing (None)")
def test_the_version_is_known(namespace):
    "`mlflow_version` is the version of MLflow"
    import mlflow

    found = namespace["mlflow_version"]
    shown = f'"{found}"' if isinstance(found, str) else kind(found)
    assert str(found) == mlflow.__version__, (
        f"`mlflow_version` is {shown}, and this is MLflow {mlflow.__version__}: write "
        "`mlflow_version = mlflow.__version__`, without brackets, and print it on the next line."
    )


@catches("the brackets were forgotten")
@swap("show-uri", "get_tracking_uri()", "get_tracking_uri")
@hint("`tracking_uri` is a function")
@catches("the address was typed by hand")
@swap("show-uri", "mlflow.get_tracking_uri()", '"./mlruns"')
@hint('`tracking_uri` is "./mlruns", and MLflow writes to sqlite:///')
def test_it_says_where_it_writes(namespace):
    "`tracking_uri` is the address of the store that MLflow writes to"
    import mlflow

    found, uri = namespace["tracking_uri"], mlflow.get_tracking_uri()
    shown = f'"{found}"' if isinstance(found, str) else kind(found)
    assert found == uri, (
        f"`tracking_uri` is {shown}, and MLflow writes to {uri}: write "
        "`tracking_uri = mlflow.get_tracking_uri()`, with the brackets."
    )


@catches("the experiment had been deleted, and its name stays taken")
@before(
    "import mlflow\n"
    f'gone = mlflow.MlflowClient().create_experiment("{NAME}")\n'
    "mlflow.MlflowClient().delete_experiment(gone)"
)
@hint("its name stays taken")
@error("Cannot set a deleted experiment")
@catches("the experiment was not set")
@remove("experiment")
@hint(f'no experiment "{NAME}"')
@catches("the experiment was created, but not made active")
@put(
    "experiment",
    f'mlflow.create_experiment("{NAME}")\nexperiment = mlflow.get_experiment_by_name("{NAME}")',
)
@hint('"Default" is the active experiment')
@catches("another experiment was tried out, and is still the active one")
@after('mlflow.set_experiment("playground")')
@hint('"playground" is the active experiment')
def test_its_runs_will_go_there(experiment, client):
    'the experiment "wine-quality" is in the store, and the next run goes there'
    active = active_experiment_id()
    assert active == experiment.experiment_id, (
        f'"{client.get_experiment(active).name}" is the active experiment: call '
        f'mlflow.set_experiment("{NAME}") again, which makes that one active.'
    )


@catches("the name was misspelt")
@swap("experiment", f'"{NAME}"', '"wine quality"')
@hint('your experiment is called "wine quality"')
@catches("what print returns was kept")
@put("experiment", f'experiment = print(mlflow.set_experiment("{NAME}"))')
@hint("`experiment` is nothing (None)")
@catches("only the name was kept")
@put("experiment", f'experiment = "{NAME}"\nmlflow.set_experiment(experiment)')
@hint("`experiment` is a text")
@catches("only the id was kept, as create_experiment returns it")
@put(
    "experiment",
    f'experiment = mlflow.create_experiment("{NAME}")\nmlflow.set_experiment("{NAME}")',
)
@hint("`experiment` is a text")
def test_its_name_and_id_are_known(namespace):
    "`experiment` holds that experiment, with its name and id"
    mine = namespace["experiment"]
    name = getattr(mine, "name", None)
    assert isinstance(name, str) and hasattr(mine, "experiment_id"), (
        f"`experiment` is {kind(mine)}: keep what mlflow.set_experiment(...) returns, as in "
        f'`experiment = mlflow.set_experiment("{NAME}")`, and print on the next line.'
    )
    assert name == NAME, (
        f'your experiment is called "{name}": the task asks for "{NAME}", in small letters and '
        "with a hyphen."
    )


RIGHT_WAYS = (
    right(
        "a client created the experiment, which was set by its id",
        put(
            "experiment",
            f'number = mlflow.MlflowClient().create_experiment("{NAME}")\n'
            "experiment = mlflow.set_experiment(experiment_id=number)",
        ),
    ),
    right(
        "the functions were imported by their names, and the experiment was looked up again",
        swap(
            "import-mlflow",
            "import mlflow",
            "import mlflow\nfrom mlflow import get_experiment_by_name, set_experiment",
        ),
        put(
            "experiment",
            f'set_experiment("{NAME}")\nexperiment = get_experiment_by_name("{NAME}")',
        ),
    ),
    right(
        "the installed package says the version",
        swap(
            "version",
            "mlflow.__version__",
            "__import__('importlib.metadata').metadata.version('mlflow')",
        ),
    ),
    right("the work was split over two cells", split("store", "experiment = ")),
    right(
        "the experiment was deleted, and restored by a client",
        before(
            "import mlflow\n"
            f'gone = mlflow.MlflowClient().create_experiment("{NAME}")\n'
            "mlflow.MlflowClient().delete_experiment(gone)\n"
            "mlflow.MlflowClient().restore_experiment(gone)"
        ),
    ),
)
