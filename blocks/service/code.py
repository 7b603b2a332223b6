# %% readme-block (given)
This is the package after the block `service` of Wine Lab, built from `blocks/service/code.py` and those before it.

# %% readme-service (given)
## Serve the champion: `wineops.service`

    python -m wineops.service --port 8000

| request | answer |
| --- | --- |
| `GET /health` | the version in use, and since when; 503 while there is none |
| `POST /predict` | a prediction for each wine: `{"wines": [{"alcohol": 9.4, ...}]}`, at most 10,000 |
| `GET /openapi.json` | all fields with their units and bounds, and an example that works |

The service asks the registry for the alias `champion` every two seconds. When the alias has moved, it loads the
new version beside the old one, and then swaps. If the registry is away, or a version can't be
loaded, it goes on with the version that it has, and `/health` says why. If nobody has the
alias any more, it answers 503. SIGTERM (on Windows Ctrl-Break) stops it, after the requests that are
running.

`python -m wineops.ask` starts it, asks it and stops it. `python -m wineops.load_test` measures it beside
`mlflow models serve`.

# %% needs-service (given)
    "fastapi",
    "httpx",  # the tests ask the service without a network
    "uvicorn",

# %% schema-begin (given)
"""What the service takes and gives. FastAPI checks each request against it."""

from datetime import datetime

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from wineops import settings

ALIAS = "champion"

# %% wine (given)
class Wine(BaseModel):

# %% wine-begin (given)
"""The measurements of one wine, under the names that the table has."""

# strict: "9.4" is a text. forbid: a misspelt field is refused.
model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

fixed_acidity: float = Field(alias="fixed acidity", ge=0, le=30, description="in g/l")
volatile_acidity: float = Field(alias="volatile acidity", ge=0, le=5, description="in g/l")
citric_acid: float = Field(alias="citric acid", ge=0, le=5, description="in g/l")
residual_sugar: float = Field(alias="residual sugar", ge=0, le=200, description="in g/l")
chlorides: float = Field(ge=0, le=5, description="in g/l")
free_sulfur_dioxide: float = Field(
    alias="free sulfur dioxide", ge=0, le=400, description="in mg/l"
)

# %% schema-sulfur
#: add the field "total sulfur dioxide", in mg/l. The table has values
#: from 6 to 271. Choose bounds: a wine with 350 may come, and one with
#: 9000 or -1 is a mistake.
#: hint: A name in Python has no spaces, and the table's has two. The field above has both names.
#: hint: `total_sulfur_dioxide: float = Field(alias="total sulfur dioxide", ge=0, le=600,
#: description="in mg/l")`
total_sulfur_dioxide: float = Field(
    alias="total sulfur dioxide", ge=0, le=600, description="in mg/l"
)

# %% schema-middle (given)
density: float = Field(ge=0.9, le=1.2, description="in g/cm3")
pH: float = Field(ge=2, le=5, description="the pH value")
sulphates: float = Field(ge=0, le=5, description="in g/l")

# %% schema-alcohol
#: add the field "alcohol", in % by volume. The table has 8.4 to 14.7.
#: Choose bounds: a sweet wine of 6 or a strong one of 16 may come, but
#: 9.4 must be refused if it comes as 94, or as 0.94.
#: hint: Two bounds, `ge` and `le`. Must the field have a default value? What would it mean?
#: hint: `alcohol: float = Field(ge=5, le=20, description="in % by volume")`
alcohol: float = Field(ge=5, le=20, description="in % by volume")

# %% schema-end (given)
EXAMPLE = {
    "fixed acidity": 7.4,
    "volatile acidity": 0.7,
    "citric acid": 0.0,
    "residual sugar": 1.9,
    "chlorides": 0.076,
    "free sulfur dioxide": 11.0,
    "total sulfur dioxide": 34.0,
    "density": 0.9978,
    "pH": 3.51,
    "sulphates": 0.56,
    "alcohol": 9.4,
}
FIELDS = list(Wine.model_fields)
COLUMNS = pd.Index(field.alias or name for name, field in Wine.model_fields.items())


