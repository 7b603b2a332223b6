"""MLflow is imported, says where it writes, and has an experiment."""

from winelab.checks.authoring import after, before, catches, error, hint, put, remove, right, swap
from winelab.checks.comparing import kind, short
from winelab.checks.looking import active_experiment_id

NAME = "wine-quality"
DELETED = (
    "import mlflow\nclient = mlflow.MlflowClient()\n"
    f'gone = client.create_experiment("{NAME}")\nclient.delete_experiment(gone)'
)


def _expect_answer(namespace, name, answer, call):
    """Let a check pass only where this variable holds what MLflow answers to the call."""
    found = namespace[name]
    shown = short(found) if isinstance(found, str) else kind(found)
    assert str(found) == answer, (
        f"`{name}` is {shown}, and MLflow says {answer}: write `{name} = {call}`."
    )


@catches("mlflow was never imported")
@remove("import-mlflow")
@hint("no variable `mlflow_version`")
@error("name 'mlflow' is not defined")
@catches("the version was typed by hand, from an older page")
@swap("version", "= mlflow.__version__", '= "2.9.2"')
@hint('`mlflow_version` is "2.9.2", and MLflow says')
@catches("the version was printed, and not kept")
@put("version", "mlflow_version = print(mlflow.__version__)")
@hint("`mlflow_version` is nothing (None)")
def test_the_version_is_known(namespace):
    "`mlflow_version` is the version of MLflow"
    import mlflow

    _expect_answer(namespace, "mlflow_version", mlflow.__version__, "mlflow.__version__")


@catches("the brackets were forgotten")
@swap("show-uri", "get_tracking_uri()", "get_tracking_uri")
@hint("`tracking_uri` is a function")
@catches("the address was typed by hand")
@swap("show-uri", "mlflow.get_tracking_uri()", '"./mlruns"')
@hint('`tracking_uri` is "./mlruns", and MLflow says sqlite:///')
def test_it_says_where_it_writes(namespace):
    "`tracking_uri` is the address of the store that MLflow writes to"
    import mlflow

    uri = mlflow.get_tracking_uri()
    _expect_answer(namespace, "tracking_uri", uri, "mlflow.get_tracking_uri()")


@catches("the experiment had been deleted, and its name stays taken")
@before(DELETED)
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
        f'mlflow.set_experiment("{NAME}") last.'
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
def test_its_name_and_id_are_known(namespace):
    "`experiment` holds that experiment, with its name and id"
    mine = namespace["experiment"]
    name = getattr(mine, "name", None)
    assert isinstance(name, str) and hasattr(mine, "experiment_id"), (
        f"`experiment` is {kind(mine)}, not an experiment: write "
        f'`experiment = mlflow.set_experiment("{NAME}")`, and print on the next line.'
    )
    assert name == NAME, (
        f'your experiment is called "{name}": `experiment` must be what '
        f'`mlflow.set_experiment("{NAME}")` returns, with a hyphen.'
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
        put("import-mlflow", "import mlflow\nfrom mlflow import get_experiment, set_experiment"),
        put(
            "experiment",
            f'number = set_experiment("{NAME}").experiment_id\nexperiment = get_experiment(number)',
        ),
    ),
    right(
        "the installed package says the version",
        put("import-mlflow", "import mlflow\nfrom importlib.metadata import version"),
        swap("version", "mlflow.__version__", "version('mlflow')"),
    ),
    right(
        "the experiment was deleted, and restored by a client",
        before(f"{DELETED}\nclient.restore_experiment(gone)"),
    ),
)
