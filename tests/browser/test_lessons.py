"""Four blocks as a student works through them: JupyterLab and MLflow's pages in a real browser.

Each starts at the address that `make lab` prints, in a copy of the course, and ends in MLflow.
What is typed and what is read is taken from the block's own source.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browsers import opened
from course_copy import course_copy, processes, serving, still_there
from pages import Lab, Mlflow
from required import required_browser

from winelab.checks.checking import checks_of
from winelab.course.compose import solved_cells, unsolved_cells
from winelab.course.source import Block, Course
from winelab.proof.cases import FIRST_RUN
from winelab.proof.mistakes import edited_cells
from winelab.system.browser import chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.skipif(os.name == "nt", reason="ends servers as a terminal does")


@dataclass(frozen=True)
class Classroom:
    """A browser, and a copy of the course whose servers run."""

    root: Path
    browser: Browser
    lab: str
    """The address that `make lab` printed."""
    ui: str
    """... and `make ui`."""


@pytest.fixture(scope="module")
def classroom(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Classroom]:
    """One for all: a server takes as long to start as a block takes to run."""
    required_browser()
    with (
        course_copy(tmp_path_factory.mktemp("classroom")) as root,
        serving(root, "lab") as lab,
        serving(root, "ui") as ui,
        chromium() as browser,
    ):
        yield Classroom(root, browser, lab, ui)


# --- what each block is followed to --------------------------------------------------------------


def look_at_the_run(room: Classroom, lab: Lab, mlflow: Mlflow) -> None:
    """Block run: the run has a name and a status."""
    mlflow.open_newest_run("wine-quality")
    mlflow.shows("elasticnet", "Finished", "_run.ipynb", "winelab.verified")


def look_at_the_metrics(room: Classroom, lab: Lab, mlflow: Mlflow) -> None:
    """Block autolog: autolog's metrics, and those that the notebook printed."""
    mlflow.open_newest_run("wine-quality")
    mlflow.shows("_autolog.ipynb", "training_score")
    printed = dict(re.findall(r"^(rmse|mae|r2): (-?[\d.]+)$", lab.printed("result"), re.MULTILINE))
    assert len(printed) == 3
    assert {name: f"{mlflow.metric(name):.3f}" for name in printed} == printed


def look_at_the_champion(room: Classroom, lab: Lab, mlflow: Mlflow) -> None:
    """Block promote: the alias stands at the version that was promoted, and leads to its run."""
    promoted = re.findall(r"version (\d+),.*: promoted", lab.printed("training"))
    version = mlflow.open_version("wine-quality-elasticnet", "champion")
    # In a store that has its champion already, none is promoted.
    assert not promoted or version == int(promoted[-1])
    mlflow.shows("promoted")
    mlflow.open_source_run("elasticnet")
    assert mlflow.metric("rmse") < 0.7


def look_at_the_server(room: Classroom, lab: Lab, mlflow: Mlflow) -> None:
    """Block serve: a server that a notebook started is gone with the notebook's kernel."""
    asked = '    refused, refusal = ask(address, {"dataframe_split": dry})\n'
    before, _, after = lab.source("serve").partition(asked)
    assert after
    lab.write("serve", f"{before}{asked}    print('still serving')\n    time.sleep(600)\n{after}")
    lab.start_all()
    lab.wait_for_print("serve", "still serving")
    servers = [one for one in processes(room.root) if "scoring_server" in " ".join(one.cmdline())]
    assert servers, "there is no server, while the notebook says so"
    lab.shut_down()
    assert not still_there(servers)


# --- a block, from the first look to the last ----------------------------------------------------


@pytest.mark.parametrize(
    ("slug", "mistake", "look"),
    [
        pytest.param(
            "run", "the run has no name", look_at_the_run, marks=pytest.mark.block("run"), id="run"
        ),
        pytest.param(
            "autolog",
            "autolog stays on",
            look_at_the_metrics,
            marks=pytest.mark.block("autolog"),
            id="autolog",
        ),
        pytest.param(
            "promote", "", look_at_the_champion, marks=pytest.mark.block("promote"), id="promote"
        ),
        pytest.param("serve", "", look_at_the_server, marks=pytest.mark.block("serve"), id="serve"),
    ],
)
def test_a_block_in_the_browser(
    slug: str,
    mistake: str,
    look: Callable[[Classroom, Lab, Mlflow], None],
    classroom: Classroom,
    whole: Course,
    tmp_path: Path,
) -> None:
    block = whole.block(slug)
    with (
        opened(classroom.browser, tmp_path, "mlflow") as other,
        opened(classroom.browser, tmp_path, "jupyterlab") as page,
    ):
        lab = Lab(page, classroom.lab, block)
        untouched_then_solved(lab, whole, block, mistake)
        look(classroom, lab, Mlflow(other, classroom.ui))


def untouched_then_solved(lab: Lab, whole: Course, block: Block, mistake: str) -> None:
    """Run all; make the mistake, and read its hint; then the solution, and all is ok."""
    checks = checks_of(block.folder)
    names = [check.__name__ for check in checks.lines]
    lines = [
        (check.__doc__ or "").strip().partition("\n")[0].replace("`", "") for check in checks.lines
    ]
    given = ["ok" if getattr(check, "given", False) else "TODO" for check in checks.lines]
    if block.slug == FIRST_RUN:
        # There is no run yet, so none has finished.
        given[0] = "TODO"

    rows = lab.run_all()
    assert [row.line for row in rows] == lines
    assert [row.word for row in rows] == given
    assert any(row.hint.startswith("hint: ") for row in rows)
    answer = f"solutions/{block.name}.py"
    assert lab.summary() == f"{given.count('ok')} of {len(rows)} done. Solution: {answer}"

    now = {cell.name: cell.source for cell in unsolved_cells(whole, block.number)}
    right = {cell.name: cell.source for cell in solved_cells(whole, block.number)}
    if mistake:
        (made,) = [one for one in checks.mistakes if one.what == mistake]
        assert all(edit.of_sections for edit in made.edits), "more than typing"
        sources = edited_cells(whole, block, made)
        wrong = dict(zip(right, sources, strict=True))
        change(lab, now, wrong)
        now = wrong
        row = lab.run_all()[names.index(made.caught_by)]
        assert row.word == "TODO"
        assert made.hint.replace("`", "") in row.hint

    change(lab, now, right)
    rows = lab.run_all()
    assert [(row.word, row.hint) for row in rows] == [("ok", "")] * len(lines)
    assert lab.summary() == f"{len(rows)} of {len(rows)} done. Block {block.number} is yours."


def change(lab: Lab, now: dict[str, str], then: dict[str, str]) -> None:
    """Write the cells that differ."""
    assert now.keys() == then.keys()
    for name, code in then.items():
        if code != now[name]:
            lab.write(name, code)
