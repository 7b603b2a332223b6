"""Finding hand-ins: names that students and systems make, what is left out, and what is said."""

from __future__ import annotations

import io
import json
import os
import shutil
import stat
import sys
import unicodedata
import zipfile
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from winelab.core.errors import CourseError
from winelab.core.paths import LABS, SOLUTIONS
from winelab.grading import handins
from winelab.grading.grader import grade_one
from winelab.grading.handins import Named, find, read_name, slugs
from winelab.grading.result import HandIn, read_file

NFC = unicodedata.normalize("NFC", "María Pérez")
NFD = unicodedata.normalize("NFD", "María Pérez")
EMPTY = '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'


def contents(names: Iterable[str], text: str) -> dict[str, bytes]:
    """What these files hold: its own name, so that no two are equal; a zip what lies in it."""
    found, zips = {}, defaultdict(list)
    for name in names:
        outer, in_zip, inner = name.partition(".zip/")
        if in_zip:
            zips[f"{outer}.zip"].append(inner)
        else:
            found[name] = (text or f"# {name}").encode()
    for name, entries in zips.items():
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for entry, content in contents(entries, text).items():
                archive.writestr(entry, content)
        found[name] = packed.getvalue()
    return found


def put(folder: Path, *names: str, text: str = "") -> None:
    """Write files below `folder`, those of "a.zip/b.py" into a zip file."""
    for name, content in contents(names, text).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


AUTOLOG, RUN = next(LABS.glob("??_autolog.ipynb")), next(SOLUTIONS.glob("??_run.py"))
"""Of two blocks, whatever their numbers are."""


