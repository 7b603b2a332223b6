"""Ask a logged model for predictions in a process that knows nothing of the student's.

What only works in the kernel that logged it fails here, as it would on a server. The process takes
seconds to load MLflow, so a kernel starts one ahead of time (see `warm_up`) and keeps it:
``python -m winelab.checks.isolated_predict`` loads what it needs and waits on its standard input.
Each question is answered in a fork of it. Where fork is missing, it answers one question and ends,
and the next process is started at once. When the kernel is gone, its standard input closes, and it
ends.

A question is one JSON line ``{"uri", "folder", "env"}``; the table lies in the folder, and so does
the answer, before a line with an exit code says that it is there.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import queue
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO

from winelab.core.console import last_line
from winelab.core.errors import Missing
from winelab.core.files import write_text
from winelab.core.processes import own_group, stop_group

if TYPE_CHECKING:
    import pandas as pd

TIME_LIMIT = 60.0
"""Seconds for loading MLflow and the model: a slow laptop needs ten times what ours does."""
MODULE = "winelab.checks.isolated_predict"
AHEAD = "ahead"
"""The argument of a process that is started ahead of time: it leaves the processor to others."""
CAN_FORK = hasattr(os, "fork")
# What loading and asking a model of the course imports; all else is imported when it is needed.
LOADED = (
    *("pandas", "sklearn.linear_model", "skops.io", "mlflow.pyfunc", "mlflow.sklearn"),
    *("sqlalchemy.dialects.sqlite", "mlflow.store.tracking.sqlalchemy_workspace_store"),
)


# --- in the student's process -------------------------------------------------------------------


class FreshProcess:
    """A process that has MLflow loaded, or is about to, and waits for a model to ask.

    Args:
        ahead: whether nobody waits for it yet.
    """

    def __init__(self, ahead: bool = False) -> None:
        self.errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self.process = subprocess.Popen(
            [sys.executable, "-m", MODULE, *[AHEAD] * ahead],
            # A folder that stays, and in which there is nothing to import.
            cwd=sys.prefix,
            # Threads do not live on in a fork; macOS ends one that meets a half-made class.
            env=os.environ | {"OMP_NUM_THREADS": "1", "OBJC_DISABLE_INITIALIZE_FORK_SAFETY": "YES"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            **own_group(),
        )

    def ask(self, uri: str, folder: Path, limit: float) -> int | None:
        """Ask for the predictions of a model; return the exit code, or None after `limit` seconds.

        Args:
            uri: the model's.
            folder: where ``table.pickle`` lies, and ``answer.json`` is written.
            limit: seconds.
        """
        import mlflow

        variables = os.environ | {"MLFLOW_TRACKING_URI": mlflow.get_tracking_uri()}
        question = {"uri": uri, "folder": str(folder), "env": dict(variables)}
        assert self.process.stdin is not None and self.process.stdout is not None
        # In a thread: there is no other way to read from a pipe with a limit on every system.
        answers: queue.Queue[bytes] = queue.Queue()
        read = self.process.stdout.readline
        threading.Thread(target=lambda: answers.put(read()), daemon=True).start()
        with suppress(OSError):
            self.process.stdin.write(json.dumps(question).encode() + b"\n")
            self.process.stdin.flush()
        try:
            return int(answers.get(timeout=limit) or self.process.wait())
        except queue.Empty:
            return None

    def said(self) -> str:
        """Return the last line that it has printed as an error, and forget all of them."""
        self.errors.seek(0)
        line = last_line(self.errors.read().decode("utf-8", errors="replace"))
        self.errors.seek(0)
        self.errors.truncate()
        return line

    def runs(self) -> bool:
        """Return whether it has not ended."""
        return self.process.poll() is None

    def stop(self) -> None:
        """End it, with all that a model has started in it."""
        stop_group(self.process, limit=0)
        for stream in (self.process.stdin, self.process.stdout, self.errors):
            # What was not sent any more cannot be sent now.
            with suppress(OSError):
                if stream is not None:
                    stream.close()


_lock = threading.Lock()
_keeper = 0
"""The process that keeps a fresh one ready. A fork of it is another."""
_kept: FreshProcess | None = None
_known: dict[tuple[str, str, str], list[float]] = {}
"""The predictions by store, model and table: a logged model never changes."""


def keep_ready() -> None:
    """Start a fresh process ahead of time, and from now on have one ready."""
    global _keeper, _kept
    with _lock:
        _keeper = os.getpid()
        if _kept is None or not _kept.runs():
            _kept = FreshProcess(ahead=True)


def predictions(uri: str, table: pd.DataFrame, limit: float = TIME_LIMIT) -> list[float]:
    """Return the predictions of the model at `uri` for `table`, one a row, from a fresh process.

    Args:
        uri: a model's URI in the store that this process uses, such as ``models:/m-...``.
        table: a row a wine, with the columns that the model was trained on.
        limit: seconds.

    Raises Missing, with MLflow's own message, when the model cannot be loaded or asked.
    """
    import mlflow

    # A folder of its own: what a model answers must not depend on where its process was started.
    with tempfile.TemporaryDirectory(prefix="winelab-fresh-") as name:
        folder = Path(name)
        table.to_pickle(folder / "table.pickle")
        digest = hashlib.sha256((folder / "table.pickle").read_bytes()).hexdigest()
        key = (mlflow.get_tracking_uri(), uri, digest)
        if key in _known:
            return list(_known[key])
        answer = _ask(uri, folder, limit)
    if "error" in answer:
        raise Missing(f"a fresh process could not use the model: {answer['error']}")
    found = [float(value) for value in answer["predictions"]]
    # A version or an alias may name another model the next time.
    if uri.startswith("models:/m-"):
        _known[key] = found
    return list(found)


def _ask(uri: str, folder: Path, limit: float) -> dict[str, Any]:
    """Return the answer of a fresh process: "predictions", or an "error"."""
    global _kept
    with _lock:
        keeps = _keeper == os.getpid()
        one = _kept if keeps and _kept and _kept.runs() else FreshProcess()
        code = None
        try:
            code = one.ask(uri, folder, limit)
            said = one.said()
        finally:
            if keeps and CAN_FORK and code is not None and one.runs():
                _kept = one
            else:
                one.stop()
                _kept = FreshProcess(ahead=True) if keeps else None
    with suppress(OSError, ValueError):
        answer: dict[str, Any] = json.loads((folder / "answer.json").read_text(encoding="utf-8"))
        return answer
    if code is None:
        return {"error": f"no answer within {limit:g} s"}
    return {"error": f"it ended there: {said or f'exit code {code}'}"}


# --- in the fresh process -----------------------------------------------------------------------


def main(*arguments: str) -> None:
    """Load MLflow, and answer the questions that come on standard input until it closes."""
    with suppress(ValueError):
        # `python -m` looks for modules in the working folder too.
        sys.path.remove(str(Path.cwd()))
    # What a model prints or reads is no part of the conversation.
    questions, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb", buffering=0)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1):
        os.dup2(null, standard)
    if AHEAD in arguments:
        import psutil

        low = psutil.BELOW_NORMAL_PRIORITY_CLASS if sys.platform == "win32" else 10
        psutil.Process().nice(low)
    loaded = threading.Event()
    watcher = threading.Thread(target=_end_if_alone, args=(questions, loaded), daemon=True)
    watcher.start()
    for name in LOADED:
        # A name that a newer version has given up costs time only.
        with suppress(ImportError):
            importlib.import_module(name)
    # No thread must exist before a fork.
    loaded.set()
    watcher.join()
    while line := questions.readline():
        question = json.loads(line)
        if not CAN_FORK:
            threading.Thread(target=_end_with, args=(questions,), daemon=True).start()
            _answer(question)
            answers.write(b"0\n")
            return
        answers.write(b"%d\n" % _forked(question, questions))


def _end_if_alone(questions: BinaryIO, loaded: threading.Event) -> None:
    """End this process if the kernel goes while it loads: on a busy machine that takes long."""
    # Windows cannot ask without reading; there it ends once all is loaded.
    if sys.platform != "win32":
        poller = select.poll()
        # The end of a connection is told in any case, and nothing else is asked for.
        poller.register(questions, 0)
        while not loaded.is_set():
            if poller.poll(100):
                os._exit(1)


def _end_with(questions: BinaryIO) -> None:
    """End this process when nobody waits for the answer any more."""
    if not questions.read(1):
        os._exit(1)


def _forked(question: dict[str, Any], questions: BinaryIO) -> int:
    """Answer in a fork; return its exit code. When the kernel goes meanwhile, all of this ends."""
    ended, end = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            _answer(question)
            code = 0
        finally:
            # Whatever else is to be done at an exit is its parent's.
            os._exit(code)
    os.close(end)
    if questions.fileno() in select.select([questions.fileno(), ended], [], [])[0]:
        shutil.rmtree(question["folder"], ignore_errors=True)
        os.killpg(0, signal.SIGKILL)
    os.close(ended)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _answer(question: dict[str, Any]) -> None:
    """Write answer.json into the question's folder, whole: the predictions, or the error."""
    import mlflow
    import numpy as np
    import pandas as pd

    os.environ.clear()
    os.environ.update(question["env"])
    os.chdir(question["folder"])
    # Our own file, written a moment ago by the process that waits for us.
    table = pd.read_pickle("table.pickle")
    answer: dict[str, object]
    try:
        found = mlflow.pyfunc.load_model(question["uri"]).predict(table)
        answer = {"predictions": np.ravel(found).astype(float).tolist()}
    except BaseException as error:
        answer = {"error": f"{type(error).__name__}: {' '.join(str(error).split())}"}
    write_text(Path("answer.json"), json.dumps(answer))


if __name__ == "__main__":
    main(*sys.argv[1:])
