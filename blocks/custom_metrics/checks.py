"""Two metrics of the student's own are on the run, computed by evaluate."""

import inspect

from winelab.checks.authoring import catches, error, hint, put, remove, right, swap
from winelab.checks.comparing import (
    as_column,
    as_evaluate_passes,
    bootstrap_rmses,
    evaluate_metrics,
    expect_metrics,
    kind,
    listed,
    made_up_wines,
    plural,
    same_value,
    short,
)
from winelab.checks.looking import datasets_of, student_value
from winelab.checks.scratch import call, student_function

CELL = "Metrics of our own"
ADVICE = "Compute with its arguments alone, and return one number."


def _upper(namespace, targets, predictions):
    """The upper end of the RMSE's 95 % interval, and how much a student's may differ."""
    import numpy as np
    import pandas as pd

    # Of the student's own samples, which may be drawn in another way.
    wines = [pd.Series(as_column(values)) for values in (predictions, targets)]
    answer = call(student_function(namespace, "bootstrap_rmse", CELL), *wines)
    drawn = as_column(answer, "what `bootstrap_rmse` returns")
    # The quantile at 0.95 is 0.2 of their spread away, or more.
    return float(np.quantile(drawn, 0.975)), 0.1 * float(drawn.std())


def _ask(namespace, name):
    """What the student's metric says of the made-up wines, asked as evaluate does: by name."""
    function = student_function(namespace, name, CELL)
    names = list(inspect.signature(function).parameters)
    predictions, targets = made_up_wines()
    metrics = as_evaluate_passes(evaluate_metrics(targets, predictions))
    known = {"predictions": predictions, "targets": targets, "metrics": metrics}
    assert names and set(names) <= set(known), (
        f"{name} takes {listed(names) if names else 'no arguments'}. MLflow fills the arguments by "
        "their names: predictions, targets and metrics."
    )
    answer = call(function, on_error=ADVICE, **{given: known[given] for given in names})
    # What MLflow makes of the number, it takes as well.
    answer = getattr(answer, "aggregate_results", None) or {name: answer}
    answer = answer.get(name) if isinstance(answer, dict) else answer
    assert answer is not None, f"{name} computes something and doesn't return it: add `return`."
    assert not hasattr(answer, "__len__"), (
        f"{name} returns {kind(answer)} of {plural(len(answer), 'value')}: take the `mean()`."
    )
    return answer


def _expect(run, logged_model, namespace, name, wrong, value, tolerance=1e-9):
    """Let a check pass only where the metric is on the run, right, and computed by evaluate."""
    if name not in run.data.metrics:
        # Where the function is wrong, the better hint comes from here.
        _ask(namespace, name)
    advice = "Pass your list to `evaluate`, `extra_metrics=extra_metrics`, and run all cells again."
    expect_metrics(run, {name: value}, missing=advice, wrong=wrong, tolerance=tolerance)
    assert datasets_of(logged_model, run, name) - {None}, (
        f"{name} is on the run without a dataset. Take out your own `log_metric`. {advice}"
    )


@catches("the list was never passed to evaluate")
@remove("extras")
@hint("Pass your list")
@catches("the function returns nothing")
@swap("within-half", "return ", "")
@hint("add `return`")
@catches("the mean is missing, so that there is a value for each wine")
@swap("within-half", ".mean()", "")
@hint("a column (Series) of 60 values")
@catches("the sign of the error counts")
@swap("within-half", "abs(predictions - targets)", "(predictions - targets)")
@hint("within half a grade above and below")
@catches("the list was passed under the name that it had in MLflow 2")
@put("extras", "    custom_metrics=extra_metrics,")
@hint("ended as FAILED")
@error("evaluate() got an unexpected keyword argument 'custom_metrics'")
@catches("it was logged by hand")
@remove("extras")
@swap("log-metrics", "s(metrics)", 's({**metrics, "within_half": (e <= 0.5).mean()})')
@swap("log-metrics", "mlflow.log", "e = abs(predictions - y_test)\nmlflow.log")
@hint("without a dataset")
def test_within_half_is_on_the_run(run, logged_model, namespace):
    "within_half is on the run, and is the share of your predictions within half a grade"
    true = as_column(namespace["y_test"], "`y_test`")
    errors = abs(as_column(namespace["predictions"], "`predictions`") - true)
    wrong = "It's a number from 0 to 1: the wines within half a grade above and below, of all."
    _expect(run, logged_model, namespace, "within_half", wrong, (errors <= 0.5).mean())


@catches("the quantile is that of a 90 % interval")
@swap("rmse-upper", "0.975", "0.95")
@hint("Take the quantile 0.975")
def test_rmse_upper_is_on_the_run(run, logged_model, namespace):
    "rmse_upper is on the run, and is the upper end of the RMSE's 95 % interval"
    wrong = "Take the quantile 0.975 of what `bootstrap_rmse` returns, and run all cells again."
    upper = _upper(namespace, namespace["y_test"], namespace["predictions"])
    _expect(run, logged_model, namespace, "rmse_upper", wrong, *upper)


