"""Four families were compared, and a lead that repeated rows or chance have made isn't real."""

import math

import numpy as np
import pandas as pd

from winelab.checks.authoring import catches, hint, put, right, skip, swap
from winelab.checks.comparing import kind
from winelab.checks.looking import EXPERIMENT, children_of, run_named
from winelab.checks.scratch import call, package_module, scratch_store

FAMILIES = ["elasticnet", "svr", "forest", "boosting"]
TESTS = ["all-test-wines", "new-test-wines"]
REPEATED = """\
repeated = pd.concat([train, test]).duplicated()[len(train) :]
    return test[~repeated]"""


def unrun(what):
    """Catch a mistake that shows in the files alone: the program is not run."""
    return catches(what, skip("run-compare", "run-tests"))


def _function(namespace, module, name):
    """A function of the student's package."""
    found = getattr(package_module(namespace, f"wineops.{module}"), name, None)
    assert callable(found), f"there is no function `{name}` in {module}.py yet: write it with def."
    return found


@unrun("rows that the training table has were kept")
@swap("only-new", "pd.concat([train, test]).duplicated()[len(train) :]", "test.duplicated()")
@hint("The training table has this row too")
@unrun("a row that stands twice in the test was kept twice")
@swap(
    "only-new",
    REPEATED,
    "known = pd.MultiIndex.from_frame(test).isin(pd.MultiIndex.from_frame(train))\n"
    "    return test[~known]",
)
@hint("stands twice in the test table")
@unrun("the known rows were kept, and not the new ones")
@swap("only-new", "[~repeated]", "[repeated]")
@hint("It should keep the rows that are new")
@unrun("the test table was put first")
@swap("only-new", "train, test", "test, train")
@swap("only-new", "[len(train) :]", "[: len(test)]")
@hint("The training table has this row too")
def test_only_new_wines_are_left(namespace):
    "only_new leaves out what the training table has, and what stands twice"
    train = pd.DataFrame({"alcohol": [9.0, 10.0, 10.0], "quality": [5.0, 6.0, 6.0]})
    rows = [(10.0, 6.0), (10.0, 7.0), (11.0, 6.0), (11.0, 6.0), (9.0, 4.0)]
    test = pd.DataFrame(rows, columns=["alcohol", "quality"], index=[7, 3, 5, 8, 2])
    answer = call(
        _function(namespace, "wines", "only_new"),
        test,
        train,
        expect=pd.DataFrame,
        on_error="It takes the test table, then the training table.",
    )
    left = [tuple(row) for row in answer[["alcohol", "quality"]].itertuples(index=False)]
    new = [(10.0, 7.0), (11.0, 6.0), (9.0, 4.0)]
    assert (9.0, 4.0) in left, (
        "It should keep the rows that are new: a test wine of alcohol 9 and quality 4 went, and no "
        "training wine has both."
    )
    assert (10.0, 6.0) not in left, (
        "The training table has this row too, and only_new keeps it: alcohol 10, quality 6. Look "
        "for repeats in both tables, the training table first."
    )
    assert left.count((11.0, 6.0)) == 1, (
        f"a row stands twice in the test table, and {left.count((11.0, 6.0))} times in what "
        "only_new returns: keep it once."
    )
    assert sorted(left) == sorted(new), (
        f"of these made-up wines {new} are new, and it keeps {left}."
    )


def _wines(scale=1.0):
    """Measurements of 60 made-up wines, the first column in another unit, and their qualities."""
    columns = np.random.default_rng(3).normal(size=(60, 3))
    quality = pd.Series(columns[:, 1] + columns[:, 2] ** 2, name="quality")
    return pd.DataFrame(columns * [scale, 1, 1], columns=["sulfur", "acid", "alcohol"]), quality


def _last_step(model):
    """The regressor at a pipeline's end, or the model itself."""
    return model[-1] if hasattr(model, "steps") else model


