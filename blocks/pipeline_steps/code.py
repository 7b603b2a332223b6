# %% readme-block (given)
This is the package after the block `pipeline_steps` of Wine Lab, built from `blocks/pipeline_steps/code.py` and those before it.

# %% folder-pipeline (given)
(package / "notebooks").mkdir(exist_ok=True)

# %% readme-pipeline (given)
## The pipeline

Three steps: `process_data` cleans and splits the wine table, `train_register` trains a model and registers
it, `predict` applies the newest version of its environment to the new wines. `config.yaml` says where each
environment reads and writes: `dev` by default, `test` to try things out (delete `output/test` when you
like), `prod`, which takes its address from `WINEOPS_PROD_TRACKING_URI`. Every program of the package obeys
`WINEOPS_ENV`.

    make pipeline ENV=test
    make test

Without make, on Windows too, in this folder and with `PYTHONPATH` set to `src` (the first one only checks
`config.yaml`):

    python -m wineops.settings --env test
    python -m wineops.process_data --env test
    python -m wineops.train_register --env test
    python -m wineops.predict --env test

`notebooks/` has a notebook for each step. It calls the same functions, and gives the same model.

# %% needs-pipeline (given)
    "pydantic",
    "PyYAML",

# %% makefile (given)
# make test                the package's own tests
# make pipeline ENV=test   the three steps in an environment of config.yaml
ENV = dev
PYTHON ?= python
export PYTHONPATH = src
export PYTHONUTF8 = 1

.PHONY: test pipeline

test:
	"$(PYTHON)" -m pytest

pipeline:
	"$(PYTHON)" -m wineops.process_data --env "$(ENV)"
	"$(PYTHON)" -m wineops.train_register --env "$(ENV)"
	"$(PYTHON)" -m wineops.predict --env "$(ENV)"

# %% config-top (given)
# Where each environment reads and writes, and what it trains.
# Paths begin in this folder. ${NAME} is the environment variable NAME, and
# ${NAME:-value} is that variable, or the value where it isn't set.

