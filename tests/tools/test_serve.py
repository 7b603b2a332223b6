"""Servers: a free port, a real start of JupyterLab and of the UI, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import psutil
import pytest
from course_copy import course_copy, serving, still_there
from course_copy import processes as working

from winelab.core import processes
from winelab.core.errors import CourseError
from winelab.core.paths import LABS
from winelab.system import course_servers, serve

posix = pytest.mark.skipif(os.name == "nt", reason="sends signals")

PARENT = """\
import signal, subprocess, sys, time
child = "import signal, time; {child}; print('up', flush=True); time.sleep(60)"
process = subprocess.Popen([sys.executable, "-c", child], stdout=subprocess.PIPE)
process.stdout.readline()
print(process.pid, flush=True)
{parent}
time.sleep(60)
"""
DEAF = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_port_that_is_taken_is_passed_over(host: str) -> None:
    with socket.socket() as taken:
        taken.bind((host, 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert serve.free_port(port) > port
    assert serve.free_port(port) == port
    with pytest.raises(CourseError, match="no port from 65536 to 65635 is free"):
        serve.free_port(65536)


@pytest.mark.parametrize("child", ["pass", pytest.param(DEAF, marks=posix)])
@pytest.mark.parametrize(
    "parent", ["pass", pytest.param(DEAF, marks=posix), pytest.param("sys.exit()", marks=posix)]
)
def test_a_server_is_stopped_with_its_children(tmp_path: Path, parent: str, child: str) -> None:
    code = PARENT.format(parent=parent, child=child)
    server = serve.Server("log", 0, [sys.executable, "-c", code], dict(os.environ))
    server.start(tmp_path, logs=tmp_path / "logs")
    while not server.log.read_text(encoding="utf-8").endswith("\n"):
        time.sleep(0.05)
    below = psutil.Process(int(server.log.read_text(encoding="utf-8")))
    if "exit" in parent:
        # It ended by itself, and its child lives on.
        server.process.wait()
        assert below.is_running()
    processes.stop_group(server.process, limit=0.5)
    assert server.ended()
    assert still_there([below]) == []


@pytest.mark.parametrize(
    ("code", "says", "limit"),
    [
        ("import sys; sys.exit('no such option')", "no such option", 60),
        ("import time; time.sleep(60)", "no answer", 0.3),
    ],
)
def test_a_server_that_does_not_answer_says_why(
    tmp_path: Path, code: str, says: str, limit: float
) -> None:
    port = serve.free_port(45000)
    server = serve.Server("log", port, [sys.executable, "-c", code], dict(os.environ))
    server.start(tmp_path, logs=tmp_path)
    try:
        with pytest.raises(CourseError, match=says):
            server.wait_until_up(limit)
    finally:
        server.stop()


ONE_ANSWER = """\
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("X-Winelab", "ours")
        self.end_headers()

HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).handle_request()
"""


class Other(BaseHTTPRequestHandler):
    """Answers whatever it is asked, as another person's server does."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()


def test_a_port_that_another_takes_at_the_same_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(serve, "ROOT", tmp_path)
    ports: list[int] = []
    others: list[HTTPServer] = []

    def plan(port: int) -> serve.Server:
        if not ports:
            others.append(HTTPServer(("127.0.0.1", port), Other))
            Thread(target=others[0].serve_forever, daemon=True).start()
        ports.append(port)
        command = [sys.executable, "-c", ONE_ANSWER, str(port)]
        return serve.Server("test", port, command, dict(os.environ), mark="ours", ready="It is up")

    try:
        with pytest.raises(CourseError, match="ended by itself"):
            serve.serve(plan, serve.free_port(45100))
    finally:
        others[0].shutdown()
        others[0].server_close()
    assert len(ports) == 2
    assert capsys.readouterr().out == "It is up\n"


