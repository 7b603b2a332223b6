"""The model is a pipeline of a scaler and an ElasticNet, for the candidates and for the winner."""

from winelab.checks.authoring import catches, error, hint, put, right, skip_all, split, swap
from winelab.checks.comparing import close, fold_rmses, listed, same_column, short
from winelab.checks.looking import children_of, run_named
from winelab.checks.scratch import call, student_function

ALPHAS = [0.01, 0.1, 0.2, 0.5, 1.0]
MAKE = "make_model(alpha, l1_ratio)"
PLAIN = "ElasticNet(alpha=alpha, l1_ratio=l1_ratio, random_state=42)"
SCALED = "make_pipeline(StandardScaler(), elastic_net)"
RETURNED = "make_pipeline(StandardScaler(), ElasticNet(...))"


def _pipeline(alpha, l1_ratio):
    """What make_model should return."""
    from sklearn.linear_model import ElasticNet
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = ElasticNet(alpha=alpha, l1_ratio=l1_ratio, random_state=42)
    return make_pipeline(StandardScaler(), model)


def _made(namespace):
    """What the student's make_model returns for the settings 0.2 and 0.6."""
    advice = f"It takes alpha and l1_ratio, and returns {RETURNED}."
    made = call(student_function(namespace, "make_model"), 0.2, 0.6, on_error=advice)
    assert hasattr(made, "fit"), f"what make_model returns has no fit: it is no model. {advice}"
    return made


def _candidates(runs):
    """The children of the newest run "alphas", by alpha."""
    advice = 'Run the cell "3. Choose alpha by cross-validation" again.'
    below = children_of(run_named("alphas", runs, advice), runs)
    assert below, f'the newest run "alphas" has no runs below it. {advice}'
    return {float(run.data.params.get("alpha", "nan")): run for run in below}


def _l1_ratio(run):
    """The l1_ratio that a candidate's run carries; the lesson's where it carries none."""
    return float(run.data.params.get("l1_ratio", 0.3))


@catches("no cell has been run yet", skip_all())
@hint("there is no function `make_model` yet")
@catches("the function builds the pipeline, and returns nothing")
@swap("make-model", "return ", "made = ")
@hint("what make_model returns has no fit")
@error("Got None")
@catches("the scaler was left out")
@swap("make-model", f"return {SCALED}", "return elastic_net")
@hint("the same wines in other units")
@catches("the scaler comes after the model")
@swap("make-model", "StandardScaler(), elastic_net", "elastic_net, StandardScaler()")
@hint("scaler first")
@error("intermediate steps should be transformers")
@catches("the settings were written down in the function")
@swap("make-model", "alpha=alpha", "alpha=0.1")
@hint("take `alpha` and `l1_ratio` from the function's arguments")
@catches("the function takes its two settings in the other order")
@swap("make-model", MAKE, "make_model(l1_ratio, alpha)")
@hint("take `alpha` and `l1_ratio` from the function's arguments")
@catches("the function gives back a model that is fitted to the training wines")
@swap("make-model", SCALED, f"{SCALED}.fit(X_train, y_train)")
@hint("fitted already")
def test_make_model_returns_a_pipeline(namespace):
    "make_model returns a pipeline that isn't fitted yet: scale, then ElasticNet"
    import numpy as np

    rng = np.random.default_rng(7)
    X = rng.normal(size=(40, 3)) * [1.0, 10.0, 100.0]
    y = X @ [0.5, 0.05, 0.005] + rng.normal(size=40)
    made = _made(namespace)
    assert not hasattr(made, "n_features_in_"), (
        "what make_model returns is fitted already: leave fit to the cells that use it. "
        "Cross-validation fits each candidate five times, on different wines."
    )
    try:
        answers = made.fit(X, y).predict(X)
        in_other_units = _made(namespace).fit(X * 1000, y).predict(X * 1000)
    except Exception:
        said = f"the pipeline can't be fitted: scaler first, the model last, {RETURNED}."
        raise AssertionError(said) from None
    assert same_column(answers, in_other_units, 1e-6), (
        f"unscaled, the same wines in other units get other predictions: return {RETURNED}."
    )
    assert same_column(answers, _pipeline(0.2, 0.6).fit(X, y).predict(X), 1e-6), (
        "make_model(0.2, 0.6) makes a model with other settings: take `alpha` and `l1_ratio` from "
        "the function's arguments, in this order, and random_state=42."
    )


