"""The slides that are committed: built from today's course, complete, and readable on a screen."""

from __future__ import annotations

import json
import re
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from required import BROWSER, required_browser, stop

from winelab.core.paths import BLOCKS, SOLUTIONS
from winelab.course.source import Course
from winelab.publish.deck import SLIDES, Deck, read_deck
from winelab.publish.slides import deck_html, decks, pdf_is_current
from winelab.system import browser

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

DECKS = decks()


def test_there_is_a_deck_for_the_course_and_for_each_part() -> None:
    parts = ["1-track", "2-package-and-evaluate", "3-register-and-release", "4-operate"]
    assert [path.stem for path in DECKS] == ["0-overview", *parts]


class Built(HTMLParser):
    """A deck as it is read now, its committed HTML, and the start tags of that."""

    def __init__(self, deck: Deck) -> None:
        super().__init__()
        self.deck, self.slides = deck, deck.slides
        self.page = deck.path.with_suffix(".html")
        self.html = self.page.read_bytes().decode("utf-8")
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(self.html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


@pytest.fixture(scope="module", params=DECKS, ids=[path.stem for path in DECKS])
def built(request: pytest.FixtureRequest, whole: Course) -> Built:
    """Each deck in turn."""
    return Built(read_deck(request.param, whole))


def test_the_html_is_what_the_markdown_says(built: Built) -> None:
    source = built.deck.path.name
    assert built.html == deck_html(built.deck), (
        f"slides/{built.page.name} is not what slides/{source}, the blocks and the pictures say: "
        f"run `make slides` (to change the slides, edit slides/{source})."
    )


def test_the_pdf_is_of_that_html(built: Built) -> None:
    pdf = built.page.with_suffix(".pdf")
    assert pdf_is_current(built.page), f"slides/{pdf.name} is old: run `make slides`."
    content = pdf.read_bytes()
    assert len(content) < 1_500_000
    assert len(re.findall(rb"/Type /Page\b", content)) == len(built.slides)


def test_a_deck_has_what_a_class_needs(built: Built) -> None:
    assert 10 <= len(built.slides) <= 20
    assert sum(slide.question for slide in built.slides) >= 2
    assert len({number for slide in built.slides for number in slide.changes}) >= 2
    shown = [name for slide in built.slides for name in slide.pictures]
    assert sum(name.endswith(".png") for name in shown) >= 3
    assert sum(name.endswith(".svg") for name in shown) >= 2


def test_a_part_is_shown_with_its_own_blocks(built: Built, whole: Course) -> None:
    assert any(slide.map for slide in built.slides)
    shown = {number for slide in built.slides for number in (*slide.changes, *slide.blocks)}
    part = int(built.page.name[0])
    if part:
        assert {whole.block(number).part for number in shown} == {part}


def test_the_notes_answer_the_questions_and_say_the_minutes(built: Built, whole: Course) -> None:
    for slide in built.slides:
        assert len(re.sub("<[^>]+>", "", slide.notes).split()) >= 15, slide.title
        if slide.question:
            assert "<strong>Answer:</strong>" in slide.notes, slide.title
        if slide.blocks:
            minutes = sum(whole.block(number).meta.minutes for number in slide.blocks)
            assert f"{minutes} minutes" in slide.notes, slide.title


# --- what the pages show --------------------------------------------------------------------


def test_every_picture_says_what_it_shows(built: Built) -> None:
    labels = [a["aria-label"] or "" for _, a in built.tags if a.get("role") == "img"]
    assert len(labels) == sum(len(slide.pictures) for slide in built.slides)
    assert all(len(label.split()) >= 6 for label in labels)
    assert not [tag for tag, a in built.tags if tag == "img" and not a.get("alt")]


def test_the_drawings_can_be_opened_alone() -> None:
    used = "".join(path.read_text(encoding="utf-8") for path in DECKS)
    for path in sorted((SLIDES / "pictures").glob("*.svg")):
        assert ET.parse(path).getroot().tag == "{http://www.w3.org/2000/svg}svg"
        assert 'href="drawing.css"' in path.read_text(encoding="utf-8")
        assert f"pictures/{path.name}" in used, f"no deck shows {path.name}"


def test_the_figures_are_those_that_the_course_prints() -> None:
    course = "".join(path.read_text(encoding="utf-8") for path in BLOCKS.glob("*/lesson.md"))
    for path in SOLUTIONS.glob("*.ipynb"):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            course += json.dumps(cell.get("outputs", []))
    for path in [*DECKS, *(SLIDES / "pictures").glob("*.svg")]:
        for figure in re.findall(r"\b\d\.\d{3,4}\b", path.read_text(encoding="utf-8")):
            printed = re.search(rf"\b{re.escape(figure)}\b", course)
            assert printed, f"{path.name}: the course prints no {figure}"


def test_each_slide_has_its_number_and_a_label(built: Built) -> None:
    found = [(a["id"], a["aria-label"]) for tag, a in built.tags if tag == "section"]
    titles = [built.deck.title, *(slide.title for slide in built.slides[1:])]
    assert found == [
        (str(at), f"Slide {at} of {len(titles)}: {title}") for at, title in enumerate(titles, 1)
    ]
    assert ("html", {"lang": "en"}) in built.tags


# --- in a browser ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser for the tests of this file; they are skipped where there is none."""
    required_browser()
    with browser.chromium() as opened:
        yield opened


@contextmanager
def shown(chromium: Browser, page: Path, **options: Any) -> Iterator[Page]:
    """A deck in a window of its own; by the end it asked for nothing else, and nothing failed."""
    asked: list[str] = []
    errors: list[str] = []
    context = chromium.new_context(viewport={"width": 1280, "height": 720}, **options)
    context.add_init_script(path=Path(__file__).with_name("slides.js"))
    context.on("request", lambda request: asked.append(request.url))
    context.on("weberror", lambda error: errors.append(str(error.error)))
    # Also what the page's own policy keeps from being loaded.
    context.on("console", lambda line: errors.append(line.text))
    opened = context.new_page()
    opened.goto(page.as_uri())
    yield opened
    context.close()
    assert {re.split("[?#]", url)[0] for url in asked} == {page.as_uri()}
    assert not errors


def test_every_slide_can_be_read(built: Built, chromium: Browser) -> None:
    with shown(chromium, built.page) as page:
        if page.evaluate("widthOfWords()") != 422:
            stop(BROWSER, "no font here has the measures of Arial: install fonts-liberation")
        faults: dict[str, Any] = {}
        for at in range(1, len(built.slides) + 1):
            assert number(page) == at
            if found := page.evaluate("faults()"):
                faults[f"slide {at}"] = found
            page.keyboard.press("ArrowRight")
        assert not faults, f"edit slides/{built.deck.path.name}: {json.dumps(faults, indent=1)}"


def number(page: Page) -> int:
    """The number of the slide that is shown: one, with the same number in the address."""
    shown = page.locator("section:not([hidden]):not(.next)")
    found = shown.get_attribute("id")
    assert shown.is_visible() and found and page.url.endswith(f"#{found}")
    return int(found)


@pytest.fixture
def show(chromium: Browser, tmp_path: Path) -> Iterator[Page]:
    """A deck alone in a folder, open there."""
    alone = tmp_path / "mémoire USB" / "deck.html"
    alone.parent.mkdir()
    shutil.copy(DECKS[1].with_suffix(".html"), alone)
    with shown(chromium, alone) as page:
        yield page


def test_the_keys_lead_through_the_slides(show: Page) -> None:
    last = show.locator("section").count()
    at = 1
    for key, wanted in [
        ("ArrowLeft", 1), ("ArrowRight", 2), ("ArrowDown", 3), ("PageDown", 4), ("Space", 5),
        ("n", 6), ("p", 5), ("Shift+Space", 4), ("PageUp", 3), ("ArrowUp", 2), ("ArrowLeft", 1),
        ("End", last), ("ArrowRight", last), ("Home", 1), ("Control+ArrowRight", 1), ("x", 1),
    ]:  # fmt: skip
        show.keyboard.press(key)
        assert number(show) == wanted, f"{key} on slide {at}"
        at = wanted
        label = show.evaluate("document.activeElement.getAttribute('aria-label')")
        assert label.startswith(f"Slide {at} of {last}: ")


def test_the_address_names_the_slide(show: Page) -> None:
    show.keyboard.press("End")
    show.reload()
    assert number(show) == show.locator("section").count()
    show.evaluate("location.hash = '#7'")
    show.wait_for_selector("[id='7']:not([hidden])")
    assert number(show) == 7
    show.goto(f"{show.url.partition('#')[0]}#tea")
    show.reload()
    show.keyboard.press("ArrowRight")
    assert number(show) == 2


def test_a_click_and_a_swipe_move_and_a_selection_does_not(show: Page) -> None:
    show.mouse.click(1200, 600)
    assert number(show) == 2
    show.mouse.click(640, 600)
    assert number(show) == 2
    show.locator("section:not([hidden]) h2").select_text()
    show.mouse.click(1200, 600)  # takes the selection away
    assert number(show) == 2
    show.mouse.click(1200, 600)
    assert number(show) == 3
    show.mouse.click(100, 600)
    assert number(show) == 2
    for path, wanted in [("900, 300", 3), ("900, 880", 3), ("300, 900", 2)]:
        show.evaluate(f"swipe({path})")
        assert number(show) == wanted


def test_help_and_notes_come_and_go(show: Page) -> None:
    dialog, notes = show.locator("dialog"), show.locator("section:not([hidden]) .notes")
    for key in ("h", "?"):
        show.keyboard.press(key)
        assert dialog.is_visible() and "full screen" in dialog.inner_text()
        show.keyboard.press("ArrowRight")
        assert number(show) == 1
        show.keyboard.press("Escape")
        assert not dialog.is_visible()
    assert not notes.is_visible()
    show.keyboard.press("Shift+N")
    assert notes.is_visible() and number(show) == 1
    slide = show.locator("section:not([hidden]) .slide").bounding_box()
    below = notes.bounding_box()
    assert slide and below and slide["y"] + slide["height"] <= below["y"] + 1
    show.keyboard.press("Shift+N")
    assert not notes.is_visible()


def test_the_speakers_window_follows_and_leads(show: Page) -> None:
    show.keyboard.press("ArrowRight")
    with show.context.expect_page() as found:
        show.keyboard.press("s")
    speaker = found.value
    speaker.wait_for_selector(".speaking [id='2'] .notes")
    assert number(speaker) == 2
    wanted = show.locator("[id='2'] .notes").text_content()
    assert speaker.locator(".notes:visible").text_content() == wanted
    assert speaker.locator("[id='3'] .slide").is_visible()
    assert re.fullmatch(r"\d+:\d\d", speaker.locator(".bar button").inner_text())
    assert speaker.locator(".clock").inner_text()

    show.keyboard.press("ArrowRight")
    speaker.wait_for_selector("[id='3']:not(.next):not([hidden])")
    speaker.keyboard.press("End")
    show.wait_for_selector("section:last-of-type:not([hidden])")
    assert number(show) == number(speaker) == show.locator("section").count()
    show.reload()  # they find each other again
    speaker.keyboard.press("Home")
    show.wait_for_selector("[id='1']:not([hidden])")
    show.keyboard.press("ArrowRight")
    speaker.wait_for_selector("[id='2']:not(.next):not([hidden])")
    show.keyboard.press("s")
    assert len(show.context.pages) == 2


def test_a_blocked_window_is_said(show: Page) -> None:
    show.evaluate("window.open = () => null")
    show.keyboard.press("s")
    assert "allow pop-ups for this page" in show.get_by_role("status").inner_text()
    show.keyboard.press("ArrowRight")
    assert show.get_by_role("status").text_content() == ""


def test_without_javascript_all_slides_stand_below_one_another(chromium: Browser) -> None:
    deck = DECKS[0].with_suffix(".html")
    with shown(chromium, deck, java_script_enabled=False) as page:
        boxes = [slide.bounding_box() for slide in page.locator(".slide").all()]
    assert len(boxes) > 9
    for box, after in pairwise(boxes):
        assert box and after and box["y"] + box["height"] <= after["y"]


def test_a_print_with_notes_has_two_pages_a_slide(show: Page) -> None:
    show.goto(f"{show.url.partition('#')[0]}?print-notes")
    content = show.pdf(prefer_css_page_size=True)
    slides = show.locator("section").count()
    assert len(re.findall(rb"/Type /Page\b", content)) == 2 * slides


def test_a_slide_that_runs_over_would_be_noticed(show: Page) -> None:
    show.keyboard.press("ArrowRight")
    assert show.evaluate("faults()") == []
    show.evaluate(
        """() => { const body = document.querySelector("section:not([hidden]) .body");
        body.insertAdjacentHTML("beforeend", "<p>more</p>".repeat(9));
        body.insertAdjacentHTML("afterbegin",
          '<p style="color: #ccc">pale</p><p style="font-size: 12px">tiny</p>'); }"""
    )
    kinds = " ".join(kind for kind, _ in show.evaluate("faults()"))
    for kind in ("over the footer", "contrast", "letters of 12"):
        assert kind in kinds
