# fmt: off
# %% readme-block (given)
This is the package after the block `search` of Wine Lab, built from `blocks/search/code.py` and those before it.

# %% readme-search (given)
## Search for a challenger

    python -m wineops.search [--trials 16] [--seconds 60] [--study wine] [--fresh] [--grid]

Tries settings of two families with Optuna, and scores them in five folds of the training wines. It stops
when either budget is spent. The trials are kept in `search.db` in the output folder: start the same command again
after a crash, or with a larger budget, and it goes on where it ended. `--fresh` forgets the study's trials. In MLflow,
each study is one run, with a child run for each trial. The best model is registered and gets the alias
`challenger`; whether it should replace the champion is decided elsewhere. `--grid` also scores a plain grid, and adds
it to `cost.csv` on the run. Only one process at a time may work on a study.

# %% needs-search (given)
    "optuna",

# %% space-top (given)
"""What the search may try: families of models, and the ranges of their settings."""

from sklearn.ensemble import GradientBoostingRegressor
from sklearn.linear_model import ElasticNet
from sklearn.model_selection import ParameterGrid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def build(family, **values):
    """The model of a family with these settings, not fitted yet."""
    if family == "elasticnet":
        return make_pipeline(StandardScaler(), ElasticNet(**values, random_state=42))
    return GradientBoostingRegressor(**values, n_estimators=50, random_state=42)

# %% suggest (given)
def suggest(trial):
    """Let a trial choose its settings, and build its model."""
    trial.suggest_categorical("family", ["elasticnet"])
    trial.suggest_float("alpha", 0.001, 1)
    trial.suggest_float("l1_ratio", 0.1, 1)
    return build(**trial.params)

# %% suggest
#: let a trial choose between the families "elasticnet" and "boosting",
#: and then only what its family has: for the elasticnet alpha (0.001 to 1)
#: and l1_ratio (0.1 to 1), for boosting learning_rate (0.01 to 0.5),
#: max_depth (1 to 3, whole numbers) and subsample (0.3 to 1). Which two
#: of these need a logarithmic scale?
#: hint: Python's `if` makes a search space conditional: what isn't suggested isn't part of the
#: trial. A range whose upper end is 50 times the lower end or more wants `log=True`: half of the
#: trials then go below the geometric middle.
#: hint: `family = trial.suggest_categorical("family", ["elasticnet", "boosting"])`. Under `if family
#: == "elasticnet":` stand the two lines for alpha, with `log=True`, and l1_ratio. Under `else:` come
#: `trial.suggest_float("learning_rate", 0.01, 0.5, log=True)`, `trial.suggest_int("max_depth", 1, 3)`
#: and `trial.suggest_float("subsample", 0.3, 1)`.
def suggest(trial):
    """Let a trial choose a family and the settings that this family has; build its model."""
    family = trial.suggest_categorical("family", ["elasticnet", "boosting"])
    if family == "elasticnet":
        trial.suggest_float("alpha", 0.001, 1, log=True)
        trial.suggest_float("l1_ratio", 0.1, 1)
    else:
        trial.suggest_float("learning_rate", 0.01, 0.5, log=True)
        trial.suggest_int("max_depth", 1, 3)
        trial.suggest_float("subsample", 0.3, 1)
    return build(**trial.params)

# %% grid (given)
def grid():
    """A plain grid over the same ranges: eight settings of elasticnet, six of boosting."""
    lines = {"family": ["elasticnet"], "alpha": [0.001, 0.01, 0.1, 1], "l1_ratio": [0.1, 0.7]}
    trees = {"family": ["boosting"], "learning_rate": [0.03, 0.1, 0.3], "max_depth": [1, 3]}
    return list(ParameterGrid([lines, trees]))

# %% study-top (given)
"""The study: trials that are kept in a file, stopped early, and counted after a restart."""

from contextlib import suppress

import optuna
from optuna.trial import TrialState
from sklearn.model_selection import KFold

from wineops import settings
from wineops.compare import rmse

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)

