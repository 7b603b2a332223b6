"""Runs a command that nobody has vouched for, in a sandbox, and ends it with all it started.

On Linux the walls are bubblewrap's: namespaces of its own for files, processes and network. On
macOS they are Seatbelt's. Where neither works, only limits are left, and `guarantees` says so.

A command speaks with its caller through its standard input and output, a line at a time. What
it prints is expected on standard error, of which the end is kept.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from winelab.core.paths import ROOT, STATE

MB, GB = 2**20, 2**30

INTERVAL = 0.15
"""Seconds between two looks of the watcher: what a memory hog can take meanwhile is bearable."""
ROOM = Path("/room")
"""The only writable folder in bubblewrap's sandbox, beside /tmp; no machine has a person there."""
TAIL = 20_000
"""Bytes of the output that are kept."""
LINE = 4 * MB
"""The longest line that is taken from a command."""
NEAR = 0.9
"""The part of a limit from which the watcher ends a command that holds still just below it."""
MARK = "WINELAB_HAND_IN"
"""In the environment where there is no process namespace: by it, what has run away is found."""

TIME, MEMORY, PROCESSES, DISK, OUTPUT, LINES = (
    *("time", "memory", "processes", "disk", "output", "lines"),
)

# Of /etc, what a program needs to start; the rest is the machine's own affair.
_ETC = ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "localtime", "mime.types")
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store")


@dataclass(frozen=True)
class Limits:
    """What a command may take. The greedy blocks are 13 and 28, which start servers; a hand-in
    may do more than the solution, so each limit is a wide margin above what they were seen to take.
    """

    seconds: float = 180.0
    """On two cores that a dozen others wanted too, they took 85 s."""
    memory: int = 3 * GB
    """Bytes, of all processes together. They take 0.6 GB."""
    processes: int = 256
    """Processes and, where the kernel counts them too, threads. They have 6 with 15 threads."""
    disk: int = 512 * MB
    """Bytes, of all files together; also of any single one. They write 2 MB."""
    files: int = 10_000
    """Files and folders. They make 83."""
    output: int = 20 * MB
    """Bytes of output, read and thrown away but for the end."""


@dataclass(frozen=True)
class Way:
    """How this machine keeps a command in."""

    name: str
    """"bubblewrap", "seatbelt", or "" for limits alone."""
    drop: bool = False
    """Whether the command becomes a user without rights, since this process is root."""
    options: frozenset[str] = frozenset()
    """Options of bubblewrap that not each version or system has."""
    why: str = ""
    """Why it is not a better way, in one sentence."""


# --- which way this machine allows --------------------------------------------------------------

# Run inside, to see that the walls stand: a wrong promise is worse than none.
_PROBE = """
import json, os, socket, sys
hidden, root = sys.argv[1], sys.argv[2]
def works(action):
    try:
        action()
    except OSError:
        return False
    return True
def loopback():
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), 5).close()
def outside():
    # Of a datagram socket this sends nothing: it only asks for a route.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        asked.connect(("192.0.2.1", 9))
        asked.send(b"")
def write(folder):
    name = os.path.join(folder, ".winelab-probe")
    with open(name, "w"):
        pass
    os.unlink(name)
import numpy, winelab.core.paths
print(json.dumps({
    "loopback": works(loopback),
    "room": works(lambda: write(os.environ["HOME"])),
    "network": works(outside),
    "hidden": not works(lambda: os.listdir(hidden)),
    "outside": works(lambda: write(root)) or works(lambda: write("/")),
}))
"""


