"""One store, named in the code, whatever folder the code starts in."""

from pathlib import PurePosixPath, PureWindowsPath

from winelab.checks.authoring import after, catches, error, hint, put, remove, right, split, swap
from winelab.checks.comparing import same_path
from winelab.tracking.store import environment, sqlite_file


def _address_in_the_code(namespace):
    """Where MLflow writes if nobody has set the variable that `make lab` sets.

    Code may name the store by that variable too. Then it stands in the student's own `os`.
    """
    import mlflow

    with environment(MLFLOW_TRACKING_URI=None):
        named = mlflow.get_tracking_uri()
    address = mlflow.get_tracking_uri()
    if "os" in namespace and address != named and namespace.get("tracking_uri") == address:
        return address
    return named


@catches("the store was not named: the variable from `make lab` did the work")
@remove("tracking-uri")
@hint("only named by the environment")
@catches("the store stands in the labs folder, where the UI does not look")
@swap("tracking-uri", "(course /", "(Path.cwd() /")
@hint("the file mlflow.db in the course's folder")
def test_the_code_names_the_store(namespace):
    "the code itself names the store, not the program that started it"
    import mlflow

    address = _address_in_the_code(namespace)
    assert mlflow.get_tracking_uri() == address, (
        "the store is only named by the environment in which Jupyter was started: started "
        "elsewhere, this code writes elsewhere. Call `mlflow.set_tracking_uri(...)`."
    )
    file = sqlite_file(address)
    assert file is not None and same_path(file, namespace["course"] / "mlflow.db"), (
        f"the address in the code is {address}. It must be the file mlflow.db in the course's "
        "folder, set before the experiment is."
    )


@catches("a relative address: another store in every folder")
@put("tracking-uri", 'mlflow.set_tracking_uri("sqlite:///mlflow.db")')
@hint("depends on the folder you start in")
@catches("one slash too few, so that the path is a relative one")
@swap("tracking-uri", "sqlite:///{store}", "sqlite://{store}")
@hint("depends on the folder you start in")
@catches("the store was named last, after the run", environment={"MLFLOW_TRACKING_URI": ""})
@remove("tracking-uri")
@after('store = (course / "mlflow.db").as_posix()\nmlflow.set_tracking_uri(f"sqlite:///{store}")')
@hint("set the tracking URI first")
def test_the_address_is_absolute(namespace):
    "the address is absolute: the same in every folder"
    address = _address_in_the_code(namespace)
    assert address.startswith("sqlite:///"), (
        f"{address} is no SQLite address: write sqlite:/// (three slashes) and the file."
    )
    file = address.removeprefix("sqlite:///")
    absolute = PurePosixPath(file).is_absolute() or PureWindowsPath(file).is_absolute()
    assert absolute, (
        f'{address} depends on the folder you start in: name the file course / "mlflow.db".'
    )
    assert namespace["tracking_uri"] == address, (
        "`tracking_uri` was asked for before the store was named: set the tracking URI first."
    )


@catches("a folder of files, as in older courses")
@put("tracking-uri", 'mlflow.set_tracking_uri("./mlruns")')
@hint("folder of files")
@error("maintenance mode")
def test_the_run_is_in_that_store(run, client, namespace):
    "the newest run is in that store, with its params and metrics"
    address = _address_in_the_code(namespace)
    assert address == namespace["tracking_uri"], (
        "the run went to the store that was set before: set the tracking URI above "
        "`mlflow.set_experiment`, then run all cells again."
    )
    assert run.data.params and run.data.metrics, "the newest run is empty: run all cells again."


BY_VARIABLE = (
    'import os\n\nstore = (course / "mlflow.db").as_posix()\n'
    'os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{store}"'
)
RESOLVED = (
    'database = (Path.cwd() / ".." / "mlflow.db").resolve()\n'
    'mlflow.set_tracking_uri("sqlite:///" + str(database))'
)

RIGHT_WAYS = (
    right(
        "the address is set by the environment variable, in the code",
        put("tracking-uri", BY_VARIABLE),
    ),
    right("the path is resolved, and has another name", put("tracking-uri", RESOLVED)),
    right(
        "the store is named in a cell of its own, by a helper",
        swap(
            "tracking-uri", "store = (c", "def address_of(file):\n    return file\n\n\nstore = (c"
        ),
        swap("tracking-uri", '(course / "mlflow.db")', 'address_of(course / "mlflow.db")'),
        split("store", "tracking_uri ="),
    ),
)
