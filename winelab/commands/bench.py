"""`make bench`: what takes time, each figure beside the one it is judged by, in one run.

Machines are noisy: compare figures of one run with each other, never with another day's.
"""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from winelab.core.console import end_of
from winelab.core.errors import CourseError
from winelab.core.paths import ROOT
from winelab.core.processes import stop_group
from winelab.course.notebook import solved_notebook
from winelab.course.source import Course, read_course
from winelab.proof import sampling
from winelab.proof.outputs import execute
from winelab.system.environment import this_python
from winelab.tracking.workspace import clean_room

REPEATS = 3
BLOCK = 5
# The answer is shown first; noting it in the store comes after, and loads MLflow where the
# notebook has not done so yet (block 0).
_TIMED_CHECK = """import time
from winelab import check
from winelab.checks import checking
answered = []
note = checking.note
checking.note = lambda *given: (answered.append(time.perf_counter()), note(*given))[1]
start = time.perf_counter()
check({number})
print("seconds", answered[0] - start, time.perf_counter() - start)"""


def seconds(work: Callable[[], object]) -> float:
    """Wall seconds that `work` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def plain_nbclient(course: Course, number: int) -> None:
    """Execute the solved notebook of a block three times: nbclient and an ordinary kernel."""
    for _ in range(3):
        with clean_room() as room:
            execute(solved_notebook(course, number), room, f"{course.block(number).name}.ipynb")


def check_inside_a_notebook(course: Course, number: int) -> tuple[float, float]:
    """Seconds from calling check(N) to its answer, and to its end, in an ordinary kernel.

    All cells of the solved notebook have run before.
    """
    notebook = solved_notebook(course, number)
    notebook.cells[-1]["source"] = _TIMED_CHECK.format(number=number)
    with clean_room() as room:
        execute(notebook, room, f"{course.block(number).name}.ipynb")
    printed = [o["text"] for o in notebook.cells[-1]["outputs"] if o.get("name") == "stdout"]
    answer, end = printed[-1].split()[-2:]
    return float(answer), float(end)


def whole_row(number: int) -> None:
    """`make check BLOCK=N`, as a process of its own."""
    subprocess.run(
        [sys.executable, "-m", "winelab", "check", "--block", str(number)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        check=True,
    )


def copy_of_the_course(folder: Path) -> Path:
    """The course as a stranger gets it: its committed and new files, without .venv or a store."""
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.decode("utf-8")
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    return folder


def lab_until_it_answers(folder: Path) -> float:
    """Seconds from `make lab` in `folder` until Jupyter answers; it is stopped afterwards."""
    # With the Python that .venv was made from: what a person has before any set-up.
    # The course's own variables must not lead the copy to this folder's store or packages.
    outer = {k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "PYTHONPATH")}
    start = time.perf_counter()
    process = subprocess.Popen(
        [this_python(), "-m", "winelab", "lab", "--no-browser"],
        cwd=folder,
        env=outer,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        said = []
        for raw in process.stdout:
            line = raw.decode("utf-8", errors="replace")
            said.append(line)
            if "http://" in line:
                # The address is printed once Jupyter has answered there.
                return time.perf_counter() - start
        raise RuntimeError("make lab did not start:\n" + "".join(said))
    finally:
        stop_group(process)


def samples_of_the_whole_check() -> tuple[float, list[dict[str, Any]]]:
    """Seconds of `make check`, and where its processes spent them (see `sampling`).

    CourseError with the end of what it said when it fails: figures of a failure say nothing.
    """
    with tempfile.TemporaryDirectory(prefix="winelab-samples-") as folder:
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "winelab", "check"],
            cwd=ROOT,
            env=os.environ | {sampling.FOLDER: folder},
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )
        if done.returncode:
            raise CourseError(f"make check failed: {end_of(done.stdout)}")
        return time.perf_counter() - start, sampling.gathered(Path(folder))


def _block(sample: dict[str, Any]) -> int | None:
    """The block that a sample is about, or the test that waited for it: "test 14"."""
    match = re.match(r"test (\d+)", sample["within"] or sample["label"])
    return int(match[1]) if match else None


def spent(samples: list[dict[str, Any]]) -> dict[int, Counter[str]]:
    """Seconds a block, by kind: those of the tests, and of the runs that they waited for.

    What a test waited longer than its run was busy went into starting and ending processes.
    """
    blocks: dict[int, Counter[str]] = defaultdict(Counter)
    for sample in samples:
        number = _block(sample)
        if number is None:
            continue
        for kind, _, value in sample["rows"]:
            blocks[number][kind] += value
        if sample["within"]:
            blocks[number][sampling.CHILD] -= sum(value for _, _, value in sample["rows"])
    return blocks


def slowest_lines(number: int, samples: list[dict[str, Any]]) -> Counter[str]:
    """Seconds that all runs of a block spent, by the line of the cell or script they were in."""
    lines: Counter[str] = Counter()
    for sample in samples:
        if sample["within"] and _block(sample) == number:
            for _, line, value in sample["rows"]:
                lines[line or "(the checks)"] += value
    return lines


def show_the_whole_check(course: Course, console: Console) -> None:
    """Run `make check` once, sampled, and print where its time goes, a row a block."""
    took, samples = samples_of_the_whole_check()
    blocks = spent(samples)
    table = Table(
        title=f"make check, sampled: {took:.0f} s in all; seconds of work, of which percent",
        box=None,
        pad_edge=False,
    )
    kinds = {
        sampling.IMPORTS: "imports", sampling.MLFLOW: "MLflow", sampling.OURS: "our code",
        sampling.SERVERS: "servers", sampling.KERNEL: "notebook kernels",
        sampling.CHILD: "starting processes", sampling.REST: "the rest",
    }  # fmt: skip
    for heading in ("block", "seconds", *kinds.values()):
        table.add_column(heading, justify="left" if heading == "block" else "right")
    whole: Counter[str] = Counter()
    for figures in blocks.values():
        whole.update(figures)
    rows = [(course.block(number).name, blocks[number]) for number in sorted(blocks)]
    for name, figures in [*rows, ("all blocks", whole)]:
        total = sum(figures.values())
        shares = [f"{max(0.0, figures[kind]) / total:.0%}" for kind in kinds]
        table.add_row(name, f"{total:.1f}", *shares)
    console.print(table)
    slowest = sorted(blocks, key=lambda number: -sum(blocks[number].values()))[:2]
    for number in slowest:
        console.print(f"\nWhere the runs of {course.block(number).name} spend their time:")
        for line, value in slowest_lines(number, samples).most_common(6):
            console.print(f"  {value:6.1f} s  {line}", highlight=False, markup=False)


def main() -> int:
    """Measure and print the table."""
    course = read_course()
    table = Table(title=f"{REPEATS} runs each, alternating; wall seconds", box=None, pad_edge=False)
    for heading in ("what", "min", "median", "max", "target"):
        table.add_column(heading, justify="left" if heading in ("what", "target") else "right")

    def row(what: str, figures: list[float], target: str) -> None:
        middle = statistics.median(figures)
        table.add_row(what, f"{min(figures):.2f}", f"{middle:.2f}", f"{max(figures):.2f}", target)

    plain, checked, inside = [], [], []
    for _ in range(REPEATS):
        plain.append(seconds(lambda: plain_nbclient(course, BLOCK)))
        checked.append(seconds(lambda: whole_row(BLOCK)))
        inside.append(check_inside_a_notebook(course, BLOCK))
    first = [check_inside_a_notebook(course, 0) for _ in range(REPEATS)]
    row(f"block {BLOCK}'s notebook three times, plain nbclient", plain, "")
    row(f"make check BLOCK={BLOCK}: the whole row", checked, "less than the line above")
    row(f"check({BLOCK}) in a notebook, until its answer", [a for a, _ in inside], "under 1 s")
    row(f"check({BLOCK}) in a notebook, progress noted", [end for _, end in inside], "")
    row("check(0) in a notebook, until its answer", [a for a, _ in first], "under 1 s")
    row("check(0) in a notebook, progress noted", [end for _, end in first], "")
    with tempfile.TemporaryDirectory(prefix="winelab-bench-") as folder:
        copy = copy_of_the_course(Path(folder) / "a copy")
        row("make lab, cold: set-up, until Jupyter answers", [lab_until_it_answers(copy)], "")
        again = [lab_until_it_answers(copy) for _ in range(REPEATS)]
        row("make lab, the second time", again, "under 5 s")
    console = Console(width=120)
    console.print(table)
    show_the_whole_check(course, console)
    return 0
