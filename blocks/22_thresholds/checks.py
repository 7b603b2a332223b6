"""Block 22: two demands on the model, and what MLflow says to each."""

from winelab.checks.authoring import after, catches, given, put, remove, skip_all, swap
from winelab.checks.comparing import close, regression_metrics

RMSE = "root_mean_squared_error"
# What evaluate calls the metrics that the course has computed by hand.
NAMES = {RMSE: "rmse", "mean_absolute_error": "mae", "r2_score": "r2"}


def _figures(namespace):
    """The metrics of the model and of the mean on the test wines."""
    import numpy as np

    actual = namespace["y_test"]
    mean = np.full(len(actual), namespace["y_train"].mean())
    return (
        regression_metrics(actual, namespace["predictions"]),
        regression_metrics(actual, mean),
    )


def _model_run(attempt):
    """The newest run of this try that logged a model, if it finished."""
    found = [run for run in attempt if run.outputs.model_outputs]
    assert found and found[0].info.status == "FINISHED", (
        "the run with the model did not finish: an error inside the `with` ended it, and its "
        "message stands above. A refusal is an error too: put the validation between `try:` and "
        "`except ModelValidationFailedException as refusal:`."
    )
    return found[0]


def _carries(run, figures):
    """Whether the run has these figures, under the names that evaluate gives them."""
    logged = run.data.metrics
    return all(
        name in logged and close(logged[name], figures[ours]) for name, ours in NAMES.items()
    )


def _verdict(demand, attempt, runs, namespace):
    """The verdict on the run: MLflow's words, and about the right two models."""
    import re

    words = _model_run(attempt).data.tags.get(demand)
    still_open = any(run.info.status == "RUNNING" for run in runs)
    assert words or not still_open, (
        "a run is still open, and the verdicts are not on yours: set after the `with`, tags open "
        "a run of their own. Call mlflow.end_run(), and set them inside."
    )
    assert words, (
        f'the run has no tag "{demand}": inside the `with`, after the evaluation, validate for '
        "each demand, keep the verdict under the demand's name, and call "
        "mlflow.set_tags(verdicts)."
    )
    if words == "passed":
        return words
    assert f"metric {RMSE} was missing from the evaluation result of the baseline" not in words, (
        f'"{demand}" was refused because there is nothing to compare with: pass '
        "baseline_result=baseline_evaluation too."
    )
    missing = re.search(r"metric (\w+) was missing", words)
    assert not missing, (
        f'"{demand}" was refused because evaluate knows no metric "{missing and missing[1]}": the '
        f'key in validation_thresholds is the metric\'s full name, "{RMSE}".'
    )
    assert words != "None", (
        f'the tag "{demand}" says "None": validate_evaluation_results answers with nothing when '
        'the model passes. Write verdicts[name] = "passed" on the line below it, inside the `try`.'
    )
    assert "check failed" in words, (
        f'the tag "{demand}" says "{words[:60]}", which is neither "passed" nor why the model was '
        'refused: keep the message, f"refused: {refusal}". If these are the words of another '
        "error, mend that one, and catch ModelValidationFailedException alone."
    )
    assert RMSE in words, (
        f'"{demand}" was asked of another metric: the demands are about the RMSE, so the key in '
        f'validation_thresholds is "{RMSE}".'
    )
    model, mean = _figures(namespace)
    judged = dict(re.findall(rf"(candidate|baseline) model {RMSE} = ([^,]+),", words))
    candidate = float(judged.get("candidate", model["rmse"]))
    assert not close(candidate, mean["rmse"]) or close(model["rmse"], mean["rmse"]), (
        f'"{demand}" was asked of the baseline: the model\'s `evaluation` is the candidate_result, '
        "`baseline_evaluation` the baseline_result."
    )
    against = float(judged.get("baseline", mean["rmse"]))
    assert close(against, mean["rmse"]), (
        f'"{demand}" was held against an RMSE of {against:.4f}, and the mean has '
        f"{mean['rmse']:.4f}: see that `baseline_evaluation` is that of the baseline."
    )
    return words


def _compare(demand, deserved, words):
    """Hold the verdict against the one that the figures deserve."""
    assert not (deserved and words != "passed"), (
        f'the model meets "{demand}", and the tag says that it was refused: look at the kind and '
        "the size of the change in `demands`. A smaller RMSE is better, so "
        "greater_is_better=False."
    )
    assert deserved or words != "passed", (
        f'the model does not meet "{demand}", and the tag says "passed": write "passed" behind '
        "the validation, inside the `try`, and look at the threshold."
    )


EVALUATE_BASELINE = (
    "baseline_evaluation = mlflow.models.evaluate(\n"
    '    data=guesses, predictions="prediction", targets="quality", model_type="regressor",\n'
    '    evaluator_config={"log_model_explainability": False},\n'
    ")"
)
RELATIVE = "min_relative_change=0.05, greater_is_better=False"
ABSOLUTE = "min_absolute_change=0.1, greater_is_better=False"
THRESHOLDS = f'{{"{RMSE}": threshold}}'


