"""The script is a program: functions that know only what they are given."""

from unittest.mock import Mock, patch

from winelab.checks.authoring import catches, error, hint, put, remove, right, skip_all, split, swap
from winelab.checks.comparing import close, expect_metrics, kind, listed, plural, same_column, short
from winelab.checks.looking import (
    EXPERIMENT,
    active_experiment_id,
    autolog_is_off,
    children_of,
    run_named,
)
from winelab.checks.scratch import call, scratch_store, student_function

FIVE = "X_train, X_test, y_train, y_test, test"


def _wines(rows, seed):
    """A small wine table in which the quality depends on one measurement, and on nothing else."""
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(seed)
    names = ("alcohol", "pH", "sulphates")
    wine = pd.DataFrame({name: rng.normal(size=rows).round(3) for name in names})
    return wine.assign(quality=(6 + wine["alcohol"] + 0.1 * rng.normal(size=rows)).round(2))


def _tables():
    """Five tables as read_wine returns them, of wines whose quality is chance."""
    import numpy as np

    wine = _wines(60, seed=1)
    wine["quality"] = np.random.default_rng(2).normal(6, 1, len(wine))
    X, y = wine.drop(columns="quality"), wine["quality"]
    return X[:45], X[45:], y[:45], y[45:], X[45:].assign(quality=y[45:])


@catches("the lines of the cell stayed outside of the function, below it")
@put("open-store", "def open_store():\n    pass\n\n\nif True:")
@hint("open_store must set the tracking URI")
@catches("no cell has been run yet", skip_all())
@hint("there is no function `open_store` yet")
def test_open_store(namespace):
    "open_store sets the store, and makes wine-quality the active experiment"
    import os

    import mlflow

    function = student_function(namespace, "open_store", "MLflow, and where it writes")

    def opened():
        address = os.environ["MLFLOW_TRACKING_URI"]
        mlflow.set_tracking_uri("sqlite:///elsewhere.db")
        os.environ["MLFLOW_TRACKING_URI"] = address
        function()
        set_there = "elsewhere" not in mlflow.get_tracking_uri()
        return set_there and mlflow.get_experiment(active_experiment_id()).name

    name = call(opened, on_error="It takes no arguments.")
    assert name, "open_store must set the tracking URI: indent its cell's lines below the `def`."
    assert name == EXPERIMENT, (
        f'open_store activates "{name}": keep mlflow.set_experiment("{EXPERIMENT}") in it.'
    )


@catches("read_wine returns nothing")
@swap("return-wine", "return X_train", "tables = X_train")
@hint("gives back nothing (None)")
@error("NoneType")
@catches("two of the tables are returned in the other order")
@put("return-wine", "return X_train, y_train, X_test, y_test, test")
@hint(f"returns its tables in another order: return {FIVE}")
@error("inconsistent numbers of samples")
@catches("the function reads the course's table, whatever file it is given")
@swap("read", "pd.read_csv(data_file", "pd.read_csv(course / 'data' / 'red-wine-quality.csv'")
@hint("read the file that it is given, as before")
@catches("the duplicates are no longer dropped")
@swap("read", ".drop_duplicates()", "")
@hint("keep `.drop_duplicates()`")
def test_read_wine(namespace):
    "read_wine reads the file that it is given, and returns five tables"
    import tempfile
    from pathlib import Path

    import pandas as pd

    function = student_function(namespace, "read_wine", "2. The wine table")
    wine = _wines(40, seed=3)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "some wines.csv"
        pd.concat([wine, wine[:8]]).to_csv(file, sep=";", index=False)
        advice = f"It takes the table's path, and returns {FIVE}."
        answer = call(function, file, on_error=advice, expect=(tuple, list))
    assert len(answer) == 5, f"read_wine returns {plural(len(answer), 'value')}. {advice}"
    sizes = [len(table) for table in answer]
    assert sizes[:2] != [36, 12], "read_wine keeps copies of wines: keep `.drop_duplicates()`."
    assert sorted(sizes) == [10, 10, 10, 30, 30], (
        "read_wine was given 40 different wines, and its tables have "
        f"{listed(map(str, sizes))} rows: read the file that it is given, as before."
    )
    kinds = [getattr(table, "ndim", 0) for table in answer]
    assert sizes == [30, 10, 30, 10, 10] and kinds == [2, 2, 1, 1, 2], (
        f"read_wine returns its tables in another order: return {FIVE}."
    )


