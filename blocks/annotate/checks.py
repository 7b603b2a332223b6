"""A version's description says what its own tags say, and a tag when it was written."""

import re
from datetime import date

from winelab.checks.authoring import after, before, catches, error, hint, put, right, skip_all, swap
from winelab.checks.comparing import listed, short
from winelab.checks.looking import REGISTERED
from winelab.checks.scratch import call, scratch_registry, student_function

NUMBERS = {"rmse": "RMSE", "rmse_upper": "upper end", "baseline_rmse": "baseline's RMSE"}


def _expect_words(version, which):
    """Let a check pass only where the description has this version's numbers and its decision."""
    words, decision = version.description, version.tags["decision"]
    assert words, (
        f"{which} has no description: call client.update_model_version in `annotate`, with the "
        "name, the version and description=, and call `annotate` for this version."
    )
    wanted = {f"{float(version.tags[name]):.3f}": meaning for name, meaning in NUMBERS.items()}
    shown = re.findall(r"[\d.]*\d", words)
    missing = [f"{meaning} {number}" for number, meaning in wanted.items() if number not in shown]
    if decision.casefold() not in words.casefold():
        missing.append(f'decision "{decision}"')
    assert not missing, (
        f'the description of {which} is "{words}", without the {listed(missing)}: read each '
        "from the tags of this version, and write numbers with :.3f."
    )


def _expect_day(version, which, days=()):
    """Let a check pass only where the tag "annotated" is a day such as 2030-01-31, of these."""
    found = version.tags.get("annotated", "")
    has = f'the tag "annotated" {short(found)}' if found else 'no tag "annotated"'
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", found) and (not days or found in days), (
        f"{which} has {has}, and should have today, as in 2030-01-31: client.set_model_version_tag "
        'with the name, the version, "annotated" and date.today().isoformat().'
    )


def _annotated(namespace, *numbers):
    """Ask `annotate` about some of three versions that no variable knows, and return all three."""
    annotate = student_function(namespace, "annotate", "What a version says about itself")
    advice = "It takes the client and the version's number. Tags are texts: make numbers by float."
    made_up = [
        {"decision": decision, "validation": "passed", "test_digest": "made up"}
        | {name: str(number + at / 7) for at, name in enumerate((*NUMBERS, "mae"))}
        for number, decision in enumerate(("promoted", "failed the gate", "kept the champion"), 1)
    ]
    with scratch_registry(*made_up) as client:
        for number in numbers:
            call(annotate, client, number, on_error=advice)
        return [client.get_model_version(REGISTERED, number) for number in (1, 2, 3)]


@catches("the numbers come from variables of the notebook")
@swap("annotate", "rmse, upper, mean =", "_, _, mean =")
@hint("read each from the tags of this version")
@catches("the newest version was described, whichever is meant")
@swap("annotate", "version, description=", "newest_version(client), description=")
@hint("has no description")
@catches("the decision was left out")
@swap("annotate", """ Decision: {tags['decision']}.""", "")
@hint('without the decision "failed the gate"')
@catches("the numbers have two decimals")
@swap("annotate", "RMSE {rmse:.3f}", "RMSE {rmse:.2f}")
@hint("write numbers with :.3f")
@catches("a number was formatted before it was one")
@swap("annotate", "(float(tags[name]) for", "(tags[name] for")
@hint("annotate stops in its line")
@error("Unknown format code 'f'")
def test_annotate_describes_any_version(namespace):
    "annotate describes any version from its own tags, an older one too"
    found = _annotated(namespace, 2, 1)
    for number in (2, 1):
        _expect_words(found[number - 1], f"version {number} of a registry of the check's own")
    # The newest stays as it is: it is nobody's business.
    assert not found[2].description and "annotated" not in found[2].tags, (
        "asked about versions 2 and 1, annotate has changed version 3: use its argument `version`."
    )


@catches("the date was written in another form")
@swap("annotate", "date.today().isoformat()", 'date.today().strftime("%d.%m.%Y")')
@hint("as in 2030-01-31")
@catches("the tag was forgotten")
@swap("annotate", 'client.set_model_version_tag(registered_name, version, "annotated", ', "print(")
@hint('has no tag "annotated"')
@catches("the tag was set on the registered model")
@swap(
    "annotate", "model_version_tag(registered_name, version", "registered_model_tag(registered_name"
)
@hint('has no tag "annotated"')
def test_annotate_says_when(namespace):
    'annotate sets the tag "annotated" to today'
    days = {date.today().isoformat()}
    found = _annotated(namespace, 2)[1]
    days.add(date.today().isoformat())
    _expect_day(found, "version 2 of a registry of the check's own", days)


@catches("no cell has been run yet", skip_all())
@hint("has made no run since it started")
@catches("annotate was written, and never called in the loop")
@put("note", "")
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
    DummyRegressor().fit([[0.0]], [5.0]), name="model", pip_requirements=["scikit-learn"],
    registered_model_name="{REGISTERED}")
older = mlflow.MlflowClient()
tags = dict(rmse="0.6", rmse_upper="0.65", baseline_rmse="0.9", validation="passed")
for name, value in dict(tags, test_digest="older", decision="promoted").items():
    older.set_model_version_tag("{REGISTERED}", 1, name, value)
older.set_registered_model_alias("{REGISTERED}", "champion", 1)
"""


@catches("the champion of an earlier notebook was forgotten")
@before(OLDER)
@put("note-champion", "")
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
        "the words are others, the version is a text, and the date has its form from an f-string",
        swap("annotate", "Decision: {tags['decision']}.", "{tags['decision'].upper()}!"),
        swap("annotate", "version, description=words", "str(version), words"),
        swap("annotate", "date.today().isoformat()", "f'{date.today():%Y-%m-%d}'"),
    ),
    right(
        "all versions are described after the loop, in a cell of its own",
        put("note", ""),
        after(
            "for one in client.search_model_versions(f\"name='{registered_name}'\"):\n"
            "    annotate(client, one.version)"
        ),
        put("note-champion", ""),
    ),
)
