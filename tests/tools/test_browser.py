"""The browser that is found, and what is said where there is none."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from winelab.core.errors import CourseError
from winelab.system import browser


def test_the_one_that_is_named_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "my browser"
    monkeypatch.setenv(browser.VARIABLE, str(program))
    with pytest.raises(CourseError, match="no such file"):
        browser.find()
    program.touch()
    assert browser.find() == str(program)


def test_without_any_one_sentence_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(browser.VARIABLE, raising=False)
    monkeypatch.setattr(browser, "NAMES", ("no-such-browser",))
    monkeypatch.setattr(browser, "PLACES", {sys.platform: ("/no/such/browser",)})
    with pytest.raises(CourseError, match="install one") as caught:
        browser.find()
    assert "\n" not in str(caught.value)
