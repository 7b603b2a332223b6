"""Decks of slides: what a `:::` line becomes, and what is said about a wrong one."""

from __future__ import annotations

import html
import re
import shutil
from pathlib import Path

import pytest

from winelab.core.errors import CourseError
from winelab.course.source import Course
from winelab.publish import slides
from winelab.publish.deck import Deck, read_deck
from winelab.system import browser

TOP = "---\ntitle: Tea\nsubtitle: A small talk\n---\n\n## One\n\n"
NOTES = "\n\n::: notes\n\nSay it slowly.\n"


def deck(folder: Path, course: Course, body: str, top: str = TOP, notes: str = NOTES) -> Deck:
    path = folder / "slides" / "tea.md"
    path.parent.mkdir(exist_ok=True)
    path.write_text(top + body + notes, encoding="utf-8")
    return read_deck(path, course)


def code(shown: Deck) -> list[tuple[str, str]]:
    """The lines of code on the first slide: kind and text."""
    rows = re.findall(r'<span class="row (\w+)">(.*?)</span>(?=<span class="row|</code>)',
                      "".join(shown.slides[0].body))  # fmt: skip
    words = [
        (kind, re.sub('<span class="(mark|spoken)">.*?</span>', "", row)) for kind, row in rows
    ]
    return [(kind, html.unescape(re.sub("<[^>]+>", "", row))[1:]) for kind, row in words]


def test_code_is_that_of_the_block(tmp_path: Path, whole: Course) -> None:
    shown = code(deck(tmp_path, whole, '::: code 3 "with mlflow" to "model.predict"'))
    assert shown[0] == ("added", 'with mlflow.start_run(run_name="elasticnet"):')
    assert shown[-1] == ("added", "    predictions = model.predict(X_test)")
    assert len(shown) == 4


def test_a_change_shows_what_goes_away(tmp_path: Path, whole: Course) -> None:
    shown = code(deck(tmp_path, whole, "::: change 3"))
    assert [kind for kind, _ in shown] == ["removed"] * 3 + ["added"] * 4
    assert [text for _, text in shown][:1] == [
        "model = ElasticNet(alpha=0.5, l1_ratio=0.5, random_state=42)"
    ]


def test_ranges_have_a_gap_between_them_and_no_indent(tmp_path: Path, whole: Course) -> None:
    shown = code(deck(tmp_path, whole, '::: code 4 "log_params" and "log_metrics"'))
    assert [kind for kind, _ in shown] == ["added", "gap", "added"]
    assert shown[0][1].startswith("mlflow.log_params(")


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
        ("::: columns 1 1", '"::: end" of the columns is missing'),
        ("{minutes 99}", "There is no block 99"),
        ("{seconds 3}", "there are minutes, blocks, title, version"),
        ("{version teapot}", "pins no teapot"),
        ("![](tea.png)", "write a picture as"),
        ("![a cup](tea.png)", "there is no picture tea.png"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, whole: Course, line: str, words: str) -> None:
    with pytest.raises(CourseError) as caught:
        deck(tmp_path, whole, line)
    where, _, said = str(caught.value).partition(": ")
    assert words in said
    if "columns 1 1" not in line:  # it is missed where the slide ends
        assert where == "slides/tea.md:8"


def test_a_slide_needs_notes(tmp_path: Path, whole: Course) -> None:
    with pytest.raises(CourseError, match=r"slides/tea.md:6: the slide has no text below"):
        deck(tmp_path, whole, "Words.", notes="")


def test_a_deck_needs_its_title(tmp_path: Path, whole: Course) -> None:
    with pytest.raises(CourseError, match='the lines "title:"'):
        deck(tmp_path, whole, "Words.", top="## One\n\n")


def test_minutes_are_those_of_the_lessons(tmp_path: Path, whole: Course) -> None:
    shown = deck(tmp_path, whole, "::: blocks 3-4\n\n{minutes 3-4} and {title 3}, {blocks all}")
    minutes = sum(whole.block(number).meta["minutes"] for number in (3, 4))
    body, notes = "".join(shown.slides[0].body), "".join(shown.slides[0].notes)
    assert f"{minutes} and {whole.block(3).title}, {len(whole.blocks)}" in body
    assert f"Blocks 3 to 4: {minutes} minutes." in notes


def folder_of(tmp_path: Path) -> Path:
    """A folder like slides/, with one small deck."""
    folder = tmp_path / "été slides"
    shutil.copytree(slides.SLIDES, folder, ignore=shutil.ignore_patterns("*.html", "*.pdf", "*.md"))
    (folder / "tea.md").write_text(TOP + "Words." + NOTES, encoding="utf-8")
    (folder / "README.md").write_text("# No deck", encoding="utf-8")
    return folder


def test_html_is_written_once_and_the_same_each_time(tmp_path: Path, whole: Course) -> None:
    folder = folder_of(tmp_path)
    assert [path.name for path in slides.write_html(whole, folder)] == ["tea.html"]
    first = (folder / "tea.html").read_bytes()
    assert slides.write_html(whole, folder) == []
    (folder / "tea.html").unlink()
    slides.write_html(whole, folder)
    assert (folder / "tea.html").read_bytes() == first
    assert b"edit slides/tea.md" in first.lower()


def test_a_wrong_deck_writes_nothing(tmp_path: Path, whole: Course) -> None:
    folder = folder_of(tmp_path)
    (folder / "zest.md").write_text(TOP + "::: tea" + NOTES, encoding="utf-8")
    with pytest.raises(CourseError, match=r"zest.md:8"):
        slides.write_html(whole, folder)
    assert not list(folder.glob("*.html"))


def test_without_a_browser_the_html_is_there_and_a_sentence_says_so(
    tmp_path: Path, whole: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_of(tmp_path)
    monkeypatch.setenv(browser.VARIABLE, str(tmp_path / "no browser"))
    slides.write_html(whole, folder)
    with pytest.raises(CourseError, match=r"The HTML is up to date, tea.pdf not: .*no such file"):
        slides.write_pdfs(folder)
    assert not (folder / "tea.pdf").exists()


def test_a_pdf_that_fits_its_html_is_left_alone(
    tmp_path: Path, whole: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_of(tmp_path)
    slides.write_html(whole, folder)
    page, pdf = folder / "tea.html", folder / "tea.pdf"
    pdf.write_bytes(b"%PDF\n%%EOF\n" + slides._MARK + slides.html_digest(page).encode() + b"\n")
    monkeypatch.setenv(browser.VARIABLE, str(tmp_path / "no browser"))
    assert slides.write_pdfs(folder) == []
    page.write_text("another", encoding="utf-8")
    assert slides.pdf_digest(pdf) != slides.html_digest(page)