@catches("no cell has been run yet", skip_all(), hint="has made no run since it started")
@given
def test_a_run_finished(run):
    "a run finished"


@catches(
    "greater_is_better the wrong way round: a refusal that looks right",
    swap("demands", ABSOLUTE, ABSOLUTE.replace("False", "True")),
    hint="the one with the smaller RMSE is better",
)
@catches(
    "the threshold is a figure of numpy's",
    swap("demands", ABSOLUTE, "threshold=pd.Series([0.6, 0.8]).mean(), " + ABSOLUTE),
    hint="needs float(...)",
    error="`threshold` parameter must be a number",
)
@catches(
    "the five percent were written as 5",
    swap("demands", RELATIVE, RELATIVE.replace("0.05", "5")),
    hint="a float between 0 and 1",
    error="`min_relative_change` parameter must be a floating point number",
)
@catches(
    "the relative change was asked for as an absolute one",
    swap("demands", RELATIVE, RELATIVE.replace("relative", "absolute")),
    hint='"five_percent_better" is relative',
)
@catches(
    "both changes were asked for in one demand",
    swap("demands", ABSOLUTE, f"min_relative_change=0.05, {ABSOLUTE}"),
    hint="asks for more than its one change",
)
@catches(
    "a demand was misspelt",
    swap("demands", '"a_tenth_better"', '"one_tenth_better"'),
    hint='has no entry "a_tenth_better"',
)
@catches(
    "the demands stand in a list",
    put("demands", f"demands = [MetricThreshold({RELATIVE}), MetricThreshold({ABSOLUTE})]"),
    hint="is of the kind list: make it a dictionary",
    error="'list' object has no attribute 'items'",
)
def test_the_demands_are_written_down(namespace):
    "`demands` asks for an RMSE 5 % smaller, and for one smaller by 0.1"
    from mlflow.models import MetricThreshold

    demands = namespace.get("demands")
    names = ("five_percent_better", "a_tenth_better")
    assert demands is not None, (
        'there are no `demands` yet: in the cell "1. Settings", make a dictionary with the keys '
        '"five_percent_better" and "a_tenth_better". If MetricThreshold refused your number: a '
        "relative change is a float between 0 and 1, and a figure of numpy's needs float(...)."
    )
    assert isinstance(demands, dict), (
        f"`demands` is of the kind {type(demands).__name__}: make it a dictionary, "
        '{"five_percent_better": MetricThreshold(...), "a_tenth_better": MetricThreshold(...)}.'
    )
    missing = [name for name in names if name not in demands]
    assert not missing, (
        f'`demands` has no entry "{missing and missing[0]}": mind the spelling. Its keys are the '
        "names of the demands; the metric's name comes later, in validation_thresholds."
    )
    assert all(isinstance(demands[name], MetricThreshold) for name in names), (
        "each of `demands` must be a MetricThreshold(...), not a bare number."
    )
    relative, absolute = (demands[name] for name in names)
    assert relative.min_relative_change == 0.05, (
        '"five_percent_better" is relative: MetricThreshold(min_relative_change=0.05, ...).'
    )
    assert absolute.min_absolute_change == 0.1, (
        '"a_tenth_better" is absolute: MetricThreshold(min_absolute_change=0.1, ...).'
    )
    more = (relative.threshold, relative.min_absolute_change)
    more += (absolute.threshold, absolute.min_relative_change)
    assert not any(more), (
        "one of the two demands asks for more than its one change: take the other limits out of "
        "its MetricThreshold."
    )
    assert not (relative.greater_is_better or absolute.greater_is_better), (
        "of two models the one with the smaller RMSE is better: say greater_is_better=False in "
        "both."
    )


@catches(
    "the baseline was evaluated outside of a run",
    remove("evaluate-baseline"),
    swap("baseline-run", '\nwith mlflow.start_run(run_name="baseline"):', f"\n{EVALUATE_BASELINE}"),
    hint='with mlflow.start_run(run_name="baseline")',
)
@catches(
    "the model's predictions were evaluated as the baseline's",
    swap(
        "baseline-run",
        "baseline.predict(X_test)",
        "ElasticNet(alpha=alpha).fit(X_train, y_train).predict(X_test)",
    ),
    hint="are not those of the mean",
)
def test_the_baseline_has_a_run_of_its_own(attempt, namespace):
    'the run "baseline" carries what evaluate says of the mean'
    own = [run for run in attempt if run.info.run_name == "baseline"]
    _, mean = _figures(namespace)
    elsewhere = [run for run in attempt if _carries(run, mean) and not run.outputs.model_outputs]
    assert own or not elsewhere, (
        f'the baseline was evaluated in a run called "{elsewhere and elsewhere[0].info.run_name}": '
        'put the evaluation inside `with mlflow.start_run(run_name="baseline"):`.'
    )
    assert own, (
        'there is no run "baseline": above the line that turns autolog on, open one with '
        'mlflow.start_run(run_name="baseline"), and evaluate the baseline\'s predictions in it.'
    )
    assert _carries(own[0], mean), (
        'the figures on the run "baseline" are not those of the mean: evaluate the test table '
        'with baseline.predict(X_test) as its column "prediction", against targets="quality".'
    )


