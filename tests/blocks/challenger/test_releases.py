"""Block 32 on real parts: races of two processes, power cuts, forged news, a receiver that is down.

The modules are those of the built package.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow
import pandas as pd
import pytest
import requests
from course_copy import processes
from required import required_stack
from sklearn.linear_model import LinearRegression

from winelab.core.paths import SOLUTIONS
from winelab.course.source import course
from winelab.stack.postgres import Postgres
from winelab.tracking.workspace import empty_store, workspace_environment

BLOCK = course().block("challenger")
PACKAGE = SOLUTIONS / BLOCK.name
NAME = "wine-quality-elasticnet"
ROUNDS = 20


@pytest.fixture(scope="module")
def wineops() -> Iterator[Any]:
    """The package's modules."""
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(str(PACKAGE / "src"))
        names = ("release", "news", "drill")
        yield SimpleNamespace(**{one: importlib.import_module(f"wineops.{one}") for one in names})
    for name in [name for name in sys.modules if name.partition(".")[0] == "wineops"]:
        del sys.modules[name]


@contextmanager
def sqlite() -> Iterator[str]:
    """The address of an empty SQLite store."""
    with tempfile.TemporaryDirectory(prefix="winelab-", ignore_cleanup_errors=True) as folder:
        yield f"sqlite:///{empty_store(Path(folder, 'mlflow.db')).as_posix()}"


@contextmanager
def postgresql() -> Iterator[str]:
    """The address of an empty PostgreSQL store."""
    required_stack()
    with tempfile.TemporaryDirectory(prefix="winelab-", ignore_cleanup_errors=True) as folder:
        # If we are root, PostgreSQL runs as another user, who must get through here.
        Path(folder).chmod(0o711)
        database = Postgres(Path(folder, "postgres"), "of-the-cellar")
        database.start()
        try:
            yield database.url.replace("postgresql://", "postgresql+psycopg://")
        finally:
            database.stop()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The folders of three small models, which predict once, twice and three times the alcohol."""
    table = pd.DataFrame({"alcohol": [9.0, 10.0, 12.0], "pH": [3.1, 3.3, 3.2]})
    folders = [tmp_path_factory.mktemp("models") / f"{slope}" for slope in (1, 2, 3)]
    for slope, folder in enumerate(folders, start=1):
        mlflow.sklearn.save_model(
            LinearRegression().fit(table, slope * table["alcohol"]),
            folder,
            input_example=table,
            pip_requirements=[f"scikit-learn=={metadata.version('scikit-learn')}"],
        )
    return folders


@contextmanager
def tracking_uri(address: str) -> Iterator[mlflow.MlflowClient]:
    """Make a store the one of this process; yield a client."""
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(address)
    try:
        yield mlflow.MlflowClient()
    finally:
        mlflow.set_tracking_uri(before)


def register(client: mlflow.MlflowClient, models: list[Path]) -> None:
    """Register three versions, as on the day of a release."""
    client.create_registered_model(NAME)
    for folder in models:
        client.create_model_version(NAME, folder.as_uri())
    put_back(client)


@pytest.fixture(scope="module", params=[sqlite, postgresql], ids=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, models: list[Path]) -> Iterator[mlflow.MlflowClient]:
    """A client of each kind of store in turn, with three versions."""
    with request.param() as address, tracking_uri(address) as client:
        register(client, models)
        yield client


@pytest.fixture
def client(store: mlflow.MlflowClient) -> mlflow.MlflowClient:
    """The client, as on the day of a release: 1 is the champion, 2 and 3 have beaten it."""
    put_back(store)
    return store


def put_back(client: mlflow.MlflowClient) -> None:
    """Make 1 the champion, beaten by 2 and 3; no other alias is set."""
    client.set_registered_model_alias(NAME, "champion", "1")
    for alias in ("previous", "candidate"):
        client.delete_registered_model_alias(NAME, alias)
    for version in ("2", "3"):
        client.set_model_version_tag(NAME, version, "challenge", "won against version 1")


def aliases(client: mlflow.MlflowClient) -> dict[str, int]:
    """Each alias, with its version as a number."""
    found = client.get_registered_model(NAME).aliases
    return {alias: int(version) for alias, version in found.items()}


def no_lock(client: mlflow.MlflowClient) -> bool:
    """Whether nothing but the model is registered."""
    return [one.name for one in client.search_registered_models()] == [NAME]


# --- two releases at once -----------------------------------------------------------------------

RACER = """
import contextlib, json, sys, time
import mlflow
from wineops import release

mlflow.set_tracking_uri(sys.argv[1])
client = mlflow.MlflowClient()
release.smoke_test(client, 1)  # what is loaded once is loaded now
print("ready", flush=True)
for line in sys.stdin:
    moment, steps = json.loads(line)
    time.sleep(max(0, moment - time.time()))
    said = "won"
    try:
        with contextlib.redirect_stdout(None):
            for name, version in steps:
                release.release(client, name, version)
    except SystemExit as refusal:
        said = str(refusal)
    print(json.dumps(said), flush=True)
