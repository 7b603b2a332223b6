"""Block 29: the poster says what the store says, all of it can be read, and the script is short."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from copy import copy
from functools import partial
from itertools import pairwise
from types import ModuleType
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import mlflow
import pandas as pd
import pytest
from matplotlib.text import Text
from tools.made_up import loaded, mlflow_at

from winelab.core.paths import SOLUTIONS, store_uri
from winelab.course.source import course
from winelab.proof.execute import Code, execute
from winelab.tracking.store import environment
from winelab.tracking.workspace import clean_workspace

SCRIPT = SOLUTIONS / f"{course().block('poster').name}.py"
NAME = "wine-quality-elasticnet"


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    """The functions of the built script, in a room where it has run once; MLflow looks there."""
    with clean_workspace() as room, environment(MPLBACKEND="agg"):
        shutil.copyfile(SCRIPT, room / "solutions" / SCRIPT.name)
        outcome = execute(Code(SCRIPT.name), room)
        assert not outcome.error, outcome.error
        with mlflow_at(store_uri(room)):
            mlflow.set_experiment("wine-quality")
            yield loaded(room / "solutions" / SCRIPT.name)


@pytest.fixture
def client(script: ModuleType) -> mlflow.MlflowClient:
    return mlflow.MlflowClient()


@pytest.fixture
def facts(script: ModuleType, client: mlflow.MlflowClient) -> dict[str, Any]:
    found: dict[str, Any] = script.read_store(client)
    return found


@pytest.fixture(autouse=True)
def no_figure_left() -> Iterator[None]:
    yield
    plt.close("all")


def draw(script: ModuleType, facts: dict[str, Any]) -> Any:
    """The poster, laid out as it is saved."""
    poster = script.draw_poster(**facts)
    poster.set_dpi(200)
    poster.draw_without_rendering()
    return poster


def words(poster: Any) -> str:
    """All texts of the poster."""
    return "\n".join(found.get_text() for found in poster.findobj(Text))


def heights(poster: Any, panel: int) -> list[float]:
    """How high the bars of a panel are."""
    return [bar.get_height() for bar in poster.axes[panel - 1].patches]


def dots(poster: Any, panel: int) -> list[tuple[float, float]]:
    """Where the dots of a panel are, the champion last."""
    collections = poster.axes[panel - 1].collections
    return [tuple(place) for found in collections for place in found.get_offsets()]


# --- the poster follows the store, and what is read of it --------------------------------------


def test_it_says_what_the_store_says(script: ModuleType, client: mlflow.MlflowClient) -> None:
    champion: Any = client.get_model_version_by_alias(NAME, "champion")
    metrics = client.get_run(champion.run_id).data.metrics
    poster = draw(script, script.read_store(client))
    said = words(poster)
    assert f"models:/{NAME}@champion" in said
    assert f"@champion is version {champion.version}. {champion.description}" in said
    assert heights(poster, 3) == [
        metrics[f"{of}{name}"] for name in ("rmse", "mae", "r2") for of in ("dummy_", "")
    ]
    assert sum(heights(poster, 1)) == 1599
    for name in ("rmse", "mae", "r2"):
        assert f"{metrics[name]:.3f}" in said
    assert "3 runs" in said and "3 versions" in said
    assert dots(poster, 4)[-1] == (float(champion.version), metrics["rmse"])
    assert {place for place, _ in dots(poster, 2)} == {0.01, 0.1, 0.5}
    assert "gate\n0.7" in said
    assert "400 answers to python" in said and "400 answers to curl" in said


def changed(entity: Any, **values: Any) -> Any:
    """A copy of an entity of MLflow's in which these differ."""
    made = copy(entity)
    for name, value in values.items():
        setattr(made, f"_{name}", value)
    return made


def of_run(facts: dict[str, Any], **metrics: float) -> dict[str, Any]:
    """The facts, with other metrics of the champion's run."""
    return facts | {"run": changed(facts["run"], metrics=facts["run"].metrics | metrics)}


def of_champion(facts: dict[str, Any], **values: Any) -> dict[str, Any]:
    """The facts, with another champion."""
    return facts | {"champion": changed(facts["champion"], **values)}


