"""`make catchup`: the runs of all blocks before one, for a student who missed a class.

The reference scripts of the blocks that the store shows neither as done nor as caught up run in
the student's own store, as `make run` would run them. Nothing of the student's is moved or
replaced, so a server or notebook that has the store open can go on.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from winelab.checks.looking import REGISTERED
from winelab.core.errors import CourseError
from winelab.core.paths import ROOT
from winelab.course.source import Block, Course, read_course
from winelab.proof.execute import execute
from winelab.proof.start import solution_code
from winelab.system.forkserver import fork_server
from winelab.tracking import store
from winelab.tracking.run_tags import BLOCK_TAG, CATCHUP_TAG, CATCHUP_VARIABLE

if TYPE_CHECKING:
    from mlflow import MlflowClient

FIRST_WITH_RUNS = "experiment"
"""Before this block there is nothing in a store."""


def missing(course: Course, number: int, there: Collection[str]) -> list[Block]:
    """Return the blocks before `number` that leave something in a store, and are not in it yet."""
    before = course.blocks[course.block(FIRST_WITH_RUNS).number : number]
    return [block for block in before if block.slug not in there]


def tidy(client: MlflowClient, complete: Collection[str]) -> None:
    """Delete what a catch-up left of a block that it did not finish: its runs and versions."""
    runs = client.search_runs(
        [experiment.experiment_id for experiment in client.search_experiments()],
        filter_string=f"tags.`{CATCHUP_TAG}` = 'yes'",
        max_results=1000,
    )
    half = [run for run in runs if run.data.tags.get(BLOCK_TAG) not in complete]
    ids = {run.info.run_id for run in half}
    for version in client.search_model_versions(f"name='{REGISTERED}'") if half else ():
        if version.run_id in ids:
            client.delete_model_version(version.name, version.version)
    for run in half:
        if run.info.status == "RUNNING":
            client.set_terminated(run.info.run_id, "KILLED")
        client.delete_run(run.info.run_id)


def main(number: int | None = None, root: Path = ROOT) -> int:
    """Add what the course's store lacks of the blocks before `number`; return 0.

    Raises CourseError without a number, and when a solution fails; what was added until then stays.
    """
    course = read_course()
    if number is None:
        raise CourseError(
            "Where is the class now? Say the block, as in `make catchup BLOCK=register`."
        )
    if number <= course.block(FIRST_WITH_RUNS).number:
        print(f"Nothing to do: no block before {number} leaves anything in the store.")
        return 0
    store.prepare(root)
    with store.opened(root) as client, fork_server():
        _add_missing(course, number, client, root)
    print("Runs of your own stay as they are. Pages of `make ui` need a reload, nothing a restart.")
    print(f"Go on: labs/{course.block(number).name}.ipynb, or `make watch BLOCK={number}`.")
    return 0


def _add_missing(course: Course, number: int, client: MlflowClient, root: Path) -> None:
    done, caught = store.marks(client), store.caught_up(client)
    todo = missing(course, number, done | caught)
    if not todo:
        print(f"Nothing to do: your store has every block before {number}.")
        return
    tidy(client, caught)
    kept = len([block for block in course.blocks[:number] if block.slug in done])
    mine = f" You did {kept} of the others yourself." if kept else ""
    print(f"Adding {len(todo)} of the blocks before {number} to your store.{mine}", flush=True)
    started = time.monotonic()
    for block in todo:
        try:
            _add(block, root)
            store.mark_caught_up(client, block.slug)
            caught.add(block.slug)
        finally:
            # Ctrl-C too: a run that was cut off is no part of a store to start from.
            if block.slug not in caught:
                tidy(client, caught)
        print(f"  added  {block.number:2d}  {block.title}", flush=True)
    seconds = time.monotonic() - started
    print(f"Your store is where the class is ({seconds:.0f} s).")


def _add(block: Block, root: Path) -> None:
    """Run a block's reference script in the course's store; raises CourseError when it fails."""
    outcome = execute(solution_code(block), root, environment={CATCHUP_VARIABLE: "1"})
    if outcome.error:
        raise CourseError(
            f"The solution of block {block.number} failed here ({outcome.last_line}). What was "
            f"added before it stays, and of it nothing; `make run BLOCK={block.number}` shows all "
            "that it says."
        )
