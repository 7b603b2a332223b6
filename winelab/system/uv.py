"""Find uv, which installs everything here, or fetch it into the course's folder.

Standard library only, and no syntax newer than Python 3.8, as in `environment`.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from winelab.core.console import end_of, say
from winelab.core.errors import CourseError
from winelab.core.paths import ROOT, STATE

# What pip fetches where there is no uv. An exact version, as all pins: what works today shall
# work tomorrow. docs/teaching.md names it too, for those who bring the packages along.
UV = "0.13.8"

# Variables that make a Python import, or an installer install, from or to somewhere else, and
# those by which one make speaks to the next: a terminal in JupyterLab is no part of `make lab`.
MISLEADING = (
    *("PYTHONPATH", "PYTHONHOME", "PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_REQUIRE_VIRTUALENV"),
    *("MAKELEVEL", "MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES"),
)

# pip's settings, and what uv calls the same: a school's mirror may be written down for pip alone.
AS_UV_CALLS_IT = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "no-index": "UV_NO_INDEX",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
    "proxy": "ALL_PROXY",
}


INSTALL = "install uv, or Python's venv (Debian, Ubuntu: `sudo apt install python3-venv`)"


def clean_environment() -> dict[str, str]:
    """Return this process's variables, without those that send an installer elsewhere."""
    environment = {name: value for name, value in os.environ.items() if name not in MISLEADING}
    environment["PYTHONUTF8"] = "1"
    return environment


def find_uv(root: Path = ROOT) -> str | None:
    """Return the command of this machine's uv, else of the fetched one; None without any."""
    for path in (None, str(fetched(root) / "bin")):
        uv = shutil.which("uv", path=path)
        # pyenv leaves a stub named uv that only says "command not found".
        if uv and subprocess.run([uv, "--version"], capture_output=True).returncode == 0:
            return uv
    return None


def get_uv(root: Path = ROOT) -> str:
    """Return the command of uv, which is fetched by pip where there is none.

    Raises CourseError when that is not possible.
    """
    if uv := find_uv(root):
        return uv
    say("  fetching uv, which installs the packages ...")
    python = sys.executable
    if find_spec("pip") is None:
        # Debian's Python has no pip of its own, but can put one into an environment.
        helper = root / STATE / "pip"
        run_installer([python, "-m", "venv", str(helper)], root, "get pip, which fetches uv")
        python = str(helper / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
    # Into a folder of its own: so it is on nobody's PATH, and allowed also where the system
    # manages Python's packages.
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    target = ["--no-compile", "--upgrade", "--target", str(fetched(root))]
    run_installer([*command, *target, f"uv=={UV}"], root, "fetch uv")
    if uv := find_uv(root):
        return uv
    raise CourseError(f"uv {UV} does not run here: install another (https://docs.astral.sh/uv).")


def fetched(root: Path) -> Path:
    """Return the folder of the uv that was fetched; one of another version does not count."""
    return root / STATE / f"uv-{UV}"


@lru_cache
def pip_settings() -> dict[str, str]:
    """Return the settings of this Python's pip as variables of uv; empty where there is no pip."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    said = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace").stdout
    found: dict[str, str] = {}
    # Such as: global.index-url='https://...'. The later of these sections wins.
    for section in ("global", "install", ":env:"):
        for name, value in re.findall(rf"^{section}\.([a-z-]+)=(.*)$", said, re.MULTILINE):
            if uvs := AS_UV_CALLS_IT.get(name):
                comma = "," if name == "find-links" else " "
                found[uvs] = comma.join(ast.literal_eval(value).split())
    if "UV_INDEX" in found:
        # As pip does it: the newest of all places, and not the first place that knows the name.
        found["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    return found


def run_installer(command: list[str], root: Path, purpose: str) -> None:
    """Run one step of the set-up. Raises CourseError with the end of what it said."""
    # Both may stand in a person's settings of pip, and stop it here.
    environment = {**clean_environment(), "PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0"}
    if command[0].startswith(str(fetched(root))):
        # What pip needed to fetch uv, uv needs too; what a person says to uv itself comes first.
        environment = {**pip_settings(), **environment}
    done = subprocess.run(
        command,
        cwd=root,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    if done.returncode != 0:
        raise CourseError(
            f"Set-up could not {purpose}: {end_of(done.stdout)} -- "
            f"{advice(done.stdout)}, then run the same command again."
        )


def advice(message: str) -> str:
    """Return what to do about an installer's message."""
    low = message.lower()
    if "ensurepip" in low or "no module named venv" in low:
        return INSTALL
    if "no space left" in low or "not enough space" in low:
        return "make room on the disk (3 GB)"
    if "uv==" in low:
        return "see that this machine is online, or install uv (https://docs.astral.sh/uv)"
    return "see that this machine is online"
