"""Reading blocks/: what is written is what is read, and every mistake names file and line."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from required import required_makers

from tools.made_up import lesson, made_up, task, write_block, write_course
from winelab.core.errors import CourseError
from winelab.core.order import ORDER
from winelab.core.paths import BLOCKS
from winelab.course.compose import script_text
from winelab.course.source import HEADINGS, Block, Course, read_course

OUTLINE = """\
# a comment
[first]
one
two:
    inner

[second] Second
three
"""


def refusal(act: Callable[[], object]) -> tuple[str, int, str]:
    """The file, the line and the words of the CourseError that `act` must end in."""
    with pytest.raises(CourseError) as caught:
        act()
    place, line, words = str(caught.value).split(":", 2)
    return place, int(line), words


def one_block(root: Path, code: str = "", text: str | None = None) -> Course:
    """A course of one block; its lesson has a place for every cell, or is `text`."""
    folder = write_course(root, OUTLINE)
    write_block(folder, "block0", code, lesson("first second") if text is None else text)
    return read_course(folder)


# --- what is wrong -----------------------------------------------------------------------------

LESSON = lesson("first")


def without(line: str, instead: str = "") -> tuple[str, int, str]:
    """A lesson that lacks a line, and how it is refused."""
    text = LESSON.replace(f"{line}\n", f"{instead}\n")
    return text, len(text.splitlines()), f'the line "{line}" is missing'


def at_its_end(line: str) -> str:
    """A lesson with one more line."""
    return f"{LESSON}{line}\n"


def metadata(name: str, value: str, words: str) -> tuple[str, int, str]:
    """A lesson with another value in its metadata, and how it is refused."""
    text = lesson(**{name: value})
    line = text.splitlines().index(f"{name}: {value}") + 1
    return text, line, f'"{name}" of the metadata is wrong: {words}'


END = len(at_its_end("more").splitlines())
HINT = 'a hint as "#: hint: ..."'
# By file, why it is refused: its text, the line and words of the refusal.
MISTAKES = {
    "blocks/outline.txt": {
        "a section twice": ("[a]\none\ntwo\none\n", 4, "one"),
        "a section twice, in two cells": ("[a]\none\n[b]\none\n", 4, "one"),
        "a cell twice": ("[a]\none\n[a]\n", 3, "[a]"),
        "a cell of the notebook's own": ("[a]\none\n[check]\ntwo\n", 3, "[check]"),
        "two spaces": ("[a]\none:\n  two\n", 3, "two"),
        "below a section that holds nothing": ("[a]\none\n    two\n", 3, "two"),
        "two steps at once": ("[a]\none:\n        two\n", 3, "two"),
        "below a section of another cell": ("[a]\none:\n[b]\n    two\n", 4, "two"),
        "a cell below one that holds nothing": ("[a]\none\n    [b]\n", 3, "[b]"),
        "a section outside of its cell": ("[a]\none:\n    [b]\ntwo\n", 4, "two"),
        "a section above the first cell": ("# hello\none\n", 2, "one"),
        "a tab": ("[a]\none\n\ttwo\n", 3, "two"),
        "a name with blanks": ("[a]\nOne section\n", 2, "One section"),
    },
    "block0/code.py": {
        "an unknown section": ("# %% one\na\n\n# %% four\nb\n", 4, "four"),
        "a mark that is none": ("# %% One!\na\n", 1, "# %% section"),
        "an unknown word in the mark": ("# %% one (secret)\na\n", 1, "secret"),
        "code on top": ("# hello\n\na = 1\n# %% one\nb\n", 3, "above the first"),
        "a TODO without hints": ("# %% one\n#: do it.\na\n", 1, "0 hints"),
        "only one hint": ("# %% one\n#: do it.\n#: hint: A.\na\n", 1, "1 hints"),
        "hints, no TODO": ("# %% one\n#: hint: A.\n#: hint: B.\na\n", 1, "one"),
        "the hints of old": ("# %% one\n#: do it.\n#? A.\na\n", 3, HINT),
        "a mark that was formatted": ("# %% one\n#: do it.\n# ?\na\n", 3, HINT),
        "a wide task": ("# %% one\n    # : do it.\na\n", 2, 'a task as "#: ..."'),
        "a hint, no colon": ("# %% one\n#: do it.\n#: hint A.\na\n", 3, HINT),
        "hints, not hint": ("# %% one\n#: do it.\n#: Hints: A.\na\n", 3, HINT),
        "no code": ("# %% one\n\n\n# %% three\nb\n", 1, "(removed)"),
        "removed, and code": ("# %% one (removed)\na\n", 1, "removed"),
        "brought back, and code": ("# %% one (as in block0)\na\n", 1, "has code"),
        "as in no block": ("# %% one (as in 0)\n", 1, '"as in 0" names no block'),
        "a section twice": ("# %% one\na\n# %% one\nb\n", 3, "twice"),
        "twice, for a script": ("# %% one\na\n# %% one (script)\nb\n", 3, "script"),
        "given twice": ("# %% one (given)\na\n# %% one (given)\nb\n", 3, "twice"),
        "given, and asked for": (f"# %% one (given)\n{task()}a\n", 1, "is given"),
    },
    "block0/lesson.md": {
        "no metadata": ("## Goal\n", 1, 'begin with "---", the metadata (title, '),
        "an empty file": ("", 1, 'begin with "---", the metadata (title, '),
        "metadata that are not closed": ("---\ntitle: A\n\n## Goal\n", 1, 'begin with "---"'),
        "a list that is not closed": ("---\ntitle: A\nteaches: [1\n---\n", 3, "not YAML"),
        "a colon in the title": ("---\ntitle: A: B\n---\n", 2, "not YAML"),
        "a character that no text has": ("---\ntitle: A\nlevel: \x07\n---\n", 3, "not YAML"),
        "a date that is none": ("---\ntitle: 2024-99-99\n---\n", 1, "not YAML"),
        "a list of names": ("---\n- title\n---\n", 1, '"name: value"'),
        "no title": (lesson(title=None), 7, 'the metadata lacks "title".'),
        "an unknown name": (lesson(author="me"), 8, 'has "author", which nothing reads.'),
        "minutes in words": metadata("minutes", "ten", "input should be a valid integer"),
        "a yes for minutes": metadata("minutes", "true", "input should be a valid integer"),
        "no time at all": metadata("minutes", "0", "input should be greater than 0"),
        "one objective, no list": metadata("objectives", "do it", "input should be a valid list"),
        "a number in a list": metadata("objectives", "[1]", "input should be a valid string"),
        "an empty list": metadata("keypoints", "[]", "list should have at least 1 item"),
        "an empty title": metadata("title", '""', "string should have at least 1 character"),
        "a title that is a number": metadata("title", "2024", "input should be a valid string"),
        "four stars": metadata("level", "4", "input should be 1, 2 or 3"),
        **{f"no {name}": without(f"## {name}") for name in HEADINGS},
        "a heading in an example": without("## Goal", "```\n## Goal\n```"),
        "a misspelt place": (at_its_end("::: cel first"), END, "::: cell NAME"),
        "a cell without a name": (at_its_end("::: cell"), END, "::: cell NAME"),
        "a place for the check": (at_its_end("::: check"), END, "::: cell NAME"),
        "nothing said": (at_its_end(":::"), END, "::: cell NAME"),
        "an unknown cell": (at_its_end("::: cell third"), END, "[third]"),
        "a cell's place twice": (at_its_end("::: cell first"), END, "second time"),
    },
}


@pytest.mark.parametrize(
    ("file", "why"), [(file, why) for file in MISTAKES for why in MISTAKES[file]]
)
def test_a_mistake_is_refused_with_its_file_and_line(tmp_path: Path, file: str, why: str) -> None:
    text, line, words = MISTAKES[file][why]
    folder = write_course(tmp_path, OUTLINE, ("", "first second"))
    next(folder.parent.rglob(file)).write_text(text, encoding="utf-8")
    *place, message = refusal(lambda: read_course(folder))
    assert place == [file, line]
    assert words in message


# --- code.py -----------------------------------------------------------------------------------


def test_a_task_is_read_with_its_hints_from_a_nudge_to_the_call(tmp_path: Path) -> None:
    code = (
        "# %% one\n#: do it,\n#: all of it.\n#: hint: Think\n#: twice.\n#: Hint: `a = 1`\na = 1\n"
    )
    (found,) = one_block(tmp_path, code).block(0).tasks
    assert found.todo == ("do it,", "all of it.")
    assert found.hints == ("Think twice.", "`a = 1`")
    # A task is no part of the code.
    assert [line.text for line in found.lines] == ["a = 1"]


def test_the_indented_lines_of_a_hint_are_code(tmp_path: Path) -> None:
    hints = "#: hint: Think.\n#: hint: Say\n#:     if a:\n#:         b\n#: and\n#: c.\n"
    hints += "#: hint:\n#:     d\n"
    (found,) = one_block(tmp_path, f"# %% one\n#: do it.\n{hints}a = 1\n").block(0).tasks
    assert found.hints == ("Think.", "Say\n\n    if a:\n        b\n\nand c.", "    d")


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
        return [
            (change.section, change.forms, [line.text for line in change.lines], change.hints)
            for change in block.changes
        ]

    for block, formatted in zip(whole.blocks, read_course(copy).blocks, strict=True):
        assert read(formatted) == read(block), block.name


@pytest.mark.parametrize(
    ("blocks", "where", "words"),
    [
        pytest.param(["one", "\n# %% three (removed)\n"], 2, "three", id="removed, not there"),
        pytest.param(["one", *["# %% one (removed)\n"] * 2], 1, "one", id="removed twice"),
        pytest.param(
            ["one", "# %% one (as in block1)\n"], 1, "as in block1", id="as in this very block"
        ),
        pytest.param(
            ["one", "# %% one (as in block2)\n"], 1, "as in block2", id="as in a later block"
        ),
        pytest.param(
            ["one", "three", "# %% three (as in block0)\n"], 1, "three", id="not there then"
        ),
    ],
)
def test_a_change_that_cannot_be_made_is_refused_with_its_line(
    tmp_path: Path, blocks: list[str], where: int, words: str
) -> None:
    code = [f"# %% {text}\na\n" if text.isalpha() else text for text in blocks]
    # The last one changes nothing, and is there to be named too early.
    course = made_up(tmp_path, OUTLINE, *code, "")
    *place, message = refusal(lambda: script_text(course, len(blocks) - 1))
    assert place == [f"block{len(blocks) - 1}/code.py", where]
    assert words in message


# --- lesson.md ---------------------------------------------------------------------------------


def test_a_directive_inside_a_code_example_is_prose(tmp_path: Path) -> None:
    text = lesson().replace("## Why\n", "## Why\n\n```markdown\n::: cell nowhere\n```\n")
    pieces = one_block(tmp_path, text=text).block(0).pieces
    assert {piece.kind for piece in pieces} == {"text"}
    assert "::: cell nowhere" in pieces[0].content


def test_a_task_needs_a_place_in_the_lesson_if_the_notebook_has_it(tmp_path: Path) -> None:
    code = f"# %% three\n{task()}a\n"
    place, _, message = refusal(lambda: one_block(tmp_path / "1", code, lesson("first")))
    assert place == "block0/lesson.md"
    assert '"three"' in message and "::: cell second" in message
    script = one_block(tmp_path / "2", code.replace("three", "three (script)"), lesson())
    assert len(script.block(0).tasks) == 1


# --- the folders -------------------------------------------------------------------------------


def test_blocks_are_read_in_order_with_name_and_title(tmp_path: Path) -> None:
    folder = write_course(tmp_path, OUTLINE, "", "", "")
    # Notes and caches beside the blocks are left alone.
    for name in ("__pycache__", ".ipynb_checkpoints"):
        (folder / name).mkdir()
    (folder / "README.md").write_text("hello", encoding="utf-8")
    course = read_course(folder)
    assert [block.name for block in course.blocks] == ["00_block0", "01_block1", "02_block2"]
    assert course.block(2).title == "Block 2"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        *(("2", [2]), ("all", [0, 1, 2, 3]), ("0-2", [0, 1, 2]), (" 3 0-1, 3", [3, 0, 1, 3])),
        *(("block1", [1]), ("block1,3", [1, 3]), ("block1..block3", [1, 2, 3])),
        *(("01_block1", [1]), ("block1-2", [1, 2]), ("part 1", [0, 1, 2, 3])),
        *(("x", "no block x: their names"), ("3-", "names no blocks"), ("-1", "names no blocks")),
        *(("block2..block1", "01_block1 comes before 02_block2"), ("part 2", "no part 2")),
        *(("2-1", "names no blocks"), ("", "names no blocks"), ("4", "the blocks are 0 to 3")),
    ],
)
def test_blocks_are_named_by_numbers_names_and_ranges(
    tmp_path: Path, text: str, found: list[int] | str
) -> None:
    course = made_up(tmp_path, OUTLINE, "", "", "", "")
    if isinstance(found, str):
        with pytest.raises(CourseError, match=found):
            course.find(text)
    else:
        assert [block.number for block in course.find(text)] == found


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("[1] Track\nblock0\nblock0\n", 3, '"block0" stands here a second time'),
        ("[1] Track\nblock0\nother\n", 3, 'there is no folder "other"'),
        ("[1] Track\nblock0\n# block1\n", 3, 'the folder "block1" is not listed'),
        ("# The course\nblock0\n", 2, '"block0" stands above the first part'),
        ("[1] Track\nblock0\n[1] Again\n", 3, "part 1 stands here a second time"),
        *(
            (f"[1] Track\n{name}\n", 2, f'"{name}" is neither a part nor a block')
            for name in ("Block0", "block-0", "0", "block0 block1", "[2]", "blöck")
        ),
    ],
)
def test_an_order_that_cannot_be_is_refused_with_its_line(
    tmp_path: Path, text: str, line: int, words: str
) -> None:
    folder = write_course(tmp_path, OUTLINE, "", "")
    (folder / ORDER).write_text(text, encoding="utf-8")
    *place, message = refusal(lambda: read_course(folder))
    assert place == [f"blocks/{ORDER}", line]
    assert words in message


def test_parts_and_order_are_those_of_the_one_file(tmp_path: Path) -> None:
    folder = write_course(tmp_path, OUTLINE, "", "")
    text = "# Turned round.\n[1] Track\n\nblock1  # first\n[2] Serve\nblock0\n"
    (folder / ORDER).write_text(text, encoding="utf-8")
    course = read_course(folder)
    assert {n: part.title for n, part in course.parts.items()} == {1: "Track", 2: "Serve"}
    assert [(b.number, b.slug, b.part) for b in course.blocks] == [
        (0, "block1", 1),
        (1, "block0", 2),
    ]


# --- references --------------------------------------------------------------------------------

NAMING = f"# %% one\n{task('as in block [[block0]].')}a = [[1]]  # block [[block1]]\n"


def test_a_reference_becomes_a_number_and_keeps_its_place(tmp_path: Path) -> None:
    text = lesson("first", title="After [[block0]]").replace(
        "## Why", "Run `[[block1]]_block1.py`.\n\n## Why"
    )
    folder = write_course(tmp_path, OUTLINE, "", (NAMING, "first"))
    (folder / "block1" / "lesson.md").write_text(text, encoding="utf-8")
    block = read_course(folder).block(1)
    assert block.title == "After 0"
    assert "Run `01_block1.py`." in "".join(piece.content for piece in block.pieces)
    (change,) = block.changes
    assert change.todo == ("as in block 0.",)
    (line,) = change.lines
    # A list in a list is none.
    assert line.text == "a = [[1]]  # block 1"
    assert line.unfilled == "a = [[1]]  # block [[block1]]"


@pytest.mark.parametrize(
    ("name", "line"), [("lesson.md", 2), ("lesson.md", 12), ("code.py", 2), ("code.py", 5)]
)
def test_a_reference_to_no_block_is_refused_with_its_line(
    tmp_path: Path, name: str, line: int
) -> None:
    folder = write_course(tmp_path, OUTLINE, (NAMING, "first"), "")
    path = folder / "block0" / name
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[line - 1] += "  # [[nothing]]"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    *place, message = refusal(lambda: read_course(folder))
    assert place == [f"block0/{name}", line]
    assert "[[nothing]]: There is no block nothing" in message


@pytest.mark.parametrize("name", ["lesson.md", "code.py", "checks.py", "../outline.txt"])
def test_a_missing_file_is_refused_by_its_name(tmp_path: Path, name: str) -> None:
    folder = write_course(tmp_path, OUTLINE, "")
    path = (folder / "block0" / name).resolve()
    path.unlink()
    assert refusal(lambda: read_course(folder))[:2] == (f"{path.parent.name}/{path.name}", 1)


@pytest.mark.parametrize("name", ["lesson.md", "code.py"])
def test_a_file_in_another_encoding_is_refused_with_its_line(tmp_path: Path, name: str) -> None:
    folder = write_course(tmp_path, OUTLINE, "# %% one\na = 1\n")
    path = folder / "block0" / name
    path.write_bytes(path.read_bytes() + "\n# Käse\n".encode("latin-1"))
    line = path.read_bytes().count(b"\n")
    *place, message = refusal(lambda: read_course(folder))
    assert place == [f"block0/{name}", line]
    assert "UTF-8" in message


def test_windows_line_ends_and_a_byte_order_mark_are_read_like_any(tmp_path: Path) -> None:
    folder = write_course(tmp_path, OUTLINE, (f"# %% one\n{task()}a = 1\n", "first"))
    plain = script_text(read_course(folder), 0)
    for path in [*folder.rglob("*.md"), *folder.rglob("*.py"), folder / "outline.txt"]:
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert script_text(read_course(folder), 0) == plain
