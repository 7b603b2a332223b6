"""Finding hand-ins: names that students and systems make, what is left out, and what is said."""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys
import time
import unicodedata
import zipfile
from pathlib import Path

import pytest

from winelab.core.errors import CourseError
from winelab.core.paths import LABS, SOLUTIONS
from winelab.grading import handins
from winelab.grading.handins import Named, find, owner_of, read_name, slugs
from winelab.grading.result import HandIn

NFC = unicodedata.normalize("NFC", "María Pérez")
NFD = unicodedata.normalize("NFD", "María Pérez")
EMPTY = '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'


def put(folder: Path, *names: str, text: str = "") -> None:
    """Write files below `folder`; each holds its own name, so that no two are equal."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text or f"# {name}", encoding="utf-8")


def zipped(path: Path, entries: dict[str, str]) -> Path:
    """Write a zip file with these entries."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in entries.items():
            archive.writestr(name, text)
    return path


def search(folder: Path) -> tuple[list[tuple[str, int]], str]:
    """What is found in `folder`, as student and block, and all remarks in one text."""
    desk = folder.parent / "desk" / f"{time.monotonic_ns()}"
    desk.mkdir(parents=True)
    hand_ins, remarks = find(folder, desk)
    return [(hand_in.student, hand_in.block) for hand_in in hand_ins], "\n".join(remarks)


# --- one name ------------------------------------------------------------------------------------

NAMES: dict[tuple[int | None, str | None], list[str]] = {
    # Block and student, and the names that say so; None for what a name does not say.
    (14, ""): [
        "14_autolog", "14_AUTOLOG", "14-autolog", "14 autolog", "14.autolog", "14",
        "14_autolog (1)", "14_autolog(12)", "14_autolog - Copy", "14_autolog - Copy (2)",
        "14_autolog-Copy1", "14_autolog-1", "Kopie von 14_autolog", "Copy of 14_autolog",
        "14_autolog_final", "14_autolog_solution v2", "Lab14", "LAB 14", "lab-14", "block 14",
    ],
    (14, "maria"): ["maria-14_autolog", "14_autolog_maria", "14_maria", "maria_lab14"],
    (14, "maria perez"): ["14_autolog_maria_perez (1)"],
    (14, "Maria Pérez"): ["Maria Pérez 14_autolog"],
    (14, "maria2"): ["maria2_14_autolog"],
    (14, "Maria"): ["Maria lab 14 final"],
    (3, ""): ["block_03", "3", "03", "3_run", "03_run"],
    (4, ""): ["4_params_metrics"],
    (10, ""): ["10_many_runs", "10 many runs"],
    (11, "jo"): ["11_many_experiments_jo"],
    (14, None): ["14_15"],
    (None, None): [
        "Untitled", "autolog", "15_autolog", "2026-11-21", "model2", "99", "homework", "labour",
        "03_run 14_autolog",
    ],
    (None, "a"): ["a (1)", "a - Copy", "a - Copy (3)", "a-Copy2", "Kopie von a"],
}  # fmt: skip


@pytest.mark.parametrize(("number", "rest"), NAMES)
def test_a_name_says_the_block_and_whose_it_is(number: int | None, rest: str | None) -> None:
    for stem in NAMES[number, rest]:
        said = read_name(stem, slugs())
        assert said.block == number, stem
        assert rest in (said.rest, None), stem


def test_each_block_is_known_by_its_own_name_in_every_form() -> None:
    for number, slug in slugs().items():
        for stem in (f"{number:02d}_{slug}", f"{number:02d}-{slug} (3)", f"jo_{number:02d}_{slug}"):
            assert read_name(stem, slugs()).block == number, stem


def test_a_number_elsewhere_in_the_name_is_taken_but_not_for_sure() -> None:
    assert read_name("maria 14", slugs()) == Named(14, "maria", sure=False)
    assert read_name("maria 14 15", slugs()).block is None


