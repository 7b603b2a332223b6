"""Run `python -m MODULE` to its end: in a fork of a loaded process, or in a fresh one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from winelab.core.processes import own_group, stop_group
from winelab.system import forkserver


def run_module(
    module: str,
    arguments: list[str],
    folder: Path,
    variables: Mapping[str, str],
    err: int,
    limit: float,
    fork: bool = True,
) -> int | None:
    """Run ``python -m MODULE ARGUMENTS``; return its exit code, or None when its time was up.

    Args:
        module: a module's full name.
        arguments: its command line.
        folder: the working folder.
        variables: the whole environment.
        err: the file descriptor that its standard error goes to; what it prints is dropped.
        limit: seconds, after which it is ended with all that it started.
        fork: fork it from the fork server, where there is one.
    """
    server = os.environ.get(forkserver.SOCKET_VARIABLE) if fork else None
    if server:
        request = {"module": module, "argv": arguments, "cwd": str(folder), "env": dict(variables)}
        return _forked(server, request, err, limit)
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=folder,
        env=dict(variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=err,
        **own_group(),
    )
    try:
        return process.wait(timeout=limit)
    except subprocess.TimeoutExpired:
        stop_group(process, limit=0)
        return None


def _forked(server: str, request: dict[str, Any], err: int, limit: float) -> int | None:
    with Path(os.devnull).open("r+b") as null:
        streams = [null.fileno(), null.fileno(), err]
        # Closing the connection ends the child with all that it started.
        with forkserver.ask(server, forkserver.Stage.LOADED, request, streams) as connection:
            connection.settimeout(limit)
            with connection.makefile("r") as answers, suppress(TimeoutError):
                answers.readline()
                return int(answers.readline() or 1)
    return None
