"""`make solution`: what a block changes in the script, as a diff; of block 0, the whole script."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.text import Text

from winelab.commands.student_files import block_or_last
from winelab.course.compose import script_text
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
    if block.number == 0:
        summary = "The whole script: block 0 has none before it."
        print(script_text(course, 0), end="")
    else:
        lines = unified_diff(course, block.number)
        added, removed = (sum(line[0] == sign for line in lines[2:]) for sign in "+-")
        summary = (
            f"Block {block.number} adds {added} lines to the script of block "
            f"{block.number - 1}, and takes {removed} away."
            if lines
            else f"Block {block.number} leaves the script as it is: its task is in the notebook."
        )
        for line in lines:
            style = next((STYLES[start] for start in STYLES if line.startswith(start)), "")
            out.print(Text(line, style))
    words.print(f"\nBlock {block.number} - {block.title}", style="bold")
    words.print(summary)
    words.print(f"The whole script:    solutions/{block.name}.py")
    words.print(f"The solved notebook: solutions/{block.name}.ipynb")
    return 0
