"""Block 28's server on real processes: it answers, it is stopped whatever happens, none is left.

`serving` and `interview` are taken from the built solution. What the lesson says of MLflow's model
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
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from winelab.core.paths import SOLUTIONS
from winelab.proof.runner import run
from winelab.tracking.workspace import clean_room, room_environment

BLOCK = "28_serve.py"
BEFORE = "27_annotate.py"
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
serving = runpy.run_path(sys.argv[1])["serving"]
with serving(sys.argv[3:], Path(sys.argv[2])) as address:
    print(address, flush=True)
    time.sleep(60)
"""


@pytest.fixture(scope="module")
def room() -> Iterator[Path]:
    """A clean room whose store has a champion."""
    with clean_room() as room:
        for name in (BEFORE, BLOCK):
            shutil.copy(SOLUTIONS / name, room / "solutions")
        outcome = run(room, source=BEFORE)
        assert not outcome.error, outcome.error
        (room / "output" / "served").mkdir()
        (room / "output" / "served" / "ping").write_text("", encoding="utf-8")
        yield room


@pytest.fixture(scope="module")
def script(room: Path) -> dict[str, Any]:
    """The names of the solution's script."""
    return runpy.run_path(str(room / "solutions" / BLOCK))


@pytest.fixture(autouse=True)
def surroundings(room: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The room's environment for each test, and no process of a server after it."""
    for name, value in room_environment(room).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_PROXY", raising=False)
    # `serving` sets it: put back afterwards.
    monkeypatch.setenv("no_proxy", "")
    # From inside of the room, as its script is: pyenv's shims look at the working folder.
    monkeypatch.chdir(room)
    yield
    assert left(room) == []


def left(room: Path) -> list[list[str]]:
    """The command lines of the server processes of this room that still run."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            words = " ".join(process.cmdline())
            serves = any(
                name in words for name in ("mlflow models serve", "scoring_server", "http.server")
            )
            here = str(room) in process.environ().get("MLFLOW_TRACKING_URI", "")
            if serves and here and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.cmdline())
    return found


def started_here() -> list[psutil.Process]:
    """The processes below this one, but for the test run's own."""
    return [
        process
        for process in psutil.Process().children(recursive=True)
        if "winelab.system.forkserver" not in process.cmdline()
    ]


def mlflow_serve(uri: str = "models:/wine-quality-elasticnet@champion") -> list[str]:
    """The command of the block."""
    words = "-m mlflow models serve --env-manager local --host 127.0.0.1 --model-uri"
    return [sys.executable, *words.split(), uri]


def family(room: Path) -> list[str]:
    """The command of a small server with a child, up in an instant."""
    return [sys.executable, "-c", FAMILY, str(room / "output" / "served")]


# --- a real server of the champion --------------------------------------------------------------


def test_the_champion_answers_what_it_says_here(
    script: dict[str, Any], room: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also behind a company's proxy, and with the alias moved away meanwhile."""
    import mlflow
    import requests

    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "tracking.example.org")
    name = "wine-quality-elasticnet"
    wines = script["read_wine"](room / "data" / "red-wine-quality.csv")[1]
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(os.environ["MLFLOW_TRACKING_URI"])
    client = mlflow.MlflowClient()
    champion = client.get_model_version_by_alias(name, "champion").version
    here = mlflow.pyfunc.load_model(f"models:/{name}@champion").predict(wines)
    try:
        with script["serving"](mlflow_serve(), room / "output" / "real.log") as address:
            assert os.environ["no_proxy"] == "127.0.0.1,tracking.example.org"
            assert len(started_here()) == 2
            client.set_registered_model_alias(name, "champion", "1")
            moved = mlflow.pyfunc.load_model(f"models:/{name}@champion").predict(wines)
            answers = script["interview"](address, wines)

            # What the lesson says of other forms and of other content.
            url, one = f"{address}/invocations", wines.head(1)
            kind = {"Content-Type": "application/json"}
            for form in ({"data": one.to_dict("split")}, one.to_dict("split")):
                reply = requests.post(url, json=form, timeout=60)
                assert reply.status_code == 400
                assert "JSON dictionary with exactly one of" in reply.json()["message"]
            records = {"dataframe_records": one.to_dict("records")}
            reply = requests.post(url, json=records, timeout=60)
            assert reply.json()["predictions"] == pytest.approx(here[:1], abs=1e-12)
            swapped = {"dataframe_split": one[one.columns[::-1]].to_dict("split")}
            reply = requests.post(url, json=swapped, timeout=60)
            assert reply.json()["predictions"] == pytest.approx(here[:1], abs=1e-12)
            form_type = {"Content-Type": "application/x-www-form-urlencoded"}
            assert requests.post(url, json.dumps(records), timeout=60).status_code == 500
            reply = requests.post(url, json.dumps(records), headers=form_type, timeout=60)
            assert reply.status_code == 415
            strong = json.dumps({"dataframe_split": one.assign(alcohol="strong").to_dict("split")})
            reply = requests.post(url, strong, headers=kind, timeout=60)
            assert reply.status_code == 400
            assert "Failed to convert column alcohol" in reply.json()["message"]
    finally:
        client.set_registered_model_alias(name, "champion", champion)
        mlflow.set_tracking_uri(before)
    assert started_here() == []
    assert abs(here - moved).max() > 0.1, "the alias was not moved"
    for by in ("python", "curl"):
        assert abs(here - answers[by]).max() <= 1e-12
    status, message = answers["malformed"]
    assert status == 400 and "Ensure that input is a valid JSON formatted string" in message
    status, message = answers["no alcohol"]
    assert status == 400 and message.endswith("Error: Model is missing inputs ['alcohol'].")


def test_a_port_that_is_taken_meanwhile_ends_in_a_sentence(
    script: dict[str, Any], room: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = room / "output" / "taken.log"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        # Taken between the question for a free port and the server's start.
        monkeypatch.setattr(socket, "create_server", lambda *_: taken.dup())
        with (
            pytest.raises(RuntimeError, match=r"ended before it answered; read why in .*taken"),
            script["serving"](mlflow_serve(), log),
        ):
            pytest.fail("it came up on a port that is taken")
    words = log.read_text(encoding="utf-8")
    assert "error while attempting to bind on address" in words
    assert "address already in use" in words or os.name == "nt"


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("models:/wine-quality-elasticnet@nobody", "Registered model alias nobody not found."),
        ("models:/wine-quality-elasticnet@champion", "No such artifact: 'MLmodel'"),
    ],
)
def test_a_server_that_cannot_start_says_why(
    script: dict[str, Any], room: Path, uri: str, reason: str
) -> None:
    """The alias is missing; the model's files are."""
    log = room / "output" / "missing.log"
    away = room / "mlruns.away"
    (room / "mlruns").rename(away)
    try:
        with (
            pytest.raises(RuntimeError, match=r"ended before it answered; read why in .*missing"),
            script["serving"](mlflow_serve(uri), log),
        ):
            pytest.fail("it came up without a model")
    finally:
        away.rename(room / "mlruns")
    assert reason in log.read_text(encoding="utf-8")


