"""What is read off a block for others to use: its calls, examples, minutes, row and progress."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.made_up import made_up, task
from winelab.commands.progress import lines
from winelab.course.source import Course
from winelab.course.tables import with_blocks
from winelab.proof.examples import examples, output_matches
from winelab.proof.minutes import MINUTES_A_LINE, MINUTES_TO_LOOK, WORDS_A_MINUTE, estimate
from winelab.proof.new_calls import calls

OUTLINE = "[first]\none\n[second]\ntwo\n"


@pytest.fixture
def course(tmp_path: Path) -> Course:
    """Two blocks; the first asks for two lines in one cell."""
    return made_up(
        tmp_path,
        OUTLINE,
        (f"# %% one\n{task()}a = 1\nb = 2\n", "first"),
        (f"# %% two\n{task()}c = 3\n", "second"),
    )


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("import mlflow\nmlflow.log_params({})", {"mlflow.log_params"}),
        ("import mlflow.sklearn\nmlflow.sklearn.autolog()", {"mlflow.sklearn.autolog"}),
        ("import pandas as pd\npd.read_csv(f)", {"pandas.read_csv"}),
        ("from sklearn.svm import SVR as S\nS()", {"sklearn.svm.SVR"}),
        ("model.fit(X).predict(X)", {".fit", ".predict"}),
        ("from pathlib import Path\nPath(f).resolve()", {"pathlib.Path", ".resolve"}),
        ("with open(f) as g:\n    print(len(g))", set()),
        ("def own():\n    return 1\nown()", set()),
        # A program in a text, as the code of a model is; any other text is none.
        ("text = '''\nimport joblib\njoblib.load(f)\n'''", {"joblib.load"}),
        ("text = '''\nimport what is this?\nf()\n'''", set()),
    ],
)
def test_calls_are_found_by_their_full_names(code: str, found: set[str]) -> None:
    assert calls(code) == found


def test_examples_are_read_with_what_they_print_and_their_line() -> None:
    text = "## One\n\n```python\nprint(1)\n```\n\n```text\n1\n```\n\n```python\nx = 2\n```\n"
    first, second = examples(text)
    assert (first.code, first.prints, first.line) == ("print(1)\n", "1\n", 3)
    assert (second.code, second.prints, second.line) == ("x = 2\n", None, 11)


def test_three_dots_in_an_example_stand_for_anything_and_nothing_else_does() -> None:
    assert output_matches("run ... is active\n", "run 1f3a is active\n")
    assert not output_matches("run 1 is active\n", "run 2 is active\n")


def test_the_minutes_count_words_lines_to_write_and_the_look_around(course: Course) -> None:
    two_lines, one_line = (estimate(course, block) for block in course.blocks)
    assert two_lines - one_line == pytest.approx(MINUTES_A_LINE)
    words = sum(len(part.content.split()) for part in course.blocks[1].pieces)
    assert one_line <= words / WORDS_A_MINUTE + MINUTES_A_LINE + MINUTES_TO_LOOK


@pytest.mark.parametrize(
    ("done", "first_words", "last"),
    [
        (set(), ["next", ""], "0 of 2 blocks done, about 10 minutes to go."),
        ({"block0"}, ["done", "next"], "1 of 2 blocks done, about 5 minutes to go."),
        ({"block1"}, ["next", "done"], "1 of 2 blocks done, about 5 minutes to go."),
        ({"block0", "block1", "of-old"}, ["done", "done"], "2 of 2 blocks done: the whole course."),
    ],
)
def test_progress_says_done_next_or_open(
    course: Course, done: set[str], first_words: list[str], last: str
) -> None:
    *blocks, end = lines(course, done)
    assert [line[:4].strip() for line in blocks] == first_words
    assert end == last
    assert all(("labs/" in line) == line.startswith("next") for line in blocks)


def test_the_readme_gets_its_table_between_its_marks_and_keeps_the_rest(course: Course) -> None:
    before = "# Title\n\n<!-- blocks: start -->\nold\n<!-- blocks: end -->\n\nThe end: \\1.\n"
    after = with_blocks(before, course)
    assert after.startswith("# Title\n") and after.endswith("The end: \\1.\n")
    assert "old" not in after and after.count("**Part") == 1
    assert "| | **Part 1: Track** | 10 | | |\n| 0 | [Block 0]" in after
    assert with_blocks(after, course) == after
    assert with_blocks("no marks", course) == "no marks"
