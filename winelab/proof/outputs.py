"""`make outputs`: executes the solved notebooks and stores what they print and plot."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from winelab.core.errors import CourseError
from winelab.core.files import write_text
from winelab.core.paths import SOLUTIONS
from winelab.course.notebook import as_text, solved_notebook
from winelab.course.source import Block, Course, read_course
from winelab.proof.runner import TIME_LIMIT, fork_server
from winelab.system import forkserver
from winelab.tracking.workspace import clean_room, room_environment

SHOWN_FOLDER = "/home/you/wine-lab"
"""What stands in stored outputs for the room they were made in."""


def execute(notebook: Any, room: Path, name: str, **variables: str) -> Any:
    """Execute a notebook in a room, as `make lab` would run it; CourseError if a cell fails.

    `variables` are added to the room's environment.
    """
    forked = forkserver.SOCKET_VARIABLE in os.environ
    client = NotebookClient(
        notebook,
        timeout=int(TIME_LIMIT),
        kernel_name=forkserver.KERNEL if forked else "python3",
        resources={"metadata": {"path": str(room / "labs")}},
        record_timing=False,
    )
    try:
        client.execute(
            env=room_environment(room, JPY_SESSION_NAME=f"labs/{name}", **variables),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    except CellExecutionError as error:
        raise CourseError(f"{name} does not run: {str(error).strip().splitlines()[-1]}") from None
    return notebook


def _without_room(value: Any, room: Path) -> Any:
    """`value` with the room's path replaced, in every text of it."""
    if isinstance(value, str):
        for path in (room.as_posix(), str(room)):
            value = value.replace(path, SHOWN_FOLDER)
        return value
    if isinstance(value, list):
        return [_without_room(item, room) for item in value]
    if isinstance(value, dict):
        return type(value)({name: _without_room(item, room) for name, item in value.items()})
    return value


def _joined(outputs: list[Any]) -> list[Any]:
    """Outputs with what a cell printed in one piece: a kernel sends it in as many as it likes."""
    joined: list[Any] = []
    for output in outputs:
        last = joined[-1] if joined else {}
        if output.get("name") and output.get("name") == last.get("name"):
            last["text"] += output["text"]
        else:
            joined.append(output)
    return joined


def with_outputs(course: Course, block: Block) -> Any:
    """The solved notebook of a block with fresh outputs, free of this machine's paths."""
    notebook = solved_notebook(course, block.number)
    metadata = dict(notebook.metadata)
    with clean_room() as room:
        execute(notebook, room, f"{block.name}.ipynb")
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell["outputs"] = _joined(_without_room(cell["outputs"], room))
    # A kernel writes its version there; what is stored must not change with the machine.
    notebook["metadata"] = metadata
    return notebook


def main(number: int | None = None) -> int:
    """Execute and store the solved notebook of one block, or of all."""
    course = read_course()
    blocks = course.blocks if number is None else (course.block(number),)
    with fork_server():
        for block in blocks:
            notebook = with_outputs(course, block)
            write_text(SOLUTIONS / f"{block.name}.ipynb", as_text(notebook))
            print(f"solutions/{block.name}.ipynb")
    return 0
