"""Lint, format and types: the commands that the test run proves clean, and `make lint` fixes."""

from __future__ import annotations

import subprocess
import sys

from winelab.core.paths import ROOT
from winelab.system import packages

PINS = packages.GROUPS["makers"]

CHECKS = {
    "ruff check": ["ruff", "check", "."],
    "ruff format": ["ruff", "format", "--check", "."],
    "types": ["mypy"],
}
FIXES = (["ruff", "check", "--fix", "."], ["ruff", "format", "."])


def run_tool(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run one of the commands in the course's folder; what it prints is in the result."""
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )


def main() -> int:
    """Fix what can be fixed, then say what is left; return 0 if nothing is.

    Raises CourseError when the tools cannot be installed.
    """
    packages.install(PINS, "`make lint`")
    for command in FIXES:
        run_tool(command)
    failed = 0
    for name, command in CHECKS.items():
        done = run_tool(command)
        failed += done.returncode != 0
        print(f"{'ok' if done.returncode == 0 else '!!'}  {name}")
        if done.returncode:
            print(done.stdout)
    return int(failed > 0)
