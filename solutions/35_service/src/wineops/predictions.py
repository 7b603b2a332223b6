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
