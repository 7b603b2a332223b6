"""Build slides/: each deck of Markdown to one HTML file that opens offline, and to a PDF.

slides/theme/page.html.j2 is the page, and slides/theme/player.js shows its slides.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from winelab.core.errors import CourseError
from winelab.core.files import write_bytes, write_text
from winelab.course.reading import holds
from winelab.course.source import Course, read_course
from winelab.course.templates import render
from winelab.publish.deck import SLIDES, THEME, Deck, read_deck
from winelab.system import browser

if TYPE_CHECKING:
    from playwright.sync_api import Browser

STYLES = (THEME / "slides.css", THEME / "player.css", SLIDES / "pictures" / "drawing.css")


def main(folder: Path = SLIDES) -> int:
    """Build what differs; return the exit code.

    Raises CourseError for a mistake in a deck, before anything is written, and where a PDF must
    be made and there is no browser: the HTML is written then.
    """
    written = write_html(read_course(), folder)
    written += write_pdfs(folder)
    for path in written:
        print(f"slides/{path.name}")
    print(f"{len(written)} files written." if written else "slides/ is up to date.")
    return 0


def decks(folder: Path = SLIDES) -> list[Path]:
    """Return the Markdown files of the decks, in order."""
    return sorted(path for path in folder.glob("*.md") if path.name != "README.md")


def write_html(course: Course, folder: Path = SLIDES) -> list[Path]:
    """Write the HTML files that differ; return those written."""
    pages = {
        path.with_suffix(".html"): deck_html(read_deck(path, course)) for path in decks(folder)
    }
    changed = [path for path, text in pages.items() if not holds(path, text)]
    for path in changed:
        write_text(path, pages[path])
    return changed


def deck_html(deck: Deck) -> str:
    """Return a deck as one HTML page that needs no other file."""
    script = f"\n{(THEME / 'player.js').read_text(encoding='utf-8').strip()}\n"
    # The page's policy lets this one script run, and no other.
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    styles = [path.read_text(encoding="utf-8").strip() for path in STYLES]
    return render(THEME / "page.html.j2", deck=deck, script=script, digest=digest, styles=styles)


# --- PDF -------------------------------------------------------------------------------------


def pdf_mark(page: Path) -> bytes:
    """Return the line below a PDF that names the HTML file that it was made from."""
    digest = hashlib.sha256(page.read_bytes()).hexdigest()
    return b"% built from HTML with the SHA-256 " + digest.encode()


def pdf_is_current(page: Path) -> bool:
    """Return whether the PDF beside an HTML file was made from it as it is now."""
    pdf = page.with_suffix(".pdf")
    return pdf.is_file() and pdf_mark(page) in pdf.read_bytes()[-200:]


def write_pdfs(folder: Path = SLIDES) -> list[Path]:
    """Print to PDF each HTML file that has changed since; return the PDFs written.

    Raises CourseError where one must be made and there is no browser.
    """
    pages = [path.with_suffix(".html") for path in decks(folder)]
    stale = [page for page in pages if not pdf_is_current(page)]
    if not stale:
        return []
    try:
        with browser.chromium() as chromium:
            return [_print(chromium, page) for page in stale]
    except CourseError as error:
        names = ", ".join(page.with_suffix(".pdf").name for page in stale)
        raise CourseError(f"The HTML is up to date, {names} not: {error}") from error


def _print(chromium: Browser, page: Path) -> Path:
    """Print one HTML file to a PDF beside it; return the PDF."""
    tab = chromium.new_page(viewport={"width": 1280, "height": 720})
    try:
        tab.goto(page.resolve().as_uri())
        content = tab.pdf(prefer_css_page_size=True, print_background=True, tagged=True)
    finally:
        tab.close()
    # What stands below a PDF's last line is read by nobody but us.
    path = page.with_suffix(".pdf")
    write_bytes(path, content.rstrip() + b"\n" + pdf_mark(page) + b"\n")
    return path
