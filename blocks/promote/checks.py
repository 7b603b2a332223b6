"""A gate, a champion that only a better model replaces, and each decision on its version."""

from unittest.mock import patch

from winelab.checks.authoring import after, catches, error, hint, remove, right, skip_all, swap
from winelab.checks.comparing import listed, same_value, short
from winelab.checks.looking import REGISTERED
from winelab.checks.scratch import call, scratch_registry, student_function

GATE = 0.7
# What stands on the versions of a registry of the check's own, from version 1 on.
ROWS = (
    ("0.66", "0.707", "a", "passed"),
    ("0.69", "0.7", "a", "passed"),
    ("0.5", "0.75", "a", "failed: made up"),
    ("0.645", "0.689", "a", "passed"),
    ("0.64", "0.699", "a", "passed"),
    ("0.645", "0.66", "a", "passed"),
    ("0.6", "0.65", "b", "passed"),
    # As a text, this rmse is larger than all others.
    ("9e-05", "0.0001", "a", "passed"),
)
NAMES = ("rmse", "rmse_upper", "test_digest", "validation")
TAGS = [dict(zip(NAMES, row, strict=True)) for row in ROWS]
# By the right answer: the advice where `promote` gives another, then the versions that it is asked
# about, each with the champion before (0: none yet, so that comes first).
REFUSALS = {
    "failed validation": ('Ask first whether the tag validation is "passed".', (3, 0)),
    "failed the gate": (
        "rmse_upper, not rmse, must be below the gate; equal is not below.",
        (1, 0),
        (2, 0),
    ),
}
COMPARISONS = {
    "promoted": (
        "Compare float(...) with the champion's own; a smaller rmse is better.",
        (4, 0),
        (5, 4),
        (8, 4),
    ),
    "kept the champion": ("The new rmse must be smaller; equal isn't better.", (4, 5), (6, 4)),
    "not compared": ("Compare the two test_digest before the two rmse.", (7, 4)),
}


def _ask(namespace, questions):
    """Ask the student's `promote` about made-up versions; raise what is wrong with an answer."""
    promote = student_function(namespace, "promote", "The gate, and the champion")
    # Whatever gate is tried out in the notebook, here it is the block's.
    gate = patch.dict(getattr(promote, "__globals__", {}), gate=GATE)
    with scratch_registry(*TAGS) as client, gate:
        for expected, (advice, *asked) in questions.items():
            for version, champion in asked:
                _ask_one(client, promote, version, champion, expected, advice)


def _ask_one(client, promote, version, champion, expected, advice):
    there = "there is no champion"
    if champion:
        client.set_registered_model_alias(REGISTERED, "champion", champion)
        there = f"the champion is version {champion}, with {TAGS[champion - 1]}"
    asked = f"Version {version} has the tags {TAGS[version - 1]}, the gate is {GATE}, and {there}."
    how = (
        'Use the tags alone, with float(...), and look first whether "champion" is in the aliases.'
    )
    answer = call(promote, client, version, on_error=f"{asked} {how}")
    found = client.get_registered_model(REGISTERED).aliases
    aliases = {alias: int(number) for alias, number in found.items()}
    number = version if expected == "promoted" else champion
    right_ones = {"champion": number} if number else {}
    if answer is None:
        advice = "`print` only shows a text: use `return`."
    elif answer == expected:
        advice = "Set the alias as the last step, on the version that was given."
    assert (answer, aliases) == (expected, right_ones), (
        f"{asked} promote returns {short(answer)}, and the aliases are then {aliases}. It should "
        f'return "{expected}", and the aliases should be {right_ones}. {advice}'
    )


ALIAS = 'client.set_registered_model_alias(registered_name, "champion", version)'
VALIDATION = '    if tags["validation"] != "passed":\n        return "failed validation"\n'
UPPER = 'float(tags["rmse_upper"]) >= gate'
WORSE = 'float(tags["rmse"]) >= float(champion["rmse"])'


