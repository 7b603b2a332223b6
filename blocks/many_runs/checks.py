"""A parent with a child for each alpha, and the alpha that cross-validation chose."""

from winelab.checks.authoring import (
    after,
    catches,
    error,
    hint,
    put,
    remove,
    right,
    skip,
    split,
    swap,
    twice,
)
from winelab.checks.comparing import (
    as_column,
    close,
    expect_params,
    listed,
    plural,
    same_value,
    short,
)
from winelab.checks.looking import found_ids, run_named, trouble

PARENT_TAG = "mlflow.parentRunId"
CELL = 'the cell "3. Choose alpha"'
CHILD = 'with mlflow.start_run(run_name=f"alpha {alpha}", nested=True):'
OPENED = f"{CHILD[5:-1]}\nif True:"
SCORES = "scores = cross_val_score(candidate, X_train, y_train, cv=5, scoring=scoring)"


def _alphas(namespace):
    """The student's candidates, as numbers."""
    found = [float(alpha) for alpha in as_column(namespace["alphas"], "`alphas`")]
    assert not any(isinstance(alpha, str) for alpha in namespace["alphas"]), (
        "`alphas` holds texts: write its numbers without quotes."
    )
    # A script takes others on its command line.
    wanted = () if "arguments" in namespace else (0.2, 0.5, 1.0)
    absent = [short(alpha) for alpha in wanted if alpha not in found]
    assert not absent, (
        f"`alphas` is {listed(map(short, found)) if found else 'empty'}: it also needs "
        f"{listed(absent)}."
    )
    return found


def _children(runs):
    """The children of the newest run called alphas, oldest first."""
    parent = run_named("alphas", runs, f"In {CELL}, open the parent with this name.")
    mine = [one for one in runs if one.data.tags.get(PARENT_TAG) == parent.info.run_id]
    assert mine, (
        'the run "alphas" has no child: inside its `with`, loop over the alphas, and open a run '
        "for each with `nested=True`."
    )
    return mine[::-1]


@catches("nested=True was forgotten")
@swap("child", ", nested=True", "")
@hint("the child needs `nested=True`")
@error("is already active")
@catches("the children were opened by hand and never closed")
@put("child", OPENED)
@hint("still open: alphas, alpha 0.2 and alpha 0.5.")
@error("is already active")
@catches("the loop stands below the parent's `with`, and not in it")
@put("loop", "mlflow.end_run()\nfor alpha in alphas:")
@hint("has no child")
@error("None of [Index(")
@catches("one run for all alphas")
@remove("child")
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
    children = _children(runs)
    assert len(children) == len(alphas), (
        f"there are {plural(len(children), 'child', 'children')} for "
        f"{plural(len(alphas), 'alpha')}: open one child in each step of the loop."
    )
    for alpha, child in zip(alphas, children, strict=True):
        expect_params(
            child,
            {"alpha": alpha, "l1_ratio": namespace["l1_ratio"]},
            missing="In each child, log both settings.",
            wrong="Log the variables that the candidate is made with.",
            source="the loop has",
        )
        word, _, number = str(child.info.run_name).partition(" ")
        assert word == "alpha" and same_value(number, alpha), (
            f'the child of alpha {alpha} is called "{child.info.run_name}": write '
            '`run_name=f"alpha {alpha}"`, with the f before the quotes.'
        )


def _rmse(model, X, y):
    return float(((y - model.predict(X)) ** 2).mean() ** 0.5)


def _cross_validated(X, y, model, score=_rmse, folds=5):
    """The mean score of the folds, cut as scikit-learn does, without what makes it slow."""
    import numpy as np

    scores = []
    for held in np.array_split(np.arange(len(y)), folds):
        model.fit(np.delete(X, held, axis=0), np.delete(y, held))
        scores.append(score(model, X[held], y[held]))
    return float(np.mean(scores))


def _true_and_wrong(namespace, alphas):
    """The right cv_rmse of each alpha, and a function of an alpha that gives values in the wrong.

    That function returns what the value is, in words, and the value.
    """
    import numpy as np
    from sklearn.linear_model import ElasticNet

    def wines(part):
        return np.asarray(namespace[f"X{part}"], dtype=float), as_column(namespace[f"y{part}"])

    def candidate(alpha):
        return ElasticNet(alpha=alpha, l1_ratio=float(namespace["l1_ratio"]), random_state=42)

    def wrong(alpha):
        train, test = wines("_train"), wines("_test")
        return {
            "the RMSE of the test wines, which must not choose": _rmse(
                candidate(alpha).fit(*train), *test
            ),
            "that of folds of the test wines, which must not choose": _cross_validated(
                *test, candidate(alpha)
            ),
            "that of all wines, the test wines among them": _cross_validated(
                *wines(""), candidate(alpha)
            ),
            "the mean squared error": _cross_validated(
                *train, candidate(alpha), lambda *it: _rmse(*it) ** 2
            ),
            **{
                f"that of {n} folds": _cross_validated(*train, candidate(alpha), folds=n)
                for n in (3, 4, 10)
            },
            **{f"that of alpha {other}": true[other] for other in alphas if other != alpha},
        }

    true = {alpha: _cross_validated(*wines("_train"), candidate(alpha)) for alpha in alphas}
    return true, wrong


