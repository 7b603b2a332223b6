"""`make matrix`: the course's own test run on other versions of MLflow, and what breaks there."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import tempfile
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from xml.etree import ElementTree

from packaging.version import InvalidVersion, Version
from rich.console import Console
from rich.markdown import Markdown

from winelab.core.console import last_line, say
from winelab.core.errors import CourseError
from winelab.core.files import write_text
from winelab.core.paths import ROOT, course_environment
from winelab.course.source import course
from winelab.course.templates import render
from winelab.proof import versions
from winelab.proof.cases import DEPRECATED
from winelab.proof.outputs import BY_NATURE
from winelab.system import environment

PAGE = ROOT / "docs" / "matrix.md"
TEST = "tests/course/test_cases.py::test_case"
COLUMN_OF = {
    "UNSOLVED": "unsolved",
    "SOLVED": "solution",
    # What a class meets beyond the first run is about the solution too.
    "ELSEWHERE": "solution",
    "RIGHT_WAYS": "solution",
    "FAIR": "solution",
    "MISTAKES": "mistakes",
    "EXAMPLES": "examples",
    DEPRECATED: "deprecations",
}
"""Where the cases of a part are counted, by its name; and where deprecations are."""
COLUMNS = tuple(dict.fromkeys(COLUMN_OF.values()))


@dataclass(frozen=True)
class Result:
    """What became of a case, in one column."""

    block: int
    column: str
    name: str
    reason: str = ""
    """Why it does not hold, in one line; "" where it does."""


@dataclass(frozen=True)
class Row:
    """What became of one version."""

    name: str
    """The version, as the tables show it."""
    results: Sequence[Result] = ()
    moved: Sequence[str] = ()
    """Packages that left the course's pins, such as "pandas 2.3.3"."""
    problem: str = ""
    """One line, where the version could not be installed or did not run to the end."""
    pinned: bool = False

    @property
    def broken(self) -> list[Result]:
        """Return all that does not hold."""
        return [one for one in self.results if one.reason]

    def blocks_that_hold(self) -> str:
        """Return in how many blocks nothing broke, such as "29 of 30"."""
        blocks = {one.block for one in self.results}
        return f"{len(blocks - {one.block for one in self.broken})} of {len(blocks)}"

    def count(self, column: str, block: int | None = None) -> str:
        """Return how many cases hold, of all blocks or of one; "-" where none was tried."""
        asked = [one for one in self.results if one.column == column and block in (None, one.block)]
        cases = {(one.block, one.name) for one in asked}
        broken = {(one.block, one.name) for one in asked if one.reason}
        return f"{len(cases - broken)} of {len(cases)}" if cases else "-"

    def cell(self, block: int) -> str:
        """Return a block in few words: "ok", or such as "solution 0 of 2, examples 1 of 2"."""
        columns = {one.column for one in self.broken if one.block == block}
        words = [f"{one} {self.count(one, block)}" for one in COLUMNS if one in columns]
        return ", ".join(words) or "ok"

    def reasons(self, column: str) -> list[tuple[str, list[Result]]]:
        """Return each reason of a column, with all that it breaks; the widest first."""
        found: dict[str, list[Result]] = {}
        for one in self.broken:
            if one.column == column:
                found.setdefault(one.reason, []).append(one)
        return sorted(found.items(), key=lambda item: -len(item[1]))


def main(named: Sequence[str] = (), number: int | None = None) -> int:
    """Try the versions, print the tables, and write docs/matrix.md.

    Args:
        named: the versions to try, such as "3.16.1"; empty for the pinned one, the newest that
            resolves and the newest of the two minor versions before the pinned one.
        number: the only block, if it is about one.

    The page is written only when nothing was named: it is the record of the whole.

    Returns 1 if something breaks on the pinned version, else 0. Raises CourseError for a name
    that is no version, when the package index cannot be asked, or when the disk is full.
    """
    rows = []
    for row in try_all([version_of(text) for text in named], number):
        rows.append(row)
        result = f": {row.blocks_that_hold()} blocks without a break"
        say(f"MLflow {row.name}{' ' + row.problem if row.problem else result}.")
    Console().print(Markdown(page(rows)))
    if named or number is not None:
        say("docs/matrix.md was left as it is: it is written when all versions and blocks run.")
    else:
        write_text(PAGE, page(rows, date.today()))
        say("Written to docs/matrix.md.")
    return int(any(row.pinned and (row.broken or row.problem) for row in rows))


def version_of(text: str) -> Version:
    """Return the version that a text names. Raises CourseError if it names none."""
    try:
        return Version(text)
    except InvalidVersion:
        raise CourseError(f"{text!r} is no version of MLflow: write one such as 3.16.1.") from None


def try_all(named: Sequence[Version], number: int | None) -> Iterator[Row]:
    """Yield a row for each version, as it is done."""
    for version in dict.fromkeys(named):
        yield try_version(version, number)
    if named:
        return
    now = versions.pinned_version()
    newer = versions.newest(f">{now}")
    while newer:
        row = try_version(newer, number)
        yield row
        newer = versions.newest(f">{now},<{newer}") if row.problem else None
    yield try_version(now, number)
    before: Version | None = now
    for _ in range(2):
        if before := before and versions.newest(f"<{before.major}.{before.minor}"):
            yield try_version(before, number)


