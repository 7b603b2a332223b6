"""Block 4: the run carries its settings and its figures."""

from winelab.checks.authoring import after, catches, given, skip_all, swap
from winelab.checks.comparing import close, regression_metrics

METRICS = ("rmse", "mae", "r2")


@catches("no cell has been run yet", skip_all(), hint="has made no run since it started")
@given
def test_a_run_finished(run):
    "a run finished"


@catches(
    "the same param was logged twice with two values",
    swap(
        "log-params",
        'mlflow.log_params({"alpha": alpha, "l1_ratio": l1_ratio})',
        'mlflow.log_param("alpha", 0.1)\nmlflow.log_param("alpha", alpha)',
    ),
    hint="ended as FAILED",
    error="Changing param values is not allowed",
)
@catches(
    "the params were written down, and the model was made with others",
    swap("log-params", '"alpha": alpha', '"alpha": 0.1'),
    hint="log the variable that the model was made with",
)
@catches(
    "params were logged as metrics",
    swap("log-params", "log_params", "log_metrics"),
    hint="alpha is not on the run",
)
def test_both_params_are_on_the_run(run, model):
    "alpha and l1_ratio are on the run, as the model has them"
    for name in ("alpha", "l1_ratio"):
        assert name in run.data.params, (
            f"{name} is not on the run: inside the `with`, call "
            'mlflow.log_params({"alpha": alpha, "l1_ratio": l1_ratio}).'
        )
        logged, real = run.data.params[name], getattr(model, name)
        assert logged == str(real), (
            f"the run says {name} = {logged}, the model has {real}: log the variable that the "
            "model was made with."
        )


@catches(
    "the metrics were computed, but never logged",
    swap("log-metrics", "mlflow.log_metrics(metrics)", ""),
    hint="mlflow.log_metrics",
)
@catches(
    "the figures were logged after the run, which opens a second one",
    swap("log-metrics", "mlflow.log_metrics(metrics)", ""),
    after("mlflow.log_metrics(metrics)"),
    hint="inside the `with`",
)
def test_three_metrics_are_on_the_run(run):
    "rmse, mae and r2 are on the run"
    missing = [name for name in METRICS if name not in run.data.metrics]
    assert not missing, (
        f"{', '.join(missing)} not on the run: inside the `with`, after the predictions, call "
        "mlflow.log_metrics(eval_metrics(y_test, predictions))."
    )


@catches(
    "the squared error was logged as RMSE",
    swap(
        "eval-metrics",
        "root_mean_squared_error(actual, predicted)",
        "root_mean_squared_error(actual, predicted) ** 2",
    ),
    hint="take its root",
)
@catches(
    "predictions and truth changed places",
    swap("log-metrics", "(y_test, predictions)", "(predictions, y_test)"),
    hint="the true values first",
)
def test_the_metrics_are_right(run, namespace):
    "the three metrics are those of these predictions"
    true = regression_metrics(namespace["y_test"], namespace["predictions"])
    for name in METRICS:
        assert name in run.data.metrics, f"{name} is not on the run yet."
        logged = run.data.metrics[name]
        assert not (name == "rmse" and close(logged, true["rmse"] ** 2)), (
            "rmse is the mean squared error: take its root, or use root_mean_squared_error."
        )
        assert close(logged, true[name]), (
            f"the run says {name} = {logged:.4f}, the predictions give {true[name]:.4f}: call "
            "eval_metrics(y_test, predictions), the true values first."
        )


@catches(
    "the function looks at variables outside of it",
    swap(
        "eval-metrics",
        "mean_absolute_error(actual, predicted),\n",
        "mean_absolute_error(y_test, predictions),\n",
    ),
    hint="no variable from outside",
)
def test_eval_metrics_is_a_function_of_its_own(namespace):
    "eval_metrics works for any figures, not only for these"
    evaluate = namespace["eval_metrics"]
    assert callable(evaluate), "`eval_metrics` is no function: define it with def."
    answer = evaluate([3.0, 5.0, 7.0], [3.0, 5.0, 10.0])
    assert isinstance(answer, dict) and set(answer) == set(METRICS), (
        'eval_metrics must return a dictionary with the keys "rmse", "mae" and "r2".'
    )
    # Errors 0, 0, 3: rmse = sqrt(9 / 3), mae = 3 / 3, r2 = 1 - 9 / 8.
    right = {"rmse": 3**0.5, "mae": 1.0, "r2": -0.125}
    wrong = [name for name in METRICS if not close(answer[name], right[name])]
    assert not wrong, (
        f"eval_metrics gives a wrong {wrong[0]} for other figures: use its two arguments, the "
        "true values first, and no variable from outside."
    )
