"""`make matrix`: the course on other versions of MLflow, and what breaks there."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from packaging.version import InvalidVersion, Version
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from winelab.core.console import say
from winelab.core.errors import CourseError
from winelab.core.files import write_text
from winelab.core.paths import ROOT, course_environment
from winelab.core.processes import stop_group
from winelab.course.source import read_course
from winelab.proof import versions
from winelab.proof.cases import PARTS, Break, Trial, from_json, raised
from winelab.system import environment

PAGE = ROOT / "docs" / "matrix.md"

HEADINGS = {
    "unsolved": "unsolved runs, checks fail",
    "solution": "solution passes",
    "mistakes": "mistakes caught",
    "examples": "examples as said",
    "deprecations": "no deprecations",
}
# What a break means to a class, and what to do about it.
MEANING = {
    "unsolved": (
        "A student who opens this block and runs all cells meets an error, or a check that is "
        "wrong before anything was done.",
        "Do not teach the block with this version. Mend what the reason names, in the block's "
        "`code.py` or `checks.py`.",
    ),
    "solution": (
        "The block's solution does not run, or does not pass its own check.",
        "Do not teach the block with this version. Mend the section in the block's `code.py`; if "
        "MLflow changed what it records, mend the check.",
    ),
    "mistakes": (
        "The block works, but a mistake that students make ends in other words than the lesson "
        "quotes, or is no longer caught.",
        "The block can be taught. Look the new message up, and mend `MISTAKES` in the block's "
        "`checks.py` and the words in `lesson.md`.",
    ),
    "examples": (
        "The block works, but an example of its lesson prints something else than the lesson says.",
        "The block can be taught. Mend the text under the example in `lesson.md`.",
    ),
    "deprecations": (
        "The block works, and a student sees a warning that a call will go away.",
        "The block can be taught. Replace the call before the next minor version.",
    ),
}


@dataclass(frozen=True)
class Row:
    """What became of one version."""

    version: str
    trials: tuple[Trial, ...] = ()
    moved: tuple[str, ...] = ()
    """Packages that left the course's pins, such as "pandas 2.3.3"."""
    trouble: str = ""
    """One line, where the version could not be installed or nothing of it runs."""
    pinned: bool = False
    seconds: float = 0.0

    @property
    def breaks(self) -> list[Break]:
        """All that broke, block by block."""
        return [one for trial in self.trials for one in trial.breaks]

    @property
    def name(self) -> str:
        """The version as the table shows it."""
        return f"{self.version} (pinned)" if self.pinned else self.version

    @property
    def whole(self) -> int:
        """The number of blocks in which nothing broke."""
        return sum(not trial.breaks for trial in self.trials)

    def count(self, part: str) -> str:
        """A part over all blocks, such as "29 of 30 blocks"; "-" where it was not tried."""
        tried = [trial for trial in self.trials if part in trial.counts]
        good = sum(trial.word(part) == "ok" for trial in tried)
        if part in ("mistakes", "examples"):
            # These have several tries a block.
            good = sum(trial.counts[part][0] for trial in tried)
            return f"{good} of {sum(trial.counts[part][1] for trial in tried)}" if tried else "-"
        return f"{good} of {len(tried)}" if tried else "-"


def main(named: Sequence[str] = (), number: int | None = None) -> int:
    """Try the versions, print the table, and write docs/matrix.md.

    Args:
        named: the versions to try, such as "3.16.1"; empty for the pinned one, the newest that
            resolves and the newest of the two minor versions before the pinned one.
        number: the only block, if it is about one.

    The page is written only when nothing was named: it is the record of the whole.

    Returns 1 if something breaks on the pinned version, else 0. Raises CourseError for a name
    that is no version, when the package index cannot be asked, or when the disk is full.
    """
    numbers = [one.number for one in read_course().blocks if number in (None, one.number)]
    rows = []
    for row in try_all([version_of(text) for text in named], numbers):
        rows.append(row)
        if row.trouble:
            say(f"MLflow {row.name} {row.trouble}.")
        else:
            say(f"MLflow {row.name}: {row.whole} of {len(row.trials)} blocks without a break.")
    console = Console()
    show(rows, console)
    if named or number is not None:
        say("docs/matrix.md was left as it is: it is written when all versions and blocks run.")
    else:
        PAGE.parent.mkdir(exist_ok=True)
        write_text(PAGE, page(rows, date.today(), machine()))
        say("Written to docs/matrix.md.")
    return int(any(row.pinned and (row.breaks or row.trouble) for row in rows))


