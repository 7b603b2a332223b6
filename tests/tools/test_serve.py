"""Servers: a free port, a real start of JupyterLab and of the UI, and nothing left behind."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
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
from course_copy import end as end_all

from winelab.core import processes
from winelab.core.errors import CourseError
from winelab.core.paths import ROOT
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
        with pytest.raises(CourseError, match="is free"):
            serve.free_port(port, tries=1)
    assert serve.free_port(port) == port
    with pytest.raises(CourseError):
        serve.free_port(65536)


def gone(pid: int) -> bool:
    """True once a process has ended; waits for it a little."""
    for _ in range(50):
        with contextlib.suppress(psutil.NoSuchProcess):
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                time.sleep(0.1)
                continue
        return True
    return False


@pytest.mark.parametrize("child", ["pass", pytest.param(DEAF, marks=posix)])
@pytest.mark.parametrize(
    "parent", ["pass", pytest.param(DEAF, marks=posix), pytest.param("sys.exit()", marks=posix)]
)
def test_a_server_is_stopped_with_its_children(tmp_path: Path, parent: str, child: str) -> None:
    log = tmp_path / "logs" / "log"
    code = PARENT.format(parent=parent, child=child)
    process = serve.start_server([sys.executable, "-c", code], dict(os.environ), tmp_path, log)
    while not log.read_text(encoding="utf-8").endswith("\n"):
        time.sleep(0.05)
    pid = int(log.read_text(encoding="utf-8"))
    if "exit" in parent:
        # It ended by itself, and its child lives on.
        process.wait()
        assert psutil.pid_exists(pid)
    processes.stop_group(process, limit=0.5)
    assert process.poll() is not None
    assert gone(pid)


@pytest.mark.parametrize(
    ("code", "says"),
    [("import sys; sys.exit('no such option')", "no such option"),
     ("import time; time.sleep(60)", "no answer")],
)  # fmt: skip
def test_a_server_that_does_not_answer_says_why(tmp_path: Path, code: str, says: str) -> None:
    log = tmp_path / "log"
    process = serve.start_server([sys.executable, "-c", code], dict(os.environ), tmp_path, log)
    limit = 60 if says == "no such option" else 0.3
    try:
        with pytest.raises(CourseError, match=says):
            address = f"http://127.0.0.1:{serve.free_port(45000)}"
            serve.wait_until_up(process, address, log, limit)
    finally:
        processes.stop_group(process)


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
        address = f"http://127.0.0.1:{port}"
        return serve.Server("test", command, dict(os.environ), address, mark="ours", ready=address)

    try:
        with pytest.raises(CourseError, match="ended by itself"):
            serve.serve(plan, serve.free_port(45100))
    finally:
        others[0].shutdown()
        others[0].server_close()
    assert len(ports) == 2
    assert capsys.readouterr().out == f"http://127.0.0.1:{ports[1]}\n"


@pytest.mark.parametrize("server", ["lab", "ui"])
def test_a_lost_port_is_told_from_another_failure(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "ROOT", tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = course_servers.lab_command(port, "/lab", browser=False)
        if server == "ui":
            # What `mlflow ui` starts; itself it takes seconds to get there.
            command = [sys.executable, "-m", "uvicorn", "--port", str(port), "http:HTTPStatus"]
        log = tmp_path / "log"
        variables = {**os.environ, **course_servers.jupyter_variables()}
        process = serve.start_server(command, variables, tmp_path, log)
        with pytest.raises(CourseError) as caught:
            serve.wait_until_up(process, f"http://127.0.0.1:{port}", log)
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
    assert "--no-browser" in course_servers.lab_command(8888, "/lab", browser=False)
    assert "--no-browser" not in course_servers.lab_command(8888, "/lab", browser=True)


@pytest.fixture
def course(tmp_path: Path) -> Path:
    """A copy of the course with one empty lab, in a folder with a space and an accent."""
    root = tmp_path / "Wine Lab é"
    shutil.copytree(ROOT / "winelab", root / "winelab")
    (root / "labs").mkdir()
    empty = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (root / "labs" / "00_train.ipynb").write_text(json.dumps(empty), encoding="utf-8")
    return root


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A person's home with a kernel of its own that is also called python3, and does not run."""
    home = tmp_path / "home"
    spec = {"argv": ["no-such-python"], "display_name": "Wrong", "language": "python"}
    for share in (home / ".local/share/jupyter", home / "Library/Jupyter", home / "m"):
        (share / "kernels" / "python3").mkdir(parents=True)
        (share / "kernels" / "python3" / "kernel.json").write_text(json.dumps(spec))
    return home


