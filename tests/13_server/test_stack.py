"""Block 13 on real components: PostgreSQL, an S3 server over HTTP, and MLflow before them.

What MLflow does when its database stops in the middle of a run is in the lesson; here it is
seen to be true.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import textwrap
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from winelab.core.errors import CourseError
from winelab.core.paths import SOLUTIONS, course_environment
from winelab.proof.execute import Code, Outcome, execute
from winelab.stack import command, local_services
from winelab.tracking.store import environment
from winelab.tracking.workspace import clean_workspace, workspace_environment

REQUIRED = "WINELAB_STACK"
"""Set to "required" (in CI), these tests are never skipped."""

BLOCK = "13_server.py"


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """The folder of a stack's data; skipped or failed where this machine cannot run one."""
    lacking = command.lacking()
    if lacking and os.environ.get(REQUIRED) != "required":
        pytest.skip(lacking)
    assert not lacking, lacking
    with tempfile.TemporaryDirectory(prefix="winelab-stack-") as place:
        # If we are root, PostgreSQL runs as another user, who must get through here.
        Path(place).chmod(0o711)
        yield Path(place) / "stack"


@pytest.fixture(scope="module")
def room() -> Iterator[Path]:
    """A clean room with the script of block 13."""
    with clean_workspace() as room:
        shutil.copy(SOLUTIONS / BLOCK, room / "solutions")
        yield room


@dataclass
class Yesterday:
    """What is left of the stack's first start, which is over."""

    outcome: Outcome
    secrets: dict[str, str]
    processes: list[Any]


@pytest.fixture(scope="module")
def yesterday(folder: Path, room: Path) -> Yesterday:
    """Block 13, run on the first start with nothing but the server's address in its environment."""
    with local_services.local(folder) as first:
        outcome = execute(Code(BLOCK), room, environment={"MLFLOW_TRACKING_URI": first.uri})
        return Yesterday(outcome, local_services.keep_secrets(folder), processes(first))


@pytest.fixture(scope="module")
def outcome(yesterday: Yesterday) -> Outcome:
    """What block 13 printed."""
    assert yesterday.outcome.error == "", yesterday.outcome.error
    return yesterday.outcome


@pytest.fixture(scope="module")
def running(folder: Path, yesterday: Yesterday) -> Iterator[local_services.Stack]:
    """The stack, started a second time: what the tests find has outlived a stop."""
    with local_services.local(folder) as running:
        yield running


@pytest.fixture(autouse=True)
def whole(request: pytest.FixtureRequest) -> Iterator[None]:
    """Starts the database again if a test that failed left it stopped."""
    yield
    if "running" in request.fixturenames:
        running = request.getfixturevalue("running")
        if not running.database.running():
            running.database.start(running.database.port)


def rows(running: local_services.Stack, question: str, *values: object) -> list[tuple[Any, ...]]:
    """What PostgreSQL answers to a question in SQL."""
    import psycopg

    with psycopg.connect(running.database.url) as connection:
        return list(connection.execute(question, values).fetchall())


def s3(running: local_services.Stack, **keys: str) -> Any:
    """A client of the S3 server; with its own keys, or with those given."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=running.endpoint,
        aws_access_key_id=keys.get("id", running.keys["AWS_ACCESS_KEY_ID"]),
        aws_secret_access_key=keys.get("secret", running.keys["AWS_SECRET_ACCESS_KEY"]),
        region_name="us-east-1",
        config=Config(proxies={}, retries={"max_attempts": 1}),
    )


def objects(running: local_services.Stack) -> dict[str, int]:
    """The objects in the bucket, with their sizes."""
    pages = s3(running).get_paginator("list_objects_v2").paginate(Bucket=local_services.BUCKET)
    return {one["Key"]: one["Size"] for page in pages for one in page.get("Contents", [])}


def last_run(running: local_services.Stack) -> str:
    """The id of block 13's newest run, asked of PostgreSQL."""
    question = (
        "SELECT run_uuid FROM runs JOIN experiments USING (experiment_id) "
        "WHERE experiments.name = 'wine-server' ORDER BY start_time DESC LIMIT 1"
    )
    return str(rows(running, question)[0][0])


