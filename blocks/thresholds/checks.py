"""Two thresholds, and on the model's run what MLflow says to them."""

import re

from winelab.checks.authoring import after, catches, error, hint, put, remove, right, skip_all, swap
from winelab.checks.comparing import expect_tags, kind, same_value, short
from winelab.checks.looking import newest_finished
from winelab.core.console import shortened

RMSE = "root_mean_squared_error"
BY_RMSE = "MetricThreshold(min_absolute_change=0.1, greater_is_better=False)"
BY_SHARE = "MetricThreshold(threshold=0.5, greater_is_better=True)"
FAILED = 'f"failed: {failure}"'
RESULTS = "evaluation, baseline_evaluation"
VALIDATE = f"mlflow.validate_evaluation_results(thresholds, {RESULTS})"
SET_TAG = 'mlflow.set_tag("validation", validation)'
WEAK = swap("model-settings", "alphas = [0.01, 0.1, 0.2, 0.5, 1.0]", "alphas = [1.0]")


def _model_run(runs):
    """The newest run, which has finished and logged a model."""
    assert not runs or runs[0].info.status != "FAILED", (
        "your newest run ended as FAILED: the error stands above the check. A model that fails "
        "raises an exception too: validate between `try:` and `except "
        "ModelValidationFailedException as failure:`. Then restart the kernel, and run all cells."
    )
    newest_finished(runs)
    found = next((run for run in runs if run.outputs.model_outputs), None)
    assert found, "no run has a model: run all cells again, from the top."
    return found


@catches("the RMSE should grow: greater_is_better the wrong way round")
@swap("thresholds", BY_RMSE, BY_RMSE.replace("False", "True"))
@hint("A smaller RMSE is better: say `greater_is_better=False`")
@catches("the share is a bare number")
@swap("thresholds", BY_SHARE, "0.5")
@hint("`within_half` in `thresholds` is a number")
@error("must be a dictionary that maps strings to MetricThreshold objects")
@catches("the change was asked for as a relative one")
@swap("thresholds", "min_absolute_change", "min_relative_change")
@hint("says `min_relative_change=0.1`")
@catches("the share is one of numpy's numbers")
@swap("thresholds", "threshold=0.5", "threshold=np.float64(0.5)")
@hint("write `float(...)` around it")
@error("`threshold` parameter must be a number")
@catches("the thresholds stand in a list")
@put("thresholds", f"thresholds = [{BY_RMSE}, {BY_SHARE}]")
@hint("`thresholds` is a list")
@error("must be a dictionary that maps strings to MetricThreshold objects")
def test_the_thresholds_are_written_down(namespace):
    "`thresholds` asks for an RMSE 0.1 below the baseline's, and for a share of 0.5"
    from mlflow.models import MetricThreshold

    found = namespace.get("thresholds")
    assert found is not None, (
        'there is no `thresholds` yet: write the dictionary in the cell "1. Settings". If '
        "`MetricThreshold` refused one of numpy's numbers, write `float(...)` around it."
    )
    assert isinstance(found, dict), f"`thresholds` is {kind(found)}, not a dictionary."
    wanted = {
        RMSE: ("min_absolute_change", 0.1, False, "A smaller RMSE"),
        "within_half": ("threshold", 0.5, True, "A greater share"),
    }
    for name, (kind_of, limit, greater, better) in wanted.items():
        assert name in found, f"`thresholds` has no entry {name}, the full name that MLflow prints."
        shown = f"`{name}` in `thresholds` is {kind(found[name])}"
        assert isinstance(found[name], MetricThreshold), f"{shown}: make it a `MetricThreshold`."
        kinds = ("threshold", "min_absolute_change", "min_relative_change")
        has = {one: value for one in kinds if (value := getattr(found[name], one)) is not None}
        says = ", ".join(f"{one}={value}" for one, value in has.items())
        assert [*has] == [kind_of] and same_value(has[kind_of], limit), (
            f"the threshold of {name} says `{says}`, and should say `{kind_of}={limit}` alone."
        )
        right_way = found[name].greater_is_better is greater
        assert right_way, f"{better} is better: say `greater_is_better={greater}` for {name}."
    more = [name for name in found if name not in wanted]
    assert not more, f"`thresholds` has a third entry, {more[0]}: the task has two. Take it out."


@catches("no cell has been run yet", skip_all())
@hint("has made no run since it started")
@catches("the result was not put on the run")
@swap("validate", SET_TAG, "")
@hint(f"call `{SET_TAG}`")
@catches("the tag was set below the `with`, which opens another run")
@swap("validate", SET_TAG, "")
@after(SET_TAG)
@hint("Call mlflow.end_run() once")
@catches("the tag has another name")
@swap("validate", '"validation"', '"Validation"')
@hint("mind the spelling")
@catches("the model failed, and nobody caught the exception", WEAK)
@put("validate", f'{VALIDATE}\nvalidation = "passed"\n{SET_TAG}')
@hint("A model that fails raises an exception too")
@error("minimum absolute change check failed: candidate model root_mean_squared_error")
def test_the_result_is_on_the_run(runs):
    'the run with the model has the tag "validation"'
    found = _model_run(runs)
    # Whatever it says: the next check reads it.
    expected = {"validation": found.data.tags.get("validation", "")}
    expect_tags(found, expected, missing=f"Below the validation, in the `with`, call `{SET_TAG}`.")


