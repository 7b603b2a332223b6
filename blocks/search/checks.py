"""A search that keeps its budget, stops bad trials, can go on later, and names a challenger."""

import json
import warnings
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

from winelab.checks.authoring import after, catches, hint, put, right, skip, swap
from winelab.checks.comparing import listed, plural, same_column, short
from winelab.checks.looking import REGISTERED
from winelab.checks.scratch import call, package_module, scratch_registry

FILES = ("space", "study", "search")
TRIALS = 16
RANGES = {
    "elasticnet": {"alpha": (0.001, 1, True), "l1_ratio": (0.1, 1, False)},
    "boosting": {
        "learning_rate": (0.01, 0.5, True),
        "max_depth": (1, 3, False),
        "subsample": (0.3, 1, False),
    },
}
# What a check of one function needs no search for.
ALONE = (skip("run-search", "resume-search"),)


def _function(namespace, file, name):
    """A module of the student's package, and its function `name`."""
    module = package_module(namespace, f"wineops.{file}")
    found = getattr(module, name, None)
    assert callable(found), f"{file}.py has no function {name}: write it with def."
    return module, found


def _optuna():
    """Optuna, without the warning that Jupyter has no widgets for its progress bar."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import optuna
    return optuna


def _quiet_study(**settings):
    """A study of Optuna's in memory."""
    optuna = _optuna()
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return optuna.create_study(**settings)
    finally:
        optuna.logging.set_verbosity(before)


# --- the space ---------------------------------------------------------------------------------


def _check_ranges(family, distributions):
    """Raise what is wrong with the ranges of one trial."""
    expected = RANGES[family]
    found = {name: one for name, one in distributions.items() if name != "family"}
    missing = [name for name in expected if name not in found]
    assert not missing, f"a trial of {family} has no {listed(missing)}: mind the spelling too."
    more = [name for name in found if name not in expected]
    assert not more, (
        f"a trial of {family} also has {listed(more)}, and {family} has no such setting: suggest "
        "it under the `if` of the family that has it."
    )
    for name, (low, high, log) in expected.items():
        one = found[name]
        ends = getattr(one, "low", None), getattr(one, "high", None)
        assert ends == (low, high), (
            f"{name} is drawn from {short(ends[0])} to {short(ends[1])}: {low} to {high} is asked."
        )
        advice = (
            f"its upper end is {high / low:g} times the lower one, so it needs `log=True`"
            if log
            else "only alpha and learning_rate need `log=True`"
        )
        assert one.log == log, f"{name} has {'a' if one.log else 'no'} logarithmic scale: {advice}."
        assert name != "max_depth" or "Int" in type(one).__name__, (
            "max_depth is drawn as a decimal number: trees have whole levels, so `suggest_int`."
        )


@catches("what only trees have is suggested before the `if`", *ALONE)
@swap("suggest", "    if family ==", '    trial.suggest_int("max_depth", 1, 3)\n    if family ==')
@hint("A trial may only suggest what its family has")
@catches("all trials have a depth, and lines don't use it", *ALONE)
@swap("suggest", "    if family ==", '    trial.suggest_int("max_depth", 1, 3)\n    if family ==')
@swap("suggest", "        trial.suggest_int", "        trial.params.get")
@swap("suggest", '.params.get("max_depth", 1, 3)', '.params.get("max_depth")')
@swap(
    "suggest",
    "return build(**trial.params)",
    "lines = family == 'elasticnet'\n    return build(**{name: value for name, value in "
    "trial.params.items() if name != 'max_depth' or not lines})",
)
@hint("a trial of elasticnet also has max_depth")
@catches("alpha has a linear scale", *ALONE)
@swap("suggest", '"alpha", 0.001, 1, log=True', '"alpha", 0.001, 1')
@hint("alpha has no logarithmic scale")
@catches("the depth is a decimal number", *ALONE)
@swap("suggest", 'suggest_int("max_depth"', 'suggest_float("max_depth"')
@hint("trees have whole levels")
@catches("the model was not returned", *ALONE)
@swap("suggest", "return build(**trial.params)", "build(**trial.params)")
@hint("suggest gives back nothing (None)")
def test_the_space_is_conditional(namespace):
    "a trial chooses a family, and then only settings of that family"
    optuna = _optuna()
    module, suggest = _function(namespace, "space", "suggest")
    study = _quiet_study(sampler=optuna.samplers.RandomSampler(seed=1))
    families = set()
    for _ in range(20):
        trial = study.ask()
        model = call(suggest, trial, on_error="A trial may only suggest what its family has.")
        family = trial.params.get("family")
        assert family in RANGES, (
            f'"family" of a trial is {short(family)}: let `suggest_categorical` choose between '
            '"elasticnet" and "boosting".'
        )
        families.add(family)
        _check_ranges(family, trial.distributions)
        kind_of = "nothing (None)" if model is None else "another model"
        assert repr(model) == repr(call(module.build, **trial.params)), (
            f"suggest gives back {kind_of} for {trial.params}: return `build(**trial.params)`."
        )
    assert len(families) == 2, (
        f'each of 20 trials chose "{families.pop()}": let `suggest_categorical` choose between '
        '"elasticnet" and "boosting".'
    )