SERVICE = {"curl": [5.0] * 7, "difference": 0.125, "no alcohol": [418, "no wine without"]}
TABLE = {"mean": 5.4, "wines": {"train": {"5": 30, "6": 20}, "test": {"10": 2}}}
CHANGES: dict[str, tuple[Callable[[dict[str, Any]], dict[str, Any]], str]] = {
    # Of what was read, and what the poster says then. That another store is read as it is, the
    # checks of the block prove.
    "a metric": (partial(of_run, mae=0.1234), "0.123"),
    "the baseline": (partial(of_run, dummy_rmse=0.8765), "mean\n0.876"),
    "the alias": (partial(of_champion, version="3"), "@champion is version 3."),
    "the gate": (partial(of_champion, tags={"gate": "0.725"}), "gate\n0.725"),
    "the description": (partial(of_champion, description="By hand."), "By hand."),
    "a version": (lambda f: f | {"versions": f["versions"] | {4: 0.7}}, "4 versions"),
    "a run": (lambda f: f | {"runs": pd.concat([f["runs"], pd.Series({0.3: 0.71})])}, "4 runs"),
    "the service": (lambda f: f | {"service": f["service"] | SERVICE}, "7 answers to curl"),
    "the table": (lambda f: f | {"table": TABLE}, "52 wines"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_another_fact_is_another_poster(
    what: str, script: ModuleType, facts: dict[str, Any]
) -> None:
    change, said = CHANGES[what]
    before, after = draw(script, facts), draw(script, change(facts))
    assert said not in words(before)
    assert said in words(after)
    if what == "the service":
        assert "at most 0.1 off" in words(after) and "no alcohol: 418" in words(after)
    if what == "the alias":
        assert dots(before, 4)[-1][0] == 2.0 and dots(after, 4)[-1][0] == 3.0
    if what == "the gate":
        assert [line.get_ydata()[0] for line in after.axes[3].lines] == [0.725]
    if what == "a metric":
        assert heights(after, 3)[3] == 0.1234


# --- it can be read ------------------------------------------------------------------------------


def crowded(facts: dict[str, Any], count: int, best: int) -> dict[str, Any]:
    """The facts of a store with `count` versions, of which `best` is the champion."""
    rmse = [0.62 + 0.2 * (at % 7) / 7 for at in range(count)]
    alphas = [(0.001, 0.01, 0.05, 0.1, 0.5, 2.0, 0.0)[at % 7] for at in range(count)]
    long = [400, "a_word_that_is_longer_than_any_line_of_the_panel_can_be " + "and more " * 60]
    # Through a server, a version is a text.
    return of_champion(facts, version=str(best)) | {
        "runs": pd.Series(rmse, index=alphas),
        "versions": {at + 1: rmse[at] for at in reversed(range(count))},
        "service": facts["service"] | {"malformed": long, "no alcohol": long},
    }


@pytest.mark.parametrize(("count", "best"), [(1, 1), (3, 3), (11, 1), (11, 11), (40, 2), (40, 40)])
def test_nothing_is_cut_off_and_nothing_overlaps(
    script: ModuleType, facts: dict[str, Any], count: int, best: int
) -> None:
    poster = draw(script, crowded(facts, count, best))
    renderer = poster.canvas.get_renderer()
    page = poster.bbox
    panels = {str(at): axes.get_tightbbox(renderer) for at, axes in enumerate(poster.axes, 1)}
    heads = {text.get_text(): text.get_window_extent(renderer) for text in poster.texts}
    assert len(panels) == 6 and len(heads) == 2
    boxes = panels | heads
    for name, box in boxes.items():
        assert page.x0 <= box.x0 and box.x1 <= page.x1, f"{name} is wider than the page"
        assert page.y0 <= box.y0 and box.y1 <= page.y1, f"{name} is higher than the page"
        for other, there in boxes.items():
            assert name == other or not box.overlaps(there), f"{name} overlaps {other}"
    for axes in poster.axes:
        low, high = sorted(axes.get_xlim())
        labels = [
            label.get_window_extent(renderer)
            for at, label in zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)
            if low <= at <= high
        ]
        for left, right in pairwise(labels):
            assert left.x1 < right.x0, "two labels of an axis overlap"
    service = poster.axes[5]
    for text in service.texts:
        inside, card = text.get_window_extent(renderer), service.bbox
        assert card.x0 < inside.x0 and inside.x1 < card.x1, "the words leave the last panel"
        assert card.y0 < inside.y0 and inside.y1 < card.y1, "the words leave the last panel"
    small = [found for found in poster.findobj(Text) if found.get_fontsize() < 12]
    assert not [found for found in small if found.get_text()], "smaller than 12 points"
    assert tuple(poster.get_size_inches()) == (16.5, 11.7)


def test_matplotlib_is_left_as_it_was(script: ModuleType, facts: dict[str, Any]) -> None:
    before = dict(mpl.rcParams)
    script.draw_poster(**facts)
    assert dict(mpl.rcParams) == before


# --- the script ----------------------------------------------------------------------------------


def test_the_finished_script_is_short() -> None:
    lines = SCRIPT.read_text("utf-8").splitlines()
    assert len(lines) < 300
    assert max(map(len, lines)) <= 100
    assert "def main():" in lines