@catches("choose_alpha returns nothing")
@put("chosen", 'best = float(candidates["params.alpha"][0])')
@hint("choose_alpha gives back nothing (None)")
@error("Got None instead")
@catches("the alpha is returned as a text")
@put("chosen", 'return candidates["params.alpha"][0]')
@hint("choose_alpha gives back a text")
@error("must be a float")
@catches("the tables were unpacked in another order")
@swap("choose-alpha", "X_train, _, y_train, _, _", "X_train, y_train, _, _, _")
@hint("X_train, _, y_train, _, _ = tables")
@error("inconsistent numbers of samples")
@catches("the table with the highest error was taken")
@put("chosen", 'return float(candidates["params.alpha"].iloc[-1])')
@hint("the lowest cv_rmse")
def test_choose_alpha(namespace):
    "choose_alpha cross-validates on the tables that it is given, and returns the best alpha"
    function = student_function(namespace, "choose_alpha", "3. Choose alpha")
    advice = "Its first line unpacks what it needs: X_train, _, y_train, _, _ = tables."
    with scratch_store() as client:
        best = call(function, [0.001, 3.0], 0.5, _tables(), on_error=advice, expect=(float, int))
        everywhere = [one.experiment_id for one in client.search_experiments()]
        made = client.search_runs(everywhere, filter_string="metrics.cv_rmse > 0")
    # These qualities are chance: the strong penalty, which predicts the mean, is the better one.
    tried = {run.data.params.get("alpha"): run.data.metrics["cv_rmse"] for run in made}
    assert {*tried} == {"0.001", "3.0"}, (
        "choose_alpha was given two alphas, and must log alpha and cv_rmse in a child for each of "
        f"them. cv_rmse is on {plural(len(made), 'run')}."
    )
    assert tried["3.0"] < tried["0.001"], f"choose_alpha looks at other wines. {advice}"
    found = f"choose_alpha returns {short(best)}, and 3 has the lowest cv_rmse"
    assert close(best, 3.0), f"{found}: return the first row's alpha, as a number."


@catches("the baseline's run is missing")
@swap("choice", "baseline_evaluation = evaluate_baseline(tables)", "baseline_evaluation = None")
@hint('there is no run "baseline"')
@error("object has no attribute 'metrics'")
@catches("the baseline's evaluation is not returned")
@put("baseline-evaluation", "mlflow.models.evaluate(")
@hint("evaluate_baseline gives back nothing (None)")
@error("object has no attribute 'metrics'")
def test_evaluate_baseline(runs, namespace):
    "evaluate_baseline evaluates the mean of the training wines, and returns the evaluation"
    function = student_function(namespace, "evaluate_baseline", "The baseline")
    _, X_test, y_train, _, _ = tables = _tables()
    # Evaluation takes a second.
    with patch("mlflow.models.evaluate", return_value=object()) as evaluate:
        answer = call(function, tables, on_error="It takes the tables that read_wine returns.")
    assert answer is evaluate.return_value, (
        f"evaluate_baseline gives back {kind(answer)}: return what mlflow.models.evaluate returns."
    )
    values, named = evaluate.call_args
    asked = [getattr(one, "df", one) for one in (*values, *named.values())]
    said = next((one.get("prediction") for one in asked if hasattr(one, "columns")), None)
    assert same_column(said, [y_train.mean()] * len(X_test)), (
        "the column prediction of `baseline_table` must be the mean of y_train for each test wine: "
        "use the tables that the function is given, and pass it to mlflow.models.evaluate."
    )
    run_named("baseline", runs, 'Call evaluate_baseline(tables) in the cell "4. Choose alpha".')


