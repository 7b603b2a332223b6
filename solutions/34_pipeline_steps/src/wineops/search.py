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


def release(client, study, wines, tags):
    """Fit the best trial's model on all training wines, register it, make it the challenger."""
    model = build(**study.best_params)
    model.fit(wines.drop(columns="quality"), wines["quality"])
    number = register(client, model, wines, tags)
    client.set_registered_model_alias(settings.registered_name, "challenger", number)


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
