"""Clean the wine table, and split it into a training and a test table.

python -m wineops.process_data --env test
"""

import hashlib
import json

import pandas as pd

from wineops import settings
from wineops.wines import read_table, split


def clean(wines):
    """The same table for the same wines, whatever order they come in."""
    wines = wines.dropna().drop_duplicates()
    return wines.sort_values(list(wines.columns), ignore_index=True)


def digest(table):
    """A short text that is another one if any value, column or row of the table is."""
    text = table.to_csv(index=False, lineterminator="\n")
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:32]


def make_tables(wines):
    """The training and the test table of clean wines, or of `max_rows` of them, drawn by chance."""
    if settings.max_rows is not None and settings.max_rows < len(wines):
        wines = wines.sample(settings.max_rows, random_state=42)
    train, test = split(wines)
    return {"train": train, "test": test}


def folder():
    """The folder that the steps write to, and read from."""
    return settings.output / "pipeline"


def write(table, name):
    """Write a table as Parquet. A reader finds the old one or the new one, and never a half."""
    folder().mkdir(parents=True, exist_ok=True)
    unfinished = folder() / f"{name}.unfinished"
    table.to_parquet(unfinished, index=False)
    unfinished.replace(folder() / f"{name}.parquet")


def save(tables, rows_read, rows_kept):
    """Write both tables, and a report on them last: it says that the step has come to its end."""
    report_file = folder() / "report.json"
    report_file.unlink(missing_ok=True)
    report = {"environment": settings.environment, "rows read": rows_read, "rows kept": rows_kept}
    for name, table in tables.items():
        write(table, name)
        report[name] = {"rows": len(table), "digest": digest(table)}
    report_file.write_text(json.dumps(report, indent=2), encoding="utf-8")
    return report


def read_tables():
    """The tables that `save` has written; a program that finds none ends with a sentence."""
    report_file = folder() / "report.json"
    again = f"run `python -m wineops.process_data --env {settings.environment}` first."
    if not report_file.is_file():
        raise SystemExit(f"There is no {report_file}: {again}")
    report = json.loads(report_file.read_text(encoding="utf-8"))
    tables = {name: pd.read_parquet(folder() / f"{name}.parquet") for name in ("train", "test")}
    for name, table in tables.items():
        if digest(table) != report[name]["digest"]:
            raise SystemExit(f"{name}.parquet is not the table of report.json: {again}")
    return tables


def main():
    """Read, clean, split and write."""
    settings.use_from_command_line(__doc__)
    wines = read_table()
    cleaned = clean(wines)
    report = save(make_tables(cleaned), len(wines), len(cleaned))
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
