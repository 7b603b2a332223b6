"""For tests that need a real browser: skips them where there is none, or says that it must be."""

from __future__ import annotations

import os

import pytest

from winelab.browser import lacking

VARIABLE = "WINELAB_BROWSER_TESTS"
"""Set to "required", as CI sets it, a missing browser is an error."""


def required_browser() -> None:
    """Skips the running test, with the reason, where no browser can be driven."""
    reason = lacking()
    if not reason:
        return
    if os.environ.get(VARIABLE) == "required":
        pytest.fail(f"{VARIABLE}=required, but: {reason}", pytrace=False)
    pytest.skip(reason)
