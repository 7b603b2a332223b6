"""A student's own files: the scripts in my/, the labs, and the block that was worked on last."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from winelab.core.errors import CourseError
from winelab.core.files import files_within, write_text
from winelab.core.paths import ROOT, store_uri
from winelab.course.compose import unsolved_files
from winelab.course.notebook import check_source
from winelab.course.source import Block, Course
from winelab.tracking import store
from winelab.tracking.run_tags import BLOCK_TAG, CATCHUP_TAG, block_slug


def script_path(block: Block, root: Path = ROOT) -> Path:
    """Return where a student's own script, or package, of a block lies, there or not.

    One that was begun when the block had another number is still it.
    """
    suffix = "" if block.package else ".py"
    path = root / "my" / f"{block.name}{suffix}"
    begun = sorted(root.glob(f"my/[0-9][0-9]_{block.slug}{suffix}"))
    return path if path in begun else next(iter(begun), path)


def begin_script(course: Course, block: Block, root: Path = ROOT) -> bool:
    """Write what to begin the block with, unless it is there; return whether it did."""
    path = script_path(block, root)
    # A link to nowhere is somebody's too.
    if path.exists() or path.is_symlink():
        return False
    for name, text in unsolved_files(course, block.number).items():
        write_text(path.parent / name, text)
    return True


def work(block: Block, root: Path = ROOT) -> tuple[Path, tuple[str, ...]] | None:
    """Return what a block was worked on in last, and its code; None where there is none.

    The student's script, or package, or the lab, whichever was saved later. A notebook's code is
    that of its cells but the check; a script's is one text, a package's one for each file.
    """
    mine, lab = script_path(block, root), root / "labs" / f"{block.name}.ipynb"
    there = [one for one in (mine, lab) if one.is_file() or (block.package and one.is_dir())]
    for path in sorted(there, key=_saved, reverse=True):
        # A file that is being saved, or no notebook, tells nothing.
        with suppress(OSError, ValueError, LookupError, TypeError):
            if path == mine:
                return path, tuple(file.read_text(encoding="utf-8") for file in _files(path))
            text = path.read_text(encoding="utf-8")
            cells = [c for c in json.loads(text)["cells"] if c["cell_type"] == "code"]
            sources = tuple("".join(cell["source"]) for cell in cells)
            return path, tuple(s for s in sources if s.strip() != check_source(block.number))
    return None


def _files(path: Path) -> list[Path]:
    """The files of a package's folder; a script or a notebook is one."""
    return files_within(path) if path.is_dir() else [path]


def _saved(path: Path) -> float:
    """When a file, or one in a folder, was saved last: seconds since 1970."""
    return max((file.stat().st_mtime for file in _files(path)), default=0.0)


def last_block(course: Course, root: Path = ROOT) -> Block | None:
    """Return the block worked on last, by the store's newest run and the newest own script.

    Runs that `make catchup` made do not count. None where nothing says it.
    """
    mine = [path for path in root.glob("my/*") if path.suffix == ".py" or path.is_dir()]
    found = [(_saved(path), block_slug(path.name)) for path in mine]
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


def done_blocks(root: Path) -> set[str]:
    """Return the slugs of the blocks that the store in `root` shows as done."""
    if store.problem(store_uri(root)) is not None:
        return set()
    with store.opened(root) as client:
        return store.marks(client)


def block_or_last(course: Course, number: int | None, command: str) -> Block:
    """Return the block of this number, else the one worked on last, else the first that is open.

    Raises CourseError where there is none; `command` is the one to name in it.
    """
    block = course.block(number) if number is not None else last_block(course)
    if block is None and store.problem(store_uri(ROOT)) is None:
        done = done_blocks(ROOT)
        block = next((one for one in course.main if one.slug not in done), None)
    if block is None:
        raise CourseError(f"Which block? Say its number or name, as in `make {command} BLOCK=run`.")
    return block
