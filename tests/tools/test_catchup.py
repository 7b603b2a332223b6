"""`make catchup`: what a store lacks of the blocks before one, added to what is there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient

from winelab.checks.fixtures import REGISTERED
from winelab.commands import catchup, progress
from winelab.core.errors import CourseError
from winelab.core.paths import SOLUTIONS, course_environment, store_uri
from winelab.course.source import course
from winelab.proof.execute import Code, execute
from winelab.tracking import store
from winelab.tracking.run_tags import BLOCK_TAG, CATCHUP_TAG
from winelab.tracking.workspace import furnish


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A course's folder with the solutions and an empty store, in a folder with an accent."""
    root = furnish(tmp_path / "Wine Lab é")
    for path in SOLUTIONS.glob("*.py"):
        shutil.copy(path, root / "solutions")
    return root


@pytest.fixture(autouse=True)
def here(home: Path) -> object:
    """This process's environment is as it was after a test."""
    with store.environment(**course_environment(home)):
        yield


def runs_of(client: MlflowClient) -> list[tuple[int, bool]]:
    """Block, and whether a catch-up made it, of each run in the store."""
    found = client.search_runs([e.experiment_id for e in client.search_experiments()])
    return sorted((int(r.data.tags[BLOCK_TAG]), CATCHUP_TAG in r.data.tags) for r in found)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_nothing_to_do(home: Path, number: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert catchup.main(number, home) == 0
    assert "Nothing to do" in capsys.readouterr().out
    assert runs_of(MlflowClient(store_uri(home))) == []


def test_it_asks_for_a_number(home: Path) -> None:
    with pytest.raises(CourseError, match="make catchup BLOCK=24"):
        catchup.main(None, home)


def test_it_adds_what_is_missing_and_keeps_what_is_there(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = execute(Code("03_run.py"), home, check=3)
    assert mine.report is not None and mine.report.done
    client = MlflowClient(store_uri(home))
    assert catchup.main(5, home) == 0
    assert runs_of(client) == [(3, False), (4, True)]
    assert store.marks(client) == {3}
    assert store.caught_up(client) == {2, 4}
    capsys.readouterr()
    assert catchup.main(5, home) == 0
    assert "Nothing to do" in capsys.readouterr().out
    assert len(runs_of(client)) == 2


def test_a_store_with_a_registry_and_a_champion_can_be_gone_on_with(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = MlflowClient(store_uri(home))
    all_missing = catchup.missing
    monkeypatch.setattr(
        catchup, "missing",
        lambda c, n, there: [b for b in all_missing(c, n, there) if b.number in (12, 25)],
    )  # fmt: skip
    assert catchup.main(26, home) == 0
    version = client.get_model_version_by_alias(REGISTERED, "champion")
    # In its final place from the start.
    assert home.as_uri() in client.get_run(version.run_id or "").info.artifact_uri
    outcome = execute(Code("26_latest_version.py"), home, check=26)
    assert outcome.report is not None and outcome.report.done, outcome


def test_a_solution_that_fails_leaves_nothing_of_itself(home: Path) -> None:
    script = home / "solutions" / "04_params_metrics.py"
    whole = script.read_text(encoding="utf-8")
    script.write_text(whole + "\nraise OSError('the disk is full')\n", encoding="utf-8")
    with pytest.raises(CourseError, match=r"block 4 failed here .*the disk is full"):
        catchup.main(5, home)
    client = MlflowClient(store_uri(home))
    assert runs_of(client) == [(3, True)]
    assert store.caught_up(client) == {2, 3}
    script.write_text(whole, encoding="utf-8")
    assert catchup.main(5, home) == 0
    assert runs_of(client) == [(3, True), (4, True)]


def test_progress_does_not_call_it_done() -> None:
    lines = progress.lines(course(), {3}, {2, 4})
    assert [line[:4].strip() for line in lines[:7]] == ["", "", "ran", "done", "ran", "next", ""]
    assert any("make catchup" in line for line in lines)
    assert "1 of 30 blocks done" in lines[-1]


def test_progress_comes_back_to_a_block_that_was_caught_up() -> None:
    done = set(range(30)) - {4}
    assert progress.lines(course(), done, {4})[4].startswith("next")
