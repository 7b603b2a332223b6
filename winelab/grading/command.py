"""`make grade`: grades a folder of hand-ins, and writes a gradebook of them.

Each hand-in is run and checked by `grading`, several at a time. The report is written once all
is graded, whole or not at all; Ctrl-C ends early with what is there by then.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections import defaultdict
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from winelab.core.console import agreed
from winelab.core.errors import CourseError
from winelab.core.paths import ROOT
from winelab.course.source import read_course
from winelab.grading import sandbox
from winelab.grading.grader import grade_one
from winelab.grading.handins import find, key, shown
from winelab.grading.report import Gradebook, count, csv_text, hardest, html_text, kind, per_cent
from winelab.grading.result import Grade, HandIn

REPORTS = ROOT / "grades"
"""Where reports go when no place is named; not under version control."""
FILES = ("grades.csv", "grades.html")
INTERRUPTED = 130

_COLOURS = {"all": "green", "most": "yellow", "few": "yellow", "none": "red"}


def main(submissions: str, report: str = "", yes: bool = False) -> int:
    """Grade the hand-ins in the folder `submissions`; 0 whatever the marks, 130 after Ctrl-C.

    Args:
        submissions: a folder, or the zip file of one.
        report: the folder for the report; a new one in `grades/` by default.
        yes: do not ask before other people's code runs on a machine without a sandbox. Where the
            answer is no, nothing is run, and 1 is returned.

    Raises CourseError when there is nothing to grade, or no place for the report.
    """
    if not submissions.strip():
        raise CourseError(
            "Name the folder that holds the hand-ins: make grade SUBMISSIONS=folder "
            "(without make: python -m winelab grade --submissions folder)."
        )
    folder = Path(submissions).expanduser()
    started = datetime.now()
    console = Console(highlight=False)
    with tempfile.TemporaryDirectory(prefix="winelab-", ignore_cleanup_errors=True) as desk:
        hand_ins, remarks = find(folder, Path(desk).resolve())
        target = place_for(report, folder, started)
        for remark in remarks:
            console.print(f"[dim]note:[/] {escape(remark)}", soft_wrap=True)
        promised = sandbox.guarantees()
        if not sandbox.walled():
            console.print(f"[bold red]{escape(promised[0])}[/]\n{escape(promised[1])}")
            question = "Other people's code would run without a sandbox."
            if not yes and not agreed("grade", question):
                with suppress(OSError):
                    target.rmdir()
                print("Nothing was graded.")
                return 1
        else:
            console.print(f"[dim]{escape(promised[0])}[/]")
        grades, waiting = grade_all(hand_ins, console)
    kept, more = best_versions(grades)
    for remark in more:
        console.print(f"[dim]note:[/] {escape(remark)}", soft_wrap=True)
    book = Gradebook(
        name=shown(folder.resolve().name),
        grades=tuple(kept),
        blocks={block.number: block.name for block in read_course().blocks},
        remarks=(*remarks, *more),
        guarantees=tuple(promised),
        mlflow=version("mlflow"),
        made=started,
        waiting=waiting,
    )
    if not kept:
        with suppress(OSError):
            target.rmdir()
        print("Stopped before anything was graded; no report was written.", file=sys.stderr)
        return INTERRUPTED
    write_report(book, target)
    summarise(book, console)
    if waiting:
        console.print(f"[bold]Stopped early:[/] {waiting} hand-ins were not graded.")
    console.print(f"The report: {escape(str(target / FILES[1]))}", soft_wrap=True)
    console.print(f"For the gradebook: {escape(str(target / FILES[0]))}", soft_wrap=True)
    return INTERRUPTED if waiting else 0


def place_for(report: str, folder: Path, now: datetime) -> Path:
    """The folder for the report, made; looked for before anything is graded.

    Raises CourseError when it cannot be written to, lies among the hand-ins, or holds a report.
    """
    if report.strip():
        target = Path(report).expanduser().resolve()
    else:
        # A zip file's name has no suffix here, a folder's dot is kept.
        name = folder.resolve().stem if folder.is_file() else folder.resolve().name
        target = REPORTS / f"{name or 'class'}-{now:%Y-%m-%d-%H%M%S}"
    if folder.is_dir() and target.is_relative_to(folder.resolve()):
        raise CourseError(
            f"The report would lie among the hand-ins, in {target}: name another folder with "
            "REPORT=..."
        )
    there = [name for name in FILES if (target / name).exists()]
    if there:
        raise CourseError(
            f"{target} holds a report already ({', '.join(there)}): name another folder with "
            "REPORT=..., or move that one away."
        )
    try:
        target.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=target):
            pass
    except OSError as error:
        raise CourseError(
            f"The report cannot be written into {target} ({error.strerror}): name another folder "
            "with REPORT=..."
        ) from error
    return target


def grade_all(hand_ins: list[HandIn], console: Console) -> tuple[list[Grade], int]:
    """The grades of all hand-ins, with a line each; and how many were not graded after Ctrl-C."""
    total, width = len(hand_ins), len(str(len(hand_ins)))
    grades: list[Grade] = []
    pool = ThreadPoolExecutor(max_workers=os.cpu_count() or 1)
    waiting: set[Future[Grade]] = set()
    try:
        waiting = {pool.submit(grade_one, hand_in) for hand_in in hand_ins}
        while waiting:
            # With a time limit, Windows lets Ctrl-C through.
            done, waiting = wait(waiting, timeout=1, return_when=FIRST_COMPLETED)
            for future in done:
                grades.append(future.result())
                _say(grades[-1], f"{len(grades):{width}d}/{total}", console)
    except KeyboardInterrupt:
        pool.shutdown(wait=False, cancel_futures=True)
        console.print(
            "Ctrl-C: no more are started; waiting for those that run (again: do not wait)."
        )
        running = {future for future in waiting if not future.cancelled()}
        try:
            while running:
                done, running = wait(running, timeout=1, return_when=FIRST_COMPLETED)
                for future in done:
                    if not future.cancelled():
                        grades.append(future.result())
                        _say(grades[-1], f"{len(grades):{width}d}/{total}", console)
        except KeyboardInterrupt:
            console.print("Not waiting any longer.")
    pool.shutdown(wait=False, cancel_futures=True)
    return grades, total - len(grades)


def _say(grade: Grade, counter: str, console: Console) -> None:
    colour = _COLOURS[kind(grade)]
    trouble = f"  {escape(' '.join(grade.trouble.split()))}" if grade.trouble else ""
    console.print(
        f"[dim]{counter}[/]  {escape(grade.hand_in.student)}, block {grade.hand_in.block}: "
        f"[{colour}]{count(grade)}[/]{trouble}",
        soft_wrap=True,
    )


def best_versions(grades: list[Grade]) -> tuple[list[Grade], list[str]]:
    """One grade for each student and block, the best; and a remark where there were several.

    The best, because it is the same whatever copied or unpacked the files: their times are not.
    """
    by_cell: dict[tuple[str, int], list[Grade]] = defaultdict(list)
    for grade in grades:
        by_cell[key(grade.hand_in.student), grade.hand_in.block].append(grade)
    kept, remarks = [], []
    for (_, block), versions in sorted(by_cell.items()):
        # Of equal ones: checked before not, without trouble before with, notebook before script.
        versions.sort(
            key=lambda g: (
                -g.score,
                not g.verdicts,
                bool(g.trouble),
                g.hand_in.file.suffix.lower() != ".ipynb",
                str(g.hand_in.file),
            )
        )
        best = versions[0]
        kept.append(best)
        if len(versions) > 1:
            others = ", ".join(f"{shown(g.hand_in.file.name)} {count(g)}" for g in versions[1:])
            remarks.append(
                f"{best.hand_in.student}, block {block}: {len(versions)} versions; the best "
                f"counts, {shown(best.hand_in.file.name)} with {count(best)} (others: {others})."
            )
    return kept, remarks


def write_report(book: Gradebook, target: Path) -> None:
    """Write both files of the report; each whole or not at all."""
    texts = {FILES[0]: csv_text(book), FILES[1]: html_text(book)}
    drafts = []
    for name, text in texts.items():
        draft = target / f".{name}.new"
        # The CSV's line ends are its own.
        draft.write_bytes(text.encode("utf-8", "replace"))
        drafts.append((draft, target / name))
    for draft, final in drafts:
        draft.replace(final)


def summarise(book: Gradebook, console: Console) -> None:
    """Print a table a student a row, and what the class finds hardest."""
    numbers, cells = book.numbers(), book.cells()
    table = Table(title=None, box=None, padding=(0, 1, 0, 0))
    table.add_column("student", overflow="ellipsis", max_width=32, no_wrap=True)
    # A terminal has room for a dozen blocks; the report has them all.
    wide = len(numbers) <= max(1, (console.width - 44) // 5)
    for number in numbers if wide else []:
        table.add_column(str(number), justify="right", no_wrap=True)
    for title in ("handed in", "trouble", "mean"):
        table.add_column(title, justify="right", no_wrap=True)
    for student in book.students():
        mine = [cells.get((student, number)) for number in numbers]
        shares = [
            f"[{_COLOURS[kind(g)]}]{int(100 * g.score)}{'!' if g.trouble else ''}[/]" if g else "-"
            for g in mine
        ]
        handed_in = [grade for grade in mine if grade]
        table.add_row(
            escape(student),
            *(shares if wide else []),
            f"{len(handed_in)} of {len(numbers)}",
            str(sum(bool(grade.trouble) for grade in handed_in) or "-"),
            f"{per_cent(book.mean(student))} %",
        )
    console.print()
    console.print(table)
    hard = hardest(book.grades, 3)
    if hard:
        console.print("\nHardest for the class:")
    for check in hard:
        console.print(
            f"  block {check.block}: {escape(check.line)} "
            f"(not passed by {check.failed} of {check.handed_in})",
            soft_wrap=True,
        )
    console.print()
