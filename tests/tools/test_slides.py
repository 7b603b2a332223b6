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
            '::: code run "with mlflow" to "model.predict"',
            ["added"] * 4,
            'with mlflow.start_run(run_name="elasticnet"):',
            id="a block's code",
        ),
        pytest.param(
            "::: change run",
            ["removed"] * 3 + ["added"] * 4,
            "model = ElasticNet(alpha=0.5, l1_ratio=0.3, random_state=42)",
            id="what goes away, and all that changed",
        ),
        pytest.param(
            '::: code params_metrics "log_params" and "log_metrics"',
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


LINES = {
    '::: code run "with tea"': 'has no line with "with tea"',
    '::: code run "with mlflow" to "tea"': 'has no line with "tea"',
    '::: code run "import pandas"': "changes none of these lines",
    "::: code 99": "There is no block 99",
    "::: code run..params_metrics": "name one block",
    "::: code run with mlflow": 'as "first" to "last"',
    "::: tea run": "there are blocks, code, change",
    "::: blocks three": "There is no block three",
    "::: map part 1 in seven": "part 1 in 7",
    "::: next": "there is no next column",
    "{minutes 99}": "There is no block 99",
    "{seconds run}": "there are minutes, blocks, range, title, version",
    "See block [[nothing]].": "[[nothing]]: There is no block nothing",
    "{version teapot}": "pins no teapot",
    "![](tea.png)": "write a picture as",
    "![a cup](tea.png)": "there is no picture tea.png",
}
FRONT = TOP.partition("##")[0]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        # Below a list and a paragraph, which a line with `:::` ends.
        *((TOP + f"- a\nb\n{wrong}" + NOTES, 10, words) for wrong, words in LINES.items()),
        ("## One\n\nWords." + NOTES, 1, 'begin with "---", the metadata (title, subtitle)'),
        (FRONT, 1, "there is no slide"),
        (FRONT + "Words.", 6, "text stands above the first"),
        (TOP + "Words.", 6, "the slide has no text below"),
        (TOP + "::: columns 1 1" + NOTES, 12, '"::: end" of the columns is missing'),
        (TOP + "Words." + NOTES + "\n::: code run\n", 14, "prose only"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(
    folder: Path, whole: Course, text: str, line: int, words: str
) -> None:
    with pytest.raises(CourseError) as caught:
        first(folder, whole, text)
    where, _, said = str(caught.value).partition(": ")
    assert where == f"été slides/tea.md:{line}"
    assert words in said


def test_facts_are_the_course_s_and_an_example_of_code_is_prose(
    folder: Path, whole: Course
) -> None:
    example = "## No title\n::: nothing\n"
    text = "::: blocks run..params_metrics\n\n{minutes run..params_metrics} and {title run}, "
    text += f"{{blocks all}}, {{range part 1}}, [[run]]\n```\n{example}```"
    shown = first(folder, whole, TOP + text + NOTES)
    one, two = (whole.block(slug) for slug in ("run", "params_metrics"))
    minutes = one.meta.minutes + two.meta.minutes
    last = [block.number for block in whole.blocks if block.part == 1][-1]
    facts = f"{minutes} and {one.title}, {len(whole.main)}, 0 to {last}, {one.number}"
    assert facts in shown.body
    assert f"Blocks {one.number} to {two.number}: {minutes} minutes." in shown.notes
    assert example in shown.body


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