class Wines(BaseModel):
    """One wine or many."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"wines": [EXAMPLE]}]}
    )

    wines: list[Wine] = Field(min_length=1, max_length=10_000)


class Predictions(BaseModel):
    """A quality for each wine, in their order, and the version that predicted all of them."""

    version: str
    predictions: list[float]


class Health(BaseModel):
    """The version in use, since when, and what is wrong; "" where nothing is."""

    model: str = settings.registered_name
    alias: str = ALIAS
    version: str | None = None
    since: datetime | None = None
    problem: str


class Problem(BaseModel):
    """Why there is no answer."""

    detail: str


def table_of(wines):
    """The wines as a table with the columns that the model was trained on."""
    rows = [[getattr(wine, name) for name in FIELDS] for wine in wines]
    return pd.DataFrame(np.array(rows), columns=COLUMNS)

# %% live-imports (given)
"""The model in use: loaded, and replaced when the alias in the registry has moved."""

import threading
from collections import namedtuple
from datetime import UTC, datetime
from functools import cache, partial

import mlflow
from mlflow import MlflowException

from wineops import settings
from wineops.schema import ALIAS, COLUMNS, EXAMPLE, Wine, table_of

SECONDS = 2  # between two looks at the registry

Loaded = namedtuple("Loaded", "version since predict")  # predict: from a table to the qualities


@cache
def registry():
    """Open the store, once it's there."""
    return settings.open_store()


def find_version():
    """Ask the registry which version has the alias; None if no version has it."""
    version = registry().get_registered_model(settings.registered_name).aliases.get(ALIAS)
    return None if version is None else str(version)


def load_version(version):
    """Load one version and try it, so that the first request doesn't wait and doesn't fail."""
    model = mlflow.pyfunc.load_model(f"models:/{settings.registered_name}/{version}")
    names = model.metadata.get_input_schema().input_names()
    if names != list(COLUMNS):
        raise ValueError(f"version {version} takes {names}, and the service sends {[*COLUMNS]}")
    try:
        # Past MLflow's check of each table: it takes 1 ms, and Wine is one too.
        predict = partial(model.unwrap_python_model().predict, None)
    except MlflowException:  # of another flavor, with no Python model inside
        predict = model.predict
    predict(table_of([Wine(**EXAMPLE)]))
    return Loaded(version, datetime.now(UTC), predict)

# %% live (given)
class LiveModel:

# %% live-begin (given)
"""The model in use, as `loaded`, or None; and what is wrong, as `problem`."""

def __init__(self, find=find_version, load=load_version):
    self.find = find
    self.load = load
    self.loaded = None
    self.problem = "The champion is being loaded."
    self.stopping = threading.Event()
    self.thread = threading.Thread(target=self.watch, daemon=True)

# %% look (given)
def look(self):
    """Ask the registry once. If the alias has moved, load the new version, then swap."""

# %% live-look
#: bring `self.loaded` up to date. `self.find()` gives the version
#: with the alias, or None if no version has it: then `loaded` is
#: None too. `self.load(version)` gives what `loaded` is to hold,
#: and takes seconds. Meanwhile requests read `self.loaded`. Load
#: only if the version is another one. `problem` says what is
#: wrong; "" if all is well. Both calls may raise any error: then
#: the service keeps what it has.
#: hint: When may `self.loaded` change: before the new model has been loaded, or after? What should
#: it hold if `self.load` fails? The version in use is `self.loaded.version`, if there is one.
#: hint: Inside `try:`, begin with `version = self.find()`. If it is None, so is `self.loaded`. If
#: `self.loaded is None or self.loaded.version != version`, then `self.loaded = self.load(version)`.
#: Then `self.problem = ""`. Below `except Exception as error:` write `self.problem` alone.
try:
    version = self.find()
    if version is None:
        self.loaded = None
        self.problem = f"No version has the alias {ALIAS}."
        return
    if self.loaded is None or self.loaded.version != version:
        self.loaded = self.load(version)
    self.problem = ""
