"""`make matrix`: which versions are tried, what counts as a break, and what is written of it."""

from __future__ import annotations

import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from packaging.version import Version
from pytest import MonkeyPatch

from winelab.core.errors import CourseError
from winelab.core.files import write_text
from winelab.course.source import Course
from winelab.proof import cases, matrix, run_cases, versions
from winelab.proof.cases import Case, Part
from winelab.proof.execute import Where
from winelab.proof.matrix import Row
from winelab.proof.run_cases import Column, Result


def test_the_newer_ones_and_the_newest_of_two_minor_versions_before_are_chosen() -> None:
    names = "3.2.0 3.2.0rc1 3.1.2 3.1.1 3.0.0 3.0.1 2.22.10 2.22.9 2.21.0 1.30.1"
    there = [Version(name) for name in names.split()]
    newer, before = versions.choose(there, Version("3.1.1"))
    assert newer == [Version("3.2.0"), Version("3.1.2")]
    assert before == [Version("3.0.1"), Version("2.22.10")]
    assert versions.choose(there, Version("3.0.0"))[1] == [Version("2.22.10"), Version("2.21.0")]


def test_the_newest_that_resolves_is_taken_and_the_pinned_one_runs_once(
    monkeypatch: MonkeyPatch,
) -> None:
    def try_version(version: Version, numbers: list[int]) -> Row:
        return Row(str(version), problem="does not resolve" if version.minor == 9 else "")

    listed = [Version(text) for text in ("9.9.1", "9.9.0", "9.8.5", "9.8.1", "9.7.0", "9.6.0")]
    monkeypatch.setattr(versions, "listed", lambda: listed)
    monkeypatch.setattr(versions, "pinned_version", lambda: Version("9.8.1"))
    monkeypatch.setattr(matrix, "try_version", try_version)
    assert [row.version for row in matrix.try_all([], [3])] == [str(version) for version in listed]
    del listed[:3]
    assert [row.version for row in matrix.try_all([], [3])] == ["9.8.1", "9.7.0", "9.6.0"]


def test_what_is_no_version_is_one_sentence() -> None:
    with pytest.raises(CourseError, match=r"'newest' is no version of MLflow: write one such as"):
        matrix.main(["newest"])


@pytest.fixture
def offline(monkeypatch: MonkeyPatch, tmp_path: Path) -> list[str]:
    """No index can be asked, and environments are made in tmp_path; what uv was asked for."""
    asked: list[str] = []

    def ask(command: list[str], words: str = "") -> subprocess.CompletedProcess[str]:
        asked.extend(words.split())
        return subprocess.CompletedProcess(command, 1, "", f"WARNING: Retrying\nERROR: {WHY}.\n")

    monkeypatch.setattr(versions, "ENVIRONMENTS", tmp_path)
    monkeypatch.setattr(versions, "get_uv", lambda: "uv")
    monkeypatch.setattr(versions, "_ask", ask)
    return asked


WHY = "Because there is no version of mlflow-skinny==9.9.0 and\n  more, we can conclude that"


def test_an_index_that_cannot_be_asked_is_one_sentence(offline: list[str]) -> None:
    with pytest.raises(CourseError, match=r"cannot be asked .*\(more, we can .*\): go online"):
        versions.listed()


def test_uvs_reason_is_one_line_and_nothing_is_left(offline: list[str], tmp_path: Path) -> None:
    row = matrix.try_version(Version("9.9.0"), [3])
    reason = "there is no version of mlflow-skinny==9.9.0 and more"
    assert row == Row("9.9.0", problem=f"does not resolve: {reason}")
    assert not list(tmp_path.iterdir())
    assert {"mlflow==9.9.0", "scikit-learn", "pandas"} <= set(offline) and "mlflow" not in offline


def test_what_was_resolved_before_is_made_offline_too(
    offline: list[str], monkeypatch: MonkeyPatch, tmp_path: Path
) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(versions, "run_installer", lambda command, *_: commands.append(command))
    pins = tmp_path / f"9.7.3-py3.{sys.version_info.minor}" / versions.PINS
    # What the course does not pin has not moved.
    write_text(pins, "mlflow==9.7.3\nmlflow-skinny==9.7.3\npandas==2.3.3\npytz==2026.6\n")
    assert versions.make(Version("9.7.3")) == pins.parent
    assert any(str(pins) in command for command in commands)
    assert versions.moved(pins.parent) == ["pandas 2.3.3"]


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
        (FOLDERS, "run <id> in <folder>, from ml/x.py"),
        ("word " * 200, "word " * 47 + "word ..."),
    ],
)
def test_a_reason_is_one_line_without_ids_and_folders(reason: str, line: str) -> None:
    assert run_cases.shortened(reason) == line


@pytest.fixture(scope="module")
def third(whole: Course) -> list[Case]:
    """The matrix' cases of block 3."""
    return run_cases.cases_for_matrix(whole, [3])


def test_a_notebook_must_pass_and_need_not_print_the_version(third: list[Case]) -> None:
    parts = {case.part for case in third}
    assert parts == {Part.UNSOLVED, Part.SOLVED, Part.MISTAKES, Part.EXAMPLES}
    (notebook,) = [case for case in third if case.name == "the solved notebook"]
    assert notebook.part is Part.SOLVED
    assert notebook.steps[0].judge is cases.passes and notebook.steps[0].where is Where.FORKED