@catches("the scores were logged with their minus")
@swap("log-candidate", "-scores.mean()", "scores.mean()")
@hint("an RMSE is never negative: log `-scores.mean()`")
@catches("the test wines chose: their RMSE was logged as cv_rmse")
@swap("cross-validate", SCORES, "candidate.fit(X_train, y_train)")
@swap(
    "log-candidate",
    "-scores.mean()",
    "root_mean_squared_error(y_test, candidate.predict(X_test))",
)
@hint("0.692, the RMSE of the test wines, which must not choose")
@catches("the candidates were cross-validated on all wines")
@swap("cross-validate", "X_train, y_train", "X, y")
@hint("that of all wines, the test wines among them")
@catches("the test wines were cut into folds")
@swap("cross-validate", "X_train, y_train", "X_test, y_test")
@hint("that of folds of the test wines, which must not choose")
@catches("cv_rmse was rounded")
@swap("log-candidate", "-scores.mean()", "round(-scores.mean(), 2)")
@hint("0.68 (rounded?), five folds give 0.684")
@catches("three folds in place of five")
@swap("cross-validate", "cv=5", "cv=3")
@hint("that of 3 folds")
@catches("the squared error was taken for the RMSE")
@swap("cross-validate", "neg_root_mean", "neg_mean")
@hint("0.469, the mean squared error")
@catches("the candidate was made with a fixed alpha")
@swap("cross-validate", "alpha=alpha", "alpha=0.5")
@hint('the child "alpha 0.2" has the cv_rmse 0.711, that of alpha 0.5')
@catches("the five scores were printed, not logged")
@swap("log-candidate", 'mlflow.log_metric("cv_rmse", -scores.mean())', "print(scores)")
@hint("has no metric cv_rmse")
@error("metrics.cv_rmse")
def test_each_child_is_cross_validated(runs, namespace):
    "cv_rmse of each child is the mean RMSE of five folds of the training wines"
    children = _children(runs)
    true, wrong = _true_and_wrong(namespace, _alphas(namespace))
    assert len(children) == len(true), "there must be one child for each alpha."
    for child, (alpha, expected) in zip(children, true.items(), strict=True):
        name, found = child.info.run_name, child.data.metrics.get("cv_rmse")
        assert found is not None, (
            f'the child "{name}" has no metric cv_rmse: inside the child, call '
            '`mlflow.log_metric("cv_rmse", -scores.mean())`.'
        )
        if close(found, expected):
            continue
        shown = f'the child "{name}" has the cv_rmse {short(found, expected)}'
        assert found >= 0 or not close(-found, expected), (
            f"{shown}, and an RMSE is never negative: log `-scores.mean()`."
        )
        for words, value in wrong(alpha).items():
            assert not close(found, value), (
                f"{shown}, {words}. Call `{SCORES}` with this child's candidate."
            )
        assert all(found != round(expected, digits) for digits in range(6)), (
            f"{shown} (rounded?), five folds give {short(expected, found)}: log it as it is."
        )
        # Other folds, such as shuffled ones, are as good, and give nearly the same.
        assert close(found, expected, 0.02), (
            f"{shown}, five folds give {short(expected, found)}. Call `{SCORES}`, and log "
            "`-scores.mean()`."
        )


@catches("the filter was left out")
@swap(
    "search-candidates",
    "    filter_string=f\"tags.mlflow.parentRunId = '{parent.info.run_id}'\",\n",
    "",
)
@hint("`candidates` has 1 run that is no child of the newest parent")
@catches("the filter looks for children of any parent, after a second try")
@swap("search-candidates", "= '{parent.info.run_id}'", "LIKE '%'")
@twice("choose")
@hint("`candidates` has 3 runs that are no children of the newest parent")
@catches("the largest cv_rmse comes first")
@swap("search-candidates", "ASC", "DESC")
@hint('order_by=["metrics.cv_rmse ASC"]')
def test_the_search_finds_the_children(runs, namespace):
    "`candidates` has the children of this parent, the lowest cv_rmse first"
    found = found_ids(namespace, "candidates", f"In {CELL}, search below the parent's `with`.")
    children = _children(runs)
    ids = {one.info.run_id: one.data.metrics.get("cv_rmse") for one in children}
    others = [one for one in found if one not in ids]
    assert not others, (
        f"`candidates` has {plural(len(others), 'run')} that {'is' if len(others) == 1 else 'are'} "
        f"no {'child' if len(others) == 1 else 'children'} of the newest parent: filter on the tag "
        f"`{PARENT_TAG}` with the parent's id, and search again after each new try."
    )
    assert len(found) == len(ids), (
        f"`candidates` has {len(found)} of {plural(len(ids), 'child', 'children')}: search for all."
    )
    assert None not in ids.values(), "a child has no metric cv_rmse: log it inside the child."
    values = [ids[one] for one in found]
    assert values == sorted(values), (
        f"the first cv_rmse of `candidates` is {short(values[0])}, the lowest is "
        f'{short(min(values))}: search with `order_by=["metrics.cv_rmse ASC"]`.'
    )


