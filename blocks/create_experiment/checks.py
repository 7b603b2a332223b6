"""An experiment with tags and a place of its own, found again on the second run."""

from pathlib import Path

from winelab.checks.authoring import (
    before,
    catches,
    error,
    hint,
    put,
    right,
    skip,
    split,
    swap,
    twice,
)
from winelab.checks.comparing import expect_tags, kind, same_path
from winelab.checks.looking import local_path

NAME = "wine-linear"
TAGS = {"data": "red wine", "models": "linear"}


def _mine(namespace, client):
    """The experiment that this notebook uses, as the store has it now.

    From the variable: an experiment that another day's notebook made proves nothing.
    """
    mine = namespace.get("experiment")
    number = getattr(mine, "experiment_id", None)
    if not isinstance(number, str):
        assert not isinstance(mine, str), (
            "`experiment` is only an id: that is what create_experiment returns. Below the `if`, "
            f'end with `experiment = mlflow.set_experiment("{NAME}")`.'
        )
        assert client.get_experiment_by_name(NAME) is None or mine is not None, (
            f'"{NAME}" is in the store, but your cell did not get as far as `experiment`: '
            '"already exists" means that it was created a second time. Look it up with '
            "`mlflow.get_experiment_by_name`, and create it only if the answer is None."
        )
        numbers = [value for value in _tags(namespace).values() if not isinstance(value, str)]
        assert not numbers, (
            f"a tag's value is a text, and {numbers[0]!r} is none: put it in quotes, or write "
            f"`str({numbers[0]!r})`."
        )
        assert not isinstance(namespace.get("location"), Path), (
            "the artifact location is given as a text, and `location` is a path: add `.as_uri()`."
        )
        raise AssertionError(
            f"`experiment` is {kind(mine)}, not an experiment: below the `if`, end with "
            f'`experiment = mlflow.set_experiment("{NAME}")`.'
        )
    found = client.get_experiment(number)
    assert found.lifecycle_stage == "active", (
        f'"{found.name}" is deleted, and its name stays taken: bring it back with '
        f'`mlflow.MlflowClient().restore_experiment("{number}")`, then run all cells.'
    )
    return found


def _tags(namespace):
    """The variable `tags`, where the student has one."""
    tags = namespace.get("tags")
    return tags if isinstance(tags, dict) else {}


def _wanted(namespace):
    """Where the experiment's files belong. A `course` that is no path is a sentence."""
    folder = namespace["course"]
    assert hasattr(folder, "resolve"), (
        f"`course` is {kind(folder)}, not the path of the course's folder: run the settings cell "
        "again, and give nothing else this name."
    )
    return (folder / "mlruns" / NAME).resolve()


@catches("created without looking first, on the next day")
@swap(
    "experiment",
    'experiment = mlflow.get_experiment_by_name("wine-linear")\nif experiment is None:',
    "if True:",
)
@before('import mlflow\nmlflow.MlflowClient().create_experiment("wine-linear")')
@hint("create it only if the answer is None")
@error("already exists")
@catches("what create_experiment answers was taken for the experiment")
@put("experiment", 'experiment = mlflow.create_experiment("wine-linear")\nprint(experiment.name)')
@hint("`experiment` is only an id")
@error("'str' object has no attribute 'name'")
@catches("the experiment had been deleted, and its name stays taken")
@before(
    "import mlflow\n"
    'gone = mlflow.MlflowClient().create_experiment("wine-linear")\n'
    "mlflow.MlflowClient().delete_experiment(gone)"
)
@hint("bring it back")
@error("Cannot set a deleted experiment")
def test_the_experiment_is_wine_linear(namespace, client):
    'your experiment is "wine-linear", and not deleted'
    mine = _mine(namespace, client)
    assert mine.name == NAME, (
        f'your experiment is "{mine.name}": look up "{NAME}" instead, with a hyphen and in small '
        "letters, create it if there is none, and make it the active one."
    )


@catches("a tag's value is a number")
@swap("experiment", '"models": "linear"}', '"models": "linear", "year": 2009}')
@hint("a tag's value is a text, and 2009 is none")
@error("object of type 'int' has no len()")
@catches("set_experiment alone, which creates it without tags")
@put("experiment", 'experiment = mlflow.set_experiment("wine-linear")')
@hint("data and models are not on it as a tag")
@catches("a tag was misspelt when the experiment was created")
@swap("experiment", '"red wine"', '"red wines"')
@hint("mlflow.set_experiment_tags")
def test_it_has_its_tags(namespace, client):
    "it carries the two tags"
    mine = _mine(namespace, client)
    assert mine.name == NAME, (
        f'"{NAME}" must carry the tags: mlflow.create_experiment takes '
        'tags={"data": "red wine", "models": "linear"}.'
    )
    advice = (
        "Mend it in create_experiment, for the next time. This experiment is there already, so "
        f"mend it in the store too, once: `mlflow.set_experiment_tags({TAGS})`."
    )
    expect_tags(mine, TAGS, missing=advice, wrong=advice)


