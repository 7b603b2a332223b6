"""Turn a package that was handed in as a folder into the notebook that writes the same files.

So it is run, checked and reported on as any other hand-in.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache

from winelab.course.compose import WRITTEN_TO, unsolved_cells
from winelab.course.source import course

SOURCE = "src"
"""The folder by which a package is known."""
_REST = """\
from pathlib import Path

for name, text in {files!r}.items():
    path = Path({folder!r}, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")"""


@cache
def package_blocks() -> frozenset[int]:
    """Return the numbers of the blocks whose solution is a package."""
    return frozenset(block.number for block in course().blocks if block.package)


def depth_of_package(
    place: tuple[str, ...], block_of: Callable[[str], int | None]
) -> tuple[int, int] | None:
    """Return how many folders of a path lead to a package and the number of its block, if to one.

    Args:
        place: the folders of a file below that of the class, and its name.
        block_of: the number of the block that a name says.
    """
    for depth, name in enumerate(place[:-1], start=1):
        if (block := block_of(name)) in package_blocks():
            return depth, int(block or 0)
    return None


def as_notebook(number: int, files: Mapping[str, str]) -> str:
    """Return the lab of a package's block as a student would have filled it in, as JSON.

    Args:
        number: of the block.
        files: the package's files by their paths in it; what is missing stays as in the lab.
    """
    left = dict(files)
    sources, last_file = [], 0
    for cell in unsolved_cells(course(), number):
        text = left.pop(cell.file, None) if cell.file else None
        given = f"%%writefile {WRITTEN_TO}/{cell.file}\n{text}".rstrip("\n")
        sources.append(cell.source if text is None else given)
        last_file = len(sources) if cell.file else last_file
    if left:
        rest = dict(sorted(left.items()))
        sources.insert(last_file, _REST.format(files=rest, folder=WRITTEN_TO))
    cells = [{"cell_type": "code", "metadata": {}, "source": source} for source in sources]
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
