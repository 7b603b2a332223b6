"""The program finds versions by itself: the newest by number, the champion by alias."""

from contextlib import contextmanager
from unittest.mock import patch

from winelab.checks.authoring import catches, given, put, skip, skip_all, swap
from winelab.checks.scratch import scratch_store
from winelab.core.console import shortened

TASK = 'in the cell "The newest version, and the champion"'


def _function(namespace, name):
    """The student's function `name`."""
    assert callable(namespace.get(name)), (
        f"there is no function `{name}` yet: write {name}(client) {TASK}."
    )
    return namespace[name]


def _add_versions(client, name, count):
    """Make `count` more versions of `name`; nothing lies behind them."""
    for _ in range(count):
        client.create_model_version(name, source="nowhere")


def _newest(namespace, client):
    """What the student's function says, as it is."""
    function = _function(namespace, "newest_version")
    try:
        return function(client)
    except TypeError as error:
        raise AssertionError(
            f"newest_version(client) stopped with {error}: it takes the client, and finds the rest."
        ) from None
    except Exception as error:
        raise AssertionError(
            f"newest_version(client) stopped with {type(error).__name__}: "
            f"{shortened(str(error), 90)}. "
            "The filter is f\"name='{registered_name}'\", with both kinds of quotes and the f."
        ) from None


def _same(found, number):
    """Whether `found` is this number, as a number or as a text."""
    return str(found) == str(number)


@contextmanager
def _versions_as_texts():
    """As if a server had sent them: MLflow's versions are texts then."""
    from mlflow.entities.model_registry import ModelVersion

    plain = ModelVersion.version.fget
    with patch.object(ModelVersion, "version", property(lambda version: str(plain(version)))):
        yield


SEARCH = "client.search_model_versions(f\"name='{registered_name}'\")"
HIGHEST = "max(int(version.version) for version in found)"
BY_ALIAS = 'client.get_model_version_by_alias(registered_name, "champion")'
ASK_FIRST = 'if "champion" not in client.get_registered_model(registered_name).aliases:'


@catches("no cell has been run yet", skip_all(), hint="has made no run since it started")
@given
def test_the_candidates_are_registered(versions):
    "this program's candidates are versions of the registered model"


@catches(
    "the name in the filter has no quotes",
    swap("newest-version", "name='{registered_name}'", "name={registered_name}"),
    hint="with both kinds of quotes",
    error="Expected a quoted string value",
)
@catches(
    "the number was written down",
    swap("newest-version", HIGHEST, "2"),
    hint="newest_version(client) says 2, and the highest number in your store is 3",
)
@catches(
    "the number was printed, and not given back",
    swap("newest-version", f"return {HIGHEST}", f"print({HIGHEST})"),
    hint="it ends with `return`",
)
def test_the_newest_in_your_store(namespace, client, versions):
    "newest_version(client) is the highest number in your store"
    name = namespace["registered_name"]
    numbers = [int(version.version) for version in client.search_model_versions(f"name='{name}'")]
    found = _newest(namespace, client)
    assert found is not None, "newest_version gives nothing back: it ends with `return`."
    assert _same(found, max(numbers)), (
        f"newest_version(client) says {found}, and the highest number in your store is "
        f"{max(numbers)}: take the highest of all versions of `registered_name`."
    )


