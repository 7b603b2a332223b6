"""A version says what its own run has measured, and the gate that it met."""

import re
from unittest.mock import patch

from winelab.checks.authoring import before, catches, given, put, remove, skip_all, swap
from winelab.checks.scratch import scratch_store
from winelab.core.console import shortened

TASK = 'in the cell "What a version says of itself"'


def _annotate(namespace):
    """The student's function."""
    assert callable(namespace.get("annotate")), (
        f"there is no function `annotate` yet: write annotate(client, version) {TASK}."
    )
    return namespace["annotate"]


def _rmse(run):
    return run.data.metrics["rmse"]


def _says(text, figure):
    """Whether `text` has this figure, and not as a part of a longer one."""
    return bool(re.search(rf"(?<![\d.]){re.escape(figure)}(?!\d)", text or ""))


def _judge_tag(version, run, whose):
    found, right = version.tags.get("rmse"), f"{_rmse(run):.6f}"
    assert found is not None, (
        f'{whose} has no tag "rmse": call client.set_model_version_tag with the name, the version, '
        '"rmse" and the figure as a text.'
    )
    train = run.data.metrics.get("training_root_mean_squared_error")
    assert train is None or found != f"{train:.6f}", (
        f'the tag "rmse" of {whose} is {found}, the RMSE of the training wines: take the metric '
        "`rmse`, which the test wines gave."
    )
    digits = found.partition(".")[2]
    assert not (found != right and len(digits) != 6 and right.startswith(found[:4])), (
        f'the tag "rmse" of {whose} is {found!r}: write six decimals, with :.6f in an f-string.'
    )
    assert found == right, (
        f'the tag "rmse" of {whose} is {found}, and its own run has measured {right}: read it from '
        "run_of(client, version), for each version anew."
    )


def _judge_description(version, run, whose):
    right = f"{_rmse(run):.3f}"
    assert version.description, (
        f"{whose} has no description: call client.update_model_version with the name, the version "
        "and description=."
    )
    assert _says(version.description, right), (
        f'the description of {whose} is "{version.description}", and its own run has an RMSE of '
        f"{right}: write the figure of the version's own run into it, with :.3f."
    )


def _judge_gate(version, gate, whose):
    found = version.tags.get("gate")
    assert found is not None, (
        f'{whose} has no tag "gate": set it like "rmse", with the value of `gate` as a text.'
    )
    assert re.fullmatch(r"[\d.]+", found) and float(found) == float(gate), (
        f'the tag "gate" of {whose} is {found}, and `gate` is {gate}: write the variable, not '
        "a figure of your own."
    )


def _three_versions(client, name, like):
    """A registry with three versions, each of a run that logged what `like` did, other figures.

    Returns the runs, by version.
    """
    from mlflow.entities import Metric, Param

    client.create_registered_model(name)
    runs = {}
    for number in (1, 2, 3):
        made = client.create_run("0").info.run_id
        names = sorted({"rmse", "dummy_rmse", *like.data.metrics})
        figures = {metric: (100 * number + at) / 123 for at, metric in enumerate(names)}
        params = {**like.data.params, "alpha": f"{number}.5"}
        client.log_batch(
            made,
            metrics=[Metric(metric, value, 0, 0) for metric, value in figures.items()],
            params=[Param(param, value) for param, value in params.items()],
        )
        client.create_model_version(name, source="nowhere", run_id=made)
        runs[number] = client.get_run(made)
    return runs


TAG = 'client.set_model_version_tag(registered_name, version, "rmse", f"{rmse:.6f}")'
GATE = 'client.set_model_version_tag(registered_name, version, "gate", f"{gate}")'
DESCRIBE = "client.update_model_version(registered_name, version, description=words)"
OWN = "run_of(client, version).data"

OLDER_CHAMPION = """
import mlflow
mlflow.set_experiment("wine-quality")
older = mlflow.MlflowClient()
older.create_registered_model("wine-quality-elasticnet")
with mlflow.start_run(run_name="older"):
    mlflow.log_metrics({"rmse": 0.1, "dummy_rmse": 0.8})
    mlflow.log_param("alpha", 0.001)
    import pandas as pd
    from mlflow.models import infer_signature
    from sklearn.linear_model import LinearRegression
    wine = pd.read_csv("../data/red-wine-quality.csv", sep=";").astype("float64")
    X = wine.drop(columns="quality")
    mlflow.sklearn.log_model(
        LinearRegression().fit(X, wine["quality"]),
        name="model",
        signature=infer_signature(X),
        pip_requirements=["scikit-learn"],
        registered_model_name="wine-quality-elasticnet",
    )
older.set_registered_model_alias("wine-quality-elasticnet", "champion", "1")
"""


@catches("no cell has been run yet", skip_all(), hint="has made no run since it started")
@given
def test_the_candidates_are_registered(versions):
    "this program's candidates are versions of the registered model"


