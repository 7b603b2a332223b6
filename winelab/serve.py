"""Starts JupyterLab and MLflow's UI, and stops them with everything that they started.

`free_port`, `start_server`, `wait_until_up` and `stop_server` serve any other server as well.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from winelab.environment import (
    VENV,
    end_of,
    say,
    venv_environment,
    venv_scripts,
)
from winelab.errors import CourseError
from winelab.paths import ARTIFACTS, LABS, ROOT, STATE, store_uri
from winelab.store import prepare
from winelab.terminal import VENV_VARIABLE, shell_command

HOST = "127.0.0.1"
LAB_PORT = 8888
UI_PORT = 5000
MARK = "X-Winelab"

# Seconds. A slow laptop with a virus scanner needs ten times what ours does.
START_LIMIT = 120
STOP_LIMIT = 15


def free_port(start: int, tries: int = 100) -> int:
    """The first port from `start` on that a server on this machine can take.

    Raises CourseError when none of `tries` is free.
    """
    for port in range(start, start + tries):
        if can_bind(port):
            return port
    raise CourseError(f"no port from {start} to {start + tries - 1} is free on this machine.")


def can_bind(port: int) -> bool:
    """True if a server can take this port on 127.0.0.1."""
    with socket.socket() as probe:
        if sys.platform == "win32":
            # Without it Windows lets two programs have one port.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        elif sys.platform != "darwin":
            # A port whose last connection is only fading out is free. Not on macOS, where the
            # same option would let us in beside AirPlay, which has port 5000.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError):
            return False
    return True


def start_server(
    command: list[str], environment: dict[str, str], folder: Path, log: Path
) -> subprocess.Popen[bytes]:
    """Starts a server in a process group of its own; what it prints goes to the file `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    apart: dict[str, Any]
    if sys.platform == "win32":
        apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    else:
        # A session of its own: Ctrl-C reaches us alone, and we stop the server in good order.
        apart = {"start_new_session": True}
    with log.open("wb") as output:
        return subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            **apart,
        )


def stop_server(process: subprocess.Popen[bytes], limit: float = STOP_LIMIT) -> None:
    """Ends a server and its process group: asks first, and after `limit` seconds does not."""
    if sys.platform == "win32":
        if process.poll() is None:
            # Windows has no polite way to end a whole tree.
            tree = ["taskkill", "/T", "/F", "/PID", str(process.pid)]
            subprocess.run(tree, capture_output=True, check=False)
        process.wait()
        return
    signal_group(process, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(limit)
    # Also when the server itself has gone: a child of it may be left.
    signal_group(process, signal.SIGKILL)
    process.wait()


def signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    """Sends a signal to every process of a server's group; none left is fine."""
    if sys.platform != "win32":
        # macOS answers "not permitted" for a group of which only a zombie is left.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)


def wait_until_up(
    process: subprocess.Popen[bytes],
    address: str,
    log: Path,
    limit: float = START_LIMIT,
    token: str = "",
    mark: str = "",
) -> None:
    """Waits until `address` answers; `token` and `mark` as in `answers`.

    Raises CourseError, with the end of the log, when the server ends or `limit` seconds pass.
    """
    wait_until(process, lambda: answers(address, token, mark), address, log, limit)


def wait_until(
    process: subprocess.Popen[bytes],
    ready: Callable[[], bool],
    address: str,
    log: Path,
    limit: float = START_LIMIT,
) -> None:
    """Waits until `ready` says that the server at `address` is.

    Raises CourseError, with the end of the log, when the server ends or `limit` seconds pass.
    """
    end = time.monotonic() + limit
    while not ready():
        if process.poll() is not None:
            last = end_of(log.read_text(encoding="utf-8", errors="replace"))
            raise CourseError(f"the server ended before it answered: {last} (all of it: {log})")
        if time.monotonic() > end:
            raise CourseError(f"no answer from {address} within {limit:.0f} s; its log: {log}")
        time.sleep(0.1)


def answers(address: str, token: str = "", mark: str = "") -> bool:
    """True if an address answers with success.

    Another server may have taken the port meanwhile. A `token` that only ours accepts, or a
    `mark` that only ours puts into its header MARK, tells them apart.
    """
    request = urllib.request.Request(address)
    if token:
        request.add_header("Authorization", f"token {token}")
    # No proxy: one that is set for the internet would be asked for 127.0.0.1 too.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=5) as response:
            return bool(response.status == 200 and mark in response.headers.get(MARK, ""))
    except (OSError, http.client.HTTPException):
        return False


@contextlib.contextmanager
def until_stopped() -> Iterator[None]:
    """Ends the block quietly at Ctrl-C, and at a request to end or a closed terminal too."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    # SIGINT too: a shell starts a command in the background with Ctrl-C turned off.
    known = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    names = [name for name in known if hasattr(signal, name)]
    before = {name: signal.signal(getattr(signal, name), stop) for name in names}
    try:
        with contextlib.suppress(KeyboardInterrupt):
            yield
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)


class Server(NamedTuple):
    """What `serve` starts."""

    name: str
    command: list[str]
    variables: dict[str, str]
    address: str
    """Asked until it answers."""
    ready: str
    """Printed then."""
    token: str = ""
    mark: str = ""


def serve(plan: Callable[[int], Server], port: int) -> int:
    """Runs the server that `plan` makes for a port, until it is stopped; returns an exit code.

    The port is the first free one from `port` on.

    Raises CourseError when the server does not start, or ends by itself.
    """
    with until_stopped():
        while True:
            port = free_port(port)
            server = plan(port)
            log = ROOT / STATE / "logs" / f"{server.name}-{port}.log"
            process = start_server(server.command, server.variables, ROOT, log)
            try:
                wait_until_up(process, server.address, log, token=server.token, mark=server.mark)
                say(server.ready)
                process.wait()
            except CourseError as error:
                if not lost(port, str(error)):
                    raise
                port += 1
                continue
            finally:
                with patiently():
                    stop_server(process)
            last = end_of(log.read_text(encoding="utf-8", errors="replace"))
            raise CourseError(f"the server ended by itself: {last} (all of it: {log})")
    say("Stopped.")
    return 0


@contextlib.contextmanager
def patiently() -> Iterator[None]:
    """Ignores Ctrl-C while the block runs: a second one must not leave half of it running."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def lost(port: int, message: str) -> bool:
    """True if a server failed because another program took its port after we had looked."""
    # By the message too: the other one may be gone by now.
    words = ("already in use", f"port {port} is not available")
    return not can_bind(port) or any(word in message for word in words)


def lab(browser: bool = True) -> int:
    """Runs JupyterLab on the course until it is stopped; returns an exit code.

    Raises CourseError when it does not start.
    """
    prepare(ROOT)
    # Ours, so that the address is known; in a variable, where no list of processes shows it.
    token = secrets.token_hex(16)
    variables = {**venv_environment(ROOT), **jupyter_variables(), "JUPYTER_TOKEN": token}
    page = first_page(ROOT / STATE / "jupyter" / "workspaces")
    write_settings(Path(variables["JUPYTER_CONFIG_DIR"]))

    def plan(port: int) -> Server:
        address = f"http://{HOST}:{port}"
        return Server(
            "lab",
            lab_command(port, page, browser and has_display()),
            variables,
            f"{address}/api/status",
            f"JupyterLab: {address}{page}?token={token} - Ctrl-C stops it",
            token=token,
        )

    return serve(plan, LAB_PORT)


def first_page(workspaces: Path) -> str:
    """The page that JupyterLab opens: the first lab for a newcomer, else the folder of labs."""
    first = min(LABS.glob("[0-9]*.ipynb"), default=None)
    # JupyterLab itself opens again what was open the last time.
    known = any(workspaces.glob("*.jupyterlab-workspace"))
    return f"/lab/tree/{LABS.name}" + (f"/{first.name}" if first and not known else "")


def write_settings(folder: Path) -> None:
    """Writes Jupyter's own settings file; so far the shell of its terminals stands there."""
    shell = shell_command(venv_scripts(ROOT))
    settings = {"terminado_settings": {"shell_command": shell}} if shell else {}
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"ServerApp": settings}, indent=2)
    (folder / "jupyter_server_config.json").write_text(text, encoding="utf-8")


def jupyter_variables(root: Path = ROOT) -> dict[str, str]:
    """The variables that keep JupyterLab to the folder `root` and to .venv's own kernel."""
    home = root / STATE / "jupyter"
    return {
        # The person's own Jupyter settings, kernels and histories are neither used nor touched.
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "IPYTHONDIR": str(home / "ipython"),
        "JUPYTER_CONFIG_PATH": str(Path(__file__).with_name("jupyter")),
        # First among the kernels, before any of the same name on the machine.
        "JUPYTER_PATH": str(Path(sys.prefix, "share", "jupyter")),
        "JUPYTER_PREFER_ENV_PATH": "1",
        VENV_VARIABLE: str(ROOT / VENV),
    }


def lab_command(port: int, start: str, browser: bool, root: Path = ROOT) -> list[str]:
    """The command that starts JupyterLab on this port and the folder `root`, at `start`."""
    command = [
        *(sys.executable, "-m", "jupyterlab"),
        f"--ServerApp.ip={HOST}",
        f"--ServerApp.port={port}",
        # Another port than the one we print would be no use.
        "--ServerApp.port_retries=0",
        # The root, not labs/: a lab links to ../solutions and ../data.
        f"--ServerApp.root_dir={root}",
        f"--LabApp.default_url={start}",
        "--LabApp.extension_manager=readonly",
        "--KernelSpecManager.allowed_kernelspecs=python3",
        # Looking for language servers starts npm, which writes to the person's home.
        "--LanguageServerManager.autodetect=False",
        "--ServerApp.log_level=WARN",
    ]
    if not browser:
        command.append("--no-browser")
    if sys.platform != "win32" and os.geteuid() == 0:
        # Jupyter refuses root; in a container there is often no other user.
        command.append("--allow-root")
    return command


def has_display() -> bool:
    """True if a browser can be expected to open a window here."""
    # Without a display Python would take a text browser, over the terminal.
    graphical = ("DISPLAY", "WAYLAND_DISPLAY")
    return sys.platform in ("win32", "darwin") or any(os.environ.get(name) for name in graphical)


def ui() -> int:
    """Runs MLflow's UI on the course's store until it is stopped; returns an exit code.

    Raises CourseError when it does not start.
    """
    prepare(ROOT)
    mark = secrets.token_hex(16)
    variables = venv_environment(ROOT)
    # Jobs are for evaluating language models; their helpers are eight processes and 1.3 GB.
    variables["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"

    def plan(port: int) -> Server:
        address = f"http://{HOST}:{port}"
        return Server(
            "ui",
            ui_command(port, mark),
            variables,
            f"{address}/health",
            # The page opens on language models unless the address says otherwise.
            f"MLflow UI: {address}/#/experiments?workflowType=machine_learning - Ctrl-C stops it",
            mark=mark,
        )

    return serve(plan, UI_PORT)


def ui_command(port: int, mark: str, root: Path = ROOT) -> list[str]:
    """The command that starts MLflow's UI on this port and `root`'s store, with a mark."""
    return [
        *(sys.executable, "-m", "mlflow", "ui"),
        *("--host", HOST, "--port", str(port)),
        *("--backend-store-uri", store_uri(root)),
        # For an experiment made in the UI; the others know where their files are.
        *("--default-artifact-root", (root / ARTIFACTS.name).as_uri()),
        # Where block 13's own server keeps the files that went through it.
        *("--artifacts-destination", (root / ARTIFACTS.name).as_uri()),
        *("--workers", "1"),
        *("--uvicorn-opts", f"--header {MARK}:{mark}"),
    ]
