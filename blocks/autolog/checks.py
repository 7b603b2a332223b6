"""Autolog keeps the books of the training, and is put away afterwards."""

from winelab.checks.authoring import catches, given, put, remove, swap
from winelab.checks.comparing import close, regression_metrics
from winelab.checks.looking import autolog_is_off

METRICS = ("rmse", "mae", "r2")


def _figures(namespace, model, table, quality):
    """RMSE, MSE, MAE and R2 of the student's model.

    Not with model.predict: should autolog still be on, it would note the call.
    """
    import numpy as np

    predicted = namespace[table].to_numpy(dtype=float) @ np.ravel(model.coef_) + model.intercept_
    figures = regression_metrics(namespace[quality], predicted)
    return {**figures, "mse": figures["rmse"] ** 2}


def _recorded(run):
    """Refuse a run on which autolog has written nothing; the hint says what to do."""
    assert "training_score" in run.data.metrics, (
        "autolog has recorded nothing: call mlflow.sklearn.autolog(log_models=False) above the "
        "`with`. It sees the calls of fit that come later, not those before it."
    )


@catches(
    "the lines by hand were deleted, and autolog never turned on",
    remove("autolog"),
    remove("autolog-off"),
    hint="autolog has recorded nothing",
)
@catches(
    "autolog was disabled above the run instead of below it",
    put(
        "autolog", "mlflow.sklearn.autolog(log_models=False)\nmlflow.sklearn.autolog(disable=True)"
    ),
    remove("autolog-off"),
    hint="autolog has recorded nothing",
)
@catches(
    "two models were fitted in one run: the params of one, the figures of the other",
    swap("fit", "model.fit", "ElasticNet(alpha=0.1).fit(X_train, y_train)\nmodel.fit"),
    hint="let each run see one fit",
)
@catches(
    "a param by hand with another value costs all of autolog's",
    swap("set-tags", "mlflow.set_tags", 'mlflow.log_params({"alpha": 1})\nmlflow.set_tags'),
    hint="makes autolog give up all of its own",
)
def test_autolog_recorded_all_params(run, model):
    "all settings of the model are on the run, and are those of your model"
    _recorded(run)
    # MLflow keeps a param as a text.
    real = {name: str(value) for name, value in model.get_params(deep=False).items()}
    missing = sorted(set(real) - set(run.data.params))
    assert not missing, (
        f"{', '.join(missing[:3])} not on the run: a param written by hand with another value "
        "makes autolog give up all of its own. Delete the line with log_params."
    )
    wrong = [name for name in real if run.data.params[name] != real[name]]
    assert not wrong, (
        f"the run says {wrong[0]} = {run.data.params[wrong[0]]}, and `model` has "
        f"{real[wrong[0]]}: let each run see one fit, the one of `model`."
    )


@catches(
    "autolog was turned on after fit",
    remove("autolog"),
    swap("predict", "predictions = ", "mlflow.sklearn.autolog(log_models=False)\npredictions = "),
    hint="not those before it",
)
@catches(
    "the model was trained on the whole table",
    swap("fit", "(X_train, y_train)", "(X, y)"),
    hint="on X_train and y_train",
)
def test_the_training_metrics_are_right(run, model, namespace):
    "the five training_ metrics are those of your model on the training wines"
    _recorded(run)
    own = _figures(namespace, model, "X_train", "y_train")
    expected = {
        "training_root_mean_squared_error": own["rmse"],
        "training_mean_squared_error": own["mse"],
        "training_mean_absolute_error": own["mae"],
        "training_r2_score": own["r2"],
        "training_score": own["r2"],
    }
    for name, value in expected.items():
        assert name in run.data.metrics, (
            f"{name} is not on the run: call mlflow.sklearn.autolog(log_models=False) above the "
            "`with`, and run the cell again."
        )
        logged = run.data.metrics[name]
        assert close(logged, value), (
            f"the run says {name} = {logged:.4f}, and `model` has {value:.4f} on the training "
            "wines: fit once in the run, on X_train and y_train."
        )


@catches(
    "the test metrics were deleted too",
    put("log-metrics", "metrics = eval_metrics(y_test, predictions)"),
    hint="autolog knows the training, not the test",
    error="KeyError: 'metrics.rmse'",
)
@catches(
    "the metrics by hand were turned into those of the training wines",
    swap("log-metrics", "(y_test, predictions)", "(y_train, model.predict(X_train))"),
    hint="on the test wines",
)
@given
def test_the_test_metrics_are_still_there(run, model, namespace):
    "rmse, mae and r2 on the test wines are still there, logged by you"
    own = _figures(namespace, model, "X_test", "y_test")
    missing = [name for name in METRICS if name not in run.data.metrics]
    assert not missing, (
        f"{', '.join(missing)} not on the run: autolog knows the training, not the test. Keep "
        "mlflow.log_metrics(metrics), inside the `with`."
    )
    for name in METRICS:
        assert close(run.data.metrics[name], own[name]), (
            f"the run says {name} = {run.data.metrics[name]:.4f}, and `model` has {own[name]:.4f} "
            "on the test wines: keep metrics = eval_metrics(y_test, predictions)."
        )


