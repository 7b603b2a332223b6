"""PostgreSQL, an S3 server and MLflow before them, from what is installed on this machine."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from winelab.core.console import end_of
from winelab.core.errors import CourseError
from winelab.core.paths import ROOT
from winelab.core.processes import stop_group
from winelab.stack.postgres import Postgres, find, on_free_port
from winelab.system.environment import lock_at_once, venv_scripts
from winelab.system.serve import HOST, MARK, answers, start_server, wait_until

BUCKET = "mlflow"
MLFLOW_PORT, S3_PORT = 5500, 9500

# One file for each place where the stack keeps its data; read by Docker Compose too.
SECRETS = ".env"
NAMES = ("POSTGRES_PASSWORD", "S3_ACCESS_KEY", "S3_SECRET_KEY")

NO_RCLONE = (
    "rclone is not on this machine, and there is no build of it for `pip` here: install it "
    "(https://rclone.org/install), or start Docker."
)

# A person's own settings of the same programs are not for ours.
FOREIGN = ("AWS_", "BOTO_", "RCLONE_", "PG", "MLFLOW_")


def keep_secrets(folder: Path) -> dict[str, str]:
    """The passwords of the stack whose data are in `folder`; made up the first time.

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
class Part:
    """A server of the stack that runs."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def ended(self) -> bool:
        """True once it has ended by itself."""
        return self.process.poll() is not None


@dataclass
class Stack:
    """The stack while it runs."""

    folder: Path
    database: Postgres
    s3: Part
    mlflow: Part
    keys: dict[str, str] = field(repr=False)
    """What a client of the S3 server needs, as environment variables."""

    @property
    def uri(self) -> str:
        """The address of MLflow's server."""
        return f"http://{HOST}:{self.mlflow.port}"

    @property
    def endpoint(self) -> str:
        """The address of the S3 server."""
        return f"http://{HOST}:{self.s3.port}"

    def check(self) -> None:
        """Raises CourseError, with the end of its log, when one of the servers has ended."""
        for name, ended, log in (
            ("PostgreSQL", not self.database.running(), self.database.log),
            ("the S3 server", self.s3.ended(), self.s3.log),
            ("MLflow's server", self.mlflow.ended(), self.mlflow.log),
        ):
            if ended:
                last = end_of(log.read_text(encoding="utf-8", errors="replace"))
                raise CourseError(f"{name} ended by itself: {last} (all of it: {log})")


def rclone() -> str:
    """The path of rclone: the one of .venv, which is pinned, before any other.

    Raises CourseError where there is none.
    """
    path = os.pathsep.join([str(venv_scripts(ROOT)), *os.get_exec_path()])
    found = shutil.which("rclone", path=path)
    if found is None:
        raise CourseError(NO_RCLONE)
    return found


@contextlib.contextmanager
def local(folder: Path) -> Iterator[Stack]:
    """Runs the stack with its data in `folder`, and stops it at the end of the block.

    Raises CourseError when something is missing, when a server does not start, or when the
    stack of this folder runs already.
    """
    # Said before anything is made.
    find()
    rclone()
    words = keep_secrets(folder)
    with ExitStack() as stay:
        stay.enter_context(only_here(folder))
        database = Postgres(folder / "postgres", words["POSTGRES_PASSWORD"])
        # Each is stopped before the one that it needs: MLflow first, PostgreSQL last.
        stay.callback(database.stop)
        database.start()
        s3 = on_free_port(S3_PORT, lambda port: start_s3(folder, words, port))
        stay.callback(stop_group, s3.process)
        keys = {
            "AWS_ACCESS_KEY_ID": words["S3_ACCESS_KEY"],
            "AWS_SECRET_ACCESS_KEY": words["S3_SECRET_KEY"],
            # Any will do, but one must be named.
            "AWS_DEFAULT_REGION": "us-east-1",
            "MLFLOW_S3_ENDPOINT_URL": f"http://{HOST}:{s3.port}",
        }
        make_bucket(keys, folder / "logs" / "bucket.log")
        mlflow = on_free_port(
            MLFLOW_PORT, lambda port: start_mlflow(folder, database.url, keys, port)
        )
        stay.callback(stop_group, mlflow.process)
        yield Stack(folder, database, s3, mlflow, keys)


