"""Batch inference on real processes and databases: killed at any moment, run twice, in the dark.

The package is the built solution. It runs in processes forked from one that has MLflow loaded;
those that are killed get a real SIGKILL, at a moment that the test chooses.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest
import sqlalchemy as sa
from mlflow import MlflowClient
from required import required_stack

from winelab.core.paths import SOLUTIONS, STORE
from winelab.course.source import course
from winelab.proof.execute import Code, Outcome, execute
from winelab.proof.start import furnish_for
from winelab.stack.postgres import Postgres
from winelab.tracking.workspace import clean_workspace, workspace_environment

BLOCK = course().block("batch")
NAME = "wine-quality-elasticnet"
DAY = "2026-11-22"
OLD, NEW = 40, 60
"""How many wines a day has, before the run that is looked at and by it; each has six bad rows."""
posix = pytest.mark.skipif(os.name == "nt", reason="sends signals, and asks for the peak of memory")

# What a cell begins with. `batch` is the module, `main(...)` its program with these arguments.
BEGIN = f"""
import json, os, signal, sys
from pathlib import Path
package = Path.cwd().parent / "solutions" / "{BLOCK.name}"
sys.path.insert(0, str(package / "src"))
os.chdir(package)
from wineops import batch, harvest
output = batch.settings.output

def main(program, *arguments):
    sys.argv = ["", *arguments]
    program.main()

def publish(rows, *more):
    main(harvest, "--rows", str(rows), "--bad", "6")
    main(batch, str(output / "new-wines.parquet"), "--date", "{DAY}", "--rows-at-once", "9", *more)

def at_call(owner, name, number, act, counts=lambda *_: True):
    real, seen = getattr(owner, name), []
    def instead(*arguments, **named):
        if counts(*arguments):
            seen.append(name)
            if len(seen) == number:
                act()
        return real(*arguments, **named)
    setattr(owner, name, instead)

def at_statement(event, number, act):
    from sqlalchemy import Engine
    from sqlalchemy.event import listen
    seen = []
    def execute(connection, cursor, statement, *_):
        if statement.startswith("INSERT INTO predictions"):
            seen.append(statement)
            if event == "insert" and len(seen) == number:
                act()
    def commit(connection):
        if event == "commit" and seen:
            act()
    listen(Engine, "before_cursor_execute", execute)
    listen(Engine, "commit", commit)

def die():
    os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))

ours = lambda path, *_: path.suffix == ".parquet"
"""

# Where the program dies, by what it was about to do.
MOMENTS = {
    "write the third batch to the draft": "at_call(batch, 'with_predictions', 3, die)",
    "insert the third batch": "at_statement('insert', 3, die)",
    "commit": "at_statement('commit', 0, die)",
    "rename the first draft": "at_call(Path, 'replace', 1, die, ours)",
    "rename the second draft": "at_call(Path, 'replace', 2, die, ours)",
}


class Room(NamedTuple):
    """A workspace with the package, the champion, and what is published there."""

    workspace: Path
    database: str

    @property
    def output(self) -> Path:
        return self.workspace / "output"

    def run(self, code: str) -> Outcome:
        """Run a cell in a process of its own."""
        cell = BEGIN + textwrap.dedent(code)
        more = {"WINEOPS_DATABASE": self.database}
        return execute(Code("driver.ipynb", (cell,)), self.workspace, environment=more)

    def publish(self, rows: int, code: str = "") -> None:
        """Publish a day, which must end well."""
        outcome = self.run(f"{code}\npublish({rows})")
        assert not outcome.error, outcome.error

    def file(self, kind: str = "predictions") -> pd.DataFrame:
        """The day's file, as somebody reads the folder; no rows where there is none."""
        if not (self.output / kind).exists():
            return pd.DataFrame({"wine_id": []})
        found = pd.read_parquet(self.output / kind)
        return found if len(found.columns) else pd.DataFrame({"wine_id": []})

    def table(self) -> pd.DataFrame:
        """The rows in the database."""
        engine = sa.create_engine(self.database)
        try:
            with engine.connect() as connection:
                if not sa.inspect(connection).has_table("predictions"):
                    return pd.DataFrame({"wine_id": []})
                return pd.read_sql(sa.text("SELECT * FROM predictions"), connection)
        finally:
            engine.dispose()

    def state(self) -> dict[str, int]:
        """How many wines each place has; each of them once."""
        places = {"file": self.file(), "rejected": self.file("rejected"), "table": self.table()}
        for place in ("file", "table"):
            assert not places[place]["wine_id"].duplicated().any(), place
        return {name: len(place) for name, place in places.items()}


