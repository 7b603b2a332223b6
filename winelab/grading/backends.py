"""Find out which walls this machine has for untrusted code, and write their command lines.

On Linux they are bubblewrap's: namespaces of its own for files, processes and network. On macOS
they are Seatbelt's. Where neither works, only limits are left, and `guarantees` says so.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import psutil

from winelab.core.paths import NEW_WINES, ROOT, STATE
from winelab.grading.limits import Limits

HOME = Path("/room")
"""The only writable folder in bubblewrap's sandbox, beside /tmp; no machine has a person there."""
SHARED_MEMORY = "/dev/shm"

_WALLS = Path(__file__).with_name("walls")
_SEATBELT = "/usr/bin/sandbox-exec"
_NO_USERNS = "--disable-userns"
_SYSTEM = tuple(
    map(Path, ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store"))
)
# Of /etc, what a program needs to start; walls/etc has what stands for the machine's own affairs.
_ETC = ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "localtime", "mime.types")


@dataclass(frozen=True)
class Backend:
    """How this machine keeps a command in."""

    drop: bool = False
    """Whether the command becomes a user without rights, since this process is root."""
    why: str = ""
    """Why it is not a better one, in one sentence."""

    walled: ClassVar[bool] = True
    """Whether a command is kept from other files, from other processes and from the network."""
    namespaced: ClassVar[bool] = False
    """Whether its files and processes are in namespaces, which are gone when it ends."""

    def wrap(self, command: Sequence[str], home: Path, limits: Limits) -> list[str]:
        """Return the command line that runs `command` behind the walls, in the folder `home`."""
        return list(command)

    def most_processes(self, limits: Limits) -> int | None:
        """Return the number of processes at which the kernel is to refuse more; None for none."""
        return limits.processes if self.drop else None

    def resources(self, limits: Limits) -> dict[str, int]:
        """Return the limits that the kernel itself keeps, for `set_limits`."""
        found = {
            "CORE": 0,
            "FSIZE": limits.disk,
            # Twice, since memory that is only asked for counts too. Not RLIMIT_AS: libraries ask
            # for far more addresses than they ever use.
            "DATA": 2 * limits.memory,
            # Of each process: should the grader itself be killed, nothing goes on for ever.
            "CPU": int(limits.seconds) * 4 + 1,
        }
        most = self.most_processes(limits)
        return found if most is None else found | {"NPROC": most}

    def guarantees(self) -> list[str]:
        """Return what it really guarantees, a sentence each; first the sum."""
        said = tomllib.loads((_WALLS / "guarantees.toml").read_text(encoding="utf-8"))
        rights = (
            "They run as a user without rights."
            if self.drop
            else "They run with your rights: they can read and change your files, the solutions "
            "and the report among them, and end your programs."
        )
        who = " as a user without rights" if self.drop else ""
        limits = said["limits"] + ("" if self.namespaced else said["watched"])
        sentences = [*said[type(self).__name__], limits, *said["common"]]
        return [Limits().fill(text, who=who, why=self.why, rights=rights) for text in sentences]


class LimitsAlone(Backend):
    """No walls, on a system that has none that the course knows how to use."""

    walled = False

    def most_processes(self, limits: Limits) -> int | None:
        """Return the limit, above what this person has running: all of that counts."""
        if self.drop or is_root():
            return super().most_processes(limits)
        count = 0
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.uids().real == os.getuid():
                    # Linux counts threads too.
                    count += process.num_threads() if sys.platform == "linux" else 1
        return limits.processes + count


class Seatbelt(Backend):
    """The sandbox of macOS."""

    def wrap(self, command: Sequence[str], home: Path, limits: Limits) -> list[str]:
        """Return the command line of sandbox-exec."""
        hidden = [ROOT, Path.home(), home.parent]
        readable = [*_readable(), *{link.parent for link, _ in _links(Path(sys.executable))}]
        return [_SEATBELT, "-p", seatbelt_profile(home, hidden, readable), *command]


def seatbelt_profile(home: Path, hidden: Sequence[Path], readable: Sequence[Path]) -> str:
    """Return the profile for sandbox-exec.

    Args:
        home: the folder that the command may write into.
        hidden: folders that it may not read.
        readable: what it may read of them all the same.
    """

    def rules(kind: str, *several: Path) -> str:
        # As a real path: /tmp and /var are links on macOS, and rules are about what they lead to.
        names = [json.dumps(str(path.resolve()), ensure_ascii=False) for path in several]
        return " ".join(f"({kind} {name})" for name in names)

    folders = {parent for path in (home, *readable) for parent in path.resolve().parents}
    return (_WALLS / "seatbelt.sb").read_text(encoding="utf-8").format(
        home=rules("subpath", home),
        hidden=rules("subpath", *hidden),
        folders=rules("literal", *sorted(folders)),
        readable=rules("subpath", *readable, home),
    )  # fmt: skip


