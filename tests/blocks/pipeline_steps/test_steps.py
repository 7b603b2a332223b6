"""Block 34's configuration, its three steps and their notebooks: what the lesson says of them.

The built package lies in a folder with a space and an umlaut in its name, where `make` runs it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import nbformat
import numpy as np
import pandas as pd
import pytest
import yaml

from winelab.checks.scratch import package_module
from winelab.core.paths import SOLUTIONS
from winelab.course.source import course
from winelab.proof.execute import Code, Outcome, Where, execute
from winelab.tracking.workspace import furnish, workspace_environment

BLOCK = course().block("pipeline_steps")
NAME = "wine-quality-elasticnet"
VARIABLE = "WINEOPS_PROD_TRACKING_URI"
PASSWORD = "https://me:grape@mlflow.example.org"
TABLES = ("train", "test", "predictions")
needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make here")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with the package, as a clone of it has."""
    root = furnish(tmp_path_factory.mktemp("clone") / "Weingüter Süd")
    shutil.copytree(
        SOLUTIONS / BLOCK.name,
        root / "solutions" / BLOCK.name,
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    return root


@pytest.fixture(scope="module")
def package(workspace: Path) -> Path:
    """The package's folder."""
    return workspace / "solutions" / BLOCK.name


@pytest.fixture(autouse=True)
def own_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of the variables that the package reads."""
    for name in [one for one in os.environ if one.startswith(("WINEOPS_", "MLFLOW_"))]:
        monkeypatch.delenv(name)


@pytest.fixture
def settings(package: Path) -> Any:
    """The settings as a program finds them that is started now."""
    return module(package, "settings")


def module(package: Path, name: str) -> Any:
    """A module of the package, imported anew."""
    return package_module({"package": package}, f"wineops.{name}")  # type: ignore[arg-type]


def make(package: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run make in the package's folder, as in a terminal where `make lab` was never called."""
    environment = workspace_environment(package.parents[1], **variables)
    del environment["MLFLOW_TRACKING_URI"], environment["_MLFLOW_SERVER_ARTIFACT_ROOT"]
    return subprocess.run(
        ["make", *words, f"PYTHON={Path(sys.executable).as_posix()}"],
        cwd=package,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=300,
    )


def run(workspace: Path, *runs: str, **variables: str) -> Outcome:
    """Run modules of the package, on the course's store."""
    return execute(Code(BLOCK.name, runs=runs), workspace, environment=variables)


def versions(store: Path) -> list[Any]:
    """The versions in a store, oldest first."""
    uri = f"sqlite:///{store.as_posix()}"
    found = mlflow.MlflowClient(uri, uri).search_model_versions()
    return sorted(found, key=lambda version: int(version.version))


# --- a wrong configuration is named by key ------------------------------------------------------


def written(settings: Any, folder: Path, text: str) -> Any:
    """Settings that read this text as their config.yaml."""
    settings.config_file = folder / "config.yaml"
    settings.config_file.write_text(text, encoding="utf-8")
    return settings


def section(settings: Any, name: str) -> dict[str, Any]:
    """The keys of an environment as they stand in the config.yaml of the solution."""
    read: dict[str, Any] = yaml.safe_load(settings.config_file.read_text(encoding="utf-8"))[name]
    return read


GONE = object()
KEYS = ("data_folder", "output", "tracking_uri", "experiment", "registered_name")
WRONG: list[tuple[str, Any, str]] = [
    *((key, GONE, "missing: Field required.") for key in (*KEYS, "alpha", "l1_ratio")),
    *((key, 5, "5: Input ") for key in KEYS),
    *((key, "", "'': String should have at least 1 character.") for key in KEYS[2:]),
    ("alpha", "strong", "'strong': Input should be a valid number, unable to parse"),
    ("alpha", 0, "0: Input should be greater than 0."),
    ("alpha", -1, "-1: Input should be greater than 0."),
    ("alpha", float("nan"), "nan: Input should be greater than 0."),
    ("alpha", None, "None: Input should be a valid number."),
    ("l1_ratio", -0.1, "-0.1: Input should be greater than or equal to 0."),
    ("l1_ratio", 1.01, "1.01: Input should be less than or equal to 1."),
    ("l1_ratio", [0.3], "[0.3]: Input should be a valid number."),
    ("max_rows", 19, "19: Input should be greater than or equal to 20."),
    ("max_rows", 20.5, "20.5: Input should be a valid integer, got a number with a fractional"),
    ("alfa", 0.1, "0.1: Extra inputs are not permitted."),
    (
        "output",
        "${WINEOPS_NOWHERE}/out",
        "'${WINEOPS_NOWHERE}/out': Value error, this environment variable is not set.",
    ),
]


@pytest.mark.parametrize(
    ("key", "value", "said"), WRONG, ids=[f"{key} {said}" for key, _, said in WRONG]
)
def test_a_wrong_key_is_one_sentence_with_its_path(
    settings: Any, tmp_path: Path, key: str, value: Any, said: str
) -> None:
    keys = section(settings, "test") | {key: value}
    keys = {name: one for name, one in keys.items() if one is not GONE}
    with pytest.raises(SystemExit) as ended:
        written(settings, tmp_path, yaml.safe_dump({"test": keys})).read("test")
    sentence = str(ended.value.code)
    assert sentence.startswith(f"config.yaml: test.{key} is {said}")
    assert "\n" not in sentence


def test_all_wrong_keys_are_named_at_once_and_no_others_value_is_shown(
    settings: Any, tmp_path: Path
) -> None:
    keys = section(settings, "test") | {"alpha": -1, "alfa": 2, "tracking_uri": PASSWORD}
    del keys["experiment"]
    with pytest.raises(SystemExit) as ended:
        written(settings, tmp_path, yaml.safe_dump({"test": keys})).read("test")
    lines = str(ended.value.code).splitlines()
    assert [line.split(" is ")[0] for line in lines] == [
        f"config.yaml: test.{key}" for key in ("experiment", "alpha", "alfa")
    ]
    assert "grape" not in str(ended.value.code)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("dev:\n  output: out\n output: x\n", r"cannot be read: .*line 3, column 2"),
        ("dev:\n\toutput: out\n", r"cannot be read: .*line 2, column 1"),
        ("dev: 5\n", r"^config.yaml: dev is 5: Input should be a valid dictionary"),
        ("test: {}\nprod: {}\n", r"^config.yaml has no environment dev. It has test, prod.$"),
        ("", r"^config.yaml has no environment dev. It has none at all.$"),
        ("a text", r"^config.yaml has no environment dev. It has none at all.$"),
    ],
)
def test_what_is_no_configuration_is_one_sentence(
    settings: Any, tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(SystemExit, match=said) as ended:
        written(settings, tmp_path, text).read("dev")
    assert "\n" not in str(ended.value.code)
    settings.config_file.unlink()
    with pytest.raises(SystemExit, match="No such file or directory"):
        settings.read("dev")


# --- environment variables ----------------------------------------------------------------------


def test_dev_is_the_course_and_variables_override_it(
    settings: Any, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (settings.environment, settings.experiment) == ("dev", "wine-quality")
    assert settings.registered_name == NAME
    assert (settings.data_folder, settings.output) == (workspace / "data", workspace / "output")
    store = f"sqlite:///{(workspace / 'mlflow.db').as_posix()}"
    assert settings.read("dev").tracking_uri == store
    monkeypatch.setenv("WINEOPS_DATA", str(tmp_path / "wines"))
    monkeypatch.setenv("WINEOPS_OUTPUT", "elsewhere")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    dev, test = settings.read("dev"), settings.read("test")
    assert dev.data_folder == test.data_folder == tmp_path / "wines"
    # A path begins in the package's folder, wherever a program runs.
    assert dev.output == settings.home / "elsewhere"
    assert test.output == dev.output / "test"
    assert dev.tracking_uri == "http://127.0.0.1:5000"
    # What is thrown away never goes to the store that a variable names for all programs.
    assert test.tracking_uri == f"sqlite:///{(test.output / 'mlflow.db').as_posix()}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    assert settings.read("dev").tracking_uri == store, "an empty variable is one that isn't set"


def test_the_environment_comes_from_the_variable_or_the_command_line(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WINEOPS_ENV", "test")
    settings = module(package, "settings")
    assert (settings.environment, settings.max_rows) == ("test", 400)
    monkeypatch.setattr(sys, "argv", ["step", "--env", "dev"])
    settings.use_from_command_line("a step")
    assert (settings.environment, settings.max_rows) == ("dev", None)
    monkeypatch.setattr(sys, "argv", ["step", "--env", "stage"])
    with pytest.raises(SystemExit, match=r"has no environment stage\. It has dev, test, prod\."):
        settings.use_from_command_line("a step")
    monkeypatch.setenv("WINEOPS_ENV", "stage")
    with pytest.raises(AssertionError, match="has no environment stage"):
        module(package, "settings")


def test_prod_names_the_variable_that_is_missing(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = f"prod.tracking_uri is '${{{VARIABLE}}}': Value error, this environment variable is"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    for value in (None, ""):
        if value is not None:
            monkeypatch.setenv(VARIABLE, value)
        with pytest.raises(SystemExit) as ended:
            settings.read("prod")
        assert said in str(ended.value.code)
    monkeypatch.setenv(VARIABLE, PASSWORD)
    prod = settings.read("prod")
    assert (prod.tracking_uri, prod.registered_name) == (PASSWORD, NAME)


# --- the steps, by make -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(workspace: Path, package: Path) -> Path:
    """The output of `make pipeline ENV=test`."""
    done = make(package, "pipeline", "ENV=test")
    assert done.returncode == 0, done.stdout
    assert "version 1 in test, rmse 0.690" in done.stdout
    return workspace / "output" / "test"


@needs_make
def test_make_runs_the_three_steps_and_the_course_has_no_trace_of_it(
    made: Path, workspace: Path
) -> None:
    assert sorted(file.name for file in (made / "pipeline").iterdir()) == [
        *("predictions.parquet", "report.json", "test.parquet", "train.parquet")
    ]
    (version,) = versions(made / "mlflow.db")
    assert version.tags["environment"] == "test"
    assert (made / "mlruns").is_dir()
    assert versions(workspace / "mlflow.db") == []
    assert not (workspace / "mlruns").exists()
    assert not list((workspace / "solutions").rglob("mlruns"))
    predictions = pd.read_parquet(made / "pipeline" / "predictions.parquet")
    assert len(predictions) == 600 and set(predictions["version"]) == {1}


@needs_make
def test_make_stops_at_the_first_step_that_fails(package: Path) -> None:
    done = make(package, "pipeline", "ENV=stage")
    assert done.returncode != 0
    assert done.stdout.count("has no environment stage") == 1
    assert "train_register" not in done.stdout and "Traceback" not in done.stdout


@needs_make
def test_the_environment_of_make_is_not_a_variable_of_the_shells(package: Path) -> None:
    """For sh, ENV is the file that it reads first."""
    done = make(package, "-n", "pipeline", ENV="/etc/profile")
    assert done.stdout.count('--env "dev"') == 3


@needs_make
def test_the_packages_own_tests_pass(package: Path) -> None:
    done = make(package, "test")
    assert done.returncode == 0, done.stdout


# --- the same model, to the last bit ------------------------------------------------------------


def coefficients(store: Path, number: int) -> tuple[bytes, ...]:
    """All that a version's model has learned, as bytes."""
    uri = f"sqlite:///{store.as_posix()}"
    model_id = versions(store)[number - 1].source.rpartition("/")[2]
    location = mlflow.MlflowClient(uri, uri).get_logged_model(model_id).artifact_location
    model = mlflow.sklearn.load_model(location)
    scaler, elastic_net = model[0], model[-1]
    learned = (scaler.mean_, scaler.scale_, elastic_net.coef_, np.array(elastic_net.intercept_))
    return tuple(numbers.tobytes() for numbers in learned)


def tags(version: Any) -> dict[str, str]:
    """What a version says of its table, its model and its RMSE."""
    names = ("environment", "train_digest", "test_digest", "model_digest", "rmse")
    return {name: version.tags[name] for name in names}


@needs_make
def test_notebooks_give_the_same_model_as_the_scripts(
    made: Path, package: Path, workspace: Path
) -> None:
    variables = {"WINEOPS_ENV": "test", "WINEOPS_OUTPUT": str(workspace / "by notebook")}
    for notebook in sorted((package / "notebooks").glob("*.ipynb")):
        read = nbformat.read(notebook, as_version=4)
        nbformat.validate(read)
        cells = [cell for cell in read.cells if cell.cell_type == "code"]
        assert not any(cell.outputs for cell in cells)
        code = Code(
            notebook.name,
            tuple(cell.source for cell in cells),
            folder=f"solutions/{BLOCK.name}/notebooks",
        )
        outcome = execute(code, workspace, Where.KERNEL, environment=variables)
        assert not outcome.error, outcome.error
    mine = workspace / "by notebook" / "test"
    (one,), (other,) = versions(made / "mlflow.db"), versions(mine / "mlflow.db")
    assert tags(one) == tags(other)
    assert coefficients(made / "mlflow.db", 1) == coefficients(mine / "mlflow.db", 1)
    for name in TABLES:
        by_script, by_notebook = (
            (folder / "pipeline" / f"{name}.parquet").read_bytes() for folder in (made, mine)
        )
        assert by_script == by_notebook, name


@needs_make
def test_the_order_of_the_table_changes_nothing_and_a_value_does(
    made: Path, workspace: Path, tmp_path: Path
) -> None:
    wines = pd.read_csv(workspace / "data" / "red-wine-quality.csv", sep=";")
    shuffled = wines.sample(frac=1, random_state=1)
    changed = shuffled.replace({"alcohol": {9.4: 9.5}})
    for name, table in (("shuffled", shuffled), ("changed", changed)):
        folder, output = tmp_path / name, tmp_path / f"{name} out"
        folder.mkdir()
        table.to_csv(folder / "red-wine-quality.csv", sep=";", index=False)
        variables = {"WINEOPS_DATA": str(folder), "WINEOPS_OUTPUT": str(output)}
        outcome = run(workspace, "wineops.process_data --env test", **variables)
        assert not outcome.error, outcome.error
        same = [
            (output / "test" / "pipeline" / f"{part}.parquet").read_bytes()
            == (made / "pipeline" / f"{part}.parquet").read_bytes()
            for part in ("train", "test")
        ]
        assert all(same) == (name == "shuffled")


def test_a_split_of_an_unsorted_file_gives_another_model(package: Path, workspace: Path) -> None:
    """What the lesson's first question says, with the split of the whole course."""
    wines = pd.read_csv(workspace / "data" / "red-wine-quality.csv", sep=";")
    training = module(package, "train_register")
    found = []
    for table in (wines, wines.sample(frac=1, random_state=1)):
        train, _ = module(package, "wines").split(table.drop_duplicates(ignore_index=True))
        learned = training.coefficients(training.train(train)).set_index("measurement")
        found.append(learned.loc["alcohol", "coefficient"])
    assert 0.9 < found[1] / found[0] < 0.91


@needs_make
def test_training_again_gives_another_version_of_the_same_model(
    made: Path, workspace: Path
) -> None:
    before = (made / "pipeline" / "predictions.parquet").read_bytes()
    steps = (f"wineops.{step} --env test" for step in ("process_data", "train_register"))
    outcome = run(workspace, *steps)
    assert not outcome.error, outcome.error
    first, *_, last = versions(made / "mlflow.db")
    assert tags(first) == tags(last) and first.version != last.version
    # Only `predict` writes predictions.
    assert (made / "pipeline" / "predictions.parquet").read_bytes() == before


# --- a step without its predecessor -------------------------------------------------------------


def test_a_step_without_its_predecessor_ends_in_a_sentence_and_writes_nothing(
    workspace: Path, tmp_path: Path
) -> None:
    output = {"WINEOPS_OUTPUT": str(tmp_path)}
    outcome = run(workspace, "wineops.train_register --env test", **output)
    assert outcome.last_line.startswith("SystemExit: There is no ")
    assert "run `python -m wineops.process_data --env test` first" in outcome.last_line
    assert list(tmp_path.iterdir()) == []
    outcome = run(
        workspace, "wineops.process_data --env test", "wineops.predict --env test", **output
    )
    assert "run `python -m wineops.train_register --env test` first" in outcome.last_line
    assert not (tmp_path / "test" / "pipeline" / "predictions.parquet").exists()


@pytest.fixture
def process(package: Path, tmp_path: Path) -> Iterator[Any]:
    """The module process_data, which writes into a folder of its own."""
    process = module(package, "process_data")
    process.settings.output = tmp_path
    yield process


def test_what_was_interrupted_or_changed_is_not_taken_for_a_table(
    process: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    wines = process.clean(process.read_table())
    tables = process.make_tables(wines)
    process.save(tables, 1599, len(wines))
    for name, table in process.read_tables().items():
        pd.testing.assert_frame_equal(table, tables[name].reset_index(drop=True))
    process.write(tables["train"].head(5), "train")
    with pytest.raises(SystemExit, match=r"train\.parquet is not the table of report.json: run"):
        process.read_tables()

    def full(table: pd.DataFrame, path: Path, **_: Any) -> None:
        path.write_bytes(b"PAR1")
        raise OSError("No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", full)
    before = (process.folder() / "train.parquet").read_bytes()
    with pytest.raises(OSError, match="No space left"):
        process.save(tables, 1599, len(wines))
    assert (process.folder() / "train.parquet").read_bytes() == before
    with pytest.raises(SystemExit, match=r"There is no .*report\.json: run"):
        process.read_tables()


# --- programs of earlier blocks -----------------------------------------------------------------


def test_an_earlier_program_runs_as_before(workspace: Path) -> None:
    """In dev, which is the course's own store."""
    outcome = run(workspace, "wineops.compare")
    assert not outcome.error, outcome.error
    assert "elasticnet" in outcome.printed
    uri = f"sqlite:///{(workspace / 'mlflow.db').as_posix()}"
    client = mlflow.MlflowClient(uri, uri)
    experiment = client.get_experiment_by_name("wine-quality")
    assert experiment is not None
    assert len(client.search_runs([experiment.experiment_id])) == 9
