"""Build labs/, solutions/, and what is built in Markdown pages; where a file differs, tell why."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import Any

import nbformat

from winelab.core.errors import fail
from winelab.core.files import files_within, write_text
from winelab.core.order import ORDER
from winelab.core.paths import KEPT, ROOT
from winelab.course.compose import built_script, solution_files, solved_cells, text_of
from winelab.course.notebook import (
    CHECK,
    KERNEL,
    as_text,
    fingerprint,
    lab_notebook,
    solved_notebook,
)
from winelab.course.pages import pages, with_numbers
from winelab.course.reading import holds
from winelab.course.source import Block, Course, read_course
from winelab.course.tables import with_blocks, with_timetables

OUTPUTS = "outputs.json"
"""In a block's folder: what the cells of its solved notebook print and plot (`make outputs`)."""


# --- outputs -----------------------------------------------------------------------------------


def _code_hashes(course: Course, block: Block) -> dict[str, str]:
    """Return the hash of each cell's code, in which no block's number stands.

    None is there of the check's cell: its code is the course's.
    """
    cells = solved_cells(course, block.number)
    return {cell.name: fingerprint([{"source": cell.unfilled}]) for cell in cells}


def outputs_text(course: Course, block: Block, executed: Any) -> str:
    """Return what to store of an executed notebook: each cell's outputs, and its code's hash."""
    hashes = _code_hashes(course, block)
    # As the notebook's own file has them, a line an item: a change can be read.
    written = json.loads(as_text(nbformat.from_dict(executed)))["cells"]
    kept = {
        cell["id"]: {"code": hashes.get(cell["id"], ""), "outputs": as_written["outputs"]}
        for cell, as_written in zip(executed["cells"], written, strict=True)
        if cell["cell_type"] == "code"
    }
    return json.dumps(kept, ensure_ascii=False, indent=1) + "\n"


def solved_text(course: Course, block: Block) -> str:
    """Return the solved notebook's text, with the stored outputs of the cells that did not change.

    In those of the check, references became the blocks' numbers.

    Raises CourseError where the outputs cannot be read.
    """
    notebook = solved_notebook(course, block.number)
    path = block.folder / OUTPUTS
    try:
        kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except ValueError:
        raise fail(path, 1, "this is not JSON: delete the file and run make outputs.") from None
    hashes = _code_hashes(course, block)
    codes = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    for count, cell in enumerate(codes, start=1):
        stored = kept.get(cell["id"], {})
        if stored.get("code") == hashes.get(cell["id"], ""):
            outputs = stored["outputs"]
            if cell["id"] == CHECK:
                outputs = json.loads(course.order.fill(json.dumps(outputs), path, 1))
            cell["outputs"] = nbformat.from_dict(outputs)
            cell["execution_count"] = count
    return as_text(notebook)


# --- what is built -----------------------------------------------------------------------------


def built_files(course: Course, root: Path = ROOT) -> dict[Path, str]:
    """Return every built file of the course and its text, as it should stand in `root`."""
    files: dict[Path, str] = {}
    for block in course.blocks:
        lab = as_text(lab_notebook(course, block.number))
        files[root / "labs" / f"{block.name}.ipynb"] = lab
        for name, lines in solution_files(course, block.number).items():
            files[root / "solutions" / name] = text_of(lines)
        files[root / "solutions" / f"{block.name}.ipynb"] = solved_text(course, block)
    tables: dict[Path, Callable[[str, Course], str]] = {
        root / "README.md": with_blocks,
        root / "docs" / "operate.md": partial(with_blocks, root="../"),
        root / "docs" / "teaching.md": with_timetables,
    }
    for page in pages(root):
        # The tables first: what they say of a block that is gone needs no number.
        text = page.read_text(encoding="utf-8")
        text = tables[page](text, course) if page in tables else text
        files[page] = with_numbers(text, page, course)
    return files


def _read_notebook(path: Path) -> Any | None:
    """Return the notebook on disk, None where there is none that can be read."""
    try:
        return nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
    # A student's file may be JSON and no notebook: nbformat then stumbles in many ways.
    except (OSError, ValueError, LookupError, AttributeError, TypeError, nbformat.ValidationError):
        return None


def _lab(path: Path) -> Any | None:
    return _read_notebook(path) if path.parent.name == "labs" else None


def _worked_in(path: Path) -> bool:
    """Whether a file is a lab that was run or edited since it was built."""
    if not (lab := _lab(path)):
        return False
    was_run = any(cell.get("execution_count") or cell.get("outputs") for cell in lab["cells"])
    built = lab["metadata"].get("winelab", {}).get("built")
    return was_run or built != fingerprint(lab["cells"])


