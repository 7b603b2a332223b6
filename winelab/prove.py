"""`make check`: the whole test run, or one block's row of it."""

from __future__ import annotations

import os
import subprocess
import sys

from winelab.paths import ROOT
from winelab.syllabus import read_course

CELL_LIMIT = 120
"""Seconds that one cell may take."""


def pytest_arguments(block: int | None) -> list[str]:
    """What pytest is called with, for the whole course or for one block.

    CourseError where there is no such block.
    """
    course = read_course()
    if block is None:
        paths = ["tests", "labs", "solutions"]
        share = ["-n", str(min(os.cpu_count() or 1, 8))]
    else:
        name = course.block(block).name
        paths = ["tests/course", f"labs/{name}.ipynb", f"solutions/{name}.ipynb"]
        # One block is done before two processes have started.
        share = ["--block", str(block)]
    return [
        *paths,
        "-q",
        *share,
        "--dist=loadfile",
        "--nbval",
        "--nbval-sanitize-with=tests/sanitize.cfg",
        f"--nbval-cell-timeout={CELL_LIMIT}",
        "--color=no" if not sys.stdout.isatty() else "--color=yes",
    ]


def main(block: int | None = None) -> int:
    """Run the tests and print the table; pytest's exit code."""
    return subprocess.call([sys.executable, "-m", "pytest", *pytest_arguments(block)], cwd=ROOT)