except Exception as error:
    self.problem = f"The champion can't be brought up to date: {error}"

# %% live-end (given)
def watch(self):
    """Look again and again, until the service stops."""
    while True:
        self.look()
        if self.stopping.wait(SECONDS):
            return

def start(self):
    """Begin to watch, in a thread of its own."""
    self.thread.start()

def stop(self):
    """Watch no more."""
    self.stopping.set()
    self.thread.join(timeout=5)

# %% service-begin (given)
"""Serve the champion: GET /health, and POST /predict for one wine or many.

python -m wineops.service --port 8000
"""

import argparse
import json
import os
import signal
import socket
import sys
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI, HTTPException, Response
from fastapi.exceptions import RequestValidationError

from wineops.live_model import LiveModel
from wineops.schema import Health, Predictions, Problem, Wines, table_of

live = LiveModel()


@asynccontextmanager
async def lifespan(app):
    """Watch the registry for as long as the service runs."""
    live.start()
    yield
    live.stop()


app = FastAPI(title="Wine quality", version="1", lifespan=lifespan)


@app.exception_handler(RequestValidationError)
async def refuse(request, error):
    """Name each wrong field. What was sent isn't repeated: it may be long, or no JSON."""
    detail = [{"loc": one["loc"], "msg": one["msg"], "type": one["type"]} for one in error.errors()]
    return Response(json.dumps({"detail": detail}), 422, media_type="application/json")

# %% health (given)
@app.get("/health", responses={503: {"model": Health}})
async def health(response: Response) -> Health:
    """The version in use, and since when; 503 while there is none."""

# %% service-health (given)
raise HTTPException(501, "health isn't written yet.")

# %% service-health
#: return a Health with `problem`, and with `version` and `since` if a
#: model is loaded. A load balancer reads the status alone: with 200 it
#: sends requests here, with 503 it doesn't. Which one does a service
#: deserve that has a model, while the registry is away?
#: hint: `live.loaded` is None, or has `version` and `since`. The status is 200 unless you set
#: `response.status_code`.
#: hint: After `loaded = live.loaded` ask `if loaded is None:`. Then set `response.status_code = 503`,
#: and `return Health(problem=live.problem)`. With a model, add `version=loaded.version` and
#: `since=loaded.since`.
loaded = live.loaded
if loaded is None:
    response.status_code = 503
    return Health(problem=live.problem)
return Health(version=loaded.version, since=loaded.since, problem=live.problem)

# %% predict (given)
@app.post("/predict", responses={400: {"model": Problem}, 503: {"model": Problem}})
async def predict(body: Wines) -> Predictions:
    """A quality for each wine, in their order; 503 while there is no model."""
    # async: the prediction takes a millisecond, a thread for it half of one.

# %% service-predict (given)
raise HTTPException(501, "predict isn't written yet.")

# %% service-predict
#: without a model, raise an HTTPException with the status 503 and the
#: problem. With one, return Predictions: the version, and a list of
#: qualities. The watcher may replace `live.loaded` between any two of
#: your lines, and `version` must be the version that has predicted.
#: hint: How often do you read `live.loaded`? `table_of(body.wines)` is the table,
#: `.predict(table)` gives an array, and `.tolist()` makes a list of it.
#: hint: `loaded = live.loaded` comes first, and all else uses `loaded`. Then
#: `raise HTTPException(503, live.problem)` if it is None, and at the end
#: `return Predictions(version=loaded.version, predictions=...)`.
loaded = live.loaded
if loaded is None:
    raise HTTPException(503, live.problem)
qualities = loaded.predict(table_of(body.wines))
return Predictions(version=loaded.version, predictions=qualities.tolist())

