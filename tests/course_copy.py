"""A copy of the course in a temporary folder, and its servers as `make` starts them there.

No browser test touches the course's own labs, settings or store.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from winelab.commands.bench import copy_of_the_course
from winelab.course.build import built_files
from winelab.course.source import read_course
from winelab.system import environment
from winelab.tracking.workspace import PASSED_ON

# A student's folder is not called wine-lab.
FOLDER = "Wine Lab é"

# Seconds in which a server must have ended by itself.
STOP_LIMIT = 60


@contextmanager
def course_copy(folder: Path) -> Iterator[Path]:
    """The root of a copy of the course within `folder`; no process of it is left afterwards.

    AssertionError where there was one.
    """
    root = copy_course(folder)
    try:
        yield root
        assert not (left := still_there(processes(root))), f"these were left behind: {left}"
    finally:
        end(processes(root))


def copy_course(folder: Path) -> Path:
    """Copy the course into a new folder within `folder`, with a .venv of its own; its root.

    What a person's work has left in the original is not in the copy: neither the store, nor
    labs that were worked in.
    """
    root = folder / FOLDER
    copy_of_the_course(root)
    course = read_course(root / "blocks")
    for path, text in built_files(course, root).items():
        if path.parent == root / "labs":
            path.write_text(text, encoding="utf-8")
    _lend_venv(root)
    return root


def _lend_venv(root: Path) -> None:
    """Make a .venv in `root` that has this .venv's packages, and `winelab` from `root`.

    To the course it is finished and current, so that nothing is installed: that would take
    minutes, and the network.
    """
    new = root / environment.VENV
    venv.EnvBuilder(symlinks=os.name != "nt").create(new)
    site = sysconfig.get_path("purelib")
    # The folder of `root` comes first: an editable install of the original follows it.
    lines = f"{root}\nimport site; site.addsitedir({site!r})\n"
    (new / Path(site).relative_to(sys.prefix) / "course.pth").write_text(lines, encoding="utf-8")
    # JupyterLab's pages, kernels and settings.
    for name in ("share", "etc"):
        (new / name).symlink_to(Path(sys.prefix, name), target_is_directory=True)
    # `mlflow models serve` looks for it on PATH.
    server = environment.venv_scripts(root) / "uvicorn"
    server.symlink_to(Path(sysconfig.get_path("scripts"), "uvicorn"))
    environment.write_stamp(root)


@contextmanager
def serving(
    root: Path, target: str, number: int = signal.SIGINT, directly: bool = False
) -> Iterator[str]:
    """The address that ``make lab`` or ``make ui`` prints for the course at `root`.

    A signal ends it afterwards. `directly`, it is started without make, as where there is none.

    AssertionError where it does not come up, or leaves a process behind. None is left even then.
    """
    home = root.parent / "home"
    home.mkdir(exist_ok=True)
    started = ["make", "--no-print-directory", target, "ARGS=--no-browser"]
    if directly or not shutil.which("make"):
        started = [environment.this_python(), "-m", "winelab", target]
        started += ["--no-browser"] * (target == "lab")
    process = subprocess.Popen(
        started,
        cwd=root,
        env=_surroundings(home),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        # As a terminal does: Ctrl-C reaches all that belongs to the command.
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        # A course that begins to set itself up says so in its first line.
        line = process.stdout.readline().strip()
        found = re.search(r": (http://127\.0\.0\.1:\d+\S*) - Ctrl-C stops it$", line)
        assert found, f"make {target} did not start; it says: {line or '(nothing)'}"
        yield found[1]
        family = psutil.Process(process.pid).children(recursive=True)
        os.killpg(process.pid, number)
        said = process.communicate(timeout=STOP_LIMIT)[0]
        assert "Stopped." in said.splitlines(), f"make {target} did not stop: {said}"
        assert process.returncode == 0 or started[0] == "make", process.returncode
        assert not (left := still_there(family)), f"make {target} left these: {left}"
    finally:
        # Only after a failure is there anything to do here.
        with suppress(psutil.Error):
            end([*psutil.Process(process.pid).children(recursive=True)])
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


def _surroundings(home: Path) -> dict[str, str]:
    """What a person's terminal has: nothing of the test run's own variables."""
    ours = ("VIRTUAL_ENV", "JUPYTER_PATH")
    values = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    values = {n: v for n, v in values.items() if n not in ours and not n.startswith("WINELAB_")}
    inside = Path(sys.prefix)
    folders = os.environ.get("PATH", "").split(os.pathsep)
    values["PATH"] = os.pathsep.join(x for x in folders if not Path(x).is_relative_to(inside))
    return {**values, "HOME": str(home), "JUPYTER_PATH": str(home / "more"), "SHELL": "/bin/sh"}


def processes(root: Path) -> list[psutil.Process]:
    """Every process on this machine that works for the course at `root`, whoever started it."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            told = " ".join([*process.cmdline(), *process.environ().values()])
            if str(root) in told and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def started_here() -> list[psutil.Process]:
    """The processes below this one, but for the test run's own."""
    return [
        process
        for process in psutil.Process().children(recursive=True)
        if "winelab.system.forkserver" not in process.cmdline()
    ]


def still_there(these: list[psutil.Process]) -> list[str]:
    """The command lines of those that have not ended after a moment."""
    _, others = psutil.wait_procs(these, timeout=5)
    found = []
    for one in others:
        with suppress(psutil.Error):
            if one.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(one.cmdline()))
    return found


def end(these: list[psutil.Process]) -> None:
    """Ends processes, if they still run."""
    for one in these:
        with suppress(psutil.Error):
            one.kill()
    psutil.wait_procs(these, timeout=10)