# --- stopped, whatever happens ------------------------------------------------------------------


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt, SystemExit])
def test_it_is_stopped_with_its_child(
    script: dict[str, Any], room: Path, error: type[BaseException] | None
) -> None:
    import requests

    def ask() -> None:
        with script["serving"](family(room), room / "output" / "family.log") as address:
            assert requests.get(f"{address}/ping", timeout=5).ok
            processes.extend(started_here())
            if error:
                raise error

    processes: list[psutil.Process] = []
    if error:
        with pytest.raises(error):
            ask()
    else:
        ask()
    # The moment that the `with` ends, not a little later.
    assert [process for process in processes if process.is_running()] == []
    assert len(processes) == 2


def test_one_that_has_ended_by_itself_is_no_trouble(script: dict[str, Any], room: Path) -> None:
    with script["serving"](family(room), room / "output" / "ended.log"):
        processes = started_here()
        for process in processes:
            process.kill()
        psutil.wait_procs(processes, timeout=10)


def test_a_program_that_is_not_there(script: dict[str, Any], room: Path) -> None:
    with (
        pytest.raises(FileNotFoundError),
        script["serving"](["no-such-program"], room / "output" / "none.log"),
    ):
        pytest.fail("nothing can have come up")


@posix
def test_ctrl_c_in_a_terminal(room: Path) -> None:
    """Then the signal reaches the server too: it ends by itself, in front of our eyes."""
    log = room / "output" / "driver.log"
    driver = room / "output" / "driver.py"
    driver.write_text(DRIVER, encoding="utf-8")
    command = [driver, room / "solutions" / BLOCK, log, *mlflow_serve()]
    with started(room, [str(word) for word in command]) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("http://127.0.0.1:")
        os.killpg(process.pid, signal.SIGINT)
        assert ended(process) == -signal.SIGINT
    gone_soon(room)


@posix
def test_a_script_that_is_interrupted_while_it_serves(room: Path) -> None:
    """The signal reaches the script alone: what it started, it stops."""
    text = (room / "solutions" / BLOCK).read_text(encoding="utf-8")
    line = "        answers = interview(address, tables[1])\n"
    assert text.count(line) == 1
    slow = room / "solutions" / "28_slow.py"
    wait = line + '        print("serving", address, flush=True)\n        time.sleep(60)\n'
    slow.write_text(text.replace(line, wait), encoding="utf-8")
    with started(room, [str(slow)]) as process:
        assert process.stdout is not None
        assert any(line.startswith("serving http") for line in process.stdout)
        tree = psutil.Process(process.pid).children(recursive=True)
        assert len(tree) >= 2
        process.send_signal(signal.SIGINT)
        assert ended(process) == -signal.SIGINT
    assert [child for child in tree if child.is_running()] == []


def started(room: Path, command: list[str]) -> subprocess.Popen[str]:
    """A script in a session of its own, as in a terminal."""
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", *command],
        env=room_environment(room),
        cwd=room,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


def ended(process: subprocess.Popen[str]) -> int:
    """Its exit code; it must end soon."""
    try:
        return process.wait(timeout=30)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def gone_soon(room: Path) -> None:
    """Waits a little for a server that ends by itself."""
    for _ in range(50):
        if not left(room):
            return
        time.sleep(0.1)
