"""Other versions of MLflow: which there are, and an environment for each in .winelab/matrix/."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from winelab.core.console import end_of, last_line, say
from winelab.core.errors import CourseError
from winelab.core.paths import ROOT, STATE
from winelab.system import environment
from winelab.system.packages import pins_for_here
from winelab.system.uv import clean_environment, get_uv, pip_settings, run_installer

ENVIRONMENTS = ROOT / STATE / "matrix"
SUBJECT = "mlflow"
PINS = "requirements.txt"


class Unresolved(CourseError):
    """A version cannot be installed; the message is uv's reason in one line."""


def pinned(folder: Path = ROOT) -> dict[str, str]:
    """Return the version of each package in a folder's requirements.txt, as far as for here."""
    text = (folder / PINS).read_text(encoding="utf-8")
    return {
        canonicalize_name(pin.name): str(pin.specifier).removeprefix("==")
        for pin in pins_for_here(text)
    }


def pinned_version() -> Version:
    """Return the version of MLflow that the course teaches."""
    return Version(pinned()[SUBJECT])


def listed() -> list[Version]:
    """Return the versions of MLflow that the package index lists.

    Raises CourseError where it cannot be asked, as offline.
    """
    # By pip, which is in every .venv of the course: uv has no command for it.
    command = [sys.executable, "-m", "pip", "index", "versions", SUBJECT, "--json"]
    command += ["--disable-pip-version-check", "--retries", "1", "--timeout", "20"]
    done = _ask(command)
    try:
        names = json.loads(done.stdout)["versions"]
    except (ValueError, KeyError, TypeError):
        why = last_line(done.stderr).removeprefix("ERROR: ").rstrip(".") or "pip said nothing"
        raise CourseError(
            f"The package index cannot be asked for the versions of MLflow ({why}): "
            'go online, or name versions that were tried before, as in ARGS="--versions 3.16.1".'
        ) from None
    return [Version(name) for name in names]


def choose(there: Iterable[Version], now: Version) -> tuple[list[Version], list[Version]]:
    """Return what to try beside `now`: the newer versions, and the newest of two minor ones before.

    Args:
        there: the versions that exist.
        now: the pinned one.

    Returns both newest first.
    """
    known = sorted(version for version in there if not version.is_prerelease)
    # The last one of each minor version is what stays.
    newest = {(version.major, version.minor): version for version in known}
    before = [newest[minor] for minor in newest if minor < (now.major, now.minor)]
    return [version for version in reversed(known) if version > now], before[:-3:-1]


def make(version: Version) -> Path:
    """Return the folder of a version's environment, made or brought up to date.

    It holds the pins and a .venv. What is right already stays: a second call takes seconds, and
    needs no network.

    Raises Unresolved with uv's reason, and CourseError when something cannot be installed.
    """
    # Named after the Python too: an environment keeps the one that it was made with.
    folder = ENVIRONMENTS / f"{version}-py{sys.version_info.major}.{sys.version_info.minor}"
    _resolve(version, folder)
    python = environment.venv_python(folder)
    if not python.exists():
        say(f"MLflow {version}: installing (once) ...")
    # Relocatable, and the course by its path of today: the course's folder may have moved.
    venv = [get_uv(), "venv", "--quiet", "--allow-existing", "--relocatable"]
    venv += ["--python", environment.this_python(), str(folder / environment.VENV)]
    install = [*environment.install_command(python), "--no-deps"]
    pins = [*install, "-r", str(folder / PINS)]
    course = [*install, "--no-build-isolation", "-e", str(ROOT)]
    for command in (venv, pins, course):
        run_installer(command, ROOT, f"make the environment of MLflow {version}")
    return folder


def _resolve(version: Version, folder: Path) -> None:
    """Write the pins that go with a version: the course's, as far as it accepts them."""
    folder.mkdir(parents=True, exist_ok=True)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {Requirement(text).name for text in project["dependencies"]} - {SUBJECT}
    draft = folder / "draft.txt"
    # uv keeps the versions of an output file that is there, and moves only what must move.
    shutil.copyfile(ROOT / PINS, draft)
    command = [
        get_uv(),
        "pip",
        "compile",
        "--quiet",
        "--no-header",
        "--no-annotate",
        "--color=never",
    ]
    command += ["--python", sys.executable, "-", "-o", str(draft)]
    done = _ask(command, "\n".join([f"{SUBJECT}=={version}", *sorted(names)]))
    if done.returncode == 0:
        draft.replace(folder / PINS)
    elif not (folder / PINS).exists():
        # Else it was resolved before, and this machine is offline today.
        shutil.rmtree(folder)
        raise Unresolved(reason_of(done.stderr))


def reason_of(message: str) -> str:
    """Return in one line why uv resolved nothing, from all that it said."""
    text = " ".join(message.split())
    # "cause: Because A and B, we can conclude that ... And because ...". The first step is why.
    because = re.search(r"\bBecause (.+?), we can conclude", text)
    return because[1] if because else end_of(message)


def moved(folder: Path) -> list[str]:
    """Return the packages that had to leave the course's pins, such as "pandas 2.3.3"; sorted."""
    before = pinned()
    return sorted(
        f"{name} {version}"
        for name, version in pinned(folder).items()
        # MLflow's own parts move with it.
        if not name.startswith(SUBJECT) and before.get(name, version) != version
    )


def _ask(command: list[str], said: str = "") -> subprocess.CompletedProcess[str]:
    """Run an installer's command to its end; what it answers is in the result."""
    return subprocess.run(
        command,
        cwd=ROOT,
        # An index that pip is told of, as a school's mirror, is uv's too.
        env={**pip_settings(), **clean_environment()},
        input=said,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
