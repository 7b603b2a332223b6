"""Block 35's service on real processes: it answers, follows the alias, and ends cleanly.

The package is that of the built solution, the store the one that part 3 leaves.
"""

from __future__ import annotations

import http.client
import importlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from course_copy import processes, still_there

from winelab.core.paths import ARTIFACTS, SOLUTIONS, store_uri
from winelab.course.source import course
from winelab.proof.start import furnish_for
from winelab.system.serve import HOST, Server, start
from winelab.tracking.workspace import clean_workspace, workspace_environment

BLOCK = course().block("service")
NAME = "wine-quality-elasticnet"
posix = pytest.mark.skipif(os.name == "nt", reason="sends SIGTERM")


@pytest.fixture(scope="module")
def workspace() -> Iterator[Path]:
    """A clean workspace with the solution's package, and the store that it starts from."""
    with clean_workspace() as workspace:
        furnish_for(course(), BLOCK, workspace)
        shutil.copytree(
            SOLUTIONS / BLOCK.name,
            workspace / "output" / "package",
            ignore=shutil.ignore_patterns("__pycache__"),
        )
        yield workspace


@pytest.fixture(scope="module", autouse=True)
def surroundings(workspace: Path) -> Iterator[None]:
    """The workspace's environment, and no process of a service afterwards."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in workspace_environment(workspace).items():
            patch.setenv(name, value)
        for name in ("no_proxy", "NO_PROXY"):
            patch.setenv(name, HOST)
        patch.chdir(workspace / "output" / "package")
        yield
        assert still_there(processes(workspace)) == []


@pytest.fixture(scope="module")
def modules(surroundings: None) -> Iterator[Callable[[str], Any]]:
    """A function that imports a module of the package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path.cwd() / "src"))
        yield lambda name: importlib.import_module(f"wineops.{name}")
        for name in [name for name in sys.modules if name.partition(".")[0] == "wineops"]:
            del sys.modules[name]


@dataclass
class Service:
    """A service that runs."""

    address: str
    process: subprocess.Popen[str]
    say: Callable[[str], Any]
    """Imports a module of its package."""

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Its status and answer, over a connection of its own."""
        connection = http.client.HTTPConnection(self.address.removeprefix("http://"), timeout=60)
        try:
            text = body if isinstance(body, bytes) else json.dumps(body)
            connection.request(method, path, text, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def predict(self, *wines: dict[str, float]) -> tuple[int, Any]:
        return self.ask("POST", "/predict", {"wines": wines})

    def health(self) -> Any:
        return self.ask("GET", "/health")[1]


@contextmanager
def running(modules: Callable[[str], Any], ready: bool = True) -> Iterator[Service]:
    """A service of the package, once it has a model; none is left afterwards."""
    with modules("ask").running() as (address, process):
        service = Service(address, process, modules)
        if ready:
            until(lambda: service.health()["version"], 60)
        yield service


@pytest.fixture(scope="module")
def service(modules: Callable[[str], Any]) -> Iterator[Service]:
    """One service for the tests that leave it as it is."""
    with running(modules) as service:
        yield service


@pytest.fixture
def registry() -> Iterator[Any]:
    """A client of the workspace's store, in which version 2 has the alias afterwards."""
    import mlflow

    client = mlflow.MlflowClient(os.environ["MLFLOW_TRACKING_URI"])
    yield client
    client.set_registered_model_alias(NAME, "champion", "2")


def until(holds: Callable[[], Any], seconds: float) -> float:
    """Wait until something holds; the seconds that it took."""
    begin = time.monotonic()
    while not holds():
        assert time.monotonic() - begin < seconds, f"not within {seconds} s"
        time.sleep(0.05)
    return time.monotonic() - begin


def own_predictions(workspace: Path, version: str) -> list[float]:
    """What a version says of the new wines, asked without the service."""
    import mlflow

    mlflow.set_tracking_uri(os.environ["MLFLOW_TRACKING_URI"])
    model = mlflow.pyfunc.load_model(f"models:/{NAME}/{version}")
    return [float(one) for one in model.predict(new_wines(workspace))]


def new_wines(workspace: Path) -> Any:
    import pandas as pd

    table = pd.read_csv(workspace / "data" / "new-red-wines.csv", sep=";").astype("float64")
    return table.drop(columns="quality")


