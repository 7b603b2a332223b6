"""The mean of the training wines was evaluated as a model is, and the model is better."""

from winelab.checks.authoring import after, before, catches, error, given, hint, put, right, swap
from winelab.checks.comparing import (
    as_column,
    bootstrap_rmses,
    evaluate_metrics,
    expect_metrics,
    kind,
    same_column,
    short,
)
from winelab.checks.looking import run_named
from winelab.tracking.run_tags import same_try

FIT = 'DummyRegressor(strategy="mean").fit(X_train, y_train)'
CELL = 'the cell "The baseline: the mean of the training wines"'
LOG = 'mlflow.log_metric("baseline_rmse", baseline_evaluation.metrics["root_mean_squared_error"])'


def _expected(namespace):
    """The metrics of what `baseline` predicts for the test wines; another check looks at that."""
    import numpy as np

    true = as_column(namespace["y_test"], "`y_test`")
    guess = as_column(namespace["baseline"].predict(namespace["X_test"]))
    return {
        **evaluate_metrics(true, guess),
        "within_half": float((abs(guess - true) <= 0.5).mean()),
        "rmse_upper": float(np.quantile(bootstrap_rmses(true, guess), 0.975)),
    }


def _of_the_model(run, runs):
    """The newest run with the model's own metrics, which the baseline's cell may come after."""
    return next((one for one in runs if "rmse" in one.data.metrics), run)


def _of_the_baseline(runs):
    """The newest run called "baseline"."""
    advice = f'In {CELL}, open it with `mlflow.start_run(run_name="baseline")`, and evaluate in it.'
    return run_named("baseline", runs, advice)


@catches("the baseline learned from the test wines")
@swap("baseline", "fit(X_train, y_train)", "fit(X_test, y_test)")
@hint("the mean of y_train is")
@catches("the baseline predicts the median")
@swap("baseline", '"mean"', '"median"')
@hint("`baseline` predicts 6")
@catches("another model was used as the baseline")
@swap("baseline", 'DummyRegressor(strategy="mean")', "make_model(0.1, 0.3)")
@hint("predicts different values for different wines")
@catches("the predictions were kept, and not the baseline")
@swap("baseline", "y_train)\n", "y_train).predict(X_test)\n")
@swap("baseline", "baseline.predict(X_test)", "baseline")
@hint("`baseline` is an array")
def test_the_baseline_predicts_the_training_mean(namespace):
    "`baseline` predicts the mean of the training wines for every wine"
    baseline = namespace["baseline"]
    advice = f"Write `baseline = {FIT}`."
    assert hasattr(baseline, "predict"), f"`baseline` is {kind(baseline)}, not a model. {advice}"
    try:
        predicted = as_column(baseline.predict(namespace["X_test"]), "what `baseline` predicts")
    except Exception:
        raise AssertionError(f"`baseline` can't predict for `X_test`. {advice}") from None
    mean = as_column(namespace["y_train"], "`y_train`").mean()
    shown = f"`baseline` predicts {short(predicted[0], mean)}"
    same = same_column(predicted, [predicted[0]] * len(predicted))
    assert same, f"`baseline` predicts different values for different wines. {advice}"
    assert same_column(predicted, [mean] * len(predicted)), (
        f"{shown}, and the mean of y_train is {short(mean, predicted[0])}. {advice}"
    )


@catches("no run was opened, so that MLflow opened one with a random name")
@put("baseline-run", "if True:")
@hint('there is no run "baseline"')
@catches("your own metrics were not passed")
@swap("baseline-arguments", "    extra_metrics=extra_metrics,\n", "")
@hint("within_half and rmse_upper are not on the run")
@catches("it was evaluated on the training wines")
@swap("baseline", "test.assign", "X_train.assign(quality=y_train).assign")
@swap("baseline", "predict(X_test)", "predict(X_train)")
@hint("example_count is 1019")
def test_its_run_has_its_metrics(run, runs, namespace):
    'the run "baseline" has its metrics on the test wines, your two among them'
    expected, found = _expected(namespace), _of_the_baseline(runs)
    advice = (
        f"In {CELL}, evaluate `baseline_table` in this run, with `extra_metrics=extra_metrics`."
    )
    # A bootstrap that draws otherwise comes as near as this; anything else is further away.
    upper = {"rmse_upper": expected["rmse_upper"]}
    exact = {**expected, "rmse_upper": found.data.metrics.get("rmse_upper")}
    expect_metrics(found, exact, missing=advice, wrong=advice, source="your baseline gives")
    expect_metrics(found, upper, wrong=advice, source="your baseline gives", tolerance=0.005)


