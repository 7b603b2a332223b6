"""The model stands beside the mean, and beats it."""

from winelab.checks.authoring import after, before, catches, given, put, remove, skip_all, swap
from winelab.checks.comparing import close, regression_metrics

METRICS = ("rmse", "mae", "r2")


def _of_the_mean(namespace, learned="y_train", asked="y_test"):
    """The metrics of saying the mean of `learned` for each wine of `asked`."""
    import numpy as np

    actual = namespace[asked]
    return regression_metrics(actual, np.full(len(actual), namespace[learned].mean()))


def _baseline(namespace):
    """The student's baseline, which must be a model."""
    baseline = namespace.get("baseline")
    assert baseline is None or hasattr(baseline, "predict"), (
        f"`baseline` is of the kind {type(baseline).__name__}, and no model: keep the model "
        'itself, baseline = DummyRegressor(strategy="mean").fit(X_train, y_train). What it says '
        "comes from baseline.predict(X_test)."
    )
    assert baseline is not None and not isinstance(baseline, type), (
        "there is no model `baseline` yet: above the line that turns autolog on, write baseline = "
        'DummyRegressor(strategy="mean").fit(X_train, y_train).'
    )
    return baseline


def _dummy_metrics(run, runs):
    """The baseline's three metrics on the run; refuse a run that lacks them."""
    missing = [f"dummy_{name}" for name in METRICS if f"dummy_{name}" not in run.data.metrics]
    assert not (missing and any(r.info.status == "RUNNING" for r in runs)), (
        "a run is still open, and the baseline's metrics are not on yours: logged after the "
        "`with`, they open a run of their own. Call mlflow.end_run(), and log them inside."
    )
    assert not missing, (
        f"{', '.join(missing)} not on the run: inside the `with`, log `baseline_metrics` with "
        '"dummy_" in front of each name.'
    )
    return {name: run.data.metrics[f"dummy_{name}"] for name in METRICS}


BASELINE = (
    'baseline = DummyRegressor(strategy="mean").fit(X_train, y_train)\n'
    "baseline_metrics = eval_metrics(y_test, baseline.predict(X_test))"
)
FIT = "fit(X_train, y_train)"
EVALUATE = "eval_metrics(y_test, baseline.predict(X_test))"
LOG = 'mlflow.log_metrics({f"dummy_{name}": value for name, value in baseline_metrics.items()})'


@catches("no cell has been run yet", skip_all(), hint="has made no run since it started")
@given
def test_a_run_finished(run):
    "a run finished"


@catches(
    "the baseline was fitted after autolog was turned on, which made a run of its own",
    remove("baseline"),
    swap("autolog", "log_models=False)", f"log_models=False)\n{BASELINE}"),
    hint="the cell made 2 runs",
)
@catches(
    "an earlier error had left autolog on",
    before("import mlflow\nmlflow.sklearn.autolog(log_models=False)"),
    hint="run the cell once more",
)
@catches(
    "the baseline was fitted inside the run, before the model: its params are there too",
    remove("baseline"),
    swap("set-tags", "mlflow.set_tags", f"{BASELINE}\nmlflow.set_tags"),
    hint="has the baseline's params too",
)
@catches(
    "the baseline was fitted inside the run, after the model: its figures are there instead",
    remove("baseline"),
    swap("log-baseline", LOG, f"{BASELINE}\n{LOG}"),
    hint="perhaps its training_ metrics",
)
@catches(
    "the baseline's metrics have the names of the model's, and replace them",
    put("log-baseline", "mlflow.log_metrics(baseline_metrics)"),
    hint="took the place of the model's",
)
@catches(
    "the baseline's metrics were put into a run of their own, inside of the model's",
    put("log-baseline", f'with mlflow.start_run(run_name="baseline", nested=True):\n    {LOG}'),
    hint='on a run of their own, "baseline"',
)
@given
def test_the_run_tells_of_your_model_alone(run, attempt, namespace):
    "the cell made one run, and all else on it is about your model"
    apart = [r for r in attempt if any(name.startswith("dummy_") for name in r.data.metrics)]
    assert not apart or any("rmse" in r.data.metrics for r in apart), (
        f'the baseline\'s metrics are on a run of their own, "{apart and apart[0].info.run_name}": '
        "log them in the run of the model, inside its `with`, and open no other."
    )
    assert len(attempt) == 1, (
        f"the cell made {len(attempt)} runs: autolog was on when the baseline was fitted. Fit it "
        "above `mlflow.sklearn.autolog(...)`. If it stands there already, an earlier error left "
        "autolog on: run the cell once more."
    )
    assert "strategy" not in run.data.params, (
        "the run has the baseline's params too, and perhaps its training_ metrics: fit the "
        "baseline above `mlflow.sklearn.autolog(...)`, before the run."
    )
    own = regression_metrics(namespace["y_test"], namespace["predictions"])
    for name in METRICS:
        assert name in run.data.metrics, (
            f"{name} is not on the run: keep mlflow.log_metrics(metrics), inside the `with`."
        )
        assert close(run.data.metrics[name], own[name]), (
            f"the run says {name} = {run.data.metrics[name]:.4f}, and your predictions give "
            f"{own[name]:.4f}: the baseline's figures took the place of the model's. Put "
            '"dummy_" in front of their names.'
        )