@catches("the samples are too small")
@swap("bootstrap", "(1000, len(squared))", "(1000, 20)")
@hint("draw `len(squared)` wines")
@catches("the root is missing")
@swap("bootstrap", "np.sqrt(", "(")
@hint("the root of each mean")
@catches("the mean is over all samples at once")
@swap("bootstrap", "axis=1", "")
@hint("what bootstrap_rmse returns is a number")
@catches("every run draws other samples")
@swap("bootstrap", "default_rng(42)", "default_rng()")
@hint("the same samples every time")
def test_the_bootstrap_is_right(namespace):
    "bootstrap_rmse returns the RMSEs of 1000 samples, for any wines"
    import numpy as np

    function = student_function(namespace, "bootstrap_rmse", CELL)
    predictions, targets = made_up_wines()
    advice = "Draw squared errors with its two arguments, and return 1000 RMSEs."
    answers = [call(function, predictions, targets, on_error=advice) for _ in range(2)]
    found, again = (as_column(one, "what bootstrap_rmse returns") for one in answers)
    assert len(found) == 1000, f"it returns {plural(len(found), 'RMSE')} instead of 1000. {advice}"
    expected = bootstrap_rmses(targets, predictions)
    middle, spread = float(np.median(expected)), expected.std()
    assert abs(np.median(found) - middle) < spread / 4, (
        f"for other wines the RMSEs lie around {short(float(np.median(found)), middle)}, not "
        f"{short(middle)}: take the root of each mean. {advice}"
    )
    assert 0.9 < found.std() / spread < 1.1, (
        "the RMSEs are too far apart, or too close: draw `len(squared)` wines, with replacement."
    )
    assert np.array_equal(found, again), (
        "draw the same samples every time, by `np.random.default_rng(42)` inside the function."
    )


@catches("the arguments have names of their own")
@put("within-half", "def within_half(predicted, actual, metrics):\n    return 0.5")
@hint("MLflow fills the arguments by their names")
@error("missing columns ['predicted', 'actual'] need to be defined or mapped")
@catches("exactly half a grade doesn't count")
@swap("within-half", "<= 0.5", "< 0.5")
@hint("at most half a grade")
@catches("the metric looks at variables outside it")
@swap("rmse-upper", "(predictions, targets), 0", "(model.predict(X_test), y_test), 0")
@hint("Compute with its arguments alone")
def test_they_work_for_any_wines(namespace):
    "both metrics work for any wines, not only for these"
    predictions, targets = made_up_wines()
    share = float((abs(predictions - targets) <= 0.5).mean())
    upper = _upper(namespace, targets, predictions)
    for name, value, tolerance, words in (
        ("within_half", share, 1e-9, "the share whose error is at most half a grade"),
        ("rmse_upper", *upper, "the quantile 0.975 of the bootstrap"),
    ):
        found = _ask(namespace, name)
        assert same_value(found, value, tolerance), (
            f"for other wines {name} is {short(found, value)} instead of {short(value, found)}: "
            f"compute {words}. {ADVICE}"
        )


@catches("the bare functions are in the list")
@put("extra-metrics", "extra_metrics = [within_half, rmse_upper]")
@hint("add `make_metric(eval_fn=within_half")
@error("the following metrics have the wrong type")
@catches("greater is better for the RMSE too")
@swap("extra-metrics", "=False", "=True")
@hint("smaller is better for rmse_upper")
def test_the_list_says_what_is_better(namespace):
    "`extra_metrics` holds both metrics, and says of each whether greater is better"
    from mlflow.models import EvaluationMetric

    made = student_value(namespace, "extra_metrics", "Put both into a list.", (list, tuple))
    better = {one.name: one.greater_is_better for one in made if isinstance(one, EvaluationMetric)}
    for name, greater, word in (("within_half", True, "greater"), ("rmse_upper", False, "smaller")):
        assert name in better, (
            f"no {name} in `extra_metrics`: add `make_metric(eval_fn={name}, ...)`."
        )
        assert better[name] is greater, (
            f"{word} is better for {name}: `greater_is_better={greater}`."
        )


RIGHT_WAYS = (
    right(
        "the bootstrap draws rows, in a loop",
        put(
            "bootstrap",
            "def bootstrap_rmse(p, t):\n    rng, errors = np.random.default_rng(42), p - t\n"
            "    rows = [rng.integers(0, len(errors), len(errors)) for _ in range(1000)]\n"
            "    return [(errors.iloc[drawn] ** 2).mean() ** 0.5 for drawn in rows]",
        ),
    ),
    right(
        "the metrics take two arguments, and numpy does the rest",
        swap("within-half", ", metrics):", "):"),
        swap("within-half", "(abs(", "np.mean(abs("),
        swap("within-half", ".mean()", ""),
        swap("rmse-upper", "np.quantile", "np.percentile"),
        swap("rmse-upper", "0.975", "97.5"),
    ),
    right(
        "the count is MLflow's, the name is given, and the list is made where it is passed",
        swap("within-half", ".mean()", '.sum() / n.aggregate_results["example_count"]'),
        swap("within-half", "    return", '    n = metrics["example_count"]\n    return'),
        swap("extra-metrics", "=within_half, ", '=within_half, name="within_half", '),
        swap("extras", "extra_metrics=extra_metrics", "extra_metrics=[*extra_metrics]"),
    ),
)
