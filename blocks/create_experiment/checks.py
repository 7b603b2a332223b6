"""An experiment with tags and a place of its own, found again on the second run."""

from pathlib import Path

from winelab.checks.authoring import before, catches, error, hint, put, right, skip, swap, twice
from winelab.checks.comparing import expect_tags, kind, same_path
from winelab.checks.looking import local_path

NAME = "wine-linear"
TAGS = {"data": "red wine", "models": "linear"}
SET = f'mlflow.set_experiment("{NAME}")'
PLACE = f'(course / "mlruns" / "{NAME}").as_uri()'


def _mine(namespace, client, advice):
    """The experiment that this notebook uses, as the store has it now; `advice` for another one.

    From the variable: an experiment that another day's notebook made proves nothing.
    """
    mine, location, tags = (namespace.get(name) for name in ("experiment", "location", "tags"))
    number = getattr(mine, "experiment_id", None)
    if not isinstance(number, str):
        end = f"Below the `if`, end with `experiment = {SET}`."
        assert not isinstance(mine, str), f"`experiment` is an id: create_experiment gave it. {end}"
        assert mine is not None or client.get_experiment_by_name(NAME) is None, (
            f'"{NAME}" is in the store, but there is no `experiment`: look it up with '
            "`mlflow.get_experiment_by_name`, and create it only if the answer is None. Below the "
            f"`if`, at the left edge, end with `experiment = {SET}`."
        )
        values = tags.values() if isinstance(tags, dict) else ()
        odd = [repr(value) for value in values if not isinstance(value, str)]
        assert not odd, f"a tag's value is a text, and {odd[0]} is none: write `str({odd[0]})`."
        assert not isinstance(location, Path), "`location` is a path, not a text: add `.as_uri()`."
        raise AssertionError(f"`experiment` is {kind(mine)}, not an experiment. {end}")
    found = client.get_experiment(number)
    assert found.lifecycle_stage == "active", (
        f'"{found.name}" is deleted, and its name stays taken: bring it back with '
        f'`mlflow.MlflowClient().restore_experiment("{number}")`, then run all cells.'
    )
    if found.name.isdecimal():
        advice = f"`mlflow.set_experiment` takes a name, and was given an id: write `{SET}`."
    assert found.name == NAME, f'your experiment is "{found.name}", not "{NAME}". {advice}'
    return found


@catches("created without looking first, on the next day")
@put("experiment", f'mlflow.create_experiment("{NAME}")\nexperiment = {SET}')
@before(f'import mlflow\nmlflow.MlflowClient().create_experiment("{NAME}")')
@hint("create it only if the answer is None")
@error("already exists")
@catches("what create_experiment answers was taken for the experiment")
@put("experiment", f'experiment = mlflow.create_experiment("{NAME}")\nprint(experiment.name)')
@hint("`experiment` is an id")
@error("'str' object has no attribute 'name'")
@catches("the experiment had been deleted, and its name stays taken")
@before(f'import mlflow\nmlflow.delete_experiment(mlflow.create_experiment("{NAME}"))')
@hint("bring it back")
@error("Cannot set a deleted experiment")
def test_the_experiment_is_wine_linear(namespace, client):
    'your experiment is "wine-linear", and not deleted'
    _mine(namespace, client, f'Look up "{NAME}", create it if there is none, and make it active.')


@catches("a tag's value is a number")
@swap("experiment", '"models": "linear"}', '"models": "linear", "year": 2009}')
@hint("a tag's value is a text, and 2009 is none")
@error("object of type 'int' has no len()")
@catches("set_experiment alone, which creates it without tags")
@put("experiment", f"experiment = {SET}")
@hint("data and models are not on it as tags")
@catches("a tag was misspelt when the experiment was created")
@swap("experiment", '"red wine"', '"red wines"')
@hint("mlflow.set_experiment_tags")
def test_it_has_its_tags(namespace, client):
    "it carries the two tags"
    mine = _mine(namespace, client, f"Create it with tags={TAGS}.")
    advice = (
        "Fix it in create_experiment, for the next time. This experiment is there already, so "
        f"fix it in the store too, once: `mlflow.set_experiment_tags({TAGS})`."
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
@swap("experiment", PLACE, '"mlruns/wine-linear"')
@hint("The place is chosen once")
def test_it_keeps_its_files_there(namespace, client):
    "its files go to mlruns/wine-linear in the course's folder"
    mine = _mine(namespace, client, f"Create it with artifact_location={PLACE}.")
    number, found = mine.experiment_id, mine.artifact_location
    wanted = (namespace["course"] / "mlruns" / NAME).resolve()
    assert same_path(found, wanted), (
        f"its files go to {found}, not to {wanted}: give create_experiment "
        f"artifact_location=location, which is {PLACE}. The place is chosen once, so rename this "
        f'one with mlflow.MlflowClient().rename_experiment("{number}", "{NAME}-{number}"), and '
        "run all cells to create a new one."
    )


@catches("created without looking first, and the cell was run twice")
@swap("experiment", "if experiment is None:", "if True:")
@twice("store")
@hint("has made no run since it started")
@error("already exists")
@catches("the experiment was created, but not made active")
@swap("experiment", SET, f'mlflow.get_experiment_by_name("{NAME}")')
@hint("the newest run went to another experiment")
def test_a_run_is_in_it(run, namespace, client):
    "the newest run is in it"
    mine = _mine(namespace, client, f"Call `{SET}`, then train.")
    assert run.info.experiment_id == mine.experiment_id, (
        f"the newest run went to another experiment: call `{SET}`, which makes it the active one, "
        "then train."
    )


@catches("the place was fixed after the training, which was not run again")
@skip("train", "result")
@before(
    f"import mlflow\nold = {SET}.experiment_id\nmlflow.start_run()\nmlflow.end_run()\n"
    'mlflow.MlflowClient().rename_experiment(old, "wine-linear-old")'
)
@hint('train while "wine-linear" is the active one')
def test_its_files_go_there_too(run, namespace):
    "the newest run has a folder of its own in that place"
    folder = local_path(run.info.artifact_uri).resolve()
    assert folder.is_relative_to((namespace["course"] / "mlruns" / NAME).resolve()), (
        f"the newest run would keep its files in {folder}: a run keeps them in the place of its "
        f'experiment, so train while "{NAME}" is the active one.'
    )


BY_CLIENT = f"""client = mlflow.MlflowClient()
if client.get_experiment_by_name("{NAME}") is None:
    client.create_experiment("{NAME}", {PLACE}, {TAGS})
experiment = {SET}"""
CAUGHT = f"""try:
    mlflow.create_experiment("{NAME}", str(course / "mlruns" / "{NAME}"))
except mlflow.MlflowException:
    pass
experiment = {SET}
mlflow.set_experiment_tags({TAGS})"""

RIGHT_WAYS = (
    right("a client looks it up and creates it", put("experiment", BY_CLIENT)),
    right("the error is caught where it is there already", put("experiment", CAUGHT)),
    right(
        "the place is written another way",
        swap("experiment", '(course / "mlruns"', '(course / "labs" / ".." / "mlruns"'),
        swap("experiment", ".as_uri()", ".resolve().as_uri()"),
    ),
)
