"""A parent with a child for each alpha, and the alpha that cross-validation chose."""

from winelab.checks.authoring import after, catches, error, hint, put, right, skip, swap, twice
from winelab.checks.comparing import as_column, expect_params, fold_rmses, listed, same_value, short
from winelab.checks.looking import children_of, found_ids, run_named, trouble

CELL = 'the cell "3. Choose alpha"'
CHILD = 'mlflow.start_run(run_name=f"alpha {alpha}", nested=True)'
SCORES = "scores = cross_val_score(candidate, X_train, y_train, cv=5, scoring=scoring)"


def _alphas(namespace):
    """The student's candidates, as numbers."""
    found = [float(alpha) for alpha in as_column(namespace["alphas"], "`alphas`")]
    texts = any(isinstance(alpha, str) for alpha in namespace["alphas"])
    assert not texts, "`alphas` holds texts: write its numbers without quotes."
    # A script takes others on its command line.
    wanted = () if "arguments" in namespace else (0.2, 0.5, 1.0)
    absent = [short(alpha) for alpha in wanted if alpha not in found]
    shown = listed(map(short, found)) if found else "empty"
    assert not absent, f"`alphas` is {shown}: it also needs {listed(absent)}."
    return found


def _children(runs):
    """The children of the newest run called alphas, oldest first."""
    parent = run_named("alphas", runs, f"In {CELL}, open the parent with this name.")
    found = children_of(parent, runs)[::-1]
    assert found, (
        'the run "alphas" has no child: inside its `with`, loop over the alphas, and open a run '
        "for each with `nested=True`."
    )
    return found


def _pairs(runs, alphas):
    """Each alpha with its child."""
    children = _children(runs)
    counts = f"values of `alphas`: {len(alphas)}, children: {len(children)}"
    assert len(children) == len(alphas), f"{counts}. Open one child in each step of the loop."
    return list(zip(alphas, children, strict=True))


@catches("nested=True was forgotten")
@swap("child", ", nested=True", "")
@hint("the child needs `nested=True`")
@error("is already active")
@catches("the children were opened by hand and never closed")
@put("child", f"{CHILD}\nif True:")
@hint("still open: alphas, alpha 0.2 and alpha 0.5.")
@error("is already active")
@catches("the loop stands below the parent's `with`, and not in it")
@put("loop", "mlflow.end_run()\nfor alpha in alphas:")
@hint("has no child")
@error("None of [Index(")
@catches("one run for all alphas")
@put("child", "")
@hint("two alphas were logged on one run")
@error("Changing param values is not allowed")
@catches("a fixed alpha was logged, not the one of the loop")
@swap("log-candidate", '"alpha": alpha', '"alpha": 0.5')
@hint("alpha is 0.5, the loop has 0.2")
@catches("all children have the same name, without the f before the quotes")
@swap("child", 'f"alpha', '"alpha')
@hint('the child of alpha 0.2 is called "alpha {alpha}"')
@catches("one alpha was tried instead of several")
@put("model-settings", "alphas = [0.2]\nl1_ratio = 0.3")
@hint("`alphas` is 0.2: it also needs 0.5 and 1")
def test_a_child_for_each_alpha(runs, namespace):
    'the run "alphas" has a child for each alpha, with its name and params'
    still_open = [str(one.info.run_name) for one in reversed(runs) if one.info.status == "RUNNING"]
    assert not still_open, (
        f"still open: {listed(still_open)}. Call mlflow.end_run() until mlflow.active_run() "
        "returns None. Then give each child a `with` of its own, which ends the run."
    )
    alphas = _alphas(namespace)
    assert not trouble(runs), (
        f'{trouble(runs)} After "is already active", the child needs `nested=True`. After '
        '"Changing param values", two alphas were logged on one run: each needs a child of its own.'
    )
    for alpha, child in _pairs(runs, alphas):
        settings = {"alpha": alpha, "l1_ratio": namespace["l1_ratio"]}
        advice = "In each child, log the two variables that its candidate is made with."
        expect_params(child, settings, missing=advice, wrong=advice, source="the loop has")
        word, _, number = str(child.info.run_name).partition(" ")
        assert word == "alpha" and same_value(number, alpha), (
            f'the child of alpha {alpha} is called "{child.info.run_name}": write '
            '`run_name=f"alpha {alpha}"`, with the f before the quotes.'
        )


def _model(namespace, alpha):
    from sklearn.linear_model import ElasticNet

    return ElasticNet(alpha=alpha, l1_ratio=float(namespace["l1_ratio"]), random_state=42)


def _rmses(namespace, alpha, part="_train", folds=5):
    """The RMSE of an alpha in each fold of the training wines, or of another part."""
    X, y = namespace[f"X{part}"], namespace[f"y{part}"]
    return fold_rmses(_model(namespace, alpha), X, y, folds)


