"""`make stack`: MLflow before PostgreSQL and S3, in Docker or from this machine's own programs."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

from winelab.core.console import say
from winelab.core.errors import CourseError
from winelab.core.order import find_one, read_order
from winelab.core.paths import ROOT, STACK_DATA
from winelab.core.processes import patiently, until_stopped
from winelab.stack import local_services
from winelab.system import environment, packages
from winelab.system.serve import HOST, free_port

HOME = ROOT / "stack"
COMPOSE = HOME / "compose.yaml"
PINS = packages.GROUPS["stack"]

BLOCK = "server"
"""The block whose script is run on it."""


def main() -> int:
    """Run the stack until it is stopped; return an exit code.

    Raises CourseError when something is missing, or when a part of it ends by itself.
    """
    with until_stopped():
        docker = find_docker()
        if docker:
            (ROOT / STACK_DATA).mkdir(parents=True, exist_ok=True)
            with local_services.only_here(ROOT / STACK_DATA):
                in_docker(docker)
        else:
            say("No Docker is running here: PostgreSQL, S3 and MLflow start as programs.")
            locally(ROOT / STACK_DATA)
    say("Stopped. The runs are kept: `make stack` has them again.")
    return 0


def usage(uri: str) -> str:
    """Return what is printed once the stack is up: its address, and how its block runs on it."""
    block = find_one(read_order().blocks, BLOCK)
    script = f"solutions/{block.name}.py"
    windows = rf"{environment.VENV}\Scripts\python {script.replace('/', chr(92))}"
    posix = f"{environment.VENV}/bin/python {script}"
    return "\n".join(
        [
            f"MLflow on PostgreSQL and S3: {uri} - Ctrl-C stops it",
            f"Block {block.number} on it, from another terminal in the course's folder:",
            f"  macOS, Linux:  MLFLOW_TRACKING_URI={uri} {posix}",
            f'  PowerShell:    $env:MLFLOW_TRACKING_URI = "{uri}"; {windows}',
        ]
    )


# --- from this machine's own programs -----------------------------------------------------------


def locally(folder: Path) -> None:
    """Run the stack from programs of this machine; return only by an exception."""
    packages.install(PINS, "the stack")
    with ExitStack() as stay:
        stack = stay.enter_context(local_services.local(folder))
        try:
            say(usage(stack.mlflow.address))
            while True:
                stack.check()
                time.sleep(2)
        finally:
            say("Stopping ...")
            with patiently():
                stay.close()


# --- in Docker ----------------------------------------------------------------------------------


def find_docker() -> str:
    """Return the command of Docker, if its engine runs and Compose is there; else empty."""
    docker = shutil.which("docker") or ""
    for question in (["compose", "version"], ["version", "--format", "{{.Server.Version}}"]):
        try:
            subprocess.run([docker, *question], capture_output=True, check=True, timeout=30)
        except (OSError, subprocess.SubprocessError):
            return ""
    return docker


def compose(docker: str, *arguments: str) -> list[str]:
    """Return a command of Docker Compose about our stack."""
    env_file = ["--env-file", str(HOME / local_services.SECRETS)]
    return [docker, "compose", "--file", str(COMPOSE), *env_file, *arguments]


def in_docker(docker: str) -> None:
    """Run the stack in containers; return only by an exception. Their volumes stay."""
    local_services.keep_secrets(HOME)
    port = free_port(local_services.MLFLOW_PORT)
    # Those names would win over the file .env.
    variables = {n: v for n, v in os.environ.items() if n not in local_services.NAMES}
    variables["STACK_PORT"] = str(port)
    try:
        say("Starting the containers (the first time they are fetched and built) ...")
        if subprocess.run(compose(docker, "up", "--build", "--wait"), env=variables).returncode:
            raise CourseError("Docker did not start the stack: what it says stands above.")
        say(usage(f"http://{HOST}:{port}"))
        # Ends when one of them does.
        wait = compose(docker, "wait", "postgres", "s3", "mlflow")
        subprocess.run(wait, env=variables, capture_output=True)
        logs = " ".join(compose("docker", "logs"))
        raise CourseError(f"one of the containers ended by itself: `{logs}` says why.")
    finally:
        with patiently():
            say("Stopping ...")
            # Its own words are of no interest now, unless it fails.
            subprocess.run(compose(docker, "down"), env=variables, capture_output=True)