@catches("the place is a path, not a text")
@swap("experiment", ".as_uri()", "")
@hint("add `.as_uri()`")
@error("has no attribute 'startswith'")
@catches("the place was left out")
@swap("experiment", "artifact_location=location, ", "")
@hint("artifact_location=location")
@catches("the place is relative: another one in every folder")
@swap("experiment", '(course / "mlruns" / "wine-linear").as_uri()', '"mlruns/wine-linear"')
@hint("The place is chosen once")
def test_it_keeps_its_files_there(namespace, client):
    "its files go to mlruns/wine-linear in the course's folder"
    mine = _mine(namespace, client)
    assert mine.name == NAME, (
        "mlflow.create_experiment takes the place as artifact_location=location, where location "
        f'is (course / "mlruns" / "{NAME}").as_uri().'
    )
    wanted = _wanted(namespace)
    assert same_path(mine.artifact_location, wanted), (
        f"its files go to {mine.artifact_location}, not to {wanted}: give create_experiment "
        "artifact_location=location, an address that begins at `course`. The place is chosen "
        "once, so let your cell create a new one: rename this one first, with "
        f'mlflow.MlflowClient().rename_experiment("{mine.experiment_id}", '
        f'"{NAME}-{mine.experiment_id}"), and run all cells.'
    )


@catches("created without looking first, and the cell was run twice")
@swap("experiment", "if experiment is None:", "if True:")
@twice("store")
@hint("has made no run since it started")
@error("already exists")
@catches("the experiment was created, but not made active")
@swap(
    "experiment",
    'experiment = mlflow.set_experiment("wine-linear")',
    'experiment = mlflow.get_experiment_by_name("wine-linear")',
)
@hint("the newest run went to another experiment")
def test_a_run_is_in_it(run, namespace, client):
    "the newest run is in it"
    mine = _mine(namespace, client)
    assert mine.name == NAME and run.info.experiment_id == mine.experiment_id, (
        f'the newest run went to another experiment: call `mlflow.set_experiment("{NAME}")`, which '
        "makes it the active one, then train."
    )


@catches("the place was mended after the training, which was not run again")
@skip("train", "result")
@before(
    "import mlflow\n"
    'old = mlflow.set_experiment("wine-linear")\n'
    "with mlflow.start_run():\n    pass\n"
    'mlflow.MlflowClient().rename_experiment(old.experiment_id, "wine-linear-old")'
)
@hint('train while "wine-linear" is the active one')
def test_its_files_go_there_too(run, namespace):
    "the newest run has a folder of its own in that place"
    folder = local_path(run.info.artifact_uri).resolve()
    assert folder.is_relative_to(_wanted(namespace)), (
        f"the newest run would keep its files in {folder}: a run keeps them in the place of its "
        f'experiment, so train while "{NAME}" is the active one.'
    )


RIGHT_WAYS = (
    right(
        "a client looks it up and creates it",
        put(
            "experiment",
            "client = mlflow.MlflowClient()\n"
            'if client.get_experiment_by_name("wine-linear") is None:\n'
            "    client.create_experiment(\n"
            '        "wine-linear",\n'
            '        (course / "mlruns" / "wine-linear").as_uri(),\n'
            '        {"data": "red wine", "models": "linear"},\n'
            "    )\n"
            'experiment = mlflow.set_experiment("wine-linear")',
        ),
    ),
    right(
        "the error is caught where it is there already",
        put(
            "experiment",
            "from mlflow.exceptions import MlflowException\n\n"
            'location = str(course / "mlruns" / "wine-linear")\n'
            "try:\n"
            '    mlflow.create_experiment("wine-linear", location)\n'
            "except MlflowException:\n"
            "    pass\n"
            'experiment = mlflow.set_experiment("wine-linear")\n'
            'mlflow.set_experiment_tags({"data": "red wine", "models": "linear"})',
        ),
    ),
    right(
        "the place is written another way, and the work is split over two cells",
        swap(
            "experiment",
            '(course / "mlruns" / "wine-linear").as_uri()',
            '(course / "labs" / ".." / "mlruns" / "wine-linear").resolve().as_uri()',
        ),
        split("store", 'experiment = mlflow.set_experiment("wine-linear")'),
    ),
)
