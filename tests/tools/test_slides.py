"""Decks of slides: what a `:::` line becomes, and what is said about a wrong one."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest

from winelab.core.errors import CourseError
from winelab.course.source import Course
from winelab.publish import slides
from winelab.publish.deck import Slide, read_deck
from winelab.system import browser

TOP = "---\ntitle: Tea\nsubtitle: A small talk\n---\n\n## One\n\n"
NOTES = "\n\n::: notes\n\nSay it slowly.\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for decks, which is no deck's folder by its README alone."""
    made = tmp_path / "été slides"
    made.mkdir()
    (made / "README.md").write_text("# No deck", encoding="utf-8")
    return made


def first(folder: Path, course: Course, text: str) -> Slide:
    """The first slide of a deck with this text."""
    path = folder / "tea.md"
    path.write_text(text, encoding="utf-8")
    return read_deck(path, course).slides[0]


def code(slide: Slide) -> list[tuple[str, str]]:
    """The lines of code on a slide: kind and text."""
    rows = re.findall(
        r'<span class="row (\w+)">(.*?)</span>(?=<span class="row|</code>)', slide.body
    )
    words = [
        (kind, re.sub('<span class="(mark|spoken)">.*?</span>', "", row)) for kind, row in rows
    ]
    return [(kind, html.unescape(re.sub("<[^>]+>", "", row))[1:]) for kind, row in words]


@pytest.mark.parametrize(
    ("line", "kinds", "text"),
    [
        pytest.param(
            '::: code 3 "with mlflow" to "model.predict"',
            ["added"] * 4,
            'with mlflow.start_run(run_name="elasticnet"):',
            id="a block's code",
        ),
        pytest.param(
            "::: change 3",
            ["removed"] * 3 + ["added"] * 4,
            "model = ElasticNet(alpha=0.5, l1_ratio=0.5, random_state=42)",
            id="what goes away, and all that changed",
        ),
        pytest.param(
            '::: code 4 "log_params" and "log_metrics"',
            ["added", "gap", "added"],
            'mlflow.log_params({"alpha": alpha, "l1_ratio": l1_ratio})',
            id="a gap between two ranges, and no indent",
        ),
    ],
)
def test_code_is_that_of_the_block(
    folder: Path, whole: Course, line: str, kinds: list[str], text: str
) -> None:
    shown = code(first(folder, whole, TOP + line + NOTES))
    assert [kind for kind, _ in shown] == kinds
    assert shown[0][1] == text


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('::: code 3 "with tea"', 'block 3 has no line with "with tea"'),
        ('::: code 3 "with mlflow" to "tea"', 'block 3 has no line with "tea"'),
        ('::: code 3 "import pandas"', "block 3 changes none of these lines"),
        ("::: code 99", "There is no block 99"),
        ("::: code 3-4", "name one block"),
        ("::: code 3 with mlflow", 'as "first" to "last"'),
        ("::: tea 3", "there are blocks, code, change"),
        ("::: blocks three", "names no block"),
        ("::: map 0-13 in seven", "0-13 in 7"),
        ("::: next", "there is no next column"),
        ("{minutes 99}", "There is no block 99"),
        ("{seconds 3}", "there are minutes, blocks, title, version"),
        ("{version teapot}", "pins no teapot"),
        ("![](tea.png)", "write a picture as"),
        ("![a cup](tea.png)", "there is no picture tea.png"),
    ],
)
def test_a_wrong_line_is_named(folder: Path, whole: Course, line: str, words: str) -> None:
    # Below a list and a paragraph, which a line with `:::` ends.
    with pytest.raises(CourseError) as caught:
        first(folder, whole, TOP + f"- a\nb\n{line}" + NOTES)
    where, _, said = str(caught.value).partition(": ")
    assert where == "été slides/tea.md:10"
    assert words in said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (TOP + "Words.", "tea.md:6: the slide has no text below"),
        ("## One\n\nWords." + NOTES, 'tea.md:1: .*the lines "title:"'),
        (TOP.partition("##")[0] + "Words.", "tea.md:6: text stands above the first"),
        (TOP + "::: columns 1 1" + NOTES, '"::: end" of the columns is missing'),
        (TOP + "Words." + NOTES + "\n::: code 3\n", "tea.md:14: .*prose only"),
        (TOP.partition("##")[0], "tea.md:1: there is no slide"),
    ],
)
def test_what_a_deck_lacks_is_said(folder: Path, whole: Course, text: str, words: str) -> None:
    with pytest.raises(CourseError, match=words):
        first(folder, whole, text)


def test_minutes_are_those_of_the_lessons(folder: Path, whole: Course) -> None:
    text = "::: blocks 3-4\n\n{minutes 3-4} and {title 3}, {blocks all}"
    shown = first(folder, whole, TOP + text + NOTES)
    minutes = sum(whole.block(number).meta.minutes for number in (3, 4))
    assert f"{minutes} and {whole.block(3).meta.title}, {len(whole.blocks)}" in shown.body
    assert f"Blocks 3 to 4: {minutes} minutes." in shown.notes


def test_html_is_written_once_and_the_same_each_time(folder: Path, whole: Course) -> None:
    first(folder, whole, TOP + "Words." + NOTES)
    assert slides.write_html(whole, folder) == [folder / "tea.html"]
    before = (folder / "tea.html").read_bytes()
    assert slides.write_html(whole, folder) == []
    (folder / "tea.html").unlink()
    slides.write_html(whole, folder)
    assert (folder / "tea.html").read_bytes() == before
    assert b"edit slides/tea.md" in before.lower()
    # One that cannot be read keeps the others from being written.
    (folder / "tea.html").unlink()
    (folder / "zest.md").write_text(TOP + "::: tea" + NOTES, encoding="utf-8")
    with pytest.raises(CourseError, match=r"zest.md:8"):
        slides.write_html(whole, folder)
    assert not list(folder.glob("*.html"))


def test_a_pdf_is_made_only_where_its_html_is_another(
    folder: Path, whole: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a browser the HTML is there, and a sentence says which PDF is not."""
    first(folder, whole, TOP + "Words." + NOTES)
    monkeypatch.setenv(browser.VARIABLE, str(folder / "no browser"))
    slides.write_html(whole, folder)
    page, pdf = folder / "tea.html", folder / "tea.pdf"
    with pytest.raises(CourseError, match=r"The HTML is up to date, tea.pdf not: .*no such file"):
        slides.write_pdfs(folder)
    assert page.is_file() and not pdf.exists()
    pdf.write_bytes(b"%PDF\n%%EOF\n" + slides.pdf_mark(page) + b"\n")
    assert slides.write_pdfs(folder) == []
    page.write_text("another", encoding="utf-8")
    assert not slides.pdf_is_current(page)
