"""The README's table of blocks, built from the lessons' metadata."""

from __future__ import annotations

import re

from winelab.course.source import PARTS, Course

START, END = "<!-- blocks: start -->", "<!-- blocks: end -->"


def blocks_table(course: Course) -> str:
    """A Markdown table, a row a block: number, title with links, minutes, stars, what it does.

    Above the blocks of each part stands a row with its name and minutes.
    """
    rows = ["| block | | minutes | level | after it you can |", "| ---: | --- | ---: | --- | --- |"]
    for block in course.blocks:
        meta = block.meta
        part = [other for other in course.blocks if other.meta["part"] == meta["part"]]
        if block is part[0]:
            minutes = sum(other.meta["minutes"] for other in part)
            rows.append(f"| | **Part {meta['part']}: {PARTS[meta['part']]}** | {minutes} | | |")
        links = (
            f"[{meta['title']}](labs/{block.name}.ipynb) "
            f"([script](solutions/{block.name}.py), [solved](solutions/{block.name}.ipynb))"
        )
        cells = (str(block.number), links, str(meta["minutes"]), block.stars, meta["objectives"][0])
        rows.append(f"| {' | '.join(cells)} |")
    total = sum(block.meta["minutes"] for block in course.blocks)
    return "\n".join(rows) + f"\n\n{len(course.blocks)} blocks, {total} minutes in all."


def with_table(readme: str, course: Course) -> str:
    """`readme` with today's table between its two marks; unchanged where it has none."""
    table = f"{START}\n\n{blocks_table(course)}\n\n{END}"
    return re.sub(f"{START}.*?{END}", lambda _: table, readme, flags=re.DOTALL)
