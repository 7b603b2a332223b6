"""Builds labs/, solutions/ and the tables in Markdown; tells where a built file differs and why."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import nbformat

from winelab.core.files import write_text
from winelab.core.paths import KEPT, ROOT
from winelab.course.compose import built_script, script_lines, script_text, source_of
from winelab.course.notebook import as_text, fingerprint, lab_notebook, solved_notebook
from winelab.course.readme import with_table
from winelab.course.source import Course, read_course
from winelab.course.timetables import with_timetables


def keep_outputs(new: Any, stored: Any) -> Any:
    """Give each code cell of `new` the outputs of the stored cell with its id and its code."""
    before = {cell["id"]: cell for cell in stored["cells"] if "id" in cell}
    for cell in new["cells"]:
        old = before.get(cell["id"])
        if cell["cell_type"] == "code" and old and old["source"] == cell["source"]:
            cell["outputs"] = old.get("outputs", [])
            cell["execution_count"] = old.get("execution_count")
    return new


def _stored(path: Path) -> Any | None:
    """The notebook on disk; None where there is none that can be read."""
    try:
        return nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
    # A student's file may be JSON and no notebook: nbformat then stumbles in many ways.
    except (OSError, ValueError, LookupError, AttributeError, TypeError, nbformat.ValidationError):
        return None


def built_files(course: Course, root: Path = ROOT) -> dict[Path, str]:
    """Every built file of the course and its text, as it should stand in `root`.

    Solved notebooks carry the stored outputs of the cells whose code did not change.
    """
    files: dict[Path, str] = {}
    for block in course.blocks:
        number, name = block.number, block.name
        files[root / "labs" / f"{name}.ipynb"] = as_text(lab_notebook(course, number))
        files[root / "solutions" / f"{name}.py"] = script_text(course, number)
        solved = root / "solutions" / f"{name}.ipynb"
        notebook = solved_notebook(course, number)
        stored = _stored(solved)
        files[solved] = as_text(keep_outputs(notebook, stored) if stored else notebook)
    readme = root / "README.md"
    if readme.is_file():
        files[readme] = with_table(readme.read_text(encoding="utf-8"), course)
    teaching = root / "docs" / "teaching.md"
    if teaching.is_file():
        files[teaching] = with_timetables(teaching.read_text(encoding="utf-8"), course)
    return files


def _worked_in(path: Path) -> bool:
    """Whether a lab was run or edited since it was built."""
    notebook = _stored(path)
    if notebook is None:
        return False
    was_run = any(
        cell.get("execution_count") or cell.get("outputs")
        for cell in notebook["cells"]
        if cell["cell_type"] == "code"
    )
    built = notebook["metadata"].get("winelab", {}).get("built")
    return was_run or built != fingerprint(notebook["cells"])


def _keep_aside(path: Path, root: Path) -> None:
    """Copy a lab that a student has run to .winelab/kept/."""
    if path.parent.name == "labs" and _worked_in(path):
        kept = root / KEPT / f"{path.stem}-{time.strftime('%Y%m%d-%H%M%S')}.ipynb"
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, kept)
        print(f"labs/{path.name} had been worked in: kept as {kept.relative_to(root)}")


def _abandoned(course: Course, root: Path) -> list[Path]:
    """Built files of a block that is no longer there under that name."""
    names = {block.name for block in course.blocks}
    found = []
    for path in sorted(root.glob("labs/*.ipynb")) + sorted(root.glob("solutions/*.*")):
        if path.suffix == ".ipynb":
            notebook = _stored(path)
            source = notebook["metadata"].get("winelab", {}).get("edit") if notebook else None
            built = source == f"blocks/{path.stem}"
        else:
            built = path.suffix == ".py" and built_script(path.read_text(encoding="utf-8"))
        if built and path.stem not in names:
            found.append(path)
    return found


def write(course: Course, root: Path = ROOT) -> list[Path]:
    """Write every built file that differs; return those written or taken away.

    A lab that a student has run is kept aside in .winelab/kept/ before it is replaced.
    """
    changed = []
    for path, text in built_files(course, root).items():
        if path.is_file() and path.read_bytes() == text.encode("utf-8"):
            continue
        _keep_aside(path, root)
        write_text(path, text)
        changed.append(path)
    for path in _abandoned(course, root):
        _keep_aside(path, root)
        path.unlink(missing_ok=True)
        changed.append(path)
    return changed


def _only_opened(disk: str, text: str) -> bool:
    """Whether a lab differs from what was built only in what JupyterLab writes on opening it."""

    def parts(source: str) -> Any:
        notebook = json.loads(source)
        for name in ("kernelspec", "language_info"):
            notebook["metadata"].pop(name, None)
        return notebook

    try:
        return bool(parts(disk) == parts(text))
    except (ValueError, KeyError, TypeError, AttributeError):
        return False


def differences(course: Course, root: Path = ROOT) -> list[str]:
    """What `make build` would change, a sentence a file, naming the source to edit."""
    found = []
    for path, text in built_files(course, root).items():
        name = path.relative_to(root).as_posix()
        if not path.is_file():
            found.append(f"{name} is missing: run make build.")
            continue
        disk = path.read_bytes().decode("utf-8", errors="replace")
        if disk == text or (path.parent.name == "labs" and _only_opened(disk, text)):
            continue
        if path.parent.name == "labs" and _worked_in(path):
            found.append(
                f"{name} was worked in: run make build, which puts it back as it was and keeps "
                f"yours in {KEPT.as_posix()}/. A change for everyone goes into blocks/{path.stem}/."
            )
            continue
        where = _source(course, path, disk, text)
        found.append(f"{name} is not what its source says: edit {where}, then run make build.")
    found += [
        f"{path.parent.name}/{path.name} has no block any more: run make build."
        for path in _abandoned(course, root)
    ]
    return found


def _source(course: Course, path: Path, disk: str, text: str) -> str:
    """What to edit for a built file that differs; in a script, the line of the first difference."""
    if path.suffix == ".ipynb":
        return f"blocks/{path.stem}/"
    if path.suffix == ".md":
        return "blocks/*/lesson.md"
    lines = script_lines(course, int(path.name[:2]))
    line = lines[min(_first_difference(disk, text), len(lines) - 1)]
    return source_of(line.source, line.number)


def _first_difference(one: str, other: str) -> int:
    left, right = one.splitlines(), other.splitlines()
    for at, (a, b) in enumerate(zip(left, right, strict=False)):
        if a != b:
            return at
    return min(len(left), len(right))


def main() -> int:
    """Build the course in its own folder, and say what changed."""
    changed = write(read_course())
    for path in changed:
        print(path.relative_to(ROOT).as_posix())
    print(f"{len(changed)} files changed." if changed else "Nothing to build: all is up to date.")
    return 0
