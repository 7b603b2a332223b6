"""`make check`: the whole test run, or one block's row of it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from winelab.core.paths import ROOT, course_environment
from winelab.course.source import read_course

CELL_LIMIT = 120
"""Seconds that one cell may take."""


def pytest_arguments(block: int | None) -> list[str]:
    """What pytest is called with, for the whole course or for one block.

    CourseError where there is no such block.
    """
    course = read_course()
    cores = min(os.cpu_count() or 1, 8)
    if block is None:
        paths = ["tests", "labs", "solutions"]
        only = []
    else:
        name = course.block(block).name
        paths = ["tests/browser", "tests/course", f"labs/{name}.ipynb", f"solutions/{name}.ipynb"]
        # A block with more to prove than the others has a folder of tests of its own.
        if (ROOT / "tests" / name).is_dir():
            paths.append(f"tests/{name}")
        only = ["--block", str(block)]
        # A third process would start for nothing: one block is soon done.
        cores = min(cores, 2)
    return [
        *paths,
        "-q",
        "-n",
        str(cores if cores > 1 else 0),
        *only,
        # How the tests are handed out is said in tests/conftest.py.
        "--dist=loadscope",
        "--nbval",
        "--nbval-sanitize-with=tests/sanitize.cfg",
        f"--nbval-cell-timeout={CELL_LIMIT}",
        "--color=no" if not sys.stdout.isatty() else "--color=yes",
    ]


def main(block: int | None = None) -> int:
    """Run the tests and print the table; pytest's exit code."""
    command = [sys.executable, "-m", "pytest", *pytest_arguments(block)]
    with tempfile.TemporaryDirectory(prefix="winelab-") as elsewhere:
        # A test that forgot to say where it writes must not write into the course's store.
        environment = os.environ | course_environment(Path(elsewhere))
        return subprocess.call(command, cwd=ROOT, env=environment)
