# %% readme-block (given)
This is the package after the block `challenger` of Wine Lab, built from `blocks/challenger/code.py` and those before it.

# %% readme-challenger (given)
## Release a model

```sh
python -m wineops.challenge --version 3          # champion against version 3, on the new wines
python -m wineops.release candidate 3            # step 1: only if it won that challenge
python -m wineops.release champion 3             # step 2: smoke test, then the alias moves
python -m wineops.release rollback               # the champion is the previous one again
WINEOPS_NEWS_SECRET=... python -m wineops.news   # receive the registry's webhooks
python -m wineops.drill                          # all of this, on a copy of the store
```

One release at a time: a lock in the registry holds off the others. If a release was killed, the next one says how
to free the lock. `news` appends every alias that moves to `news.jsonl`, and refuses what MLflow hasn't signed.

# %% needs-challenger (given)
    "cryptography",
    "psutil",
    "requests",

# %% challenge-imports (given)
"""Let a version challenge the champion, on new wines that neither of them has seen.

python -m wineops.challenge [--version 3]
"""

import argparse

import mlflow

from wineops import settings
from wineops.compare import measure, rmse, train
from wineops.families import make_families
from wineops.wines import only_new, read_table, split

NAME = settings.registered_name

# %% decide (given)
def decide(champion_errors, challenger_errors):
    """The challenger's metrics, and its result: "won", "lost" or "undecided"."""
    return {}, "not decided yet"

# %% decide
#: return two values. The first is what `measure` returns about the
#: challenger, with the champion as the reference. The second is the
#: result: "won", "lost" or "undecided". Which numbers decide?
#: hint: `measure` takes the errors of the model first, then those of the reference. A lead of 0.001 is
#: no win if chance alone can make it. The interval goes from `lead_lower` to `lead_upper`: where is 0?
#: hint: `metrics = measure(challenger_errors, champion_errors)`. If `metrics["lead_lower"] > 0`, the
#: whole interval is above 0: `return metrics, "won"`. If `metrics["lead_upper"] < 0`, it's "lost".
#: Otherwise it's "undecided".
def decide(champion_errors, challenger_errors):
    """The challenger's metrics, and its result: "won", "lost" or "undecided"."""
    metrics = measure(challenger_errors, champion_errors)
    if metrics["lead_lower"] > 0:
        return metrics, "won"
    if metrics["lead_upper"] < 0:
        return metrics, "lost"
    return metrics, "undecided"

# %% find-challenger (given)
def find_challenger(client):
    """The version with the alias challenger; without one, boosting is trained and gets it."""
    aliases = client.get_registered_model(NAME).aliases
    if "challenger" in aliases:
        return aliases["challenger"]
    wines, _ = split(read_table().drop_duplicates())  # those that the champion was trained on
    with mlflow.start_run(run_name="challenger"):
        model_ids = train({"boosting": make_families()["boosting"]}, wines)
    made = mlflow.register_model(f"models:/{model_ids['boosting']}", NAME)
    client.set_registered_model_alias(NAME, "challenger", made.version)
    return made.version

# %% challenge (given)
def challenge(client, version):
    """Compare a version with the champion on the new wines; write the result on the version."""
    champion = client.get_registered_model(NAME).aliases.get("champion")
    if champion is None:
        raise SystemExit("There is no champion yet: nobody can be challenged.")
    if str(version) == str(champion):
        raise SystemExit(f"Version {version} is the champion: it can't challenge itself.")

    # 1. The errors of both, wine by wine
    new = only_new(read_table("new-red-wines.csv"), read_table())
    X, y = new.drop(columns="quality"), new["quality"].to_numpy()
    errors = []
    for number in (champion, version):
        model = mlflow.pyfunc.load_model(f"models:/{NAME}/{number}")
        errors.append(model.predict(X) - y)

    # 2. What they say, in a run of its own and on the version
    metrics, result = decide(*errors)
    dataset = mlflow.data.from_pandas(new, name="new-red-wines", targets="quality")
    with mlflow.start_run(run_name="challenge", tags={"result": result}):
        mlflow.log_params({"champion": champion, "challenger": version})
        mlflow.log_input(dataset, context="challenge")
        mlflow.log_metrics({"champion_rmse": rmse(errors[0]), **metrics})
    # The tag also says against whom: a challenge counts for no other champion.
    tag = f"{result} against version {champion}"
    client.set_model_version_tag(NAME, version, "challenge", tag)
    print(f"Version {version}: {tag}, on {len(new)} new wines")
    print(f"champion_rmse {rmse(errors[0]):.3f}", *(f"{k} {v:.3f}" for k, v in metrics.items()))

