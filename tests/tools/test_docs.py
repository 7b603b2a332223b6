"""The pages for instructors: links and commands exist, timetables and messages are right."""

from __future__ import annotations

import re

import pytest

from winelab.core.errors import CourseError
from winelab.core.paths import ROOT
from winelab.course.source import Course
from winelab.course.tables import read_plan, timetable, with_timetables

PAGES = [
    *(ROOT / "README.md", ROOT / "winelab" / "README.md", ROOT / "tests" / "README.md"),
    *(ROOT / "data" / "README.md", *sorted(ROOT.glob("slides/README.md"))),
    *sorted((ROOT / "docs").rglob("*.md")),
]
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]


def without_fences(text: str) -> str:
    """A page without its code blocks: what stands there is an example."""
    return re.sub(r"^(`{3,})[^\n]*\n.*?^\1$", "", text, flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name: str) -> None:
    page = ROOT / name
    text = re.sub(r"`[^`\n]*`", "", without_fences(page.read_text(encoding="utf-8")))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?:|mailto:|#", target):
            continue
        there = page.parent / target.partition("#")[0]
        assert there.exists(), f"{name} links to {target}, which is not there"
        assert ROOT in there.resolve().parents, f"{name} links out of the course: {target}"


@pytest.mark.parametrize("name", NAMES)
def test_commands_that_a_page_names_exist(name: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    text = (ROOT / name).read_text(encoding="utf-8")
    named = set(re.findall(r"(?:`|^|\t)make ([a-z]+)\b", text, re.MULTILINE))
    assert named <= targets, f"{name} names {sorted(named - targets)}"


def test_the_index_names_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    for page in sorted((ROOT / "docs").rglob("*.md")):
        name = page.relative_to(ROOT / "docs").as_posix()
        assert name == "README.md" or f"]({name})" in index, f"docs/README.md does not list {name}"


# --- teaching.md -------------------------------------------------------------------------------


def test_each_block_is_in_one_of_the_ten_sessions(whole: Course) -> None:
    text = (ROOT / "docs" / "teaching.md").read_text(encoding="utf-8")
    assert with_timetables(text, whole) == text, "run make build"
    comments = re.findall(r"<!-- sessions: (?!end)(.*?) -->", text)
    first, *_ = (read_plan(words, whole) for words in comments)
    assert [block for session in first.sessions for block in session] == [*whole.main]
    assert len(first.sessions) == 10
    for number, session in enumerate(first.sessions, start=1):
        heading = re.search(rf"^### {number}\. .*? \(blocks (.*)\)$", text, re.MULTILINE)
        assert heading is not None, f"session {number} has no heading"
        in_class, _, home = heading[1].partition(";")
        named = [int(word) for word in re.findall(r"\[(\d+)\]", in_class)]
        assert (named[0], named[-1]) == (session[0].number, session[-1].number)
        at_home = {int(word) for word in re.findall(r"\[(\d+)\]", home)}
        assert at_home == {block.number for block in session if block in first.home}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("90 minutes; sometimes; 0-3", '"90 minutes; sometimes; 0-3" is not understood'),
        ("90 minutes", 'write a timetable like "90 minutes; '),
        ("90 minutes; 0- | 3", '"0-" names no blocks'),
        ("90 minutes; -3", '"-3" names no blocks'),
        (
            "90 minutes; every block, from train | run..tags",
            "must be the first block of each session",
        ),
        ("90 minutes; every block, from run", "in order, from train on"),
        ("90 minutes; every block, from train | tags | run", "in order, from train on"),
        ("90 minutes; train train | run", "train is planned 2 times"),
        ("90 minutes; home tags; train", "tags is planned 0 times"),
        ("90 minutes; teapot", "There is no block teapot"),
        ("30 minutes; serve", "session 1 has 28 minutes of work in 30, and 15 must be left"),
    ],
)
def test_a_wrong_plan_is_one_sentence(words: str, said: str, whole: Course) -> None:
    with pytest.raises(CourseError) as error:
        timetable(read_plan(words, whole), whole)
    assert said in str(error.value)


def test_a_session_shows_the_lessons_own_minutes(whole: Course) -> None:
    rows = timetable(read_plan("60 minutes; home 2; 0 | 1-2", whole), whole).splitlines()
    first, second, third = (block.meta.minutes for block in whole.blocks[:3])
    assert rows[2] == f"| 1 | 0 ({first}) | {first} | {60 - first} | - |"
    assert rows[3] == f"| 2 | 1 ({second}) | {second} | {60 - second} | 2 ({third} min) |"
    assert rows[-1] == (
        f"3 blocks: {first + second} minutes of work in class, {third} at home, "
        "in 2 sessions of 60 minutes."
    )


# --- in-class.md -------------------------------------------------------------------------------


def quoted_messages() -> list[tuple[str, str]]:
    """The messages of in-class.md that have a block: what is seen, and the block's name."""
    text = (ROOT / "docs" / "in-class.md").read_text(encoding="utf-8")
    found = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        message = re.match(r"`(.+)`", cells[0])
        if message and len(cells) == 4 and (link := re.search(r"labs/(\w+)\.ipynb", cells[3])):
            found.append((message[1], link[1]))
    return found


def test_most_rows_of_in_class_quote_a_message() -> None:
    assert len(quoted_messages()) > 40


@pytest.mark.parametrize(("message", "name"), quoted_messages())
def test_a_message_is_one_that_its_lesson_quotes(message: str, name: str, whole: Course) -> None:
    """Lessons and mistakes are tried on the pinned MLflow; this page quotes what they quote."""
    folder = whole.block(name).folder
    text = "".join(
        (folder / file).read_text(encoding="utf-8") for file in ("lesson.md", "checks.py")
    )
    known = re.sub(r"[\s`*\"\\]+", " ", text)
    for part in re.sub(r"[`\"*]", " ", message).split("..."):
        words = " ".join(part.split()).rstrip(".")
        assert words in known, f"{name} does not say: {words}"