def after(rows: int) -> dict[str, int]:
    """The state after a day with this many wines."""
    return {"file": rows - 6, "rejected": 6, "table": rows - 6}


@pytest.fixture(scope="module")
def workspace() -> Iterator[Path]:
    with clean_workspace() as workspace:
        furnish_for(course(), BLOCK, workspace)
        shutil.copytree(SOLUTIONS / BLOCK.name, workspace / "solutions" / BLOCK.name)
        yield workspace


@pytest.fixture
def room(workspace: Path) -> Room:
    """One in which nothing is published yet."""
    shutil.rmtree(workspace / "output", ignore_errors=True)
    (workspace / "output").mkdir()
    return Room(workspace, f"sqlite:///{(workspace / 'output' / 'predictions.db').as_posix()}")


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """A PostgreSQL of our own."""
    required_stack()
    with tempfile.TemporaryDirectory(prefix="winelab-batch-") as place:
        # If we are root, PostgreSQL runs as another user, who must get through here.
        Path(place).chmod(0o711)
        postgres = Postgres(Path(place) / "postgres", "secret")
        postgres.start()
        try:
            yield postgres
        finally:
            postgres.stop()


@pytest.fixture
def on_server(room: Room, server: Postgres) -> Room:
    """One whose table is in PostgreSQL, and not there yet."""
    found = Room(room.workspace, server.url)
    engine = sa.create_engine(server.url)
    with engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE IF EXISTS predictions"))
    engine.dispose()
    return found


def newest(room: Room) -> Any:
    """The newest run "batch"."""
    client = MlflowClient(f"sqlite:///{(room.workspace / STORE.name).as_posix()}")
    experiment = client.get_experiment_by_name("wine-quality")
    assert experiment is not None
    return client.search_runs([experiment.experiment_id], "attributes.run_name = 'batch'")[0]


# --- once ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["room", "on_server"])
def test_twice_is_one_row_a_wine(where: str, request: pytest.FixtureRequest) -> None:
    """Also if the second file has fewer wines; another day stays."""
    room: Room = request.getfixturevalue(where)
    again = "publish(60)\nmain(batch, str(output / 'new-wines.parquet'), '--date', '2026-11-21')"
    room.publish(NEW, again)
    assert len(room.table()) == len(room.file()) == 2 * (NEW - 6)
    room.publish(OLD)
    table, file = room.table(), room.file()
    days = table["prediction_date"].astype("str").value_counts()
    assert dict(days) == {"2026-11-21": NEW - 6, DAY: OLD - 6}
    assert dict(file["prediction_date"].astype("str").value_counts()) == dict(days)
    both = ["prediction_date", "wine_id", "prediction", "model_version"]
    texts = [one[both].astype({"prediction_date": "str"}) for one in (table, file)]
    first, second = (one.sort_values(both[:2], ignore_index=True) for one in texts)
    pd.testing.assert_frame_equal(first, second, check_dtype=False, check_exact=False)
    assert list(file.columns) == ["wine_id", *list(file.columns[1:12]), *both[2:], both[0]]


