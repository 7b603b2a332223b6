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