@unrun("the SVR has no scaler")
@swap("families", "make_pipeline(StandardScaler(), SVR())", "SVR()")
@hint("changes its predictions when a measurement is in another unit")
@unrun("a family is missing")
@swap("families", '"boosting": GradientBoostingRegressor(random_state=42),', "")
@hint('there is no family "boosting"')
@unrun("the forest has no seed")
@swap("families", "n_estimators=200, random_state=42", "n_estimators=200")
@hint("predicts otherwise when it is trained again")
@unrun("the forest is called boosting too")
@swap("families", "RandomForestRegressor(n_estimators=200, random_state=42)", "SVR()")
@hint('"forest" holds')
def test_there_are_four_families(namespace):
    "make_families has four families; each predicts the same in any unit, and again"
    make = _function(namespace, "families", "make_families")
    families, again = call(make, expect=dict), call(make)
    for name in FAMILIES:
        assert name in families, f'there is no family "{name}" in make_families: {list(families)}.'
    for name, words in {"svr": "SVR", "forest": "Forest", "boosting": "Boosting"}.items():
        held = type(_last_step(families[name])).__name__
        assert words in held or (name, held) == ("forest", "ExtraTreesRegressor"), (
            f'"{name}" holds {held}: take the class that the imports name.'
        )
    small, quality = _wines()
    large, _ = _wines(scale=1000.0)

    def predicted(*tries):
        return [model.fit(wines, quality).predict(wines) for model, wines in tries]

    for name in FAMILIES:
        for model in (families[name], again[name]):
            if hasattr(_last_step(model), "n_estimators"):
                _last_step(model).n_estimators = 5  # enough here, and quick
        tries = ((families[name], small), (again[name], small), (families[name], large))
        first, second, other = call(predicted, *tries)
        assert np.allclose(first, second), (
            f'"{name}" predicts otherwise when it is trained again: say random_state=42.'
        )
        assert np.abs(first - other).mean() < 0.05 * np.std(first), (
            f'"{name}" changes its predictions when a measurement is in another unit: put a '
            "StandardScaler before it."
        )


@unrun("the reference's errors are those of all wines")
@swap("leads", "reference_errors[samples]", "reference_errors")
@hint("too narrow or too wide")
@unrun("the reference has samples of its own")
@swap(
    "leads",
    "reference_errors[samples]",
    "np.random.default_rng(1).choice(reference_errors, samples.shape)",
)
@hint("Take the reference's errors on the same wines")
@unrun("the lead has the wrong sign")
@put("leads", "leads = resampled - rmse(reference_errors[samples])")
@hint("a better model must have a lead above 0")
def test_a_lead_is_measured_on_the_same_wines(namespace):
    "the interval of a lead compares both models on the same wines"
    generator = np.random.default_rng(5)
    reference = generator.normal(size=250)
    errors = 0.9 * reference + generator.normal(scale=0.05, size=250)
    answer = call(
        _function(namespace, "compare", "measure"),
        errors,
        reference,
        expect=dict,
        on_error="Compute `leads` before the quantiles.",
    )
    lower, upper = float(answer["lead_lower"]), float(answer["lead_upper"])
    assert upper > 0, (
        f"the lead is {lower:.3f} to {upper:.3f}, and a better model must have a lead above 0: "
        "take the reference's RMSE minus the model's."
    )
    samples = generator.integers(0, 250, (2000, 250))
    theirs, own = (np.sqrt((e[samples] ** 2).mean(axis=1)) for e in (reference, errors))
    wanted = np.quantile(theirs - own, [0.025, 0.975])
    width = wanted[1] - wanted[0]
    assert abs(lower - wanted[0]) < width / 3 and abs(upper - wanted[1]) < width / 3, (
        f"the interval {lower:.3f} to {upper:.3f} is too narrow or too wide; on these made-up "
        f"errors it is some {wanted[0]:.3f} to {wanted[1]:.3f}. Take the reference's errors on the "
        "same wines: reference_errors[samples]."
    )


