"""Two metrics of the student's own are on the run, computed by evaluate."""

import inspect
import re

from winelab.checks.authoring import after, catches, given, put, remove, swap
from winelab.checks.comparing import close

SQUARED, HALF = "squared_diff_plus_one", "sum_on_target_divided_by_two"
# Three other wines: errors of 0, -2 and 1.5, so 1 + 1 + 6.25; the targets' sum is 16.
PREDICTIONS, TARGETS = [5.0, 3.0, 7.5], [5.0, 5.0, 6.0]
ANSWERS = {SQUARED: 8.25, HALF: 8.0}
ERRORS = (
    "mean_absolute_error",
    "mean_squared_error",
    "root_mean_squared_error",
    "r2_score",
    "max_error",
    "mean_absolute_percentage_error",
)


def _function(namespace, name):
    """The student's function `name`."""
    found = namespace.get(name)
    assert inspect.isfunction(found), (
        f'there is no function {name} yet: write it in the cell "Metrics of our own", with def.'
    )
    return found


def _by_name(first, second):
    """Whether MLflow fills two arguments by their names, as it always does with three."""
    return first == "predictions" or second == "targets"


def _built_in(targets):
    """MLflow's own metrics as a metric function gets them; here only those of the targets count."""
    from mlflow.metrics import MetricValue

    total = float(sum(targets))
    known = {"example_count": len(targets), "mean_on_target": total / len(targets)}
    known = {**dict.fromkeys(ERRORS, 0.0), **known, "sum_on_target": total}
    return {name: MetricValue(aggregate_results={name: value}) for name, value in known.items()}


def _answer(namespace, name, predictions, targets):
    """What the student's function says of some figures, asked as evaluate does: by name."""
    import pandas as pd

    function = _function(namespace, name)
    values = {
        "predictions": pd.Series(predictions),
        "targets": pd.Series(targets),
        "metrics": _built_in(targets),
    }
    names = inspect.signature(function).parameters
    assert set(names) <= set(values), (
        f"{name} takes {', '.join(names)}: evaluate fills the arguments by their names, so call "
        "them predictions, targets and metrics."
    )
    assert len(names) != 2 or _by_name(*names), (
        f"{name} takes two arguments, {' and '.join(names)}, and MLflow fills these by their "
        "places, as MLflow 2 did: take all three, predictions, targets and metrics."
    )
    try:
        answer = function(**{argument: values[argument] for argument in names})
    except KeyError as error:
        raise AssertionError(
            f"{name} asks for {error}, and MLflow has no metric of that name: the nine names stand "
            "in what your last cell prints."
        ) from None
    except Exception as error:
        kind = type(error).__name__
        assert not re.search("MetricValue|'dict'|'NoneType'", str(error)), (
            f'{name} ends in "{error}": one of `metrics` is a MetricValue, and its figure stands '
            'in .aggregate_results["sum_on_target"].'
        )
        raise AssertionError(
            f'{name} ends in "{kind}: {error}": mend that line. Its arguments are predictions, '
            "targets and metrics, and a square is `** 2`."
        ) from None
    # MLflow takes both: a number, or what it would make of it.
    answer = getattr(answer, "aggregate_results", {}).get(name, answer)
    assert answer is not None, f"{name} computes something, and forgets it: say `return`."
    assert not hasattr(answer, "__len__"), (
        f"{name} returns a figure for each wine: a metric is one figure, so add them up with "
        ".sum()."
    )
    return float(answer)


def _on_the_run(run, namespace, name):
    """The metric `name` of the run; where it is missing, the hint says which step is."""
    from mlflow.models import EvaluationMetric

    if name not in run.data.metrics:
        function = _function(namespace, name)
        made = namespace.get("extra_metrics")
        made = made if isinstance(made, (list, tuple)) else []
        metrics = [metric for metric in made if isinstance(metric, EvaluationMetric)]
        called = [metric.name for metric in metrics if metric.eval_fn is function]
        assert not called or name in called, (
            f'the metric of {name} was given another name, "{called and called[0]}": leave name= '
            "out, and make_metric takes the function's."
        )
        assert name in [metric.name for metric in metrics], (
            f"{name} is a function, and no metric yet: in the list `extra_metrics`, wrap it in "
            "make_metric(eval_fn=..., greater_is_better=...)."
        )
        # With figures of our own: where the function is wrong, the better hint comes from here.
        _answer(namespace, name, [3.0], [3.0])
        raise AssertionError(
            "your metrics were made, and never passed: give mlflow.models.evaluate one more "
            "argument, extra_metrics=extra_metrics, and run all cells again."
        )
    kept = getattr(namespace.get("evaluation"), "metrics", {})
    assert name in kept, (
        f"{name} is on the run, and `evaluation` does not know it: let evaluate compute and log "
        "it, with extra_metrics=extra_metrics, and no log_metric of your own."
    )
    return run.data.metrics[name]