# --- trials that are stopped -------------------------------------------------------------------


@catches("five percent, as everywhere", *ALONE)
@put("threshold", "THRESHOLD = 0.05")
@hint("not before the fifth fold")
@catches("the threshold is exactly p after three folds", *ALONE)
@swap("threshold", "0.2 ", "0.125 ")
@hint("not before the fourth fold")
@catches("two folds are enough", *ALONE)
@swap("threshold", "0.2 ", "0.3 ")
@hint("already after the second fold")
def test_the_threshold_needs_three_folds(namespace):
    "THRESHOLD lets the pruner stop a trial after three worse folds, and not earlier"
    threshold = getattr(package_module(namespace, "wineops.study"), "THRESHOLD", None)
    assert isinstance(threshold, float | int), (
        f"THRESHOLD is {short(threshold)}: write a number, such as 0.5."
    )
    first = next((fold for fold in range(2, 6) if 0.5**fold < threshold), None)
    order = {2: "already after the second", 4: "not before the fourth", 5: "not before the fifth"}
    when = f"{order.get(first)} fold" if first else "never"
    assert first == 3, (
        f"with {short(threshold, 0.125, 0.25)} a trial is stopped {when}: p is 0.25 after two "
        "worse folds, 0.125 after three, 0.0625 after four, and must be below the threshold."
    )


class _Told:
    """A trial that keeps what it is told, and wants to stop from one fold on."""

    def __init__(self, stops_after):
        self.values, self.stops_after = {}, stops_after

    def report(self, value, step):
        self.values[step] = value

    def should_prune(self):
        return len(self.values) >= self.stops_after


def _made_up():
    """Ten made-up wines, and a model whose RMSE differs from fold to fold."""
    import pandas as pd
    from sklearn.dummy import DummyRegressor

    quality = [5.0, 5, 6, 8, 5, 6, 7, 3, 6, 4]
    return DummyRegressor(), pd.DataFrame({"alcohol": range(10), "quality": quality})


