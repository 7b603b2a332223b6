"""The mistakes that learners make: each is made in the solution, and must be caught."""

from __future__ import annotations

import pytest

from winelab.checks.authoring import Mistake
from winelab.checks.checking import checks_of
from winelab.course.source import Block, Course, course
from winelab.proof.mistakes import mistaken_cells
from winelab.proof.runner import run
from winelab.tracking.workspace import clean_room


def _mistakes() -> list[object]:
    return [
        pytest.param(block.number, mistake, id=f"{block.number:02d}-{mistake.what}")
        for block in course().blocks
        for mistake in checks_of(block.folder).mistakes
    ]


@pytest.mark.parametrize(("number", "mistake"), _mistakes())
def test_mistake_is_caught_with_its_hint(number: int, mistake: Mistake, whole: Course) -> None:
    block = whole.block(number)
    with clean_room() as room:
        outcome = run(
            room,
            source=f"{block.name}.ipynb",
            cells=mistaken_cells(whole, block, mistake),
            check=number,
            environment=dict(mistake.environment),
        )
    if mistake.error:
        assert mistake.error in outcome.error, "the learner would not see this error"
    else:
        assert not outcome.error, outcome.error
    assert outcome.report is not None, outcome.error
    verdicts = {verdict.name: verdict for verdict in outcome.report.verdicts}
    assert mistake.caught_by in verdicts, f"there is no check {mistake.caught_by}"
    verdict = verdicts[mistake.caught_by]
    assert not verdict.done, f"not caught:\n{outcome.report}"
    assert mistake.hint in verdict.hint, f"caught with another hint:\n{outcome.report}"


def test_three_mistakes_are_listed(block: Block) -> None:
    assert len(checks_of(block.folder).mistakes) >= 3