@catches(
    "the baseline learned from the test wines",
    swap("baseline", FIT, "fit(X_test, y_test)"),
    hint="has learned from the test wines",
)
@catches(
    "the baseline learned from the whole table",
    swap("baseline", FIT, "fit(X, y)"),
    hint="the test wines among them",
)
@catches(
    "the baseline says the median",
    swap("baseline", '"mean"', '"median"'),
    hint='take strategy="mean"',
)
@catches(
    "the model itself was taken as the baseline",
    swap("baseline", 'DummyRegressor(strategy="mean")', "ElasticNet(alpha=1.0)"),
    hint="different things of different wines",
)
def test_the_baseline_says_the_training_mean(namespace):
    "`baseline` says the mean quality of the training wines, whatever the wine"
    import numpy as np

    baseline = _baseline(namespace)
    from sklearn.exceptions import NotFittedError

    try:
        said = np.unique(baseline.predict(namespace["X_test"]))
    except NotFittedError:
        raise AssertionError("`baseline` is not fitted: call .fit(X_train, y_train).") from None
    assert len(said) == 1, (
        "`baseline` says different things of different wines: it must be "
        'DummyRegressor(strategy="mean"), which never looks at a measurement.'
    )
    right = namespace["y_train"].mean()
    if close(said[0], right):
        return
    assert not close(said[0], namespace["y_test"].mean()), (
        "`baseline` has learned from the test wines, whose mean nobody knows beforehand: fit it "
        "to X_train and y_train, as the model."
    )
    assert not close(said[0], namespace["y"].mean()), (
        "`baseline` has learned from all wines, the test wines among them: fit it to X_train and "
        "y_train, as the model."
    )
    raise AssertionError(
        f"`baseline` says {said[0]:.4f} of every wine, and the mean of y_train is {right:.4f}: "
        'take strategy="mean", and fit it to X_train and y_train.'
    )


@catches(
    "the baseline's metrics were never logged",
    remove("log-baseline"),
    hint='with "dummy_" in front',
)
@catches(
    "the baseline's metrics were logged after the run, which opens another one",
    remove("log-baseline"),
    after(LOG),
    hint="Call mlflow.end_run() once",
)
@catches(
    "what the baseline says was kept, and not the baseline",
    put(
        "baseline",
        f'baseline = DummyRegressor(strategy="mean").{FIT}.predict(X_test)\n'
        "baseline_metrics = eval_metrics(y_test, baseline)",
    ),
    hint="is of the kind ndarray, and no model",
)
@catches(
    "the model's metrics were logged as the baseline's",
    swap("log-baseline", "baseline_metrics", "metrics"),
    hint="log `baseline_metrics`, not `metrics`",
)
@catches(
    "the baseline was judged on the training wines",
    swap("baseline", EVALUATE, "eval_metrics(y_train, baseline.predict(X_train))"),
    hint="is that of the training wines",
)
@catches(
    "truth and predictions changed places, which only r2 shows",
    swap("baseline", EVALUATE, "eval_metrics(baseline.predict(X_test), y_test)"),
    hint="the true values first",
)
def test_its_metrics_are_on_the_run(run, runs, namespace):
    "dummy_rmse, dummy_mae and dummy_r2 are on the run, and are those of the mean"
    found = _dummy_metrics(run, runs)
    said = _baseline(namespace).predict(namespace["X_test"])
    assert abs(said - namespace["y_train"].mean()).max() < 1e-9, (
        "the metrics are those of another baseline than the mean of y_train: mend `baseline` "
        "first, as said above, and run the cell again."
    )
    right = _of_the_mean(namespace)
    train = _of_the_mean(namespace, asked="y_train")
    model = regression_metrics(namespace["y_test"], namespace["predictions"])
    for name in METRICS:
        if close(found[name], right[name]):
            continue
        assert not close(found[name], train[name]), (
            f"dummy_{name} is that of the training wines: compare baseline and model on the same "
            "wines, with eval_metrics(y_test, baseline.predict(X_test))."
        )
        assert not close(found[name], model[name]), (
            f"dummy_{name} is the model's {name}: log `baseline_metrics`, not `metrics`."
        )
        raise AssertionError(
            f"the run says dummy_{name} = {found[name]:.5g}, and the mean of the training wines "
            f"gives {right[name]:.5g} on the test wines: call eval_metrics(y_test, "
            "baseline.predict(X_test)), the true values first, and round nothing."
        )


@catches(
    "the penalty is so strong that all coefficients are zero",
    swap("model-settings", "alpha = 0.5", "alpha = 20.0"),
    hint="alpha = 20.0 is the penalty",
)
def test_the_model_is_better_than_the_mean(run, runs, namespace):
    "the model's RMSE is smaller than the baseline's"
    _dummy_metrics(run, runs)
    model = regression_metrics(namespace["y_test"], namespace["predictions"])["rmse"]
    mean = _of_the_mean(namespace)["rmse"]
    assert model < mean - 1e-9, (
        f"the model's RMSE is {model:.4f}, and the mean's is {mean:.4f}: your model has learned "
        f"nothing of use. alpha = {namespace['alpha']} is the penalty on its coefficients: take a "
        "smaller one (the course began with 0.5), and run all cells again."
    )
