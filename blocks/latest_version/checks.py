"""The program finds versions by itself: the newest by its number, the champion by its alias."""

from unittest.mock import patch

from winelab.checks.authoring import catches, error, given, hint, put, right, skip_all, split, swap
from winelab.checks.comparing import kind, same_column, same_value, short
from winelab.checks.looking import REGISTERED
from winelab.checks.scratch import call, scratch_registry, student_function

CELL = "The newest version, and the champion"
SEARCH = "client.search_model_versions(f\"name='{registered_name}'\")"
HIGHEST = "max(int(version.version) for version in found)"
BY_ALIAS = 'client.get_model_version_by_alias(registered_name, "champion")'
IN_A_SEARCH = f'next((one for one in {SEARCH} if "champion" in one.aliases), None)'
ASK_FIRST = 'if "champion" not in client.get_registered_model(registered_name).aliases:'
SENTENCE = 'f"No model has passed the gate of {gate}: there is no champion to load."'


@catches("no cell has been run yet", skip_all())
@hint("has made no run since it started")
@given
def test_the_program_has_made_versions(versions):
    "this notebook has made versions of the registered model"


def _texts():
    """Let versions come as texts, as from a server."""
    from mlflow.entities.model_registry import ModelVersion

    plain = ModelVersion.version.fget
    return patch.object(ModelVersion, "version", property(lambda version: str(plain(version))))


def _expect_newest(namespace, client, number, where):
    """Let a check pass only where the student's `newest_version` returns this number, an int."""
    newest_version = student_function(namespace, "newest_version", CELL)
    advice = "The filter is f\"name='{registered_name}'\", with an f and both kinds of quotes."
    found = call(newest_version, client, on_error=f"It takes the client. {advice}")
    assert isinstance(found, int) and same_value(found, number), (
        f"newest_version(client) returns {short(found)} {where}, and should return the int "
        f'{number}. Search with a filter, make each version an int, since as texts "9" is higher '
        'than "11", and take the highest: numbers have gaps.'
    )


@catches("the name in the filter has no quotes")
@swap("newest-version", "name='{registered_name}'", "name={registered_name}")
@hint("both kinds of quotes")
@error("Expected a quoted string value")
@catches("the number was written down")
@swap("newest-version", HIGHEST, "2")
@hint("returns 2 with 1 version in a registry")
@catches("all registered models were searched")
@swap("newest-version", SEARCH, "client.search_model_versions()")
@hint("Search with a filter")
@catches("the first of the list was taken for the newest")
@swap("newest-version", HIGHEST, "int(found[0].version)")
@hint("returns 1 with 11 versions")
@catches("the versions were compared as texts")
@swap("newest-version", HIGHEST, "int(max(str(version.version) for version in found))")
@hint("returns 9 with 11 versions")
@catches("the versions were compared as they came, which is right on SQLite only")
@swap("newest-version", HIGHEST, "max(version.version for version in found)")
@hint('returns "9" with 11 versions that come as texts')
@catches("the versions were counted")
@swap("newest-version", HIGHEST, "len(found)")
@hint("returns 10 with version 5 of 11 deleted")
def test_newest_version_is_the_highest_number(namespace):
    "newest_version is right with 1 and 11 versions, with gaps, as numbers and as texts"
    with scratch_registry({}) as client:
        client.create_registered_model("another-model")
        for _ in range(2):
            client.create_model_version("another-model", "file:///scratch")
        _expect_newest(namespace, client, 1, "with 1 version in a registry beside another model")
        for _ in range(10):
            client.create_model_version(REGISTERED, "file:///scratch")
        # What was changed last comes first in a search.
        client.update_model_version(REGISTERED, "1", description="the first one")
        _expect_newest(namespace, client, 11, "with 11 versions beside another model")
        with _texts():
            where = "with 11 versions that come as texts, as from a server"
            _expect_newest(namespace, client, 11, where)
        client.delete_model_version(REGISTERED, "5")
        _expect_newest(namespace, client, 11, "with version 5 of 11 deleted")


def _champion(namespace, client, may_raise=()):
    """What the student's `find_champion` answers."""
    advice = "It takes the client, looks into the aliases, and returns a version."
    find = student_function(namespace, "find_champion", CELL)
    return call(find, client, on_error=advice, may_raise=may_raise)


