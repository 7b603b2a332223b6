"""Starts JupyterLab and MLflow's UI, and stops them with everything that they started.

`free_port`, `start_server`, `wait_until_up` and `stop_group` serve any other server as well.
"""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from winelab.core.console import end_of, say
from winelab.core.errors import CourseError
from winelab.core.paths import ROOT, STATE
from winelab.core.processes import patiently, stop_group, until_stopped

HOST = "127.0.0.1"
LAB_PORT = 8888
UI_PORT = 5000
MARK = "X-Winelab"

# Seconds. A slow laptop with a virus scanner needs ten times what ours does.
START_LIMIT = 120
STOP_LIMIT = 15


def free_port(start: int, tries: int = 100) -> int:
    """The first port from `start` on that a server on this machine can take.

    Raises CourseError when none of `tries` is free.
    """
    for port in range(start, start + tries):
        if can_bind(port):
            return port
    raise CourseError(f"no port from {start} to {start + tries - 1} is free on this machine.")


def can_bind(port: int) -> bool:
    """True if a server can take this port on 127.0.0.1."""
    with socket.socket() as probe:
        if sys.platform == "win32":
            # Without it Windows lets two programs have one port.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        elif sys.platform != "darwin":
            # A port whose last connection is only fading out is free. Not on macOS, where the
            # same option would let us in beside AirPlay, which has port 5000.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError):
            return False
    return True


def start_server(
    command: list[str], environment: dict[str, str], folder: Path, log: Path
) -> subprocess.Popen[bytes]:
    """Starts a server in a process group of its own; what it prints goes to the file `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    apart: dict[str, Any]
    if sys.platform == "win32":
        apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    else:
        # A session of its own: Ctrl-C reaches us alone, and we stop the server in good order.
        apart = {"start_new_session": True}
    with log.open("wb") as output:
        return subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            **apart,
        )


def wait_until_up(
    process: subprocess.Popen[bytes],
    address: str,
    log: Path,
    limit: float = START_LIMIT,
    token: str = "",
    mark: str = "",
) -> None:
    """Waits until `address` answers; `token` and `mark` as in `answers`.

    Raises CourseError, with the end of the log, when the server ends or `limit` seconds pass.
    """
    wait_until(process, lambda: answers(address, token, mark), address, log, limit)


def wait_until(
    process: subprocess.Popen[bytes],
    ready: Callable[[], bool],
    address: str,
    log: Path,
    limit: float = START_LIMIT,
) -> None:
    """Waits until `ready` says that the server at `address` is.

    Raises CourseError, with the end of the log, when the server ends or `limit` seconds pass.
    """
    end = time.monotonic() + limit
    while not ready():
        if process.poll() is not None:
            last = end_of(log.read_text(encoding="utf-8", errors="replace"))
            raise CourseError(f"the server ended before it answered: {last} (all of it: {log})")
        if time.monotonic() > end:
            raise CourseError(f"no answer from {address} within {limit:.0f} s; its log: {log}")
        time.sleep(0.1)


def answers(address: str, token: str = "", mark: str = "") -> bool:
    """True if an address answers with success.

    Another server may have taken the port meanwhile. A `token` that only ours accepts, or a
    `mark` that only ours puts into its header MARK, tells them apart.
    """
    request = urllib.request.Request(address)
    if token:
        request.add_header("Authorization", f"token {token}")
    # No proxy: one that is set for the internet would be asked for 127.0.0.1 too.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=5) as response:
            return bool(response.status == 200 and mark in response.headers.get(MARK, ""))
    except (OSError, http.client.HTTPException):
        return False


class Server(NamedTuple):
    """What `serve` starts."""

    name: str
    command: list[str]
    variables: dict[str, str]
    address: str
    """Asked until it answers."""
    ready: str
    """Printed then."""
    token: str = ""
    mark: str = ""


def serve(plan: Callable[[int], Server], port: int) -> int:
    """Runs the server that `plan` makes for a port, until it is stopped; returns an exit code.

    The port is the first free one from `port` on.

    Raises CourseError when the server does not start, or ends by itself.
    """
    with until_stopped():
        while True:
            port = free_port(port)
            server = plan(port)
            log = ROOT / STATE / "logs" / f"{server.name}-{port}.log"
            process = start_server(server.command, server.variables, ROOT, log)
            try:
                wait_until_up(process, server.address, log, token=server.token, mark=server.mark)
                say(server.ready)
                process.wait()
            except CourseError as error:
                if not lost(port, str(error)):
                    raise
                port += 1
                continue
            finally:
                with patiently():
                    stop_group(process)
            last = end_of(log.read_text(encoding="utf-8", errors="replace"))
            raise CourseError(f"the server ended by itself: {last} (all of it: {log})")
    say("Stopped.")
    return 0


def lost(port: int, message: str) -> bool:
    """True if a server failed because another program took its port after we had looked."""
    # By the message too: the other one may be gone by now.
    words = ("already in use", f"port {port} is not available")
    return not can_bind(port) or any(word in message for word in words)