@catches("the mean of the folds so far was reported", *ALONE)
@swap("report", "report(scores[-1], fold)", "report(sum(scores) / len(scores), fold)")
@hint("report this fold's own RMSE")
@catches("nobody asks whether the trial should stop", *ALONE)
@swap("report", "if fold < 4 and trial.should_prune():", "if False:")
@hint("goes on although")
@catches("a stopped trial returns what it has", *ALONE)
@swap("report", "raise optuna.TrialPruned()", "return scores")
@hint("it returned 3 scores")
@catches("the pruner is asked after the last fold too", *ALONE)
@swap("report", "fold < 4 and ", "")
@hint("after the last fold")
@catches("the grid's models have no trial", *ALONE)
@swap("report", "if trial is not None:", "if True:")
@hint("without a trial")
def test_a_bad_trial_is_stopped(namespace):
    "score_folds reports each fold's RMSE, and stops when the pruner says so, but not at the end"
    optuna = _optuna()
    _, score_folds = _function(namespace, "study", "score_folds")
    model, wines = _made_up()
    alone = call(
        score_folds, model, wines, on_error="It must also work without a trial, for the grid."
    )
    assert isinstance(alone, list) and len(alone) == 5, (
        "score_folds returns the scores of five folds when there's no trial: keep its last line."
    )
    told = _Told(stops_after=9)
    call(score_folds, model, wines, told, on_error="Report a value and a step, the fold.")
    assert told.values, "no fold was reported: `trial.report(scores[-1], fold)`, inside the loop."
    assert sorted(told.values) == [0, 1, 2, 3, 4], (
        f"the steps {listed(str(step) for step in told.values)} were reported: the step is `fold`."
    )
    values = [told.values[fold] for fold in range(5)]
    assert same_column(values, alone), (
        f"{listed(short(value) for value in values)} were reported, and the folds' RMSE are "
        f"{listed(short(score) for score in alone)}: report this fold's own RMSE, `scores[-1]`, "
        "because the pruner compares two trials fold by fold."
    )
    told = _Told(stops_after=3)
    ended = call(score_folds, model, wines, told, may_raise=optuna.TrialPruned)
    folds = len(told.values)
    assert isinstance(ended, optuna.TrialPruned), (
        f"the pruner says stop after three folds, and it returned {plural(len(ended), 'score')}: "
        "`raise optuna.TrialPruned()` tells Optuna."
        if isinstance(ended, list) and len(ended) < 5
        else "a trial goes on although the pruner says that it should stop: ask "
        "`trial.should_prune()` after each report, and raise `optuna.TrialPruned()`."
    )
    assert folds == 3, f"a trial that should stop after three folds stopped after {folds}."
    last = call(score_folds, model, wines, _Told(stops_after=5), may_raise=optuna.TrialPruned)
    assert not isinstance(last, optuna.TrialPruned), (
        "a trial is stopped after the last fold: that saves nothing, and loses its cv_rmse. Ask "
        "only where `fold < 4`."
    )


# --- a study that goes on ----------------------------------------------------------------------


def _trial(state, seconds, number=0):
    """A trial that ended, and took so long."""
    optuna = _optuna()
    start = datetime(2026, 1, 1)
    return optuna.trial.FrozenTrial(
        number=number,
        trial_id=number,
        state=optuna.trial.TrialState[state],
        value=0.5 if state in ("COMPLETE", "PRUNED") else None,
        datetime_start=start,
        datetime_complete=None if state == "RUNNING" else start + timedelta(seconds=seconds),
        params={},
        distributions={},
        user_attrs={},
        system_attrs={},
        intermediate_values={},
    )


def _study_of(*trials):
    study = _quiet_study()
    study.add_trials(_trial(*one) for one in trials)
    return study


@catches("every start has the whole budget", *ALONE)
@swap("budget-left", "trials - len(finished), seconds - spent", "trials, seconds")
@hint("10 trials and 60 s are left")
@catches("failed trials are counted", *ALONE)
@swap("budget-left", "study.get_trials(states=FINISHED)", "[t for t in study.trials if t.duration]")
@hint("A trial that failed isn't finished")
@catches("pruned trials cost nothing", *ALONE)
@swap("budget-left", "states=FINISHED", "states=[TrialState.COMPLETE]")
@hint("A pruned trial is finished too")
@catches("the seconds are not taken off", *ALONE)
@swap("budget-left", "seconds - spent", "seconds")
@hint("take the durations off")
def test_a_resumed_study_has_the_rest_of_its_budget(namespace):
    "budget_left takes off the finished trials, pruned ones too, and their seconds"
    _, budget_left = _function(namespace, "study", "budget_left")
    ended = (("COMPLETE", 10), ("PRUNED", 2), ("FAIL", 20), ("COMPLETE", 5), ("RUNNING", 0))
    study = _study_of(*ended)
    told = "It takes a study and two numbers, and returns two numbers."
    left = call(budget_left, study, 10, 60, on_error=told, expect=(tuple, list))
    assert len(left) == 2 and all(isinstance(one, int | float) for one in left), (
        f"budget_left returns {left}: return two numbers, `trials - ..., seconds - ...`."
    )
    advice = {
        5: "A trial that is still RUNNING has no result, and one that failed neither.",
        6: "A trial that failed isn't finished: use the two states in FINISHED.",
        8: "A pruned trial is finished too: use both states in FINISHED.",
    }.get(left[0], "Count the trials in the states FINISHED, and take the durations off.")
    seconds = getattr(left[1], "item", lambda: left[1])()
    assert (left[0], round(seconds, 6)) == (7, 43), (
        "a study of 2 complete trials (10 s and 5 s), a pruned one (2 s), a failed one (20 s) and "
        f"one that is running: of 10 trials and 60 s, budget_left says that {left[0]} trials and "
        f"{short(seconds)} s are left; it's 7 and 43. {advice}"
    )


