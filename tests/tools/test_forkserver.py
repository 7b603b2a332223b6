"""The fork server: what a forked child gets, what comes back, and that nothing is left behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import nbformat
import pytest
from jupyter_client.manager import start_new_kernel
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from tools.made_up import Lifeline, needs_fork
from winelab.proof.runner import fork_server
from winelab.system import forkserver
from winelab.tracking.workspace import furnish, room_environment

pytestmark = needs_fork

# A server that loads nothing starts at once.
SMALL = (
    "import sys\n"
    "from winelab.system import forkserver\n"
    "forkserver.PRELOAD = ()\n"
    "forkserver.serve(sys.argv[1])\n"
)
SLEEP = "import time; time.sleep(60)"


@contextmanager
def small_server() -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A fork server without MLflow: its socket's path, and its process."""
    # Not tmp_path: a socket's path is limited to a hundred characters.
    with tempfile.TemporaryDirectory(prefix="winelab-") as folder:
        path = str(Path(folder) / "fork")
        process = subprocess.Popen(
            [sys.executable, "-c", SMALL, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == b"ready\n"
            yield path, process
        finally:
            process.stdin.close()
            process.stdout.close()
            process.wait(timeout=10)


@pytest.fixture(scope="module")
def path() -> Iterator[str]:
    with small_server() as (path, _):
        yield path


@pytest.fixture
def lifeline() -> Iterator[Lifeline]:
    line = Lifeline()
    yield line
    line.close()


class Child:
    """A forked child that runs this code in `folder`."""

    def __init__(self, path: str, folder: Path, code: str, *argv: str, **env: str) -> None:
        folder.mkdir(exist_ok=True)
        (folder / "job.py").write_text(code, encoding="utf-8")
        self._folder = folder
        with (
            Path(os.devnull).open("rb") as stdin,
            (folder / "out").open("wb") as out,
            (folder / "err").open("wb") as err,
        ):
            streams = [stdin.fileno(), out.fileno(), err.fileno()]
            request: dict[str, object] = {
                "module": "job",
                "argv": list(argv),
                "cwd": str(folder),
                "env": env,
            }
            self.connection = forkserver.ask(path, request, streams)
        self.connection.settimeout(20)
        self._answers: IO[str] = self.connection.makefile("r")
        self.pid = int(self._answers.readline())

    def exit_code(self) -> int:
        """Wait for its end."""
        return int(self._answers.readline())

    def leave(self) -> None:
        """Go away, as the asking side does when it dies."""
        self._answers.close()
        self.connection.close()

    def written(self, stream: str) -> str:
        """What it wrote to "out" or "err"."""
        return (self._folder / stream).read_text(encoding="utf-8")


# --- what a child gets, and what comes back ----------------------------------------------------


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        pytest.param("", 0, id="an end"),
        pytest.param("raise SystemExit(7)", 7, id="an exit code"),
        pytest.param("raise SystemExit", 0, id="an exit without a code"),
        pytest.param("raise SystemExit('oh')", 1, id="an exit with words"),
        pytest.param("1 / 0", 1, id="an error"),
        pytest.param("import os; os._exit(3)", 3, id="an abrupt exit"),
        pytest.param("import os; os.kill(os.getpid(), 9)", -9, id="a signal"),
        pytest.param("import atexit; atexit.register(print, 'late')", 0, id="a late word"),
    ],
)
def test_the_exit_code_comes_back(path: str, tmp_path: Path, code: str, expected: int) -> None:
    assert Child(path, tmp_path, code).exit_code() == expected


def test_a_child_writes_to_the_streams_it_was_given(path: str, tmp_path: Path) -> None:
    code = (
        "import atexit, os, sys\n"
        "atexit.register(print, 'late')\n"
        "print('out')\n"
        "sys.stdin.read()\n"
        "os.write(2, b'raw')\n"
        "1 / 0\n"
    )
    child = Child(path, tmp_path, code)
    assert child.exit_code() == 1
    assert child.written("out") == "out\nlate\n"
    assert child.written("err").startswith("raw")
    assert "ZeroDivisionError" in child.written("err")


def test_a_child_runs_as_a_module_in_its_folder_with_its_arguments(
    path: str, tmp_path: Path
) -> None:
    (tmp_path / "neighbour.py").write_text("x = 1\n", encoding="utf-8")
    code = "import os, sys, neighbour\nprint(__name__, os.getcwd(), sys.argv[1:])\n"
    child = Child(path, tmp_path, code, "-f", "a b")
    assert child.exit_code() == 0
    assert child.written("out") == f"__main__ {tmp_path.resolve()} ['-f', 'a b']\n"


