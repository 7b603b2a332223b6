"""One parent, a child for each alpha, and the best of them found in the store."""

from winelab.checks.authoring import after, catches, given, put, remove, skip_all, swap, twice
from winelab.checks.comparing import close, regression_metrics
from winelab.checks.looking import newest_try

PARENT_TAG = "mlflow.parentRunId"
METRICS = ("rmse", "mae", "r2")


def _children(runs):
    """The runs that have a parent, oldest first."""
    return [run for run in reversed(runs) if PARENT_TAG in run.data.tags]


def _true_metrics(namespace, alpha):
    """The metrics of a model with this alpha, trained anew."""
    import warnings

    from sklearn.linear_model import ElasticNet

    model = ElasticNet(alpha=alpha, l1_ratio=namespace["l1_ratio"], random_state=42)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(namespace["X_train"], namespace["y_train"])
    return regression_metrics(namespace["y_test"], model.predict(namespace["X_test"]))


@catches("no cell has been run yet", skip_all(), hint="there is no run yet")
@given
def test_there_is_a_run(runs):
    "this notebook or script has made a run"
    assert runs, "there is no run yet: run the cells above, from the top."


@catches(
    "nested=True was forgotten",
    swap("child", ", nested=True", ""),
    hint="the child needs nested=True",
    error="is already active",
)
@catches(
    "the children were opened by hand and never closed: no error comes",
    put("child", 'mlflow.start_run(run_name=f"alpha {alpha}", nested=True)\nif True:'),
    hint="still open: alphas, alpha 1.0, alpha 0.5, alpha 0.1.",
)
@catches(
    "an error came between start_run() and end_run(), and the run stays open",
    put("child", 'mlflow.start_run(run_name=f"alpha {alpha}", nested=True)\nif True:'),
    swap("log-metrics", "y_test, pred", "y_tset, pred"),
    hint="still open: alphas.",
    error="name 'y_tset' is not defined",
)
@catches(
    "the parent had ended before the loop began",
    put("loop", "mlflow.end_run()\nfor alpha in alphas:"),
    hint="5 runs have no parent",
    error="single positional indexer is out-of-bounds",
)
@catches(
    "one run for all alphas",
    remove("child"),
    hint="each needs a child of its own",
    error="Changing param values is not allowed",
)
def test_one_parent_holds_all(runs):
    "one run holds all the others, and none is left open"
    assert runs, "there is no run yet: run the cells above, from the top."
    still_open = [run.info.run_name for run in runs if run.info.status == "RUNNING"]
    assert not still_open, (
        f"still open: {', '.join(reversed(still_open))}. Call mlflow.end_run() until "
        "mlflow.active_run() gives None. Then open each child in a `with` "
        "line of its own, which closes it, also when an error comes."
    )
    newest = newest_try(runs)
    failed = [run.info.run_name for run in newest if run.info.status != "FINISHED"]
    assert not failed, (
        f'an error came in the run "{failed[0]}": mend it, and run the cell again. "is already '
        'active" means that the child needs nested=True; "Changing param values" means that all '
        "alphas share one run, and each needs a child of its own."
    )
    alone = [run for run in newest if PARENT_TAG not in run.data.tags]
    assert len(newest) > 1, (
        "the training made one run: inside it, loop over the alphas, and open a run for each with "
        "nested=True."
    )
    assert len(alone) == 1, (
        f"{len(alone)} runs have no parent: indent the loop so that it stands inside the `with` "
        "of the parent."
    )
    parent = alone[0]
    assert parent.info.run_name == "alphas", (
        f'the parent is called "{parent.info.run_name}": say run_name="alphas".'
    )
    below = {run.data.tags[PARENT_TAG] for run in _children(newest)}
    assert below == {parent.info.run_id}, (
        "a run stands below a child, not below the parent: each child must end before the next "
        "one begins."
    )


@catches(
    "a fixed alpha was logged, not the one of the loop",
    swap("log-params", '"alpha": alpha', '"alpha": 0.5'),
    hint="log the variable of the loop",
)
@catches(
    "all children have the same name",
    swap("child", 'f"alpha', '"alpha'),
    hint="with the f before the quotes",
)
def test_a_child_for_each_alpha(attempt, namespace):
    "there is one child for each alpha, with its params and its name"
    alphas = list(namespace["alphas"])
    children = _children(attempt)
    assert len(children) == len(alphas), (
        f"alphas: {len(alphas)}, children: {len(children)}. Open the child inside the loop, so "
        "that each alpha gets a run of its own. An error in the training stops the loop: mend it "
        "first."
    )
    for alpha, child in zip(alphas, children, strict=True):
        for name, value in {"alpha": alpha, "l1_ratio": namespace["l1_ratio"]}.items():
            logged = child.data.params.get(name)
            assert logged is not None, (
                f'the run "{child.info.run_name}" has no param {name}: log_params belongs into the '
                "child, inside the loop."
            )
            assert close(float(logged), float(value)), (
                f'the run "{child.info.run_name}" says {name} = {logged}, and it was the turn of '
                f"{value}: log the variable of the loop."
            )
        assert child.info.run_name == f"alpha {alpha}", (
            f'the run of alpha {alpha} is called "{child.info.run_name}": say '
            'run_name=f"alpha {alpha}", with the f before the quotes.'
        )


