"""Blocks as nbgrader assignments: their cells' metadata, and what their test cells say."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

from winelab.checks import checking
from winelab.checks.checking import checks_of
from winelab.core.errors import CourseError
from winelab.core.paths import BLOCKS, ROOT
from winelab.course.compose import solved_cells
from winelab.course.notebook import lab_notebook
from winelab.course.source import Block, Course, course
from winelab.grading import assignments, nbgrader
from winelab.grading.assignments import source_notebook, write_course
from winelab.proof.execute import Code, execute
from winelab.tracking.workspace import clean_workspace

# The third schema, as nbgrader's documentation names its fields.
FIELDS = {"schema_version", "grade_id", "grade", "solution", "locked", "task", "points"}
REQUIRE = "from winelab.checks.checking import require"

NUMBER, NAME = course().block("run").number, course().block("run").name


def code(notebook: Any) -> list[Any]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def marked(notebook: Any) -> list[Any]:
    return [cell for cell in notebook["cells"] if "nbgrader" in cell["metadata"]]


def released(notebook: Any) -> Any:
    """What students get: the solutions cleared, as nbgrader does it, and the labs put there."""
    for cell in notebook["cells"]:
        if "BEGIN SOLUTION" in cell["source"]:
            cell["source"] = "# YOUR CODE HERE\nraise NotImplementedError()"
        nbgrader.as_released(cell)
    return notebook


def test_the_metadata_is_what_nbgrader_documents(whole: Course, block: Block) -> None:
    notebook = source_notebook(whole, block.number)
    nbformat.validate(notebook)
    names = [cell["metadata"]["nbgrader"]["grade_id"] for cell in marked(notebook)]
    assert len(set(names)) == len(names)
    for cell in marked(notebook):
        mark = cell["metadata"]["nbgrader"]
        assert set(mark) - {"points"} == FIELDS - {"points"}
        assert mark["schema_version"] == 3
        assert re.fullmatch(r"[a-zA-Z0-9_-]+", mark["grade_id"])
        assert cell["cell_type"] == "code" and not mark["task"]
        assert ("points" in mark) == mark["grade"]
        # A cell is read-only, a test or an answer, and never two of them.
        kind = (mark["grade"], mark["solution"], mark["locked"])
        assert kind in {(False, False, True), (True, False, True), (False, True, False)}
        begins = cell["source"].startswith("### BEGIN SOLUTION\n")
        assert begins == cell["source"].endswith("\n### END SOLUTION") == mark["solution"]
    assert not any(cell.get("outputs") for cell in code(notebook))


def test_a_point_for_each_check_of_the_blocks_own(whole: Course, block: Block) -> None:
    own = [c.__name__ for c in checks_of(block.folder).functions if not getattr(c, "given", False)]
    cells = marked(source_notebook(whole, block.number))
    tests = [cell for cell in cells if cell["metadata"]["nbgrader"]["grade"]]
    assert [re.findall(r'"(test_\w+)"\)$', cell["source"]) for cell in tests] == [[n] for n in own]
    assert {cell["metadata"]["nbgrader"]["points"] for cell in tests} == {1}


def test_students_get_exactly_the_lab(whole: Course, block: Block) -> None:
    lab = {cell["id"]: cell["source"] for cell in code(lab_notebook(whole, block.number))}
    notebook = source_notebook(whole, block.number)
    marks = r"^### \w+ SOLUTION\n|\n### \w+ SOLUTION$"
    solved = [re.sub(marks, "", c["source"]) for c in code(notebook) if c["id"] in lab]
    wanted = [cell.source for cell in solved_cells(whole, block.number)]
    assert [text for text in solved if text][:-1] == wanted
    given = released(notebook)
    found = {cell["id"]: cell["source"] for cell in code(given)}
    assert {name: found[name] for name in lab} == lab
    assert all("lab" not in cell["metadata"].get("winelab", {}) for cell in given["cells"])
    # Whatever was added is locked.
    added = [cell for cell in code(given) if cell["id"] not in lab]
    assert all(cell["metadata"]["nbgrader"]["locked"] for cell in added)


def test_no_link_and_no_picture_leads_out_of_the_assignment(whole: Course, block: Block) -> None:
    for cell in source_notebook(whole, block.number)["cells"]:
        if cell["cell_type"] == "markdown":
            assert "](../" not in cell["source"]
            assert not re.search(r"\]\([\w/.-]+\.ipynb\)", cell["source"])
            used = set(re.findall(r"\(attachment:([^)]+)\)", cell["source"]))
            assert used == set(cell.get("attachments", {}))


def points(notebook: Any, number: int) -> dict[str, str]:
    """Each test cell's check, and what it says: "" where it passes. Errors end no notebook here."""
    cells, name = [], f"{number:02d}.ipynb"
    for cell in code(notebook):
        if cell["id"].endswith(("-begin", "-check")):
            continue
        source = cell["source"]
        if REQUIRE in source:
            source = (
                f"try:\n    {REQUIRE}\n    {source.splitlines()[-1]}\n    print('POINT', '')\n"
                "except AssertionError as error:\n    print('POINT', error)"
            )
        cells.append(source)
    with clean_workspace() as room:
        outcome = execute(Code(name, tuple(cells)), room)
    assert not outcome.error, outcome.error
    said = re.findall(r"^POINT (.*)$", outcome.printed, re.MULTILINE)
    names = re.findall(r'require\("\w+", "(\w+)"\)', "\n".join(cells))
    assert len(said) == len(names)
    return dict(zip(names, said, strict=True))