OWNERS = {
    "Maria Pérez_123456_assignsubmission_file_/14.ipynb": ("Maria Pérez", "14.ipynb"),
    "Maria Pérez_123456_assignsubmission_file/14.ipynb": ("Maria Pérez", "14.ipynb"),
    "Maria Pérez_123456_assignsubmission_file_14_autolog.ipynb": (
        "Maria Pérez",
        "14_autolog.ipynb",
    ),
    "course/Maria_1_assignsubmission_file_/a/14.ipynb": ("Maria", "14.ipynb"),
    "perezmaria_LATE_12345_67890_14_autolog-2.ipynb": ("perezmaria", "14_autolog-2.ipynb"),
    "perezmaria_12345_67890_14_autolog.ipynb": ("perezmaria", "14_autolog.ipynb"),
    "perezmaria_12345_67890_labs.zip/14.ipynb": ("perezmaria", "14.ipynb"),
    "Maria/week2/14_autolog.ipynb": ("Maria", "14_autolog.ipynb"),
    "Maria.zip/14_autolog.ipynb": ("Maria", "14_autolog.ipynb"),
    "14_autolog.ipynb": ("", "14_autolog.ipynb"),
}


@pytest.mark.parametrize("place", OWNERS)
def test_a_place_says_whose_it_is(place: str) -> None:
    owner = owner_of(tuple(place.split("/")))
    assert (owner.name, owner.file) == OWNERS[place]


# --- a folder ------------------------------------------------------------------------------------

CLASSES: dict[str, tuple[list[str], list[tuple[str, int]], list[str]]] = {
    # The files, who is found with which block, and words of each remark in order.
    "a folder a student, nested too": (
        ["Maria/week2/14_autolog.ipynb", "Maria/3.py", "Tom Ø/Lab14.ipynb"],
        [("Maria", 3), ("Maria", 14), ("Tom Ø", 14)], [],
    ),
    "one flat folder": (
        ["maria-14_autolog.ipynb", "14_autolog_tom.ipynb", "perez_LATE_12345_6789_03_run-2.py"],
        [("maria", 14), ("perez", 3), ("tom", 14)], ["perez: late, says Canvas (block 3)"],
    ),
    "two spellings of one name": (
        ["maria-14_autolog.ipynb", "Maria_03_run.ipynb"], [("Maria", 3), ("Maria", 14)],
        ["Maria and maria are taken for one student, Maria"],
    ),
    "two students of one name": (
        ["Jo_111_assignsubmission_file_/3.py", "Jo_222_assignsubmission_file_/3.py"],
        [("Jo (111)", 3), ("Jo (222)", 3)], ["several students share this name"],
    ),
    "one student with a number an assignment": (
        ["a/Jo_111_assignsubmission_file_/3.py", "b/Jo_222_assignsubmission_file_/14.py"],
        [("Jo", 3), ("Jo", 14)], [],
    ),
    "what systems leave": (
        ["Maria/3.py", "Maria/.ipynb_checkpoints/3.ipynb", "__MACOSX/Maria/._3.py", "Maria/._3.py",
         "Maria/.DS_Store", "Maria/mlruns/1/3.py", "Maria/.venv/lib/3.py", "Maria/mlflow.db",
         "Maria/output/4.py", "Maria/mlflow.db-wal", "Maria/__pycache__/3.py", ".git/4.py"],
        [("Maria", 3)], [],
    ),
    "what is no hand-in": (
        ["Maria/3.py", "Maria/report.pdf", "Maria/all.rar", "Maria/helper.py"], [("Maria", 3)],
        ["Maria/helper.py: left out, nothing says which block", "all.rar cannot be unpacked here",
         "Maria: left out report.pdf"],
    ),
    "a hundred versions": (
        [f"Maria/{at:03d}/14_autolog.py" for at in range(7)], [("Maria", 14)] * 5,
        ["has 7 versions of block 14", "has 7 versions of block 14"],
    ),
    "files that say no student": (
        ["14_autolog.ipynb", "3.py"], [("hw", 3), ("hw", 14)],
        ['14_autolog.ipynb, 3.py: nothing says whose it is; shown as "hw"'],
    ),
}  # fmt: skip


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
@pytest.mark.parametrize("what", CLASSES)
def test_a_class_in_a_folder_or_in_a_zip_file(tmp_path: Path, what: str, packed: bool) -> None:
    names, wanted, words = CLASSES[what]
    hw = tmp_path / "hw"
    put(hw, *names)
    if packed:
        hw = Path(shutil.make_archive(str(tmp_path / "hw"), "zip", hw))
    found, remarks = search(hw)
    assert found == wanted
    lines = remarks.splitlines()
    assert len(lines) == len(words)
    assert all(word in line for word, line in zip(words, lines, strict=True)), remarks


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has one folder for both spellings")
def test_accents_composed_or_not_are_one_student(tmp_path: Path) -> None:
    hw = tmp_path / "hw"
    put(hw, f"{NFC}/3.py", f"{NFD}/14.py")
    found, remarks = search(hw)
    assert found == [(NFC, 3), (NFC, 14)]
    assert remarks == ""