@catches(
    "the model was made once, outside of the loop",
    put(
        "loop",
        "model = ElasticNet(alpha=alphas[0], l1_ratio=l1_ratio, random_state=42)\n"
        "for alpha in alphas:",
    ),
    remove("model"),
    hint="are those of alpha 1.0",
)
def test_each_child_has_its_own_model(attempt, namespace):
    "the metrics of each child are those of a model with its alpha"
    children = _children(attempt)
    assert children, "there is no child yet: each alpha needs a run below the parent."
    alphas = [float(alpha) for alpha in namespace["alphas"]]
    assert len(children) == len(alphas), "there is not one child for each alpha yet."
    true = {alpha: _true_metrics(namespace, alpha) for alpha in alphas}
    for alpha, child in zip(alphas, children, strict=True):
        missing = [name for name in METRICS if name not in child.data.metrics]
        assert not missing, (
            f'{", ".join(missing)} not on the run "{child.info.run_name}": the metrics belong into '
            "the child, inside the loop."
        )
        logged = child.data.metrics
        if not all(close(logged[name], true[alpha][name]) for name in METRICS):
            others = [other for other in true if close(logged["rmse"], true[other]["rmse"])]
            whose = f"those of alpha {others[0]}" if others else "those of another model"
            raise AssertionError(
                f'the figures of the run "{child.info.run_name}" are {whose}: make, fit and ask '
                "the model inside the loop, so that each run has its own."
            )


@catches(
    "the runs of earlier tries, and the parent, are in the table too",
    swap(
        "search", "    filter_string=f\"tags.mlflow.parentRunId = '{parent.info.run_id}'\",\n", ""
    ),
    twice("train"),
    hint="Filter on tags.mlflow.parentRunId",
)
@catches(
    "the search was not run again after a new training",
    after(
        'with mlflow.start_run(run_name="alphas"):\n'
        '    with mlflow.start_run(run_name="alpha 1.0", nested=True):\n'
        "        pass"
    ),
    hint="run the last cell again",
)
def test_the_search_finds_the_children(attempt, namespace):
    "`runs` is the table of the children, the lowest rmse first"
    children = _children(attempt)
    assert children, "there is no child to be found yet."
    table = namespace.get("runs")
    assert hasattr(table, "columns") and "run_id" in table.columns, (
        "`runs` is not there, or no table: in the last cell, keep what mlflow.search_runs gives."
    )
    found, made = list(table["run_id"]), [run.info.run_id for run in children]
    assert not set(made).isdisjoint(found), (
        "`runs` holds none of the newest children: run the last cell again, after the training. "
        "The filter asks for the tag mlflow.parentRunId, with the id of the parent."
    )
    assert set(found) <= set(made), (
        f"`runs` has {len(found)} rows, and the parent has {len(made)} children: the others are "
        "older runs, or the parent. Filter on tags.mlflow.parentRunId."
    )
    assert set(found) == set(made), (
        f"`runs` has {len(found)} of {len(made)} children: leave max_results out. If you did, "
        "the others are not below this parent, but below each other."
    )
    assert all("rmse" in run.data.metrics for run in children), (
        "a child has no rmse: model, params and metrics belong inside the `with` of the child, "
        "eight spaces further in than before."
    )
    rmse = {run.info.run_id: run.data.metrics["rmse"] for run in children}
    assert [rmse[one] for one in found] == sorted(rmse.values()), (
        'the rows are not in the order of their rmse: order_by=["metrics.rmse ASC"] puts the '
        "lowest one first."
    )


@catches("ordered the other way round", swap("search", "ASC", "DESC"), hint="the worst one")
@catches(
    "the figure was remembered, not the run",
    swap("search", "best = runs.iloc[0]", "best = runs[['metrics.rmse']].min()"),
    hint="no row of the table",
    error="params.alpha",
)
def test_best_is_the_lowest(attempt, namespace):
    "`best` is the child with the lowest rmse"
    rmse = {
        run.info.run_id: run.data.metrics["rmse"]
        for run in _children(attempt)
        if "rmse" in run.data.metrics
    }
    assert rmse, "no child has an rmse yet."
    best = namespace.get("best")
    assert best is not None, "there is no `best` yet: it is the first row, runs.iloc[0]."
    try:
        run_id = best["run_id"]
    except (TypeError, KeyError, IndexError):
        run_id = None
    assert isinstance(run_id, str), (
        "`best` is no row of the table: take runs.iloc[0], which has all that the store knows of "
        "that run."
    )
    assert run_id in rmse, (
        "`best` is no child of the newest parent: search again, with the filter on "
        "tags.mlflow.parentRunId."
    )
    table = namespace.get("runs")
    assert set(rmse) <= set(table["run_id"] if hasattr(table, "columns") else ()), (
        "`best` was taken from a table that lacks some of the children: mend `runs` first."
    )
    lowest, highest = min(rmse.values()), max(rmse.values())
    assert lowest == highest or rmse[run_id] != highest, (
        "`best` is the worst one, with the largest error: an error must be small, so order by "
        "metrics.rmse ASC."
    )
    assert rmse[run_id] == lowest, (
        f"`best` has an rmse of {rmse[run_id]:.3f}, and there is one with {lowest:.3f}: order by "
        "metrics.rmse ASC, and take the first row."
    )