# %% challenge-main (given)
def main():
    """Challenge the champion with the version that is named, or with the alias challenger."""
    parser = argparse.ArgumentParser(description="Let a version challenge the champion.")
    parser.add_argument("--version", type=int, help="by default the one with the alias challenger")
    version = parser.parse_args().version
    client = settings.open_store()
    challenge(client, version or find_challenger(client))


if __name__ == "__main__":
    main()

# %% release-imports (given)
"""Release a model in two steps, or take a release back.

python -m wineops.release candidate 3     step 1: the winner of a challenge becomes the candidate
python -m wineops.release champion 3      step 2: a smoke test, then it is the champion
python -m wineops.release rollback        the champion is the previous one again
python -m wineops.release unlock          after a release that was killed
"""

import argparse
import os
import platform
import time
from contextlib import contextmanager
from datetime import datetime

import mlflow
import numpy as np

from wineops import settings

NAME = settings.registered_name
LOCK = f"{NAME}.release-lock"

# %% lock (given)
@contextmanager
def locked(client, patience=10):
    """Hold off every other release for as long as the `with` lasts.

    The lock is the name of a registered model: the registry has each name once, so that of two
    who create it only one succeeds. The other waits, `patience` seconds at most.
    """
    who = f"process {os.getpid()} on {platform.node()}"
    tags = {"who": who, "since": f"{datetime.now():%Y-%m-%d %H:%M:%S}"}
    end = time.time() + patience
    while True:
        try:
            client.create_registered_model(LOCK, tags=tags)
            break
        except mlflow.MlflowException as error:
            # The second: freed just now, before MLflow has seen whose it is.
            if error.error_code not in ("RESOURCE_ALREADY_EXISTS", "RESOURCE_DOES_NOT_EXIST"):
                raise
        if time.time() > end:
            raise SystemExit(
                f"Another release is going on: {holder(client)}. Now {state(client)}. If it was "
                "killed, free its lock with `python -m wineops.release unlock`, and try again."
            )
        time.sleep(0.1)
    try:
        yield
    finally:
        client.delete_registered_model(LOCK)


def holder(client):
    """Who has the lock, and since when; nothing where nobody has it."""
    found = client.search_registered_models(f"name = '{LOCK}'")
    return " since ".join(found[0].tags[key] for key in ("who", "since")) if found else ""


def unlock(client):
    """Free the lock that a killed release has left."""
    if not holder(client):
        raise SystemExit("There is no lock to free.")
    client.delete_registered_model(LOCK)


def state(client):
    """Which versions have the aliases of a release, in words."""
    aliases = client.get_registered_model(NAME).aliases
    known = [alias for alias in ("champion", "previous", "candidate") if alias in aliases]
    return ", ".join(f"{alias} is version {aliases[alias]}" for alias in known)

# %% must-have-won (given)
def must_have_won(client, version):
    """Stop unless a version has beaten the champion of this moment; return the champion."""
    champion = client.get_registered_model(NAME).aliases["champion"]
    if str(champion) == str(version):
        raise SystemExit(f"Version {version} is the champion already.")
    tags = client.get_model_version(NAME, version).tags
    result = tags.get("challenge", "never challenged anybody")
    if result != f"won against version {champion}":
        raise SystemExit(
            f"The champion is version {champion} now. Version {version}: {result}. It must win "
            f"against this champion first: `python -m wineops.challenge --version {version}`."
        )
    return champion


def make_candidate(client, version):
    """Give a version the alias candidate."""
    must_have_won(client, version)
    client.set_registered_model_alias(NAME, "candidate", version)

# %% smoke-test (given)
def smoke_test(client, version):
    """Stop unless a version loads, predicts its example, and wants the champion's columns."""
    champion = mlflow.models.get_model_info(f"models:/{NAME}@champion").signature
    try:
        model = mlflow.pyfunc.load_model(f"models:/{NAME}/{version}")
        columns = model.metadata.signature.inputs.input_names()
        works = np.isfinite(model.predict(model.input_example)).all()
    except Exception as error:  # whatever the model's own code raises
        raise SystemExit(f"Version {version} failed the smoke test: {error}") from error
    if columns != champion.inputs.input_names() or not works:
        raise SystemExit(f"Version {version} failed the smoke test: other columns, or no numbers.")

# %% promote (given)
def promote(client, version):
    """Make a version the champion; the champion of until now becomes the previous one."""

