"""What a block changes in the script is what its solution says."""

from __future__ import annotations

import pytest

from winelab.core.errors import CourseError
from winelab.course.compose import header, script_text
from winelab.course.difference import changed_lines
from winelab.course.source import Block, course


def body(number: int) -> str:
    return script_text(course(), number).removeprefix(header(course().block(number)))


def test_the_two_scripts_can_be_read_out_of_it(block: Block) -> None:
    lines = changed_lines(course(), block.number)
    new = [line.text for line in lines if line.kind != "removed"]
    assert new == body(block.number).splitlines()
    old = [line.text for line in lines if line.kind != "added"]
    assert old == (body(block.number - 1).splitlines() if block.number else [])


def test_a_small_block_is_a_small_change() -> None:
    changed = [line for line in changed_lines(course(), 1) if line.kind != "kept"]
    assert "import mlflow" in [line.text for line in changed if line.kind == "added"]
    assert len(changed) < 10


def test_no_such_block() -> None:
    with pytest.raises(CourseError):
        changed_lines(course(), 99)
