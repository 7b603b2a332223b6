"""`make grade`: where the report goes, which version counts, and what Ctrl-C leaves."""

from __future__ import annotations

import csv
import re
import shutil
import threading
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from winelab.checks.report import Verdict
from winelab.commands import cli
from winelab.core.errors import CourseError
from winelab.course.source import course
from winelab.grading import command
from winelab.grading.result import Grade, HandIn

NOW = datetime(2026, 11, 21, 10, 30, 5)


def graded(hand_in: HandIn) -> Grade:
    """A grade without running anything: each "1" in the file is a check that passed."""
    text = hand_in.file.read_text(encoding="utf-8")
    verdicts = tuple(Verdict(f"c{at}", "line", mark == "1", "hint") for at, mark in enumerate(text))
    return Grade(hand_in, verdicts, "" if verdicts else "It did not run to its end.")


AUTOLOG = course().block("autolog")
# Walls that need not stand, since nothing is run.
WALLS = SimpleNamespace(walled=True, guarantees=lambda: ["it ran nothing", "and so on"])


@pytest.fixture
def hw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of hand-ins, graded by `graded`; reports go beside it."""
    folder = tmp_path / "Übung 1"
    for name, text in {
        "Zoë/3.py": "11", f"Zoë/{AUTOLOG.name}.py": "10", "Tom/3.py": "", "Ana/3.py": "00",
        "Ana/3 (1).py": "01",
    }.items():  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    monkeypatch.setattr(command, "REPORTS", tmp_path / "grades")
    monkeypatch.setattr(command, "grade_one", graded)
    monkeypatch.setattr(command, "best_backend", lambda: WALLS)
    return folder


def read(target: Path) -> list[list[str]]:
    with (target / "grades.csv").open(encoding="utf-8-sig", newline="") as lines:
        return list(csv.reader(lines))


def test_both_files_and_a_table(
    hw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(hw.rglob("*"))
    assert command.main(str(hw)) == 0
    [target] = (tmp_path / "grades").iterdir()
    assert re.fullmatch(r"Übung 1-\d{4}-\d\d-\d\d-\d{6}", target.name)
    assert sorted(path.name for path in target.iterdir()) == ["grades.csv", "grades.html"]
    assert [row[:3] for row in read(target)[1:]] == [
        ["Ana", "50", ""], ["Tom", "0", ""], ["Zoë", "100", "50"],
    ]  # fmt: skip
    assert "it ran nothing" in (target / "grades.html").read_text(encoding="utf-8")
    assert sorted(hw.rglob("*")) == before
    out = " ".join(capsys.readouterr().out.split())
    assert f"Zoë, block {AUTOLOG.number}: 1 of 2" in out
    assert "Tom, block 3: not checked It did not run to its end." in out
    assert "Ana, block 3: 2 versions; the best counts, 3 (1).py with 1 of 2" in out
    assert "grades.html" in out


def test_the_report_goes_where_it_is_told(hw: Path, tmp_path: Path) -> None:
    place = tmp_path / "my report é"
    assert cli.parser().parse_args(["grade", "--report", str(place)]).report == str(place)
    assert command.main(str(hw), str(place)) == 0
    assert (place / "grades.csv").is_file()
    old = (place / "grades.html").read_bytes()
    with pytest.raises(CourseError, match="holds a report already"):
        command.main(str(hw), str(place))
    assert (place / "grades.html").read_bytes() == old


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("Übung 1", "among the hand-ins"),
        ("Übung 1/report", "among the hand-ins"),
        ("Übung 1/Zoë/../x", "among the hand-ins"),
        ("file", "cannot be written"),
    ],
)
def test_a_bad_place_for_the_report_is_said_before_grading(
    hw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, words: str
) -> None:
    monkeypatch.setattr(command, "grade_one", None)
    (tmp_path / "file").touch()
    before = sorted(hw.rglob("*"))
    with pytest.raises(CourseError, match=words):
        command.main(str(hw), str(tmp_path / place))
    assert sorted(hw.rglob("*")) == before


@pytest.mark.parametrize("given", ["", "  "])
def test_no_folder_is_one_sentence(given: str) -> None:
    with pytest.raises(CourseError, match="make grade SUBMISSIONS=folder"):
        command.main(given)


def test_without_a_sandbox_it_asks_before_it_runs_anything(
    hw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(WALLS, "walled", False)
    monkeypatch.setattr(command, "agreed", lambda name, question: asked.append(question))
    assert command.main(str(hw)) == 1
    assert len(asked) == 1
    said = capsys.readouterr().out
    assert "it ran nothing" in said and "Nothing was graded." in said
    assert not list((tmp_path / "grades").glob("*"))
    assert command.main(str(hw), yes=True) == 0
    assert len(asked) == 1


def test_a_zip_gives_its_report_its_name_without_the_end(hw: Path, tmp_path: Path) -> None:
    file = Path(shutil.make_archive(str(tmp_path / "hw.1"), "zip", hw))
    assert command.place_for("", file, NOW).name == "hw.1-2026-11-21-103005"
    assert command.main(str(file), str(tmp_path / "r")) == 0
    assert len(read(tmp_path / "r")) == 4


def test_the_best_version_counts_whatever_the_order(tmp_path: Path) -> None:
    def made(name: str, marks: str, problem: str = "") -> Grade:
        verdicts = tuple(Verdict(mark, "l", mark == "1") for mark in marks)
        return Grade(HandIn("Ana", 3, tmp_path / name), verdicts, problem)

    versions = [made("a.py", "10"), made("b.py", "11", "it stopped"), made("c.py", "11")]
    for order in (versions, versions[::-1]):
        [best], [remark] = command.best_versions(list(order))
        assert best.hand_in.file.name == "c.py"
    assert "3 versions" in remark
    equal = [made("z.py", "11"), made("z.ipynb", "11")]
    assert command.best_versions(equal)[0][0].hand_in.file.name == "z.ipynb"
    assert command.best_versions([versions[0]]) == ([versions[0]], [])


def test_ctrl_c_keeps_what_is_graded(
    hw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started: list[HandIn] = []
    gate, say = threading.Event(), command._say

    def gated(hand_in: HandIn) -> Grade:
        started.append(hand_in)
        # Some are still waiting when the first is done.
        assert len(started) == 1 or gate.wait(20)
        return graded(hand_in)

    def press(made: Grade, counter: str, console: Console) -> None:
        say(made, counter, console)
        if not gate.is_set():
            # What runs may end once no more can start.
            threading.Timer(0.2, gate.set).start()
            raise KeyboardInterrupt

    monkeypatch.setattr(command.os, "cpu_count", lambda: 1)
    monkeypatch.setattr(command, "grade_one", gated)
    monkeypatch.setattr(command, "_say", press)
    assert command.main(str(hw), str(tmp_path / "r")) == command.INTERRUPTED
    assert 1 <= len(read(tmp_path / "r")) - 1 < 4
    out = capsys.readouterr().out
    assert "Ctrl-C: no more are started" in out
    assert re.search(r"Stopped early: [1-4] hand-ins were not graded", out)
    assert "Stopped early" in (tmp_path / "r" / "grades.html").read_text(encoding="utf-8")


def test_a_write_that_fails_leaves_no_half_report(
    hw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(book: object) -> str:
        raise OSError("disk full")

    monkeypatch.setattr(command, "html_text", broken)
    with pytest.raises(OSError, match="disk full"):
        command.main(str(hw), str(tmp_path / "r"))
    assert not list((tmp_path / "r").iterdir())
