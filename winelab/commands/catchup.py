"""`make catchup`: the runs of all blocks before one, for a student who missed a class.

The reference scripts of the blocks that the store shows neither as done nor as caught up run in
the student's own store, as `make run` would run them. Nothing of the student's is moved or
replaced, so a server or notebook that has the store open can go on.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from winelab.checks.fixtures import REGISTERED
from winelab.core.errors import CourseError
from winelab.core.paths import ROOT, course_environment, store_uri
from winelab.course.source import Block, Course, read_course
from winelab.proof.runner import fork_server, run
from winelab.tracking import store
from winelab.tracking.run_tags import BLOCK_TAG, CATCHUP_TAG, CATCHUP_VARIABLE
from winelab.tracking.store import prepare

if TYPE_CHECKING:
    from mlflow import MlflowClient

FIRST_WITH_RUNS = 2
"""Before this block there is nothing in a store."""


def missing(course: Course, number: int, there: Collection[int]) -> list[Block]:
    """The blocks before `number` that leave something in a store, and are not in it yet."""
    return [
        block
        for block in course.blocks[:number]
        if block.number >= FIRST_WITH_RUNS and block.number not in there
    ]


def tidy(client: MlflowClient, complete: Collection[int]) -> None:
    """Delete what a catch-up left of a block that it did not finish: its runs and versions."""
    runs = client.search_runs(
        [experiment.experiment_id for experiment in client.search_experiments()],
        filter_string=f"tags.`{CATCHUP_TAG}` = 'yes'",
        max_results=1000,
    )
    half = [run for run in runs if int(run.data.tags.get(BLOCK_TAG, -1)) not in complete]
    ids = {run.info.run_id for run in half}
    if not half:
        return
    for version in client.search_model_versions(f"name='{REGISTERED}'"):
        if version.run_id in ids:
            client.delete_model_version(version.name, version.version)
    for run_ in half:
        if run_.info.status == "RUNNING":
            client.set_terminated(run_.info.run_id, "KILLED")
        client.delete_run(run_.info.run_id)


def add(block: Block, root: Path) -> None:
    """Run a block's reference script in the course's store. CourseError when it fails."""
    outcome = run(
        root,
        source=f"{block.name}.py",
        environment={CATCHUP_VARIABLE: "1"},
    )
    if outcome.error:
        raise CourseError(
            f"The solution of block {block.number} failed here ({outcome.last_line}). What was "
            f"added before it stays, and of it nothing; `make run BLOCK={block.number}` shows all "
            "that it says."
        )


def main(number: int | None = None, root: Path = ROOT) -> int:
    """Add what the course's store lacks of the blocks before `number`; returns 0.

    CourseError without a number, and when a solution fails; what was added until then stays.
    """
    course = read_course()
    if number is None:
        raise CourseError("Where is the class now? Say the block, as in `make catchup BLOCK=24`.")
    if number <= FIRST_WITH_RUNS:
        print(f"Nothing to do: no block before {number} leaves anything in the store.")
        return 0
    prepare(root)
    if problem := store.trouble(store_uri(root)):
        raise CourseError(problem)
    os.environ.update(course_environment(root))
    with fork_server():
        from mlflow import MlflowClient

        client = MlflowClient(store_uri(root))
        try:
            _add_missing(course, number, client, root)
        except CourseError:
            raise
        except Exception as error:
            raise CourseError(store.explain(error)) from error
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
    kept = len([n for n in done if n < number])
    mine = f" You did {kept} of the others yourself." if kept else ""
    print(f"Adding {len(todo)} of the blocks before {number} to your store.{mine}", flush=True)
    started = time.monotonic()
    for block in todo:
        try:
            add(block, root)
            store.mark_caught_up(client, block.number)
            caught.add(block.number)
        finally:
            # Ctrl-C too: a run that was cut off is no part of a store to start from.
            if block.number not in caught:
                tidy(client, caught)
        print(f"  added  {block.number:2d}  {block.title}", flush=True)
    seconds = time.monotonic() - started
    print(f"Your store is where the class is ({seconds:.0f} s).")
