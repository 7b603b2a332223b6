"""`make solution`: what a block changes, as a diff; of the first one, all that there is."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.text import Text

from winelab.commands.student_files import block_or_last
from winelab.course.compose import solution_files, text_of
from winelab.course.difference import unified_diff
from winelab.course.source import read_course

STYLES = {"---": "bold", "+++": "bold", "+": "green", "-": "red", "@": "cyan"}
"""By how a line of the diff begins; the first that fits."""


def main(number: int | None = None) -> int:
    """Print what the block changes; without a number, of the block worked on last; return 0."""
    course = read_course()
    block = block_or_last(course, number, "solution")
    # Apart from the diff, which may go through a pipe.
    words = Console(stderr=not sys.stdout.isatty(), highlight=False, markup=False)
    out = Console(highlight=False, markup=False, soft_wrap=True)
    what = "package" if block.package else "script"
    if not course.before(block):
        summary = f"The whole {what}: block {block.number} has none before it."
        for name, whole in solution_files(course, block.number).items():
            if block.package:
                words.print(f"\nsolutions/{name}", style="bold")
            print(text_of(whole), end="")
    else:
        lines = unified_diff(course, block.number)
        changed = [line for line in lines if line[:4] not in ("--- ", "+++ ")]
        added, removed = (sum(line[0] == sign for line in changed) for sign in "+-")
        summary = (
            f"Block {block.number} adds {added} lines to the {what} of block "
            f"{block.number - 1}, and takes {removed} away."
            if lines
            else f"Block {block.number} leaves the {what} as it is: its task is in the notebook."
        )
        for line in lines:
            style = next((STYLES[start] for start in STYLES if line.startswith(start)), "")
            out.print(Text(line, style))
    words.print(f"\nBlock {block.number} - {block.title}", style="bold")
    words.print(summary)
    words.print(f"{f'The whole {what}:':20} solutions/{block.solution}")
    words.print(f"The solved notebook: solutions/{block.name}.ipynb")
    return 0
