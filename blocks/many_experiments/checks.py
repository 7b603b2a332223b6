"""Three models, a run each, in three experiments, and one table that compares them."""

from winelab.checks.authoring import catches, given, put, remove, skip_all, swap, twice
from winelab.checks.comparing import close, regression_metrics
from winelab.checks.looking import newest_try

CLASSES = {"elasticnet": "ElasticNet", "ridge": "Ridge", "lasso": "Lasso"}
METRICS = ("rmse", "mae", "r2")


def _run_of(name, attempt, client):
    """The finished run of the newest try with this model's name, in its experiment, or None."""
    place = client.get_experiment_by_name(f"wine-{name}")
    for run in attempt:
        here = place is not None and run.info.experiment_id == place.experiment_id
        if here and run.info.status == "FINISHED" and run.info.run_name == name:
            return run
    return None


@catches("no cell has been run yet", skip_all(), hint="there is no run yet")
@given
def test_there_is_a_run(runs):
    "this notebook or script has made a run"
    assert runs, "there is no run yet: run the cells above, from the top."


@catches(
    "one model was left at its default alpha",
    swap("models", "Lasso(alpha=alpha, ", "Lasso("),
    hint='models["lasso"] has alpha = 1.0',
)
def test_three_models(namespace):
    "`models` holds an ElasticNet, a Ridge and a Lasso, all with this alpha"
    models = namespace["models"]
    assert isinstance(models, dict) and set(models) == set(CLASSES), (
        'models must be a dictionary with the keys "elasticnet", "ridge" and "lasso".'
    )
    for name, class_name in CLASSES.items():
        found = type(models[name]).__name__
        assert found == class_name, f'models["{name}"] is a {found}: it must be a {class_name}.'
        alpha = models[name].get_params()["alpha"]
        assert alpha == namespace["alpha"], (
            f'models["{name}"] has alpha = {alpha}, and the setting says {namespace["alpha"]}: '
            "make each model with alpha=alpha."
        )


@catches(
    "set_experiment stands inside the run: no error, and each run is one too far back",
    remove("set-experiment"),
    swap("log-data", "dataset = ", 'mlflow.set_experiment(f"wine-{name}")\ndataset = '),
    hint='the run "elasticnet" went to "Default"',
)
@catches(
    "no experiment was set",
    remove("set-experiment"),
    hint="in the loop, above the `with`",
    error="KeyError: 'metrics.rmse'",
)
@catches(
    "one experiment for all, set before the loop",
    put("set-experiment", 'mlflow.set_experiment("wine-elasticnet")'),
    hint='the run "ridge" went to "wine-elasticnet"',
)
@catches(
    "two models in one run",
    put("families", 'mlflow.start_run(run_name="all")\nfor name, model in models.items():'),
    put("run", "if True:"),
    hint="open a run for each model in a `with` line, inside the loop",
    error="Changing param values is not allowed",
)
def test_an_experiment_each(runs, client):
    "each model has a finished run in an experiment of its own"
    assert runs, "there is no run yet: run the cells above, from the top."
    newest = newest_try(runs)
    for run in newest:
        assert run.info.status != "RUNNING", (
            f'the run "{run.info.run_name}" is still open: call mlflow.end_run(). Then open a run '
            "for each model in a `with` line, inside the loop, which closes it by itself."
        )
        assert run.info.status == "FINISHED", (
            f'an error came in the run "{run.info.run_name}": mend it, and run the cell again. '
            'After "Changing param values", open a run for each model, inside the loop.'
        )
    ids = {}
    for name in CLASSES:
        found = client.get_experiment_by_name(f"wine-{name}")
        assert found is None or found.lifecycle_stage == "active", (
            f'the experiment "wine-{name}" is deleted, and its name stays taken: bring it back '
            f'with mlflow.MlflowClient().restore_experiment("{found.experiment_id}").'
        )
        ids[name] = found.experiment_id if found else None
    for run in reversed(newest):
        name, place = run.info.run_name, run.info.experiment_id
        where = client.get_experiment(place).name
        assert ids.get(name, place) == place, (
            f'the run "{name}" went to "{where}": a run stays in the experiment in which it was '
            'opened. Call mlflow.set_experiment(f"wine-{name}") in the loop, above the `with`.'
        )
    for name in CLASSES:
        there = [run for run in newest if run.info.experiment_id == ids[name]]
        assert there, (
            f'this try made no run in "wine-{name}": in the loop over the models, set the '
            "experiment, and then open the run."
        )
        assert len(there) == 1, (
            f'"wine-{name}" got {len(there)} runs in one go: one for each model is enough.'
        )
        assert there[0].info.run_name == name, (
            f'the run in "wine-{name}" is called "{there[0].info.run_name}": say run_name=name.'
        )


