"""The study: trials that are kept in a file, stopped early, and counted after a restart."""

from contextlib import suppress

import optuna
from optuna.trial import TrialState
from sklearn.model_selection import KFold

from wineops import settings
from wineops.compare import rmse

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)

THRESHOLD = 0.2  # the p-value below which a trial is stopped: three worse folds, 1/8, are enough


def score_folds(model, wines, trial=None):
    """The RMSE of a model in each of five folds; a trial may be stopped before the last."""
    X, y = wines.drop(columns="quality"), wines["quality"]
    scores = []
    for fold, (train, held) in enumerate(KFold(5).split(X)):
        model.fit(X.iloc[train], y.iloc[train])
        errors = model.predict(X.iloc[held]) - y.iloc[held].to_numpy()
        scores.append(float(rmse(errors)))
        if trial is not None:
            trial.report(scores[-1], fold)
            if fold < 4 and trial.should_prune():
                raise optuna.TrialPruned()

    return scores


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
    seed = 42 + len(study.trials)
    study.sampler = optuna.samplers.TPESampler(seed=seed)
    return study


def fail_killed(study):
    """Mark the trials of a process that was killed as failed: nobody else works on this study."""
    for trial in study.get_trials(states=[TrialState.RUNNING]):
        study.tell(trial.number, state=TrialState.FAIL)


def budget_left(study, trials, seconds):
    """The trials and the seconds of a budget that this study may still spend."""
    finished = study.get_trials(states=FINISHED)
    spent = sum(trial.duration.total_seconds() for trial in finished)
    return trials - len(finished), seconds - spent
