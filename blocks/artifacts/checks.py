"""The data is on the run: its digest, the two tables, and the file it came from."""

from pathlib import Path

from winelab.checks.authoring import after, catches, error, hint, put, remove, right, swap
from winelab.checks.comparing import listed, plural, same_path, same_table, short
from winelab.checks.looking import local_path

LOG_TABLES = 'mlflow.log_artifacts(tables, artifact_path="tables")'
LOG_FILE = 'mlflow.log_artifact(data_file, artifact_path="data")'
LOG_INPUT = 'mlflow.log_input(dataset, context="training")'
NAMED = 'train, name="wine-train", targets="quality"'
WRITE_TRAIN = 'train.to_csv(tables / "train.csv", index=False)'
WRITE_TEST = 'test.to_csv(tables / "test.csv", index=False)'


def _rows(namespace, part):
    """The rows of the whole table that are in X_train or X_test, by `part`, with their quality."""
    wine, index = namespace["wine"], namespace[f"X_{part}"].index
    known = set(index) <= set(wine.index)
    assert known, f"`X_{part}` has rows that `wine` has not: run the cells again from the top."
    return wine.loc[index]


def _table(file):
    """The table in a CSV file; None where it holds none."""
    import pandas as pd

    try:
        separator = ";" if ";" in file.read_text(encoding="utf-8").partition("\n")[0] else ","
        return pd.read_csv(file, sep=separator, float_precision="round_trip")
    except ValueError:
        return None


def _same(found, expected):
    """Whether two tables hold the same rows, in any order of rows and columns."""
    columns = list(expected.columns)
    if sorted(map(str, found.columns)) != sorted(columns):
        return False
    one, other = (table[columns].sort_values(columns) for table in (found, expected))
    return same_table(one, other)


def _files(run, folder, logged_by):
    """The files in a folder of the run, by their paths there; an AssertionError if there are none.

    Read where they lie, since each question to MLflow costs a tenth of a second.
    """
    place = local_path(run.info.artifact_uri)
    files = {one.relative_to(place).as_posix(): one for one in place.rglob("*") if one.is_file()}
    if inside := {path: file for path, file in files.items() if path.startswith(f"{folder}/")}:
        return inside
    # The dataset is in the database: it stays where the files are gone.
    assert files or place.exists() or not run.inputs.dataset_inputs, (
        f"the run has no files: call `{logged_by}` inside the `with`. If you did, they were moved "
        f"or deleted: the run knows no other place than {place}."
    )
    assert not (place / folder).is_dir(), (
        f"the folder {folder} of the run is empty: the folder that you gave to `log_artifacts` is "
        "empty or isn't there. Give it the path to which you wrote the tables."
    )
    has = f", only {listed(sorted(files))}" if files else ""
    raise AssertionError(f"the run has no folder {folder}{has}: call `{logged_by}`.")


@catches("astype returned a new table, and nobody kept it")
@swap("read", '.astype("float64")', '\nwine.astype("float64")')
@hint('quality isn\'t float64 but int64: put `.astype("float64")`')
def test_all_columns_are_floats(namespace):
    "all columns of the table are float64"
    others = [
        f"{name} isn't float64 but {dtype}"
        for name, dtype in namespace["wine"].dtypes.items()
        if str(dtype) != "float64"
    ]
    # The quality comes last, and is the one that is an integer in the file.
    assert not others, f'{others[-1]}: put `.astype("float64")` at the end of the line that reads.'


