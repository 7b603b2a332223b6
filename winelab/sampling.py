"""Where a process spends its time: a look at its main thread every few milliseconds.

`make bench` asks for it with the variable FOLDER, a folder that each process puts its figures
into; without it nothing is sampled.
"""

from __future__ import annotations

import json
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

FOLDER = "WINELAB_SAMPLES"
INTERVAL = 0.004
"""Seconds between two looks: a hundred of them in a run of half a second."""

IMPORTS, MLFLOW, OURS, REST = "imports", "MLflow", "our code", "the rest"
CHILD, KERNEL = "a child", "notebook kernels"

_PACKAGE = str(Path(__file__).parent)
_MLFLOW = f"{os.sep}mlflow{os.sep}"
_NBVAL = f"{os.sep}nbval{os.sep}"


def files_of(frame: FrameType | None) -> Iterator[str]:
    """The files of a stack's frames, from the innermost one outwards."""
    while frame is not None:
        yield frame.f_code.co_filename
        frame = frame.f_back


def kind_of(files: list[str]) -> str:
    """What a stack is busy with: importing, MLflow, a child or kernel it waits for, our code."""
    if any(file.startswith("<frozen importlib") for file in files):
        return IMPORTS
    if any(_MLFLOW in file for file in files):
        return MLFLOW
    if any(file.endswith(("winelab/process.py", "winelab\\process.py")) for file in files):
        return CHILD
    if any(_NBVAL in file for file in files):
        return KERNEL
    # A worker runs the script from our code: what counts is who called whom last.
    for file in files:
        if file.startswith("<cell") or f"{os.sep}solutions{os.sep}" in file:
            return REST
        if file.startswith(_PACKAGE) or file.endswith("checks.py"):
            return OURS
    return REST


def line_of(frame: FrameType | None) -> str:
    """The line of the course's script that a stack is in, as FILE:LINE; "" outside of one."""
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith("<cell") or f"{os.sep}solutions{os.sep}" in file:
            return f"{Path(file).name}:{frame.f_lineno}"
        frame = frame.f_back
    return ""


class Sampler(threading.Thread):
    """Adds up the seconds that the main thread spends, by kind and by line of the script."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.seconds: dict[tuple[str, str], float] = defaultdict(float)
        self.main = threading.main_thread().ident
        self.over = threading.Event()

    def run(self) -> None:
        """Look until `over` is set."""
        before = time.perf_counter()
        while not self.over.wait(INTERVAL):
            frame = sys._current_frames().get(self.main or 0)
            now = time.perf_counter()
            self.seconds[kind_of(list(files_of(frame))), line_of(frame)] += now - before
            before = now


@contextmanager
def sampled(label: str) -> Iterator[None]:
    """Sample the block inside, if asked for, and add a file with the figures to the folder."""
    folder = os.environ.get(FOLDER)
    if not folder:
        yield
        return
    sampler, start = Sampler(), time.perf_counter()
    sampler.start()
    try:
        yield
    finally:
        sampler.over.set()
        sampler.join()
        rows = [[kind, line, value] for (kind, line), value in sampler.seconds.items()]
        figures = {"label": label, "wall": time.perf_counter() - start, "rows": rows}
        (Path(folder) / f"{uuid.uuid4().hex}.json").write_text(json.dumps(figures), "utf-8")


def gathered(folder: Path) -> list[dict[str, object]]:
    """What all processes have put into the folder: label, wall seconds, and rows of
    (kind, line, seconds)."""
    return [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.json"))]
