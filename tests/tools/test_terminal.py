"""JupyterLab's terminal: the course's Python comes first, whatever a person's settings say."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from winelab.system.terminal import VENV_VARIABLE, shell_command


def executable(path: Path, says: str) -> Path:
    """A command that prints these words."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho {says}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.mark.skipif(sys.platform == "win32", reason="asks bash and zsh")
@pytest.mark.parametrize(("shell", "settings"), [("bash", ".bashrc"), ("zsh", ".zshrc")])
def test_the_courses_python_comes_before_the_persons_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shell: str, settings: str
) -> None:
    found = shutil.which(shell)
    if found is None:
        pytest.skip(f"{shell} is not installed")
    home, venv = tmp_path / "home", tmp_path / "Wine Läb" / ".venv"
    theirs = executable(home / "conda" / "python", "theirs").parent
    ours = executable(venv / "bin" / "python", "ours").parent
    (ours / "activate").write_text(f'PATH="{ours}:$PATH"\n', encoding="utf-8")
    (home / settings).write_text(f'PATH="{theirs}:$PATH"\nMINE=kept\n', encoding="utf-8")
    monkeypatch.setenv("SHELL", found)
    command = shell_command(ours)
    assert command is not None
    done = subprocess.run(
        [*command, "-i", "-c", "python; echo $MINE"],
        env={**os.environ, "HOME": str(home), VENV_VARIABLE: str(venv)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
    )
    assert done.stdout.split() == ["ours", "kept"], done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="PowerShell is the only shell there")
def test_a_shell_that_is_not_known_starts_as_jupyter_starts_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SHELL", "/usr/bin/fish")
    assert shell_command(Path("bin")) is None
    monkeypatch.delenv("SHELL")
    assert shell_command(Path("bin")) is None
