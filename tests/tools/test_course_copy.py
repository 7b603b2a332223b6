"""The copy of the course that the browser's tests work in: complete, apart, and nothing left."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from course_copy import course_copy, processes, serving, still_there

from winelab.core.paths import ROOT, course_environment
from winelab.system import environment

pytestmark = pytest.mark.skipif(os.name == "nt", reason="ends servers as a terminal does")

WHERE = "import sys, mlflow, winelab; print(winelab.__file__); print(sys.prefix)"


def test_it_has_winelab_from_itself_and_the_packages_from_here(tmp_path: Path) -> None:
    with course_copy(tmp_path) as root:
        python = environment.venv_python(root)
        done = subprocess.run(
            [str(python), "-c", WHERE],
            cwd=root / "labs",
            capture_output=True,
            encoding="utf-8",
            env=os.environ | {"PYTHONUTF8": "1"},
        )
        assert done.stdout.splitlines() == [
            str(root / "winelab" / "__init__.py"),
            str(root / ".venv"),
        ], done.stderr
        command = [str(environment.venv_scripts(root) / "jupyter"), "--version"]
        assert subprocess.run(command, capture_output=True, check=True).stdout
        # Nothing is installed when a command is called in it.
        assert environment.is_current(root)
        assert environment.is_current(ROOT) or environment.read_stamp(ROOT) == {}


def test_what_a_person_left_behind_is_not_in_it(tmp_path: Path) -> None:
    with course_copy(tmp_path) as root:
        assert " " in root.name and not root.name.isascii()
        names = {path.name for path in root.iterdir()}
        assert {"Makefile", "winelab", "blocks", "labs", "data", ".venv"} <= names
        assert not {".git", ".winelab", "mlflow.db", "mlruns", "output"} & names


def test_what_still_runs_is_reported_and_ended(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="were left behind"), course_copy(tmp_path) as root:
        # A child of no server: it is known by the course that it works for.
        left = subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(600)"],
            env=os.environ | course_environment(root),
        )
    assert not psutil.pid_exists(left.pid)
    left.wait()


def test_a_server_ends_with_a_test_that_fails(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), course_copy(tmp_path) as root, serving(root, "ui"):
        found = processes(root)
        assert len(found) > 1
        raise ZeroDivisionError
    assert still_there(found) == []


def test_a_server_that_does_not_start_is_told(tmp_path: Path) -> None:
    with course_copy(tmp_path) as root:
        servers = root / "winelab" / "commands" / "servers.py"
        servers.write_text("raise SystemExit('no Jupyter')", "utf-8")
        with pytest.raises(AssertionError, match="make lab did not start; it says: no Jupyter"):
            serving(root, "lab").__enter__()
