"""MLflow has evaluated the logged model on the test wines, in the training's own run."""

from winelab.checks.authoring import before, catches, given, put, remove, swap
from winelab.checks.comparing import close, regression_metrics

OWN = {
    "root_mean_squared_error": "rmse",
    "mean_absolute_error": "mae",
    "r2_score": "r2",
}
"""MLflow's name for each metric that is logged by hand too."""
OTHERS = (
    "example_count",
    "sum_on_target",
    "mean_on_target",
    "mean_squared_error",
    "max_error",
    "mean_absolute_percentage_error",
)


def _evaluated(run):
    """Refuse a run without an evaluation, or without the training; the hint says what to do."""
    assert "root_mean_squared_error" in run.data.metrics, (
        "there is no evaluation on the run yet: inside the `with`, below log_model, call "
        "mlflow.models.evaluate with the logged model's URI, and the table `test` as data=."
    )
    alone = not ("rmse" in run.data.metrics or run.outputs.model_outputs)
    assert not (alone and "mlflow.parentRunId" in run.data.tags), (
        "the evaluation has a run of its own inside of the training's: take out the second "
        "`start_run`, and call evaluate in the run that is open already."
    )
    assert not alone, (
        f'the evaluation has a run of its own, "{run.info.run_name}", without the training: put '
        "four spaces before each of its lines, so that it stands inside the `with`, and run all "
        "cells again. If it was a variation of yours, delete it, and run all cells again."
    )


def _true(namespace):
    """The test wines' true qualities."""
    import numpy as np

    return np.asarray(namespace["y_test"], dtype=float)


LOGGED = "model_info.model_uri"


@catches(
    "the table has no column with the true values",
    put("test-table", "test = X_test"),
    hint="ended as FAILED",
    error="does not contain the specified targets column 'quality'",
)
@catches(
    "MLflow was not told which column holds the true values",
    swap("evaluate", '    targets="quality",\n', ""),
    hint="ended as FAILED",
    error="The targets argument must be specified for regressor models",
)
@catches(
    "the fitted model was given, and not the URI of the logged one",
    swap("evaluate", LOGGED, "model"),
    hint="ended as FAILED",
    error="The model argument must be a string URI",
)
@catches(
    "MLflow was not told what kind of model it is",
    swap("evaluate", 'model_type="regressor",', ""),
    hint="ended as FAILED",
    error="The extra_metrics argument must be specified model_type is None",
)
@catches(
    "the kind of model was misspelt",
    swap("evaluate", '"regressor"', '"regression"'),
    hint="ended as FAILED",
    error="could not be evaluated by any of the registered evaluators",
)
@given
def test_a_run_finished(run):
    "a run finished"


@catches(
    "evaluate stands below the `with`, and opens a run of its own",
    remove("evaluate"),
    remove("config"),
    put(
        "autolog-off",
        "mlflow.sklearn.autolog(disable=True)\n"
        "evaluation = mlflow.models.evaluate(\n"
        '    model_info.model_uri, data=test, targets="quality", model_type="regressor",\n'
        '    evaluator_config={"log_model_explainability": False}\n'
        ")",
    ),
    hint="the evaluation has a run of its own",
)
@catches(
    "the metrics by hand were deleted",
    swap("log-metrics", "mlflow.log_metrics(metrics)", ""),
    hint="keep mlflow.log_metrics(metrics)",
    error="KeyError: 'metrics.rmse'",
)
@catches(
    "the evaluation opened a run inside of the run",
    swap(
        "evaluate", "evaluation = mlflow", "with mlflow.start_run(nested=True): evaluation = mlflow"
    ),
    hint="take out the second `start_run`",
)
def test_it_is_the_run_of_the_training(run):
    "the evaluation is on the run of the training"
    _evaluated(run)
    missing = [name for name in OWN.values() if name not in run.data.metrics]
    assert not missing, (
        f"{', '.join(missing)} not on the run: keep mlflow.log_metrics(metrics). What `evaluate` "
        "says is compared with it."
    )


@catches(
    "the training table was evaluated",
    put("test-table", "test = X_train.assign(quality=y_train)"),
    hint="1199 wines, those that the model has learned from",
)
@catches(
    "the whole table was evaluated",
    put("test-table", "test = wine"),
    hint="1599 wines, and there are 400 test wines",
)
@catches(
    "the predictions were given as the truth, and all is perfect",
    swap("evaluate", "evaluation = ", "test = X_test.assign(quality=predictions)\nevaluation = "),
    hint="does not hold the true values",
)
def test_it_saw_the_test_wines(run, namespace):
    "it was asked about the test wines, and knew their true quality"
    _evaluated(run)
    true, count = _true(namespace), run.data.metrics.get("example_count")
    assert count is not None, (
        '`evaluate` has not counted the wines that it was asked about: say model_type="regressor".'
    )
    assert count != len(namespace["y_train"]), (
        f"it was asked about {count:g} wines, those that the model has learned from: give it "
        "data=test, with `test` made of X_test and y_test."
    )
    assert count == len(true), (
        f"it was asked about {count:g} wines, and there are {len(true)} test wines: give it "
        "data=test, with `test` made of X_test and y_test."
    )
    assert close(run.data.metrics["sum_on_target"], true.sum()), (
        'the column "quality" of `test` does not hold the true values: they are in y_test, so '
        "test = X_test.assign(quality=y_test)."
    )


