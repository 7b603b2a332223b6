"""Running cells and scripts in a clean room, forked or in a fresh process."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tools.made_up import Lifeline, needs_fork
from winelab.core.paths import STORE, TABLE
from winelab.course.compose import solved_cells
from winelab.course.source import course
from winelab.proof.runner import Outcome, fork_server, run
from winelab.proof.worker import _tells_of_age
from winelab.tracking.workspace import clean_room, furnish, room_environment

SPAWN = "import subprocess, sys, time\nsubprocess.Popen([sys.executable, '-c', {code!r}])\n{code}\n"


@pytest.fixture(scope="session", autouse=True)
def server() -> Iterator[str | None]:
    with fork_server() as path:
        yield path


@pytest.fixture
def room(tmp_path: Path) -> Path:
    return furnish(tmp_path / "room")


@pytest.fixture
def lifeline() -> Iterator[Lifeline]:
    line = Lifeline()
    yield line
    line.close()


@pytest.fixture(params=[pytest.param(True, marks=needs_fork), False], ids=["forked", "fresh"])
def fork(request: pytest.FixtureRequest) -> bool:
    """Each test that asks for it runs both ways."""
    return bool(request.param)


def cells(room: Path, *sources: str, **more: Any) -> Outcome:
    """Run cells in the room."""
    return run(room, source="mine.ipynb", cells=list(sources), **more)


def script(room: Path, text: str, *arguments: str, **more: Any) -> Outcome:
    """Run a script in the room."""
    (room / "solutions" / "mine.py").write_text(text, encoding="utf-8")
    return run(room, source="mine.py", arguments=arguments, **more)


# --- what comes back ---------------------------------------------------------------------------


def test_what_cells_print_comes_back(room: Path, fork: bool) -> None:
    outcome = cells(room, "x = 'für 3 €'", "print(x)\nprint(__name__)", fork=fork)
    assert outcome.printed == "für 3 €\n__main__\n"
    assert outcome.error == ""
    assert outcome.report is None


def test_the_first_error_ends_the_run_and_comes_back(room: Path, fork: bool) -> None:
    outcome = cells(room, "print(1)", "1 / 0", "print(2)", fork=fork)
    assert outcome.printed == "1\n"
    assert "ZeroDivisionError" in outcome.error
    assert "<cell 2>" in outcome.error


@pytest.mark.parametrize(
    ("code", "words"),
    [
        pytest.param("x = (", "SyntaxError", id="a syntax error"),
        pytest.param("raise SystemExit(3)", "SystemExit", id="an exit"),
        pytest.param("exit()", "SystemExit", id="a call of exit"),
        pytest.param("raise KeyboardInterrupt", "KeyboardInterrupt", id="an interrupt"),
        pytest.param("input('Name? ')", "EOFError", id="a question that nobody answers"),
    ],
)
def test_whatever_ends_a_cell_is_an_error(room: Path, code: str, words: str, fork: bool) -> None:
    outcome = cells(room, "print(1)", code, fork=fork)
    assert outcome.printed.startswith("1\n")
    assert words in outcome.error


def test_a_process_that_dies_says_its_exit_code(room: Path, fork: bool) -> None:
    outcome = cells(room, "import os, sys\nprint('oh', file=sys.stderr)", "os._exit(3)", fork=fork)
    assert "3" in outcome.error
    assert outcome.report is None
    assert "oh" in outcome.stderr


def test_deprecations_that_the_code_meets_come_back(room: Path, fork: bool) -> None:
    code = "import warnings\nwarnings.warn('old call', FutureWarning)\nwarnings.warn('a remark')"
    assert cells(room, code, fork=fork).warnings == ("FutureWarning: old call",)


def test_what_libraries_say_of_mlflows_own_lines_is_no_deprecation_of_the_course() -> None:
    """Said of a line of the course, the same warning counts."""
    from pandas.errors import Pandas4Warning

    def tells(category: type[Warning], file: str) -> bool:
        return _tells_of_age(warnings.WarningMessage("old", category, file, 1))

    inside = str(Path("site-packages", "mlflow", "data", "digest_utils.py"))
    assert tells(Pandas4Warning, "<cell 3>") and not tells(Pandas4Warning, inside)
    assert tells(FutureWarning, inside) and tells(DeprecationWarning, "<cell 3>")
    assert not tells(UserWarning, "<cell 3>")


def test_a_check_of_the_variables_comes_back(room: Path, fork: bool) -> None:
    outcome = cells(room, "x = 1", check=0, fork=fork)
    assert outcome.report is not None
    assert outcome.report.number == 0
    assert not outcome.report.done
    assert all(verdict.hint for verdict in outcome.report.verdicts)


def test_code_that_failed_is_checked_all_the_same(room: Path) -> None:
    outcome = cells(room, "1 / 0", check=0)
    assert outcome.error
    assert outcome.report is not None


def test_the_solution_of_a_block_gives_the_same_forked_and_fresh(tmp_path: Path) -> None:
    sources = [cell.source for cell in solved_cells(course(), 3)]
    one, other = (
        run(
            furnish(tmp_path / name / "room"), source="03_run.ipynb", cells=sources, check=3, fork=f
        )
        for name, f in (("forked", True), ("fresh", False))
    )
    assert one.report is not None
    assert one.report.done, str(one.report)
    assert one.report == other.report
    assert (one.error, one.not_noted) == (other.error, other.not_noted) == ("", "")
    assert len(one.printed.splitlines()) == len(other.printed.splitlines())


# --- scripts -----------------------------------------------------------------------------------


def test_a_script_runs_as_python_would_run_it(room: Path, fork: bool) -> None:
    (room / "solutions" / "neighbour.py").write_text("name = 'next door'\n", encoding="utf-8")
    text = (
        "import pickle, sys\n"
        "from pathlib import Path\n"
        "import neighbour\n"
        "class Thing: pass\n"
        "pickle.loads(pickle.dumps(Thing()))\n"
        "print(__name__, Path(__file__).name, Path(sys.argv[0]).name, sys.argv[1:])\n"
        "print(Path.cwd().name, neighbour.name)\n"
    )
    outcome = script(room, text, "--alpha", "1", fork=fork)
    assert outcome.error == ""
    assert outcome.printed == ("__main__ mine.py mine.py ['--alpha', '1']\nsolutions next door\n")


@pytest.mark.parametrize(
    ("end", "error"),
    [("0", ""), ("", ""), ("2", "SystemExit: 2"), ("'no table'", "SystemExit: no table")],
    ids=["nought", "nothing", "a number", "words"],
)
def test_a_script_that_exits_failed_unless_it_says_0(room: Path, end: str, error: str) -> None:
    assert script(room, f"import sys\nsys.exit({end})\n").error == error


def test_a_script_can_run_in_another_folder(room: Path) -> None:
    outcome = script(room, "from pathlib import Path\nprint(Path.cwd().name)\n", folder="data")
    assert outcome.printed == "data\n"


def test_a_script_that_is_not_there_is_an_error(room: Path) -> None:
    assert "nowhere.py" in run(room, source="nowhere.py").error


# --- limits ------------------------------------------------------------------------------------


def test_a_run_that_takes_too_long_is_ended(room: Path, fork: bool, lifeline: Lifeline) -> None:
    started = time.monotonic()
    outcome = cells(room, lifeline.code, "import time\ntime.sleep(60)", limit=1, fork=fork)
    assert time.monotonic() - started < 10
    assert "ended after 1 s" in outcome.error
    assert lifeline.cut(lifeline.taken_up())


@pytest.mark.skipif(os.name != "posix", reason="process groups are POSIX's")
def test_with_a_run_end_the_processes_it_started(
    room: Path, fork: bool, lifeline: Lifeline
) -> None:
    sleeper = f"{lifeline.code}; import time; time.sleep(60)"
    outcome = cells(room, SPAWN.format(code=sleeper), limit=1.5, fork=fork)
    assert "ended after" in outcome.error
    lines = [lifeline.taken_up(), lifeline.taken_up()]
    assert all(lifeline.cut(line) for line in lines)


def test_code_that_catches_everything_is_ended_too(room: Path, fork: bool) -> None:
    code = (
        "import time\n"
        "while True:\n"
        "    try:\n"
        "        time.sleep(60)\n"
        "    except BaseException:\n"
        "        pass\n"
    )
    assert "ended after" in cells(room, code, limit=0.7, fork=fork).error


# --- nothing of the caller's -------------------------------------------------------------------


def test_the_callers_environment_does_not_leak_in(
    room: Path, monkeypatch: pytest.MonkeyPatch, fork: bool
) -> None:
    names = ("SECRET", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_RUN_ID", "PYTHONPATH", "JPY_SESSION_NAME")
    for name in names:
        monkeypatch.setenv(name, "of the caller")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://caller")
    code = f"import os\nprint([os.environ.get(name) for name in {names!r}])"
    outcome = cells(room, code, "print(os.environ['MLFLOW_TRACKING_URI'])", fork=fork)
    leaked, uri = outcome.printed.splitlines()
    assert leaked == str([None] * len(names))
    assert uri == f"sqlite:///{(room / STORE.name).as_posix()}"


def test_a_variable_can_be_set_and_taken_away(room: Path, fork: bool) -> None:
    outcome = cells(
        room,
        "import os\nprint(os.environ.get('MINE'), os.environ.get('MLFLOW_TRACKING_URI'))",
        environment={"MINE": "1", "MLFLOW_TRACKING_URI": ""},
        fork=fork,
    )
    assert outcome.printed == "1 None\n"


def test_an_empty_value_takes_a_variable_out_of_a_rooms_environment(room: Path) -> None:
    environment = room_environment(room, MLFLOW_TRACKING_URI="", MORE="1")
    assert "MLFLOW_TRACKING_URI" not in environment
    assert environment["MORE"] == "1"


def test_each_run_has_variables_of_its_own(room: Path) -> None:
    cells(room, "import builtins\nbuiltins.left = 1\nimport os\nos.environ['LEFT'] = '1'")
    outcome = cells(room, "import os\nprint('LEFT' in os.environ, 'left' in globals())", "left")
    assert outcome.printed == "False False\n"
    assert "NameError" in outcome.error


@needs_fork
def test_forked_runs_draw_different_random_numbers(room: Path) -> None:
    draw = "import random\nimport numpy as np\nprint(random.random(), np.random.random())"
    (one, first), (other, second) = (cells(room, draw).printed.split() for _ in range(2))
    assert one != other
    assert first != second


# --- the room ----------------------------------------------------------------------------------

RUN = (
    "import mlflow\n"
    "mlflow.set_experiment('mine')\n"
    "with mlflow.start_run() as run:\n"
    "    mlflow.log_text('hello', 'note.txt')\n"
    "print(run.info.experiment_id, run.info.run_id)\n"
)


def test_each_room_has_a_store_of_its_own(tmp_path: Path) -> None:
    count = "import mlflow\nprint(len(mlflow.search_experiments()))"
    one, other = furnish(tmp_path / "1" / "room"), furnish(tmp_path / "2" / "room")
    cells(one, RUN)
    assert cells(one, count).printed == "2\n"
    assert cells(other, count).printed == "1\n"


def test_artifacts_land_in_the_room_whatever_the_folder(room: Path) -> None:
    # The room's environment names MLflow's private variable for this; here it is seen to work.
    outcome = cells(room, RUN, folder="data")
    experiment, made = outcome.printed.split()
    assert (room / "mlruns" / experiment / made / "artifacts" / "note.txt").read_text(
        "utf-8"
    ) == "hello"
    assert [path.name for path in (room / "data").iterdir()] == [TABLE.name]


def test_artifacts_of_the_default_experiment_land_in_the_room_too(room: Path) -> None:
    experiment, made = cells(
        room, RUN.replace("mlflow.set_experiment('mine')\n", "")
    ).printed.split()
    assert experiment == "0"
    assert (room / "mlruns" / "0" / made / "artifacts" / "note.txt").is_file()


def test_a_run_writes_nothing_beside_its_room(tmp_path: Path) -> None:
    room = furnish(tmp_path / "room")
    assert cells(room, RUN).error == ""
    assert [path.name for path in tmp_path.iterdir()] == ["room"]
    assert list((room / "labs").iterdir()) == []


def test_a_clean_room_has_the_table_and_goes_away(tmp_path: Path) -> None:
    with clean_room() as room:
        assert len((room / "data" / TABLE.name).read_bytes().splitlines()) == 1600
        assert (room / STORE.name).is_file()
    assert not room.exists()
    other = tmp_path / "table.csv"
    other.write_text("a;b\n", encoding="utf-8")
    with clean_room(other) as room:
        assert (room / "data" / TABLE.name).read_text(encoding="utf-8") == "a;b\n"


def test_the_fork_server_is_started_once(server: str | None) -> None:
    with fork_server() as again:
        assert again == server
    # The inner one is not the one to end it.
    if server is not None:
        assert Path(server).exists()
