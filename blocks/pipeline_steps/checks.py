"""A configuration that names its mistakes, and three steps that give the same model each time."""

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from winelab.checks.authoring import catches, hint, put, right, skip, swap
from winelab.checks.comparing import kind, short
from winelab.checks.looking import REGISTERED
from winelab.checks.scratch import call, package_module, scratch_registry
from winelab.core.console import shortened
from winelab.core.paths import TABLE

# The steps are processes of their own, and what most checks look at needs none of them.
ALONE = (skip("run-pipeline", "wrong-config", "look-pipeline"),)
VARIABLE, PASSWORD = "WINEOPS_PROD_TRACKING_URI", "grape-4711"
NAMED = "https://mlflow.example.com"
RIGHT = {
    "data_folder": "data",
    "output": "output",
    "tracking_uri": NAMED,
    "experiment": "wine-quality",
    "registered_name": REGISTERED,
    "alpha": 0.01,
    "l1_ratio": 0.3,
}
# What is changed in RIGHT, and what to do where it is accepted all the same.
WRONG = (
    ({"alfa": 0.1}, 'a key that the class doesn\'t know is an error with `extra="forbid"`'),
    ({"alpha": -1}, "alpha must be greater than 0, `gt=0`"),
    ({"alpha": 0}, "alpha must be greater than 0, `gt=0`, and 0 isn't"),
    ({"l1_ratio": -0.1}, "l1_ratio must be at least 0, `ge=0`"),
    ({"l1_ratio": 1.5}, "l1_ratio may be 1 at most, `le=1`"),
    ({"max_rows": 19}, "max_rows must be at least 20, `ge=20`"),
    ({"max_rows": -5}, "max_rows must be at least 20, `ge=20`"),
)
FINE = ({}, {"alpha": 2}, {"l1_ratio": 0}, {"l1_ratio": 1}, {"max_rows": 20}, {"max_rows": None})


@contextmanager
def _config(settings, **environments):
    """Let the student's settings read these environments from a file of our own."""
    import yaml

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "config.yaml")
        file.write_text(yaml.safe_dump(environments), encoding="utf-8")
        with patch.object(settings, "config_file", file):
            yield


def _read(settings, name):
    """The environment, or the SystemExit that says what is wrong with it."""
    return call(settings.read, name, may_raise=SystemExit)


TRACKING = "${WINEOPS_PROD_TRACKING_URI}"


@catches("the address with its password is what is taken without the variable", *ALONE)
@swap("config-prod", TRACKING, f"{TRACKING[:-1]}:-https://wineops:{PASSWORD}@mlflow.example.org}}")
@hint("the password still stands in config.yaml")
@catches("without the variable, the course's store is guessed", *ALONE)
@swap("config-prod", TRACKING, f"{TRACKING[:-1]}:-sqlite:///../../mlflow.db}}")
@hint("isn't set, prod works with sqlite:///")
@catches("the variable has no braces", *ALONE)
@swap("config-prod", TRACKING, TRACKING.replace("{", "").replace("}", ""))
@hint("prod works with $WINEOPS_PROD_TRACKING_URI")
@catches("the variable of another program", *ALONE)
@swap("config-prod", TRACKING, "${MLFLOW_TRACKING_URI}")
@hint("and prod should take that one")
def test_prod_takes_its_address_from_a_variable(namespace):
    "prod takes its address from WINEOPS_PROD_TRACKING_URI alone, and no password is in the file"
    settings = package_module(namespace, "wineops.settings")
    text = Path(settings.config_file).read_text(encoding="utf-8")
    assert PASSWORD not in text, (
        "the password still stands in config.yaml: take it out, from comments and defaults too."
    )
    write = f"Write {TRACKING}, with braces and without `:-`."
    with patch.dict(os.environ, {VARIABLE: NAMED}):
        found = _read(settings, "prod")
    assert not isinstance(found, SystemExit), f"prod is refused: {shortened(str(found.code))}"
    assert found.tracking_uri == NAMED, (
        f"{VARIABLE} is {NAMED}, and prod should take that one: it takes {found.tracking_uri}. "
        f"{write}"
        if VARIABLE not in found.tracking_uri
        else f"prod works with {found.tracking_uri} as its address. {write}"
    )
    with patch.dict(os.environ):
        os.environ.pop(VARIABLE, None)
        found = _read(settings, "prod")
    assert isinstance(found, SystemExit), (
        f"where {VARIABLE} isn't set, prod works with {found.tracking_uri}, and should be refused. "
        f"{write}"
    )


