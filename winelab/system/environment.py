"""Makes the course's .venv and keeps it in step with the pins.

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

from winelab.core.console import end_of, say
from winelab.core.errors import CourseError
from winelab.core.paths import STATE, course_environment

VENV = ".venv"
STAMP = "winelab-stamp.json"

# Variables that make a Python import, or pip install, from or to somewhere else, and those by
# which one make speaks to the next: a terminal in JupyterLab is no part of `make lab`.
MISLEADING = (
    *("PYTHONPATH", "PYTHONHOME", "PIP_USER", "PIP_TARGET", "PIP_PREFIX"),
    *("MAKELEVEL", "MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES"),
)


def venv_python(root: Path) -> Path:
    """The path of .venv's Python, whether or not it is there."""
    return venv_scripts(root) / ("python.exe" if os.name == "nt" else "python")


def venv_scripts(root: Path) -> Path:
    """The folder of .venv's commands, whether or not it is there."""
    return root / VENV / ("Scripts" if os.name == "nt" else "bin")


def in_venv(root: Path) -> bool:
    """True if the running Python is the one of the course's .venv."""
    return Path(sys.prefix).resolve() == (root / VENV).resolve()


def venv_environment(root: Path) -> dict[str, str]:
    """The variables of a process that runs in .venv: this process's own, and the course's."""
    environment = {**installer_environment(), **course_environment(root)}
    environment["VIRTUAL_ENV"] = str(root / VENV)
    # `mlflow models serve` looks for its commands on PATH, and so does a notebook's `!mlflow`.
    folders = [str(venv_scripts(root)), *environment.get("PATH", "").split(os.pathsep)]
    environment["PATH"] = os.pathsep.join(dict.fromkeys(folders))
    return environment


def requires_python(root: Path) -> str:
    """The versions of Python that pyproject.toml allows, as it writes them.

    Raises CourseError when pyproject.toml does not say.
    """
    # By hand: tomllib came with Python 3.11, and an older Python must be able to ask.
    text = (root / "pyproject.toml").read_text(encoding="utf-8")
    found = re.search(r'^requires-python\s*=\s*"([^"]+)"', text, re.MULTILINE)
    if found is None:
        raise CourseError("pyproject.toml names no requires-python.")
    return found.group(1)


def allows(specifier: str, version: tuple[int, int]) -> bool:
    """True if a specifier such as ">=3.11,<3.15" allows this major and minor version.

    Raises CourseError for a form of specifier other than >= and <.
    """
    for part in specifier.split(","):
        found = re.fullmatch(r"\s*(>=|<)\s*(\d+)\.(\d+)\s*", part)
        if found is None:
            raise CourseError(f"requires-python is not understood: {specifier}")
        bound = (int(found.group(2)), int(found.group(3)))
        if (version < bound) if found.group(1) == ">=" else (version >= bound):
            return False
    return True


def find_uv() -> str | None:
    """The command of uv, or None where there is none that runs."""
    uv = shutil.which("uv")
    if uv is None:
        return None
    # pyenv leaves a stub named uv that only says "command not found".
    works = subprocess.run([uv, "--version"], capture_output=True, check=False).returncode == 0
    return uv if works else None


def set_up(root: Path) -> bool:
    """Makes .venv, or brings it up to the pins; returns True if there was anything to do.

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
        if can_be_kept(root):
            say("Bringing .venv up to date ...")
        else:
            say("Setting up .venv (once, about a minute) ...")
        wanted = make_venv(root)
        install(root)
        write_stamp(root, wanted)
        say(f".venv is ready ({time.monotonic() - started:.0f} s).")
    prepare_store(root)
    return True


def is_current(root: Path) -> bool:
    """True if .venv was finished, runs, and was made for these pins in this folder."""
    stamp = read_stamp(root)
    return bool(stamp) and stamp == stamp_of(root, venv_version(root))


def can_be_kept(root: Path) -> bool:
    """True if .venv was finished, runs, and belongs to this folder, whatever its pins."""
    stamp = read_stamp(root)
    now = stamp_of(root, venv_version(root))
    # The commands in .venv/bin name the folder that they were made in.
    return bool(stamp) and all(stamp.get(name) == now[name] for name in ("root", "python"))


def read_stamp(root: Path) -> dict[str, str]:
    """What .venv was made from; empty if it was never finished."""
    try:
        stamp = json.loads((root / VENV / STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def stamp_of(root: Path, python: str) -> dict[str, str]:
    """What a .venv of this version of Python, made now, would be made from."""
    return {
        "python": python,
        "root": str(root.resolve()),
        "requirements": digest(root / "requirements.txt"),
        "project": digest(root / "pyproject.toml"),
    }


def digest(path: Path) -> str:
    """The SHA-256 of a file's text. Raises CourseError when there is no such file."""
    try:
        # As text, so that a checkout with Windows line ends counts as the same.
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise CourseError(f"{path.name} cannot be read: get the course's files again.") from error
    return hashlib.sha256(text.encode()).hexdigest()