@pytest.mark.parametrize(("broken", "told"), [(0, []), (1, []), (2, [RAISED])])
def test_only_what_breaks_twice_is_told_and_deprecations_have_their_own_column(
    third: list[Case], monkeypatch: MonkeyPatch, broken: int, told: list[str]
) -> None:
    answers = iter([*[[TRACEBACK, cases.DEPRECATED + GONE]] * broken, [], []])
    monkeypatch.setattr(run_cases, "reasons", lambda case: next(answers))
    found = run_cases.results_of(third[0])
    expected = {Column.UNSOLVED: told, Column.DEPRECATIONS: [GONE] * len(told)}
    assert {one.column: one.reasons for one in found} == expected


@pytest.mark.parametrize(("reason", "tried"), [(RAISED, False), (cases.DEPRECATED + GONE, True)])
def test_mistakes_are_tried_where_the_solution_passes(
    third: list[Case], monkeypatch: MonkeyPatch, reason: str, tried: bool
) -> None:
    monkeypatch.setattr(run_cases, "reasons", lambda case: [reason])
    columns = {one.column for results in run_cases.run(third, 2) for one in results}
    assert (Column.MISTAKES in columns) == tried and Column.EXAMPLES in columns


def instead(monkeypatch: MonkeyPatch, script: str) -> list[Any]:
    """Let the process run this; returns the list that it comes into, with its settings."""
    real, started = subprocess.Popen, []

    def popen(command: list[str], **settings: Any) -> Any:
        started.append((real([sys.executable, "-c", script], **settings), settings))
        return started[-1][0]

    monkeypatch.setattr(matrix.subprocess, "Popen", popen)
    return started


def test_its_error_is_the_reason_and_what_ran_counts(
    monkeypatch: MonkeyPatch, tmp_path: Path
) -> None:
    line = '[{"block": 3, "column": "solution", "name": "the script", "reasons": ["x"]}]'
    instead(monkeypatch, f"print(2)\nprint('{line}', flush=True)\nimport no_such_module")
    results, problem = matrix.run_cases(tmp_path, [3, 4], "MLflow 9.7.3")
    assert results == [Result(3, Column.SOLVED, "the script", ["x"])]
    assert problem.startswith("stopped after 1 of 2 blocks: ModuleNotFoundError: No module named")


def test_a_stop_leaves_no_process_and_no_folder(monkeypatch: MonkeyPatch, tmp_path: Path) -> None:
    started = instead(monkeypatch, "import time\nprint('2\\n[]', flush=True)\ntime.sleep(600)")
    monkeypatch.setattr(matrix, "json", Mock(**{"loads.side_effect": KeyboardInterrupt}))
    with pytest.raises(KeyboardInterrupt):
        matrix.run_cases(tmp_path, [3], "MLflow 9.7.3")
    process, settings = started[0]
    assert process.poll() is not None and not Path(settings["cwd"]).exists()


def made_up_rows() -> list[Row]:
    """A version that is not there, one that works, and one on which everything breaks."""
    works = [Result(number, Column.SOLVED, "script", []) for number in (3, 4)]
    breaks = [Result(number, one, "a `b`", [RAISED]) for number in (3, 4) for one in Column]
    return [
        Row("9.9.0", problem="does not resolve: it is not there"),
        Row("9.8.1", (*works, Result(3, Column.MISTAKES, "a", [])), pinned=True),
        Row("9.7.3", (*breaks, Result(4, Column.EXAMPLES, "c", [])), moved=("pandas 2.3.3",)),
    ]


def test_the_page_says_what_breaks_why_and_what_to_do() -> None:
    page = matrix.page(made_up_rows(), date(2026, 11, 21))
    assert page.startswith("# The course on other") and "Last run: 2026-11-21, Python 3." in page
    assert "| 9.9.0 | does not run | - | - | - | - | - |" in page
    assert "\n\nMLflow 9.9.0 does not resolve: it is not there.\n\n" in page
    assert "| 9.8.1 (pinned) | 2 of 2 | - | 2 of 2 | 1 of 1 | - | - |" in page
    assert "| 9.7.3 | 0 of 2 | 0 of 2 | 0 of 2 | 0 of 2 | 1 of 3 | 0 of 2 |" in page
    assert "With MLflow 9.7.3 moved: pandas 2.3.3." in page
    assert "| 04_params_metrics | ok | unsolved 0 of 1, solution 0 of 1, mistakes" in page
    assert page.count(": no.** ") == len(Column)
    assert f"mend the check.\n\n- Blocks 3, 4: `{RAISED}`\n\n**Mistakes caught: no.**" in page
    assert f"in `lesson.md`.\n\n- Blocks 3, 4: `` a `b`: {RAISED} ``\n\n" in page
    assert "Nothing breaks" not in page and "### MLflow 9.8.1" not in page
    assert "Nothing breaks on the versions" in matrix.page(made_up_rows()[1:2])
    assert "breaks" not in matrix.page(made_up_rows()[:1]).partition("not there.")[2]


@pytest.mark.parametrize("breaks", [False, True])
def test_a_break_on_the_pinned_version_fails_and_named_versions_write_no_page(
    breaks: bool, monkeypatch: MonkeyPatch, tmp_path: Path, capsys: Any
) -> None:
    page = tmp_path / "docs" / "matrix.md"
    rows = made_up_rows()
    rows = [rows[0], Row("9.8.1", rows[1 + breaks].results, pinned=True)]
    monkeypatch.setattr(matrix, "PAGE", page)
    monkeypatch.setattr(matrix, "try_all", lambda named, numbers: iter(rows))
    assert matrix.main(["9.8.1"]) == int(breaks)
    assert matrix.main(number=3) == int(breaks)
    assert not page.exists()
    said = capsys.readouterr().out
    assert "What breaks" in said and ("Nothing breaks" in said) != breaks
    assert matrix.main() == int(breaks)
    assert "9.8.1 (pinned)" in page.read_text(encoding="utf-8")
