"""A student's own files: the scripts in my/, the labs, and the block that was worked on last."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from winelab.core.errors import CourseError
from winelab.core.files import write_text
from winelab.core.paths import ROOT, store_uri
from winelab.course.compose import unsolved_script
from winelab.course.notebook import check_source
from winelab.course.source import Block, Course
from winelab.tracking import store
from winelab.tracking.run_tags import BLOCK_TAG, CATCHUP_TAG, block_slug


def script_path(block: Block, root: Path = ROOT) -> Path:
    """Return where a student's own script of a block lies, whether or not it is there.

    One that was begun when the block had another number is still it.
    """
    path = root / "my" / f"{block.name}.py"
    begun = sorted(root.glob(f"my/[0-9][0-9]_{block.slug}.py"))
    return path if path in begun else next(iter(begun), path)


def begin_script(course: Course, block: Block, root: Path = ROOT) -> bool:
    """Write the script to begin the block with, unless there is one; return whether it did."""
    path = script_path(block, root)
    # A link to nowhere is somebody's too.
    if path.exists() or path.is_symlink():
        return False
    write_text(path, unsolved_script(course, block.number))
    return True


def work(block: Block, root: Path = ROOT) -> tuple[Path, tuple[str, ...]] | None:
    """Return the file that a block was worked on in last, and its code; None where there is none.

    The student's script or the lab, whichever was saved later. A notebook's code is that of its
    cells but the check; a script's is one text.
    """
    files = [script_path(block, root), root / "labs" / f"{block.name}.ipynb"]
    there = [path for path in files if path.is_file()]
    for path in sorted(there, key=lambda path: path.stat().st_mtime, reverse=True):
        # A file that is being saved, or no notebook, tells nothing.
        with suppress(OSError, ValueError, LookupError, TypeError):
            text = path.read_text(encoding="utf-8")
            if path.suffix == ".py":
                return path, (text,)
            cells = [c for c in json.loads(text)["cells"] if c["cell_type"] == "code"]
            sources = tuple("".join(cell["source"]) for cell in cells)
            return path, tuple(s for s in sources if s.strip() != check_source(block.number))
    return None


def last_block(course: Course, root: Path = ROOT) -> Block | None:
    """Return the block worked on last, by the store's newest run and the newest own script.

    Runs that `make catchup` made do not count. None where nothing says it.
    """
    scripts = root.glob("my/*.py")
    found = [(path.stat().st_mtime, block_slug(path.name)) for path in scripts]
    if store.problem(store_uri(root)) is None:
        with store.opened(root) as client:
            runs = client.search_runs(
                [e.experiment_id for e in client.search_experiments()],
                filter_string=f"tags.`{BLOCK_TAG}` LIKE '%'",
                order_by=["attributes.start_time DESC"],
                max_results=100,
            )
        own = [run for run in runs if CATCHUP_TAG not in run.data.tags]
        found += [(run.info.start_time / 1000, run.data.tags[BLOCK_TAG]) for run in own]
    known = {block.slug: block for block in course.blocks}
    return next((known[slug] for _, slug in sorted(found, reverse=True) if slug in known), None)


def block_or_last(course: Course, number: int | None, command: str) -> Block:
    """Return the block of this number, else the one worked on last.

    Raises CourseError where there is neither; `command` is the one to name in it.
    """
    block = course.block(number) if number is not None else last_block(course)
    if block is None:
        raise CourseError(f"Which block? Say its number or name, as in `make {command} BLOCK=run`.")
    return block
