"""`make matrix`: which versions are tried, what counts as a break, and what is written of it."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version
from pytest import MonkeyPatch

from winelab.core.errors import CourseError
from winelab.core.files import write_text
from winelab.course.source import course
from winelab.proof import matrix, versions
from winelab.proof.cases import DEPRECATED
from winelab.proof.matrix import COLUMNS, Result, Row


def test_the_newest_that_resolves_two_minor_versions_before_and_the_pinned_one_are_tried(
    monkeypatch: MonkeyPatch,
) -> None:
    newest = {">9.8.1": "9.9.1", ">9.8.1,<9.9.1": "9.9.0", ">9.8.1,<9.9.0": "9.8.5"}
    newest |= {"<9.8": "9.7.3", "<9.7": "8.22.0"}
    there = {bounds: Version(text) for bounds, text in newest.items()}

    def try_version(version: Version, number: int | None) -> Row:
        return Row(str(version), problem="does not resolve" if version.minor == 9 else "")

    monkeypatch.setattr(versions, "newest", there.get)
    monkeypatch.setattr(versions, "pinned_version", lambda: Version("9.8.1"))
    monkeypatch.setattr(matrix, "try_version", try_version)
    tried = [row.name for row in matrix.try_all([], 3)]
    assert tried == ["9.9.1", "9.9.0", "9.8.5", "9.8.1", "9.7.3", "8.22.0"]
    there.clear()
    assert [row.name for row in matrix.try_all([], 3)] == ["9.8.1"]
    named = [Version("9.1"), Version("9.8.1"), Version("9.1")]
    assert [row.name for row in matrix.try_all(named, 3)] == ["9.1", "9.8.1"]


def test_what_is_no_version_is_one_sentence() -> None:
    with pytest.raises(CourseError, match=r"'newest' is no version of MLflow: write one such as"):
        matrix.main(["newest"])


ANSWERS = {
    "mlflow>9.8.1": (0, "mlflow==9.9.0\n", ""),
    "mlflow<1": (1, "", "No solution found\n  cause: Because only mlflow>=1.0 is available and"),
    "mlflow<9.8": (2, "", "error: Request failed\n  cause: tcp connect error\n"),
    "mlflow==9.9.0": (1, "", "Because there is no version of\n  x==9.9.0, we can conclude that"),
    "mlflow==9.7.3": (2, "", "error: offline"),
}
"""uv's answers: its exit code, and what it prints."""


@pytest.fixture
def asked(monkeypatch: MonkeyPatch, tmp_path: Path) -> list[str]:
    """What uv was asked for; it answers as above, and environments are made in tmp_path."""
    asked: list[str] = []

    def compile_(options: list[str], wanted: str) -> subprocess.CompletedProcess[str]:
        asked.extend(wanted.split())
        return subprocess.CompletedProcess("uv", *ANSWERS[wanted.partition("\n")[0]])

    monkeypatch.setattr(versions, "ENVIRONMENTS", tmp_path)
    monkeypatch.setattr(versions, "get_uv", lambda: "uv")
    monkeypatch.setattr(versions, "_compile", compile_)
    return asked


def test_the_index_names_the_newest_version_or_none_or_cannot_be_asked(asked: list[str]) -> None:
    assert versions.newest(">9.8.1") == Version("9.9.0")
    assert versions.newest("<1") is None
    with pytest.raises(CourseError, match=r"cannot be asked .*tcp connect error\): go online"):
        versions.newest("<9.8")


def test_uvs_reason_is_one_line_and_nothing_is_left(asked: list[str], tmp_path: Path) -> None:
    row = matrix.try_version(Version("9.9.0"), 3)
    assert row == Row("9.9.0", problem="does not resolve: there is no version of x==9.9.0")
    assert not list(tmp_path.iterdir())
    # All but MLflow's own parts may move with it.
    assert asked[0] == "mlflow==9.9.0" and {"scikit-learn", "pandas"} <= set(asked)
    assert not {"mlflow", "mlflow-skinny"} & set(asked)