def test_a_child_has_the_environment_that_was_sent_and_no_other(path: str, tmp_path: Path) -> None:
    code = "import os, subprocess\nprint(dict(os.environ))\n"
    child = Child(path, tmp_path, code, MINE="1", JPY_PARENT_PID="1")
    assert child.exit_code() == 0
    # A forked kernel would look for its parent by that number, in vain.
    assert child.written("out") == "{'MINE': '1'}\n"


def test_a_child_is_a_session_of_its_own_and_can_be_interrupted(path: str, tmp_path: Path) -> None:
    code = (
        "import os, signal\n"
        "assert os.getsid(0) == os.getpid()\n"
        "try:\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "except KeyboardInterrupt:\n"
        "    raise SystemExit(5)\n"
    )
    assert Child(path, tmp_path, code).exit_code() == 5


def test_a_child_can_wait_for_children_of_its_own(path: str, tmp_path: Path) -> None:
    code = (
        "import subprocess, sys\n"
        "sys.exit(subprocess.run([sys.executable, '-c', 'raise SystemExit(4)']).returncode)\n"
    )
    child = Child(path, tmp_path, code, PATH=os.environ["PATH"])
    assert child.exit_code() == 4, child.written("err")


def test_many_can_ask_at_once(path: str, tmp_path: Path) -> None:
    def one(number: int) -> int:
        code = f"import time; time.sleep(0.1); raise SystemExit({number})"
        return Child(path, tmp_path / str(number), code).exit_code()

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(one, range(16))) == list(range(16))


@pytest.mark.parametrize("nonsense", [b"", b"not JSON\n", b"{}\n"], ids=["none", "text", "empty"])
def test_a_request_that_is_none_stops_no_other(path: str, tmp_path: Path, nonsense: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        connection.sendall(nonsense)
    assert Child(path, tmp_path, "raise SystemExit(7)").exit_code() == 7


# --- nothing is left behind --------------------------------------------------------------------

WITH_A_CHILD = (
    "import subprocess, sys\n"
    "subprocess.Popen([sys.executable, '-c', {code!r} + '; ' + {sleep!r}])\n"
    "{code}\n"
)


def test_when_the_asking_side_goes_the_child_and_its_children_end(
    path: str, tmp_path: Path, lifeline: Lifeline
) -> None:
    code = WITH_A_CHILD.format(code=lifeline.code, sleep=SLEEP) + SLEEP
    child = Child(path, tmp_path, code)
    lines = [lifeline.taken_up(), lifeline.taken_up()]
    child.leave()
    assert all(lifeline.cut(line) for line in lines)


def test_when_a_child_ends_its_children_end(path: str, tmp_path: Path, lifeline: Lifeline) -> None:
    sleeper = f"{lifeline.code}; print('up', flush=True); {SLEEP}"
    code = (
        "import subprocess, sys\n"
        f"started = subprocess.Popen([sys.executable, '-c', {sleeper!r}], stdout=subprocess.PIPE)\n"
        "started.stdout.readline()\n"
    )
    child = Child(path, tmp_path, code)
    line = lifeline.taken_up()
    assert child.exit_code() == 0
    assert lifeline.cut(line)


def test_the_server_ends_when_its_input_closes() -> None:
    with small_server() as (path, process):
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(timeout=10) == 0
        assert not Path(path).exists()


def test_the_server_ends_when_its_parent_is_killed(lifeline: Lifeline) -> None:
    with tempfile.TemporaryDirectory(prefix="winelab-") as folder:
        server = f"{lifeline.code}\n{SMALL}"
        parent = (
            "import subprocess, sys, time\n"
            f"subprocess.Popen([sys.executable, '-c', {server!r}, {folder + '/fork'!r}],"
            " stdin=subprocess.PIPE)\n"
            "time.sleep(60)\n"
        )
        process = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE)
        with process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            line = lifeline.taken_up()
            process.kill()
            assert lifeline.cut(line)


def test_the_server_outlives_an_interrupt_at_the_terminal(tmp_path: Path) -> None:
    with small_server() as (path, process):
        process.send_signal(signal.SIGINT)
        assert Child(path, tmp_path, "raise SystemExit(7)").exit_code() == 7


# --- kernels -----------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def server() -> Iterator[str | None]:
    with fork_server() as path:
        yield path


@pytest.fixture
def room(tmp_path: Path) -> Path:
    return furnish(tmp_path / "room")


