"""The table in place: told by its hash, replaced only by the right file, never lost."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from winelab.core.errors import CourseError
from winelab.tracking import data

# Stands in for the original, whose rows are no part of this project.
FAKE = b'"alcohol";"quality"\n9.4;5\n'
FILES = {
    "/right.csv": FAKE,
    "/short.csv": FAKE,
    "/wrong.csv": b"<html>Please log in to this hotel's network</html>",
}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        content = FILES.get(self.path, b"")
        self.send_response(200 if content else 404)
        # It promises more of one file than it sends, like a connection that breaks.
        length = 1000 if self.path == "/short.csv" else len(content)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: a test's output is no access log."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def fake_original(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked of this machine alone, and known by its hash."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(data, "ORIGINAL_SHA256", data.sha256(FAKE))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """The twin, alone in a folder, so that any file left behind is seen."""
    path = tmp_path / "data" / "red-wine-quality.csv"
    path.parent.mkdir()
    path.write_bytes(data.twin_bytes())
    return path


def assert_unchanged(table: Path, content: bytes) -> None:
    assert table.read_bytes() == content
    assert [path.name for path in table.parent.iterdir()] == [table.name]


def assert_refused(table: Path, url: str, *, timeout: float = 5.0) -> str:
    """get_original fails with one sentence, and nothing in the folder has changed."""
    content = table.read_bytes()
    with pytest.raises(CourseError) as caught:
        data.get_original(table, url, timeout)
    message = str(caught.value)
    assert message.startswith("Nothing was changed, because ")
    assert message.endswith(".")
    assert "\n" not in message
    assert ". " not in message, "one sentence"
    assert url in message
    assert_unchanged(table, content)
    return message


def test_the_table_is_told_by_its_hash(table: Path) -> None:
    assert data.which_table(table) == "twin"
    table.write_bytes(table.read_bytes().replace(b"\n", b"\r\n"))
    assert data.which_table(table) == "twin", "Windows line ends make no other table"
    table.write_bytes(FAKE)
    assert data.which_table(table) == "original"
    table.write_bytes(FAKE + b"9.8;6\n")
    assert data.which_table(table) == "other"
    table.unlink()
    assert data.which_table(table) == "missing"
    assert data.which_table(table.parent) == "missing"


@pytest.mark.parametrize("there", [True, False])
def test_the_right_file_is_put_in_place_once(table: Path, server: str, there: bool) -> None:
    if not there:
        table.unlink()
    mode = table.stat().st_mode if there else None
    message = data.get_original(table, f"{server}/right.csv")
    assert message == "red-wine-quality.csv now is the original UCI table (SHA-256 checked)."
    assert_unchanged(table, FAKE)
    assert mode in (None, table.stat().st_mode), "others who could read the table still can"
    # Nothing is asked a second time.
    message = data.get_original(table, "http://127.0.0.1:9/closed.csv")
    assert message == "red-wine-quality.csv already is the original UCI table."


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        ("wrong.csv", "SHA-256 differs"),
        ("none.csv", "HTTP status 404"),
        # Even though the bytes that did arrive have the right hash here.
        ("short.csv", "download failed"),
    ],
)
def test_a_bad_answer_changes_nothing(table: Path, server: str, page: str, reason: str) -> None:
    assert reason in assert_refused(table, f"{server}/{page}")
    # Nor are somebody's own changes put aside for nothing.
    table.write_bytes(b"mine\n")
    assert_refused(table, f"{server}/{page}")


@pytest.mark.parametrize("listens", [False, True], ids=["not there", "never answers"])
def test_a_server_without_an_answer_is_asked_once(table: Path, listens: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/right.csv"
        if not listens:
            silent.close()
        begin = time.monotonic()
        message = assert_refused(table, url, timeout=0.3)
        assert time.monotonic() - begin < 5
    assert ("Timeout" in message) == listens
    assert "check the network" in message


def test_own_changes_are_kept_beside_the_new_table(table: Path, server: str) -> None:
    for number, name in enumerate(("red-wine-quality.csv.bak", "red-wine-quality.csv.2.bak")):
        mine = b"my own row %d\n" % number
        table.write_bytes(mine)
        message = data.get_original(table, f"{server}/right.csv")
        assert f"Your changed table is kept as {name}." in message
        assert table.with_name(name).read_bytes() == mine
    message = data.restore_twin(table)
    assert "kept" not in message, "the original needs no copy"
    # The same changes again: there is a copy of them already.
    table.write_bytes(mine)
    assert "red-wine-quality.csv.2.bak" in data.restore_twin(table)
    assert len(list(table.parent.iterdir())) == 3
    assert data.which_table(table) == "twin"


def test_the_twin_comes_back_without_a_network(
    table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "socket", None)
    assert data.restore_twin(table) == "red-wine-quality.csv already is the simulated twin."
    table.write_bytes(FAKE)
    assert data.restore_twin(table) == "red-wine-quality.csv now is the simulated twin."
    assert_unchanged(table, data.twin_bytes())
    table.unlink()
    data.restore_twin(table)
    assert_unchanged(table, data.twin_bytes())


@pytest.mark.parametrize("damage", ["missing", "empty", "cut off", "changed"])
def test_a_damaged_copy_of_the_twin_changes_nothing(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    table.write_bytes(b"mine\n")
    copy, content = tmp_path / "red-wine-twin.csv.gz", data.TWIN_COPY.read_bytes()
    monkeypatch.setattr(data, "TWIN_COPY", copy)
    damaged = {"empty": b"", "cut off": content[:-100], "changed": content[:100] + content[101:]}
    if damage in damaged:
        copy.write_bytes(damaged[damage])
    with pytest.raises(CourseError, match=r"red-wine-twin\.csv\.gz is missing or damaged"):
        data.restore_twin(table)
    assert_unchanged(table, b"mine\n")


def test_a_table_that_cannot_be_replaced_is_named(
    table: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(self: Path, target: Path) -> Path:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "replace", locked)
    with pytest.raises(CourseError, match="Permission denied"):
        data.get_original(table, f"{server}/right.csv")
    assert_unchanged(table, data.twin_bytes())
