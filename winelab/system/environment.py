"""Make the course's .venv with uv, and keep it in step with the pins.

Standard library only, and no syntax newer than Python 3.8: this runs on the system's Python,
also to say that it is too old.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from winelab.core.console import say
from winelab.core.errors import CourseError
from winelab.core.files import locked
from winelab.core.paths import ROOT, STATE, course_environment
from winelab.system.uv import clean_environment, get_uv, run_installer

VENV = ".venv"
STAMP = "winelab-stamp.json"
UNCOMPILED = "winelab-uncompiled"
"""The mark of a .venv whose packages are not compiled yet."""


def venv_scripts(root: Path) -> Path:
    """Return the folder of .venv's commands, whether or not it is there."""
    return root / VENV / ("Scripts" if os.name == "nt" else "bin")


def venv_python(root: Path) -> Path:
    """Return the path of .venv's Python, whether or not it is there."""
    return venv_scripts(root) / ("python.exe" if os.name == "nt" else "python")


def in_venv(root: Path) -> bool:
    """Return True if the running Python is the one of the course's .venv."""
    return Path(sys.prefix).resolve() == (root / VENV).resolve()


def this_python() -> str:
    """Return the Python that runs this, or the one behind it if that is a .venv's own."""
    return getattr(sys, "_base_executable", None) or sys.executable


def venv_environment(root: Path) -> dict[str, str]:
    """Return the variables of a process in .venv: those of this process, and the course's."""
    environment = {**clean_environment(), **course_environment(root)}
    environment["VIRTUAL_ENV"] = str(root / VENV)
    # `mlflow models serve` looks for its commands on PATH, and so does a notebook's `!mlflow`.
    folders = [str(venv_scripts(root)), *environment.get("PATH", "").split(os.pathsep)]
    environment["PATH"] = os.pathsep.join(dict.fromkeys(folders))
    return environment


# --- the set-up ---------------------------------------------------------------------------------


def set_up(root: Path, quickly: bool = False) -> bool:
    """Make .venv, or bring it up to the pins; return True if there was anything to do.

    Args:
        root: the folder of the course.
        quickly: leave the packages uncompiled and the store unmade, for a command that does
            both beside its own work.

    Raises CourseError when no Python fits or when an installer fails; .venv is then not
    counted as done, and the next call starts again.
    """
    if is_current(root):
        return False
    with only_one(root):
        # Another terminal may have done it while this one waited.
        if is_current(root):
            return False
        started = time.monotonic()
        before, now = read_stamp(root), stamp_of(root)
        # The commands in .venv/bin name the folder that they were made in.
        kept = all(before.get(name) == now[name] for name in ("root", "python"))
        say("Bringing .venv up to date ..." if kept else "Setting up .venv (once) ...")
        (root / VENV / STAMP).unlink(missing_ok=True)
        if not kept:
            make_venv(root)
        install(root, quickly)
        write_stamp(root)
        say(f".venv is ready ({time.monotonic() - started:.0f} s).")
    if not quickly:
        prepare_store(root)
    return True


def make_venv(root: Path) -> None:
    """Make an empty .venv in place of any that is there.

    Raises CourseError when no Python fits, or when .venv cannot be made.
    """
    # Before anything is removed: uv may have to be fetched, and by .venv's own pip.
    uv, minors, minor = get_uv(root), requires_python(root), sys.version_info[1]
    remove_venv(root)
    fits = minor in minors
    # One that does not fit is no reason to stop: uv looks for another, or fetches one.
    wanted = this_python() if fits else f">=3.{minors[0]},<3.{minors[-1] + 1}"
    try:
        run_installer(
            [uv, "venv", "--quiet", "--python", wanted, str(root / VENV)], root, "make .venv"
        )
    except CourseError as error:
        if fits:
            raise
        raise CourseError(
            f"This is Python 3.{minor}, and the course needs Python 3.{minors[0]} to "
            f"3.{minors[-1]}: install Python 3.{minors[-1]} from python.org, "
            f"then run `make setup PYTHON=python3.{minors[-1]}`."
        ) from error


def requires_python(root: Path) -> range:
    """Return the minor versions of Python 3 that pyproject.toml allows.

    Raises CourseError when pyproject.toml does not say, or in another form than ">=3.x,<3.y".
    """
    # By hand: tomllib came with Python 3.11, and an older Python must be able to ask.
    text = (root / "pyproject.toml").read_text(encoding="utf-8")
    found = re.search(r'^requires-python = ">=3\.(\d+),<3\.(\d+)"$', text, re.MULTILINE)
    if found is None:
        raise CourseError('pyproject.toml has no requires-python such as ">=3.11,<3.15".')
    return range(int(found[1]), int(found[2]))