@pytest.fixture
def resolved(asked: list[str], monkeypatch: MonkeyPatch, tmp_path: Path) -> Path:
    """The environment of 9.7.3, resolved before; it has this Python, and nothing is installed."""
    pins = tmp_path / f"9.7.3-py3.{sys.version_info.minor}" / versions.PINS
    # What the course does not pin has not moved.
    write_text(pins, "mlflow==9.7.3\nmlflow-skinny==9.7.3\npandas==2.3.3\npytz==2026.6\n")
    monkeypatch.setattr(versions, "run_installer", lambda command, *_: asked.extend(command))
    monkeypatch.setattr(versions.environment, "venv_python", lambda folder: Path(sys.executable))
    return pins.parent


def test_what_was_resolved_before_is_made_offline_too(resolved: Path, asked: list[str]) -> None:
    assert versions.make(Version("9.7.3")) == resolved
    assert str(resolved / versions.PINS) in asked
    assert versions.moved(resolved) == ["pandas 2.3.3"]


def test_a_version_that_does_not_start_is_not_run(resolved: Path) -> None:
    (resolved / "mlflow.db").write_text("no store", encoding="utf-8")
    row = matrix.try_version(Version("9.7.3"), 3)
    assert re.fullmatch(r"does not start: .*Error: .*file is not a database", row.problem)


RAISED = "mlflow.exceptions.MlflowException: No such artifact: 'model'"
TRACEBACK = f"""Traceback (most recent call last):
  File "<cell 5>", line 3, in <module>
{RAISED}
(Background on this error at: https://example.org)
"""
GONE = "FutureWarning: soon gone"
FOLDERS = f"run {'0a' * 16} in /tmp/winelab-x1/wine-lab/ml,\n from /home/a/site-packages/ml/x.py"


@pytest.mark.parametrize(
    ("reason", "line"),
    [
        (TRACEBACK, RAISED),
        (f"it ends in an error: {TRACEBACK}", f"it ends in an error: {RAISED}"),
        ("The run was ended after 120 s.\n", "The run was ended after 120 s."),
        (FOLDERS, "run ID in FOLDER, from ml/x.py"),
        ("word " * 200, "word " * 59 + "..."),
    ],
)
def test_a_reason_is_one_line_without_ids_and_folders(reason: str, line: str) -> None:
    assert matrix.in_one_line(reason) == line


FAILED = {
    "03-SOLVED-both": f"{TRACEBACK}\n{DEPRECATED}{GONE}\n{DEPRECATED}{GONE} too",
    "03-MISTAKES-a": "it is not caught",
    "04-SOLVED-old": f"{DEPRECATED}{GONE}",
    "04-MISTAKES-b": "it is not caught",
}
HOLD = ["03-OUTPUTS-it", "04-ELSEWHERE-x-y", "04-EXAMPLES-lesson.md:3"]
MADE_UP_TESTS = f"""
import pytest

FAILED = {FAILED!r}

@pytest.mark.parametrize("case", {[*FAILED, *HOLD]!r})
def test_case(case):
    with open("log", "a") as log:
        log.write(case + "\\n")
    number, part, name = case.split("-", 2)
    assert case not in FAILED, f"{{number}} {{part}}: {{name}}:\\n{{FAILED[case]}}"
"""
OPTIONS = """
def pytest_addoption(parser):
    parser.addoption("--full", action="store_true")
    parser.addoption("--block")
"""


@pytest.fixture
def made_up_tests(tmp_path: Path, monkeypatch: MonkeyPatch) -> Path:
    """The folder of tests in place of the course's, run by this Python; `log` says which ran."""
    (tmp_path / "test_cases.py").write_text(MADE_UP_TESTS, encoding="utf-8")
    (tmp_path / "conftest.py").write_text(OPTIONS, encoding="utf-8")
    monkeypatch.setattr(matrix, "ROOT", tmp_path)
    monkeypatch.setattr(matrix, "TEST", "test_cases.py::test_case")
    monkeypatch.setattr(matrix.environment, "venv_python", lambda folder: Path(sys.executable))
    return tmp_path


