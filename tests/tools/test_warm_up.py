"""What a lab's kernel gets ready for its check, on real kernels: it is there in time, and goes."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from jupyter_client import KernelManager

from winelab.checks import isolated_predict, warm_up
from winelab.commands import doctor
from winelab.commands.housekeeping import put_store_aside
from winelab.system import forkserver
from winelab.tracking import store
from winelab.tracking.workspace import empty_store, furnish, workspace_environment

Start = Callable[[str], "Kernel"]


class Kernel:
    """A kernel as Jupyter starts it for a notebook."""

    def __init__(self, workspace: Path, notebook: str) -> None:
        variables = workspace_environment(workspace, JPY_SESSION_NAME=f"labs/{notebook}")
        variables.pop(forkserver.SOCKET_VARIABLE, None)
        self.manager = KernelManager(kernel_name="python3")
        self.manager.start_kernel(env=variables, cwd=str(workspace / "labs"))
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)

    @property
    def pid(self) -> int:
        """Of its process."""
        return int(self.manager.provisioner.pid)  # type: ignore[union-attr]

    def run(self, code: str) -> str:
        """Run a cell; what it prints and shows."""
        said: list[str] = []

        def hear(message: Any) -> None:
            content = message["content"]
            said.append(content.get("text") or content.get("data", {}).get("text/plain", ""))
            said.extend(content.get("traceback", []))

        self.client.execute_interactive(code, timeout=60, output_hook=hear)
        return "".join(said)

    def fresh(self) -> list[psutil.Process]:
        """The processes below it that wait for a model, and their forks."""
        found = psutil.Process(self.pid).children(recursive=True)
        return [one for one in found if isolated_predict.MODULE in command_line(one)]


def command_line(process: psutil.Process) -> list[str]:
    """Of a process; of one that has ended since it was found, nothing."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return furnish(tmp_path / "wine-lab")


@pytest.fixture
def start(workspace: Path) -> Iterator[Start]:
    """Starts kernels, which are ended after the test."""
    kernels: list[Kernel] = []

    def started(notebook: str) -> Kernel:
        kernels.append(Kernel(workspace, notebook))
        return kernels[-1]

    yield started
    for kernel in kernels:
        kernel.client.stop_channels()
        if kernel.manager.has_kernel:
            kernel.manager.shutdown_kernel(now=True)


def until(true: Callable[[], Any], seconds: float = 30) -> Any:
    """Wait until something is true, and return it; what it is at last, when the time is up."""
    end = time.monotonic() + seconds
    while not (found := true()) and time.monotonic() < end:
        time.sleep(0.05)
    return found


def gone(processes: list[psutil.Process]) -> bool:
    """Whether these end within half a minute; that somebody has yet to collect one is no matter."""

    def ended(process: psutil.Process) -> bool:
        try:
            return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    return bool(until(lambda: all(map(ended, processes))))


# --- the fresh process -------------------------------------------------------------------------


def test_a_lab_whose_checks_ask_for_one_has_it_from_its_import_of_mlflow_on(start: Start) -> None:
    kernel = start("15_pyfunc.ipynb")
    kernel.run("1 + 1")
    assert kernel.fresh() == []
    kernel.run("import mlflow")
    (fresh,) = until(kernel.fresh)
    kernel.run("import mlflow\nwith mlflow.start_run():\n    pass")
    assert kernel.fresh() == [fresh]


def kill(kernel: Kernel) -> None:
    os.kill(kernel.pid, getattr(signal, "SIGKILL", signal.SIGTERM))


ENDS: dict[str, Callable[[Kernel], None]] = {
    "shut down": lambda kernel: kernel.manager.shutdown_kernel(),
    "killed": kill,
    "restarted": lambda kernel: kernel.manager.restart_kernel(now=True),
    "ends itself": lambda kernel: kernel.client.execute("import os; os._exit(1)") and None,
}
MODEL = """
import mlflow, pandas, pathlib, time
pathlib.Path("model.py").write_text('''
import mlflow, time
class Slow(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input):
        time.sleep(1000)
mlflow.models.set_model(Slow())
''')
with mlflow.start_run():
    info = mlflow.pyfunc.log_model(name="m", python_model="model.py", pip_requirements=["pandas"])
"""
ASK = """
from winelab.checks.isolated_predict import predictions
predictions(info.model_uri, pandas.DataFrame({"a": [1.0]}))
"""