def _evaluations(client, parent, rmses):
    """Log made-up evaluations below a run: family -> RMSE."""
    experiment = client.get_experiment_by_name(EXPERIMENT)
    for family, rmse in rmses.items():
        tags = {"mlflow.parentRunId": parent, "family": family, "test": TESTS[1]}
        run = client.create_run(experiment.experiment_id, tags=tags)
        for name in ("rmse", "rmse_lower", "rmse_upper", "lead", "lead_lower", "lead_upper"):
            client.log_metric(run.info.run_id, name, rmse)
        client.set_terminated(run.info.run_id)


@unrun("the pages stop after the second one")
@put(
    "find-runs",
    "def find_runs(client, filter_string, order_by, page_size=5):\n"
    "    experiment = client.get_experiment_by_name(settings.experiment)\n"
    "    options = ([experiment.experiment_id], filter_string, 1, page_size, order_by)\n"
    "    page = client.search_runs(*options)\n"
    "    return page + client.search_runs(*options, page.token)\n",
)
@hint("Go on until there is no token")
@unrun("only the last page is returned")
@swap("find-runs", "found += page", "found = list(page)")
@hint("add each page to `found`")
def test_all_pages_are_found(namespace):
    "find_runs finds all runs, in order, however many pages they are"
    find_runs = _function(namespace, "compare", "find_runs")
    with scratch_store() as client:
        client.create_experiment(EXPERIMENT)
        _evaluations(client, "made-up", {f"number {n}": (7 * n) % 12 / 10 for n in range(12)})
        answer = call(find_runs, client, "metrics.rmse > 0.05", ["metrics.rmse ASC"])
        few = call(find_runs, client, "metrics.rmse > 0.95", ["metrics.rmse ASC"], 2)
    assert answer is not None, "find_runs gives back nothing: end it with `return found`."
    assert len(answer) == 11, (
        f"of 11 runs, find_runs finds {len(answer)}: add each page to `found`. Go on until there "
        "is no token."
    )
    order = [run.data.metrics["rmse"] for run in answer]
    assert order == sorted(order), "the runs are not in order: pass order_by= to each search."
    assert len(few) == 2, f"of 2 runs on one page, find_runs finds {len(few)}."


@unrun("the runs of other comparisons are in the ranking")
@swap("rank", "f\"tags.mlflow.parentRunId = '{parent_id}'\"", '"metrics.rmse > 0"')
@hint("evaluations of another comparison")
@unrun("the highest RMSE stands first")
@swap("rank", "metrics.rmse ASC", "metrics.rmse DESC")
@hint("lowest RMSE first")
@unrun("the runs are in no order")
@swap("rank", '["metrics.rmse ASC"]', "[]")
@hint("lowest RMSE first")
def test_the_ranking_is_of_one_comparison(namespace):
    "rank has one comparison's evaluations, the lowest RMSE first"
    rank = _function(namespace, "compare", "rank")
    with scratch_store() as client:
        client.create_experiment(EXPERIMENT)
        mine = dict(zip(FAMILIES, (0.6, 0.7, 0.5, 0.4), strict=True))
        _evaluations(client, "a" * 32, {**mine, "ridge": 0.8, "lasso": 0.9})
        _evaluations(client, "b" * 32, {"yesterday": 0.1})
        answer = call(
            rank,
            client,
            "a" * 32,
            expect=pd.DataFrame,
            on_error="Keep what find_runs finds as `runs`, with the filter in single quotes.",
        )
    ranked = list(answer["family"])
    assert "yesterday" not in ranked, (
        "the ranking has evaluations of another comparison: filter by the tag mlflow.parentRunId."
    )
    assert list(answer["rmse"]) == sorted(answer["rmse"]), (
        f"the ranking should have the lowest RMSE first, and has {ranked}: order by metrics.rmse."
    )
    assert len(ranked) == 6, f"of six evaluations the ranking has {len(ranked)}."


