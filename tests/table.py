"""The table that ends a test run: a row a block, from the reports of its tests."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

import pytest
from rich.console import Console
from rich.table import Table

from winelab.course.source import course
from winelab.proof.cases import Part

BLOCK, PART, SECONDS = "block", "part", "seconds"
"""What a test's report carries: the number of its block, or None; the name of a Part; where the
test only waited for its case, how long that took."""


def block_and_part(report: pytest.TestReport) -> tuple[int | None, Part]:
    """Return what a report is about."""
    said = dict(report.user_properties)
    number = said.get(BLOCK)
    return (None if number is None else int(str(number))), Part[str(said.get(PART, "PROMISES"))]


def seconds_of(report: pytest.TestReport) -> float:
    """Return how long a test worked."""
    said = dict(report.user_properties).get(SECONDS)
    return float(str(said)) if said is not None and report.when == "call" else report.duration


def named(report: pytest.TestReport) -> str:
    """Return a test's name for a person: its block and what is proven of it, or the test's own."""
    number, part = block_and_part(report)
    if number is None:
        return report.nodeid
    what = report.nodeid.partition("::")[2]
    return f"{course().block(number).name}, {part.value.replace(chr(10), ' ')} ({what})"


@dataclass
class Row:
    """What the tests of one block said so far."""

    passed: Counter[Part] = field(default_factory=Counter)
    failed: Counter[Part] = field(default_factory=Counter)
    seconds: float = 0.0

    def word(self, part: Part) -> str:
        """Return a part in one word, or as "n of n" where it has many."""
        good, bad = self.passed[part], self.failed[part]
        if part in (Part.MISTAKES, Part.RIGHT_WAYS) and good + bad:
            return f"{'[red]' if bad else ''}{good} of {good + bad}"
        return "[red]FAILED" if bad else "ok" if good else "-"


class BlockTable:
    """A pytest plugin that gathers reports and prints the table before the last line."""

    def __init__(self) -> None:
        self.rows: dict[int, Row] = defaultdict(Row)
        self.not_tried: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped and isinstance(report.longrepr, tuple):
            self.not_tried[report.longrepr[2].removeprefix("Skipped: ")] += 1
        number, part = block_and_part(report)
        if number is None:
            return
        row = self.rows[number]
        row.seconds += seconds_of(report)
        if report.failed:
            row.failed[part] += 1
        elif report.when == "call" and report.passed:
            row.passed[part] += 1

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self.rows:
            return
        table = Table(box=None, pad_edge=False)
        table.add_column("block", no_wrap=True)
        asked = [part for part in Part if any(row.word(part) != "-" for row in self.rows.values())]
        for part in asked:
            table.add_column(part.value)
        table.add_column("seconds", justify="right")
        for number, row in sorted(self.rows.items()):
            words = [row.word(part) for part in asked]
            table.add_row(course().block(number).name, *words, f"{row.seconds:.1f}")
        terminalreporter.ensure_newline()
        terminalreporter.write_sep("=", "the course")
        console = Console(width=120, no_color=not terminalreporter.hasmarkup)
        with console.capture() as text:
            console.print(table)
        terminalreporter.write(text.get())
        # One sentence, however many tests it is about; pytest's own list has a line for each.
        for reason, times in self.not_tried.items():
            terminalreporter.write_line(f"{times} not tried: {reason}")