@contextlib.contextmanager
def serving(
    function: str, course: Path, home: Path, end: int
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Runs lab() or ui() of a copy of the course; gives its address, then ends it."""
    code = f"from winelab.commands import servers; raise SystemExit(servers.{function}())"
    with processes.default_signals():
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=course,
            env={**os.environ, "HOME": str(home), "JUPYTER_PATH": str(home / "m"), "DISPLAY": ""},
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        found = re.search(r": (http://127\.0\.0\.1:\d+\S*) - Ctrl-C stops it$", line.strip())
        assert found, line
        yield found[1], process
        family = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(end)
        assert process.communicate(timeout=30)[0] == "Stopped.\n"
        assert process.returncode == 0
        assert [member for member in family if not gone(member.pid)] == []
    finally:
        # Only after a failure is there anything to do here.
        with contextlib.suppress(psutil.NoSuchProcess):
            family = psutil.Process(process.pid).children(recursive=True)
            end_all([psutil.Process(process.pid), *family])
        process.wait()


def ask(address: str, token: str = "", body: bytes | None = None) -> Any:
    """What a server answers, read as JSON where it is."""
    headers = {"Authorization": f"token {token}"} if token else {}
    request = urllib.request.Request(address, data=body, headers=headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=30) as response:
        text = response.read().decode()
    return json.loads(text) if text.startswith(("{", "[")) else text


@posix
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_jupyterlab_starts_and_ends(course: Path, home: Path, end: int) -> None:
    with serving("lab", course, home, end) as (address, process):
        base, _, token = address.partition("/lab/tree/labs/00_train.ipynb?token=")
        page = ask(address)
        assert "@jupyterlab/apputils-extension:announcements" in page
        assert ask(f"{base}/api/contents/labs", token)["content"][0]["name"] == "00_train.ipynb"
        # Opening one makes the database of trusted notebooks.
        assert ask(f"{base}/api/contents/labs/00_train.ipynb", token)["type"] == "notebook"
        specs = ask(f"{base}/api/kernelspecs", token)
        assert specs["default"] == "python3"
        assert {spec["spec"]["display_name"] for spec in specs["kernelspecs"].values()} == {
            "Python 3 (ipykernel)"
        }
        kernel = ask(f"{base}/api/kernels", token, body=b"{}")
        assert kernel["name"] == "python3"
        family = psutil.Process(process.pid).children(recursive=True)
        (running,) = [one for one in family if kernel["id"] in " ".join(one.cmdline())]
        assert Path(running.environ()["VIRTUAL_ENV"]) == course / ".venv"
        assert running.cmdline()[0] == sys.executable
        assert running.environ()["MLFLOW_TRACKING_URI"].endswith("/Wine Lab é/mlflow.db")
    # The person's own settings and histories are not touched.
    assert sorted(path.name for path in home.iterdir()) == [".local", "Library", "m"]
    assert [path.name for path in (home / ".local/share/jupyter").iterdir()] == ["kernels"]


@posix
def test_the_ui_starts_and_ends(course: Path, home: Path) -> None:
    with serving("ui", course, home, signal.SIGTERM) as (address, process):
        # On the experiments; the front page is about language models.
        base, _, page = address.partition("/#/")
        assert page == "experiments?workflowType=machine_learning"
        assert "<title>MLflow</title>" in ask(base)
        search = f"{base}/ajax-api/2.0/mlflow/experiments/search?max_results=1"
        assert ask(search)["experiments"][0]["name"] == "Default"
        # The server and its one worker: every further process is half a second and 200 MB.
        assert len(psutil.Process(process.pid).children(recursive=True)) == 2
    assert (course / "mlflow.db").exists()
    assert not (course / "mlartifacts").exists()
