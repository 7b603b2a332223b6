"""MLflow is imported, and says where it will write."""

from winelab.checks.authoring import after, catches, given, remove, swap


@catches(
    "mlflow was never imported",
    remove("import-mlflow"),
    hint="no variable `mlflow`",
    error="name 'mlflow' is not defined",
)
def test_mlflow_is_imported(namespace):
    "mlflow is imported"
    import mlflow

    assert namespace["mlflow"] is mlflow, (
        "the name `mlflow` stands for something else here: restart the kernel, and write "
        "`import mlflow` in the first cell."
    )


@catches(
    "the version was typed by hand, from an older page",
    swap("version", "= mlflow.__version__", '= "2.9.2"'),
    hint="ask MLflow itself",
)
def test_its_version_is_known(namespace):
    "its version is in mlflow_version"
    import mlflow

    version = namespace["mlflow_version"]
    assert version == mlflow.__version__, (
        f"`mlflow_version` is {version!r}: ask MLflow itself, with mlflow.__version__ and no "
        "brackets behind it."
    )


@catches(
    "the brackets were forgotten",
    swap("show-uri", "get_tracking_uri()", "get_tracking_uri"),
    hint="add () to call it",
)
@catches(
    "the place was written down instead of asked for",
    swap("show-uri", "mlflow.get_tracking_uri()", '"./mlruns"'),
    hint="not what MLflow says",
)
def test_it_says_where_it_will_write(namespace):
    "the place where runs will go is in tracking_uri"
    import mlflow

    uri = namespace["tracking_uri"]
    assert not callable(uri), "`tracking_uri` is the function itself: add () to call it."
    assert uri == mlflow.get_tracking_uri(), (
        "`tracking_uri` is not what MLflow says: write tracking_uri = mlflow.get_tracking_uri()."
    )


@catches(
    "something was logged already, which opens a run by itself",
    after('mlflow.log_metric("rmse", 0.7)'),
    hint="importing alone makes none",
)
@given
def test_nothing_is_recorded(runs):
    "importing recorded nothing: this notebook has made no run"
    assert not runs, (
        "this notebook made a run, and importing alone makes none: a run begins with the "
        "first log_... call or with start_run. Take that call out; it comes in block [[run]]."
    )
