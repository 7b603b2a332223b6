"""Autolog logs the training, and is switched off afterwards."""

from winelab.checks.authoring import catches, error, given, hint, put, remove, right, split, swap
from winelab.checks.comparing import expect_metrics, expect_params, plural, regression_metrics
from winelab.checks.looking import autolog_is_off
from winelab.checks.scratch import call

ON = "mlflow.sklearn.autolog(log_models=False)"
SWITCH_ON = f"switch autolog on above the `with`, `{ON}`."


def _own(namespace, model, table, quality):
    """The metrics of the student's model, asked where a call that autolog notices does no harm."""
    advice = f"Run the cells from the top, and give nothing else the names `model` and `{table}`."
    predicted = call(model.predict, namespace[table], on_error=advice)
    return regression_metrics(namespace[quality], predicted)


def _recorded(run):
    """Refuse a run on which autolog has logged nothing."""
    assert "training_score" in run.data.metrics, (
        "autolog has logged nothing on this run. It only sees calls of `fit` that come after it: "
        f"{SWITCH_ON}"
    )


@catches("autolog was switched off above the run instead of below it")
@put("autolog", f"{ON}\nmlflow.sklearn.autolog(disable=True)")
@remove("autolog-off")
@hint("autolog has logged nothing")
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
        f"{missing[0]} isn't on the run. A param logged by hand with another value makes autolog "
        "give up all of its own. Delete the line with `log_params`."
    )
    by_hand = sorted({"alpha", "l1_ratio"} & run.data.params.keys() - expected.keys())
    assert not by_hand, (
        f"{by_hand[0]} is logged by hand too, and what is logged twice can disagree. Delete the "
        "line with `log_params`."
    )
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
    expect_metrics(
        run,
        {
            "training_root_mean_squared_error": own["rmse"],
            "training_mean_squared_error": own["rmse"] ** 2,
            "training_mean_absolute_error": own["mae"],
            "training_r2_score": own["r2"],
            "training_score": own["r2"],
        },
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
    expect_metrics(
        run,
        _own(namespace, model, "X_test", "y_test"),
        missing="Keep `mlflow.log_metrics(metrics)`: autolog doesn't know the test wines.",
        wrong="Keep `metrics = eval_metrics(y_test, predictions)`.",
        source="on the test wines `model` gives",
    )


@catches("the dataset is still logged by hand")
@swap(
    "set-tags",
    "mlflow.set_tags",
    'by_hand = mlflow.data.from_pandas(wine, name="wine-train", targets="quality")\n'
    'mlflow.log_input(by_hand, context="training")\n'
    "mlflow.set_tags",
)
@hint("is logged twice")
@catches("the tables were deleted, and the lines that log them weren't")
@swap(
    "set-tags",
    "mlflow.set_tags",
    'mlflow.log_artifacts(tables, artifact_path="tables")\nmlflow.set_tags',
)
@hint("ended as FAILED")
@error("name 'tables' is not defined")
def test_the_data_is_logged_once(run, client, namespace):
    "the training table is logged once, by autolog, and no copy of it"
    _recorded(run)
    import mlflow
    import pandas as pd

    # "train" is autolog's word, "training" that of block [[artifacts]].
    logged = [
        entry.dataset
        for entry in run.inputs.dataset_inputs
        if any(tag.value in ("train", "training") for tag in entry.tags)
    ]
    table = namespace["X_train"]
    assert isinstance(table, pd.DataFrame), "`X_train` is no table: run the cells from the top."
    digest = mlflow.data.from_pandas(table).digest
    assert logged, "autolog logged no dataset: leave its `log_datasets` as it is."
    assert any(dataset.digest == digest for dataset in logged), (
        "autolog logged another table than `X_train`: call `model.fit(X_train, y_train)`."
    )
    assert len(logged) == 1, (
        "the training data is logged twice: delete the lines that log it by hand, "
        "`dataset = ...` and `mlflow.log_input(...)`."
    )
    copies = {"tables", "data"} & {entry.path for entry in client.list_artifacts(run.info.run_id)}
    assert not copies, (
        f'the run still has the folder "{min(copies)}": delete the lines with `log_artifacts` and '
        "`log_artifact` too."
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
        f"there are {plural(count, 'model')} on the run: autolog logged one too, as a pickle. Give "
        "it `log_models=False`."
    )


@catches("a model was fitted between autolog and the run")
@swap("autolog", "=False)", "=False)\nElasticNet(alpha=1.0).fit(X_train, y_train)")
@hint("started a run of its own")
@catches("autolog was on before alpha was chosen")
@remove("autolog")
@swap("candidates", "with mlflow", f"{ON}\nwith mlflow")
@hint("logged the cross-validation")
def test_only_the_final_fit_was_logged(run, runs, attempt):
    "autolog logged the final fit, and no other"
    _recorded(run)
    assert not any("mlflow.autologging" in one.data.tags for one in attempt), (
        "a call of `fit` outside your run started a run of its own: keep `model.fit(...)` inside "
        "the `with`, and any other fit outside the lines where autolog is on."
    )
    parent = next((one.info.run_id for one in runs if one.info.run_name == "alphas"), None)
    candidates = [one for one in runs if one.data.tags.get("mlflow.parentRunId") == parent]
    assert parent is None or not any("training_score" in one.data.metrics for one in candidates), (
        "autolog was on while alpha was chosen, and logged the cross-validation too: "
        f"{SWITCH_ON} Then run all cells from the top."
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
        "autolog is still on, and each later `fit` makes a run: below the `with`, call "
        "`mlflow.sklearn.autolog(disable=True)`."
    )


RIGHT_WAYS = (
    right(
        "autolog is switched on inside the run, right above fit",
        remove("autolog"),
        swap("fit", "model.fit", f"{ON}\nmodel.fit"),
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
            "for name in metrics:\n"
            "    mlflow.MlflowClient().log_metric(\n"
            "        mlflow.active_run().info.run_id, name, metrics[name]\n"
            "    )",
        ),
    ),
    right(
        "no example and no dataset of the test, by more arguments",
        swap("autolog", "log_models=False", "log_models=False, log_post_training_metrics=False"),
    ),
)
