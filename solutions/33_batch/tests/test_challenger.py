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
