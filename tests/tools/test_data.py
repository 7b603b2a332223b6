"""The table in place: told by its hash, replaced only by the right file, never lost."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from winelab.tracking import data, twin

# Stands in for the original, whose rows are no part of this project.
FAKE = b'"alcohol";"quality"\n9.4;5\n'
FILES = {"/right.csv": FAKE, "/wrong.csv": b"<html>Please log in to this hotel's network</html>"}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/short.csv":
            # Promises more than it sends, like a connection that breaks.
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(FAKE)
            return
        content = FILES.get(self.path)
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
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
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def fake_original(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "ORIGINAL_SHA256", data._sha256(FAKE))


@pytest.fixture(scope="module")
def content() -> bytes:
    return data.twin_bytes()


@pytest.fixture
def table(tmp_path: Path, content: bytes) -> Path:
    """The twin, alone in a folder, so that any file left behind is seen."""
    path = tmp_path / "data" / "red-wine-quality.csv"
    path.parent.mkdir()
    path.write_bytes(content)
    return path


def assert_refused(table: Path, content: bytes, url: str, *, timeout: float = 5.0) -> str:
    """get_original fails with one sentence, and nothing in the folder has changed."""
    with pytest.raises(data.DataError) as caught:
        data.get_original(table, url, timeout)
    message = str(caught.value)
    assert message.startswith("Nothing was changed, because ")
    assert message.endswith(".")
    assert "\n" not in message
    assert ". " not in message, "one sentence"
    assert url in message
    assert table.read_bytes() == content
    assert [path.name for path in table.parent.iterdir()] == [table.name]
    return message


def test_the_table_is_told_by_its_hash(table: Path, fake_original: None) -> None:
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


def test_the_right_file_replaces_the_twin(
    table: Path,
    server: str,
    fake_original: None,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    mode = table.stat().st_mode
    with caplog.at_level(logging.DEBUG):
        message = data.get_original(table, f"{server}/right.csv")
    assert message == "red-wine-quality.csv now is the original UCI table (SHA-256 checked)."
    assert table.read_bytes() == FAKE
    assert [path.name for path in table.parent.iterdir()] == [table.name]
    assert table.stat().st_mode == mode, "others who could read the table still can"
    assert capfd.readouterr() == ("", ""), "pooch is quiet"


def test_the_original_is_not_downloaded_twice(table: Path, fake_original: None) -> None:
    table.write_bytes(FAKE)
    message = data.get_original(table, "http://127.0.0.1:9/closed.csv")
    assert message == "red-wine-quality.csv already is the original UCI table."


def test_a_missing_table_is_put_in_place(table: Path, server: str, fake_original: None) -> None:
    table.unlink()
    data.get_original(table, f"{server}/right.csv")
    assert data.which_table(table) == "original"


def test_the_real_original_passes_the_real_hash(
    table: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = os.environ.get("WINELAB_ORIGINAL")
    if not name:
        pytest.skip("WINELAB_ORIGINAL is not set: it is the path of UCI's winequality-red.csv")
    monkeypatch.setitem(FILES, "/winequality-red.csv", Path(name).read_bytes())
    data.get_original(table, f"{server}/winequality-red.csv")
    assert table.read_bytes() == Path(name).read_bytes()
    assert data.restore_twin(table) == "red-wine-quality.csv now is the simulated twin."
    assert data.which_table(table) == "twin"


def test_a_wrong_file_changes_nothing(table: Path, content: bytes, server: str) -> None:
    assert "SHA-256 differs" in assert_refused(table, content, f"{server}/wrong.csv")


def test_a_missing_page_changes_nothing(table: Path, content: bytes, server: str) -> None:
    assert "HTTP status 404" in assert_refused(table, content, f"{server}/none.csv")


def test_a_broken_connection_changes_nothing(
    table: Path, content: bytes, server: str, fake_original: None
) -> None:
    # Even though the bytes that did arrive have the right hash here.
    assert "download failed" in assert_refused(table, content, f"{server}/short.csv")


def test_a_closed_port_changes_nothing(table: Path, content: bytes) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        port = taken.getsockname()[1]
        message = assert_refused(table, content, f"http://127.0.0.1:{port}/right.csv")
    assert "check the network" in message


def test_a_server_that_hangs_is_given_up(table: Path, content: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        begin = time.monotonic()
        message = assert_refused(table, content, f"http://127.0.0.1:{port}/right.csv", timeout=0.3)
    assert time.monotonic() - begin < 5, "one try, no retries"
    assert "Timeout" in message


def test_own_changes_are_kept_beside_the_new_table(
    table: Path, content: bytes, server: str, fake_original: None
) -> None:
    for number, name in enumerate(("red-wine-quality.csv.bak", "red-wine-quality.csv.2.bak")):
        mine = content + b"my own row %d\n" % number
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
    assert table.read_bytes() == content


def test_own_changes_stay_when_the_download_fails(table: Path, server: str) -> None:
    table.write_bytes(b"mine\n")
    assert_refused(table, b"mine\n", f"{server}/wrong.csv")


def test_the_twin_comes_back_without_a_network(
    table: Path, content: bytes, fake_original: None
) -> None:
    assert data.restore_twin(table) == "red-wine-quality.csv already is the simulated twin."
    table.write_bytes(FAKE)
    assert data.restore_twin(table) == "red-wine-quality.csv now is the simulated twin."
    assert table.read_bytes() == content
    table.unlink()
    data.restore_twin(table)
    assert table.read_bytes() == content
    assert [path.name for path in table.parent.iterdir()] == [table.name]


def test_a_twin_rounded_otherwise_is_put_in_place_and_named(
    table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table.unlink()
    monkeypatch.setattr(data, "twin_bytes", lambda: b"another platform's\n")
    message = data.restore_twin(table)
    assert "differs from the published one" in message
    assert "git checkout data/red-wine-quality.csv" in message
    assert table.read_bytes() == b"another platform's\n"


def test_a_damaged_summary_changes_nothing(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table.write_bytes(b"mine\n")
    damaged = tmp_path / "red-wine-summary.json"
    monkeypatch.setattr(twin, "SUMMARY", damaged)
    for text in (None, "{", "{}", "[]", '{"seed": 1}'):
        if text is not None:
            damaged.write_text(text, encoding="utf-8")
        with pytest.raises(data.DataError, match="missing or damaged") as caught:
            data.restore_twin(table)
        assert "\n" not in str(caught.value)
    assert [path.name for path in table.parent.iterdir()] == [table.name]
    assert table.read_bytes() == b"mine\n"


def test_a_table_that_cannot_be_replaced_is_named(
    table: Path, content: bytes, server: str, fake_original: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(self: Path, target: Path) -> Path:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "replace", locked)
    with pytest.raises(data.DataError, match="Permission denied"):
        data.get_original(table, f"{server}/right.csv")
    assert table.read_bytes() == content
    assert [path.name for path in table.parent.iterdir()] == [table.name]