def write_stamp(root: Path, stamp: dict[str, str]) -> None:
    """Marks .venv as finished."""
    (root / VENV / STAMP).write_text(json.dumps(stamp, indent=1), encoding="utf-8")


def venv_version(root: Path) -> str:
    """The version of .venv's Python, such as "3.11"; empty if it does not run."""
    # Its patch number is left out: an update of it leaves .venv as good as it was.
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        answer = subprocess.run(
            [str(venv_python(root)), "-I", "-S", "-c", code],
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )
    except OSError:
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""


def make_venv(root: Path) -> dict[str, str]:
    """Makes .venv unless the one there can be kept; returns the stamp it will get.

    Raises CourseError when no Python fits, or when .venv cannot be made.
    """
    kept = can_be_kept(root)
    (root / VENV / STAMP).unlink(missing_ok=True)
    if not kept:
        command = venv_command(root, find_uv(), sys.version_info[:2], this_python())
        remove_venv(root)
        run_installer(command, root, "make .venv")
    version = venv_version(root)
    if not version:
        raise CourseError(".venv was made, but its Python does not run: remove .venv, try again.")
    return stamp_of(root, version)


def this_python() -> str:
    """The Python that runs this, or the one behind it if that is a .venv's own."""
    return getattr(sys, "_base_executable", None) or sys.executable


def venv_command(root: Path, uv: str | None, version: tuple[int, int], python: str) -> list[str]:
    """The command that makes .venv.

    Raises CourseError when this Python does not fit and there is no uv to find another.
    """
    wanted = requires_python(root)
    fits = allows(wanted, version)
    if uv is not None:
        return [uv, "venv", "--quiet", "--python", python if fits else wanted, str(root / VENV)]
    if not fits:
        raise CourseError(wrong_python(wanted, version))
    return [python, "-m", "venv", str(root / VENV)]


def wrong_python(wanted: str, version: tuple[int, int]) -> str:
    """The sentence that says which Python is needed, and how to get it."""
    newest = newest_allowed(wanted)
    return (
        f"This is Python {version[0]}.{version[1]}, and the course needs Python {wanted}: "
        f"install Python {newest} from python.org (or install uv, which finds or fetches one), "
        f"then run `make setup PYTHON=python{newest}`."
    )


def newest_allowed(wanted: str) -> str:
    """The newest version of Python that a specifier allows, such as "3.14"."""
    allowed = [minor for minor in range(50) if allows(wanted, (3, minor))]
    return f"3.{max(allowed)}" if allowed else "3"


def remove_venv(root: Path) -> None:
    """Removes .venv. Raises CourseError when something holds it."""
    try:
        shutil.rmtree(root / VENV)
    except FileNotFoundError:
        return
    except OSError as error:
        raise CourseError(
            f".venv cannot be removed ({error}): close the programs that use it, "
            "leave it with `deactivate`, and run the command again."
        ) from error


def install(root: Path) -> None:
    """Installs the pins and the project itself into .venv, and compiles all of it.

    Raises CourseError when an installer fails.
    """
    say("  installing the packages named in requirements.txt ...")
    uv = find_uv()
    for command in uv_commands(root, uv) if uv is not None else pip_commands(root):
        run_installer(command, root, "install the packages")
    if uv is None:
        compile_all(root)