@catches("the gate is still the one of a try")
@swap("gate", "0.7", "0.65")
@hint("is 0.65")
def test_the_gate_is_set(namespace):
    "the gate is 0.7"
    gate = namespace["gate"]
    assert not isinstance(gate, str), "`gate` is a text: write the number 0.7, without quotes."
    assert same_value(gate, GATE), (
        f'`gate` is {short(gate, GATE)}: set 0.7 in the cell "1. Settings", and run all cells.'
    )


@catches("the gate looks at the RMSE alone")
@swap("promote", UPPER, 'float(tags["rmse"]) >= gate')
@hint("rmse_upper, not rmse, must be below the gate")
@catches("a version that is exactly at the gate passes")
@swap("promote", UPPER, UPPER.replace(">=", ">"))
@hint("equal is not below")
@catches("the validation is not looked at")
@swap("promote", VALIDATION, "")
@hint("Ask first whether the tag validation")
@catches("the alias was set before the gate")
@swap("promote", VALIDATION, f"    {ALIAS}\n{VALIDATION}")
@hint("Set the alias as the last step")
@catches("the answer was printed, and not returned")
@swap("promote", 'return "failed the gate"', 'print("failed the gate")\n        return None')
@hint("`print` only shows a text")
def test_promote_refuses(namespace):
    "promote refuses a version that failed validation, or whose rmse_upper isn't below the gate"
    _ask(namespace, REFUSALS)


@catches("nobody asked whether there is a champion")
@swap("promote", 'if "champion" in aliases:', "if True:")
@hint('look first whether "champion" is in the aliases')
@error("KeyError: 'champion'")
@catches("the worse model wins")
@swap("promote", WORSE, WORSE.replace(">=", "<="))
@hint("a smaller rmse is better")
@catches("an equal model replaces the champion")
@swap("promote", WORSE, WORSE.replace(">=", ">"))
@hint("equal isn't better")
@catches("metrics of other wines were compared")
@swap("promote", 'champion["test_digest"] != tags["test_digest"]', "False")
@hint("Compare the two test_digest")
@catches("the metrics were compared as texts")
@swap("promote", WORSE, 'tags["rmse"] >= champion["rmse"]')
@hint("Compare float(...)")
@catches("the alias has another name")
@swap("promote", 'name, "champion", version)', 'name, "Champion", version)')
@hint("the aliases are then {'Champion': 4}")
def test_promote_compares_with_the_champion(namespace):
    "promote moves the alias only to a better version, measured on the same wines"
    _ask(namespace, COMPARISONS)


def _released(runs, client):
    """The newest version that this notebook made for each alpha."""
    by_run = {v.run_id: v for v in client.search_model_versions(f"name='{REGISTERED}'")}
    tried = [(r.data.params.get("elasticnet__alpha"), by_run.get(r.info.run_id)) for r in runs]
    return {float(alpha): version for alpha, version in reversed(tried) if alpha and version}


def _chosen(runs):
    """The alpha of the newest candidates that has the lowest cv_rmse."""
    tried = [run for run in runs if "cv_rmse" in run.data.metrics]
    parents = [run.data.tags.get("mlflow.parentRunId") for run in tried]
    newest = [run for run, parent in zip(tried, parents, strict=True) if parent == parents[0]]
    best = min(newest, key=lambda run: run.data.metrics["cv_rmse"], default=None)
    return {float(best.data.params.get("alpha", 0.2))} if best else set()


def _may_be(tags):
    """What may be decided about a version with these tags, whatever the champion was."""
    if tags.get("validation") != "passed":
        return ("failed validation",)
    if float(tags.get("rmse_upper", "inf")) >= GATE:
        return ("failed the gate",)
    return ("promoted", "kept the champion", "not compared")


