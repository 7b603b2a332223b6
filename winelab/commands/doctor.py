"""Say what is right and wrong on this machine, each with what to do about it.

Standard library only, and no syntax newer than Python 3.8: whoever needs this has perhaps
nothing else that works.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from winelab.core import console
from winelab.core.errors import CourseError
from winelab.core.paths import ROOT, STORE, TABLE
from winelab.system import environment
from winelab.system.course_servers import LAB_PORT, UI_PORT
from winelab.system.serve import free_port
from winelab.system.uv import INSTALL, find_uv
from winelab.tracking.data import which_table

GB = 10**9
# Measured: .venv takes 1.0 GB, and uv's cache as much again where it is on another disk.
NEEDED_BEFORE, NEEDED_AFTER = 3 * GB, 1 * GB

# Windows stops at 259 characters, and the longest path inside .venv has 155.
LONGEST_ROOT = 259 - 155

GREEN, RED, PLAIN = "\033[32m", "\033[31m", "\033[0m"


class Finding(NamedTuple):
    """One line of the report: what is right; or what is wrong, and its fix."""

    text: str
    fix: str = ""
    matters: bool = True
    """False for what the course can do without."""

    def line(self, colours: bool) -> str:
        """Return it as a line of text."""
        mark, colour, fix = ("!! ", RED, f" -> {self.fix}") if self.fix else ("ok ", GREEN, "")
        return f"{colour}{mark}{PLAIN} {self.text}{fix}" if colours else f"{mark} {self.text}{fix}"


def main() -> int:
    """Print the report; return 1 if something that matters is wrong, else 0."""
    wrong = 0
    colours = sys.stdout.isatty() and os.name != "nt" and "NO_COLOR" not in os.environ
    for finding in examine(ROOT):
        print(finding.line(colours), flush=True)
        wrong += bool(finding.fix) and finding.matters
    print(f"{wrong} to fix." if wrong else "All that the course needs is there.")
    return 1 if wrong else 0


def examine(root: Path) -> Iterator[Finding]:
    """Yield all that is looked at, one after the other."""
    done = environment.is_current(root)
    yield python(root, sys.version_info[1], done)
    yield uv(root, done)
    yield tool("make", "without it: python -m winelab COMMAND")
    yield tool("git", "needed only to fetch a newer course")
    yield tool("curl", "needed only for the block about serving")
    yield port("JupyterLab", LAB_PORT)
    yield port("MLflow's UI", UI_PORT)
    yield writable(root)
    yield disk(shutil.disk_usage(root).free, NEEDED_AFTER if done else NEEDED_BEFORE)
    yield venv(root, done)
    if done:
        yield pins(root)
    yield store(root / STORE.name, environment.venv_python(root) if done else None)
    if done:
        yield from old_stores(root)
    yield table(root / "data" / TABLE.name)
    if os.name == "nt":
        yield path_length(root)
        yield encoding(sys.stdout.encoding)


def python(root: Path, minor: int, done: bool) -> Finding:
    """Return whether the Python 3 that runs this fits, or another will do."""
    minors = environment.requires_python(root)
    fits = minor in minors
    text = f"Python 3.{minor} {'fits' if fits else 'does not fit'}"
    text += f" (3.{minors[0]} to 3.{minors[-1]})"
    if not fits:
        text += ", but .venv has one that does" if done else "; uv will look for one that does"
    return Finding(text)


def uv(root: Path, done: bool) -> Finding:
    """Return whether there is a uv, or a way to fetch it."""
    if find_uv(root):
        return Finding("uv is there")
    if any(find_spec(name) for name in ("pip", "ensurepip")):
        return Finding("uv is not there: the set-up fetches it")
    text = "uv is not there, and this Python has no pip to fetch it"
    return Finding(text, INSTALL, matters=not done)


def tool(name: str, otherwise: str) -> Finding:
    """Return whether a command that the course can do without is there."""
    if shutil.which(name):
        return Finding(f"{name} is there")
    return Finding(f"{name} is not there", f"install it; {otherwise}", matters=False)


def port(server: str, start: int) -> Finding:
    """Return which port a server will get."""
    try:
        found = free_port(start)
    except CourseError as error:
        return Finding(f"{server} finds no port: {error}", "stop servers, or restart")
    taken = "" if found == start else f" ({start} is taken)"
    return Finding(f"{server} will get port {found}{taken}")


def writable(root: Path) -> Finding:
    """Return whether files can be made in the course's folder."""
    try:
        with tempfile.TemporaryFile(dir=root):
            return Finding("this folder is writable")
    except OSError as error:
        fix = "copy the course to a folder of your own"
        return Finding(f"this folder is not writable ({error.strerror})", fix)


def disk(free: int, needed: int) -> Finding:
    """Return whether there is room."""
    text = f"{free / GB:.1f} GB free on the disk, {needed // GB} needed"
    return Finding(text, "" if free >= needed else "make room")