@catches("a misspelt key is ignored", *ALONE)
@swap("environment", ', extra="forbid"', "")
@hint('an error with `extra="forbid"`')
@catches("alpha may be 0", *ALONE)
@swap("environment", "gt=0", "ge=0")
@hint("and 0 isn't")
@catches("l1_ratio has no upper end", *ALONE)
@swap("environment", "ge=0, le=1", "ge=0")
@hint("l1_ratio may be 1 at most")
@catches("l1_ratio must not be 0", *ALONE)
@swap("environment", "ge=0, le=1", "gt=0, le=1")
@hint("'l1_ratio': 0} is refused")
@catches("every environment must have max_rows", *ALONE)
@swap("environment", "Field(default=None, ge=20)", "Field(ge=20)")
@hint("dev.max_rows is missing")
def test_wrong_values_are_refused(namespace):
    "an environment with an unknown key, or with a value that can't be right, is refused"
    settings = package_module(namespace, "wineops.settings")
    for changed in FINE:
        with _config(settings, test=RIGHT | changed):
            found = _read(settings, "test")
        assert not isinstance(found, SystemExit), (
            f"an environment with {changed} is refused, and is right: {shortened(str(found.code))}"
        )
    for changed, advice in WRONG:
        with _config(settings, test=RIGHT | changed):
            found = _read(settings, "test")
        assert isinstance(found, SystemExit), (
            f"an environment with {changed} is accepted: {advice}."
        )


def _made_up_error():
    """An error about five keys: a wrong one, a missing one, two unknown, and one below another."""
    from pydantic import BaseModel, Field, ValidationError

    class Limits(BaseModel):
        rows: int

    class Made(BaseModel, extra="forbid"):
        address: str
        alpha: float = Field(gt=0)
        limits: Limits

    try:
        Made.model_validate(
            {"alpha": -1, "limits": {"rows": "many"}, "adress": 7, "password": PASSWORD}
        )
    except ValidationError as error:
        return error


SHOWN = '"missing" if wrong["type"] == "missing" else repr(wrong["input"])'
SAID = {
    "prod.address": ("missing", "required"),
    "prod.alpha": ("greater than 0",),
    "prod.limits.rows": ("integer",),
    "prod.adress": ("not permitted",),
    "prod.password": ("not permitted",),
}
VALUES = {"prod.alpha": "-1", "prod.limits.rows": "many", "prod.adress": "7"}


@catches("only the first wrong key is named", *ALONE)
@swap("sentences", "    return found", "    return found[:1]")
@hint("5 keys are wrong, and sentences gives 1")
@catches("of a missing key, the whole section is shown", *ALONE)
@swap("sentences", SHOWN, 'wrong["input"]')
@hint("shows the values of other keys")
@catches("the path begins without the environment", *ALONE)
@swap("sentences", '[environment, *map(str, wrong["loc"])]', 'map(str, wrong["loc"])')
@hint("no sentence names prod.address")
@catches("a path ends at its first key", *ALONE)
@swap("sentences", '*map(str, wrong["loc"])', 'str(wrong["loc"][0])')
@hint("no sentence names prod.limits.rows")
@catches("the sentences were printed", *ALONE)
@swap("sentences", "    return found", "    print(found)")
@hint("it ends without `return`")
@catches("the value is left out", *ALONE)
@swap("sentences", " is {value}: ", ": ")
@hint("doesn't show its value, -1")
def test_each_wrong_key_has_a_sentence(namespace):
    "each wrong key has one sentence, with its path, its value, and what pydantic says"
    settings = package_module(namespace, "wineops.settings")
    error = _made_up_error()
    said = call(
        settings.sentences,
        "prod",
        error,
        on_error="It takes the environment's name and pydantic's error.",
        expect=(list, tuple),
    )
    said = [str(sentence) for sentence in said]
    assert len(said) == len(SAID), (
        f"{len(SAID)} keys are wrong, and sentences gives {len(said)}: append one for each "
        "dictionary of error.errors()."
    )
    for path, words in SAID.items():
        own = [sentence for sentence in said if path in sentence]
        assert own, (
            f"no sentence names {path}, the first is {short(said[0])}: join the environment and "
            'all parts of "loc" with dots.'
        )
        assert any(word in own[0].lower() for word in words), (
            f'the sentence on {path} is {short(own[0])}, and doesn\'t say "{words[0]}": add "msg".'
        )
        value = VALUES.get(path, "")
        assert value in own[0], f'{short(own[0])} doesn\'t show its value, {value}: add "input".'
        assert "config.yaml" in own[0], f"{short(own[0])} doesn't name the file, config.yaml."
    missing = next(sentence for sentence in said if "prod.address" in sentence)
    assert PASSWORD not in missing and "many" not in missing, (
        "the sentence on prod.address, which is missing, shows the values of other keys, a "
        'password among them: where "type" is "missing", "input" is the whole section.'
    )