@pytest.fixture
def kernel(server: str, room: Path) -> Iterator[tuple[Any, Any]]:
    """A forked kernel in the room: its manager and its client."""
    manager, client = start_new_kernel(
        kernel_name=forkserver.KERNEL,
        cwd=str(room / "labs"),
        env=room_environment(room),
        stderr=subprocess.DEVNULL,
    )
    yield manager, client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def stream(client: Any) -> str:
    """The next text that the kernel prints."""
    while True:
        message = client.get_iopub_msg(timeout=20)
        if message["header"]["msg_type"] == "stream":
            return str(message["content"]["text"])


def ended(pid: int, within: float = 10) -> bool:
    """Whether a process is gone, or goes within these seconds."""
    until = time.monotonic() + within
    while time.monotonic() < until:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


def test_the_kernelspec_starts_the_stub_with_little_else(tmp_path: Path) -> None:
    forkserver.write_kernelspec(tmp_path)
    spec = json.loads(
        (tmp_path / "kernels" / forkserver.KERNEL / "kernel.json").read_text(encoding="utf-8")
    )
    python, *options, stub, connection_file = spec["argv"]
    assert python == sys.executable
    assert options == ["-S", "-E"]
    assert Path(stub).is_file()
    assert connection_file == "{connection_file}"


def test_a_forked_kernel_runs_the_cells_of_a_notebook(server: str, room: Path) -> None:
    sources = [
        "from pathlib import Path\nprint(Path.cwd().name)",
        "import sys\nprint('mlflow.sklearn' in sys.modules)",
        "import mlflow\nwith mlflow.start_run() as run: pass",
        "print(mlflow.get_run(run.info.run_id).data.tags['winelab.block'])",
        "1 + 1",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(s) for s in sources])
    client = NotebookClient(
        notebook,
        timeout=60,
        kernel_name=forkserver.KERNEL,
        resources={"metadata": {"path": str(room / "labs")}},
    )
    client.execute(
        env=room_environment(room, JPY_SESSION_NAME="labs/03_run.ipynb"),
        stderr=subprocess.DEVNULL,
    )
    printed = ["".join(o.get("text", "") for o in cell.outputs) for cell in notebook.cells]
    assert printed[0] == "labs\n"
    assert printed[1] == "True\n"
    assert printed[3] == "3\n"
    assert notebook.cells[4].outputs[0]["data"]["text/plain"] == "2"
    assert not (room / "labs" / "mlruns").exists()


def test_an_error_in_a_forked_kernel_is_the_notebooks_error(server: str, room: Path) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 / 0")])
    client = NotebookClient(notebook, timeout=60, kernel_name=forkserver.KERNEL)
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        client.execute(env=room_environment(room), stderr=subprocess.DEVNULL)


def test_a_forked_kernel_can_be_interrupted_and_goes_on(kernel: tuple[Any, Any]) -> None:
    manager, client = kernel
    # Else ipykernel refuses, for a moment after an error, what comes next: "Run all" must stop.
    asked = client.execute(
        "import time\nprint('sleeping', flush=True)\ntime.sleep(60)", stop_on_error=False
    )
    assert "sleeping" in stream(client)
    manager.interrupt_kernel()
    reply = client.get_shell_msg(timeout=20)
    while reply["parent_header"].get("msg_id") != asked:
        reply = client.get_shell_msg(timeout=20)
    assert reply["content"]["status"] == "error"
    assert reply["content"]["ename"] == "KeyboardInterrupt"
    client.execute("print('here')")
    assert "here" in stream(client)


def test_a_shut_down_kernel_leaves_no_process(kernel: tuple[Any, Any], lifeline: Lifeline) -> None:
    manager, client = kernel
    client.execute(
        WITH_A_CHILD.format(code=lifeline.code, sleep=SLEEP)
        + "import os\nprint(os.getpid(), flush=True)"
    )
    pid = int(stream(client))
    lines = [lifeline.taken_up(), lifeline.taken_up()]
    manager.shutdown_kernel()
    assert ended(pid)
    assert all(lifeline.cut(line) for line in lines)
    assert not manager.is_alive()


def test_a_kernel_whose_stub_is_killed_ends(kernel: tuple[Any, Any], lifeline: Lifeline) -> None:
    manager, client = kernel
    client.execute(lifeline.code)
    line = lifeline.taken_up()
    os.kill(manager.provisioner.pid, signal.SIGKILL)
    assert lifeline.cut(line)


def test_a_kernel_that_dies_is_seen_to_be_dead(kernel: tuple[Any, Any]) -> None:
    manager, client = kernel
    client.execute("import os\nos._exit(3)")
    assert manager.provisioner.process.wait(timeout=10) == 3
    assert not manager.is_alive()