@catches("the chosen alpha was not used")
@swap("training", "train(alpha, ", "train(0.5, ")
@hint("call train with the alpha that choose_alpha returned")
@catches("the model was trained before alpha was chosen, with the first of the list")
@swap("choice", "alpha = choose_alpha(alphas, l1_ratio, tables)", "alpha = 0.2")
@hint('there is no run "alphas"')
@catches("train returns nothing")
@remove("return-model")
@hint("train gives back nothing (None)")
@error("'NoneType' object has no attribute 'run_id'")
def test_train(run, runs, namespace):
    "train makes the run with the chosen alpha, its metrics and the tag validation"
    student_function(namespace, "train", "4. Train")
    parent = run_named("alphas", runs, "Call choose_alpha(alphas, l1_ratio, tables).")
    below = [one.data for one in children_of(parent, runs)]
    known = [one for one in below if "alpha" in one.params and "cv_rmse" in one.metrics]
    assert known, "no candidate has an alpha and a cv_rmse: log both in choose_alpha."
    tried = {float(one.params["alpha"]): one.metrics["cv_rmse"] for one in known}
    assert run.outputs.model_outputs and "validation" in run.data.tags, (
        f'your newest run, "{run.info.run_name}", has no model or no tag "validation": call '
        'train(...) in the cell "5. Train, and what becomes of the model".'
    )
    # In a script it is a name of main(), which cannot be seen from here.
    info = namespace.get("model_info", run)
    assert info is not None, "train gives back nothing (None): end it with `return model_info`."
    best, found = min(tried, key=tried.get), run.data.params.get("elasticnet__alpha")
    assert found, "autolog has left no param on the run: keep its two lines in train."
    assert autolog_is_off("sklearn"), (
        "autolog is still on: `return model_info` stands below the line that turns it off, outside "
        "the `with`. Call mlflow.sklearn.autolog(disable=True) once, then run all cells."
    )
    assert close(float(found), best), (
        f"the model was trained with alpha {found}, and {best} has the lowest cv_rmse: call train "
        "with the alpha that choose_alpha returned."
    )
    full = run.data.metrics["root_mean_squared_error"]
    expect_metrics(run, {"rmse": full}, source="evaluate says", missing="Keep log_metrics in it.")


@catches("train logs the file, which is a variable of the notebook")
@swap("set-tags", "mlflow.set_tag", "mlflow.set_tag('table', data_file.name)\nmlflow.set_tag")
@hint("name 'data_file' is not defined")
@catches("the whole train cell was left as it was, beside the function")
@swap("prepare", "tables =", f"{FIVE} = tables =")
@swap("train", f"{FIVE} = tables", "pass")
@hint("Its first line unpacks the tables")
def test_train_knows_only_what_it_is_given(namespace):
    "train works on any tables, not only on these"
    function = student_function(namespace, "train", "4. Train")
    tables, advice = _tables(), f"Its first line unpacks the tables: {FIVE} = tables."
    asked = []

    def fit(X, y=None):
        asked.append(X)
        # Nothing is trained: what follows takes seconds.
        raise InterruptedError

    with patch.dict(function.__globals__, make_model=Mock(return_value=Mock(fit=fit))):
        function.__globals__.pop("data_file", None)
        call(function, 0.3, 0.6, tables, None, on_error=advice, may_raise=InterruptedError)
    assert asked and len(asked[0]) == len(tables[0]), (
        f"train fits its model to other wines than those it is given. {advice}"
    )


RIGHT_WAYS = (
    right(
        "the tables are a list, and not all are unpacked",
        put("return-wine", f"return [{FIVE}]"),
        swap("choose-alpha", "_, y_train, _, _ = tables", "_, y_train = tables[:3]"),
    ),
    right(
        "the best alpha is found without the store",
        swap("loop", "for alpha in alphas:", "tried = {}\nfor alpha in alphas:"),
        swap("log-candidate", "mlflow.log_p", "tried[alpha] = -scores.mean()\nmlflow.log_p"),
        put("chosen", "return min(tried, key=tried.get)"),
    ),
    right(
        "the functions are called by name, in cells of their own",
        swap("training", "tables, base", "tables=tables, baseline_evaluation=base"),
        split("choice", "baseline_evaluation ="),
    ),
    right(
        "train keeps the test table out of its five, and makes it again",
        swap("train", "test = tables", "_ = tables\n    test = X_test.assign(quality=y_test)"),
    ),
)
