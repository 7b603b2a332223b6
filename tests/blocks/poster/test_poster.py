"""Block 29: the poster says what the store says, all of it can be read, and the script is short."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from copy import copy
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


def dots(poster: Any) -> list[tuple[float, float]]:
    """Where the candidates' dots are, in order."""
    collections = poster.axes[0].collections
    return sorted(tuple(place) for found in collections for place in found.get_offsets())


def marked(poster: Any) -> list[float]:
    """The alphas of the candidates that have another colour than most."""
    (found,) = poster.axes[0].collections
    colours = [tuple(colour) for colour in found.get_facecolors()]
    most = max(colours, key=colours.count)
    return [
        place[0]
        for place, colour in zip(found.get_offsets(), colours, strict=True)
        if colour != most
    ]


def gate_of(poster: Any) -> list[float]:
    """Where the horizontal line is that stands across the versions' panel."""
    found = [line for line in poster.axes[1].lines if line.get_marker() == "None"]
    return [line.get_ydata()[0] for line in found]


# --- the poster follows the store, and what is read of it --------------------------------------


def test_it_says_what_the_store_says(script: ModuleType, client: mlflow.MlflowClient) -> None:
    champion: Any = client.get_model_version_by_alias(NAME, "champion")
    metrics = client.get_run(champion.run_id).data.metrics
    poster = draw(script, script.read_store(client))
    said = words(poster)
    assert f"models:/{NAME}@champion" in said
    assert f"Version {champion.version}. {champion.description}" in said
    assert heights(poster, 3) == [
        metrics[name] for name in ("baseline_rmse", "rmse", "rmse_upper", "within_half")
    ]
    for name in ("baseline_rmse", "rmse", "rmse_upper", "within_half"):
        assert f"{metrics[name]:.3f}" in said
    assert [alpha for alpha, _ in dots(poster)] == [0.01, 0.1, 0.2, 0.5, 1.0]
    assert marked(poster) == [0.01]
    assert "gate of 0.7" in said
    intervals = [line.get_xydata().tolist() for line in poster.axes[1].lines]
    for version in client.search_model_versions(f"name='{NAME}'"):
        number = float(version.version)
        ends = [[number, float(version.tags[name])] for name in ("rmse", "rmse_upper")]
        assert ends in intervals
    assert gate_of(poster) == [0.7]
    # Each test wine is in one bar of each kind.
    assert sum(heights(poster, 4)) == 2 * 340


def changed(entity: Any, **values: Any) -> Any:
    """A copy of an entity of MLflow's in which these differ."""
    made = copy(entity)
    for name, value in values.items():
        setattr(made, f"_{name}", value)
    return made


def of_champion(facts: dict[str, Any], **values: Any) -> dict[str, Any]:
    """The facts, with another champion."""
    return facts | {"champion": changed(facts["champion"], **values)}


def of_run(run: Any, **values: dict[str, Any]) -> Any:
    """A copy of a run, with other values among its metrics or params."""
    data = changed(run.data, **{name: getattr(run.data, name) | values[name] for name in values})
    return changed(run, data=data)


SERVICE = {"answers": [5.25] * 7, "grades": [5.0] * 7}
# Of what was read, and a part of the poster that it changes. That another store is read as it is,
# the checks of the block prove.
Facts = dict[str, Any]
CHANGES: dict[str, tuple[Callable[[Facts], Facts], Callable[[Any], Any], Any]] = {
    "a metric": (
        lambda f: f | {"run": of_run(f["run"], metrics={"within_half": 0.1234})},
        lambda poster: "0.123" in words(poster),
        True,
    ),
    "the alpha": (
        lambda f: f | {"run": of_run(f["run"], params={"elasticnet__alpha": "0.5"})},
        marked,
        [0.5],
    ),
    "the alias": (
        lambda f: of_champion(f, version="3"),
        lambda poster: "Version 3. " in words(poster),
        True,
    ),
    "the description": (
        lambda f: of_champion(f, description="By hand."),
        lambda poster: "By hand." in words(poster),
        True,
    ),
    "the candidates": (
        lambda f: f | {"candidates": f["candidates"].head(2)},
        lambda poster: len(dots(poster)),
        2,
    ),
    "the versions": (
        lambda f: f | {"versions": list(f["versions"])[:1]},
        lambda poster: len(poster.axes[1].lines),
        2,
    ),
    "the service": (
        lambda f: f | {"service": SERVICE},
        lambda poster: sum(heights(poster, 4)),
        14,
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_another_fact_is_another_poster(
    what: str, script: ModuleType, facts: dict[str, Any]
) -> None:
    change, part, value = CHANGES[what]
    assert part(draw(script, facts)) != value
    assert part(draw(script, change(facts))) == value


def test_another_gate_is_another_line(
    script: ModuleType, facts: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "gate", 0.625)
    assert gate_of(draw(script, facts)) == [0.625]


# --- it can be read ------------------------------------------------------------------------------


def crowded(facts: dict[str, Any], count: int) -> dict[str, Any]:
    """The facts of a store with `count` versions and candidates."""
    versions = []
    for number in range(1, count + 1):
        rmse = 0.62 + 0.2 * (number % 7) / 7
        tags = {"rmse": str(rmse), "rmse_upper": str(rmse + 0.05)}
        # Through a server, a version is a text.
        versions.append(changed(facts["champion"], version=str(number), tags=tags))
    row = facts["candidates"].head(1)
    alphas = [str(0.001 * 2 ** (at % 12)) for at in range(count)]
    candidates = pd.concat([row] * count).assign(**{"params.alpha": alphas})
    return facts | {"versions": versions, "candidates": candidates}


@pytest.mark.parametrize("count", [1, 3, 11, 40])
def test_nothing_is_cut_off_and_nothing_overlaps(
    script: ModuleType, facts: dict[str, Any], count: int
) -> None:
    poster = draw(script, crowded(facts, count))
    renderer = poster.canvas.get_renderer()
    page = poster.bbox
    panels = {str(at): axes.get_tightbbox(renderer) for at, axes in enumerate(poster.axes, 1)}
    heads = {text.get_text(): text.get_window_extent(renderer) for text in poster.texts}
    assert len(panels) == 4 and len(heads) == 2
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
    assert len(lines) <= 425
    assert max(map(len, lines)) <= 100
    assert "def main():" in lines
