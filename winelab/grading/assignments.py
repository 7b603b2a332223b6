"""`make nbgrader`: write blocks as assignments into the folder of an nbgrader course.

Each assignment is the block's lab with the solution in it, between nbgrader's marks, and a test
cell worth one point for each check of the block's own. nbgrader makes the students' version.
"""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

import nbformat

from winelab.checks.checking import checks_of, verdict_on
from winelab.core.errors import CourseError
from winelab.core.files import write_text
from winelab.core.paths import LABS, ROOT
from winelab.course.compose import solved_cells
from winelab.course.notebook import CHECK, as_text, fingerprint, lab_notebook
from winelab.course.source import Block, Course, read_course
from winelab.system import packages

PINS = ROOT / "nbgrader-requirements.txt"

CONFIG = '''\
"""nbgrader's settings; the course's own stand in the call at the end."""

from winelab.grading.nbgrader import use_labs

c = get_config()  # noqa: F821
c.CourseDirectory.course_id = {name!r}

# Put the labs' text where the solutions were, and give a cell two minutes.
use_labs(c)
'''

BEGIN = """\
# The course's folder and its store, wherever this notebook lies.
from winelab.grading.nbgrader import begin

begin("{slug}")"""

_PICTURE = re.compile(r"!\[([^\]]*)\]\((\.\./[^)]+\.png)\)")


def source_notebook(course: Course, number: int) -> Any:
    """Return the notebook that nbgrader calls the source: the lab, solved, with its test cells.

    The cells in which lab and solution differ hold the solution between nbgrader's marks, and
    the lab's text in their metadata, from which `nbgrader.use_labs` puts it back.
    """
    block = course.block(number)
    notebook = lab_notebook(course, number)
    solved = {cell.name: cell.source for cell in solved_cells(course, number)}
    lab = {c["id"] for c in notebook["cells"] if c["cell_type"] == "code"}
    lost = set(solved) - lab
    if lost:
        raise CourseError(
            f"{block.name}: the solution has a cell that the lab has not ({min(lost)}); "
            "give it a task there."
        )
    first = next(cell for cell in notebook["cells"] if cell["cell_type"] == "code")
    cells: list[Any] = []
    for cell in notebook["cells"]:
        if cell is first:
            cells.append(_locked("begin", BEGIN.format(slug=block.slug)))
        answer = solved.get(cell["id"], "")
        if cell["cell_type"] == "markdown":
            cell = _with_pictures(cell)
        elif cell["id"] != CHECK and answer != cell["source"]:
            cell["metadata"]["winelab"] = {"lab": cell["source"]}
            cell["metadata"]["nbgrader"] = _mark(cell["id"], solution=True)
            cell["source"] = f"### BEGIN SOLUTION\n{answer}\n### END SOLUTION"
        # The way to the whole answer is not for a graded assignment.
        if cell["id"] != "answer":
            cells.append(cell)
        if cell["id"] == CHECK:
            cells += _tests(block)
    notebook["cells"] = cells
    notebook["metadata"]["winelab"]["built"] = fingerprint(cells)
    nbformat.validate(notebook)
    return notebook


def _mark(name: str, **values: Any) -> dict[str, Any]:
    """Return nbgrader's metadata of a cell, in its third schema."""
    unset = dict.fromkeys(("grade", "solution", "locked", "task"), False)
    return {"schema_version": 3, "grade_id": name, **unset, **values}


def _locked(name: str, source: str, **values: Any) -> Any:
    """Return a cell that students cannot change."""
    cell = nbformat.v4.new_code_cell(source)
    # nbformat takes 64 characters.
    cell["id"] = name.replace("_", "-")[:64].rstrip("-")
    cell["metadata"]["nbgrader"] = _mark(cell["id"], locked=True, **values)
    return cell


def _tests(block: Block) -> list[Any]:
    """Return a locked cell for each check of the block's own, worth a point."""
    return [
        _locked(
            # The id outlives a change of the checks' order.
            check.name,
            f"# 1 point: {check.line}\n"
            "from winelab.checks.checking import require\n\n"
            f'require("{block.slug}", "{check.name}")',
            grade=True,
            points=1,
        )
        for check in map(verdict_on, checks_of(block.folder).functions)
        if not check.given
    ]


def _with_pictures(cell: Any) -> Any:
    """Return the cell with its pictures in itself, and without links that lead nowhere."""
    text = cell["source"]
    pictures = {}
    for _, target in _PICTURE.findall(text):
        path = (LABS / target).resolve()
        pictures[path.name] = {"image/png": base64.b64encode(path.read_bytes()).decode("ascii")}
    if pictures:
        cell["attachments"] = pictures
    text = _PICTURE.sub(lambda m: f"![{m[1]}](attachment:{m[2].rsplit('/', 1)[-1]})", text)
    # The next lab is another assignment.
    text = re.sub(r"\*\*Next:\*\* .*\n\n", "", text)
    outside = r"(?<!!)\[([^\]]+)\]\((?:\.\./[^)]*|[\w.-]+\.(?:ipynb|py|md))\)"
    cell["source"] = re.sub(outside, r"\1", text)
    return cell


def write_course(folder: Path, course: Course, numbers: list[int]) -> list[Path]:
    """Write the sources of these blocks, and the settings if there are none; return all files.

    Raises CourseError, and writes nothing, where a source has been edited by hand.
    """
    files = {}
    for number in numbers:
        name = course.block(number).name
        files[folder / "source" / name / f"{name}.ipynb"] = as_text(source_notebook(course, number))
    for path in files:
        if path.exists() and _edited(path):
            raise CourseError(
                f"{path} was edited since it was written: move it away to have a fresh one, or "
                "leave its block out."
            )
    for path, text in files.items():
        write_text(path, text)
    settings = folder / "nbgrader_config.py"
    if not settings.exists():
        name = re.sub(r"[^A-Za-z0-9_-]+", "-", folder.resolve().name).strip("-")
        write_text(settings, CONFIG.format(name=name or "wine-lab"))
        return [*files, settings]
    return list(files)


def _edited(path: Path) -> bool:
    """Return whether a source is not as it was written, as far as its cells go."""
    try:
        notebook = nbformat.read(path, as_version=4)
        return bool(notebook["metadata"]["winelab"]["built"] != fingerprint(notebook["cells"]))
    # A file that is no notebook of ours is a person's.
    except Exception:
        return True


def main(folder: str, blocks: str) -> int:
    """Install nbgrader where it is missing, and write the assignments; 0."""
    if not folder.strip():
        raise CourseError(
            "Name the folder of your nbgrader course: make nbgrader COURSE=folder BLOCKS=3,14."
        )
    course = read_course()
    numbers = sorted({block.number for block in course.find(blocks.strip() or "all")})
    where = Path(folder).expanduser()
    if where.is_file():
        raise CourseError(f"{where} is a file: name a folder.")
    where.mkdir(parents=True, exist_ok=True)
    packages.install(PINS, "nbgrader")
    written = write_course(where, course, numbers)
    for path in written:
        print(path)
    settings = where / "nbgrader_config.py"
    if "use_labs(" not in settings.read_text(encoding="utf-8", errors="replace"):
        print(f"\nAdd two lines to {settings}, or students get empty cells instead of the labs:")
        print("  from winelab.grading.nbgrader import use_labs\n  use_labs(c)")
    first = course.block(numbers[0]).name
    print(f"\nNext, in {where}: nbgrader generate_assignment {first}. See docs/nbgrader.md.")
    return 0
