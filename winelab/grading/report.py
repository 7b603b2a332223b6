"""The gradebook of a class: a CSV file for other programs, and one HTML page to read.

The page needs nothing beside itself: no network, no other file. What a hand-in printed is shown
as text; the page's content policy keeps anything else in it from running.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import html
import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from winelab.checks.checking import Verdict, marked
from winelab.grading.result import Grade

FOLDER = Path(__file__).with_name("page")
"""The page's style and its few lines of JavaScript."""

HARDEST = 8
"""Checks in the list of those that most have failed."""
PRINTED = 1500
"""Characters of a hand-in's output that the page shows: 6000 cells must stay one page."""

# What a spreadsheet takes for a formula when a cell begins with it.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


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

    def students(self) -> list[str]:
        """The names, sorted as a reader expects: case and accents do not matter."""
        return sorted({grade.hand_in.student for grade in self.grades}, key=_sorting)

    def numbers(self) -> list[int]:
        """The blocks that anybody handed in."""
        return sorted({grade.hand_in.block for grade in self.grades})

    def cells(self) -> dict[tuple[str, int], Grade]:
        """The grade of each student and block."""
        return {(grade.hand_in.student, grade.hand_in.block): grade for grade in self.grades}

    def mean(self, student: str) -> float:
        """A student's mean over all blocks in the table, 0 to 1; one not handed in counts 0."""
        cells, numbers = self.cells(), self.numbers()
        scores = [cells[student, n].score for n in numbers if (student, n) in cells]
        return sum(scores) / len(numbers) if numbers else 0.0


def _sorting(name: str) -> tuple[str, str]:
    import unicodedata

    plain = unicodedata.normalize("NFKD", name)
    return "".join(c for c in plain if not unicodedata.combining(c)).casefold(), name


def per_cent(score: float) -> str:
    """A share as a figure without a sign: "77.8", "100". Only all checks give 100."""
    figure = min(round(100 * score, 1), 99.9) if score < 1 else 100.0
    return f"{figure:.1f}".removesuffix(".0")


def own(grade: Grade) -> list[Verdict]:
    """The checks that count."""
    return [verdict for verdict in grade.verdicts if not verdict.given]


def count(grade: Grade) -> str:
    """How many of the checks that count are done: "7 of 9"."""
    counted = own(grade)
    return f"{sum(v.done for v in counted)} of {len(counted)}" if counted else "not checked"


# --- for other programs --------------------------------------------------------------------------


def guarded(text: str) -> str:
    """A text that no spreadsheet takes for a formula: what looks like one gets an apostrophe."""
    one_line = " ".join(text.split()) if text.strip() else ""
    return (
        f"'{one_line}" if text.startswith(_FORMULA) or one_line.startswith(_FORMULA) else one_line
    )


def csv_text(book: Gradebook) -> str:
    """A row a student: the per cent of each block (empty: not handed in), their mean, troubles.

    It begins with a byte order mark: Excel needs it to read accents, Moodle and pandas skip it.
    """
    numbers, cells, means = book.numbers(), book.cells(), _means(book)
    out = io.StringIO()
    table = csv.writer(out)
    table.writerow(["student", *(book.blocks[n] for n in numbers), "handed_in", "mean", "troubles"])
    for student in book.students():
        mine = [cells.get((student, number)) for number in numbers]
        troubles = [
            f"block {grade.hand_in.block}: {grade.trouble}"
            for grade in mine
            if grade and grade.trouble
        ]
        table.writerow(
            [
                guarded(student),
                *(per_cent(grade.score) if grade else "" for grade in mine),
                sum(grade is not None for grade in mine),
                per_cent(means[student]),
                guarded("; ".join(troubles)),
            ]
        )
    return "\ufeff" + out.getvalue()


def _means(book: Gradebook) -> dict[str, float]:
    """The mean of each student (see `Gradebook.mean`), found in one go."""
    sums: dict[str, float] = defaultdict(float)
    for grade in book.grades:
        sums[grade.hand_in.student] += grade.score
    blocks = len(book.numbers())
    return {student: total / blocks for student, total in sums.items()}


# --- what the class finds hard ------------------------------------------------------------------


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
    """The checks that most have failed: the largest number first, then the largest share."""
    seen: Counter[int] = Counter()
    failed: dict[tuple[int, str], list[Verdict]] = defaultdict(list)
    for grade in grades:
        if not grade.verdicts:
            continue
        seen[grade.hand_in.block] += 1
        for verdict in own(grade):
            if not verdict.done:
                failed[grade.hand_in.block, verdict.name].append(verdict)
    found = []
    for (block, _), verdicts in failed.items():
        hints = Counter(verdict.hint for verdict in verdicts)
        # Of two that are as frequent the first in the alphabet: the same report each time.
        hint = min(hints, key=lambda text: (-hints[text], text))
        found.append(Hard(block, verdicts[0].line, len(verdicts), seen[block], hint))
    return sorted(found, key=lambda hard: (-hard.failed, -hard.share, hard.block, hard.line))[:most]


