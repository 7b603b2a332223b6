"""Skip tests that need ruff and mypy where they are not installed, or fail them where required."""

from __future__ import annotations

import os

import pytest

from winelab.commands.lint import PINS
from winelab.system.packages import missing

REQUIRED = "WINELAB_MAKERS"
"""Set to "required", as CI does, it makes a failure of missing packages."""


def required_makers() -> None:
    """Skip the test where ruff and mypy are not installed; fail it where they are required."""
    if missing(PINS):
        reason = f"{PINS.name} is not installed: `make lint` does it."
        if os.environ.get(REQUIRED) == "required":
            pytest.fail(f"{REQUIRED}=required, and: {reason}", pytrace=False)
        pytest.skip(reason)
