"""Block 31's search on real processes: killed and started again, within its budgets, registered."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import optuna
import pandas as pd
import pytest
from mlflow import MlflowClient
from optuna.trial import TrialState
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.linear_model import ElasticNet
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from winelab.checks.looking import EXPERIMENT, REGISTERED
from winelab.core.paths import SOLUTIONS, TABLE, store_uri
from winelab.course.source import course
from winelab.proof.execute import Code, Outcome, execute
from winelab.proof.start import furnish_for
from winelab.tracking.workspace import clean_workspace, workspace_environment

BLOCK = course().block("search")
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
TRIALS = 9


class Place:
    """A workspace with the package and the store that the block begins with."""

    def __init__(self, workspace: Path) -> None:
        self.workspace = workspace
        self.package = workspace / "solutions" / BLOCK.name
        self.database = workspace / "output" / "search.db"
        self.client = MlflowClient(store_uri(workspace), store_uri(workspace))

    def search(self, *words: str) -> Outcome:
        """Run the program to its end."""
        runs = (" ".join(["wineops.search", *words]),)
        return execute(Code(BLOCK.name, runs=runs), self.workspace)

    def study(self, name: str) -> optuna.Study:
        """A study as it is in the file."""
        return optuna.load_study(study_name=name, storage=f"sqlite:///{self.database.as_posix()}")

    def runs(self, filter_string: str) -> list[Any]:
        """The runs that a filter finds."""
        experiment = self.client.get_experiment_by_name(EXPERIMENT)
        assert experiment
        return list(self.client.search_runs([experiment.experiment_id], filter_string))

    def parent(self, name: str) -> Any:
        """The one run of a study."""
        (found,) = self.runs(f"tags.study = '{name}'")
        return found

    def children(self, name: str) -> list[Any]:
        """The child runs of a study's run."""
        return self.runs(f"tags.`mlflow.parentRunId` = '{self.parent(name).info.run_id}'")

    def version(self, alias: str) -> Any:
        """The version that has an alias."""
        return self.client.get_model_version_by_alias(REGISTERED, alias)


@contextmanager
def _place(table: Path | None = None) -> Iterator[Place]:
    with clean_workspace(table) as workspace:
        furnish_for(course(), BLOCK, workspace)
        shutil.copytree(SOLUTIONS / BLOCK.name, workspace / "solutions" / BLOCK.name)
        yield Place(workspace)


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with _place() as place:
        yield place


KILLER = """
import importlib, os, signal, sys
owner, name, calls = importlib.import_module({owner!r}), {name!r}, {calls}
real = getattr(owner, name)

def killed(*arguments, **named):
    global calls
    calls -= 1
    if not calls:
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
    return real(*arguments, **named)

setattr(owner, name, killed)
from wineops import search
sys.argv = ["search", *{words!r}]
search.main()
"""


def _killed_in(place: Place, owner: str, name: str, calls: int, *words: str) -> None:
    """Run the program as a process of its own, which is killed in a call of this function."""
    code = KILLER.format(owner=owner, name=name, calls=calls, words=words)
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=place.package,
        env=workspace_environment(place.workspace, PYTHONPATH=str(place.package / "src")),
        capture_output=True,
    )
    assert done.returncode not in (0, 1), done.stderr


def _mirrors(place: Place, name: str) -> None:
    """Each trial that has ended has one child run, which tells the same."""
    ended = place.study(name).get_trials(states=(*FINISHED, TrialState.FAIL))
    children = {int(run.data.tags["trial"]): run for run in place.children(name)}
    assert len(children) == len(place.children(name)), "a trial has two child runs"
    assert sorted(children) == [trial.number for trial in ended]
    for trial in ended:
        run = children[trial.number]
        assert run.data.tags["state"] == trial.state.name
        assert run.info.status == ("FAILED" if trial.state == TrialState.FAIL else "FINISHED")
        assert run.data.params == {key: str(value) for key, value in trial.params.items()}
        assert run.data.metrics["folds"] == len(trial.intermediate_values)
        scored = run.data.metrics.get("cv_rmse")
        assert scored == (trial.value if trial.state == TrialState.COMPLETE else None)
        assert run.data.metrics["seconds"] == pytest.approx(
            (run.info.end_time - run.info.start_time) / 1000
        )
    assert place.parent(name).info.status == "FINISHED"