@catches(
    "the data is still noted by hand",
    swap(
        "set-tags",
        "mlflow.set_tags",
        'noted = mlflow.data.from_pandas(wine, name="wine-train", targets="quality")\n'
        'mlflow.log_input(noted, context="training")\n'
        "mlflow.set_tags",
    ),
    hint="is noted 2 times",
)
@catches(
    "the file of the whole table is still logged",
    swap(
        "set-tags",
        "mlflow.set_tags",
        'mlflow.log_artifact(data_file, artifact_path="data")\nmlflow.set_tags',
    ),
    hint="log_artifact too",
)
@catches(
    "the tables were deleted, and the lines that log them were not",
    swap(
        "set-tags",
        "mlflow.set_tags",
        'mlflow.log_artifacts(tables, artifact_path="tables")\nmlflow.set_tags',
    ),
    hint="ended as FAILED",
    error="name 'tables' is not defined",
)
def test_the_data_is_noted_once(run, client, namespace):
    "the training table is noted once, by autolog, and no copy of it is logged"
    _recorded(run)
    import mlflow

    # "train" is autolog's word, "training" the one of block [[artifacts]].
    noted = [
        entry.dataset
        for entry in run.inputs.dataset_inputs
        if any(tag.value in ("train", "training") for tag in entry.tags)
    ]
    digest = mlflow.data.from_pandas(namespace["X_train"]).digest
    assert any(dataset.digest == digest for dataset in noted), (
        "autolog noted another table than X_train: call model.fit(X_train, y_train) inside the "
        "`with`."
    )
    assert len(noted) == 1, (
        f"the training data is noted {len(noted)} times: delete the lines that log it by hand, "
        "`dataset = ...` and `mlflow.log_input(...)`."
    )
    copies = {"tables", "data"} & {entry.path for entry in client.list_artifacts(run.info.run_id)}
    assert not copies, (
        f'the run still has the folder "{min(copies)}": delete the lines with log_artifacts and '
        "log_artifact too."
    )


@catches(
    "autolog logs its model, beside the one of the script",
    swap("autolog", "log_models=False", ""),
    hint="autolog made one too",
)
@catches(
    "log_model was deleted, and autolog told to log none",
    remove("log-model"),
    remove("requirements"),
    remove("show-model"),
    hint="keep mlflow.sklearn.log_model",
)
@given
def test_exactly_one_model_is_on_the_run(run):
    "exactly one model is on the run"
    count = len(run.outputs.model_outputs)
    assert count, "there is no model on the run: keep mlflow.sklearn.log_model(...)."
    assert count == 1, (
        f"there are {count} models on the run: autolog made one too, as a pickle. Say "
        "log_models=False in mlflow.sklearn.autolog."
    )


@catches(
    "the fit stands outside of the run, so that autolog opens one of its own",
    swap("autolog", "=False)", "=False)\nElasticNet(alpha=1.0).fit(X_train, y_train)"),
    hint="which nobody asked for",
)
def test_the_fit_made_no_run_of_its_own(attempt, run):
    "the cell made exactly one run, and it is yours"
    _recorded(run)
    alone = [r for r in attempt if "mlflow.autologging" in r.data.tags]
    assert not alone, (
        "a fit outside of your run made a run of its own, which nobody asked for: keep "
        "model.fit(...) inside the `with`, and each other fit below autolog(disable=True)."
    )
    assert len(attempt) == 1, (
        f"the cell made {len(attempt)} runs: one `with mlflow.start_run(...)` is enough."
    )


@catches("autolog stays on", remove("autolog-off"), hint="mlflow.sklearn.autolog(disable=True)")
@catches(
    "mlflow.autolog(disable=True) does not turn mlflow.sklearn.autolog() off",
    put("autolog-off", "mlflow.autolog(disable=True)"),
    hint="autolog is still on",
)
def test_autolog_is_off_again(run):
    "autolog is off again"
    _recorded(run)
    # Asked, not tried: a fit would make the very run that this is about.
    assert autolog_is_off("sklearn"), (
        "autolog is still on, and each later fit makes a run of its own: below the `with`, call "
        "mlflow.sklearn.autolog(disable=True)."
    )
