"""A version's description says what its own tags say, and a tag when it was written."""

import re
from datetime import date

from winelab.checks.authoring import (
    after,
    before,
    catches,
    error,
    hint,
    put,
    remove,
    right,
    skip_all,
    swap,
)
from winelab.checks.comparing import short
from winelab.checks.fixtures import REGISTERED
from winelab.checks.scratch import call, scratch_store, student_function

CALL = "client.update_model_version(registered_name, version, description=words)"
TAG = (
    'client.set_model_version_tag(registered_name, version, "annotated", date.today().isoformat())'
)
FROM_TAGS = (
    'rmse, upper, mean = (float(tags[name]) for name in ("rmse", "rmse_upper", "baseline_rmse"))'
)
NUMBERS = {
    "rmse": "the RMSE",
    "rmse_upper": "its upper end",
    "baseline_rmse": "the baseline's RMSE",
}


def _expect_words(version, which):
    """Let a check pass only where the description has this version's numbers and its decision."""
    words = version.description
    assert words, (
        f"{which} has no description: call client.update_model_version in `annotate`, with the "
        "name, the version and description=, and call `annotate` for this version."
    )
    for name, meaning in NUMBERS.items():
        number = f"{float(version.tags[name]):.3f}"
        assert re.search(rf"(?<![\d.]){re.escape(number)}(?!\d)", words), (
            f'the description of {which} is "{words}": {meaning} is missing, {number}. '
            "Read it from the tags of this version, and write it with :.3f."
        )
    decision = version.tags["decision"]
    assert decision.casefold() in words.casefold(), (
        f'the description of {which} is "{words}": its decision is missing, "{decision}".'
    )


def _expect_day(version, which, days=()):
    """Let a check pass only where the tag "annotated" is a day such as 2030-01-31, of these."""
    found = version.tags.get("annotated")
    assert found is not None, (
        f'{which} has no tag "annotated": call client.set_model_version_tag with the name, the '
        'version, "annotated" and the day.'
    )
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", found) and (not days or found in days), (
        f'the tag "annotated" of {which} is {short(found)}, and should be today, as in 2030-01-31: '
        "date.today().isoformat()."
    )


def _versions(client):
    """Versions 1 to 3 of a registry of the check's own, which no variable knows."""
    client.create_registered_model(REGISTERED)
    for number, decision in enumerate(("promoted", "failed the gate", "kept the champion"), 1):
        tags = {name: str(number + at / 7) for at, name in enumerate((*NUMBERS, "mae"))}
        tags |= {"decision": decision, "validation": "passed", "test_digest": "made up"}
        client.create_model_version(REGISTERED, "file:///scratch", tags=tags)


@catches("the numbers come from variables of the notebook")
@swap("annotate", FROM_TAGS, 'mean = float(tags["baseline_rmse"])')
@hint("Read it from the tags of this version")
@catches("the newest version was described, whichever is meant")
@swap("annotate", CALL, CALL.replace(", version,", ", newest_version(client),"))
@hint("has no description")
@catches("the decision was left out")
@swap("annotate", """ Decision: {tags['decision']}.""", "")
@hint("its decision is missing")
@catches("the numbers have two decimals")
@swap("annotate", "RMSE {rmse:.3f}", "RMSE {rmse:.2f}")
@hint("write it with :.3f")
@catches("a number was formatted before it was one")
@swap("annotate", "(float(tags[name]) for", "(tags[name] for")
@hint("annotate stops in its line")
@error("Unknown format code 'f'")
def test_annotate_describes_any_version(namespace):
    "annotate describes any version from its own tags, an older one too"
    annotate = student_function(namespace, "annotate", "What a version says about itself")
    with scratch_store() as client:
        _versions(client)
        # The newest stays as it is: it is nobody's business.
        for number in (2, 1):
            call(
                annotate,
                client,
                number,
                on_error="It takes the client and the version's number. Tags are texts: float(...) "
                "makes numbers of them.",
            )
        found = {number: client.get_model_version(REGISTERED, number) for number in (1, 2, 3)}
    for number in (2, 1):
        _expect_words(found[number], f"version {number} of a registry of the check's own")
    assert not found[3].description and "annotated" not in found[3].tags, (
        "asked about versions 2 and 1, annotate has changed version 3: write on the version that "
        "it is given."
    )