# %% promote
#: the candidate becomes the champion. Ask `must_have_won` once more,
#: run `smoke_test`, and move three aliases: "champion" to this version,
#: "previous" to the old champion, and "candidate" is deleted. In which
#: order? Somebody may pull the plug after any of your lines.
#: hint: What can refuse comes before what changes. For the aliases: if only the first of your two
#: moves happened, would there be a champion, and could you still roll back after the second one?
#: hint: `champion = must_have_won(client, version)`, then `smoke_test(client, version)`, then
#: `client.set_registered_model_alias(NAME, "previous", champion)`, the same with "champion" and
#: `version`, and last `client.delete_registered_model_alias(NAME, "candidate")`.
def promote(client, version):
    """Make a version the champion; the champion of until now becomes the previous one."""
    champion = must_have_won(client, version)
    smoke_test(client, version)
    client.set_registered_model_alias(NAME, "previous", champion)
    client.set_registered_model_alias(NAME, "champion", version)
    client.delete_registered_model_alias(NAME, "candidate")

# %% rollback (given)
def rollback(client):
    """Make the previous version the champion again."""
    aliases = client.get_registered_model(NAME).aliases
    if "previous" not in aliases:
        raise SystemExit("No version has the alias previous: there is nothing to go back to.")

# %% rollback
#: add the line that takes a release back. Two colleagues may both run
#: it, one after the other: what should the champion be then?
#: hint: `aliases` says which version was the champion before. The second call must not bring the bad
#: version back, so leave the alias "previous" where it is.
#: hint: `client.set_registered_model_alias(NAME, "champion", aliases["previous"])`
def rollback(client):
    """Make the previous version the champion again."""
    aliases = client.get_registered_model(NAME).aliases
    if "previous" not in aliases:
        raise SystemExit("No version has the alias previous: there is nothing to go back to.")
    client.set_registered_model_alias(NAME, "champion", aliases["previous"])

# %% release-main (given)
def release(client, step, version=None):
    """Take one step, with the lock held; refuse with a sentence."""
    with locked(client):
        if step == "candidate":
            make_candidate(client, version)
        elif step == "champion":
            candidate = client.get_registered_model(NAME).aliases.get("candidate")
            if str(candidate) != str(version):
                raise SystemExit(f"The candidate is version {candidate}, not {version}.")
            promote(client, version)
        else:
            rollback(client)
    print(f"Now {state(client)}.")


def main():
    """Take the step that the command line names."""
    parser = argparse.ArgumentParser(description="Release a model, or take a release back.")
    steps = parser.add_subparsers(dest="step", required=True)
    for step in ("candidate", "champion"):
        steps.add_parser(step).add_argument("version", type=int)
    for step in ("rollback", "unlock"):
        steps.add_parser(step)
    words = parser.parse_args()
    client = settings.open_store()
    if words.step == "unlock":
        unlock(client)
        print(f"Now {state(client)}.")
    else:
        release(client, words.step, getattr(words, "version", None))


if __name__ == "__main__":
    main()

# %% news-imports (given)
"""Receive what the registry's webhooks send, and keep what MLflow has signed.

WINEOPS_NEWS_SECRET=... python -m wineops.news [--port 8090]
"""

import argparse
import base64
import hashlib
import hmac
import os
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

from wineops import settings

MAX_AGE = 300  # seconds


