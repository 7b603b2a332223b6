"""The copy of the course that the browser's tests work in: complete, apart, and nothing left."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from course_copy import course_copy

from winelab.core.paths import course_environment
from winelab.system import environment

pytestmark = pytest.mark.skipif(os.name == "nt", reason="ends servers as a terminal does")

WHERE = "import sys, mlflow, winelab; print(winelab.__file__); print(sys.prefix)"


def test_it_is_apart_and_what_still_runs_in_it_is_reported_and_ended(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="were left behind"), course_copy(tmp_path) as root:
        assert " " in root.name and not root.name.isascii()
        names = {path.name for path in root.iterdir()}
        assert {"Makefile", "winelab", "blocks", "labs", "data", ".venv"} <= names
        # What a person left behind.
        assert not {".git", ".winelab", "mlflow.db", "mlruns", "output"} & names
        # Its winelab is its own, the packages are from here, and nothing is to be installed.
        said = subprocess.run(
            [environment.venv_python(root), "-X", "utf8", "-c", WHERE],
            cwd=root / "labs",
            stdout=subprocess.PIPE,
            encoding="utf-8",
            check=True,
        ).stdout
        assert said.splitlines() == [str(root / "winelab" / "__init__.py"), str(root / ".venv")]
        assert environment.is_current(root)
        # A child of no server: it is known by the course that it works for.
        left = subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(600)"],
            env=os.environ | course_environment(root),
        )
    assert not psutil.pid_exists(left.pid)
    left.wait()
