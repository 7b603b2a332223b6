"""Start processes in a group of their own, and end them with all that they started.

Standard library only: this module is read before anything is installed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

STOP_LIMIT = 15.0
"""Seconds that a process may take to end after it was asked to."""


def own_group() -> dict[str, Any]:
    """Return the arguments of Popen that put a process into a group of its own.

    Ctrl-C then reaches us alone, and we end the process in good order.
    """
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def stop_group(process: subprocess.Popen[bytes], limit: float = STOP_LIMIT) -> None:
    """End a process and its group: ask first, and after `limit` seconds do not."""
    if sys.platform == "win32":
        if process.poll() is None:
            # Windows has no polite way to end a whole tree.
            tree = ["taskkill", "/T", "/F", "/PID", str(process.pid)]
            subprocess.run(tree, capture_output=True, check=False)
        process.wait()
        return
    if limit:
        signal_group(process, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(limit)
    # Also when the process itself has gone: a child of it may be left.
    signal_group(process, signal.SIGKILL)
    process.wait()


def signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    """Send a signal to every process of a group; none left is fine. Does nothing on Windows."""
    if sys.platform != "win32":
        # macOS answers "not permitted" for a group of which only a zombie is left.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)


@contextlib.contextmanager
def until_stopped() -> Iterator[None]:
    """End the block quietly at Ctrl-C, and at a request to end or a closed terminal too."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    # SIGINT too: a shell starts a command in the background with Ctrl-C turned off.
    known = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    names = [name for name in known if hasattr(signal, name)]
    before = {name: signal.signal(getattr(signal, name), stop) for name in names}
    try:
        with contextlib.suppress(KeyboardInterrupt):
            yield
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)


@contextlib.contextmanager
def patiently() -> Iterator[None]:
    """Ignore Ctrl-C while the block runs: a second one must not leave half of it running."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
