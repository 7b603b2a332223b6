"""Other versions of MLflow: which there are, and an environment for each in .winelab/matrix/."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from winelab.core import console
from winelab.core.console import say
from winelab.core.errors import CourseError
from winelab.core.paths import ROOT, STATE
from winelab.system import environment
from winelab.system.packages import pins_for_here

ENVIRONMENTS = ROOT / STATE / "matrix"
SUBJECT = "mlflow"
# MLflow's own parts move with it.
PARTS_OF_IT = ("mlflow", "mlflow-skinny", "mlflow-tracing")
# What no block needs in order to run.
ONLY_FOR_AUTHORS = (
    *("jupyterlab", "nbclient", "nbval", "pytest", "pytest-xdist"),
    *("ruff", "mypy", "pandas-stubs", "types-pyyaml"),
)
PINS = "requirements.txt"
STAMP = "stamp.json"

DISK = 2.5e9
"""Bytes that an environment may need: it takes 1.0 to 1.3 GB, and its packages are unpacked."""

ATTEMPTS = 20
"""How often pip is asked again, with the pins left out that it named."""


class Unresolved(CourseError):
    """A version cannot be installed; the message is the installer's reason in one line."""


@dataclass(frozen=True)
class Resolved:
    """The packages that go with one version."""

    version: Version
    pins: str
    """A compiled requirements file for this system."""

    def moved(self, course_pins: str) -> list[str]:
        """Packages that had to leave the course's pins, such as "pandas 2.3.3"; sorted."""
        before = pinned(course_pins)
        return sorted(
            f"{name} {version}"
            for name, version in pinned(self.pins).items()
            if name in before and name not in PARTS_OF_IT and before[name] != version
        )


def pinned(requirements: str) -> dict[str, str]:
    """The version of each package in a compiled requirements file, as far as it is for here."""
    return {
        canonicalize_name(pin.name): str(pin.specifier).removeprefix("==")
        for pin in pins_for_here(requirements)
    }


def course_pins() -> str:
    """The text of the course's requirements.txt."""
    return (ROOT / PINS).read_text(encoding="utf-8")


def pinned_version() -> Version:
    """The version of MLflow that the course teaches."""
    return Version(pinned(course_pins())[SUBJECT])


def wanted_packages() -> list[str]:
    """The names of the packages that blocks need, MLflow apart."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = [Requirement(text).name for text in project["dependencies"]]
    skip = (*ONLY_FOR_AUTHORS, SUBJECT)
    return [name for name in names if canonicalize_name(name) not in skip]


def listed() -> list[Version]:
    """The versions of MLflow that the package index lists, newest first.

    Raises CourseError where it cannot be asked, as offline.
    """
    command = [sys.executable, "-m", "pip", "index", "versions", SUBJECT, "--json"]
    command += ["--disable-pip-version-check", "--retries", "1", "--timeout", "20"]
    done = ask(command)
    try:
        names = json.loads(done.stdout)["versions"]
    except (ValueError, KeyError, TypeError):
        raise CourseError(
            f"The package index cannot be asked for the versions of MLflow ({last_line(done)}): "
            'go online, or name versions that were tried before, as in ARGS="--versions 3.16.1".'
        ) from None
    return sorted((Version(name) for name in names), reverse=True)


def choose(there: Iterable[Version], now: Version) -> tuple[list[Version], list[Version]]:
    """What to try beside `now`: the newer ones, newest first, and the newest of the two minor
    versions before it.
    """
    known = [version for version in there if not version.is_prerelease]
    newest: dict[tuple[int, int], Version] = {}
    for version in known:
        minor = (version.major, version.minor)
        newest[minor] = max(version, newest.get(minor, version))
    before = sorted((m for m in newest if m < (now.major, now.minor)), reverse=True)[:2]
    newer = sorted((version for version in known if version > now), reverse=True)
    return newer, [newest[minor] for minor in before]


def resolve(version: Version) -> Resolved:
    """The packages that go with a version: the course's pins, as far as it accepts them.

    An environment that was finished before answers without the network.

    Raises Unresolved with the installer's reason.
    """
    folder = ENVIRONMENTS / str(version)
    if is_finished(folder, version):
        return Resolved(version, (folder / PINS).read_text(encoding="utf-8"))
    uv = environment.find_uv()
    pins = resolved_by_uv(uv, version) if uv else resolved_by_pip(version)
    return Resolved(version, pins)


def resolved_by_uv(uv: str, version: Version) -> str:
    """The pins that uv finds. Raises Unresolved."""
    desk = ENVIRONMENTS / "desk"
    shutil.rmtree(desk, ignore_errors=True)
    desk.mkdir(parents=True)
    try:
        # uv keeps the versions of an output file that is there, and moves only what must move.
        (desk / PINS).write_text(course_pins(), encoding="utf-8")
        names = [f"{SUBJECT}=={version}", *wanted_packages()]
        (desk / "names.in").write_text("\n".join(names) + "\n", encoding="utf-8")
        command = [uv, "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--color=never"]
        command += ["--python", sys.executable, "names.in", "-o", PINS]
        done = ask(command, desk)
        if done.returncode:
            raise Unresolved(reason_of(done.stderr))
        return (desk / PINS).read_text(encoding="utf-8")
    finally:
        shutil.rmtree(desk, ignore_errors=True)


def resolved_by_pip(version: Version) -> str:
    """The pins that pip finds: it is asked again without those that it calls a conflict.

    Raises Unresolved.
    """
    constraints = pinned(course_pins())
    for name in PARTS_OF_IT:
        constraints.pop(name, None)
    desk = ENVIRONMENTS / "desk"
    for _ in range(ATTEMPTS):
        shutil.rmtree(desk, ignore_errors=True)
        desk.mkdir(parents=True)
        try:
            lines = [f"{name}=={pin}" for name, pin in constraints.items()]
            (desk / "constraints.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
            command = [sys.executable, "-m", "pip", "install", "--dry-run"]
            command += ["--ignore-installed", "--disable-pip-version-check", "--no-input"]
            command += ["--retries", "1", "--report", "report.json", "-c", "constraints.txt"]
            done = ask([*command, f"{SUBJECT}=={version}", *wanted_packages()], desk)
            if done.returncode == 0:
                report = json.loads((desk / "report.json").read_text(encoding="utf-8"))
                found = [entry["metadata"] for entry in report["install"]]
                return "".join(sorted(f"{one['name']}=={one['version']}\n" for one in found))
        finally:
            shutil.rmtree(desk, ignore_errors=True)
        named = conflicting(done.stdout + done.stderr) & set(constraints)
        if not named:
            raise Unresolved(reason_of(done.stdout + done.stderr))
        for name in named:
            del constraints[name]
    raise Unresolved(f"pip found no set of packages in {ATTEMPTS} attempts")


def conflicting(message: str) -> set[str]:
    """The pins that pip's message calls a conflict."""
    found = re.findall(r"requested \(constraint\) ([\w.-]+?)==", message)
    return {str(canonicalize_name(name)) for name in found}


