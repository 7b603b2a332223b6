"""Three families of linear models, an experiment each, and one table that compares them."""

from winelab.checks.authoring import catches, error, hint, put, right, skip, split, swap, twice
from winelab.checks.comparing import close, expect_params, fold_rmses, kind, short
from winelab.checks.looking import found_ids

CLASSES = {"elasticnet": "ElasticNet", "ridge": "Ridge", "lasso": "Lasso"}
CELL = 'the cell "6. Three kinds of linear models"'
BEHIND_A_SCALER = "make_pipeline(StandardScaler(), family)"


def _families(namespace):
    """The student's three models by name."""
    families = namespace["families"]
    assert isinstance(families, dict), f"`families` is {kind(families)}, not a dictionary."
    assert {*families} == {*CLASSES}, f"the keys of `families` are {[*families]}, not {[*CLASSES]}."
    for name, class_name in CLASSES.items():
        found = type(families[name]).__name__
        assert found == class_name, f'families["{name}"] is a {found}: make it a {class_name}.'
    return families


def _run_of(name, runs, client):
    """The newest run with a family's name, in its own experiment."""
    wanted = f"wine-{name}"
    place = client.get_experiment_by_name(wanted)
    assert place is None or place.lifecycle_stage == "active", (
        f'the experiment "{wanted}" is deleted, and its name stays taken: bring it back with '
        f'`mlflow.MlflowClient().restore_experiment("{place.experiment_id}")`.'
    )
    # The cell "4. Train" makes a run "elasticnet" too; that one has an rmse.
    called = [one for one in runs if one.info.run_name == name and "rmse" not in one.data.metrics]
    where = client.get_experiment(called[0].info.experiment_id).name if called else wanted
    assert where == wanted, (
        f'the run "{name}" went to "{where}", the experiment in which it was opened. Call '
        '`mlflow.set_experiment(f"wine-{name}")` in the loop, above the `with`.'
    )
    there = [run for run in runs if place and run.info.experiment_id == place.experiment_id]
    assert there, f'"{wanted}" has no run of this notebook: run {CELL}.'
    other = there[0].info.run_name
    assert called, f'the run in "{wanted}" is called "{other}": say run_name=name.'
    return called[0]


@catches("one model was left at its default alpha")
@swap("families", "Lasso(alpha=alpha, ", "Lasso(")
@hint('families["lasso"] has alpha 1, the chosen one is 0.01')
@catches("the models stand in a list")
@put("families", "families = [ElasticNet(alpha=alpha), Ridge(alpha=alpha), Lasso(alpha=alpha)]")
@hint("`families` is a list")
@error("'list' object has no attribute 'items'")
@catches("two names were exchanged")
@swap("families", '"ridge": Ridge', '"ridge": Lasso')
@hint('families["ridge"] is a Lasso')
def test_three_families(namespace):
    "`families` holds an ElasticNet, a Ridge and a Lasso, all with the chosen alpha"
    for name, model in _families(namespace).items():
        found, chosen = model.get_params()["alpha"], namespace["alpha"]
        is_it = isinstance(chosen, int | float) and close(found, chosen)
        shown = f'families["{name}"] has alpha {short(found)}, the chosen one is {short(chosen)}'
        assert is_it, f"{shown}: make each model with alpha=alpha."


@catches("set_experiment stands inside the run: no error, and each run is one too far back")
@put("set-experiment", "")
@swap("log-family", "pipeline = ", 'mlflow.set_experiment(f"wine-{name}")\npipeline = ')
@hint('the run "elasticnet" went to "wine-linear"')
@catches("no experiment was set")
@put("set-experiment", "")
@hint("in the loop, above the `with`")
@error("metrics.cv_rmse")
@catches("one run for all three")
@put("compare", 'mlflow.start_run(run_name="all")\nfor name, family in families.items():')
@put("family-run", "if True:")
@hint("a run is still open")
@error("Changing param values is not allowed")
@catches("all runs have the same name")
@swap("family-run", "run_name=name", 'run_name="name"')
@hint("say run_name=name")
@catches("the new cell was not run")
@skip("families")
@hint("has no run of this notebook")
def test_an_experiment_each(run, runs, client):
    "each family has a run in an experiment of its own"
    for name in CLASSES:
        # `run` is asked for to see that the newest one has finished.
        assert _run_of(name, runs, client).info.status == "FINISHED" == run.info.status, (
            f'the run "{name}" did not finish: fix the error, and run {CELL} again.'
        )


