"""Reading blocks/: what is written is what is read, and every mistake names file and line."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from makers import required_makers

from tools.made_up import lesson, made_up, task, write_block, write_course
from winelab.core.errors import CourseError
from winelab.core.paths import BLOCKS
from winelab.course.compose import script_text
from winelab.course.source import HEADINGS, Block, Course, read_course, read_outline

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
    assert [(cell.name, cell.title) for cell in outline.cells.values()] == [
        ("first", ""),
        ("second", "Second"),
    ]
    slots = [(slot.section, slot.parents) for cell in outline.cells.values() for slot in cell.slots]
    assert slots == [("one", ()), ("two", ()), ("inner", ("two",)), ("three", ())]
    assert outline.cell_of("inner") == "first"


def test_a_whole_cell_can_stand_in_a_head_of_an_earlier_one(tmp_path: Path) -> None:
    path = tmp_path / "outline.txt"
    path.write_text("[a]\none:\n\n    [b] Two\n    two:\n        three\n\n[c]\nfour\n", "utf-8")
    cells = read_outline(path).cells
    assert {name: cell.parents for name, cell in cells.items()} == {"a": (), "b": ("one",), "c": ()}
    assert [slot.parents for slot in cells["b"].slots] == [("one",), ("one", "two")]


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
        pytest.param("[a]\none\n    [b]\n", 3, "[b]", id="a cell below one that holds nothing"),
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

HINT = 'a hint as "#: hint: ..."'


@pytest.mark.parametrize(
    ("code", "line", "words"),
    [
        pytest.param("# %% one\na\n\n# %% four\nb\n", 4, "four", id="an unknown section"),
        pytest.param("# %% One!\na\n", 1, "# %% section", id="a mark that is none"),
        pytest.param("# %% one (secret)\na\n", 1, "secret", id="an unknown word in the mark"),
        pytest.param("# hello\n\na = 1\n# %% one\nb\n", 3, "above the first", id="code on top"),
        pytest.param("# %% one\n#: do it.\na\n", 1, "0 hints", id="a TODO without hints"),
        pytest.param("# %% one\n#: do it.\n#: hint: A.\na\n", 1, "1 hints", id="only one hint"),
        pytest.param("# %% one\n#: hint: A.\n#: hint: B.\na\n", 1, "one", id="hints, no TODO"),
        pytest.param("# %% one\n#: do it.\n#? A.\na\n", 3, HINT, id="the hints of old"),
        pytest.param("# %% one\n#: do it.\n# ?\na\n", 3, HINT, id="a mark that was formatted"),
        pytest.param("# %% one\n    # : do it.\na\n", 2, 'a task as "#: ..."', id="a wide task"),
        pytest.param("# %% one\n#: do it.\n#: hint A.\na\n", 3, HINT, id="a hint, no colon"),
        pytest.param("# %% one\n#: do it.\n#: Hints: A.\na\n", 3, HINT, id="hints, not hint"),
        pytest.param("# %% one\n\n\n# %% three\nb\n", 1, "(removed)", id="no code"),
        pytest.param("# %% one (removed)\na\n", 1, "removed", id="removed, and code"),
        pytest.param("# %% one (as in 0)\na\n", 1, "has code", id="brought back, and code"),
        pytest.param("# %% one\na\n# %% one\nb\n", 3, "twice", id="a section twice"),
        pytest.param("# %% one\na\n# %% one (script)\nb\n", 3, "script", id="twice, for a script"),
        pytest.param("# %% one (given)\na\n# %% one (given)\nb\n", 3, "twice", id="given twice"),
        pytest.param(f"# %% one (given)\n{task()}a\n", 1, "is given", id="given, and asked for"),
    ],
)
def test_a_mistake_in_the_code_is_refused_with_its_line(
    tmp_path: Path, code: str, line: int, words: str
) -> None:
    message = refusal(lambda: made_up(tmp_path, OUTLINE, (code, "first second")))
    assert message.startswith(f"00_block/code.py:{line}: ")
    assert words in message


def test_a_task_is_read_with_its_hints_from_a_nudge_to_the_call(tmp_path: Path) -> None:
    code = (
        "# %% one\n#: do it,\n#: all of it.\n#: hint: Think\n#: twice.\n#: Hint: `a = 1`\na = 1\n"
    )
    block = made_up(tmp_path, OUTLINE, (code, "first")).block(0)
    (found,) = block.tasks
    assert found.todo == ("do it,", "all of it.")
    assert found.hints == ("Think twice.", "`a = 1`")
    # A task is no part of the code.
    assert {line.text for change in block.changes for line in change.lines} == {"a = 1"}


def test_a_formatter_changes_nothing_of_a_block(whole: Course, tmp_path: Path) -> None:
    """An editor that formats on save may do so: the marks stay marks, the code says the same.

    Where it does not, write `# fmt: off` on top of the block's code.py.
    """
    required_makers()
    copy = shutil.copytree(BLOCKS, tmp_path / "blocks")
    files = sorted(copy.glob("*/code.py"))
    # It fails at files that are fragments of Python, and leaves those as they are.
    options = ["format", "--isolated", "--line-length=100", "--silent"]
    subprocess.run([sys.executable, "-m", "ruff", *options, *files], check=False)
    assert any(
        path.read_bytes() != (BLOCKS / path.parent.name / "code.py").read_bytes() for path in files
    ), "ruff did not run"

    def read(block: Block) -> object:
        changes = [(c.section, c.form, [line.text for line in c.lines]) for c in block.changes]
        return changes, block.tasks

    for block, formatted in zip(whole.blocks, read_course(copy).blocks, strict=True):
        assert read(formatted) == read(block), block.name


@pytest.mark.parametrize(
    ("blocks", "where", "words"),
    [
        pytest.param(["one", "\n# %% three (removed)\n"], 2, "three", id="removed, not there"),
        pytest.param(["one", *["# %% one (removed)\n"] * 2], 1, "one", id="removed twice"),
        pytest.param(["one", "# %% one (as in 1)\n"], 1, "as in 1", id="as in this very block"),
        pytest.param(["one", "# %% one (as in 7)\n"], 1, "as in 7", id="as in a later block"),
        pytest.param(["one", "three", "# %% three (as in 0)\n"], 1, "three", id="not there then"),
    ],
)
def test_a_change_that_cannot_be_made_is_refused_with_its_line(
    tmp_path: Path, blocks: list[str], where: int, words: str
) -> None:
    code = [f"# %% {text}\na\n" if text.isalpha() else text for text in blocks]
    course = made_up(tmp_path, OUTLINE, *code)
    message = refusal(lambda: script_text(course, len(blocks) - 1))
    assert message.startswith(f"{len(blocks) - 1:02d}_block/code.py:{where}: ")
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
        pytest.param("title", None, 'lacks "title"', id="no title"),
        pytest.param("teaches", None, 'lacks "teaches"', id="no teaches"),
        pytest.param("minutes", "ten", "a valid integer", id="minutes in words"),
        pytest.param("minutes", "true", "a valid integer", id="minutes that are yes or no"),
        pytest.param("minutes", "0", "greater than 0", id="no time at all"),
        pytest.param("objectives", "do it", "a valid list", id="one objective, no list"),
        pytest.param("objectives", "[1]", "a valid string", id="a number in a list"),
        pytest.param("keypoints", "[]", "at least 1 item", id="an empty list"),
        pytest.param("title", '""', "at least 1 character", id="an empty title"),
        pytest.param("title", "2024", "a valid string", id="a title that is a number"),
        pytest.param("level", "4", "1, 2 or 3", id="four stars"),
        pytest.param("part", "9", "1, 2 or 3", id="a part that the course does not have"),
        pytest.param("author", "me", "which nothing reads", id="a name that nothing reads"),
    ],
)
def test_wrong_metadata_is_refused_by_its_name_and_line(
    tmp_path: Path, name: str, value: str | None, words: str
) -> None:
    text = lesson("", **{name: value})
    line, message = refused_lesson(tmp_path, text)
    assert f'"{name}"' in message and words in message and message.endswith(".")
    # What is not there is missed at the metadata's end.
    assert text.splitlines()[line - 1] == (f"{name}: {value}" if value else "---")


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


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        *(
            pytest.param(f"## {name}\n", "", f'"## {name}" is missing', id=f"no {name}")
            for name in HEADINGS
        ),
        pytest.param("## Goal\n", "```\n## Goal\n```\n", "## Goal", id="a heading in an example"),
        pytest.param("::: check", "", "::: check", id="no check"),
    ],
)
def test_a_lesson_that_lacks_something_is_refused(
    tmp_path: Path, old: str, new: str, words: str
) -> None:
    text = lesson()
    assert old in text
    assert words in refused_lesson(tmp_path, text.replace(old, new))[1]


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
    pieces = read_course(folder).block(0).pieces
    assert [piece.kind for piece in pieces if piece.kind != "text"] == ["check"]
    assert "::: cell nowhere" in pieces[0].content


def test_a_task_needs_a_place_in_the_lesson_if_the_notebook_has_it(tmp_path: Path) -> None:
    _, message = refused_lesson(tmp_path / "1", lesson("first"), f"# %% three\n{task()}a\n")
    assert '"three"' in message and "::: cell second" in message
    course = made_up(tmp_path / "2", OUTLINE, f"# %% three (script)\n{task()}a\n")
    assert len(course.block(0).tasks) == 1


# --- the folders -------------------------------------------------------------------------------


def test_blocks_are_read_in_order_with_name_and_title(tmp_path: Path) -> None:
    folder = write_course(tmp_path, OUTLINE, "", "", "")
    # Notes and caches beside the blocks are left alone.
    for name in ("__pycache__", ".ipynb_checkpoints"):
        (folder / name).mkdir()
    (folder / "README.md").write_text("hello", encoding="utf-8")
    course = read_course(folder)
    assert [block.name for block in course.blocks] == ["00_block", "01_block", "02_block"]
    assert course.block(2).title == "Block 2"
    assert "0 to 2" in refusal(lambda: course.block(-1))
    assert "0 to 2" in refusal(lambda: course.block(3))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("03_late", "number 2 is missing before 03_late"),
        ("01_again", "twice: 01_again and 01_block"),
        *(
            (name, "name the folder")
            for name in ("2_one", "one", "02-one", "02_One", "100_one", "02_")
        ),
    ],
)
def test_a_folder_with_a_wrong_name_is_refused(tmp_path: Path, name: str, words: str) -> None:
    folder = write_course(tmp_path, OUTLINE, "", "")
    write_block(folder, name)
    message = refusal(lambda: read_course(folder))
    assert "lesson.md:1: " in message
    assert name in message and words in message


@pytest.mark.parametrize("name", ["lesson.md", "code.py", "checks.py", "../outline.txt"])
def test_a_missing_file_is_refused_by_its_name(tmp_path: Path, name: str) -> None:
    folder = write_course(tmp_path, OUTLINE, "")
    path = (folder / "00_block" / name).resolve()
    path.unlink()
    assert refusal(lambda: read_course(folder)).startswith(f"{path.parent.name}/{path.name}:1: ")


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
    folder = write_course(tmp_path, OUTLINE, (f"# %% one\n{task()}a = 1\n", "first"))
    plain = script_text(read_course(folder), 0)
    for path in [*folder.rglob("*.md"), *folder.rglob("*.py"), folder / "outline.txt"]:
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert script_text(read_course(folder), 0) == plain
