"""What is a student's own: the scripts in my/, and the block that was worked on last."""

from __future__ import annotations

import json
import os
from pathlib import Path

from winelab.core.errors import CourseError
from winelab.core.files import write_text
from winelab.core.paths import ROOT, course_environment, store_uri
from winelab.course.compose import unsolved_script
from winelab.course.source import Block, Course
from winelab.tracking import store
from winelab.tracking.run_tags import BLOCK_TAG, CATCHUP_TAG, block_number


def script_path(block: Block, root: Path = ROOT) -> Path:
    """Where a student's own script of a block lies, whether or not it is there."""
    return root / "my" / f"{block.name}.py"


def begin_script(course: Course, block: Block, root: Path = ROOT) -> bool:
    """Write the script to begin the block with, unless there is one; True if it was written."""
    path = script_path(block, root)
    # A link to nowhere is somebody's too.
    if path.exists() or path.is_symlink():
        return False
    write_text(path, unsolved_script(course, block.number))
    return True


def work(block: Block, root: Path = ROOT) -> tuple[Path, str] | None:
    """The file that a block was worked on in last, and the code in it; None where there is none.

    The student's script or the lab, whichever was saved later. A notebook's code is that of its
    cells, one below the other.
    """
    there = [p for p in (script_path(block, root), root / "labs" / f"{block.name}.ipynb")
             if p.is_file()]  # fmt: skip
    for path in sorted(there, key=lambda path: path.stat().st_mtime, reverse=True):
        try:
            text = path.read_text(encoding="utf-8")
            if path.suffix == ".py":
                return path, text
            cells = json.loads(text)["cells"]
            code = ["".join(c["source"]) for c in cells if c["cell_type"] == "code"]
        # A file that is being saved, or no notebook: it tells nothing.
        except (OSError, ValueError, LookupError, TypeError):
            continue
        return path, "\n".join(code)
    return None


def last_block(course: Course, root: Path = ROOT) -> Block | None:
    """The block that was worked on last, by the store's newest run and the newest own script.

    Runs that `make catchup` made do not count. None where nothing says it.
    """
    found: list[tuple[float, int]] = []
    for path in root.glob("my/*.py"):
        number = block_number(path.name)
        if number is not None:
            found.append((path.stat().st_mtime, number))
    uri = store_uri(root)
    if store.trouble(uri) is None:
        os.environ.update(course_environment(root))
        from mlflow import MlflowClient

        client = MlflowClient(uri)
        try:
            runs = client.search_runs(
                [e.experiment_id for e in client.search_experiments()],
                filter_string=f"tags.`{BLOCK_TAG}` LIKE '%'",
                order_by=["attributes.start_time DESC"],
                max_results=100,
            )
        except Exception as error:
            raise CourseError(store.explain(error)) from error
        for run in runs:
            if CATCHUP_TAG not in run.data.tags and run.data.tags[BLOCK_TAG].isdecimal():
                found.append((run.info.start_time / 1000, int(run.data.tags[BLOCK_TAG])))
                break
    known = {block.number: block for block in course.blocks}
    return next((known[n] for _, n in sorted(found, reverse=True) if n in known), None)


def block_or_last(course: Course, number: int | None, command: str) -> Block:
    """The block of this number, else the one worked on last.

    CourseError where there is neither; `command` is the one to name in it.
    """
    if number is not None:
        return course.block(number)
    block = last_block(course)
    if block is None:
        raise CourseError(f"Which block? Say its number, as in `make {command} BLOCK=3`.")
    return block