@catches("the whole table was logged as training data")
@swap("log-data", "from_pandas(train,", "from_pandas(wine,")
@hint("the whole table, test wines included")
@catches("the measurements were logged without their quality")
@swap("log-data", NAMED, 'X_train, name="wine-train"')
@hint("the training table without its quality")
@catches("the dataset does not say what it was for")
@swap("log-data", ', context="training"', "")
@hint("the dataset has no context")
@catches("a table was logged in place of a dataset")
@swap("log-data", "log_input(dataset,", "log_input(train,")
@hint("ended as FAILED")
@error("The truth value of a DataFrame is ambiguous")
def test_the_training_table_is_a_dataset_of_the_run(run, namespace):
    'the training table is on the run as the dataset "wine-train"'
    from mlflow.data.digest_utils import compute_pandas_digest as digest

    inputs = run.inputs.dataset_inputs
    assert inputs, f"there is no dataset on the run: call `{LOG_INPUT}` inside the `with`."
    named = [one for one in inputs if one.dataset.name == "wine-train"]
    name = short(inputs[0].dataset.name)
    assert named, f"the dataset is called {name}: write `mlflow.data.from_pandas({NAMED})`."
    context = {tag.key: tag.value for tag in named[-1].tags}.get("mlflow.data.context")
    has = f"the context {short(context)}" if context else "no context"
    assert context == "training", f"the dataset has {has}: call `{LOG_INPUT}`."
    train, logged = _rows(namespace, "train"), named[-1].dataset.digest
    # The same rows in another order, or numbered anew, have another digest, and are no mistake.
    own = (namespace.get("train"), getattr(namespace.get("dataset"), "df", None))
    tables = [table for table in own if hasattr(table, "columns") and _same(table, train)]
    others = {
        digest(namespace["wine"]): "the whole table, test wines included",
        digest(_rows(namespace, "test")): "the test table",
        digest(namespace["X_train"]): "the training table without its quality",
    }
    assert logged in [digest(table) for table in (train, *tables)], (
        f"the digest {logged} is that of {others.get(logged, 'another table')}: make the dataset "
        "from `wine.loc[X_train.index]`, and run the cells again from the top."
    )


@catches("log_artifact, without the s, was given the folder")
@swap("log-data", "mlflow.log_artifacts(tables,", "mlflow.log_artifact(tables,")
@hint("one folder too deep")
@catches("the tables were written into the folder where the notebook runs")
@swap("tables", 'course / "output" / "tables"', 'Path("output/tables")')
@hint("not the folder output/tables of the course")
@catches("the folder was named by a relative path, and is not there")
@swap("log-data", "mlflow.log_artifacts(tables,", 'mlflow.log_artifacts("output/tables",')
@hint("the folder tables of the run is empty")
@catches("the row numbers were written too")
@swap("tables", WRITE_TRAIN, 'train.to_csv(tables / "train.csv")')
@hint("Give `to_csv` the argument `index=False`")
@catches("the two tables changed places")
@swap("tables", WRITE_TRAIN, WRITE_TRAIN.replace("train.to", "test.to"))
@swap("tables", WRITE_TEST, WRITE_TEST.replace("test.to", "train.to"))
@hint("train.csv has 340 wines, and not the 1019 of `X_train`")
@catches("the measurements were written without their quality")
@swap("tables", "test = wine.loc[X_test.index]", "test = X_test")
@hint('test.csv has no column "quality"')
@catches("the files were logged without a folder")
@swap("log-data", 'tables, artifact_path="tables"', "tables")
@hint("the run has no folder tables, only")
@catches("the folder with the files was moved afterwards")
@after('(course / "mlruns").rename(course / "my old runs")')
@hint("other place than")
def test_the_two_tables_are_on_the_run(run, namespace):
    "train.csv and test.csv are on the run, with the wines of the split"
    files = _files(run, "tables", LOG_TABLES)
    assert not any(one.startswith("tables/tables/") for one in files), (
        "the tables are one folder too deep on the run, in tables/tables: `log_artifact` takes "
        f"a file. For a folder, call `{LOG_TABLES}`, with an s."
    )
    tables, place = namespace.get("tables"), namespace["course"]
    if isinstance(tables, str | Path) and isinstance(place, Path):
        assert same_path(tables, place / "output" / "tables"), (
            f"`tables` is {Path(tables).resolve()}, not the folder output/tables of the course: "
            'write `tables = course / "output" / "tables"`.'
        )
    for name in ("train", "test"):
        expected, file = _rows(namespace, name), files.get(f"tables/{name}.csv")
        has = listed(sorted(files))
        assert file, f"tables on the run has no {name}.csv, only {has}: write it before you log."
        found = _table(file)
        assert found is not None, (
            f"{name}.csv on the run is empty, or no CSV file: write it with "
            f'`{name}.to_csv(tables / "{name}.csv", index=False)`.'
        )
        columns, wanted = [str(column) for column in found.columns], list(expected.columns)
        assert {*columns} & {*wanted}, (
            f"{name}.csv has none of the wine table's columns in its first line: write them too, "
            "without `header=`."
        )
        extra = [column for column in columns if column not in wanted]
        assert not extra, (
            f'{name}.csv has a column "{extra[0]}", which the wine table does not have. Give '
            "`to_csv` the argument `index=False`, or it writes the row numbers too."
        )
        absent = [f'no column "{column}"' for column in wanted if column not in columns]
        wines = f"{plural(len(found), 'wine')}, and not the {len(expected)} of `X_{name}`"
        assert not absent and _same(found, expected), (
            f"{name}.csv has {absent[0] if absent else wines}: write `wine.loc[X_{name}.index]`, "
            "with all columns, before you log the folder."
        )


