"""Bad rows are told apart, the version is asked for once, and a day is published whole."""

import os
import re
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from unittest.mock import patch

from winelab.checks.authoring import catches, hint, right, skip, swap
from winelab.checks.comparing import kind, listed, plural, short
from winelab.checks.looking import EXPERIMENT, REGISTERED, champion_of
from winelab.checks.scratch import call, package_module, scratch_store

MODULE = "wineops.batch"
DAY, OTHER_DAY = date(2026, 11, 22), date(2026, 11, 21)
KINDS = ("predictions", "rejected")
# No process is started: these mistakes are in a function alone.
ALONE = (skip("run-batch", "run-batch-again"),)
AGAIN = 'run the cells "1. Predict the new wines" and "2. And the same day again" again.'


# --- what is wrong with a row -------------------------------------------------------------------

# What differs from a good row, and the columns that the reason must name; in order.
ROWS = (
    ({}, ()),
    ({"citric acid": 0.0}, ()),
    ({"alcohol": None}, ("alcohol",)),
    ({"pH": "n/a"}, ("pH",)),
    ({"pH": "14.5"}, ("pH",)),
    ({"density": -0.997}, ("density",)),
    ({"sulphates": float("inf")}, ("sulphates",)),
    ({"fixed acidity": float("-inf")}, ("fixed acidity",)),
    ({"pH": None}, ("pH",)),
    ({}, ()),
)
MISSING, UNREADABLE, OUTSIDE = 8, 3, 4
"""The places in ROWS of three pH values, each of which is wrong in its own way."""


def _ask_reasons(module):
    """The reason for each of ROWS, as the student's function gives it; all texts."""
    import pandas as pd

    good = {name: sum(limits) / 2 for name, limits in module.LIMITS.items()} | {"pH": "3.3"}
    rows = pd.DataFrame([{"wine_id": 1, **good, **wrong} for wrong, _ in ROWS])
    advice = "It takes a table and returns one text for each row."
    answer = call(module.reasons, rows, on_error=advice)
    try:
        found = list(answer)
    except TypeError:
        found = None
    assert found is not None and not isinstance(answer, str), (
        f"reasons gives back {kind(answer)}. {advice}"
    )
    assert len(found) == len(rows), (
        f"reasons gives back {plural(len(found), 'value')} for {len(rows)} rows. {advice}"
    )
    for one in found:
        assert isinstance(one, str), (
            f'reasons gives back {short(one)} among the reasons, not a text: "" is a good row.'
        )
    return found


@catches("the limits are not looked at", *ALONE)
@swap("batch-reasons", '        found[outside] += f"{column} is not', "        # (")
@hint('goes through: reasons answers "". Compare with the LIMITS')
@catches("the reasons name no column", *ALONE)
@swap("batch-reasons", 'f"{column} is missing; "', '"a value is missing; "')
@hint("doesn't name the column alcohol")
@catches("a missing value and a text have the same reason", *ALONE)
@swap("batch-reasons", "values.isna() & ~missing", "values.isna()")
@swap("batch-reasons", "        found[missing] += f", "        f")
@hint("two have the same reason")
@catches("a value at its limit is refused", *ALONE)
@swap("batch-reasons", "between(lowest, highest)", 'between(lowest, highest, inclusive="neither")')
@hint("is good, for a limit itself is allowed")
@catches("good rows have no text", *ALONE)
@swap("batch-reasons", "    return found", "    return found.replace('', None)")
@hint('"" is a good row')
def test_each_bad_row_has_its_reason(namespace):
    "reasons names the column and what is wrong, and lets good rows through"
    found = _ask_reasons(package_module(namespace, MODULE))
    for reason, (wrong, columns) in zip(found, ROWS, strict=True):
        row = listed(
            f"no {column}" if value is None else f"{column} {short(value)}"
            for column, value in wrong.items()
        )
        if not columns:
            what = (
                f"a row with {row} is good, for a limit itself is allowed"
                if wrong
                else "a good row"
            )
            assert not reason.strip(), f'{what}, but reasons answers "{reason}".'
            continue
        assert reason.strip(), (
            f'a row with {row} goes through: reasons answers "". Compare with the LIMITS, and let '
            "no missing or infinite value pass."
        )
        for column in columns:
            assert column in reason, (
                f'the reason for {row} is "{reason}", which doesn\'t name the column {column}: use '
                "an f-text with {column} in it."
            )
    said = {place: found[place] for place in (MISSING, UNREADABLE, OUTSIDE)}
    assert len({*said.values()}) == len(said), (
        "of three pH values, missing, the text n/a and 14.5, two have the same reason: "
        f"{listed(said.values())}. Whoever mends the row must know which it is."
    )