# %% threshold (given)
THRESHOLD = 0.05  # the p-value below which a trial is stopped

# %% threshold
#: choose THRESHOLD so that a trial can be stopped after three folds at
#: the earliest. If it was worse on each of n folds, p is 1 / 2**n.
#: hint: Write down p for n = 2, 3, 4 and 5. With 0.05, which of them stops a trial?
#: hint: p is 0.25 after two folds and 0.125 after three. A trial is stopped where p is below the
#: threshold: any number above 0.125 and up to 0.25 does it, such as `THRESHOLD = 0.2`.
THRESHOLD = 0.2  # the p-value below which a trial is stopped: three worse folds, 1/8, are enough

# %% score-folds (given)
def score_folds(model, wines, trial=None):
    """The RMSE of a model in each of five folds; a trial may be stopped before the last."""
    X, y = wines.drop(columns="quality"), wines["quality"]
    scores = []
    for fold, (train, held) in enumerate(KFold(5).split(X)):
        model.fit(X.iloc[train], y.iloc[train])
        errors = model.predict(X.iloc[held]) - y.iloc[held].to_numpy()
        scores.append(float(rmse(errors)))

# %% report
#: if there is a trial, report this fold's RMSE to it. If the
#: pruner says that it should stop, raise Optuna's exception
#: for that. Don't ask after the last fold: that saves nothing.
#: hint: This stands inside the loop, after each fold. `trial.report` takes a value and a step. The
#: pruner compares equal steps of two trials, so the step is the fold.
#: hint: `if trial is not None:`, and in it `trial.report(scores[-1], fold)`, then
#: `if fold < 4 and trial.should_prune():` with `raise optuna.TrialPruned()`.
    if trial is not None:
        trial.report(scores[-1], fold)
        if fold < 4 and trial.should_prune():
            raise optuna.TrialPruned()

# %% score-return (given)
return scores

# %% open-study (given)
def open_study(name, fresh=False):
    """The study of this name, with all its trials; `fresh` forgets those."""
    storage = f"sqlite:///{(settings.output / 'search.db').as_posix()}"
    if fresh:
        with suppress(KeyError):  # there may be none
            optuna.delete_study(study_name=name, storage=storage)
    pruner = optuna.pruners.WilcoxonPruner(p_threshold=THRESHOLD)
    study = optuna.create_study(
        storage=storage, study_name=name, direction="minimize", pruner=pruner, load_if_exists=True
    )

# %% seed (given)
seed = 42

# %% seed
#: the sampler starts anew with each process. Choose its seed so that
#: a resumed study doesn't draw its first trials a second time, and so
#: that the same history always gives the same next trial.
#: hint: The seed may depend on something that the study knows, and that grows with each trial.
#: hint: `study.trials` is a list: `seed = 42 + len(study.trials)`
seed = 42 + len(study.trials)

# %% open-study-return (given)
study.sampler = optuna.samplers.TPESampler(seed=seed)
return study

# %% fail-killed (given)
def fail_killed(study):
    """Mark the trials of a process that was killed as failed: nobody else works on this study."""
    for trial in study.get_trials(states=[TrialState.RUNNING]):
        study.tell(trial.number, state=TrialState.FAIL)

# %% budget-left (given)
def budget_left(study, trials, seconds):
    """The trials and the seconds of a budget that this study may still spend."""
    return trials, seconds

# %% budget-left
#: take off what the study has spent already: its finished trials, and
#: the seconds that these took. Which states count as finished? A trial
#: that failed has no result, so it's repeated and doesn't count.
#: hint: FINISHED, above, has two states. `study.get_trials(states=...)` finds the trials in these,
#: and a finished trial knows its `duration`, a timedelta.
#: hint: `finished = study.get_trials(states=FINISHED)`, then
#: `spent = sum(trial.duration.total_seconds() for trial in finished)`. Return
#: `trials - len(finished), seconds - spent`.
def budget_left(study, trials, seconds):
    """The trials and the seconds of a budget that this study may still spend."""
    finished = study.get_trials(states=FINISHED)
    spent = sum(trial.duration.total_seconds() for trial in finished)
    return trials - len(finished), seconds - spent

