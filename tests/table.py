"""The table that ends a test run: a row a block, from the reports of its tests."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field

import pytest
from rich.console import Console
from rich.table import Table

# A notebook's cells, a block's own tests, or one of tests/course/ and tests/browser/ that has a
# block as parameter.
_NUMBER = re.compile(
    r"(?:labs|solutions|tests)[/\\](\d\d)_|tests[/\\](?:course|browser)[/\\].*\[(?:.*-)?(\d\d)[\]-]"
)

# Which column a test's report belongs to, by its node id.
COLUMNS = {
    "unsolved": re.compile(r"labs[/\\]\d\d_|::test_unsolved"),
    "solved": re.compile(r"test_blocks\.py::test_solution"),
    "mistakes": re.compile(r"::test_mistake_"),
    "outputs": re.compile(r"solutions[/\\]\d\d_"),
    "browser": re.compile(r"tests[/\\]browser[/\\]"),
    "promises": re.compile(r"."),
}


def block_of(nodeid: str) -> int | None:
    """The block that a test is about; None for tests of the tools."""
    match = _NUMBER.match(nodeid)
    return int(match[1] or match[2]) if match else None


@dataclass
class Row:
    """What the tests of one block said so far."""

    passed: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    failed: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    seconds: float = 0.0

    def word(self, column: str) -> str:
        """A column in one word, or as "n of n" for the mistakes."""
        good, bad = self.passed[column], self.failed[column]
        if column == "mistakes" and good + bad:
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
        number = block_of(report.nodeid)
        if number is None:
            return
        row = self.rows[number]
        row.seconds += report.duration
        column = next(name for name, form in COLUMNS.items() if form.search(report.nodeid))
        if report.failed:
            row.failed[column] += 1
        elif report.when == "call" and report.passed:
            row.passed[column] += 1

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self.rows:
            return
        from winelab.course.source import course

        table = Table(box=None, pad_edge=False)
        table.add_column("block", no_wrap=True)
        for heading in ("unsolved runs,\nchecks fail", "solution\npasses", "mistakes\ncaught",
                        "outputs\nmatch", "in a\nbrowser", "promises\nheld"):  # fmt: skip
            table.add_column(heading)
        table.add_column("seconds", justify="right")
        for number, row in sorted(self.rows.items()):
            name = course().block(number).name
            words = [row.word(column) for column in COLUMNS]
            table.add_row(name, *words, f"{row.seconds:.1f}")
        terminalreporter.ensure_newline()
        terminalreporter.write_sep("=", "the course")
        console = Console(width=100, no_color=not terminalreporter.hasmarkup)
        with console.capture() as text:
            console.print(table)
        terminalreporter.write(text.get())
        # One sentence, however many tests it is about; pytest's own list has a line for each.
        for reason, times in self.not_tried.items():
            terminalreporter.write_line(f"{times} not tried: {reason}")
