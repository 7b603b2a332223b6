"""Building labs/ and solutions/: the same bytes each time, and nobody's work lost."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from tools.made_up import made_up, task, write_order
from winelab.core.errors import CourseError
from winelab.course.build import OUTPUTS, differences, outputs_text, write
from winelab.course.source import Course, read_course

OUTLINE = """\
[imports]
import-a

[train] Train
fit
show
"""
FIRST = "# %% import-a (given)\nimport a\n"
SECOND = f"# %% fit\n{task('fit.')}fit()\n"
LAB, SCRIPT, SOLVED = "labs/01_block1.ipynb", "solutions/01_block1.py", "solutions/01_block1.ipynb"


@pytest.fixture
def course(tmp_path: Path) -> Course:
    """A course of two blocks in `tmp_path`, built."""
    course = made_up(tmp_path, OUTLINE, FIRST, (SECOND, "train"))
    write(course, tmp_path)
    return course


def contents(root: Path) -> dict[str, bytes]:
    """Every file in labs and solutions."""
    found = [*root.glob("labs/**/*"), *root.glob("solutions/**/*")]
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in found if p.is_file()}


def edit(path: Path, old: str, new: str) -> None:
    """Change the text of a file."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def built(root: Path) -> set[str]:
    """What a build of the sources as they are now writes or takes away."""
    changed = write(read_course(root / "blocks"), root)
    return {path.relative_to(root).as_posix() for path in changed}


def run_cells(path: Path) -> bytes:
    """Give every code cell of a notebook an output, as if it had been run; the file's content."""
    notebook = nbformat.read(path, as_version=4)
    for at, cell in enumerate((c for c in notebook.cells if c.cell_type == "code"), start=1):
        cell["execution_count"] = at
        cell["outputs"] = [nbformat.v4.new_output("stream", name="stdout", text=f"out {at}\n")]
    nbformat.write(notebook, path)
    return path.read_bytes()


def kept(root: Path) -> list[bytes]:
    """The notebooks that were kept aside."""
    return [path.read_bytes() for path in (root / ".winelab" / "kept").glob("*.ipynb")]


# --- the same each time ------------------------------------------------------------------------


def test_each_block_gets_a_lab_a_script_and_a_solved_notebook(tmp_path: Path) -> None:
    course = made_up(tmp_path, OUTLINE, FIRST, (SECOND, "train"))
    missing = [sentence.split(" is missing")[0] for sentence in differences(course, tmp_path)]
    assert contents(tmp_path) == {}, "looking for differences writes nothing"
    assert built(tmp_path) == set(contents(tmp_path)) == set(missing)
    assert sorted(missing) == [
        *("labs/00_block0.ipynb", LAB),
        *("solutions/00_block0.ipynb", "solutions/00_block0.py", SOLVED, SCRIPT),
    ]
    assert built(tmp_path) == set()
    assert differences(course, tmp_path) == []
    for name, content in contents(tmp_path).items():
        assert b"\r" not in content, name
        assert content.endswith(b"\n") and not content.endswith(b"\n\n"), name


@pytest.mark.parametrize(
    ("source", "old", "new", "files"),
    [
        ("code.py", "fit()", "fit(1)", {SCRIPT, SOLVED}),
        ("lesson.md", "## Why", "## Why\n\nBecause.", {LAB}),
    ],
)
def test_a_source_that_changed_changes_only_the_files_made_from_it(
    tmp_path: Path, course: Course, source: str, old: str, new: str, files: set[str]
) -> None:
    edit(tmp_path / "blocks" / "block1" / source, old, new)
    assert built(tmp_path) == files
    # Nobody had worked in it.
    assert kept(tmp_path) == []


def test_a_file_that_was_checked_out_with_windows_line_ends_is_written_anew(
    tmp_path: Path, course: Course
) -> None:
    path = tmp_path / SCRIPT
    content = path.read_bytes()
    path.write_bytes(content.replace(b"\n", b"\r\n"))
    assert len(differences(course, tmp_path)) == 1
    assert built(tmp_path) == {SCRIPT}
    assert path.read_bytes() == content


# --- outputs -----------------------------------------------------------------------------------


def test_stored_outputs_go_with_the_code_that_made_them(tmp_path: Path, course: Course) -> None:
    path = tmp_path / SOLVED
    run = run_cells(path)
    stored = tmp_path / "blocks" / "block1" / OUTPUTS
    stored.write_text(
        outputs_text(course, course.block(1), nbformat.read(path, as_version=4)), encoding="utf-8"
    )
    assert differences(course, tmp_path) == []
    edit(tmp_path / "blocks" / "block1" / "code.py", "fit()", "fit(1)")
    assert built(tmp_path) == {SCRIPT, SOLVED}
    cells = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    assert [bool(cell.outputs) for cell in cells] == [True, False, True]
    edit(tmp_path / "blocks" / "block1" / "code.py", "fit(1)", "fit()")
    assert built(tmp_path) == {SCRIPT, SOLVED}
    assert path.read_bytes() == run