def venv(root: Path, done: bool) -> Finding:
    """Return whether .venv is there, finished and for these pins."""
    if done:
        return Finding(f".venv is there (Python {environment.venv_version(root)})")
    if not (root / environment.VENV).exists():
        return Finding(".venv is made at the first `make lab`")
    if not environment.venv_version(root):
        return Finding(".venv is broken: its Python does not run", "make setup")
    if not environment.read_stamp(root):
        return Finding(".venv was never finished", "make setup")
    return Finding(".venv is for another folder or other pins", "make setup")


def pins(root: Path) -> Finding:
    """Return whether .venv holds exactly what requirements.txt names."""
    code = "from winelab.core.paths import ROOT; from winelab.system.packages import missing; "
    code += "print(chr(10).join(missing(ROOT / 'requirements.txt')))"
    answer = ask_venv(environment.venv_python(root), root, code)
    if answer.returncode != 0:
        text = f".venv does not answer ({console.end_of(answer.stderr)})"
        return Finding(text, "make clean ALL=1, then make setup")
    lines = answer.stdout.strip().splitlines()
    if not lines:
        return Finding("the pinned packages are installed")
    some = ", ".join(lines[:3]) + (" ..." if len(lines) > 3 else "")
    text = f"{len(lines)} package(s) differ from requirements.txt: {some}"
    return Finding(text, "make clean ALL=1, then make setup")


def ask_venv(python: Path, root: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run a piece of code in .venv's Python; what it says is in the result."""
    return subprocess.run(
        [str(python), "-W", "ignore", "-c", code],
        cwd=root,
        env=environment.venv_environment(root),
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    )


def store(path: Path, python: Path | None) -> Finding:
    """Return whether the tracking store can be read: by SQLite, then (in .venv) by MLflow."""
    if not path.exists():
        return Finding("the store is made at the first `make lab`")
    wrong = sqlite_problem(path)
    if wrong:
        return Finding(f"the store cannot be read ({wrong})", "make reset")
    if python is None:
        return Finding("the store is there (MLflow reads it once .venv is ready)")
    code = "import mlflow; mlflow.search_experiments(max_results=1)"
    answer = ask_venv(python, path.parent, code)
    if answer.returncode == 0:
        return Finding("the store is there and MLflow reads it")
    if "database schema" in answer.stderr:
        fix = f"copy {path.name}, then `{environment.venv_scripts(Path()) / 'mlflow'} db upgrade "
        fix += f"sqlite:///{path.name}`; or `make reset`"
        return Finding("the store was made by another version of MLflow", fix)
    text = f"MLflow does not read the store ({console.end_of(answer.stderr)[-150:]})"
    return Finding(text, "make reset")


def old_stores(root: Path) -> Iterator[Finding]:
    """Yield each program that still works on a store that was put aside."""
    code = "from pathlib import Path; from winelab.tracking.store import on_an_old_store; "
    code += f"print(*on_an_old_store(Path({str(root)!r})), sep=chr(10))"
    answer = ask_venv(environment.venv_python(root), root, code)
    for what in filter(None, answer.stdout.splitlines()):
        yield Finding(f"{what} still works on a store that was put aside", "restart it")


def sqlite_problem(path: Path) -> str:
    """Return what SQLite has against a store's file; empty if nothing."""
    try:
        # Read only: to look at a store must not change it, nor make one.
        address = f"{path.resolve().as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(address, uri=True, timeout=5)) as database:
            state = database.execute("PRAGMA quick_check(1)").fetchone()[0]
            tables = {row[0] for row in database.execute("SELECT name FROM sqlite_master")}
    except sqlite3.Error as error:
        return str(error)
    if state != "ok":
        return str(state)
    return "" if {"experiments", "runs"} <= tables else "it holds no MLflow tables"


def table(path: Path) -> Finding:
    """Return which wine table is in place."""
    kind = which_table(path)
    if kind == "missing":
        return Finding(f"data/{path.name} is missing", "make data TWIN=1")
    if kind == "other":
        text = "the wine table was changed: scores will differ from the course's"
        return Finding(text, "make data TWIN=1", matters=False)
    names = {"twin": "the wine table is the twin that ships", "original": "UCI's own wine table"}
    return Finding(names.get(kind, str(kind)))


def path_length(root: Path) -> Finding:
    """Return whether .venv's longest path fits into what Windows allows."""
    if len(str(root)) <= LONGEST_ROOT:
        return Finding("the path of this folder is short enough")
    fix = "move the course up, for example to C:\\winelab"
    return Finding(f"the path of this folder has {len(str(root))} characters", fix)


def encoding(name: str | None) -> Finding:
    """Return whether the terminal takes any character; the course's own processes always do."""
    if (name or "").lower().replace("-", "") == "utf8":
        return Finding("the terminal takes UTF-8")
    fix = "set PYTHONUTF8=1 if letters come out wrong"
    return Finding(f"the terminal takes {name}", fix, matters=False)
