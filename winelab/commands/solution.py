"""`make solution`: what a block changes in the script, as a diff; of block 0, the whole script."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from winelab.commands.student_files import block_or_last
from winelab.course.compose import header, script_text
from winelab.course.difference import Changed, changed_lines
from winelab.course.source import Course, read_course

AROUND = 3
"""Lines that are shown above and below a change."""
SIGNS = {"added": "+", "removed": "-", "kept": " "}
COLOURS = {"+": "green", "-": "red", "@": "cyan"}


@dataclass(frozen=True)
class Hunk:
    """Changes that stand together, with the lines around them."""

    old: int
    """The first line's number in the script before, from 1; of an empty stretch the one above."""
    new: int
    lines: tuple[Changed, ...]
    title: str
    """The title of the script's part that it stands in, "" where there is none."""

    def text(self) -> list[str]:
        """The hunk as a unified diff has it."""
        old = sum(line.kind != "added" for line in self.lines)
        new = sum(line.kind != "removed" for line in self.lines)
        head = f"@@ -{self.old},{old} +{self.new},{new} @@ {self.title}".rstrip()
        return [head, *(f"{SIGNS[line.kind]}{line.text}" for line in self.lines)]


def hunks(course: Course, number: int) -> list[Hunk]:
    """The changes of a block after the first, in order; empty where the script stays as it is."""
    lines = changed_lines(course, number)
    shown = {
        at
        for centre, line in enumerate(lines)
        if line.kind != "kept"
        for at in range(centre - AROUND, centre + AROUND + 1)
    }
    titles = {f"# {title}": title for title in course.outline.titles.values() if title}
    # The headers are left out of the comparison, not of the count.
    old = len(header(course.block(number - 1)).splitlines())
    new = len(header(course.block(number)).splitlines())
    found: list[Hunk] = []
    title, start = "", (0, 0, "")
    here: list[Changed] = []
    for at, line in enumerate(lines):
        old += line.kind != "added"
        new += line.kind != "removed"
        if at in shown:
            if not here:
                start = (old + (line.kind == "added"), new + (line.kind == "removed"), title)
            here.append(line)
        if line.kind != "removed":
            title = titles.get(line.text.strip(), title)
        if here and at + 1 not in shown:
            found.append(Hunk(start[0], start[1], tuple(here), start[2]))
            here = []
    if here:
        found.append(Hunk(start[0], start[1], tuple(here), start[2]))
    return found


def diff(course: Course, number: int) -> list[str]:
    """The lines of a unified diff from the script before to that of the block.

    `patch` makes the one of the other, but for the names in its header. Empty where the
    script stays as it is.
    """
    made = [line for hunk in hunks(course, number) for line in hunk.text()]
    if not made:
        return []
    before, after = course.block(number - 1).name, course.block(number).name
    return [f"--- solutions/{before}.py", f"+++ solutions/{after}.py", *made]


def main(number: int | None = None) -> int:
    """Print what the block changes; without a number, of the block worked on last. Returns 0."""
    course = read_course()
    block = block_or_last(course, number, "solution")
    # Apart from the diff, which may go through a pipe.
    words = Console(stderr=not sys.stdout.isatty(), highlight=False)
    out = Console(highlight=False, soft_wrap=True)
    if block.number == 0:
        summary = "The whole script: block 0 has none before it."
        print(script_text(course, 0), end="")
    else:
        lines = diff(course, block.number)
        changed = [line.kind for line in changed_lines(course, block.number)]
        summary = (
            f"Block {block.number} adds {changed.count('added')} lines to the script of block "
            f"{block.number - 1}, and takes {changed.count('removed')} away."
            if lines
            else f"Block {block.number} leaves the script as it is: its task is in the notebook."
        )
        for line in lines:
            bold = "bold " if line.startswith(("---", "+++")) else ""
            out.print(Text(line, style=(bold or COLOURS.get(line[0], "")).strip()))
    words.print(f"\nBlock {block.number} - {block.title}", style="bold", markup=False)
    words.print(summary)
    words.print(f"The whole script:    solutions/{block.name}.py", markup=False)
    words.print(f"The solved notebook: solutions/{block.name}.ipynb", markup=False)
    return 0
