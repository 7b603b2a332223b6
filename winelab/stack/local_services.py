"""Run PostgreSQL, an S3 server and MLflow before them, from what is installed here."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from winelab.core.console import end_of_log
from winelab.core.errors import CourseError
from winelab.core.files import locked
from winelab.core.paths import ROOT
from winelab.stack.postgres import Postgres
from winelab.system.environment import venv_scripts
from winelab.system.serve import HOST, MARK, Server, start

BUCKET = "mlflow"
MLFLOW_PORT, S3_PORT = 5500, 9500

# One file for each place where the stack keeps its data; read by Docker Compose too.
SECRETS = ".env"
NAMES = ("POSTGRES_PASSWORD", "S3_ACCESS_KEY", "S3_SECRET_KEY")

# A person's own settings of the same programs are not for ours.
FOREIGN = ("AWS_", "BOTO_", "RCLONE_", "PG", "MLFLOW_")


def keep_secrets(folder: Path) -> dict[str, str]:
    """Return the passwords of the stack whose data are in `folder`; made up the first time.

    They stand in a file that only its owner can read, and nowhere else.
    """
    file = folder / SECRETS
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        draft = file.with_name(f"{SECRETS}.{secrets.token_hex(4)}")
        draft.touch(mode=0o600)
        lines = ["# Made by `make stack`. Whoever has it can read and change all runs."]
        lines += [f"{name}={secrets.token_hex(20)}" for name in NAMES]
        draft.write_text("\n".join([*lines, ""]), encoding="utf-8")
        draft.replace(file)
    lines = file.read_text(encoding="utf-8").splitlines()
    found = dict(line.split("=", 1) for line in lines if "=" in line and line[0] != "#")
    if lost := [name for name in NAMES if not found.get(name)]:
        raise CourseError(
            f"{file} holds no {lost[0]}: put it back, or remove the stack's data with the file."
        )
    return found


@dataclass
class Stack:
    """The stack while it runs."""

    folder: Path
    database: Postgres
    s3: Server
    mlflow: Server
    keys: dict[str, str] = field(repr=False)
    """What a client of the S3 server needs, as environment variables."""

    def check(self) -> None:
        """Raise CourseError, with the end of its log, when one of the servers has ended."""
        for name, ended, log in (
            ("PostgreSQL", not self.database.running(), self.database.log),
            ("the S3 server", self.s3.ended(), self.s3.log),
            ("MLflow's server", self.mlflow.ended(), self.mlflow.log),
        ):
            if ended:
                raise CourseError(f"{name} ended by itself: {end_of_log(log)}")


def rclone() -> str:
    """Return the path of rclone. Raises CourseError where there is none."""
    # The pinned one, before any other.
    folders = [str(venv_scripts(ROOT)), *os.get_exec_path()]
    if found := shutil.which("rclone", path=os.pathsep.join(folders)):
        return found
    raise CourseError(
        "rclone is not on this machine, and there is no build of it for `pip` here: "
        "install it (https://rclone.org/install), or start Docker."
    )


@contextlib.contextmanager
def local(folder: Path) -> Iterator[Stack]:
    """Run the stack with its data in `folder`, and stop it at the end of the block.

    Raises CourseError when something is missing, when a server does not start, or when the
    stack of this folder runs already.
    """
    # That it is missing is said before anything is made.
    rclone()
    words = keep_secrets(folder)
    logs = folder / "logs"
    with ExitStack() as stay:
        stay.enter_context(only_here(folder))
        database = Postgres(folder / "postgres", words["POSTGRES_PASSWORD"])
        # Each is stopped before the one that it needs: MLflow first, PostgreSQL last.
        stay.callback(database.stop)
        database.start()
        (folder / "s3").mkdir(exist_ok=True)
        s3 = start(lambda port: s3_server(folder, words, port), S3_PORT, folder, logs)
        stay.callback(s3.stop)
        keys = {
            "AWS_ACCESS_KEY_ID": words["S3_ACCESS_KEY"],
            "AWS_SECRET_ACCESS_KEY": words["S3_SECRET_KEY"],
            # Any will do, but one must be named.
            "AWS_DEFAULT_REGION": "us-east-1",
            "MLFLOW_S3_ENDPOINT_URL": s3.address,
        }
        make_bucket(keys, logs / "bucket.log")
        mlflow = start(
            lambda port: mlflow_server(database.url, keys, port), MLFLOW_PORT, folder, logs
        )
        stay.callback(mlflow.stop)
        yield Stack(folder, database, s3, mlflow, keys)


def only_here(folder: Path) -> IO[bytes]:
    """Take the folder's lock, until what is returned is closed.

    Raises CourseError when another process holds it.
    """
    try:
        return locked(folder / "running.lock", wait=False)
    except BlockingIOError as error:
        raise CourseError(f"the stack in {folder} runs already, in another terminal.") from error


def variables(**more: str) -> dict[str, str]:
    """Return the environment of a server. Secrets go here: a list of processes shows none."""
    kept = {name: v for name, v in os.environ.items() if not name.startswith(FOREIGN)}
    # They speak to each other on this machine alone, whatever proxy is set for the internet.
    local = ",".join(filter(None, [os.environ.get("NO_PROXY"), HOST]))
    return kept | {"NO_PROXY": local, "no_proxy": local} | more


def s3_server(folder: Path, words: dict[str, str], port: int) -> Server:
    """Return the S3 server for this port; its buckets are the folders of `folder`/s3."""
    command = [
        *(rclone(), "serve", "s3", str(folder / "s3"), "--addr", f"{HOST}:{port}"),
        # No settings file, the person's own least of all.
        *("--config", "", "--cache-dir", str(folder / "cache")),
    ]
    # One field of a list, therefore in quotes.
    key = f'"{words["S3_ACCESS_KEY"]},{words["S3_SECRET_KEY"]}"'
    return Server("s3", port, command, variables(RCLONE_AUTH_KEY=key))


def make_bucket(keys: dict[str, str], log: Path) -> None:
    """Make MLflow's bucket. Raises CourseError when the S3 server does not take our keys."""
    script = [sys.executable, str(ROOT / "stack" / "make_bucket.py")]
    settings = variables(S3_BUCKET=BUCKET, **keys)
    with log.open("wb") as output:
        done = subprocess.run(script, env=settings, stdout=output, stderr=subprocess.STDOUT)
    if done.returncode:
        raise CourseError(f"the bucket could not be made: {end_of_log(log)}")


def mlflow_server(database: str, keys: dict[str, str], port: int) -> Server:
    """Return MLflow's server for this port, its runs in `database`, its artifacts in the bucket."""
    mark = secrets.token_hex(16)
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port)),
        # Proxied: the server fetches and puts each file, and no client needs a key.
        *("--artifacts-destination", f"s3://{BUCKET}", "--workers", "1"),
        *("--uvicorn-opts", f"--header {MARK}:{mark}"),
    ]
    settings = variables(
        # Not an option: it holds the password.
        MLFLOW_BACKEND_STORE_URI=database,
        MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false",
        MLFLOW_DISABLE_TELEMETRY="true",
        **keys,
    )
    return Server("mlflow", port, command, settings, "/health", mark=mark)