@catches("the date was written in another form")
@swap("annotate", "date.today().isoformat()", 'date.today().strftime("%d.%m.%Y")')
@hint("as in 2030-01-31")
@catches("the tag was forgotten")
@swap("annotate", TAG, "pass")
@hint('has no tag "annotated"')
@catches("the tag was set on the registered model")
@swap(
    "annotate",
    TAG,
    TAG.replace("model_version_tag", "registered_model_tag").replace(" version,", ""),
)
@hint('has no tag "annotated"')
def test_annotate_says_when(namespace):
    'annotate sets the tag "annotated" to today'
    annotate = student_function(namespace, "annotate", "What a version says about itself")
    with scratch_store() as client:
        _versions(client)
        days = {date.today().isoformat()}
        call(annotate, client, 2, on_error="It takes the client and the version's number.")
        days.add(date.today().isoformat())
        found = client.get_model_version(REGISTERED, 2)
    _expect_day(found, "version 2 of a registry of the check's own", days)


@catches("no cell has been run yet", skip_all())
@hint("has made no run since it started")
@catches("annotate was written, and never called in the loop")
@remove("note")
@hint("has no description")
@catches("annotate was called before the decision was known")
@swap("decide", "number = version.version", "number = version.version\nannotate(client, number)")
@hint('has no tag "decision"')
@error("KeyError: 'decision'")
def test_each_new_version_is_described(versions, client):
    "each version that this notebook made has its description and the day"
    for version in versions:
        which = f"version {version.version}"
        assert "decision" in version.tags, (
            f'{which} has no tag "decision": decide about it first, then call `annotate`.'
        )
        _expect_words(version, which)
        _expect_day(version, which)


# Another table has made it, so that it stays the champion.
OLDER = f"""
import mlflow
from sklearn.dummy import DummyRegressor
mlflow.sklearn.log_model(
    DummyRegressor().fit([[0.0]], [5.0]),
    name="model",
    pip_requirements=["scikit-learn"],
    registered_model_name="{REGISTERED}",
)
older = mlflow.MlflowClient()
tags = dict(rmse="0.6", rmse_upper="0.65", baseline_rmse="0.9", validation="passed")
for name, value in {{**tags, "test_digest": "older", "decision": "promoted"}}.items():
    older.set_model_version_tag("{REGISTERED}", 1, name, value)
older.set_registered_model_alias("{REGISTERED}", "champion", 1)
"""


@catches("the champion of an earlier notebook was forgotten")
@before(OLDER)
@remove("note-champion")
@hint("the champion, has no description")
def test_the_champion_is_described(client, versions):
    "the champion has its description, also if an earlier notebook has made it"
    # A description of another day proves nothing about today's `annotate`.
    assert any("annotated" in version.tags for version in versions), (
        "no version of this notebook is annotated yet: call `annotate` for each version."
    )
    number = client.get_registered_model(REGISTERED).aliases.get("champion")
    if number is None:
        return  # Nothing has passed the gate, and the cell has said so.
    champion = client.get_model_version(REGISTERED, number)
    which = f"version {number}, the champion,"
    missing = [name for name in (*NUMBERS, "decision") if name not in champion.tags]
    assert not missing, (
        f"{which} has no tag {missing[0]}, so nobody can describe it: take the alias off, "
        'client.delete_registered_model_alias(registered_name, "champion"), and run all cells.'
    )
    _expect_words(champion, which)
    _expect_day(champion, which)


RIGHT_WAYS = (
    right("an earlier notebook has made the champion", before(OLDER)),
    right(
        "the words are others, and the tag is set first",
        put(
            "annotate",
            "def annotate(client, version):\n"
            "    found = client.get_model_version(registered_name, version)\n"
            "    day = f'{date.today():%Y-%m-%d}'\n"
            "    client.set_model_version_tag(registered_name, version, 'annotated', day)\n"
            "    numbers = {name: f'{float(found.tags[name]):.3f}' for name in found.tags\n"
            "               if name.endswith('rmse') or name == 'rmse_upper'}\n"
            "    words = f'{found.tags[\"decision\"].upper()}! {numbers}'\n"
            "    found = client.update_model_version(registered_name, str(version), words)\n"
            "    return found.description",
        ),
    ),
    right(
        "all versions are described after the loop, in a cell of its own",
        remove("note"),
        after(
            "for one in client.search_model_versions(f\"name='{registered_name}'\"):\n"
            "    annotate(client, one.version)"
        ),
        remove("note-champion"),
    ),
)
