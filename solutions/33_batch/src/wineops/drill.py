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
