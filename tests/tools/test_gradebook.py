"""The gradebook: what other programs read, and a page that needs nothing and runs nothing."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
from datetime import datetime
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from winelab.checks.report import Verdict
from winelab.grading.report import Gradebook, csv_text, hardest, html_text, per_cent
from winelab.grading.result import Grade, HandIn

BLOCKS = {3: "03_run", 14: "14_autolog"}
EVIL = '<script>alert(1)</script><img src="https://example.org/x.png" onerror="alert(2)">'


def verdict(name: str, done: bool, hint: str = "", given: bool = False) -> Verdict:
    return Verdict(name, f"the line of {name}", done, hint if not done else "", given)


def grade(student: str, block: int = 3, done: str = "11", **more: str) -> Grade:
    """A grade whose checks a, b, ... are done (1) or not (0)."""
    verdicts = tuple(
        verdict("abcdefgh"[at], mark == "1", f"hint {at}") for at, mark in enumerate(done)
    )
    return Grade(HandIn(student, block, Path("x.py")), verdicts, seconds=1.0, **more)


def book(*grades: Grade, **more: object) -> Gradebook:
    made = datetime(2026, 11, 21, 10, 30)
    return Gradebook("hw 1", grades, BLOCKS, made=made, mlflow="3.17.2", **more)  # type: ignore[arg-type]


def read(text: str) -> BeautifulSoup:
    return BeautifulSoup(text, "html.parser")


def rows(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text.removeprefix("\ufeff"))))


# --- CSV -----------------------------------------------------------------------------------------


def test_a_row_a_student_a_column_a_block() -> None:
    made = book(
        grade("Zoë", 3, "11"),
        grade("Ana", 3, "10"),
        grade("Ana", 14, "110", problem="It was ended after 120 s."),
    )
    text = csv_text(made)
    assert text.startswith("\ufeff")
    assert rows(text) == [
        ["student", "03_run", "14_autolog", "handed_in", "mean", "troubles"],
        ["Ana", "50", "66.7", "2", "58.3", "block 14: It was ended after 120 s."],
        ["Zoë", "100", "", "1", "50", ""],
    ]


FORMULAS = {f"{sign}1+1": "'" for sign in ("=", "+", "-", "@", "\t=", "\r=", " =", "\n@")}
PLAIN = dict.fromkeys(("Ana-Maria = 1", 'Pérez, "Mari" José'), "")


@pytest.mark.parametrize(("name", "mark"), (FORMULAS | PLAIN).items())
def test_what_looks_like_a_formula_gets_an_apostrophe(name: str, mark: str) -> None:
    """A student may be called so, and a problem may begin so."""
    assert rows(csv_text(book(grade(name))))[1][0] == mark + " ".join(name.split())


@pytest.mark.parametrize(
    ("share", "figure"),
    [(0, "0"), (1 / 3, "33.3"), (0.5, "50"), (2999 / 3000, "99.9"), (1, "100")],
)
def test_only_all_checks_are_a_hundred_per_cent(share: float, figure: str) -> None:
    assert per_cent(share) == figure


def test_given_checks_do_not_count() -> None:
    verdicts = (verdict("a", False, "h"), verdict("b", True, given=True))
    made = book(Grade(HandIn("Ana", 3, Path("x.py")), verdicts))
    assert rows(csv_text(made))[1][1] == "0"
    assert "0 of 1" in html_text(made)


# --- the hardest checks --------------------------------------------------------------------------


def test_the_hardest_checks_and_their_most_frequent_hint() -> None:
    hints = {"A": "seldom", "B": "often", "F": "often"}
    grades = [
        Grade(
            HandIn(name, 3, Path("x.py")), (verdict("a", name != "B", "h"), verdict("b", False, h))
        )
        for name, h in hints.items()
    ]
    grades += [grade("C", 3, "11"), grade("D", 14, "0"), grade("E", 3, "", problem="not checked")]
    first, *others = hardest(grades)
    assert (first.block, first.line, first.failed, first.handed_in) == (3, "the line of b", 3, 4)
    assert first.hint == "often"
    # As many failed both: the share decides.
    assert [(hard.block, hard.failed, hard.handed_in) for hard in others] == [(14, 1, 1), (3, 1, 4)]
    assert hardest([]) == []


# --- the page ------------------------------------------------------------------------------------


def test_the_page_needs_nothing_from_elsewhere() -> None:
    text = html_text(book(grade("Ana", printed="https://example.org", done="0")))
    page = read(text)
    assert not page.find_all(["link", "img", "iframe", "object", "embed", "base"])
    for tag in page.find_all():
        assert not {"src", "href", "srcset", "style"} & set(tag.attrs), tag
        assert not [name for name in tag.attrs if name.startswith("on")], tag
    style = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)[0]
    assert "url(" not in style and "@import" not in style


def test_the_policy_allows_its_own_style_and_script_and_no_other() -> None:
    text = html_text(book(grade("Ana")))
    [meta] = read(text).find_all("meta", {"http-equiv": "Content-Security-Policy"})
    policy = str(meta["content"])
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy and "http" not in policy
    for tag in ("style", "script"):
        [content] = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_whatever_a_hand_in_says_is_text() -> None:
    def page_with(words: str) -> str:
        told = Grade(
            HandIn(words, 3, Path(f"{words.replace('/', '')}.py")),
            (Verdict("a", words, False, f"{words}`{words}`"),),
            problem=words,
            printed=f"</pre></template></dialog>{words}\x1b[31m\x00",
        )
        return html_text(book(told, remarks=(words,), guarantees=(words,)))

    text = page_with(EVIL)
    tags, harmless = (
        [tag.name for tag in read(page).find_all()]
        for page in (text, page_with(re.sub("[<>]", "", EVIL)))
    )
    assert tags == harmless
    assert "alert(1)" in read(text).get_text()
    assert "\x1b" not in text and "\x00" not in text


@pytest.mark.parametrize(("students", "blocks"), [(0, 0), (1, 1), (200, 30)])
def test_pages_of_every_size(students: int, blocks: int) -> None:
    names = {number: f"{number:02d}_block" for number in range(blocks)}
    grades = tuple(
        grade(f"Student {at}", number, "1110", printed="x" * 4000)
        for at in range(students)
        for number in names
    )
    text = html_text(Gradebook("class", grades, names))
    # Read with a pattern: a parser of HTML takes half a minute for 6000 cells.
    cells = re.findall(r'<button class="cell [^>]*data-detail="([^"]+)"', text)
    templates = re.findall(r'<template id="([^"]+)"', text)
    assert len(set(cells)) == len(cells) == students * blocks
    assert cells == templates
    assert len(text) < 40_000 + 4000 * students * blocks
    assert ("Nothing was graded" in text) == (students == 0)
    assert len(rows(csv_text(Gradebook("class", grades, names)))) == students + 1


def test_each_cell_says_in_words_what_its_colour_says() -> None:
    grades = (grade("Ana", 3, "11"), grade("Ana", 14, "10", problem="ended"), grade("Bo", 3))
    page = read(html_text(book(*grades)))
    labels = [button["aria-label"] for button in page.find_all("button", {"aria-label": True})]
    assert labels == [
        "Ana, block 3: 2 of 2",
        "Ana, block 14: 1 of 2, did not run to its end",
        "Bo, block 3: 2 of 2",
    ]
    assert page.get_text().count("not handed in") == 2  # one cell, and the legend


def test_students_are_sorted_as_readers_expect() -> None:
    made = book(*(grade(name) for name in ("Zoë", "émile", "Eva", "ana", "Ödön")))
    assert [row.student for row in made.rows] == ["ana", "émile", "Eva", "Ödön", "Zoë"]


def test_what_was_not_graded_is_said_on_top() -> None:
    assert "12 hand-ins were not graded" in html_text(book(grade("Ana"), waiting=12))
    assert "Stopped early" not in html_text(book(grade("Ana")))
