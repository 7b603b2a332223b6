"""Block 22: two demands on the model, and what MLflow says to each."""

import re

from winelab.checks.authoring import (
    after,
    catches,
    given,
    put,
    remove,
    right,
    skip_all,
    split,
    swap,
)
from winelab.checks.comparing import (
    as_column,
    close,
    expect_metrics,
    kind,
    regression_metrics,
    same_value,
    short,
)
from winelab.checks.looking import newest_finished, run_named

RMSE = "root_mean_squared_error"
# What evaluate calls the metrics that the course has computed by hand.
NAMES = {RMSE: "rmse", "mean_absolute_error": "mae", "r2_score": "r2"}

# Pieces of the solution that the mistakes change.
EVALUATE_BASELINE = (
    "baseline_evaluation = mlflow.models.evaluate(\n"
    '    data=guesses, predictions="prediction", targets="quality", model_type="regressor",\n'
    '    evaluator_config={"log_model_explainability": False},\n'
    ")"
)
RELATIVE = "min_relative_change=0.05, greater_is_better=False"
ABSOLUTE = "min_absolute_change=0.1, greater_is_better=False"
THRESHOLDS = f'{{"{RMSE}": threshold}}'


def _metrics(namespace):
    """The metrics of the model and of the mean on the test wines, as evaluate calls them."""
    import numpy as np

    actual = as_column(namespace["y_test"], "`y_test`")
    mean = np.full(len(actual), as_column(namespace["y_train"], "`y_train`").mean())
    ours = (regression_metrics(actual, namespace["predictions"]), regression_metrics(actual, mean))
    return tuple({name: of[short_name] for name, short_name in NAMES.items()} for of in ours)


def _model_run(runs):
    """The newest run that logged a model."""
    assert not runs or runs[0].info.status != "FAILED", (
        "the run did not finish: an error inside the `with` ended it, and its message stands above "
        "the check. A refusal is an error too: put the validation between `try:` and "
        "`except ModelValidationFailedException as refusal:`."
    )
    newest_finished(runs)
    found = [run for run in runs if run.outputs.model_outputs]
    assert found, "no run has a model yet: keep mlflow.pyfunc.log_model(...) inside the `with`."
    return found[0]


def _expect_verdict(demand, asks, runs, namespace):
    """Let the tag `demand` be what the metrics deserve, and about the right two models.

    Args:
        demand: the name of a demand, and of the tag.
        asks: a function of the mean's RMSE: the largest one that meets the demand.
        runs: of the block.
        namespace: the student's variables.
    """
    words = _model_run(runs).data.tags.get(demand, "")
    model, mean = (metrics[RMSE] for metrics in _metrics(namespace))
    meets = model <= asks(mean)
    figures = f"your model's RMSE is {short(model, mean)}, and the mean's {short(mean, model)}"
    _expect_words(demand, words)
    if words == "passed":
        assert meets, (
            f'the model does not meet "{demand}" ({figures}), and the tag says "passed": write '
            '"passed" on the line below the validation, inside the `try`, and look at the '
            "threshold."
        )
        return
    said = dict(re.findall(rf"(candidate|baseline) model {RMSE} = ([\d.e+-]*\d)", words))
    for who, other, right_one in (("candidate", mean, model), ("baseline", model, mean)):
        assert who in said, (
            f'the tag "{demand}" does not say the RMSE of the {who}: keep all of MLflow\'s '
            'message, f"refused: {refusal}".'
        )
        assert close(other, right_one) or not same_value(said[who], other), (
            f'"{demand}" was asked of the wrong one: the model\'s `evaluation` is the '
            "candidate_result, `baseline_evaluation` the baseline_result."
        )
        assert same_value(said[who], right_one), (
            f'the tag "{demand}" says that the {who} has an RMSE of '
            f"{short(float(said[who]), right_one)}, and {figures}: keep the message of this try's "
            "validation as it is."
        )
    assert not meets, (
        f'the model meets "{demand}" ({figures}), and the tag says that it was refused: look at '
        "the kind and the size of the change in `demands`. A smaller RMSE is better, so "
        "greater_is_better=False."
    )


def _expect_words(demand, words):
    """Let the tag be "passed", or MLflow's words about the RMSE."""
    assert words, (
        f'the run has no tag "{demand}": inside the `with`, after the evaluation, validate for '
        "each demand, keep the verdict under the demand's name, and call "
        "mlflow.set_tags(verdicts)."
    )
    if words == "passed":
        return
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
        f'the tag "{demand}" says "None": validate_evaluation_results returns nothing when the '
        'model passes. Write verdicts[name] = "passed" on the line below it, inside the `try`.'
    )
    assert "check failed" in words, (
        f'the tag "{demand}" says neither "passed" nor why the model was refused: keep MLflow\'s '
        'message, f"refused: {refusal}". If it has the words of another error, mend that one, and '
        "catch ModelValidationFailedException alone."
    )
    assert RMSE in words, (
        f'"{demand}" was asked of another metric: the demands are about the RMSE, so the key in '
        f'validation_thresholds is "{RMSE}".'
    )


