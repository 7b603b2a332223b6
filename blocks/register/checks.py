"""The model is a version of the registered model, and says what its run has measured."""

from winelab.checks.authoring import catches, error, hint, put, remove, right, skip_all, split, swap
from winelab.checks.comparing import expect_tags, listed, plural
from winelab.checks.looking import REGISTERED
from winelab.checks.scratch import call, scratch_store, student_function

MEASURED = ("rmse", "rmse_upper", "baseline_rmse")
CALL = "mlflow.register_model(model_info.model_uri, registered_name, tags=tags)"
EARLY = 'name="model",\n    registered_model_name=registered_name,'


def _trained(runs):
    """The newest run that has logged a model, as `train` does."""
    found = next((run for run in runs if run.outputs and run.outputs.model_outputs), None)
    assert found, "no run of this notebook has logged a model yet: run the cells from the top."
    return found


def _versions(client, run):
    """The versions of the models of this run, oldest first, under any name."""
    found = client.search_model_versions(f"run_id='{run.info.run_id}'")
    return sorted(found, key=lambda version: int(version.version))


def _expect_tags(version, run, source):
    """Let a check pass only where the version says what its run has measured."""
    digests = {used.dataset.name: used.dataset.digest for used in run.inputs.dataset_inputs}
    expected = {name: run.data.metrics.get(name) for name in MEASURED}
    expected["validation"] = run.data.tags.get("validation")
    expected["test_digest"] = digests.get("wine-test")
    where = (
        "metrics are in run.data.metrics, the validation is in run.data.tags, and test_digest is "
        "the digest of the dataset with the name wine-test."
    )
    missing = f"Pass a dictionary with all five as tags= to mlflow.register_model: {where}"
    wrong = f"Don't round, and read each from the run: {where}"
    expect_tags(version, expected, missing=missing, wrong=wrong, source=source)


@catches("no cell has been run yet", skip_all())
@hint("has made no run since it started")
@catches("register was written, and never called")
@remove("registration")
@hint("is not registered")
@catches("the model was registered under another name")
@swap("registry", REGISTERED, "wine-model")
@hint('the model is registered as "wine-model"')
@catches("name and URI changed places")
@swap("register", "_info.model_uri, registered_name", "_info.name, model_info.model_uri")
@hint("is not registered")
@error("Names cannot contain '/' or ':'")
@catches("the model was registered while it was logged, and once more")
@swap("log-model", 'name="model",', EARLY)
@hint("are of one model")
def test_the_model_is_registered(run, runs, client):
    "the model that you trained is one version of wine-quality-elasticnet"
    found = _versions(client, _trained(runs))
    assert found, "your newest model is not registered: call register(client, model_info)."
    names = {version.name for version in found} - {REGISTERED}
    assert not names, (
        f'the model is registered as "{min(names)}": set "{REGISTERED}", and run all cells again.'
    )
    numbers = listed(str(version.version) for version in found)
    assert len(found) == 1, (
        f"versions {numbers} are of one model: register it in `register` alone, without "
        "registered_model_name= in log_model, and train again."
    )


@catches("the model was registered while it was logged, before anything was measured")
@swap("log-model", 'name="model",', EARLY)
@put("registration", "version = model_info.registered_model_version")
@hint("baseline_rmse, validation and test_digest are not on it")
@catches("the numbers were rounded")
@swap("register", "str(run.data.metrics[name])", 'f"{run.data.metrics[name]:.3f}"')
@hint("Don't round")
@catches("the digest of the first dataset was taken, whatever it is")
@swap("register", 'digests["wine-test"]', "run.inputs.dataset_inputs[0].dataset.digest")
@hint("the digest of the dataset with the name wine-test")
@catches("the RMSE of the training wines was taken")
@swap("register", "metrics[name]", 'metrics["training_root_mean_squared_error"]')
@hint("its run has 0.64")
def test_the_version_says_what_was_measured(run, runs, client):
    "the version has five tags, with what its run has measured"
    trained = _trained(runs)
    found = [version for version in _versions(client, trained) if version.name == REGISTERED]
    assert found, "there is no version yet that could have tags: register the model first."
    _expect_tags(found[-1], trained, "its run has")


def _made_up(client, number):
    """A model in the scratch store: its run, and what log_model would return."""
    from mlflow.entities import Dataset, DatasetInput, Metric, RunTag
    from mlflow.models.model import ModelInfo

    run_id = client.create_run("0").info.run_id
    metrics = [Metric(name, number + at / 97, 0, 0) for at, name in enumerate((*MEASURED, "mae"))]
    client.log_batch(run_id, metrics, [], [RunTag("validation", f"failed: made up {number}")])
    # The test wines come first in one run, and last in the other.
    names = ["wine-test", "dataset"][:: -1 if number == 2 else 1]
    used = [DatasetInput(Dataset(name, f"{name[:4]}{number}", "local", "{}"), []) for name in names]
    client.log_inputs(run_id, used)
    model = client.create_logged_model("0", name="model", source_run_id=run_id)
    model = client.finalize_logged_model(model.model_id, "READY")
    about = ("model", {}, model.model_uri, "", run_id, None, None, "", "")
    return client.get_run(run_id), ModelInfo(*about, logged_model=model)


@catches("the function registers the notebook's model, whatever it is given")
@swap("register", "model_info):", "info):")
@hint("Use its two arguments")
@catches("the validation was written down")
@swap("register", 'run.data.tags["validation"]', '"passed"')
@hint('validation is "passed", for a model of the check\'s own "failed: made up 1"')
@catches("the function returns nothing")
@swap("register", f"return {CALL}", CALL)
@hint("register gives back nothing (None), since it ends without `return`")
@error("'NoneType' object has no attribute 'version'")
def test_register_works_for_any_model(namespace):
    "register works for any model, also for one that failed validation"
    from mlflow.entities.model_registry import ModelVersion

    register = student_function(namespace, "register", "A version of the registered model")
    advice = (
        "Use its two arguments: read the run with client.get_run(model_info.run_id), register "
        "model_info.model_uri, and return what mlflow.register_model returns."
    )
    with scratch_store() as client:
        for number in (1, 2):
            run, info = _made_up(client, number)
            call(register, client, info, on_error=advice, expect=ModelVersion)
            found = _versions(client, run)
            made = plural(len(found), "version")
            assert len(found) == 1, f"given another model, register makes {made} of it. {advice}"
            _expect_tags(found[0], run, "for a model of the check's own")


RIGHT_WAYS = (
    right(
        "the version is made by the client",
        swap("register", "client.get_run(", "mlflow.get_run("),
        swap("register", "str(run", "repr(run"),
        swap(
            "register",
            f"return {CALL}",
            "if not client.search_registered_models(f\"name='{registered_name}'\"):\n"
            "        client.create_registered_model(registered_name)\n"
            "    uri, run_id = model_info.model_uri, model_info.run_id\n"
            "    return client.create_model_version(registered_name, uri, run_id, tags=tags)",
        ),
    ),
    right(
        "the model is found by its run, as in older courses",
        swap("register", "model_info.model_uri", 'f"runs:/{model_info.run_id}/model"'),
    ),
    right(
        "the model is registered in a cell of its own, and the version has another name",
        put("registration", "made = register(client, model_info)\nprint(made.tags)"),
        split("training", "made = register"),
    ),
)
