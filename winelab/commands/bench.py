"""`make bench`: what takes time, each figure beside the one it is judged by, in one run.

Machines are noisy: compare the figures of one run with each other, never with another day's.
Where the seconds of a check go, pytest tells: PYTEST_ADDOPTS=--durations=20 make check.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median

import nbformat
from rich.console import Console
from rich.table import Table

from winelab.core.console import end_of, say
from winelab.core.errors import CourseError
from winelab.core.paths import LABS, ROOT, SOLUTIONS
from winelab.core.processes import own_group, stop_group
from winelab.course.source import Block, Course, read_course
from winelab.proof.execute import Code, Outcome, Where, execute
from winelab.system.environment import this_python
from winelab.tracking.workspace import clean_workspace

ROWS = ("tracking_uri", "autolog", "thresholds")
"""Blocks without a server, from each part of the course, whose rows are measured."""
REPEATS = 3
"""Of what takes seconds; what takes minutes is measured once."""
LIMITS = (1.0, 0.5)
"""Seconds that a student may wait for the first check in a kernel, and for the next."""
_TIMED_CHECKS = """import time
from winelab import check
for _ in range(2):
    start = time.perf_counter()
    check("{slug}")
    print("seconds", time.perf_counter() - start)"""


def run_notebook(path: Path, timed: str = "") -> Outcome:
    """Run a notebook in an ordinary kernel, with other code in its last cell where `timed` is some.

    Raises CourseError if it fails.
    """
    cells = nbformat.read(path, as_version=4).cells
    sources = [cell.source for cell in cells if cell.cell_type == "code"]
    if timed:
        sources[-1] = timed
    with clean_workspace() as workspace:
        outcome = execute(Code(path.name, tuple(sources)), workspace, Where.KERNEL)
    if outcome.error:
        raise CourseError(f"{path.name} does not run: {outcome.last_line}")
    return outcome


def plain_nbclient(blocks: Iterable[Block]) -> float:
    """Return the seconds of nbclient with ordinary kernels for labs and solutions, one by one."""
    start = time.perf_counter()
    for block in blocks:
        for folder in (LABS, SOLUTIONS):
            run_notebook(folder / f"{block.name}.ipynb")
    return time.perf_counter() - start


def make_check(*arguments: str) -> float:
    """Return the seconds of `make check` in a process. Raises CourseError if it fails."""
    command = [sys.executable, "-m", "winelab", "check", *arguments]
    start = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8")
    if done.returncode:
        raise CourseError(f"make check {' '.join(arguments)} failed: {end_of(done.stdout)}")
    return time.perf_counter() - start


def checks_in_a_notebook(block: Block) -> tuple[float, ...]:
    """Return the seconds of the first check(N) and of the next, in an ordinary kernel.

    It has just run all cells of the solved notebook. Raises CourseError if a check is not done.
    """
    path = SOLUTIONS / f"{block.name}.ipynb"
    outcome = run_notebook(path, _TIMED_CHECKS.format(slug=block.slug))
    shown = [output.get("data", {}).get("text/plain", "") for output in outcome.outputs[-1]]
    if sum(f"Block {block.number} is yours." in text for text in shown) != len(LIMITS):
        raise CourseError(f"check({block.number}) is not done in {path.name}.")
    printed = "".join(output.get("text", "") for output in outcome.outputs[-1])
    return tuple(map(float, re.findall(r"^seconds (\S+)$", printed, re.MULTILINE)))


def checks(course: Course) -> Table:
    """Return the table of how long each block's check takes; what is too long is marked."""
    table = Table(title="seconds of check(N) in a kernel", box=None, pad_edge=False)
    for heading in ("block", "the first", "the next"):
        table.add_column(heading, justify="left" if heading == "block" else "right")
    table.add_row("wanted", *(f"< {limit:.1f}" for limit in LIMITS))
    for block in course.main:
        took = checks_in_a_notebook(block)
        figures = [
            f"{'!! ' if seconds > limit else ''}{seconds:.2f}"
            for seconds, limit in zip(took, LIMITS, strict=True)
        ]
        table.add_row(block.name, *figures)
        say(f"{block.name}: {' and '.join(figures)} s")
    return table


