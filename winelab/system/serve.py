"""Start servers on free ports, and stop them with everything that they started."""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import NamedTuple, TypeVar

from winelab.core.console import end_of_log, say
from winelab.core.errors import CourseError
from winelab.core.paths import ROOT, STATE
from winelab.core.processes import own_group, patiently, stop_group, until_stopped

HOST = "127.0.0.1"
MARK = "X-Winelab"

# Seconds. A slow laptop with a virus scanner needs ten times what ours does.
START_LIMIT = 120

T = TypeVar("T")


def free_port(start: int, tries: int = 100) -> int:
    """Return the first port from `start` on that a server on this machine can take.

    Raises CourseError when none of `tries` is free.
    """
    for port in range(start, start + tries):
        if can_bind(port):
            return port
    raise CourseError(f"no port from {start} to {start + tries - 1} is free on this machine.")


def can_bind(port: int) -> bool:
    """Return True if a server can take this port on 127.0.0.1."""
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


def on_free_port(start: int, launch: Callable[[int], T]) -> T:
    """Return what `launch` makes of the first free port from `start` on.

    When another program takes the port at the same moment, the next one is tried.

    Raises CourseError when no port is free, and whatever else `launch` raises.
    """
    while True:
        port = free_port(start)
        try:
            return launch(port)
        except CourseError as error:
            if not lost(port, str(error)):
                raise
            start = port + 1


def lost(port: int, message: str) -> bool:
    """Return True if a server failed because another program took its port meanwhile."""
    # By the message too: the other one may be gone by now.
    words = ("already in use", f"port {port} is not available")
    return not can_bind(port) or any(word in message for word in words)


def start_server(
    command: list[str], environment: dict[str, str], folder: Path, log: Path
) -> subprocess.Popen[bytes]:
    """Start a server in a process group of its own; what it prints goes to the file `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        return subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            **own_group(),
        )


def wait_until_up(
    process: subprocess.Popen[bytes],
    address: str,
    log: Path,
    limit: float = START_LIMIT,
    token: str = "",
    mark: str = "",
) -> None:
    """Wait until `address` answers; `token` and `mark` as in `answers`.

    Raises CourseError, with the end of the log, when the server ends or `limit` seconds pass.
    """
    end = time.monotonic() + limit
    while not answers(address, token, mark):
        if process.poll() is not None:
            raise CourseError(f"the server ended before it answered: {end_of_log(log)}")
        if time.monotonic() > end:
            raise CourseError(f"no answer from {address} within {limit:.0f} s; its log: {log}")
        time.sleep(0.1)


def answers(address: str, token: str = "", mark: str = "") -> bool:
    """Return True if a server answers at this address: ours, where there is a way to tell.

    Another one may have taken the port meanwhile. A `token` that only ours accepts, or a `mark`
    that only ours puts into its header MARK, tells them apart.
    """
    request = urllib.request.Request(address)
    if token:
        request.add_header("Authorization", f"token {token}")
    # No proxy: one that is set for the internet would be asked for 127.0.0.1 too.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=5) as response:
            return mark in response.headers.get(MARK, "")
    except urllib.error.HTTPError:
        return not (token or mark)
    except (OSError, http.client.HTTPException):
        return False


class Server(NamedTuple):
    """What `start` starts."""

    name: str
    """Of its log's file."""
    command: list[str]
    variables: dict[str, str]
    address: str
    """Asked until it answers."""
    token: str = ""
    mark: str = ""
    ready: str = ""
    """The line that tells a person."""


class Running(NamedTuple):
    """A server that was started."""

    server: Server
    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def ended(self) -> bool:
        """Return True once it has ended by itself."""
        return self.process.poll() is not None

    def stop(self) -> None:
        """Stop it with all that it started; a second Ctrl-C does not leave half of it running."""
        with patiently():
            stop_group(self.process)


def start(
    plan: Callable[[int], Server],
    port: int,
    folder: Path,
    logs: Path,
    meanwhile: Callable[[], object] = lambda: None,
) -> Running:
    """Start the server that `plan` makes for a port, and return it once it is up.

    Args:
        plan: called with the first free port from `port` on.
        folder: where it starts.
        logs: the folder of its log.
        meanwhile: called while the server starts.

    Raises CourseError when it does not start; it is stopped then.
    """

    def launch(port: int) -> Running:
        server = plan(port)
        log = logs / f"{server.name}.log"
        process = start_server(server.command, server.variables, folder, log)
        running = Running(server, process, port, log)
        try:
            meanwhile()
            wait_until_up(process, server.address, log, token=server.token, mark=server.mark)
        except BaseException:
            running.stop()
            raise
        return running

    return on_free_port(port, launch)


def serve(
    plan: Callable[[int], Server],
    port: int,
    meanwhile: Callable[[], object] = lambda: None,
    beside: AbstractContextManager[object] | None = None,
) -> int:
    """Run the server that `plan` makes for a port, until it is stopped; return an exit code.

    Args:
        plan, port, meanwhile: as for `start`.
        beside: entered once the server is up, and left before it stops.

    Raises CourseError when the server does not start, or ends by itself.
    """
    with until_stopped():
        running = start(plan, port, ROOT, ROOT / STATE / "logs", meanwhile)
        try:
            say(running.server.ready)
            with beside or nullcontext():
                running.process.wait()
        finally:
            running.stop()
        raise CourseError(f"the server ended by itself: {end_of_log(running.log)}")
    say("Stopped.")
    return 0
