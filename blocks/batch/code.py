# %% readme-block (given)
This is the package after the block `batch` of Wine Lab, built from `blocks/batch/code.py` and those before it.

# %% readme-batch (given)
## Batch inference

    python -m wineops.harvest
    python -m wineops.batch ../../output/new-wines.parquet --date 2026-11-22

The first command makes a file to try it with. The second predicts all wines of a Parquet file with the champion. It
writes `predictions/2026-11-22.parquet` (input, `prediction`, `model_version`, `prediction_date`),
`rejected/2026-11-22.parquet` (bad rows as they came, with a `reason`) and the table `predictions` of a database:
`predictions.db`, or the one that `--database` or `WINEOPS_DATABASE` names, such as
`postgresql://user:password@host/name`. The same day again replaces that day. The exit code is 0 if the day was
published, and 1 if not: more than 20 % of the rows were bad, or something was missing. After a crash, run the day
again. Let your scheduler start a day only once at a time.

# %% needs-batch (given)
    "pyarrow",
    "sqlalchemy",

# %% harvest (given)
"""Make a Parquet file of new wines to predict, with a few bad rows.

python -m wineops.harvest --rows 600 --bad 12
"""

import argparse

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from wineops import settings
from wineops.wines import read_table

AT_ONCE = 50_000  # rows


def make_rows(wines, numbers, bad, every):
    """The wines with these numbers, repeated as needed; one row of `every` is bad, up to `bad`.

    Six kinds of bad rows take turns. A word stands among the pH values, so all of them are texts.
    """
    rows = wines.iloc[numbers % len(wines)].reset_index(drop=True)
    rows.insert(0, "wine_id", numbers + 1)
    if bad:
        rows["pH"] = rows["pH"].astype("str")
    for place, number in enumerate(numbers):
        kind, rest = divmod(number, every)
        if rest == every - 1 and kind < bad:
            column, value = [
                ("alcohol", None),
                ("pH", "n/a"),
                ("density", -0.997),
                ("pH", "14.5"),
                ("sulphates", float("inf")),
                ("wine_id", number),  # that of the row above
            ][kind % 6]
            rows.loc[place, column] = value
    return rows


def main():
    """Write output/new-wines.parquet."""
    parser = argparse.ArgumentParser(prog="python -m wineops.harvest")
    parser.add_argument("--rows", type=int, default=600, help="how many (600)")
    parser.add_argument("--bad", type=int, default=12, help="how many of them are bad (12)")
    given = parser.parse_args()
    if given.rows < 1 or not 0 <= given.bad <= given.rows:
        parser.error("--rows must be at least 1, and --bad between 0 and --rows")
    wines = read_table("new-red-wines.csv").drop(columns="quality")
    every = given.rows // max(given.bad, 1)
    path = settings.output / "new-wines.parquet"
    settings.output.mkdir(exist_ok=True)
    first = make_rows(wines, pd.RangeIndex(1), given.bad, every)
    schema = pa.Schema.from_pandas(first, preserve_index=False)
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, given.rows, AT_ONCE):
            numbers = pd.RangeIndex(start, min(start + AT_ONCE, given.rows))
            rows = make_rows(wines, numbers, given.bad, every)
            writer.write_table(pa.Table.from_pandas(rows, schema, preserve_index=False))
    print(f"{given.rows:,} wines, {given.bad:,} of them bad, are in {path.name}.")


if __name__ == "__main__":
    main()

# %% predictions (given)
"""The tables of batch inference: what goes in, what comes out, and what is set aside."""

import hashlib

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