def _mistaken(namespace, alpha, alphas):
    """What may have been logged as an alpha's cv_rmse instead: in words, and its value."""
    model = _model(namespace, alpha).fit(namespace["X_train"], as_column(namespace["y_train"]))
    errors = as_column(namespace["y_test"]) - model.predict(namespace["X_test"])
    squares = _rmses(namespace, alpha) ** 2
    found = {
        "the RMSE of the test wines, which must not choose": (errors**2).mean() ** 0.5,
        "that of folds of the test wines, which must not choose": _rmses(namespace, alpha, "_test"),
        "that of all wines, the test wines among them": _rmses(namespace, alpha, ""),
        "the mean squared error": squares,
        "the root of the mean squared error, not the mean of five RMSEs": squares.mean() ** 0.5,
        "that with scikit-learn's own l1_ratio": _rmses({**namespace, "l1_ratio": 0.5}, alpha),
        **{f"that of {n} folds": _rmses(namespace, alpha, folds=n) for n in (3, 4, 10)},
        **{f"that of alpha {one}": _rmses(namespace, one) for one in alphas if one != alpha},
    }
    return {words: values.mean() for words, values in found.items()}


@catches("the scores were logged with their minus")
@swap("log-candidate", "-scores.mean()", "scores.mean()")
@hint("an RMSE is never negative: log `-scores.mean()`")
@catches("the test wines chose: their RMSE was logged as cv_rmse")
@swap("cross-validate", SCORES, "candidate.fit(X_train, y_train)")
@swap("log-candidate", "-scores.mean()", "((y_test - candidate.predict(X_test))**2).mean() ** 0.5")
@hint("0.692, the RMSE of the test wines, which must not choose")
@catches("the candidates were cross-validated on all wines")
@swap("cross-validate", "X_train, y_train", "X, y")
@hint("that of all wines, the test wines among them")
@catches("cv_rmse was rounded")
@swap("log-candidate", "-scores.mean()", "round(-scores.mean(), 2)")
@hint("0.68 (rounded?), five folds give 0.684")
@catches("three folds in place of five")
@swap("cross-validate", "cv=5", "cv=3")
@hint("that of 3 folds")
@catches("the squared error was taken for the RMSE")
@swap("cross-validate", "neg_root_mean", "neg_mean")
@hint("0.469, the mean squared error")
@catches("the root was taken of the mean, not of each fold's error")
@swap("cross-validate", "neg_root_mean", "neg_mean")
@swap("log-candidate", "-scores.mean()", "(-scores.mean()) ** 0.5")
@hint("0.685, the root of the mean squared error")
@catches("the candidate has scikit-learn's own l1_ratio")
@swap("cross-validate", "l1_ratio=l1_ratio, ", "")
@hint("that with scikit-learn's own l1_ratio")
@catches("the candidate was made with a fixed alpha")
@swap("cross-validate", "alpha=alpha", "alpha=0.5")
@hint('the child "alpha 0.2" has the cv_rmse 0.711, that of alpha 0.5')
@catches("the five scores were printed, not logged")
@swap("log-candidate", 'mlflow.log_metric("cv_rmse", -scores.mean())', "print(scores)")
@hint("has no metric cv_rmse")
@error("metrics.cv_rmse")
def test_each_child_is_cross_validated(runs, namespace):
    "cv_rmse of each child is the mean RMSE of five folds of the training wines"
    alphas = _alphas(namespace)
    for alpha, child in _pairs(runs, alphas):
        found, expected = child.data.metrics.get("cv_rmse"), _rmses(namespace, alpha).mean()
        name = f'the child "{child.info.run_name}"'
        assert found is not None, (
            f'{name} has no metric cv_rmse: in it, `mlflow.log_metric("cv_rmse", -scores.mean())`.'
        )
        if same_value(found, expected):
            continue
        shown = f"{name} has the cv_rmse {short(found, expected)}"
        assert found >= 0, f"{shown}, and an RMSE is never negative: log `-scores.mean()`."
        for words, value in _mistaken(namespace, alpha, alphas).items():
            advice = f"Call `{SCORES}` with this child's candidate."
            assert not same_value(found, value), f"{shown}, {words}. {advice}"
        rounded = any(found == round(expected, digits) for digits in range(6))
        # Other folds, such as shuffled ones, are as good, and give nearly the same.
        assert same_value(found, expected, 0.02) and not rounded, (
            f"{shown}{' (rounded?)' if rounded else ''}, five folds give {short(expected, found)}. "
            f"Call `{SCORES}`, and log `-scores.mean()`."
        )