def _holds(way: Way) -> str:
    """Try a way out; "" if its walls stand, else what is wrong, in a few words."""
    command = [str(_python()), "-c", _PROBE, str(ROOT / "solutions"), str(ROOT)]
    try:
        with Sandbox(Limits(seconds=60), way) as box:
            box.start(command, {"PATH": os.defpath})
            line = box.receive()
            box.stop()
            said = box.printed()
    except OSError as error:
        return str(error)
    if line is None:
        return (said.strip().splitlines() or ["no answer"])[-1][:200]
    found = json.loads(line)
    wrong = [
        words
        for name, wanted, words in (
            ("loopback", True, "127.0.0.1 does not work in it"),
            ("room", True, "it cannot write into its own folder"),
            ("network", False, "it reaches the network"),
            ("hidden", True, "it sees the solutions"),
            ("outside", False, "it can write outside of its folder"),
        )
        if found[name] is not wanted and (way.name or words.startswith(("127", "it cannot")))
    ]
    return ", ".join(wrong)


def _bubblewraps() -> Iterator[Way]:
    known = subprocess.run(
        ["bwrap", "--help"], capture_output=True, encoding="utf-8", errors="replace", check=False
    )
    said = known.stdout + known.stderr
    options = frozenset(name for name in ("--size", "--disable-userns") if name in said)
    if _is_root():
        yield Way("bubblewrap", drop=True, options=options - {"--disable-userns"})
    yield Way("bubblewrap", options=options)
    yield Way("bubblewrap", options=options - {"--disable-userns"})


@cache
def best_way() -> Way:
    """The best way that works here, tried out once a process."""
    with _trying:
        return _best_way()


_trying = threading.Lock()


@cache
def _best_way() -> Way:
    why = "This system has no sandbox that the course knows how to use."
    if sys.platform == "linux":
        if shutil.which("bwrap"):
            tried = []
            for way in _bubblewraps():
                if not (wrong := _holds(way)):
                    return way
                tried.append(wrong)
            why = (
                f"bubblewrap is installed and does not work here ({tried[-1]}): most often the "
                "system forbids user namespaces to ordinary users."
            )
        else:
            why = "bubblewrap is not installed: `sudo apt install bubblewrap`, or the like."
    elif sys.platform == "darwin" and Path(_SEATBELT).exists():
        if not (wrong := _holds(Way("seatbelt"))):
            return Way("seatbelt")
        why = f"sandbox-exec does not work here ({wrong})."
    drop = Way("", drop=True, why=why)
    if _is_root() and not _holds(drop):
        return drop
    return Way("", why=why)


def walled() -> bool:
    """Whether a command is kept from other files, from other processes and from the network."""
    return bool(best_way().name)


def guarantees() -> list[str]:
    """What this machine really guarantees while a hand-in runs, a sentence each; first the sum."""
    way, limits = best_way(), Limits()
    common = (
        f"Each hand-in is ended after {limits.seconds:g} s, with more than "
        f"{size(limits.memory)} of memory, {limits.processes} processes, {size(limits.disk)} or "
        f"{limits.files} files on disk, or {size(limits.output)} of output."
    )
    clean = "It sees none of your environment variables, and its home is its own empty folder."
    forged = (
        "Its checks run in its own process: code that is written to deceive them can. Look at a "
        "hand-in that surprises you."
    )
    if way.name == "bubblewrap":
        who = " as a user without rights" if way.drop else ""
        return [
            f"Hand-ins run in bubblewrap's sandbox{who}.",
            "A hand-in sees the system and the course's packages, read-only, and its own folder, "
            "which is in memory; no other hand-in, no solution, no checks before its code has "
            "ended, nothing of yours.",
            "It has no network but its own 127.0.0.1.",
            "It sees and ends no process but its own; all of them are gone when it is graded.",
            common,
            clean,
            forged,
        ]
    if way.name == "seatbelt":
        return [
            "Hand-ins run in Seatbelt, macOS's sandbox (sandbox-exec).",
            "A hand-in writes to its own folder only, and reads nothing of your home or of the "
            "course but the packages; it may read other files of the system.",
            "It has no network but 127.0.0.1; there it also reaches servers of yours.",
            "It ends no process but its own. One that has cut all ties is looked for and ended, "
            "which may miss it.",
            common + " These are looked at every moment: a short excess is possible.",
            clean,
            forged,
        ]
    rights = (
        "They run as a user without rights."
        if way.drop
        else "They run with your rights: they can read and change your files, the solutions and "
        "the report among them, and end your programs."
    )
    return [
        f"THERE IS NO SANDBOX: grade only what you would run yourself. {way.why}",
        rights,
        "They reach the network.",
        "A process that cuts all ties to its hand-in is looked for and ended, which may miss it.",
        common + " These are looked at every moment: a short excess is possible.",
        clean,
        forged,
    ]