def test_a_run_says_what_went_in_and_what_came_out(room: Room) -> None:
    room.publish(NEW)
    run = newest(room)
    assert run.data.params == {"model_version": "2", "prediction_date": DAY}
    assert (run.data.metrics["rows"], run.data.metrics["rejected"]) == (NEW, 6)
    assert run.data.metrics["seconds"] > 0
    (dataset,) = run.inputs.dataset_inputs
    import hashlib

    content = (room.output / "new-wines.parquet").read_bytes()
    assert hashlib.sha256(content).hexdigest().startswith(dataset.dataset.digest)
    client = MlflowClient(f"sqlite:///{(room.workspace / STORE.name).as_posix()}")
    logged = Path(client.download_artifacts(run.info.run_id, f"{DAY}.parquet"))
    pd.testing.assert_frame_equal(pd.read_parquet(logged), room.file("rejected"))
    reasons = json.loads(
        Path(client.download_artifacts(run.info.run_id, "reasons.json")).read_text()
    )
    assert reasons == dict(room.file("rejected")["reason"].value_counts())
    version = client.get_model_version(NAME, "2")
    model = client.get_logged_model(str(version.source).rpartition("/")[2])
    assert {metric.key for metric in model.metrics or ()} >= {"rows", "rejected"}


# --- killed -------------------------------------------------------------------------------------


@posix
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("where", ["room", "on_server"])
def test_killed_at_any_moment_each_place_is_whole(
    where: str, moment: str, request: pytest.FixtureRequest
) -> None:
    """Old or new, never half; and the next run brings all of it to the new state."""
    room: Room = request.getfixturevalue(where)
    room.publish(OLD)
    assert room.state() == after(OLD)
    outcome = room.run(f"{MOMENTS[moment]}\npublish({NEW})")
    assert "died with exit code -9" in outcome.error
    expected = after(OLD)
    if moment.startswith("rename"):
        # The database has said yes: one of the three gaps that the lesson names.
        expected["table"] = NEW - 6
    if moment == "rename the second draft":
        expected["file"] = NEW - 6
    assert room.state() == expected
    assert newest(room).info.status == "RUNNING"
    room.publish(NEW)
    assert room.state() == after(NEW)
    assert not [path for path in room.output.rglob("*.parquet") if path.name.startswith(".")]


@posix
def test_killed_from_outside(room: Room) -> None:
    """As `kill -9` in another terminal would, in a process that was started as a user does."""
    room.publish(OLD)
    outcome = room.run("main(harvest, '--rows', '100000', '--bad', '0')")
    assert not outcome.error
    draft = room.output / "predictions" / f".{DAY}.parquet"
    command = ["wineops.batch", str(room.output / "new-wines.parquet"), "--date", DAY]
    package = room.workspace / "solutions" / BLOCK.name
    process = subprocess.Popen(
        [sys.executable, "-m", *command, "--rows-at-once", "500"],
        cwd=package,
        env=workspace_environment(room.workspace, PYTHONPATH=str(package / "src")),
        stderr=subprocess.DEVNULL,
    )
    try:
        while process.poll() is None and not (draft.exists() and draft.stat().st_size > 100_000):
            pass
    finally:
        process.kill()
        process.wait()
    assert process.returncode == -9, "it had ended before it was killed"
    assert room.state() == after(OLD)


@pytest.mark.parametrize("where", ["room", "on_server"])
def test_a_reader_sees_the_old_day_while_the_new_one_is_written(
    where: str, request: pytest.FixtureRequest
) -> None:
    room: Room = request.getfixturevalue(where)
    room.publish(OLD)
    look = """
        import pandas as pd
        import sqlalchemy as sa
        def look():
            other = sa.create_engine(os.environ["WINEOPS_DATABASE"])
            with other.connect() as connection:
                rows = connection.scalar(sa.text("SELECT count(*) FROM predictions"))
            other.dispose()
            files = [pd.read_parquet(output / kind) for kind in ("predictions", "rejected")]
            (output / "seen.json").write_text(json.dumps([rows, *map(len, files)]))
        at_statement("insert", 3, look)
        publish(60)
    """
    outcome = room.run(look)
    assert not outcome.error, outcome.error
    assert json.loads((room.output / "seen.json").read_text()) == [OLD - 6, OLD - 6, 6]
    assert room.state() == after(NEW)


