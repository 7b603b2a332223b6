"""Processes that have MLflow loaded, and fork to run things at once.

Importing it costs more than a block's own work. The fork server imports once, in stages; at each
stage a process stays that answers requests. A request forks it, in the folder, environment and
with the standard streams that the request names. A Jupyter kernel is started the same way, by a
kernelspec whose command is a small stub; and so are the interpreters that a run starts itself
(MLflow's model server, its look at what a model imports): in a fork, `sys.executable` is a stub.

Fork exists on Linux and macOS; elsewhere `available()` is False and everything runs in a
fresh process, slower.

A request, on a Unix socket: one JSON line ``{"module" or "script", "argv", "cwd", "env"}``, with
the three standard streams as file descriptors. The answers, a line each: the child's pid, then
its exit code. When the asking side goes away, the child and its process group are ended.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any, NoReturn


class Stage(Enum):
    """How much a process has loaded when it is forked."""

    MLFLOW = "mlflow"
    """What MLflow's own look at a model has loaded before it looks: not a module more, since it
    notes what the model still imports."""
    LOADED = "loaded"
    """What the blocks and a kernel import."""
    SERVING = "serving"
    """And what MLflow's servers do."""


MODULES: dict[Stage, tuple[str, ...]] = {
    Stage.MLFLOW: ("mlflow.utils._capture_modules",),
    Stage.LOADED: (
        *("numpy", "pandas", "skops.io", "sqlalchemy.dialects.sqlite", "git"),
        *("alembic.config", "narwhals._pandas_like.dataframe", "pyarrow.pandas_compat"),
        *("sklearn.linear_model", "sklearn.metrics", "sklearn.model_selection", "sklearn.dummy"),
        *("mlflow.models", "mlflow.pyfunc", "mlflow.sklearn", "mlflow.metrics"),
        "mlflow.store.tracking.sqlalchemy_workspace_store",
        "mlflow.store.model_registry.sqlalchemy_workspace_store",
        *(f"mlflow.models.evaluation.evaluators.{n}" for n in ("regressor", "default", "shap")),
        *("mlflow.pyfunc.scoring_server.client", "mlflow.deployments.server"),
        *("mlflow.xgboost", "mlflow.lightgbm", "mlflow.models.display_utils"),
        "mlflow.tracing.processor.base_mlflow",
        *("matplotlib.pyplot", "matplotlib.backends.backend_agg"),
        *("matplotlib.backends.backend_pdf", "fontTools.subset", "PIL.PngImagePlugin"),
        *("ipykernel.kernelapp", "ipykernel.ipkernel", "ipykernel.zmqshell"),
        *("winelab.checks.checking", "winelab.checks.fixtures", "winelab.checks.isolated_predict"),
        "winelab.tracking.run_tags",
    ),
    Stage.SERVING: (
        *("flask", "fastapi", "uvicorn", "uvicorn.main", "mlflow.cli"),
        "mlflow.pyfunc.scoring_server",
    ),
}
INLINE = "module://matplotlib_inline.backend_inline"
SOCKET_VARIABLE = "WINELAB_FORKSERVER"
"""Names the sockets: each stage's is this path and the stage's name."""
KERNEL = "winelab-fork"


def available() -> bool:
    """Return whether this system can fork and pass file descriptors."""
    return hasattr(os, "fork") and hasattr(socket, "send_fds")


def _stubs(folder: Path) -> Path:
    """The folder of programs that stand for forks; made beside the sockets."""
    return folder / "bin"


def python_that_forks() -> str:
    """Return the Python whose MLflow is forked from the server; this one where there is none."""
    server = os.environ.get(SOCKET_VARIABLE)
    return str(_stubs(Path(server).parent) / "python") if server else sys.executable


