"""`make check`: prove that the blocks work, or one of them; with FULL=1, prove everything."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from winelab.core.order import find_all, find_one, read_order
from winelab.core.paths import ROOT, course_environment
from winelab.system.forkserver import fork_server
from winelab.system.packages import install_for


def at_a_time() -> int:
    """Return how many tests or cases run at a time: one a processor, and not more than 8."""
    return min(os.cpu_count() or 1, 8)


def pytest_arguments(number: int | None, full: bool, part: int | None = None) -> list[str]:
    """Return what pytest is called with, for the whole course, a part of it or one block.

    Raises CourseError where there is no such block or part.
    """
    color = f"--color={'yes' if sys.stdout.isatty() else 'no'}"
    if part is not None:
        find_all(read_order().blocks, f"part {part}")
        more = ["--full"] if full else []
        return ["tests/course", "-q", "-n", "0", "--part", str(part), *more, color]
    if full and number is None:
        # How the tests are handed out, the longest first, is said in tests/conftest.py.
        spread = ["-n", str(at_a_time()), "--dist=loadscope", "--no-loadscope-reorder"]
        return ["tests", "-q", "--full", *spread, color]
    paths, only = ["tests/course"], []
    if number is not None:
        folder = f"blocks/{find_one(read_order().blocks, number).slug}"
        paths = ["tests/course", "tests/browser"]
        # A block with more to prove than the others has a folder of tests of its own.
        if (ROOT / "tests" / folder).is_dir():
            paths.append(f"tests/{folder}")
        only = ["--block", str(number)]
    # One process: the cases run beside it (see tests/ahead.py), and it would start for nothing.
    return [*paths, "-q", "-n", "0", *only, color]


def main(number: int | None = None, full: bool = False, part: int | None = None) -> int:
    """Run the tests and print the table; return pytest's exit code.

    What a part needs beyond the course's packages is installed first.
    """
    command = [sys.executable, "-m", "pytest", *pytest_arguments(number, full, part)]
    blocks = read_order().blocks
    asked = {block.part for block in blocks} if full else {part}
    for one in asked if number is None else {blocks[number].part}:
        install_for(one)
    # Before pytest, so that it loads MLflow while pytest gathers the tests.
    with fork_server(), tempfile.TemporaryDirectory(prefix="winelab-") as elsewhere:
        # Where we are root, PostgreSQL runs as another user, and must get through to its folder.
        Path(elsewhere).chmod(0o711)
        # A test that forgot to say where it writes must not write into the course's store.
        environment = os.environ | course_environment(Path(elsewhere))
        # The folders of what is running when Ctrl-C ends it all lie there too.
        environment |= dict.fromkeys(("TMPDIR", "TEMP", "TMP"), elsewhere)
        return subprocess.call(command, cwd=ROOT, env=environment)