def version_of(text: str) -> Version:
    """The version that a text names. Raises CourseError if it names none."""
    try:
        return Version(text)
    except InvalidVersion:
        raise CourseError(f"{text!r} is no version of MLflow: write one such as 3.16.1.") from None


def try_all(named: Sequence[Version], numbers: list[int]) -> Iterator[Row]:
    """A row for each version, as it is done."""
    now = versions.pinned_version()
    if named:
        for version in dict.fromkeys(named):
            yield try_version(version, numbers)
        return
    newer, before = versions.choose(versions.listed(), now)
    for version in newer:
        row = try_version(version, numbers)
        yield row
        if not row.trouble:
            break
    for version in (now, *before):
        yield try_version(version, numbers)


def try_version(version: Version, numbers: list[int]) -> Row:
    """The row of one version: its environment, and every block in it."""
    pinned = version == versions.pinned_version()
    started = time.monotonic()
    if pinned:
        # The course's own .venv is the environment of its own version.
        folder, moved = ROOT, []
    else:
        try:
            found = versions.resolve(version)
        except versions.Unresolved as reason:
            return Row(str(version), trouble=f"does not resolve: {reason}")
        folder, moved = versions.make(found), found.moved(versions.course_pins())
        started = time.monotonic()
    trials, trouble = run_trials(folder, numbers, f"MLflow {version}")
    seconds = time.monotonic() - started
    return Row(str(version), tuple(trials), tuple(moved), trouble, pinned, seconds)


def run_trials(folder: Path, numbers: list[int], name: str) -> tuple[list[Trial], str]:
    """Run the blocks with the Python of the environment in `folder`.

    Returns what became of each, and the reason in one line where they could not be run.
    """
    with tempfile.TemporaryDirectory(prefix="winelab-", ignore_cleanup_errors=True) as desk:
        results, err = Path(desk, "results"), Path(desk, "stderr")
        results.touch()
        variables = environment.venv_environment(folder) | course_environment(Path(desk))
        # Every room of these runs lies below the desk, so that a stop leaves none behind.
        variables |= {"TMPDIR": desk, "TEMP": desk, "TMP": desk}
        command = [str(environment.venv_python(folder)), "-m", "winelab.proof.cases", str(results)]
        with err.open("wb") as stderr:
            process = subprocess.Popen(
                [*command, *map(str, numbers)],
                cwd=desk,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                start_new_session=os.name == "posix",
            )
            try:
                with progress() as show_progress:
                    while process.poll() is None:
                        done = results.read_bytes().count(b"\n")
                        show_progress(f"{name}: {done} of {len(numbers)} blocks")
                        time.sleep(0.5)
            finally:
                # Also after Ctrl-C: with it end the runs that it has started.
                stop_group(process)
        trials = [from_json(line) for line in results.read_text(encoding="utf-8").splitlines()]
        trials.sort(key=lambda trial: trial.block)
        trouble = ""
        if process.returncode or len(trials) < len(numbers):
            said = err.read_text(encoding="utf-8", errors="replace")
            trouble = f"stopped after {len(trials)} of {len(numbers)} blocks: {raised(said)}"
    return trials, trouble


@contextmanager
def progress() -> Iterator[Callable[[str], object]]:
    """A line that is rewritten in a terminal; elsewhere nothing."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda text: None
        return
    with console.status("") as status:
        yield status.update


def machine() -> str:
    """The Python and the system that the versions were tried with."""
    system = f"{platform.system()} {platform.machine()}"
    return f"Python {platform.python_version()}, {system}, {os.cpu_count()} processors"


# --- the table ---------------------------------------------------------------------------------


def summary(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """The heading and the lines of the table with a row a version."""
    heading = ["MLflow", "blocks without a break", *HEADINGS.values()]
    lines = []
    for row in rows:
        if row.trouble and not row.trials:
            lines.append([row.name, "does not run", *["-"] * (len(heading) - 2)])
            continue
        whole = f"{row.whole} of {len(row.trials)}"
        lines.append([row.name, whole, *[row.count(part) for part in PARTS]])
    return heading, lines


def remarks(rows: Sequence[Row]) -> list[str]:
    """Why a version does not run, and which other packages had to leave the course's pins."""
    lines = [f"MLflow {row.name} {row.trouble}." for row in rows if row.trouble]
    moved = [row for row in rows if row.moved]
    return lines + [f"With MLflow {row.name} moved: {', '.join(row.moved)}." for row in moved]