def _only_opened(path: Path, text: str) -> bool:
    """Whether a lab differs from what was built only in what JupyterLab writes on opening it."""
    if not (lab := _lab(path)):
        return False
    lab["metadata"] |= KERNEL
    return as_text(lab) == text


def _keep_aside(path: Path, root: Path) -> None:
    """Copy a file that may be somebody's to .winelab/kept/."""
    kept = root / KEPT / f"{path.stem}-{time.strftime('%Y%m%d-%H%M%S')}{path.suffix}"
    kept.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(path, kept)
    name = path.relative_to(root).as_posix()
    print(f"{name} had been worked in: kept as {kept.relative_to(root)}")


def _abandoned(course: Course, root: Path, built: Collection[Path]) -> list[Path]:
    """Return the files of blocks that are no longer there under that name, or in no package now.

    `built` are the files that the course has.
    """
    names = {block.name for block in course.blocks}
    there = [*sorted(root.glob("labs/*.ipynb")), *sorted(root.glob("solutions/*"))]
    left = [path for path in there if path.stem not in names and _built(path)]
    packages = (path for path in root.glob("solutions/[0-9][0-9]_*") if path.is_dir())
    within = (path for folder in packages for path in files_within(folder))
    return left + [path for path in within if path not in built]


def _built(path: Path) -> bool:
    """Whether a file was built from a block of its name, and is not a person's."""
    if path.suffix == ".py":
        return built_script(path.read_text(encoding="utf-8"))
    notebook = _read_notebook(path) if path.suffix == ".ipynb" else None
    own = notebook["metadata"].get("winelab", {}) if notebook else {}
    return path.stem[:2].isdecimal() and own.get("edit") == f"blocks/{path.stem[3:]}"


def write(course: Course, root: Path = ROOT) -> list[Path]:
    """Write every built file that differs; return those written or taken away.

    A lab that a student has worked in is kept aside in .winelab/kept/ before it is replaced, and so
    is a file in a package's folder that no block writes, before it is taken away.
    """
    changed, built = [], built_files(course, root)
    for path, text in built.items():
        if not holds(path, text):
            if _worked_in(path):
                _keep_aside(path, root)
            write_text(path, text)
            changed.append(path)
    abandoned = _abandoned(course, root, built)
    known = {text.encode("utf-8") for text in built.values()}
    for path in abandoned:
        in_package = path.parent.parent != root
        # Of a block that has another number now, the same stands in its new place.
        if _worked_in(path) or (in_package and path.read_bytes() not in known):
            _keep_aside(path, root)
        path.unlink()
        for folder in path.parents:
            # What Python has compiled of the files that are gone goes with them.
            if folder.parent == root or {one.name for one in folder.iterdir()} - {"__pycache__"}:
                break
            shutil.rmtree(folder)
    return changed + abandoned


def differences(course: Course, root: Path = ROOT) -> list[str]:
    """Return what `make build` would change, a sentence a file, naming the source to edit."""
    found, built = [], built_files(course, root)
    for path, text in built.items():
        name = path.relative_to(root).as_posix()
        if holds(path, text) or _only_opened(path, text):
            continue
        if not path.is_file():
            found.append(f"{name} is missing: run make build.")
        elif _worked_in(path):
            found.append(
                f"{name} was worked in: run make build, which puts it back as it was and keeps "
                f"yours in {KEPT.as_posix()}/. A change for everyone goes into "
                f"blocks/{path.stem[3:]}/."
            )
        else:
            where = _source(course, path, root)
            found.append(f"{name} is not what its source says: edit {where}, then run make build.")
    return found + [
        f"{path.relative_to(root).as_posix()} has no block any more: run make build."
        for path in _abandoned(course, root, built)
    ]


def _source(course: Course, path: Path, root: Path) -> str:
    """Return what to edit for a built file that differs; for a script, the first line that does."""
    if path.is_relative_to(root / "labs") or path.suffix == ".ipynb":
        return f"blocks/{path.stem[3:]}/"
    if not path.is_relative_to(root / "solutions"):
        return f"blocks/{ORDER} or a lesson.md"
    name = path.relative_to(root / "solutions")
    lines = solution_files(course, course.block(Path(name.parts[0]).stem).number)[name.as_posix()]
    disk = path.read_bytes().decode("utf-8", "replace").splitlines()
    first = next(
        (line for said, line in zip(disk, lines, strict=False) if said != line.text), lines[-1]
    )
    return f"{first.source.relative_to(root).as_posix()}:{first.number}"


def main() -> int:
    """Build the course in its own folder, and say what changed."""
    changed = write(read_course())
    for path in changed:
        print(path.relative_to(ROOT).as_posix())
    print(f"{len(changed)} files changed." if changed else "Nothing to build: all is up to date.")
    return 0
