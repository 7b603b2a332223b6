"""The run carries its settings and its metrics."""

from winelab.checks.authoring import after, catches, error, hint, put, remove, right, swap
from winelab.checks.comparing import (
    expect_metrics,
    expect_params,
    regression_metrics,
    same_value,
    short,
)
from winelab.checks.scratch import call, student_function

LOG_PARAMS = 'mlflow.log_params({"alpha": alpha, "l1_ratio": l1_ratio})'
LOG_METRICS = "mlflow.log_metrics(metrics)"


@catches("the params were logged above the `with`, which opens a run by itself")
@remove("log-params")
@swap("run", "with mlflow.start", f"{LOG_PARAMS}\nwith mlflow.start")
@hint("Call mlflow.end_run() once")
@error("is already active")
@catches("the same param was logged twice with two values")
@swap("log-params", LOG_PARAMS, f'mlflow.log_param("alpha", 0.1)\n{LOG_PARAMS}')
@hint("ended as FAILED")
@error("Changing param values is not allowed")
@catches("the params were written down, and the model was made with others")
@swap("log-params", '"alpha": alpha', '"alpha": 0.1')
@hint("alpha is 0.1, `model` has 0.5")
@catches("the two values changed places on the run")
@put("log-params", 'mlflow.log_params({"alpha": l1_ratio, "l1_ratio": alpha})')
@hint("alpha is 0.3, `model` has 0.5")
@catches("a param has another name")
@swap("log-params", '"l1_ratio": l1', '"l1-ratio": l1')
@hint("l1_ratio is not on the run as a param")
@catches("params were logged as metrics")
@swap("log-params", "log_params", "log_metrics")
@hint("it is there as a metric")
def test_both_params_are_on_the_run(run, model):
    "alpha and l1_ratio are on the run, as the model has them"
    expect_params(
        run,
        {name: getattr(model, name, None) for name in ("alpha", "l1_ratio")},
        missing=f"Inside the `with`, call {LOG_PARAMS}.",
        wrong="Log the variable that the model was made with.",
        source="`model` has",
    )


@catches("the metrics were computed, but never logged")
@swap("log-metrics", LOG_METRICS, "")
@hint("call mlflow.log_metrics(metrics)")
@catches("the metrics were logged after the run, which opens a second one")
@swap("log-metrics", LOG_METRICS, "")
@after(LOG_METRICS)
@hint("move that line inside the `with`")
@catches("the squared error was logged as RMSE")
@swap("eval-metrics", "ed_error(actual, predicted)", "ed_error(actual, predicted) ** 2")
@hint("take its root")
@catches("the metrics were rounded")
@swap("log-metrics", "(metrics)", "({name: round(metrics[name], 2) for name in metrics})")
@hint("rmse is 0.72 (rounded?), your predictions give 0.719")
@catches("predictions and truth changed places")
@swap("log-metrics", "(y_test, predictions)", "(predictions, y_test)")
@hint("the true values first")
@catches("the model's own wines were evaluated")
@swap("log-metrics", "(y_test, predictions)", "(y_train, model.predict(X_train))")
@hint("rmse is 0.707, your predictions give 0.719")
def test_the_metrics_are_on_the_run(run, namespace):
    "rmse, mae and r2 are on the run, and are those of your predictions"
    true = regression_metrics(namespace["y_test"], namespace["predictions"])
    squared = same_value(run.data.metrics.get("rmse"), true["rmse"] ** 2)
    expect_metrics(
        run,
        true,
        missing="Inside the `with`, after the predictions, call mlflow.log_metrics(metrics).",
        wrong="That is the mean squared error: take its root."
        if squared
        else "Call eval_metrics(y_test, predictions), the true values first, and round nothing.",
    )


@catches("the function looks at variables outside of it")
@swap("eval-metrics", "absolute_error(actual, predicted)", "absolute_error(y_test, X_test.pH)")
@hint("Use its two arguments")
@catches("the function uses this table's predictions, whatever it is given")
@swap("eval-metrics", "r2_score(actual, predicted)", "r2_score(y_test, predictions)")
@hint("r2 is 0.1")
@catches("the function prints, and returns nothing")
@swap("eval-metrics", "return {", "answer = {")
@hint("eval_metrics gives back nothing (None), since it ends without `return`")
@error("'NoneType' object")
@catches("the function got the name of a variable")
@swap("log-metrics", "metrics = eval", "metrics = eval_metrics = eval")
@hint("`eval_metrics` is a dictionary, not a function")
def test_eval_metrics_is_a_function_of_its_own(namespace):
    "eval_metrics works for any wines, not only for these"
    import numpy as np
    import pandas as pd

    # As in the lesson: the truth is a column of a shuffled table, the prediction an array.
    actual, predicted = pd.Series([3.0, 5.0, 7.0], [12, 5, 830]), np.array([3.0, 5.0, 10.0])
    advice = "Use its two arguments, the true values first, and no variable from outside."
    own = student_function(namespace, "eval_metrics")
    answer = call(own, actual, predicted, on_error=advice, expect=dict)
    # Errors 0, 0, 3: rmse = sqrt(9 / 3), mae = 3 / 3, r2 = 1 - 9 / 8.
    for name, value in {"rmse": 3**0.5, "mae": 1.0, "r2": -0.125}.items():
        assert name in answer, f'eval_metrics must return a dictionary with the key "{name}".'
        found = answer[name]
        assert same_value(found, value), (
            f"{name} is {short(found, value)} for three other wines, and should be "
            f"{short(value, found)}. {advice}"
        )


BY_CLIENT = (
    "client, run_id = mlflow.MlflowClient(), mlflow.active_run().info.run_id\n"
    'client.log_param(run_id, "alpha", alpha)\nclient.log_param(run_id, "l1_ratio", l1_ratio)'
)
EACH = "for name in metrics:\n    {}log_metric({}name, metrics[name])"

RIGHT_WAYS = (
    right(
        "the metrics are computed with pandas, by their definitions",
        put(
            "eval-metrics",
            "def eval_metrics(actual, predicted):\n"
            "    squares = (actual - predicted) ** 2\n"
            "    error = abs(actual - predicted).mean()\n"
            "    r2 = 1 - squares.sum() / ((actual - actual.mean()) ** 2).sum()\n"
            '    return {"rmse": squares.mean() ** 0.5, "mae": error, "r2": r2}',
        ),
    ),
    right(
        "the function logs the metrics itself",
        swap("eval-metrics", "return {", "metrics = {"),
        swap("eval-metrics", "\n    }", f"\n    }}\n    {LOG_METRICS}\n    return metrics"),
        swap("log-metrics", LOG_METRICS, ""),
    ),
    right(
        "each value is logged by a call of its own, of another alpha",
        swap("model-settings", "alpha = 0.5", "alpha = 100"),
        put(
            "log-params",
            'mlflow.log_param("alpha", model.alpha)\nmlflow.log_param("l1_ratio", l1_ratio)',
        ),
        swap("log-metrics", LOG_METRICS, EACH.format("mlflow.", "")),
    ),
    right(
        "a client logs on the run, by its id",
        put("log-params", BY_CLIENT),
        swap("log-metrics", LOG_METRICS, EACH.format("client.", "run_id, ")),
    ),
    right(
        "the truth and the predictions are tables of one column",
        swap("log-metrics", "(y_test, predictions)", "(y_test.to_frame(), predictions)"),
        swap("predict", "X_test)", "X_test).reshape(-1, 1)"),
    ),
)