def by_block(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """The heading and the lines of the table with a row a block and a column a version."""
    tried = [row for row in rows if row.trials]
    names = {block.number: block.name for block in read_course().blocks}
    numbers = sorted({trial.block for row in tried for trial in row.trials})
    lines = []
    for number in numbers:
        words = []
        for row in tried:
            trial = next((one for one in row.trials if one.block == number), None)
            words.append("-" if trial is None else cell(trial))
        lines.append([names.get(number, str(number)), *words])
    return ["block", *[row.name for row in tried]], lines


def cell(trial: Trial) -> str:
    """A block on one version: "ok", or the parts that broke."""
    broken = [part for part in PARTS if any(one.part == part for one in trial.breaks)]
    return ", ".join(f"{part} {trial.word(part)}" for part in broken) or "ok"


def gathered(breaks: Sequence[Break]) -> list[tuple[str, str, list[int]]]:
    """Part, reason and the blocks that it broke, in the order of PARTS, the widest first."""
    found: dict[tuple[str, str], list[int]] = {}
    for one in breaks:
        found.setdefault((one.part, one.reason), []).append(one.block)
    order = sorted(found.items(), key=lambda item: (PARTS.index(item[0][0]), -len(item[1])))
    return [(part, reason, sorted(set(blocks))) for (part, reason), blocks in order]


def show(rows: Sequence[Row], console: Console) -> None:
    """Print the tables and the reasons."""
    for heading, lines in (summary(rows), by_block(rows)):
        if not lines:
            continue
        table = Table(box=None, pad_edge=False)
        for name in heading:
            table.add_column(escape(name.replace(", ", ",\n").replace("no dep", "no\ndep")))
        for line in lines:
            table.add_row(*[escape(word) for word in line])
        console.print(table)
        console.print()
    for sentence in remarks(rows):
        console.print(escape(sentence), soft_wrap=True)
    for row in rows:
        if row.breaks:
            console.print(f"What breaks on MLflow {row.name}:")
        for part, reason, blocks in gathered(row.breaks):
            where = ", ".join(map(str, blocks))
            console.print(f"  {part}, block {where}: {escape(reason)}", soft_wrap=True)


# --- the page ----------------------------------------------------------------------------------


def page(rows: Sequence[Row], day: date, where: str) -> str:
    """docs/matrix.md: the tables, each reason, what a break means and what to do."""
    parts = [
        "# The course on other versions of MLflow",
        "`make matrix` wrote this page; do not edit it. It runs each block with the pinned "
        "MLflow, with the newest one that can be installed, and with the newest of the two minor "
        "versions before the pinned one. [newer-mlflow.md](newer-mlflow.md) says how to move.",
        f"Last run: {day.isoformat()}, {where}.",
        markdown(*summary(rows)),
        "A mistake is tried where the solution passes. Each count is of blocks; those of mistakes "
        "and examples are of all mistakes and all examples. All other packages are the course's "
        "own pins, but for those that a version does not accept. A block in which something breaks "
        "is run a second time, and that counts.",
        *remarks(rows),
        "## Block by block",
        markdown(*by_block(rows)),
        "## What breaks, and what to do",
    ]
    broken = [row for row in rows if row.breaks]
    if not broken:
        parts.append("Nothing breaks on the versions that were tried.")
    for row in broken:
        parts.append(f"### MLflow {row.name}")
        for part in PARTS:
            of_part = [one for one in row.breaks if one.part == part]
            if not of_part:
                continue
            meaning, advice = MEANING[part]
            lines = [f"**{HEADINGS[part].capitalize()}: no.** {meaning} {advice}", ""]
            for _, reason, blocks in gathered(of_part):
                word = "Block" if len(blocks) == 1 else "Blocks"
                lines.append(f"- {word} {', '.join(map(str, blocks))}: {as_code(reason)}")
            parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def markdown(heading: list[str], lines: list[list[str]]) -> str:
    """A table in Markdown."""
    rows = [heading, ["---"] * len(heading), *lines]
    return "\n".join(
        f"| {' | '.join(word.replace('|', chr(92) + '|') for word in row)} |" for row in rows
    )


def as_code(text: str) -> str:
    """Text in a code span, whatever backticks it has."""
    ticks = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    space = " " if "`" in text else ""
    return f"{ticks}{space}{text}{space}{ticks}"