# --- the version --------------------------------------------------------------------------------


class _Restless:
    """A client after each of whose answers somebody moves the alias to the other version."""

    def __init__(self, client):
        self._client = client

    def move(self):
        now = self._client.get_registered_model(REGISTERED).aliases["champion"]
        other = 1 if int(now) == 2 else 2
        self._client.set_registered_model_alias(REGISTERED, "champion", other)

    def __getattr__(self, name):
        method = getattr(self._client, name)

        def ask(*arguments, **named):
            answer = method(*arguments, **named)
            self.move()
            return answer

        return ask


def _number(client, uri):
    """The number of the version that is loaded from an address; None where it is none's."""
    if found := re.fullmatch(rf"models:/{REGISTERED}/(\d+)", uri):
        return int(found[1])
    if found := re.fullmatch(rf"models:/{REGISTERED}@(\w+)", uri):
        return int(client.get_model_version_by_alias(REGISTERED, found[1]).version)
    versions = client.search_model_versions(f"name='{REGISTERED}'")
    return next((int(one.version) for one in versions if one.source == uri), None)


@catches("the alias is asked for a second time when the model is loaded", *ALONE)
@swap("batch-champion", "/{version.version}", "@champion")
@hint("load_champion says version 2 and has loaded version 1")
@catches("model and version changed places", *ALONE)
@swap("batch-champion", "return version, model", "return model, version")
@hint("has no version number")
def test_the_version_is_asked_for_once(namespace):
    "load_champion gives one version and that version's model, even if the alias moves meanwhile"
    # Imported by its full name: `mlflow.pyfunc` alone is a stand-in until it is first used.
    import mlflow.pyfunc

    module = package_module(namespace, MODULE)
    with scratch_store() as client:
        client.create_registered_model(REGISTERED)
        for number in (1, 2):
            client.create_model_version(REGISTERED, f"file:///scratch/{number}")
        client.set_registered_model_alias(REGISTERED, "champion", 2)
        restless = _Restless(client)

        def load(model_uri, *_, **__):
            model = SimpleNamespace(number=_number(client, model_uri), uri=model_uri)
            restless.move()
            return model

        advice = "It takes a client, and returns the version and its model."
        with patch.object(mlflow.pyfunc, "load_model", load):
            answer = call(module.load_champion, restless, on_error=advice, expect=(tuple, list))
    assert len(answer) == 2, f"load_champion gives back {plural(len(answer), 'value')}. {advice}"
    version, model = answer
    assert hasattr(version, "version"), (
        f"the first value of load_champion is {kind(version)} and has no version number. {advice}"
    )
    assert hasattr(model, "number"), (
        "the second value of load_champion doesn't come from mlflow.pyfunc.load_model. " + advice
    )
    assert model.number == int(version.version), (
        f"the alias was moved between two calls: load_champion says version {version.version} and "
        f"has loaded version {model.number}. Ask for the alias once, first, and load by the number."
    )


# --- the draft ----------------------------------------------------------------------------------


@catches("only the ending differs", *ALONE)
@swap("batch-draft", 'f".{path.name}"', 'f"{path.name}.draft"')
@hint("stumbles over half a file")
@catches("the draft is on another disk", *ALONE)
@swap("batch-draft", "path.with_name(", "Path('/', ")
@hint("isn't below the folder output")
@catches("both files have the same draft", *ALONE)
@swap("batch-draft", "path.with_name(", "path.parent.with_name(")
@swap("batch-draft", 'f".{path.name}"', '".draft"')
@hint("have the same draft")
def test_a_draft_stands_aside(namespace):
    "draft_of gives a path beside the final one, which readers of the folder skip"
    import pandas as pd

    module = package_module(namespace, MODULE)
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        output = Path(folder).resolve() / "output"
        drafts = []
        for name in KINDS:
            path = output / name / f"{DAY}.parquet"
            path.parent.mkdir(parents=True)
            pd.DataFrame({"wine_id": [1, 2]}).to_parquet(path)
            answer = call(module.draft_of, path, expect=(Path, str), on_error="It takes a path.")
            draft = Path(answer)
            assert draft != path, (
                "draft_of gives back the final path itself: half a file would stand there."
            )
            assert output in draft.parents, (
                "the draft isn't below the folder output, and no file is renamed across disks. "
                "Use path.with_name(...)."
            )
            assert draft.parent.is_dir(), (
                "the draft is in a folder that isn't there. Use path.with_name(...)."
            )
            draft.write_bytes(b"half a file")
            try:
                rows = len(pd.read_parquet(path.parent))
            except (OSError, ValueError):
                rows = None
            assert rows == 2, (
                f"whoever reads the folder stumbles over half a file, {draft.name}: begin its name "
                "with a dot or an underscore."
            )
            drafts.append(draft)
    assert drafts[0] != drafts[1], "predictions and rejected rows have the same draft."