# %% config-dev (given)
dev:
  data_folder: ${WINEOPS_DATA:-../../data}
  output: ${WINEOPS_OUTPUT:-../../output}
  tracking_uri: ${MLFLOW_TRACKING_URI:-sqlite:///../../mlflow.db}
  experiment: wine-quality
  registered_name: wine-quality-elasticnet
  alpha: 0.01
  l1_ratio: 0.3

# %% config-test (given)
test: # small, and thrown away
  data_folder: ${WINEOPS_DATA:-../../data}
  output: ${WINEOPS_OUTPUT:-../../output}/test
  tracking_uri: sqlite:///${WINEOPS_OUTPUT:-../../output}/test/mlflow.db
  experiment: wine-quality
  registered_name: wine-quality-elasticnet
  alpha: 0.01
  l1_ratio: 0.3
  max_rows: 400

# %% config-prod (given)
prod:
  data_folder: ${WINEOPS_DATA:-../../data}
  output: ${WINEOPS_OUTPUT:-../../output}/prod
  tracking_uri: https://wineops:grape-4711@mlflow.example.org
  experiment: wine-quality
  registered_name: wine-quality-elasticnet
  alpha: 0.01
  l1_ratio: 0.3

# %% config-prod
#: one value of `prod` doesn't belong into a repository. Find it. Take it
#: from the environment variable WINEOPS_PROD_TRACKING_URI instead. If
#: that isn't set, nothing may be guessed.
#: hint: Everybody who may read the code can read this file, and Git remembers every line that ever
#: stood in it. Which of the values would you not print on a poster? The comment on top of the file says
#: how a variable is named.
#: hint: `tracking_uri: ${WINEOPS_PROD_TRACKING_URI}`, without `:-`: there's no value to fall back on.
prod:
  data_folder: ${WINEOPS_DATA:-../../data}
  output: ${WINEOPS_OUTPUT:-../../output}/prod
  tracking_uri: ${WINEOPS_PROD_TRACKING_URI}
  experiment: wine-quality
  registered_name: wine-quality-elasticnet
  alpha: 0.01
  l1_ratio: 0.3

# %% settings (given)
"""Read the settings of an environment from config.yaml: where to read and write, what to train.

python -m wineops.settings --env test
"""

import argparse
import os
import re
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, ValidationError

home = Path(__file__).resolve().parents[2]  # the folder with config.yaml
config_file = home / "config.yaml"

# %% values (given)
def fill_in(value):
    """Put environment variables in place of ${NAME} and ${NAME:-value}."""

    def look_up(found):
        filled = os.environ.get(found["name"]) or found["value"]
        if filled is None:
            raise ValueError("this environment variable is not set")
        return filled

    if not isinstance(value, str):
        return value
    return re.sub(r"\$\{(?P<name>\w+)(:-(?P<value>[^}]*))?\}", look_up, value)


def from_home(path):
    """Let a path begin in the folder of config.yaml, whatever folder a program runs in."""
    return (home / path).resolve()


def with_path_from_home(address):
    """The same for the file in the address of an SQLite store."""
    path = address.removeprefix("sqlite:///")
    return address if path == address else f"sqlite:///{from_home(path).as_posix()}"


Text = Annotated[str, Field(min_length=1), BeforeValidator(fill_in)]
Folder = Annotated[Path, BeforeValidator(fill_in), AfterValidator(from_home)]
Address = Annotated[Text, AfterValidator(with_path_from_home)]

# %% environment (given)
class Environment(BaseModel):
    """The keys of an environment in config.yaml, their types, and what their values may be."""

    data_folder: Folder
    output: Folder
    tracking_uri: Address
    experiment: Text
    registered_name: Text
    alpha: float
    l1_ratio: float
    max_rows: int | None = None

# %% environment
#: let the class refuse what can't be right: a key that it doesn't know
#: (a misspelt one), an alpha that isn't above 0, an l1_ratio that isn't
#: between 0 and 1 (both may be), and fewer than 20 rows.
#: hint: Keys that a class doesn't know are an option of the class, `extra`, as in the example.
#: What a number may be is said by `Field`: "greater than" is `gt`, "greater or equal" is `ge`, and for
#: less there are `lt` and `le`.
#: hint: `class Environment(BaseModel, extra="forbid"):`, `alpha: float = Field(gt=0)`, `l1_ratio: float =
#: Field(ge=0, le=1)`, `max_rows: int | None = Field(default=None, ge=20)`.
class Environment(BaseModel, extra="forbid"):
    """The keys of an environment in config.yaml, their types, and what their values may be."""

    data_folder: Folder
    output: Folder
    tracking_uri: Address
    experiment: Text
    registered_name: Text
    alpha: float = Field(gt=0)
    l1_ratio: float = Field(ge=0, le=1)
    max_rows: int | None = Field(default=None, ge=20)

# %% sentences (given)
def sentences(environment, error):
    """Say of each wrong key of an environment where it stands, what it is, and what is wrong."""
    return [str(error)]

# %% sentences
#: `error.errors()` is a list with a dictionary for each wrong key.
#: Return a list with a sentence for each: the file, the path of the key,
#: such as test.alpha, its value, and what pydantic says ("msg"). Of a
#: missing key say that it is missing, and show no value: what does
#: "input" hold then?
#: hint: Print `error.errors()` once, in the small example. "loc" holds the path below the environment,
#: as a tuple. For a missing key, "type" is "missing", and "input" is the whole section: in prod, with
#: an address that should not be in a log.
#: hint: `for wrong in error.errors():`, and in it `path = ".".join([environment, *map(str,
#: wrong["loc"])])`, then `value = "missing" if wrong["type"] == "missing" else repr(wrong["input"])`. Append
#: `f"config.yaml: {path} is {value}: {wrong['msg']}."` to a list.
def sentences(environment, error):
    """Say of each wrong key of an environment where it stands, what it is, and what is wrong."""
    found = []
    for wrong in error.errors():
        path = ".".join([environment, *map(str, wrong["loc"])])
        value = "missing" if wrong["type"] == "missing" else repr(wrong["input"])
        found.append(f"config.yaml: {path} is {value}: {wrong['msg']}.")
    return found

# %% read-config (given)
def read(name):
    """Return an environment of config.yaml; a wrong one ends the program with its sentences."""
    try:
        with config_file.open("rb") as file:
            environments = yaml.safe_load(file)
    except (OSError, yaml.YAMLError) as error:
        raise SystemExit(f"config.yaml cannot be read: {' '.join(str(error).split())}.") from None
    known = environments if isinstance(environments, dict) else {}
    if name not in known:
        there = ", ".join(map(str, known)) or "none at all"
        raise SystemExit(f"config.yaml has no environment {name}. It has {there}.")
    try:
        return Environment.model_validate(known[name])
    except ValidationError as error:
        raise SystemExit("\n".join(sentences(name, error))) from None

# %% settings-end (given)
def use(name):
    """Make an environment of config.yaml the one that all modules of the package work in."""
    global environment, data_folder, output, experiment, registered_name, alpha, l1_ratio, max_rows
    chosen = read(name)
    environment, data_folder, output = name, chosen.data_folder, chosen.output
    experiment, registered_name = chosen.experiment, chosen.registered_name
    alpha, l1_ratio, max_rows = chosen.alpha, chosen.l1_ratio, chosen.max_rows


def use_from_command_line(description):
    """Use the environment that --env names; without it, the one of WINEOPS_ENV."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--env", default=environment, help=f"of config.yaml (now: {environment})")
    use(parser.parse_args().env)


def open_store():
    """Open the store of this environment, with its experiment; return a client of it."""
    import mlflow  # takes seconds to load, and not every program needs it

    output.mkdir(parents=True, exist_ok=True)
    address = read(environment).tracking_uri  # MLFLOW_TRACKING_URI may have changed by now
    mlflow.set_tracking_uri(address)
    client = mlflow.MlflowClient()
    if client.get_experiment_by_name(experiment) is None:
        # Beside a file, as in the course; a server knows where models go.
        database = address.removeprefix("sqlite:///")
        folder = (Path(database).parent / "mlruns").as_uri() if database != address else None
        client.create_experiment(experiment, artifact_location=folder)
    mlflow.set_experiment(experiment)
    return client


def main():
    """Say whether an environment of config.yaml is right."""
    use_from_command_line(__doc__)
    print(f"config.yaml: all keys of {environment} are right.")


use(os.environ.get("WINEOPS_ENV") or "dev")

if __name__ == "__main__":
    main()

# %% process-imports (given)
"""Clean the wine table, and split it into a training and a test table.

python -m wineops.process_data --env test
"""

import hashlib
import json

import pandas as pd

from wineops import settings
from wineops.wines import read_table, split

# %% clean (given)
def clean(wines):
    """The same table for the same wines, whatever order they come in."""
    return wines

# %% clean
#: return each wine once, none with a missing value, numbered from 0, and
#: in an order that depends on the wines alone: two files with the same
#: wines in another order must give the same table.
#: hint: If you sort by one column, wines that are equal there stay in the order of the file. After
#: sorting, each row still has the number that it had in the file: `ignore_index=True` gives new ones.
#: hint: `wines = wines.dropna().drop_duplicates()`, then `return wines.sort_values(list(wines.columns),
#: ignore_index=True)`.
def clean(wines):
    """The same table for the same wines, whatever order they come in."""
    wines = wines.dropna().drop_duplicates()
    return wines.sort_values(list(wines.columns), ignore_index=True)

# %% tables (given)
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

# %% process-main (given)
def main():
    """Read, clean, split and write."""
    settings.use_from_command_line(__doc__)
    wines = read_table()
    cleaned = clean(wines)
    report = save(make_tables(cleaned), len(wines), len(cleaned))
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()

# %% train-imports (given)
"""Train a model on the table of process_data, evaluate it, and register it.

python -m wineops.train_register --env test
"""

from importlib import metadata

import mlflow
import pandas as pd
from mlflow.models import infer_signature
from sklearn.linear_model import ElasticNet
from sklearn.metrics import root_mean_squared_error
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from wineops import settings
from wineops.process_data import digest, read_tables

# %% train-model (given)
def train(wines):
    """Fit the model of this environment."""
    elastic_net = ElasticNet(alpha=settings.alpha, l1_ratio=settings.l1_ratio, random_state=42)
    model = make_pipeline(StandardScaler(), elastic_net)
    return model.fit(wines.drop(columns="quality"), wines["quality"])


def coefficients(model):
    """All that a model has learned, a row a measurement: equal tables are equal models."""
    scaler, elastic_net = model[0], model[-1]
    return pd.DataFrame(
        {
            "measurement": model.feature_names_in_,
            "mean": scaler.mean_,
            "scale": scaler.scale_,
            "coefficient": elastic_net.coef_,
            "intercept": elastic_net.intercept_,
        }
    )

# %% log-model (given)
def log(model, tables):
    """Log a model in a run of its own, with its settings, its tables and its RMSE."""
    X_test, y_test = tables["test"].drop(columns="quality"), tables["test"]["quality"]
    predictions = model.predict(X_test)
    signature = infer_signature(X_test, predictions)
    requirements = [f"{name}=={metadata.version(name)}" for name in ("scikit-learn", "skops")]
    with mlflow.start_run(run_name="pipeline"):
        mlflow.set_tag("environment", settings.environment)
        mlflow.log_params({"alpha": settings.alpha, "l1_ratio": settings.l1_ratio})
        for name, table in tables.items():
            mlflow.set_tag(f"{name}_digest", digest(table))
            dataset = mlflow.data.from_pandas(table, name=f"pipeline-{name}", targets="quality")
            mlflow.log_input(dataset, context=name)
        mlflow.set_tag("model_digest", digest(coefficients(model)))
        mlflow.log_metric("rmse", root_mean_squared_error(y_test, predictions))
        return mlflow.sklearn.log_model(
            model, name="model", signature=signature, pip_requirements=requirements
        )

# %% register-version (given)
def register(client, model_info):
    """Register a logged model; its version says which environment, tables and model it is."""
    run = client.get_run(model_info.run_id)
    names = ("environment", "train_digest", "test_digest", "model_digest")
    tags = {name: run.data.tags[name] for name in names}
    tags["rmse"] = str(run.data.metrics["rmse"])
    return mlflow.register_model(model_info.model_uri, settings.registered_name, tags=tags)

# %% train-main (given)
def main():
    """Read the tables, train, log and register."""
    settings.use_from_command_line(__doc__)
    tables = read_tables()
    client = settings.open_store()
    model = train(tables["train"])
    version = register(client, log(model, tables))
    rmse = float(version.tags["rmse"])
    print(f"version {version.version} in {settings.environment}, rmse {rmse:.3f}")
    print("training table", version.tags["train_digest"])
    print("model         ", version.tags["model_digest"])


if __name__ == "__main__":
    main()

# %% predict-imports (given)
"""Predict the quality of the new wines by the newest version of this environment.

python -m wineops.predict --env test
"""

import mlflow

from wineops import settings
from wineops.process_data import write
from wineops.wines import read_table

NEW_WINES = "new-red-wines.csv"

# %% newest-version (given)
def newest_version(client):
    """The newest version that this environment has registered."""
    found = client.search_model_versions(f"name='{settings.registered_name}'")
    return max(found, key=lambda version: int(version.version))

# %% newest-version
#: two environments may share one registry, and then the newest version of
#: all may be another environment's. Take only versions whose tag
#: "environment" is `settings.environment`. Where there is none, end the
#: program with a sentence that says which step to run first.
#: hint: A search's filter may name a tag, or you look at `version.tags`, where some versions have no
#: such tag. `max` of nothing is a ValueError, which no colleague understands: ask before.
#: hint: add `f" and tags.environment = '{settings.environment}'"` to the filter. Then `if not found:` and
#: `raise SystemExit(f"{settings.environment} has no version: run wineops.train_register first.")`.
def newest_version(client):
    """The newest version that this environment has registered."""
    found = client.search_model_versions(
        f"name='{settings.registered_name}' and tags.environment = '{settings.environment}'"
    )
    if not found:
        again = f"run `python -m wineops.train_register --env {settings.environment}` first."
        raise SystemExit(f"There is no version of this environment: {again}")
    return max(found, key=lambda version: int(version.version))

# %% predict-wines (given)
def predict(version, wines):
    """The wines with the predictions of a version, and its number."""
    model = mlflow.pyfunc.load_model(f"models:/{version.name}/{version.version}")
    predictions = model.predict(wines.drop(columns="quality"))
    return wines.assign(prediction=predictions, version=int(version.version))


def save(predictions):
    """Write the predictions beside the other tables of the pipeline."""
    write(predictions, "predictions")

# %% predict-main (given)
def main():
    """Find the version, predict and write."""
    settings.use_from_command_line(__doc__)
    version = newest_version(settings.open_store())
    predictions = predict(version, read_table(NEW_WINES))
    save(predictions)
    mean = predictions["prediction"].mean()
    print(f"{len(predictions)} wines, by version {version.version}: {mean:.2f} on average")


if __name__ == "__main__":
    main()

# %% notebook-process (given)
{
 "cells": [
  {
   "cell_type": "markdown",
   "id": "process-0",
   "metadata": {},
   "source": [
    "# 1. Process the data\n",
    "\n",
    "The same functions as `python -m wineops.process_data`, with a look at the tables in between. The\n",
    "environment is the one that WINEOPS_ENV names, or dev."
   ]
  },
  {
   "cell_type": "code",
   "execution_count": null,
   "id": "process-1",
   "metadata": {},
   "outputs": [],
   "source": [
    "import sys\n",
    "\n",
    "sys.path.insert(0, \"../src\")\n",
    "\n",
    "from wineops import settings\n",
    "from wineops.process_data import clean, digest, make_tables, save\n",
    "from wineops.wines import read_table\n",
    "\n",
    "settings.environment"
   ]
  },
  {
   "cell_type": "code",
   "execution_count": null,
   "id": "process-2",
   "metadata": {},
   "outputs": [],
   "source": [
    "wines = read_table()\n",
    "wines.describe().round(2)"
   ]
  },
  {
   "cell_type": "code",
   "execution_count": null,
   "id": "process-3",
   "metadata": {},
   "outputs": [],
   "source": [
    "cleaned = clean(wines)\n",
    "print(len(wines), \"rows, of which\", len(cleaned), \"are left\")\n",
    "cleaned.head()"
   ]
  },
  {
   "cell_type": "code",
   "execution_count": null,
   "id": "process-4",
   "metadata": {},
   "outputs": [],
   "source": [
    "tables = make_tables(cleaned)\n",
    "{part: (len(table), digest(table)) for part, table in tables.items()}"
   ]
  },
  {
   "cell_type": "code",
   "execution_count": null,
   "id": "process-5",
   "metadata": {},
   "outputs": [],
   "source": [
    "save(tables, len(wines), len(cleaned))"
   ]
  }
 ],
 "metadata": {
  "kernelspec": {
   "display_name": "Python 3 (ipykernel)",
   "language": "python",
   "name": "python3"
  },
  "language_info": {
   "name": "python"
  }
 },
 "nbformat": 4,
 "nbformat_minor": 5
}

# %% notebook-train (given)
{
 "cells": [
  {
   "cell_type": "markdown",
   "id": "train-0",
   "metadata": {},
   "source": [
    "# 2. Train and register\n",
    "\n",
    "The same functions as `python -m wineops.train_register`, with a look at the model in between."
   ]
  },
  {
   "cell_type": "code",
   "execution_count": null,
   "id": "train-1",
   "metadata": {},
   "outputs": [],
   "source": [
    "import sys\n",
    "\n",
    "sys.path.insert(0, \"../src\")\n",
    "\n",
    "from wineops import settings\n",
    "from wineops.process_data import digest, read_tables\n",
    "from wineops.train_register import coefficients, log, register, train\n",
    "\n",
    "client = settings.open_store()\n",
    "settings.environment"
   ]
  },
  {
   "cell_type": "code",
   "execution_count": null,
   "id": "train-2",
   "metadata": {},
   "outputs": [],
   "source": [
    "tables = read_tables()\n",
    "tables[\"train\"].head()"
   ]
  },
  {
   "cell_type": "code",
   "execution_count": null,
   "id": "train-3",
   "metadata": {},
   "outputs": [],
   "source": [
    "model = train(tables[\"train\"])\n",
    "print(\"digest of the coefficients:\", digest(coefficients(model)))\n",
    "coefficients(model)"
   ]
  },
  {
   "cell_type": "code",
   "execution_count": null,
   "id": "train-4",
   "metadata": {},
   "outputs": [],
   "source": [
    "model_info = log(model, tables)\n",
    "client.get_run(model_info.run_id).data.metrics"
   ]
  },
  {
   "cell_type": "code",
   "execution_count": null,
   "id": "train-5",
   "metadata": {},
   "outputs": [],
   "source": [
    "register(client, model_info)"
   ]
  }
 ],
 "metadata": {
  "kernelspec": {
   "display_name": "Python 3 (ipykernel)",
   "language": "python",
   "name": "python3"
  },
  "language_info": {
   "name": "python"
  }
 },
 "nbformat": 4,
 "nbformat_minor": 5
}

# %% notebook-predict (given)
{
 "cells": [
  {
   "cell_type": "markdown",
   "id": "predict-0",
   "metadata": {},
   "source": [
    "# 3. Predict\n",
    "\n",
    "The same functions as `python -m wineops.predict`, with a look at the predictions."
   ]
  },
  {
   "cell_type": "code",
   "execution_count": null,
   "id": "predict-1",
   "metadata": {},
   "outputs": [],
   "source": [
    "import sys\n",
    "\n",
    "sys.path.insert(0, \"../src\")\n",
    "\n",
    "from wineops import settings\n",
    "from wineops.predict import NEW_WINES, newest_version, predict, save\n",
    "from wineops.wines import read_table\n",
    "\n",
    "client = settings.open_store()\n",
    "version = newest_version(client)\n",
    "version"
   ]
  },
  {
   "cell_type": "code",
   "execution_count": null,
   "id": "predict-2",
   "metadata": {},
   "outputs": [],
   "source": [
    "predictions = predict(version, read_table(NEW_WINES))\n",
    "predictions[[\"alcohol\", \"prediction\"]].describe().round(2)"
   ]
  },
  {
   "cell_type": "code",
   "execution_count": null,
   "id": "predict-3",
   "metadata": {},
   "outputs": [],
   "source": [
    "save(predictions)"
   ]
  }
 ],
 "metadata": {
  "kernelspec": {
   "display_name": "Python 3 (ipykernel)",
   "language": "python",
   "name": "python3"
  },
  "language_info": {
   "name": "python"
  }
 },
 "nbformat": 4,
 "nbformat_minor": 5
}

# %% test-pipeline (given)
"""The configuration, and the three steps on a few wines in a store that is thrown away."""

import numpy as np
import pandas as pd
import pytest

from wineops import predict, process_data, settings, train_register
from wineops.wines import read_table


@pytest.fixture
def small(tmp_path, monkeypatch):
    """The environment test on 80 made-up wines, with all that it writes in a temporary folder."""
    values = np.random.default_rng(1).normal(5, 1, (80, 12)).round(2)
    table = pd.DataFrame(values, columns=[*"abcdefghijk", "quality"])
    table.to_csv(tmp_path / "red-wine-quality.csv", sep=";", index=False)
    monkeypatch.setenv("WINEOPS_DATA", str(tmp_path))
    monkeypatch.setenv("WINEOPS_OUTPUT", str(tmp_path))
    before = settings.environment
    settings.use("test")
    yield
    monkeypatch.undo()
    settings.use(before)


@pytest.mark.parametrize("name", ["dev", "test", "prod"])
def test_each_environment_is_right(name, monkeypatch):
    monkeypatch.setenv("WINEOPS_PROD_TRACKING_URI", "https://mlflow.example.org")
    assert settings.read(name).alpha > 0


def test_a_wrong_key_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "config_file", tmp_path / "config.yaml")
    settings.config_file.write_text("dev: {alpha: -1, alfa: 1}", encoding="utf-8")
    with pytest.raises(SystemExit, match=r"dev\.alpha is -1"):
        settings.read("dev")


def test_the_order_of_the_file_changes_nothing(small):
    wines = read_table()
    shuffled = wines.sample(frac=1, random_state=1)
    one, other = (process_data.clean(table) for table in (wines, shuffled))
    pd.testing.assert_frame_equal(one, other)


def test_two_runs_give_the_same_model(small):
    with pytest.raises(SystemExit, match="process_data --env test"):
        process_data.read_tables()
    client = settings.open_store()
    with pytest.raises(SystemExit, match="train_register --env test"):
        predict.newest_version(client)
    wines = process_data.clean(read_table())
    process_data.save(process_data.make_tables(wines), len(wines), len(wines))
    digests = set()
    for _ in range(2):
        tables = process_data.read_tables()
        model_info = train_register.log(train_register.train(tables["train"]), tables)
        version = train_register.register(client, model_info)
        digests.add(version.tags["model_digest"])
    assert len(digests) == 1
    assert predict.newest_version(client).version == version.version

# %% run-pipeline (given)
for step in ("process_data", "train_register", "predict"):
    run(f"wineops.{step}", "--env", "test")

# %% wrong-config (given)
for environment in ("test", "prod", "stage"):
    run("wineops.settings", "--env", environment)

# %% look-pipeline (given)
import mlflow
import pandas as pd

written = package.parent / "test"
store = f"sqlite:///{(written / 'mlflow.db').as_posix()}"
for version in mlflow.MlflowClient(store, store).search_model_versions():
    print("version", version.version, "of", version.tags["environment"])
predictions = pd.read_parquet(written / "pipeline" / "predictions.parquet")
predictions[["alcohol", "sulphates", "quality", "prediction", "version"]].head().round(2)