# --- the page -----------------------------------------------------------------------------------

# Words and a sign for each colour: not everybody sees all colours, and printers have one.
LEGEND = (
    ("all", "✓", "all checks passed"),
    ("most", "◕", "half of them or more"),
    ("few", "◔", "fewer than half"),
    ("none", "✗", "none"),
    ("trouble", "!", "did not run to its end"),
)


def kind(grade: Grade) -> str:
    """The cell's kind, a name of `LEGEND`: by its score; "trouble" is a mark beside it."""
    if not own(grade):
        return "none"
    if grade.score >= 1:
        return "all"
    if grade.score >= 0.5:
        return "most"
    return "few" if grade.score > 0 else "none"


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def html_text(book: Gradebook) -> str:
    """The page, whole: summary, the hardest checks, the table, and the details of each cell."""
    style = (FOLDER / "report.css").read_text(encoding="utf-8").strip()
    script = (FOLDER / "report.js").read_text(encoding="utf-8").strip()
    policy = (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    title = f"Grades: {book.name}"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        '<meta name="robots" content="noindex">\n'
        f"<title>{html.escape(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n"
        f"<header><h1>{html.escape(title)}</h1>\n{_summary(book)}</header>\n<main>\n"
        f"{_stopped(book)}{_hardest(book)}{_table(book)}{_remarks(book)}{_sandbox(book)}</main>\n"
        '<dialog id="detail" aria-labelledby="detail-title"><div id="detail-body"></div>'
        '<form method="dialog"><button class="close" autofocus>Close</button></form></dialog>\n'
        f"{_details(book)}<script>{script}</script>\n</body>\n</html>\n"
    )


def _summary(book: Gradebook) -> str:
    students, grades = book.students(), book.grades
    whole = sum(kind(grade) == "all" for grade in grades)
    trouble = sum(bool(grade.trouble) for grade in grades)
    figures = [
        (f"{len(students)}", "student" if len(students) == 1 else "students"),
        (f"{len(grades)}", "hand-in" if len(grades) == 1 else "hand-ins"),
        (f"{whole}", "with all checks passed"),
        (f"{trouble}", "did not run to their end"),
    ]
    tiles = "".join(f"<div><dt>{words}</dt><dd>{number}</dd></div>" for number, words in figures)
    when = f"Graded on {book.made:%Y-%m-%d at %H:%M}" if book.made else "Graded"
    what = f" with MLflow {html.escape(book.mlflow)}" if book.mlflow else ""
    return f'<p class="when">{when}{what}.</p>\n<dl class="figures">{tiles}</dl>\n'


def _stopped(book: Gradebook) -> str:
    if not book.waiting:
        return ""
    return (
        f'<p class="notice"><strong>Stopped early.</strong> {book.waiting} hand-ins were not '
        "graded; they look here as if they were not handed in.</p>\n"
    )


def _hardest(book: Gradebook) -> str:
    found = hardest(book.grades)
    if not found:
        return ""
    rows = "".join(
        f'<tr><th scope="row">{hard.block}</th><td>{marked(hard.line)}</td>'
        f'<td class="share"><strong>{hard.failed}</strong> of {hard.handed_in}'
        f'<meter min="0" max="1" value="{hard.share:.3f}">{100 * hard.share:.0f} %</meter></td>'
        f"<td>{marked(hard.hint)}</td></tr>\n"
        for hard in found
    )
    return (
        '<section><h2>What the class finds hardest</h2>\n<div class="wide"><table class="hard">'
        '<thead><tr><th scope="col">Block</th><th scope="col">Check</th>'
        '<th scope="col">Not passed by</th><th scope="col">The hint that most of them get</th></tr>'
        f"</thead>\n<tbody>\n{rows}</tbody></table></div></section>\n"
    )


def _table(book: Gradebook) -> str:
    students, numbers, cells, means = book.students(), book.numbers(), book.cells(), _means(book)
    if not students:
        return '<section><h2>Students</h2><p class="empty">Nothing was graded.</p></section>\n'
    legend = "".join(
        f'<li><span class="chip {name}"><span aria-hidden="true">{sign}</span></span> {words}</li>'
        for name, sign, words in LEGEND
    )
    heads = "".join(
        f'<th scope="col"><abbr title="{html.escape(book.blocks[number])}">{number}</abbr></th>'
        for number in numbers
    )
    rows = []
    for at, student in enumerate(students):
        name = html.escape(student)
        row = [
            f'<tr data-name="{at}" data-mean="{means[student]:.6f}">'
            f'<th scope="row" title="{name}"><span dir="auto">{name}</span></th>'
            f'<td class="mean">{per_cent(means[student])} %</td>'
        ]
        for number in numbers:
            grade = cells.get((student, number))
            row.append(_cell(grade, at, name) if grade else _EMPTY)
        rows.append(f"{''.join(row)}</tr>\n")
    return (
        "<section><h2>Students</h2>\n"
        '<p class="hint">Each cell is the per cent of a block\'s own checks that passed. Choose '
        "one to see its checks, hints and output. The mean counts what is missing as 0.</p>\n"
        f'<ul class="legend">{legend}'
        '<li><span class="chip missing">-</span> not handed in</li></ul>\n'
        '<div class="scroll" tabindex="0" role="region" aria-label="Grades">\n'
        '<table class="grades"><thead><tr>'
        '<th scope="col" aria-sort="ascending"><button class="sort" data-by="name">Student</button>'
        '</th><th scope="col"><button class="sort" data-by="mean">Mean</button></th>'
        f"{heads}</tr></thead>\n<tbody>\n{''.join(rows)}</tbody></table></div></section>\n"
    )