def test_outputs_that_cannot_be_read_are_named(tmp_path: Path, course: Course) -> None:
    (tmp_path / "blocks" / "block1" / OUTPUTS).write_text("<<<<<<< HEAD\n", encoding="utf-8")
    with pytest.raises(CourseError, match=rf"^block1/{OUTPUTS}:1: .*run make outputs"):
        differences(course, tmp_path)


@pytest.mark.parametrize("content", [None, b"<<<<<<< HEAD\n{", b"{}", b"[]", b"", b"\xff\xfe"])
def test_whatever_stands_in_a_solved_notebook_is_no_source(
    tmp_path: Path, course: Course, content: bytes | None
) -> None:
    path = tmp_path / SOLVED
    before = path.read_bytes()
    if content is None:
        run_cells(path)
    else:
        path.write_bytes(content)
    (sentence,) = differences(course, tmp_path)
    assert sentence.startswith(f"{SOLVED} is not what its source says: edit blocks/block1/,")
    assert built(tmp_path) == {SOLVED}
    assert path.read_bytes() == before


# --- a student's work --------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["run", "edited"])
def test_a_lab_that_was_worked_in_is_kept_aside_and_said_so(
    tmp_path: Path, course: Course, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    lab = tmp_path / LAB
    before = lab.read_bytes()
    if how == "run":
        run_cells(lab)
    else:
        edit(lab, "check(1)", "check(1)\\nmine = 1")
    work = lab.read_bytes()
    (found,) = differences(course, tmp_path)
    assert found.startswith(f"{LAB} was worked in: run make build")
    assert built(tmp_path) == {LAB}
    assert lab.read_bytes() == before
    assert kept(tmp_path) == [work]
    assert LAB in capsys.readouterr().out


def test_a_lab_that_jupyter_only_opened_is_no_difference(tmp_path: Path, course: Course) -> None:
    notebook = nbformat.read(tmp_path / LAB, as_version=4)
    notebook.metadata["language_info"] = {"name": "python", "version": "3.13.1"}
    nbformat.write(notebook, tmp_path / LAB)
    assert differences(course, tmp_path) == []


def test_the_files_of_a_renamed_block_go_and_nothing_of_a_students(
    tmp_path: Path, course: Course
) -> None:
    work = run_cells(tmp_path / LAB)
    # A script goes also where its notebook is gone already.
    (tmp_path / SOLVED).unlink()
    own = {
        "labs/01_block1 (1).ipynb": work,
        "labs/01_block1-Copy1.ipynb": work,
        "labs/notes.ipynb": b"{}",
        "solutions/mine.py": b"print(1)\n",
    }
    for name, content in own.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "blocks" / "block1").rename(tmp_path / "blocks" / "newname")
    write_order(tmp_path / "blocks", "block0", "newname")
    sentences = differences(read_course(tmp_path / "blocks"), tmp_path)
    assert sum("no block any more" in sentence for sentence in sentences) == 2
    new = {"labs/01_newname.ipynb", "solutions/01_newname.ipynb", "solutions/01_newname.py"}
    assert built(tmp_path) == {LAB, SCRIPT, *new, "labs/00_block0.ipynb"}
    assert {name for name in contents(tmp_path) if "00_" not in name} == {*own, *new}
    assert {name: contents(tmp_path)[name] for name in own} == own
    assert kept(tmp_path) == [work]


# --- what differs ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "old", "new", "edit_here"),
    [
        # The line is in the block that brought it, which is not the block of the script.
        pytest.param(SCRIPT, "import a", "import b", "blocks/block0/code.py:2", id="a line"),
        pytest.param(SCRIPT, "# Train", "# Mine", "blocks/outline.txt:4", id="a cell's title"),
        pytest.param(SCRIPT, "fit()", "fit()\nmine()", "blocks/block1/code.py:5", id="more"),
        pytest.param(SOLVED, "import a", "import mine", "blocks/block1/", id="a notebook"),
        pytest.param(LAB, '"given"', '"shown"', "blocks/block1/", id="what a lab shows"),
    ],
)
def test_a_built_file_that_was_edited_is_named_with_the_source_to_edit(
    tmp_path: Path, course: Course, name: str, old: str, new: str, edit_here: str
) -> None:
    edit(tmp_path / name, old, new)
    (sentence,) = differences(course, tmp_path)
    assert sentence.startswith(f"{name} is not what its source says: edit {edit_here}, ")
