"""A package of part 4 that is handed in, as a notebook or as its folder."""

from __future__ import annotations

import shutil
from pathlib import Path

from winelab.core.paths import SOLUTIONS
from winelab.course.source import course
from winelab.grading.grader import grade_one
from winelab.grading.handins import find
from winelab.grading.limits import Limits
from winelab.grading.result import HandIn

BLOCK = course().block("compare")


def handed_in(tmp_path: Path, place: str) -> Path:
    """A class folder in which somebody has handed in the solved package there."""
    target = tmp_path / "class" / place
    shutil.copytree(SOLUTIONS / BLOCK.name, target, ignore=shutil.ignore_patterns("__pycache__"))
    return target


def found(tmp_path: Path) -> tuple[list[HandIn], str]:
    """The hand-ins of the class folder, and all remarks."""
    desk = tmp_path / "desk"
    desk.mkdir()
    hand_ins, remarks = find(tmp_path / "class", desk)
    return hand_ins, "\n".join(remarks)


def test_a_package_is_one_hand_in_with_all_its_files(tmp_path: Path) -> None:
    folder = handed_in(tmp_path, f"Maria/my/{BLOCK.name}")
    (folder / "src" / "wineops" / "wines.py").write_text("mine = 1\n", encoding="utf-8")
    (folder / "notes" / "idea.md").parent.mkdir()
    (folder / "notes" / "idea.md").write_text("An idea, größer.\n", encoding="utf-8")
    (hand_in,), remarks = found(tmp_path)
    assert (hand_in.student, hand_in.block, remarks) == ("Maria", BLOCK.number, "")
    text = hand_in.file.read_text(encoding="utf-8")
    assert "src/wineops/wines.py\\nmine = 1" in text
    assert "notes/idea.md" in text and "wineops.compare" in text


def test_a_package_in_a_zip_is_the_same_and_the_solution_is_told(tmp_path: Path) -> None:
    handed_in(tmp_path, f"tom/{BLOCK.name}")
    shutil.make_archive(str(tmp_path / "class" / "tom"), "zip", tmp_path / "class" / "tom")
    shutil.rmtree(tmp_path / "class" / "tom")
    handed_in(tmp_path, f"Ann/{BLOCK.name}")
    hand_ins, remarks = found(tmp_path)
    assert {(one.student, one.block) for one in hand_ins} == {
        ("tom", BLOCK.number),
        ("Ann", BLOCK.number),
    }
    first, second = (one.file.read_bytes() for one in hand_ins)
    assert first == second
    assert remarks.count(f"is solutions/{BLOCK.name} of the course, to the letter") == 2


def test_a_folder_that_is_called_after_a_block_may_hold_a_notebook(tmp_path: Path) -> None:
    folder = tmp_path / "class" / "Ann" / BLOCK.name
    folder.mkdir(parents=True)
    shutil.copy(SOLUTIONS / f"{BLOCK.name}.ipynb", folder)
    (hand_in,), _ = found(tmp_path)
    assert (hand_in.student, hand_in.block) == ("Ann", BLOCK.number)
    assert hand_in.file.name == f"{BLOCK.name}.ipynb"


def test_a_solved_package_has_all_its_marks_and_a_mistake_costs_one(tmp_path: Path) -> None:
    handed_in(tmp_path, f"Ann/{BLOCK.name}")
    folder = handed_in(tmp_path, f"Bob/{BLOCK.name}")
    families = folder / "src" / "wineops" / "families.py"
    text = families.read_text(encoding="utf-8")
    scaled = "make_pipeline(StandardScaler(), SVR())"
    families.write_text(text.replace(scaled, "SVR()"), encoding="utf-8")
    grades = {one.student: grade_one(one, Limits(seconds=600.0)) for one in found(tmp_path)[0]}
    assert (grades["Ann"].problem, grades["Ann"].score) == ("", 1.0), grades["Ann"]
    (todo,) = [verdict for verdict in grades["Bob"].own if not verdict.done]
    assert "StandardScaler" in todo.hint
