"""`make matrix`: which versions are tried, what counts as a break, and what is written of it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from packaging.version import Version
from rich.console import Console

from winelab.checks.authoring import Mistake
from winelab.checks.checking import Report, Verdict
from winelab.core.errors import CourseError
from winelab.proof import cases, matrix, versions
from winelab.proof.cases import Break, Trial
from winelab.proof.matrix import Row
from winelab.proof.runner import Outcome

TRACEBACK = """Traceback (most recent call last):
  File "<cell 5>", line 3, in <module>
    mlflow.models.evaluate(uri, data=table)
mlflow.exceptions.MlflowException: No such artifact: 'model'
(Background on this error at: https://example.org)
"""


def outcome(error: str = "", **verdicts: tuple[bool, str]) -> Outcome:
    found = tuple(Verdict(name, f"{name}!", done, hint) for name, (done, hint) in verdicts.items())
    return Outcome("", error, Report(3, "Three", found))


def made_up_rows() -> list[Row]:
    """A version that works, one that breaks in two ways, and one that is not there."""
    good = Trial(3, {"unsolved": (1, 1), "solution": (2, 2), "mistakes": (7, 7)})
    reason = "AttributeError: module 'mlflow' has no attribute 'log_dict'"
    bad = tuple(
        Trial(
            number,
            {"unsolved": (1, 1), "solution": (0, 2), "examples": (1, 2)},
            (Break(number, "solution", reason), Break(number, "examples", "lesson.md:9 | `x`")),
        )
        for number in (3, 4)
    )
    return [
        Row("9.9.0", trouble="does not resolve: there is no version of mlflow-skinny==9.9.0"),
        Row("9.8.1", (good, Trial(4, {"unsolved": (1, 1), "solution": (2, 2)})), pinned=True),
        Row("9.7.3", bad, moved=("pandas 2.3.3",)),
    ]


# --- which versions ----------------------------------------------------------------------------


def test_the_newer_ones_and_the_newest_of_two_minor_versions_before_are_chosen() -> None:
    there = ["3.18.0", "3.18.0rc1", "3.17.2", "3.17.1", "3.16.0", "3.16.1", "3.15.10", "3.15.9"]
    newer, before = versions.choose(map(Version, [*there, "3.14.0", "2.22.5"]), Version("3.17.1"))
    assert [str(version) for version in newer] == ["3.18.0", "3.17.2"]
    assert [str(version) for version in before] == ["3.16.1", "3.15.10"]


def test_before_the_first_minor_version_of_a_new_major_one_come_the_last_of_the_old() -> None:
    there = map(Version, ["4.0.0", "3.18.0", "3.17.2", "3.16.1"])
    assert versions.choose(there, Version("4.0.0"))[1] == [Version("3.18.0"), Version("3.17.2")]


def test_the_newest_that_resolves_is_taken_and_the_pinned_one_runs_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried = []

    def try_version(version: Version, numbers: list[int]) -> Row:
        tried.append(str(version))
        return Row(str(version), trouble="does not resolve" if version.minor == 9 else "")

    listed = [Version(text) for text in ("9.9.1", "9.9.0", "9.8.5", "9.8.1", "9.7.0", "9.6.0")]
    monkeypatch.setattr(versions, "listed", lambda: listed)
    monkeypatch.setattr(versions, "pinned_version", lambda: Version("9.8.1"))
    monkeypatch.setattr(matrix, "try_version", try_version)
    list(matrix.try_all([], [3]))
    assert tried == ["9.9.1", "9.9.0", "9.8.5", "9.8.1", "9.7.0", "9.6.0"]
    tried.clear()
    monkeypatch.setattr(versions, "listed", lambda: [Version("9.8.1"), Version("9.7.0")])
    list(matrix.try_all([], [3]))
    assert tried == ["9.8.1", "9.7.0"]


def test_what_is_no_version_is_one_sentence() -> None:
    with pytest.raises(CourseError, match=r"'newest' is no version of MLflow: write one such as"):
        matrix.version_of("newest")


def test_offline_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "WARNING: Retrying\nERROR: No matching distribution found for mlflow\n"
    done = subprocess.CompletedProcess([], 1, "", said)
    monkeypatch.setattr(versions, "ask", lambda command: done)
    with pytest.raises(CourseError, match=r"cannot be asked .*\(No matching .*mlflow\): go online"):
        versions.listed()


UV_SAYS = """error: No solution found when resolving dependencies
  cause: Because there is no version of mlflow-skinny==3.18.0 and mlflow>=3.18.0 depends on
         mlflow-skinny==3.18.0, we can conclude that mlflow>=3.18.0 cannot be used.
         And because you require mlflow==3.18.0, we can conclude that ... unsatisfiable.
"""
PIP_SAYS = """ERROR: Cannot install mlflow==3.15.2 because these versions are in conflict.

The conflict is caused by:
    mlflow 3.15.2 depends on pandas<3
    The user requested (constraint) pandas==3.1.1
    The user requested (constraint) SQLAlchemy==2.1.9

ERROR: ResolutionImpossible: for help visit https://pip.pypa.io/
"""


def test_the_installers_reason_is_one_line() -> None:
    assert versions.reason_of(UV_SAYS) == (
        "there is no version of mlflow-skinny==3.18.0 and mlflow>=3.18.0 depends on "
        "mlflow-skinny==3.18.0"
    )
    assert versions.reason_of(PIP_SAYS).startswith("Cannot install mlflow==3.15.2 because")


def test_pips_conflicts_are_found_by_their_names() -> None:
    assert versions.conflicting(PIP_SAYS) == {"pandas", "sqlalchemy"}


def test_what_moved_is_what_left_the_courses_pins() -> None:
    resolved = versions.Resolved(
        Version("3.15.2"), "mlflow==3.15.2\npandas==2.3.3\nnumpy==2.4.6\npytz==2026.6\n"
    )
    course = (
        "mlflow==3.17.2\npandas==3.1.1\n    # via mlflow\nnumpy==2.4.6 ; python_version > '3'\n"
    )
    assert resolved.moved(course) == ["pandas 2.3.3"]


def test_what_blocks_need_is_read_from_the_project() -> None:
    names = versions.wanted_packages()
    assert {"scikit-learn", "pandas", "hatchling", "ipykernel"} <= set(names)
    assert not {"mlflow", "ruff", "jupyterlab"} & set(names)


def test_an_environment_counts_only_when_it_was_finished_for_these_pins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = Version("9.7.3")
    assert not versions.is_finished(tmp_path, version)
    stamp = versions.stamp_of(tmp_path, version)
    (tmp_path / versions.STAMP).write_text(json.dumps(stamp), encoding="utf-8")
    assert versions.is_finished(tmp_path, version)
    monkeypatch.setattr(versions.environment, "digest", lambda path: "other pins")
    assert not versions.is_finished(tmp_path, version)


def test_a_full_disk_is_one_sentence_and_nothing_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "ENVIRONMENTS", tmp_path)
    monkeypatch.setattr(versions.shutil, "disk_usage", lambda path: SimpleNamespace(free=1e9))
    monkeypatch.setattr(
        versions.environment, "run_installer", lambda *_: pytest.fail("something was installed")
    )
    with pytest.raises(CourseError, match=r"has 1\.0 GB free, .* needs up to 2\.5 GB: make room"):
        versions.make(versions.Resolved(Version("9.7.3"), ""))


# --- what breaks -------------------------------------------------------------------------------


def test_the_reason_is_the_line_that_names_the_exception() -> None:
    said = "mlflow.exceptions.MlflowException: No such artifact: 'model'"
    assert cases.raised(TRACEBACK) == said
    assert cases.raised("The run ended after 120 s.\n") == "The run ended after 120 s."


def test_a_reason_carries_no_ids_and_no_folders() -> None:
    text = (
        f"run {'0a' * 16} in /tmp/winelab-x1/wine-lab/mlruns,\n from /home/a/site-packages/ml/x.py"
    )
    assert cases.plain(text) == "run <id> in <room>, from ml/x.py"
    assert len(cases.plain("word " * 200)) <= cases.REASON_LENGTH + 4


def test_a_solution_breaks_by_an_error_or_by_its_check() -> None:
    assert cases.against_solution(outcome(a=(True, ""))) == []
    assert cases.against_solution(outcome(TRACEBACK, a=(True, "")))[0].startswith("mlflow.")
    said = cases.against_solution(outcome(a=(True, ""), b=(False, "log it")))
    assert said == ['the check "b!" fails: log it']
    assert cases.against_solution(Outcome("", "", None)) == ["its checks did not run"]


def test_an_untouched_notebook_breaks_when_a_check_passes() -> None:
    assert cases.against_unsolved(outcome(a=(False, "do it"))) == []
    said = cases.against_unsolved(outcome(a=(True, "")))
    assert said == ['the check "a!" passes before anything is done']


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (outcome("ValueError: old words", a=(False, "call it")), ""),
        (outcome("ValueError: new words", a=(False, "call it")), "no longer ends in the error"),
        (outcome("ValueError: old words", a=(True, "")), "is not caught"),
        (outcome("ValueError: old words", a=(False, "other")), "meets another hint: other"),
        (outcome("ValueError: old words", b=(False, "")), "did not run"),
    ],
)
def test_a_mistake_must_end_in_its_words_and_meet_its_hint(seen: Outcome, said: str) -> None:
    mistake = Mistake("forgotten", caught_by="a", hint="call it", error="old words")
    found = cases.against_mistake(mistake, seen)
    assert said in "".join(found) and bool(found) == bool(said)


def test_a_trial_survives_being_written_down() -> None:
    trial = made_up_rows()[2].trials[0]
    assert cases.from_json(cases.as_json(trial)) == trial


def runs_that(change: Callable[[dict[str, Any]], Outcome]) -> Callable[..., Outcome]:
    def run(room: Path, **arguments: Any) -> Outcome:
        return change(arguments)

    return run


def test_a_block_whose_solution_breaks_is_said_once_and_its_mistakes_are_not_tried(
    monkeypatch: pytest.MonkeyPatch, whole: Any
) -> None:
    def change(arguments: dict[str, Any]) -> Outcome:
        return Outcome("", TRACEBACK, None, ("FutureWarning: soon gone",))

    monkeypatch.setattr(cases, "run", runs_that(change))
    trial = cases.try_block(whole, whole.block(3), (Mistake("x", caught_by="a", hint="h"),))
    assert trial.word("solution") == "0 of 2" and trial.word("mistakes") == "-"
    reasons = [one.reason for one in trial.breaks if one.part == "solution"]
    assert reasons == ["mlflow.exceptions.MlflowException: No such artifact: 'model'"]
    gone = [one.reason for one in trial.breaks if one.part == "deprecations"]
    assert gone == ["FutureWarning: soon gone"]


@pytest.mark.parametrize(("broken", "told"), [(0, False), (1, False), (2, True)])
def test_only_what_breaks_twice_is_told(
    monkeypatch: pytest.MonkeyPatch, whole: Any, broken: int, told: bool
) -> None:
    good, bad = Trial(3, {"solution": (2, 2)}), made_up_rows()[2].trials[0]
    assert bad.breaks
    answers = [*[bad] * broken, *[good] * 2]
    monkeypatch.setattr(cases, "try_block", lambda *_: answers.pop(0))
    assert bool(cases.try_twice(whole, whole.block(3), ()).breaks) == told


# --- the table and the page --------------------------------------------------------------------


def test_the_page_says_what_breaks_why_and_what_to_do() -> None:
    page = matrix.page(made_up_rows(), date(2026, 11, 21), "Python 3.11.7, Linux, 2 processors")
    assert "Last run: 2026-11-21, Python 3.11.7, Linux, 2 processors." in page
    assert "| 9.9.0 | does not run | - |" in page
    assert "MLflow 9.9.0 does not resolve: there is no version of mlflow-skinny==9.9.0." in page
    assert "| 9.8.1 (pinned) | 2 of 2 |" in page and "| 9.7.3 | 0 of 2 |" in page
    assert "With MLflow 9.7.3 moved: pandas 2.3.3." in page
    assert "| 04_params_metrics | ok | solution 0 of 2, examples 1 of 2 |" in page
    assert "- Blocks 3, 4: `AttributeError: module 'mlflow' has no attribute 'log_dict'`" in page
    for part in ("solution", "examples"):
        assert all(sentence in page for sentence in matrix.MEANING[part])
    assert "Nothing breaks" not in page and "### MLflow 9.8.1" not in page
    assert "Nothing breaks on the versions" in matrix.page(made_up_rows()[1:2], date.today(), "")


def test_what_stands_in_a_table_cannot_end_its_cell() -> None:
    assert matrix.markdown(["a"], [["x | y"]]).splitlines()[-1] == "| x \\| y |"
    assert matrix.as_code("a `b` c") == "`` a `b` c ``"


def test_the_terminals_table_has_every_row_and_reason() -> None:
    console = Console(file=io.StringIO(), width=100)
    matrix.show(made_up_rows(), console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "does not run" in text and "solution 0 of 2" in text
    assert "solution, block 3, 4: AttributeError" in text


@pytest.mark.parametrize("breaks", [False, True])
def test_a_break_on_the_pinned_version_fails_and_named_versions_write_no_page(
    breaks: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, whole: Any
) -> None:
    page = tmp_path / "docs" / "matrix.md"
    rows = made_up_rows()
    rows = [rows[0], Row("9.8.1", rows[2].trials if breaks else rows[1].trials, pinned=True)]
    monkeypatch.setattr(matrix, "PAGE", page)
    monkeypatch.setattr(matrix, "try_all", lambda named, numbers: iter(rows))
    assert matrix.main(["9.8.1"]) == int(breaks)
    assert matrix.main(block=3) == int(breaks)
    assert not page.exists()
    assert matrix.main() == int(breaks)
    assert "9.8.1 (pinned)" in page.read_text(encoding="utf-8")


def test_what_keeps_everything_from_running_is_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment's Python ends at its first import."""
    broken = tmp_path / "broken.py"
    broken.write_text("import no_such_module_of_mlflow\n", encoding="utf-8")
    real = subprocess.Popen

    def popen(command: list[str], **settings: Any) -> Any:
        return real([sys.executable, str(broken)], **settings)

    monkeypatch.setattr(matrix.subprocess, "Popen", popen)
    rows, trouble = matrix.run_trials(tmp_path, [3, 4], "MLflow 9.7.3")
    assert rows == []
    assert trouble.startswith("stopped after 0 of 2 blocks: ModuleNotFoundError: No module named")


@pytest.mark.skipif(os.name != "posix", reason="the stop is told by the process group")
def test_a_stop_ends_the_runs_and_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sleeper = tmp_path / "sleeper.py"
    sleeper.write_text("import time\ntime.sleep(600)\n", encoding="utf-8")
    real, started = subprocess.Popen, []

    def popen(command: list[str], **settings: Any) -> Any:
        started.append((real([sys.executable, str(sleeper)], **settings), settings["cwd"]))
        return started[0][0]

    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(matrix.subprocess, "Popen", popen)
    monkeypatch.setattr(matrix, "time", SimpleNamespace(sleep=interrupted))
    with pytest.raises(KeyboardInterrupt):
        matrix.run_trials(tmp_path, [3], "MLflow 9.7.3")
    process, desk = started[0]
    assert process.poll() is not None and not Path(desk).exists()
