"""Lint, format and types, as part of the test run."""

from __future__ import annotations

import subprocess
import sys

import pytest

from winelab.paths import ROOT

COMMANDS = {
    "ruff check": ["ruff", "check", "."],
    "ruff format": ["ruff", "format", "--check", "."],
    "types of the tools and tests": ["mypy"],
    # The scripts are plain student code, so untyped functions are fine there.
    "types of the solutions": [
        "mypy", "--allow-untyped-defs", "--scripts-are-modules", "solutions",
    ],
}  # fmt: skip


@pytest.mark.parametrize("what", COMMANDS)
def test_is_clean(what: str) -> None:
    module, *arguments = COMMANDS[what]
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stdout + done.stderr