def _wines():
    """Eighty wines, some twice, one with a gap; the same, shuffled; and what should be left."""
    import pandas as pd

    wines = pd.read_csv(TABLE, sep=";").astype("float64").drop_duplicates().head(80)
    gap = wines.head(1).assign(alcohol=None).astype("float64")
    table = pd.concat([wines, wines.head(5), gap], ignore_index=True)
    return table, table.sample(frac=1, random_state=3), wines


def _rows(table):
    return [tuple(row) for row in table.to_numpy().tolist()]


SORTED = "wines.sort_values(list(wines.columns), ignore_index=True)"


@catches("the wines are sorted by one column", *ALONE)
@swap("clean", "list(wines.columns)", '"alcohol"')
@hint("sort by all columns")
@catches("the wines are not sorted", *ALONE)
@swap("clean", SORTED, "wines.reset_index(drop=True)")
@hint("sort by all columns")
@catches("the rows keep the numbers they had in the file", *ALONE)
@swap("clean", ", ignore_index=True", "")
@hint("numbered from 0")
@catches("a wine with a missing value is kept", *ALONE)
@swap("clean", ".dropna()", "")
@hint("a missing value is left")
@catches("duplicates are kept", *ALONE)
@swap("clean", ".drop_duplicates()", "")
@hint("86 wines, some of them twice, one with a gap, and gives 85")
@catches("sorted in place, and nothing is returned", *ALONE)
@swap("clean", f"return {SORTED}", SORTED.replace("ignore_index", "inplace=True, ignore_index"))
@hint("it ends without `return`")
def test_clean_gives_one_table_whatever_the_order(namespace):
    "clean gives the same table for the same wines, each of them once, whatever order they come in"
    import pandas as pd

    process = package_module(namespace, "wineops.process_data")
    table, shuffled, wines = _wines()
    one, other = (
        call(process.clean, asked.copy(), expect=pd.DataFrame, on_error="It takes a table.")
        for asked in (table, shuffled)
    )
    gap = one.isna().any(axis=None)
    assert not gap, "a missing value is left after clean: drop those wines with dropna."
    assert list(one.columns) == list(wines.columns), (
        f"clean leaves the columns {short(list(one.columns))}: keep all twelve, in their order."
    )
    assert sorted(_rows(one)) == sorted(_rows(wines)), (
        f"clean gets {len(table)} wines, some of them twice, one with a gap, and gives {len(one)}; "
        f"{len(wines)} are right: dropna, then drop_duplicates, and nothing else."
    )
    assert _rows(one) == _rows(other), (
        "clean gives another table where the same wines come in another order: sort by all "
        "columns, `list(wines.columns)`."
    )
    assert list(one.index) == list(range(len(one))), (
        f"the rows are numbered {short(list(one.index[:4]))}, ..., as in the file: give "
        "sort_values `ignore_index=True`, and they are numbered from 0."
    )


# Eleven versions: as texts, "9" is larger than "11", and the newest of all is another's.
ENVIRONMENTS = ("test", "dev", "", "dev", "dev", "dev", "dev", "dev", "test", "test", "dev", "prod")
NEWEST = {"test": 10, "dev": 11}
ENDS = 'raise SystemExit(f"There is no version of this environment: {again}")'
FILTER = " and tags.environment = '{settings.environment}'"