@pytest.fixture(autouse=True)
def numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbers of the blocks here, whatever they are in the course."""
    order = {3: "run", 4: "params_metrics", 5: "tracking_uri", 10: "many_runs"}
    order |= {11: "many_experiments", 14: "autolog", 15: "pyfunc"}
    monkeypatch.setattr(handins, "slugs", lambda: order)


@pytest.fixture
def hw(tmp_path: Path) -> Path:
    """The folder of a class, not made yet."""
    return tmp_path / "hw"


def search(folder: Path) -> tuple[list[tuple[str, int]], str]:
    """What is found in `folder`, as student and block, and all remarks in one text."""
    desk = folder.parent / "desk"
    desk.mkdir(exist_ok=True)
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
        "03_run 14_autolog", "_" * 65_000,
    ],
    (None, "a"): ["a (1)", "a - Copy", "a - Copy (3)", "a-Copy2", "Kopie von a"],
}  # fmt: skip


@pytest.mark.parametrize(("number", "rest"), NAMES)
def test_a_name_says_the_block_and_whose_it_is(number: int | None, rest: str | None) -> None:
    for stem in NAMES[number, rest]:
        said = read_name(stem)
        assert said.block == number, stem
        assert rest in (said.rest, None), stem


def test_each_block_is_known_by_its_own_name_in_every_form(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(handins, "slugs", slugs)
    for number, slug in slugs().items():
        for stem in (f"{number:02d}_{slug}", f"{number:02d}-{slug} (3)", f"jo_{number:02d}_{slug}"):
            assert read_name(stem).block == number, stem


def test_a_number_elsewhere_in_the_name_is_taken_but_not_for_sure() -> None:
    assert read_name("maria 14") == Named(14, "maria", sure=False)
    assert read_name("maria 14 15").block is None


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
    "of Moodle": (
        ["Maria Pérez_12_assignsubmission_file_/14.ipynb", "Tom_13_assignsubmission_file/14.py",
         "Jo_14_assignsubmission_file_14_autolog.py", "a/Ann_1_assignsubmission_file_/b/14.py"],
        [("Ann", 14), ("Jo", 14), ("Maria Pérez", 14), ("Tom", 14)], [],
    ),
    "a zip file of all, of Moodle": (
        ["CS-Assignment 4.zip/Maria Pérez_12_assignsubmission_file_/14.py",
         "CS-Assignment 4.zip/Tom_13_assignsubmission_file_/14.py"],
        [("Maria Pérez", 14), ("Tom", 14)], [],
    ),
    "of Canvas": (
        ["tom_123_456_3.py", "maria_LATE_124_457_14_autolog-2.py", "ann_12345_67890_labs.zip/3.py"],
        [("ann", 3), ("maria", 14), ("tom", 3)], ["maria: late"],
    ),
    "zip files of students": (
        ["Maria/week.zip/a/14.py", "Maria/week.zip/a/.DS_Store", "Tom.zip/14.py",
         "Jo_7_assignsubmission_file_week.zip/14.py", "Ann.zip/inner.zip/14.py"],
        [("Ann", 14), ("Jo", 14), ("Maria", 14), ("Tom", 14)], [],
    ),
    "files that say no student": (
        ["14_autolog.ipynb", "3.py"], [("hw", 3), ("hw", 14)],
        ['14_autolog.ipynb, 3.py: nothing says whose it is; shown as "hw"'],
    ),
}  # fmt: skip


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
@pytest.mark.parametrize("what", CLASSES)
def test_a_class_in_a_folder_or_in_a_zip_file(hw: Path, what: str, packed: bool) -> None:
    names, wanted, words = CLASSES[what]
    put(hw, *names)
    if packed:
        hw = Path(shutil.make_archive(str(hw), "zip", hw))
    found, remarks = search(hw)
    assert found == wanted
    lines = remarks.splitlines()
    assert len(lines) == len(words)
    assert all(word in line for word, line in zip(words, lines, strict=True)), remarks


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has one folder for both spellings")
def test_accents_composed_or_not_are_one_student(hw: Path) -> None:
    put(hw, f"{NFC}/3.py", f"{NFD}/14.py")
    found, remarks = search(hw)
    assert found == [(NFC, 3), (NFC, 14)]
    assert remarks == ""


def test_content_tells_where_the_name_does_not(hw: Path) -> None:
    put(hw, "Maria/x.ipynb")
    shutil.copy(AUTOLOG, hw / "Maria" / "Untitled.ipynb")
    shutil.copy(RUN, hw / "Maria" / "mine.py")
    found, remarks = search(hw)
    assert found == [("Maria", 3), ("Maria", 14)]
    assert "Maria/Untitled.ipynb: taken for block 14; its content says so" in remarks
    assert "Maria/mine.py: taken for block 3" in remarks
    assert f"mine.py: is solutions/{RUN.name} of the course, to the letter" in remarks
    assert "Maria/x.ipynb: left out" in remarks


def test_the_name_wins_over_the_content_and_it_is_said(tmp_path: Path) -> None:
    hw = tmp_path / "hw" / "Maria"
    hw.mkdir(parents=True)
    shutil.copy(AUTOLOG, hw / "15_pyfunc.ipynb")
    found, remarks = search(hw.parent)
    assert found == [("Maria", 15)]
    assert "made from the notebook of block 14" in remarks


@pytest.mark.parametrize(
    "text",
    ["", "[]", "nul", '{"cells": 3}', '{"metadata": 1, "cells": []}', "[" * 100_000, "\udcff"],
)
def test_a_broken_notebook_is_found_by_its_name(hw: Path, text: str) -> None:
    put(hw, "Maria/3.ipynb")
    (hw / "Maria" / "3.ipynb").write_bytes(text.encode("utf-8", "surrogateescape"))
    (hw / "Maria" / "x.ipynb").write_bytes(text.encode("utf-8", "surrogateescape") + b" ")
    assert search(hw)[0] == [("Maria", 3)]


def test_a_copy_of_the_whole_course_counts_by_its_labs_alone(hw: Path) -> None:
    course = hw / "Maria" / "wine-lab"
    put(course, "winelab/3.py", "blocks/14.py", "solutions/03_run.py", "tests/4.py")
    (course / "labs").mkdir()
    for name in ("03_run.ipynb", "14_autolog.ipynb"):
        lab = course / "labs" / name
        shutil.copy(next(LABS.glob(f"??{name[2:]}")), lab)
    lab.write_text(lab.read_text("utf-8").replace("# 4. Train", "# 4. Train!"), encoding="utf-8")
    found, remarks = search(hw)
    assert found == [("Maria", 14)]
    assert "1 untouched notebooks" in remarks


def test_versions_are_all_found_equal_ones_once(hw: Path) -> None:
    put(hw, "Maria/14_autolog.ipynb", "Maria/14_autolog.py", "Maria/14_autolog (1).ipynb")
    put(hw, "Maria/old/14.ipynb", "Maria/old/14 - Copy.ipynb", text=EMPTY)
    found, remarks = search(hw)
    assert found == [("Maria", 14)] * 4
    assert "it is the same file as Maria/old/14 - Copy.ipynb" in remarks


@pytest.mark.skipif(os.name == "nt", reason="Windows makes links for administrators only")
def test_links_are_not_followed(hw: Path, tmp_path: Path) -> None:
    put(tmp_path, "secret/14.py")
    put(hw, "Maria/3.py")
    (hw / "Maria" / "more").symlink_to(tmp_path / "secret")
    (hw / "Maria" / "14.py").symlink_to(tmp_path / "secret" / "14.py")
    (hw / "Maria" / "loop").symlink_to(hw)
    found, remarks = search(hw)
    assert found == [("Maria", 3)]
    assert remarks.count("symbolic link") == 3


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="such names exist on Linux only")
def test_a_name_that_is_no_text_can_be_shown(hw: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(hw) + b"/M\xff\nx\x1b[31m"))
    put(folder, "3.py")
    [(student, block)] = search(hw)[0]
    assert block == 3
    student.encode("utf-8")
    assert student.isprintable()


def _link(file: Path) -> None:
    (file.parent / "secret.py").write_text("print('read')", encoding="utf-8")
    file.symlink_to("secret.py")


def _too_large(file: Path) -> None:
    with file.open("wb") as opened:
        opened.truncate(20_000_001)


@pytest.mark.skipif(os.name != "posix", reason="links and pipes are POSIX's")
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_link, "it is a link"),
        (getattr(os, "mkfifo", None), "or a device"),
        (Path.mkdir, "a folder"),
        (lambda file: None, "cannot be read"),
        (_too_large, "larger than 20,000,000 bytes"),
    ],
    ids=["link", "pipe", "folder", "nothing", "too large"],
)
def test_only_a_plain_file_is_read(tmp_path: Path, make: Any, words: str) -> None:
    """Also where something else is put in its place after it was found."""
    file = tmp_path / "3.py"
    make(file)
    with pytest.raises(CourseError, match=words):
        read_file(file)
    assert words in handins.read_content(file).unread
    # And in the grade's one sentence.
    assert grade_one(HandIn("Ada", 3, file)).problem.startswith("3.py: ")


# --- zip files -----------------------------------------------------------------------------------


def test_a_zip_of_a_folder_of_students(tmp_path: Path) -> None:
    put(tmp_path, "hw1.zip/hw1/Maria/3.py", "hw1.zip/hw1/Tom/3.py")
    assert search(tmp_path / "hw1.zip")[0] == [("Maria", 3), ("Tom", 3)]


def test_nothing_is_written_outside_of_the_desk(hw: Path, tmp_path: Path) -> None:
    names = ("../../evil.py", "/tmp/evil/3.py", "C:\\evil\\3.py", "..\\evil.py", "a/../../3.py")
    put(hw, "Tom.zip/3.py", *(f"Tom.zip/{name}" for name in names))
    found, remarks = search(hw)
    assert found == [("Tom", 3)]
    assert remarks.count("leads out of the zip file") == len(names)
    assert not list(tmp_path.rglob("*evil*"))
    outside = [p for p in tmp_path.rglob("*.py") if tmp_path / "desk" not in p.parents]
    assert not outside


def test_a_link_in_a_zip_is_left_out(hw: Path) -> None:
    link = zipfile.ZipInfo("14.py")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    put(hw, "Tom.zip/3.py")
    with zipfile.ZipFile(hw / "Tom.zip", "a") as archive:
        archive.writestr(link, "/etc/passwd")
    found, remarks = search(hw)
    assert found == [("Tom", 3)]
    assert "symbolic link" in remarks


def test_a_zip_that_swells_is_stopped(hw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handins, "MOST_BYTES", 2_000_000)
    put(hw, "Ann.zip/3.py")
    put(hw, "Tom.zip/14.py", text="x" * 9_000_000)
    found, remarks = search(hw)
    assert found == [("Ann", 3)]
    assert "14.py: left out, it is larger than 2,000,000 bytes" in remarks
    assert all(p.stat().st_size <= 2_000_000 for p in (hw.parent / "desk").rglob("*.py"))


def test_all_zips_together_have_a_limit(hw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handins, "MOST_UNPACKED", 1_000)
    put(hw, "Ann.zip/3.py", "Tom.zip/3.py", text="x" * 750)
    assert search(hw)[0] == [("Ann", 3)]


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04broken", None])
def test_a_broken_zip_stops_nobody(hw: Path, content: bytes | None) -> None:
    put(hw, "Maria/3.py", "Tom.zip/3.py", text="x" * 1000)
    file = hw / "Tom.zip"
    # A whole one, of which the packed bytes make no sense.
    spoilt = file.read_bytes()[:34] + b"\xff" * 4 + file.read_bytes()[38:]
    file.write_bytes(spoilt if content is None else content)
    found, remarks = search(hw)
    assert found == [("Maria", 3)]
    assert "Tom.zip: this zip file cannot be read" in remarks


def test_names_that_finder_writes_are_read_as_meant(tmp_path: Path) -> None:
    hw = tmp_path / "hw.zip"
    put(tmp_path, "hw.zip/Zoe/3.py", "hw.zip/Tom/3.py", text="1")
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


def test_the_files_are_the_ones_that_were_found(hw: Path, tmp_path: Path) -> None:
    put(hw, "Maria/3.py", "Tom.zip/a/3 (1).ipynb", text=EMPTY)
    desk = tmp_path / "desk"
    desk.mkdir()
    maria, tom = find(hw, desk)[0]
    assert maria == HandIn("Maria", 3, hw / "Maria" / "3.py")
    assert tom.file.name == "3 (1).ipynb"
    assert json.loads(tom.file.read_text("utf-8")) == json.loads(EMPTY)