# %% search-top (given)
"""Search a challenger: a study that may be killed and resumed, and one run for it in MLflow.

python -m wineops.search [--trials 16] [--seconds 60] [--study wine] [--fresh] [--grid]
"""

import argparse
import json
import time
import warnings
from importlib import metadata

import mlflow
import numpy as np
import optuna
import pandas as pd
from mlflow.exceptions import MlflowException
from optuna.trial import TrialState

from wineops import settings
from wineops.compare import TRUSTED, find_runs
from wineops.space import build, grid, suggest
from wineops.study import FINISHED, budget_left, fail_killed, open_study, score_folds
from wineops.wines import read_table, split

ENDED = (*FINISHED, TrialState.FAIL)


def read_options():
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Search a challenger for the champion.")
    parser.add_argument("--trials", type=int, default=16, help="how many the study may have")
    parser.add_argument("--seconds", type=float, default=60, help="how long they may take")
    parser.add_argument("--study", default="wine", help="its name; another one begins anew")
    parser.add_argument("--fresh", action="store_true", help="forget the study's trials")
    parser.add_argument("--grid", action="store_true", help="score a plain grid too")
    options = parser.parse_args()
    if options.trials < 1 or not options.seconds > 0:
        parser.error("--trials and --seconds must be above zero")
    return options


def champion_values(client):
    """The settings of the version in use, as `build` takes them."""
    try:
        version = client.get_model_version_by_alias(settings.registered_name, "champion")
        params = client.get_run(version.run_id).data.params
    except MlflowException as error:
        raise SystemExit(f"No champion to compare with: {error.message}") from None
    if "settings" in version.tags:  # it was searched
        return json.loads(version.tags["settings"])
    values = {"family": "elasticnet"}
    for name in ("alpha", "l1_ratio"):
        if f"elasticnet__{name}" not in params:
            raise SystemExit(f"The run of the champion, {version.version}, has no {name}.")
        values[name] = float(params[f"elasticnet__{name}"])
    return values

# %% log-trials (given)
def open_run(study):
    """The run of a study in MLflow: a new one, or the one that its first process began."""
    known = study.user_attrs.get("run_id")
    try:
        run = mlflow.start_run(
            run_id=known, run_name=f"search {study.study_name}", tags={"study": study.study_name}
        )
    except MlflowException as error:
        raise SystemExit(
            f"The run of study {study.study_name} is gone ({error.message}): begin with --fresh."
        ) from None
    study.set_user_attr("run_id", run.info.run_id)
    return run


def log_trial(client, parent, trial, run_id=None):
    """Log a trial that has ended as a child run, with the times that it really had."""
    started, ended = (
        int(moment.timestamp() * 1000) for moment in (trial.datetime_start, trial.datetime_complete)
    )
    if run_id is None:
        tags = {"mlflow.parentRunId": parent.info.run_id, "trial": trial.number}
        tags["state"] = trial.state.name
        name = f"trial {trial.number}"
        run_id = client.create_run(parent.info.experiment_id, started, tags, name).info.run_id
    mlflow.log_params(trial.params, run_id=run_id)
    metrics = {"folds": len(trial.intermediate_values), "seconds": (ended - started) / 1000}
    if trial.state == TrialState.COMPLETE:  # three folds are no cv_rmse of five
        metrics["cv_rmse"] = trial.value
    mlflow.log_metrics(metrics, run_id=run_id)
    client.set_terminated(run_id, "FAILED" if trial.state == TrialState.FAIL else "FINISHED", ended)


def log_missing(client, parent, study):
    """Log the trials that have no finished child run yet: a kill may come at any moment."""
    below = f"tags.mlflow.parentRunId = '{parent.info.run_id}'"
    children = find_runs(client, below, ["attributes.start_time ASC"], page_size=100)
    known = {int(run.data.tags["trial"]): run.info for run in children}
    for trial in study.get_trials(states=ENDED):
        child = known.get(trial.number)
        if child is None or child.status == "RUNNING":
            log_trial(client, parent, trial, child and child.run_id)


