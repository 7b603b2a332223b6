"""The commands: what they call, what they refuse, and what they say."""

from __future__ import annotations

import ast
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tools.made_up import write_order
from winelab.commands import cli, housekeeping
from winelab.core.errors import CourseError
from winelab.core.paths import ROOT
from winelab.system import environment
from winelab.tracking import data, store

SCRIPT_OF_RUN = """\
import sys, time
from winelab.core.errors import CourseError

def main(number):
    print(sys.prefix, number, flush=True)
    if number == 1:
        raise CourseError("this went wrong")
    if number == 2:
        time.sleep(60)
    return 7
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty course folder; a command finds .venv ready and runs in this process."""
    monkeypatch.setattr(cli, "ROOT", tmp_path)
    monkeypatch.setattr(cli, "BLOCKS", tmp_path / "blocks")
    monkeypatch.setattr(housekeeping, "ROOT", tmp_path)
    monkeypatch.setattr(environment, "set_up", lambda root, quickly: False)
    monkeypatch.setattr(environment, "in_venv", lambda root: True)
    # So that what a command sets is undone after the test.
    monkeypatch.setattr(os, "environ", dict(os.environ))
    write_order(tmp_path / "blocks", "train", "import_mlflow", "run")
    return tmp_path


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of the tools with a bare .venv that counts as set up, in a folder with a space."""
    root = tmp_path / "Wine Lab é"
    no_bytecode = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "winelab", root / "winelab", ignore=no_bytecode)
    for name in ("pyproject.toml", "requirements.txt", "Makefile"):
        shutil.copy(ROOT / name, root)
    write_order(root / "blocks", "block0", "block1", "block2")
    (root / "winelab" / "commands" / "run.py").write_text(SCRIPT_OF_RUN, encoding="utf-8")
    make = [environment.this_python(), "-m", "venv", "--without-pip", str(root / ".venv")]
    subprocess.run(make, check=True)
    environment.write_stamp(root)
    return root


def start(root: Path, *arguments: str, **options: object) -> subprocess.Popen[str]:
    """Starts a command with a Python that is not the one of .venv, and has no packages."""
    return subprocess.Popen(
        [environment.this_python(), "-S", "-m", "winelab", *arguments],
        cwd=root,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        **options,  # type: ignore[call-overload]
    )


Calls = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def calls(here: Path, monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Puts a function in a command's place; the list it gives gets what each call was passed."""

    def replace(command: str, function: Callable[[], int] = lambda: 0) -> list[dict[str, Any]]:
        got: list[dict[str, Any]] = []

        def main(**options: Any) -> int:
            got.append(options)
            return function()

        monkeypatch.setitem(sys.modules, "winelab.made_up", SimpleNamespace(main=main))
        settings = cli.COMMANDS[command][1:]
        monkeypatch.setitem(cli.COMMANDS, command, ("made_up:main", *settings))
        return got

    return replace


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nonsense"], "there is no command 'nonsense'"),
        (["check", "--block", "99"], "There is no block 99: the blocks are 0 to 2"),
        (["check", "--block", "3"], "There is no block 3"),
        (["run", "--block", "three"], "There is no block three: their names"),
        (["run", "--block", "-1"], "There is no block -1"),
        (["lab", "--nobrowser"], "--nobrowser"),
        (["clean", "--al"], "--al"),
        (["setup", "--with", "all"], "invalid choice: 'all'"),
    ],
)
def test_what_is_not_understood_is_one_sentence(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    assert cli.main(arguments) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


def test_a_block_is_given_by_number_by_name_or_not_at_all(calls: Calls) -> None:
    got = calls("outputs")
    for block in ([], ["--block", ""], ["--block", "2"], ["--block", "02"], ["--block=run"]):
        assert cli.main(["outputs", *block]) == 0
    assert [options["number"] for options in got] == [None, None, 2, 2, 2]


def test_other_options_are_passed_on(calls: Calls) -> None:
    got = calls("setup")
    cli.main(["setup"])
    cli.main(["setup", "--with", "browser", "makers"])
    assert got == [{"groups": []}, {"groups": ["browser", "makers"]}]
    got = calls("lab")
    cli.main(["lab"])
    cli.main(["lab", "--no-browser", "--part", "4"])
    assert got == [{"no_browser": False, "part": None}, {"no_browser": True, "part": 4}]


def test_a_command_gets_the_store_of_the_course(
    here: Path, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://elsewhere")
    uri = f"sqlite:///{(here / 'mlflow.db').as_posix()}"
    calls("build", lambda: int(os.environ["MLFLOW_TRACKING_URI"] != uri))
    assert cli.main(["build"]) == 0


def test_data_prints_what_was_done_or_why_not(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def offline() -> str:
        raise CourseError("No answer from UCI.")

    monkeypatch.setattr(data, "get_original", offline)
    monkeypatch.setattr(data, "restore_twin", lambda: "The twin is back.")
    assert cli.main(["data"]) == 1
    assert capsys.readouterr().err == "winelab: No answer from UCI.\n"
    assert cli.main(["data", "--twin"]) == 0
    assert capsys.readouterr().out == "The twin is back.\n"


@pytest.mark.parametrize(
    ("number", "code", "error"), [(0, 7, ""), (1, 1, "winelab: this went wrong\n")]
)
def test_a_command_runs_again_in_the_venv(copied: Path, number: int, code: int, error: str) -> None:
    process = start(copied, "run", "--block", str(number))
    out, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (code, error)
    assert out == f"{copied / '.venv'} {number}\n"


@pytest.mark.skipif(os.name == "nt", reason="sends a signal to a process group")
@pytest.mark.skipif(os.name == "nt", reason="Windows has another error for it")
@pytest.mark.parametrize("command", ["progress", "help", "solution --block 14"])
def test_a_reader_that_has_seen_enough_ends_a_command_quietly(command: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    words = [sys.executable, "-m", "winelab", *command.split()]
    done = subprocess.run(words, cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, encoding="utf-8")
    os.close(writer)
    assert done.returncode == 0
    assert "BrokenPipe" not in done.stderr and "Traceback" not in done.stderr


def test_ctrl_c_ends_a_command_without_a_traceback(copied: Path) -> None:
    process = start(copied, "run", "--block", "2", start_new_session=True)
    assert process.stdout is not None
    assert process.stdout.readline()
    # As a terminal does it: to the whole group.
    os.killpg(process.pid, signal.SIGINT)
    _, error = process.communicate(timeout=30)
    assert (process.returncode, error) == (130, "Stopped.\n")
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["help"], 0, "make lab"),
        (["doctor"], 0, "ok "),
        (["clean"], 0, "Clean."),
        (["run", "--block", "44"], 2, "There is no block 44"),
    ],
)
def test_some_commands_need_no_set_up(
    copied: Path, arguments: list[str], code: int, says: str
) -> None:
    shutil.rmtree(copied / ".venv")
    process = start(copied, *arguments)
    out, error = process.communicate(timeout=30)
    assert "Traceback" not in error
    assert says in out + error
    assert process.returncode == code or arguments == ["doctor"]
    assert not (copied / ".venv").exists()


def test_an_old_python_can_read_what_runs_before_the_set_up() -> None:
    """It says what is wrong, then; a newer syntax would be a traceback."""
    code = (
        "import sys\nfrom winelab.commands import cli, doctor, housekeeping\n"
        "print(*(m.__file__ for n, m in sys.modules.items() if n.startswith('winelab')), sep='\\n')"
    )
    command = [environment.this_python(), "-S", "-c", code]
    files = subprocess.check_output(command, cwd=ROOT, encoding="utf-8").splitlines()
    assert len(files) > 10
    for file in files:
        ast.parse(Path(file).read_text(encoding="utf-8"), feature_version=(3, 8))


def targets() -> set[str]:
    """What the Makefile offers."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z-]+):", text, re.MULTILINE))


def test_makefile_and_commands_are_the_same() -> None:
    assert targets() == set(cli.COMMANDS) - {"store"}


def make(folder: Path, *arguments: str, fails: bool = False) -> str:
    """What make says."""
    command = ["make", *arguments]
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    # `make check` runs this test: what that make tells its children is not for this one.
    told = ("FULL", "BLOCK", "ARGS", "PYTHON")
    outer = {k: v for k, v in os.environ.items() if not k.startswith("MAKE") and k not in told}
    done = subprocess.run(command, cwd=folder, env=outer, capture_output=True, encoding="utf-8")
    assert bool(done.returncode) == fails
    return done.stdout


def test_help_lists_every_target(copied: Path) -> None:
    for arguments in ([], ["help"]):
        out = make(copied, f"PYTHON={environment.this_python()}", *arguments)
        assert set(re.findall(r"^  make ([a-z-]+) +\S", out, re.MULTILINE)) == targets()


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["check", "BLOCK=3"], 'check --block "3"'),
        (["run", "BLOCK=5"], 'run --block "5"'),
        (["outputs", "BLOCK=3"], 'outputs --block "3"'),
        (["data", "TWIN=1"], "data --twin"),
        (["data"], "data"),
        (["lab", "ARGS=--no-browser"], "lab --no-browser"),
        (["lab", "PART=4"], 'lab --part "4"'),
        (["check", "PART=4"], 'check --block "" --part "4"'),
        (["reset", "YES=1"], "reset --yes"),
        (["clean", "ALL=1"], "clean --all"),
    ],
)
def test_make_passes_its_variables_on(arguments: list[str], command: str) -> None:
    assert make(ROOT, "-n", "PYTHON=py", *arguments).strip() == f"py -m winelab {command}"


def test_make_runs_in_a_folder_with_a_space(copied: Path) -> None:
    out = make(copied, "run", "BLOCK=0", f"PYTHON={environment.this_python()}", fails=True)
    assert out == f"{copied / '.venv'} 0\n"


def test_clean_removes_only_what_can_be_made_again(here: Path) -> None:
    made = ["a/__pycache__/x.pyc", ".pytest_cache/x", ".ruff_cache/x", ".mypy_cache/x"]
    made += ["labs/.ipynb_checkpoints/00.ipynb", ".winelab/logs/x", "output/log"]
    kept = ["mlflow.db", "mlruns/1/model/__pycache__/x.pyc", "labs/00.ipynb", "data/table.csv"]
    kept += [f".winelab/{name}" for name in ("old-stores/1/mlflow.db", "kept/03_run.ipynb")]
    kept += [".winelab/stack/.env", ".git/__pycache__/x"]
    for name in [*made, *kept, ".venv/bin/__pycache__/x"]:
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).touch()
    assert cli.main(["clean"]) == 0
    assert [name for name in made if (here / name).exists()] == []
    assert [name for name in kept if not (here / name).exists()] == []
    assert (here / ".venv/bin/__pycache__/x").exists()
    assert cli.main(["clean", "--all"]) == 0
    assert not (here / ".venv").exists()
    assert [name for name in kept if not (here / name).exists()] == []


@pytest.mark.skipif(os.name == "nt", reason="makes a symbolic link")
def test_clean_leaves_what_a_link_leads_to(
    here: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "x").touch()
    (here / "__pycache__").symlink_to(elsewhere)
    (here / "linked").symlink_to(elsewhere)
    assert cli.main(["clean"]) == 0
    assert not (here / "__pycache__").exists()
    assert (elsewhere / "x").exists()
    assert (here / "linked").exists()


@pytest.fixture
def old_store(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A course folder with a store; a fresh one is a file with nothing in it."""
    (here / "mlflow.db").write_text("old", encoding="utf-8")
    (here / "mlflow.db-wal").write_text("old", encoding="utf-8")
    (here / "mlruns" / "1").mkdir(parents=True)
    (here / "mlruns" / "1" / "file").write_text("old", encoding="utf-8")
    monkeypatch.setattr(store, "prepare", lambda root: (root / "mlflow.db").write_bytes(b""))
    return here


def test_reset_puts_the_old_store_aside(
    old_store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["reset", "--yes"]) == 0
    (aside,) = (old_store / housekeeping.OLD_STORES).iterdir()
    assert str(aside) in capsys.readouterr().out
    for name in ("mlflow.db", "mlflow.db-wal", "mlruns/1/file"):
        assert (aside / name).read_text(encoding="utf-8") == "old"
    assert (old_store / "mlflow.db").read_bytes() == b""
    assert not (old_store / "mlruns").exists()


def test_reset_names_what_works_on_the_old_store(
    old_store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(store, "on_an_old_store", lambda root: ["`make ui`"])
    assert cli.main(["reset", "--yes"]) == 0
    assert "Restart `make ui`: it still works on the old store." in capsys.readouterr().out


def test_reset_needs_a_yes(
    old_store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["reset"]) == 1
    assert "--yes" in capsys.readouterr().err
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda question: "y")
    assert cli.main(["reset"]) == 1
    assert (old_store / "mlflow.db").read_text(encoding="utf-8") == "old"
    monkeypatch.setattr("builtins.input", lambda question: "yes")
    assert cli.main(["reset"]) == 0
    assert (old_store / "mlflow.db").read_bytes() == b""


def test_reset_of_a_store_in_use_changes_nothing(
    old_store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rename = Path.rename

    def held(path: Path, target: Path) -> Path:
        if path == old_store / "mlruns":
            raise PermissionError("used by another process")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", held)
    assert cli.main(["reset", "--yes"]) == 1
    assert "The store is in use" in capsys.readouterr().err
    for name in ("mlflow.db", "mlflow.db-wal", "mlruns/1/file"):
        assert (old_store / name).read_text(encoding="utf-8") == "old"
    assert list((old_store / housekeeping.OLD_STORES).iterdir()) == []