def uv_commands(root: Path, uv: str) -> list[list[str]]:
    """The commands with which uv fills .venv."""
    # Without bytecode `import mlflow` takes more than twice as long; uv compiles only if told.
    pip, here = [uv, "pip"], ["--quiet", "--compile-bytecode", "--python", str(venv_python(root))]
    return [
        [*pip, "install", *here, "-r", str(root / "requirements.txt")],
        [*pip, "install", *here, "--no-deps", "--no-build-isolation", "-e", str(root)],
    ]


def pip_commands(root: Path) -> list[list[str]]:
    """The commands with which pip fills .venv."""
    pip = [str(venv_python(root)), "-m", "pip", "install", "--quiet"]
    pip += ["--disable-pip-version-check", "--no-compile"]
    return [
        [*pip, "-r", str(root / "requirements.txt")],
        [*pip, "--no-deps", "--no-build-isolation", "-e", str(root)],
    ]


def install_command(python: Path) -> list[str]:
    """The command that installs what stands behind it for this Python, by uv if it is there."""
    uv = find_uv()
    if uv is not None:
        return [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(python)]
    return [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]


def compile_all(root: Path) -> None:
    """Compiles what pip installed."""
    say("  compiling them, so that everything starts faster ...")
    # Its exit code means nothing here: a few packages carry files for other Pythons.
    command = [str(venv_python(root)), "-m", "compileall", "-q", "-j", "0", str(root / VENV)]
    subprocess.run(command, capture_output=True, check=False, env=installer_environment())


def installer_environment() -> dict[str, str]:
    """This process's variables, without those that send an installer elsewhere."""
    environment = {name: value for name, value in os.environ.items() if name not in MISLEADING}
    environment["PYTHONUTF8"] = "1"
    return environment


def run_installer(command: list[str], root: Path, purpose: str) -> None:
    """Runs one step of the set-up. Raises CourseError with the end of what it said."""
    done = subprocess.run(
        command,
        cwd=root,
        env=installer_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        raise CourseError(
            f"Set-up could not {purpose}: {end_of(done.stdout)} -- "
            f"{advice(done.stdout)}, then run the same command again."
        )


def advice(message: str) -> str:
    """What to do about an installer's message."""
    low = message.lower()
    if "ensurepip" in low:
        return "install uv, or Python's venv (Debian, Ubuntu: `sudo apt install python3-venv`)"
    if "no space left" in low or "not enough space" in low:
        return "make room on the disk (3 GB)"
    if "no interpreter found" in low:
        return "install a Python that fits (`uv python install 3.13`, or from python.org)"
    return "see that this machine is online"


def prepare_store(root: Path) -> None:
    """Makes the tracking store if there is none."""
    command = [str(venv_python(root)), "-m", "winelab", "store"]
    done = subprocess.run(command, cwd=root, env=venv_environment(root), check=False)
    # Not fatal: `make reset`, which mends a store, needs a finished .venv to run in.
    if done.returncode != 0:
        say("The tracking store is not ready: `make doctor` says why.")


@contextlib.contextmanager
def only_one(root: Path) -> Iterator[None]:
    """Keeps a second terminal waiting while this one sets up.

    Raises CourseError when nothing can be written here.
    """
    try:
        (root / STATE).mkdir(exist_ok=True)
        lock = (root / STATE / "setup.lock").open("w", encoding="utf-8")
    except OSError as error:
        raise CourseError(
            f"Nothing can be written here ({error.strerror}): "
            "copy the course to a folder of your own."
        ) from error
    with lock:
        # A lock of the system's: it ends with the process, however that ends.
        take_lock(lock.fileno())
        yield


if sys.platform == "win32":
    import msvcrt

    def take_lock(descriptor: int) -> None:
        """Waits until no other process has this file locked, and locks it."""
        while True:
            # msvcrt gives up after ten seconds; an installation takes longer.
            with contextlib.suppress(OSError):
                msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)
                return

    def lock_at_once(descriptor: int) -> bool:
        """Locks this file; False if another process has it locked."""
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def take_lock(descriptor: int) -> None:
        """Waits until no other process has this file locked, and locks it."""
        fcntl.flock(descriptor, fcntl.LOCK_EX)

    def lock_at_once(descriptor: int) -> bool:
        """Locks this file; False if another process has it locked."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True