@catches("alpha stayed what it was after the loop")
@swap("chosen", 'alpha = float(candidates["params.alpha"][0])', "")
@hint("`alpha` is 1, the child with the lowest cv_rmse has 0.2")
@catches("the alpha from the table stayed a text")
@swap("chosen", 'float(candidates["params.alpha"][0])', 'candidates["params.alpha"][0]')
@hint("`alpha` is a text")
@error("must be a float")
@catches("the final model was not trained")
@skip("train")
@hint('there is no run "elasticnet". Run the cell "4. Train"')
@error("name 'predictions' is not defined")
@catches("the candidates were tried again, and the final model is older")
@after(
    'with mlflow.start_run(run_name="alphas"), mlflow.start_run(nested=True):\n'
    '    mlflow.log_param("alpha", 0.2)\n'
    '    mlflow.log_metric("cv_rmse", 0.684)'
)
@hint("older than the newest candidates")
@catches("the final model was made with the alpha of the earlier blocks")
@swap("model", "alpha=alpha", "alpha=0.5")
@hint("`model` has alpha 0.5, the chosen one is 0.2")
def test_the_final_model_has_the_chosen_alpha(runs, namespace):
    "`alpha` is the best candidate's, and the newest run elasticnet is trained with it"
    children, alpha = _children(runs), namespace["alpha"]
    scored = [
        one for one in children if {"cv_rmse", "alpha"} <= {*one.data.metrics, *one.data.params}
    ]
    assert scored, "no child has the param alpha and the metric cv_rmse yet: log both inside it."
    best = float(min(scored, key=lambda one: one.data.metrics["cv_rmse"]).data.params["alpha"])
    assert not isinstance(alpha, str), (
        f"`alpha` is a text, {short(alpha)}: params come back as texts. Make a number of it with "
        "`float(...)`."
    )
    assert same_value(alpha, best), (
        f"`alpha` is {short(alpha, best)}, the child with the lowest cv_rmse has "
        f"{short(best, alpha)}: set it from the first row of `candidates`."
    )
    again = 'Run the cell "4. Train" after the search.'
    final = run_named("elasticnet", runs, again)
    assert final.info.start_time >= children[-1].info.start_time, (
        f'the newest run "elasticnet" is older than the newest candidates. {again}'
    )
    expect_params(
        final, {"alpha": best}, missing=again, wrong=again, source="the best candidate has"
    )
    own = getattr(namespace.get("model"), "alpha", None)
    assert same_value(own, best), (
        f"`model` has alpha {short(own, best)}, the chosen one is {short(best)}: make it with "
        "`alpha=alpha`."
    )


BY_HAND = """
folds = KFold(5, shuffle=True, random_state=7)
scores = -cross_val_score(candidate, X_train, y_train, cv=folds, scoring=scoring)"""

RIGHT_WAYS = (
    right(
        "a client searches and returns a list of runs",
        put(
            "search-candidates",
            "client = mlflow.MlflowClient()\n"
            "candidates = client.search_runs(\n"
            "    [parent.info.experiment_id],\n"
            "    f\"tags.mlflow.parentRunId = '{parent.info.run_id}'\",\n"
            '    order_by=["metrics.cv_rmse"],\n'
            ")",
        ),
        put("chosen", 'alpha = float(candidates[0].data.params["alpha"])'),
    ),
    right(
        "the folds are shuffled, and the sign is turned at once",
        swap("import-selection", "import cross", "import KFold, cross"),
        swap("cross-validate", SCORES, BY_HAND.strip()),
        swap("log-candidate", "-scores", "scores"),
    ),
    right(
        "each child is opened and ended by hand",
        put("child", OPENED),
        swap("log-candidate", "-scores.mean())", "-scores.mean())\nmlflow.end_run()"),
    ),
    right(
        "the alphas are an array with one more, in another order",
        swap("model-settings", "[0.2, 0.5, 1.0]", "pd.Series([1.0, 0.2, 0.7, 0.5]).to_numpy()"),
    ),
    right("the search has a cell of its own", split("choose", "candidates = ")),
    right("the search ran twice, and the training after it", twice("choose")),
    right(
        "the children know their parent by its id",
        put("loop", "mlflow.end_run()\nfor alpha in alphas:"),
        swap("child", "nested=True", "parent_run_id=parent.info.run_id"),
    ),
)
