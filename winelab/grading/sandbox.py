"""Run untrusted code in a sandbox, and end it with all that it started.

A command speaks with its caller through its standard input and output, a line at a time. What
it prints is expected on standard error, of which the end is kept.
"""

from __future__ import annotations

import itertools
import json
import os
import queue
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

import psutil

from winelab.core.console import last_line
from winelab.core.paths import ROOT
from winelab.core.processes import own_group, signal_group
from winelab.grading import usage
from winelab.grading.backends import (
    HOME,
    SHARED_MEMORY,
    Backend,
    LimitsAlone,
    Seatbelt,
    bubblewraps,
    is_root,
)
from winelab.grading.limits import MB, Limit, Limits

INTERVAL = 0.15
"""Seconds between two looks of the watcher: what a memory hog can take meanwhile is bearable."""
TAIL = 20_000
"""Bytes of the output that are kept."""
LINE = 4 * MB
"""The longest line that is taken from a command."""
NEAR = 0.9
"""The part of a limit from which the watcher ends a command that holds still just below it."""
MARK = "WINELAB_HAND_IN"
"""In the environment where there is no process namespace: by it, what has run away is found."""

_uids = itertools.cycle(secrets.SystemRandom().sample(range(64_000, 65_000), 1000))
"""Users without rights, each for one hand-in at a time: the kernel counts processes by them."""