class TestKilled:
    """One study, killed at three moments, then finished; in order."""

    def test_it_goes_on_with_the_rest_of_its_budget(self, place: Place) -> None:
        words = ("--trials", str(TRIALS), "--study", "killed")
        # In the third trial: nobody has ended it.
        _killed_in(place, "wineops.search", "score_folds", 3, *words)
        states = [trial.state.name for trial in place.study("killed").trials]
        assert states[2:] == ["RUNNING"]
        # The child of the third trial of this process is there, and has no metrics yet: its fourth
        # call, since the trial that was killed before comes first.
        _killed_in(place, "mlflow", "log_metrics", 4, *words)
        assert "RUNNING" in [run.info.status for run in place.children("killed")]
        # All trials are done, and no model is registered.
        _killed_in(place, "wineops.search", "release", 1, *words)
        assert place.parent("killed").info.status == "RUNNING"
        assert not place.search(*words).error
        study = place.study("killed")
        assert len(study.get_trials(states=FINISHED)) == TRIALS
        assert not study.get_trials(states=(TrialState.RUNNING, TrialState.WAITING))
        assert len(study.get_trials(states=[TrialState.FAIL])) == 1
        _mirrors(place, "killed")

    def test_what_is_in_use_was_tried_once(self, place: Place) -> None:
        champion = {"family": "elasticnet", "alpha": 0.01, "l1_ratio": 0.3}
        finished = place.study("killed").get_trials(states=FINISHED)
        assert [trial.params for trial in finished].count(champion) == 1

    def test_no_trial_was_drawn_twice(self, place: Place) -> None:
        finished = place.study("killed").get_trials(states=FINISHED)
        assert len({str(trial.params) for trial in finished}) == TRIALS

    def test_a_child_that_a_kill_prevented_or_left_open_is_made_whole(self, place: Place) -> None:
        one, other = place.children("killed")[:2]
        place.client.delete_run(one.info.run_id)
        place.client.update_run(other.info.run_id, "RUNNING")
        assert not place.search("--trials", str(TRIALS), "--study", "killed").error
        _mirrors(place, "killed")

    def test_the_same_winner_is_registered_once(self, place: Place) -> None:
        mine = place.parent("killed").info.run_id
        versions = place.client.search_model_versions(f"name='{REGISTERED}'")
        (version,) = [one for one in versions if one.tags.get("search_run") == mine]
        assert int(version.version) == int(place.version("challenger").version)


def _expected(values: dict[str, Any], wines: pd.DataFrame) -> Any:
    """The predictions of a model with these settings that has learned from all wines."""
    values = dict(values)
    models = {
        "elasticnet": lambda **own: make_pipeline(
            StandardScaler(), ElasticNet(**own, random_state=42)
        ),
        "boosting": lambda **own: GradientBoostingRegressor(
            **own, n_estimators=50, random_state=42
        ),
    }
    model = models[values.pop("family")](**values)
    X = wines.drop(columns="quality")
    return model.fit(X, wines["quality"]).predict(X)