def size(count: int) -> str:
    """Bytes as a person says them: 512 MB, 3 GB."""
    return f"{count / GB:g} GB" if count >= GB else f"{count / MB:g} MB"


def _is_root() -> bool:
    return sys.platform != "win32" and os.geteuid() == 0


# --- the command lines --------------------------------------------------------------------------


def _python() -> Path:
    """The Python of .venv, by its path there and not by what it links to."""
    return Path(sys.executable)


def _links(path: Path) -> Iterator[tuple[Path, Path]]:
    """Each symbolic link on the way from `path` to its file, and what it points at."""
    for _ in range(40):
        if not path.is_symlink():
            return
        target = path.readlink()
        yield path, target
        path = Path(os.path.normpath(path.parent / target))


def _readable() -> list[Path]:
    """What a command needs beside the system: Python, the course's packages, the tools."""
    base = Path(sys.base_prefix)
    # Not the whole prefix: a Python built into a home folder would bring the home along.
    found = [base / name for name in ("bin", "lib", "lib64", "ssl")]
    found += [Path(sys.prefix), ROOT / "winelab", cache_folder() / "matplotlib"]
    found += sorted(cache_folder().glob("empty-store-*.db"))
    return [path for path in found if path.exists()]


def cache_folder() -> Path:
    """What may be seen of the course's own cache: prepared stores, fonts, names of the system."""
    folder = ROOT / STATE / "cache"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@cache
def _etc() -> Path:
    """A folder with the few files that stand for the machine's own in /etc."""
    folder = cache_folder() / "etc"
    folder.mkdir(exist_ok=True)
    for name, text in (
        ("passwd", f"root:x:0:0:root:/:/bin/sh\nstudent:x:1000:1000:student:{ROOM}:/bin/sh\n"),
        ("group", "root:x:0:\nstudent:x:1000:\n"),
        ("hosts", "127.0.0.1 localhost wine-lab\n"),
        ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n"),
    ):
        draft = folder / f".{name}.{secrets.token_hex(4)}"
        draft.write_text(text, encoding="ascii")
        draft.chmod(0o644)
        draft.replace(folder / name)
    return folder