# --- the block itself ---------------------------------------------------------------------------


def test_the_run_is_in_postgresql(running: local_services.Stack, outcome: Outcome) -> None:
    run_id = last_run(running)
    assert run_id in outcome.printed
    (found,) = rows(running, "SELECT name, status FROM runs WHERE run_uuid = %s", run_id)
    assert found == ("elasticnet", "FINISHED")
    params = dict(rows(running, "SELECT key, value FROM params WHERE run_uuid = %s", run_id))
    assert params == {"alpha": "0.5", "l1_ratio": "0.5"}
    question = "SELECT key, value FROM latest_metrics WHERE run_uuid = %s"
    metrics = dict(rows(running, question, run_id))
    printed = dict(re.findall(r"^(rmse|mae|r2): (\S+)$", outcome.printed, re.MULTILINE))
    assert {name: f"{value:.3f}" for name, value in metrics.items()} == printed
    assert set(printed) == {"rmse", "mae", "r2"}


def test_the_model_and_the_tables_are_in_the_bucket(
    running: local_services.Stack, outcome: Outcome, room: Path
) -> None:
    found = objects(running)
    (experiment,) = rows(
        running, "SELECT experiment_id FROM experiments WHERE name = 'wine-server'"
    )
    files = f"{experiment[0]}/{last_run(running)}/artifacts"
    for name, file in {
        "tables/test.csv": room / "output" / "tables" / "test.csv",
        "tables/train.csv": room / "output" / "tables" / "train.csv",
        "data/red-wine-quality.csv": room / "data" / "red-wine-quality.csv",
    }.items():
        body = s3(running).get_object(Bucket=local_services.BUCKET, Key=f"{files}/{name}")["Body"]
        assert body.read() == file.read_bytes(), name
    model = re.search(r"models:/(m-\w+)", outcome.printed)
    assert model
    place = f"{experiment[0]}/models/{model[1]}/artifacts"
    for name in ("MLmodel", "model.skops"):
        assert found[f"{place}/{name}"] > 0


def test_the_model_comes_back_from_the_bucket(
    running: local_services.Stack, outcome: Outcome, room: Path
) -> None:
    import pandas as pd

    model = re.search(r"models:/m-\w+", outcome.printed)
    assert model
    code = f"""
        import mlflow, pandas as pd
        model = mlflow.sklearn.load_model({model[0]!r})
        test = pd.read_csv({str(room / "output" / "tables" / "test.csv")!r})
        print(model.predict(test.drop(columns="quality"))[:5])
    """
    done = client(code, running.uri)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() in outcome.printed
    assert len(pd.read_csv(room / "output" / "tables" / "test.csv")) == 400


def test_nothing_was_written_beside_it(room: Path, outcome: Outcome) -> None:
    import sqlite3

    with closing(sqlite3.connect(room / "mlflow.db")) as database:
        assert database.execute("SELECT count(*) FROM runs").fetchone() == (0,)
        names = [row[0] for row in database.execute("SELECT name FROM experiments")]
    assert "wine-server" not in names
    assert not (room / "mlruns").exists()
    # It started no server of its own.
    assert not (room / "output" / "server.log").exists()


def test_the_client_had_no_keys(room: Path, running: local_services.Stack) -> None:
    with environment(**running.keys):
        names = set(workspace_environment(room, MLFLOW_TRACKING_URI=running.uri))
    assert not {name for name in names if name.startswith(("AWS_", "MLFLOW_S3", "PG"))}


# --- keys and passwords -------------------------------------------------------------------------


def test_wrong_keys_are_refused(running: local_services.Stack, outcome: Outcome) -> None:
    from botocore.exceptions import ClientError

    key = next(iter(objects(running)))
    for wrong in ({"secret": "wrong"}, {"id": "wrong"}, {"id": "wrong", "secret": "wrong"}):
        stranger = s3(running, **wrong)
        for ask in (
            lambda s: s.list_buckets(),
            lambda s: s.get_object(Bucket=local_services.BUCKET, Key=key),
            lambda s: s.put_object(Bucket=local_services.BUCKET, Key="stranger", Body=b"1"),
        ):
            with pytest.raises(ClientError) as refused:
                ask(stranger)
            assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    with pytest.raises(urllib.error.HTTPError, match="HTTP Error 40"):
        urllib.request.urlopen(f"{running.endpoint}/{local_services.BUCKET}/{key}")
    assert "stranger" not in objects(running)


