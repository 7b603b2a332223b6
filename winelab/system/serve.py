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
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from winelab.core.console import end_of_log, say
from winelab.core.errors import CourseError
from winelab.core.paths import ROOT, STATE
from winelab.core.processes import own_group, patiently, stop_group, until_stopped

HOST = "127.0.0.1"
MARK = "X-Winelab"

# Seconds. A slow laptop with a virus scanner needs ten times what ours does.
START_LIMIT = 120

T = TypeVar("T")


def free_port(start: int) -> int:
    """Return the first port from `start` on that a server on this machine can take.

    Raises CourseError when none of a hundred is free.
    """
    last = start + 99
    for port in range(start, last + 1):
        if can_bind(port):
            return port
    raise CourseError(f"no port from {start} to {last} is free on this machine.")


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


@dataclass
class Server:
    """A server on this machine, in a process group of its own; what it prints goes to its log."""

    name: str
    """Of its log's file."""
    port: int
    command: list[str]
    variables: dict[str, str] = field(repr=False)
    path: str = ""
    """Asked until it answers."""
    token: str = field(default="", repr=False)
    """What only ours accepts."""
    mark: str = field(default="", repr=False)
    """What only ours puts into its header MARK."""
    ready: str = ""
    """The line that tells a person."""
    process: subprocess.Popen[bytes] = field(init=False, repr=False)
    log: Path = field(init=False)

    @property
    def address(self) -> str:
        """Return its address, without a path."""
        return f"http://{HOST}:{self.port}"

    def start(self, folder: Path, logs: Path) -> None:
        """Start it in `folder`, with its log in the folder `logs`."""
        logs.mkdir(parents=True, exist_ok=True)
        self.log = logs / f"{self.name}.log"
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                self.command,
                cwd=folder,
                env=self.variables,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                **own_group(),
            )

    def wait_until_up(self, limit: float = START_LIMIT) -> None:
        """Wait until it answers.

        Raises CourseError, with the end of the log, when it ends or `limit` seconds pass.
        """
        end = time.monotonic() + limit
        while not self.answers():
            if self.ended():
                raise CourseError(f"the server ended before it answered: {end_of_log(self.log)}")
            if time.monotonic() > end:
                where = f"{self.address}{self.path} within {limit:.0f} s"
                raise CourseError(f"no answer from {where}; its log: {self.log}")
            time.sleep(0.1)

    def answers(self) -> bool:
        """Return True if it answers: it, and not another that has taken its port meanwhile.

        What tells them apart is the token or the mark; without either, any answer will do.
        """
        request = urllib.request.Request(f"{self.address}{self.path}")
        if self.token:
            request.add_header("Authorization", f"token {self.token}")
        # No proxy: one that is set for the internet would be asked for 127.0.0.1 too.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=5) as response:
                return self.mark in response.headers.get(MARK, "")
        except urllib.error.HTTPError:
            return not (self.token or self.mark)
        except (OSError, http.client.HTTPException):
            return False

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
) -> Server:
    """Start the server that `plan` makes for a port, and return it once it is up.

    Args:
        plan: called with the first free port from `port` on.
        folder: where it starts.
        logs: the folder of its log.
        meanwhile: called while the server starts.

    Raises CourseError when it does not start; it is stopped then.
    """

    def launch(port: int) -> Server:
        server = plan(port)
        server.start(folder, logs)
        try:
            meanwhile()
            server.wait_until_up()
        except BaseException:
            server.stop()
            raise
        return server

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
        server = start(plan, port, ROOT, ROOT / STATE / "logs", meanwhile)
        try:
            say(server.ready)
            with beside or nullcontext():
                server.process.wait()
        finally:
            server.stop()
        raise CourseError(f"the server ended by itself: {end_of_log(server.log)}")
    say("Stopped.")
    return 0
