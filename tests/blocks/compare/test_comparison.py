"""The comparison of block `compare`: its numbers, and its conclusion on both tables."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import mlflow
import numpy as np
import pandas as pd
import pytest

from winelab.core.paths import SOLUTIONS, TABLE
from winelab.course.source import course
from winelab.proof.cases import passes
from winelab.proof.execute import Where, execute
from winelab.proof.start import furnish_for, solution_code
from winelab.tracking.data import twin_bytes
from winelab.tracking.workspace import clean_workspace

BLOCK = course().block("compare")
pytestmark = pytest.mark.block(BLOCK.slug)


@pytest.fixture(scope="module")
def package() -> Iterator[ModuleType]:
    """The module `wineops.compare` of the solution."""
    source = str(SOLUTIONS / BLOCK.name / "src")
    sys.path.insert(0, source)
    yield importlib.import_module("wineops.compare")
    sys.path.remove(source)
    for name in [name for name in sys.modules if name.partition(".")[0] == "wineops"]:
        del sys.modules[name]


def leads(package: ModuleType, wines: pd.DataFrame) -> dict[str, set[str]]:
    """By test table, the families whose interval of the lead is above 0."""
    train, test = package.split(wines)
    families = package.make_families()
    for model in families.values():
        model.fit(train.drop(columns="quality"), train["quality"])
    found = {}
    for name, rows in {"all": test, "new": package.only_new(test, train)}.items():
        errors = {
            family: model.predict(rows.drop(columns="quality")) - rows["quality"].to_numpy()
            for family, model in families.items()
        }
        reference = errors[package.REFERENCE]
        measured = {name: package.measure(own, reference) for name, own in errors.items()}
        found[name] = {name for name, one in measured.items() if one["lead_lower"] > 0}
    return found


def test_on_the_twin_leads_are_real_only_where_the_models_know_the_wines(
    package: ModuleType, tmp_path: Path
) -> None:
    (tmp_path / "twin.csv").write_bytes(twin_bytes())
    wines = pd.read_csv(tmp_path / "twin.csv", sep=";").astype("float64")
    assert leads(package, wines) == {"all": {"forest", "boosting"}, "new": set()}


def test_on_the_original_too(package: ModuleType, original: Path) -> None:
    wines = pd.read_csv(original, sep=";").astype("float64")
    assert leads(package, wines) == {"all": {"forest", "boosting", "svr"}, "new": set()}


def test_the_program_passes_its_checks_on_the_original(original: Path) -> None:
    with clean_workspace(original) as workspace:
        furnish_for(course(), BLOCK, workspace)
        for path in sorted((SOLUTIONS / BLOCK.name).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                target = workspace / "solutions" / path.relative_to(SOLUTIONS)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(path.read_bytes())
        outcome = execute(solution_code(BLOCK), workspace, Where.FORKED, check=BLOCK.number)
        assert passes(outcome) == []
        assert "Real leads over elasticnet on new wines: none" in outcome.printed


def test_an_interval_covers_the_lead_as_often_as_it_says(package: ModuleType) -> None:
    """Of 200 samples of made-up errors some 95 % hold the true lead: 1 less 0.9."""
    random = np.random.default_rng(7)
    held = 0
    for _ in range(200):
        reference, noise = random.normal(size=(2, 300))
        # Errors with an RMSE of 0.9, most of which the two models share.
        own = 0.9 * (0.95 * reference + np.sqrt(1 - 0.95**2) * noise)
        measured = package.measure(own, reference)
        held += measured["lead_lower"] < 0.1 < measured["lead_upper"]
    assert 0.89 <= held / 200 <= 0.99


def test_a_search_finds_all_runs_page_by_page(package: ModuleType, tmp_path: Path) -> None:
    uri = f"sqlite:///{(tmp_path / 'many.db').as_posix()}"
    client = mlflow.MlflowClient(uri)
    experiment = client.create_experiment("wine-quality", artifact_location=tmp_path.as_uri())
    for number in range(120):
        run = client.create_run(experiment, tags={"odd": str(number % 2)})
        client.log_metric(run.info.run_id, "rmse", number)
    found = package.find_runs(client, "tags.odd = '1'", ["metrics.rmse DESC"], page_size=7)
    assert [run.data.metrics["rmse"] for run in found] == list(range(119, 0, -2))


def test_a_missing_table_is_one_sentence(package: ModuleType, tmp_path: Path) -> None:
    wines = sys.modules["wineops.wines"]
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr(wines.settings, "data_folder", tmp_path)
        wines.read_table(TABLE.name)
    assert "There is no table at" in str(ended.value) and "WINEOPS_DATA" in str(ended.value)
