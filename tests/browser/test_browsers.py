"""What the browser's tests stand on: a failure shows what the page showed, and nothing is left."""

from __future__ import annotations

from pathlib import Path

import pytest
from browsers import opened
from course_copy import started_here, still_there
from required import BROWSER, required_browser

from winelab.system.browser import VARIABLE, chromium

PAGE = "data:text/html,<h1>Wine</h1><script>console.log('in the glass')</script>"


@pytest.mark.parametrize(
    ("value", "outcome"), [("", pytest.skip.Exception), ("required", pytest.fail.Exception)]
)
def test_without_a_browser_tests_are_skipped_or_fail_where_one_is_required(
    monkeypatch: pytest.MonkeyPatch, value: str, outcome: type[BaseException]
) -> None:
    monkeypatch.setenv(VARIABLE, "/no/such/browser")
    monkeypatch.setenv(BROWSER, value)
    with pytest.raises(outcome, match="no such file"):
        required_browser()


def test_a_failure_keeps_what_the_page_showed(tmp_path: Path) -> None:
    required_browser()
    before = set(started_here())
    with (
        pytest.raises(ZeroDivisionError) as caught,
        chromium() as browser,
        opened(browser, tmp_path, "glass") as page,
    ):
        page.goto(PAGE)
        started = set(started_here()) - before
        raise ZeroDivisionError
    picture, log = tmp_path / "glass.png", tmp_path / "glass.log"
    assert picture.stat().st_size > 1000
    assert "log: in the glass" in log.read_text(encoding="utf-8")
    notes = "\n".join(caught.value.__notes__)
    assert str(picture) in notes and str(log) in notes
    assert len(started) > 2
    assert still_there(list(started)) == []