def test_a_database_that_fails_leaves_the_old_files(room: Room) -> None:
    room.publish(OLD)
    full = "def full(): raise OSError('the disk is full')\nat_statement('insert', 3, full)"
    outcome = room.run(f"{full}\npublish({NEW})")
    assert "the disk is full" in outcome.error
    assert room.state() == after(OLD)
    assert newest(room).info.status == "FAILED"


# --- bad rows -----------------------------------------------------------------------------------


def test_each_kind_of_bad_row_has_its_reason_and_the_rest_goes_through(room: Room) -> None:
    room.publish(NEW)
    rejected = room.file("rejected").set_index("wine_id")
    assert list(rejected["reason"]) == [
        "alcohol is missing",
        "pH is not a number",
        "density is not between 0.9 and 1.2",
        "pH is not between 2 and 5",
        "sulphates is not between 0 and 5",
        "wine_id stands further up",
    ]
    # As they came.
    assert list(rejected["pH"])[1] == "n/a" and list(rejected["pH"])[3] == "14.5"
    assert set(room.file()["wine_id"]) == set(range(1, NEW + 1)) - {10, 20, 30, 40, 50, 60}
    assert 59 in set(room.file()["wine_id"])


def test_ids_that_are_missing_or_large_are_told_apart(room: Room) -> None:
    """A missing id makes floats of the others in pandas, and a float rounds large numbers."""
    code = f"""
        import pandas as pd
        import pyarrow as pa
        import pyarrow.parquet as pq
        wines = harvest.read_table("new-red-wines.csv").drop(columns="quality")[:6]
        ids = pa.array([2**53 + 1, None, 2**53, 2**53 + 2, 2**53 + 1, 7])
        table = pa.Table.from_pandas(wines, preserve_index=False).append_column("wine_id", ids)
        pq.write_table(table, output / "ids.parquet")
        batch.MOST_BAD = 0.5
        main(batch, str(output / "ids.parquet"), "--date", "{DAY}", "--rows-at-once", "3")
    """
    outcome = room.run(code)
    assert not outcome.error, outcome.error
    assert set(room.file()["wine_id"]) == {2**53, 2**53 + 1, 2**53 + 2, 7}
    assert set(room.table()["wine_id"]) == {2**53, 2**53 + 1, 2**53 + 2, 7}
    assert list(room.file("rejected")["reason"]) == [
        "wine_id is missing",
        "wine_id stands further up",
    ]


def test_too_many_bad_rows_and_nothing_is_published(room: Room) -> None:
    room.publish(OLD)
    outcome = room.run("publish(29)")
    assert "SystemExit: 6 rows are bad, so nothing is published" in outcome.error
    assert "1 x alcohol is missing" in outcome.error
    assert room.state() == after(OLD)
    assert newest(room).info.status == "FAILED"
    draft = room.output / "rejected" / f".{DAY}.parquet"
    assert len(pd.read_parquet(draft)) == 6


def test_what_cannot_be_done_is_said_in_one_sentence(room: Room) -> None:
    """Before any work: no run, no file."""
    code = """
        import pandas as pd
        def said(*arguments):
            try:
                main(batch, *map(str, arguments))
            except SystemExit as error:
                return str(error)
        main(harvest, "--rows", "20", "--bad", "0")
        good = output / "new-wines.parquet"
        rows = pd.read_parquet(good)
        rows.drop(columns=["pH", "alcohol"]).to_parquet(output / "dry.parquet")
        rows.assign(wine_id="W-1").to_parquet(output / "names.parquet")
        rows[:0].to_parquet(output / "empty.parquet")
        (output / "text.parquet").write_text("wines")
        files = ("nowhere", "text", "dry", "names", "empty")
        found = [said(output / f"{name}.parquet") for name in files]
        urls = ("wines", "nosql://here", "sqlite:///no/folder/here.db")
        found += [said(good, "--database", url) for url in urls]
        found += [said(good, "--date", "tomorrow"), said(good, "--rows-at-once", "0")]
        client = batch.settings.open_store()
        client.delete_registered_model_alias(batch.settings.registered_name, "champion")
        found.append(said(good))
        client.set_registered_model_alias(batch.settings.registered_name, "champion", "2")
        (output / "said.json").write_text(json.dumps(found))
    """
    before = len(_runs(room))
    outcome = room.run(code)
    assert not outcome.error, outcome.error
    expected = [
        "nowhere.parquet can't be read as a Parquet file",
        "text.parquet can't be read as a Parquet file",
        "dry.parquet lacks the columns pH, alcohol.",
        "wine_id in ",
        "empty.parquet has no rows.",
        "The database can't be opened: Could not parse SQLAlchemy URL",
        "The database can't be opened: Can't load plugin",
        "The database can't be opened: (sqlite3.OperationalError) unable to open database file",
        "2",
        "2",
        "The champion can't be loaded: Registered model alias champion not found.",
    ]
    found = json.loads((room.output / "said.json").read_text())
    for words, said in zip(expected, found, strict=True):
        assert words in said and "\n" not in said
    assert len(_runs(room)) == before
    assert not [*room.output.glob("predictions/*"), *room.output.glob("rejected/*")]