@catches("the same settings were logged for all")
@swap("log-family", "family.get_params()", '{"alpha": alpha, "l1_ratio": l1_ratio}')
@hint("random_state")
@catches("an l1_ratio was logged for models that have none")
@swap("log-family", "family.get_params()", '{**family.get_params(), "l1_ratio": l1_ratio}')
@hint("the param l1_ratio is no setting of a Ridge")
def test_the_params_are_the_families_own(runs, client, namespace):
    "the params of each run are the settings of its family"
    for name, model in _families(namespace).items():
        found, real = _run_of(name, runs, client), model.get_params()
        advice = "Log what `family.get_params()` returns."
        expect_params(found, real, missing=advice, wrong=advice, source=f'families["{name}"] has')
        more = sorted(set(found.data.params) - set(real))
        assert not more, f"the param {more[0]} is no setting of a {CLASSES[name]}. {advice}"


@catches("the families were cross-validated without a scaler")
@swap("log-family", BEHIND_A_SCALER, "family")
@hint(BEHIND_A_SCALER)
@catches("the sign of the scores was kept")
@swap("log-family", "-scores.mean()", "scores.mean()")
@hint("the scores are negative RMSEs")
def test_the_metric_is_the_families_own(runs, client, namespace):
    "cv_rmse is that of the family behind a scaler, on the training wines"
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    for name, family in _families(namespace).items():
        found = _run_of(name, runs, client).data.metrics.get("cv_rmse")
        assert found is not None, (
            f'the run "{name}" has no metric cv_rmse: log it inside the `with`.'
        )
        pipeline = make_pipeline(StandardScaler(), family)
        expected = fold_rmses(pipeline, namespace["X_train"], namespace["y_train"]).mean()
        shown = f'cv_rmse of "{name}" is {short(found, expected)}'
        assert found >= 0, f"{shown}: the scores are negative RMSEs, so log -scores.mean()."
        assert close(found, expected, 1e-6), (
            f"{shown}, and should be {short(expected, found)}: cross-validate {BEHIND_A_SCALER} on "
            "X_train and y_train, in five folds."
        )


@catches("the cell was run twice, and the older runs are compared too")
@swap("comparison", '.drop_duplicates("experiment_id")', "")
@twice("families")
@hint("`comparison` has 6 rows")
@catches("the search looked into the active experiment only, the last one")
@swap("comparison", 'experiment_names=[f"wine-{name}" for name in families]', "")
@hint("with experiment_names")
@catches("the table was sorted, and the sorted one thrown away")
@swap("comparison", ").sort_values(", ")\ncomparison.sort_values(")
@hint("keep that one")
def test_one_table_compares_them(runs, client, namespace):
    "`comparison` has these three runs, the lowest cv_rmse first"
    made = [_run_of(name, runs, client) for name in CLASSES]
    score = {run.info.run_id: run.data.metrics.get("cv_rmse", 9.0) for run in made}
    advice = "Make it from what mlflow.search_runs returns, and keep it under this name."
    found = found_ids(namespace, "comparison", advice)
    assert set(score) <= set(found), (
        "`comparison` lacks one of the newest runs: search all three experiments, with "
        "experiment_names, and drop the duplicates before you sort."
    )
    assert len(found) == len(score), (
        f'`comparison` has {len(found)} rows: `drop_duplicates("experiment_id")` keeps the newest.'
    )
    assert [score[one] for one in found] == sorted(score.values()), (
        'the rows are not in the order of their cv_rmse: `sort_values("metrics.cv_rmse")` puts the '
        "lowest one first. It returns a new table, so keep that one."
    )


BY_KEY = "for key, value in family.get_params().items():\n    mlflow.log_param(key, value)"
HELPED = """compare("elasticnet", families["elasticnet"])
compare("ridge", families["ridge"])
compare("lasso", families["lasso"])
runs = """
IN_THE_STORE = """comparison = mlflow.search_runs(
    experiment_names=["wine-ridge", "wine-lasso", "wine-elasticnet"],
    order_by=["metrics.cv_rmse ASC"],
)"""

RIGHT_WAYS = (
    right(
        "the runs are made by a client's experiment ids",
        put("set-experiment", 'place = mlflow.set_experiment(f"wine-{name}").experiment_id'),
        put("family-run", "with mlflow.start_run(experiment_id=place, run_name=name):"),
    ),
    right(
        "three calls of a helper, one of them in a cell of its own",
        put("compare", "def compare(name, family):"),
        swap("comparison", "runs = ", HELPED),
        split("families", 'compare("lasso"'),
    ),
    right(
        "the search stands in a cell of its own, and sorts in the store",
        put("comparison", IN_THE_STORE),
        split("families", "comparison ="),
    ),
    right(
        "each param is logged by a call of its own",
        swap("log-family", "mlflow.log_params(family.get_params())", BY_KEY),
    ),
)