def _again(namespace, name):
    """What to add to a hint where the function is right by now, and the run is older."""
    try:
        right = close(_answer(namespace, name, PREDICTIONS, TARGETS), ANSWERS[name])
    except AssertionError:
        right = False
    return " (If you have just mended the function: run all cells again.)" if right else ""


def _figures(namespace):
    """Predictions and true values of the test wines, as numpy has them."""
    import numpy as np

    return [np.ravel(np.asarray(namespace[n], dtype=float)) for n in ("predictions", "y_test")]


PASSED = "    extra_metrics=extra_metrics,"
WRAPPED = "make_metric(eval_fn=squared_diff_plus_one, greater_is_better=False)"


@catches(
    "they were passed under the name of older courses",
    put("extras", "    custom_metrics=extra_metrics,"),
    hint="ended as FAILED",
    error="evaluate() got an unexpected keyword argument 'custom_metrics'",
)
@given
def test_a_run_finished_with_its_evaluation(run):
    "a run finished, with evaluate's own metrics"
    assert "sum_on_target" in run.data.metrics, (
        "evaluate's own metrics are not on the run: keep mlflow.models.evaluate inside the `with`, "
        'with model_type="regressor".'
    )


@catches(
    "the metrics were made, and never passed to evaluate", remove("extras"), hint="never passed"
)
@catches("the function returns nothing", swap("squared-metric", "return ", ""), hint="say `return`")
@catches(
    "the sum was forgotten, so that there is a figure for each wine",
    swap("squared-metric", ".sum()", ""),
    hint="a metric is one figure",
)
@catches(
    "predictions and targets changed places",
    swap("squared-metric", "predictions - targets", "targets - predictions"),
    hint="punishes the wrong side",
)
@catches(
    "it was added up before it was squared",
    swap(
        "squared-metric",
        "((predictions - targets + 1) ** 2).sum()",
        "(predictions - targets + 1).sum() ** 2",
    ),
    hint="square first, wine by wine",
)
@catches(
    "the plus one was forgotten",
    swap("squared-metric", " + 1", ""),
    hint="of each wine (prediction - target + 1), squared",
)
@catches(
    "the figures were logged by hand, and the metrics never passed",
    remove("extras"),
    put(
        "log-metrics",
        "metrics = eval_metrics(y_test, predictions)\n"
        "mlflow.log_metrics(metrics)\n"
        'mlflow.log_metric("squared_diff_plus_one", '
        "((predictions - y_test + 1) ** 2).sum())\n"
        'mlflow.log_metric("sum_on_target_divided_by_two", y_test.sum() / 2)',
    ),
    hint="no log_metric of your own",
)
@catches(
    "the metric got a name of its own",
    swap("extra-metrics", WRAPPED, WRAPPED.replace("False", 'False, name="squared"')),
    hint="leave name= out",
)
def test_the_squared_metric_is_right(run, namespace):
    "squared_diff_plus_one is on the run, and right"
    logged = _on_the_run(run, namespace, SQUARED)
    predicted, true = _figures(namespace)
    right = ((predicted - true + 1) ** 2).sum()
    assert not close(logged, ((true - predicted + 1) ** 2).sum()), (
        f"{SQUARED} punishes the wrong side: subtract the targets from the predictions, and not "
        "the other way round."
    )
    assert not close(logged, (predicted - true + 1).sum() ** 2), (
        f"{SQUARED} is the square of a sum: square first, wine by wine, then add up."
    )
    assert close(logged, right), (
        f"the run says {SQUARED} = {logged:.4f}, and numpy {right:.4f}: of each wine "
        "(prediction - target + 1), squared; then the sum of all, not rounded."
        f"{_again(namespace, SQUARED)}"
    )


@catches(
    "the second metric was forgotten in the list",
    put("extra-metrics", f"extra_metrics = [{WRAPPED}]"),
    hint="is a function, and no metric yet",
)
@catches(
    "another built-in metric was halved",
    put(
        "half-metric",
        f"def {HALF}(predictions, targets, metrics):\n"
        '    return metrics["mean_on_target"].aggregate_results["mean_on_target"] / 2',
    ),
    hint='take MLflow\'s metric "sum_on_target"',
)
@catches(
    "the function was mended, and the training not run again",
    swap("half-metric", "/ 2", "/ 3"),
    after(
        f"def {HALF}(predictions, targets, metrics):\n"
        '    return metrics["sum_on_target"].aggregate_results["sum_on_target"] / 2'
    ),
    hint="run all cells again",
)
def test_the_half_metric_is_right(run, namespace):
    "sum_on_target_divided_by_two is on the run, and right"
    logged = _on_the_run(run, namespace, HALF)
    right = _figures(namespace)[1].sum() / 2
    assert close(logged, right), (
        f"the run says {HALF} = {logged:.4f}, and numpy {right:.4f}: take MLflow's metric "
        '"sum_on_target", and divide it by 2, without rounding.'
        f"{_again(namespace, HALF)}"
    )