# --- what it answers -----------------------------------------------------------------------------


def test_the_answers_are_the_champions(service: Service, workspace: Path) -> None:
    expected = own_predictions(workspace, "2")
    wines = new_wines(workspace).to_dict("records")
    status, answer = service.predict(*wines)
    assert (status, answer["version"]) == (200, "2")
    assert answer["predictions"] == pytest.approx(expected, rel=0, abs=1e-12)
    _, one = service.predict(wines[7])
    assert one["predictions"] == pytest.approx(expected[7:8], rel=0, abs=1e-12)


def test_health_says_alias_version_and_since_when(service: Service) -> None:
    from datetime import UTC, datetime

    status, health = service.ask("GET", "/health")
    assert status == 200
    since = datetime.fromisoformat(health.pop("since"))
    assert 0 <= (datetime.now(UTC) - since).total_seconds() < 600
    expected = {"model": NAME, "alias": "champion", "version": "2", "problem": ""}
    assert health == expected


def test_the_example_of_its_page_works(service: Service) -> None:
    _, page = service.ask("GET", "/openapi.json")
    (example,) = page["components"]["schemas"]["Wines"]["examples"]
    assert service.ask("POST", "/predict", example)[0] == 200
    wine = page["components"]["schemas"]["Wine"]["properties"]
    assert all({"minimum", "maximum", "description"} <= set(field) for field in wine.values())


@pytest.mark.parametrize("wrong", ["a text", None, True, -0.5, 1e9, float("nan"), float("inf")])
def test_each_field_is_named_when_it_is_wrong(service: Service, wrong: Any) -> None:
    schema = service.say("schema")
    for name in schema.COLUMNS:
        status, answer = service.predict(schema.EXAMPLE, {**schema.EXAMPLE, name: wrong})
        assert status == 422
        assert [one["loc"] for one in answer["detail"]] == [["body", "wines", 1, name]]
    less = {name: value for name, value in schema.EXAMPLE.items() if name != "pH"}
    for wine, name in ((less, "pH"), ({**less, "PH": 3.5, "pH": 3.5}, "PH")):
        status, answer = service.predict(wine)
        assert (status, answer["detail"][0]["loc"]) == (422, ["body", "wines", 0, name])


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"{", 422),
        (b"[1]", 422),
        (b'{"wines": []}', 422),
        (b'{"wines": [1]}', 422),
        (b'{"wines": "\xff"}', 400),
        (b'{"wines": ' + b"[" * 100_000, 400),
        (b'{"wines": [{"\\ud800": 1}]}', 422),
        (b'{"wines": [{"pH": ' + b"9" * 5000 + b"}]}", 400),
        (b'{"wines": [], "colour": "red"}', 422),
    ],
)
def test_what_is_no_wine_is_refused(service: Service, body: bytes, status: int) -> None:
    assert service.ask("POST", "/predict", body)[0] == status


def test_ten_thousand_wines_and_not_one_more(service: Service) -> None:
    example = service.say("schema").EXAMPLE
    status, answer = service.predict(*[example] * 10_000)
    assert (status, len(answer["predictions"])) == (200, 10_000)
    status, answer = service.predict(*[example] * 10_001)
    assert (status, answer["detail"][0]["loc"]) == (422, ["body", "wines"])