def test_a_test_run_says_what_breaks_and_what_is_deprecated(made_up_tests: Path) -> None:
    results = matrix.run_cases(made_up_tests, 3)
    # Block 3's mistake tells nothing where the solution does not pass; block 4's does.
    assert {one for one in results if one.reason} == {
        Result(3, "solution", "both", RAISED),
        Result(3, "deprecations", "both", GONE),
        Result(3, "deprecations", "both", f"{GONE} too"),
        Result(4, "deprecations", "old", GONE),
        Result(4, "mistakes", "b", "it is not caught"),
    }
    counts = ["-", "2 of 3", "0 of 1", "1 of 1", "2 of 4"]
    assert [Row("9.7.3", results).count(column) for column in COLUMNS] == counts
    ran = (made_up_tests / "log").read_text(encoding="utf-8").splitlines()
    # The stored outputs are not asked, and what breaks is tried twice.
    assert sorted(ran) == sorted([*FAILED, *FAILED, *HOLD[1:]])


def test_tests_that_do_not_run_are_the_problem_of_a_version(
    made_up_tests: Path, monkeypatch: MonkeyPatch
) -> None:
    (made_up_tests / "conftest.py").write_text("import no_such_module", encoding="utf-8")
    row = matrix.try_version(versions.pinned_version(), None)
    assert row.problem.startswith("stopped: pytest ended with exit code 4") and row.pinned


def made_up_rows() -> list[Row]:
    """A version that is not there, one that works, and one on which everything breaks."""
    works = [Result(number, "solution", "script") for number in (3, 4)]
    breaks = [Result(number, one, "a", f"`b`, {RAISED}") for number in (3, 4) for one in COLUMNS]
    return [
        Row("9.9.0", problem="does not resolve: it is not there"),
        Row("9.8.1 (pinned)", [*works, Result(3, "mistakes", "a")], pinned=True),
        Row("9.7.3", [*breaks, Result(4, "examples", "c")], moved=["pandas 2.3.3"]),
    ]


def test_the_page_says_what_breaks_why_and_what_to_do() -> None:
    page = matrix.page(made_up_rows(), date(2026, 11, 21))
    assert page.startswith("# The course on other") and "Last run: 2026-11-21, Python 3." in page
    assert "| 9.9.0 | does not run | - | - | - | - | - |" in page
    assert "\n\nMLflow 9.9.0 does not resolve: `it is not there`.\n\n" in page
    assert "| 9.8.1 (pinned) | 2 of 2 | - | 2 of 2 | 1 of 1 | - | - |" in page
    assert "| 9.7.3 | 0 of 2 | 0 of 2 | 0 of 2 | 0 of 2 | 1 of 3 | 0 of 2 |" in page
    assert "With MLflow 9.7.3 moved: pandas 2.3.3." in page
    assert f"| {course().block(4).slug} | ok | unsolved 0 of 1, solution 0 of 1, mistakes" in page
    assert "examples 1 of 2" in page
    assert page.count(": no.** ") == 5
    slugs = ", ".join(course().block(number).slug for number in (3, 4))
    assert f"fix the check.\n\n- {slugs}: `` `b`, {RAISED} `` (a)\n\n**Mistakes" in page
    assert "Nothing breaks" not in page and "### MLflow 9.8.1" not in page
    assert "Nothing breaks on the versions" in matrix.page(made_up_rows()[1:2])
    assert "breaks" not in matrix.page(made_up_rows()[:1]).partition("not there`.")[2]


@pytest.mark.parametrize("breaks", [False, True])
def test_a_break_on_the_pinned_version_fails_and_named_versions_write_no_page(
    breaks: bool, monkeypatch: MonkeyPatch, tmp_path: Path, capsys: Any
) -> None:
    page = tmp_path / "docs" / "matrix.md"
    rows = made_up_rows()
    rows = [rows[0], Row("9.8.1 (pinned)", rows[1 + breaks].results, pinned=True)]
    monkeypatch.setattr(matrix, "PAGE", page)
    monkeypatch.setattr(matrix, "try_all", lambda named, numbers: iter(rows))
    assert matrix.main(["9.8.1"]) == int(breaks)
    assert matrix.main(number=3) == int(breaks)
    assert not page.exists()
    said = capsys.readouterr().out
    assert "What breaks" in said and ("Nothing breaks" in said) != breaks
    assert matrix.main() == int(breaks)
    assert "9.8.1 (pinned)" in page.read_text(encoding="utf-8")