@catches("the baseline was fitted while autolog was on, which made a run of its own")
@swap("baseline", "baseline = Dummy", "mlflow.sklearn.autolog(log_models=False)\nbaseline = Dummy")
@hint("has made a run of that")
@catches("an earlier error had left autolog on")
@before("import mlflow\nmlflow.sklearn.autolog(log_models=False)")
@hint("Restart the kernel")
@catches("the baseline was fitted inside the model's run")
@swap("log-baseline", "mlflow.log", f"baseline = {FIT}\nmlflow.log")
@hint("has the baseline's params too")
@given
def test_the_model_has_its_run_to_itself(run, runs, attempt):
    "no run mixes the model with the baseline"
    model = _of_the_model(run, runs)
    assert "strategy" not in model.data.params, (
        f"the model's run has the baseline's params too. Fit it in {CELL}, above autolog."
    )
    baseline = next((one for one in runs if one.info.run_name == "baseline"), run)
    tries = [*attempt, *same_try(runs, baseline)]
    assert not any("strategy" in one.data.params for one in tries), (
        "autolog was on when the baseline was fitted, and has made a run of that: fit it above "
        "`mlflow.sklearn.autolog(...)`. If it stands there, an earlier error left autolog on: "
        "Restart the kernel and run all cells."
    )


@catches("the baseline's RMSE was not logged")
@put("log-baseline", "")
@hint("Inside the `with` of")
@catches("the RMSE has the name of your own")
@swap("log-baseline", '["root_mean_squared_error"]', '["rmse"]')
@hint("ended as FAILED")
@error("KeyError: 'rmse'")
@catches("the model's RMSE was logged as the baseline's")
@swap("log-baseline", "baseline_evaluation.metrics", "evaluation.metrics")
@hint("baseline_rmse is 0.645, your baseline gives 0.8")
@catches("the penalty is so strong that all coefficients are zero")
@swap("model-settings", "[0.01, 0.1, 0.2, 0.5, 1.0]", "[20.0]")
@hint("is no better than the mean")
def test_the_model_is_better(run, runs, namespace):
    "baseline_rmse is on the model's run, and the model's RMSE is smaller"
    model, mean = _of_the_model(run, runs), _expected(namespace)["root_mean_squared_error"]
    missing = f"Inside the `with` of the model's run, call `{LOG}`."
    wrong, expected = "Take it from `baseline_evaluation.metrics`.", {"baseline_rmse": mean}
    expect_metrics(model, expected, missing=missing, wrong=wrong, source="your baseline gives")
    own = model.data.metrics["rmse"]
    assert own < mean - 1e-9, (
        f"the model's RMSE is {short(own)}: it is no better than the mean. Give `alphas` smaller "
        "penalties, and run all cells again."
    )


@catches("only the metrics of the result were kept")
@swap("baseline-arguments", "\n)", "\n).metrics")
@hint("Keep the whole result")
@error("'dict' object has no attribute 'metrics'")
def test_the_result_is_kept(runs, namespace):
    "`baseline_evaluation` is the result of its evaluation"
    from mlflow.models import EvaluationResult

    found = namespace["baseline_evaluation"]
    assert isinstance(found, EvaluationResult), (
        f"`baseline_evaluation` is {kind(found)}. Keep the whole result of `evaluate`, as it is."
    )
    same = found.run_id == _of_the_baseline(runs).info.run_id
    assert same, '`baseline_evaluation` is not of the newest run "baseline": run all cells again.'


ROLES = 'predictions="prediction", targets="quality"'
DATASET = f'mlflow.data.from_pandas(baseline_table, name="wine-test", {ROLES})'
EVALUATE_MODEL = """info = mlflow.sklearn.log_model(baseline, pip_requirements=["scikit-learn"])
baseline_evaluation = mlflow.models.evaluate(
    info.model_uri,"""
BY_CLIENT = "mlflow.MlflowClient().log_metric(mlflow.active_run().info.run_id, "
AGAIN = f"""with mlflow.start_run(run_name="baseline"):
    baseline_evaluation = mlflow.models.evaluate(
        data=baseline_table, {ROLES}, model_type="regressor",
        extra_metrics=extra_metrics, evaluator_config={{"log_model_explainability": False}},
    )"""

RIGHT_WAYS = (
    right(
        "the mean is a constant, and the table a dataset",
        swap("baseline", 'strategy="mean"', 'strategy="constant", constant=y_train.mean()'),
        swap("baseline-arguments", '    predictions="prediction",\n    targets="quality",\n', ""),
        swap("baseline-arguments", "baseline_table", DATASET),
    ),
    right(
        "the baseline was logged as a model, and evaluated by its URI",
        put("baseline-evaluation", EVALUATE_MODEL),
        swap("baseline-arguments", "data=baseline_table", "data=test"),
        swap("baseline-arguments", '    predictions="prediction",\n', ""),
    ),
    right(
        "start_run and end_run stand in place of the `with`, and a client logs the metric",
        put("baseline-run", 'mlflow.start_run(run_name="baseline")\nif True:'),
        swap("autolog", "mlflow.sk", "mlflow.end_run()\nmlflow.sk"),
        swap("log-baseline", "mlflow.log_metric(", BY_CLIENT),
    ),
    right("the baseline's cell ran once more, after the training", after(AGAIN)),
)
