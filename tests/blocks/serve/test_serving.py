"""Block 28's server on real processes: it answers, it is stopped whatever happens, none is left.

`serving` and `ask` are taken from the built solution. What the lesson says of MLflow's model
server is seen to be true here.
"""

from __future__ import annotations

import json
import os
import runpy
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from course_copy import end, processes, started_here, still_there

from winelab.core.paths import SOLUTIONS
from winelab.course.source import course
from winelab.proof.execute import Code, execute
from winelab.system.forkserver import python_that_forks
from winelab.tracking.workspace import clean_workspace, workspace_environment

BLOCK = f"{course().block('serve').name}.py"
BEFORE = f"{course().block('annotate').name}.py"
NAME = "wine-quality-elasticnet"
CHAMPION = f"models:/{NAME}@champion"
posix = pytest.mark.skipif(os.name == "nt", reason="sends signals")

# A small server with a child: the child is the one that answers, as MLflow's does.
FAMILY = """
import subprocess, sys
child = [sys.executable, "-m", "http.server", sys.argv[-1], "--bind", "127.0.0.1"]
subprocess.run([*child, "--directory", sys.argv[1]])
"""

DRIVER = """
import runpy, sys, time
from pathlib import Path
import psutil
_, script, log, *command = sys.argv
start = psutil.Popen
if command:
    psutil.Popen = lambda served, **settings: start([*command, served[-1]], **settings)
serving = runpy.run_path(script)["serving"]
with serving("models:/wine-quality-elasticnet@champion", Path(log)) as address:
    print(address, flush=True)
    time.sleep(60)
"""


@pytest.fixture(scope="module")
def workspace() -> Iterator[Path]:
    """A clean workspace whose store has a champion."""
    with clean_workspace() as workspace:
        for name in (BEFORE, BLOCK):
            shutil.copy(SOLUTIONS / name, workspace / "solutions")
        outcome = execute(Code(BEFORE), workspace)
        assert not outcome.error, outcome.error
        (workspace / "output" / "served").mkdir()
        (workspace / "output" / "served" / "ping").write_text("", encoding="utf-8")
        yield workspace


@pytest.fixture(scope="module")
def script(workspace: Path) -> dict[str, Any]:
    """The names of the solution's script."""
    return runpy.run_path(str(workspace / "solutions" / BLOCK))