# %% service-main (given)
def listen(port):
    """Take a port of this machine; 0 takes a free one."""
    try:
        listener = socket.create_server(("127.0.0.1", port))
    except (OSError, OverflowError) as error:
        raise SystemExit(f"Port {port} can't be taken: {error}. Name another.") from error
    # Send each answer at once, as asyncio does on sockets of its own.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def main():
    """Serve until a signal comes, then answer the requests that are running, and end."""
    parser = argparse.ArgumentParser(description="Serve the champion.")
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one")
    arguments = parser.parse_args()

    # 1. Don't wait minutes for a registry that is away: the next look comes
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")

    # 2. After it has stopped, uvicorn sends itself the signal again: end well
    for name in ("SIGINT", "SIGTERM", "SIGBREAK"):  # SIGBREAK is on Windows alone
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_: sys.exit(0))

    # 3. Serve
    listener = listen(arguments.port)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, timeout_graceful_shutdown=20
    )
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()

# %% ask (given)
"""Start the service, ask it for one wine, for many and for an impossible one, and stop it.

python -m wineops.ask
"""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import numpy as np
import requests

from wineops import settings
from wineops.schema import EXAMPLE
from wineops.wines import read_table

WINDOWS = os.name == "nt"


@contextmanager
def running():
    """Start the service on a free port; yield its address and process, and leave none behind."""
    service = subprocess.Popen(
        [sys.executable, "-m", "wineops.service", "--port", "0"],
        cwd=settings.home,
        env={**os.environ, "PYTHONPATH": str(settings.home / "src")},
        stdout=subprocess.PIPE,
        text=True,
        creationflags=subprocess.CREATE_NEW_PROCESS_GROUP if WINDOWS else 0,
    )
    with service:
        try:
            address = service.stdout.readline().strip()
            if not address:
                raise SystemExit("The service didn't start: read why above.")
            yield address, service
        finally:
            service.kill()


def stop(service):
    """Ask the service to end, as a terminal or a server's manager does; return its exit code."""
    service.send_signal(signal.CTRL_BREAK_EVENT if WINDOWS else signal.SIGTERM)
    return service.wait(timeout=60)


def wait_until_ready(client, address, seconds=60):
    """Ask /health until it no longer answers 503; return its last answer."""
    end = time.monotonic() + seconds
    while True:
        answer = client.get(f"{address}/health", timeout=60)
        if answer.status_code != 503 or time.monotonic() > end:
            return answer
        time.sleep(0.1)


def content(answer):
    """What an answer holds; one about an error inside of the service is no JSON."""
    is_json = answer.headers["content-type"] == "application/json"
    return answer.json() if is_json else {"detail": answer.text}


def main():
    """Ask for one wine, for 600, and for one that can't be; keep and print the answers."""
    kept = settings.output / "asked.json"
    kept.unlink(missing_ok=True)
    wines = read_table("new-red-wines.csv").drop(columns="quality").to_dict("records")
    questions = {
        "one": [EXAMPLE],
        "many": wines,
        "wrong": [EXAMPLE, {**EXAMPLE, "alcohol": 94.0}],
    }

    # 1. Start it, ask it, stop it
    asked = {}
    with running() as (address, service), requests.Session() as client:
        client.trust_env = False  # no proxy leads to this machine
        ready = wait_until_ready(client, address)
        for name in questions if ready.ok else ():
            body = {"wines": questions[name]}
            answer = client.post(f"{address}/predict", json=body, timeout=60)
            asked[name] = {"status": answer.status_code, "answer": content(answer)}
        asked["exit code"] = stop(service)

    # 2. Keep the answers, and print them
    if not ready.ok:
        print("GET /health answers", ready.status_code, ready.text)
        return
    asked["health"] = ready.json()
    settings.output.mkdir(exist_ok=True)
    kept.write_text(json.dumps(asked, indent=1), encoding="utf-8")
    print("The alias", asked["health"]["alias"], "is on version", asked["health"]["version"])
    for name in ("one", "many"):
        predictions = np.round(asked[name]["answer"].get("predictions", []), 3)
        print(name, asked[name]["status"], len(predictions), "predictions:", predictions[:3])
    print("wrong", asked["wrong"]["status"], asked["wrong"]["answer"])
    print("The service ended with exit code", asked["exit code"])


