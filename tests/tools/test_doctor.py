"""The doctor: each thing that can be wrong is named, with its fix, and nothing else is."""

from __future__ import annotations

import contextlib
import shutil
import socket
import sqlite3
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from winelab.commands import doctor
from winelab.commands.doctor import Finding
from winelab.core.paths import ROOT
from winelab.system import environment, packages
from winelab.tracking import data
from winelab.tracking.workspace import empty_store


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The pins of the course in an empty folder."""
    for name in ("pyproject.toml", "requirements.txt"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


@pytest.fixture
def database(root: Path) -> Path:
    """An empty tracking store in a course."""
    return empty_store(root / "mlflow.db")


def wrong(finding: Finding, *words: str) -> None:
    """Asserts that a finding is a mistake that says these words, and what to do."""
    assert finding.fix
    assert [word for word in words if word not in finding.line(colours=False)] == []


def right(finding: Finding, *words: str) -> None:
    """Asserts that a finding is none, and says these words."""
    assert not finding.fix, finding
    assert [word for word in words if word not in finding.text] == []


def test_the_report_runs_without_any_package() -> None:
    command = [environment.this_python(), "-S", "-m", "winelab", "doctor"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8")
    lines = done.stdout.splitlines()
    assert done.stderr == ""
    assert len(lines) > 10
    assert [line for line in lines[:-1] if line[:4] not in ("ok  ", "!!  ")] == []
    assert "\033" not in done.stdout


@pytest.mark.parametrize(
    ("findings", "code", "last"),
    [
        ([Finding("a")], 0, "All that the course needs is there."),
        ([Finding("a", "b", matters=False)], 0, "All that the course needs is there."),
        ([Finding("a"), Finding("a", "b"), Finding("c", "d")], 1, "2 to fix."),
    ],
)
def test_the_exit_code_counts_what_matters(
    findings: list[Finding],
    code: int,
    last: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(doctor, "examine", lambda root: iter(findings))
    assert doctor.main() == code
    assert capsys.readouterr().out.splitlines()[-1] == last


def test_a_line_has_its_fix_beside_it() -> None:
    assert Finding("no table", "get it").line(colours=False) == "!!  no table -> get it"
    assert Finding("fine").line(colours=True) == "\033[32mok \033[0m fine"


def test_a_python_that_does_not_fit(root: Path) -> None:
    right(doctor.python(root, 11, done=False), "3.11 fits")
    right(doctor.python(root, 10, done=False), "3.10 does not fit (3.11 to 3.14)", "uv")
    right(doctor.python(root, 10, done=True), ".venv")


def test_a_missing_uv(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    right(doctor.uv(root, done=False), "the set-up fetches it")
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    wrong(doctor.uv(root, done=False), "no pip", "python3-venv")
    assert doctor.uv(root, done=False).matters
    assert not doctor.uv(root, done=True).matters


def test_a_missing_tool_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    wrong(doctor.tool("make", "without it: this"), "make", "without it: this")
    assert not doctor.tool("make", "").matters


def test_a_taken_port_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        right(doctor.port("JupyterLab", port), f"({port} is taken)")
    right(doctor.port("JupyterLab", port), f"port {port}")


def test_a_folder_that_is_not_writable(tmp_path: Path) -> None:
    right(doctor.writable(tmp_path))
    wrong(doctor.writable(tmp_path / "missing"), "not writable")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk() -> None:
    wrong(doctor.disk(2 * doctor.GB, doctor.NEEDED_BEFORE), "2.0 GB free", "3 needed")
    right(doctor.disk(2 * doctor.GB, doctor.NEEDED_AFTER))


def test_the_states_of_a_venv(root: Path) -> None:
    right(doctor.venv(root, done=False), "first `make lab`")
    make = [environment.this_python(), "-m", "venv", "--without-pip", str(root / ".venv")]
    subprocess.run(make, check=True)
    wrong(doctor.venv(root, done=False), "never finished")
    environment.write_stamp(root)
    right(doctor.venv(root, environment.is_current(root)), environment.venv_version(root))
    (root / "requirements.txt").write_text("other\n", encoding="utf-8")
    assert not environment.is_current(root)
    wrong(doctor.venv(root, done=False), "another folder or other pins")
    environment.venv_python(root).unlink()
    wrong(doctor.venv(root, done=False), "broken")


def test_packages_are_compared_with_their_pins(tmp_path: Path) -> None:
    pins = tmp_path / "requirements.txt"
    there, here = version("pytest"), sys.platform
    for line, found in {
        f"# comment\npytest=={there}\n    # via winelab": [],
        "pytest==0.1": [f"pytest {there}"],
        "no-such-package==1": ["no-such-package is missing"],
        "no-such-package==1 ; sys_platform == 'other'": [],
        f"pytest==0.1 ; sys_platform == '{here}'": [f"pytest {there}"],
    }.items():
        pins.write_text(line, encoding="utf-8")
        assert packages.missing(pins) == found


def test_packages_that_differ_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    right(doctor.pins(ROOT), "installed")

    def answers(code: int, out: str, error: str) -> None:
        done = subprocess.CompletedProcess([], code, out, error)
        monkeypatch.setattr(doctor, "ask_venv", lambda python, root, text: done)

    answers(0, "a 1\nb 2\nc 3\nd is missing\n", "")
    wrong(doctor.pins(ROOT), "4 package(s)", "a 1, b 2, c 3 ...", "make setup")
    answers(1, "", "Traceback\nModuleNotFoundError: No module named 'packaging'\n")
    wrong(doctor.pins(ROOT), "No module named 'packaging'")


def test_no_store_is_fine_and_none_is_made(root: Path) -> None:
    right(doctor.store(root / "mlflow.db", Path(sys.executable)), "first `make lab`")
    assert not (root / "mlflow.db").exists()


@pytest.mark.parametrize("left", [0, 0.5, 0.995], ids=["nothing", "half of it", "all but a page"])
@pytest.mark.parametrize("rest", [b"", b"\x17"], ids=["missing", "damaged"])
def test_a_file_that_is_no_store(database: Path, left: float, rest: bytes) -> None:
    content = database.read_bytes()
    whole = round(len(content) * left)
    spoiled = content[:whole] + rest * (len(content) - whole)
    database.write_bytes(spoiled)
    wrong(doctor.store(database, None), "cannot be read", "make reset")
    assert database.read_bytes() == spoiled


def test_a_store_of_this_and_of_another_mlflow(database: Path) -> None:
    python = Path(sys.executable)
    right(doctor.store(database, None), "once .venv is ready")
    right(doctor.store(database, python), "MLflow reads it")
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0123456789ab'")
        connection.commit()
    wrong(doctor.store(database, python), "another version", "mlflow db upgrade", "make reset")


def test_the_wine_table(tmp_path: Path) -> None:
    path = tmp_path / "red-wine-quality.csv"
    wrong(doctor.table(path), "missing", "make data TWIN=1")
    path.write_bytes(data.twin_bytes())
    right(doctor.table(path), "twin")
    path.write_bytes(data.twin_bytes() + b"changed")
    finding = doctor.table(path)
    wrong(finding, "changed", "make data TWIN=1")
    assert not finding.matters


def test_windows_paths_and_terminals() -> None:
    right(doctor.path_length(Path("C:/winelab")))
    wrong(doctor.path_length(Path("C:/" + "very-long/" * 12)), "characters", "move")
    right(doctor.encoding("UTF-8"))
    wrong(doctor.encoding("cp1252"), "cp1252", "PYTHONUTF8=1")
