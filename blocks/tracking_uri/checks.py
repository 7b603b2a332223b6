"""One store, named in the code, whatever folder the code starts in."""

from pathlib import PurePosixPath, PureWindowsPath

from winelab.checks.authoring import after, catches, put, remove, swap
from winelab.tracking.store import environment, sqlite_file


def _address_in_the_code():
    """Where MLflow writes if nobody has set the variable that `make lab` sets."""
    import mlflow

    with environment(MLFLOW_TRACKING_URI=None):
        return mlflow.get_tracking_uri()


@catches(
    "the store was not named: the variable from `make lab` did the work",
    remove("tracking-uri"),
    hint="only named by the environment",
)
@catches(
    "the store stands in the labs folder, where the UI does not look",
    swap("tracking-uri", "(course /", "(Path.cwd() /"),
    hint="the file mlflow.db in the course's folder",
)
def test_the_code_names_the_store(namespace):
    "the code itself names the store, not the program that started it"
    import mlflow

    assert mlflow.get_tracking_uri() == _address_in_the_code(), (
        "the store is only named by the environment in which Jupyter was started: started "
        "elsewhere, this code would write elsewhere. Call mlflow.set_tracking_uri(...)."
    )
    expected = (namespace["course"] / "mlflow.db").resolve()
    file = sqlite_file(_address_in_the_code())
    assert file is not None and file.resolve() == expected, (
        f"the address in the code is {_address_in_the_code()}: it must be the file mlflow.db in "
        "the course's folder, named before the experiment is set."
    )


@catches(
    "a relative address: another store in every folder",
    put("tracking-uri", 'mlflow.set_tracking_uri("sqlite:///mlflow.db")'),
    hint="depends on the folder you start in",
)
@catches(
    "one slash too few, so that the path is a relative one",
    swap("tracking-uri", "sqlite:///{store}", "sqlite://{store}"),
    hint="depends on the folder you start in",
)
@catches(
    "the store was named last, after the run",
    remove("tracking-uri"),
    after(
        'store = (course / "mlflow.db").as_posix()\nmlflow.set_tracking_uri(f"sqlite:///{store}")'
    ),
    hint="name the store first",
    environment={"MLFLOW_TRACKING_URI": ""},
)
def test_the_address_is_absolute(namespace):
    "the address is absolute: the same in every folder"
    address = _address_in_the_code()
    assert address.startswith("sqlite:///"), (
        f"{address} is no SQLite address: write sqlite:/// (three slashes) and the file."
    )
    file = address.removeprefix("sqlite:///")
    absolute = PurePosixPath(file).is_absolute() or PureWindowsPath(file).is_absolute()
    assert absolute, (
        f"{address} depends on the folder you start in: put the course's folder before the file, "
        'as in course / "mlflow.db".'
    )
    assert namespace["tracking_uri"] == address, (
        "`tracking_uri` was asked for before the store was named: name the store first."
    )


@catches(
    "a folder of files, as in older courses",
    put("tracking-uri", 'mlflow.set_tracking_uri("./mlruns")'),
    hint="folder of files",
    error="maintenance mode",
)
def test_the_run_is_in_that_store(run, client, namespace):
    "the newest run is in that store, with its params and metrics"
    address = _address_in_the_code()
    assert address == namespace["tracking_uri"], (
        "the run went to the store that was set before: name the store above set_experiment, "
        "then run all cells again."
    )
    assert run.data.params and run.data.metrics, (
        "the newest run is empty: run all cells again, from the top."
    )
