"""The tags on each run: the block and the try that made it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tools.made_up import needs_fork
from winelab.proof.runner import fork_server, run
from winelab.tracking import run_tags
from winelab.tracking.run_tags import (
    BLOCK_TAG,
    TRY_TAG,
    CourseContext,
    block_number,
    source_name,
    this_try,
)
from winelab.tracking.workspace import furnish

TAGS = (
    "import mlflow\n"
    "with mlflow.start_run() as run:\n"
    "    pass\n"
    "tags = mlflow.get_run(run.info.run_id).data.tags\n"
    f"print(tags.get({BLOCK_TAG!r}), tags[{TRY_TAG!r}])\n"
)


@pytest.fixture(scope="session", autouse=True)
def server() -> Iterator[str | None]:
    with fork_server() as path:
        yield path


@pytest.fixture(autouse=True)
def outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody says which notebook or script this is."""
    for name in ("WINELAB_SOURCE", "WINELAB_CELL", "JPY_SESSION_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(sys.modules, "IPython.core.getipython", None)
    monkeypatch.setattr(sys, "argv", [""])


def in_a_kernel(monkeypatch: pytest.MonkeyPatch, cell: int = 1, **variables: str) -> None:
    """Let this process look like a notebook's kernel."""
    shell = SimpleNamespace(user_ns=variables, execution_count=cell)
    module = SimpleNamespace(get_ipython=lambda: shell)
    monkeypatch.setitem(sys.modules, "IPython.core.getipython", module)


# --- the file's name ---------------------------------------------------------------------------

NAMES = {
    "14_autolog.ipynb": 14,
    "14_autolog (1).ipynb": 14,
    "14_autolog-Copy1.ipynb": 14,
    "14_autolog - Müller.ipynb": 14,
    "14_autólogo_señor.ipynb": 14,
    "14-autolog.ipynb": 14,
    "14 autolog.ipynb": 14,
    "14.py": 14,
    "4_params.py": 4,
    "00_train.ipynb": 0,
    "03_run.ipynb": 3,
    "autolog.ipynb": None,
    "Untitled14.ipynb": None,
    "2024_report.ipynb": None,
    "140_much.ipynb": None,
    "14autolog.ipynb": None,
    "": None,
}


@pytest.mark.parametrize("name", NAMES, ids=lambda name: f"file {name}")
def test_the_number_in_front_of_a_files_name_is_the_block(name: str) -> None:
    assert block_number(name) == NAMES[name]


@pytest.mark.parametrize(
    "path",
    [
        "/home/jö/labs/14_autolog (1).ipynb",
        "labs/14_autolog (1).ipynb",
        "14_autolog (1).ipynb",
        r"C:\Users\Zoë Kovács\wine lab\labs\14_autolog (1).ipynb",
        "/home/me/03_old/14_autolog (1).ipynb",
    ],
    ids=["absolute", "relative", "alone", "Windows", "numbered folder"],
)
def test_the_folder_of_a_notebook_says_nothing(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    in_a_kernel(monkeypatch)
    monkeypatch.setenv("JPY_SESSION_NAME", path)
    assert source_name() == "14_autolog (1).ipynb"


def test_vs_code_names_the_notebook_in_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    in_a_kernel(monkeypatch, __vsc_ipynb_file__=r"c:\labs\05_uri.ipynb")
    # Of a Jupyter server that VS Code was started from.
    monkeypatch.setenv("JPY_SESSION_NAME", "labs/14_autolog.ipynb")
    assert source_name() == "05_uri.ipynb"


def test_a_script_is_named_by_its_own_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["solutions/05_uri.py", "--alpha", "1"])
    # Started from a notebook's terminal, it inherits this.
    monkeypatch.setenv("JPY_SESSION_NAME", "labs/14_autolog.ipynb")
    assert source_name() == "05_uri.py"


def test_the_course_itself_can_say_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    in_a_kernel(monkeypatch)
    monkeypatch.setenv("JPY_SESSION_NAME", "labs/14_autolog.ipynb")
    monkeypatch.setenv("WINELAB_SOURCE", "05_uri.ipynb")
    assert source_name() == "05_uri.ipynb"


def test_without_any_name_there_is_a_try_and_no_block(monkeypatch: pytest.MonkeyPatch) -> None:
    in_a_kernel(monkeypatch)
    assert CourseContext().in_context()
    assert set(CourseContext().tags()) == {TRY_TAG}


def test_an_embedded_python_has_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [])
    assert source_name() == ""


# --- the try -----------------------------------------------------------------------------------


def test_each_execution_of_a_cell_is_a_try_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []
    for cell in (1, 1, 2):
        in_a_kernel(monkeypatch, cell)
        tries.append(this_try())
    assert tries[0] == tries[1] != tries[2]


def test_a_script_is_one_try() -> None:
    assert this_try() == this_try()


def test_a_new_process_is_a_new_session(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = run_tags.session()
    monkeypatch.setattr(os, "getpid", lambda: 987654321)
    assert run_tags.session() != mine


@needs_fork
def test_a_forked_process_is_a_new_session(tmp_path: Path) -> None:
    room = furnish(tmp_path / "room")
    code = (
        "import os\n"
        "from winelab.tracking.run_tags import session\n"
        "mine = session()\n"
        "there, here = os.pipe()\n"
        "if os.fork() == 0:\n"
        "    os.write(here, session().encode())\n"
        "    os._exit(0)\n"
        "print(mine, os.read(there, 100).decode())\n"
    )
    mine, its = run(room, source="mine.ipynb", cells=[code]).printed.split()
    assert mine != its


# --- on real runs ------------------------------------------------------------------------------


def test_mlflow_puts_the_tags_on_runs_of_cells(tmp_path: Path) -> None:
    room = furnish(tmp_path / "room")
    outcome = run(room, source="14_autolog (1).ipynb", cells=[TAGS, TAGS])
    (one, first), (other, second) = (line.split() for line in outcome.printed.splitlines())
    assert one == other == "14"
    # One session, two cells.
    assert first.split("/")[0] == second.split("/")[0]
    assert first != second


def test_mlflow_puts_the_tags_on_runs_of_a_script(tmp_path: Path) -> None:
    room = furnish(tmp_path / "room")
    (room / "solutions" / "04_mine.py").write_text(TAGS * 2, encoding="utf-8")
    outcome = run(room, source="04_mine.py", environment={"WINELAB_SOURCE": ""})
    (one, first), (other, second) = (line.split() for line in outcome.printed.splitlines())
    assert one == other == "4"
    assert first == second
