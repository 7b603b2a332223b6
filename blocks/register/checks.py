"""Two models, each registered once, in the two ways that there are."""

from winelab.checks.authoring import catches, given, put, skip_all, swap
from winelab.checks.comparing import close, plural

NAME = "wine-quality-elasticnet"
MOMENT = 50
"""Milliseconds by which the clocks of a server and of the student may differ.

A model that is registered while it is logged has its version sooner: what `train` does after that
takes longer.
"""


def _trained(attempt):
    """The finished runs of this try, oldest first."""
    return [run for run in reversed(attempt) if run.info.status == "FINISHED"]


def _versions(client, run):
    """The versions that come from `run`, under the course's name; oldest first."""
    found = client.search_model_versions(f"run_id='{run.info.run_id}'")
    mine = [version for version in found if version.name == NAME]
    strange = {version.name for version in found} - {NAME}
    assert mine or not strange, (
        f'the model is registered as "{min(strange, default="")}": the name is '
        f'"{NAME}", which the variable `registered_name` holds.'
    )
    return sorted(mine, key=lambda version: int(version.version))


def _at_once(run, version):
    """Whether the version was made before the run ended."""
    return version.creation_timestamp < run.info.end_time - MOMENT


CALL = "mlflow.register_model(second.model_uri, registered_name)"


@catches("no cell has been run yet", skip_all(), hint="has made no run since it started")
@given
def test_a_run_finished(run):
    "a run finished"


@catches(
    "the second model has the alpha of the first",
    swap("later", "train(0.1,", "train(alpha,"),
    hint="the second model has an alpha of 0.5",
)
@catches(
    "the first model was registered, and no second one trained",
    put("later", "later = mlflow.register_model(first.model_uri, registered_name)"),
    hint="made 1 finished run,",
)
def test_two_models_were_trained(attempt):
    "two models were trained, the second with an alpha of 0.1"
    runs = _trained(attempt)
    assert len(runs) == 2, (
        f'the cell "5. Train the candidates" made {plural(len(runs), "finished run")}, and '
        "should make two: call `train` once for `first` and once for `second`, both in this cell."
    )
    alpha = runs[-1].data.params.get("alpha", "")
    assert alpha and close(float(alpha), 0.1), (
        f"the second model has an alpha of {alpha}: `train` takes it first, "
        "train(0.1, l1_ratio, tables)."
    )


@catches(
    "log_model was not told the name that train was given",
    swap("requirements", "    registered_model_name=register_as,\n", ""),
    hint="say registered_model_name=register_as in log_model",
)
@catches(
    "train was not told the name",
    swap("candidates", ", register_as=registered_name", ""),
    hint="and register_as=registered_name where you call `train`",
)
@catches(
    "the first model was registered by its URI, as the second",
    swap(
        "candidates",
        'register_as=registered_name)\nprint("registered at once: version", '
        "first.registered_model_version)",
        ")\nmlflow.register_model(first.model_uri, registered_name)",
    ),
    hint="let log_model do it",
)
@catches(
    "the models were registered under another name",
    swap("registry", "wine-quality-elasticnet", "wine-model"),
    hint='the model is registered as "wine-model"',
)
def test_the_first_was_registered_at_once(attempt, client):
    "the first model was registered while it was logged"
    first = _trained(attempt)[0]
    made = _versions(client, first)
    assert made, (
        "the first model is logged, and not registered: say registered_model_name=register_as in "
        "log_model, and register_as=registered_name where you call `train`."
    )
    assert _at_once(first, made[0]), (
        "the first model was registered after its run: let log_model do it, with "
        "registered_model_name=register_as."
    )


@catches(
    "the second model was logged, and not registered",
    put("later", "second = train(0.1, l1_ratio, tables)"),
    hint="the second model is not registered",
)
@catches(
    "the second model was registered at once, and not by its URI",
    put("later", "second = train(0.1, l1_ratio, tables, registered_name)"),
    hint="was registered while it was logged",
)
@catches(
    "the model was looked for in the run's folder, as in older courses",
    swap("later", "second.model_uri", 'mlflow.get_run(second.run_id).info.artifact_uri + "/model"'),
    hint="points at a folder of the run, and there is no model",
)
@catches(
    "runs:/ with a name that the model does not have",
    swap("later", "second.model_uri", 'f"runs:/{second.run_id}/elasticnet"'),
    hint="the second model is not registered",
    error="Unable to find a logged_model with artifact_path elasticnet under run",
)
@catches(
    "name and URI changed places",
    swap("later", CALL, "mlflow.register_model(registered_name, second.model_uri)"),
    hint="mlflow.register_model(second.model_uri, registered_name)",
    error="Names cannot contain '/' or ':'",
)
def test_the_second_was_registered_later(attempt, client):
    "the second model was registered after its run, by its URI"
    runs = _trained(attempt)
    assert len(runs) > 1, "there is no second model yet: train it, then register it by its URI."
    second = runs[-1]
    made = _versions(client, second)
    # A version of a folder knows no run: the folder's name is all that it has.
    lost = [
        version
        for version in client.search_model_versions(f"name='{NAME}'")
        if second.info.run_id in version.source
    ]
    assert made or not lost, (
        f"version {lost[0].version if lost else ''} points at a folder of the run, and there is no "
        "model: delete that version in the UI, and register second.model_uri."
    )
    assert made, (
        "the second model is not registered: below the line that trains it, call "
        "mlflow.register_model(second.model_uri, registered_name)."
    )
    assert not _at_once(second, made[0]), (
        "the second model was registered while it was logged: call train(0.1, l1_ratio, tables) "
        "without a name; in log_model, the name is register_as."
    )


@catches(
    "the name stands fast in log_model, so that each run makes a version",
    swap("requirements", "=register_as", "=registered_name"),
    hint="are of one and the same run",
)
@catches(
    "the first model was registered a second time, instead of the second",
    swap("later", "second.model_uri", "first.model_uri"),
    hint="gets another number, and no new content",
)
def test_each_has_one_version_of_its_own(versions, attempt, client):
    "each has one version of its own, which points at the model that its run logged"
    runs = _trained(attempt)
    for run in runs:
        made = [version for version in versions if version.run_id == run.info.run_id]
        numbers = " and ".join(str(version.version) for version in made)
        assert len(made) < 2, (
            f"versions {numbers} are of one and the same run: a model that is registered already "
            "gets another number, and no new content. Register `first` at once, `second` later."
        )
        assert made, "a model of this try has no version: each of the two is registered once."
        logged = {f"models:/{model.model_id}" for model in run.outputs.model_outputs}
        assert made[0].source in logged, (
            f"version {numbers} points at {made[0].source}, which its run did not log: register "
            "second.model_uri."
        )
    order = [int(version.version) for version in versions]
    by_run = [version.run_id for version in versions]
    assert len(runs) == 2 and by_run == [run.info.run_id for run in runs], (
        f"the versions of this try are {order}, and should be two, the first model's before the "
        "second's: register `first` while it is logged, `second` after that."
    )
