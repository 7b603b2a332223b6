"""The fork server: what a forked child gets, what comes back, and that nothing is left behind."""

from __future__ import annotations

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

import pytest
from jupyter_client.manager import start_new_kernel

from tools.made_up import Lifeline, needs_fork
from winelab.proof.execute import Code, Where, execute
from winelab.system import forkserver
from winelab.system.forkserver import Stage
from winelab.tracking.workspace import furnish, workspace_environment

pytestmark = needs_fork

# A server that loads nothing starts at once.
SMALL = (
    "import sys\n"
    "from winelab.system import forkserver\n"
    "forkserver.MODULES = {stage: () for stage in forkserver.Stage}\n"
    "forkserver._prepare = lambda: None\n"
    "forkserver.serve(sys.argv[1])\n"
)
SLEEP = "import time; time.sleep(60)"


@contextmanager
def small_server() -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A fork server without MLflow: its sockets' path, and its process."""
    # Not tmp_path: a socket's path is limited to a hundred characters.
    with tempfile.TemporaryDirectory(prefix="winelab-") as folder:
        path = str(Path(folder) / "fork")
        process = subprocess.Popen([sys.executable, "-c", SMALL, path], stdin=subprocess.PIPE)
        assert process.stdin is not None
        try:
            listening(path)
            yield path, process
        finally:
            process.stdin.close()
            process.wait(timeout=10)


def listening(path: str) -> None:
    """Wait until the server at `path` can be asked."""
    last = Path(f"{path}-{Stage.SERVING.value}")
    until = time.monotonic() + 60
    while not last.exists():
        assert time.monotonic() < until, "it did not start"
        time.sleep(0.02)


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

    def __init__(
        self,
        path: str,
        folder: Path,
        code: str,
        *argv: str,
        stage: Stage = Stage.LOADED,
        **env: str,
    ) -> None:
        folder.mkdir(exist_ok=True)
        (folder / "job.py").write_text(code, encoding="utf-8")
        self._folder = folder
        request = {"module": "job", "argv": argv, "cwd": str(folder), "env": env}
        with (
            Path(os.devnull).open("rb") as stdin,
            (folder / "out").open("wb") as out,
            (folder / "err").open("wb") as err,
        ):
            streams = [stdin.fileno(), out.fileno(), err.fileno()]
            self.connection = forkserver.ask(path, stage, request, streams)
        # As long as the first one waits until all is loaded.
        self.connection.settimeout(120)
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
    ],
)
@pytest.mark.parametrize("stage", Stage)
def test_the_exit_code_comes_back_from_each_stage(
    path: str, tmp_path: Path, code: str, expected: int, stage: Stage
) -> None:
    assert Child(path, tmp_path, code, stage=stage).exit_code() == expected


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


def test_a_child_gets_what_was_sent_and_nothing_else(path: str, tmp_path: Path) -> None:
    """It runs as a module in its folder."""
    (tmp_path / "neighbour.py").write_text("x = 1\n", encoding="utf-8")
    code = "import os, sys, neighbour\nprint(__name__, os.getcwd(), sys.argv[1:], {**os.environ})\n"
    # A forked kernel would look for its parent by that number, in vain.
    child = Child(path, tmp_path, code, "-f", "a b", MINE="1", JPY_PARENT_PID="1")
    assert child.exit_code() == 0
    assert child.written("out") == f"__main__ {tmp_path.resolve()} ['-f', 'a b'] {{'MINE': '1'}}\n"


def test_many_can_ask_at_once(path: str, tmp_path: Path) -> None:
    def one(number: int) -> int:
        code = f"import time; time.sleep(0.1); raise SystemExit({number})"
        return Child(path, tmp_path / str(number), code).exit_code()

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(one, range(16))) == list(range(16))


