"""A gate, a champion that only a better model replaces, and each decision on its version."""

from unittest.mock import patch

from winelab.checks.authoring import after, catches, error, hint, put, remove, right, skip_all, swap
from winelab.checks.comparing import kind, listed, same_value, short
from winelab.checks.fixtures import REGISTERED
from winelab.checks.scratch import call, scratch_store, student_function

GATE = 0.7
# Versions of a registry of the check's own, from 1 on: rmse, rmse_upper, test_digest, validation.
# And what `promote` is asked there: the version, the champion before (0: none), the right answer.
TO_REFUSE = (
    ("0.66", "0.707", "a", "passed"),
    ("0.69", "0.7", "a", "passed"),
    ("0.5", "0.75", "a", "failed: made up"),
)
REFUSALS = ((1, 0, "failed the gate"), (2, 0, "failed the gate"), (3, 0, "failed validation"))
TO_COMPARE = (
    ("0.645", "0.689", "a", "passed"),
    ("0.64", "0.699", "a", "passed"),
    ("0.645", "0.66", "a", "passed"),
    ("0.6", "0.65", "b", "passed"),
    # As a text, this rmse is larger than all others.
    ("9e-05", "0.0001", "a", "passed"),
)
COMPARISONS = (
    (1, 0, "promoted"),
    (2, 1, "promoted"),
    (1, 2, "kept the champion"),
    (3, 1, "kept the champion"),
    (4, 1, "not compared"),
    (5, 1, "promoted"),
)
ADVICE = {
    "failed validation": 'Ask first whether the tag validation is "passed".',
    "failed the gate": "rmse_upper must be below the gate, and 0.7 is not below 0.7.",
    "not compared": "Compare the two test_digest before the two rmse.",
    "kept the champion": "The new rmse must be smaller than the champion's; equal isn't better.",
    "promoted": "Compare numbers, float(...), and mind that a smaller rmse is better.",
}
TO_RETURN = "`print` only shows a text: use `return`."


def _ask(namespace, made_up, questions):
    """Ask the student's `promote` about made-up versions; raise what is wrong with an answer."""
    promote = student_function(namespace, "promote", "The gate, and the champion")
    names = ("rmse", "rmse_upper", "test_digest", "validation")
    with scratch_store() as client:
        client.create_registered_model(REGISTERED)
        for values in made_up:
            tags = dict(zip(names, values, strict=True))
            client.create_model_version(REGISTERED, "file:///scratch", tags=tags)
        # Whatever gate is tried out in the notebook, here it is the block's.
        with patch.dict(getattr(promote, "__globals__", {}), gate=GATE):
            for question in questions:
                _ask_one(client, promote, made_up, *question)


def _ask_one(client, promote, made_up, version, champion, expected):
    for alias in client.get_registered_model(REGISTERED).aliases:
        client.delete_registered_model_alias(REGISTERED, alias)
    there = "there is no champion"
    if champion:
        client.set_registered_model_alias(REGISTERED, "champion", champion)
        rmse, _, digest, _ = made_up[champion - 1]
        there = f"the champion is version {champion}, with rmse {rmse} and test_digest {digest}"
    rmse, upper, digest, validation = made_up[version - 1]
    asked = (
        f"Version {version} has rmse {rmse}, rmse_upper {upper}, test_digest {digest} and "
        f'validation "{validation}"; the gate is {GATE}, and {there}.'
    )
    advice = (
        "Decide by the tags of the versions alone, turn them into numbers with float, and look "
        'whether "champion" is in the aliases before you read its tags.'
    )
    answer = call(promote, client, version, on_error=f"{asked} {advice}")
    aliases = client.get_registered_model(REGISTERED).aliases
    strange = [f'"{alias}"' for alias in aliases if alias != "champion"]
    assert not strange, f'promote sets the alias {listed(strange)}: it is called "champion".'
    now, right_one = (
        int(aliases.get("champion", 0)),
        version if expected == "promoted" else champion,
    )
    if answer is None:
        advice = "`print` only shows a text: use `return`."
    elif answer == expected:
        advice = "Set the alias as the last step, on the version that was given."
    else:
        advice = ADVICE[expected]
    said = kind(answer) if answer is None else short(answer)
    assert (answer, now) == (expected, right_one), (
        f"{asked} promote returns {said}, and then the alias is {_on(now)}. It should return "
        f'"{expected}", with the alias {_on(right_one)}. {advice}'
    )


def _on(version):
    return f"on version {version}" if version else "on no version"


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
        f'`gate` is {short(gate, GATE)}: set it to {GATE} in the cell "1. Settings", and run the '
        "cells again from the top."
    )


