"""Autolog logs the training, and is switched off afterwards."""

from winelab.checks.authoring import catches, error, given, hint, put, remove, right, split, swap
from winelab.checks.comparing import evaluate_metrics, expect_metrics, expect_params
from winelab.checks.looking import autolog_is_off
from winelab.checks.scratch import call

ON = "mlflow.sklearn.autolog(log_models=False)"
SWITCH_ON = f"switch autolog on above the `with`, `{ON}`."


def _own(namespace, model, table, quality):
    """The metrics of the student's model, asked where a call that autolog notices does no harm."""
    advice = f"Run the cells from the top, and give nothing else the names `model` and `{table}`."
    predicted = call(model.predict, namespace[table], on_error=advice)
    return evaluate_metrics(namespace[quality], predicted)


def _recorded(run):
    """Refuse a run on which autolog has logged nothing."""
    assert "training_score" in run.data.metrics, (
        f"autolog has logged nothing: it only sees calls of `fit` that come after it: {SWITCH_ON}"
    )


@catches("two models were fitted in one run: the params of one, the metrics of the other")
@swap("fit", "model.fit", "make_model(1.0, l1_ratio).fit(X_train, y_train)\nmodel.fit")
@hint("Fit one model in the run")
@catches("a param by hand with another value costs all of autolog's")
@swap("set-tags", "mlflow.set_tags", 'mlflow.log_param("verbose", 1)\nmlflow.set_tags')
@hint("Delete the line with `log_params`")
@catches("the line with log_params was left")
@swap("set-tags", "mlflow.set_tags", 'mlflow.log_param("alpha", alpha)\nmlflow.set_tags')
@hint("logged by hand too")
def test_autolog_logged_all_params(run, model):
    "all settings of your pipeline are on the run, logged by autolog"
    _recorded(run)
    expected = {name: str(value) for name, value in model.get_params().items()}
    missing = sorted(expected.keys() - run.data.params.keys())
    assert not missing, (
        f"{missing[0]} isn't on the run. Delete the line with `log_params`: a param logged by hand "
        "with another value makes autolog give up all of its own."
    )
    by_hand = sorted({"alpha", "l1_ratio"} & run.data.params.keys() - expected.keys())
    assert not by_hand, f"{by_hand[0]} is logged by hand too: delete the line with `log_params`."
    short = {name: text for name, text in expected.items() if "(" not in text}
    expect_params(run, short, wrong="Fit one model in the run, `model`.", source="`model` has")


@catches("autolog was switched on after fit")
@remove("autolog")
@swap("predict", "predictions = ", f"{ON}\npredictions = ")
@hint("only sees calls of `fit` that come after it")
@catches("the model was trained on the whole table")
@swap("fit", "(X_train, y_train)", "(X, y)")
@hint("on `X_train` and `y_train`")
def test_the_training_metrics_are_right(run, model, namespace):
    "the five training_ metrics are those of your model on the training wines"
    _recorded(run)
    own = _own(namespace, model, "X_train", "y_train")
    names = ("mean_absolute_error", "mean_squared_error", "root_mean_squared_error", "r2_score")
    expect_metrics(
        run,
        {f"training_{name}": own[name] for name in names} | {"training_score": own["r2_score"]},
        missing=SWITCH_ON.capitalize(),
        wrong="Call `model.fit` once in the run, on `X_train` and `y_train`.",
        source="on the training wines `model` gives",
    )


@catches("the test metrics were deleted too")
@put("log-metrics", "metrics = eval_metrics(y_test, predictions)")
@hint("autolog doesn't know the test wines")
@given
def test_the_test_metrics_are_still_there(run, model, namespace):
    "rmse, mae and r2 on the test wines are still there, logged by you"
    own = _own(namespace, model, "X_test", "y_test")
    names = {"rmse": "root_mean_squared_error", "mae": "mean_absolute_error", "r2": "r2_score"}
    expect_metrics(
        run,
        {short: own[name] for short, name in names.items()},
        missing="Keep `mlflow.log_metrics(metrics)`: autolog doesn't know the test wines.",
        wrong="Keep `metrics = eval_metrics(y_test, predictions)`.",
        source="on the test wines `model` gives",
    )


