"""One honest story: nothing is chosen on the test wines, and each number was computed."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from sklearn.model_selection import train_test_split

from winelab.core.paths import ROOT, SOLUTIONS, STORE
from winelab.course.source import Block, Course
from winelab.proof.execute import Code, execute
from winelab.tracking.data import twin_bytes
from winelab.tracking.workspace import clean_workspace

# --- P11: nothing is chosen on the test wines ---------------------------------------------------


@pytest.fixture(scope="module")
def other_test(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wine table with the qualities of the test wines dealt out anew among them.

    It has no duplicates any more, so the same rows are drawn for the test.
    """
    wine = pd.read_csv(io.BytesIO(twin_bytes()), sep=";").drop_duplicates(ignore_index=True)
    _, test = train_test_split(wine.index, test_size=0.25, random_state=42)
    dealt = np.random.default_rng(1).permutation(wine.loc[test, "quality"])
    wine.loc[test, "quality"] = dealt
    assert not wine.duplicated().any(), "two test wines have become copies: take another seed"
    path = tmp_path_factory.mktemp("other") / "wines.csv"
    wine.to_csv(path, sep=";", index=False)
    return path


def run_script(block: Block, table: Path | None) -> tuple[list[Any], list[float]]:
    """Run a solution's script; return what it chose, and the RMSEs that it measured on the test.

    Chosen are the params of all runs, what was cross-validated, and the order of both.
    """
    with clean_workspace() as workspace:
        text = (SOLUTIONS / f"{block.name}.py").read_text(encoding="utf-8")
        (workspace / "solutions" / f"{block.name}.py").write_text(text, encoding="utf-8")
        arguments = ("--data", str(table)) if table else ()
        outcome = execute(Code(f"{block.name}.py", arguments=arguments), workspace)
        # A model that has learned nothing of these test wines may well pass no gate.
        assert not outcome.error or "champion" in outcome.last_line, outcome.error
        client = MlflowClient(f"sqlite:///{(workspace / STORE.name).as_posix()}")
        experiments = [one.experiment_id for one in client.search_experiments()]
        runs = client.search_runs(experiments, order_by=["attributes.start_time ASC"])
    chosen = [
        (run.info.run_name, sorted(run.data.params.items()), run.data.metrics.get("cv_rmse"))
        for run in runs
    ]
    return chosen, [run.data.metrics["rmse"] for run in runs if "rmse" in run.data.metrics]


def test_no_choice_looks_at_the_test_wines(block: Block, other_test: Path) -> None:
    if block.package:  # it chooses nothing by these wines, or has a test of its own
        return
    chosen, measured = run_script(block, None)
    chosen_anew, measured_anew = run_script(block, other_test)
    assert chosen_anew == chosen
    assert not measured or measured_anew != measured, "the test wines were dealt out in vain"


# --- P13: one script ----------------------------------------------------------------------------

FROM = "autolog"
"""The first block that keeps what was there."""


def test_a_student_writes_at_least_half_of_a_change(block: Block, whole: Course) -> None:
    if block.package:
        # What stands around a task, such as a file's other half, is given.
        assert len(block.tasks) >= 3
    elif block.number >= whole.block(FROM).number:
        given = [change.section for change in block.changes if change.given]
        assert 2 * len(given) <= len(block.changes), f"given: {given}"


LIVES_ON = (
    "cross_val_score(", "make_pipeline(", "mlflow.sklearn.autolog(", "mlflow.pyfunc.PythonModel",
    '"round"', "conda_env=conda_env", "mlflow.models.evaluate(", "extra_metrics=extra_metrics",
    "custom_artifacts=", "DummyRegressor(", "mlflow.validate_evaluation_results(",
    "mlflow.register_model(", 'tags["validation"]', "set_registered_model_alias(",
    "def newest_version(", "def annotate(", "with serving(", "poster.savefig(",
)  # fmt: skip


def test_what_the_blocks_built_lives_on_to_the_last_script(whole: Course) -> None:
    last = (SOLUTIONS / f"{whole.main[-1].name}.py").read_text(encoding="utf-8")
    assert not [part for part in LIVES_ON if part not in last]


# --- each number is one that was computed -------------------------------------------------------

_DECIMAL = re.compile(r"(?<![\w.`/-])-?\d+\.\d+(?![\w.]*[\w])")
_FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)


def decimals(text: str) -> set[str]:
    """The numbers with a decimal point that stand in a text, without those of versions."""
    return set(_DECIMAL.findall(text))


def computed(block: Block) -> set[str]:
    """All numbers that a block's solved notebook shows, and those in its code and its examples."""
    notebook = nbformat.read(SOLUTIONS / f"{block.name}.ipynb", as_version=4)
    shown = [json.dumps(cell.get("outputs", "")) + cell.source for cell in notebook.cells]
    shown += _FENCE.findall((block.folder / "lesson.md").read_text("utf-8"))
    return set(re.findall(r"-?\d+\.\d+", "\n".join(shown)))


@pytest.fixture(scope="module")
def known(whole: Course) -> list[set[float]]:
    """For each block, the numbers that were computed up to it, its own included."""
    found: list[set[float]] = []
    for block in whole.blocks:
        found.append({*(found[-1] if found else ()), *map(float, computed(block))})
    return found


def _not_computed(quoted: set[str], numbers: set[float]) -> list[str]:
    """The quoted numbers that none of the computed ones rounds to; also as percent."""
    return sorted(
        text
        for text in quoted
        if not any(
            round(number * scale, len(text.partition(".")[2])) == float(text)
            for number in numbers
            for scale in (1, 100)
        )
    )


def test_a_lesson_quotes_only_what_was_computed(block: Block, known: list[set[float]]) -> None:
    lesson = (block.folder / "lesson.md").read_text(encoding="utf-8")
    prose = _FENCE.sub("", lesson.split("\n---\n", 1)[1])
    wrong = _not_computed(decimals(prose), known[block.number])
    assert not wrong, f"no solution up to here prints these: {', '.join(wrong)}"


def test_slides_and_pictures_quote_only_what_was_computed(known: list[set[float]]) -> None:
    pages = [*ROOT.glob("slides/*.md"), *ROOT.glob("blocks/*/picture.yaml")]
    assert pages
    wrong = {
        page.relative_to(ROOT).as_posix(): found
        for page in pages
        if (found := _not_computed(decimals(_FENCE.sub("", page.read_text("utf-8"))), known[-1]))
    }
    assert not wrong
