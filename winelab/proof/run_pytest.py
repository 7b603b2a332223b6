"""`make check`: prove that the blocks work, or one of them; with FULL=1, prove everything."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from winelab.core.paths import ROOT, course_environment
from winelab.course.source import read_course


def pytest_arguments(number: int | None, full: bool) -> list[str]:
    """Return what pytest is called with, for the whole course or for one block.

    Raises CourseError where there is no such block.
    """
    cores = min(os.cpu_count() or 1, 8)
    paths = ["tests"] if full else ["tests/course"]
    only = ["--full"] if full else []
    if number is not None:
        name = read_course().block(number).name
        paths = ["tests/course", "tests/browser"]
        # A block with more to prove than the others has a folder of tests of its own.
        if (ROOT / "tests" / name).is_dir():
            paths.append(f"tests/{name}")
        only = ["--block", str(number)]
        # A third process would start for nothing: one block is soon done.
        cores = min(cores, 2)
    # How the tests are handed out, the longest first, is said in tests/conftest.py.
    spread = ["-n", str(cores if cores > 1 else 0), "--dist=loadscope", "--no-loadscope-reorder"]
    return [*paths, "-q", *spread, *only, f"--color={'yes' if sys.stdout.isatty() else 'no'}"]


def main(number: int | None = None, full: bool = False) -> int:
    """Run the tests and print the table; return pytest's exit code."""
    command = [sys.executable, "-m", "pytest", *pytest_arguments(number, full)]
    with tempfile.TemporaryDirectory(prefix="winelab-") as elsewhere:
        # A test that forgot to say where it writes must not write into the course's store.
        environment = os.environ | course_environment(Path(elsewhere))
        return subprocess.call(command, cwd=ROOT, env=environment)
