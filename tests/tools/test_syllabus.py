"""Reading blocks/: what is written is what is read, and every mistake names file and line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tools.made_up import lesson, made_up, task, write_block, write_course
from winelab.core.errors import CourseError
from winelab.course.compose import script_text
from winelab.course.source import read_course, read_outline

OUTLINE = """\
# a comment
[first]
one
two:
    inner

[second] Second
three
"""


def refusal(act: Callable[[], object]) -> str:
    """The words of the CourseError that `act` must end in."""
    with pytest.raises(CourseError) as caught:
        act()
    return str(caught.value)


# --- the outline -------------------------------------------------------------------------------


def test_the_outline_keeps_the_order_of_cells_and_sections(tmp_path: Path) -> None:
    outline = made_up(tmp_path, OUTLINE).outline
    assert outline.titles == {"first": "", "second": "Second"}
    assert [slot.section for slot in outline.slots] == ["one", "two", "inner", "three"]
    assert [slot.parents for slot in outline.slots] == [(), (), ("two",), ()]
    assert outline.cell_of("inner") == "first"


def test_a_whole_cell_can_stand_in_a_head_of_an_earlier_one(tmp_path: Path) -> None:
    path = tmp_path / "outline.txt"
    path.write_text("[a]\none:\n\n    [b] Two\n    two:\n        three\n\n[c]\nfour\n", "utf-8")
    outline = read_outline(path)
    assert outline.inside == {"a": (), "b": ("one",), "c": ()}
    assert [slot.parents for slot in outline.slots] == [(), ("one",), ("one", "two"), ()]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        pytest.param("[a]\none\ntwo\none\n", 4, "one", id="a section twice"),
        pytest.param("[a]\none\n[b]\none\n", 4, "one", id="a section twice, in two cells"),
        pytest.param("[a]\none\n[a]\n", 3, "[a]", id="a cell twice"),
        pytest.param("[a]\none\n[check]\ntwo\n", 3, "[check]", id="a cell of the notebook's own"),
        pytest.param("[a]\none:\n  two\n", 3, "two", id="two spaces"),
        pytest.param("[a]\none\n    two\n", 3, "two", id="below a section that holds nothing"),
        pytest.param("[a]\none:\n        two\n", 3, "two", id="two steps at once"),
        pytest.param("[a]\none:\n[b]\n    two\n", 4, "two", id="below a section of another cell"),
        pytest.param(
            "[a]\none\n    [b]\n", 3, "[b]", id="a cell below a section that holds nothing"
        ),
        pytest.param("[a]\none:\n    [b]\ntwo\n", 4, "two", id="a section outside of its cell"),
        pytest.param("# hello\none\n", 2, "one", id="a section above the first cell"),
        pytest.param("[a]\none\n\ttwo\n", 3, "two", id="a tab"),
        pytest.param("[a]\nOne section\n", 2, "One section", id="a name with blanks"),
    ],
)
def test_a_mistake_in_the_outline_is_refused_with_its_line(
    tmp_path: Path, text: str, line: int, words: str
) -> None:
    path = tmp_path / "blocks" / "outline.txt"
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")
    message = refusal(lambda: read_outline(path))
    assert message.startswith(f"blocks/outline.txt:{line}: ")
    assert words in message


# --- code.py -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "line", "words"),
    [
        pytest.param("# %% one\na\n\n# %% four\nb\n", 4, "four", id="an unknown section"),
        pytest.param("# %% One!\na\n", 1, "# %% section", id="a mark that is none"),
        pytest.param("# %% one (secret)\na\n", 1, "secret", id="an unknown word in the mark"),
        pytest.param("# hello\n\na = 1\n# %% one\nb\n", 3, "above the first", id="code on top"),
        pytest.param("# %% one\n#: do it.\na\n", 1, "0 hints", id="a TODO without hints"),
        pytest.param("# %% one\n#: do it.\n#? Once.\na\n", 1, "1 hints", id="a TODO with one hint"),
        pytest.param("# %% one\n#? Try.\n#?\n#? Do.\na\n", 1, "one", id="hints without a TODO"),
        pytest.param("# %% one\n\n\n# %% three\nb\n", 1, "(removed)", id="no code"),
        pytest.param("# %% one (removed)\na\n", 1, "removed", id="removed, and code"),
        pytest.param("# %% one (as in 0)\na\n", 1, "has code", id="brought back, and code"),
        pytest.param("# %% one\na\n# %% one\nb\n", 3, "twice", id="a section twice"),
        pytest.param(
            "# %% one\na\n# %% one (script)\nb\n", 3, "script", id="a section twice for the script"
        ),
        pytest.param("# %% one (script, notebook)\na\n", 1, "notebook", id="both forms named"),
    ],
)
def test_a_mistake_in_the_code_is_refused_with_its_line(
    tmp_path: Path, code: str, line: int, words: str
) -> None:
    message = refusal(lambda: made_up(tmp_path, OUTLINE, (code, "first second")))
    assert message.startswith(f"00_block/code.py:{line}: ")
    assert words in message


def test_a_section_can_be_given_and_then_changed_but_not_given_twice(tmp_path: Path) -> None:
    code = "# %% one (given)\na\n\n# %% one\nb\n"
    changes = made_up(tmp_path / "once", OUTLINE, code).block(0).changes
    assert [change.given for change in changes if change.form == "script"] == [True, False]
    twice = "# %% one (given)\na\n\n# %% one (given)\nb\n"
    message = refusal(lambda: made_up(tmp_path / "twice", OUTLINE, twice))
    assert message.startswith("00_block/code.py:4: ") and "twice" in message


def test_a_given_section_cannot_be_asked_for(tmp_path: Path) -> None:
    code = f"# %% one (given)\n{task()}a\n"
    message = refusal(lambda: made_up(tmp_path, OUTLINE, (code, "first")))
    assert message.startswith("00_block/code.py:1: ")


def test_the_two_forms_of_a_section_may_differ(tmp_path: Path) -> None:
    course = made_up(tmp_path, OUTLINE, "# %% one (script)\na\n\n# %% one (notebook)\nb\n")
    assert {change.form: change.lines[0].text for change in course.block(0).changes} == {
        "script": "a",
        "notebook": "b",
    }


def test_a_task_is_read_with_its_hints_from_a_nudge_to_the_call(tmp_path: Path) -> None:
    code = "# %% one\n#: do it,\n#: all of it.\n#? Think\n#? twice.\n#?\n#? `a = 1`\na = 1\n"
    (found,) = made_up(tmp_path, OUTLINE, (code, "first")).block(0).tasks
    assert found.todo == ("do it,", "all of it.")
    assert found.hints == ("Think twice.", "`a = 1`")


def test_a_task_is_no_part_of_the_code(tmp_path: Path) -> None:
    course = made_up(tmp_path, OUTLINE, (f"# %% one\n{task()}a = 1\n", "first"))
    assert {line.text for change in course.block(0).changes for line in change.lines} == {"a = 1"}


@pytest.mark.parametrize(
    ("blocks", "where", "words"),
    [
        pytest.param(
            ["# %% one\na\n", "\n# %% three (removed)\n"],
            "01_block/code.py:2",
            "three",
            id="removed, but not there",
        ),
        pytest.param(
            ["# %% one\na\n", "# %% one (removed)\n", "# %% one (removed)\n"],
            "02_block/code.py:1",
            "one",
            id="removed a second time",
        ),
        pytest.param(
            ["# %% one\na\n", "# %% one (as in 1)\n"],
            "01_block/code.py:1",
            "as in 1",
            id="as in this very block",
        ),
        pytest.param(
            ["# %% one\na\n", "# %% one (as in 7)\n"],
            "01_block/code.py:1",
            "as in 7",
            id="as in a later block",
        ),
        pytest.param(
            ["# %% one\na\n", "# %% three\nb\n", "# %% three (as in 0)\n"],
            "02_block/code.py:1",
            "three",
            id="as in a block without that section",
        ),
    ],
)
def test_a_change_that_cannot_be_made_is_refused_with_its_line(
    tmp_path: Path, blocks: list[str], where: str, words: str
) -> None:
    course = made_up(tmp_path, OUTLINE, *blocks)
    message = refusal(lambda: script_text(course, len(blocks) - 1))
    assert message.startswith(f"{where}: ")
    assert words in message


# --- lesson.md ---------------------------------------------------------------------------------


def refused_lesson(tmp_path: Path, text: str, code: str = "") -> tuple[int, str]:
    """The line and the words with which the lesson of a block is refused."""
    folder = write_course(tmp_path, OUTLINE)
    write_block(folder, "00_block", code, text)
    message = refusal(lambda: read_course(folder))
    assert message.startswith("00_block/lesson.md:")
    line, _, words = message.removeprefix("00_block/lesson.md:").partition(": ")
    return int(line), words


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        pytest.param("title", None, "title", id="no title"),
        pytest.param("teaches", None, "teaches", id="no teaches"),
        pytest.param("minutes", "ten", "minutes", id="minutes in words"),
        pytest.param("minutes", "true", "minutes", id="minutes that are yes or no"),
        pytest.param("objectives", "do it", "objectives", id="one objective, no list"),
        pytest.param("keypoints", "[]", "keypoints", id="an empty list"),
        pytest.param("title", '""', "title", id="an empty title"),
        pytest.param("title", "2024", "title", id="a title that is a number"),
        pytest.param("level", "4", "level", id="four stars"),
        pytest.param("part", "9", "part", id="a part that the course does not have"),
        pytest.param("author", "me", "author", id="a name that nothing reads"),
    ],
)
def test_wrong_metadata_is_refused_by_its_name(
    tmp_path: Path, name: str, value: str | None, words: str
) -> None:
    line, message = refused_lesson(tmp_path, lesson("", **{name: value}))
    assert words in message
    # The line is one of the metadata's own.
    assert 1 <= line <= 10


def test_nothing_new_to_teach_is_allowed(tmp_path: Path) -> None:
    folder = write_course(tmp_path, OUTLINE)
    write_block(folder, "00_block", "", lesson(teaches="[]"))
    assert read_course(folder).block(0).meta["teaches"] == []


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param("## Goal\n", 1, id="no metadata"),
        pytest.param("", 1, id="an empty file"),
        pytest.param("---\ntitle: A\n\n## Goal\n", 1, id="metadata that are not closed"),
        pytest.param("---\ntitle: A\npart: [1\n---\n", 4, id="a list that is not closed"),
        pytest.param("---\ntitle: A: B\n---\n", 2, id="a colon in the title"),
        pytest.param("---\ntitle: A\npart: \x07\n---\n", 3, id="a character that no text has"),
        pytest.param("---\ntitle: 2024-99-99\n---\n", 2, id="a date that is none"),
        pytest.param("---\n- title\n---\n", 2, id="a list of names"),
    ],
)
def test_metadata_that_cannot_be_read_are_refused_with_their_line(
    tmp_path: Path, text: str, line: int
) -> None:
    # One line off is near enough: YAML sees some mistakes only where the next line begins.
    assert abs(refused_lesson(tmp_path, text)[0] - line) <= 1


@pytest.mark.parametrize("heading", ["Goal", "Why", "Your task", "Look at it", "Recap"])
def test_a_missing_heading_is_refused(tmp_path: Path, heading: str) -> None:
    _, message = refused_lesson(tmp_path, lesson().replace(f"## {heading}\n", ""))
    assert f"## {heading}" in message


def test_a_heading_inside_a_code_example_is_no_heading(tmp_path: Path) -> None:
    text = lesson().replace("## Goal\n", "```markdown\n## Goal\n```\n")
    assert "## Goal" in refused_lesson(tmp_path, text)[1]


def test_a_lesson_without_its_check_is_refused(tmp_path: Path) -> None:
    assert "::: check" in refused_lesson(tmp_path, lesson().replace("::: check", ""))[1]


@pytest.mark.parametrize(
    ("directives", "words"),
    [
        pytest.param("::: cel first", "::: cell NAME", id="misspelt"),
        pytest.param("::: cell", "::: cell NAME", id="a cell without a name"),
        pytest.param("::: check first", "::: cell NAME", id="a check with a name"),
        pytest.param(":::", "::: cell NAME", id="nothing said"),
        pytest.param("::: cell third", "third", id="an unknown cell"),
        pytest.param("::: cell first\n::: cell first", "second time", id="a cell twice"),
        pytest.param("::: check", "second time", id="the check twice"),
    ],
)
def test_a_wrong_directive_is_refused_with_its_line(
    tmp_path: Path, directives: str, words: str
) -> None:
    text = lesson().replace("## Your task\n", f"## Your task\n\n{directives}\n")
    line, message = refused_lesson(tmp_path, text)
    assert words in message
    assert text.splitlines()[line - 1].startswith(":::")


def test_a_directive_inside_a_code_example_is_prose(tmp_path: Path) -> None:
    text = lesson().replace("## Why\n", "## Why\n\n```markdown\n::: cell nowhere\n```\n")
    folder = write_course(tmp_path, OUTLINE)
    write_block(folder, "00_block", "", text)
    parts = read_course(folder).block(0).parts
    assert [part.kind for part in parts if part.kind != "text"] == ["check"]
    assert "::: cell nowhere" in parts[0].content


def test_a_task_without_a_place_in_the_lesson_is_refused(tmp_path: Path) -> None:
    _, message = refused_lesson(tmp_path, lesson("first"), f"# %% three\n{task()}a\n")
    assert "three" in message
    assert "::: cell second" in message


def test_a_task_of_the_script_alone_needs_no_place(tmp_path: Path) -> None:
    course = made_up(tmp_path, OUTLINE, f"# %% three (script)\n{task()}a\n")
    assert len(course.block(0).tasks) == 1


# --- the folders -------------------------------------------------------------------------------


def test_blocks_are_read_in_order_with_name_and_title(tmp_path: Path) -> None:
    course = made_up(tmp_path, OUTLINE, "", "", "")
    assert [block.name for block in course.blocks] == ["00_block", "01_block", "02_block"]
    assert course.block(2).title == "Block 2"


@pytest.mark.parametrize("number", [-1, 2, 999])
def test_a_block_that_is_not_there_is_refused_with_the_numbers_there_are(
    tmp_path: Path, number: int
) -> None:
    course = made_up(tmp_path, OUTLINE, "", "")
    assert "0 to 1" in refusal(lambda: course.block(number))


def test_a_missing_block_number_is_refused(tmp_path: Path) -> None:
    folder = write_course(tmp_path, OUTLINE, "", "")
    write_block(folder, "03_late")
    message = refusal(lambda: read_course(folder))
    assert message.startswith("03_late/lesson.md:1: ")
    assert "2" in message


def test_a_block_number_taken_twice_is_refused_with_both_names(tmp_path: Path) -> None:
    folder = write_course(tmp_path, OUTLINE, "", "")
    write_block(folder, "01_again")
    message = refusal(lambda: read_course(folder))
    assert "01_again" in message
    assert "01_block" in message
    assert "lesson.md:1: " in message


@pytest.mark.parametrize(
    "name",
    ["1_one", "one", "01-one", "01_One", "100_one", "01_"],
    ids=lambda name: f"folder {name}",
)
def test_a_folder_with_a_bad_name_is_refused(tmp_path: Path, name: str) -> None:
    folder = write_course(tmp_path, OUTLINE, "")
    write_block(folder, name)
    assert name in refusal(lambda: read_course(folder))


@pytest.mark.parametrize("name", ["lesson.md", "code.py", "checks.py"])
def test_a_missing_file_is_refused_by_its_name(tmp_path: Path, name: str) -> None:
    folder = write_course(tmp_path, OUTLINE, "")
    (folder / "00_block" / name).unlink()
    assert refusal(lambda: read_course(folder)).startswith(f"00_block/{name}:1: ")


def test_a_missing_outline_is_refused_by_its_name(tmp_path: Path) -> None:
    folder = write_course(tmp_path, OUTLINE, "")
    (folder / "outline.txt").unlink()
    assert refusal(lambda: read_course(folder)).startswith("blocks/outline.txt:1: ")


@pytest.mark.parametrize("name", ["lesson.md", "code.py"])
def test_a_file_in_another_encoding_is_refused_with_its_line(tmp_path: Path, name: str) -> None:
    folder = write_course(tmp_path, OUTLINE, "# %% one\na = 1\n")
    path = folder / "00_block" / name
    path.write_bytes(path.read_bytes() + "\n# Käse\n".encode("latin-1"))
    line = path.read_bytes().count(b"\n")
    message = refusal(lambda: read_course(folder))
    assert message.startswith(f"00_block/{name}:{line}: ")
    assert "UTF-8" in message


def test_windows_line_ends_and_a_byte_order_mark_are_read_like_any(tmp_path: Path) -> None:
    plain = made_up(tmp_path / "plain", OUTLINE, (f"# %% one\n{task()}a = 1\n", "first"))
    folder = write_course(tmp_path / "windows", OUTLINE, (f"# %% one\n{task()}a = 1\n", "first"))
    for path in [*folder.rglob("*.md"), *folder.rglob("*.py"), folder / "outline.txt"]:
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert script_text(read_course(folder), 0) == script_text(plain, 0)


def test_notes_and_caches_beside_the_blocks_are_left_alone(tmp_path: Path) -> None:
    folder = write_course(tmp_path, OUTLINE, "")
    for name in ("__pycache__", ".ipynb_checkpoints"):
        (folder / name).mkdir()
    (folder / "README.md").write_text("hello", encoding="utf-8")
    assert len(read_course(folder).blocks) == 1