# --- the table ----------------------------------------------------------------------------------


def _write(module, path, ids, day=DAY):
    """A Parquet file of predictions for these wines."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = {"wine_id": ids, **dict.fromkeys(module.MEASUREMENTS, 1.0)}
    rows |= {"prediction": 5.5, "model_version": 2, "prediction_date": day}
    table = pa.Table.from_pandas(pd.DataFrame(rows), module.SCHEMA, preserve_index=False)
    pq.write_table(table, path)


def _saved(module, engine):
    """The day and id of each row in the table, sorted."""
    import sqlalchemy as sa

    columns = module.TABLE.columns
    with engine.connect() as connection:
        rows = connection.execute(sa.select(columns.prediction_date, columns.wine_id))
        return sorted(tuple(row) for row in rows)


@contextmanager
def _save_twice(module):
    """Yield the folder and the database after two runs of one day, and one of the day before."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "day.parquet"
        engine = module.open_database(f"sqlite:///{(Path(folder) / 'check.db').as_posix()}")
        try:
            for day, ids in ((OTHER_DAY, [1]), (DAY, [1, 2, 3]), (DAY, [2, 3, 4])):
                _write(module, path, ids, day)
                answer = call(module.save, engine, day, path, 2, may_raise=Exception)
                said = f"{getattr(answer, 'orig', answer)}".splitlines()
                assert not isinstance(answer, Exception), (
                    f"when save comes to a day that is there already, it stops: {said[0]}. The "
                    "day's old rows must go first, in the same transaction."
                )
            yield path, engine
        finally:
            engine.dispose()


BEGIN = "    with engine.begin() as connection:\n"
DELETE = (
    "        connection.execute(sa.delete(TABLE).where(TABLE.columns.prediction_date == day))\n"
)


@catches("all days are deleted", *ALONE)
@swap("batch-save", ".where(TABLE.columns.prediction_date == day)", "")
@hint("Delete the rows of this day alone")
@catches("the old rows go in a transaction of their own", *ALONE)
@swap("batch-save", BEGIN + DELETE, BEGIN + DELETE + BEGIN)
@hint("after a save that stopped in the middle")
@catches("before each batch the day is deleted", *ALONE)
@swap("batch-save", DELETE, "")
@swap(
    "batch-save",
    "            connection.execute(sa.insert",
    f"    {DELETE}            connection.execute(sa.insert",
)
@hint("Delete once, before the first batch")
@catches("nothing is deleted", *ALONE)
@swap("batch-save", DELETE, "")
@hint("The day's old rows must go first")
@catches("each batch is a transaction", *ALONE)
@swap("batch-save", "        for batch in", "    for batch in")
@swap(
    "batch-save",
    "            connection.execute(sa.insert",
    "        with engine.begin() as connection:\n            connection.execute(sa.insert",
)
@hint("after a save that stopped in the middle")
@catches("wines that are no longer in the file stay", *ALONE)
@swap(
    "batch-save",
    "prediction_date == day))",
    "prediction_date == day, TABLE.columns.wine_id != 1))",
)
@hint("wine 1 is no longer in the file")
def test_save_replaces_a_day(namespace):
    "save replaces the rows of its day, all of them or none"
    module = package_module(namespace, MODULE)
    with _save_twice(module) as (path, engine):
        found = _saved(module, engine)
        assert (OTHER_DAY, 1) in found, (
            "the rows of the day before are gone. Delete the rows of this day alone: `.where(...)`."
        )
        assert (DAY, 1) not in found, (
            "after a second run the table has a wine too many: wine 1 is no longer in the file. "
            "Delete all of the day's rows before you insert."
        )
        assert found == [(OTHER_DAY, 1), *((DAY, number) for number in (2, 3, 4))], (
            f"two runs, the second with the wines 2, 3 and 4, leave the wines "
            f"{listed(str(number) for day, number in found if day == DAY)}. Delete once, before "
            "the first batch, and insert each batch once."
        )
        # The second batch has a wine of the first.
        _write(module, path, [7, 8, 8])
        call(module.save, engine, DAY, path, 2, may_raise=Exception)
        after = _saved(module, engine)
        assert after == found, (
            f"after a save that stopped in the middle the day has the wines "
            f"{listed(str(number) for day, number in after if day == DAY)}, and should have the "
            "old ones, 2, 3 and 4. One `with engine.begin()` must hold the delete and all inserts."
        )


