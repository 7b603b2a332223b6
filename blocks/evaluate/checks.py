"""MLflow has evaluated the logged model on the test wines, in the run of the training."""

from winelab.checks.authoring import before, catches, error, hint, put, remove, right, swap
from winelab.checks.comparing import as_column, evaluate_metrics, expect_metrics, regression_metrics
from winelab.checks.looking import datasets_of, student_value

URI = "model_info.model_uri"
EVALUATE = (
    f'evaluation = mlflow.models.evaluate({URI}, model_type="regressor",\n'
    '    data=mlflow.data.from_pandas(test, name="wine-test", targets="quality"),\n'
    '    evaluator_config={"log_model_explainability": False})\n'
)
BELOW = (remove("evaluate"), remove("config"))


def _evaluated(run):
    """Let a check pass only where the run has an evaluation, and the training with it."""
    assert "root_mean_squared_error" in run.data.metrics, (
        "the run has no evaluation: call `mlflow.models.evaluate` in the `with`, below `log_model`."
    )
    assert "rmse" in run.data.metrics or run.outputs.model_outputs, (
        f'the evaluation is on a run of its own, "{run.info.run_name}". Put it inside the `with` '
        "of the training. If that run was only a try, delete its lines. Then run all cells again."
    )


@catches("the dataset was made of the measurements alone")
@swap("evaluate", "from_pandas(test,", "from_pandas(X_test,")
@hint("ended as FAILED")
@error("does not contain the specified targets column 'quality'")
@catches("the dataset doesn't know its target")
@swap("evaluate", ', targets="quality"', "")
@hint("ended as FAILED")
@error("The targets column name must be specified in the provided Dataset")
@catches("the true values were written into X_test itself")
@put("test-table", 'X_test["quality"] = y_test\ntest = X_test')
@hint("ended as FAILED")
@error("Feature names unseen at fit time")
@catches("the fitted model was passed, and not the URI of the logged one")
@swap("evaluate", URI, "model")
@hint("ended as FAILED")
@error("The model argument must be a string URI")
@catches("MLflow wasn't told which type of model it is")
@swap("evaluate", '    model_type="regressor",', "")
@hint("ended as FAILED")
@error("The extra_metrics argument must be specified model_type is None")
@catches("evaluate stands below the `with`, and opens a run of its own", *BELOW)
@swap("autolog-off", "mlflow.sk", f"{EVALUATE}mlflow.sk")
@hint("the evaluation is on a run of its own")
def test_it_is_on_the_run_of_the_training(run):
    "the evaluation is on the run of the training"
    _evaluated(run)


@catches("the training wines were evaluated")
@put("test-table", "test = X_train.assign(quality=y_train)")
@hint("The model was trained on these wines")
@catches("the predictions were used as the true quality, and everything is perfect")
@swap("evaluate", "test_set =", "test = X_test.assign(quality=predictions)\ntest_set =")
@hint("`y_test` gives")
def test_it_used_the_test_wines(run, namespace):
    "the model was evaluated on the test wines, with their true quality"
    _evaluated(run)
    true, trained = (as_column(namespace[name], f"`{name}`") for name in ("y_test", "y_train"))
    seen = run.data.metrics.get("example_count") == len(trained)
    known = "The model was trained on these wines. " if seen else ""
    expect_metrics(
        run,
        {"example_count": len(true), "sum_on_target": true.sum()},
        missing='Pass `model_type="regressor"` to `evaluate`.',
        wrong=f"{known}Make the dataset of `test = X_test.assign(quality=y_test)`.",
        source="`y_test` gives",
    )


@catches("your own metrics were deleted")
@swap("log-metrics", "mlflow.log_metrics(metrics)", "")
@hint("Keep `mlflow.log_metrics(metrics)`")
@catches("another model was evaluated, by a URI that was written down")
@swap("evaluate", URI, "older")
@before(
    "import mlflow\nfrom sklearn.linear_model import LinearRegression\n"
    'with mlflow.start_run(run_name="older"):\n'
    "    older = mlflow.sklearn.log_model(LinearRegression().fit([[0.0] * 11], [5.0]),\n"
    '        name="model", pip_requirements=["scikit-learn"]).model_uri'
)
@hint("Evaluate the model of this run")
@catches("three metrics were named, instead of the type of the model")
@swap(
    "evaluate",
    'model_type="regressor",',
    "extra_metrics=[mlflow.metrics.rmse(), mlflow.metrics.mae(), mlflow.metrics.r2_score()],",
)
@hint('Pass `model_type="regressor"`, and MLflow computes nine')
def test_the_metrics_agree(run, namespace):
    "MLflow's nine metrics are on the run beside your three, and agree with your predictions"
    _evaluated(run)
    true, predicted = namespace["y_test"], namespace["predictions"]
    expect_metrics(
        run,
        regression_metrics(true, predicted),
        missing="Keep `mlflow.log_metrics(metrics)`: what `evaluate` says is compared with it.",
        wrong="Log `eval_metrics(y_test, predictions)`, and round nothing.",
    )
    expect_metrics(
        run,
        evaluate_metrics(true, predicted),
        missing='Pass `model_type="regressor"`, and MLflow computes nine.',
        wrong="Evaluate the model of this run on the test wines, with `y_test` row by row.",
    )


@catches("the table was passed, and not the dataset")
@swap("evaluate", "data=test_set,", 'data=test, targets="quality",')
@hint('the dataset is called "dataset"')
@catches("the model has the address of its run, as in MLflow 2")
@swap("evaluate", URI, 'f"runs:/{model_info.run_id}/model"')
@hint('begins with "runs:/"')
def test_the_model_knows_the_dataset(run, client):
    'the logged model has the metrics too, measured on the dataset "wine-test"'
    _evaluated(run)
    models = [client.get_logged_model(made.model_id) for made in run.outputs.model_outputs]
    names = {name for model in models for name in datasets_of(model, run, "r2_score")} - {None}
    assert names, (
        f"MLflow has written none of its metrics on the logged model: pass `{URI}` to `evaluate`, "
        'and no function, and no address that begins with "runs:/".'
    )
    assert "wine-test" in names, (
        f'the dataset is called "{names.pop()}": name it "wine-test", and pass it, `data=test_set`.'
    )


@catches("only the metrics of the result were kept")
@swap("config", "\n)", "\n).metrics")
@hint("Keep the whole result of `evaluate`")
@error("'dict' object has no attribute 'metrics'")
def test_the_result_is_kept(run, namespace):
    "`evaluation` is the result, with the same metrics"
    from mlflow.models import EvaluationResult

    _evaluated(run)
    advice = "Keep the whole result of `evaluate`: write `evaluation = ` before it, nothing behind."
    found = student_value(namespace, "evaluation", advice, EvaluationResult)
    assert found.run_id == run.info.run_id, (
        "`evaluation` belongs to another run than your newest one: run all cells again."
    )


RIGHT_WAYS = (
    right(
        "pandas joins measurements and quality",
        put("test-table", "test = pd.concat([X_test, y_test], axis=1)"),
    ),
    right(
        "the logged model was loaded first",
        swap("evaluate", URI, f"model=mlflow.pyfunc.load_model({URI})"),
    ),
    right(
        "the run was opened again below the `with`",
        *BELOW,
        swap(
            "autolog-off",
            "mlflow.sk",
            f"with mlflow.start_run(run_id=model_info.run_id):\n    {EVALUATE}mlflow.sk",
        ),
    ),
)
