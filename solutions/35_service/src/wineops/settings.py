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


def sentences(environment, error):
    """Say of each wrong key of an environment where it stands, what it is, and what is wrong."""
    found = []
    for wrong in error.errors():
        path = ".".join([environment, *map(str, wrong["loc"])])
        value = "missing" if wrong["type"] == "missing" else repr(wrong["input"])
        found.append(f"config.yaml: {path} is {value}: {wrong['msg']}.")
    return found


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