def write_stubs(folder: Path) -> None:
    """Write what leads to the fork server: a kernelspec for Jupyter, and programs for runs.

    Args:
        folder: a folder of the server's own, which Jupyter has on its path.
    """
    stub = [sys.executable, "-S", "-E", str(Path(__file__).with_name("fork_stub.py"))]
    spec = folder / "kernels" / KERNEL
    spec.mkdir(parents=True)
    command = [*stub, "kernel", "{connection_file}"]
    (spec / "kernel.json").write_text(
        json.dumps({"argv": command, "display_name": "Forked Python", "language": "python"}),
        encoding="utf-8",
    )
    _stubs(folder).mkdir()
    for name in ("python", "uvicorn"):
        program = _stubs(folder) / name
        program.write_text(f'#!/bin/sh\nexec {shlex.join([*stub, name])} "$@"\n', encoding="utf-8")
        program.chmod(0o755)


@contextmanager
def fork_server() -> Iterator[str | None]:
    """Start a fork server for the processes below this one; None where fork is missing.

    Meanwhile its sockets' path is in the environment, and Jupyter finds a kernelspec
    (`KERNEL`) whose kernels are forked from it. One that runs already is used.

    Raises RuntimeError when it does not start.
    """
    if not available() or os.environ.get(SOCKET_VARIABLE):
        yield os.environ.get(SOCKET_VARIABLE)
        return
    # No thread must exist before a fork: telemetry would start one.
    variables = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "OMP_NUM_THREADS": "1"}
    # macOS ends a fork that meets a half-initialised Objective-C class; nothing here uses one.
    variables["OBJC_DISABLE_INITIALIZE_FORK_SAFETY"] = "YES"
    jupyter_path = os.environ.get("JUPYTER_PATH", "")
    with tempfile.TemporaryDirectory(prefix="winelab-") as folder:
        path = str(Path(folder) / "fork")
        # -P: a file of the working folder is not taken for a module of Python's.
        command = [sys.executable, "-P", "-m", "winelab.system.forkserver", path]
        # Once its standard input closes, all that it has forked ends.
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env=variables,
            start_new_session=True,
        ) as server:
            try:
                # It listens before it loads anything, so that nobody has to wait here: a request
                # that comes early is answered once all is loaded.
                while not Path(_address(path, Stage.SERVING)).exists():
                    if server.poll() is not None:
                        raise RuntimeError(
                            "The fork server did not start; its message stands above."
                        )
                    time.sleep(0.01)
                write_stubs(Path(folder))
                os.environ["JUPYTER_PATH"] = os.pathsep.join(filter(None, [folder, jupyter_path]))
                os.environ[SOCKET_VARIABLE] = path
                yield path
            finally:
                os.environ["JUPYTER_PATH"] = jupyter_path
                os.environ.pop(SOCKET_VARIABLE, None)
                # It may be loading still.
                server.kill()


def _address(path: str, stage: Stage) -> str:
    return f"{path}-{stage.value}"


