"""Builds slides/: each deck of Markdown to one HTML file that opens offline, and to a PDF.

slides/theme/player.js shows them; it is put into each file.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from pathlib import Path
from typing import TYPE_CHECKING

from winelab.core.errors import CourseError
from winelab.core.files import write_bytes, write_text
from winelab.core.paths import ROOT
from winelab.course.source import Course, read_course
from winelab.publish.deck import Deck, Slide, named, read_deck
from winelab.system import browser

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SLIDES = ROOT / "slides"
NO_DECK = ("README.md",)

_MARK = b"% built from HTML with the SHA-256 "


def main(folder: Path = SLIDES) -> int:
    """Build what differs; returns the exit code.

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
    """The Markdown files of the decks, in order."""
    return sorted(path for path in folder.glob("*.md") if path.name not in NO_DECK)


def built_html(course: Course, folder: Path = SLIDES) -> dict[Path, str]:
    """Every HTML file of the slides and its text, as it should stand in `folder`."""
    return {
        path.with_suffix(".html"): deck_html(read_deck(path, course), folder)
        for path in decks(folder)
    }


def write_html(course: Course, folder: Path = SLIDES) -> list[Path]:
    """Write the HTML files that differ; return those written."""
    written = []
    for path, text in built_html(course, folder).items():
        if not path.is_file() or path.read_bytes() != text.encode("utf-8"):
            write_text(path, text)
            written.append(path)
    return written


def deck_html(deck: Deck, folder: Path = SLIDES) -> str:
    """A deck as one HTML page that needs no other file."""
    theme = folder / "theme"

    def read(path: Path) -> str:
        return path.read_text(encoding="utf-8").strip()

    script = f"\n{read(theme / 'player.js')}\n"
    styles = [
        read(theme / "slides.css"),
        read(theme / "player.css"),
        read(folder / "pictures" / "drawing.css"),
    ]
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy(script)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>Wine Lab: {html.escape(deck.title)}</title>",
            f"<!-- Built by `make slides`. Edit slides/{deck.path.name} and build again. -->",
            *(f"<style>\n{style}\n</style>" for style in styles),
            f"<script>{script}</script>",
            "</head>",
            "<body>",
            "<main>",
            *(slide_html(deck, at, slide) for at, slide in enumerate(deck.slides)),
            "</main>",
            "</body>",
            "</html>",
            "",
        ]
    )


def policy(script: str) -> str:
    """The page's Content-Security-Policy: this one script, styles and pictures within, no more."""
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def slide_html(deck: Deck, at: int, slide: Slide) -> str:
    """One slide; the first one shows the deck's title."""
    about = f'<p class="about">{named(slide.blocks)}</p>' if slide.blocks else ""
    title = html.escape(slide.title)
    heading = f"<h2>{title}</h2>"
    kind = "slide"
    if at == 0:
        title = html.escape(deck.title)
        kind += " first"
        about = '<p class="about">Wine Lab</p>'
        heading = f'<h1>{title}</h1><p class="subtitle">{html.escape(deck.subtitle)}</p>'
    elif slide.question:
        kind += " question"
    elif not (slide.changes or slide.pictures or slide.map):
        kind += " words"
    number, total = at + 1, len(deck.slides)
    return "\n".join(
        [
            f'<section id="{number}" aria-label="Slide {number} of {total}: {title}">',
            f'<div class="{kind}">',
            f"<header>{about}{heading}</header>",
            f'<div class="body">{mark_shown("".join(slide.body), deck)}</div>',
            f"<footer><span>Wine Lab &middot; {html.escape(deck.title)}</span>"
            f"<span>{number} / {total}</span></footer>",
            "</div>",
            f'<aside class="notes" aria-label="Notes on slide {number}">'
            f"{''.join(slide.notes)}</aside>",
            "</section>",
        ]
    )


def mark_shown(body: str, deck: Deck) -> str:
    """The map of the blocks, with those marked whose code stands on a slide of the deck."""
    shown = {number for slide in deck.slides for number in slide.changes}
    for number in shown:
        body = body.replace(f'<li data-block="{number}">', '<li class="shown">')
    return re.sub(r'<li data-block="\d+">', "<li>", body)


# --- PDF -------------------------------------------------------------------------------------


def html_digest(path: Path) -> str:
    """The SHA-256 of an HTML file, as its PDF notes it."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def pdf_digest(path: Path) -> str:
    """The SHA-256 of the HTML that a PDF was made from; empty if it is not there or not ours."""
    if not path.is_file():
        return ""
    found = re.search(re.escape(_MARK) + rb"([0-9a-f]{64})", path.read_bytes()[-200:])
    return found[1].decode("ascii") if found else ""


def write_pdfs(folder: Path = SLIDES) -> list[Path]:
    """Print to PDF each HTML file that has changed since; return the PDFs written.

    Raises CourseError where one must be made and there is no browser.
    """
    pages = [path.with_suffix(".html") for path in decks(folder)]
    stale = [page for page in pages if pdf_digest(page.with_suffix(".pdf")) != html_digest(page)]
    if not stale:
        return []
    try:
        with browser.chromium() as chromium:
            return [_print(chromium, page) for page in stale]
    except CourseError as error:
        names = ", ".join(page.with_suffix(".pdf").name for page in stale)
        raise CourseError(f"The HTML is up to date, {names} not: {error}") from error


def _print(chromium: Browser, page: Path) -> Path:
    """Print one HTML file; whole or not at all."""
    tab = chromium.new_page(viewport={"width": 1280, "height": 720})
    try:
        tab.goto(page.resolve().as_uri())
        content = tab.pdf(prefer_css_page_size=True, print_background=True, tagged=True)
    finally:
        tab.close()
    # What stands below a PDF's last line is read by nobody but us.
    path = page.with_suffix(".pdf")
    mark = _MARK + html_digest(page).encode()
    write_bytes(path, content.rstrip() + b"\n" + mark + b"\n")
    return path