def _next_draws(module, count):
    """What two studies of the student's draw next that have the same `count` trials."""
    draws = []
    for _ in range(2):
        made = _study_of(*[("COMPLETE", 1, number) for number in range(count)])
        # In memory: to make the tables of a file takes a second.
        with patch.object(module.optuna, "create_study", lambda *_, _made=made, **__: _made):
            study = call(module.open_study, "check", on_error="It takes a name.")
        assert hasattr(study, "ask"), "open_study doesn't return the study: keep its last line."
        draws.append(study.ask().suggest_float("alpha", 0, 1))
    return draws


@catches("the seed is always 42", *ALONE)
@swap("seed", "42 + len(study.trials)", "42")
@hint("draws the same number after 2 trials as after 5")
@catches("the seed is of the clock", *ALONE)
@swap("seed", "42 + len(study.trials)", "__import__('time').time_ns() % 2**32")
@hint("two different numbers for the same history")
def test_a_resumed_study_draws_new_trials(namespace):
    "the sampler's seed follows from the trials that are there"
    module, _ = _function(namespace, "study", "open_study")
    few, more = _next_draws(module, 2), _next_draws(module, 5)
    for one, other in (few, more):
        assert one == other, (
            "the sampler draws two different numbers for the same history, so nobody can repeat "
            "this search: let the seed follow from `study.trials`."
        )
    assert few[0] != more[0], (
        "the sampler draws the same number after 2 trials as after 5: it would repeat its first "
        "trials after each start. Let the seed grow with `len(study.trials)`."
    )


# --- the winner --------------------------------------------------------------------------------


@contextmanager
def _three_trials(module):
    """Yield a study whose second trial is the best, and what `register` is given."""
    optuna = _optuna()
    study = _quiet_study()
    for alpha, value in ((0.5, 0.7), (0.02, 0.6), (0.1, 0.65)):
        params = {"family": "elasticnet", "alpha": alpha, "l1_ratio": 0.4}
        ranges = {
            "family": optuna.distributions.CategoricalDistribution(["elasticnet", "boosting"]),
            "alpha": optuna.distributions.FloatDistribution(0.001, 1, log=True),
            "l1_ratio": optuna.distributions.FloatDistribution(0.1, 1),
        }
        trial = optuna.trial.create_trial(params=params, distributions=ranges, value=value)
        study.add_trial(trial)
    given = SimpleNamespace(model=None, wines=None, tags=None)

    def register(client, model, wines, tags):
        given.model, given.wines, given.tags = model, wines, tags
        return 2

    with patch.object(module, "register", register):
        yield study, given


