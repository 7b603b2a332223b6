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
    plural,
    same_value,
    short,
)
from winelab.checks.looking import datasets_of
from winelab.checks.scratch import call, student_function

CELL = "Metrics of our own"
BETTER = {"within_half": True, "rmse_upper": False}
ADVICE = "Compute with its arguments alone, and return one number."


def _wines():
    """Predictions and true qualities of 60 made-up wines, as columns of a shuffled table.

    A third of them is off by exactly half a grade, so that < and <= differ.
    """
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(7)
    rows, targets = rng.permutation(60), rng.integers(3, 9, 60).astype(float)
    errors = np.where(np.arange(60) % 3, rng.normal(0.3, 0.9, 60), -0.5)
    return pd.Series(targets + errors, rows), pd.Series(targets, rows)


def _upper(namespace, targets, predictions):
    """The upper end of the RMSE's 95 % interval, and how much a student's may differ.

    Of the student's own samples, where there are some: they may be drawn in another way. The
    quantile at 0.95 is 0.2 of their spread away, or more.
    """
    import numpy as np
    import pandas as pd

    wines = [pd.Series(as_column(values)) for values in (predictions, targets)]
    try:
        drawn = as_column(call(student_function(namespace, "bootstrap_rmse", CELL), *wines))
    except AssertionError:
        drawn = np.empty(0)
    if len(drawn) < 2:
        drawn = bootstrap_rmses(targets, predictions)
    return float(np.quantile(drawn, 0.975)), 0.1 * float(drawn.std())


def _ask(namespace, name):
    """What the student's metric says of the made-up wines, asked as evaluate does: by name."""
    function = student_function(namespace, name, CELL)
    try:
        names = list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        names = []
    predictions, targets = _wines()
    metrics = as_evaluate_passes(evaluate_metrics(targets, predictions))
    known = {"predictions": predictions, "targets": targets, "metrics": metrics}
    assert names and set(names) <= set(known), (
        f"{name} takes {listed(names) if names else 'no arguments'}. MLflow fills the arguments by "
        "their names: call them predictions, targets and metrics."
    )
    answer = call(function, on_error=ADVICE, **{given: known[given] for given in names})
    # What MLflow makes of the number, it takes as well.
    answer = getattr(answer, "aggregate_results", None) or {name: answer}
    answer = answer.get(name) if isinstance(answer, dict) else answer
    assert answer is not None, f"{name} computes something and doesn't return it: add `return`."
    assert not hasattr(answer, "__len__"), (
        f"{name} returns {kind(answer)} of {plural(len(answer), 'value')}, and a metric is one "
        "number. Take the `mean()`."
    )
    return answer


def _expect(run, logged_model, namespace, expected, wrong, tolerance=1e-9):
    """Let a check pass only where the metric is on the run, right, and computed by evaluate."""
    (name,) = expected
    if name not in run.data.metrics:
        # Where the function is wrong, the better hint comes from here.
        _ask(namespace, name)
    advice = "`extra_metrics=extra_metrics`, and run all cells again."
    missing = f"Pass your list to `evaluate`, {advice}"
    expect_metrics(run, expected, missing=missing, wrong=wrong, tolerance=tolerance)
    assert datasets_of(logged_model, run, name) - {None}, (
        f"{name} is on the run without a dataset. Take out your own `log_metric`, and let "
        f"`evaluate` compute it: {advice}"
    )


@catches("the list was never passed to evaluate")
@remove("extras")
@hint("Pass your list")
@catches("the function returns nothing")
@swap("within-half", "return ", "")
@hint("add `return`")
@catches("the mean is missing, so that there is a value for each wine")
@swap("within-half", ".mean()", "")
@hint("a column (Series) of 60 values, and a metric is one number")
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
    expected = {"within_half": float((errors <= 0.5).mean())}
    _expect(run, logged_model, namespace, expected, wrong)


@catches("the quantile is that of a 90 % interval")
@swap("rmse-upper", "0.975", "0.95")
@hint("Take the quantile 0.975")
@catches("the function was left out of the list")
@swap("extra-metrics", "    make_metric(eval_fn=rmse_upper, greater_is_better=False),", "")
@hint("rmse_upper is not on the run")
def test_rmse_upper_is_on_the_run(run, logged_model, namespace):
    "rmse_upper is on the run, and is the upper end of the RMSE's 95 % interval"
    upper, tolerance = _upper(namespace, namespace["y_test"], namespace["predictions"])
    wrong = "Take the quantile 0.975 of what `bootstrap_rmse` returns, and run all cells again."
    _expect(run, logged_model, namespace, {"rmse_upper": upper}, wrong, tolerance)