# A kernel that waits for an answer is busy: it cannot end itself.
CASES = [
    (state, end)
    for state in ("loading", "waiting", "asked")
    for end in ENDS
    if (state, end) != ("asked", "ends itself")
]


@pytest.mark.parametrize(("state", "end"), CASES)
def test_nothing_is_left_when_the_kernel_ends(start: Start, state: str, end: str) -> None:
    kernel = start("15_pyfunc.ipynb")
    kernel.run("import mlflow" if state != "asked" else MODEL)
    here = until(kernel.fresh)
    if state == "waiting":
        assert until(lambda: here[0].cpu_times().user > 0.5)
        time.sleep(2)
    if state == "asked":
        kernel.client.execute(ASK)
        if isolated_predict.CAN_FORK:
            here = until(lambda: len(kernel.fresh()) == 2 and kernel.fresh())
        else:
            time.sleep(10)
    assert here
    ENDS[end](kernel)
    assert gone(here), f"after the kernel was {end}: {here}"


@pytest.mark.parametrize("notebook", ["03_run.ipynb", "mine.ipynb"])
def test_no_other_notebook_has_one(start: Start, notebook: str) -> None:
    kernel = start(notebook)
    kernel.run("import mlflow\nwith mlflow.start_run():\n    pass")
    kernel.run(
        "import threading\n[t.join(9) for t in threading.enumerate() if 'warm_up' in t.name]"
    )
    assert kernel.fresh() == []


def test_a_script_and_a_fork_of_the_proofs_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(forkserver.SOCKET_VARIABLE, raising=False)
    monkeypatch.delitem(sys.modules, "ipykernel.kernelapp", raising=False)
    assert not warm_up.in_a_kernel()
    monkeypatch.setitem(sys.modules, "ipykernel.kernelapp", sys)
    assert warm_up.in_a_kernel()
    monkeypatch.setenv(forkserver.SOCKET_VARIABLE, "somewhere")
    assert not warm_up.in_a_kernel()


# --- a store that is gone ----------------------------------------------------------------------


@pytest.mark.skipif(os.name == "nt", reason="Windows does not move a file that is open")
def test_a_store_that_was_put_aside_is_named_with_what_to_restart(
    start: Start, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = start("02_experiment.ipynb")
    use = "import mlflow\nmlflow.set_experiment('wine-quality')\nfrom winelab import check\n"
    kernel.run(use)
    assert store.on_an_old_store(workspace) == []
    assert "restart the kernel" not in kernel.run("check('experiment')")
    put_store_aside(workspace)
    empty_store(workspace / "mlflow.db")
    said = kernel.run("check('experiment')")
    assert said.count("restart the kernel") == 1, said
    assert store.on_an_old_store(workspace) == ["the kernel of 02_experiment.ipynb"]
    monkeypatch.setattr(doctor.environment, "venv_python", lambda root: Path(sys.executable))
    (finding,) = doctor.old_stores(workspace)
    assert "02_experiment.ipynb" in finding.text and finding.fix == "restart it"
    kernel.manager.restart_kernel(now=True)
    kernel.client.wait_for_ready(timeout=60)
    assert "restart the kernel" not in kernel.run(use + "check('experiment')")
    assert store.on_an_old_store(workspace) == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells the two apart")
def test_a_store_that_was_deleted_and_made_again_is_another(start: Start, workspace: Path) -> None:
    kernel = start("02_experiment.ipynb")
    kernel.run("import mlflow\nmlflow.set_experiment('wine-quality')\nfrom winelab import check")
    (workspace / "mlflow.db").unlink()
    assert "restart the kernel" in kernel.run("check('experiment')")
    empty_store(workspace / "mlflow.db")
    assert "restart the kernel" in kernel.run("check('experiment')")
