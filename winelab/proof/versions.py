"""Other versions of MLflow: which there are, and an environment for each in .winelab/matrix/."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import Version

from winelab.core.console import end_of, say
from winelab.core.errors import CourseError
from winelab.core.paths import ROOT, STATE, STORE
from winelab.system import environment
from winelab.system.packages import pins_for_here
from winelab.system.uv import clean_environment, get_uv, pip_settings, run_installer

ENVIRONMENTS = ROOT / STATE / "matrix"
SUBJECT = "mlflow"
PINS = "requirements.txt"


class Unusable(CourseError):
    """A version cannot be installed, or does not start; the message says which, and why."""


def pinned(folder: Path = ROOT) -> dict[str, str]:
    """Return the version of each package in a folder's requirements.txt, as far as for here.

    MLflow's own parts are left out: they go with it.
    """
    pins = pins_for_here((folder / PINS).read_text(encoding="utf-8"))
    versions = {canonicalize_name(pin.name): str(pin.specifier)[2:] for pin in pins}
    return {name: versions[name] for name in versions if not name.startswith(f"{SUBJECT}-")}


def pinned_version() -> Version:
    """Return the version of MLflow that the course teaches."""
    return Version(pinned()[SUBJECT])


def newest(bounds: str) -> Version | None:
    """Return the newest version that the package index has within bounds such as "<3.17", if any.

    Raises CourseError where the index cannot be asked, as offline.
    """
    done = _compile(["--no-deps"], f"{SUBJECT}{bounds}")
    if done.returncode == 0:
        return Version(done.stdout.strip().removeprefix(f"{SUBJECT}=="))
    if "is available" in done.stderr:
        return None
    raise CourseError(
        "The package index cannot be asked for the versions of MLflow "
        f"({end_of(done.stderr)}): go online, or name versions that were tried before, as in "
        'ARGS="--versions 3.16.1".'
    )


def make(version: Version) -> Path:
    """Return the folder of a version's environment, made or brought up to date.

    It holds the pins and a .venv. What is right already stays: a second call takes seconds, and
    needs no network.

    Raises Unusable where uv finds no versions that go together, or where this one cannot make a
    store, and CourseError when something cannot be installed.
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
    # What it lacks is said once here, and not by each test.
    store = f"sqlite:///{(folder / STORE.name).as_posix()}"
    start = [str(python), "-W", "ignore", "-m", "winelab.tracking.store", store]
    started = subprocess.run(start, cwd=ROOT, stderr=subprocess.PIPE, encoding="utf-8")
    if started.returncode:
        raise Unusable(f"does not start: {started.stderr}")
    return folder


def _resolve(version: Version, folder: Path) -> None:
    """Write the pins that go with a version: the course's, as far as it accepts them."""
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / "draft.txt"
    # uv keeps the versions of an output file that is there, and moves only what must move.
    shutil.copyfile(ROOT / PINS, draft)
    others = sorted(pinned().keys() - {SUBJECT})
    done = _compile(["-o", str(draft)], "\n".join([f"{SUBJECT}=={version}", *others]))
    if done.returncode == 0:
        draft.replace(folder / PINS)
    elif not (folder / PINS).exists():
        # Else it was resolved before, and this machine is offline today.
        shutil.rmtree(folder)
        text = " ".join(done.stderr.split())
        # "Because A and B, we can conclude that ... And because ...". The first step is why.
        because = re.search(r"\bBecause (.+?), we can conclude", text)
        raise Unusable(f"does not resolve: {because[1] if because else end_of(done.stderr)}")


def _compile(options: list[str], wanted: str) -> subprocess.CompletedProcess[str]:
    """Let uv find the versions for requirements, a line each; its answer is in the result."""
    command = [get_uv(), "pip", "compile", "--quiet", "--no-header", "--no-annotate"]
    command += ["--color=never", "--python", sys.executable, *options, "-"]
    return subprocess.run(
        command,
        cwd=ROOT,
        # An index that pip is told of, as a school's mirror, is uv's too.
        env={**pip_settings(), **clean_environment()},
        input=wanted,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    )


def moved(folder: Path) -> list[str]:
    """Return the packages that had to leave the course's pins, such as "pandas 2.3.3"; sorted."""
    before = pinned()
    return sorted(
        f"{name} {version}"
        for name, version in pinned(folder).items()
        if name != SUBJECT and before.get(name, version) != version
    )