_EMPTY = (
    '<td class="missing"><span aria-hidden="true">-</span>'
    '<span class="aside">not handed in</span></td>'
)
_SIGNS = {name: sign for name, sign, _ in LEGEND}


def _cell(grade: Grade, at: int, name: str) -> str:
    number, words = grade.hand_in.block, kind(grade)
    trouble = '<span class="bang" aria-hidden="true">!</span>' if grade.trouble else ""
    ended = ", did not run to its end" if grade.trouble else ""
    return (
        f'<td><button class="cell {words}" data-detail="d{at}-{number}" '
        f'aria-label="{name}, block {number}: {count(grade)}{ended}">'
        f'<span class="sign" aria-hidden="true">{_SIGNS[words]}</span>'
        f"<b>{int(100 * grade.score)}</b>{trouble}</button></td>"
    )


def _details(book: Gradebook) -> str:
    """What a cell opens: in a template each, which costs nothing until it is opened."""
    cells, found = book.cells(), []
    for at, student in enumerate(book.students()):
        for number in book.numbers():
            grade = cells.get((student, number))
            if grade:
                body = _detail(grade, book.blocks[number])
                found.append(f'<template id="d{at}-{number}">{body}</template>\n')
    return "".join(found)


def _detail(grade: Grade, block: str) -> str:
    student = html.escape(grade.hand_in.student)
    parts = [
        f'<p class="over">{html.escape(block)}</p><h2 id="detail-title" dir="auto">{student}</h2>',
        f'<p class="result"><span class="chip {kind(grade)}"><span aria-hidden="true">'
        f"{_SIGNS[kind(grade)]}</span></span> <strong>{count(grade)}</strong>"
        f'{" checks passed" if own(grade) else ""} · <span class="file">'
        f"{html.escape(_file_name(grade))}</span> · {grade.seconds:.1f} s</p>",
    ]
    if grade.trouble:
        parts.append(f'<p class="notice"><strong>Trouble:</strong> {marked(grade.trouble)}</p>')
    failed = [verdict for verdict in grade.verdicts if not verdict.done]
    passed = [verdict for verdict in grade.verdicts if verdict.done]
    if failed:
        items = "".join(
            f'<li><span class="word todo">TODO</span><div>{marked(v.line)}'
            f"{_NOT_COUNTED if v.given else ''}"
            f'<div class="advice">hint: {marked(v.hint)}</div></div></li>'
            for v in failed
        )
        parts.append(f'<h3>Not passed</h3><ul class="checks">{items}</ul>')
    if passed:
        items = "".join(
            f'<li><span class="word ok">ok</span><div>{marked(v.line)}'
            f"{_NOT_COUNTED if v.given else ''}</div></li>"
            for v in passed
        )
        parts.append(f'<h3>Passed</h3><ul class="checks">{items}</ul>')
    if grade.printed.strip() and (failed or grade.trouble):
        parts.append(
            "<h3>The end of its output</h3>"
            f'<pre tabindex="0">{html.escape(_tail(grade.printed))}</pre>'
        )
    return "".join(parts)


_NOT_COUNTED = ' <span class="aside-note">(was there from the start, does not count)</span>'


def _file_name(grade: Grade) -> str:
    from winelab.grading.handins import shown

    return shown(grade.hand_in.file.name)


def _tail(text: str) -> str:
    text = text.strip("\n")
    end = text[-PRINTED:]
    if len(text) > PRINTED:
        end = f"[...]\n{end.partition(chr(10))[2] or end}"
    # A NUL or an escape sequence would show as nothing, or as a box.
    return "".join(
        c if c in "\n\t" or c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in end
    )


def _listed(words: Sequence[str]) -> str:
    return "".join(f"<li>{marked(text)}</li>" for text in words)


def _remarks(book: Gradebook) -> str:
    if not book.remarks:
        return ""
    return (
        f"<section><h2>Remarks on the files</h2><details{' open' if len(book.remarks) < 6 else ''}>"
        f"<summary>{len(book.remarks)} {'remark' if len(book.remarks) == 1 else 'remarks'}: "
        "what was left out, and what was taken for what</summary>"
        f"<ul>{_listed(book.remarks)}</ul></details></section>\n"
    )


def _sandbox(book: Gradebook) -> str:
    if not book.guarantees:
        return ""
    return (
        "<section><h2>How the hand-ins were run</h2>"
        f"<ul>{_listed(book.guarantees)}</ul></section>\n"
    )