@catches(
    "the function was written, and never called",
    remove("note"),
    remove("note-champion"),
    hint="nothing stands on version 1 yet: call annotate(client, version) in the loop",
)
@catches(
    "only the champion was annotated",
    remove("note"),
    hint="nothing stands on version 1 yet: call annotate(client, version) in the loop",
)
@catches(
    "the champion of an older run was forgotten",
    remove("note-champion"),
    before(OLDER_CHAMPION),
    hint="call annotate(client, champion.version)",
)
@catches(
    "so the champion got the figures of the last candidate",
    swap("annotate", OWN, "client.get_run(model_info.run_id).data"),
    hint="its own run has measured",
)
@catches(
    "the description was written once, by hand",
    swap("annotate", "description=words", 'description="RMSE 0.638, our best"'),
    hint='the description of version 1 is "RMSE 0.638, our best", and its own run has',
)
@catches(
    "the RMSE of the training wines was taken",
    swap("annotate", 'data.metrics["rmse"]', 'data.metrics["training_root_mean_squared_error"]'),
    hint="the RMSE of the training wines",
)
@catches(
    "the RMSE was rounded to three decimals in the tag too",
    swap("annotate", "{rmse:.6f}", "{rmse:.3f}"),
    hint="write six decimals",
)
@catches(
    "all the decimals were written",
    swap("annotate", 'f"{rmse:.6f}"', "rmse"),
    hint="write six decimals",
)
@catches(
    "the tag with the gate was forgotten", swap("annotate", GATE, ""), hint='has no tag "gate"'
)
@catches(
    "the tags were set on the run",
    swap(
        "annotate",
        TAG,
        'client.set_tag(run_of(client, version).info.run_id, "rmse", f"{rmse:.6f}")',
    ),
    hint='has no tag "rmse"',
)
@catches(
    "the tags were set on the registered model, which has one for all versions",
    swap(
        "annotate", TAG, 'client.set_registered_model_tag(registered_name, "rmse", f"{rmse:.6f}")'
    ),
    hint='has no tag "rmse"',
)
@catches(
    "the registered model was described, not the version",
    swap(
        "annotate", DESCRIBE, "client.update_registered_model(registered_name, description=words)"
    ),
    hint="version 1 has no description",
)
def test_each_version_is_annotated(client, versions, namespace):
    "each version that this program made has its tags and a description, and so has the champion"
    name = namespace["registered_name"]
    _annotate(namespace)
    there = client.get_registered_model(name).aliases.get("champion")
    asked = {f"version {version.version}": version for version in versions}
    if there is not None and f"version {there}" not in asked:
        asked[f"the champion, version {there}, which an older run made,"] = there
    for whose, version in asked.items():
        number = getattr(version, "version", version)
        found = client.get_model_version(name, number)
        run = client.get_run(found.run_id)
        assert found.tags or found.description, f"nothing stands on {whose} yet: call " + (
            'annotate(client, version) in the loop of the cell "5. Train the candidates".'
            if version is not there
            else 'annotate(client, champion.version) in the cell "6. Find the champion".'
        )
        _judge_tag(found, run, whose)
        _judge_gate(found, namespace["gate"], whose)
        _judge_description(found, run, whose)


@catches(
    "the champion was not annotated, as the loop had just made it",
    remove("note-champion"),
    hint="call annotate(client, champion.version)",
)
@catches(
    "annotate was given the champion, and not its number",
    put("note-champion", "annotate(client, champion)"),
    hint="call annotate(client, champion.version)",
    error="not 'ModelVersion'",
)
def test_the_champion_was_annotated_last(client, versions, namespace):
    "the champion was annotated after the loop, whoever made it"
    name = namespace["registered_name"]
    _annotate(namespace)
    number = client.get_registered_model(name).aliases.get("champion")
    if number is None:
        return  # Nothing passed the gate: there is nobody to write on.
    champion = client.get_model_version(name, str(number))
    assert champion.last_updated_timestamp > max(one.creation_timestamp for one in versions), (
        f"nothing was written on the champion, version {number}, since the last candidate was "
        "registered: call annotate(client, champion.version) in the cell "
        '"6. Find the champion", even if the loop has made it, and run that cell.'
    )


@catches(
    "always the newest version was annotated",
    swap("annotate", "    data =", "    version = newest_version(client)\n    data ="),
    hint="wrote on version 3: pass `version` on",
)
@catches(
    "the tags went to the newest version, the description to this one",
    swap("annotate", TAG, TAG.replace("version,", "newest_version(client),")),
    hint="wrote on version 3: pass `version` on",
)
@catches(
    "the figures come from the last run of the notebook, through a variable",
    swap("annotate", OWN, "client.get_run(model_info.run_id).data"),
    hint="Read everything from run_of(client, version)",
)
@catches(
    "the gate was written down",
    swap("annotate", 'f"{gate}"', '"0.7"'),
    hint="and `gate` is 0.65: write the variable",
)
def test_a_version_gets_the_figures_of_its_own_run(namespace, run):
    "annotate(client, version) writes on this version, from the run that made it"
    from mlflow import MlflowException

    name, annotate = namespace["registered_name"], _annotate(namespace)
    with (
        scratch_store() as client,
        patch.dict(getattr(annotate, "__globals__", {}), gate=0.65),
    ):
        runs = _three_versions(client, name, run)
        for number in (2, 1):
            try:
                annotate(client, str(number))
            except (MlflowException, KeyError, AttributeError, NameError, TypeError) as error:
                raise AssertionError(
                    f"in another registry, annotate(client, version) stopped with "
                    f"{type(error).__name__}: {shortened(str(error), 80)}. Read everything from "
                    "run_of(client, version): run_of knows which run made the version."
                ) from None
            others = {other for other in runs if other < number or other == 3}
            for other in others:
                found = client.get_model_version(name, str(other))
                assert not found.tags and not found.description, (
                    f"annotate(client, {number}) wrote on version {other}: pass `version` on to "
                    "each call, and nothing else."
                )
            found = client.get_model_version(name, str(number))
            whose = f"version {number} of another registry"
            _judge_tag(found, runs[number], whose)
            _judge_gate(found, 0.65, whose)
            _judge_description(found, runs[number], whose)
