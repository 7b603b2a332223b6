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