def show_trial(trial):
    """Print one line about a trial."""
    result = f"after {len(trial.intermediate_values)} folds"
    if trial.state == TrialState.COMPLETE:
        result = f"{trial.value:.4f}"
    state = trial.state.name
    print(f"trial {trial.number:>2}  {state:<8}  {trial.params['family']}, {result}", flush=True)

# %% register (given)
def register(client, model, wines, tags):
    """Log and register a model, unless this trial's is registered already; return its number."""
    versions = client.search_model_versions(f"name = '{settings.registered_name}'")
    same = {name: tags[name] for name in ("search_run", "trial")}
    known = [version.version for version in versions if same.items() <= version.tags.items()]
    if known:
        number = known[0]
    else:
        needs = [f"{name}=={metadata.version(name)}" for name in ("scikit-learn", "skops")]
        logged = mlflow.sklearn.log_model(
            model,
            name="challenger",
            input_example=wines.drop(columns="quality").head(5),
            pip_requirements=needs,
            skops_trusted_types=TRUSTED,
        )
        number = mlflow.register_model(logged.model_uri, settings.registered_name).version
    for name, value in tags.items():
        client.set_model_version_tag(settings.registered_name, number, name, value)
    return number

# %% release (given)
def release(client, study, wines, tags):
    """Fit the best trial's model, register it, and make it the challenger."""

# %% release
#: build the model of the best trial, fit it on all wines that you get,
#: and register it with your tags: `register` is given, and returns the
#: version's number. As the last step, let an alias point at the version:
#: "champion" or "challenger"? Nobody has compared the two yet.
#: hint: `study.best_params` has what the best trial chose, and `build(**...)` takes it. Each fold's
#: model has seen four fifths of the wines; who uses the model wants all of them in it.
#: hint: `model = build(**study.best_params)`, then `model.fit(wines.drop(columns="quality"),
#: wines["quality"])`, `number = register(client, model, wines, tags)` and
#: `client.set_registered_model_alias(settings.registered_name, "challenger", number)`.
def release(client, study, wines, tags):
    """Fit the best trial's model on all training wines, register it, make it the challenger."""
    model = build(**study.best_params)
    model.fit(wines.drop(columns="quality"), wines["quality"])
    number = register(client, model, wines, tags)
    client.set_registered_model_alias(settings.registered_name, "challenger", number)

# %% cost (given)
def describe(study, wines):
    """The tags of the winner's version."""
    best, finished = study.best_trial, study.get_trials(states=FINISHED)
    seconds = sum(trial.duration.total_seconds() for trial in finished)
    return {
        "search_run": study.user_attrs["run_id"],
        "trial": str(best.number),
        "family": best.params["family"],
        "settings": json.dumps(best.params),
        "cv_rmse": str(best.value),
        "trials": str(len(finished)),
        "seconds": f"{seconds:.1f}",
    }


def score_all(candidates, wines):
    """Score settings in all five folds, as a grid does: the scores of the best, and the cost."""
    start = time.perf_counter()
    scores = min((score_folds(build(**values), wines) for values in candidates), key=np.mean)
    seconds, models = time.perf_counter() - start, len(candidates)
    return {"models": models, "fits": 5 * models, "seconds": seconds, "scores": scores}


def compare_cost(study, wines, champion, with_grid):
    """What each way has cost, and what it has found: a row each."""
    finished = study.get_trials(states=FINISHED)
    ways = {"champion": score_all([champion], wines)}
    if with_grid:
        ways["grid"] = score_all(grid(), wines)
    ways["search"] = {
        "models": len(finished),
        "fits": sum(len(trial.intermediate_values) for trial in finished),
        "seconds": sum(trial.duration.total_seconds() for trial in finished),
        "scores": score_folds(build(**study.best_params), wines),
    }
    for way in ways.values():
        leads = np.subtract(ways["champion"]["scores"], way["scores"])
        way["cv_rmse"], way["lead"] = np.mean(way["scores"]), np.mean(leads)
        way["folds_won"] = (leads > 0).sum()
    shown = ["models", "fits", "seconds", "cv_rmse", "lead", "folds_won"]
    return pd.DataFrame(ways.values(), index=ways)[shown]

