"""The README's table of blocks, built from the lessons' metadata."""

from __future__ import annotations

import re

from winelab.course.source import COURSE_PARTS, Course

START, END = "<!-- blocks: start -->", "<!-- blocks: end -->"


def blocks_table(course: Course) -> str:
    """Return a Markdown table, a row a block: number, title with links, minutes, stars, an aim.

    Above the blocks of each part of the course stands a row with its name and minutes.
    """
    rows = ["| block | | minutes | level | after it you can |", "| ---: | --- | ---: | --- | --- |"]
    for part, name in COURSE_PARTS.items():
        blocks = [block for block in course.blocks if block.meta.part == part]
        minutes = sum(block.meta.minutes for block in blocks)
        if blocks:
            rows.append(f"| | **Part {part}: {name}** | {minutes} | | |")
        rows += [
            f"| {block.number} | [{block.title}](labs/{block.name}.ipynb) "
            f"([script](solutions/{block.name}.py), [solved](solutions/{block.name}.ipynb)) "
            f"| {block.meta.minutes} | {block.stars} | {block.meta.objectives[0]} |"
            for block in blocks
        ]
    total = sum(block.meta.minutes for block in course.blocks)
    return "\n".join(rows) + f"\n\n{len(course.blocks)} blocks, {total} minutes in all."


def with_table(readme: str, course: Course) -> str:
    """Return `readme` with today's table between its two marks; unchanged where it has none."""
    table = f"{START}\n\n{blocks_table(course)}\n\n{END}"
    return re.sub(f"{START}.*?{END}", lambda _: table, readme, flags=re.DOTALL)