@catches("the gate looks at the RMSE alone")
@swap("promote", UPPER, 'float(tags["rmse"]) >= gate')
@hint("rmse_upper must be below the gate")
@catches("a version that is exactly at the gate passes")
@swap("promote", UPPER, UPPER.replace(">=", ">"))
@hint("0.7 is not below 0.7")
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
    _ask(namespace, TO_REFUSE, REFUSALS)


@catches("nobody asked whether there is a champion")
@swap("promote", 'if "champion" in aliases:', "if True:")
@hint('look whether "champion" is in the aliases')
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
@hint("Compare numbers, float(...)")
@catches("the alias has another name")
@swap("promote", 'name, "champion", version)', 'name, "Champion", version)')
@hint('promote sets the alias "Champion"')
def test_promote_compares_with_the_champion(namespace):
    "promote moves the alias only to a better version, measured on the same wines"
    _ask(namespace, TO_COMPARE, COMPARISONS)


def _released(runs, client):
    """The newest version that this notebook made for each alpha."""
    by_run = {v.run_id: v for v in client.search_model_versions(f"name='{REGISTERED}'")}
    found = {}
    for run in runs:
        alpha = run.data.params.get("elasticnet__alpha")
        if alpha is not None and run.info.run_id in by_run:
            found.setdefault(float(alpha), by_run[run.info.run_id])
    return found


def _chosen(runs):
    """The alpha of the newest candidates that has the lowest cv_rmse."""
    tried = [run for run in runs if {"cv_rmse"} <= set(run.data.metrics)]
    same = [run.data.tags.get("mlflow.parentRunId") for run in tried]
    newest = [run for run, parent in zip(tried, same, strict=True) if parent == same[0]]
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
        f"there is no version with alpha {listed(missing or [''])}: train, register and decide in "
        'a loop over 0.2 and `alpha`, in the cell "5. Train, and what becomes of the model".'
    )
    for alpha, version in found.items():
        which, decision = f"version {version.version} (alpha {alpha})", version.tags.get("decision")
        assert decision is not None, (
            f'{which} has no tag "decision": write what `promote` returned for it on the version, '
            "with client.set_model_version_tag."
        )
        right_ones = _may_be(version.tags)
        assert decision in right_ones, (
            f'{which} has the decision "{decision}", and should have "{right_ones[0]}": write what '
            "`promote` returned for this version."
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
    named = client.search_registered_models(f"name='{REGISTERED}'")
    number = named[0].aliases.get("champion") if named else None
    if number is None:
        assert not good, (
            f"no version has the alias, and version {good[0].version} should: set it at the end of "
            "`promote`, and call `promote` for each version."
        )
        return
    tags = client.get_model_version(REGISTERED, number).tags
    assert _may_be(tags)[0] == "promoted", (
        f"version {number} has the alias, but it {_may_be(tags)[0]}: take the alias off, "
        'client.delete_registered_model_alias(registered_name, "champion"), and run the cells '
        "from the top."
    )
    for version in good:
        same = version.tags.get("test_digest") == tags.get("test_digest")
        assert not same or float(version.tags["rmse"]) >= float(tags["rmse"]), (
            f"version {number} has the alias, and version {version.version} a smaller rmse: let "
            "`promote` move the alias to a version with a smaller rmse."
        )


RIGHT_WAYS = (
    right(
        "the champion is asked for by its alias, and there may be none",
        put(
            "promote",
            "def promote(client, version):\n"
            "    new = client.get_model_version(registered_name, version).tags\n"
            "    if new['validation'] != 'passed' or not float(new['rmse_upper']) < gate:\n"
            "        passed = new['validation'] == 'passed'\n"
            "        return 'failed the gate' if passed else 'failed validation'\n"
            "    try:\n"
            "        old = client.get_model_version_by_alias(registered_name, 'champion').tags\n"
            "    except mlflow.MlflowException:\n"
            "        old = None  # the first one\n"
            "    if old and old['test_digest'] != new['test_digest']:\n"
            "        return 'not compared'\n"
            "    if old and not float(new['rmse']) < float(old['rmse']):\n"
            "        return 'kept the champion'\n"
            f"    {ALIAS}\n"
            "    return 'promoted'",
        ),
    ),
    right(
        "the two versions are released without a loop, in two cells",
        remove("releases"),
        swap("training", "candidate", "0.2"),
        swap("decide", "alpha {candidate}: ", ""),
        after(
            "model_info = train(alpha, l1_ratio, tables, baseline_evaluation)\n"
            "number = register(client, model_info).version\n"
            "decision = promote(client, number)\n"
            "client.set_model_version_tag(registered_name, number, 'decision', decision)"
        ),
    ),
    right(
        "the chosen alpha comes first, and the version is passed as a text",
        swap("releases", "(0.2, alpha)", "[alpha, 0.2]"),
        swap("decide", "number = version.version", "number = str(version.version)"),
    ),
)
