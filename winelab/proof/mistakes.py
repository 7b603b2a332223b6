"""Make a block's mistakes in its solution: what a learner would have in the notebook then."""

from __future__ import annotations

from winelab.checks.authoring import EVERY_CELL, Mistake
from winelab.core.errors import CourseError
from winelab.course.compose import compose, sections_after
from winelab.course.source import Block, Course, Line


def mistaken_cells(course: Course, block: Block, mistake: Mistake) -> list[str]:
    """Return the solved notebook's cells with the mistake made, in the order in which they run.

    Raises CourseError where the mistake does not fit the solution.
    """
    sections = dict(sections_after(course, block.number, "notebook"))
    path = block.folder / "checks.py"

    def put(section: str, code: str) -> None:
        lines = tuple(Line(text, path, 1) for text in code.splitlines())
        sections[section] = lines if code.strip() else ()

    for section, code in mistake.code.items():
        if section not in sections:
            raise _wrong(block, mistake, f'there is no section "{section}" to replace')
        put(section, code)
    for section, (old, new) in mistake.swap.items():
        text = "\n".join(line.text for line in sections.get(section, ()))
        if text.count(old) != 1:
            raise _wrong(block, mistake, f'{old!r} stands {text.count(old)} times in "{section}"')
        put(section, text.replace(old, new))
    cells = {cell.name: cell.source for cell in compose(course, sections)}
    skip = tuple(cells) if mistake.skip == EVERY_CELL else mistake.skip
    for name in (*skip, *([mistake.twice] if mistake.twice else [])):
        if name not in cells:
            raise _wrong(block, mistake, f"there is no cell [{name}]")
    run = [mistake.before] if mistake.before else []
    for name, source in cells.items():
        if name not in skip:
            run += [source] * (2 if name == mistake.twice else 1)
    return [*run, mistake.after] if mistake.after else run


def _wrong(block: Block, mistake: Mistake, why: str) -> CourseError:
    return CourseError(
        f'{block.slug}/checks.py: the mistake "{mistake.what}" cannot be made: {why}.'
    )