LIMITS = {  # outside of these, a value was mistyped or measured wrong
    "fixed acidity": (0, 30),
    "volatile acidity": (0, 5),
    "citric acid": (0, 5),
    "residual sugar": (0, 300),
    "chlorides": (0, 5),
    "free sulfur dioxide": (0, 500),
    "total sulfur dioxide": (0, 1000),
    "density": (0.9, 1.2),
    "pH": (2, 5),
    "sulphates": (0, 5),
    "alcohol": (0, 25),
}
MEASUREMENTS = list(LIMITS)
COLUMNS = ["wine_id", *MEASUREMENTS]
NUMBERS = {"wine_id": "int64", **dict.fromkeys(MEASUREMENTS, "float64")}
SCHEMA = pa.schema(
    {
        "wine_id": pa.int64(),
        **dict.fromkeys(MEASUREMENTS, pa.float64()),
        "prediction": pa.float64(),
        "model_version": pa.int64(),
        "prediction_date": pa.date32(),
    }
)
TABLE = sa.Table(
    "predictions",
    sa.MetaData(),
    sa.Column("prediction_date", sa.Date, primary_key=True),
    sa.Column("wine_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("prediction", sa.Double, nullable=False),
    sa.Column("model_version", sa.Integer, nullable=False),
)


def open_input(path):
    """Open a Parquet file and see that it has our columns; its rows are not read yet."""
    try:
        file = pq.ParquetFile(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise SystemExit(f"{path} can't be read as a Parquet file: {error}") from None
    missing = [name for name in COLUMNS if name not in file.schema_arrow.names]
    if missing:
        raise SystemExit(f"{path} lacks the columns {', '.join(missing)}.")
    if not pa.types.is_integer(file.schema_arrow.field("wine_id").type):
        raise SystemExit(f"wine_id in {path} must be a whole number.")
    if not file.metadata.num_rows:
        raise SystemExit(f"{path} has no rows.")
    return file


def open_database(url):
    """Connect to a database, and make the table where there is none yet."""
    try:
        engine = sa.create_engine(url)
        with engine.connect() as connection:
            if engine.dialect.name == "sqlite":
                # Others can read the last state while we write the next one.
                connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        TABLE.create(engine, checkfirst=True)
    except (sa.exc.SQLAlchemyError, ModuleNotFoundError) as error:
        raise SystemExit(f"The database can't be opened: {str(error).splitlines()[0]}") from None
    return engine


def digest_of(path):
    """A short fingerprint of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def rejected_schema(file):
    """The columns of a file as they are, and the reason."""
    columns = [file.schema_arrow.field(name) for name in COLUMNS]
    return pa.schema([*columns, pa.field("reason", pa.string())])


def as_rows(batch):
    """A batch as a DataFrame."""
    # One missing id must not make floats of all others, and round large ones.
    return batch.to_pandas(integer_object_nulls=True)[COLUMNS]


def wrong_ids(ids, seen):
    """Say of each id whether it is missing, or stands further up: a text, "" if all is well."""
    found = pd.Series("", index=ids.index)
    found[ids.isna()] = "wine_id is missing; "
    found[ids.notna() & (ids.isin(seen) | ids.duplicated())] = "wine_id stands further up; "
    return found


def set_aside(batch, found):
    """The bad rows of a batch as they came, each with its reason: a table for Parquet."""
    bad = (found != "").to_numpy()
    table = pa.Table.from_batches([batch]).select(COLUMNS).filter(pa.array(bad))
    return table.append_column("reason", pa.array(found[bad], pa.string()))


def with_predictions(rows, predicted, version, day):
    """Good rows with what was predicted, by whom and when: a table for Parquet."""
    table = rows.assign(
        prediction=predicted, model_version=int(version.version), prediction_date=day
    )
    return pa.Table.from_pandas(table, SCHEMA, preserve_index=False)

# %% batch-begin (given)
"""Predict the wines of a Parquet file with the champion, and publish a day's predictions.

python -m wineops.batch ../../output/new-wines.parquet --date 2026-11-22
"""

import argparse
import os
import time
from collections import Counter
from datetime import date
from pathlib import Path

import mlflow
import pandas as pd
import pyarrow.parquet as pq
import sqlalchemy as sa
from mlflow.data.meta_dataset import MetaDataset
from mlflow.data.sources import LocalArtifactDatasetSource

from wineops import settings
from wineops.predictions import (
    COLUMNS,
    LIMITS,
    MEASUREMENTS,
    NUMBERS,
    SCHEMA,
    TABLE,
    as_rows,
    digest_of,
    open_database,
    open_input,
    rejected_schema,
    set_aside,
    with_predictions,
    wrong_ids,
)

MOST_BAD = 0.2  # a larger part of bad rows, and the whole file is refused

# %% batch-champion (given)
def load_champion(client):
    """Return the version that is champion now, and its model."""
    model = mlflow.pyfunc.load_model(f"models:/{settings.registered_name}@champion")
    version = client.get_model_version_by_alias(settings.registered_name, "champion")
    return version, model

# %% batch-champion
#: between these two calls somebody may move the alias. Then the rows
#: name a version that hasn't made them. Return the version of this model,
#: whatever happens meanwhile.
#: hint: Ask for the alias only once. What you get knows its number, and a
#: number never moves.
#: hint: First `version = client.get_model_version_by_alias(...)`, then load
#: `f"models:/{settings.registered_name}/{version.version}"`.
def load_champion(client):
    """Return the version that is champion now, and its model."""
    version = client.get_model_version_by_alias(settings.registered_name, "champion")
    model = mlflow.pyfunc.load_model(f"models:/{settings.registered_name}/{version.version}")
    return version, model

# %% batch-reasons (given)
def reasons(rows):
    """Say of each row what is wrong with its measurements: a Series of texts, "" if nothing is."""
    found = pd.Series("", index=rows.index)
    for column in MEASUREMENTS:
        values = pd.to_numeric(rows[column], errors="coerce")
        found[~(values.abs() < float("inf"))] += "bad; "
    return found

# %% batch-reasons
#: "bad" helps nobody to mend a row, and a pH of 14.5 goes through. Name
#: the column in each reason, and say what's wrong with the value: it is
#: missing, it is not a number, or it's outside of the column's LIMITS.
#: hint: Three conditions on a whole column, each of which adds its own text. `errors="coerce"` makes
#: NaN of a text. So `values` and `rows[column]` together tell a missing value from a text.
#: hint: For example, `unreadable = values.isna() & rows[column].notna()`. And
#: `values.between(lowest, highest)` is False for NaN and for infinity.
def reasons(rows):
    """Say of each row what is wrong with its measurements: a Series of texts, "" if nothing is."""
    found = pd.Series("", index=rows.index)
    for column, (lowest, highest) in LIMITS.items():
        values = pd.to_numeric(rows[column], errors="coerce")
        missing = rows[column].isna()
        unreadable = values.isna() & ~missing
        outside = values.notna() & ~values.between(lowest, highest)
        found[missing] += f"{column} is missing; "
        found[unreadable] += f"{column} is not a number; "
        found[outside] += f"{column} is not between {lowest} and {highest}; "
    return found

# %% batch-predict (given)
def predict(file, model, version, day, rows_at_once, drafts):
    """Write a file's good rows with their predictions, and its bad rows with their reasons.

    Never more than `rows_at_once` rows are in memory, but for the ids seen, a number each.
    Return how many rows are good, and how often each reason was given.
    """
    good, given, seen = 0, Counter(), pd.Series(dtype="int64")
    with (
        pq.ParquetWriter(drafts["predictions"], SCHEMA) as predictions,
        pq.ParquetWriter(drafts["rejected"], rejected_schema(file)) as rejected,
    ):
        for batch in file.iter_batches(rows_at_once, columns=COLUMNS):
            rows = as_rows(batch)
            ids = rows["wine_id"]
            found = (wrong_ids(ids, seen) + reasons(rows)).str.removesuffix("; ")
            seen = pd.concat([seen, ids.dropna().astype("int64")], ignore_index=True)
            rejected.write_table(set_aside(batch, found))
            given.update(found[found != ""])
            rows = rows[found == ""].astype(NUMBERS)
            if len(rows):
                predicted = model.predict(rows[MEASUREMENTS])
                predictions.write_table(with_predictions(rows, predicted, version, day))
                good += len(rows)
    return good, given

# %% batch-draft (given)
def draft_of(path):
    """Return where a file is written until it is whole."""
    return path

# %% batch-draft
#: if the program dies here, half a file has the final name. Choose
#: another path. Two things to think of: a file is renamed in one step
#: only within one disk, and pandas.read_parquet(folder) reads all files
#: of a folder but those whose name begins with a dot or an underscore.
#: hint: The same folder is on the same disk. Which name will readers skip?
#: hint: `path.with_name(...)` is another name in the same folder, and `path.name` is the last part.
def draft_of(path):
    """Return where a file is written until it is whole."""
    return path.with_name(f".{path.name}")

# %% batch-save (given)
def save(engine, day, path, rows_at_once):
    """Replace a day's rows in the table by those of a Parquet file, in one transaction."""
    for batch in pq.ParquetFile(path).iter_batches(rows_at_once, columns=TABLE.columns.keys()):
        with engine.begin() as connection:
            connection.execute(sa.insert(TABLE), batch.to_pylist())

# %% batch-save
#: keep the promise of the docstring. Now a second run stops at the first
#: wine, for it's there already; and a run that dies leaves some batches.
#: hint: All rows of a `with engine.begin()` arrive together, or none. So how many of them do you want? And
#: the old rows must go: which of them?
#: hint: In the transaction, before the first insert:
#:     connection.execute(sa.delete(TABLE).where(TABLE.columns.prediction_date == day))
def save(engine, day, path, rows_at_once):
    """Replace a day's rows in the table by those of a Parquet file, in one transaction."""
    with engine.begin() as connection:
        connection.execute(sa.delete(TABLE).where(TABLE.columns.prediction_date == day))
        for batch in pq.ParquetFile(path).iter_batches(rows_at_once, columns=TABLE.columns.keys()):
            connection.execute(sa.insert(TABLE), batch.to_pylist())

# %% batch-publish (given)
def publish(engine, day, paths, rows_at_once):
    """Save the predictions in the database, and give both drafts their final names."""
    save(engine, day, draft_of(paths["predictions"]), rows_at_once)

# %% batch-publish
#: give both drafts their final names, with `replace`. First decide: before
#: or after `save`? One of the two steps fails more often than the other,
#: and a file that is replaced doesn't come back.
#: hint: A database may be full, locked or out of reach. What should the files be then?
#: hint: Below `save`, for each path: `draft_of(path).replace(path)`.
def publish(engine, day, paths, rows_at_once):
    """Save the predictions in the database, and give both drafts their final names."""
    save(engine, day, draft_of(paths["predictions"]), rows_at_once)
    for path in paths.values():
        draft_of(path).replace(path)

# %% batch-main (given)
def read_arguments():
    """The command line."""
    url = f"sqlite:///{(settings.output / 'predictions.db').as_posix()}"
    parser = argparse.ArgumentParser(prog="python -m wineops.batch")
    parser.add_argument("input", help="a Parquet file: wine_id and the measurements")
    parser.add_argument("--date", type=date.fromisoformat, default=date.today())
    parser.add_argument("--database", default=os.environ.get("WINEOPS_DATABASE", url))
    parser.add_argument("--rows-at-once", type=int, default=50_000)
    given = parser.parse_args()
    if given.rows_at_once < 1:
        parser.error("--rows-at-once must be at least 1")
    return given


def main():
    """Check, predict, and publish."""
    given, start = read_arguments(), time.perf_counter()

    # 1. What can be refused before there is any work
    client = settings.open_store()
    path = Path(given.input).resolve()
    file, engine = open_input(path), open_database(given.database)
    try:
        version, model = load_champion(client)
    except mlflow.MlflowException as error:
        raise SystemExit(f"The champion can't be loaded: {error.message}") from None
    names = ("predictions", "rejected")
    paths = {name: settings.output / name / f"{given.date}.parquet" for name in names}
    for name in names:
        (settings.output / name).mkdir(parents=True, exist_ok=True)

    # 2. What goes in: the input, by its digest, and the model
    with mlflow.start_run(run_name="batch"):
        source = LocalArtifactDatasetSource(str(path))
        mlflow.log_input(MetaDataset(source, path.name, digest_of(path)), context="batch")
        mlflow.log_params({"prediction_date": given.date, "model_version": version.version})

        # 3. Predict, batch by batch
        drafts = {name: draft_of(path) for name, path in paths.items()}
        good, found = predict(file, model, version, given.date, given.rows_at_once, drafts)
        counts = {"rows": file.metadata.num_rows, "rejected": found.total()}
        mlflow.log_metrics(counts, model_id=model.model_id)
        mlflow.log_dict(found, "reasons.json")
        if found.total() > MOST_BAD * file.metadata.num_rows:
            often = [f"{count} x {words}" for words, count in found.most_common(3)]
            raise SystemExit(f"{found.total():,} rows are bad, so nothing is published: {often}")

        # 4. Publish
        try:
            publish(engine, given.date, paths, given.rows_at_once)
        except sa.exc.DBAPIError as error:
            raise SystemExit(f"The database failed: {error.orig}") from None
        mlflow.log_artifact(paths["rejected"])
        mlflow.log_metric("seconds", time.perf_counter() - start)
    print(f"{given.date}: {good:,} wines predicted by version {version.version},", end=" ")
    print(f"{found.total():,} rows rejected.")


if __name__ == "__main__":
    main()

# %% test-batch (given)
"""Batch inference: bad rows are told apart, and a day is published once, or not at all."""

from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from wineops import batch

DAY = date(2026, 11, 22)
GOOD = {name: (lowest + highest) / 2 for name, (lowest, highest) in batch.LIMITS.items()}


@pytest.fixture
def engine(tmp_path):
    """A database of its own."""
    engine = batch.open_database(f"sqlite:///{tmp_path.as_posix()}/test.db")
    yield engine
    engine.dispose()


def write(path, ids):
    """A Parquet file with predictions for these wines."""
    rows = pd.DataFrame({"wine_id": ids, **GOOD, "prediction": 5.5, "model_version": 2})
    rows["prediction_date"] = DAY
    pq.write_table(pa.Table.from_pandas(rows, batch.SCHEMA, preserve_index=False), path)


def saved(engine):
    """The ids in the table."""
    with engine.connect() as connection:
        return sorted(connection.scalars(sa.select(batch.TABLE.columns.wine_id)))


@pytest.mark.parametrize(
    ("column", "value"),
    [("alcohol", None), ("pH", "n/a"), ("pH", 14.5), ("density", -1), ("sulphates", np.inf)],
)
def test_a_bad_value_has_a_reason_that_names_its_column(column, value):
    rows = pd.DataFrame([GOOD, GOOD | {column: value}])
    good, bad = batch.reasons(rows)
    assert good == ""
    assert column in bad


def test_a_second_run_replaces_the_day(engine, tmp_path):
    for ids in ([1, 2, 3], [2, 3, 4]):
        write(tmp_path / "day.parquet", ids)
        batch.save(engine, DAY, tmp_path / "day.parquet", rows_at_once=2)
    assert saved(engine) == [2, 3, 4]


def test_a_database_that_fails_changes_nothing(engine, tmp_path):
    paths = {name: tmp_path / f"{name}.parquet" for name in ("predictions", "rejected")}
    for ids in ([1, 2], [1, 2, 2]):
        for path in paths.values():
            write(batch.draft_of(path), ids)
        try:
            batch.publish(engine, DAY, paths, rows_at_once=2)
        except sa.exc.IntegrityError:
            assert ids == [1, 2, 2]
    assert saved(engine) == [1, 2]
    assert len(pd.read_parquet(paths["predictions"])) == 2

# %% run-batch (given)
run("wineops.harvest", "--rows", "600", "--bad", "12")
run("wineops.batch", "../../output/new-wines.parquet", "--date", "2026-11-22")

# %% run-batch-again (given)
import pandas as pd
import sqlalchemy as sa

run("wineops.batch", "../../output/new-wines.parquet", "--date", "2026-11-22")
with sa.create_engine("sqlite:///../output/predictions.db").connect() as connection:
    published = pd.read_sql("SELECT * FROM predictions", connection)
print(published[-3:])
rejected = pd.read_parquet("../output/rejected")
shown = ["wine_id", "density", "pH", "sulphates", "alcohol", "reason"]
print(rejected.reindex(columns=shown).to_string(index=False))
