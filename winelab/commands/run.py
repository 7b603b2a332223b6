"""`make run`: a block's reference script on the course's own store, and its checks."""

from __future__ import annotations

from winelab.commands.catchup import FIRST_WITH_RUNS
from winelab.commands.run_and_check import started
from winelab.core.paths import SOLUTIONS
from winelab.core.processes import until_stopped
from winelab.course.source import read_course
from winelab.proof.start import solution_code
from winelab.tracking.store import prepare


def main(number: int | None = None) -> int:
    """Run the solution of a block, without a number the whole script; return its exit code.

    Raises KeyboardInterrupt at Ctrl-C, once the script has ended.
    """
    course = read_course()
    block = course.main[-1] if number is None else course.block(number)
    prepare()
    solution = solution_code(block).source
    print(f"Running solutions/{solution}", flush=True)
    code = None
    with until_stopped(), started(block, SOLUTIONS / solution) as process:
        code = process.wait()
    if code is None:
        raise KeyboardInterrupt
    if code == 0:
        print(
            "\nLook at it: `make ui`, then the experiment wine-quality."
            if block.number >= course.block(FIRST_WITH_RUNS).number
            else "\nLook at it: `make ui` opens MLflow's pages; this block records no run yet."
        )
    return code
