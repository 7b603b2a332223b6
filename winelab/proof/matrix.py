"""`make matrix`: the course on other versions of MLflow, and what breaks there."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from packaging.version import InvalidVersion, Version
from rich.console import Console
from rich.markdown import Markdown

from winelab.core.console import say
from winelab.core.errors import CourseError
from winelab.core.files import write_text
from winelab.core.paths import ROOT, course_environment
from winelab.core.processes import own_group, stop_group
from winelab.course.source import course
from winelab.proof import versions
from winelab.proof.run_cases import Column, Result, raised
from winelab.system import environment

PAGE = ROOT / "docs" / "matrix.md"

ONE_BY_ONE = (Column.MISTAKES, Column.EXAMPLES)
"""A block has several of these: they are counted and named one by one."""


@dataclass(frozen=True)
class Row:
    """What became of one version."""

    version: str
    results: tuple[Result, ...] = ()
    moved: tuple[str, ...] = ()
    """Packages that left the course's pins, such as "pandas 2.3.3"."""
    problem: str = ""
    """One line, where the version could not be installed or did not run to the end."""
    pinned: bool = False

    @property
    def name(self) -> str:
        """Return the version as the tables show it."""
        return f"{self.version} (pinned)" if self.pinned else self.version

    @property
    def broken(self) -> list[Result]:
        """Return all that does not hold."""
        return [one for one in self.results if one.reasons]

    def blocks_that_hold(self) -> str:
        """Return in how many blocks nothing broke, such as "29 of 30"."""
        return _count((one.block, one) for one in self.results)

    def count(self, column: Column) -> str:
        """Return how many blocks, or mistakes or examples, hold; "-" where none was tried."""
        return _count(
            ((one.block, one.name) if column in ONE_BY_ONE else one.block, one)
            for one in self.results
            if one.column is column
        )

    def cell(self, block: int) -> str:
        """Return a block in few words: "ok", or such as "solution 0 of 2, examples 1 of 2"."""
        results = [one for one in self.results if one.block == block]
        broken = {one.column for one in results if one.reasons}
        counts = [
            f"{column} {_count((one.name, one) for one in results if one.column is column)}"
            for column in Column
            if column in broken
        ]
        return ", ".join(counts) or ("ok" if results else "-")

    def reasons(self, column: Column) -> list[tuple[str, list[int]]]:
        """Return each reason of a column, with the blocks that it breaks; the widest first."""
        found: dict[str, set[int]] = {}
        for one in self.broken:
            for reason in one.reasons if one.column is column else ():
                words = f"{one.name}: {reason}" if column in ONE_BY_ONE else reason
                found.setdefault(words, set()).add(one.block)
        widest = sorted(found.items(), key=lambda item: -len(item[1]))
        return [(words, sorted(blocks)) for words, blocks in widest]


def _count(results: Iterable[tuple[object, Result]]) -> str:
    """Return how many keys have only results that hold, such as "29 of 30"; "-" without any."""
    holds: dict[object, bool] = {}
    for key, one in results:
        holds[key] = holds.get(key, True) and not one.reasons
    return f"{sum(holds.values())} of {len(holds)}" if holds else "-"


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
    blocks = course().blocks if number is None else (course().block(number),)
    rows = []
    for row in try_all([version_of(text) for text in named], [one.number for one in blocks]):
        rows.append(row)
        held = f": {row.blocks_that_hold()} blocks without a break"
        say(f"MLflow {row.name}{' ' + row.problem if row.problem else held}.")
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


def try_all(named: Sequence[Version], numbers: list[int]) -> Iterator[Row]:
    """Yield a row for each version, as it is done."""
    now = versions.pinned_version()
    if named:
        for version in dict.fromkeys(named):
            yield try_version(version, numbers)
        return
    newer, before = versions.choose(versions.listed(), now)
    for version in newer:
        row = try_version(version, numbers)
        yield row
        if not row.problem:
            break
    for version in (now, *before):
        yield try_version(version, numbers)


def try_version(version: Version, numbers: list[int]) -> Row:
    """Return the row of one version: its environment, and every block in it."""
    # The course's own .venv is the environment of its own version.
    pinned = version == versions.pinned_version()
    try:
        folder = ROOT if pinned else versions.make(version)
    except versions.Unresolved as reason:
        return Row(str(version), problem=f"does not resolve: {reason}")
    results, problem = run_cases(folder, numbers, f"MLflow {version}")
    return Row(str(version), tuple(results), tuple(versions.moved(folder)), problem, pinned)


def run_cases(folder: Path, numbers: list[int], name: str) -> tuple[list[Result], str]:
    """Run the blocks' cases with the Python of the environment in `folder`.

    Returns what became of them, and the reason in one line where they did not run to the end.
    """
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="winelab-", ignore_cleanup_errors=True) as desk:
        variables = environment.venv_environment(folder) | course_environment(Path(desk))
        # Every workspace of these runs lies below the desk, so that a stop leaves none behind.
        variables |= {"TMPDIR": desk, "TEMP": desk, "TMP": desk}
        command = [str(environment.venv_python(folder)), "-m", "winelab.proof.run_cases"]
        with Path(desk, "stderr").open("w+b") as stderr:
            process = subprocess.Popen(
                [*command, *map(str, numbers)],
                cwd=desk,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                **own_group(),
            )
            assert process.stdout is not None
            try:
                with process.stdout as lines, Console(stderr=True).status(name) as status:
                    cases = lines.readline().decode().strip()
                    for done, line in enumerate(lines, start=1):
                        for one in json.loads(line):
                            results.append(Result(**one | {"column": Column(one["column"])}))
                        status.update(f"{name}: {done} of {cases} cases")
                process.wait()
            finally:
                # Also after Ctrl-C: with it end the runs that it has started.
                stop_group(process)
            stderr.seek(0)
            said = stderr.read().decode("utf-8", errors="replace")
    if process.returncode:
        tried = len({one.block for one in results})
        return results, f"stopped after {tried} of {len(numbers)} blocks: {raised(said)}"
    return results, ""


def page(rows: Sequence[Row], day: date | None = None) -> str:
    """Return docs/matrix.md in Markdown; without its head, as for the terminal, if no day is given.

    It has the tables, each reason, what a break means and what to do.
    """
    here = f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors"
    tried = {one.block for row in rows for one in row.results}
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    templates.filters["as_code"] = lambda text: f"`` {text} ``" if "`" in text else f"`{text}`"
    text = templates.get_template("matrix.md.jinja").render(
        rows=rows,
        columns=list(Column),
        blocks=[block for block in course().blocks if block.number in tried],
        day=day,
        machine=f"Python {platform.python_version()}, {here}",
    )
    return text.rstrip() + "\n"