@catches(
    "the versions were compared as texts",
    swap("newest-version", HIGHEST, "int(max(str(version.version) for version in found))"),
    hint="with 11 versions in a registry, newest_version(client) says 9",
)
@catches(
    "the versions were compared as they came, which is right on SQLite only",
    swap("newest-version", HIGHEST, "max(version.version for version in found)"),
    hint='as texts, "9" is higher than "11"',
)
@catches(
    "the highest was found, and given back as it came",
    swap("newest-version", HIGHEST, "max(found, key=lambda one: int(one.version)).version"),
    hint="make it an int",
)
@catches(
    "the first of the list was taken for the newest",
    swap("newest-version", HIGHEST, "int(found[0].version)"),
    hint="with 2 versions in a registry, newest_version(client) says 1",
)
@catches(
    "the versions were counted",
    swap("newest-version", HIGHEST, "len(found)"),
    hint="with version 5 of 11 deleted, newest_version(client) says 10",
)
@catches(
    "all registered models were searched",
    swap("newest-version", SEARCH, "client.search_model_versions()"),
    hint="give search_model_versions the filter",
)
@catches(
    "the last version of this notebook was taken, from a variable",
    swap("newest-version", HIGHEST, "int(model_info.registered_model_version)"),
    hint="write no number down",
)
def test_the_newest_of_any_number(namespace):
    "it is right with 1, 2 and 11 versions, as numbers and, from a server, as texts"
    name = namespace["registered_name"]
    _function(namespace, "newest_version")
    with scratch_store() as client:
        client.create_registered_model("another-model")
        _add_versions(client, "another-model", 3)
        client.create_registered_model(name)
        for count, more in ((1, 1), (2, 1), (11, 9)):
            _add_versions(client, name, more)
            if count > 1:
                # What was described last comes first in a search.
                client.update_model_version(name, "1", description="the first one")
            _judge(_newest(namespace, client), count)
        with _versions_as_texts():
            found = _newest(namespace, client)
        assert _same(found, 11), (
            f"where 11 versions come as texts, newest_version(client) says {found}: as texts, "
            '"9" is higher than "11". Make each an int before you compare.'
        )
        assert isinstance(found, int), (
            "newest_version(client) answers with a text where versions are texts: make it an int."
        )
        for gone, highest in (("5", 11), ("11", 10)):
            client.delete_model_version(name, gone)
            found = _newest(namespace, client)
            assert _same(found, highest), (
                f"with version {gone} of 11 deleted, newest_version(client) says {found}: the "
                f"newest is the highest number that is still there, {highest}. Counting does not "
                "find it: numbers are never given twice."
            )


def _judge(found, count):
    """Whether this is the newest of `count` versions, beside another model with three."""
    assert _same(found, count) or not _same(found, 3), (
        "newest_version(client) says 3, where only another registered model has so many versions: "
        "give search_model_versions the filter name='...', with `registered_name`, and write no "
        "number down."
    )
    assert _same(found, count), (
        f"with {count} version{'s' * (count > 1)} in a registry, newest_version(client) says "
        f"{found}: make each version an int, and take the highest. The first one that a search "
        "finds is the one described last, and a number that is written down is soon wrong."
    )


@catches(
    "the champion was taken for the newest",
    swap(
        "find-champion",
        BY_ALIAS,
        "client.get_model_version(registered_name, newest_version(client))",
    ),
    hint="ask for the version by its alias",
)
@catches(
    "the champion was looked for under the alias `latest`",
    swap("find-champion", BY_ALIAS, 'client.get_model_version_by_alias(registered_name, "latest")'),
    hint="where version 1 of 2 has the alias",
)
@catches(
    "only the champion's number was given back",
    swap("find-champion", BY_ALIAS, f"{BY_ALIAS}.version"),
    hint="return the version itself",
    error="has no attribute 'version'",
)
@catches(
    "the aliases were looked for in a search, which never has them",
    put(
        "find-champion",
        "def find_champion(client):\n"
        f"    for version in {SEARCH}:\n"
        '        if "champion" in version.aliases:\n'
        "            return version",
    ),
    hint="get_model_version_by_alias",
    error="'NoneType' object has no attribute 'version'",
)
def test_the_champion_is_found_by_its_alias(namespace, client):
    "find_champion(client) is the version with the alias, not the newest"
    name = namespace["registered_name"]
    find = _function(namespace, "find_champion")

    def ask(asked):
        found = find(asked)
        assert hasattr(found, "run_id") and hasattr(found, "version"), (
            f"find_champion(client) gives back {found!r}: return the version itself, as "
            "get_model_version_by_alias answers it. It also knows its run."
        )
        return int(found.version)

    with scratch_store() as registry:
        registry.create_registered_model(name)
        _add_versions(registry, name, 2)
        registry.set_registered_model_alias(name, "challenger", "2")
        for number in (1, 2):
            registry.set_registered_model_alias(name, "champion", str(number))
            found = ask(registry)
            assert found == number, (
                f'in a registry where version {number} of 2 has the alias "champion", '
                f"find_champion(client) gives version {found}: ask for the version by its alias."
            )
    there = int(client.get_registered_model(name).aliases.get("champion", 0))
    if not there:
        return  # Nothing has passed the gate in this store: the next check asks about that.
    assert ask(client) == there, (
        f"the champion of your store is version {there}: ask the client that the function is given."
    )