# --- both ---------------------------------------------------------------------------------------


def _publish(module, save, **more):
    """What `publish` leaves of both files, "old" or "new", whether each was renamed; its answer."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        paths = {name: Path(folder) / name / f"{DAY}.parquet" for name in KINDS}
        before = {}
        for name, path in paths.items():
            path.parent.mkdir()
            path.write_text("old", encoding="utf-8")
            draft = path.with_name(f"_{path.name}")
            draft.write_text("new", encoding="utf-8")
            before[name] = draft.stat().st_ino
        saved = []

        def stand_in(engine, day, path, rows_at_once):
            saved.append((day, Path(path)))
            return save()

        def draft_of(path):
            return Path(path).with_name(f"_{Path(path).name}")

        with patch.object(module, "save", stand_in), patch.object(module, "draft_of", draft_of):
            advice = "It gives both drafts their final names."
            answer = call(module.publish, "engine", DAY, dict(paths), 2, on_error=advice, **more)
        left = {
            name: path.read_text(encoding="utf-8") if path.is_file() else "gone"
            for name, path in paths.items()
        }
        renamed = all(
            path.is_file() and path.stat().st_ino == before[name] for name, path in paths.items()
        )
        return left, renamed, saved, answer


def _full():
    raise OSError("the database is full")


REPLACE = "    for path in paths.values():\n        draft_of(path).replace(path)"
SAVE = '    save(engine, day, draft_of(paths["predictions"]), rows_at_once)\n'


@catches("the files come before the database", *ALONE)
@swap("batch-publish", SAVE, f"{REPLACE}\n")
@swap(
    "batch-publish",
    f"{REPLACE}\n{REPLACE}",
    f"{REPLACE}\n{SAVE.replace('draft_of(paths', '(paths')}",
)
@hint("call `save` first")
@catches("only the predictions have their final name", *ALONE)
@swap(
    "batch-publish", REPLACE, '    os.replace(draft_of(paths["predictions"]), paths["predictions"])'
)
@hint("the file of rejected is still the old one")
@catches("the drafts are copied", *ALONE)
@swap(
    "batch-publish",
    "draft_of(path).replace(path)",
    "path.write_bytes(draft_of(path).read_bytes())",
)
@hint("a copy grows bit by bit")
@catches("an error of the database is swallowed", *ALONE)
@swap("batch-publish", SAVE, f"    try:\n    {SAVE}    except Exception:\n        return\n")
@hint("nobody would hear of it")
def test_publish_comes_last_and_whole(namespace):
    "publish renames both drafts, and leaves the old files where the database fails"
    module = package_module(namespace, MODULE)
    left, renamed, saved, _ = _publish(module, lambda: None)
    assert saved, "publish doesn't call `save`: the predictions belong in the database too."
    for name, text in left.items():
        assert text == "new", (
            f"after publish the file of {name} is still the old one: rename both drafts."
        )
    assert renamed, (
        "publish makes new files: a copy grows bit by bit, so a reader may see half of it. Rename "
        "the drafts with replace."
    )
    left, _, _, answer = _publish(module, _full, may_raise=Exception)
    assert set(left.values()) == {"old"}, (
        "where the database fails, the files are replaced all the same, and the old ones are lost: "
        "call `save` first."
    )
    assert isinstance(answer, Exception), (
        "publish swallows an error of `save`: nobody would hear of it. Let it pass."
    )


# --- the batch that was run ---------------------------------------------------------------------


def _newest(client, experiment):
    """The newest run "batch", which has finished."""
    found = client.search_runs(
        [experiment.experiment_id],
        "attributes.run_name = 'batch'",
        order_by=["attributes.start_time DESC"],
        max_results=1,
    )
    assert found, f'there is no run "batch" in the experiment "{EXPERIMENT}" yet: {AGAIN}'
    assert found[0].info.status == "FINISHED", (
        f'your newest run "batch" is {found[0].info.status}: read what the program printed, mend '
        f"it, and {AGAIN}"
    )
    return found[0]


def _expected(path):
    """The ids that are good in the input, and those that are bad, each a sorted list."""
    import numpy as np
    import pandas as pd

    rows = pd.read_parquet(path)
    values = rows.drop(columns="wine_id").apply(pd.to_numeric, errors="coerce")
    good = np.isfinite(values).all(axis=1) & values["pH"].between(2, 5) & (values["density"] > 0)
    good &= ~rows["wine_id"].duplicated()
    return sorted(rows["wine_id"][good]), sorted(rows["wine_id"][~good])


def _in_table(module, output, day):
    """The id and version of a day's rows in the database, as a table."""
    import pandas as pd
    import sqlalchemy as sa

    file = output / "predictions.db"
    url = os.environ.get("WINEOPS_DATABASE", f"sqlite:///{file.as_posix()}")
    if not file.is_file() and "WINEOPS_DATABASE" not in os.environ:
        return pd.DataFrame({"wine_id": [], "model_version": []})
    engine = sa.create_engine(url)
    try:
        columns = module.TABLE.columns
        question = sa.select(columns.wine_id, columns.model_version)
        with engine.connect() as connection:
            return pd.read_sql(question.where(columns.prediction_date == day), connection)
    finally:
        engine.dispose()


