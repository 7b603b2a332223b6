"""Install what one command needs beyond the course's packages, the first time it is used."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import invalidate_caches
from pathlib import Path
from typing import TYPE_CHECKING

from winelab.core.console import say
from winelab.core.paths import ROOT
from winelab.system import environment
from winelab.system.uv import run_installer

if TYPE_CHECKING:
    from packaging.requirements import Requirement

GROUPS = {
    "browser": ROOT / "browser-requirements.txt",
    "makers": ROOT / "makers-requirements.txt",
    "nbgrader": ROOT / "nbgrader-requirements.txt",
    "part4": ROOT / "part4-requirements.txt",
    "stack": ROOT / "stack" / "requirements.txt",
}
"""The compiled requirements of each dependency group of pyproject.toml."""


def missing(pins: Path) -> list[str]:
    """Return the pins of a file that the running Python does not have, with what it has instead.

    Args:
        pins: a compiled requirements file.
    """
    from importlib.metadata import PackageNotFoundError, version

    found = []
    for pin in pins_for_here(pins.read_text(encoding="utf-8")):
        try:
            installed = version(pin.name)
        except PackageNotFoundError:
            found.append(f"{pin.name} is missing")
            continue
        if installed not in pin.specifier:
            found.append(f"{pin.name} {installed}")
    return found


def install(pins: Path, user: str) -> None:
    """Install the pins of a file into .venv, if anything of them is not there.

    Args:
        pins: a compiled requirements file.
        user: who needs it, such as "the stack": for what is printed.

    Raises CourseError when it cannot be, as on a machine that is offline.
    """
    if not missing(pins):
        return
    say(f"Installing what {user} needs (once) ...")
    command = environment.install_command(environment.venv_python(ROOT))
    run_installer([*command, "-r", str(pins)], ROOT, f"install what {user} needs")
    invalidate_caches()


def install_for(part: int | None) -> None:
    """Install what a part of the course needs beyond the course's packages, if it does.

    Raises CourseError when it cannot be, as on a machine that is offline.
    """
    if f"part{part}" in GROUPS:
        install(GROUPS[f"part{part}"], f"part {part}")


def pins_for_here(requirements: str) -> Iterator[Requirement]:
    """Yield the pins of a compiled requirements file that are meant for this system and Python."""
    # One of the pins itself: it reads markers such as `; sys_platform == 'win32'`.
    from packaging.requirements import Requirement

    for line in requirements.splitlines():
        if text := line.partition("#")[0].strip():
            pin = Requirement(text)
            if pin.marker is None or pin.marker.evaluate():
                yield pin
