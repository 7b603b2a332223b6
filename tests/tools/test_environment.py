"""Setting up .venv: when it is done, when again, and what is said when it fails."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from winelab.core import console
from winelab.core.errors import CourseError
from winelab.core.paths import STATE
from winelab.system import environment
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
import zipfile
from pathlib import Path

def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    name = "toy-1-py3-none-any.whl"
    info = "toy-1.dist-info"
    with zipfile.ZipFile(Path(wheel_directory, name), "w") as wheel:
        wheel.writestr("toy.pth", str(Path.cwd()))
        wheel.writestr(info + "/METADATA", "Metadata-Version: 2.1\\nName: toy\\nVersion: 1\\n")
        tag = "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
        wheel.writestr(info + "/WHEEL", tag)
        wheel.writestr(info + "/RECORD", "")
    return name
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A made-up course of one package, in a folder with a space and an accent."""
    root = tmp_path / "Wine Lab é"
    (root / "winelab").mkdir(parents=True)
    (root / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    (root / "backend.py").write_text(BACKEND, encoding="utf-8")
    (root / "winelab" / "__init__.py").touch()
    store = 'from pathlib import Path\nPath("store-made").touch()\n'
    (root / "winelab" / "__main__.py").write_text(store, encoding="utf-8")
    (root / "requirements.txt").write_text("./little-1-py3-none-any.whl\n", encoding="utf-8")
    with zipfile.ZipFile(root / "little-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("little.py", "ANSWER = 42\n")
        info = "little-1.dist-info"
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: little\nVersion: 1\n")
        tag = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        wheel.writestr(f"{info}/WHEEL", tag)
        record = "little.py,,\n" + "".join(f"{info}/{n},,\n" for n in ("METADATA", "WHEEL"))
        wheel.writestr(f"{info}/RECORD", f"{record}{info}/RECORD,,\n")
    return root


@pytest.fixture
def installs(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Makes .venv bare and installs nothing; the list gets a root for each installation."""
    calls: list[Path] = []

    def bare(root: Path, uv: object, version: object, python: str) -> list[str]:
        return [python, "-m", "venv", "--without-pip", str(root / ".venv")]

    monkeypatch.setattr(environment, "venv_command", bare)
    monkeypatch.setattr(environment, "install", calls.append)
    return calls


def ask(root: Path, code: str) -> str:
    """What the made-up .venv prints."""
    command = [str(environment.venv_python(root)), "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root.parent)
    return done.stdout.strip()


@pytest.mark.parametrize("tool", ["uv", "pip"])
def test_a_real_set_up(root: Path, tool: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if tool == "pip":
        monkeypatch.setattr(environment, "find_uv", lambda: None)
    elif environment.find_uv() is None:
        pytest.skip("uv is not installed")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("PYTHONPATH", str(root / "nowhere"))
    assert set_up(root)
    assert ask(root, "import little; print(little.ANSWER)") == "42"
    # Editable: what is imported lies in the course's folder, wherever a process starts.
    assert Path(ask(root, "import winelab; print(winelab.__file__)")).parent == root / "winelab"
    assert list((root / ".venv").rglob("little.*.pyc")), "the packages are not compiled"
    assert (root / "store-made").exists()
    assert set_up(root) is False


def test_nothing_to_do_the_second_time(root: Path, installs: list[Path]) -> None:
    assert set_up(root)
    started = time.perf_counter()
    assert not set_up(root)
    assert time.perf_counter() - started < 1
    assert installs == [root]


@pytest.mark.parametrize("name", ["requirements.txt", "pyproject.toml"])
def test_other_pins_are_installed_into_the_same_venv(
    root: Path, installs: list[Path], name: str
) -> None:
    set_up(root)
    (root / ".venv" / "mark").touch()
    with (root / name).open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    assert set_up(root)
    assert len(installs) == 2
    assert (root / ".venv" / "mark").exists()


def test_line_ends_are_no_change(root: Path, installs: list[Path]) -> None:
    set_up(root)
    text = (root / "requirements.txt").read_bytes()
    (root / "requirements.txt").write_bytes(text.replace(b"\n", b"\r\n"))
    assert not set_up(root)


def move(root: Path) -> Path:
    return root.rename(root.with_name("moved"))


def copy(root: Path) -> Path:
    return Path(shutil.copytree(root, root.with_name("copied"), symlinks=True))


def lose_python(root: Path) -> Path:
    python = environment.venv_python(root)
    python.unlink()
    python.symlink_to(root / "removed" / "python3")
    return root


def change_python(root: Path) -> Path:
    stamp = {**environment.read_stamp(root), "python": "3.10"}
    environment.write_stamp(root, stamp)
    return root


def spoil_stamp(root: Path) -> Path:
    (root / ".venv" / environment.STAMP).write_text("{", encoding="utf-8")
    return root


@pytest.mark.skipif(os.name == "nt", reason="makes symbolic links")
@pytest.mark.parametrize("change", [move, copy, lose_python, change_python, spoil_stamp])
def test_a_venv_that_does_not_belong_here_is_made_anew(
    root: Path, installs: list[Path], change: Callable[[Path], Path]
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
    root: Path, installs: list[Path], monkeypatch: pytest.MonkeyPatch, first: bool
) -> None:
    if not first:
        set_up(root)
        (root / "requirements.txt").write_text("other\n", encoding="utf-8")

    def interrupted(root: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(environment, "install", interrupted)
        with pytest.raises(KeyboardInterrupt):
            set_up(root)
    assert not environment.is_current(root)
    (root / ".venv" / "half").touch()
    assert set_up(root)
    assert not (root / ".venv" / "half").exists()


def test_two_terminals_set_up_once(
    root: Path, installs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(root: Path) -> None:
        time.sleep(0.5)
        installs.append(root)

    monkeypatch.setattr(environment, "install", slow)
    with ThreadPoolExecutor() as terminals:
        assert sorted(terminals.map(set_up, [root, root])) == [False, True]
    assert installs == [root]
    assert environment.is_current(root)


@pytest.mark.parametrize("tool", ["uv", "pip"])
def test_a_failed_installation_is_one_sentence_and_not_done(
    root: Path, tool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if tool == "pip":
        monkeypatch.setattr(environment, "find_uv", lambda: None)
    elif environment.find_uv() is None:
        pytest.skip("uv is not installed")
    (root / "requirements.txt").write_text("./not-there.whl\n", encoding="utf-8")
    with pytest.raises(CourseError, match="could not install the packages") as caught:
        set_up(root)
    sentence = str(caught.value)
    assert "not-there" in sentence
    assert "\n" not in sentence
    assert not environment.is_current(root)


def test_advice_fits_the_message() -> None:
    assert "python3-venv" in environment.advice("... ensurepip is not\navailable ...")
    assert "room" in environment.advice("OSError: No space left on device")
    assert "online" in environment.advice("Failed to fetch: connection refused")


def test_the_end_of_a_message_is_one_short_line() -> None:
    assert console.end_of("a\n\n  b   c\n") == "a b c"
    assert len(console.end_of("word " * 1000)) <= 400
    assert console.end_of("\n") == "(it said nothing)"


@pytest.mark.parametrize(
    ("version", "fits"),
    [((3, 10), False), ((3, 11), True), ((3, 14), True), ((3, 15), False), ((4, 0), False)],
)
def test_versions_of_python(version: tuple[int, int], fits: bool) -> None:
    assert environment.allows(">=3.11,<3.15", version) is fits


def test_a_specifier_that_is_not_understood_is_refused() -> None:
    with pytest.raises(CourseError, match="not understood"):
        environment.allows("~=3.11", (3, 11))


def test_requires_python_is_read_from_pyproject(root: Path) -> None:
    assert environment.requires_python(root) == ">=3.11,<3.15"
    (root / "pyproject.toml").write_text("[project]\n", encoding="utf-8")
    with pytest.raises(CourseError):
        environment.requires_python(root)


def test_the_running_python_is_taken_if_it_fits(root: Path) -> None:
    for uv in ("/bin/uv", None):
        assert "/this/python" in environment.venv_command(root, uv, (3, 12), "/this/python")


def test_uv_is_asked_for_another_python(root: Path) -> None:
    command = environment.venv_command(root, "/bin/uv", (3, 9), "/this/python")
    assert ">=3.11,<3.15" in command
    assert "/this/python" not in command


def test_without_uv_a_wrong_python_is_one_sentence(root: Path) -> None:
    with pytest.raises(CourseError) as caught:
        environment.venv_command(root, None, (3, 9), "/this/python")
    sentence = str(caught.value)
    assert "Python 3.9" in sentence
    assert ">=3.11,<3.15" in sentence
    assert "make setup PYTHON=python3.14" in sentence


@pytest.mark.skipif(os.name == "nt", reason="writes a shell script")
def test_a_uv_that_does_not_run_is_no_uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uv = tmp_path / "uv"
    uv.write_text("#!/bin/sh\nexit 127\n", encoding="utf-8")
    uv.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert environment.find_uv() is None
    uv.write_text("#!/bin/sh\nexit 0\n", encoding="utf-8")
    assert environment.find_uv() == str(uv)


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


def test_it_is_known_whether_this_is_the_venv(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not environment.in_venv(root)
    monkeypatch.setattr(sys, "prefix", str(root / ".venv"))
    assert environment.in_venv(root)


def test_a_folder_that_cannot_be_written_is_one_sentence(root: Path) -> None:
    # A file in the way: that stops the administrator too, who may write anywhere.
    (root / STATE).touch()
    with pytest.raises(CourseError, match="folder of your own"):
        set_up(root)