@catches("the filter was left out")
@put("search-candidates", 'candidates = mlflow.search_runs(order_by=["metrics.cv_rmse ASC"])')
@hint("only 3 of 4 rows of `candidates` are children of the newest parent")
@catches("the largest cv_rmse comes first")
@swap("search-candidates", "ASC", "DESC")
@hint('order_by=["metrics.cv_rmse ASC"]')
def test_the_search_finds_the_children(runs, namespace):
    "`candidates` has the children of this parent, the lowest cv_rmse first"
    found = found_ids(namespace, "candidates", f"In {CELL}, search below the parent's `with`.")
    ids = {one.info.run_id: one.data.metrics.get("cv_rmse") for one in _children(runs)}
    others = [one for one in found if one not in ids]
    assert not others, (
        f"only {len(found) - len(others)} of {len(found)} rows of `candidates` are children of the "
        "newest parent: filter on the tag `mlflow.parentRunId` with its id, after each new try."
    )
    assert len(found) == len(ids), f"`candidates` has {len(found)} of {len(ids)} children."
    assert None not in ids.values(), "a child has no metric cv_rmse: log it inside the child."
    values = [ids[one] for one in found]
    assert values == sorted(values), (
        f"the first cv_rmse of `candidates` is {short(values[0])}, the lowest is "
        f'{short(min(values))}: search with `order_by=["metrics.cv_rmse ASC"]`.'
    )


@catches("alpha stayed what it was after the loop")
@put("chosen", "")
@hint("`alpha` is 1, the child with the lowest cv_rmse has 0.2")
@catches("the alpha from the table stayed a text")
@put("chosen", 'alpha = candidates["params.alpha"][0]')
@hint("`alpha` is a text")
@error("must be a float")
@catches("the final model was not trained", skip("train"))
@hint('there is no run "elasticnet". Run the cell "4. Train"')
@error("name 'predictions' is not defined")
@catches("the candidates were tried again, and the final model is older")
@after(
    f'with mlflow.start_run(run_name="alphas"), {CHILD}:\n'
    '    mlflow.log_param("alpha", 0.2)\n    mlflow.log_metric("cv_rmse", 0.684)'
)
@hint("older than the newest candidates")
@catches("the final model was made with the alpha of the earlier blocks")
@swap("model", "alpha=alpha", "alpha=0.5")
@hint("`model` has alpha 0.5, the chosen one is 0.2")
def test_the_final_model_has_the_chosen_alpha(runs, namespace):
    "`alpha` is the best candidate's, and the newest run elasticnet is trained with it"
    children, alpha = _children(runs), namespace["alpha"]
    logged = [one.data for one in children if "cv_rmse" in one.data.metrics]
    scored = [data for data in logged if "alpha" in data.params]
    assert scored, "no child has the param alpha and the metric cv_rmse yet: log both inside it."
    best = float(min(scored, key=lambda data: data.metrics["cv_rmse"]).params["alpha"])
    assert not isinstance(alpha, str), (
        f"`alpha` is a text, {short(alpha)}, as params are: make it a number with `float(...)`."
    )
    assert same_value(alpha, best), (
        f"`alpha` is {short(alpha, best)}, the child with the lowest cv_rmse has "
        f"{short(best, alpha)}: set it from the first row of `candidates`."
    )
    again = 'Run the cell "4. Train" after the search.'
    final = run_named("elasticnet", runs, again)
    older = final.info.start_time < children[-1].info.start_time
    assert not older, f'the newest run "elasticnet" is older than the newest candidates. {again}'
    source = "the best candidate has"
    expect_params(final, {"alpha": best}, missing=again, wrong=again, source=source)
    own = getattr(namespace.get("model"), "alpha", None)
    assert same_value(own, best), (
        f"`model` has alpha {short(own, best)}, the chosen one is {short(best)}: make it with "
        "`alpha=alpha`."
    )


CLIENT_SEARCH = """candidates = mlflow.MlflowClient().search_runs(
    [parent.info.experiment_id], f"tags.mlflow.parentRunId = '{parent.info.run_id}'",
    order_by=["metrics.cv_rmse"],
)"""
SHUFFLED = """folds = KFold(5, shuffle=True, random_state=7)
scores = -cross_val_score(candidate, X_train, y_train, cv=folds, scoring=scoring)"""

RIGHT_WAYS = (
    right(
        "a client searches and returns a list of runs",
        put("search-candidates", CLIENT_SEARCH),
        put("chosen", 'alpha = float(candidates[0].data.params["alpha"])'),
    ),
    right(
        "the folds are shuffled, and the sign is turned at once",
        swap("import-selection", "import cross", "import KFold, cross"),
        swap("cross-validate", SCORES, SHUFFLED),
        swap("log-candidate", "-scores", "scores"),
    ),
    right(
        "each child is opened and ended by hand, and the cell is run twice",
        put("child", f"{CHILD}\nif True:"),
        swap("log-candidate", "-scores.mean())", "-scores.mean())\nmlflow.end_run()"),
        twice("choose"),
    ),
    right(
        "the children know their parent by its id, and the alphas are an array in another order",
        swap("model-settings", "[0.2, 0.5, 1.0]", "pd.Series([1.0, 0.2, 0.7, 0.5]).to_numpy()"),
        put("loop", "mlflow.end_run()\nfor alpha in alphas:"),
        swap("child", "nested=True", "parent_run_id=parent.info.run_id"),
    ),
)
