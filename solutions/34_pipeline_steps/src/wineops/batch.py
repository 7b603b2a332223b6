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
        draft_of(path).replace(path)


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
