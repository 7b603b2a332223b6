"""The logged model, loaded again, predicts what the fitted one predicted."""

from winelab.checks.authoring import before, catches, error, hint, put, right, split, swap
from winelab.checks.comparing import (
    as_column,
    expect_metrics,
    plural,
    regression_metrics,
    same_column,
    same_value,
    short,
)
from winelab.checks.looking import student_value

TOLERANCE = 1e-12
CELLS = "Run all cells again, from the top."
# Our metrics, and what MLflow calls the same ones.
METRICS = {"rmse": "root_mean_squared_error", "mae": "mean_absolute_error", "r2": "r2_score"}

# Pieces of the solution that the mistakes change.
LOAD = "mlflow.pyfunc.load_model(model_info.model_uri)"
PREDICT = "reloaded.predict(X_test)"
EVALUATE = "eval_metrics(y_test, reloaded_predictions)"
GRADES = 'reloaded.predict(X_test, params={"round": True})'


def _column(namespace, name, advice):
    """The student's numbers `name`, one for each test wine."""
    found = as_column(student_value(namespace, name, advice), f"`{name}`")
    wines = len(as_column(namespace["y_test"], "`y_test`"))
    assert len(found) == wines, (
        f"`{name}` has {plural(len(found), 'prediction')}, and there are {wines} test wines. "
        f"{advice}"
    )
    return found


def _predictions(namespace):
    """The predictions of the loaded model."""
    return _column(namespace, "reloaded_predictions", f"Call `{PREDICT}`.")


def _apart(one, other):
    """How far two columns are apart, at most; infinite where one holds no number."""
    import numpy as np

    apart = np.abs(one - other)
    return float(apart.max()) if np.isfinite(apart).all() else float("inf")


@catches("the model was not loaded: the fitted one got a second name")
@swap("reload", LOAD, "model")
@swap("reload", GRADES, "reloaded.predict(X_test).round()")
@hint("`reloaded` is a Pipeline")
@catches("the model was looked for under the run, as in older courses")
@swap("reload", "model_info.model_uri", 'mlflow.get_artifact_uri("model")')
@hint("Call mlflow.end_run() once")
@error("No such artifact: 'model'")
@catches("an older model was loaded, from a URI that was written down")
@swap("reload", "model_info.model_uri", "older")
@before(
    "import mlflow\nfrom sklearn.linear_model import LinearRegression\n"
    'with mlflow.start_run(run_name="older"):\n'
    "    older = mlflow.sklearn.log_model(LinearRegression().fit([[0.0] * 11], [5.0]),\n"
    '        name="model", pip_requirements=["scikit-learn"]).model_uri'
)
@hint("is another run's model")
@catches("the model was loaded as a scikit-learn model")
@swap("reload", "mlflow.pyfunc.load_model", "mlflow.sklearn.load_model")
@hint(f"call `{LOAD}`")
@error('Model does not have the "sklearn" flavor')
def test_reloaded_comes_from_the_store(run, namespace):
    "`reloaded` was loaded from the store, and is the model of your newest run"
    from mlflow.pyfunc import PyFuncModel

    advice = f'In the cell "6. Load the model, as another program would", call `{LOAD}`.'
    reloaded = student_value(namespace, "reloaded", advice, PyFuncModel)
    assert reloaded.metadata.run_id == run.info.run_id, (
        "`reloaded` is another run's model: use the URI of `model_info`, and run all cells again."
    )


@catches("the old predictions were taken instead of new ones")
@swap("reload", PREDICT, "predictions")
@hint("under a second name")
@catches("the model predicted for the training wines")
@swap("reload", PREDICT, "reloaded.predict(X_train)")
@hint("and there are 340 test wines")
@error("inconsistent numbers of samples")
@catches("the predictions were rounded")
@swap("reload", PREDICT, f"{PREDICT}.round(4)")
@hint("round nothing")
@catches("the measurements were made integers, which the signature refuses")
@swap("reload", PREDICT, 'reloaded.predict(X_test.astype("int64"))')
@hint(f"Call `{PREDICT}`")
@error("Can not safely convert int64 to float64")
def test_it_predicts_what_the_fitted_model_did(namespace):
    "`reloaded_predictions` equal `predictions` to 1e-12"
    import numpy as np

    new = _predictions(namespace)
    old = _column(namespace, "predictions", CELLS)
    assert not np.shares_memory(new, old), (
        f"`reloaded_predictions` are the old `predictions` under a second name: call `{PREDICT}`."
    )
    apart = _apart(new, old)
    assert apart <= TOLERANCE, (
        f"`reloaded_predictions` are off by up to {short(apart)}: call `{PREDICT}`, round nothing."
    )


