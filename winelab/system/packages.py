"""Installs what one command needs beyond the course's packages, the first time it is used."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import invalidate_caches
from pathlib import Path
from typing import TYPE_CHECKING

from winelab.core.console import say
from winelab.core.paths import ROOT
from winelab.system import environment

if TYPE_CHECKING:
    from packaging.requirements import Requirement


def missing(pins: Path) -> list[str]:
    """The pins of the file `pins` that the running Python does not have; empty if none."""
    return differences(pins.read_text(encoding="utf-8"))


def install(pins: Path, user: str) -> None:
    """Installs the file `pins` into .venv, if anything of it is not there.

    Args:
        pins: a compiled requirements file.
        user: who needs it, such as "the stack": for what is printed.

    Raises CourseError when it cannot be, as on a machine that is offline.
    """
    if not missing(pins):
        return
    say(f"Installing what {user} needs (once) ...")
    command = environment.install_command(environment.venv_python(ROOT))
    environment.run_installer([*command, "-r", str(pins)], ROOT, f"install what {user} needs")
    invalidate_caches()


def pins_for_here(requirements: str) -> Iterator[Requirement]:
    """The pins of a compiled requirements file that are meant for this system and Python."""
    # One of the pins itself: it reads markers such as `; sys_platform == 'win32'`.
    from packaging.requirements import Requirement

    for line in requirements.splitlines():
        text = line.partition("#")[0].strip()
        if not text:
            continue
        pin = Requirement(text)
        if pin.marker is None or pin.marker.evaluate():
            yield pin


def differences(requirements: str) -> list[str]:
    """The pins that the running Python does not have, with what it has in their place."""
    from importlib.metadata import PackageNotFoundError, version

    found = []
    for pin in pins_for_here(requirements):
        try:
            installed = version(pin.name)
        except PackageNotFoundError:
            found.append(f"{pin.name} is missing")
            continue
        if installed not in pin.specifier:
            found.append(f"{pin.name} {installed}")
    return found
