"""Setting up .venv: when it is done, when again, and what is said when it fails."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock

import pytest

from tools import wheels
from tools.wheels import write_wheel
from winelab.core import console
from winelab.core.errors import CourseError
from winelab.core.paths import ROOT, STATE
from winelab.system import environment, uv
from winelab.system.environment import set_up

PYPROJECT = """\
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "toy"
version = "1"
requires-python = ">=3.11,<3.15"
"""

# As small as a build backend can be: it needs nothing from the network.
BACKEND = """\
from pathlib import Path
from wheels import write_wheel

def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    return write_wheel(Path(wheel_directory), "toy", "1", {"toy.pth": str(Path.cwd())})
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A made-up course of one package, in a folder with a space and an accent."""
    root = tmp_path / "Wine Lab é"
    (root / "winelab").mkdir(parents=True)
    wheel = write_wheel(root, "little", "1", {"little.py": "ANSWER = 42\n"})
    store = 'from pathlib import Path\nPath("store-made").touch()\n'
    for name, text in {
        "pyproject.toml": PYPROJECT,
        "backend.py": BACKEND,
        "requirements.txt": f"./{wheel}\n",
        "winelab/__init__.py": "",
        "winelab/__main__.py": store,
    }.items():
        (root / name).write_text(text, encoding="utf-8")
    shutil.copy(wheels.__file__, root)
    return root


@pytest.fixture
def installs(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Makes .venv bare and installs nothing; the list gets each command that would."""
    calls: list[list[str]] = []

    def run(command: list[str], root: Path, purpose: str) -> None:
        if command[1] == "venv":
            make = [environment.this_python(), "-m", "venv", "--without-pip", command[-1]]
            subprocess.run(make, check=True)
        else:
            calls.append(command)

    monkeypatch.setattr(environment, "get_uv", lambda root: "uv")
    monkeypatch.setattr(environment, "run_installer", run)
    return calls


@pytest.fixture
def real_uv(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine's uv, or the one of this course; skipped where nothing has needed one yet."""
    if (found := uv.find_uv(ROOT)) is None:
        pytest.skip("there is no uv here: `make setup` fetches it when it is needed")
    monkeypatch.setattr(environment, "get_uv", lambda root: found)


def ask(root: Path, code: str) -> str:
    """What the made-up .venv prints."""
    command = [str(environment.venv_python(root)), "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root.parent)
    return done.stdout.strip()


@pytest.mark.parametrize("quickly", [False, True])
def test_a_real_set_up(
    root: Path, real_uv: None, quickly: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("PYTHONPATH", str(root / "nowhere"))
    assert set_up(root, quickly)
    assert ask(root, "import little; print(little.ANSWER)") == "42"
    # Editable: what is imported lies in the course's folder, wherever a process starts.
    assert Path(ask(root, "import winelab; print(winelab.__file__)")).parent == root / "winelab"
    compiled = [bool(list((root / ".venv").rglob("little.*.pyc")))]
    # What a quick one left is done beside other work, once.
    with environment.compiling(root):
        end = time.monotonic() + 60
        while (root / ".venv" / environment.UNCOMPILED).exists() and time.monotonic() < end:
            time.sleep(0.05)
    compiled.append(bool(list((root / ".venv").rglob("little.*.pyc"))))
    assert compiled == [not quickly, True]
    assert (root / "store-made").exists() is not quickly
    assert set_up(root) is False


def test_compiling_ends_with_what_it_is_done_beside(root: Path, installs: list[list[str]]) -> None:
    set_up(root, quickly=True)
    assert "--no-compile-bytecode" in installs[0]
    with environment.compiling(root):
        pass
    # It hardly had the time to begin: the next one does it.
    assert (root / ".venv" / environment.UNCOMPILED).exists()
    assert set_up(root) is False


@pytest.mark.parametrize("name", ["requirements.txt", "pyproject.toml"])
def test_other_pins_are_installed_into_the_same_venv(
    root: Path, installs: list[list[str]], name: str
) -> None:
    set_up(root)
    (root / ".venv" / "mark").touch()
    with (root / name).open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    assert set_up(root)
    assert len(installs) == 4
    assert (root / ".venv" / "mark").exists()


def test_line_ends_are_no_change(root: Path, installs: list[list[str]]) -> None:
    set_up(root)
    text = (root / "requirements.txt").read_bytes()
    (root / "requirements.txt").write_bytes(text.replace(b"\n", b"\r\n"))
    assert not set_up(root)


def lose_python(root: Path) -> Path:
    python = environment.venv_python(root)
    python.unlink()
    python.symlink_to(root / "removed" / "python3")
    return root


def change_python(root: Path) -> Path:
    stamp = {**environment.read_stamp(root), "python": "3.10"}
    (root / ".venv" / environment.STAMP).write_text(json.dumps(stamp), encoding="utf-8")
    return root


def spoil_stamp(root: Path) -> Path:
    (root / ".venv" / environment.STAMP).write_text("{", encoding="utf-8")
    return root


@pytest.mark.skipif(os.name == "nt", reason="makes symbolic links")
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda root: root.rename(root.with_name("moved")), id="move"),
        pytest.param(
            lambda root: shutil.copytree(root, root.with_name("copied"), symlinks=True), id="copy"
        ),
        lose_python,
        change_python,
        spoil_stamp,
    ],
)
def test_a_venv_that_does_not_belong_here_is_made_anew(
    root: Path, installs: list[list[str]], change: Callable[[Path], Path]
) -> None:
    set_up(root)
    (root / ".venv" / "mark").touch()
    root = change(root)
    assert not environment.is_current(root)
    assert set_up(root)
    assert not (root / ".venv" / "mark").exists()
    assert not set_up(root)