def remove_venv(root: Path) -> None:
    """Remove .venv. Raises CourseError when something holds it."""
    try:
        shutil.rmtree(root / VENV)
    except FileNotFoundError:
        return
    except OSError as error:
        raise CourseError(
            f".venv cannot be removed ({error}): close the programs that use it, "
            "leave it with `deactivate`, and run the command again."
        ) from error


def install(root: Path, quickly: bool) -> None:
    """Install the pins and the project itself into .venv, and compile them unless `quickly`.

    Raises CourseError when uv fails.
    """
    say("  installing the packages named in requirements.txt ...")
    command = install_command(venv_python(root), root)
    if quickly:
        (root / VENV / UNCOMPILED).touch()
        command.append("--no-compile-bytecode")
    course = ["--no-deps", "--no-build-isolation", "-e", str(root)]
    for what in (["-r", str(root / "requirements.txt")], course):
        run_installer([*command, *what], root, "install the packages")


def install_command(python: Path, root: Path = ROOT) -> list[str]:
    """Return the command that installs what is named after it for this Python.

    Raises CourseError when there is no uv, and none can be fetched.
    """
    # Without bytecode `import mlflow` takes more than twice as long; uv compiles only if told.
    options = ["--quiet", "--compile-bytecode", "--python", str(python)]
    return [get_uv(root), "pip", "install", *options]


@contextlib.contextmanager
def compiling(root: Path) -> Iterator[None]:
    """Compile what a quick set-up left, while the block runs.

    Nothing is lost if the block ends first: Python compiles what it imports, and the next time
    goes on from there.
    """
    mark = root / VENV / UNCOMPILED
    if not mark.exists():
        yield
        return
    # One process, and a polite one where the system knows how: a student works meanwhile.
    code = (
        "import compileall, os, pathlib, sysconfig; getattr(os, 'nice', int)(19); "
        "compileall.compile_dir(sysconfig.get_path('purelib'), quiet=2); "
        f"pathlib.Path({str(mark)!r}).unlink()"
    )
    # In our own group: Ctrl-C ends it too, whatever it finds us at.
    process = subprocess.Popen(
        [str(venv_python(root)), "-c", code],
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.kill()
        process.wait()


def prepare_store(root: Path) -> None:
    """Make the tracking store if there is none."""
    command = [str(venv_python(root)), "-m", "winelab", "store"]
    # Not fatal: `make reset`, which fixes a store, needs a finished .venv to run in.
    if subprocess.run(command, cwd=root, env=venv_environment(root), check=False).returncode:
        say("The tracking store is not ready: `make doctor` says why.")


def only_one(root: Path) -> IO[bytes]:
    """Keep a second terminal waiting until what is returned is closed.

    Raises CourseError when nothing can be written here.
    """
    try:
        (root / STATE).mkdir(exist_ok=True)
        return locked(root / STATE / "setup.lock")
    except OSError as error:
        raise CourseError(
            f"Nothing can be written here ({error.strerror}): "
            "copy the course to a folder of your own."
        ) from error


# --- the stamp of a finished .venv --------------------------------------------------------------


def is_current(root: Path) -> bool:
    """Return True if .venv was finished, runs, and was made for these pins in this folder."""
    return read_stamp(root) == stamp_of(root)


def stamp_of(root: Path) -> dict[str, str]:
    """Return what .venv would be made from now; "python" is empty if it does not run.

    Raises CourseError when the file of the pins is not there.
    """
    stamp = {"python": venv_version(root), "root": str(root.resolve())}
    for name in ("requirements.txt", "pyproject.toml"):
        try:
            # As text, so that a checkout with Windows line ends counts as the same.
            text = (root / name).read_text(encoding="utf-8")
        except OSError as error:
            raise CourseError(f"{name} cannot be read: get the course's files again.") from error
        stamp[name] = hashlib.sha256(text.encode()).hexdigest()
    return stamp


def read_stamp(root: Path) -> dict[str, str]:
    """Return what .venv was made from; empty if it was never finished."""
    try:
        stamp: dict[str, str] = json.loads((root / VENV / STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp


def write_stamp(root: Path) -> None:
    """Mark .venv as finished."""
    (root / VENV / STAMP).write_text(json.dumps(stamp_of(root), indent=1), encoding="utf-8")


def venv_version(root: Path) -> str:
    """Return the version of .venv's Python, such as "3.11"; empty if it does not run."""
    # Its patch number is left out: an update of it leaves .venv as good as it was.
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    command = [str(venv_python(root)), "-I", "-S", "-c", code]
    try:
        return subprocess.run(command, capture_output=True, encoding="utf-8").stdout.strip()
    except OSError:
        return ""
