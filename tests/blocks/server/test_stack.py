"""Block 13 on real components: PostgreSQL, an S3 server over HTTP, and MLflow before them.

What MLflow does when its database stops in the middle of a run is in the lesson; here it is
seen to be true.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest
import requests
from course_copy import still_there
from required import required_stack

from winelab.core.errors import CourseError
from winelab.core.paths import SOLUTIONS
from winelab.course.source import course
from winelab.proof.execute import Code, Outcome, execute
from winelab.stack import local_services
from winelab.tracking.workspace import clean_workspace, workspace_environment

BLOCK = f"{course().block('server').name}.py"


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """The folder of a stack's data; skipped or failed where this machine cannot run one."""
    required_stack()
    with tempfile.TemporaryDirectory(prefix="winelab-stack-") as place:
        # If we are root, PostgreSQL runs as another user, who must get through here.
        Path(place).chmod(0o711)
        yield Path(place) / "stack"


@pytest.fixture(scope="module")
def room() -> Iterator[Path]:
    """A clean room with the script of the block."""
    with clean_workspace() as room:
        shutil.copy(SOLUTIONS / BLOCK, room / "solutions")
        yield room


class Yesterday(NamedTuple):
    """What is left of the stack's first start, which is over."""

    outcome: Outcome
    secrets: dict[str, str]
    processes: list[psutil.Process]


@pytest.fixture(scope="module")
def yesterday(folder: Path, room: Path) -> Yesterday:
    """Run it on the first start with nothing but the server's address in its environment."""
    with local_services.local(folder) as first:
        outcome = execute(
            Code(BLOCK), room, environment={"MLFLOW_TRACKING_URI": first.mlflow.address}
        )
        return Yesterday(outcome, local_services.keep_secrets(folder), processes(first))


@pytest.fixture(scope="module")
def outcome(yesterday: Yesterday) -> Outcome:
    """What the block printed."""
    assert yesterday.outcome.error == "", yesterday.outcome.error
    return yesterday.outcome


@pytest.fixture(scope="module")
def running(folder: Path, yesterday: Yesterday) -> Iterator[local_services.Stack]:
    """The stack, started a second time: what the tests find has outlived a stop."""
    with local_services.local(folder) as running:
        yield running


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
        endpoint_url=running.s3.address,
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
    """The id of the block's newest run, asked of PostgreSQL."""
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
    assert params == {"alpha": "0.01", "l1_ratio": "0.3"}
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
    model = re.search(r"models:/m-\w+", outcome.printed)
    assert model
    code = f"""
        import mlflow, pandas as pd
        model = mlflow.sklearn.load_model({model[0]!r})
        test = pd.read_csv({str(room / "output" / "tables" / "test.csv")!r})
        print(len(test), model.predict(test.drop(columns="quality"))[:5])
    """
    number, _, predictions = client(room, running, code).partition(" ")
    assert number == "340" and predictions in outcome.printed


def test_nothing_was_written_beside_it(room: Path, outcome: Outcome) -> None:
    import sqlite3

    with closing(sqlite3.connect(room / "mlflow.db")) as database:
        assert database.execute("SELECT count(*) FROM runs").fetchone() == (0,)
        names = [row[0] for row in database.execute("SELECT name FROM experiments")]
    assert "wine-server" not in names
    assert not (room / "mlruns").exists()
    # It started no server of its own.
    assert not (room / "output" / "server.log").exists()


def test_the_script_alone_writes_to_the_file() -> None:
    """Where the environment names no server, and nothing is asked of the checks."""
    with clean_workspace() as room:
        shutil.copy(SOLUTIONS / BLOCK, room / "solutions")
        outcome = execute(Code(BLOCK), room, environment={"MLFLOW_TRACKING_URI": ""})
        assert outcome.error == "", outcome.error
        assert re.search(r"^Runs go to sqlite:///.*/mlflow\.db$", outcome.printed, re.MULTILINE)


# --- keys and passwords -------------------------------------------------------------------------


def test_wrong_keys_are_refused(running: local_services.Stack, outcome: Outcome) -> None:
    from botocore.exceptions import ClientError

    key = next(iter(objects(running)))
    for wrong in ({"secret": "wrong"}, {"id": "wrong"}, {"id": "wrong", "secret": "wrong"}):
        stranger = s3(running, **wrong)
        for use in (
            lambda s: s.list_buckets(),
            lambda s: s.get_object(Bucket=local_services.BUCKET, Key=key),
            lambda s: s.put_object(Bucket=local_services.BUCKET, Key="stranger", Body=b"1"),
        ):
            with pytest.raises(ClientError) as refused:
                use(stranger)
            assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert ask(running.s3.address, f"/{local_services.BUCKET}/{key}")[0] in (400, 401, 403)
    assert "stranger" not in objects(running)


def test_a_wrong_password_is_refused(running: local_services.Stack) -> None:
    import psycopg

    url, word = running.database.url, running.database.password
    for wrong in (url.replace(word, "wrong"), url.replace(f":{word}", "")):
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(wrong)


