"""The data is on the run: its digest, the two tables, and the file it came from."""

import tempfile
import warnings
from pathlib import Path

from winelab.checks.authoring import after, catches, swap
from winelab.checks.looking import local_path


def _parts(namespace):
    """The rows that were trained on and those kept for the test, taken from the whole table."""
    wine = namespace["wine"]
    return {
        "train": wine.loc[namespace["X_train"].index],
        "test": wine.loc[namespace["X_test"].index],
    }


def _digest(table):
    """The digest that MLflow computes for a table."""
    from mlflow.data import from_pandas

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return from_pandas(table).digest


def _rows(table, columns):
    """The values of a table, whatever the order of its rows and columns."""
    return table[columns].sort_values(columns).to_numpy(dtype=float)


def _same(found, wanted):
    import numpy as np

    columns = list(wanted.columns)
    return (
        set(found.columns) == set(columns)
        and len(found) == len(wanted)
        and np.allclose(_rows(found, columns), _rows(wanted, columns), rtol=1e-9, atol=1e-9)
    )


def _files(client, run, folder, call):
    """The paths of the files in a folder of the run; an assert with the way to them."""
    paths = [item.path for item in client.list_artifacts(run.info.run_id, folder)]
    if paths:
        return paths
    place = local_path(run.info.artifact_uri)
    # The dataset stands in the database: it stays where the files are gone.
    started = client.get_run(run.info.run_id).inputs.dataset_inputs
    moved = (
        f" If you did, they were moved or deleted since: they lay in {place}, and the run knows "
        "no other place."
    )
    assert place.exists(), (
        f"the newest run has no files: call {call} inside the `with`.{moved if started else ''}"
    )
    everything = [item.path for item in client.list_artifacts(run.info.run_id)]
    assert folder in everything, (
        f"the newest run has no folder {folder}, only {', '.join(sorted(everything))}: call "
        f"{call} inside the `with`."
    )
    raise AssertionError(
        f"the folder {folder} of the run is empty. log_artifacts says nothing when the folder that "
        "you name is not there: give it the absolute path that you wrote the tables to."
    )


@catches(
    "the quality stayed an integer",
    swap("read", '.astype("float64")', ""),
    hint="quality is not float64",
)
def test_all_columns_are_floats(namespace):
    "all columns of the table are float64"
    whole = [name for name, kind in namespace["wine"].dtypes.items() if str(kind) != "float64"]
    assert not whole, (
        f"{', '.join(whole)} is not float64: MLflow warns of integer columns, which cannot say "
        'that a value is missing. Put .astype("float64") behind read_csv(...).'
    )


@catches(
    "the whole table was noted as training data",
    swap("log-data", "from_pandas(train,", "from_pandas(wine,"),
    hint="the whole table, test wines included",
)
@catches(
    "the dataset was made, but not logged",
    swap("log-data", 'mlflow.log_input(dataset, context="training")', ""),
    hint="no dataset is on the newest run",
)
@catches(
    "the dataset does not say what it was for",
    swap("log-data", ', context="training"', ""),
    hint="the dataset's context is None",
)
@catches(
    "a table was logged in place of a dataset",
    swap("log-data", "log_input(dataset,", "log_input(train,"),
    hint="ended as FAILED",
    error="The truth value of a DataFrame is ambiguous",
)
def test_the_dataset_is_what_was_trained_on(run, client, namespace):
    'the run says what it was trained on: the dataset "wine-train"'
    call = 'mlflow.log_input(dataset, context="training")'
    inputs = client.get_run(run.info.run_id).inputs.dataset_inputs
    assert inputs, f"no dataset is on the newest run: call {call} inside the `with`."
    named = [one for one in inputs if one.dataset.name == "wine-train"]
    assert named, (
        f'the dataset is called "{inputs[0].dataset.name}": say name="wine-train" in from_pandas.'
    )
    context = {tag.key: tag.value for tag in named[0].tags}.get("mlflow.data.context")
    assert context == "training", (
        f"the dataset's context is {context!r}: say what the run used it for, {call}."
    )
    logged = named[0].dataset.digest
    parts = _parts(namespace)
    right = {_digest(parts["train"])}
    # The same rows in another order of columns have another digest, and are no mistake.
    mine = namespace.get("train")
    if hasattr(mine, "columns") and _same(mine, parts["train"]):
        right.add(_digest(mine))
    others = {
        _digest(namespace["wine"]): "the whole table, test wines included",
        _digest(parts["test"]): "the test part",
        _digest(namespace["X_train"]): "the training part without its quality",
    }
    assert logged in right, (
        f"the digest {logged} is that of {others.get(logged, 'another table')}: make the dataset "
        "from the rows that the model was trained on, wine.loc[X_train.index]."
    )


