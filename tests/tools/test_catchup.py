"""`make catchup`: what a store lacks of the blocks before one, added to what is there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tools.made_up import made_up
from winelab.checks.looking import REGISTERED
from winelab.commands import catchup, progress
from winelab.core.errors import CourseError
from winelab.core.paths import SOLUTIONS, course_environment, store_uri
from winelab.course.source import course
from winelab.proof.execute import Code, execute
from winelab.tracking import store
from winelab.tracking.run_tags import BLOCK_TAG, CATCHUP_TAG
from winelab.tracking.workspace import furnish

# Before it, the experiment, a run, and one with params and metrics.
NEXT = course().block("tracking_uri").number


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


def runs_of(client: MlflowClient) -> list[tuple[str, bool]]:
    """Block, and whether a catch-up made it, of each run in the store."""
    found = client.search_runs([e.experiment_id for e in client.search_experiments()])
    return sorted((r.data.tags[BLOCK_TAG], CATCHUP_TAG in r.data.tags) for r in found)


@pytest.mark.parametrize("slug", ["train", "experiment", "experiment"])
def test_nothing_to_do(home: Path, slug: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert catchup.main(course().block(slug).number, home) == 0
    assert "Nothing to do" in capsys.readouterr().out
    assert runs_of(MlflowClient(store_uri(home))) == []


def test_it_asks_for_a_number(home: Path) -> None:
    with pytest.raises(CourseError, match="make catchup BLOCK=register"):
        catchup.main(None, home)


def test_it_adds_what_is_missing_and_keeps_what_is_there(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = execute(Code(f"{course().block('run').name}.py"), home, check="run")
    assert mine.report is not None and mine.report.done
    client = MlflowClient(store_uri(home))
    assert catchup.main(NEXT, home) == 0
    assert runs_of(client) == [("params_metrics", True), ("run", False)]
    assert store.marks(client) == {"run"}
    assert store.caught_up(client) == {"experiment", "params_metrics"}
    capsys.readouterr()
    assert catchup.main(NEXT, home) == 0
    assert "Nothing to do" in capsys.readouterr().out
    assert len(runs_of(client)) == 2


def test_a_store_with_a_registry_and_a_champion_can_be_gone_on_with(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = MlflowClient(store_uri(home))
    all_missing, wanted = catchup.missing, ("log_model", "promote")
    monkeypatch.setattr(
        catchup, "missing",
        lambda c, n, there: [b for b in all_missing(c, n, there) if b.slug in wanted],
    )  # fmt: skip
    block = course().block("latest_version")
    assert catchup.main(block.number, home) == 0
    version = client.get_model_version_by_alias(REGISTERED, "champion")
    # In its final place from the start.
    assert home.as_uri() in client.get_run(version.run_id or "").info.artifact_uri
    outcome = execute(Code(f"{block.name}.py"), home, check=block.slug)
    assert outcome.report is not None and outcome.report.done, outcome


def test_a_solution_that_fails_leaves_nothing_of_itself(home: Path) -> None:
    block = course().block("params_metrics")
    script = home / "solutions" / f"{block.name}.py"
    whole = script.read_text(encoding="utf-8")
    script.write_text(whole + "\nraise OSError('the disk is full')\n", encoding="utf-8")
    with pytest.raises(CourseError, match=rf"block {block.number} failed here .*the disk is full"):
        catchup.main(NEXT, home)
    client = MlflowClient(store_uri(home))
    assert runs_of(client) == [("run", True)]
    assert store.caught_up(client) == {"experiment", "run"}
    script.write_text(whole, encoding="utf-8")
    assert catchup.main(NEXT, home) == 0
    assert runs_of(client) == [("params_metrics", True), ("run", True)]


def test_progress_does_not_call_it_done(tmp_path: Path) -> None:
    lines = progress.lines(made_up(tmp_path, "", *[""] * 5), {"block2"}, {"block1", "block3"})
    assert [line[:4].strip() for line in lines[:5]] == ["", "ran", "done", "ran", "next"]
    assert any("make catchup" in line for line in lines)
    assert "1 of 5 blocks done" in lines[-1]


def test_progress_comes_back_to_a_block_that_was_caught_up(tmp_path: Path) -> None:
    course = made_up(tmp_path, "", *[""] * 3)
    assert progress.lines(course, {"block0", "block2"}, {"block1"})[1].startswith("next")