@catches("the old metrics were taken instead of new ones")
@swap("reload", EVALUATE, "metrics")
@hint("are the old `metrics`")
@catches("the metrics are those of the training wines")
@swap("reload", EVALUATE, "eval_metrics(y_train, reloaded.predict(X_train))")
@hint("of the training wines")
@catches("predictions and truth changed places")
@swap("reload", EVALUATE, "eval_metrics(reloaded_predictions, y_test)")
@hint("the true values first")
def test_the_metrics_came_out_again(run, namespace):
    "`reloaded_metrics` are the three metrics on the run"
    again = f"Call `{EVALUATE}`, the true values first, and round nothing."
    found = student_value(namespace, "reloaded_metrics", again, dict)
    assert found is not namespace.get("metrics"), (
        f"`reloaded_metrics` are the old `metrics` under a second name. {again}"
    )
    own = regression_metrics(namespace["y_test"], _predictions(namespace))
    expect_metrics(run, own, missing=CELLS, wrong=CELLS, source="`reloaded_predictions` give")
    for name, long_name in METRICS.items():
        value, trained = found.get(name), run.data.metrics.get(f"training_{long_name}")
        assert same_value(value, own[name]), (
            f"`reloaded_metrics` says {name} = {short(value, own[name])}"
            f"{', that of the training wines' if same_value(trained, value) else ''}, and the run "
            f"says {short(own[name], value)}. {again}"
        )


@catches("a param that the signature doesn't know, which is ignored")
@swap("reload", '{"round": True}', '{"rounded": True}')
@hint("The signature names the param `round`")
@catches("the decimals were cut off")
@swap("reload", GRADES, "reloaded.predict(X_test).astype(int)")
@hint("with the decimals cut off")
def test_the_model_gives_whole_grades(namespace):
    '`grades` are whole grades for the test wines, by the param "round"'
    import numpy as np

    grades = _column(namespace, "grades", f"Call `{GRADES}`.")
    old = _column(namespace, "predictions", CELLS)
    assert same_column(grades, np.round(grades)), (
        f"`grades` aren't whole; the first is {short(float(grades[0]))}. The signature names the "
        f"param `round`: call `{GRADES}`."
    )
    cut_off = "predictions with the decimals cut off"
    assert same_column(grades, np.round(old)), (
        f"`grades` are {cut_off if same_column(grades, np.floor(old)) else 'other predictions'}, "
        f"and not those that the model rounds: call `{GRADES}`."
    )


@catches("the model's code reads a file of the notebook's folder, and not the artifact")
@swap("model-code", 'context.artifacts["pipeline"]', '"../output/pipeline.joblib"')
@hint("a fresh process could not use the model")
def test_a_fresh_process_predicts_the_same(logged_model, fresh, namespace):
    "a process that knows nothing of this notebook loads the model, and predicts the same"
    mine, wines = _predictions(namespace), namespace["X_test"]
    there = as_column(fresh(logged_model.model_uri, wines))
    apart = _apart(mine, there) if len(there) == len(mine) else float("inf")
    assert apart <= TOLERANCE, (
        f"in a fresh process the predictions differ by up to {short(apart)} from "
        "`reloaded_predictions`: fix these first. The model must bring all it needs, as artifacts."
    )


RIGHT_WAYS = (
    right(
        "the model is found by its run, in a cell of its own",
        swap("reload", "model_info.model_uri", 'f"runs:/{model_info.run_id}/model"'),
        split("reload", "reloaded_predictions"),
    ),
    right(
        "a client knows the model's URI, and it is asked for one wine after the other",
        swap("reload", "reloaded = ", "client = mlflow.MlflowClient()\nreloaded = "),
        swap(
            "reload",
            "model_info.model_uri",
            "client.get_logged_model(model_info.model_id).model_uri",
        ),
        swap("reload", PREDICT, "[reloaded.predict(X_test[i : i + 1])[0] for i in range(340)]"),
    ),
    right(
        "the metrics are computed with numpy's functions, and the grades are integers",
        put(
            "reload",
            f"reloaded = {LOAD}\n"
            "reloaded_predictions = pd.Series(reloaded.predict(X_test), index=X_test.index)\n"
            "error, around = y_test - reloaded_predictions, y_test - y_test.mean()\n"
            "r2 = 1 - (error**2).sum() / (around**2).sum()\n"
            "rmse, mae = (error**2).mean() ** 0.5, error.abs().mean()\n"
            'reloaded_metrics = {"rmse": rmse, "mae": mae, "r2": r2, "wines": len(X_test)}\n'
            f"grades = {GRADES}.astype(int).tolist()",
        ),
    ),
)