class Sandbox:
    """One command in its sandbox, from `start` until the end of the `with` block.

    Inside, `home` is the folder that it may write into; it is empty and private, and gone
    afterwards with all processes.
    """

    _process: subprocess.Popen[bytes]
    """The command, once it is started."""

    def __init__(self, limits: Limits | None = None, backend: Backend | None = None) -> None:
        self.limits = limits or Limits()
        self.backend = backend or best_backend()
        self.stopped: Limit | None = None
        """The limit that it was ended for."""
        self.code: int | None = None
        """Its exit code, once it has ended by itself; below 0 or above 128 for a signal."""
        self.home = HOME
        self._lines: queue.Queue[bytes | None] = queue.Queue()
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._tail = bytearray()
        self._seen: dict[int, psutil.Process] = {}
        self._threads: list[threading.Thread] = []
        self._uid = next(_uids) if self.backend.drop else None
        self._mark = secrets.token_hex(16)
        if not self.backend.namespaced:
            self.home = Path(tempfile.mkdtemp(prefix="winelab-hand-in-")).resolve()
            if self._uid is not None:
                os.chown(self.home, self._uid, self._uid)
        self._end = time.monotonic() + self.limits.seconds

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        if not self.backend.namespaced:
            _remove(self.home)

    def start(self, command: Sequence[str], variables: Mapping[str, str]) -> None:
        """Start the command in `home`, with `variables` as its whole environment.

        Raises OSError when that is not possible.
        """
        words = list(command)
        if sys.platform != "win32":
            limits = self.backend.resources(self.limits)
            limits |= {} if self._uid is None else {"uid": self._uid}
            script = str(Path(__file__).with_name("set_limits.py"))
            words = [sys.executable, "-I", "-S", script, json.dumps(limits), *words]
        namespaced = self.backend.namespaced
        self._end = time.monotonic() + self.limits.seconds
        self._process = subprocess.Popen(
            self.backend.wrap(words, self.home, self.limits),
            cwd="/" if namespaced else self.home,
            env={"HOME": str(self.home), **variables, **({} if namespaced else {MARK: self._mark})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            **own_group(),
        )
        # Daemons: a process that has run away may hold a pipe open, and must not hold us.
        self._threads = [
            threading.Thread(target=_quietly, args=[work], daemon=True)
            for work in (self._read_lines, self._read_output, self._watch)
        ]
        for thread in self._threads:
            thread.start()

    def send(self, line: bytes) -> None:
        """Send a line to the command's standard input; one that has ended misses it."""
        assert self._process.stdin is not None
        rest = memoryview(line + b"\n")
        with suppress(OSError, ValueError):
            while rest:
                rest = rest[self._process.stdin.write(rest) or 0 :]

    def receive(self) -> bytes | None:
        """Return the next line of its standard output; None once it or its time has ended."""
        # The watcher ends it in time; this is for a pipe that is held open beyond the end.
        patience = max(0.0, self._end - time.monotonic()) + 5
        try:
            return self._lines.get(timeout=patience)
        except queue.Empty:
            return None

    def printed(self) -> str:
        """Return the end of what it wrote to standard error, at most TAIL bytes."""
        with self._lock:
            return bytes(self._tail).decode("utf-8", errors="replace")

    def wait(self, seconds: float) -> None:
        """Wait until it has ended by itself or was ended, at most some seconds; then end it."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=seconds)
        self.stop()

    def stop(self, reason: Limit | None = None) -> None:
        """End it, with all that it started. It may be called again, and from any thread."""
        if not self._threads:
            # It was never started.
            return
        with self._lock:
            first = not self._over.is_set()
            if first:
                self.code = self._process.poll()
                self.stopped = reason if self.code is None else None
            self._over.set()
        if first:
            self._kill(self._process)
        if threading.current_thread() in self._threads:
            return
        for thread in self._threads:
            thread.join(timeout=5)
        # One that a thread still reads is left to it.
        if not any(thread.is_alive() for thread in self._threads):
            for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
                if pipe:
                    with suppress(OSError):
                        pipe.close()

    # --- how it ends

    def _kill(self, process: subprocess.Popen[bytes]) -> None:
        if self.backend.namespaced:
            # The first process of the namespace takes all others with it, and bubblewrap goes by
            # itself when they have gone.
            inside = self._tree()[1:2]
            _end(inside)
            if inside:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=10)
        else:
            # Twice: what was being started at the first look is there at the second.
            for _ in range(2):
                _end([*self._tree(), *self._seen.values(), *self._marked()])
                signal_group(process, signal.SIGKILL)
        with suppress(OSError):
            process.kill()
        process.wait()

    def _marked(self) -> Iterator[psutil.Process]:
        """Yield processes with this sandbox's mark, or its user, whoever their parent is now."""
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if process.pid == os.getpid():
                    continue
                mine = self._uid is not None and process.uids().real == self._uid
                if mine or process.environ().get(MARK) == self._mark:
                    yield process

    # --- what runs beside it

    def _read_lines(self) -> None:
        assert self._process.stdout is not None
        buffer = b""
        try:
            while piece := os.read(self._process.stdout.fileno(), 65536):
                *lines, buffer = (buffer + piece).split(b"\n")
                if len(buffer) > LINE:
                    self.stop(Limit.LINES)
                    return
                for line in lines:
                    self._lines.put(line)
        finally:
            self._lines.put(None)

    def _read_output(self) -> None:
        assert self._process.stderr is not None
        total = 0
        while piece := os.read(self._process.stderr.fileno(), 65536):
            total += len(piece)
            with self._lock:
                self._tail += piece
                del self._tail[:-TAIL]
            if total > self.limits.output:
                self.stop(Limit.OUTPUT)
                return

    def _watch(self) -> None:
        """Look at it every moment, and end it where it takes more than it may."""
        while not self._over.wait(INTERVAL):
            # What it has left may hold its pipes open: with the command, all ends.
            over = self._process.poll() is not None
            reason = None if over else self._exceeded()
            if over or reason:
                self.stop(reason)
                return

    def _exceeded(self) -> Limit | None:
        """Return the limit that it does not keep."""
        limits, tree = self.limits, self._tree()
        if time.monotonic() > self._end:
            return Limit.TIME
        if self.backend.namespaced:
            used, files = usage.in_memory(tree, (str(HOME), "/tmp", SHARED_MEMORY))
        else:
            self._seen.update((process.pid, process) for process in tree)
            used, files = usage.on_disk(self.home, limits.files, self._over.is_set)
        if len(tree) > NEAR * limits.processes:
            return Limit.PROCESSES
        if usage.memory(tree, limits.memory) > limits.memory:
            return Limit.MEMORY
        return Limit.DISK if used > NEAR * limits.disk or files > limits.files else None

    def _tree(self) -> list[psutil.Process]:
        with suppress(psutil.Error):
            first = psutil.Process(self._process.pid)
            return [first, *first.children(recursive=True)]
        return []


def _end(processes: Iterable[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.Error):
            process.kill()


def _quietly(work: Callable[[], None]) -> None:
    # A pipe that is closed while it is read is an end like any other.
    with suppress(OSError, ValueError):
        work()


def _remove(folder: Path) -> None:
    """Remove a folder, also where the hand-in has locked parts of it."""
    # From the top down: each folder is opened before what is in it is looked at.
    for place, names, _ in os.walk(folder):
        for name in names:
            if not Path(place, name).is_symlink():
                with suppress(OSError):
                    Path(place, name).chmod(stat.S_IRWXU)
    shutil.rmtree(folder, ignore_errors=True)


# --- which backend this machine allows ----------------------------------------------------------


@cache
def best_backend() -> Backend:
    """Return the best backend that works here, tried out once a process."""
    why = "This system has no sandbox that the course knows how to use."
    if sys.platform == "linux":
        why = "bubblewrap is not installed: `sudo apt install bubblewrap`, or the like."
        if shutil.which("bwrap"):
            for backend in bubblewraps():
                if not (wrong := _problems(backend)):
                    return backend
            why = (
                f"bubblewrap is installed and does not work here ({wrong}): most often the "
                "system forbids user namespaces to ordinary users."
            )
    elif sys.platform == "darwin":
        if not (wrong := _problems(Seatbelt())):
            return Seatbelt()
        why = f"sandbox-exec does not work here ({wrong})."
    dropping = LimitsAlone(drop=True, why=why)
    return dropping if is_root() and not _problems(dropping) else LimitsAlone(why=why)


def _problems(backend: Backend) -> str:
    """Try a backend out; "" if its walls stand, else what is wrong, in a few words."""
    probe = [sys.executable, "-P", "-m", "winelab.grading.probe", str(ROOT / "solutions")]
    try:
        with Sandbox(Limits(seconds=60), backend) as box:
            box.start([*probe, str(ROOT)], {"PATH": os.defpath})
            line = box.receive()
            box.stop()
    except OSError as error:
        return str(error)
    if line is None:
        return last_line(box.printed())[:200] or "no answer"
    broken, holes = json.loads(line)
    return ", ".join([*broken, *holes] if backend.walled else broken)
