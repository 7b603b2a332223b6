"""Two thresholds, and on the model's run what MLflow says to them."""

import re

from winelab.checks.authoring import after, catches, error, hint, put, remove, right, skip_all, swap
from winelab.checks.comparing import expect_tags, kind, same_value, short
from winelab.checks.looking import newest_finished
from winelab.core.console import shortened

RMSE = "root_mean_squared_error"

# Pieces of the solution that the mistakes change.
BY_RMSE = "MetricThreshold(min_absolute_change=0.1, greater_is_better=False)"
BY_SHARE = "MetricThreshold(threshold=0.5, greater_is_better=True)"
FAILED = 'f"failed: {failure}"'
RESULTS = "evaluation, baseline_evaluation"
VALIDATE = f"mlflow.validate_evaluation_results(thresholds, {RESULTS})"
SET_TAG = 'mlflow.set_tag("validation", verdict)'
SHOW = 'print("validation:", verdict)'
WEAK = swap("model-settings", "alphas = [0.01, 0.1, 0.2, 0.5, 1.0]", "alphas = [1.0]")


def _model_run(runs):
    """The newest run, which has finished and logged a model."""
    assert not runs or runs[0].info.status != "FAILED", (
        "an error inside the `with` ended your newest run as FAILED, and the message stands above "
        "the check. A model that fails raises an exception too: validate between `try:` and "
        "`except ModelValidationFailedException as failure:`. Then restart the kernel, and run all "
        "cells."
    )
    newest_finished(runs)
    found = next((run for run in runs if run.outputs.model_outputs), None)
    assert found, "no run has a model: run all cells again, from the top."
    return found


@catches("the RMSE should grow: greater_is_better the wrong way round")
@swap("thresholds", BY_RMSE, BY_RMSE.replace("False", "True"))
@hint("A smaller RMSE is better: say `greater_is_better=False`")
@catches("the share should shrink: greater_is_better the wrong way round")
@swap("thresholds", BY_SHARE, BY_SHARE.replace("True", "False"))
@hint("A greater share is better: say `greater_is_better=True`")
@catches("the share is a bare number")
@swap("thresholds", BY_SHARE, "0.5")
@hint("`within_half` in `thresholds` is a number")
@error("must be a dictionary that maps strings to MetricThreshold objects")
@catches("the change was asked for as a relative one")
@swap("thresholds", "min_absolute_change", "min_relative_change")
@hint("says `min_relative_change=0.1`")
@catches("the share is one of numpy's numbers")
@swap("thresholds", "threshold=0.5", "threshold=np.float64(0.5)")
@hint("Write `float(...)` around it")
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
        "`MetricThreshold` refused your number, it may be one of numpy's. Write `float(...)` "
        "around it."
    )
    assert isinstance(found, dict), (
        f"`thresholds` is {kind(found)}: make it a dictionary of metrics' names and thresholds."
    )
    wanted = {
        RMSE: ({"min_absolute_change": 0.1}, False, "A smaller RMSE is better"),
        "within_half": ({"threshold": 0.5}, True, "A greater share is better"),
    }
    for name, (limits, greater, why) in wanted.items():
        assert name in found, (
            f"`thresholds` has no entry {name}: its keys are the metrics' full names, as "
            "`evaluate` prints them."
        )
        assert isinstance(found[name], MetricThreshold), (
            f"`{name}` in `thresholds` is {kind(found[name])}: make it a `MetricThreshold(...)`."
        )
        kinds = ("threshold", "min_absolute_change", "min_relative_change")
        has = {one: value for one in kinds if (value := getattr(found[name], one)) is not None}
        expected, says = (
            ", ".join(f"{one}={value}" for one, value in of.items()) for of in (limits, has)
        )
        assert has.keys() == limits.keys() and all(
            same_value(has[one], value) for one, value in limits.items()
        ), f"the threshold of {name} says `{says}`, and should say `{expected}` alone."
        assert found[name].greater_is_better is greater, (
            f"{why}: say `greater_is_better={greater}` for {name}."
        )
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
@put("validate", f'{VALIDATE}\nverdict = "passed"\n{SET_TAG}')
@hint("A model that fails raises an exception too")
@error("minimum absolute change check failed: candidate model root_mean_squared_error")
@catches("the argument of older courses, which evaluate no longer has")
@swap("extras", "extra_metrics=", "validation_thresholds=thresholds,\n    extra_metrics=")
@hint("ended your newest run as FAILED, and the message stands above")
@error("got an unexpected keyword argument 'validation_thresholds'")
def test_the_result_is_on_the_run(runs):
    'the run with the model has the tag "validation"'
    tags = _model_run(runs).data.tags
    # Whatever it says: the next check reads it.
    expected = {"validation": tags.get("validation", "")}
    missing = f"At the end of the `with`, after the validation, call `{SET_TAG}`."
    expect_tags(_model_run(runs), expected, missing=missing)


