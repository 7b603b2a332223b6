"""A process that has MLflow and scikit-learn loaded, and forks to run things at once.

Importing them costs more than a block's own work. The server loads them once; each request
forks it, in the folder, environment and with the standard streams that the request names.
A Jupyter kernel is started the same way, through a small stub that a kernelspec names.

Fork exists on Linux and macOS; elsewhere `available()` is False and everything runs in a
fresh process, slower.

A request, on a Unix socket: one JSON line ``{"module", "argv", "cwd", "env"}``, with the
three standard streams as file descriptors. The answers, a line each: the child's pid, then
its exit code. When the asking side goes away, the child and its process group are ended.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import sys
from pathlib import Path

# What the blocks and a kernel import. Not matplotlib: it fixes its backend when imported.
PRELOAD = (
    "numpy",
    "pandas",
    "sklearn.linear_model",
    "sklearn.metrics",
    "sklearn.model_selection",
    "mlflow",
    "mlflow.models",
    "mlflow.pyfunc",
    "mlflow.sklearn",
    "skops.io",
    "mlflow.store.tracking.sqlalchemy_store",
    "sqlalchemy.dialects.sqlite",
    "ipykernel.kernelapp",
    "ipykernel.ipkernel",
    "ipykernel.zmqshell",
    "winelab.checks.checking",
    "winelab.tracking.run_tags",
    "winelab.checks.fixtures",
    "winelab.checks.isolated_predict",
)
SOCKET_VARIABLE = "WINELAB_FORKSERVER"
KERNEL = "winelab-fork"
# The parent's poller would end a forked kernel: its parent is the server, not Jupyter.
NOT_INHERITED = ("JPY_PARENT_PID",)


def available() -> bool:
    """Whether this system can fork and pass file descriptors."""
    return hasattr(os, "fork") and hasattr(socket, "send_fds")


def write_kernelspec(folder: Path) -> None:
    """Write the kernelspec of forked kernels where Jupyter finds it with `folder` on its path."""
    command = [
        sys.executable, "-S", "-E", str(Path(__file__).with_name("kernel_stub.py")),
        "{connection_file}",
    ]  # fmt: skip
    spec = folder / "kernels" / KERNEL
    spec.mkdir(parents=True)
    (spec / "kernel.json").write_text(
        json.dumps({"argv": command, "display_name": "Forked Python", "language": "python"}),
        encoding="utf-8",
    )


def ask(path: str, request: dict[str, object], streams: list[int]) -> socket.socket:
    """Send a request to the server at `path`; answers are then read from the socket."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    payload = json.dumps(request).encode() + b"\n"
    socket.send_fds(connection, [payload[:1]], streams)
    connection.sendall(payload[1:])
    return connection


def _read_request(connection: socket.socket) -> tuple[dict[str, object], list[int]]:
    first, streams, _, _ = socket.recv_fds(connection, 1, 3)
    with connection.makefile("rb") as lines:
        return json.loads(first + lines.readline()), streams


def _run_child(request: dict[str, object], streams: list[int]) -> None:
    """Become what was asked for. Runs in the forked child and does not return."""
    code = 1
    try:
        os.setsid()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        os.environ.clear()
        os.environ.update(request["env"])  # type: ignore[call-overload]
        for name in NOT_INHERITED:
            os.environ.pop(name, None)
        os.chdir(str(request["cwd"]))
        if "numpy" in sys.modules:
            # Else each child draws the same numbers; Python's own generator does not.
            sys.modules["numpy"].random.seed()
        module, argv = str(request["module"]), list(request["argv"])  # type: ignore[call-overload]
        sys.argv = [module, *argv]
        # As `python -m` would have it.
        sys.path[0] = str(Path.cwd())
        runpy.run_module(module, run_name="__main__", alter_sys=True)
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
    request, streams = _read_request(connection)
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    pid = os.fork()
    if pid == 0:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        connection.close()
        os.close(wake_read)
        os.close(wake_write)
        _run_child(request, streams)
    for stream in streams:
        os.close(stream)
    connection.sendall(f"{pid}\n".encode())
    with selectors.DefaultSelector() as selector:
        selector.register(connection, selectors.EVENT_READ)
        selector.register(wake_read, selectors.EVENT_READ)
        while True:
            ready = {key.fileobj for key, _ in selector.select()}
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                break
            if connection in ready and not connection.recv(64):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(pid, signal.SIGKILL)
                _, status = os.waitpid(pid, 0)
                break
            if wake_read in ready:
                os.read(wake_read, 64)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    with contextlib.suppress(OSError):
        connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())


def serve(path: str) -> None:
    """Load everything, then fork for each request until standard input closes."""
    listener = socket.socket(socket.AF_UNIX)
    # Under its name only once it listens: whoever sees the file can connect.
    listener.bind(f"{path}.new")
    listener.listen(64)
    Path(f"{path}.new").rename(path)
    for name in PRELOAD:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    print("ready", flush=True)
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        selector.register(sys.stdin, selectors.EVENT_READ)
        while True:
            ready = {key.fileobj for key, _ in selector.select()}
            if sys.stdin in ready:
                # The side that started the server is gone; nothing is ever written there.
                Path(path).unlink(missing_ok=True)
                os._exit(0)
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                with contextlib.suppress(BaseException):
                    _attend(connection)
                os._exit(0)
            connection.close()


if __name__ == "__main__":
    # Imported by its name, so that the children find one module, not two.
    from winelab.system import forkserver

    forkserver.serve(sys.argv[1])