# %% search-main (given)
def main():
    """Search within the budget, and register what was found."""
    options = read_options()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # of the pruner
    client = settings.open_store()
    champion = champion_values(client)
    wines, _ = split(read_table().drop_duplicates())  # a setting isn't chosen on test wines

    # 1. Open the study and its run; tidy up after a process that was killed
    study = open_study(options.study, options.fresh)
    with open_run(study) as parent:
        fail_killed(study)
        log_missing(client, parent, study)
        if not study.get_trials(states=(*FINISHED, TrialState.WAITING)):
            study.enqueue_trial(champion)  # the first trial is what is in use

        # 2. Spend what is left of the budget
        trials, seconds = budget_left(study, options.trials, options.seconds)
        there = len(study.get_trials(states=FINISHED))
        print(f"Study {options.study} has {there} finished trials; {max(trials, 0)} may follow.")

        def objective(trial):
            return np.mean(score_folds(suggest(trial), wines, trial))

        def after_trial(study, trial):
            log_trial(client, parent, trial)
            show_trial(trial)

        if trials > 0 and seconds > 0:
            study.optimize(objective, trials, timeout=seconds, callbacks=[after_trial])
        if not study.get_trials(states=[TrialState.COMPLETE]):
            raise SystemExit("No trial was completed: give it more --seconds or more --trials.")

        # 3. Release the winner, and say what it has cost
        release(client, study, wines, describe(study, wines))
        table = compare_cost(study, wines, champion, options.grid)
        mlflow.log_text(table.to_csv(index_label="way"), "cost.csv")
        mlflow.log_metrics({"cv_rmse": study.best_value, "trials": table["models"]["search"]})
        table["seconds"] = [f"{seconds:.1f} s" for seconds in table["seconds"]]
        print(table.round(4).to_string())


if __name__ == "__main__":
    main()

# %% test-search (given)
"""The search's parts, on studies of their own."""

import optuna

from wineops import settings
from wineops.space import suggest
from wineops.study import budget_left, fail_killed, open_study


def draw(trial):
    """A number as the score, chosen by the sampler."""
    return trial.suggest_float("alpha", 0, 1)


def test_a_trial_has_the_settings_of_its_family_alone():
    study = optuna.create_study()
    study.enqueue_trial({"family": "elasticnet", "alpha": 0.1, "l1_ratio": 0.5})
    trial = study.ask()
    assert suggest(trial).steps[-1][1].alpha == 0.1
    assert set(trial.params) == {"family", "alpha", "l1_ratio"}


def test_a_killed_trial_is_not_counted(monkeypatch, tmp_path):
    monkeypatch.setattr(settings, "output", tmp_path)
    study = open_study("killed")
    study.ask()
    study.optimize(draw, 2)
    again = open_study("killed")
    fail_killed(again)
    assert [trial.state.name for trial in again.trials] == ["FAIL", "COMPLETE", "COMPLETE"]
    assert budget_left(again, 5, 60)[0] == 3


def test_a_resumed_study_draws_other_trials(monkeypatch, tmp_path):
    monkeypatch.setattr(settings, "output", tmp_path)
    for _ in range(2):
        open_study("resumed").optimize(draw, 3)
    assert len({trial.params["alpha"] for trial in open_study("resumed").trials}) == 6


def test_fresh_forgets_one_study_alone(monkeypatch, tmp_path):
    monkeypatch.setattr(settings, "output", tmp_path)
    for name in ("one", "other"):
        open_study(name).optimize(draw, 2)
    assert open_study("one", fresh=True).trials == []
    assert len(open_study("other").trials) == 2

# %% run-search (given)
run("wineops.search", "--fresh", "--trials", "6")

# %% resume-search (given)
run("wineops.search", "--trials", "16", "--grid")