@catches("0.01 was not added")
@swap("model-settings", "[0.01, ", "[")
@hint("missing among the candidates: 0.01.")
@catches("the list was replaced by the two new alphas")
@swap("model-settings", ", 0.2, 0.5, 1.0", "")
@hint("missing among the candidates: 0.2, 0.5 and 1.0.")
def test_five_candidates_were_tried(runs, namespace):
    "five alphas were tried, 0.1 and 0.01 among them"
    import sys

    # A student's own list may go on, and a script may be given another one.
    wanted = list(namespace["alphas"]) if "--alpha" in sys.argv else ALPHAS
    missing = [str(alpha) for alpha in wanted if alpha not in _candidates(runs)]
    advice = f"Write alphas = {ALPHAS}, and run the cells below again."
    assert not missing, f"missing among the candidates: {listed(missing)}. {advice}"


@catches("the candidates are still plain ElasticNets")
@swap("cross-validate", MAKE, PLAIN)
@hint("make each candidate with make_model(alpha, l1_ratio)")
@catches("the candidates were cross-validated on all wines, those of the test too")
@swap("cross-validate", "X_train, y_train", "X, y")
@hint("on X_train and y_train alone")
def test_the_candidates_are_pipelines(runs, namespace):
    "the candidates' cv_rmse is that of the pipeline, on the training wines"
    for alpha, run in _candidates(runs).items():
        model, found = _pipeline(alpha, _l1_ratio(run)), run.data.metrics.get("cv_rmse")
        expected = fold_rmses(model, namespace["X_train"], namespace["y_train"]).mean()
        assert found is not None, (
            f'the child "{run.info.run_name}" has no cv_rmse: keep '
            'mlflow.log_metric("cv_rmse", -scores.mean()) in it.'
        )
        assert close(found, expected, 1e-6), (
            f"cv_rmse is {short(found, expected)} for alpha {alpha}, and the pipeline's is "
            f"{short(expected, found)}: make each candidate with {MAKE}, and cross-validate it on "
            "X_train and y_train alone."
        )


@catches("the final model is still a plain ElasticNet")
@swap("model", MAKE, PLAIN)
@hint("model = make_model(alpha, l1_ratio)")
@catches("the final model has a fixed alpha")
@swap("model", "make_model(alpha", "make_model(0.5")
@hint("model = make_model(alpha, l1_ratio)")
def test_the_final_model_is_the_chosen_pipeline(run, runs, namespace):
    "`model` is the pipeline with the chosen alpha, and its run has its rmse"
    candidates = _candidates(runs)
    best = min(candidates, key=lambda alpha: candidates[alpha].data.metrics.get("cv_rmse", 9.0))
    expected = _pipeline(best, _l1_ratio(candidates[best]))
    expected.fit(namespace["X_train"], namespace["y_train"])
    answers = expected.predict(namespace["X_test"])
    assert same_column(namespace["predictions"], answers, 1e-6), (
        f"`predictions` are not those of the pipeline with alpha {best}, which has the lowest "
        f'cv_rmse: in the cell "4. Train", write model = {MAKE}, and run the cell again.'
    )
    rmse = float(((namespace["y_test"] - answers) ** 2).mean() ** 0.5)
    logged = run.data.metrics.get("rmse")
    assert logged is not None and close(logged, rmse, 1e-6), (
        f'the newest run, "{run.info.run_name}", does not carry the rmse of this model, '
        f'{short(rmse)}: run the cell "4. Train" again.'
    )


BY_CLASS = """def make_model(alpha, l1_ratio):
    model = ElasticNet(alpha=alpha, l1_ratio=l1_ratio, random_state=42)
    return Pipeline([("scale", StandardScaler()), ("net", model)])"""
SET_LATER = """def make_model(alpha, l1_ratio):
    made = make_pipeline(StandardScaler(), ElasticNet(random_state=42))
    return made.set_params(elasticnet__alpha=alpha, elasticnet__l1_ratio=l1_ratio)"""

RIGHT_WAYS = (
    right(
        "the pipeline is made by its class, with names for the steps",
        swap("import-pipeline", "make_pipeline", "Pipeline"),
        put("make-model", BY_CLASS),
    ),
    right("the settings are set on the finished pipeline", put("make-model", SET_LATER)),
    right(
        "a longer list, and the final model in a cell of its own",
        swap("model-settings", "[0.01,", "[0.001, 0.01,"),
        split("choose", "candidates ="),
    ),
    right(
        "the candidates are fitted to numpy arrays",
        swap("cross-validate", "X_train, y_train", "X_train.to_numpy(), y_train.to_numpy()"),
    ),
)
