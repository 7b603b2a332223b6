"""Building labs/ and solutions/: the same bytes each time, and nobody's work lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest

from tools.made_up import lesson, made_up, task
from winelab.course.build import built_files, differences, write
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


@pytest.fixture
def course(tmp_path: Path) -> Course:
    return made_up(tmp_path, OUTLINE, FIRST, (SECOND, "train"))


def contents(root: Path) -> dict[str, bytes]:
    """Every file in labs and solutions."""
    found = [*root.glob("labs/**/*"), *root.glob("solutions/**/*")]
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in found if p.is_file()}


def edit(root: Path, name: str, old: str, new: str) -> Course:
    """Change a source, and read the course again."""
    path = root / "blocks" / name
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    return read_course(root / "blocks")


def run_cells(path: Path) -> None:
    """Give every code cell of a notebook an output, as if it had been run."""
    notebook = nbformat.read(path, as_version=4)
    for at, cell in enumerate(c for c in notebook.cells if c.cell_type == "code"):
        cell["execution_count"] = at + 1
        cell["outputs"] = [nbformat.v4.new_output("stream", name="stdout", text=f"out {at}\n")]
    nbformat.write(notebook, path)


def outputs(path: Path) -> dict[str, list[Any]]:
    """The outputs of the code cells by the end of their ids."""
    cells = nbformat.read(path, as_version=4).cells
    return {c["id"].split("-", maxsplit=1)[1]: c.outputs for c in cells if c.cell_type == "code"}


# --- the same each time ------------------------------------------------------------------------


def test_each_block_gets_a_lab_a_script_and_a_solved_notebook(
    tmp_path: Path, course: Course
) -> None:
    written = {path.relative_to(tmp_path).as_posix() for path in write(course, tmp_path)}
    assert (
        written
        == set(contents(tmp_path))
        == {
            f"{folder}/{name}"
            for name in ("00_block", "01_block")
            for folder, name in (
                ("labs", f"{name}.ipynb"),
                ("solutions", f"{name}.py"),
                ("solutions", f"{name}.ipynb"),
            )
        }
    )


def test_building_twice_changes_not_a_byte(tmp_path: Path, course: Course) -> None:
    write(course, tmp_path)
    before = contents(tmp_path)
    assert write(read_course(tmp_path / "blocks"), tmp_path) == []
    assert contents(tmp_path) == before
    assert differences(course, tmp_path) == []


def test_building_over_stored_outputs_changes_not_a_byte(tmp_path: Path, course: Course) -> None:
    write(course, tmp_path)
    run_cells(tmp_path / "solutions" / "01_block.ipynb")
    write(course, tmp_path)
    before = contents(tmp_path)
    assert b"out 0" in before["solutions/01_block.ipynb"]
    assert write(course, tmp_path) == []
    assert contents(tmp_path) == before


def test_a_source_that_changed_changes_only_the_files_made_from_it(
    tmp_path: Path, course: Course
) -> None:
    write(course, tmp_path)
    changed = edit(tmp_path, "01_block/code.py", "fit()", "fit(1)")
    names = {path.relative_to(tmp_path).as_posix() for path in write(changed, tmp_path)}
    assert names == {"solutions/01_block.py", "solutions/01_block.ipynb"}


def test_files_end_their_lines_alike_on_every_system(tmp_path: Path, course: Course) -> None:
    write(course, tmp_path)
    for name, content in contents(tmp_path).items():
        assert b"\r" not in content, name
        assert content.endswith(b"\n"), name
        assert not content.endswith(b"\n\n"), name


def test_a_file_that_was_checked_out_with_windows_line_ends_is_written_anew(
    tmp_path: Path, course: Course
) -> None:
    write(course, tmp_path)
    path = tmp_path / "solutions" / "00_block.py"
    content = path.read_bytes()
    path.write_bytes(content.replace(b"\n", b"\r\n"))
    assert len(differences(course, tmp_path)) == 1
    assert write(course, tmp_path) == [path]
    assert path.read_bytes() == content


# --- outputs -----------------------------------------------------------------------------------


def test_outputs_stay_with_code_that_stayed_and_go_with_code_that_changed(
    tmp_path: Path, course: Course
) -> None:
    write(course, tmp_path)
    solved = tmp_path / "solutions" / "01_block.ipynb"
    run_cells(solved)
    write(edit(tmp_path, "01_block/code.py", "fit()", "fit(1)"), tmp_path)
    kept = outputs(solved)
    assert kept["imports"]
    assert kept["check"]
    assert kept["train"] == []


def test_a_solved_notebook_that_cannot_be_read_is_built_anew(
    tmp_path: Path, course: Course
) -> None:
    write(course, tmp_path)
    solved = tmp_path / "solutions" / "01_block.ipynb"
    content = solved.read_bytes()
    for broken in (b"<<<<<<< HEAD\n" + content, b"{}", b"[]", b"", b"\xff\xfe"):
        solved.write_bytes(broken)
        assert write(course, tmp_path) == [solved]
        assert solved.read_bytes() == content


def test_a_lab_never_carries_outputs(tmp_path: Path, course: Course) -> None:
    write(course, tmp_path)
    run_cells(tmp_path / "labs" / "01_block.ipynb")
    write(course, tmp_path)
    assert not any(outputs(tmp_path / "labs" / "01_block.ipynb").values())


# --- a student's work --------------------------------------------------------------------------


def kept(root: Path) -> list[bytes]:
    """The notebooks that were kept aside."""
    return [path.read_bytes() for path in (root / ".winelab" / "kept").glob("*.ipynb")]


def test_a_lab_that_was_worked_in_is_kept_aside_and_said_so(
    tmp_path: Path, course: Course, capsys: pytest.CaptureFixture[str]
) -> None:
    write(course, tmp_path)
    lab = tmp_path / "labs" / "01_block.ipynb"
    run_cells(lab)
    work = lab.read_bytes()
    write(course, tmp_path)
    assert kept(tmp_path) == [work]
    assert "labs/01_block.ipynb" in capsys.readouterr().out


def test_a_lab_that_jupyter_only_opened_is_no_difference(tmp_path: Path, course: Course) -> None:
    write(course, tmp_path)
    lab = tmp_path / "labs" / "01_block.ipynb"
    notebook = nbformat.read(lab, as_version=4)
    notebook.metadata["language_info"] = {"name": "python", "version": "3.13.1"}
    nbformat.write(notebook, lab)
    assert differences(course, tmp_path) == []


def test_a_lab_that_was_worked_in_is_named_as_such(tmp_path: Path, course: Course) -> None:
    write(course, tmp_path)
    run_cells(tmp_path / "labs" / "01_block.ipynb")
    (found,) = differences(course, tmp_path)
    assert found.startswith("labs/01_block.ipynb was worked in: run make build")


def test_a_lab_that_was_edited_and_never_run_is_kept_aside(tmp_path: Path, course: Course) -> None:
    write(course, tmp_path)
    lab = tmp_path / "labs" / "01_block.ipynb"
    notebook = nbformat.read(lab, as_version=4)
    notebook.cells[-2]["source"] += "\nmine = 1"
    nbformat.write(notebook, lab)
    work = lab.read_bytes()
    write(course, tmp_path)
    assert kept(tmp_path) == [work]


def test_a_script_whose_notebook_is_gone_already_is_taken_away_too(
    tmp_path: Path, course: Course
) -> None:
    write(course, tmp_path)
    own = tmp_path / "solutions" / "mine.py"
    own.write_text("print('mine')\n", encoding="utf-8")
    after = renamed(tmp_path)
    (tmp_path / "solutions" / "01_block.ipynb").unlink()
    write(after, tmp_path)
    assert not (tmp_path / "solutions" / "01_block.py").exists()
    assert own.exists()


def test_a_lab_that_nobody_ran_is_replaced_without_a_copy(tmp_path: Path, course: Course) -> None:
    write(course, tmp_path)
    write(edit(tmp_path, "01_block/lesson.md", "## Why", "## Why\n\nBecause."), tmp_path)
    assert kept(tmp_path) == []


def renamed(root: Path) -> Course:
    """The course after block 1 got another name."""
    (root / "blocks" / "01_block").rename(root / "blocks" / "01_newname")
    return read_course(root / "blocks")


def test_the_files_of_a_renamed_block_are_taken_away(tmp_path: Path, course: Course) -> None:
    write(course, tmp_path)
    after = renamed(tmp_path)
    assert sum("no block any more" in line for line in differences(after, tmp_path)) == 3
    write(after, tmp_path)
    assert {name for name in contents(tmp_path) if "01_" in name} == {
        "labs/01_newname.ipynb",
        "solutions/01_newname.ipynb",
        "solutions/01_newname.py",
    }


def test_a_students_own_files_stay_when_a_block_is_renamed(tmp_path: Path, course: Course) -> None:
    write(course, tmp_path)
    lab = tmp_path / "labs" / "01_block.ipynb"
    own = {
        "labs/01_block (1).ipynb": lab.read_bytes(),
        "labs/01_block-Copy1.ipynb": lab.read_bytes(),
        "labs/notes.ipynb": b"{}",
        "solutions/mine.py": b"print(1)\n",
    }
    for name, content in own.items():
        (tmp_path / name).write_bytes(content)
    write(renamed(tmp_path), tmp_path)
    assert not lab.exists()
    assert {name: contents(tmp_path).get(name) for name in own} == own


def test_a_worked_in_lab_of_a_renamed_block_is_kept_aside(tmp_path: Path, course: Course) -> None:
    write(course, tmp_path)
    lab = tmp_path / "labs" / "01_block.ipynb"
    run_cells(lab)
    work = lab.read_bytes()
    write(renamed(tmp_path), tmp_path)
    assert not lab.exists()
    assert kept(tmp_path) == [work]


# --- what differs ------------------------------------------------------------------------------


def test_a_built_file_that_was_edited_is_named_with_the_source_line_to_edit(
    tmp_path: Path, course: Course
) -> None:
    write(course, tmp_path)
    script = tmp_path / "solutions" / "01_block.py"
    script.write_text(
        script.read_text(encoding="utf-8").replace("import a", "import mine"), encoding="utf-8"
    )
    (sentence,) = differences(course, tmp_path)
    assert "solutions/01_block.py" in sentence
    # The line is in the block that brought it, which is not the block of the script.
    assert "blocks/00_block/code.py:2" in sentence


def test_an_edited_cell_title_leads_to_the_outline(tmp_path: Path, course: Course) -> None:
    write(course, tmp_path)
    script = tmp_path / "solutions" / "01_block.py"
    script.write_text(
        script.read_text(encoding="utf-8").replace("# Train", "# Mine"), encoding="utf-8"
    )
    (sentence,) = differences(course, tmp_path)
    assert " blocks/outline.txt:4" in sentence


def test_lines_added_to_the_end_of_a_script_are_noticed(tmp_path: Path, course: Course) -> None:
    write(course, tmp_path)
    script = tmp_path / "solutions" / "01_block.py"
    script.write_bytes(script.read_bytes() + b"print(1)\n")
    (sentence,) = differences(course, tmp_path)
    assert "solutions/01_block.py" in sentence
    assert "blocks/01_block/code.py:6" in sentence


@pytest.mark.parametrize("folder", ["labs", "solutions"])
def test_an_edited_notebook_is_named_with_the_folder_to_edit(
    tmp_path: Path, course: Course, folder: str
) -> None:
    write(course, tmp_path)
    path = tmp_path / folder / "01_block.ipynb"
    path.write_bytes(path.read_bytes().replace(b"import a", b"import mine"))
    (sentence,) = differences(course, tmp_path)
    assert f"{folder}/01_block.ipynb" in sentence
    assert "blocks/01_block/" in sentence


def test_a_missing_file_is_named(tmp_path: Path, course: Course) -> None:
    write(course, tmp_path)
    (tmp_path / "labs" / "00_block.ipynb").unlink()
    (sentence,) = differences(course, tmp_path)
    assert "labs/00_block.ipynb" in sentence


def test_looking_for_differences_writes_nothing(tmp_path: Path, course: Course) -> None:
    assert len(differences(course, tmp_path)) == 6
    assert not (tmp_path / "labs").exists()
    assert len(built_files(course, tmp_path)) == 6
    assert not (tmp_path / "solutions").exists()


def test_a_changed_lesson_shows_in_the_lab_alone(tmp_path: Path, course: Course) -> None:
    write(course, tmp_path)
    (tmp_path / "blocks" / "01_block" / "lesson.md").write_text(
        lesson("train", title="Block 1", keypoints="[other]"), encoding="utf-8"
    )
    (sentence,) = differences(read_course(tmp_path / "blocks"), tmp_path)
    assert "labs/01_block.ipynb" in sentence