def test_content_tells_where_the_name_does_not(tmp_path: Path) -> None:
    hw = tmp_path / "hw"
    put(hw, "Maria/x.ipynb")
    shutil.copy(LABS / "14_autolog.ipynb", hw / "Maria" / "Untitled.ipynb")
    shutil.copy(SOLUTIONS / "03_run.py", hw / "Maria" / "mine.py")
    found, remarks = search(hw)
    assert found == [("Maria", 3), ("Maria", 14)]
    assert "Maria/Untitled.ipynb: taken for block 14; its content says so" in remarks
    assert "Maria/mine.py: taken for block 3" in remarks
    assert "mine.py: is solutions/03_run.py of the course, to the letter" in remarks
    assert "Maria/x.ipynb: left out" in remarks


def test_the_name_wins_over_the_content_and_it_is_said(tmp_path: Path) -> None:
    hw = tmp_path / "hw" / "Maria"
    hw.mkdir(parents=True)
    shutil.copy(LABS / "14_autolog.ipynb", hw / "15_pyfunc.ipynb")
    found, remarks = search(hw.parent)
    assert found == [("Maria", 15)]
    assert "made from the notebook of block 14" in remarks


@pytest.mark.parametrize(
    "text",
    ["", "[]", "nul", '{"cells": 3}', '{"metadata": 1, "cells": []}', "[" * 100_000, "\udcff"],
)
def test_a_broken_notebook_is_found_by_its_name(tmp_path: Path, text: str) -> None:
    hw = tmp_path / "hw"
    put(hw, "Maria/3.ipynb")
    (hw / "Maria" / "3.ipynb").write_bytes(text.encode("utf-8", "surrogateescape"))
    (hw / "Maria" / "x.ipynb").write_bytes(text.encode("utf-8", "surrogateescape") + b" ")
    assert search(hw)[0] == [("Maria", 3)]


def test_a_copy_of_the_whole_course_counts_by_its_labs_alone(tmp_path: Path) -> None:
    hw = tmp_path / "hw"
    course = hw / "Maria" / "wine-lab"
    put(course, "winelab/3.py", "blocks/14.py", "solutions/03_run.py", "tests/4.py")
    (course / "labs").mkdir()
    for name in ("03_run.ipynb", "14_autolog.ipynb"):
        shutil.copy(LABS / name, course / "labs")
    lab = course / "labs" / "14_autolog.ipynb"
    lab.write_text(lab.read_text("utf-8").replace("# 3. Train", "# 3. Train!"), encoding="utf-8")
    found, remarks = search(hw)
    assert found == [("Maria", 14)]
    assert "1 untouched notebooks" in remarks