@catches(
    "an l1_ratio was logged for models that have none",
    put("log-params", 'mlflow.log_params({**model.get_params(), "l1_ratio": l1_ratio})'),
    hint="Ridge has no such setting",
)
def test_the_params_are_the_models_own(attempt, client, namespace):
    "the params of each run are the settings of its model"
    for name in CLASSES:
        run = _run_of(name, attempt, client)
        assert run, f'there is no finished run "{name}" in "wine-{name}" to look at yet.'
        logged = run.data.params
        real = {key: str(value) for key, value in namespace["models"][name].get_params().items()}
        for key in sorted(set(logged) - set(real)):
            raise AssertionError(
                f'the run "{name}" says {key} = {logged[key]}, and {CLASSES[name]} has no such '
                "setting: log model.get_params()."
            )
        for key in sorted(real):
            assert key in logged, (
                f'the run "{name}" does not say {key}: log all that model.get_params() names.'
            )
            assert logged[key] == real[key], (
                f'the run "{name}" says {key} = {logged[key]}, the model has {real[key]}: log the '
                "settings of the model of the loop."
            )


@catches(
    "the line that makes an ElasticNet is still in the loop",
    swap(
        "fit",
        "model.fit(X_train, y_train)",
        "model = ElasticNet(alpha=alpha, l1_ratio=l1_ratio, random_state=42)\n"
        "model.fit(X_train, y_train)",
    ),
    hint="delete the line that makes one",
)
def test_the_metrics_are_the_models_own(attempt, client, namespace):
    "the metrics of each run are those of its model"
    for name in CLASSES:
        run = _run_of(name, attempt, client)
        assert run, f'there is no finished run "{name}" in "wine-{name}" to look at yet.'
        model = namespace["models"][name]
        assert hasattr(model, "coef_"), (
            f'models["{name}"] has learned nothing: its run trained another model. The loop brings '
            "`model`; delete the line that makes one."
        )
        missing = [key for key in METRICS if key not in run.data.metrics]
        assert not missing, (
            f'{", ".join(missing)} not on the run "{name}": log the metrics inside its `with`.'
        )
        true = regression_metrics(namespace["y_test"], model.predict(namespace["X_test"]))
        for key in METRICS:
            assert close(run.data.metrics[key], true[key]), (
                f'the run "{name}" says {key} = {run.data.metrics[key]:.4f}, its model gives '
                f"{true[key]:.4f}: fit and evaluate inside the loop, and run all cells again."
            )


@catches(
    "the training was run twice, and the older runs are compared too",
    swap("search", '.drop_duplicates("experiment_id")', ""),
    twice("train"),
    hint="keeps the newest of each experiment",
)
@catches(
    "the search looked into the active experiment only, the last one",
    swap(
        "search",
        'mlflow.search_runs(experiment_names=[f"wine-{name}" for name in models])',
        "mlflow.search_runs()",
    ),
    hint="with experiment_names",
)
@catches(
    "the table was sorted, and the sorted one thrown away",
    swap(
        "search",
        'comparison = runs.drop_duplicates("experiment_id").sort_values("metrics.rmse")',
        'comparison = runs.drop_duplicates("experiment_id")\n'
        'comparison.sort_values("metrics.rmse")',
    ),
    hint="keep that one",
)
def test_one_table_compares_them(attempt, client, namespace):
    "`comparison` has these three runs, the lowest rmse first"
    table = namespace.get("comparison")
    made = [_run_of(name, attempt, client) for name in CLASSES]
    assert all(made), "not all three experiments have a run of this try yet."
    assert hasattr(table, "columns") and "run_id" in table.columns, (
        "`comparison` is not there, or no table: make it from what mlflow.search_runs gives, with "
        "drop_duplicates and sort_values."
    )
    found = list(table["run_id"])
    rmse = {run.info.run_id: run.data.metrics.get("rmse", float("nan")) for run in made}
    assert not set(rmse).isdisjoint(found), (
        "`comparison` holds none of the newest runs: run the last cell again, after the training."
    )
    assert set(rmse) <= set(found), (
        "`comparison` lacks one of the newest runs: search all three experiments, with "
        "experiment_names, and call drop_duplicates before sort_values. It keeps the first row "
        "of each experiment, and the newest stands first only until you sort."
    )
    assert len(found) == len(rmse), (
        f"`comparison` has {len(found)} rows, some of them older tries: "
        'drop_duplicates("experiment_id") keeps the newest of each experiment.'
    )
    assert [rmse[one] for one in found] == sorted(rmse.values()), (
        'the rows are not in the order of their rmse: sort_values("metrics.rmse") puts the lowest '
        "one first. It gives a new table, so keep that one."
    )
