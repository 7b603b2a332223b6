"""The slides that are committed: built from today's course, complete, and readable on a screen."""

from __future__ import annotations

import json
import os
import re
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from winelab.core.paths import BLOCKS, SOLUTIONS
from winelab.course.source import Course
from winelab.publish.deck import read_deck
from winelab.publish.slides import SLIDES, built_html, decks, html_digest, pdf_digest
from winelab.system import browser

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

DECKS = decks()
each_deck = pytest.mark.parametrize("source", DECKS, ids=[path.stem for path in DECKS])


def test_there_is_a_deck_for_the_course_and_for_each_part() -> None:
    assert [path.stem for path in DECKS] == [
        "0-overview",
        "1-track",
        "2-package-and-evaluate",
        "3-register-and-release",
    ]


@pytest.fixture(scope="module")
def built() -> dict[Path, str]:
    from winelab.course.source import course

    return built_html(course())


@each_deck
def test_the_html_is_what_the_markdown_says(source: Path, built: dict[Path, str]) -> None:
    page = source.with_suffix(".html")
    same = page.is_file() and page.read_bytes() == built[page].encode("utf-8")
    assert same, (
        f"slides/{page.name} is not what slides/{source.name}, the blocks and the pictures say: "
        f"run `make slides` (to change the slides, edit slides/{source.name})."
    )


@each_deck
def test_the_pdf_is_of_that_html(source: Path) -> None:
    page, pdf = source.with_suffix(".html"), source.with_suffix(".pdf")
    assert pdf_digest(pdf) == html_digest(page), f"slides/{pdf.name} is old: run `make slides`."
    content = pdf.read_bytes()
    assert len(content) < 1_500_000
    slides = page.read_text(encoding="utf-8").count('<aside class="notes"')
    assert len(re.findall(rb"/Type /Page\b", content)) == slides


@each_deck
def test_a_deck_has_what_a_class_needs(source: Path, whole: Course) -> None:
    deck = read_deck(source, whole)
    assert 10 <= len(deck.slides) <= 20
    assert sum(slide.question for slide in deck.slides) >= 2
    assert len({number for slide in deck.slides for number in slide.changes}) >= 2
    shown = [name for slide in deck.slides for name in slide.pictures]
    assert sum(name.endswith(".png") for name in shown) >= 3
    assert sum(name.endswith(".svg") for name in shown) >= 2


def test_a_part_is_shown_with_its_own_blocks(whole: Course) -> None:
    for part, source in enumerate(DECKS[1:], start=1):
        deck = read_deck(source, whole)
        assert any(slide.map for slide in deck.slides)
        shown = {number for slide in deck.slides for number in (*slide.changes, *slide.blocks)}
        assert {whole.block(number).meta["part"] for number in shown} == {part}


@each_deck
def test_the_notes_answer_the_questions_and_say_the_minutes(source: Path, whole: Course) -> None:
    for slide in read_deck(source, whole).slides:
        notes = "".join(slide.notes)
        assert len(re.sub("<[^>]+>", "", notes).split()) >= 15, slide.title
        if slide.question:
            assert "<strong>Answer:</strong>" in notes, slide.title
        if slide.blocks:
            minutes = sum(whole.block(number).meta["minutes"] for number in slide.blocks)
            assert f"{minutes} minutes" in notes, slide.title


# --- what the pages load and show -----------------------------------------------------------