@catches("the dataset is still logged by hand")
@swap("fit", "model.fit", 'mlflow.log_input(mlflow.data.from_pandas(X), "training")\nmodel.fit')
@hint("is logged twice")
@catches("the tables were deleted, and the lines that log them weren't")
@swap("set-tags", "mlflow.set_tags", "mlflow.log_artifacts(tables)\nmlflow.set_tags")
@hint("ended as FAILED")
@error("name 'tables' is not defined")
def test_the_data_is_logged_once(run, client, namespace):
    "the training table is logged once, by autolog, and no copy of it"
    _recorded(run)
    import mlflow

    # "train" is autolog's word, "training" that of block [[artifacts]].
    logged = [
        entry.dataset.digest
        for entry in run.inputs.dataset_inputs
        if any(tag.value in ("train", "training") for tag in entry.tags)
    ]
    assert logged, "autolog logged no dataset: leave its `log_datasets` as it is."
    assert mlflow.data.from_pandas(namespace["X_train"]).digest in logged, (
        "autolog logged another table than `X_train`: call `model.fit(X_train, y_train)`."
    )
    assert len(logged) == 1, (
        "the training data is logged twice: delete `dataset = ...` and `mlflow.log_input(...)`."
    )
    copies = {"tables", "data"} & {entry.path for entry in client.list_artifacts(run.info.run_id)}
    assert not copies, (
        f"the run still has {min(copies)}: delete `log_artifacts` and `log_artifact`."
    )


@catches("autolog logs its model, beside that of the script")
@swap("autolog", "log_models=False", "")
@hint("autolog logged one too")
@catches("log_model was deleted, and autolog told to log no model")
@remove("log-model")
@remove("requirements")
@remove("show-model")
@hint("keep `mlflow.sklearn.log_model(...)`")
@given
def test_one_model_is_on_the_run(run):
    "exactly one model is on the run"
    count = len(run.outputs.model_outputs)
    assert count, "there is no model on the run: keep `mlflow.sklearn.log_model(...)`."
    assert count == 1, (
        f"there are {count} models on the run: autolog logged one too. Give it `log_models=False`."
    )


@catches("a model was fitted between autolog and the run")
@swap("autolog", "=False)", "=False)\nElasticNet(alpha=1.0).fit(X_train, y_train)")
@hint("started a run of its own")
@catches("autolog was on before alpha was chosen")
@remove("autolog")
@swap("candidates", "with mlflow", f"{ON}\nwith mlflow")
@hint("autolog was on while alpha was chosen")
def test_only_the_final_fit_was_logged(run, runs, attempt):
    "autolog logged the final fit, and no other"
    _recorded(run)
    assert not any("mlflow.autologging" in one.data.tags for one in attempt), (
        "a `fit` started a run of its own: move it into the `with`, or to where autolog is off."
    )
    newest = next((one.info.run_id for one in runs if one.info.run_name == "alphas"), "none")
    chosen = [one for one in runs if one.data.tags.get("mlflow.parentRunId") == newest]
    assert not any("training_score" in one.data.metrics for one in chosen), (
        f"autolog was on while alpha was chosen: {SWITCH_ON} Then run all cells from the top."
    )


@catches("autolog stays on")
@remove("autolog-off")
@hint("`mlflow.sklearn.autolog(disable=True)`")
@catches("mlflow.autolog(disable=True) doesn't switch mlflow.sklearn.autolog() off")
@put("autolog-off", "mlflow.autolog(disable=True)")
@hint("autolog is still on")
def test_autolog_is_off_again(run):
    "autolog is off again"
    _recorded(run)
    # Asked, not tried: a fit would make the very run that this is about.
    assert autolog_is_off("sklearn"), (
        "autolog is still on: below the `with`, call `mlflow.sklearn.autolog(disable=True)`."
    )


RIGHT_WAYS = (
    right(
        "autolog is switched on inside the run, right above fit, with one more argument",
        remove("autolog"),
        swap("fit", "model.fit", f"{ON[:-1]}, log_post_training_metrics=False)\nmodel.fit"),
    ),
    right(
        "the run is opened and ended by two calls, and autolog is switched off in another cell",
        put("run", 'mlflow.start_run(run_name="elasticnet")\nif True:'),
        swap("requirements", "\n)", "\n)\nmlflow.end_run()"),
        split("train", "mlflow.sklearn.autolog(disable"),
    ),
    right(
        "a client logs the test metrics, one by one",
        swap(
            "log-metrics",
            "mlflow.log_metrics(metrics)",
            "client, run = mlflow.MlflowClient(), mlflow.active_run()\n"
            "for name in metrics:\n    client.log_metric(run.info.run_id, name, metrics[name])",
        ),
    ),
)
