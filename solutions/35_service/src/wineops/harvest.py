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