def test_versions_are_all_found_equal_ones_once(tmp_path: Path) -> None:
    hw = tmp_path / "hw"
    put(hw, "Maria/14_autolog.ipynb", "Maria/14_autolog.py", "Maria/14_autolog (1).ipynb")
    put(hw, "Maria/old/14.ipynb", "Maria/old/14 - Copy.ipynb", text=EMPTY)
    found, remarks = search(hw)
    assert found == [("Maria", 14)] * 4
    assert "it is the same file as Maria/old/14 - Copy.ipynb" in remarks


@pytest.mark.skipif(os.name == "nt", reason="Windows makes links for administrators only")
def test_links_are_not_followed(tmp_path: Path) -> None:
    hw = tmp_path / "hw"
    put(tmp_path, "secret/14.py")
    put(hw, "Maria/3.py")
    (hw / "Maria" / "more").symlink_to(tmp_path / "secret")
    (hw / "Maria" / "14.py").symlink_to(tmp_path / "secret" / "14.py")
    (hw / "Maria" / "loop").symlink_to(hw)
    found, remarks = search(hw)
    assert found == [("Maria", 3)]
    assert remarks.count("symbolic link") == 3


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="such names exist on Linux only")
def test_a_name_that_is_no_text_can_be_shown(tmp_path: Path) -> None:
    hw = tmp_path / "hw"
    folder = Path(os.fsdecode(os.fsencode(hw) + b"/M\xff\nx\x1b[31m"))
    put(folder, "3.py")
    [(student, block)] = search(hw)[0]
    assert block == 3
    student.encode("utf-8")
    assert student.isprintable()


# --- zip files -----------------------------------------------------------------------------------


def test_one_zip_of_all_from_moodle_and_from_canvas(tmp_path: Path) -> None:
    moodle = zipped(
        tmp_path / "CS-Assignment 4.zip",
        {
            "Maria Pérez_12_assignsubmission_file_/14.py": "1",
            "Tom_13_assignsubmission_file_/14.py": "2",
        },
    )
    canvas = zipped(
        tmp_path / "submissions.zip", {"tom_123_456_3.py": "1", "maria_LATE_124_457_3-2.py": "2"}
    )
    assert search(moodle)[0] == [("Maria Pérez", 14), ("Tom", 14)]
    assert search(canvas)[0] == [("maria", 3), ("tom", 3)]
    # The same where it lies in the folder.
    folder = tmp_path / "hw"
    folder.mkdir()
    moodle.rename(folder / moodle.name)
    assert search(folder)[0] == [("Maria Pérez", 14), ("Tom", 14)]


def test_a_zip_of_a_folder_of_students(tmp_path: Path) -> None:
    file = zipped(tmp_path / "hw1.zip", {"hw1/Maria/3.py": "1", "hw1/Tom/3.py": "2"})
    assert search(file)[0] == [("Maria", 3), ("Tom", 3)]


def test_zips_of_students(tmp_path: Path) -> None:
    hw = tmp_path / "hw"
    zipped(hw / "Maria" / "week.zip", {"a/14.py": "1", "a/.DS_Store": ""})
    zipped(hw / "Tom.zip", {"14.py": "2"})
    zipped(hw / "Jo_7_assignsubmission_file_week.zip", {"14.py": "3"})
    inner = zipped(tmp_path / "inner.zip", {"14.py": "4"}).read_bytes()
    with zipfile.ZipFile(hw / "Ann.zip", "w") as archive:
        archive.writestr("inner.zip", inner)
    assert search(hw) == ([("Ann", 14), ("Jo", 14), ("Maria", 14), ("Tom", 14)], "")