@pytest.mark.parametrize("server", ["lab", "ui"])
def test_a_lost_port_is_told_from_another_failure(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "ROOT", tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        lost = course_servers.lab_server(port, "token", dict(os.environ))
        if server == "ui":
            # What `mlflow ui` starts; itself it takes seconds to get there.
            lost.command = [sys.executable, "-m", "uvicorn", f"--port={port}", "http:HTTPStatus"]
        lost.start(tmp_path, logs=tmp_path)
        with pytest.raises(CourseError) as caught:
            lost.wait_until_up()
        assert serve.lost(port, "")
    assert serve.lost(port, str(caught.value))
    assert not serve.lost(port, "the server ended before it answered: no such option")


def test_a_newcomer_gets_the_first_lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(course_servers, "LABS", tmp_path / "labs")
    workspaces = tmp_path / "workspaces"
    assert course_servers.first_page(workspaces) == "/lab/tree/labs"
    for folder in ("labs", "workspaces"):
        (tmp_path / folder).mkdir()
    for name in ("01_import.ipynb", "00_train.ipynb", "notes.ipynb"):
        (tmp_path / "labs" / name).touch()
    assert course_servers.first_page(workspaces) == "/lab/tree/labs/00_train.ipynb"
    (workspaces / "default-37a8.jupyterlab-workspace").touch()
    assert course_servers.first_page(workspaces) == "/lab/tree/labs"


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="there is always a display")
def test_a_browser_is_opened_only_on_a_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert not course_servers.has_display()
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    assert course_servers.has_display()
    for browser in (False, True):
        server = course_servers.lab_server(8888, "token", {}, browser=browser)
        assert ("--no-browser" in server.command) is not browser


FIRST = min(LABS.glob("[0-9]*.ipynb")).name
"""The first lab, which a newcomer gets."""


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the course; the kernel python3 in the person's home beside it does not run."""
    with course_copy(tmp_path_factory.mktemp("servers")) as root:
        spec = {"argv": ["no-such-python"], "display_name": "Wrong", "language": "python"}
        for share in (".local/share/jupyter", "Library/Jupyter", "more"):
            folder = root.parent / "home" / share / "kernels" / "python3"
            folder.mkdir(parents=True)
            (folder / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
        yield root


def ask(address: str, token: str = "", body: bytes | None = None) -> Any:
    """What a server answers, read as JSON where it is."""
    request = urllib.request.Request(address, body, {"Authorization": f"token {token}"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=30) as response:
        text = response.read().decode()
    return json.loads(text) if text.startswith(("{", "[")) else text


@posix
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_jupyterlab_starts_and_ends(course: Path, end: int) -> None:
    with serving(course, "lab", end, directly=True) as address:
        base, _, token = address.partition(f"/lab/tree/labs/{FIRST}?token=")
        page = ask(address)
        assert "@jupyterlab/apputils-extension:announcements" in page
        # Opening one makes the database of trusted notebooks.
        assert ask(f"{base}/api/contents/labs/{FIRST}", token)["type"] == "notebook"
        specs = ask(f"{base}/api/kernelspecs", token)
        assert specs["default"] == "python3"
        names = [spec["spec"]["display_name"] for spec in specs["kernelspecs"].values()]
        assert names == ["Python 3 (ipykernel)"]
        kernel = ask(f"{base}/api/kernels", token, body=b"{}")
        assert kernel["name"] == "python3"
        (running,) = [one for one in working(course) if kernel["id"] in " ".join(one.cmdline())]
        variables = running.environ()
        assert Path(variables["VIRTUAL_ENV"]) == course / ".venv"
        assert Path(running.cmdline()[0]).parent == course / ".venv" / "bin"
        assert variables["MLFLOW_TRACKING_URI"].endswith("/Wine Lab é/mlflow.db")
    # The person's own settings and histories are not touched.
    home = course.parent / "home"
    assert sorted(path.name for path in home.iterdir()) == [".local", "Library", "more"]
    assert [path.name for path in (home / ".local/share/jupyter").iterdir()] == ["kernels"]


@posix
def test_the_ui_starts_and_ends(course: Path) -> None:
    with serving(course, "ui", signal.SIGTERM, directly=True) as address:
        # On the experiments; the front page is about language models.
        base, _, page = address.partition("/#/")
        assert page == "experiments?workflowType=machine_learning"
        assert "<title>MLflow</title>" in ask(base)
        search = f"{base}/ajax-api/2.0/mlflow/experiments/search?max_results=1"
        assert ask(search)["experiments"][0]["name"] == "Default"
        # We, the server and its one worker: each further one is half a second and 200 MB.
        assert len(working(course)) == 3
    assert (course / "mlflow.db").exists()
    assert not (course / "mlartifacts").exists()