"""


def program(code: str, *arguments: str) -> subprocess.Popen[str]:
    """A process of its own that can import the package."""
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code, *arguments],
        env=workspace_environment(PACKAGE, PYTHONPATH=str(PACKAGE / "src")),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )


@pytest.fixture(scope="module")
def racers(store: mlflow.MlflowClient) -> Iterator[list[Any]]:
    """Two processes, each with the store open."""
    both: list[Any] = [program(RACER, mlflow.get_tracking_uri()) for _ in range(2)]
    try:
        assert [one.stdout.readline() for one in both] == ["ready\n"] * 2
        yield both
    finally:
        for one in both:
            one.kill()
            one.communicate()


def race(racers: list[Any], *versions: int) -> list[str]:
    """What each process says of releasing its version; they begin at the same moment."""
    moment = time.time() + 0.02
    for one, version in zip(racers, versions, strict=True):
        steps = [("candidate", version), ("champion", version)]
        one.stdin.write(json.dumps([moment, steps]) + "\n")
        one.stdin.flush()
    return [json.loads(one.stdout.readline()) for one in racers]


def test_two_releases_that_race_leave_one_champion_and_a_clear_loser(
    client: mlflow.MlflowClient, racers: list[Any]
) -> None:
    losers = ("The champion is version", "The candidate is version")
    for _ in range(ROUNDS):
        put_back(client)
        said = race(racers, 2, 3)
        assert sorted(words == "won" for words in said) == [False, True], said
        winner = said.index("won") + 2
        assert aliases(client) == {"champion": winner, "previous": 1}
        assert said[3 - winner].startswith(losers), said
        assert no_lock(client)


def test_the_same_candidate_is_released_once(
    client: mlflow.MlflowClient, racers: list[Any]
) -> None:
    for _ in range(ROUNDS // 4):
        put_back(client)
        said = race(racers, 2, 2)
        assert sorted(words == "won" for words in said) == [False, True], said
        assert {"Version 2 is the champion already.", "The candidate is version None, not 2."} & {
            *said
        }, said
        assert {**aliases(client), "candidate": 0} == {"champion": 2, "previous": 1, "candidate": 0}


# --- a power cut in the middle ------------------------------------------------------------------

# A process that is killed just before, or after, it moves the champion.
KILLED = """
import sys
import mlflow, psutil
from wineops import release

store, when = sys.argv[1:]
mlflow.set_tracking_uri(store)
client = mlflow.MlflowClient()
move = client.set_registered_model_alias


def killed(name, moved, number):
    if moved == "champion" and when == "before":
        psutil.Process().kill()
    move(name, moved, number)
    if moved == "champion" and when == "after":
        psutil.Process().kill()