if __name__ == "__main__":
    main()

# %% load-test (given)
"""Measure the service beside `mlflow models serve`, in one run.

python -m wineops.load_test --seconds 5
"""

import argparse
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import psutil
import requests

from wineops import settings
from wineops.ask import running, wait_until_ready
from wineops.schema import ALIAS
from wineops.wines import read_table


def processor_seconds(server):
    """The processor time that a server has used, with all that it has started."""
    family = [server, *server.children(recursive=True)]
    return sum(sum(process.cpu_times()[:2]) for process in family)


def measure(address, path, body, connections, seconds, server):
    """Send a request again and again over several connections; return what it took.

    Returns the requests a second, the 50th and 99th percentile of their times in ms, the server's
    processor time for one in ms, how many failed, and how busy this program was (1.0: it was the
    bottleneck itself).
    """
    host = address.removeprefix("http://")
    times, failed = [], []
    end = time.perf_counter() + seconds

    def send():
        connection = http.client.HTTPConnection(host, timeout=60)
        while time.perf_counter() < end:
            begin = time.perf_counter()
            try:
                connection.request("POST", path, body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                answer.read()
                (times if answer.status == 200 else failed).append(time.perf_counter() - begin)
            except (OSError, http.client.HTTPException):
                failed.append(time.perf_counter() - begin)
                connection.close()
        connection.close()

    threads = [threading.Thread(target=send) for _ in range(connections)]
    begin, busy, used = time.perf_counter(), time.process_time(), processor_seconds(server)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took, busy = time.perf_counter() - begin, time.process_time() - busy
    p50, p99 = np.quantile(times, [0.5, 0.99]) * 1000 if times else (np.nan, np.nan)
    return {
        "requests/s": len(times) / took,
        "p50 ms": p50,
        "p99 ms": p99,
        "processor ms": (processor_seconds(server) - used) / max(len(times), 1) * 1000,
        "failed": len(failed),
        "client busy": busy / took,
    }


@contextmanager
def mlflow_serving(client):
    """Run `mlflow models serve`; yield its address and process, and leave none behind."""
    settings.open_store()
    with socket.create_server(("127.0.0.1", 0)) as probe:  # port 0: the system picks a free one
        port = probe.getsockname()[1]
    uri = f"models:/{settings.registered_name}@{ALIAS}"
    options = f"--model-uri {uri} --env-manager local --host 127.0.0.1 --port {port}"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # uvicorn is there
    server = psutil.Popen(
        [sys.executable, "-m", "mlflow", "models", "serve", *options.split()],
        env={**os.environ, "PATH": path, "MLFLOW_TRACKING_URI": mlflow.get_tracking_uri()},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        while server.poll() is None:
            try:
                client.get(f"{address}/ping", timeout=5)
                break
            except requests.RequestException:  # not up yet
                time.sleep(0.2)
        yield address, server
    finally:
        for process in [*server.children(recursive=True), server]:
            process.kill()
        server.wait()


def main():
    """Measure both in turn, round after round, and print the medians."""
    parser = argparse.ArgumentParser(description="Measure the service beside MLflow's server.")
    parser.add_argument("--wines", type=int, nargs="+", default=[1, 100], help="in each request")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--seconds", type=float, default=5, help="each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    table = read_table("new-red-wines.csv").drop(columns="quality")

    rows = []
    with requests.Session() as client:
        client.trust_env = False  # no proxy leads to this machine
        with running() as (ours, service), mlflow_serving(client) as (theirs, mlflow_server):
            processes = {"service": psutil.Process(service.pid), "mlflow": mlflow_server}
            if not wait_until_ready(client, ours).ok:
                raise SystemExit("The service has no model: ask its /health why.")
            for _ in range(arguments.rounds):
                for wines in arguments.wines:
                    some = table.head(wines)
                    bodies = {
                        "service": (ours, "/predict", {"wines": some.to_dict("records")}),
                        "mlflow": (
                            theirs,
                            "/invocations",
                            {"dataframe_split": some.to_dict("split", index=False)},
                        ),
                    }
                    for connections in arguments.connections:
                        for server, (address, path, body) in bodies.items():
                            text = json.dumps(body)
                            sent = (address, path, text, connections)
                            measure(*sent, 0.5, processes[server])  # warm up
                            took = measure(*sent, arguments.seconds, processes[server])
                            case = {"wines": wines, "connections": connections, "server": server}
                            rows.append(case | took)
    medians = pd.DataFrame(rows).groupby(["wines", "connections", "server"], sort=False).median()
    print(medians.round(2).to_string())


if __name__ == "__main__":
    main()

# %% test-service (given)
"""The service on a made-up registry, whose version 3 predicts 3.0 for each wine."""

import asyncio
from datetime import UTC, datetime

import httpx
import numpy as np
import pytest

from wineops import service
from wineops.live_model import LiveModel, Loaded
from wineops.schema import COLUMNS, EXAMPLE


class Registry:
    """A registry in which `version` has the alias; an error there is raised."""

    version = None

    def find(self):
        if isinstance(self.version, Exception):
            raise self.version
        return self.version

    def load(self, version):
        quality = float(version)
        return Loaded(version, datetime.now(UTC), lambda table: np.full(len(table), quality))


@pytest.fixture
def registry(monkeypatch):
    """A made-up registry, which the service watches at each `service.live.look()`."""
    registry = Registry()
    monkeypatch.setattr(service, "live", LiveModel(registry.find, registry.load))
    return registry


def ask(method, path, **body):
    """Ask the service, with no network between."""

    async def asked():
        transport = httpx.ASGITransport(app=service.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return await client.request(method, path, **body)

    return asyncio.run(asked())


def test_it_follows_the_alias(registry):
    assert ask("GET", "/health").status_code == 503
    assert ask("POST", "/predict", json={"wines": [EXAMPLE]}).status_code == 503
    for version in ("3", "4", "3"):
        registry.version = version
        service.live.look()
        assert ask("GET", "/health").json()["version"] == version
        answer = ask("POST", "/predict", json={"wines": [EXAMPLE, EXAMPLE]})
        assert answer.json() == {"version": version, "predictions": [float(version)] * 2}
    registry.version = None
    service.live.look()
    assert ask("POST", "/predict", json={"wines": [EXAMPLE]}).status_code == 503


def test_it_keeps_its_model_while_the_registry_is_away(registry):
    for registry.version in ("3", ConnectionError("the registry is away"), "no number"):
        service.live.look()
        answer = ask("GET", "/health")
        assert (answer.status_code, answer.json()["version"]) == (200, "3")
        assert ask("POST", "/predict", json={"wines": [EXAMPLE]}).json()["predictions"] == [3]


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("value", ["9.4", -1, 1e6])
def test_a_wrong_field_is_named(name, value):
    answer = ask("POST", "/predict", json={"wines": [EXAMPLE, {**EXAMPLE, name: value}]})
    assert answer.status_code == 422
    assert [error["loc"] for error in answer.json()["detail"]] == [["body", "wines", 1, name]]


def test_a_number_that_is_none_is_refused():
    text = '{"wines": [{"alcohol": NaN}]}'
    answer = ask("POST", "/predict", content=text, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert ["body", "wines", 0, "alcohol"] in [error["loc"] for error in answer.json()["detail"]]


def test_the_example_of_its_page_works(registry):
    registry.version = "3"
    service.live.look()
    (example,) = ask("GET", "/openapi.json").json()["components"]["schemas"]["Wines"]["examples"]
    assert ask("POST", "/predict", json=example).status_code == 200

# %% run-service (given)
run("wineops.ask")
