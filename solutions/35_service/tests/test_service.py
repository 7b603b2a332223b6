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