def reason_of(message: str) -> str:
    """Why nothing was resolved, in one line, from an installer's page."""
    text = " ".join(message.split())
    # uv: "cause: Because A and B, we can conclude that ... And because ...". The first step is why.
    if because := re.search(r"\bBecause (.+?), we can conclude", text):
        return because[1]
    # pip: its last error only names a page of its manual when there is a conflict.
    errors = re.findall(r"^\s*(?:ERROR|error|cause): (?!Resol)(.+)$", message, re.MULTILINE)
    return " ".join((errors or [console.end_of(message)])[-1].split()).rstrip(".")


def is_finished(folder: Path, version: Version) -> bool:
    """Whether this version's environment was finished, for today's pins, Python and folder."""
    try:
        stamp = json.loads((folder / STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(stamp == stamp_of(folder, version))


def stamp_of(folder: Path, version: Version) -> dict[str, str]:
    """What an environment made now is made from."""
    return {"mlflow": str(version), **environment.stamp_of(ROOT, environment.venv_version(folder))}


def make(resolved: Resolved) -> Path:
    """The folder of the version's environment, which is made if it is not there or not current.

    Raises CourseError when the disk is too full or an installer fails.
    """
    folder = ENVIRONMENTS / str(resolved.version)
    if is_finished(folder, resolved.version):
        return folder
    # One that was interrupted has no stamp: it starts again.
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    free = shutil.disk_usage(folder).free
    if free < DISK:
        raise CourseError(
            f"The disk has {free / 1e9:.1f} GB free, and an environment for MLflow "
            f"{resolved.version} needs up to {DISK / 1e9:.1f} GB: make room, or remove the "
            "older ones with `make clean`."
        )
    say(f"MLflow {resolved.version}: installing (once) ...")
    (folder / PINS).write_text(resolved.pins, encoding="utf-8")
    uv = environment.find_uv()
    here = environment.this_python()
    if uv is not None:
        venv = [uv, "venv", "--quiet", "--python", here, str(folder / environment.VENV)]
    else:
        venv = [here, "-m", "venv", str(folder / environment.VENV)]
    pip = environment.install_command(environment.venv_python(folder))
    course = ["--no-deps", "--no-build-isolation", "-e", str(ROOT)]
    purpose = f"make the environment of MLflow {resolved.version}"
    environment.run_installer(venv, ROOT, purpose)
    environment.run_installer([*pip, "-r", str(folder / PINS)], ROOT, purpose)
    environment.run_installer([*pip, *course], ROOT, purpose)
    stamp = json.dumps(stamp_of(folder, resolved.version), indent=1)
    (folder / STAMP).write_text(stamp, encoding="utf-8")
    return folder


def ask(command: list[str], folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run an installer's command to its end; what it says is in the result."""
    return subprocess.run(
        command,
        cwd=folder,
        env=environment.installer_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    """The last thing that a command said."""
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return lines[-1].removeprefix("ERROR: ").rstrip(".") if lines else "it said nothing"
