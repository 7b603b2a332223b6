"""What a block changes in the script, and `make solution`, which shows it as a diff."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools.made_up import made_up
from winelab.commands import solution
from winelab.course.compose import header, script_text
from winelab.course.difference import changed_lines, unified_diff
from winelab.course.source import Block, course

HEAD = re.compile(r"@@ -(\d+),(\d+) \+(\d+),(\d+) @@")


def body(number: int) -> list[str]:
    return script_text(course(), number).removeprefix(header(course().block(number))).splitlines()


def patched(old: list[str], diff: list[str]) -> list[str]:
    """`old` with a unified diff applied, strictly: each line where the diff says it stands."""
    new: list[str] = []
    done = 0
    for line in diff[2:]:
        if match := HEAD.match(line):
            start, at = int(match[1]) - 1, int(match[3]) - 1
            new += old[done:start]
            done = start
            assert len(new) == at, line
            continue
        if line[0] in " -":
            assert old[done] == line[1:]
            done += 1
        if line[0] in " +":
            new.append(line[1:])
    return new + old[done:]


def test_the_two_scripts_can_be_read_out_of_the_changed_lines(block: Block) -> None:
    if block.package:  # see test_package.py
        return
    lines = changed_lines(course(), block.number)
    assert [line.text for line in lines if line.kind != "removed"] == body(block.number)
    old = body(block.number - 1) if block.number else []
    assert [line.text for line in lines if line.kind != "added"] == old


def test_the_diff_makes_this_script_of_the_one_before(block: Block) -> None:
    if block.number == 0 or block.package:
        return
    old = script_text(course(), block.number - 1).splitlines()
    # The name in the header is no part of the change.
    kept = old[: len(header(block).splitlines())]
    assert patched(old, unified_diff(course(), block.number)) == [*kept, *body(block.number)]


def test_a_small_block_is_a_small_change_and_each_change_names_its_part() -> None:
    changed = [
        line
        for line in changed_lines(course(), course().block("experiment").number)
        if line.kind != "kept"
    ]
    assert "import mlflow" in [line.text for line in changed if line.kind == "added"]
    assert len(changed) < 10
    heads = [
        line
        for line in unified_diff(course(), course().block("autolog").number)
        if line.startswith("@@")
    ]
    assert [head.rpartition("@@ ")[2] for head in heads] == [
        "MLflow, and where it writes",
        "3. Choose alpha by cross-validation, on the training wines",
        "4. Train",
    ]


def test_block_0_is_the_whole_script_and_can_be_piped(capsys: pytest.CaptureFixture[str]) -> None:
    assert solution.main(0) == 0
    out, err = capsys.readouterr()
    assert out == script_text(course(), 0)
    assert f"solutions/{course().block(0).name}.ipynb" in err


def test_a_diff_can_be_piped(capsys: pytest.CaptureFixture[str]) -> None:
    number = course().block("register").number
    assert solution.main(number) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == unified_diff(course(), number)
    changed = [line.kind for line in changed_lines(course(), number)]
    said = f"adds {changed.count('added')} lines to the script of block {number - 1}, and takes "
    assert said + f"{changed.count('removed')} away." in " ".join(err.split())


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