@dataclass(frozen=True)
class Bubblewrap(Backend):
    """Namespaces of Linux, made by bubblewrap."""

    options: frozenset[str] = frozenset()
    """Options of bubblewrap that not each version or system has."""

    namespaced: ClassVar[bool] = True

    def most_processes(self, limits: Limits) -> int | None:
        """Return the limit where the kernel counts a user's processes by user namespace."""
        since = tuple(map(int, re.findall(r"\d+", platform.release())[:2]))
        return limits.processes if self.drop or (not is_root() and since >= (5, 14)) else None

    def wrap(self, command: Sequence[str], home: Path, limits: Limits) -> list[str]:
        """Return bubblewrap's command line."""
        words = [shutil.which("bwrap") or "bwrap", "--die-with-parent", "--new-session"]
        words += ["--hostname", "wine-lab"]
        words += ["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"]
        words += ["--unshare-cgroup-try"]
        if self.drop:
            # Just enough to become somebody else, which takes these away too.
            words += ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
        else:
            words += ["--unshare-user", "--uid", "1000", "--gid", "1000"]
            words += [_NO_USERNS] if _NO_USERNS in self.options else []
        for name in _SYSTEM:
            if name.is_symlink():
                words += ["--symlink", str(name.readlink()), str(name)]
            elif name.is_dir():
                words += _show(name)
        for name in (Path("/etc") / name for name in _ETC):
            words += _show(name.resolve(), name) if name.exists() else []
        for name in sorted((_WALLS / "etc").iterdir()):
            words += _show(name, Path("/etc") / name.name)
        words += ["--proc", "/proc", "--dev", "/dev"]
        for folder, most in (
            (SHARED_MEMORY, limits.disk // 4),
            ("/tmp", limits.disk),
            (str(HOME), limits.disk),
        ):
            sized = ["--size", str(most)] if "--size" in self.options else []
            words += ["--perms", "1777", *sized, "--tmpfs", folder]
        # The course may lie below one of these: nothing of it is seen but what comes next.
        words += ["--perms", "0755", "--tmpfs", str(ROOT)]
        readable = [path for path in _readable() if not _in_system(path) or ROOT in path.parents]
        for path in readable:
            words += _show(path)
        for link, target in _links(Path(sys.executable)):
            if not _in_system(link) and not any(folder in link.parents for folder in readable):
                words += ["--symlink", str(target), str(link)]
        words += ["--remount-ro", str(ROOT), "--remount-ro", "/dev", "--remount-ro", "/"]
        return [*words, "--chdir", str(home), "--", *command]


def _show(path: Path, at: Path | None = None) -> list[str]:
    """Show a file or folder to a command, read-only."""
    target = at or path
    words = []
    for folder in reversed(target.parents):
        # By itself bubblewrap makes them as they are outside: a home that only its owner enters.
        if folder not in (Path("/"), Path("/tmp"), ROOT, *ROOT.parents) and not _in_system(folder):
            words += ["--perms", "0755", "--dir", str(folder)]
    return [*words, "--ro-bind", str(path), str(target)]


def _in_system(path: Path) -> bool:
    return any(path == name or name in path.parents for name in _SYSTEM)


def _links(path: Path) -> Iterator[tuple[Path, Path]]:
    """Yield each symbolic link on the way from `path` to its file, and what it points at."""
    for _ in range(40):
        if not path.is_symlink():
            return
        target = path.readlink()
        yield path, target
        path = Path(os.path.normpath(path.parent / target))


def _readable() -> list[Path]:
    """Return what a command needs beside the system: Python, the course's packages, the tools."""
    # Not the whole prefix: a Python built into a home folder would bring the home along.
    found = [Path(sys.base_prefix) / name for name in ("bin", "lib", "lib64", "ssl")]
    found += [Path(sys.prefix), ROOT / "winelab", NEW_WINES, cache_folder() / "matplotlib"]
    found += sorted(cache_folder().glob("empty-store-*.db"))
    return [path for path in found if path.exists()]


def cache_folder() -> Path:
    """Return what may be seen of the course's own cache: prepared stores, and fonts."""
    folder = ROOT / STATE / "cache"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def bubblewraps() -> Iterator[Bubblewrap]:
    """Yield the ways of using the bubblewrap that is installed, the best first."""
    known = subprocess.run(
        ["bwrap", "--help"], capture_output=True, encoding="utf-8", errors="replace", check=False
    )
    said = known.stdout + known.stderr
    options = frozenset(name for name in ("--size", _NO_USERNS) if name in said)
    if is_root():
        yield Bubblewrap(drop=True, options=options - {_NO_USERNS})
    yield Bubblewrap(options=options)
    yield Bubblewrap(options=options - {_NO_USERNS})


def is_root() -> bool:
    """Return whether this process may do anything."""
    return sys.platform != "win32" and os.geteuid() == 0