@catches("the samples are too small")
@swap("bootstrap", "(1000, len(squared))", "(1000, 20)")
@hint("each sample must be as large as the test set")
@catches("the root is missing")
@swap("bootstrap", "np.sqrt(", "(")
@hint("the root of each mean")
@catches("the mean is over all samples at once")
@swap("bootstrap", "axis=1", "")
@hint("gives back a number")
@catches("every run draws other samples")
@swap("bootstrap", "default_rng(42)", "default_rng()")
@hint("the same samples every time")
def test_the_bootstrap_is_right(namespace):
    "bootstrap_rmse returns the RMSEs of 1000 samples, for any wines"
    import numpy as np

    function = student_function(namespace, "bootstrap_rmse", CELL)
    predictions, targets = _wines()
    advice = "Draw squared errors with its two arguments, and return 1000 RMSEs."
    answers = [call(function, predictions, targets, on_error=advice) for _ in range(2)]
    assert np.ndim(answers[0]) == 1, f"bootstrap_rmse gives back {kind(answers[0])}. {advice}"
    found, again = (as_column(answer, "what it returns") for answer in answers)
    assert len(found) == 1000, f"it returns {plural(len(found), 'RMSE')} instead of 1000. {advice}"
    expected = bootstrap_rmses(targets, predictions)
    middle, spread = float(np.median(expected)), expected.std()
    assert abs(np.median(found) - middle) < spread / 4, (
        f"for other wines the RMSEs lie around {short(float(np.median(found)), middle)}, and not "
        f"{short(middle)}: take the root of each mean, and compute with its two arguments."
    )
    assert 0.9 < found.std() / spread < 1.1, (
        "the RMSEs are too far apart, or too close: draw with replacement, and each sample must be "
        "as large as the test set, `len(squared)`."
    )
    assert np.array_equal(found, again), (
        "it must draw the same samples every time: make the generator inside the function, with "
        "`np.random.default_rng(42)`."
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
    predictions, targets = _wines()
    share = float((abs(predictions - targets) <= 0.5).mean())
    for name, (value, tolerance), words in (
        ("within_half", (share, 1e-9), "the share whose error is at most half a grade"),
        (
            "rmse_upper",
            _upper(namespace, targets, predictions),
            "the quantile 0.975 of the bootstrap",
        ),
    ):
        found = _ask(namespace, name)
        assert same_value(found, value, tolerance), (
            f"{name} is {short(found, value)} for other wines, and should be "
            f"{short(value, found)}: {words}. {ADVICE}"
        )


@catches("the bare functions are in the list")
@put("extra-metrics", "extra_metrics = [within_half, rmse_upper]")
@hint("Wrap each function in `make_metric`")
@error("the following metrics have the wrong type")
@catches("greater is better for the RMSE too")
@swap("extra-metrics", "=False", "=True")
@hint("of rmse_upper, smaller is better")
def test_the_list_says_what_is_better(namespace):
    "`extra_metrics` holds both metrics, and says of each whether greater is better"
    from mlflow.models import EvaluationMetric

    made = namespace["extra_metrics"]
    assert isinstance(made, list | tuple), (
        f"`extra_metrics` is {kind(made)}. Put both metrics into a list, between square brackets."
    )
    metrics = {metric.name: metric for metric in made if isinstance(metric, EvaluationMetric)}
    for name, greater in BETTER.items():
        assert name in metrics, (
            f"`extra_metrics` has no metric {name}. Wrap each function in `make_metric`: "
            f"`make_metric(eval_fn={name}, greater_is_better=...)`."
        )
        assert metrics[name].greater_is_better is greater, (
            f"of {name}, {'greater' if greater else 'smaller'} is better: write "
            f"`greater_is_better={greater}`."
        )


RIGHT_WAYS = (
    right(
        "the bootstrap draws rows, in a loop",
        put(
            "bootstrap",
            "def bootstrap_rmse(predictions, targets):\n"
            "    rng, wines = np.random.default_rng(42), len(targets)\n"
            "    rows = [rng.integers(0, wines, wines) for _ in range(1000)]\n"
            "    errors = predictions - targets\n"
            "    return [(errors.iloc[drawn] ** 2).mean() ** 0.5 for drawn in rows]",
        ),
    ),
    right(
        "the metrics take two arguments, and numpy does the rest",
        put(
            "within-half",
            "def within_half(predictions, targets):\n"
            "    errors = np.asarray(predictions) - np.asarray(targets)\n"
            "    return float(np.mean((errors >= -0.5) & (errors <= 0.5)))",
        ),
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