@catches("the newest was taken for the champion")
@swap("find-champion", "_by_alias", "")
@swap("find-champion", 'name, "champion")', "name, newest_version(client))")
@hint('returns version 2, and version 1 has the alias "champion"')
@catches("the alias was looked for in a search, which never has it")
@swap("find-champion", BY_ALIAS, IN_A_SEARCH)
@hint("find_champion(client) returns nothing (None)")
@error("'NoneType' object has no attribute 'version'")
def test_the_champion_is_found_by_its_alias(namespace):
    "find_champion returns the version with the alias, which need not be the newest"
    with scratch_registry({}, {}) as client:
        client.set_registered_model_alias(REGISTERED, "challenger", 2)
        for number in (1, 2):
            client.set_registered_model_alias(REGISTERED, "champion", number)
            found = _champion(namespace, client)
            is_version = hasattr(found, "run_id") and hasattr(found, "version")
            said = f"version {found.version}" if is_version else kind(found)
            assert is_version and same_value(found.version, number), (
                f"find_champion(client) returns {said}, and version {number} has the alias "
                f'"champion". Return {BY_ALIAS}, the version itself.'
            )


@catches("a sentence was printed, and the program goes on")
@swap("find-champion", "raise SystemExit", "return print")
@hint("returns nothing (None), and the program goes on")
@catches("nobody asked whether there is a champion")
@swap("find-champion", ASK_FIRST, "if False:")
@hint("ends with another error")
@catches("the program ends without a word")
@swap("find-champion", SENTENCE, "")
@hint("doesn't say why")
def test_no_champion_is_said_clearly(namespace):
    "without a champion, find_champion ends the program with a sentence"
    with scratch_registry({}) as client:
        found = _champion(namespace, client, (SystemExit, Exception))
    what = "without a champion, find_champion(client)"
    how = 'Look into the aliases first, and raise SystemExit("...") with a sentence.'
    ends = isinstance(found, BaseException)
    assert ends, f"{what} returns {kind(found)}, and the program goes on with it. {how}"
    assert isinstance(found, SystemExit), f"{what} ends with another error, and a traceback. {how}"
    said = isinstance(found.code, str) and len(found.code.split()) >= 3
    assert said, f"{what} ends the program, and doesn't say why. {how}"


@catches("the two functions were never called", put("load-champion", ""), put("newest", ""))
@hint("there is no variable `champion` here yet")
@catches("the newest was loaded, by an address without a number")
@swap("releases", "(0.2, alpha)", "(alpha, 0.2)")
@swap("load-champion", "@champion", "/latest")
@hint("are not the champion's")
def test_the_champion_predicts(namespace, client, versions):
    "the champion is loaded by its alias, and predicts the test wines"
    import mlflow

    named = client.get_registered_model(REGISTERED).aliases.get("champion")
    if "tables" not in namespace or named is None:
        return  # In a script, main() keeps it for itself; and without a champion the cell ends.
    champion, predicted = namespace["champion"], namespace["predictions"]
    assert same_value(getattr(champion, "version", None), named), (
        f"`champion` is {kind(champion)}, or another version than {named}, which has the alias: "
        'call find_champion(client) in the cell "6. Find the champion", and run it again.'
    )
    model = mlflow.pyfunc.load_model(f"models:/{REGISTERED}/{named}")
    assert same_column(predicted, call(model.predict, namespace["tables"][1])), (
        "`predictions` are not the champion's: load models:/NAME@champion with "
        "mlflow.pyfunc.load_model, and give it the test wines, tables[1], all of them."
    )


RIGHT_WAYS = (
    right(
        "the search sorts, and gives one version",
        swap("newest-version", "'\")", "'\", 1, ['version_number DESC'])"),
        swap("newest-version", HIGHEST, "int(found[0].version)"),
    ),
    right(
        "MLflow's error is turned into a sentence",
        put(
            "find-champion",
            "import sys\n\n"
            "def find_champion(client):\n"
            "    try:\n"
            f"        return {BY_ALIAS}\n"
            "    except mlflow.MlflowException:\n"
            '        sys.exit("There is no champion: no version has passed the gate.")',
        ),
    ),
    right(
        "the champion is loaded by the number that was found, in a cell of its own",
        swap("load-champion", "{registered_name}@champion", "{registered_name}/{champion.version}"),
        swap("load-champion", "model.predict(X_test)", "pd.Series(model.predict(tables[1]))"),
        split("champion", "model = "),
    ),
)