@catches("what the validation returns was kept")
@put("validate", f'mlflow.set_tag("validation", {VALIDATE})\nvalidation = None')
@hint("returns if the model passes")
@catches("the baseline's evaluation was not passed")
@swap("validate", RESULTS, "evaluation")
@hint("pass `baseline_evaluation`")
@catches("candidate and baseline changed places")
@swap("validate", RESULTS, "baseline_evaluation, evaluation")
@hint("the two evaluations changed places")
@catches("the metric has the short name of our own function")
@swap("thresholds", f'"{RMSE}"', '"rmse"')
@hint("no metric rmse")
@catches("any error was caught, also one of the program's own")
@swap("validate", RESULTS, "metrics, baseline_evaluation")
@swap("validate", "ModelValidationFailedException", "Exception")
@hint("the words of another error")
@catches('the model failed, and "passed" was written all the same', WEAK)
@swap("validate", FAILED, '"passed"')
@hint('write `validation = "passed"` on the line below that call')
@catches("the model failed, and the message is no f-string", WEAK)
@swap("validate", FAILED, FAILED[1:])
@hint("MLflow's whole message")
@catches("the model failed, and its message was typed with what is printed", WEAK)
@swap("validate", FAILED, f'"failed: candidate model {RMSE} = 0.76"')
@hint("Keep the message of this validation")
def test_the_tag_says_what_the_metrics_say(runs):
    'the tag says "passed" or "failed", as the metrics on the run say'
    data = _model_run(runs).data
    words = data.tags.get("validation", "").strip()
    assert words, 'there is no tag "validation" yet: see the line above.'
    missing = [name for name in (RMSE, "within_half", "baseline_rmse") if name not in data.metrics]
    assert not missing, f"the run has no metric {missing[0]}: run all cells again, from the top."
    model, share, mean = (data.metrics[name] for name in (RMSE, "within_half", "baseline_rmse"))
    # What MLflow's message names of each threshold that is not met.
    expected = {}
    if model > mean - 0.1:
        expected |= {f"candidate model {RMSE}": model, f"baseline model {RMSE}": mean}
    if share < 0.5:
        expected |= {"candidate model within_half": share}
    facts = f"RMSE {short(model, mean)}, baseline {short(mean, model)}, within_half {short(share)}"
    if words == "passed" and not expected:
        return
    says = f'the tag says "{shortened(words)}"'
    passes = f"{says}, and the model passes ({facts})"
    passed = 'write `validation = "passed"` on the line below that call, inside the `try`'
    failed = f"set `{FAILED}` in the `except`"
    said = dict(re.findall(r"((?:candidate|baseline) model \w+) = ([\d.e+-]*\d)", words))
    no_baseline = f"{RMSE} was missing from the evaluation result of the baseline" in words
    unknown = re.findall(r"metric (\w+) was missing", words)
    swapped = same_value(said.get(f"candidate model {RMSE}"), mean) and not same_value(model, mean)
    problems = {
        f"{says}, and the model fails ({facts}): {passed}, and {failed}.": words == "passed",
        f"{says}, which the validation returns if the model passes: {passed}.": words == "None",
        "there was no baseline: pass `baseline_evaluation` as the third argument.": no_baseline,
        f"`evaluate` knows no metric {', '.join(unknown)}: write {RMSE} or within_half.": unknown,
        "the two evaluations changed places: `evaluation` comes first.": swapped,
        f"{passes}: {passed}. If the tag has the words of another error, fix that one, and catch "
        "`ModelValidationFailedException` alone.": not (said or expected),
        f"{says}, and not MLflow's whole message: {failed}.": not said,
        f"{passes}: look at `thresholds`, and run all cells again.": not expected,
    }
    for problem, is_there in problems.items():
        assert not is_there, problem
    for name, value in expected.items():
        shown = (
            f"the tag doesn't say that {name} = {short(value)}. Keep the message of this validation"
        )
        assert same_value(said.get(name), value), f"{shown}: {failed}."


BY_CLIENT = 'mlflow.MlflowClient().set_tag(model_info.run_id, "validation", validation)'
REOPENED = """with mlflow.start_run(run_id=model_info.run_id):
    result = {"validation": "passed"}
    try:
        mlflow.validate_evaluation_results(
            thresholds, candidate_result=evaluation, baseline_result=baseline_evaluation
        )
    except ModelValidationFailedException as failure:
        result["validation"] = str(failure)
    mlflow.set_tags(result)"""
ONE_BY_ONE = f"""share = mlflow.models.MetricThreshold(0.5, greater_is_better=True)
thresholds = dict(within_half=share)
thresholds["{RMSE}"] = mlflow.models.MetricThreshold(None, 1 / 10, None, False)"""

RIGHT_WAYS = (
    right(
        "the model fails, any of MLflow's exceptions is caught, and its message says why",
        WEAK,
        remove("import-refusal"),
        swap("validate", "ModelValidationFailedException", "mlflow.MlflowException"),
        swap("validate", FAILED, '"failed: " + failure.message'),
    ),
    right(
        "a client sets the tag after the run, in another cell",
        swap("validate", SET_TAG, ""),
        put("show-verdict", BY_CLIENT),
    ),
    right(
        "the run is opened again by its id, and validated in another cell",
        put("validate", "pass"),
        put("show-verdict", REOPENED),
    ),
    right(
        "the thresholds are made one after the other, with further names",
        swap("import-mlflow-models", "MetricThreshold, ", ""),
        put("thresholds", ONE_BY_ONE),
    ),
)