class Tags(HTMLParser):
    """All start tags of a page, with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))


def loaded(text: str) -> list[str]:
    """The addresses that a page loads something from, other than from itself."""
    found = []
    for tag, attributes in Tags(text).found:
        for name in ("src", "srcset", "href", "xlink:href", "data", "poster", "action"):
            address = attributes.get(name, "")
            if address and tag != "a" and not address.startswith(("data:", "#")):
                found.append(address)
    styles = "".join(re.findall(r"<style>(.*?)</style>", text, re.DOTALL))
    styles += "".join(attributes.get("style", "") for _, attributes in Tags(text).found)
    found += [
        address
        for address in re.findall(r"url\(\s*['\"]?([^)'\"]*)", styles)
        if not address.startswith(("data:", "#"))
    ]
    return found + re.findall(r"@import[^;]*", styles)


def test_what_a_page_loads_would_be_noticed() -> None:
    assert loaded('<a href="https://mlflow.org">docs</a><img src="data:image/png;base64,x">') == []
    bad = '<script src="https://x/y.js"></script><link href="z.css"><style>a{b:url(c.woff)}</style>'
    assert loaded(bad) == ["https://x/y.js", "z.css", "c.woff"]


@each_deck
def test_nothing_is_loaded_from_elsewhere(source: Path) -> None:
    assert loaded(source.with_suffix(".html").read_text(encoding="utf-8")) == []


@each_deck
def test_every_picture_says_what_it_shows(source: Path, whole: Course) -> None:
    text = source.with_suffix(".html").read_text(encoding="utf-8")
    tags = Tags(text).found
    labels = [a.get("aria-label", "") for tag, a in tags if tag == "svg" and a.get("role") == "img"]
    assert len(labels) == sum(len(slide.pictures) for slide in read_deck(source, whole).slides)
    assert all(len(label.split()) >= 6 for label in labels)
    assert not [tag for tag, attributes in tags if tag == "img" and not attributes.get("alt")]


def test_the_drawings_can_be_opened_alone() -> None:
    drawings = sorted((SLIDES / "pictures").glob("*.svg"))
    used = "".join(path.read_text(encoding="utf-8") for path in DECKS)
    for path in drawings:
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


@each_deck
def test_each_slide_has_its_number_and_a_label(source: Path, whole: Course) -> None:
    deck = read_deck(source, whole)
    tags = Tags(source.with_suffix(".html").read_text(encoding="utf-8")).found
    found = [(a["id"], a["aria-label"]) for tag, a in tags if tag == "section"]
    titles = [deck.title] + [slide.title for slide in deck.slides[1:]]
    assert found == [
        (str(at), f"Slide {at} of {len(titles)}: {title}") for at, title in enumerate(titles, 1)
    ]
    assert ("html", {"lang": "en"}) in tags


# --- in a browser ---------------------------------------------------------------------------

# The width of these words, 100 pixels high, in Arial and in every font with its measures.
FONT = """() => {
  const brush = document.createElement("canvas").getContext("2d");
  brush.font = '100px "Helvetica Neue", Helvetica, Arial, "Liberation Sans", sans-serif';
  return Math.round(brush.measureText("Wine Lab").width);
}"""
ARIAL = 422

# What is wrong with the slide that is shown: [what, the words it is about].
FAULTS = r"""() => {
  const slide = document.querySelector("section:not([hidden]) .slide");
  const body = slide.querySelector(".body").getBoundingClientRect();
  const faults = [];
  const colour = (text) => {
    const found = text.match(/[\d.]+/g).map(Number);
    return found.length > 3 && found[3] === 0 ? null : found.slice(0, 3);
  };
  const light = (rgb) => {
    const [r, g, b] = rgb.map((part) => {
      const c = part / 255;
      return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (a, b) => {
    const [x, y] = [light(a), light(b)];
    return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05);
  };
  const below = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const found = colour(getComputedStyle(at).backgroundColor);
      if (found) return found;
    }
    return [255, 255, 255];
  };
  for (const pre of slide.querySelectorAll("pre")) {
    if (pre.scrollWidth > pre.clientWidth)
      faults.push(["code is cut off", pre.textContent.slice(0, 40)]);
  }
  for (const figure of slide.querySelectorAll("figure")) {
    if (figure.getBoundingClientRect().height < 200) faults.push(["picture is flat", ""]);
  }
  const walk = document.createTreeWalker(slide, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const words = walk.currentNode.textContent.trim();
    if (!words) continue;
    const element = walk.currentNode.parentElement;
    const range = document.createRange();
    range.selectNodeContents(walk.currentNode);
    const box = range.getBoundingClientRect();
    const style = getComputedStyle(element);
    if (box.left < 40 || box.right > 1240 || box.top < 0 || box.bottom > 720)
      faults.push(["over the edge", words]);
    if (element.closest(".body") && (box.bottom > body.bottom + 1 || box.top < body.top - 1))
      faults.push(["over the footer", words]);
    const drawing = element.closest("svg");
    let size = parseFloat(style.fontSize), paint = style.color, ground = null;
    if (drawing) {
      size *= drawing.getScreenCTM().a;
      paint = style.fill;
      const at = [box.left + box.width / 2, box.top + box.height / 2];
      const shapes = [...drawing.querySelectorAll("rect")].filter((shape) => {
        const its = shape.getBoundingClientRect();
        return its.left <= at[0] && its.right >= at[0] && its.top <= at[1] && its.bottom >= at[1];
      });
      const shape = shapes[shapes.length - 1];
      if (shape) {
        ground = colour(getComputedStyle(shape).fill);
        const its = shape.getBoundingClientRect();
        if (box.left < its.left + 3 || box.right > its.right - 3)
          faults.push(["out of its box", words]);
      }
    }
    // A digit's width is left for the rounding of sizes.
    if (size < 17.5) faults.push([`letters of ${size.toFixed(1)} pixels`, words]);
    if (!drawing && element.closest(".body > p, .body > ul, .columns p, .columns ul, blockquote")
        && !element.closest("code") && size < 24) faults.push([`text of ${size} pixels`, words]);
    const ratio = contrast(colour(paint), ground || below(element));
    if (ratio < 4.5) faults.push([`contrast ${ratio.toFixed(2)}`, words]);
  }
  return faults;
}"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser for the tests of this file; they are skipped where there is none."""
    lacking = browser.lacking()
    if lacking and os.environ.get("WINELAB_BROWSER_TESTS") == "required":
        pytest.fail(f"WINELAB_BROWSER_TESTS is required, and: {lacking}")
    if lacking:
        pytest.skip(lacking)
    with browser.chromium() as opened:
        yield opened


