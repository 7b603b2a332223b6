"""`make run`: a block's reference script on the course's own store, and its checks.

The script runs in a process of its own (``python -m winelab.commands.run SCRIPT``), so that what it
prints is seen at once, and its variables can be checked afterwards.
"""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path

from winelab.checks.checking import look_at
from winelab.checks.fixtures import Look
from winelab.core.paths import ROOT, SOLUTIONS, course_environment
from winelab.course.source import read_course
from winelab.tracking.run_tags import block_number
from winelab.tracking.store import prepare


def main(number: int | None = None) -> int:
    """Run the reference script of a block, the newest without a number; its exit code."""
    course = read_course()
    block = course.block(len(course.blocks) - 1 if number is None else number)
    prepare()
    print(f"Running solutions/{block.name}.py", flush=True)
    code = subprocess.call(
        [sys.executable, "-m", "winelab.commands.run", str(SOLUTIONS / f"{block.name}.py")],
        cwd=ROOT,
        env=os.environ | course_environment(),
    )
    if code == 0:
        print(
            "\nLook at it: `make ui`, then the experiment wine-quality."
            if block.number > 1
            else "\nLook at it: `make ui` opens MLflow's pages; this block records no run yet."
        )
    return code


def run_and_check(script: Path) -> int:
    """Run `script` in this process, then show what its block's checks say; 0 if all are done."""
    sys.argv = [str(script)]
    variables = runpy.run_path(str(script), run_name="__main__")
    report = look_at(Look(block_number(script.name) or 0, variables))
    print(f"\n{report}")
    return 0 if report.done else 1


if __name__ == "__main__":
    sys.exit(run_and_check(Path(sys.argv[1])))