def _runs(room: Room) -> list[Any]:
    client = MlflowClient(f"sqlite:///{(room.workspace / STORE.name).as_posix()}")
    return list(client.search_runs(["0", "1"], "attributes.run_name = 'batch'"))


def test_half_a_file_under_another_name_is_what_the_lesson_says(tmp_path: Path) -> None:
    pd.DataFrame({"wine_id": [1]}).to_parquet(tmp_path / f"{DAY}.parquet")
    for name in (f".{DAY}.parquet", f"_{DAY}.parquet"):
        (tmp_path / name).write_bytes(b"PAR1 half a file")
    assert len(pd.read_parquet(tmp_path)) == 1
    (tmp_path / f"{DAY}.parquet.draft").write_bytes(b"PAR1 half a file")
    with pytest.raises(ValueError, match="Parquet magic bytes not found in footer"):
        pd.read_parquet(tmp_path)


# --- one version --------------------------------------------------------------------------------


def test_an_alias_that_moves_meanwhile_changes_nothing(room: Room) -> None:
    """All rows say version 2, and version 2 has made them; the next run takes version 1."""
    move = """
        def move():
            client = batch.mlflow.MlflowClient()
            client.set_registered_model_alias(batch.settings.registered_name, "champion", "1")
        at_call(batch, "with_predictions", 2, move)
    """
    client = MlflowClient(f"sqlite:///{(room.workspace / STORE.name).as_posix()}")
    try:
        room.publish(NEW, textwrap.dedent(move))
        first = room.file()
        room.publish(NEW)
    finally:
        client.set_registered_model_alias(NAME, "champion", "2")
    second = room.file()
    assert set(first["model_version"]) == {2} and set(second["model_version"]) == {1}
    room.publish(NEW)
    assert list(room.file()["prediction"]) == list(first["prediction"])
    assert (first["prediction"] - second["prediction"]).abs().max() > 0.1


# --- memory -------------------------------------------------------------------------------------


@posix
def test_memory_does_not_grow_with_the_file(room: Room) -> None:
    """The peak of one process: after 20,000 rows, after 200,000, and with all of these at once."""
    code = f"""
        import resource
        peaks = []
        for rows, at_once in ((20_000, 10_000), (200_000, 10_000), (200_000, 200_000)):
            main(harvest, "--rows", str(rows), "--bad", "20")
            arguments = (str(output / "new-wines.parquet"), "--date", "{DAY}")
            main(batch, *arguments, "--rows-at-once", str(at_once))
            peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        unit = 1 if sys.platform == "darwin" else 1024
        (output / "peaks.json").write_text(json.dumps([peak * unit / 1e6 for peak in peaks]))
    """
    outcome = room.run(code)
    assert not outcome.error, outcome.error
    small, large, at_once = json.loads((room.output / "peaks.json").read_text())
    assert large - small < 40, f"{small:.0f} MB, then {large:.0f} MB"
    assert at_once - large > 60, "this test would not see a file that is read as a whole"
    assert room.state() == {"file": 199_980, "rejected": 20, "table": 199_980}
