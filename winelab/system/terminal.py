"""The terminal that JupyterLab opens: one whose `python` and `mlflow` are the course's."""

from __future__ import annotations

import os
import sys
from pathlib import Path

SETTINGS = Path(__file__).with_name("jupyter") / "terminal"
VENV_VARIABLE = "WINELAB_VENV"
"""Where the settings of the shells find .venv; VIRTUAL_ENV may be changed by a person's own."""


def shell_command(scripts: Path) -> list[str] | None:
    """Return the command of a terminal's shell that has .venv's commands first on its PATH.

    PATH alone is not enough: a shell reads the person's settings, and those of conda and
    pyenv put their own Python first. None for a shell that is not known here; it starts as
    Jupyter starts it.

    Args:
        scripts: .venv's folder of commands.
    """
    if sys.platform == "win32":
        # A command, not Activate.ps1: Windows may refuse to run scripts.
        return ["powershell.exe", "-NoExit", "-Command", f"$env:Path = '{scripts};' + $env:Path"]
    shell = os.environ.get("SHELL", "")
    if Path(shell).name == "bash":
        return [shell, "--rcfile", str(SETTINGS / "bashrc")]
    if Path(shell).name == "zsh":
        return ["/usr/bin/env", f"ZDOTDIR={SETTINGS}", shell]
    return None
