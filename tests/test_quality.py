"""Lint, format and types, as part of the test run."""

from __future__ import annotations

import pytest
from required import required_makers

from winelab.commands.lint import CHECKS, run_tool


@pytest.mark.parametrize("what", CHECKS)
def test_is_clean(what: str) -> None:
    required_makers()
    done = run_tool(CHECKS[what])
    assert done.returncode == 0, done.stdout