@pytest.mark.parametrize("nonsense", [b"", b"not JSON\n", b"{}\n"], ids=["none", "text", "empty"])
def test_a_request_that_is_none_stops_no_other(path: str, tmp_path: Path, nonsense: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(f"{path}-{Stage.LOADED.value}")
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


def test_the_server_ends_when_its_parent_is_killed(lifeline: Lifeline) -> None:
    with tempfile.TemporaryDirectory(prefix="winelab-") as folder:
        server = f"{lifeline.code}\n{SMALL}"
        parent = (
            "import subprocess, sys, time\n"
            f"subprocess.Popen([sys.executable, '-c', {server!r}, {folder + '/fork'!r}],"
            " stdin=subprocess.PIPE)\n"
            "time.sleep(60)\n"
        )
        with subprocess.Popen([sys.executable, "-c", parent]) as process:
            line = lifeline.taken_up()
            listening(f"{folder}/fork")
            process.kill()
            # Forked from the first one, each stage holds the same connection.
            assert lifeline.cut(line)


def test_the_server_outlives_an_interrupt_at_the_terminal(tmp_path: Path) -> None:
    with small_server() as (path, process):
        process.send_signal(signal.SIGINT)
        assert Child(path, tmp_path, "raise SystemExit(7)").exit_code() == 7


# --- the stages, and the stubs that stand for interpreters --------------------------------------


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return furnish(tmp_path / "wine-lab")


@pytest.mark.parametrize(("stage", "loaded"), [*zip(Stage, (1, 2, 3), strict=True)])
def test_a_stage_has_loaded_so_much_and_no_more(tmp_path: Path, stage: Stage, loaded: int) -> None:
    modules = ("mlflow", "mlflow.sklearn", "mlflow.cli")
    code = f"import sys\nprint([name for name in {modules} if name in sys.modules])"
    child = Child(os.environ[forkserver.SOCKET_VARIABLE], tmp_path, code, stage=stage)
    assert child.exit_code() == 0, child.written("err")
    assert child.written("out") == f"{[*modules[:loaded]]}\n"


def test_a_fork_draws_as_its_environment_says(tmp_path: Path) -> None:
    """Though matplotlib was loaded before."""
    code = "import matplotlib\nprint(matplotlib.get_backend())"
    child = Child(os.environ[forkserver.SOCKET_VARIABLE], tmp_path, code, MPLBACKEND="svg")
    assert child.exit_code() == 0, child.written("err")
    assert child.written("out") == "svg\n"


@pytest.mark.parametrize(
    ("command", "said", "forked"),
    [
        ("[sys.executable, '-m', 'mlflow', '--version']", "python -m mlflow, version ", True),
        ("[Path(sys.executable).with_name('uvicorn'), '--version']", "Running uvicorn ", True),
        ("[sys.executable, '-m', 'uvicorn', '--version']", "Running uvicorn ", True),
        ("[sys.executable, '-m', 'mlflow.version']", "", False),
        ("[sys.executable, '-c', 'print(1 + 1)']", "2\n", False),
    ],
    ids=["mlflow", "the program uvicorn", "uvicorn", "another module", "a line of code"],
)
def test_what_a_forked_run_starts_is_forked_as_well(
    workspace: Path, command: str, said: str, forked: bool
) -> None:
    # An interpreter that starts anew says so.
    text = "import sys\nprint('anew', file=sys.stderr)\n"
    (workspace / "sitecustomize.py").write_text(text, encoding="utf-8")
    code = (
        "import subprocess, sys\nfrom pathlib import Path\n"
        f"ended = subprocess.run({command}, capture_output=True, text=True)\n"
        "print(ended.stdout, ended.stderr, ended.returncode)\n"
    )
    environment = {"PYTHONPATH": str(workspace)}
    outcome = execute(Code("a.ipynb", (code,)), workspace, environment=environment)
    assert outcome.printed.startswith(said), outcome
    assert outcome.printed.endswith(" 0\n")
    assert ("anew" in outcome.printed) != forked


LOG_MODELS = """
import mlflow
from pathlib import Path
from sklearn.linear_model import LinearRegression

Path("sum.py").write_text(
    "import joblib\\nimport mlflow\\n"
    "class Sum(mlflow.pyfunc.PythonModel):\\n"
    "    def predict(self, context, model_input: list[str]): return model_input\\n"
    "mlflow.models.set_model(Sum())\\n"
)
with mlflow.start_run():
    model = LinearRegression().fit([[1.0], [2.0]], [1.0, 2.0])
    models = [
        mlflow.sklearn.log_model(model, name="sklearn"),
        mlflow.pyfunc.log_model(name="pyfunc", python_model="sum.py"),
    ]
for model in models:
    folder = Path(mlflow.artifacts.download_artifacts(model.model_uri))
    print(sorted((folder / "requirements.txt").read_text().split()))
"""


def test_a_model_logged_in_a_fork_needs_the_same_packages(tmp_path: Path) -> None:
    """MLflow sees what a model imports by what is imported when it looks: nothing of ours."""
    code = Code("a.ipynb", (LOG_MODELS,))
    outcomes = {
        where: execute(code, furnish(tmp_path / where.name), where)
        for where in (Where.FORKED, Where.FRESH)
    }
    forked, fresh = outcomes[Where.FORKED], outcomes[Where.FRESH]
    assert fresh.printed.count("mlflow==") == 2 and "scikit-learn==" in fresh.printed, fresh
    assert forked.printed == fresh.printed, forked.stderr


@pytest.fixture
def stub(tmp_path: Path, lifeline: Lifeline) -> Iterator[subprocess.Popen[bytes]]:
    """A stub whose fork sleeps, and whose handler of SIGTERM says so; it has taken the lifeline."""
    script = tmp_path / "_capture_modules.py"
    script.write_text(
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))\n"
        "try:\n"
        f"    {lifeline.code}\n"
        "    time.sleep(60)\n"
        "except KeyboardInterrupt:\n"
        "    sys.exit(6)\n",
        encoding="utf-8",
    )
    folder = Path(os.environ[forkserver.SOCKET_VARIABLE]).parent
    with subprocess.Popen([folder / "bin" / "python", script]) as process:
        yield process
        process.kill()


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 5), (signal.SIGINT, 6), (signal.SIGKILL, -signal.SIGKILL)],
)
def test_a_signal_to_a_stub_reaches_its_fork(
    stub: subprocess.Popen[bytes], lifeline: Lifeline, number: int, code: int
) -> None:
    line = lifeline.taken_up()
    stub.send_signal(number)
    assert lifeline.cut(line)
    assert stub.wait(timeout=10) == code


# --- kernels -----------------------------------------------------------------------------------


@pytest.fixture
def kernel(workspace: Path) -> Iterator[tuple[Any, Any]]:
    """A forked kernel in the workspace: its manager and its client."""
    manager, client = start_new_kernel(
        kernel_name=forkserver.KERNEL,
        cwd=str(workspace / "labs"),
        env=workspace_environment(workspace),
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
    client.execute(WITH_A_CHILD.format(code=lifeline.code, sleep=SLEEP))
    lines = [lifeline.taken_up(), lifeline.taken_up()]
    manager.shutdown_kernel()
    assert all(lifeline.cut(line) for line in lines)
    assert not manager.is_alive()


def test_the_fork_server_is_started_once() -> None:
    server = os.environ[forkserver.SOCKET_VARIABLE]
    with forkserver.fork_server() as again:
        assert again == server
    # The inner one is not the one to end it.
    assert os.environ[forkserver.SOCKET_VARIABLE] == server