@catches(
    "an older model was evaluated, from a URI that was written down",
    swap("evaluate", LOGGED, "older"),
    before(
        "import mlflow\n"
        "from sklearn.linear_model import LinearRegression\n"
        'with mlflow.start_run(run_name="older"):\n'
        "    older = mlflow.sklearn.log_model(\n"
        "        LinearRegression().fit([[0.0] * 11], [5.0]),\n"
        '        name="model", pip_requirements=["scikit-learn"]\n'
        "    ).model_uri"
    ),
    hint="evaluate the model of this run",
)
@catches(
    "the true values stand in another order than the wines",
    put("test-table", "test = X_test.assign(quality=sorted(y_test))"),
    hint="whose quality is y_test row by row",
)
def test_its_metrics_are_yours(run, namespace):
    "root_mean_squared_error, mean_absolute_error and r2_score are your rmse, mae and r2"
    _evaluated(run)
    true = regression_metrics(_true(namespace), namespace["predictions"])
    for name, mine in OWN.items():
        found, logged = run.data.metrics.get(name), run.data.metrics.get(mine)
        assert found is not None and logged is not None, (
            f"{mine if logged is None else name} is not on the run: both belong there, yours by "
            "mlflow.log_metrics(metrics), MLflow's by evaluate."
        )
        assert close(found, true[mine]) and close(logged, true[mine]), (
            f"the run says {name} = {found:.4f} and {mine} = {logged:.4f}, and the predictions "
            f"give {true[mine]:.4f}: evaluate the model of this run on `test`, whose quality is "
            "y_test row by row, and log eval_metrics(y_test, predictions), rounded nowhere."
        )


@catches(
    "three metrics were named, in place of the kind of model",
    swap(
        "evaluate",
        'model_type="regressor",',
        "extra_metrics=[\n"
        "        mlflow.metrics.rmse(), mlflow.metrics.mae(), mlflow.metrics.r2_score()\n"
        "    ],",
    ),
    hint='say model_type="regressor", and MLflow computes nine',
)
def test_the_other_metrics_are_right(run, namespace):
    "the six other metrics of a regressor are there, and right"
    _evaluated(run)
    import numpy as np

    true = _true(namespace)
    error = np.abs(np.ravel(np.asarray(namespace["predictions"], dtype=float)) - true)
    expected = (
        len(true),
        true.sum(),
        true.mean(),
        (error**2).mean(),
        error.max(),
        (error / true).mean(),
    )
    for name, value in zip(OTHERS, expected, strict=True):
        assert name in run.data.metrics, (
            f'{name} is not on the run: say model_type="regressor", and MLflow computes nine.'
        )
        assert close(run.data.metrics[name], value), (
            f"the run says {name} = {run.data.metrics[name]:.4f}, and numpy {value:.4f}: evaluate "
            "the model of this run on `test`."
        )


@catches(
    "the fitted model's predict was evaluated, and not the logged model",
    swap("evaluate", LOGGED, "model.predict"),
    hint="is not the logged model of this run",
)
@catches(
    "the model was named by the address of its run, as in MLflow 2",
    swap("evaluate", LOGGED, 'f"runs:/{model_info.run_id}/model"'),
    hint='begins with "runs:/"',
)
def test_it_asked_the_logged_model(run, client):
    "it asked the logged model, whose page shows the figures too"
    _evaluated(run)
    ids = [found.model_id for found in run.outputs.model_outputs]
    assert ids, "there is no model on the run: keep log_model inside the `with`, above evaluate."
    on_model = client.get_logged_model(ids[0]).metrics or []
    assert any(m.key == "r2_score" and m.run_id == run.info.run_id for m in on_model), (
        "what was evaluated is not the logged model of this run: the first argument is its URI, "
        'model_info.model_uri, and no variable or older URI. An address that begins with "runs:/" '
        "finds the right model, but MLflow then notes the figures on no model."
    )


@catches(
    "only the metrics of the answer were kept",
    put("config", '    evaluator_config={"log_model_explainability": False},\n).metrics'),
    hint="keep the whole answer",
    error="'dict' object has no attribute 'metrics'",
)
@catches(
    "the answer was not kept",
    swap("evaluate", "evaluation = mlflow", "mlflow"),
    hint="begin that line with `evaluation = `",
    error="name 'evaluation' is not defined",
)
def test_the_answer_was_kept(run, namespace):
    "`evaluation` holds the answer, with the same metrics"
    _evaluated(run)
    from mlflow.models import EvaluationResult

    found = namespace.get("evaluation")
    assert not isinstance(found, dict), (
        "`evaluation` holds the metrics alone: keep the whole answer of evaluate, without "
        "`.metrics` behind its bracket."
    )
    assert isinstance(found, EvaluationResult), (
        "`evaluation` is not what mlflow.models.evaluate has answered: begin that line with "
        "`evaluation = `."
    )
    assert found.run_id == run.info.run_id, (
        "`evaluation` belongs to another run than your newest: run all cells again."
    )
    differ = [k for k, v in found.metrics.items() if not close(v, run.data.metrics.get(k, 1e99))]
    assert not differ, f"`evaluation` says another {differ[0]} than the run: run all cells again."
