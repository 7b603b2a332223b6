"""The blocks' numbers in Markdown pages that are read as they stand, such as README.md.

There a link, or the name of a built file, says by its slug which block is meant; the numbers in
them are written by the build.
"""

from __future__ import annotations

import re
from pathlib import Path

from winelab.core.errors import CourseError, fail
from winelab.course.source import Course

FOLDERS = ("blocks", "data", "slides", "tests", "winelab")
"""Their README.md is such a page, beside that of the course and all of docs/."""

_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s]+)\)")
_BUILT = re.compile(r"(?:\.\./)*(?:labs|solutions)/(?:\d\d_)?(\w+)\.(?:ipynb|py)")
_FOLDER = re.compile(r"(?:\.\./)*blocks/(\w+)(?:/.*)?")
_NUMBER = re.compile(r"((?:[Bb]lock )?)\d+")


def pages(root: Path) -> list[Path]:
    """Return the pages of the course in `root`, those that are there."""
    readmes = (root / "README.md", *(root / folder / "README.md" for folder in FOLDERS))
    return [*(path for path in readmes if path.is_file()), *sorted(root.glob("docs/**/*.md"))]


def with_numbers(page: str, path: Path, course: Course) -> str:
    """Return a page with today's numbers in the links to blocks and in the names of their files.

    A link's text changes where it is a number, or such as "block 3". Raises CourseError, with the
    line in the file `path`, for a link to a block that is not there.
    """
    numbered = {block.slug: block.name for block in course.blocks}
    # Of names that begin alike the longest.
    slugs = "|".join(sorted(map(re.escape, numbered), key=len, reverse=True))
    page = re.sub(
        rf"(?<![0-9A-Za-z])\d\d_({slugs})(?![a-z0-9])", lambda found: numbered[found[1]], page
    )

    def link(found: re.Match[str]) -> str:
        text, target = found.groups()
        named = _BUILT.fullmatch(target) or _FOLDER.fullmatch(target)
        if not named:
            return found[0]
        try:
            number = course.block(named[1]).number
        except CourseError as error:
            line = page.count("\n", 0, found.start()) + 1
            raise fail(path, line, f"{target}: {error}") from None
        if match := _NUMBER.fullmatch(text):
            text = f"{match[1]}{number}"
        return f"[{text}]({target})"

    return _LINK.sub(link, page)