@catches("no cell has been run yet", skip_all())
@hint("has made no run since it started")
@catches("the loop trains with the chosen alpha twice")
@swap("training", "candidate, l1", "alpha, l1")
@hint("there is no version with alpha 0.2")
@catches("the decisions were set on the runs")
@swap("decide", "model_version_tag(registered_name, number,", "tag(model_info.run_id,")
@hint('has no tag "decision"')
def test_each_decision_is_on_its_version(run, runs, client):
    "two versions were released, with alpha 0.2 and the chosen one, each with its decision"
    found = _released(runs, client)
    missing = [str(alpha) for alpha in sorted({0.2} | _chosen(runs)) if alpha not in found]
    assert not missing, (
        f"there is no version with alpha {listed(missing)}: train in a loop over 0.2 and `alpha`."
    )
    for alpha, version in found.items():
        decision, right_ones = version.tags.get("decision"), _may_be(version.tags)
        has = 'no tag "decision"' if decision is None else f'the decision "{decision}"'
        assert decision in right_ones, (
            f"version {version.version} (alpha {alpha}) has {has}, and should have "
            f"{' or '.join(right_ones)}: set what `promote` returned, client.set_model_version_tag."
        )


@catches("the decision was made by hand, without promote")
@swap("decide", "promote(client, number)", '"promoted"')
@hint("no version has the alias")
@catches("the alias was moved by hand afterwards, to a version that failed the gate")
@after(f'client.set_registered_model_alias("{REGISTERED}", "champion", 1)')
@hint("has the alias, but it failed the gate")
def test_the_champion_is_the_best(run, runs, client):
    "the champion has passed validation and the gate, and none of your versions is better"
    released = _released(runs, client).values()
    # A champion of another day proves nothing about today's `promote`.
    assert any("decision" in version.tags for version in released), (
        "no version of this notebook has a decision yet: call `promote` for each version."
    )
    good = [version for version in released if _may_be(version.tags)[0] == "promoted"]
    number = client.get_registered_model(REGISTERED).aliases.get("champion")
    if number is None:
        assert not good, (
            f"no version has the alias, and version {good[0].version} should: let `promote` set it."
        )
        return
    tags = client.get_model_version(REGISTERED, number).tags
    why = _may_be(tags)[0]
    assert why == "promoted", (
        f"version {number} has the alias, but it {why}: take the alias off, client.delete_"
        'registered_model_alias(registered_name, "champion"), and run all cells.'
    )
    same = [one for one in good if one.tags.get("test_digest") == tags.get("test_digest")]
    better = [one.version for one in same if float(one.tags["rmse"]) < float(tags["rmse"])]
    assert not better, (
        f"version {number} has the alias, and version {better[0]} a smaller rmse: call `promote`."
    )


RIGHT_WAYS = (
    right(
        "the champion is asked for by its alias, and there may be none",
        swap(
            "promote",
            "aliases = client.get_registered_model(registered_name).aliases",
            "try:\n"
            "        found = client.get_model_version_by_alias(registered_name, 'champion')\n"
            "    except mlflow.MlflowException:\n"
            "        found = None  # the first one",
        ),
        swap("promote", 'if "champion" in aliases:', "if found:"),
        swap("promote", 'client.get_model_version(registered_name, aliases["champion"])', "found"),
        swap("promote", WORSE, f"not {WORSE.replace('>=', '<')}"),
    ),
    right(
        "the two versions are released without a loop, in two cells",
        remove("releases"),
        swap("training", "candidate", "0.2"),
        swap("decide", "alpha {candidate}: ", ""),
        after(
            "version = register(client, train(alpha, l1_ratio, tables, baseline_evaluation))\n"
            "decision = promote(client, version.version)\n"
            "client.set_model_version_tag(registered_name, version.version, 'decision', decision)"
        ),
    ),
    right(
        "the chosen alpha comes first, and the version is passed as a text",
        swap("releases", "(0.2, alpha)", "[alpha, 0.2]"),
        swap("decide", "number = version.version", "number = str(version.version)"),
    ),
)