def processes(stack: local_services.Stack) -> list[psutil.Process]:
    """All processes of a stack."""
    pid_file = stack.folder / "postgres" / "data" / "postmaster.pid"
    database = int(pid_file.read_text(encoding="utf-8").split()[0])
    found = []
    for pid in (database, stack.s3.process.pid, stack.mlflow.process.pid):
        first = psutil.Process(pid)
        found += [first, *first.children(recursive=True)]
    return found


def test_a_stop_leaves_no_process_and_no_secret_changed(
    yesterday: Yesterday, running: local_services.Stack
) -> None:
    assert len(yesterday.processes) >= 5
    assert still_there(yesterday.processes) == []
    assert local_services.keep_secrets(running.folder) == yesterday.secrets


def test_secrets_are_in_one_file_only(running: local_services.Stack, outcome: Outcome) -> None:
    words = local_services.keep_secrets(running.folder)
    for log in (*running.folder.glob("logs/*"), *running.folder.glob("postgres/*.log")):
        text = log.read_text(encoding="utf-8", errors="replace")
        assert not [name for name, word in words.items() if word in text], log
    # What `ps` shows to everyone.
    for process in processes(running):
        # PostgreSQL ends one of its own now and then.
        with suppress(psutil.NoSuchProcess):
            line = " ".join(process.cmdline())
            assert not [name for name, word in words.items() if word in line], line


def test_servers_listen_on_this_machine_alone(running: local_services.Stack) -> None:
    heard = set()
    for process in processes(running):
        with suppress(psutil.NoSuchProcess):
            for connection in process.net_connections(kind="inet"):
                if connection.status == psutil.CONN_LISTEN:
                    heard.add(connection.laddr)
    parts = (running.database, running.s3, running.mlflow)
    assert heard == {("127.0.0.1", part.port) for part in parts}


def test_a_second_start_in_the_same_folder_is_refused(running: local_services.Stack) -> None:
    with pytest.raises(CourseError, match="runs already"), local_services.local(running.folder):
        pass
    assert running.database.running()


# --- the database stops in the middle of a run --------------------------------------------------


def client(room: Path, running: local_services.Stack, code: str) -> str:
    """What a client of the server prints that runs a piece of code."""
    uri = {"MLFLOW_TRACKING_URI": running.mlflow.address}
    outcome = execute(Code("client.ipynb", (textwrap.dedent(code),)), room, environment=uri)
    assert not outcome.error, outcome.error
    return outcome.printed.strip()


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
def started(
    room: Path, running: local_services.Stack, request: pytest.FixtureRequest
) -> Iterator[Any]:
    """A client in the middle of a run, which goes on when a line is written to it; its run's id."""
    settings = {"MLFLOW_TRACKING_URI": running.mlflow.address, **getattr(request, "param", {})}
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", CLIENT],
        env=workspace_environment(room, **settings),
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


def ask(uri: str, path: str) -> tuple[int, Any]:
    """The status and the answer of a request to MLflow's server."""
    with requests.Session() as session:
        # Else a proxy that is set for the internet would be asked.
        session.trust_env = False
        reply = session.get(f"{uri}{path}", timeout=60)
    return reply.status_code, reply.json() if reply.text.startswith("{") else reply.text


def metrics(running: local_services.Stack, run_id: str) -> dict[str, float]:
    """A run's metrics, as PostgreSQL has them."""
    return dict(rows(running, "SELECT key, value FROM latest_metrics WHERE run_uuid = %s", run_id))


IMPATIENT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2"}


@pytest.mark.parametrize("started", [IMPATIENT], indirect=True, ids=[""])
@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_database_that_stops_in_the_middle_of_a_run(
    room: Path, running: local_services.Stack, started: Any, mode: str
) -> None:
    process, run_id = started
    before = running.mlflow.log.stat().st_size
    running.database.stop(mode)
    with pytest.raises(CourseError, match="PostgreSQL ended by itself"):
        running.check()

    # The server lives, and answers what needs no database; for the rest it says "not now".
    page = f"/api/2.0/mlflow/runs/get?run_id={run_id}"
    status, answer = ask(running.mlflow.address, page)
    assert status == 503
    assert answer["error_code"] == "TEMPORARILY_UNAVAILABLE"
    assert "psycopg.OperationalError" in answer["message"]
    assert ask(running.mlflow.address, "/health") == (200, "OK")
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
    running.database.start()
    if mode == "immediate":
        words = running.database.log.read_text(encoding="utf-8")
        assert "was not properly shut down; automatic recovery in progress" in words
    status, answer = ask(running.mlflow.address, page)
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
    assert client(room, running, code).endswith("FINISHED")
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
    running.database.start()
    out, _ = process.communicate(timeout=120)
    assert json.loads(out.splitlines()[-1]) == {}
    assert metrics(running, run_id) == {"before": 1.0, "during": 2.0, "later": 3.0}
    (status,) = rows(running, "SELECT status FROM runs WHERE run_uuid = %s", run_id)
    assert status == ("FINISHED",)