@catches("the newest trial was released", *ALONE)
@swap("release", "study.best_params", "study.trials[-1].params")
@hint("alpha=0.1")
@catches("the model has seen four fifths of the wines", *ALONE)
@swap("release", "    model.fit(", "    wines = wines[: len(wines) * 4 // 5]\n    model.fit(")
@hint("fit it on all wines")
@catches("the winner is the champion at once", *ALONE)
@swap("release", '"challenger", number', '"champion", number')
@hint("Nobody has compared it with the champion")
@catches("no alias was set", *ALONE)
@swap("release", "    client.set_registered_model_alias", "    print")
@hint("no version has the alias challenger")
def test_the_best_trial_is_released(namespace):
    "release fits the best trial's model on all wines, and only makes it the challenger"
    module, release = _function(namespace, "search", "release")
    wines = _made_up()[1]
    tags = {"search_run": "1", "trial": "1"}
    with scratch_registry({}, {}) as client, _three_trials(module) as (study, given):
        client.set_registered_model_alias(REGISTERED, "champion", 1)
        call(
            release,
            client,
            study,
            wines,
            tags,
            on_error="It takes a client, a study, wines and tags.",
        )
        assert given.model is not None, (
            "release registers no model yet: build the best one, fit it, and call `register`."
        )
        aliases = dict(client.get_registered_model(REGISTERED).aliases)
    expected = call(module.build, **study.best_params)
    assert repr(given.model) == repr(expected), (
        f"release registers {' '.join(repr(given.model).split())}: the best trial is the one with "
        f"{study.best_params}, `study.best_params`."
    )
    X, y = wines.drop(columns="quality"), wines["quality"]
    try:
        predicted = given.model.predict(X)
    except Exception:
        predicted = None
    assert predicted is not None and same_column(predicted, expected.fit(X, y).predict(X)), (
        "the model that release registers hasn't learned from all the wines that it gets: fit it "
        "on all wines, without `quality` among the measurements."
    )
    assert given.tags == tags, "give `register` the tags unchanged: they say where it comes from."
    aliases = {alias: int(number) for alias, number in aliases.items()}
    assert aliases.get("champion") == 1, (
        "release moves the alias champion. Nobody has compared it with the champion on wines that "
        'are new to both: set "challenger".'
    )
    assert aliases.get("challenger") == 2, (
        "no version has the alias challenger after release: set it on the number that `register` "
        "returned, as the last step."
    )


# --- what the program did ----------------------------------------------------------------------


def _newest_search(namespace, runs):
    """The run of the newest search since the files were written, and its children."""
    folder = Path(namespace["package"]) / "src" / "wineops"
    files = [folder / f"{name}.py" for name in FILES]
    missing = [file.name for file in files if not file.is_file()]
    assert not missing, f"there is no {listed(missing)} yet: run the cells that write the files."
    written = max(file.stat().st_mtime for file in files) * 1000
    parents = [run for run in runs if run.data.tags.get("study") == "wine"]
    assert parents, 'no search has been run yet: run the cells "1. Search a little" and "2. ...".'
    parent = parents[0]
    assert (parent.info.end_time or 0) >= written - 100, (
        "your newest search is older than your files: run the two cells at the end again."
    )
    children = [
        run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id
    ]
    return parent, children


@catches("the second cell was left out", skip("resume-search"))
@hint("6 finished trials")
@catches("each start has the whole budget, and runs it")
@swap("budget-left", "trials - len(finished), seconds - spent", "trials, seconds")
@hint("22 finished trials")
def test_the_budget_was_kept(run, runs, namespace):
    "your newest search has 16 finished trials in one run, each with a child run of its own"
    _, children = _newest_search(namespace, runs)
    done = [run for run in children if run.data.tags.get("state") in ("COMPLETE", "PRUNED")]
    assert len(done) == TRIALS, (
        f"your newest search has {len(done)} finished trials, and its budget is {TRIALS}: run the "
        "cells 1 and 2 again, after `budget_left` is right."
    )
    numbers = [run.data.tags.get("trial") for run in done]
    assert len(set(numbers)) == len(numbers), (
        "a trial has two child runs: run the cells 1 and 2 again, which begin anew."
    )
    assert any(run.data.tags["state"] == "PRUNED" for run in done), (
        "no trial was stopped early: report each fold's RMSE, and ask the pruner."
    )


