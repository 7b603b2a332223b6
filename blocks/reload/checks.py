"""The logged model, loaded again, says what the fitted one said."""

from winelab.checks.authoring import before, catches, given, skip_all, swap
from winelab.checks.comparing import close, regression_metrics

METRICS = ("rmse", "mae", "r2")
ROUNDING = 1e-12


def _reloaded_predictions(namespace):
    """The student's predictions of the loaded model: a figure for each test wine."""
    import numpy as np

    found = namespace.get("reloaded_predictions")
    assert found is not None, (
        'there are no `reloaded_predictions` yet: in the cell "5. Load the model", let `reloaded` '
        "predict for X_test."
    )
    found = np.ravel(np.asarray(found, dtype=float))
    wines = len(namespace["y_test"])
    assert len(found) == wines, (
        f"`reloaded_predictions` has {len(found)} figures, and there are {wines} test wines: "
        "predict for X_test."
    )
    return found


def _apart(namespace):
    """How far the loaded model's predictions are from the fitted one's, at most."""
    import numpy as np

    fitted = np.asarray(namespace["predictions"], dtype=float)
    return float(np.abs(_reloaded_predictions(namespace) - fitted).max())


LOAD = "mlflow.pyfunc.load_model(model_info.model_uri)"
PREDICT = "reloaded.predict(X_test)"
EVALUATE = "eval_metrics(y_test, reloaded_predictions)"


@catches("no cell has been run yet", skip_all(), hint="has made no run since it started")
@given
def test_a_run_finished(run):
    "a run finished"


@catches(
    "the model was not loaded: the fitted one got a second name",
    swap("reload", LOAD, "model"),
    hint="was not loaded with MLflow",
)
@catches(
    "the model was looked for under the run, as in older courses",
    swap("reload", "model_info.model_uri", 'mlflow.get_artifact_uri("model")'),
    hint="Call mlflow.end_run() once",
    error="No such artifact: 'model'",
)
@catches(
    "an older model was loaded, from a URI that was written down",
    swap("reload", "model_info.model_uri", "older"),
    before(
        "import mlflow\n"
        "from sklearn.linear_model import LinearRegression\n"
        'with mlflow.start_run(run_name="older"):\n'
        "    older = mlflow.sklearn.log_model(\n"
        "        LinearRegression().fit([[0.0] * 11], [5.0]),\n"
        '        name="model", pip_requirements=["scikit-learn"]\n'
        "    ).model_uri"
    ),
    hint="the model of another run than your newest",
)
@catches(
    "the model was loaded as a scikit-learn model",
    swap("reload", "mlflow.pyfunc.load_model", "mlflow.sklearn.load_model"),
    hint="call mlflow.pyfunc.load_model(model_info.model_uri)",
    error='Model does not have the "sklearn" flavor',
)
def test_reloaded_comes_from_the_store(run, runs, namespace):
    "`reloaded` was loaded from the store, and is the model of your newest run"
    from mlflow.pyfunc import PyFuncModel

    reloaded = namespace.get("reloaded")
    # get_artifact_uri outside of a run opens one, and the next training would stumble over it.
    still_open = any(r.info.status == "RUNNING" for r in runs)
    assert reloaded is not None, (
        'there is no `reloaded` yet: in the cell "5. Load the model", call '
        "mlflow.pyfunc.load_model(model_info.model_uri). The URI stands in what log_model "
        "answered, not in the run's own folder."
        + (" A run was opened on the way: end it with mlflow.end_run()." if still_open else "")
    )
    assert isinstance(reloaded, PyFuncModel), (
        f"`reloaded` is of the kind {type(reloaded).__name__}, so it was not loaded with MLflow: "
        "call mlflow.pyfunc.load_model(model_info.model_uri)."
    )
    assert reloaded.metadata.run_id == run.info.run_id, (
        "`reloaded` is the model of another run than your newest: take the URI from "
        "`model_info`, never a written one, and run all cells again."
    )


