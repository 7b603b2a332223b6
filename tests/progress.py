"""How far the test run is: a line with the time left, and each failure at once."""

from __future__ import annotations

import json
import re
import sys
import time
from contextlib import suppress
from functools import cache

import pytest
from table import named, seconds_of

from winelab.core.files import write_text
from winelab.core.paths import ROOT, STATE
from winelab.course.source import course

MEMORY = ROOT / STATE / "cache" / "test-seconds.json"
"""What each test took the last time: by it the longest start first, and time left is told."""
EVERY = 15.0
"""Seconds between two lines where they cannot be written over each other."""


def _ids(*slugs: str) -> str:
    """How the ids of these blocks' cases begin."""
    return rf"\[({'|'.join(f'{course().block(slug).number:02d}' for slug in slugs)})-"


_SERVERS = _ids("server", "serve", "poster")
_RELEASES = _ids("promote", "latest_version", "annotate")
# Where nothing is known yet, seconds by what a test's name says; the first that fits.
_GUESSES = (
    (re.compile(r"tests/browser/"), 25.0),
    (re.compile(r"test_cases.*ELSEWHERE-all blocks"), 100.0),
    (re.compile(rf"test_cases.*{_SERVERS}(ELSEWHERE|OUTPUTS)"), 20.0),
    (re.compile(r"test_cases.*ELSEWHERE"), 6.0),
    (re.compile(rf"test_cases.*(OUTPUTS|{_SERVERS}|{_RELEASES})"), 3.0),
    (re.compile(r"tests/blocks/serve|test_(sandbox|grading|doctor|forkserver|environment)"), 4.0),
    (re.compile(r"test_cases"), 1.0),
    (re.compile(r""), 0.2),
)  # fmt: skip


@cache
def _remembered() -> dict[str, float]:
    with suppress(OSError, ValueError):
        return dict(json.loads(MEMORY.read_text(encoding="utf-8")))
    return {}


@cache
def weight(nodeid: str) -> float:
    """Return the seconds that a test will take: those of the last time, or a guess."""
    guess = next(seconds for form, seconds in _GUESSES if form.search(nodeid.replace("\\", "/")))
    return _remembered().get(nodeid, guess)


class Progress:
    """A pytest plugin of the process that hands the tests out."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.said = self.started
        self.waiting: dict[str, float] = {}
        self.seconds: dict[str, float] = {}
        self.done = 0.0
        self.failed = 0

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._expect([item.nodeid for item in session.items])

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: object, ids: list[str]) -> None:
        self._expect(ids)

    def _expect(self, ids: list[str]) -> None:
        if not self.waiting and not self.seconds:
            self.waiting = {nodeid: weight(nodeid) for nodeid in ids}
            self.started = self.said = time.monotonic()

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """No dots: the line below says more."""
        if report.when == "call" or not report.passed:
            return ("error" if report.failed and report.when != "call" else report.outcome), "", ""
        return "", "", ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + seconds_of(report)
        if report.failed:
            self.failed += 1
            crash = getattr(report.longrepr, "reprcrash", None)
            reason = crash.message if crash else str(report.longrepr)
            self._write(f"FAILED {named(report)}: {' '.join(reason.split())[:300]}")
        if report.when == "teardown":
            self.done += self.waiting.pop(report.nodeid, 0.0)
            self._tell()

    def _tell(self) -> None:
        now = time.monotonic()
        if not self.waiting or now - self.said < (0.2 if sys.stdout.isatty() else EVERY):
            return
        self.said = now
        left = (now - self.started) * sum(self.waiting.values()) / max(self.done, 1.0)
        failed = f", {self.failed} failed" if self.failed else ""
        of = len(self.waiting) + len({n for n in self.seconds if n not in self.waiting})
        self._write(
            f"{of - len(self.waiting)} of {of}{failed}, {_minutes(left)} left", passing=True
        )

    def _write(self, line: str, passing: bool = False) -> None:
        """A line; one that is passing is written over by the next, where that can be."""
        if sys.stdout.isatty():
            print(f"\r\033[K{line}", end="" if passing else "\n", flush=True)
        else:
            print(line, flush=True)

    def pytest_sessionfinish(self) -> None:
        if sys.stdout.isatty():
            print("\r\033[K", end="")
        with suppress(OSError):
            write_text(MEMORY, json.dumps(_remembered() | self.seconds, indent=0))


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
