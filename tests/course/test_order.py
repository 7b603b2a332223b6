"""Every block starts alone: all of them on one store, in any order."""

from __future__ import annotations

import random

import pytest

from winelab.course.compose import solved_cells
from winelab.course.source import Block, Course
from winelab.proof.runner import run
from winelab.tracking.workspace import clean_room


def backwards(blocks: list[Block]) -> list[Block]:
    """The last block first: each meets a store in which all that comes later is there."""
    return blocks[::-1]


def shuffled(blocks: list[Block]) -> list[Block]:
    """Some order, the same in every test run: a failure can be looked into."""
    return random.Random(42).sample(blocks, len(blocks))


@pytest.mark.parametrize("order", [backwards, shuffled])
def test_blocks_can_be_done_in_any_order(whole: Course, order: object) -> None:
    assert callable(order)
    with clean_room() as room:
        for block in order(list(whole.blocks)):
            cells = [cell.source for cell in solved_cells(whole, block.number)]
            outcome = run(room, source=f"{block.name}.ipynb", cells=cells, check=block.number)
            assert not outcome.error, f"block {block.number}: {outcome.error}"
            assert outcome.report is not None and outcome.report.done, str(outcome.report)
