"""`make solution`: a diff that makes one script of the other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools.made_up import made_up
from winelab.commands import solution
from winelab.core.errors import CourseError
from winelab.course.compose import header, script_text
from winelab.course.source import Block, course

HEAD = re.compile(r"@@ -(\d+),(\d+) \+(\d+),(\d+) @@")


def patched(old: list[str], diff: list[str]) -> list[str]:
    """`old` with a unified diff applied, strictly: each line where the diff says it stands."""
    new: list[str] = []
    done = 0
    for line in diff[2:]:
        if match := HEAD.match(line):
            first, count, at, _ = map(int, match.groups())
            start = first - 1 if count else first
            new += old[done:start]
            done = start
            assert len(new) == (at - 1 if int(match[4]) else at), line
            continue
        if line[0] in " -":
            assert old[done] == line[1:]
            done += 1
        if line[0] in " +":
            new.append(line[1:])
    return new + old[done:]


def test_the_diff_makes_this_script_of_the_one_before(block: Block) -> None:
    if block.number == 0:
        return
    before = course().block(block.number - 1)
    old = script_text(course(), before.number).splitlines()
    new = patched(old, solution.diff(course(), block.number))
    # The name in the header is no part of the change.
    skipped = len(header(block).splitlines())
    assert new[skipped:] == script_text(course(), block.number).splitlines()[skipped:]
    assert new[:skipped] == old[:skipped]


def test_a_hunk_names_the_part_that_it_stands_in() -> None:
    heads = [line for line in solution.diff(course(), 14) if line.startswith("@@")]
    assert heads[2].endswith("@@ MLflow, and where it writes")


def test_block_0_is_the_whole_script_and_can_be_piped(capsys: pytest.CaptureFixture[str]) -> None:
    assert solution.main(0) == 0
    out, err = capsys.readouterr()
    assert out == script_text(course(), 0)
    assert "solutions/00_train.ipynb" in err


def test_a_diff_can_be_piped(capsys: pytest.CaptureFixture[str]) -> None:
    assert solution.main(24) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == solution.diff(course(), 24)
    assert "\x1b" not in out
    added = sum(line.startswith("+") for line in out.splitlines()[2:])
    assert f"adds {added} lines" in " ".join(err.split())


def test_a_block_that_changes_only_the_notebook_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = made_up(
        tmp_path, "[one] One\nfirst\n", "# %% first (given)\na = 1\n",
        "# %% first (given, notebook)\na = 2\n",
    )  # fmt: skip
    monkeypatch.setattr(solution, "read_course", lambda: small)
    assert solution.main(1) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert "leaves the script as it is" in err


def test_no_such_block() -> None:
    with pytest.raises(CourseError, match="no block 99"):
        solution.main(99)