@pytest.mark.parametrize("first", [True, False])
def test_an_interrupted_set_up_is_finished_the_next_time(
    root: Path, installs: list[list[str]], first: bool
) -> None:
    if not first:
        set_up(root)
        (root / "requirements.txt").write_text("other\n", encoding="utf-8")

    interrupted = mock.patch.object(environment, "install", side_effect=KeyboardInterrupt)
    with interrupted, pytest.raises(KeyboardInterrupt):
        set_up(root)
    assert not environment.is_current(root)
    (root / ".venv" / "half").touch()
    assert set_up(root)
    assert not (root / ".venv" / "half").exists()


def test_two_terminals_set_up_once(
    root: Path, installs: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(root: Path, quickly: bool) -> None:
        time.sleep(0.5)
        installs.append([])

    monkeypatch.setattr(environment, "install", slow)
    with ThreadPoolExecutor() as terminals:
        assert sorted(terminals.map(set_up, [root, root])) == [False, True]
    assert installs == [[]]
    assert environment.is_current(root)


def test_a_failed_installation_is_one_sentence_and_not_done(root: Path, real_uv: None) -> None:
    (root / "requirements.txt").write_text("./not-there.whl\n", encoding="utf-8")
    with pytest.raises(CourseError, match="could not install the packages") as caught:
        set_up(root)
    sentence = str(caught.value)
    assert "not-there" in sentence
    assert "\n" not in sentence
    assert not environment.is_current(root)


@pytest.mark.parametrize(
    ("message", "word"),
    [
        ("... ensurepip is not\navailable ...", "python3-venv"),
        ("OSError: No space left on device", "room"),
        ("Failed to fetch: connection refused", "online"),
    ],
)
def test_advice_fits_the_message(message: str, word: str) -> None:
    assert word in uv.advice(message)


def test_the_end_of_a_message_is_one_short_line() -> None:
    assert console.end_of("a\n\n  b   c\n") == "a b c"
    assert len(console.end_of("word " * 1000)) <= 400
    assert console.end_of("\n") == "(it said nothing)"


@pytest.mark.parametrize("minor", [10, 11, 14, 15])
def test_a_python_that_does_not_fit_is_no_reason_to_stop(
    root: Path, minor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []

    def fails(command: list[str], root: Path, purpose: str) -> None:
        commands.append(command)
        raise CourseError("no interpreter found")

    monkeypatch.setattr(environment, "get_uv", lambda root: "uv")
    monkeypatch.setattr(environment, "run_installer", fails)
    monkeypatch.setattr(sys, "version_info", (3, minor, 0))
    with pytest.raises(CourseError) as caught:
        environment.make_venv(root)
    fits = minor in (11, 14)
    # uv looks for another; where there is none, the sentence says what to do.
    wanted = environment.this_python() if fits else ">=3.11,<3.15"
    assert commands == [["uv", "venv", "--quiet", "--python", wanted, str(root / ".venv")]]
    words = [f"This is Python 3.{minor}", "make setup PYTHON=python3.14"]
    assert [word in str(caught.value) for word in words] == [not fits, not fits]


def test_requires_python_must_be_understood(root: Path) -> None:
    (root / "pyproject.toml").write_text('requires-python = "~=3.11"\n', encoding="utf-8")
    with pytest.raises(CourseError, match="no requires-python such as"):
        environment.requires_python(root)


# --- uv -----------------------------------------------------------------------------------------


@pytest.fixture
def offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without uv, and a folder of wheels with a made-up one, which prints "mine"."""
    if os.name == "nt":
        pytest.skip("makes a shell script")
    folder = tmp_path / "my wheels"
    folder.mkdir()
    script = {f"uv-{uv.UV}.data/scripts/uv": "#!/bin/sh\necho mine\n"}
    write_wheel(folder, "uv", uv.UV, script)
    monkeypatch.setenv("PATH", os.defpath)
    if shutil.which("uv"):
        pytest.skip("uv is one of the system's own commands here")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", folder.as_uri())
    uv.pip_settings.cache_clear()
    return folder


def test_uv_is_fetched_by_pip_where_there_is_none(
    root: Path, offered: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What a person's settings for pip may say, and what stops `pip install --target`.
    monkeypatch.setenv("PIP_USER", "1")
    monkeypatch.setenv("PIP_REQUIRE_VIRTUALENV", "1")
    found = uv.get_uv(root)
    assert Path(found).is_relative_to(root / STATE)
    assert subprocess.check_output([found], encoding="utf-8") == "mine\n"
    # It hears what pip was told.
    assert uv.pip_settings()["UV_FIND_LINKS"] == offered.as_uri()
    assert uv.pip_settings()["UV_NO_INDEX"] == "1"
    for wheel in offered.iterdir():
        wheel.unlink()
    assert uv.get_uv(root) == found


def test_without_pip_it_takes_one_from_an_environment(
    root: Path, offered: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uv, "find_spec", lambda name: None)
    assert Path(uv.get_uv(root)).is_relative_to(root / STATE)


def test_a_uv_that_cannot_be_fetched_is_one_sentence(root: Path, offered: Path) -> None:
    (offered / f"uv-{uv.UV}-py3-none-any.whl").unlink()
    with pytest.raises(CourseError, match=r"could not fetch uv: .*online") as caught:
        set_up(root)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.name == "nt", reason="makes a shell script")
def test_a_uv_that_does_not_run_is_no_uv(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for code in (127, 0):
        stub = tmp_path / "uv"
        stub.write_text(f"#!/bin/sh\nexit {code}\n", encoding="utf-8")
        stub.chmod(0o755)
        assert uv.find_uv(root) == (None if code else str(stub))


# --- processes in .venv -------------------------------------------------------------------------


def test_processes_get_the_store_and_the_commands_of_the_course(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://elsewhere")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv("KEPT", "yes")
    variables = environment.venv_environment(root)
    assert variables["MLFLOW_TRACKING_URI"].endswith("/Wine Lab é/mlflow.db")
    assert "PYTHONPATH" not in variables
    assert variables["KEPT"] == "yes"
    assert variables["PATH"].split(os.pathsep)[0] == str(environment.venv_scripts(root))


def test_a_folder_that_cannot_be_written_is_one_sentence(root: Path) -> None:
    # A file in the way: that stops the administrator too, who may write anywhere.
    (root / STATE).touch()
    with pytest.raises(CourseError, match="folder of your own"):
        set_up(root)