@unrun("the best model on any dataset was taken")
@swap("best-model", '"dataset_name": test_name, ', "")
@hint("name the dataset in the order")
@unrun("the models of all comparisons were searched")
@swap("best-model", "f\"source_run_id = '{parent_id}'\"", "None")
@hint("a model of another run")
@unrun("the worst model was taken")
@swap("best-model", '"ascending": True', '"ascending": False')
@hint("has a higher RMSE")
def test_the_best_model_is_of_one_dataset(namespace):
    "best_model finds the run's model with the lowest RMSE on that dataset"
    import mlflow

    best_model = _function(namespace, "compare", "best_model")
    with scratch_store() as client:
        mine = client.create_experiment(EXPERIMENT)
        runs = [client.create_run(mine).info.run_id for _ in range(2)]
        # The RMSE on all test wines, and on the new ones.
        made = [("svr", 0, 0.2, 0.6), ("forest", 0, 0.3, 0.5), ("ridge", 1, 0.1, 0.1)]
        for name, at, *rmses in [*made, ("boosting", 0, 0.9, 0.7)]:
            model = mlflow.initialize_logged_model(name, runs[at], experiment_id=mine)
            mlflow.finalize_logged_model(model.model_id, "READY")
            for test, rmse in zip(TESTS, rmses, strict=True):
                client.log_metric(
                    runs[at], "rmse", rmse, model_id=model.model_id, dataset_name=test,
                    dataset_digest="made-up",
                )  # fmt: skip
        found = {test: call(best_model, runs[0], test) for test in TESTS}
    names = {test: getattr(one, "name", kind(one)) for test, one in found.items()}
    assert "ridge" not in names.values(), (
        "best_model finds a model of another run: filter by source_run_id."
    )
    assert "boosting" not in names.values(), (
        'best_model finds a model that has a higher RMSE than the others: say "ascending": True.'
    )
    assert names == dict(zip(TESTS, ("svr", "forest"), strict=True)), (
        f"on made-up datasets best_model finds {names}, and should find svr and forest: name the "
        "dataset in the order, by dataset_name."
    )


@unrun("all test wines decided")
@swap("real-leads", '"new-test-wines"', '"all-test-wines"')
@hint("the models know a quarter of those wines")
@unrun("a lead above 0 was enough")
@swap("real-leads", '"lead_lower"', '"lead"')
@hint("its interval has 0 in it")
@unrun("both tables decided")
@swap("real-leads", '(table["test"] == "new-test-wines") & ', "")
@hint("the models know a quarter of those wines")
@unrun("what is worse was named too")
@swap("real-leads", '(table["lead_lower"] > 0)', '(table["lead_lower"] * table["lead_upper"] > 0)')
@hint("has a higher RMSE than the reference")
def test_a_real_lead_is_on_new_wines_and_beyond_chance(namespace):
    "real_leads counts a lead on new wines only, and only if its interval is above 0"
    leads = {
        ("known", TESTS[0]): (0.08, 0.05, 0.11),
        ("known", TESTS[1]): (-0.01, -0.03, 0.02),
        ("lucky", TESTS[1]): (0.01, -0.02, 0.03),
        ("worse", TESTS[1]): (-0.05, -0.08, -0.02),
        ("elasticnet", TESTS[1]): (0.0, 0.0, 0.0),
        ("better", TESTS[1]): (0.05, 0.02, 0.08),
        ("better", TESTS[0]): (0.01, -0.02, 0.03),
    }
    rows = [
        {"test": test, "family": family, "rmse": 0.6 - lead, "rmse_lower": 0.5, "rmse_upper": 0.7,
         "lead": lead, "lead_lower": lower, "lead_upper": upper}
        for (family, test), (lead, lower, upper) in leads.items()
    ]  # fmt: skip
    answer = call(
        _function(namespace, "compare", "real_leads"),
        pd.DataFrame(rows),
        expect=(list, tuple, set, pd.Series, np.ndarray),
        on_error="It takes the ranking, a table.",
    )
    found = list(answer)
    assert "lucky" not in found, (
        'it names "lucky", which leads by 0.01 on new wines, but its interval has 0 in it: look at '
        "the lower end."
    )
    assert "known" not in found, (
        'it names "known", which leads on all test wines only: the models know a quarter of those '
        'wines. Let "new-test-wines" decide, and nothing else.'
    )
    assert "worse" not in found, (
        'it names "worse", which has a higher RMSE than the reference: a lead is above 0.'
    )
    assert found == ["better"], (
        f'of these made-up families only "better" has a real lead, and it names {found}.'
    )