@catches(
    "greater_is_better the wrong way round: a refusal that looks right",
    swap("demands", ABSOLUTE, ABSOLUTE.replace("False", "True")),
    hint="the one with the smaller RMSE is better",
)
@catches(
    "the threshold is one of numpy's numbers",
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
    hint="is a list: make it a dictionary",
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
        "relative change is a float between 0 and 1, and one of numpy's numbers needs float(...)."
    )
    assert isinstance(demands, dict), (
        f"`demands` is {kind(demands)}: make it a dictionary, "
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
    assert same_value(relative.min_relative_change, 0.05), (
        '"five_percent_better" is relative: MetricThreshold(min_relative_change=0.05, ...).'
    )
    assert same_value(absolute.min_absolute_change, 0.1), (
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
    hint="the mean gives 0.7",
)
def test_the_baseline_has_a_run_of_its_own(run, runs, namespace):
    'the run "baseline" has the metrics that evaluate computes for the mean'
    expect_metrics(
        run_named(
            "baseline",
            runs,
            missing="Above the line that turns autolog on, evaluate the baseline's predictions "
            'inside `with mlflow.start_run(run_name="baseline"):`.',
        ),
        _metrics(namespace)[1],
        missing="Call mlflow.models.evaluate(...) inside the `with` of this run.",
        wrong="Evaluate the test table with baseline.predict(X_test) as its column "
        '"prediction", against targets="quality".',
        source="the mean gives",
    )


@catches("no cell has been run yet", skip_all(), hint="has made no run since it started")
@catches(
    "the baseline was evaluated in the model's run, whose metrics it replaces",
    put("baseline-run", "guesses = test.assign(prediction=baseline.predict(X_test))"),
    remove("evaluate-baseline"),
    swap("verdicts", "verdicts = {}", f"{EVALUATE_BASELINE}\nverdicts = {{}}"),
    hint="its metrics replaced the model's",
)
@given
def test_the_model_keeps_its_own_metrics(runs, namespace):
    "the run with the model has the metrics that evaluate computes for the model"
    found = _model_run(runs)
    model, mean = _metrics(namespace)
    logged = found.data.metrics.get(RMSE)
    assert not same_value(logged, mean[RMSE]) or close(model[RMSE], mean[RMSE]), (
        "the baseline was evaluated in the model's run, and its metrics replaced the model's: give "
        "the baseline a run of its own, above the other one."
    )
    expect_metrics(
        found,
        model,
        missing="Keep mlflow.models.evaluate(model_info.model_uri, ...) inside the `with`.",
        wrong="Evaluate the model of this run, on the test table.",
    )


@catches(
    "the metric has the short name of block [[params_metrics]]: a refusal for the wrong reason",
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
    hint="returns nothing when the model passes",
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
    hint="has the words of another error",
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
def test_the_five_percent_verdict(runs, namespace):
    'the tag "five_percent_better" says what the metrics say'
    _expect_verdict("five_percent_better", lambda mean: mean * 0.95, runs, namespace)


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
    hint="was asked of the wrong one",
)
@catches(
    "each demand is noted as passed, whatever MLflow says",
    swap("verdicts", 'f"refused: {refusal}"', '"passed"'),
    hint='write "passed" on the line below the validation',
)
@catches(
    "the words of the refusal were thrown away",
    swap("verdicts", 'f"refused: {refusal}"', '"refused"'),
    hint="keep MLflow's message",
)
@catches(
    "the tags were set after the run, which opens another one",
    swap("verdicts", "mlflow.set_tags(verdicts)", ""),
    after("mlflow.set_tags(verdicts)"),
    hint="Call mlflow.end_run() once",
)
@catches(
    "the verdicts were typed",
    put(
        "verdicts",
        'verdicts = {"five_percent_better": "passed", "a_tenth_better": "refused: '
        f'{RMSE} minimum absolute change check failed"}}\nmlflow.set_tags(verdicts)',
    ),
    hint="does not say the RMSE of the candidate",
)
@catches(
    "a refusal was typed, with the model's and the mean's RMSE as they are printed",
    put(
        "verdicts",
        'verdicts = {"five_percent_better": "passed", "a_tenth_better": "check failed: candidate '
        f'model {RMSE} = 0.747, baseline model {RMSE} = 0.786"}}\nmlflow.set_tags(verdicts)',
    ),
    hint="keep the message of this try's validation",
)
def test_the_tenth_verdict(runs, namespace):
    'the tag "a_tenth_better" says what the metrics say, in MLflow\'s words where it refused'
    _expect_verdict("a_tenth_better", lambda mean: mean - 0.1, runs, namespace)


RIGHT_WAYS = (
    right(
        "the baseline was evaluated in a cell of its own",
        split("train", "mlflow.sklearn.autolog(log"),
    ),
    right(
        "the validation takes its arguments by place, and the refusal is caught as any of MLflow's",
        swap("verdicts", "validation_thresholds=", ""),
        swap("verdicts", "candidate_result=", ""),
        swap("verdicts", "baseline_result=", ""),
        swap("verdicts", "except ModelValidationFailed", "except mlflow.exceptions.Mlflow"),
        remove("import-refusal"),
    ),
    right(
        "each verdict is a tag at once, and a refusal is MLflow's words alone",
        swap("verdicts", 'f"refused: {refusal}"', "str(refusal)"),
        swap("verdicts", "mlflow.set_tags(verdicts)", "    mlflow.set_tag(name, verdicts[name])"),
    ),
    right(
        "the demands are made one after the other",
        put(
            "demands",
            "demands = dict()\n"
            f'demands["a_tenth_better"] = MetricThreshold({ABSOLUTE})\n'
            f'demands["five_percent_better"] = MetricThreshold({RELATIVE})',
        ),
    ),
    right(
        "the model is so good that it meets both demands",
        swap("model-settings", "alpha = 0.5", "alpha = 0.01"),
    ),
)