def ask(path: str, stage: Stage, request: dict[str, Any], streams: list[int]) -> socket.socket:
    """Send a request to a stage of the server at `path`; answers are then read from the socket."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(_address(path, stage))
    payload = json.dumps(request).encode() + b"\n"
    socket.send_fds(connection, [payload[:1]], streams)
    connection.sendall(payload[1:])
    return connection


# --- in the server ------------------------------------------------------------------------------


def _run_child(request: dict[str, Any], streams: list[int]) -> None:
    """Become what was asked for. Runs in the forked child and does not return."""
    code = 1
    try:
        os.setsid()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        os.environ.clear()
        os.environ.update(request["env"])
        # Its poller would end a forked kernel, whose parent is the server and not Jupyter.
        os.environ.pop("JPY_PARENT_PID", None)
        os.chdir(request["cwd"])
        if "numpy" in sys.modules:
            # Else each child draws the same numbers; Python's own generator does not.
            sys.modules["numpy"].random.seed()
        if "matplotlib" in sys.modules:
            # It reads this variable once, when it is imported; a kernel sets it by itself.
            inline = INLINE if request.get("module") == "ipykernel_launcher" else ""
            if backend := os.environ.get("MPLBACKEND") or inline:
                sys.modules["matplotlib"].rcParams["backend"] = backend
        # What this run starts by `sys.executable` is forked as well.
        sys.executable = python_that_forks()
        if "script" in request:
            sys.argv = [request["script"], *request["argv"]]
            sys.path[0] = str(Path(request["script"]).parent)
            runpy.run_path(request["script"], run_name="__main__")
        else:
            sys.argv = [request["module"], *request["argv"]]
            # As `python -m` would have it.
            sys.path[0] = str(Path.cwd())
            runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        import atexit

        with contextlib.suppress(BaseException):
            atexit._run_exitfuncs()
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        # A regular exit spends a second on collecting what the server had loaded.
        os._exit(code)


def _attend(connection: socket.socket) -> None:
    """Fork the child for one request, and stay with it: report its end, or end it."""
    first, streams, _, _ = socket.recv_fds(connection, 1, 3)
    with connection.makefile("rb") as lines:
        request = json.loads(first + lines.readline())
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        connection.close()
        _run_child(request, streams)
    for stream in streams:
        os.close(stream)

    def end_when_nobody_listens() -> None:
        # Nothing more is ever sent: the other side has closed, or is gone.
        with contextlib.suppress(OSError):
            connection.recv(1)
        _end_group(pid)

    threading.Thread(target=end_when_nobody_listens, daemon=True).start()
    with contextlib.suppress(OSError):
        connection.sendall(f"{pid}\n".encode())
    _, status = os.waitpid(pid, 0)
    _end_group(pid)
    with contextlib.suppress(OSError):
        connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())


def _end_group(pid: int) -> None:
    """End all that a child started, and itself if it still runs."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _listen(address: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    # Under its name only once it listens: whoever sees the file can connect.
    listener.bind(f"{address}.new")
    listener.listen(64)
    Path(f"{address}.new").rename(address)
    return listener


def serve(path: str) -> None:
    """Load stage by stage, and answer requests at each until standard input closes."""
    listeners = {stage: _listen(_address(path, stage)) for stage in Stage}
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for stage, listener in listeners.items():
        if stage is Stage.SERVING:
            # Most runs start no server: what that needs is loaded when it is asked for.
            _wait(listener)
        _load(stage)
        # A process stays at each stage; this one goes on to the last.
        if stage is Stage.SERVING or os.fork() == 0:
            for other in listeners.values():
                if other is not listener:
                    other.close()
            _answer(listener)


def _load(stage: Stage) -> None:
    """Import what a stage has loaded, and do once what each process would do at its first run."""
    # While so much is loaded there is no garbage, and to look for it is a fifth of the time.
    gc.disable()
    for name in MODULES[stage]:
        # A name that a newer version has given up costs time only: a run imports what it needs.
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    if stage is Stage.LOADED:
        _prepare()
    gc.enable()
    gc.collect()
    gc.freeze()


def _prepare() -> None:
    """Do what comes out the same in all processes."""
    from sqlalchemy.orm import configure_mappers

    configure_mappers()
    # Private: which package each importable module is of, a second of reading at the first
    # log_model. Where a newer MLflow has it no more, this is skipped, and runs are slower.
    with contextlib.suppress(ImportError, AttributeError):
        from mlflow.utils import requirements_utils

        requirements_utils._init_modules_to_packages_map()


def _answer(listener: socket.socket) -> NoReturn:
    """Fork for each request, until standard input closes."""
    while True:
        _wait(listener)
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            with contextlib.suppress(BaseException):
                _attend(connection)
            os._exit(0)
        connection.close()


def _wait(listener: socket.socket) -> None:
    """Wait for a request; end when standard input closes."""
    ready, _, _ = select.select([listener, sys.stdin], [], [])
    if sys.stdin in ready:
        # The side that started the server is gone; nothing is ever written there.
        os._exit(0)


if __name__ == "__main__":
    # Imported by its name, so that the children find one module, not two.
    from winelab.system import forkserver

    forkserver.serve(sys.argv[1])