@catches("the program was not run")
@skip("run-compare")
@hint("run `wineops.compare`")
@catches("the program stopped in the middle")
@swap("measure-end", "lead_lower, lead_upper = np", "lead_lower = np")
@hint("fix what the program says")
def test_the_comparison_is_in_the_store(runs):
    "a finished run has four models, each evaluated on both test tables"
    advice = "Fill the gaps, then run `wineops.compare`, and fix what the program says."
    parent = run_named("compare", runs, advice)
    assert parent.info.status == "FINISHED", (
        f'your newest run "compare" ended as {parent.info.status}: fix what the program says.'
    )
    assert "real_leads" in parent.data.tags, (
        "the program stopped before it decided: fix what the program says, and run it again."
    )
    children = children_of(parent, runs)
    found = {(run.data.tags.get("test"), run.data.tags.get("family")) for run in children}
    wanted = {(test, family) for test in TESTS for family in FAMILIES}
    assert wanted <= found, (
        f"evaluations are missing, such as {' of '.join(min(wanted - found)[::-1])}. {advice}"
    )
    assert all(math.isfinite(run.data.metrics.get("lead", math.nan)) for run in children), (
        "an evaluation has no lead: fix what the program says, and run it again."
    )


RIGHT_WAYS = (
    right(
        "the known rows are found by a merge",
        swap(
            "only-new",
            REPEATED,
            "known = train.drop_duplicates()\n"
            "    both = test.drop_duplicates().merge(known, how='left', indicator=True)\n"
            "    return both[both['_merge'] == 'left_only'].drop(columns='_merge')",
        ),
    ),
    right(
        "the boosting is the one by histograms, and has a scaler",
        swap(
            "families",
            "GradientBoostingRegressor(random_state=42)",
            "make_pipeline(StandardScaler(), GradientBoostingRegressor(random_state=42))",
        ),
        swap("families", "n_estimators=200, random_state=42", "200, random_state=7"),
    ),
    right(
        "the pages are fetched by a function that calls itself",
        put(
            "find-runs",
            "def find_runs(client, filter_string, order_by, page_size=5, token=None):\n"
            "    ids = [client.get_experiment_by_name(settings.experiment).experiment_id]\n"
            "    page = client.search_runs(ids, filter_string, 1, page_size, order_by, token)\n"
            "    rest = (filter_string, order_by, page_size, page.token)\n"
            "    return list(page) + (find_runs(client, *rest) if page.token else [])\n",
        ),
    ),
    right(
        "the ranking filters by backticks and sorts by the name in MLflow's short form",
        swap("rank", "tags.mlflow.parentRunId =", "tags.`mlflow.parentRunId` ="),
        swap("rank", "metrics.rmse ASC", "metrics.`rmse`"),
    ),
    right(
        "the best model is the first of all",
        swap("best-model", "    max_results=1,\n", ""),
        swap("best-model", ', "ascending": True', ""),
    ),
    right(
        "the leads are asked for in one query",
        swap(
            "real-leads",
            'real = table[(table["test"] == "new-test-wines") & (table["lead_lower"] > 0)]',
            "real = table.query(\"test == 'new-test-wines' and lead_lower > 0\")",
        ),
    ),
)