@pytest.mark.parametrize("slug", ["train", "run", "autolog"])
def test_solved_it_has_all_points_untouched_none(whole: Course, slug: str) -> None:
    number = whole.block(slug).number
    notebook = source_notebook(whole, number)
    solved = points(notebook, number)
    assert solved and set(solved.values()) == {""}
    untouched = points(released(notebook), number)
    assert untouched.keys() == solved.keys()
    assert all(untouched.values()), "a check without its hint"


# --- the functions -------------------------------------------------------------------------------


def test_require_raises_the_hint_of_its_check() -> None:
    with pytest.raises(AssertionError, match="there is no variable"):
        checking.require("train", checks_of(BLOCKS / "train").functions[0].__name__)
    with pytest.raises(CourseError, match="no check called nonsense"):
        checking.require(0, "nonsense")
    with pytest.raises(CourseError, match="There is no block 99"):
        checking.require(99, "test_x")


BEGIN = """
import json, os, sys
from pathlib import Path
from winelab.grading.nbgrader import begin
begin("run")
first = os.getcwd()
begin("run")
import mlflow
print(json.dumps({
    "same": first == os.getcwd(), "cwd": first, "uri": mlflow.get_tracking_uri(),
    "source": os.environ["WINELAB_SOURCE"], "mine": os.environ.get("MLFLOW_EXPERIMENT_NAME"),
    "table": Path("../data/red-wine-quality.csv").is_file(),
    "runs": len(mlflow.search_runs(search_all_experiments=True)),
}))
"""


def test_while_it_is_graded_a_notebook_has_a_room_of_its_own(tmp_path: Path) -> None:
    env = os.environ | {
        nbgrader.GRADING: "autograde",
        "MLFLOW_TRACKING_URI": f"sqlite:///{(tmp_path / 'mine.db').as_posix()}",
        "MLFLOW_EXPERIMENT_NAME": "of the instructor",
    }
    command = [sys.executable, "-c", BEGIN]
    out = subprocess.run(command, env=env, cwd=tmp_path, stdout=subprocess.PIPE, check=True)
    said = json.loads(out.stdout.splitlines()[-1])
    room = Path(said["cwd"]).parent
    assert said["same"] and said["table"] and said["runs"] == 0
    assert said["uri"] == f"sqlite:///{(room / 'mlflow.db').as_posix()}"
    assert said["source"] == f"{NAME}.ipynb" and said["mine"] is None
    assert ROOT not in room.parents
    assert not room.exists(), "the room is left behind"
    assert not list(tmp_path.iterdir())


def test_an_edited_source_is_not_overwritten(whole: Course, tmp_path: Path) -> None:
    first = write_course(tmp_path, whole, [NUMBER])
    assert [path.name for path in first] == [f"{NAME}.ipynb", "nbgrader_config.py"]
    # Untouched, it may be written again; settings are a person's from then on.
    assert [path.name for path in write_course(tmp_path, whole, [NUMBER])] == [f"{NAME}.ipynb"]
    text = first[0].read_text("utf-8").replace("1 point:", "One point:")
    first[0].write_text(text, encoding="utf-8")
    with pytest.raises(CourseError, match="was edited since"):
        write_course(tmp_path, whole, [NUMBER, NUMBER + 1])
    assert first[0].read_text("utf-8") == text
    assert not (tmp_path / "source" / whole.block(NUMBER + 1).name).exists()


def test_no_folder_is_one_sentence() -> None:
    with pytest.raises(CourseError, match="make nbgrader COURSE=folder"):
        assignments.main("", "3")


# --- nbgrader itself -----------------------------------------------------------------------------


@pytest.mark.skipif(
    importlib.util.find_spec("nbgrader") is None,
    reason="nbgrader is not installed: `make nbgrader`",
)
def test_nbgrader_releases_and_grades_it(whole: Course, tmp_path: Path) -> None:
    course = tmp_path / "my course é"
    write_course(course, whole, [NUMBER])
    # nbgrader calls alembic by its name: .venv must be active.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    env = os.environ | {"PATH": path}

    def call(*arguments: str) -> None:
        command = [sys.executable, "-m", "nbgrader", *arguments]
        done = subprocess.run(command, cwd=course, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    call("generate_assignment", NAME)
    release = course / "release" / NAME / f"{NAME}.ipynb"
    lab = {c["id"]: c["source"] for c in code(lab_notebook(whole, NUMBER))}
    notebook = nbformat.read(release, as_version=4)
    assert {c["id"]: c["source"] for c in code(notebook) if c["id"] in lab} == lab
    source = nbformat.read(course / "source" / NAME / f"{NAME}.ipynb", as_version=4)
    answers = {c["id"]: c["source"] for c in code(source) if "BEGIN SOLUTION" in c["source"]}
    for student, edit in {"all": "(none)", "some": 'run_name="elasticnet"', "none": None}.items():
        file = course / "submitted" / student / NAME / f"{NAME}.ipynb"
        file.parent.mkdir(parents=True)
        mine = nbformat.read(release, as_version=4)
        for cell in code(mine):
            if edit is not None and cell["id"] in answers:
                cell["source"] = answers[cell["id"]].replace(edit, "")
        nbformat.write(mine, file)
    call("autograde", NAME)
    call("generate_feedback", NAME)
    call("export")
    with (course / "grades.csv").open(encoding="utf-8", newline="") as lines:
        scores = {row["student_id"]: float(row["score"]) for row in csv.DictReader(lines)}
    assert scores == {"all": 3, "some": 2, "none": 0}
    feedback = (course / "feedback" / "none" / NAME / f"{NAME}.html").read_text(encoding="utf-8")
    assert "has made no run since it started" in feedback
