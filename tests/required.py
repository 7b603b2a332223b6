"""Skip tests where what they need is not there, or fail them where it is required, as in CI."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from winelab.commands import lint
from winelab.core.errors import CourseError
from winelab.core.paths import ROOT
from winelab.stack import command, local_services
from winelab.system import browser, packages

BROWSER = "WINELAB_BROWSER_TESTS"
"""Set to "required", such a variable makes a failure of what is missing."""


def required_browser() -> None:
    """Let a test go on only where a browser can be driven."""
    _required(BROWSER, browser.PINS, "make pictures", browser.find)


def required_makers() -> None:
    """Let a test go on only where ruff and mypy are installed."""
    _required("WINELAB_MAKERS", lint.PINS, "make lint")


def required_stack() -> None:
    """Let a test go on only where PostgreSQL and an S3 server can be run."""
    _required("WINELAB_STACK", command.PINS, "make stack", local_services.rclone)


def _required(
    variable: str, pins: Path, installs: str, find: Callable[[], object] = lambda: None
) -> None:
    reason = ""
    if packages.missing(pins):
        reason = f"{pins.relative_to(ROOT)} is not installed: `{installs}` does it."
    try:
        find()
    except CourseError as error:
        reason = str(error)
    if reason:
        stop(variable, reason)


def stop(variable: str, reason: str) -> NoReturn:
    """Skip the test for a reason; fail it where the variable says "required"."""
    if os.environ.get(variable) == "required":
        pytest.fail(f"{variable}=required, and: {reason}", pytrace=False)
    pytest.skip(reason)