@catches(
    "a built-in metric was taken for a number",
    swap("half-metric", '.aggregate_results["sum_on_target"]', ""),
    hint="is a MetricValue",
    error="unsupported operand type(s) for /: 'MetricValue' and 'int'",
)
@catches(
    "a built-in metric was asked for under another name",
    swap("half-metric", 'metrics["sum_on_target"]', 'metrics["sum_target"]'),
    hint="asks for 'sum_target', and MLflow has no metric of that name",
    error="KeyError('sum_target')",
)
@catches(
    "the arguments have names of the student's own",
    put(
        "squared-metric",
        f"def {SQUARED}(predicted, actual, metrics):\n"
        "    return ((predicted - actual + 1) ** 2).sum()",
    ),
    hint="evaluate fills the arguments by their names",
    error="missing columns ['predicted', 'actual'] need to be defined or mapped",
)
@catches(
    "a function looks at a variable outside of it",
    put("half-metric", f"def {HALF}(predictions, targets, metrics):\n    return y_test.sum() / 2"),
    hint="it uses a variable from outside",
)
@catches(
    "the one was added at the end",
    swap(
        "squared-metric",
        "((predictions - targets + 1) ** 2).sum()",
        "((predictions - targets) ** 2).sum() + 1",
    ),
    hint="says 7.25 for three other wines, and 8.25 is right",
)
@catches(
    "a square was written with ^",
    swap("squared-metric", "** 2", "^ 2"),
    hint="a square is `** 2`",
    error="TypeError",
)
@catches(
    "an argument was misspelt inside of the function",
    swap("squared-metric", "(predictions - targets", "(prediction - targets"),
    hint="mend that line",
    error="name 'prediction' is not defined",
)
@catches(
    "the function takes two arguments, and MLflow fills them by their places",
    put(
        "half-metric",
        f"def {HALF}(targets, metrics):\n"
        '    return metrics["sum_on_target"].aggregate_results["sum_on_target"] / 2',
    ),
    hint="take all three",
    error="has no attribute 'aggregate_results'",
)
def test_they_are_functions_of_their_own(namespace):
    "both functions work for any figures, not only for these wines"
    for name, right in ANSWERS.items():
        answer = _answer(namespace, name, PREDICTIONS, TARGETS)
        assert close(answer, right), (
            f"{name} says {answer:g} for three other wines, and {right:g} is right. If it is right "
            "on the run, it uses a variable from outside: compute with its arguments alone."
        )


@catches(
    "the function was called instead of handed over",
    swap("extra-metrics", "=squared_diff_plus_one,", "=squared_diff_plus_one(),"),
    hint="there is no list `extra_metrics` yet",
    error="squared_diff_plus_one() missing 3 required positional arguments",
)
@catches(
    "the bare functions were passed, without make_metric",
    put("extra-metrics", "extra_metrics = [squared_diff_plus_one]"),
    hint="each entry is make_metric(eval_fn=squared_diff_plus_one",
    error="the following metrics have the wrong type",
)
@catches(
    "one metric was passed, and no list",
    put("extra-metrics", f"extra_metrics = {WRAPPED}"),
    hint="it is a list",
    error="'CallableEvaluationMetric' object is not iterable",
)
@catches(
    "greater_is_better was not thought about",
    swap("extra-metrics", WRAPPED, WRAPPED.replace("False", "True")),
    hint="a smaller one is better",
)
@catches(
    "greater_is_better was thought about for the first metric only",
    swap(
        "extra-metrics",
        "sum_on_target_divided_by_two, greater_is_better=False",
        "sum_on_target_divided_by_two, greater_is_better=True",
    ),
    hint="of sum_on_target_divided_by_two a smaller one is better",
)
def test_the_list_holds_two_metrics(namespace):
    "`extra_metrics` holds both, and of both smaller is better"
    from mlflow.models import EvaluationMetric

    made = namespace.get("extra_metrics")
    assert made is not None, (
        "there is no list `extra_metrics` yet: below the two functions, make a metric of each "
        "with make_metric."
    )
    listed = made if isinstance(made, (list, tuple)) else []
    metrics = {m.name: m for m in listed if isinstance(m, EvaluationMetric)}
    missing = [name for name in (SQUARED, HALF) if name not in metrics]
    assert not missing, (
        f"`extra_metrics` holds no metric {missing[0]}: it is a list, and each entry is "
        f"make_metric(eval_fn={missing[0]}, greater_is_better=...), the function without brackets."
    )
    for name in (SQUARED, HALF):
        assert metrics[name].greater_is_better is False, (
            f"of {name} a smaller one is better, says the task: say greater_is_better=False."
        )