def test_nothing_is_written_outside_of_the_desk(tmp_path: Path) -> None:
    hw = tmp_path / "hw"
    names = ("../../evil.py", "/tmp/evil/3.py", "C:\\evil\\3.py", "..\\evil.py", "a/../../3.py")
    zipped(hw / "Tom.zip", {"3.py": "1", **dict.fromkeys(names, "x")})
    found, remarks = search(hw)
    assert found == [("Tom", 3)]
    assert remarks.count("leads out of the zip file") == len(names)
    assert not list(tmp_path.rglob("*evil*"))
    outside = [p for p in tmp_path.rglob("*.py") if tmp_path / "desk" not in p.parents]
    assert not outside


def test_a_link_in_a_zip_is_left_out(tmp_path: Path) -> None:
    hw = tmp_path / "hw"
    link = zipfile.ZipInfo("14.py")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    zipped(hw / "Tom.zip", {"3.py": "1"})
    with zipfile.ZipFile(hw / "Tom.zip", "a") as archive:
        archive.writestr(link, "/etc/passwd")
    found, remarks = search(hw)
    assert found == [("Tom", 3)]
    assert "symbolic link" in remarks


def test_a_zip_that_swells_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handins, "MOST_BYTES", 2_000_000)
    hw = tmp_path / "hw"
    zipped(hw / "Tom.zip", {"3.py": "1", "14.py": "x" * 9_000_000})
    found, remarks = search(hw)
    assert found == [("Tom", 3)]
    assert "14.py: left out, it is larger than 2,000,000 bytes" in remarks
    assert all(p.stat().st_size <= 2_000_000 for p in (tmp_path / "desk").rglob("*.py"))


def test_all_zips_together_have_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handins, "MOST_UNPACKED", 1_000)
    hw = tmp_path / "hw"
    for student in ("Ann", "Tom"):
        zipped(hw / f"{student}.zip", {"3.py": student * 250})
    assert search(hw)[0] == [("Ann", 3)]


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04broken", None])
def test_a_broken_zip_stops_nobody(tmp_path: Path, content: bytes | None) -> None:
    hw = tmp_path / "hw"
    put(hw, "Maria/3.py")
    file = zipped(hw / "Tom.zip", {"3.py": "x" * 1000})
    # A whole one, of which the packed bytes make no sense.
    spoilt = file.read_bytes()[:34] + b"\xff" * 4 + file.read_bytes()[38:]
    file.write_bytes(spoilt if content is None else content)
    found, remarks = search(hw)
    assert found == [("Maria", 3)]
    assert "Tom.zip: this zip file cannot be read" in remarks


def test_names_that_finder_writes_are_read_as_meant(tmp_path: Path) -> None:
    hw = tmp_path / "hw.zip"
    zipped(hw, {"Zoe/3.py": "1", "Tom/3.py": "2"})
    # Python marks UTF-8 names, Finder does not: put two bytes of an accent in by hand.
    hw.write_bytes(hw.read_bytes().replace(b"Zoe/", b"\xc3\xa9o/"))
    assert search(hw)[0] == [("Tom", 3), ("éo", 3)]


# --- one sentence --------------------------------------------------------------------------------


def test_what_cannot_be_graded_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    put(tmp_path, "a.txt", "only/Maria/notes.txt")
    cases = {
        "missing": "There is no folder",
        "a.txt": "is a file: name the folder",
        "empty": "There is no notebook",
        "only": "notes.txt",
    }
    for name, words in cases.items():
        with pytest.raises(CourseError, match=words) as caught:
            search(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_the_files_are_the_ones_that_were_found(tmp_path: Path) -> None:
    hw = tmp_path / "hw"
    put(hw, "Maria/3.py", text="print(1)")
    zipped(hw / "Tom.zip", {"a/3 (1).ipynb": EMPTY})
    desk = tmp_path / "desk"
    desk.mkdir()
    maria, tom = find(hw, desk)[0]
    assert maria == HandIn("Maria", 3, hw / "Maria" / "3.py")
    assert tom.file.name == "3 (1).ipynb"
    assert json.loads(tom.file.read_text("utf-8")) == json.loads(EMPTY)