@pytest.mark.parametrize("which", ["twin", "original"])
def test_the_challenger_is_the_winner_and_the_champion_stays(
    which: str, request: pytest.FixtureRequest
) -> None:
    table = request.getfixturevalue("original") if which == "original" else None
    with _place(table) as place:
        outcome = place.search("--grid", "--trials", "12")
        assert not outcome.error
        trials = place.study("wine").get_trials(states=[TrialState.COMPLETE])
        best = min(trials, key=lambda trial: trial.value or 9)
        version, parent = place.version("challenger"), place.parent("wine")
        assert int(place.version("champion").version) == 2
        tags = {"search_run": parent.info.run_id, "trial": str(best.number), "trials": "12"}
        tags |= {"family": best.params["family"], "cv_rmse": str(best.value)}
        assert tags.items() <= version.tags.items()
        assert json.loads(version.tags["settings"]) == best.params

        rows = pd.read_csv(table or TABLE, sep=";").astype("float64").drop_duplicates()
        wines, _ = train_test_split(rows, test_size=0.25, random_state=42)
        before = mlflow.get_tracking_uri()
        mlflow.set_tracking_uri(store_uri(place.workspace))
        try:
            model = mlflow.sklearn.load_model(f"models:/{REGISTERED}@challenger")
            cost = mlflow.artifacts.load_text(f"runs:/{parent.info.run_id}/cost.csv")
        finally:
            mlflow.set_tracking_uri(before)
        predicted = model.predict(wines.drop(columns="quality"))
        assert np.allclose(predicted, _expected(best.params, wines), atol=1e-9)
        first, *others = cost.splitlines()
        assert first == "way,models,fits,seconds,cv_rmse,lead,folds_won"
        assert [line.split(",")[0] for line in others] == ["champion", "grid", "search"]
        # Computed with scikit-learn's cross_val_score alone.
        assert {"twin": "0.6313", "original": "0.6703"}[which] in outcome.printed


def test_the_seconds_are_kept_over_all_starts(place: Place) -> None:
    words = ("--trials", "1000", "--seconds", "1", "--study", "timed")
    assert not place.search(*words).error
    finished = place.study("timed").get_trials(states=FINISHED)
    *others, last = (trial.duration.total_seconds() for trial in finished if trial.duration)
    # The last one may end later than the budget, and begins before.
    assert len(finished) < 1000 and sum(others) < 1
    if sum(others) + last >= 1:
        assert not place.search(*words).error
        assert len(place.study("timed").get_trials(states=FINISHED)) == len(finished)


def test_two_studies_do_not_mix_and_fresh_forgets_one(place: Place) -> None:
    for name, trials in (("one", "2"), ("other", "3")):
        assert not place.search("--study", name, "--trials", trials).error
    _mirrors(place, "one")
    assert len(place.children("other")) == 3
    first = place.parent("one").info.run_id
    assert not place.search("--study", "one", "--trials", "1", "--fresh").error
    assert len(place.study("one").trials) == 1
    assert {run.info.run_id for run in place.runs("tags.study = 'one'")} > {first}
    assert len(place.study("other").trials) == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--trials", "0"), "--trials and --seconds must be above zero"),
        (("--seconds", "nan"), "--trials and --seconds must be above zero"),
        (("--trials", "many"), "argument --trials: invalid int value: 'many'"),
    ],
)
def test_a_wrong_option_is_named(place: Place, words: tuple[str, ...], said: str) -> None:
    outcome = place.search(*words, "--study", "wrong")
    assert said in outcome.error + outcome.stderr
    assert not place.runs("tags.study = 'wrong'")


def test_without_a_champion_nothing_is_begun(place: Place) -> None:
    place.client.delete_registered_model_alias(REGISTERED, "champion")
    try:
        outcome = place.search("--study", "none")
    finally:
        place.client.set_registered_model_alias(REGISTERED, "champion", "2")
    assert "SystemExit: No champion to compare with" in outcome.error
    assert not place.runs("tags.study = 'none'")


def test_a_study_whose_run_is_gone_says_so(place: Place) -> None:
    words = ("--trials", "1", "--study", "gone")
    assert not place.search(*words).error
    place.client.delete_run(place.parent("gone").info.run_id)
    assert "begin with --fresh" in place.search(*words).error
    assert not place.search(*words, "--fresh").error


def test_the_packages_own_tests_pass(place: Place) -> None:
    runs = ("pytest -q -p no:cacheprovider tests/test_search.py",)
    outcome = execute(Code(BLOCK.name, runs=runs), place.workspace)
    assert not outcome.error, outcome.printed
    assert "4 passed" in outcome.printed