@contextlib.contextmanager
def only_here(folder: Path) -> Iterator[None]:
    """Holds the folder's lock. Raises CourseError when another process holds it."""
    with (folder / "running.lock").open("w", encoding="utf-8") as lock:
        if not lock_at_once(lock.fileno()):
            raise CourseError(f"the stack in {folder} runs already, in another terminal.")
        yield


def variables(**more: str) -> dict[str, str]:
    """The environment of one of the servers. Secrets go here: a list of processes shows none."""
    kept = {name: v for name, v in os.environ.items() if not name.startswith(FOREIGN)}
    # They speak to each other on this machine alone, whatever proxy is set for the internet.
    local = ",".join(filter(None, [os.environ.get("NO_PROXY"), HOST]))
    return kept | {"NO_PROXY": local, "no_proxy": local} | more


def start_part(
    folder: Path,
    name: str,
    command: list[str],
    settings: dict[str, str],
    port: int,
    address: str,
    ready: Callable[[], bool],
) -> Part:
    """Starts one of the servers, and waits until it is ready; what it says goes to a log."""
    log = folder / "logs" / f"{name}.log"
    process = start_server(command, variables(**settings), folder, log)
    try:
        wait_until(process, ready, address, log)
    except BaseException:
        stop_group(process)
        raise
    return Part(process, port, log)


def start_s3(folder: Path, words: dict[str, str], port: int) -> Part:
    """Starts the S3 server on this port; the buckets are the folders of `folder`/s3."""
    buckets = folder / "s3"
    buckets.mkdir(exist_ok=True)
    # One field of a list, therefore in quotes.
    key = f'"{words["S3_ACCESS_KEY"]},{words["S3_SECRET_KEY"]}"'
    address = f"{HOST}:{port}"
    command = [
        *(rclone(), "serve", "s3", str(buckets), "--addr", address),
        # No settings file, the person's own least of all.
        *("--config", "", "--cache-dir", str(folder / "cache")),
    ]
    settings = {"RCLONE_AUTH_KEY": key}
    return start_part(folder, "s3", command, settings, port, address, lambda: listens(port))


def listens(port: int) -> bool:
    """True if something listens on this port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex((HOST, port)) == 0


def make_bucket(keys: dict[str, str], log: Path) -> None:
    """Makes MLflow's bucket. Raises CourseError when the S3 server does not take our keys."""
    script = [sys.executable, str(ROOT / "stack" / "make_bucket.py")]
    with log.open("wb") as output:
        done = subprocess.run(
            script,
            env=variables(S3_BUCKET=BUCKET, **keys),
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        last = end_of(log.read_text(encoding="utf-8", errors="replace"))
        raise CourseError(f"the bucket could not be made: {last} (all of it: {log})")


def start_mlflow(folder: Path, database: str, keys: dict[str, str], port: int) -> Part:
    """Starts MLflow's server on this port, its runs in `database`, its artifacts in the bucket."""
    mark, address = secrets.token_hex(16), f"http://{HOST}:{port}/health"
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port)),
        # Proxied: the server fetches and puts each file, and no client needs a key.
        *("--artifacts-destination", f"s3://{BUCKET}", "--workers", "1"),
        *("--uvicorn-opts", f"--header {MARK}:{mark}"),
    ]
    settings = {
        # Not an option: it holds the password.
        "MLFLOW_BACKEND_STORE_URI": database,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        **keys,
    }
    ready = partial(answers, address, mark=mark)
    return start_part(folder, "mlflow", command, settings, port, address, ready)