def test_schemathesis_finds_nothing(service: Service, tmp_path: Path) -> None:
    """Every request that its page allows, and every one that it forbids, as far as can be tried."""
    pytest.importorskip("schemathesis", reason="part4-requirements.txt is not installed")
    program = Path(sys.executable).with_name("st.exe" if os.name == "nt" else "st")
    page = f"{service.address}/openapi.json"
    options = ["--checks", "all", "--mode", "all", "--seed", "42", "--max-examples", "60"]
    found = subprocess.run(
        [program, "run", page, *options, "--no-color", "--generation-database", "none"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONUTF8": "1"},
        capture_output=True,
        encoding="utf-8",
    )
    assert found.returncode == 0, found.stdout + found.stderr
    assert "Tested: 2" in found.stdout
    assert service.process.poll() is None


# --- the alias -----------------------------------------------------------------------------------


class Load:
    """Requests over several connections, from `with` to its end; each must be answered with 200."""

    def __init__(self, service: Service, wine: dict[str, float], connections: int = 8) -> None:
        self.service, self.stopped = service, threading.Event()
        self.body = json.dumps({"wines": [wine]})
        self.answers: list[tuple[int, Any]] = []
        self.errors: list[Exception] = []
        self.threads = [threading.Thread(target=self.send) for _ in range(connections)]

    def send(self) -> None:
        host = self.service.address.removeprefix("http://")
        connection = http.client.HTTPConnection(host, timeout=60)
        try:
            while not self.stopped.is_set():
                header = {"Content-Type": "application/json"}
                connection.request("POST", "/predict", self.body, header)
                answer = connection.getresponse()
                self.answers.append((answer.status, json.loads(answer.read())))
        except (OSError, http.client.HTTPException) as error:
            self.errors.append(error)
        finally:
            connection.close()

    def __enter__(self) -> Load:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stopped.set()
        for thread in self.threads:
            thread.join()


def test_the_alias_moves_under_load_and_no_request_is_lost(
    service: Service, registry: Any, workspace: Path
) -> None:
    expected = {version: own_predictions(workspace, version)[3] for version in ("1", "2")}
    assert abs(expected["1"] - expected["2"]) > 0.01
    wine = new_wines(workspace).to_dict("records")[3]
    took: list[float] = []
    with Load(service, wine) as load:
        for version in ("1", "2"):
            until(lambda: len(load.answers) > 100 * (1 + len(took)), 60)
            registry.set_registered_model_alias(NAME, "champion", version)
            took.append(until(lambda: service.health()["version"] == version, 60))  # noqa: B023
        enough = len(load.answers) + 100
        until(lambda: len(load.answers) > enough, 60)
    assert load.errors == []
    assert {status for status, _ in load.answers} == {200}
    assert {answer["version"] for _, answer in load.answers} == {"1", "2"}
    assert len(load.answers) > 300
    for _, answer in load.answers:
        right = expected[answer["version"]]
        assert answer["predictions"] == pytest.approx([right], rel=0, abs=1e-12)
    # A look every two seconds, and the load of a small model; the rest is for a busy machine.
    assert max(took) < 5, took


def test_without_the_alias_it_answers_503_and_then_200(service: Service, registry: Any) -> None:
    example = service.say("schema").EXAMPLE
    registry.delete_registered_model_alias(NAME, "champion")
    until(lambda: service.ask("GET", "/health")[0] == 503, 20)
    status, answer = service.predict(example)
    assert (status, answer) == (503, {"detail": "No version has the alias champion."})
    assert service.health()["version"] is None
    registry.set_registered_model_alias(NAME, "champion", "2")
    until(lambda: service.ask("GET", "/health")[0] == 200, 20)
    assert service.predict(example)[0] == 200


def test_a_version_that_cannot_be_loaded_leaves_the_old_one(
    service: Service, registry: Any, workspace: Path
) -> None:
    version = registry.create_model_version(NAME, (workspace / "nowhere").as_uri()).version
    try:
        registry.set_registered_model_alias(NAME, "champion", version)
        until(lambda: service.health()["problem"], 20)
        status, health = service.ask("GET", "/health")
        assert (status, health["version"]) == (200, "2")
        assert "can't be brought up to date" in health["problem"]
        assert service.predict(service.say("schema").EXAMPLE)[1]["version"] == "2"
        registry.set_registered_model_alias(NAME, "champion", "2")
        until(lambda: not service.health()["problem"], 20)
    finally:
        registry.delete_model_version(NAME, version)


def test_the_store_may_be_away_for_a_while(
    modules: Callable[[str], Any], workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tracking server: away when the service starts, then there, then away again."""
    with socket.create_server((HOST, 0)) as probe:
        port = probe.getsockname()[1]
    database = os.environ["MLFLOW_TRACKING_URI"]

    def command(at: int) -> Server:
        words = [
            *(sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(at)),
            *("--backend-store-uri", database, "--workers", "1"),
            *("--artifacts-destination", (workspace / ARTIFACTS.name).as_uri()),
        ]
        settings = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        return Server("tracking-server", at, words, settings, "/health", mark="")

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://{HOST}:{port}")
    with running(modules, ready=False) as service:
        example = service.say("schema").EXAMPLE
        until(lambda: "up to date" in service.health()["problem"], 60)
        assert service.predict(example)[0] == 503
        server = start(command, port, workspace, workspace / "output")
        try:
            until(lambda: service.health()["problem"] == "", 60)
            assert service.ask("GET", "/health")[0] == 200
        finally:
            server.stop()
        until(lambda: service.health()["problem"], 60)
        assert service.ask("GET", "/health")[0] == 200
        assert service.predict(example)[0] == 200


# --- its start and its end -----------------------------------------------------------------------


def test_it_answers_503_until_it_has_a_model(modules: Callable[[str], Any]) -> None:
    with running(modules, ready=False) as service:
        assert service.ask("GET", "/health")[0] == 503
        status, answer = service.predict(service.say("schema").EXAMPLE)
        assert (status, answer) == (503, {"detail": "The champion is being loaded."})
        until(lambda: service.ask("GET", "/health")[0] == 200, 60)
        assert service.predict(service.say("schema").EXAMPLE)[0] == 200
        assert service.say("ask").stop(service.process) == 0


@posix
def test_at_sigterm_it_answers_what_is_running_and_ends(modules: Callable[[str], Any]) -> None:
    with running(modules) as service:
        example = service.say("schema").EXAMPLE
        body = json.dumps({"wines": [example] * 100})

        def refuses() -> bool:
            try:
                service.health()
            # What is still in its queue when it closes is reset.
            except (OSError, http.client.HTTPException):
                return True
            return False

        with Load(service, example) as load:
            until(lambda: len(load.answers) > 50, 60)
            slow = http.client.HTTPConnection(service.address.removeprefix("http://"), timeout=60)
            slow.putrequest("POST", "/predict")
            slow.putheader("Content-Type", "application/json")
            slow.putheader("Content-Length", str(len(body)))
            slow.endheaders(body[:1000].encode())
            for _ in range(3):  # the service has read of it what is there
                service.health()
            service.process.send_signal(signal.SIGTERM)
            until(refuses, 30)
            assert service.process.poll() is None, "it has not waited"
            slow.send(body[1000:].encode())
            answer = slow.getresponse()
            assert answer.status == 200
            assert len(json.loads(answer.read())["predictions"]) == 100
            slow.close()
            assert service.process.wait(30) == 0
        # Every answer is whole and good; a connection that was closed had none on its way.
        assert {status for status, _ in load.answers} == {200}
        assert len(load.errors) == 8


@posix
def test_a_signal_while_it_starts_ends_it_too(modules: Callable[[str], Any]) -> None:
    with running(modules, ready=False) as service:
        service.process.send_signal(signal.SIGINT)
        assert service.process.wait(30) == 0


def test_a_port_that_is_taken_is_a_sentence(modules: Callable[[str], Any]) -> None:
    with socket.create_server((HOST, 0)) as taken:
        for port in (taken.getsockname()[1], 70000):
            with pytest.raises(SystemExit, match=f"Port {port} can't be taken: .* Name another"):
                modules("service").listen(port)


# --- the package's own tests, and its measurement ------------------------------------------------


def test_the_packages_tests_pass_offline(workspace: Path) -> None:
    nowhere = {"http_proxy": "http://127.0.0.1:9", "MLFLOW_TRACKING_URI": store_uri(workspace)}
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "tests/test_service.py"],
        env={**os.environ, **nowhere},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )
    assert ended.returncode == 0, ended.stdout


def test_the_measurement_compares_both_servers(workspace: Path) -> None:
    options = ["--wines", "1", "--connections", "2", "--seconds", "0.5", "--rounds", "1"]
    ended = subprocess.run(
        [sys.executable, "-m", "wineops.load_test", *options],
        env={**os.environ, "PYTHONPATH": "src"},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    for server in ("service", "mlflow"):
        (line,) = [line for line in ended.stdout.splitlines() if server in line]
        *_, per_second, p50, p99, used, failed, _ = line.split()
        assert float(p99) >= float(p50) > 0 == float(failed)
        assert float(per_second) > 0 and float(used) > 0
