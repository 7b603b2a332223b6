"""Installs what one command needs beyond the course's packages, the first time it is used."""

from __future__ import annotations

from importlib import invalidate_caches
from pathlib import Path

from winelab import environment
from winelab.doctor import differences
from winelab.environment import say
from winelab.paths import ROOT


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
