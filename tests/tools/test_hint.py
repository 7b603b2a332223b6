"""`make hint`: nudges first, then the calls, of what is still to do."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import mlflow
import pytest
from rich.console import Console

from winelab.checks.checking import checks_of, the_newest_run_has_finished
from winelab.commands import hint, student_files
from winelab.core.errors import CourseError
from winelab.core.paths import store_uri
from winelab.course.compose import (
    solved_cells,
    unsolved_cells,
    unsolved_files,
    unsolved_script,
)
from winelab.course.notebook import as_text, lab_notebook
from winelab.course.source import Block, course
from winelab.tracking import store
from winelab.tracking.workspace import furnish


def text_of(block: Block, form: hint.Form) -> str:
    """A block's code as it is found, as a script or as a notebook's cells."""
    if form == "script":
        return "\n".join(unsolved_files(course(), block.number).values())
    cells = unsolved_cells(course(), block.number)
    return "\n".join(cell.source for cell in cells)


@pytest.mark.parametrize("form", ["script", "notebook"])
def test_every_block_has_both_steps_of_each_task_to_show(block: Block, form: hint.Form) -> None:
    failing = [check.__name__ for check in checks_of(block.folder).functions]
    tasks = hint.open_tasks(course(), block, text_of(block, form), form, failing)
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
    block = course().block("autolog")
    text = unsolved_script(course(), block.number).replace("# 4. Train\n", f"# 4. Train\n{call}")
    failing = [check.__name__ for check in checks_of(block.folder).functions]
    found = hint.open_tasks(course(), block, text, "script", failing)
    sections = [task.section for task in found]
    assert ("autolog" in sections) == still_open, "a call inside a comment is not done"
    assert "autolog-off" in sections


def test_a_task_that_was_done_in_another_way_is_left_out_by_its_checks() -> None:
    block = course().block("autolog")
    text = unsolved_script(course(), block.number)
    found = hint.open_tasks(course(), block, text, "script", ["test_autolog_is_off_again"])
    sections = [task.section for task in found]
    assert "autolog-off" in sections and "autolog" not in sections


# --- the judge ---------------------------------------------------------------------------------

RUN = course().block("run")
NEXT = f"Block {RUN.number + 1}"
OTHER_WORDS = (
    'handle = mlflow.start_run(run_name="elasticnet")\n'
    "try:\n    model = ElasticNet(alpha=0.5, l1_ratio=0.3, random_state=42)\n"
    "    model.fit(X_train, y_train)\n    predictions = model.predict(X_test)\n"
    "finally:\n    mlflow.end_run()\n"
)


def lab(root: Path, number: int, change: Callable[[str], str] = str, solved: bool = False) -> Path:
    """A student's lab in `root`, whose task cells were changed."""
    block = course().block(number)
    notebook = lab_notebook(course(), number)
    right = {cell.name: cell.source for cell in solved_cells(course(), number)}
    for cell in notebook.cells:
        if "task" in cell["metadata"].get("tags", ()):
            name = cell["id"].partition("-")[2]
            cell["source"] = change(right[name] if solved else cell["source"])
    path = root / "labs" / f"{block.name}.ipynb"
    path.parent.mkdir(exist_ok=True)
    path.write_text(as_text(notebook), encoding="utf-8")
    return path


def hinted(number: int, root: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What `make hint` says, in one line."""
    assert hint.main(number, root) == 0
    return " ".join(capsys.readouterr().out.split())


def test_an_untouched_lab_begins_with_the_first_check_that_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lab(tmp_path, RUN.number)
    said = hinted(RUN.number, tmp_path, capsys)
    first = the_newest_run_has_finished.__doc__
    assert said.index(f"Running labs/{RUN.name}.ipynb") < said.index(f"TODO {first}")
    assert said.index("hint: ") < said.index("nudge: ") and NEXT not in said


def test_a_lab_that_the_check_passes_is_done_whatever_its_wording(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lab(
        tmp_path,
        RUN.number,
        lambda source: f"# TODO: still here\n%matplotlib inline\n{OTHER_WORDS}",
    )
    lab(tmp_path, RUN.number + 1)
    said = hinted(RUN.number, tmp_path, capsys)
    assert said.index("Done: every check is ok.") < said.index(f"{NEXT} -")
    assert "nudge" not in said[: said.index(f"{NEXT} -")] and "nudge: " in said
    # Nothing of it reached a store of the student's.
    assert not (tmp_path / "mlflow.db").exists()


def test_a_block_that_the_store_shows_as_done_is_not_run_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", dict(os.environ))
    furnish(tmp_path / "wine-lab")
    root = tmp_path / "wine-lab"
    lab(root, RUN.number)
    store.mark(mlflow.MlflowClient(store_uri(root)), RUN.slug)
    said = hinted(RUN.number, root, capsys)
    assert f"Running labs/{RUN.name}.ipynb" not in said and f"{NEXT} -" in said


def test_an_error_is_said_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lab(tmp_path, RUN.number, lambda source: "startrun()")
    said = hinted(RUN.number, tmp_path, capsys)
    assert "It ends in an error: NameError: name 'startrun' is not defined" in said
    assert said.index("NameError") < said.index("hint: ")


def test_a_script_that_never_ends_still_gets_its_hints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hint, "TIME_LIMIT", 3.0)
    student_files.begin_script(course(), RUN, tmp_path)
    script = student_files.script_path(RUN, tmp_path)
    script.write_text("while True:\n    pass\n", encoding="utf-8")
    said = hinted(RUN.number, tmp_path, capsys)
    assert "The run was ended after 3 s." in said and "nudge: " in said


def test_lines_of_code_in_a_hint_stand_below_each_other(
    capsys: pytest.CaptureFixture[str],
) -> None:
    todo = replace(RUN.tasks[0], hints=("Look.", "Say\n\n    if a:\n        b\n\nand c."))
    hint.show([(todo, (hint.CALL,))], [todo], Console())
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    at = lines.index("  the call: Say")
    assert lines[at + 1 : at + 4] == ["      if a:", "          b", "  and c."]


# --- what is remembered ------------------------------------------------------------------------


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
    assert student_files.work(block, tmp_path) == (lab, ("a = 1\nb = 2",))
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


def test_without_a_run_it_is_the_first_block_that_is_open_and_without_a_store_it_asks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(student_files, "last_block", lambda course: None)
    there = furnish(tmp_path / "there")
    monkeypatch.setattr(student_files, "ROOT", there)
    with store.opened(there) as client:
        store.mark(client, course().block(0).slug)
    assert student_files.block_or_last(course(), None, "hint") == course().block(1)
    monkeypatch.setattr(student_files, "ROOT", tmp_path)
    with pytest.raises(CourseError, match="make hint BLOCK=run"):
        student_files.block_or_last(course(), None, "hint")