@catches("what the validation returns was kept")
@put("validate", f'mlflow.set_tag("validation", {VALIDATE})\nverdict = None')
@hint("returns nothing if the model passes")
@catches("the baseline's evaluation was not passed")
@swap("validate", RESULTS, "evaluation")
@hint("Pass `baseline_evaluation`")
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
@hint('Write "passed" on the line below the validation')
@catches("the model failed, and the message is no f-string", WEAK)
@swap("validate", FAILED, FAILED[1:])
@hint("MLflow's whole message")
@catches("the model failed, and its message was typed with what is printed", WEAK)
@swap(
    "validate",
    FAILED,
    f'"failed: candidate model {RMSE} = 0.76, baseline model {RMSE} = 0.800, '
    'candidate model within_half = 0.4"',
)
@hint("Keep the message of this validation")
def test_the_tag_says_what_the_metrics_say(runs):
    'the tag says "passed" or "failed", as the metrics on the run say'
    found = _model_run(runs)
    words, on_run = found.data.tags.get("validation", "").strip(), found.data.metrics
    assert words, 'there is no tag "validation" yet: see the line above.'
    missing = [name for name in (RMSE, "within_half", "baseline_rmse") if name not in on_run]
    assert not missing, f"the run has no metric {missing[0]}: run all cells again, from the top."
    model, share, baseline = on_run[RMSE], on_run["within_half"], on_run["baseline_rmse"]
    # What MLflow's message names of each threshold that is not met.
    expected = {}
    if model > baseline - 0.1:
        expected |= {f"candidate model {RMSE}": model, f"baseline model {RMSE}": baseline}
    if share < 0.5:
        expected |= {"candidate model within_half": share}
    facts = (
        f"the RMSE is {short(model, baseline)}, the baseline's {short(baseline, model)}, and "
        f"within_half {short(share)}"
    )
    if words == "passed":
        assert not expected, (
            f'the model fails ({facts}), and the tag says "passed". Write "passed" on the line '
            f"below the validation, inside the `try`, and `verdict = {FAILED}` in the `except`."
        )
        return
    assert words != "None", (
        'the tag says "None": `validate_evaluation_results` returns nothing if the model passes. '
        'Write `verdict = "passed"` on the line below it, inside the `try`.'
    )
    assert f"{RMSE} was missing from the evaluation result of the baseline" not in words, (
        "the validation had no baseline to compare with. Pass `baseline_evaluation` as its third "
        "argument."
    )
    unknown = re.search(r"metric (\w+) was missing", words)
    assert not unknown, (
        f"`evaluate` knows no metric {unknown and unknown[1]}: the keys of `thresholds` are the "
        f'full names "{RMSE}" and "within_half".'
    )
    said = dict(re.findall(r"((?:candidate|baseline) model \w+) = ([\d.e+-]*\d)", words))
    changed = same_value(said.get(f"candidate model {RMSE}"), baseline)
    assert not changed or same_value(model, baseline), (
        "the two evaluations changed places: `evaluation` comes first, then `baseline_evaluation`."
    )
    says = f'the tag says "{shortened(words)}"'
    assert said or expected, (
        f'{says}, and the model passes ({facts}). Write `verdict = "passed"` on the line below the '
        "validation, inside the `try`. If the tag has the words of another error, mend that one, "
        "and catch `ModelValidationFailedException` alone."
    )
    assert said, f"{says}, and not MLflow's whole message: set `{FAILED}` in the `except`."
    assert expected, (
        f"the model passes ({facts}), and the tag says that it failed. Look at `thresholds`, and "
        "run all cells again."
    )
    for name, value in expected.items():
        assert name in said and same_value(said[name], value), (
            f"the tag doesn't say that {name} = {short(value)}. Keep the message of this "
            f"validation as it is: `{FAILED}`."
        )


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
        swap(
            "show-verdict",
            SHOW,
            "client = mlflow.MlflowClient()\n"
            'client.set_tag(model_info.run_id, "validation", verdict)',
        ),
    ),
    right(
        "the run is opened again by its id, and validated in another cell",
        put("validate", "pass"),
        swap(
            "show-verdict",
            SHOW,
            "with mlflow.start_run(run_id=model_info.run_id):\n"
            '    result = {"validation": "passed"}\n'
            "    try:\n"
            "        mlflow.validate_evaluation_results(\n"
            "            validation_thresholds=thresholds,\n"
            "            candidate_result=evaluation,\n"
            "            baseline_result=baseline_evaluation,\n"
            "        )\n"
            "    except ModelValidationFailedException as failure:\n"
            '        result["validation"] = str(failure)\n'
            "    mlflow.set_tags(result)",
        ),
    ),
    right(
        "the thresholds are made one after the other, with further names",
        swap("import-mlflow-models", "MetricThreshold, ", ""),
        put(
            "thresholds",
            "thresholds = dict(\n"
            "    within_half=mlflow.models.MetricThreshold(0.5, greater_is_better=True)\n"
            ")\n"
            "smaller = mlflow.models.MetricThreshold(None, 1 / 10, None, False)\n"
            f'thresholds["{RMSE}"] = smaller',
        ),
    ),
)