def copy_of_the_course(folder: Path) -> Path:
    """Copy the course as a stranger gets it: its files, without .venv or a store."""
    # By .gitignore and not by git, which knows nothing of a course that came as a ZIP.
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").split()
    left_out = shutil.ignore_patterns(".git", *(name.strip("/") for name in ignored))
    return Path(shutil.copytree(ROOT, folder, ignore=left_out))


def lab_until_it_answers(folder: Path) -> float:
    """Return the seconds from `make lab` in `folder` until Jupyter answers; it is stopped then."""
    # As on a machine that never saw the course: the Python that .venv was made from, no uv.
    outer = {k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "PYTHONPATH")}
    folders = outer.get("PATH", "").split(os.pathsep)
    outer["PATH"] = os.pathsep.join(p for p in folders if not any(Path(p).glob("uv*")))
    start = time.perf_counter()
    process = subprocess.Popen(
        [this_python(), "-m", "winelab", "lab", "--no-browser"],
        cwd=folder,
        env=outer,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        **own_group(),
    )
    said = b""
    try:
        assert process.stdout is not None
        for line in process.stdout:
            said += line
            if b"http://" in line:
                # The address is printed once Jupyter has answered there.
                return time.perf_counter() - start
        raise CourseError(f"make lab did not start: {end_of(said.decode(errors='replace'))}")
    finally:
        stop_group(process)


def main(only: str = "") -> int:
    """Measure, and print the tables; return 0. All of it takes half an hour.

    Args:
        only: the one part to measure, of PARTS; all of them by default.
    """
    course = read_course()
    console = Console(width=120)
    for part, measure in PARTS.items():
        if only in ("", part):
            console.print(measure(course))
    return 0


def commands(course: Course) -> Table:
    """Return the table of the commands that an instructor and a newcomer wait for."""
    table = Table(title="wall seconds, in one run", box=None, pad_edge=False)
    for heading in ("what", "seconds", "beside", "seconds", "ratio", "wanted"):
        table.add_column(heading, justify="left" if heading in ("what", "beside") else "right")

    def row(what: str, took: float, wanted: str, beside: str = "", other: float = 0.0) -> None:
        ratio = f"{took / other:.2f}" if other else ""
        table.add_row(what, f"{took:.1f}", beside, f"{other:.1f}" if other else "", ratio, wanted)
        say(f"{what}: {took:.1f} s" + (f", {ratio} of {beside} ({other:.1f} s)" if other else ""))

    # The quick check twice, round what it is held against.
    quick = make_check()
    plain = plain_nbclient(course.main)
    quick = (quick + make_check()) / 2
    row("make check", quick, "0.35", "plain nbclient, all notebooks", plain)
    row("make check FULL=1", make_check("--full"), "720 s")
    for slug in ROWS:
        block = course.block(slug)
        pairs = [(make_check("--block", slug), plain_nbclient((block,))) for _ in range(REPEATS)]
        took, other = map(median, zip(*pairs, strict=True))
        row(f"make check BLOCK={slug}", took, "1", "plain nbclient, its two notebooks", other)
    with tempfile.TemporaryDirectory(prefix="winelab-bench-", ignore_cleanup_errors=True) as folder:
        copy = copy_of_the_course(Path(folder) / "a copy")
        row("make lab, from a cold clone, uv not installed", lab_until_it_answers(copy), "35 s")
        row("make lab, the second time", lab_until_it_answers(copy), "5 s")
    return table


PARTS: dict[str, Callable[[Course], Table]] = {"checks": checks, "commands": commands}
"""What `make bench` measures, each with its table."""