@catches(
    "the baseline was evaluated in the model's run, whose figures it replaces",
    put("baseline-run", "guesses = test.assign(prediction=baseline.predict(X_test))"),
    remove("evaluate-baseline"),
    swap("verdicts", "verdicts = {}", f"{EVALUATE_BASELINE}\nverdicts = {{}}"),
    hint="took the place of the model's",
)
@given
def test_the_model_keeps_its_own_figures(attempt, namespace):
    "the run with the model carries what evaluate says of the model"
    model, mean = _figures(namespace)
    run = _model_run(attempt)
    assert not _carries(run, mean) or close(model["rmse"], mean["rmse"]), (
        "the baseline was evaluated in the model's run, and its figures took the place of the "
        "model's: give the baseline a run of its own, above the other one."
    )
    assert _carries(run, model), (
        f"{RMSE} and the rest on the run are not those of your model: keep "
        "mlflow.models.evaluate(model_info.model_uri, ...) inside the `with`."
    )


@catches(
    "the metric has the short name of block 4: a refusal for the wrong reason",
    swap("verdicts", RMSE, "rmse"),
    hint='evaluate knows no metric "rmse"',
)
@catches(
    "the arguments of older courses, which evaluate no longer has",
    swap("extras", "extra_metrics=", "validation_thresholds=demands,\n    extra_metrics="),
    hint="an error inside the `with` ended it, and its message stands above",
    error="got an unexpected keyword argument 'validation_thresholds'",
)
@catches(
    "greater_is_better the wrong way round: a good model is refused",
    swap("demands", RELATIVE, RELATIVE.replace("False", "True")),
    hint="A smaller RMSE is better",
)
@catches(
    "what the validation returns was kept as the verdict",
    swap("verdicts", '"passed"', "None"),
    hint="answers with nothing when the model passes",
)
@catches(
    "any error was caught, also one in the program",
    swap(
        "verdicts",
        "candidate_result=evaluation,\n            "
        "baseline_result=baseline_evaluation,\n        )\n"
        '        verdicts[name] = "passed"\n'
        "    except ModelValidationFailedException",
        "candidate_result=metrics,\n            "
        "baseline_result=baseline_metrics,\n        )\n"
        '        verdicts[name] = "passed"\n'
        "    except Exception",
    ),
    hint="the words of another error",
)
@catches(
    "the baseline's evaluation was not passed",
    swap("verdicts", "baseline_result=baseline_evaluation,", ""),
    hint="nothing to compare with",
)
@catches(
    "the verdicts were not put on the run",
    swap("verdicts", "mlflow.set_tags(verdicts)", ""),
    hint="call mlflow.set_tags(verdicts)",
)
def test_the_five_percent_verdict(attempt, runs, namespace):
    'the tag "five_percent_better" says what the figures say'
    words = _verdict("five_percent_better", attempt, runs, namespace)
    model, mean = _figures(namespace)
    _compare("five_percent_better", model["rmse"] <= mean["rmse"] * 0.95, words)


@catches(
    "the demands were passed as they are, with their own names for metrics",
    swap("verdicts", THRESHOLDS, "demands"),
    hint='evaluate knows no metric "five_percent_better"',
)
@catches(
    "the refusal was not caught",
    put(
        "verdicts",
        "for threshold in demands.values():\n"
        "    mlflow.validate_evaluation_results(\n"
        f"        {THRESHOLDS}, evaluation, baseline_evaluation\n"
        "    )",
    ),
    hint="A refusal is an error too",
    error="minimum absolute change check failed: candidate model root_mean_squared_error",
)
@catches(
    "the demands were made on another error, where the verdicts happen to be the same",
    swap("verdicts", RMSE, "mean_absolute_error"),
    hint="was asked of another metric",
)
@catches(
    "candidate and baseline changed places",
    swap(
        "verdicts",
        "candidate_result=evaluation,\n            baseline_result=baseline_evaluation,",
        "candidate_result=baseline_evaluation,\n            baseline_result=evaluation,",
    ),
    hint="was asked of the baseline",
)
@catches(
    "each demand is noted as passed, whatever MLflow says",
    swap("verdicts", 'f"refused: {refusal}"', '"passed"'),
    hint='write "passed" behind the validation',
)
@catches(
    "the words of the refusal were thrown away",
    swap("verdicts", 'f"refused: {refusal}"', '"refused"'),
    hint="keep the message",
)
@catches(
    "the tags were set after the run, which opens another one",
    swap("verdicts", "mlflow.set_tags(verdicts)", ""),
    after("mlflow.set_tags(verdicts)"),
    hint="tags open a run of their own",
)
def test_the_tenth_verdict(attempt, runs, namespace):
    'the tag "a_tenth_better" says what the figures say, in MLflow\'s words where it refused'
    words = _verdict("a_tenth_better", attempt, runs, namespace)
    model, mean = _figures(namespace)
    _compare("a_tenth_better", model["rmse"] <= mean["rmse"] - 0.1, words)