@catches("the alias was moved by hand afterwards")
@after(
    "import mlflow\n"
    f'mlflow.MlflowClient().set_registered_model_alias("{REGISTERED}", "challenger", 1)'
)
@hint("version 1 has the alias challenger")
def test_the_winner_is_the_challenger(run, runs, client, namespace):
    "the challenger is the trial with the lowest cv_rmse of your newest search"
    parent, children = _newest_search(namespace, runs)
    number = client.get_registered_model(REGISTERED).aliases.get("challenger")
    again = "Let `release` set it, and run the cells 1 and 2 again."
    assert number is not None, f"no version has the alias challenger. {again}"
    tags = client.get_model_version(REGISTERED, number).tags
    assert tags.get("search_run") == parent.info.run_id, (
        f"version {number} has the alias challenger, and isn't from your newest search. {again}"
    )
    scored = [run for run in children if "cv_rmse" in run.data.metrics]
    best = min(scored, key=lambda run: run.data.metrics["cv_rmse"], default=None)
    assert best is not None, f"no child run has a cv_rmse. {again}"
    assert tags.get("trial") == best.data.tags.get("trial"), (
        f"version {number} is of trial {tags.get('trial')}, and trial {best.data.tags['trial']} "
        f"has the lowest cv_rmse. {again}"
    )
    values = {name: str(value) for name, value in json.loads(tags.get("settings", "{}")).items()}
    params = best.data.params
    assert values == params, (
        f"version {number} has the settings {values}, and the best trial {params}. {again}"
    )


RIGHT_WAYS = (
    right(
        "the families are two branches that return, and the settings are kept by name",
        put(
            "suggest",
            "def suggest(trial):\n"
            '    family = trial.suggest_categorical("family", ("boosting", "elasticnet"))\n'
            '    if family == "boosting":\n'
            '        rate = trial.suggest_float("learning_rate", low=0.01, high=0.5, log=True)\n'
            "        values = {\n"
            '            "learning_rate": rate,\n'
            '            "max_depth": trial.suggest_int("max_depth", low=1, high=3),\n'
            '            "subsample": trial.suggest_float("subsample", 0.3, 1.0),\n'
            "        }\n"
            "        return build(family, **values)\n"
            '    alpha = trial.suggest_float("alpha", 0.001, 1.0, log=True)\n'
            '    l1_ratio = trial.suggest_float("l1_ratio", 0.1, 1.0)\n'
            "    return build(family, alpha=alpha, l1_ratio=l1_ratio)",
        ),
        put("threshold", "THRESHOLD = 1 / 4"),
    ),
    right(
        "the budget is counted in a loop, with the times of each trial",
        put(
            "budget-left",
            "def budget_left(study, trials, seconds):\n"
            "    for trial in study.trials:\n"
            "        if trial.state.is_finished() and trial.state != TrialState.FAIL:\n"
            "            trials -= 1\n"
            "            took = trial.datetime_complete - trial.datetime_start\n"
            "            seconds -= took / __import__('datetime').timedelta(seconds=1)\n"
            "    return [trials, seconds]",
        ),
        put("seed", "seed = 7 * (1 + len(study.get_trials(deepcopy=False)))"),
        swap("report", "fold < 4 and ", "len(scores) < 5 and "),
    ),
    right(
        "the winner is asked for in another way, and fitted in one line",
        put(
            "release",
            "def release(client, study, wines, tags):\n"
            "    done = study.get_trials(states=[TrialState.COMPLETE])\n"
            "    best = min(done, key=lambda trial: trial.value)\n"
            '    X, y = wines.drop("quality", axis=1), wines.quality\n'
            "    version = register(client, build(**best.params).fit(X, y), wines, tags)\n"
            "    mlflow.MlflowClient().set_registered_model_alias(\n"
            '        name=settings.registered_name, alias="challenger", version=str(version)\n'
            "    )",
        ),
        swap(
            "report", "trial.report(scores[-1], fold)", "trial.report(step=fold, value=scores[-1])"
        ),
        swap("report", "raise optuna.TrialPruned()", "raise optuna.exceptions.TrialPruned"),
    ),
)
