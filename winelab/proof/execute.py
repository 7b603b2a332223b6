"""Runs scripts and notebooks in clean rooms, and gives back what the checks need.

With a fork server (see `forkserver`) a run starts in milliseconds; without one, in a fresh
process. Both do the same work, in `worker`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from winelab.checks.checking import Report, Verdict
from winelab.system import forkserver
from winelab.system.run_module import run_module
from winelab.tracking.workspace import room_environment

TIME_LIMIT = 120.0
"""Seconds after which a run is ended."""


@dataclass(frozen=True)
class Outcome:
    """What one run left behind."""

    printed: str
    error: str
    """The traceback, "" where there was none."""
    report: Report | None
    warnings: tuple[str, ...] = ()
    """Deprecations that Python, MLflow, scikit-learn or pandas warned of."""
    stderr: str = ""
    not_noted: str = ""

    @property
    def last_line(self) -> str:
        """The end of the traceback, which names the error; "" where there was none."""
        return self.error.strip().splitlines()[-1] if self.error else ""


@contextmanager
def fork_server() -> Iterator[str | None]:
    """Start a fork server for the processes below this one; None where fork is missing.

    Meanwhile its socket's path is in the environment, and Jupyter finds a kernelspec
    (`forkserver.KERNEL`) whose kernels are forked from it.
    """
    if not forkserver.available() or os.environ.get(forkserver.SOCKET_VARIABLE):
        yield os.environ.get(forkserver.SOCKET_VARIABLE)
        return
    with tempfile.TemporaryDirectory(prefix="winelab-") as folder:
        path = str(Path(folder) / "fork")
        # No thread must exist before a fork: telemetry would start one.
        environment = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "OMP_NUM_THREADS": "1"}
        # macOS ends a fork that meets a half-initialised Objective-C class; nothing here uses one.
        environment["OBJC_DISABLE_INITIALIZE_FORK_SAFETY"] = "YES"
        server = subprocess.Popen(
            [sys.executable, "-m", "winelab.system.forkserver", path],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
        assert server.stdin is not None
        try:
            # It listens before it loads anything, so that nobody has to wait here: a request
            # that comes early is answered once all is loaded.
            while not Path(path).exists():
                if server.poll() is not None:
                    raise RuntimeError("The fork server did not start; its message stands above.")
                time.sleep(0.01)
            forkserver.write_kernelspec(Path(folder))
            before = os.environ.get("JUPYTER_PATH")
            os.environ["JUPYTER_PATH"] = os.pathsep.join(filter(None, [folder, before]))
            os.environ[forkserver.SOCKET_VARIABLE] = path
            try:
                yield path
            finally:
                del os.environ[forkserver.SOCKET_VARIABLE]
                os.environ["JUPYTER_PATH"] = before or ""
        finally:
            server.stdin.close()
            try:
                server.wait(timeout=5)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def run(
    room: Path,
    *,
    source: str,
    cells: list[str] | None = None,
    arguments: tuple[str, ...] = (),
    check: int | None = None,
    environment: dict[str, str] | None = None,
    limit: float = TIME_LIMIT,
    folder: str = "",
    fork: bool = True,
) -> Outcome:
    """Run cells, or the script `source` of the room, and check it.

    Args:
        room: a furnished room (see `room`).
        source: the file that the run stands for, such as ``03_run.ipynb``. For a script, its
            path relative to the room's ``solutions``.
        cells: the sources to run one after the other; None to run the script.
        arguments: the script's command line.
        check: the block whose checks run afterwards, in the same process.
        environment: variables that differ from the room's; "" takes one away.
        limit: seconds.
        folder: the working folder, relative to the room: ``labs`` for cells, ``solutions``
            for scripts, where nothing else is said.
        fork: use the fork server if there is one.

    Returns:
        What was printed, the traceback if there is one, and the report. A run that was ended
        by its limit, or that died, says so in `error`.
    """
    cwd = room / (folder or ("solutions" if cells is None else "labs"))
    job: dict[str, Any] = {"check": check}
    if cells is None:
        job |= {"script": str(room / "solutions" / source), "arguments": list(arguments)}
    else:
        job["cells"] = cells
    env = room_environment(room, **{"WINELAB_SOURCE": source, **(environment or {})})
    with tempfile.TemporaryDirectory(prefix="winelab-job-") as desk:
        job_file, result_file = Path(desk) / "job.json", Path(desk) / "result.json"
        job_file.write_text(json.dumps(job), encoding="utf-8")
        argv = [str(job_file), str(result_file)]
        with (Path(desk) / "stderr").open("w+b") as err:
            code = run_module("winelab.proof.worker", argv, cwd, env, err.fileno(), limit, fork)
            err.seek(0)
            stderr = err.read().decode("utf-8", errors="replace")
        if not result_file.is_file():
            why = f"ended after {limit:g} s" if code is None else f"died with exit code {code}"
            return Outcome("", f"The run {why}.\n{stderr}", None, stderr=stderr)
        result = json.loads(result_file.read_text(encoding="utf-8"))
    report = result["report"]
    if report:
        report = Report(**{**report, "verdicts": tuple(Verdict(**v) for v in report["verdicts"])})
    return Outcome(
        result["printed"],
        result["error"],
        report,
        tuple(result["warnings"]),
        stderr,
        result.get("not_noted", ""),
    )