release.release(client, "candidate", 2)
client.set_registered_model_alias = killed
release.release(client, "champion", 2)
"""


@pytest.mark.parametrize("store", [sqlite], indirect=True, ids=["sqlite"])
@pytest.mark.parametrize(("when", "champion"), [("before", 1), ("after", 2)])
def test_a_release_that_is_killed_leaves_a_champion_and_says_what_to_do(
    client: mlflow.MlflowClient,
    wineops: Any,
    monkeypatch: pytest.MonkeyPatch,
    when: str,
    champion: int,
) -> None:
    release = wineops.release
    killed = program(KILLED, mlflow.get_tracking_uri(), when)
    killed.communicate()
    assert killed.returncode
    assert aliases(client) == {"champion": champion, "previous": 1, "candidate": 2}
    # Nobody may go on before a person has looked.
    monkeypatch.setattr(release, "locked", partial(release.locked, patience=0))
    with pytest.raises(SystemExit) as refused:
        release.release(client, "champion", 2)
    said = str(refused.value)
    assert "python -m wineops.release unlock" in said
    assert f"champion is version {champion}" in said
    release.unlock(client)
    if champion == 1:
        release.release(client, "champion", 2)
    assert aliases(client)["champion"] == 2
    release.release(client, "rollback")
    assert aliases(client)["champion"] == 1
    assert no_lock(client)


def test_only_what_is_locked_can_be_unlocked(client: mlflow.MlflowClient, wineops: Any) -> None:
    with pytest.raises(SystemExit, match="no lock"):
        wineops.release.unlock(client)


# --- what is refused ----------------------------------------------------------------------------


def test_a_rollback_restores_the_exact_version(client: mlflow.MlflowClient, wineops: Any) -> None:
    release, known = wineops.release, client.get_model_version_by_alias(NAME, "champion")
    release.release(client, "candidate", 3)
    release.release(client, "champion", 3)
    release.release(client, "rollback")
    found = client.get_model_version_by_alias(NAME, "champion")
    assert (found.version, found.source) == (known.version, known.source)
    table = pd.DataFrame({"alcohol": [11.0], "pH": [3.2]})
    answer = mlflow.pyfunc.load_model(f"models:/{NAME}@champion").predict(table)
    assert answer == pytest.approx([11.0])


def test_a_challenge_counts_against_the_beaten_champion_alone(
    client: mlflow.MlflowClient, wineops: Any
) -> None:
    release = wineops.release
    release.release(client, "candidate", 2)
    client.set_registered_model_alias(NAME, "champion", "3")  # by hand
    words = "The champion is version 3 now. Version 2: won against version 1. It must win"
    for step in ("champion", "candidate"):
        with pytest.raises(SystemExit, match=words):
            release.release(client, step, 2)
    assert aliases(client) == {"champion": 3, "candidate": 2}
    assert no_lock(client)


def test_a_version_that_does_not_load_is_not_released(
    client: mlflow.MlflowClient, wineops: Any, tmp_path: Path
) -> None:
    release = wineops.release
    broken = client.create_model_version(NAME, (tmp_path / "nothing").as_uri())
    try:
        client.set_model_version_tag(NAME, broken.version, "challenge", "won against version 1")
        release.release(client, "candidate", int(broken.version))
        with pytest.raises(SystemExit, match="failed the smoke test"):
            release.release(client, "champion", int(broken.version))
        assert aliases(client) == {"champion": 1, "candidate": int(broken.version)}
        assert no_lock(client)
    finally:
        client.delete_model_version(NAME, broken.version)


# --- news ---------------------------------------------------------------------------------------

BODY = b'{"data": {"alias": "champion", "version": "3"}}'


def headers(wineops: Any, secret: str = "right", **other: str) -> dict[str, str]:
    """What MLflow sends with BODY, signed now with this secret; and what is changed afterwards."""
    now = other.get("signed_at", str(int(time.time())))
    signature = wineops.news.sign(secret, f"7.{now}.".encode() + BODY)
    sent = {"Delivery-Id": "7", "Timestamp": now, "Signature": signature}
    sent |= {name: value for name, value in other.items() if name in sent}
    return {f"X-MLflow-{name}": value for name, value in sent.items() if value}


def test_only_genuine_news_are_kept(wineops: Any, tmp_path: Path) -> None:
    file, now = tmp_path / "news.jsonl", str(int(time.time()))
    ancient = str(int(time.time()) - 3600)
    refused = {
        "no header at all": {},
        "another secret": headers(wineops, "wrong"),
        "signed and recorded an hour ago": headers(wineops, signed_at=ancient),
        "recorded, with today's time": headers(wineops, signed_at=ancient, Timestamp=now),
        "another message's id": headers(wineops) | {"X-MLflow-Delivery-Id": "8"},
        "no signature": headers(wineops, Signature=""),
        "no time": headers(wineops, Timestamp=""),
        "a time that is none": headers(wineops, Timestamp="soon"),
        "letters that no signature has": headers(wineops, Signature="v1,\u00e9"),
    }
    with wineops.news.receiving("right", file) as address, requests.Session() as session:
        session.trust_env = False
        for what, sent in refused.items():
            as_bytes = {name: value.encode("latin-1") for name, value in sent.items()}
            answer = session.post(address, BODY, headers=as_bytes, timeout=9)
            assert answer.status_code == 401, what
        assert session.post(address, BODY + b" ", headers=headers(wineops)).status_code == 401
        assert not file.exists()
        # MLflow sends again what was not answered: it's kept once.
        for _ in range(2):
            assert session.post(address, BODY, headers=headers(wineops)).status_code == 204
    assert file.read_bytes() == BODY + b"\n"
    with pytest.raises(requests.ConnectionError):
        requests.get(address, timeout=5)


def test_a_receiver_that_is_down_holds_up_no_release(
    wineops: Any, tmp_path: Path, models: list[Path]
) -> None:
    drill, release = wineops.drill, wineops.release
    database = empty_store(tmp_path / "mlflow.db")
    with tracking_uri(f"sqlite:///{database.as_posix()}") as direct:
        register(direct, models)
    with ExitStack() as stack:
        patched = stack.enter_context(pytest.MonkeyPatch.context())
        patched.setenv("no_proxy", "127.0.0.1")
        address = stack.enter_context(drill.tracking_server(database, tmp_path / "server.log"))
        client = stack.enter_context(tracking_uri(address))
        with wineops.news.receiving("right", tmp_path / "news.jsonl") as inbox:
            pass  # the receiver has gone, and nothing listens there
        client.create_webhook("news", inbox, ["model_version_alias.created"], secret="right")
        began = time.monotonic()
        release.release(client, "candidate", 2)
        release.release(client, "champion", 2)
        seconds = time.monotonic() - began
        assert aliases(client) == {"champion": 2, "previous": 1}
        # Three more tries to send one message take 1, 2 and 4 seconds, each of them at least.
        assert seconds < 7, seconds
    assert not processes(tmp_path)
