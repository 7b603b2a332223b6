"""`make grade`: grade a folder of hand-ins, and write a gradebook of them.

Each hand-in is run and checked by `grader`, several at a time. The report is written once all
is graded, whole or not at all; Ctrl-C ends early with what is there by then.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections import defaultdict
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import suppress
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from winelab.core.console import agreed
from winelab.core.errors import CourseError
from winelab.core.files import write_bytes
from winelab.core.paths import ROOT
from winelab.course.source import read_course
from winelab.grading.grader import grade_one
from winelab.grading.handins import find, key, shown
from winelab.grading.report import Gradebook, csv_text, hardest, html_text, per_cent
from winelab.grading.result import Grade, HandIn
from winelab.grading.sandbox import best_backend

REPORTS = ROOT / "grades"
"""Where reports go when no place is named; not under version control."""
TABLE, PAGE = "grades.csv", "grades.html"
INTERRUPTED = 130


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
        _note(remarks, console)
        backend = best_backend()
        first, second, *more = backend.guarantees()
        if backend.walled:
            console.print(f"[dim]{escape(first)}[/]")
        else:
            console.print(f"[bold red]{escape(first)}[/]\n{escape(second)}")
            question = "Other people's code would run without a sandbox."
            if not yes and not agreed("grade", question):
                _take_away(target)
                print("Nothing was graded.")
                return 1
        grades, waiting = grade_all(hand_ins, console)
    kept, choices = best_versions(grades)
    _note(choices, console)
    if not kept:
        _take_away(target)
        print("Stopped before anything was graded; no report was written.", file=sys.stderr)
        return INTERRUPTED
    book = Gradebook(
        name=shown(folder.resolve().name),
        grades=tuple(kept),
        blocks={block.number: block.name for block in read_course().blocks},
        remarks=(*remarks, *choices),
        guarantees=(first, second, *more),
        mlflow=version("mlflow"),
        made=started,
        waiting=waiting,
    )
    texts = {TABLE: csv_text(book), PAGE: html_text(book)}
    for name, text in texts.items():
        write_bytes(target / name, text.encode("utf-8", "replace"))
    summarise(book, console)
    if waiting:
        console.print(f"[bold]Stopped early:[/] {waiting} hand-ins were not graded.")
    console.print(f"The report: {escape(str(target / PAGE))}", soft_wrap=True)
    console.print(f"For the gradebook: {escape(str(target / TABLE))}", soft_wrap=True)
    return INTERRUPTED if waiting else 0


def _note(remarks: list[str], console: Console) -> None:
    for remark in remarks:
        console.print(f"[dim]note:[/] {escape(remark)}", soft_wrap=True)


def _take_away(target: Path) -> None:
    # One that holds other files stays.
    with suppress(OSError):
        target.rmdir()


def place_for(report: str, folder: Path, now: datetime) -> Path:
    """Make the folder for the report, and return it; before anything is graded.

    Raises CourseError when it cannot be written to, lies among the hand-ins, or holds a report.
    """
    # A zip file's name has no suffix here, a folder's dot is kept.
    name = folder.resolve().stem if folder.is_file() else folder.resolve().name
    target = REPORTS / f"{name or 'class'}-{now:%Y-%m-%d-%H%M%S}"
    if report.strip():
        target = Path(report).expanduser().resolve()
    if folder.is_dir() and target.is_relative_to(folder.resolve()):
        raise CourseError(
            f"The report would lie among the hand-ins, in {target}: name another folder with "
            "REPORT=..."
        )
    there = [name for name in (TABLE, PAGE) if (target / name).exists()]
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
    """Return the grades of all hand-ins, and how many were not graded after Ctrl-C.

    Each is told in a line when it is done.
    """
    total = len(hand_ins)
    grades: list[Grade] = []
    pool = ThreadPoolExecutor(max_workers=os.cpu_count() or 1)
    running = {pool.submit(grade_one, hand_in) for hand_in in hand_ins}

    def collect() -> None:
        while running:
            # With a time limit, Windows lets Ctrl-C through.
            for future in wait(running, timeout=1, return_when=FIRST_COMPLETED).done:
                running.remove(future)
                grades.append(future.result())
                _say(grades[-1], f"{len(grades):{len(str(total))}d}/{total}", console)

    try:
        collect()
    except KeyboardInterrupt:
        pool.shutdown(wait=False, cancel_futures=True)
        console.print(
            "Ctrl-C: no more are started; waiting for those that run (again: do not wait)."
        )
        running -= {future for future in running if future.cancelled()}
        try:
            collect()
        except KeyboardInterrupt:
            console.print("Not waiting any longer.")
    pool.shutdown(wait=False, cancel_futures=True)
    return grades, total - len(grades)


def _say(grade: Grade, counter: str, console: Console) -> None:
    problem = f"  {escape(' '.join(grade.problem.split()))}" if grade.problem else ""
    console.print(
        f"[dim]{counter}[/]  {escape(grade.hand_in.student)}, block {grade.hand_in.block}: "
        f"[{grade.level.colour}]{grade.count}[/]{problem}",
        soft_wrap=True,
    )


def best_versions(grades: list[Grade]) -> tuple[list[Grade], list[str]]:
    """Return one grade for each student and block, the best; and a remark on each choice.

    The best, because it is the same whatever copied or unpacked the files: their times are not.
    """
    by_cell: dict[tuple[str, int], list[Grade]] = defaultdict(list)
    for grade in grades:
        by_cell[key(grade.hand_in.student), grade.hand_in.block].append(grade)
    kept, remarks = [], []
    for (_, block), versions in sorted(by_cell.items()):
        best, *others = sorted(versions, key=_worse)
        kept.append(best)
        if others:
            rest = ", ".join(f"{shown(grade.hand_in.file.name)} {grade.count}" for grade in others)
            remarks.append(
                f"{best.hand_in.student}, block {block}: {len(versions)} versions; the best "
                f"counts, {shown(best.hand_in.file.name)} with {best.count} (others: {rest})."
            )
    return kept, remarks


def _worse(grade: Grade) -> tuple[object, ...]:
    """Sort the best first; of equal ones a checked, then a whole one, then a notebook."""
    file = grade.hand_in.file
    script = file.suffix.lower() != ".ipynb"
    return -grade.score, not grade.verdicts, bool(grade.problem), script, str(file)


def summarise(book: Gradebook, console: Console) -> None:
    """Print a table a student a row, and what the class finds hardest."""
    table = Table(title=None, box=None, padding=(0, 1, 0, 0))
    table.add_column("student", overflow="ellipsis", max_width=32, no_wrap=True)
    # A terminal has room for a dozen blocks; the report has them all.
    wide = len(book.numbers) <= max(1, (console.width - 44) // 5)
    blocks = [str(number) for number in book.numbers] if wide else []
    for title in (*blocks, "handed in", "trouble", "mean"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in book.rows:
        shares = [
            f"[{g.level.colour}]{int(100 * g.score)}{'!' if g.problem else ''}[/]" if g else "-"
            for g in row.cells
        ]
        table.add_row(
            escape(row.student),
            *(shares if wide else []),
            f"{len(row.grades)} of {len(book.numbers)}",
            str(sum(bool(grade.problem) for grade in row.grades) or "-"),
            f"{per_cent(row.mean)} %",
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
