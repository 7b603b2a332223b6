"""`make hint`: nudges first, then the calls, of what is still to do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from winelab.commands import hint, student_files
from winelab.core.errors import CourseError
from winelab.course.compose import script_text, solved_cells, unsolved_cells, unsolved_script
from winelab.course.source import Block, course


def text_of(block: Block, form: hint.Form, solved: bool) -> str:
    """A block's code, as a script or as a notebook's cells."""
    if form == "script":
        return (script_text if solved else unsolved_script)(course(), block.number)
    cells = (solved_cells if solved else unsolved_cells)(course(), block.number)
    return "\n".join(cell.source for cell in cells)


@pytest.mark.parametrize("form", ["script", "notebook"])
def test_every_block_has_both_steps_to_show_until_it_is_solved(
    block: Block, form: hint.Form
) -> None:
    assert hint.open_tasks(course(), block, text_of(block, form, solved=True), form) == []
    tasks = hint.open_tasks(course(), block, text_of(block, form, solved=False), form)
    assert tasks == [task for task in block.tasks if form in task.forms]
    seen: dict[str, int] = {}
    shown = []
    for _ in range(len(tasks) + 2):
        hints, _ = hint.next_hints(tasks, seen)
        shown.append([(task.section, steps) for task, steps in hints])
        seen |= {task.section: steps[-1] + 1 for task, steps in hints}
    sections = [task.section for task in tasks]
    assert shown[0] == [(section, (hint.NUDGE,)) for section in sections]
    # Then one TODO after the other.
    assert shown[1:-1] == [[(section, (hint.CALL,))] for section in sections]
    assert shown[-1] == [(section, (hint.NUDGE, hint.CALL)) for section in sections]


@pytest.mark.parametrize(("comment", "still_open"), [("", False), ("# ", True)])
def test_a_task_that_is_done_gets_no_hint_and_the_next_one_its_own(
    comment: str, still_open: bool
) -> None:
    call = f"{comment}mlflow.sklearn.autolog(log_models=False)\n"
    text = unsolved_script(course(), course().block("autolog").number).replace(
        "# 3. Train\n", f"# 3. Train\n{call}"
    )
    sections = [
        t.section for t in hint.open_tasks(course(), course().block("autolog"), text, "script")
    ]
    assert ("autolog" in sections) == still_open, "a call inside a comment is not done"
    assert "autolog-off" in sections


def test_it_remembers_what_was_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = []
    for _ in range(3):
        assert hint.main(course().block("run").number, tmp_path) == 0
        said.append(capsys.readouterr().out)
    task = course().block("run").tasks[0]
    nudge, call = (" ".join(words.split())[:25] for words in task.hints)
    assert nudge in " ".join(said[0].split())
    assert call not in " ".join(said[0].split())
    assert call in " ".join(said[1].split())
    assert f"make solution BLOCK={course().block('run').number}" in said[1]
    assert nudge in " ".join(said[2].split()) and call in " ".join(said[2].split())


@pytest.mark.parametrize("text", ["", "[]", '{"run": 5}', '{"run": {"run": null}}', "\xff"])
def test_a_damaged_memory_begins_anew(tmp_path: Path, text: str) -> None:
    (tmp_path / hint.MEMORY).parent.mkdir()
    (tmp_path / hint.MEMORY).write_text(text, encoding="latin-1")
    assert hint.remembered(tmp_path) == {}


def test_the_work_that_was_saved_last_counts(tmp_path: Path) -> None:
    block = course().block("run")
    assert student_files.work(block, tmp_path) is None
    assert student_files.begin_script(course(), block, tmp_path)
    lab = tmp_path / "labs" / f"{block.name}.ipynb"
    lab.parent.mkdir()
    cell = '{"cell_type": "code", "source": ["a = 1\\n", "b = 2"]}'
    lab.write_text(f'{{"cells": [{cell}]}}', encoding="utf-8")
    os.utime(lab, (1, 1))
    found = student_files.work(block, tmp_path)
    assert found is not None and found[0].suffix == ".py"
    os.utime(student_files.script_path(block, tmp_path), (0, 0))
    assert student_files.work(block, tmp_path) == (lab, "a = 1\nb = 2")
    lab.write_text("half of a noteb", encoding="utf-8")
    found = student_files.work(block, tmp_path)
    assert found is not None and found[0].suffix == ".py"


def test_without_a_number_it_is_the_newest_script(tmp_path: Path) -> None:
    assert student_files.last_block(course(), tmp_path) is None
    for slug, age in (("run", 10), ("autolog", 20), ("tracking_uri", 5)):
        student_files.begin_script(course(), course().block(slug), tmp_path)
        os.utime(student_files.script_path(course().block(slug), tmp_path), (age, age))
    found = student_files.last_block(course(), tmp_path)
    assert found is not None and found.slug == "autolog"


def test_without_anything_it_asks_which_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(student_files, "last_block", lambda course: None)
    with pytest.raises(CourseError, match="make hint BLOCK=run"):
        student_files.block_or_last(course(), None, "hint")