@catches("the newest version of all environments is taken", *ALONE)
@swap("newest-version", FILTER, "")
@hint("finds version 12 for test")
@catches("the environment is a fixed one", *ALONE)
@swap("newest-version", "{settings.environment}'\"", "test'\"")
@hint("finds version 10 for dev")
@catches("the versions are compared as texts", *ALONE)
@swap("newest-version", "int(version.version)", "str(version.version)")
@hint("finds version 9 for test")
@catches("no version ends in Python's error", *ALONE)
@swap("newest-version", "if not found:", "if False:")
@hint("Ask before, with `if not found:`")
@catches("the sentence says nothing to do", *ALONE)
@swap("newest-version", ENDS, "raise SystemExit(1)")
@hint("should name the step to run, train_register")
def test_the_newest_version_is_of_this_environment(namespace):
    "newest_version finds the newest version of its own environment, or says what to run first"
    module = package_module(namespace, "wineops.predict")
    module.settings.registered_name = REGISTERED
    tags = [{"environment": name} if name else {} for name in ENVIRONMENTS]
    with scratch_registry(*tags) as client:
        for environment, number in NEWEST.items():
            module.settings.environment = environment
            found = call(module.newest_version, client, on_error="One version has no tag at all.")
            there = getattr(found, "version", None)
            assert there is not None, f"newest_version gives {kind(found)}: return the version."
            assert int(there) == number, (
                f"newest_version finds version {there} for {environment}, and should find "
                f'{number}: take the versions whose tag "environment" is settings.environment, and '
                "of these the one with the largest number."
            )
        module.settings.environment = "stage"
        ended = call(
            module.newest_version,
            client,
            on_error="No version is of this environment. Ask before, with `if not found:`.",
            may_raise=SystemExit,
        )
    assert isinstance(ended, SystemExit), (
        f"where no version is of the environment, newest_version gives {kind(ended)}: raise a "
        "SystemExit with a sentence."
    )
    assert "train_register" in str(ended.code), (
        f"where there is no version, newest_version ends with {short(ended.code)}: the sentence "
        "should name the step to run, train_register."
    )


CELL = 'run the cell "1. The three steps, in test".'


@catches("the steps were not run", *ALONE)
@hint("there is no report.json")
def test_the_three_steps_have_run(namespace):
    "in test, the three steps have run on clean wines, one after the other"
    import pandas as pd
    from mlflow import MlflowClient

    settings = package_module(namespace, "wineops.settings")
    test = call(settings.read, "test")
    folder = Path(test.output) / "pipeline"
    for name in ("report.json", "train.parquet", "test.parquet", "predictions.parquet"):
        assert (folder / name).is_file(), f"there is no {name} in {folder.name}: {CELL}"
    train, held_out, predictions = (
        pd.read_parquet(folder / f"{name}.parquet") for name in ("train", "test", "predictions")
    )
    twice = pd.concat([train, held_out]).duplicated().sum()
    assert not twice, (
        f"{twice} wines stand in the pipeline's tables a second time: write `clean`, then {CELL}"
    )
    assert Path(test.tracking_uri.removeprefix("sqlite:///")).is_file(), (
        f"test has no store yet: {CELL}"
    )
    client = MlflowClient(test.tracking_uri, registry_uri=test.tracking_uri)
    found = client.search_model_versions(f"name='{test.registered_name}'")
    newest = max(found, key=lambda version: int(version.version), default=None)
    assert newest is not None, f"test has no version yet: {CELL}"
    digest = package_module(namespace, "wineops.process_data").digest
    assert newest.tags.get("train_digest") == call(digest, train), (
        f"version {newest.version} was trained on another table than train.parquet: {CELL}"
    )
    assert set(predictions["version"]) == {int(newest.version)}, (
        f"the predictions are not of the newest version, {newest.version}: {CELL}"
    )


CONFIGURED = """\
from pydantic import ConfigDict, PositiveFloat


class Environment(BaseModel):
    model_config = ConfigDict(extra="forbid")
"""
IN_OTHER_WORDS = """\
def sentences(environment, error):
    path = lambda wrong: ".".join((environment, *map(str, wrong["loc"])))
    shown = lambda wrong: "" if wrong["type"] == "missing" else f" ({wrong['input']})"
    return [f"In config.yaml, {path(e)}: {e['msg']}{shown(e)}" for e in error.errors()]
"""
BY_TAG = """\
    here = settings.environment
    found = [version for version in found if version.tags.get("environment") == here]
    if not found:"""

RIGHT_WAYS = (
    right(
        "the class has a model_config and types of pydantic's, and the address is quoted",
        swap("config-prod", TRACKING, f'"{TRACKING}"'),
        swap("environment", 'class Environment(BaseModel, extra="forbid"):\n', CONFIGURED),
        swap("environment", "float = Field(gt=0)", "PositiveFloat"),
    ),
    right(
        "sorted the other way round, and the tag is looked at in Python",
        swap("clean", SORTED, "wines.sort_values(list(wines)[::-1]).reset_index(drop=True)"),
        swap("newest-version", FILTER, ""),
        swap("newest-version", "    if not found:", BY_TAG),
    ),
    right("the sentences in other words, in one line", put("sentences", IN_OTHER_WORDS)),
)
