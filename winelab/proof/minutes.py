"""How many minutes a block takes, from what there is to read, to write and to look at."""

from __future__ import annotations

import re

from winelab.course.compose import unsolved_cells
from winelab.course.source import Block, Course

WORDS_A_MINUTE = 180
"""Careful reading: below the mean of 238 for plain prose in Brysbaert, J. Mem. Lang. 109, 2019."""
MINUTES_A_LINE = 0.75
"""To think of, write and try a line of code. Assumed, not measured: put a class's time here."""
MINUTES_TO_LOOK = 3.0
"""To run the cells, read the check, and find the place in the UI. Assumed too."""


def estimate(course: Course, block: Block) -> float:
    """Return the minutes that a block takes: reading, writing what it asks for, looking around.

    A line to write is a line of the sections that carry a TODO, in the notebook.
    """
    prose = " ".join(piece.content for piece in block.pieces if piece.kind == "text")
    words = len(re.findall(r"\w[\w'.-]*", prose))
    asked = {task.section for task in block.tasks}
    lines = sum(
        len([line for line in change.lines if line.text.strip()])
        for change in block.changes
        if change.section in asked and "notebook" in change.forms and not change.given
    )
    cells = len([cell for cell in unsolved_cells(course, block.number) if cell.tasks])
    return words / WORDS_A_MINUTE + MINUTES_A_LINE * max(lines, cells) + MINUTES_TO_LOOK
