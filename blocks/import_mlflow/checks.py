"""MLflow is imported, and says where it will write."""

from winelab.checks.authoring import Mistake, given


def test_mlflow_is_imported(namespace):
    "mlflow is imported"
    import mlflow

    assert namespace["mlflow"] is mlflow, (
        "the name `mlflow` stands for something else here: restart the kernel, and write "
        "`import mlflow` in the first cell."
    )


def test_its_version_is_known(namespace):
    "its version is in mlflow_version"
    import mlflow

    version = namespace["mlflow_version"]
    assert version == mlflow.__version__, (
        f"`mlflow_version` is {version!r}: ask MLflow itself, with mlflow.__version__ and no "
        "brackets behind it."
    )


def test_it_says_where_it_will_write(namespace):
    "the place where runs will go is in tracking_uri"
    import mlflow

    uri = namespace["tracking_uri"]
    assert not callable(uri), "`tracking_uri` is the function itself: add () to call it."
    assert uri == mlflow.get_tracking_uri(), (
        "`tracking_uri` is not what MLflow says: write tracking_uri = mlflow.get_tracking_uri()."
    )


@given
def test_nothing_is_recorded(runs):
    "importing recorded nothing: this notebook has made no run"
    assert not runs, (
        "this notebook made a run, and importing alone makes none: a run begins with the "
        "first log_... call or with start_run. Take that call out; it comes in block [[run]]."
    )


MISTAKES = [
    Mistake(
        "mlflow was never imported",
        caught_by="test_mlflow_is_imported",
        hint="no variable `mlflow`",
        code={"import-mlflow": ""},
        error="name 'mlflow' is not defined",
    ),
    Mistake(
        "the version was typed by hand, from an older page",
        caught_by="test_its_version_is_known",
        hint="ask MLflow itself",
        swap={"version": ("= mlflow.__version__", '= "2.9.2"')},
    ),
    Mistake(
        "the brackets were forgotten",
        caught_by="test_it_says_where_it_will_write",
        hint="add () to call it",
        swap={"show-uri": ("get_tracking_uri()", "get_tracking_uri")},
    ),
    Mistake(
        "the place was written down instead of asked for",
        caught_by="test_it_says_where_it_will_write",
        hint="not what MLflow says",
        swap={"show-uri": ("mlflow.get_tracking_uri()", '"./mlruns"')},
    ),
    Mistake(
        "something was logged already, which opens a run by itself",
        caught_by="test_nothing_is_recorded",
        hint="importing alone makes none",
        after='mlflow.log_metric("rmse", 0.7)',
    ),
]
