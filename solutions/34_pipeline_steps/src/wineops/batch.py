"""Predict the wines of a Parquet file with the champion, and publish a day's predictions.

python -m wineops.batch ../../output/new-wines.parquet --date 2026-11-22
"""

import argparse
import hashlib
import os
import time
from collections import Counter
from datetime import date
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa
from mlflow.data.meta_dataset import MetaDataset
from mlflow.data.sources import LocalArtifactDatasetSource

from wineops import settings

MOST_BAD = 0.2  # a larger part of bad rows, and the whole file is refused
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
    """Open a Parquet file, of which nothing is read yet, and see that it has our columns."""
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


def load_champion(client):
    """Return the version that is champion now, and its model."""
    version = client.get_model_version_by_alias(settings.registered_name, "champion")
    model = mlflow.pyfunc.load_model(f"models:/{settings.registered_name}/{version.version}")
    return version, model


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


def wrong_ids(ids, seen):
    """Say which ids are missing, or have been seen further up: texts, as `reasons` gives them."""
    found = pd.Series("", index=ids.index)
    found[ids.isna()] = "wine_id is missing; "
    found[ids.notna() & (ids.isin(seen) | ids.duplicated())] = "wine_id stands further up; "
    return found


def predict(file, model, version, day, rows_at_once, drafts):
    """Write a file's good rows with their predictions, and its bad rows with their reasons.

    Never more than `rows_at_once` rows are in memory, but for the ids seen, a number each.
    Return how many rows are good, and how often each reason was given.
    """
    with_reason = [file.schema_arrow.field(name) for name in COLUMNS]
    with_reason.append(pa.field("reason", pa.string()))
    good, given, seen = 0, Counter(), np.empty(0, dtype="int64")
    with (
        pq.ParquetWriter(drafts["predictions"], SCHEMA) as predictions,
        pq.ParquetWriter(drafts["rejected"], pa.schema(with_reason)) as rejected,
    ):
        for batch in file.iter_batches(rows_at_once, columns=COLUMNS):
            # An id that is missing must not make rounded numbers of all others.
            rows = batch.to_pandas(integer_object_nulls=True)[COLUMNS]
            found = (wrong_ids(rows["wine_id"], seen) + reasons(rows)).str.removesuffix("; ")
            seen = np.append(seen, rows["wine_id"].dropna().astype("int64"))
            bad = found != ""
            table = pa.Table.from_batches([batch]).select(COLUMNS).filter(pa.array(bad))
            rejected.write_table(table.append_column("reason", pa.array(found[bad], pa.string())))
            given.update(found[bad])
            rows = rows[~bad].astype({"wine_id": "int64", **dict.fromkeys(MEASUREMENTS, "float64")})
            if len(rows):
                rows["prediction"] = model.predict(rows[MEASUREMENTS])
                rows["model_version"] = int(version.version)
                rows["prediction_date"] = day
                predictions.write_table(pa.Table.from_pandas(rows, SCHEMA, preserve_index=False))
                good += len(rows)
    return good, given


def draft_of(path):
    """Return where a file is written until it is whole."""
    return path.with_name(f".{path.name}")


def save(engine, day, path, rows_at_once):
    """Replace a day's rows in the table by those of a Parquet file, in one transaction."""
    with engine.begin() as connection:
        connection.execute(sa.delete(TABLE).where(TABLE.columns.prediction_date == day))
        for batch in pq.ParquetFile(path).iter_batches(rows_at_once, columns=TABLE.columns.keys()):
            connection.execute(sa.insert(TABLE), batch.to_pylist())


def publish(engine, day, paths, rows_at_once):
    """Save the predictions in the database, and give both drafts their final names."""
    save(engine, day, draft_of(paths["predictions"]), rows_at_once)
    for path in paths.values():
        os.replace(draft_of(path), path)


def read_arguments():
    """The command line."""
    url = f"sqlite:///{(settings.output / 'predictions.db').as_posix()}"
    parser = argparse.ArgumentParser(prog="python -m wineops.batch")
    parser.add_argument("input", type=Path, help="a Parquet file: wine_id and the measurements")
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
    file, engine = open_input(given.input), open_database(given.database)
    try:
        version, model = load_champion(client)
    except mlflow.MlflowException as error:
        raise SystemExit(f"The champion can't be loaded: {error.message}") from None
    names = ("predictions", "rejected")
    paths = {name: settings.output / name / f"{given.date}.parquet" for name in names}
    for path in paths.values():
        path.parent.mkdir(parents=True, exist_ok=True)

    # 2. What goes in: the input, by its digest, and the model
    with mlflow.start_run(run_name="batch"):
        with given.input.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
        source = LocalArtifactDatasetSource(str(given.input.resolve()))
        mlflow.log_input(MetaDataset(source, given.input.name, digest[:16]), context="batch")
        mlflow.log_params({"prediction_date": given.date, "model_version": version.version})

        # 3. Predict, batch by batch
        drafts = {name: draft_of(path) for name, path in paths.items()}
        good, found = predict(file, model, version, given.date, given.rows_at_once, drafts)
        counts = {"rows": file.metadata.num_rows, "rejected": found.total()}
        mlflow.log_metrics(counts, model_id=version.model_id)
        mlflow.log_dict(found, "reasons.json")
        if found.total() > MOST_BAD * file.metadata.num_rows:
            often = "; ".join(f"{count} x {words}" for words, count in found.most_common(3))
            raise SystemExit(f"{found.total():,} rows are bad: nothing is published. {often}")

        # 4. Publish
        publish(engine, given.date, paths, given.rows_at_once)
        mlflow.log_artifact(paths["rejected"])
        mlflow.log_metric("seconds", time.perf_counter() - start)
    print(f"{given.date}: {good:,} wines predicted by version {version.version},", end=" ")
    print(f"{found.total():,} rows rejected.")


if __name__ == "__main__":
    main()
