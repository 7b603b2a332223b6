"""Write the gradebook of a class: a CSV file for other programs, and one HTML page to read.

The page needs nothing beside itself: no network, no other file. What a hand-in printed is shown
as text; the page's content policy keeps anything else in it from running.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from winelab.checks.report import Verdict, marked
from winelab.grading.handins import shown
from winelab.grading.result import Grade, Level

FOLDER = Path(__file__).with_name("page")
"""The page's template, its style and its few lines of JavaScript."""

HARDEST = 8
"""Checks in the list of those that most have failed."""
PRINTED = 1500
"""Characters of a hand-in's output that the page shows: 6000 cells must stay one page."""

# What a spreadsheet takes for a formula when a cell begins with it.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class Row:
    """One student in the table."""

    student: str
    cells: tuple[Grade | None, ...]
    """One for each block of the table; None where nothing was handed in."""

    @property
    def grades(self) -> list[Grade]:
        """What was handed in."""
        return [grade for grade in self.cells if grade]

    @property
    def mean(self) -> float:
        """The mean over all blocks in the table, 0 to 1; one not handed in counts 0."""
        return sum(grade.score for grade in self.grades) / len(self.cells)


@dataclass(frozen=True)
class Gradebook:
    """All that a report shows."""

    name: str
    """The name of the folder that was graded."""
    grades: tuple[Grade, ...]
    """One for each student and block that were handed in."""
    blocks: dict[int, str]
    """Number and name of each block of the course, such as 3 and ``03_run``."""
    remarks: tuple[str, ...] = ()
    guarantees: tuple[str, ...] = ()
    """What the sandbox kept the hand-ins from."""
    mlflow: str = ""
    made: datetime | None = None
    waiting: int = 0
    """Hand-ins that were not graded, since it was stopped."""

    @cached_property
    def numbers(self) -> list[int]:
        """The blocks that anybody handed in."""
        return sorted({grade.hand_in.block for grade in self.grades})

    @cached_property
    def rows(self) -> list[Row]:
        """A row a student, sorted as a reader expects: case and accents do not matter."""
        cells = {(grade.hand_in.student, grade.hand_in.block): grade for grade in self.grades}
        return [
            Row(name, tuple(cells.get((name, number)) for number in self.numbers))
            for name in sorted({student for student, _ in cells}, key=_sorting)
        ]


def _sorting(name: str) -> tuple[str, str]:
    plain = unicodedata.normalize("NFKD", name)
    return "".join(c for c in plain if not unicodedata.combining(c)).casefold(), name


def per_cent(score: float) -> str:
    """Return a share as a figure without a sign: "77.8", "100". Only all checks give 100."""
    figure = min(round(100 * score, 1), 99.9) if score < 1 else 100.0
    return f"{figure:.1f}".removesuffix(".0")


def guarded(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula: one gets an apostrophe in front."""
    one_line = " ".join(text.split())
    formula = text.startswith(_FORMULA) or one_line.startswith(_FORMULA)
    return f"'{one_line}" if formula else one_line


def csv_text(book: Gradebook) -> str:
    """Return a row a student: per cent of each block (empty: not handed in), mean, problems.

    It begins with a byte order mark: Excel needs it to read accents, Moodle and pandas skip it.
    """
    out = io.StringIO()
    table = csv.writer(out)
    names = [book.blocks[number] for number in book.numbers]
    table.writerow(["student", *names, "handed_in", "mean", "troubles"])
    for row in book.rows:
        problems = [f"block {g.hand_in.block}: {g.problem}" for g in row.grades if g.problem]
        scores = [per_cent(grade.score) if grade else "" for grade in row.cells]
        end = [len(row.grades), per_cent(row.mean), guarded("; ".join(problems))]
        table.writerow([guarded(row.student), *scores, *end])
    return "\ufeff" + out.getvalue()


@dataclass(frozen=True)
class Hard:
    """A check that some have failed."""

    block: int
    line: str
    failed: int
    handed_in: int
    hint: str
    """The hint that most of them read."""

    @property
    def share(self) -> float:
        """The share of those who handed the block in, and whose checks could be run."""
        return self.failed / self.handed_in


def hardest(grades: Iterable[Grade], most: int = HARDEST) -> list[Hard]:
    """Return the checks that most have failed: by their number first, then by their share."""
    seen: Counter[int] = Counter()
    failed: dict[tuple[int, str], list[Verdict]] = defaultdict(list)
    for grade in grades:
        seen[grade.hand_in.block] += bool(grade.verdicts)
        for verdict in grade.own:
            if not verdict.done:
                failed[grade.hand_in.block, verdict.name].append(verdict)
    found = []
    for (block, _), verdicts in failed.items():
        hints = Counter(verdict.hint for verdict in verdicts)
        # Of two that are as frequent the first in the alphabet: the same report each time.
        hint = min(hints, key=lambda text: (-hints[text], text))
        found.append(Hard(block, verdicts[0].line, len(verdicts), seen[block], hint))
    return sorted(found, key=lambda hard: (-hard.failed, -hard.share, hard.block, hard.line))[:most]


def html_text(book: Gradebook) -> str:
    """Return the page, whole: summary, hardest checks, the table, and each cell's details."""
    page = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    page.filters |= {
        "digest": _digest,
        "end_of_output": _end_of_output,
        "marked": lambda text: Markup(marked(text)),
        "per_cent": per_cent,
        "shown": shown,
    }
    style, script = (
        Markup((FOLDER / name).read_text(encoding="utf-8").strip())
        for name in ("report.css", "report.js")
    )
    return page.get_template("report.html").render(
        book=book, hardest=hardest(book.grades), levels=Level, style=style, script=script
    )


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def _end_of_output(text: str) -> str:
    # A NUL or an escape sequence would show as nothing, or as a box.
    text = "".join(c for c in text if c in "\n\t" or c.isprintable()).strip("\n")
    end = text[-PRINTED:]
    return end if end == text else f"[...]\n{end.partition(chr(10))[2] or end}"
