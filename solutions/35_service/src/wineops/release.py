"""Release a model in two steps, or take a release back.

python -m wineops.release candidate 3     step 1: the winner of a challenge becomes the candidate
python -m wineops.release champion 3      step 2: a smoke test, then it is the champion
python -m wineops.release rollback        the champion is the previous one again
python -m wineops.release unlock          after a release that was killed
"""

import argparse
import os
import platform
import time
from contextlib import contextmanager
from datetime import datetime

import mlflow
import numpy as np

from wineops import settings

NAME = settings.registered_name
LOCK = f"{NAME}.release-lock"


@contextmanager
def locked(client, patience=10):
    """Hold off every other release for as long as the `with` lasts.

    The lock is the name of a registered model: the registry has each name once, so that of two
    who create it only one succeeds. The other waits, `patience` seconds at most.
    """
    who = f"process {os.getpid()} on {platform.node()}"
    tags = {"who": who, "since": f"{datetime.now():%Y-%m-%d %H:%M:%S}"}
    end = time.time() + patience
    while True:
        try:
            client.create_registered_model(LOCK, tags=tags)
            break
        except mlflow.MlflowException as error:
            # The second: freed just now, before MLflow has seen whose it is.
            if error.error_code not in ("RESOURCE_ALREADY_EXISTS", "RESOURCE_DOES_NOT_EXIST"):
                raise
        if time.time() > end:
            raise SystemExit(
                f"Another release is going on: {holder(client)}. Now {state(client)}. If it was "
                "killed, free its lock with `python -m wineops.release unlock`, and try again."
            )
        time.sleep(0.1)
    try:
        yield
    finally:
        client.delete_registered_model(LOCK)


def holder(client):
    """Who has the lock, and since when; nothing where nobody has it."""
    found = client.search_registered_models(f"name = '{LOCK}'")
    return " since ".join(found[0].tags[key] for key in ("who", "since")) if found else ""


def unlock(client):
    """Free the lock that a killed release has left."""
    if not holder(client):
        raise SystemExit("There is no lock to free.")
    client.delete_registered_model(LOCK)


def state(client):
    """Which versions have the aliases of a release, in words."""
    aliases = client.get_registered_model(NAME).aliases
    known = [alias for alias in ("champion", "previous", "candidate") if alias in aliases]
    return ", ".join(f"{alias} is version {aliases[alias]}" for alias in known)


def must_have_won(client, version):
    """Stop unless a version has beaten the champion of this moment; return the champion."""
    champion = client.get_registered_model(NAME).aliases["champion"]
    if str(champion) == str(version):
        raise SystemExit(f"Version {version} is the champion already.")
    tags = client.get_model_version(NAME, version).tags
    result = tags.get("challenge", "never challenged anybody")
    if result != f"won against version {champion}":
        raise SystemExit(
            f"The champion is version {champion} now. Version {version}: {result}. It must win "
            f"against this champion first: `python -m wineops.challenge --version {version}`."
        )
    return champion


def make_candidate(client, version):
    """Give a version the alias candidate."""
    must_have_won(client, version)
    client.set_registered_model_alias(NAME, "candidate", version)


def smoke_test(client, version):
    """Stop unless a version loads, predicts its example, and wants the champion's columns."""
    champion = mlflow.models.get_model_info(f"models:/{NAME}@champion").signature
    try:
        model = mlflow.pyfunc.load_model(f"models:/{NAME}/{version}")
        columns = model.metadata.signature.inputs.input_names()
        works = np.isfinite(model.predict(model.input_example)).all()
    except Exception as error:  # whatever the model's own code raises
        raise SystemExit(f"Version {version} failed the smoke test: {error}") from error
    if columns != champion.inputs.input_names() or not works:
        raise SystemExit(f"Version {version} failed the smoke test: other columns, or no numbers.")


def promote(client, version):
    """Make a version the champion; the champion of until now becomes the previous one."""
    champion = must_have_won(client, version)
    smoke_test(client, version)
    client.set_registered_model_alias(NAME, "previous", champion)
    client.set_registered_model_alias(NAME, "champion", version)
    client.delete_registered_model_alias(NAME, "candidate")


def rollback(client):
    """Make the previous version the champion again."""
    aliases = client.get_registered_model(NAME).aliases
    if "previous" not in aliases:
        raise SystemExit("No version has the alias previous: there is nothing to go back to.")
    client.set_registered_model_alias(NAME, "champion", aliases["previous"])


def release(client, step, version=None):
    """Take one step, with the lock held; refuse with a sentence."""
    with locked(client):
        if step == "candidate":
            make_candidate(client, version)
        elif step == "champion":
            candidate = client.get_registered_model(NAME).aliases.get("candidate")
            if str(candidate) != str(version):
                raise SystemExit(f"The candidate is version {candidate}, not {version}.")
            promote(client, version)
        else:
            rollback(client)
    print(f"Now {state(client)}.")


def main():
    """Take the step that the command line names."""
    parser = argparse.ArgumentParser(description="Release a model, or take a release back.")
    steps = parser.add_subparsers(dest="step", required=True)
    for step in ("candidate", "champion"):
        steps.add_parser(step).add_argument("version", type=int)
    for step in ("rollback", "unlock"):
        steps.add_parser(step)
    words = parser.parse_args()
    client = settings.open_store()
    if words.step == "unlock":
        unlock(client)
        print(f"Now {state(client)}.")
    else:
        release(client, words.step, getattr(words, "version", None))


if __name__ == "__main__":
    main()