@catches("the file's name was given as the folder's")
@swap("log-data", 'artifact_path="data"', 'artifact_path=f"data/{data_file.name}"')
@hint("`artifact_path` names the folder")
@catches("the table without its duplicates was logged in place of the file")
@swap("tables", "train = ", "copy = tables.parent / data_file.name\nwine.to_csv(copy)\ntrain = ")
@swap("log-data", LOG_FILE, LOG_FILE.replace("data_file", "copy"))
@hint("is not the file that was read")
@catches("the file was not logged")
@swap("log-data", LOG_FILE, "")
@hint("the run has no folder data, only tables/test.csv and tables/train.csv")
def test_the_file_is_on_the_run(run, namespace):
    "the file of the whole table is on the run, byte for byte"
    file = Path(namespace["data_file"])
    name, files = file.name, _files(run, "data", LOG_FILE)
    assert f"data/{name}/{name}" not in files, (
        f"data/{name} is a folder on the run. `artifact_path` names the folder, and the file keeps "
        f"its name: call `{LOG_FILE}`."
    )
    assert f"data/{name}" in files, (
        f"the run has {listed(sorted(files))}, not data/{name}: call `{LOG_FILE}`."
    )
    same = files[f"data/{name}"].read_bytes() == file.read_bytes()
    assert same, f"data/{name} on the run is not the file that was read: log `data_file` itself."


RIGHT_WAYS = (
    right(
        "a client logs the artifacts by the run's id",
        swap("log-data", LOG_TABLES, "client = mlflow.MlflowClient()\n" + LOG_TABLES),
        swap("log-data", "mlflow.log_artifacts(", "client.log_artifacts(open_run, "),
        swap("log-data", "mlflow.log_artifact(", "client.log_artifact(open_run, "),
        swap("log-data", "dataset = ", "open_run = mlflow.active_run().info.run_id\ndataset = "),
    ),
    right(
        "the folder has another name, by a relative path",
        swap("tables", 'course / "output" / "tables"', 'Path("../output/tables")'),
    ),
    right(
        "the tables are put together from their parts, and numbered anew",
        swap(
            "tables", "train = wine.loc[X_train.index]", "train = X_train.assign(quality=y_train)"
        ),
        swap("tables", "train.to", "train = train.reset_index(drop=True)\ntrain.to"),
    ),
    right(
        "each file is logged by a call of its own, after the training",
        remove("log-data"),
        put(
            "log-metrics",
            "metrics = eval_metrics(y_test, predictions)\nmlflow.log_metrics(metrics)\n"
            'mlflow.log_artifact(tables / "train.csv", "tables")\n'
            'mlflow.log_artifact(str(tables / "test.csv"), "tables")\n'
            'mlflow.log_artifact(str(data_file), "data")\n'
            f'mlflow.log_input(mlflow.data.from_pandas({NAMED}), "training")',
        ),
    ),
)
