"""Where a process spends its time: a look at its main thread every few milliseconds.

`make bench` asks for it with the variable FOLDER, a folder that each process puts its figures
into; without it nothing is sampled.
"""

from __future__ import annotations

import json
import linecache
import os
import sys
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

FOLDER = "WINELAB_SAMPLES"
WITHIN = "WINELAB_SAMPLED"
"""In a child's environment: the label of what waits for it."""
INTERVAL = 0.004
"""Seconds between two looks: a hundred of them in a run of half a second."""

IMPORTS, MLFLOW, OURS, REST = "imports", "MLflow", "our code", "the rest"
CHILD, KERNEL, SERVERS = "a child", "notebook kernels", "servers"

Place = tuple[str, str]
"""A frame of a stack: its file, its function."""

_PACKAGE = str(Path(__file__).parent)
_MLFLOW = f"{os.sep}mlflow{os.sep}"
_NBVAL = f"{os.sep}nbval{os.sep}"
_SOLUTIONS = f"{os.sep}solutions{os.sep}"
# Of the tools, and of block 13's script: what starts, waits for and stops servers.
_SERVING = tuple(str(Path("winelab", name)) for name in ("serve.py", "parts.py", "postgres.py"))
_SERVES = ("start_server", "stop_server")


def _is_script(file: str) -> bool:
    return file.startswith("<cell") or _SOLUTIONS in file


def places_of(frame: FrameType | None) -> Iterator[Place]:
    """The frames of a stack, from the innermost one outwards."""
    while frame is not None:
        yield frame.f_code.co_filename, frame.f_code.co_name
        frame = frame.f_back


def kind_of(places: list[Place]) -> str:
    """What a stack is busy with: importing, servers, MLflow, a child or kernel, our code."""
    files = [file for file, _ in places]
    if any(file.startswith("<frozen importlib") for file in files):
        return IMPORTS
    if any(file.endswith(_SERVING) for file in files):
        return SERVERS
    if any(_is_script(file) and name in _SERVES for file, name in places):
        return SERVERS
    if any(_MLFLOW in file for file in files):
        return MLFLOW
    if any(file.endswith(str(Path("winelab", "process.py"))) for file in files):
        return CHILD
    if any(_NBVAL in file for file in files):
        return KERNEL
    # A worker runs the script from our code: what counts is who called whom last.
    for file in files:
        if _is_script(file):
            return REST
        if file.startswith(_PACKAGE) or file.endswith("checks.py"):
            return OURS
    return REST


def line_of(frame: FrameType | None) -> tuple[str, int]:
    """The line of the course's script that a stack is in: file and number; ("", 0) outside.

    The outermost one: what a person wrote in a cell, not the function above that it calls.
    """
    found = ("", 0)
    while frame is not None:
        if _is_script(frame.f_code.co_filename):
            found = frame.f_code.co_filename, frame.f_lineno
        frame = frame.f_back
    return found


class Sampler(threading.Thread):
    """Adds up the seconds that the main thread spends, by kind and by line of the script."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.seconds: dict[tuple[str, tuple[str, int]], float] = defaultdict(float)
        self.main = threading.main_thread().ident
        self.over = threading.Event()

    def run(self) -> None:
        """Look until `over` is set."""
        before = time.perf_counter()
        while not self.over.wait(INTERVAL):
            frame = sys._current_frames().get(self.main or 0)
            now = time.perf_counter()
            self.seconds[kind_of(list(places_of(frame))), line_of(frame)] += now - before
            before = now


@contextmanager
def sampled(label: str) -> Iterator[None]:
    """Sample the block inside, if asked for, and add a file with the figures to the folder."""
    folder, outer = os.environ.get(FOLDER), os.environ.get(WITHIN, "")
    if not folder:
        yield
        return
    sampler = Sampler()
    os.environ[WITHIN] = outer or label
    sampler.start()
    try:
        yield
    finally:
        sampler.over.set()
        sampler.join()
        os.environ[WITHIN] = outer
        rows = [
            [kind, linecache.getline(*line).strip(), value]
            for (kind, line), value in sampler.seconds.items()
        ]
        figures = {"label": label, "within": outer, "rows": rows}
        (Path(folder) / f"{uuid.uuid4().hex}.json").write_text(json.dumps(figures), "utf-8")


def gathered(folder: Path) -> list[dict[str, Any]]:
    """What all processes have put into the folder.

    Each has a "label", that of the process which waited for it ("within"), and "rows" of
    kind, line of the script, seconds.
    """
    return [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.json"))]
