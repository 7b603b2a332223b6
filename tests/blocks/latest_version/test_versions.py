"""Block 26's `newest_version` in registries of 1, 2 and 11 versions: on SQLite, and by a server.

On SQLite a version is a number, through a server it is a text. The function of the built solution
is asked in both places, and so are the ways that the lesson warns of.
"""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sklearn.linear_model import LinearRegression
from tools.made_up import loaded, mlflow_at

from winelab.core.paths import SOLUTIONS
from winelab.course.source import course
from winelab.system.forkserver import python_that_forks
from winelab.system.serve import HOST, Server, free_port
from winelab.tracking.workspace import clean_workspace, empty_store, workspace_environment

SCRIPT = f"{course().block('latest_version').name}.py"
COUNTS = (1, 2, 11)


@pytest.fixture(scope="module")
def workspace() -> Iterator[Path]:
    """A clean workspace with the script of the block."""
    with clean_workspace() as workspace:
        shutil.copy(SOLUTIONS / SCRIPT, workspace / "solutions")
        yield workspace


@pytest.fixture(scope="module")
def solution(workspace: Path) -> ModuleType:
    """The built script as a module: `main` is not run."""
    return loaded(workspace / "solutions" / SCRIPT)


def _served(workspace: Path) -> Iterator[str]:
    """The address of an `mlflow server` of its own, which is stopped afterwards."""
    empty_store(workspace / "server.db")
    port = free_port(5600 + os.getpid() % 300)
    # Forked from a process that has loaded what a server needs, if it can be.
    command = [
        *(python_that_forks(), "-m", "mlflow", "server", "--host", HOST, "--port", str(port)),
        *("--backend-store-uri", f"sqlite:///{(workspace / 'server.db').as_posix()}"),
        *("--artifacts-destination", (workspace / "served").as_uri(), "--workers", "1"),
    ]
    variables = workspace_environment(workspace, MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false")
    # Both would tell the server where to write.
    del variables["MLFLOW_TRACKING_URI"], variables["_MLFLOW_SERVER_ARTIFACT_ROOT"]
    server = Server("server", port, command, variables, "/health")
    server.start(workspace, logs=workspace)
    try:
        server.wait_until_up()
        yield server.address
    finally:
        server.stop()


@pytest.fixture(scope="module", params=["SQLite", "server"])
def uri(request: pytest.FixtureRequest, workspace: Path) -> Iterator[str]:
    """The address of an empty store: of a file, and of a server."""
    if request.param == "server":
        yield from _served(workspace)
    else:
        empty_store(workspace / "scratch.db")
        yield f"sqlite:///{(workspace / 'scratch.db').as_posix()}"


@pytest.fixture(scope="module")
def client(uri: str, solution: ModuleType) -> Iterator[MlflowClient]:
    """A client of the store, where the registered model is named in the settings of the script."""
    with mlflow_at(uri):
        client = MlflowClient(uri, uri)
        client.create_registered_model(solution.registered_name)
        client.create_registered_model("another-model")
        yield client


@pytest.fixture(scope="module")
def grown(client: MlflowClient, solution: ModuleType) -> dict[int, dict[str, object]]:
    """What different ways find when there are 1, 2 and 11 versions, by their number."""
    # A model that lies in the store: a server looks.
    fitted = LinearRegression().fit([[1.0], [2.0]], [1.0, 2.0])
    with mlflow.start_run():
        model = mlflow.sklearn.log_model(fitted, name="model", pip_requirements=["scikit-learn"])

    def add(name: str, count: int) -> None:
        for _ in range(count):
            client.create_model_version(name, model.model_uri, model_id=model.model_id)

    name = solution.registered_name
    add("another-model", 13)
    found = {}
    for count, more in zip(COUNTS, (1, 1, 9), strict=True):
        add(name, more)
        versions = [v.version for v in client.search_model_versions(f"name='{name}'")]
        found[count] = {
            "newest": solution.newest_version(client),
            "as text": max(str(version) for version in versions),
            "as it comes": max(versions),
            "kind": {type(version) for version in versions},
        }
    return found


def test_newest_version_is_the_highest_number(grown: dict[int, dict[str, object]]) -> None:
    found = {count: ways["newest"] for count, ways in grown.items()}
    assert found == {count: count for count in COUNTS}
    assert all(isinstance(version, int) for version in found.values())


def test_versions_are_numbers_on_sqlite_and_texts_through_a_server(
    uri: str, grown: dict[int, dict[str, object]]
) -> None:
    kind = str if uri.startswith("http") else int
    assert all(found["kind"] == {kind} for found in grown.values())


def test_compared_as_texts_the_eleventh_is_older_than_the_ninth(
    uri: str, grown: dict[int, dict[str, object]]
) -> None:
    assert [grown[count]["as text"] for count in COUNTS] == ["1", "2", "9"]
    assert grown[11]["as it comes"] == ("9" if uri.startswith("http") else 11)


@pytest.mark.usefixtures("grown")
class TestWithElevenVersions:
    """In order: each finds what the one before has left."""

    def test_the_order_of_a_search_is_that_of_the_last_description(
        self, client: MlflowClient, solution: ModuleType
    ) -> None:
        name = solution.registered_name
        assert int(client.search_model_versions(f"name='{name}'")[0].version) == 11
        client.update_model_version(name, "2", description="the best of the first day")
        assert int(client.search_model_versions(f"name='{name}'")[0].version) == 2
        assert solution.newest_version(client) == 11

    def test_the_champion_is_found_by_its_alias_and_not_by_a_search(
        self, client: MlflowClient, solution: ModuleType
    ) -> None:
        name = solution.registered_name
        with pytest.raises(SystemExit, match=r"No model has passed the gate of 0\.7"):
            solution.find_champion(client)
        client.set_registered_model_alias(name, "champion", "2")
        champion = solution.find_champion(client)
        assert int(champion.version) == 2
        assert champion.aliases == ["champion"]
        model = mlflow.pyfunc.load_model(f"models:/{name}@champion")
        assert model.predict([[3.0]]) == pytest.approx([3.0])
        found = client.search_model_versions(f"name='{name}'")
        assert len(found) == 11
        assert all(version.aliases == [] for version in found)

    def test_latest_is_the_newest_and_not_the_champion(
        self, client: MlflowClient, solution: ModuleType
    ) -> None:
        name = solution.registered_name
        assert int(client.get_model_version_by_alias(name, "latest").version) == 11
        with pytest.raises(MlflowException, match="reserved"):
            client.set_registered_model_alias(name, "latest", "2")
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            found = client.get_latest_versions(name)
        assert [int(version.version) for version in found] == [11]
        assert any("deprecated since 2.9.0" in str(warning.message) for warning in said)

    def test_a_deleted_version_is_not_the_newest_and_its_number_is_gone(
        self, client: MlflowClient, solution: ModuleType
    ) -> None:
        name = solution.registered_name
        client.delete_model_version(name, "11")
        assert solution.newest_version(client) == 10
        made = mlflow.register_model(client.get_model_version(name, "10").source, name)
        assert int(made.version) == 12
        assert solution.newest_version(client) == 12
