"""Writes made-up courses for the tests of the tools, and watches processes end."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from unittest import mock

import pytest

from winelab.core.order import ORDER, read_order
from winelab.course.source import HEADINGS, Course, read_course
from winelab.system import forkserver

METADATA = {
    "title": "A made-up block",
    "minutes": "5",
    "level": "1",
    "objectives": "[do it]",
    "teaches": "[]",
    "keypoints": "[it is done]",
}
CHECKS = 'def test_something(namespace):\n    "something"\n'

needs_fork = pytest.mark.skipif(
    not forkserver.available(), reason="this system cannot fork or pass file descriptors"
)


def lesson(cells: str = "", **meta: str | None) -> str:
    """A lesson in which these cells stand, each with its directive; None leaves a line out."""
    lines = {**METADATA, **meta}
    head = "\n".join(f"{name}: {value}" for name, value in lines.items() if value is not None)
    places = "\n\n".join(f"::: cell {name}" for name in cells.split())
    body = {"Your task": places}
    text = "\n\n".join(f"## {heading}\n\n{body.get(heading, '')}".rstrip() for heading in HEADINGS)
    return f"---\n{head}\n---\n\n{text}\n"


def write_block(
    folder: Path, name: str, code: str = "", text: str | None = None, checks: str = CHECKS
) -> Path:
    """Write the folder of one block; without a text its lesson places no cell.

    It is the last one of the course, if the course has none of that name.
    """
    block = folder / name
    if not block.exists():
        there = [listed.slug for listed in read_order(folder).blocks] if folder.exists() else []
        write_order(folder, *there, name)
    (block / "code.py").write_text(code, encoding="utf-8")
    (block / "lesson.md").write_text(lesson() if text is None else text, encoding="utf-8")
    (block / "checks.py").write_text(checks, encoding="utf-8")
    return block


def write_order(folder: Path, *slugs: str) -> None:
    """Write course.txt with one part of these blocks, and their folders, empty."""
    folder.mkdir(parents=True, exist_ok=True)
    for slug in slugs:
        (folder / slug).mkdir(parents=True, exist_ok=True)
    lines = ["[1] Track", *slugs]
    (folder / ORDER).write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_course(root: Path, outline: str, *blocks: tuple[str, str] | str) -> Path:
    """Write blocks/ below `root`: each block is its code, or its code and its lesson's cells.

    The blocks are called block0, block1 and so on.
    """
    folder = root / "blocks"
    write_order(folder, *(f"block{number}" for number in range(len(blocks))))
    (folder / "outline.txt").write_text(outline, encoding="utf-8")
    for number, block in enumerate(blocks):
        code, cells = (block, "") if isinstance(block, str) else block
        write_block(folder, f"block{number}", code, lesson(cells, title=f"Block {number}"))
    return folder


def made_up(root: Path, outline: str, *blocks: tuple[str, str] | str) -> Course:
    """Write a course (see `write_course`) and read it."""
    return read_course(write_course(root, outline, *blocks))


def task(todo: str = "do it.") -> str:
    """The lines of a task with its two hints, to stand in a section of code.py."""
    return f"#: {todo}\n#: hint: A nudge.\n#: hint: The call.\n"


def loaded(script: Path) -> ModuleType:
    """A script as a module, wherever it lies: its `main` is not run."""
    spec = spec_from_file_location(script.stem, script)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def mlflow_at(uri: str) -> Iterator[None]:
    """Let MLflow in this process work on a store as from its start; put back what it was."""
    import mlflow
    from mlflow.tracking import fluent

    before = mlflow.get_tracking_uri()
    with mock.patch.dict(os.environ):
        for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_ID", "MLFLOW_RUN_ID"):
            os.environ.pop(name, None)
        fluent._active_experiment_id = None
        mlflow.set_tracking_uri(uri)
        try:
            yield
        finally:
            while mlflow.active_run():
                mlflow.end_run()
            mlflow.set_tracking_uri(before)
            # That of a store which may be gone.
            fluent._active_experiment_id = None


class Lifeline:
    """Tells when another process ends, on every system: its end of a connection closes.

    The process runs `code`, and holds the connection for as long as it lives.
    """

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        self.code = f"import socket; line = socket.create_connection(('127.0.0.1', {port}))"

    def taken_up(self, within: float = 20) -> socket.socket:
        """The next process's connection; fails when none comes."""
        self._listener.settimeout(within)
        return self._listener.accept()[0]

    def cut(self, line: socket.socket, within: float = 10) -> bool:
        """Whether the process at the other end is gone, or goes within these seconds."""
        line.settimeout(within)
        try:
            return line.recv(1) == b""
        except TimeoutError:
            return False
        except ConnectionError:
            return True
        finally:
            line.close()

    def close(self) -> None:
        """Give the port back."""
        self._listener.close()
