"""Make the notebooks that differ from a block's solution: its mistakes, and other right ways."""

from __future__ import annotations

from winelab.checks.authoring import Cells, DoesNotFit, Variant
from winelab.core.errors import CourseError
from winelab.course.compose import compose, sections_after
from winelab.course.source import Block, Course, Line


def edited_cells(course: Course, block: Block, variant: Variant) -> list[str]:
    """Return the cells of the solved notebook after a variant's edits, in the order they run.

    Raises CourseError where an edit does not fit the solution.
    """
    path = block.folder / "checks.py"
    sections = {
        name: "\n".join(line.text for line in lines)
        for name, lines in sections_after(course, block.number, "notebook").items()
    }
    try:
        for edit in variant.edits:
            if edit.of_sections:
                edit.of_sections(sections)
        lines = {
            name: tuple(Line(text, path, 1) for text in code.splitlines()) if code.strip() else ()
            for name, code in sections.items()
        }
        run: Cells = [(cell.name, cell.source) for cell in compose(block.outline, lines)]
        for edit in variant.edits:
            if edit.of_cells:
                edit.of_cells(run)
    except DoesNotFit as why:
        raise CourseError(
            f'{block.slug}/checks.py: "{variant.what}" cannot be made: {why}.'
        ) from None
    return [source for _, source in run]