def test_a_wrong_password_is_refused(running: local_services.Stack) -> None:
    import psycopg

    url, word = running.database.url, running.database.password
    for wrong in (url.replace(word, "wrong"), url.replace(f":{word}", "")):
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(wrong)


def processes(stack: local_services.Stack) -> list[Any]:
    """All processes of a stack."""
    pid_file = stack.folder / "postgres" / "data" / "postmaster.pid"
    database = int(pid_file.read_text(encoding="utf-8").split()[0])
    found = []
    for pid in (database, stack.s3.process.pid, stack.mlflow.process.pid):
        first = psutil.Process(pid)
        found += [first, *first.children(recursive=True)]
    return found


def alive(process: Any) -> bool:
    """True if a process has not ended, or is only being cleared away."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_a_stop_leaves_no_process_and_no_secret_changed(
    yesterday: Yesterday, running: local_services.Stack
) -> None:
    assert len(yesterday.processes) >= 5
    assert [process for process in yesterday.processes if alive(process)] == []
    assert local_services.keep_secrets(running.folder) == yesterday.secrets


def test_secrets_are_in_one_file_only(running: local_services.Stack, outcome: Outcome) -> None:
    file = running.folder / local_services.SECRETS
    if os.name != "nt":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    words = local_services.keep_secrets(running.folder)
    assert set(words) == set(local_services.NAMES)
    assert all(len(word) == 40 for word in words.values())
    for log in (*running.folder.glob("logs/*"), *running.folder.glob("postgres/*.log")):
        text = log.read_text(encoding="utf-8", errors="replace")
        assert not [name for name, word in words.items() if word in text], log
    # What `ps` shows to everyone.
    for process in processes(running):
        line = " ".join(process.cmdline())
        assert not [name for name, word in words.items() if word in line], line
    others = [path for path in running.folder.glob("*") if path.name.startswith(".env.")]
    assert others == []


def test_servers_listen_on_this_machine_alone(running: local_services.Stack) -> None:
    heard = set()
    for process in processes(running):
        for connection in process.net_connections(kind="inet"):
            if connection.status == psutil.CONN_LISTEN:
                assert connection.laddr.ip == "127.0.0.1", process.cmdline()
                heard.add(connection.laddr.port)
    assert heard == {running.database.port, running.s3.port, running.mlflow.port}


def test_a_second_start_in_the_same_folder_is_refused(running: local_services.Stack) -> None:
    with pytest.raises(CourseError, match="runs already"), local_services.local(running.folder):
        pass
    assert running.database.running()


# --- the database stops in the middle of a run --------------------------------------------------


def variables(uri: str, **more: str) -> dict[str, str]:
    """The environment of a client of this server."""
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("MLFLOW_", "AWS_"))}
    outside = {n: v for n, v in course_environment(Path.cwd()).items() if "ROOT" not in n}
    return kept | outside | {"MLFLOW_TRACKING_URI": uri} | more


def client(code: str, uri: str) -> subprocess.CompletedProcess[str]:
    """Runs a piece of code in a process of its own."""
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)]
    return subprocess.run(
        command, env=variables(uri), capture_output=True, encoding="utf-8", timeout=120
    )


CLIENT = """
import json, sys, mlflow

mlflow.set_experiment("stopped")
said = {}
try:
    with mlflow.start_run() as run:
        mlflow.log_metric("before", 1)
        print(run.info.run_id, flush=True)
        sys.stdin.readline()
        try:
            mlflow.log_metric("during", 2)
        except Exception as error:
            said["log_metric"] = [type(error).__name__, error.error_code, str(error)]
            raise
        mlflow.log_metric("later", 3)
except Exception as error:
    said["with"] = [type(error).__name__, error.error_code, str(error)]
