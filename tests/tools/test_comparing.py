"""Comparisons that the checks of many blocks share, and how they are worded."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from scipy.stats import bootstrap
from sklearn.linear_model import LinearRegression
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error
from sklearn.model_selection import cross_val_score

from winelab.checks.comparing import (
    as_column,
    bootstrap_rmses,
    close,
    evaluate_metrics,
    expect_metrics,
    expect_params,
    expect_tags,
    fold_rmses,
    kind,
    listed,
    made_up_wines,
    plural,
    regression_metrics,
    same_column,
    same_path,
    same_table,
    same_value,
    short,
)
from winelab.checks.looking import datasets_of, newest_try, run_named, student_value
from winelab.checks.scratch import scratch_store
from winelab.tracking.run_tags import TRY_TAG

RMSE = 0.7467266525068422


def a_run(name: str = "", **data: dict[str, Any]) -> Any:
    """What a comparison looks at of a run."""
    empty: dict[str, Any] = {"metrics": {}, "params": {}, "tags": {}}
    return SimpleNamespace(
        info=SimpleNamespace(run_name=name), data=SimpleNamespace(**empty | data)
    )


def refusal(check: Callable[[], object]) -> str:
    """The hint of a check that does not pass."""
    with pytest.raises(AssertionError) as caught:
        check()
    return str(caught.value)


# --- words -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "nothing (None)"),
        ("5", "a text"),
        (True, "a truth value"),
        (5, "a number"),
        (np.float32(5), "a number"),
        ([1], "a list"),
        ({}, "a dictionary"),
        (len, "a function"),
        (lambda: 1, "a function"),
        (np.zeros(3), "an array"),
        (pd.Series([1.0]), "a column (Series)"),
        (pd.DataFrame(), "a table (DataFrame)"),
        (pytest, "a module"),
        (Path, "the class Path"),
        (SimpleNamespace(), "a SimpleNamespace"),
        (OSError(), "an OSError"),
    ],
)
def test_a_kind_is_said_in_plain_words(value: Any, words: str) -> None:
    assert kind(value) == words


@pytest.mark.parametrize(
    ("value", "other", "shown"),
    [
        (RMSE, 0.9, "0.747"),
        (RMSE, 0.747, "0.7467"),
        (0.747, RMSE, "0.747"),
        (0.75, RMSE, "0.75"),
        (1599, 1600, "1599"),
        (400.0, 399.5, "400"),
        (0.000123456, 1.0, "0.000123"),
        (0.0, RMSE, "0"),
        (-0.125, 0.5, "-0.125"),
        (1 + 1e-12, 1.0, "1.000000000001"),
        (float("nan"), 1.0, "nan"),
        (np.float64(RMSE), None, "0.747"),
        ("0.1", 0.5, "0.1"),
        ("0.1", "red", '"0.1"'),
        ("red", 0.5, '"red"'),
        (True, 0.5, "True"),
    ],
)
def test_a_value_is_shown_with_as_many_digits_as_tell_it_from_the_other(
    value: Any, other: Any, shown: str
) -> None:
    assert short(value, other) == shown


def test_counts_and_lists_read_as_english() -> None:
    assert plural(1, "finished run") == "1 finished run"
    assert plural(0, "version") == "0 versions" and plural(2, "copy", "copies") == "2 copies"
    assert [listed(words) for words in ("a", "ab", "abc")] == ["a", "a and b", "a, b and c"]


# --- values ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (0.5, "0.5", True),
        ("0.50", 0.5, True),
        (np.float64(0.5), 0.5, True),
        (np.array([0.5]), 0.5, True),
        ("True", True, True),
        (1, True, False),
        ("None", None, True),
        ("red", "red", True),
        ("red", 0.5, False),
        (None, 0.5, False),
        (0.5, 0.5001, False),
        (float("nan"), 0.5, False),
        ([1, 2], 1, False),
    ],
)
def test_values_agree_whatever_holds_them(one: Any, other: Any, same: bool) -> None:
    assert same_value(one, other) == same


def test_close_is_absolute_near_zero_and_relative_far_from_it() -> None:
    assert close(0.0, 9e-10) and not close(0.0, 2e-9)
    assert close(1e6, 1e6 + 9e-4) and not close(1e6, 1e6 + 2e-3)


def test_a_column_is_one_whatever_holds_it() -> None:
    column = pd.Series([1.0, 2.0], [7, 3])
    for same in (column, column.to_frame(), column.to_numpy(), [[1], [2]], (1, 2)):
        assert same_column(same, [1, 2])
    assert not same_column(column, [2, 1]) and not same_column(column, [1, 2, 3])
    for wrong in (None, "a text", 7.5, len, [1, "a"], np.zeros((2, 2))):
        assert not same_column(wrong, [1, 2])
        assert "not one column of numbers" in refusal(partial(as_column, wrong))
    assert refusal(lambda: as_column(None, "`y`")).startswith("`y` is nothing (None)")
    assert "with 2 columns" in refusal(lambda: as_column(np.zeros((2, 2))))


def test_a_table_is_one_whatever_holds_it() -> None:
    table = pd.DataFrame({"a": [1, 2], "b": [3.0, 4.0]})
    assert same_table(table, table.to_numpy()) and same_table(table, table.copy())
    assert not same_table(table, table.rename(columns={"a": "c"}))
    assert not same_table(table, table[["b", "a"]]) and not same_table(table, None)


def test_a_path_is_one_by_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "output" / "tables"
    folder.mkdir(parents=True)
    (tmp_path / "labs").mkdir()
    monkeypatch.chdir(tmp_path / "labs")
    for name in ("../output/tables", Path("..", "output", "tables"), folder.as_uri(), str(folder)):
        assert same_path(name, folder)
    assert not same_path("tables", folder)
    assert not any(same_path(wrong, folder) for wrong in (None, 7, [folder]))


def test_the_metrics_are_scikit_learns_too() -> None:
    numbers = np.random.default_rng(7)
    actual, predicted = numbers.normal(5, 1, 400), numbers.normal(5, 1, (400, 1))
    assert regression_metrics(actual, predicted) == pytest.approx(
        {
            "rmse": root_mean_squared_error(actual, predicted),
            "mae": mean_absolute_error(actual, predicted),
            "r2": r2_score(actual, predicted),
        },
        abs=1e-12,
    )
    few = refusal(lambda: regression_metrics([1.0], [1.0, 2.0]))
    assert few.startswith("there are 2 predictions for 1 true value:")


def test_the_folds_are_scikit_learns_too() -> None:
    numbers = np.random.default_rng(7)
    X, model = pd.DataFrame(numbers.normal(size=(43, 2)), columns=["a", "b"]), LinearRegression()
    y = X["a"] + numbers.normal(size=43)
    for folds in (3, 5):
        expected = -cross_val_score(model, X, y, cv=folds, scoring="neg_root_mean_squared_error")
        assert fold_rmses(model, X, y.to_frame(), folds) == pytest.approx(expected, abs=1e-12)
    assert not hasattr(model, "coef_")


def test_the_metrics_of_evaluate_are_mlflows_too() -> None:
    numbers = np.random.default_rng(7)
    wines = pd.DataFrame({"true": numbers.uniform(3, 8, 40), "said": numbers.normal(5, 1, 40)})
    with scratch_store():
        mlflow.set_experiment("metrics")
        result = mlflow.models.evaluate(
            data=wines,
            predictions="said",
            targets="true",
            model_type="regressor",
            evaluator_config={"log_model_explainability": False},
        )
    assert evaluate_metrics(wines["true"], wines["said"]) == pytest.approx(result.metrics)


def test_the_bootstrap_is_scipys_too() -> None:
    numbers = np.random.default_rng(7)
    actual = numbers.normal(5, 1, 400)
    predicted = actual + numbers.normal(0, 0.6, 400)
    found = bootstrap_rmses(actual, predicted)
    theirs = bootstrap(
        (actual, predicted), root_mean_squared_error, paired=True, method="percentile", rng=1
    )
    assert found.shape == (1000,)
    assert np.array_equal(found, bootstrap_rmses(actual, predicted)), "not the same each time"
    # Two drawings of 1000 and 9999 samples: their quantiles differ by chance, by a tenth of this.
    assert np.quantile(found, 0.975) == pytest.approx(
        theirs.confidence_interval.high, abs=0.3 * theirs.standard_error
    )


def test_a_third_of_the_made_up_wines_is_off_by_exactly_half_a_grade() -> None:
    predictions, targets = made_up_wines()
    off = (predictions - targets).abs()
    assert (off == 0.5).sum() == 20 and len(off) == 60
    assert predictions.index.equals(targets.index) and not predictions.index.is_monotonic_increasing


# --- what is on a run ---------------------------------------------------------------------------


def test_metrics_that_are_there_and_right_pass() -> None:
    run = a_run(metrics={"rmse": RMSE + 1e-12, "mae": 0.5, "more": 1.0})
    expect_metrics(run, {"rmse": RMSE, "mae": np.float64(0.5)})


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        ({}, "rmse and mae are not on the run as metrics. Log them."),
        ({"metrics": {"mae": 0.5}}, "rmse is not on the run as a metric. Log them."),
        (
            {"metrics": {"RMSE ": RMSE, "mae": 0.5}},
            'rmse is not on the run as a metric ("RMSE " is: mind the spelling). Log them.',
        ),
        (
            {"metrics": {"mae": 0.5}, "params": {"rmse": "0.7"}},
            "rmse is not on the run as a metric (it is there as a param). Log them.",
        ),
        (
            {"metrics": {"rmse": 0.75, "mae": 0.5}},
            "rmse is 0.75 (rounded?), your predictions give 0.747. Use y_test.",
        ),
        (
            {"metrics": {"rmse": RMSE, "mae": 0.7}},
            "mae is 0.7, your predictions give 0.5. Use y_test.",
        ),
    ],
)
def test_a_metric_that_is_missing_or_wrong_is_shown_beside_the_right_one(
    data: dict[str, Any], hint: str
) -> None:
    expected = {"rmse": RMSE, "mae": 0.5}
    run = a_run(**data)
    found = refusal(lambda: expect_metrics(run, expected, missing="Log them.", wrong="Use y_test."))
    assert found == hint


def test_params_are_texts_and_tags_are_on_other_things_too() -> None:
    run = a_run(params={"alpha": "0.5", "fit": "True"})
    expect_params(run, {"alpha": 0.5, "fit": True})
    assert (
        refusal(lambda: expect_params(run, {"alpha": 0.1})) == "alpha is 0.5, your model has 0.1."
    )
    version = SimpleNamespace(tags={"family": "linear"})
    expect_tags(version, {"family": "linear"})
    assert refusal(lambda: expect_tags(version, {"family": "tree"})) == (
        'family is "linear", the task says "tree".'
    )
    assert refusal(lambda: expect_tags(version, {"data": "x"})) == "data is not on it as a tag."


# --- what is in the store ----------------------------------------------------------------------


def test_the_newest_try_is_that_of_the_first_run_whatever_became_of_it() -> None:
    runs = [a_run(tags={TRY_TAG: tried}) for tried in ("b/7", "b/7", "b/3")]
    assert newest_try(runs) == runs[:2]
    assert newest_try([]) == []


def test_a_run_is_found_by_its_name_the_newest_first() -> None:
    runs = [a_run("baseline"), a_run("elasticnet"), a_run("baseline")]
    assert run_named("baseline", runs) is runs[0]
    assert (
        refusal(lambda: run_named("tree", runs, "Make it.")) == 'there is no run "tree". Make it.'
    )


def test_a_students_variable_is_there_and_of_the_right_type() -> None:
    namespace = {"numbers": [1], "nothing": None}
    assert student_value(namespace, "numbers", "Make it.", list) == [1]
    assert student_value(namespace, "numbers", "Make it.") == [1]
    refused = partial(student_value, namespace, advice="Make it.", expect=(dict, tuple))
    assert refusal(partial(refused, "numbers")) == "`numbers` is a list. Make it."
    assert refusal(partial(refused, "nothing")) == "there is no `nothing` yet. Make it."
    assert refusal(partial(refused, "other")) == "there is no `other` yet. Make it."


def test_a_metric_knows_the_datasets_of_this_run_alone() -> None:
    def metric(key: str, dataset: str | None, run_id: str = "mine") -> Any:
        return SimpleNamespace(key=key, dataset_name=dataset, run_id=run_id)

    metrics = [metric("rmse", None), metric("r2", "test"), metric("rmse", "old", "another")]
    model: Any = SimpleNamespace(metrics=metrics)
    run: Any = SimpleNamespace(info=SimpleNamespace(run_id="mine"))
    assert datasets_of(model, run, "rmse") == {None}
    assert datasets_of(model, run, "r2") == {"test"}
    assert datasets_of(model, run, "mae") == set()