@catches(
    "log_artifact, without the s, was given the folder",
    swap("log-data", "mlflow.log_artifacts(tables,", "mlflow.log_artifact(tables,"),
    hint="one folder too deep",
)
@catches(
    "the tables were written into the folder where the notebook runs",
    swap("tables", 'course / "output" / "tables"', 'Path("output/tables")'),
    hint="not into the course's folder",
)
@catches(
    "the folder was named by a relative path, and is not there",
    swap("log-data", "mlflow.log_artifacts(tables,", 'mlflow.log_artifacts("output/tables",'),
    hint="log_artifacts says nothing",
)
@catches(
    "the row numbers were written too",
    swap(
        "tables",
        'train.to_csv(tables / "train.csv", index=False)',
        'train.to_csv(tables / "train.csv")',
    ),
    hint="say index=False",
)
@catches(
    "the two parts changed places",
    swap(
        "tables",
        'train.to_csv(tables / "train.csv", index=False)\n'
        'test.to_csv(tables / "test.csv", index=False)',
        'test.to_csv(tables / "train.csv", index=False)\n'
        'train.to_csv(tables / "test.csv", index=False)',
    ),
    hint="they are not the 1199 of X_train",
)
@catches(
    "the files were logged without a folder",
    swap("log-data", 'tables, artifact_path="tables"', "tables"),
    hint="has no folder tables, only",
)
@catches(
    "the files were logged after the run, which opens a second one",
    swap(
        "log-data",
        'mlflow.log_artifacts(tables, artifact_path="tables")\n'
        'mlflow.log_artifact(data_file, artifact_path="data")',
        "",
    ),
    after(
        'mlflow.log_artifacts(tables, artifact_path="tables")\n'
        'mlflow.log_artifact(data_file, artifact_path="data")'
    ),
    hint="inside the `with`",
)
@catches(
    "the folder with the files was moved afterwards",
    after('(course / "mlruns").rename(course / "my old runs")'),
    hint="the run knows no other place",
)
def test_the_two_tables_come_back_equal(run, client, namespace):
    "train.csv and test.csv come back from the run as they were"
    import pandas as pd

    call = 'mlflow.log_artifacts(tables, artifact_path="tables")'
    paths = _files(client, run, "tables", call)
    parts = _parts(namespace)
    tables = namespace.get("tables")
    assert tables is None or Path(tables).is_absolute(), (
        f"the tables were written to {Path(tables).resolve()}, not into the course's folder: "
        'write tables = course / "output" / "tables".'
    )
    for name, wanted in parts.items():
        assert "tables/tables" not in paths, (
            "the tables lie one folder too deep on the run, in tables/tables: log_artifact takes "
            f"one file. For a folder it is {call}, with an s."
        )
        assert f"tables/{name}.csv" in paths, (
            f"{name}.csv is not in the folder tables of the run: write it into output/tables "
            "before the run."
        )
        with tempfile.TemporaryDirectory() as folder:
            file = Path(client.download_artifacts(run.info.run_id, f"tables/{name}.csv", folder))
            head = file.open(encoding="utf-8").readline()
            found = pd.read_csv(file, sep=";" if ";" in head else ",", float_precision="round_trip")
        extra = [column for column in found.columns if column not in wanted.columns]
        assert not extra, (
            f'{name}.csv has a column "{extra[0]}" that the wine table has not: say index=False in '
            "to_csv, or the row numbers are written too."
        )
        missing = [column for column in wanted.columns if column not in found.columns]
        assert not missing, (
            f'{name}.csv has no column "{missing[0]}": write wine.loc[X_{name}.index].'
        )
        assert _same(found, wanted), (
            f"{name}.csv on the run has {len(found)} wines, and they are not the {len(wanted)} of "
            f"X_{name}: write wine.loc[X_{name}.index], then log the folder."
        )


@catches(
    "the file's name was given as the folder's",
    swap("log-data", 'artifact_path="data"', 'artifact_path=f"data/{data_file.name}"'),
    hint="artifact_path names the folder",
)
@catches(
    "the file to log is not there",
    swap("log-data", "log_artifact(data_file,", 'log_artifact("red-wine-quality.csv",'),
    hint="ended as FAILED",
    error="No such file or directory",
)
def test_the_file_comes_back_equal(run, client, namespace):
    "the file of the whole table comes back byte for byte"
    name = Path(namespace["data_file"]).name
    paths = _files(client, run, "data", 'mlflow.log_artifact(data_file, artifact_path="data")')
    assert f"data/{name}" in paths, (
        f"the folder data of the run holds {', '.join(sorted(paths))}: log the file that was read, "
        "data_file."
    )
    with tempfile.TemporaryDirectory() as folder:
        found = Path(client.download_artifacts(run.info.run_id, f"data/{name}", folder))
        assert found.is_file(), (
            f"data/{name} is a folder on the run: artifact_path names the folder, and the file "
            'keeps its own name. Say artifact_path="data".'
        )
        same = found.read_bytes() == Path(namespace["data_file"]).read_bytes()
    assert same, (
        f"data/{name} on the run is not the file that was read: it has changed since. Run all "
        "cells from the top."
    )
