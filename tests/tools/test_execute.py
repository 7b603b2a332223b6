"""Executing cells and scripts in a clean workspace: forked, in a fresh process, in a kernel."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tools.made_up import Lifeline, needs_fork
from winelab.core.paths import NEW_WINES, STORE, TABLE
from winelab.course.source import course
from winelab.proof.execute import SHOWN_FOLDER, Code, Outcome, Where, _joined, execute
from winelab.proof.outputs import solved_code
from winelab.proof.worker import is_deprecation
from winelab.tracking.workspace import clean_workspace, furnish


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return furnish(tmp_path / "wine-lab")


@pytest.fixture
def lifeline() -> Iterator[Lifeline]:
    line = Lifeline()
    yield line
    line.close()


@pytest.fixture(params=[pytest.param(Where.FORKED, marks=needs_fork), Where.FRESH])
def where(request: pytest.FixtureRequest) -> Where:
    """Each test that asks for it runs both ways: what starts and ends the process differs."""
    found: Where = request.param
    return found


def cells(workspace: Path, *sources: str, where: Where = Where.FORKED, **more: Any) -> Outcome:
    """Run cells in the workspace."""
    folder = more.pop("folder", "")
    return execute(Code("mine.ipynb", sources, folder=folder), workspace, where, **more)


def script(workspace: Path, text: str, *arguments: str, folder: str = "") -> Outcome:
    """Run a script in the workspace."""
    (workspace / "solutions" / "mine.py").write_text(text, encoding="utf-8")
    return execute(Code("mine.py", arguments=arguments, folder=folder), workspace)


# --- what comes back ---------------------------------------------------------------------------


def test_a_solution_gives_the_same_forked_and_fresh(tmp_path: Path) -> None:
    one, other = (
        execute(
            solved_code(course(), course().block("run")),
            furnish(tmp_path / name),
            where,
            check="run",
        )
        for name, where in (("forked", Where.FORKED), ("fresh", Where.FRESH))
    )
    assert one.report is not None and one.report.done, str(one.report)
    assert one.report == other.report
    assert (one.error, one.not_noted) == (other.error, other.not_noted) == ("", "")
    assert len(one.printed.splitlines()) == len(other.printed.splitlines())


@pytest.mark.parametrize(
    ("code", "printed", "words"),
    [
        pytest.param("print('für 3 €', __name__)", "für 3 € __main__\n", "", id="nothing"),
        pytest.param("x = (", "", "SyntaxError", id="a syntax error"),
        pytest.param("1 / 0", "", "<cell 2>", id="an error"),
        pytest.param("raise SystemExit(3)", "", "SystemExit: 3", id="an exit"),
        pytest.param("exit()", "", "SystemExit", id="a call of exit"),
        pytest.param("raise KeyboardInterrupt", "", "KeyboardInterrupt", id="an interrupt"),
        pytest.param("input('Name? ')", "Name? ", "EOFError", id="a question to nobody"),
    ],
)
def test_what_cells_print_comes_back_and_the_first_error_ends_them(
    workspace: Path, code: str, printed: str, words: str
) -> None:
    outcome = cells(workspace, "print(1)", code, "print(2)", check=0)
    assert outcome.printed == f"1\n{printed}" + ("" if words else "2\n")
    assert words in outcome.error and bool(words) == bool(outcome.error)
    # Checked all the same.
    assert outcome.report is not None and outcome.report.number == 0
    assert all(verdict.hint for verdict in outcome.report.verdicts)


def test_a_process_that_dies_says_its_exit_code(workspace: Path, where: Where) -> None:
    code = "import os, sys\nprint('oh', file=sys.stderr, flush=True)\nos._exit(3)"
    outcome = cells(workspace, code, where=where, check=0)
    assert outcome.error.startswith("The run died with exit code 3.")
    assert outcome.report is None
    assert "oh" in outcome.stderr


def test_deprecations_that_the_code_meets_come_back(workspace: Path) -> None:
    code = "import warnings\nwarnings.warn('old call', FutureWarning)\nwarnings.warn('a remark')"
    assert cells(workspace, code).warnings == ("FutureWarning: old call",)


def test_what_libraries_say_of_mlflows_own_lines_is_no_deprecation_of_the_course() -> None:
    """Said of a line of the course, the same warning counts."""
    from pandas.errors import Pandas4Warning

    def counts(category: type[Warning], file: str) -> bool:
        return is_deprecation(warnings.WarningMessage("old", category, file, 1))

    inside = str(Path("site-packages", "mlflow", "data", "digest_utils.py"))
    assert counts(Pandas4Warning, "<cell 3>") and not counts(Pandas4Warning, inside)
    assert counts(FutureWarning, inside) and counts(DeprecationWarning, "<cell 3>")
    assert not counts(UserWarning, "<cell 3>")


# --- scripts -----------------------------------------------------------------------------------


def test_a_script_runs_as_python_would_run_it(workspace: Path) -> None:
    (workspace / "solutions" / "neighbour.py").write_text("name = 'next door'\n", encoding="utf-8")
    text = (
        "import pickle, sys\n"
        "from pathlib import Path\n"
        "import neighbour\n"
        "class Thing: pass\n"
        "pickle.loads(pickle.dumps(Thing()))\n"
        "print(__name__, Path(__file__).name, Path(sys.argv[0]).name, sys.argv[1:])\n"
        "print(Path.cwd().name, neighbour.name)\n"
    )
    outcome = script(workspace, text, "--alpha", "1")
    assert outcome.error == ""
    assert outcome.printed == "__main__ mine.py mine.py ['--alpha', '1']\nsolutions next door\n"
    assert script(workspace, text, folder="data").printed.endswith("data next door\n")


@pytest.mark.parametrize(
    ("end", "error"),
    [("0", ""), ("", ""), ("2", "SystemExit: 2"), ("'no table'", "SystemExit: no table")],
    ids=["nought", "nothing", "a number", "words"],
)
def test_a_script_that_exits_failed_unless_it_says_0(workspace: Path, end: str, error: str) -> None:
    assert script(workspace, f"import sys\nsys.exit({end})\n").error == error


def test_a_script_that_is_not_there_is_an_error(workspace: Path) -> None:
    assert "nowhere.py" in execute(Code("nowhere.py"), workspace).last_line


# --- limits ------------------------------------------------------------------------------------


@pytest.mark.skipif(os.name != "posix", reason="process groups are POSIX's")
def test_a_run_that_takes_too_long_is_ended_with_what_it_started(
    workspace: Path, where: Where, lifeline: Lifeline
) -> None:
    """Also one that catches whatever it can."""
    started = f"{lifeline.code}; import time; time.sleep(60)"
    stubborn = (
        "while True:\n    try:\n        time.sleep(60)\n    except BaseException:\n        pass\n"
    )
    begun = time.monotonic()
    spawn = f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', {started!r}])"
    code = f"{spawn}\n{lifeline.code}\nimport time\n{stubborn}"
    outcome = cells(workspace, code, where=where, limit=3)
    assert time.monotonic() - begun < 30
    assert outcome.error.startswith("The run was ended after 3 s")
    lines = [lifeline.taken_up(), lifeline.taken_up()]
    assert all(lifeline.cut(line) for line in lines)


# --- nothing of the caller's -------------------------------------------------------------------


def test_the_callers_environment_does_not_leak_in(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, where: Where
) -> None:
    names = ("SECRET", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_RUN_ID", "PYTHONPATH", "JPY_SESSION_NAME")
    for name in names:
        monkeypatch.setenv(name, "of the caller")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://caller")
    code = (
        f"import os\nprint([os.environ.get(name) for name in {names!r}])\n"
        "print(os.environ['MLFLOW_TRACKING_URI'])\n"
        "print(os.environ.get('MINE'), os.environ.get('DO_NOT_TRACK'))\n"
    )
    changed = {"MINE": "1", "DO_NOT_TRACK": ""}
    leaked, uri, mine = cells(
        workspace, code, where=where, environment=changed
    ).printed.splitlines()
    assert leaked == str([None] * len(names))
    assert uri == f"sqlite:///{(workspace / STORE.name).as_posix()}"
    assert mine == "1 None"


def test_each_run_has_variables_and_random_numbers_of_its_own(workspace: Path) -> None:
    draw = "import random\nimport numpy as np\nprint(random.random(), np.random.random())"
    left = "import os\nos.environ['LEFT'] = left = '1'"
    one = cells(workspace, draw, left).printed.split()
    outcome = cells(workspace, draw, "import os\nassert 'LEFT' not in os.environ", "left")
    assert not set(one) & set(outcome.printed.split())
    assert outcome.last_line.startswith("NameError")


# --- the workspace -----------------------------------------------------------------------------

RUN = (
    "import mlflow\n"
    "if {experiment!r}: mlflow.set_experiment({experiment!r})\n"
    "with mlflow.start_run() as run:\n"
    "    mlflow.log_text('hello', 'note.txt')\n"
    "print(run.info.experiment_id, run.info.run_id)\n"
)


@pytest.mark.parametrize("experiment", ["", "mine"])
def test_a_run_writes_into_its_workspace_whatever_the_folder(
    tmp_path: Path, experiment: str
) -> None:
    # The workspace's environment names MLflow's private variable for this; here it is seen to work.
    workspace = furnish(tmp_path / "wine-lab")
    outcome = cells(workspace, RUN.format(experiment=experiment), folder="data")
    number, made = outcome.printed.split()
    assert number == ("1" if experiment else "0")
    files = workspace / "mlruns" / number / made / "artifacts"
    assert (files / "note.txt").read_text("utf-8") == "hello"
    tables = {path.name for path in (workspace / "data").iterdir()}
    assert tables == {TABLE.name, NEW_WINES.name}
    assert [path.name for path in tmp_path.iterdir()] == ["wine-lab"]
    # Nor into another workspace's store.
    count = "import mlflow\nprint(len(mlflow.search_runs(search_all_experiments=True)))"
    assert cells(workspace, count).printed == "1\n"
    assert cells(furnish(tmp_path / "other"), count).printed == "0\n"


def test_a_clean_workspace_has_the_table_and_goes_away(tmp_path: Path) -> None:
    with clean_workspace() as workspace:
        assert len((workspace / "data" / TABLE.name).read_bytes().splitlines()) == 1600
        assert (workspace / STORE.name).is_file()
    assert not workspace.exists()
    other = tmp_path / "table.csv"
    other.write_text("a;b\n", encoding="utf-8")
    with clean_workspace(other) as workspace:
        assert (workspace / "data" / TABLE.name).read_text(encoding="utf-8") == "a;b\n"


# --- in a kernel -------------------------------------------------------------------------------


def test_a_kernel_shows_what_a_notebook_stores(workspace: Path) -> None:
    code = Code(
        f"{course().block('run').name}.ipynb",
        (
            "import os\nfrom pathlib import Path\nprint(Path.cwd(), os.environ['MINE'])",
            "import mlflow\nwith mlflow.start_run() as run: pass",
            "mlflow.get_run(run.info.run_id).data.tags['winelab.block']",
            "1 / 0",
            "print('never')",
        ),
    )
    outcome = execute(code, workspace, Where.KERNEL, environment={"MINE": "1"})
    first, second, third, fourth, last = outcome.outputs
    printed = {"output_type": "stream", "name": "stdout", "text": f"{SHOWN_FOLDER}/labs 1\n"}
    assert first == [printed]
    assert (second, last) == ([], [])
    assert third[0]["data"] == {"text/plain": "'run'"}
    assert fourth[0]["ename"] == "ZeroDivisionError" and "ZeroDivisionError" in outcome.error
    assert list((workspace / "labs").iterdir()) == []


def test_what_a_cell_prints_is_one_piece_until_something_else_comes() -> None:
    def piece(name: str, text: str) -> dict[str, Any]:
        return {"output_type": "stream", "name": name, "text": text}

    table = {"output_type": "display_data", "data": {"text/plain": "a table"}}
    sent = [piece("stdout", "a\n"), piece("stdout", "b\n"), piece("stderr", "!\n"), table, table]
    assert _joined([*sent, piece("stdout", "c\n")]) == [
        piece("stdout", "a\nb\n"),
        piece("stderr", "!\n"),
        table,
        table,
        piece("stdout", "c\n"),
    ]