@pytest.fixture(autouse=True)
def surroundings(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The workspace's environment for each test, and no process of a server after it."""
    for name, value in workspace_environment(workspace).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_PROXY", raising=False)
    # `serving` sets it: put back afterwards.
    monkeypatch.setenv("no_proxy", "")
    # From inside of the workspace, as its script is: pyenv's shims look at the working folder.
    monkeypatch.chdir(workspace)
    yield
    # One that was interrupted ends by itself, a moment later.
    assert still_there(processes(workspace)) == []


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers of MLflow are forked from a process that has loaded what they need, if it can be."""
    monkeypatch.setattr(sys, "executable", python_that_forks())


def family(workspace: Path) -> list[str]:
    """The command of a small server with a child, up in an instant, but for its port."""
    return [sys.executable, "-c", FAMILY, str(workspace / "output" / "served")]


@pytest.fixture
def small(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`serving` starts the small server in place of MLflow's."""
    start = psutil.Popen

    def instead(command: list[str], **settings: Any) -> psutil.Popen:
        return start([*family(workspace), command[-1]], **settings)

    monkeypatch.setattr(psutil, "Popen", instead)


# --- a server of the champion -------------------------------------------------------------------


@pytest.mark.usefixtures("forked")
def test_the_champion_answers_what_it_says_here(
    script: dict[str, Any], workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also behind a company's proxy, and with the alias moved away meanwhile."""
    import mlflow
    import requests

    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "tracking.example.org")
    wines = script["read_wine"](workspace / "data" / "red-wine-quality.csv")[1]
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(os.environ["MLFLOW_TRACKING_URI"])
    client = mlflow.MlflowClient()
    champion = client.get_model_version_by_alias(NAME, "champion").version
    here = mlflow.pyfunc.load_model(CHAMPION).predict(wines)
    try:
        with script["serving"](CHAMPION, workspace / "output" / "real.log") as address:
            assert os.environ["no_proxy"] == "127.0.0.1,tracking.example.org"
            client.set_registered_model_alias(NAME, "champion", "1")
            moved = mlflow.pyfunc.load_model(CHAMPION).predict(wines)
            ask = partial(script["ask"], address)
            split = {"dataframe_split": wines.to_dict("split")}
            assert ask(split) == (200, {"predictions": pytest.approx(here, abs=1e-12)})
            grades = {"predictions": list(here.round())}
            assert ask(split | {"params": {"round": True}}) == (200, grades)

            # What the lesson says of other forms, of misspelt params, and of other content.
            one = wines.head(1)
            first = (200, {"predictions": pytest.approx(here[:1], abs=1e-12)})
            records = {"dataframe_records": one.to_dict("records")}
            swapped = {"dataframe_split": one[one.columns[::-1]].to_dict("split")}
            more = {"dataframe_split": one.assign(colour=1.0).to_dict("split")}
            for body in (records, swapped, more, records | {"params": {"rounded": True}}):
                assert ask(body) == first
            strong = {"dataframe_split": one.assign(alcohol="strong").to_dict("split")}
            dry = {"dataframe_split": one.drop(columns="alcohol").to_dict("split")}
            for body, words in (
                ({"data": one.to_dict("split")}, "JSON dictionary with exactly one of"),
                (one.to_dict("split"), "JSON dictionary with exactly one of"),
                (strong, "Failed to convert column alcohol"),
                (dry, "Error: Model is missing inputs ['alcohol']."),
                (split | {"params": {"round": "yes"}}, "<class 'str'>` to `DataType.boolean"),
            ):
                status, refusal = ask(body)
                assert status == 400 and words in refusal["message"]
            page, text = f"{address}/invocations", json.dumps(records)
            assert requests.post(page, text, timeout=60).status_code == 500
            assert requests.post(page, data=records, timeout=60).status_code == 415
            assert requests.get(page, timeout=60).status_code == 405
            assert script["ask"](f"{address}/wine", records)[0] == 404
    finally:
        client.set_registered_model_alias(NAME, "champion", champion)
        mlflow.set_tracking_uri(before)
    assert abs(here - moved).max() > 0.1, "the alias was not moved"


@pytest.mark.usefixtures("forked")
@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ("alias", "Registered model alias nobody not found."),
        ("files", "No such artifact: 'MLmodel'"),
        ("port", "error while attempting to bind on address"),
    ],
)
def test_a_server_that_cannot_start_ends_in_a_sentence_and_its_log_says_why(
    script: dict[str, Any],
    workspace: Path,
    monkeypatch: pytest.MonkeyPatch,
    wrong: str,
    reason: str,
) -> None:
    log = workspace / "output" / "missing.log"
    away = workspace / "mlruns.away"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        if wrong == "port":
            # Taken between the question for a free port and the server's start.
            monkeypatch.setattr(socket, "create_server", lambda *_: taken.dup())
        if wrong == "files":
            (workspace / "mlruns").rename(away)
        try:
            uri = f"models:/{NAME}@nobody" if wrong == "alias" else CHAMPION
            sentence = r"ended before it answered; read why in .*missing"
            with pytest.raises(RuntimeError, match=sentence), script["serving"](uri, log):
                pytest.fail("it came up all the same")
        finally:
            if away.exists():
                away.rename(workspace / "mlruns")
    assert reason in log.read_text(encoding="utf-8")


# --- stopped, whatever happens ------------------------------------------------------------------


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt, SystemExit])
def test_it_is_stopped_with_its_child(
    script: dict[str, Any], workspace: Path, error: type[BaseException] | None
) -> None:
    import requests

    started: list[psutil.Process] = []
    with (
        pytest.raises(error) if error else nullcontext(),
        script["serving"](CHAMPION, workspace / "output" / "family.log") as address,
    ):
        assert requests.get(f"{address}/ping", timeout=5).ok
        started.extend(started_here())
        if error:
            raise error
    assert still_there(started) == []
    assert len(started) == 2


@pytest.mark.usefixtures("small")
def test_one_that_has_ended_by_itself_is_no_trouble(
    script: dict[str, Any], workspace: Path
) -> None:
    with script["serving"](CHAMPION, workspace / "output" / "ended.log"):
        end(started_here())


@posix
@pytest.mark.parametrize("reached", ["all", "the script"])
def test_a_script_that_is_interrupted_while_it_serves(workspace: Path, reached: str) -> None:
    """In a terminal Ctrl-C reaches the server too: MLflow's own one, not forked, ends by itself.

    Where the signal reaches the script alone, it stops what it started.
    """
    everyone = reached == "all"
    log = workspace / "output" / "driver.log"
    driver = workspace / "output" / "driver.py"
    driver.write_text(DRIVER, encoding="utf-8")
    served = [] if everyone else family(workspace)
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", driver, workspace / "solutions" / BLOCK, log, *served],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith(b"http://127.0.0.1:")
            tree = psutil.Process(process.pid).children(recursive=True)
            assert len(tree) == 2
            if everyone:
                os.killpg(process.pid, signal.SIGINT)
            else:
                process.send_signal(signal.SIGINT)
            assert process.wait(timeout=30) == -signal.SIGINT
            if not everyone:
                assert still_there(tree) == []
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
