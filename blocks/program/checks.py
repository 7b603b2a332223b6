"""The script is a program: functions that know only what they are given."""

from contextlib import contextmanager

from winelab.checks.authoring import catches, error, hint, put, remove, right, skip_all, split, swap
from winelab.checks.comparing import close, expect_metrics, plural, same_column, short
from winelab.checks.fixtures import EXPERIMENT
from winelab.checks.looking import active_experiment_id, run_named
from winelab.checks.scratch import call, scratch_store, student_function

NAMES = ("X_train", "X_test", "y_train", "y_test", "test")


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
        there = mlflow.get_tracking_uri()
        if "elsewhere" in there:
            return there, ""
        return there, mlflow.get_experiment(active_experiment_id()).name

    uri, name = call(opened, on_error="It takes no arguments.")
    assert "elsewhere" not in uri, (
        "open_store must set the tracking URI: indent all lines of its cell below the `def` line."
    )
    assert name == EXPERIMENT, (
        f'after open_store() the active experiment is "{name}": keep '
        f'mlflow.set_experiment("{EXPERIMENT}") in it.'
    )


@catches("read_wine returns nothing")
@swap("return-wine", "return X_train", "tables = X_train")
@hint("gives back nothing (None)")
@error("NoneType")
@catches("two of the tables are returned in the other order")
@swap("return-wine", "X_train, X_test, y_train, y_test", "X_train, y_train, X_test, y_test")
@hint("return X_train, X_test, y_train, y_test, test")
@error("inconsistent numbers of samples")
@catches("the function reads the course's table, whatever file it is given")
@swap("read", "pd.read_csv(data_file", "pd.read_csv(course / 'data' / 'red-wine-quality.csv'")
@hint("read the file that it is given")
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
        advice = "It takes the table's path, and returns X_train, X_test, y_train, y_test, test."
        answer = call(function, file, on_error=advice, expect=(tuple, list))
    assert len(answer) == len(NAMES), f"read_wine returns {plural(len(answer), 'value')}. {advice}"
    sizes = [len(table) for table in answer]
    assert len(set(sizes[:2])) == 2, (
        "read_wine returns its tables in another order: return X_train, X_test, y_train, y_test, "
        "test."
    )
    assert sizes != [36, 12, 36, 12, 12], (
        "read_wine keeps rows that are exact copies of others: keep `.drop_duplicates()`."
    )
    assert sum(sizes[:2]) == 40, (
        f"read_wine was given a file with 40 different wines, and returns {sum(sizes[:2])}: read "
        "the file that it is given, `data_file`."
    )
    kinds = [getattr(table, "ndim", 0) for table in answer]
    assert sizes == [30, 10, 30, 10, 10] and kinds == [2, 2, 1, 1, 2], (
        "read_wine returns its tables in another order: return X_train, X_test, y_train, y_test, "
        "test."
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
    assert len(made) == 2, (
        f"choose_alpha was given two alphas, and logged a cv_rmse for {plural(len(made), 'run')}: "
        "keep a child for each alpha in it."
    )
    tried = {float(run.data.params["alpha"]): run.data.metrics["cv_rmse"] for run in made}
    assert tried[3.0] < tried[0.001], f"choose_alpha looks at other wines. {advice}"
    assert close(best, 3.0), (
        f"choose_alpha returns {short(best)}, and 3.0 has the lowest cv_rmse: return the first "
        "row's alpha, as a number."
    )


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
    with _quick_evaluation() as asked:
        answer = call(function, tables, on_error="It takes the tables that read_wine returns.")
    assert answer is not None, (
        "evaluate_baseline gives back nothing (None): return what mlflow.models.evaluate returns."
    )
    guesses = next((one for one in asked if hasattr(one, "columns")), None)
    assert answer is _EVALUATION and guesses is not None and "prediction" in guesses, (
        "evaluate_baseline must return what mlflow.models.evaluate returns for the table `guesses`."
    )
    assert len(guesses) == len(X_test) and same_column(
        guesses["prediction"], [y_train.mean()] * len(X_test)
    ), "the baseline predicts the mean of y_train for each test wine: use the tables it is given."
    run_named("baseline", runs, 'Call evaluate_baseline(tables) in the cell "4. Choose alpha".')


_EVALUATION = object()
"""What stands for an evaluation where a check calls a function that evaluates."""


@contextmanager
def _quick_evaluation():
    """Let mlflow.models.evaluate note what it is given, and do nothing else: it takes a second."""
    from unittest.mock import patch

    asked = []

    def evaluate(*values, **named):
        asked.extend([*values, *named.values()])
        return _EVALUATION

    with patch("mlflow.models.evaluate", evaluate):
        yield asked


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
    "train makes the run with the chosen alpha, its metrics and the verdict"
    student_function(namespace, "train", "4. Train")
    parent = run_named("alphas", runs, "Call choose_alpha(alphas, l1_ratio, tables).")
    below = [one for one in runs if one.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    tried = {float(one.data.params["alpha"]): one.data.metrics["cv_rmse"] for one in below}
    assert run.outputs.model_outputs and "validation" in run.data.tags, (
        f'your newest run, "{run.info.run_name}", has no model or no tag "validation": call '
        'train(...) in the cell "5. Train, and what becomes of the model".'
    )
    # In a script it is a name of main(), which cannot be seen from here.
    info = namespace.get("model_info", run)
    assert info is not None, "train gives back nothing (None): end it with `return model_info`."
    best, found = min(tried, key=tried.get), float(run.data.params["elasticnet__alpha"])
    assert close(found, best), (
        f"the model was trained with alpha {found}, and {best} has the lowest cv_rmse: call train "
        "with the alpha that choose_alpha returned."
    )
    full = run.data.metrics["root_mean_squared_error"]
    expect_metrics(run, {"rmse": full}, source="evaluate says", missing="Keep log_metrics in it.")


@catches("the whole train cell was left as it was, beside the function")
@swap("training", "model_info = train(", "X_train = tables[0]\nmodel_info = train(")
@swap(
    "choice",
    "alpha = choose",
    "X_train, X_test, y_train, y_test, test = tables\nalpha = choose",
)
@swap("train", "    X_train, X_test, y_train, y_test, test = tables", "    tables = None")
@hint("Its first line unpacks the tables")
def test_train_knows_only_what_it_is_given(namespace):
    "train works on any tables, not only on these"
    function = student_function(namespace, "train", "4. Train")
    asked = []

    def fitted(*values):
        asked.extend(values)
        raise _Enough

    from unittest.mock import patch

    tables = _tables()
    with patch.dict(function.__globals__, {"make_model": lambda *given: _Model(fitted)}):
        call(
            function,
            0.3,
            0.6,
            tables,
            None,
            on_error="Its first line unpacks the tables.",
            may_raise=_Enough,
        )
    assert asked and len(asked[0]) == len(tables[0]), (
        "train fits its model to other wines than those it is given. Its first line unpacks the "
        "tables: X_train, X_test, y_train, y_test, test = tables."
    )


class _Enough(Exception):
    """Raised in place of training: what follows takes seconds."""


class _Model:
    """What stands for a model, to see which wines it is given."""

    def __init__(self, fit):
        self.fit = fit


RIGHT_WAYS = (
    right(
        "the tables are a list, and are unpacked one by one",
        swap(
            "return-wine",
            "return X_train, X_test, y_train, y_test, test",
            "return [X_train, X_test, y_train, y_test, test]",
        ),
        swap(
            "choose-alpha",
            "X_train, _, y_train, _, _ = tables",
            "X_train, y_train = tables[0], tables[2]",
        ),
    ),
    right(
        "the best alpha is found without the store",
        swap("loop", "for alpha in alphas:", "tried = {}\nfor alpha in alphas:"),
        swap(
            "log-candidate",
            'mlflow.log_metric("cv_rmse", -scores.mean())',
            'tried[alpha] = -scores.mean()\nmlflow.log_metric("cv_rmse", tried[alpha])',
        ),
        put("chosen", "return min(tried, key=tried.get)"),
    ),
    right(
        "the functions are called by name, in cells of their own",
        swap(
            "training",
            "train(alpha, l1_ratio, tables, baseline_evaluation)",
            "train(alpha, l1_ratio, baseline_evaluation=baseline_evaluation, tables=tables)",
        ),
        split("choice", "baseline_evaluation ="),
    ),
    right(
        "train keeps the test table out of its five, and makes it again",
        swap(
            "train",
            "y_test, test = tables",
            "y_test = tables[:4]\n    test = X_test.assign(quality=y_test)",
        ),
    ),
)