print(json.dumps(said))
"""


@pytest.fixture
def started(running: local_services.Stack, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A client in the middle of a run, which goes on when a line is written to it; its run's id."""
    retries = getattr(request, "param", {})
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", CLIENT],
        env=variables(running.uri, **retries),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


def ask(uri: str, path: str, body: object = None) -> tuple[int, Any]:
    """The status and the answer of a request to MLflow's server."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{uri}{path}", data=data)
    request.add_header("Content-Type", "application/json")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=60) as response:
            text = response.read()
            status = response.status
    except urllib.error.HTTPError as error:
        text, status = error.read(), error.code
    return status, json.loads(text) if text.startswith(b"{") else text


def metrics(running: local_services.Stack, run_id: str) -> dict[str, float]:
    """A run's metrics, as PostgreSQL has them."""
    return dict(rows(running, "SELECT key, value FROM latest_metrics WHERE run_uuid = %s", run_id))


IMPATIENT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2"}


@pytest.mark.parametrize("started", [IMPATIENT], indirect=True, ids=[""])
@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_database_that_stops_in_the_middle_of_a_run(
    running: local_services.Stack, started: Any, mode: str
) -> None:
    process, run_id = started
    before = running.mlflow.log.stat().st_size
    running.database.stop(mode)
    with pytest.raises(CourseError, match="PostgreSQL ended by itself"):
        running.check()

    # The server lives, and answers what needs no database; for the rest it says "not now".
    page = f"/api/2.0/mlflow/runs/get?run_id={run_id}"
    status, answer = ask(running.uri, page)
    assert status == 503
    assert answer["error_code"] == "TEMPORARILY_UNAVAILABLE"
    assert "psycopg.OperationalError" in answer["message"]
    assert ask(running.uri, "/health") == (200, b"OK")
    assert not running.mlflow.ended()

    # The client tries again, then gives up; leaving the `with` block fails the same way.
    out, _ = process.communicate("\n", timeout=120)
    said = json.loads(out)
    for where, request in (("log_metric", "runs/log-metric"), ("with", "runs/get")):
        kind, code, words = said[where]
        assert (kind, code) == ("MlflowException", "INTERNAL_ERROR")
        assert f"/api/2.0/mlflow/{request}" in words
        assert "too many 503 error responses" in words
    with running.mlflow.log.open(encoding="utf-8") as log:
        log.seek(before)
        text = log.read()
    assert "Error in _log_metric: (psycopg.OperationalError)" in text
    assert running.database.password not in text

    # The database comes back: the server notices by itself, at the first request.
    running.database.start(running.database.port)
    if mode == "immediate":
        words = running.database.log.read_text(encoding="utf-8")
        assert "was not properly shut down; automatic recovery in progress" in words
    status, answer = ask(running.uri, page)
    assert status == 200
    # What was confirmed before is there, what failed is not, and nobody ended the run.
    assert metrics(running, run_id) == {"before": 1.0}
    assert answer["run"]["info"]["status"] == "RUNNING"
    assert "end_time" not in answer["run"]["info"]
    # It can be taken up again.
    code = f"""
        import mlflow
        with mlflow.start_run(run_id={run_id!r}):
            mlflow.log_metric("during", 2)
        print(mlflow.get_run({run_id!r}).info.status)
    """
    again = client(code, running.uri)
    assert again.stdout.strip().endswith("FINISHED"), again.stderr
    assert metrics(running, run_id) == {"before": 1.0, "during": 2.0}


def test_a_short_stop_costs_nothing_but_time(running: local_services.Stack, started: Any) -> None:
    process, run_id = started
    before = running.mlflow.log.stat().st_size
    running.database.stop()
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    # The request must have failed at least once.
    end = time.monotonic() + 60
    while "503 Service Unavailable" not in running.mlflow.log.read_text(encoding="utf-8")[before:]:
        assert time.monotonic() < end
        time.sleep(0.1)
    running.database.start(running.database.port)
    out, _ = process.communicate(timeout=120)
    assert json.loads(out.splitlines()[-1]) == {}
    assert metrics(running, run_id) == {"before": 1.0, "during": 2.0, "later": 3.0}
    (status,) = rows(running, "SELECT status FROM runs WHERE run_uuid = %s", run_id)
    assert status == ("FINISHED",)