def try_version(version: Version, number: int | None) -> Row:
    """Return the row of one version: its environment, and every block in it."""
    pinned = version == versions.pinned_version()
    name = f"{version} (pinned)" if pinned else str(version)
    try:
        # The course's own .venv is the environment of its own version.
        folder = ROOT if pinned else versions.make(version)
        say(f"MLflow {version}: running the blocks ...")
        results = run_cases(folder, number)
    except versions.Unusable as why:
        return Row(name, problem=in_one_line(str(why)).rstrip("."), pinned=pinned)
    return Row(name, results, versions.moved(folder), pinned=pinned)


# --- the test run -------------------------------------------------------------------------------


def run_cases(folder: Path, number: int | None) -> list[Result]:
    """Run the tests of the blocks' cases with the Python of the environment in `folder`.

    What breaks is run once more, and that counts: what another MLflow breaks, it breaks each time,
    and a server that was slow once is no break. Raises Unusable where the tests do not run.
    """
    # The stored outputs name the version, and the other cases run the notebooks too.
    asked = [TEST, "-k", "not -OUTPUTS-", *([] if number is None else ["--block", str(number)])]
    with tempfile.TemporaryDirectory(prefix="winelab-", ignore_cleanup_errors=True) as desk:
        tests = run_pytest(folder, asked, Path(desk))
        if failed := [f"{TEST}{name}" for name, message in tests.items() if message]:
            # In a file: a command line may be too short for all.
            again = Path(desk, "again.txt")
            again.write_text("\n".join(failed), encoding="utf-8")
            tests |= run_pytest(folder, [f"@{again}"], Path(desk))
    results = [one for name, message in tests.items() for one in results_of(name, message)]
    unsolved = {one.block for one in results if one.column == "solution" and one.reason}
    # A mistake is a change of the solution: where that does not pass, it tells nothing.
    return [one for one in results if one.column != "mistakes" or one.block not in unsolved]


def run_pytest(folder: Path, arguments: list[str], desk: Path) -> dict[str, str]:
    """Run tests of cases, with their workspaces on the desk.

    Returns the message with which each one failed, "" where it passed; by the end of the test's
    name, such as "[03-SOLVED-the script]". Raises Unusable where pytest does not come to its end.
    """
    report = desk / "report.xml"
    command = [str(environment.venv_python(folder)), "-m", "pytest", *arguments, "--full", "-q"]
    command += ["-n", "0", "--no-summary", "--assert=plain", "--tb=short"]
    variables = environment.venv_environment(folder) | course_environment(desk)
    variables |= dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(desk))
    code = subprocess.call([*command, f"--junitxml={report}"], cwd=ROOT, env=variables)
    if code not in (0, 1):
        raise versions.Unusable(f"stopped: pytest ended with exit code {code}, see above")
    messages = {}
    for test in ElementTree.parse(report).iter("testcase"):
        said = "\n".join(one.text or "" for one in test if one.tag in ("failure", "error"))
        # Behind such marks stands what was raised, below the lines of the test itself.
        raised = "\n".join(re.findall(r"^E   (.*)", said, re.MULTILINE))
        messages[test.attrib["name"].removeprefix("test_case")] = raised or said
    return messages


def results_of(test: str, message: str) -> Iterator[Result]:
    """Yield what the end of a test says: of the case, and of deprecations."""
    number, part, name = test.strip("[]").split("-", 2)
    heading = f"AssertionError: {number} {part}: {name}:"
    broken, *deprecated = message.removeprefix(heading).split(f"\n{DEPRECATED}")
    yield Result(int(number), COLUMN_OF[part], name, in_one_line(broken))
    # A learner's mistake may well be a call of yesterday's.
    if part != "MISTAKES":
        for words in deprecated or [""]:
            yield Result(int(number), COLUMN_OF[DEPRECATED], name, in_one_line(words))


REASON_LENGTH = 300
"""Characters of a reason that are kept."""
TRACEBACK = "Traceback (most recent call last)"
# The line of a traceback that names the exception: what follows it may be advice over many lines.
_RAISED = re.compile(r"^(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Exit|Interrupt|Warning)\b.*")
# What differs by run or by machine would make one reason look like several.
_BY_CHANCE = (
    *BY_NATURE,
    ("", re.compile(r"[^\s'\"(]*[\\/]site-packages[\\/]")),
    ("FOLDER", re.compile(r"(?:[A-Za-z]:)?[\w./\\~-]*winelab[-/\\][\w./\\-]+")),
    ("ADDRESS", re.compile(r"0x[0-9a-f]{6,}")),
)


def in_one_line(reason: str) -> str:
    """Return a reason in one line, without what is by chance; of a traceback, what was raised."""
    before, traceback, after = reason.partition(TRACEBACK)
    if traceback:
        named = [line for line in after.splitlines() if _RAISED.match(line)]
        reason = before + (named[-1] if named else last_line(after))
    for word, form in _BY_CHANCE:
        reason = form.sub(word, reason)
    return textwrap.shorten(reason, REASON_LENGTH, placeholder=" ...")


# --- the page -----------------------------------------------------------------------------------


def page(rows: Sequence[Row], day: date | None = None) -> str:
    """Return docs/matrix.md in Markdown; without its head, as for the terminal, if no day is given.

    It has the tables, each reason, what a break means and what to do.
    """
    here = f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors"
    tried = {one.block for row in rows for one in row.results}
    text = render(
        Path(__file__).with_name("matrix.md.jinja"),
        rows=rows,
        columns=COLUMNS,
        blocks=[block for block in course().blocks if block.number in tried],
        day=day,
        machine=f"Python {platform.python_version()}, {here}",
    )
    return text.rstrip() + "\n"