def _bubblewrap(way: Way, limits: Limits) -> list[str]:
    """bubblewrap's command line, up to the command."""
    words = [
        shutil.which("bwrap") or "bwrap",
        "--die-with-parent",
        "--new-session",
        "--hostname",
        "wine-lab",
    ]
    words += ["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"]
    words += ["--unshare-cgroup-try"]
    if way.drop:
        # Just enough to become somebody else, which takes these away too.
        words += ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    else:
        words += ["--unshare-user", "--uid", "1000", "--gid", "1000"]
        words += [name for name in ("--disable-userns",) if name in way.options]

    def memory(folder: str, most: int) -> list[str]:
        sized = ["--size", str(most)] if "--size" in way.options else []
        return ["--perms", "1777", *sized, "--tmpfs", folder]

    made: set[Path] = set()

    def show(path: Path, at: Path | None = None) -> list[str]:
        target = at or path
        folders = [p for p in reversed(target.parents) if p != Path("/") and p not in made]
        made.update(folders)
        # By itself bubblewrap makes them as they are outside: a home that only its owner enters.
        dirs = [w for p in folders if not _in_system(p) for w in ("--perms", "0755", "--dir", p)]
        return [*map(str, dirs), "--ro-bind", str(path), str(target)]

    for name in map(Path, _SYSTEM):
        if name.is_symlink():
            words += ["--symlink", str(name.readlink()), str(name)]
        elif name.is_dir():
            words += show(name)
    for name in (Path("/etc") / name for name in _ETC):
        if name.exists():
            words += show(name.resolve(), name)
    for name in sorted(_etc().iterdir()):
        words += show(name, Path("/etc") / name.name)
    words += ["--proc", "/proc", "--dev", "/dev", *memory("/dev/shm", limits.disk // 4)]
    words += [*memory("/tmp", limits.disk), *memory(str(ROOM), limits.disk)]
    # The course may lie below one of these: nothing of it is seen but what comes next.
    words += ["--perms", "0755", "--tmpfs", str(ROOT)]
    made.update([Path("/tmp"), ROOT, *ROOT.parents])
    readable = [path for path in _readable() if not _in_system(path) or ROOT in path.parents]
    for path in readable:
        words += show(path)
    for link, target in _links(_python()):
        if not _in_system(link) and not any(folder in link.parents for folder in readable):
            words += ["--symlink", str(target), str(link)]
    return [*words, "--remount-ro", str(ROOT), "--remount-ro", "/dev", "--remount-ro", "/"]


def _in_system(path: Path) -> bool:
    return any(path == name or name in path.parents for name in map(Path, _SYSTEM))


_SEATBELT = "/usr/bin/sandbox-exec"


def seatbelt_profile(home: Path, hidden: Sequence[Path], readable: Sequence[Path]) -> str:
    """The profile for macOS's sandbox-exec; of several rules that fit, the last one counts.

    Args:
        home: the folder that the command may write into.
        hidden: folders that it may not read.
        readable: what it may read of them all the same.
    """

    def paths(kind: str, several: Sequence[Path]) -> str:
        # As a real path: /tmp and /var are links on macOS, and rules are about what they lead to.
        return " ".join(
            f"({kind} {json.dumps(str(p.resolve()), ensure_ascii=False)})" for p in several
        )

    folders = {parent for path in (home, *readable) for parent in path.resolve().parents}
    return "\n".join(
        [
            "(version 1)",
            "(allow default)",
            "(deny network*)",
            '(allow network* (local ip "localhost:*"))',
            '(allow network* (remote ip "localhost:*"))',
            f"(allow network* (local unix-socket {paths('subpath', [home])}))",
            f"(allow network* (remote unix-socket {paths('subpath', [home])}))",
            "(deny signal)",
            "(allow signal (target same-sandbox))",
            "(deny process-info*)",
            "(allow process-info* (target same-sandbox))",
            "(deny appleevent-send)",
            "(deny job-creation)",
            f"(deny file-read* {paths('subpath', hidden)})",
            f"(allow file-read-metadata {paths('literal', sorted(folders))})",
            f"(allow file-read* {paths('subpath', [*readable, home])})",
            "(deny file-write*)",
            f"(allow file-write* {paths('subpath', [home])})",
            '(allow file-write* (literal "/dev/null") (literal "/dev/zero") (literal "/dev/tty"))',
        ]
    )


def _rlimits(way: Way, limits: Limits) -> dict[str, int]:
    """Limits that the kernel itself keeps, for `set_limits`."""
    found = {
        "CORE": 0,
        "FSIZE": limits.disk,
        # Twice, since memory that is only asked for counts too. Not RLIMIT_AS: libraries ask for
        # far more addresses than they ever use.
        "DATA": 2 * limits.memory,
        # Of each process: should the grader itself be killed, nothing goes on for ever.
        "CPU": int(limits.seconds) * 4 + 1,
    }
    if way.drop or (way.name == "bubblewrap" and not _is_root() and _counts_by_namespace()):
        found["NPROC"] = limits.processes
    elif not way.name and not _is_root():
        # All that this person has running counts.
        found["NPROC"] = limits.processes + _running()
    return found


def _counts_by_namespace() -> bool:
    """Whether the kernel counts a user's processes apart in each user namespace (since 5.14)."""
    try:
        major, minor = platform.release().split(".")[:2]
        return (int(major), int("".join(c for c in minor if c.isdigit()))) >= (5, 14)
    except ValueError:
        return False


def _running() -> int:
    """The processes of this user, with their threads where the system counts these too."""
    count = 0
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.uids().real == os.getuid():
                count += process.num_threads() if sys.platform == "linux" else 1
    return count


# --- a running command --------------------------------------------------------------------------


class Sandbox:
    """One command in its sandbox, from `start` until the end of the `with` block.

    Inside, `home` is the folder that it may write into; it is empty and private, and gone
    afterwards with all processes.
    """

    def __init__(self, limits: Limits | None = None, way: Way | None = None) -> None:
        self.limits = limits or Limits()
        self.way = way or best_way()
        self.stopped = ""
        """Why it was ended: TIME, MEMORY, PROCESSES, DISK, OUTPUT, LINES; "" if it was not."""
        self.code: int | None = None
        """Its exit code, once it has ended by itself; below 0 or above 128 for a signal."""
        self.peak: dict[str, int] = {}
        """The most that the watcher has seen of MEMORY, PROCESSES and DISK."""
        self.home = ROOM
        self._process: subprocess.Popen[bytes] | None = None
        self._lines: queue.Queue[bytes | None] = queue.Queue()
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._tail = bytearray()
        self._seen: dict[int, psutil.Process] = {}
        self._threads: list[threading.Thread] = []
        self._uid = _take_uid() if self.way.drop else None
        self._mark = secrets.token_hex(16)
        if self.way.name != "bubblewrap":
            made = tempfile.mkdtemp(prefix="winelab-hand-in-")
            self.home = Path(made).resolve()
            if self._uid is not None:
                os.chown(self.home, self._uid, self._uid)
        self._end = time.monotonic() + self.limits.seconds

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self.stop()
        if self._uid is not None:
            _give_uid_back(self._uid)
        if self.way.name != "bubblewrap":
            _remove(self.home)

    def start(self, command: Sequence[str], variables: Mapping[str, str]) -> None:
        """Start the command in `home`, with `variables` as its whole environment.

        Raises OSError when that is not possible.
        """
        words = list(command)
        posix = sys.platform != "win32"
        if posix:
            limits: dict[str, int] = _rlimits(self.way, self.limits)
            if self._uid is not None:
                limits["uid"] = self._uid
            script = str(Path(__file__).with_name("set_limits.py"))
            words = [str(_python()), "-I", "-S", script, json.dumps(limits), *words]
        if self.way.name == "bubblewrap":
            words = [*_bubblewrap(self.way, self.limits), "--chdir", str(ROOM), "--", *words]
        elif self.way.name == "seatbelt":
            hidden = [ROOT, Path.home(), self.home.parent]
            readable = [*_readable(), *{link.parent for link, _ in _links(_python())}]
            words = [_SEATBELT, "-p", seatbelt_profile(self.home, hidden, readable), *words]
        apart: dict[str, Any] = {"start_new_session": True}
        if sys.platform == "win32":
            apart = {
                "creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
            }
        mark = {} if self.way.name == "bubblewrap" else {MARK: self._mark}
        self._end = time.monotonic() + self.limits.seconds
        self._process = subprocess.Popen(
            words,
            cwd="/" if self.way.name == "bubblewrap" else self.home,
            env={"HOME": str(self.home), **variables, **mark},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            **apart,
        )
        for work in (self._read_lines, self._read_output, self._watch):
            # Daemons: a process that has run away may hold a pipe open, and must not hold us.
            thread = threading.Thread(target=_quietly, args=[work], daemon=True)
            thread.start()
            self._threads.append(thread)

    def send(self, line: bytes) -> None:
        """Send a line to the command's standard input; one that has ended misses it."""
        assert self._process is not None and self._process.stdin is not None
        rest = memoryview(line + b"\n")
        with contextlib.suppress(OSError, ValueError):
            while rest:
                rest = rest[self._process.stdin.write(rest) or 0 :]

    def receive(self) -> bytes | None:
        """The next line of the command's standard output; None once it or its time has ended."""
        # The watcher ends it in time; this is for a pipe that is held open beyond the end.
        patience = max(0.0, self._end - time.monotonic()) + 5
        try:
            return self._lines.get(timeout=patience)
        except queue.Empty:
            return None

    def printed(self) -> str:
        """The end of what it wrote to standard error, at most TAIL bytes."""
        with self._lock:
            return bytes(self._tail).decode("utf-8", errors="replace")

    def wait(self) -> None:
        """Wait until it has ended by itself, or was ended."""
        while self.receive() is not None:
            pass
        process = self._process
        assert process is not None
        while not self._over.is_set() and process.poll() is None:
            self._over.wait(0.02)
        self.stop()

    def wait_for_end(self, seconds: float) -> None:
        """Wait until it has ended by itself or was ended, at most some seconds."""
        assert self._process is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=seconds)

    def stop(self, reason: str = "") -> None:
        """End it, with all that it started. It may be called again, and from any thread."""
        process = self._process
        if process is None:
            return
        with self._lock:
            first = not self._over.is_set()
            if first:
                self.code = process.poll()
                self.stopped = "" if self.code is not None else reason
            self._over.set()
        if first:
            self._kill(process)
        me = threading.current_thread()
        if me not in self._threads:
            for thread in self._threads:
                thread.join(timeout=5)
            for pipe in (process.stdin, process.stdout, process.stderr):
                # One that a thread still reads is left to it.
                if pipe is not None and not any(t.is_alive() for t in self._threads):
                    with contextlib.suppress(OSError):
                        pipe.close()

    # --- how it ends

    def _kill(self, process: subprocess.Popen[bytes]) -> None:
        if self.way.name == "bubblewrap":
            # The first process of the namespace takes all others with it, and bubblewrap goes by
            # itself when they have gone.
            inside: list[psutil.Process] = []
            with contextlib.suppress(psutil.Error):
                inside = psutil.Process(process.pid).children()
            for first in inside:
                with contextlib.suppress(psutil.Error):
                    first.kill()
            if not inside:
                process.kill()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            return
        # Twice: what was being started at the first look is there at the second.
        for _ in range(2):
            for one in [*self._tree(), *self._seen.values(), *self._marked()]:
                with contextlib.suppress(psutil.Error):
                    one.kill()
            if sys.platform != "win32":
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
        with contextlib.suppress(OSError):
            process.kill()
        process.wait()

    def _marked(self) -> Iterator[psutil.Process]:
        """Processes that carry this sandbox's mark, or its user, whoever their parent is now."""
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.pid == os.getpid():
                    continue
                mine = self._uid is not None and process.uids().real == self._uid
                if mine or process.environ().get(MARK) == self._mark:
                    yield process

    # --- what runs beside it

    def _read_lines(self) -> None:
        assert self._process is not None and self._process.stdout is not None
        buffer = bytearray()
        try:
            while piece := os.read(self._process.stdout.fileno(), 65536):
                buffer += piece
                if len(buffer) > LINE:
                    self.stop(LINES)
                    return
                *lines, rest = buffer.split(b"\n")
                buffer = bytearray(rest)
                for line in lines:
                    self._lines.put(bytes(line))
        finally:
            self._lines.put(None)

    def _read_output(self) -> None:
        assert self._process is not None and self._process.stderr is not None
        total = 0
        while piece := os.read(self._process.stderr.fileno(), 65536):
            total += len(piece)
            with self._lock:
                self._tail += piece
                del self._tail[:-TAIL]
            if total > self.limits.output:
                self.stop(OUTPUT)
                return

    def _watch(self) -> None:
        """Look at it every moment, and end it where it takes more than it may."""
        assert self._process is not None
        while not self._over.wait(INTERVAL):
            if self._process.poll() is not None:
                # What it has left may hold its pipes open: with the command, all ends.
                self.stop()
                return
            if time.monotonic() > self._end:
                self.stop(TIME)
                return
            for name, value, most in self._used():
                self.peak[name] = max(value, self.peak.get(name, 0))
                if value > most:
                    self.stop(name)
                    return

    def _tree(self) -> list[psutil.Process]:
        assert self._process is not None
        try:
            first = psutil.Process(self._process.pid)
            return [first, *first.children(recursive=True)]
        except psutil.Error:
            return []

    def _used(self) -> Iterator[tuple[str, int, int]]:
        """What it uses now, each with its name and the most that it may."""
        limits, tree = self.limits, self._tree()
        if self.way.name != "bubblewrap":
            self._seen.update((process.pid, process) for process in tree)
        yield PROCESSES, len(tree), int(NEAR * limits.processes)
        yield MEMORY, _memory(tree, limits.memory), limits.memory
        if self.way.name == "bubblewrap":
            space = _in_memory(tree)
        else:
            space = _on_disk(self.home, limits.files, self._over.is_set)
        yield DISK, space[0], int(NEAR * limits.disk)
        # A limit of its own, in the same words.
        if space[1] > limits.files:
            yield DISK, limits.disk, 0


def _quietly(work: Callable[[], None]) -> None:
    # A pipe that is closed while it is read is an end like any other.
    with contextlib.suppress(OSError, ValueError):
        work()


def _memory(tree: Sequence[psutil.Process], most: int) -> int:
    """Bytes of memory that the processes hold, what they share counted once where it matters."""

    def total(ask: Callable[[psutil.Process], int]) -> int:
        found = 0
        for process in tree:
            with contextlib.suppress(psutil.Error, OSError):
                found += ask(process)
        return found

    def private(process: psutil.Process) -> int:
        info = process.memory_info()
        return int(info.rss - getattr(info, "shared", 0))

    def share(process: psutil.Process) -> int:
        info = process.memory_full_info()
        return int(getattr(info, "pss", 0) or getattr(info, "uss", 0) or info.rss)

    quick = total(private)
    # Exact figures cost a hundred times as much: a fork's pages are counted twice in the quick one.
    return quick if quick <= most else total(share)


def _in_memory(tree: Sequence[psutil.Process]) -> tuple[int, int]:
    """Bytes and files in the sandbox's own file systems, asked through one of its processes."""
    for process in reversed(tree):
        found = [0, 0]
        try:
            for folder in (str(ROOM), "/tmp", "/dev/shm"):
                state = os.statvfs(f"/proc/{process.pid}/root{folder}")
                found[0] += (state.f_blocks - state.f_bfree) * state.f_frsize
                found[1] += state.f_files - state.f_ffree
        except OSError:
            continue
        return found[0], found[1]
    return 0, 0


def _on_disk(folder: Path, most: int, over: Callable[[], bool]) -> tuple[int, int]:
    """Bytes and files in a folder, as the disk holds them; it stops counting above `most` files."""
    used = files = 0
    waiting = [str(folder)]
    while waiting and files <= most and not over():
        with contextlib.suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                files += 1
                with contextlib.suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    state = entry.stat(follow_symlinks=False)
                    # Windows counts no blocks.
                    used += getattr(state, "st_blocks", state.st_size // 512 + 1) * 512
    return int(used), files


def _remove(folder: Path) -> None:
    """Remove a folder, also where the hand-in has locked parts of it."""
    # From the top down: each folder is opened before what is in it is looked at.
    for place, names, _ in os.walk(folder):
        for name in names:
            if not Path(place, name).is_symlink():
                with contextlib.suppress(OSError):
                    Path(place, name).chmod(stat.S_IRWXU)
    shutil.rmtree(folder, ignore_errors=True)


# --- users without rights, for a grader that is root --------------------------------------------

_UIDS = range(64_000, 65_000)
_uids: set[int] = set()
_uids_lock = threading.Lock()


def _take_uid() -> int:
    """A user id that no other hand-in has now: the kernel counts processes by it."""
    with _uids_lock:
        while (uid := secrets.choice(_UIDS)) in _uids:
            pass
        _uids.add(uid)
        return uid


def _give_uid_back(uid: int) -> None:
    with _uids_lock:
        _uids.discard(uid)