def sign(secret, content):
    """MLflow's signature of some bytes: a keyed hash that nobody can make without the secret."""
    digest = hmac.new(secret.encode(), content, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"

# %% genuine (given)
def is_genuine(secret, delivery, sent, body, signature, now):
    """Whether MLflow has signed these news, at most MAX_AGE seconds ago."""

# %% genuine
#: return True if the signature is right and the message is not old.
#: MLflow signs the bytes of "delivery.sent." and then the body; `sent`
#: and `now` are seconds, `sent` as a text. Use `sign`, and compare with
#: hmac.compare_digest. Why is `sent` part of what is signed?
#: hint: Somebody may record a genuine message and send it again next week: look at its age, which can't
#: be faked, since it's signed. `f"...".encode()` makes bytes of a text, and `+` joins bytes.
#: hint: `expected = sign(secret, f"{delivery}.{sent}.".encode() + body)`. If
#: `not hmac.compare_digest(expected, signature)`, return False. Otherwise return whether
#: `abs(now - int(sent)) <= MAX_AGE`.
def is_genuine(secret, delivery, sent, body, signature, now):
    """Whether MLflow has signed these news, at most MAX_AGE seconds ago."""
    expected = sign(secret, f"{delivery}.{sent}.".encode() + body)
    if not hmac.compare_digest(expected, signature):
        return False
    return abs(now - int(sent)) <= MAX_AGE

# %% receive (given)
@contextmanager
def receiving(secret, file, port=0):
    """Append genuine news to a file for as long as the `with` lasts; yield the address."""
    seen = set()  # MLflow sends again what nobody has answered

    class Receiver(BaseHTTPRequestHandler):
        timeout = 5  # seconds, for a sender that says nothing

        def do_POST(self):
            """Answer 204 to what is genuine, 401 to all else."""
            body = self.rfile.read(min(int(self.headers.get("Content-Length", 0)), 100_000))
            names = ("Delivery-Id", "Timestamp", "Signature")
            delivery, sent, signature = (self.headers.get(f"X-MLflow-{n}", "") for n in names)
            genuine = sent.isdecimal() and signature.isascii()
            genuine = genuine and is_genuine(secret, delivery, sent, body, signature, time.time())
            if genuine and delivery not in seen:
                with file.open("ab") as news:
                    news.write(body + b"\n")
                seen.add(delivery)
            self.send_response(204 if genuine else 401)
            self.end_headers()

        def log_message(self, *words):
            """Print nothing about each request."""

    server = HTTPServer(("127.0.0.1", port), Receiver)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()

# %% news-main (given)
def main():
    """Receive news until Ctrl-C."""
    parser = argparse.ArgumentParser(description="Receive the news of MLflow's registry.")
    parser.add_argument("--port", type=int, default=8090)
    port = parser.parse_args().port
    if not os.environ.get("WINEOPS_NEWS_SECRET"):
        raise SystemExit("Set WINEOPS_NEWS_SECRET to the secret that the webhook was created with.")
    settings.output.mkdir(exist_ok=True)
    with receiving(os.environ["WINEOPS_NEWS_SECRET"], settings.output / "news.jsonl", port) as url:
        print(f"News come in at {url} - Ctrl-C stops it")
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print("Stopped.")


if __name__ == "__main__":
    main()

# %% drill (given)
"""Practise a release and a rollback, on a copy of the store: no real alias moves.

python -m wineops.drill
"""

import json
import os
import secrets
import socket
import sqlite3
import sys
import time
from contextlib import closing, contextmanager, suppress

import mlflow
import psutil
import requests
from cryptography.fernet import Fernet

from wineops import settings
from wineops.challenge import challenge
from wineops.news import receiving
from wineops.release import NAME, release

NEWS = settings.output / "news.jsonl"


def copy_store(target):
    """Copy the SQLite store that is open to a file."""
    address = mlflow.get_tracking_uri()
    if not address.startswith("sqlite:///"):
        raise SystemExit(f"A drill needs a copy of the store, and {address} is no SQLite file.")
    source = address.removeprefix("sqlite:///")
    with closing(sqlite3.connect(source)) as store, closing(sqlite3.connect(target)) as copy:
        store.backup(copy)


@contextmanager
def tracking_server(database, log):
    """Start an MLflow server that may send webhooks to this machine; yield its address."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = str(probe.getsockname()[1])
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", port]
    command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{database.as_posix()}"]
    variables = {
        **os.environ,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http",
        "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
        "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": Fernet.generate_key().decode(),
    }
    with log.open("wb") as words:
        server = psutil.Popen(command, env=variables, stdout=words, stderr=words)
    try:
        while server.poll() is None:
            with suppress(requests.RequestException):
                requests.get(f"http://127.0.0.1:{port}/health", timeout=5)
                break
            time.sleep(0.1)
        else:
            raise SystemExit(f"The tracking server ended before it answered: read {log}.")
        yield f"http://127.0.0.1:{port}"
    finally:
        family = [server]
        with suppress(psutil.NoSuchProcess):
            family += server.children(recursive=True)
        for process in reversed(family):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        server.wait()


def champions():
    """Which versions have become the champion, one after the other, as the news say."""
    lines = NEWS.read_text(encoding="utf-8").splitlines()
    news = [json.loads(line)["data"] for line in lines]
    return [one["version"] for one in news if one["alias"] == "champion"]


def practise(client, good, bad, inbox):
    """One Friday evening: take each step, and print what it does and the news that come."""
    set_alias = client.set_registered_model_alias
    steps = [
        (f"by hand: alias champion to version {bad}", set_alias, NAME, "champion", bad),
        ("release rollback", release, client, "rollback"),
        (f"challenge --version {good}", challenge, client, good),
        (f"release candidate {good}", release, client, "candidate", good),
        (f"release champion {good}", release, client, "champion", good),
        ("release rollback", release, client, "rollback"),
        (f"release candidate {good}", release, client, "candidate", good),
        (f"release champion {good}", release, client, "champion", good),
    ]
    patience = 10  # seconds that news may take; once they fail to come, nobody waits again
    known, number = 0, good
    for title, function, *arguments in steps:
        print(f"\n> {title}")
        try:
            function(*arguments)
        except SystemExit as refusal:
            print(refusal)
        before, number = number, client.get_registered_model(NAME).aliases["champion"]
        end = time.time() + patience
        while number != before and len(champions()) == known:
            if time.time() > end:
                patience = 0
                print("No news came.")
                break
            time.sleep(0.02)
        for version in champions()[known:]:
            print(f"NEWS: the champion is version {version}")
        known = len(champions())

    print("\n> forged news")
    forged = {"data": {"name": NAME, "alias": "champion", "version": bad}}
    print("The receiver answers", requests.post(inbox, json=forged, timeout=5).status_code)


def main():
    """Copy the store, start a server on it and a receiver of news, and practise."""
    client = settings.open_store()
    store, copy = mlflow.get_tracking_uri(), settings.output / "drill.db"
    good = client.get_model_version_by_alias(NAME, "champion").version
    versions = client.search_model_versions(f"name = '{NAME}'")
    failed = [one.version for one in versions if one.tags.get("decision") == "failed the gate"]
    if not failed:
        raise SystemExit("The drill needs a version that failed the gate: run block promote.")
    copy_store(copy)
    NEWS.write_text("", encoding="utf-8")
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"  # the server ends with the drill
    os.environ["no_proxy"] = f"127.0.0.1,{requests.utils.getproxies().get('no', '')}"
    secret = secrets.token_urlsafe()
    server = tracking_server(copy, settings.output / "drill-server.log")
    with server as address, receiving(secret, NEWS) as inbox:
        mlflow.set_tracking_uri(address)
        try:
            client = mlflow.MlflowClient()
            for alias in ("previous", "candidate"):  # of a real release
                client.delete_registered_model_alias(NAME, alias)
            client.create_webhook("news", inbox, ["model_version_alias.created"], secret=secret)
            practise(client, str(good), str(failed[0]), inbox)
        finally:
            mlflow.set_tracking_uri(store)


if __name__ == "__main__":
    main()

# %% test-challenger (given)
"""A challenge, a release and news, each on a small scale and on a store of its own."""

import time

import mlflow
import numpy as np
import pytest
import requests

from wineops import release
from wineops.challenge import decide
from wineops.news import receiving, sign


@pytest.fixture
def client(tmp_path, monkeypatch):
    """A store with three versions; the second is the champion, and the third has beaten it."""
    store = mlflow.MlflowClient(f"sqlite:///{(tmp_path / 'mlflow.db').as_posix()}")
    store.create_registered_model(release.NAME)
    for tags in ({}, {}, {"challenge": "won against version 2"}):
        store.create_model_version(release.NAME, "file:///cellar", tags=tags)
    store.set_registered_model_alias(release.NAME, "champion", 2)
    monkeypatch.setattr(release, "smoke_test", lambda client, version: None)
    return store


def test_a_lead_must_be_more_than_chance():
    errors = np.random.default_rng(1).normal(0, 0.6, 300)
    noise = np.random.default_rng(2).normal(0, 0.2, 300)
    assert decide(1.1 * errors, errors)[1] == "won"
    assert decide(errors, 1.1 * errors)[1] == "lost"
    assert decide(errors, errors[::-1] + noise)[1] == "undecided"


def test_a_release_and_the_way_back(client):
    with pytest.raises(SystemExit, match="never challenged"):
        release.release(client, "candidate", 1)
    release.release(client, "candidate", 3)
    release.release(client, "champion", 3)
    aliases = client.get_registered_model(release.NAME).aliases
    assert {alias: int(number) for alias, number in aliases.items()} == {
        "champion": 3,
        "previous": 2,
    }
    release.release(client, "rollback")
    assert int(client.get_model_version_by_alias(release.NAME, "champion").version) == 2

    refused = pytest.raises(SystemExit, match="unlock")
    with release.locked(client), refused, release.locked(client, patience=0):
        pass


def test_only_signed_news_are_kept(tmp_path):
    news, body = tmp_path / "news.jsonl", b'{"data": {}}'
    now = str(int(time.time()))
    with receiving("secret", news) as address:
        for secret, status in (("guessed", 401), ("secret", 204), ("secret", 204)):
            headers = {
                "X-MLflow-Delivery-Id": "1",
                "X-MLflow-Timestamp": now,
                "X-MLflow-Signature": sign(secret, f"1.{now}.".encode() + body),
            }
            assert requests.post(address, body, headers=headers).status_code == status
    assert news.read_bytes() == body + b"\n"

# %% run-challenger (given)
run("wineops.challenge")

# %% run-drill (given)
run("wineops.drill")