@catches("the batch was not run")
@skip("run-batch", "run-batch-again")
@hint('there is no run "batch"')
@catches("a bad row stops the batch")
@swap(
    "batch-reasons",
    "        found[missing] +=",
    "        if missing.any():\n            raise ValueError(column)\n        found[missing] +=",
)
@hint('your newest run "batch" is FAILED')
def test_the_day_is_published(client, experiment, namespace):
    "the newest batch has finished: one row a wine in the file and in the table, the rest set aside"
    import pandas as pd

    module = package_module(namespace, MODULE)
    output = Path(namespace["package"]).resolve().parents[1] / "output"
    run = _newest(client, experiment)
    day = date.fromisoformat(run.data.params["prediction_date"])
    good, bad = _expected(output / "new-wines.parquet")
    tables = {"the table predictions": _in_table(module, output, day)}
    for name in KINDS:
        path = output / name / f"{day}.parquet"
        assert path.is_file(), f"there is no file {name}/{path.name} in the folder output: {AGAIN}"
        tables[f"{name}/{path.name}"] = pd.read_parquet(path)
    for what, table in tables.items():
        expected = bad if what.startswith("rejected") else good
        assert sorted(table["wine_id"]) == expected, (
            f"{what} has {plural(len(table), 'row')}, and should have {len(expected)}, one a wine. "
            f"If your functions pass their checks above, {AGAIN}"
        )
    version = champion_of(client).version
    for what in (*tables,)[:2]:
        found = set(tables[what]["model_version"])
        assert found == {int(version)}, (
            f"{what} names the versions {listed(map(str, sorted(found)))}, and the champion is "
            f"version {version}: {AGAIN}"
        )


RIGHT_WAYS = (
    right(
        "reasons compares with < and >, one reason a row, and the draft begins with an underscore",
        swap(
            "batch-reasons",
            "values.notna() & ~values.between(lowest, highest)",
            "(values < lowest) | (values > highest)",
        ),
        swap("batch-reasons", "found[missing] += ", "found[missing] = "),
        swap("batch-reasons", "found[unreadable] += ", "found[unreadable] = "),
        swap("batch-draft", 'f".{path.name}"', '"_" + path.name'),
    ),
    right(
        "the model is loaded by its address, and the transaction is committed by hand",
        swap(
            "batch-champion",
            'f"models:/{settings.registered_name}/{version.version}"',
            "version.source",
        ),
        swap("batch-save", "engine.begin()", "engine.connect()"),
        swap("batch-save", "to_pylist())", "to_pylist())\n        connection.commit()"),
    ),
    right(
        "drafts in a folder of their own, renamed by os, and aliases read from the model",
        swap(
            "batch-draft",
            'return path.with_name(f".{path.name}")',
            'folder = path.parent / ".drafts"\n    folder.mkdir(exist_ok=True)\n'
            "    return folder / path.name",
        ),
        swap("batch-publish", "draft_of(path).replace(path)", "os.replace(draft_of(path), path)"),
        swap(
            "batch-champion",
            'version = client.get_model_version_by_alias(settings.registered_name, "champion")',
            "aliases = client.get_registered_model(settings.registered_name).aliases\n"
            '    version = client.get_model_version(settings.registered_name, aliases["champion"])',
        ),
    ),
)