def opened(chromium: Browser, path: Path) -> Page:
    """A deck in a new tab of a window of its own."""
    page = chromium.new_context(viewport={"width": 1280, "height": 720}).new_page()
    page.goto(path.as_uri())
    return page


@each_deck
def test_every_slide_can_be_read(source: Path, chromium: Browser) -> None:
    page = opened(chromium, source.with_suffix(".html"))
    try:
        if page.evaluate(FONT) != ARIAL:
            words = "no font here has the measures of Arial: install fonts-liberation"
            if os.environ.get("WINELAB_BROWSER_TESTS") == "required":
                pytest.fail(words)
            pytest.skip(words)
        faults: dict[str, Any] = {}
        for at in range(page.locator("section").count()):
            assert number(page) == at + 1
            if found := page.evaluate(FAULTS):
                faults[f"slide {at + 1}"] = found
            page.keyboard.press("ArrowRight")
        assert not faults, f"edit slides/{source.name}: {json.dumps(faults, indent=1)}"
    finally:
        page.context.close()


def number(page: Page) -> int:
    """The number of the slide that is shown: one, with the same number in the address."""
    shown = page.locator("section:not([hidden]):not(.next)")
    found = shown.get_attribute("id")
    assert shown.is_visible() and found and page.url.endswith(f"#{found}")
    return int(found)


@pytest.fixture
def show(chromium: Browser, tmp_path: Path) -> Iterator[Page]:
    """A deck alone in a folder, open there; by the end it asked for nothing, and nothing failed."""
    alone = tmp_path / "mémoire USB" / "deck.html"
    alone.parent.mkdir()
    shutil.copy(DECKS[1].with_suffix(".html"), alone)
    page = opened(chromium, alone)
    asked: list[str] = []
    errors: list[str] = []
    page.context.on("request", lambda request: asked.append(request.url))
    page.context.on("weberror", lambda error: errors.append(str(error.error)))
    page.context.on("console", lambda line: errors.append(line.text))
    yield page
    page.context.close()
    assert {re.split("[?#]", url)[0] for url in asked} <= {alone.as_uri()}
    assert not errors


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


def test_a_click_moves_and_a_selection_does_not(show: Page) -> None:
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


SWIPE = """([from, to]) => {
  const at = (x) => new Touch({ identifier: 1, target: document.body, clientX: x, clientY: 300 });
  const send = (kind, touches, x) => document.body.dispatchEvent(
    new TouchEvent(kind, { bubbles: true, touches, changedTouches: [at(x)] }));
  send("touchstart", [at(from)], from);
  send("touchend", [], to);
}"""


def test_a_swipe_moves(show: Page) -> None:
    for path, wanted in [([900, 300], 2), ([900, 880], 2), ([300, 900], 1)]:
        show.evaluate(SWIPE, path)
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
    context = chromium.new_context(java_script_enabled=False)
    try:
        page = context.new_page()
        page.goto(DECKS[0].with_suffix(".html").as_uri())
        boxes = [slide.bounding_box() for slide in page.locator(".slide").all()]
        assert len(boxes) > 9
        for box, after in pairwise(boxes):
            assert box and after and box["y"] + box["height"] <= after["y"]
    finally:
        context.close()


def test_a_print_with_notes_has_two_pages_a_slide(chromium: Browser) -> None:
    context = chromium.new_context()
    try:
        page = context.new_page()
        page.goto(f"{DECKS[0].with_suffix('.html').as_uri()}?print-notes")
        content = page.pdf(prefer_css_page_size=True)
        slides = page.locator("section").count()
        assert len(re.findall(rb"/Type /Page\b", content)) == 2 * slides
    finally:
        context.close()


def test_a_slide_that_runs_over_would_be_noticed(
    chromium: Browser, tmp_path: Path, whole: Course
) -> None:
    page = opened(chromium, DECKS[0].with_suffix(".html"))
    try:
        page.keyboard.press("ArrowRight")
        assert page.evaluate(FAULTS) == []
        page.evaluate(
            """() => { const body = document.querySelector("section:not([hidden]) .body");
            body.insertAdjacentHTML("beforeend", "<p>more</p>".repeat(9));
            body.insertAdjacentHTML("afterbegin",
              '<p style="color: #ccc">pale</p><p style="font-size: 12px">tiny</p>'); }"""
        )
        kinds = " ".join(kind for kind, _ in page.evaluate(FAULTS))
        for kind in ("over the footer", "contrast", "letters of 12"):
            assert kind in kinds
    finally:
        page.context.close()