@catches(
    "the old predictions were taken instead of new ones",
    swap("reload", PREDICT, "predictions"),
    hint="under a second name",
)
@catches(
    "the model predicted for the training part",
    swap("reload", PREDICT, "reloaded.predict(X_train)"),
    hint="has 1199 figures, and there are 400 test wines",
    error="inconsistent numbers of samples",
)
@catches(
    "the predictions were rounded",
    swap("reload", PREDICT, f"{PREDICT}.round(4)"),
    hint="round nothing",
)
@catches(
    "the measurements were made whole numbers, which the signature refuses",
    swap("reload", PREDICT, 'reloaded.predict(X_test.astype("int64"))'),
    hint="let `reloaded` predict for X_test",
    error="Can not safely convert int64 to float64",
)
def test_it_predicts_what_the_fitted_model_did(namespace):
    "`reloaded_predictions` equal `predictions` to 1e-12"
    import numpy as np

    new, old = _reloaded_predictions(namespace), namespace["predictions"]
    assert not np.shares_memory(new, np.asarray(old)), (
        "`reloaded_predictions` are the old `predictions` under a second name: ask `reloaded` "
        "for them, with reloaded.predict(X_test)."
    )
    apart = _apart(namespace)
    assert apart <= ROUNDING, (
        f"`reloaded_predictions` are up to {apart:.1g} away from `predictions`: load this run's "
        "model, let it predict for X_test, and round nothing."
    )


@catches(
    "the metrics are those of the training part",
    swap("reload", EVALUATE, "eval_metrics(y_train, reloaded.predict(X_train))"),
    hint="figures of the training part",
)
@catches(
    "predictions and truth changed places",
    swap("reload", EVALUATE, "eval_metrics(reloaded_predictions, y_test)"),
    hint="the true values first",
)
@catches(
    "the metrics were rounded",
    swap("reload", EVALUATE, f"{{name: round(value, 3) for name, value in {EVALUATE}.items()}}"),
    hint="round nothing",
)
def test_the_metrics_came_out_again(run, namespace):
    "`reloaded_metrics` are the three metrics that stand on the run"
    import numpy as np

    found = namespace.get("reloaded_metrics")
    assert isinstance(found, dict) and set(METRICS) <= set(found), (
        'there are no `reloaded_metrics` yet: in the cell "5. Load the model", call eval_metrics '
        "with the true values and `reloaded_predictions`."
    )
    train = regression_metrics(
        namespace["y_train"], namespace["model"].predict(namespace["X_train"])
    )
    assert not all(close(found[name], train[name]) for name in METRICS), (
        "`reloaded_metrics` are figures of the training part, which the model knows: take y_test "
        "and `reloaded_predictions`."
    )
    true = regression_metrics(namespace["y_test"], _reloaded_predictions(namespace))
    for name in METRICS:
        assert name in run.data.metrics, f"{name} is not on the run: run all cells from the top."
        logged = run.data.metrics[name]
        for right in (true[name], logged):
            assert np.isfinite(found[name]) and close(found[name], right, ROUNDING), (
                f"`reloaded_metrics` says {name} = {found[name]:.6g}, and the run says "
                f"{logged:.6g}: call eval_metrics(y_test, reloaded_predictions), the true values "
                "first, and round nothing."
            )


@catches(
    "the model's code reads a file of the notebook's folder, and not the artifact",
    swap("model-code", 'context.artifacts["sklearn_model"]', '"../output/sklearn_model.joblib"'),
    hint="a fresh process could not use the model",
)
def test_a_fresh_process_says_the_same(fresh, namespace):
    "a process that knows nothing of this notebook loads the model, and says the same"
    import numpy as np

    mine = _reloaded_predictions(namespace)
    assert _apart(namespace) <= ROUNDING, (
        "mend `reloaded_predictions` first: they are not those of the fitted model."
    )
    there = fresh(namespace["model_info"].model_uri, namespace["X_test"])
    apart = float(np.abs(mine - np.asarray(there)).max())
    assert apart <= ROUNDING, (
        f"in a fresh process the model's answers are up to {apart:.1g} away: the model must bring "
        "all that it needs, as artifacts."
    )