@catches(
    "another error was raised, with a page of traceback",
    swap("find-champion", "SystemExit", "ValueError"),
    hint="raise SystemExit with a",
)
@catches(
    "nobody asked whether there is a champion",
    swap("find-champion", ASK_FIRST, "if False:"),
    hint="ends in MLflow's error",
)
@catches(
    "the program ends without a word",
    put(
        "find-champion",
        "def find_champion(client):\n"
        f"    {ASK_FIRST}\n"
        "        raise SystemExit\n"
        f"    return {BY_ALIAS}",
    ),
    hint="does not say why",
)
def test_no_champion_is_said_clearly(namespace):
    "where there is no champion, find_champion(client) ends the program with a sentence"
    from mlflow import MlflowException

    name = namespace["registered_name"]
    find = _function(namespace, "find_champion")
    with scratch_store() as registry:
        registry.create_registered_model(name)
        _add_versions(registry, name, 1)
        said = None
        try:
            found = find(registry)
        except SystemExit as end:
            said = end.code
        except MlflowException:
            raise AssertionError(
                "without a champion, find_champion(client) ends in MLflow's error, below a page of "
                "traceback: look into the aliases first, and raise SystemExit with a sentence."
            ) from None
        except Exception as error:
            raise AssertionError(
                f"without a champion, find_champion(client) ends in a {type(error).__name__}, "
                "below a traceback: look into the aliases first, and raise SystemExit with a "
                "sentence."
            ) from None
        else:
            raise AssertionError(
                f"without a champion, find_champion(client) gives back {found!r}, and the program "
                "goes on with it: raise SystemExit with a sentence."
            )
    assert isinstance(said, str) and len(said.split()) >= 3, (
        "find_champion(client) ends the program, and does not say why: write a sentence between "
        'the brackets of SystemExit("...").'
    )


@catches(
    "the two functions were written, and never used",
    skip("release"),
    hint="champion = find_champion(client), and run it",
)
@catches(
    "the newest was loaded, by an address without a number",
    swap("release", "@champion", "/latest"),
    hint="are not what the champion says",
)
def test_the_champion_predicts(namespace, client, versions):
    'the cell "6. Find the champion" loads the champion, and lets it predict'
    import mlflow
    import numpy as np

    name = namespace["registered_name"]
    there = client.get_registered_model(name).aliases.get("champion")
    if "tables" not in namespace or there is None:
        return  # In a script, main() keeps it for itself; and without a champion the cell ends.
    found = namespace.get("champion")
    assert found is not None, (
        'there is no `champion` yet: in the cell "6. Find the champion", write '
        "champion = find_champion(client), and run it."
    )
    assert _same(getattr(found, "version", found), there), (
        f"`champion` is version {getattr(found, 'version', found)}, and the alias is on version "
        f'{there}: run the cell "6. Find the champion" again, below the training.'
    )
    said = namespace.get("predictions")
    assert said is not None, (
        "there are no `predictions` yet: load the champion with mlflow.pyfunc.load_model, and let "
        "it predict for the test wines, tables[1]."
    )
    right = mlflow.pyfunc.load_model(f"models:/{name}/{there}").predict(namespace["tables"][1])
    assert np.shape(said) == np.shape(right) and np.allclose(said, right), (
        "`predictions` are not what the champion says of the test wines: load "
        'f"models:/{registered_name}@champion", and give it tables[1], all of them.'
    )
