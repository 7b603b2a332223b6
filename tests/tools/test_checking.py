"""Checks of a student's work: always an answer, in words that help, whatever was done."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow.entities import LoggedModelOutput
from mlflow.tracking import fluent

from tools.made_up import lesson, write_block
from winelab import check
from winelab.checks import checking
from winelab.checks.checking import Report, Verdict, load_checks, look_at, note
from winelab.checks.fixtures import EXPERIMENT, REGISTERED, Look
from winelab.core.errors import CourseError
from winelab.core.paths import STORE, course_environment, store_uri
from winelab.tracking import store
from winelab.tracking.workspace import furnish

NUMBER = 3
OF_VARIABLES = """
def test_x_is_one(namespace):
    "x is 1"
    assert namespace["x"] == 1, f"x is {namespace['x']}: say x = 1."
"""
OF_THE_STORE = """
def test_the_store_answers(client):
    "the store answers"
    client.search_experiments(max_results=1)
"""
OF_THE_EXPERIMENT = """
def test_there_is_an_experiment(experiment):
    "the experiment is there"
"""
OF_A_RUN = """
def test_a_run_finished(run):
    "a run finished"


def test_alpha_is_on_the_run(run):
    "alpha is on the run"
    assert "alpha" in run.data.params, "log alpha."
"""


@pytest.fixture
def blocks(tmp_path: Path) -> Path:
    """A folder of blocks, still empty."""
    return tmp_path / "blocks"


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A room whose store nothing was written to."""
    return furnish(tmp_path_factory.mktemp("pristine") / "room")


@pytest.fixture
def room(tmp_path: Path, pristine: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A room in whose store this very process works, as the notebook of block 3."""
    here = tmp_path / "room"
    (here / "labs").mkdir(parents=True)
    shutil.copyfile(pristine / STORE.name, here / STORE.name)
    # What MLflow writes into the environment is put back as well.
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_ID", "MLFLOW_RUN_ID"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    for name, value in course_environment(here).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("WINELAB_SOURCE", "03_made.ipynb")
    monkeypatch.chdir(here / "labs")
    before = mlflow.get_tracking_uri()
    monkeypatch.setattr(fluent, "_active_experiment_id", None)
    mlflow.set_tracking_uri(store_uri(here))
    yield here
    while mlflow.active_run():
        mlflow.end_run()
    mlflow.set_tracking_uri(before)


def the_block(blocks: Path, checks: str, number: int = NUMBER) -> Path:
    """Write a block with these checks."""
    return write_block(
        blocks, f"{number:02d}_made", text=lesson(title="Made up"), checks=checks.lstrip("\n")
    )


def seen(blocks: Path, variables: dict[str, Any] | None = None, number: int = NUMBER) -> Report:
    """Look at the work for a block."""
    return look_at(Look(number, variables), blocks)


def hints(report: Report) -> list[str]:
    """The hint of each check."""
    return [verdict.hint for verdict in report.verdicts]


@pytest.fixture
def answer(
    blocks: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """What `check` prints for a block with these checks."""
    monkeypatch.setattr(checking, "look_at", partial(look_at, blocks=blocks))

    def asked(checks: str) -> str:
        the_block(blocks, checks)
        capsys.readouterr()
        check(NUMBER)
        printed = capsys.readouterr().out
        assert "Traceback" not in printed
        return printed

    return asked


def change_store(room: Path, statement: str) -> None:
    """Change the store behind MLflow's back."""
    with closing(sqlite3.connect(room / STORE.name)) as database:
        database.execute(statement)
        database.commit()


def fresh_store(room: Path, name: str = "other.db") -> Path:
    """A second store, which MLflow has not opened in this process; it becomes the current one."""
    path = room / name
    shutil.copyfile(room / STORE.name, path)
    mlflow.set_tracking_uri(f"sqlite:///{path.as_posix()}")
    return path


# --- an answer, whatever happened --------------------------------------------------------------


@pytest.mark.parametrize("number", [999, -1, "3", None, 3.0])
def test_a_block_that_is_not_there_is_said_to_be_none(
    number: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    check(number)
    assert f"There is no block {number}: the blocks are 0 to" in capsys.readouterr().out


def test_without_any_run_the_student_is_told_to_run_the_cells(
    room: Path, answer: Callable[..., str]
) -> None:
    printed = answer(OF_A_RUN)
    assert "TODO a run finished" in printed
    assert "run the cells above" in printed


def test_without_a_database_the_student_is_told_to_run_the_cells(
    room: Path, answer: Callable[..., str]
) -> None:
    mlflow.set_tracking_uri(f"sqlite:///{(room / 'nowhere.db').as_posix()}")
    assert "run the cells above" in answer(OF_A_RUN)
    assert not (room / "nowhere.db").exists()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"this is no database at all, only text" * 50, id="text"),
        pytest.param(b"SQLite format 3\x00" + b"\xff" * 5000, id="damaged"),
        pytest.param(b"", id="empty"),
    ],
)
def test_a_file_that_is_no_store_leads_to_a_fresh_one(
    room: Path, answer: Callable[..., str], content: bytes
) -> None:
    path = fresh_store(room)
    path.write_bytes(content)
    printed = answer(OF_A_RUN)
    assert "other.db" in printed
    assert "make reset" in printed
    assert path.read_bytes() == content


def test_a_database_of_something_else_is_no_store(room: Path, answer: Callable[..., str]) -> None:
    path = fresh_store(room)
    path.unlink()
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE runs (name TEXT)")
        database.commit()
    assert "no MLflow store" in answer(OF_A_RUN)


def test_a_store_of_another_mlflow_is_said_to_be_one(
    room: Path, answer: Callable[..., str]
) -> None:
    path = fresh_store(room)
    with closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
        database.commit()
    printed = answer(OF_A_RUN)
    assert "another version of MLflow" in printed
    assert "make reset" in printed


def test_a_locked_store_is_said_to_be_busy(room: Path) -> None:
    error = Exception("(sqlite3.OperationalError) database is locked [SQL: ...]")
    assert "busy" in store.explain(error)


def test_a_deleted_experiment_comes_with_the_call_that_restores_it(
    room: Path, answer: Callable[..., str]
) -> None:
    made = mlflow.set_experiment(EXPERIMENT)
    mlflow.delete_experiment(made.experiment_id)
    printed = answer(OF_THE_EXPERIMENT)
    assert f'restore_experiment("{made.experiment_id}")' in printed


def test_without_an_experiment_its_name_is_said(room: Path, answer: Callable[..., str]) -> None:
    assert f'mlflow.set_experiment("{EXPERIMENT}")' in answer(OF_THE_EXPERIMENT)


def test_a_run_that_is_still_open_is_to_be_ended(room: Path, answer: Callable[..., str]) -> None:
    mlflow.start_run()
    assert "mlflow.end_run()" in answer(OF_A_RUN)


def test_a_failed_run_is_to_be_mended(room: Path, answer: Callable[..., str]) -> None:
    with pytest.raises(ZeroDivisionError), mlflow.start_run():
        _ = 1 / 0
    assert "FAILED" in answer(OF_A_RUN)


@pytest.mark.parametrize("uri", ["./mlruns", "mlruns", "file:///tmp/mlruns"])
def test_a_folder_of_files_is_no_store_any_more(
    room: Path, answer: Callable[..., str], uri: str
) -> None:
    mlflow.set_tracking_uri(uri)
    printed = answer(OF_A_RUN)
    assert uri in printed
    assert "set_tracking_uri" in printed
    assert not (Path.cwd() / "mlruns").exists()


def test_a_server_that_is_not_there_is_named_within_seconds(
    room: Path, answer: Callable[..., str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    mlflow.set_tracking_uri(f"http://127.0.0.1:{port}")
    started = time.monotonic()
    printed = answer(OF_THE_STORE + OF_THE_EXPERIMENT + OF_A_RUN)
    assert time.monotonic() - started < 8
    assert f"http://127.0.0.1:{port}" in printed
    assert "start the server" in printed


def test_a_server_that_never_answers_is_waited_for_once(
    room: Path, answer: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(store.IMPATIENT, "MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        mlflow.set_tracking_uri(f"http://127.0.0.1:{port}")
        started = time.monotonic()
        checks = [OF_THE_EXPERIMENT.replace("there_is", f"there_is_{at}") for at in range(5)]
        printed = answer("".join(checks))
        # Two tries and the pause between them, not five times that.
        assert time.monotonic() - started < 5
    assert f"http://127.0.0.1:{port}" in printed


@pytest.mark.parametrize(
    "code",
    [
        "1 / 0",
        "raise KeyError('x')",
        "raise AssertionError",
        "raise SystemExit(3)",
        "exit()",
        "namespace['f']()",
    ],
)
def test_a_check_that_breaks_is_a_todo_and_stops_no_other(
    room: Path, blocks: Path, answer: Callable[..., str], code: str
) -> None:
    printed = answer(f'def test_breaks(namespace):\n    "this breaks"\n    {code}\n{OF_THE_STORE}')
    assert "TODO this breaks" in printed
    assert "ok   the store answers" in printed
    assert "hint: " in printed


def test_a_checks_file_that_is_broken_is_a_sentence(
    room: Path, blocks: Path, answer: Callable[..., str]
) -> None:
    assert "SyntaxError" in answer("def test(:\n")


def test_a_block_without_its_checks_is_a_sentence(
    room: Path, blocks: Path, answer: Callable[..., str]
) -> None:
    write_block(blocks, "03_made")
    (blocks / "03_made" / "checks.py").unlink()
    check(NUMBER)


# --- words -------------------------------------------------------------------------------------


def test_a_missing_variable_is_named(blocks: Path) -> None:
    the_block(blocks, OF_VARIABLES)
    assert "`x`" in hints(seen(blocks, {}))[0]


def test_a_wrong_variable_gets_the_hint_meant_for_it(blocks: Path) -> None:
    the_block(blocks, OF_VARIABLES)
    report = seen(blocks, {"x": 2})
    assert hints(report) == ["x is 2: say x = 1."]
    assert not report.done


def test_all_done_is_said_so(blocks: Path) -> None:
    the_block(blocks, OF_VARIABLES)
    report = seen(blocks, {"x": 1})
    assert report.done
    assert "ok   x is 1" in str(report)
    assert "1 of 1 done." in str(report)
    assert "solutions/" not in str(report)


def test_what_is_left_to_do_comes_with_the_way_to_the_solution(blocks: Path) -> None:
    the_block(blocks, OF_VARIABLES)
    text = str(seen(blocks, {}))
    assert "Block 3 - Made up" in text
    assert "TODO x is 1" in text
    assert "0 of 1 done. Solution: solutions/03_made.py" in text


def test_the_check_sees_the_variables_of_the_place_that_called_it(
    blocks: Path, answer: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert "TODO x is 1" in answer(OF_VARIABLES)
    exec("check(3)", {"check": check, "x": 1})
    assert "ok   x is 1" in capsys.readouterr().out


def test_a_check_is_not_asked_to_be_quick_by_loading_mlflow(blocks: Path) -> None:
    the_block(blocks, OF_VARIABLES)
    look = Look(NUMBER, {"x": 1})
    look_at(look, blocks)
    assert "client" not in look.found


def test_the_same_hint_is_shown_once(blocks: Path) -> None:
    text = """
def test_one(namespace):
    "one"
    assert False, "do it."


def test_two(namespace):
    "two"
    assert False, "do it."
"""
    the_block(blocks, text)
    report = seen(blocks, {})
    assert str(report).count("do it.") == 1
    assert report.to_html().count("do it.") == 1
    assert str(report).count("TODO") == 2


def test_values_in_a_hint_cannot_break_the_page() -> None:
    hint = "`x` is <script>alert(1)</script> & `more`"
    report = Report(1, "<b>T</b>", (Verdict("test", "a < b", False, hint),), "s.py")
    page = report.to_html()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "<b>T</b>" not in page
    assert "a &lt; b" in page
    assert "<code>x</code>" in page


def test_an_odd_backtick_in_a_value_leaves_the_hint_readable() -> None:
    report = Report(1, "T", (Verdict("test", "line", False, "x is ` and <b>"),), "s.py")
    assert "x is ` and &lt;b&gt;" in report.to_html()


def test_ok_and_todo_are_words_not_only_colours() -> None:
    page = Report(1, "T", (Verdict("a", "a", True), Verdict("b", "b", False, "h"))).to_html()
    assert ">ok<" in page
    assert ">TODO<" in page


def test_jupyter_gets_a_table_and_a_terminal_gets_text() -> None:
    report = Report(1, "T", (Verdict("a", "a", True),))
    bundle = report._repr_mimebundle_()
    assert bundle["text/plain"] == str(report)
    assert "<table" in bundle["text/html"]


def test_a_report_without_checks_is_not_done() -> None:
    assert not Report(1, "T", ()).done
    assert not Report(1, "T", (Verdict("a", "a", True),), trouble="no store").done


# --- nothing of the student's is changed -------------------------------------------------------


def test_checking_changes_no_setting_of_mlflows(room: Path, answer: Callable[..., str]) -> None:
    mlflow.set_experiment(EXPERIMENT)
    with mlflow.start_run():
        mlflow.log_param("alpha", 1)
    environment, uri = dict(os.environ), mlflow.get_tracking_uri()
    experiment, last = fluent._get_experiment_id(), fluent._last_active_run_id.get()
    assert "2 of 2 done." in answer(OF_A_RUN)
    assert dict(os.environ) == environment
    assert mlflow.get_tracking_uri() == uri
    assert fluent._get_experiment_id() == experiment
    assert mlflow.active_run() is None
    assert last is not None
    assert fluent._last_active_run_id.get() == last


def test_a_check_that_fails_changes_no_setting_either(
    room: Path, answer: Callable[..., str]
) -> None:
    mlflow.set_tracking_uri("http://127.0.0.1:9")
    environment = dict(os.environ)
    answer("def test_breaks(namespace):\n    'this breaks'\n    1 / 0\n")
    assert dict(os.environ) == environment
    assert mlflow.get_tracking_uri() == "http://127.0.0.1:9"


def test_checking_makes_no_run(room: Path, answer: Callable[..., str]) -> None:
    answer(OF_A_RUN)
    assert list(mlflow.MlflowClient().search_runs(["0"])) == []


# --- whose run is judged -----------------------------------------------------------------------


def make_run(
    monkeypatch: pytest.MonkeyPatch, source: str = "03_made.ipynb", cell: int = 1, **params: Any
) -> str:
    """Make a finished run as that notebook's cell would; its id."""
    monkeypatch.setenv("WINELAB_SOURCE", source)
    monkeypatch.setenv("WINELAB_CELL", str(cell))
    with mlflow.start_run() as run:
        mlflow.log_params(params)
    # Start times count milliseconds.
    time.sleep(0.002)
    return str(run.info.run_id)


def judged(number: int = NUMBER) -> Look:
    """A look at what this process made for the block."""
    return Look(number, {})


def test_the_newest_finished_try_of_the_block_is_judged(
    room: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(monkeypatch, cell=1)
    mine = make_run(monkeypatch, cell=2)
    make_run(monkeypatch, "04_later.ipynb", cell=3)
    make_run(monkeypatch, "14_autolog.ipynb", cell=4)
    assert judged().get("run").info.run_id == mine


def test_a_newer_try_that_failed_hides_no_finished_one(
    room: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = make_run(monkeypatch)
    with pytest.raises(ZeroDivisionError), mlflow.start_run():
        _ = 1 / 0
    assert judged().get("run").info.run_id == mine


def test_a_try_is_all_runs_of_one_execution_of_the_cell(
    room: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(monkeypatch, cell=1)
    both = {make_run(monkeypatch, cell=2), make_run(monkeypatch, cell=2)}
    make_run(monkeypatch, "04_later.ipynb", cell=2)
    assert {run.info.run_id for run in judged().get("attempt")} == both


def test_a_script_and_a_copy_of_the_notebook_count_for_the_block(
    room: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = {make_run(monkeypatch, name) for name in ("03_made.py", "03_made (1).ipynb")}
    assert {run.info.run_id for run in judged().get("runs")} == runs


def test_a_notebook_without_a_number_is_judged_by_this_sessions_runs(
    room: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = make_run(monkeypatch, "Untitled.ipynb")
    assert [run.info.run_id for run in judged().get("runs")] == [mine]


@pytest.mark.parametrize("source", ["03_made.ipynb", "Untitled.ipynb"])
def test_runs_of_an_earlier_session_prove_nothing(
    room: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    earlier = make_run(monkeypatch, source)
    mlflow.MlflowClient().set_tag(earlier, "winelab.try", "0-0/1")
    with pytest.raises(CourseError, match="run the cells above"):
        judged().get("run")
    mine = make_run(monkeypatch, source)
    assert [run.info.run_id for run in judged().get("runs")] == [mine]


def test_runs_in_any_experiment_are_found(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow.set_experiment("elsewhere")
    mine = make_run(monkeypatch)
    assert judged().get("run").info.run_id == mine


def test_a_deleted_run_is_not_judged(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    older = make_run(monkeypatch)
    mlflow.delete_run(make_run(monkeypatch))
    assert judged().get("run").info.run_id == older


def test_a_full_store_is_no_obstacle(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = make_run(monkeypatch)
    client = mlflow.MlflowClient()
    for _ in range(250):
        client.create_run("0", tags={"winelab.block": "4"})
    assert judged().get("run").info.run_id == mine


# --- marks of progress -------------------------------------------------------------------------


def test_a_verified_run_carries_the_mark(
    room: Path, blocks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    the_block(blocks, OF_A_RUN)
    make_run(monkeypatch)
    mine = make_run(monkeypatch, alpha=1)
    look = Look(NUMBER, {})
    report = look_at(look, blocks)
    assert report.done
    assert note(look, report) == ""
    client = mlflow.MlflowClient()
    (marked,) = client.search_runs(["0"], f"tags.`{store.VERIFIED_TAG}` = '3'")
    assert marked.info.run_id == mine
    assert store.marks(client) == {3}


def test_a_block_without_a_run_marks_its_experiment(room: Path, blocks: Path) -> None:
    the_block(blocks, OF_THE_EXPERIMENT, 2)
    mlflow.set_experiment(EXPERIMENT)
    look = Look(2, {})
    assert note(look, look_at(look, blocks)) == ""
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    assert any(name.startswith(store.VERIFIED_TAG) for name in experiment.tags)
    assert store.marks(client) == {2}


def test_a_block_without_mlflow_marks_the_default_experiment(room: Path, blocks: Path) -> None:
    the_block(blocks, OF_VARIABLES, 0)
    look = Look(0, {"x": 1})
    assert note(look, look_at(look, blocks)) == ""
    assert any(name.startswith(store.VERIFIED_TAG) for name in mlflow.get_experiment("0").tags)
    assert store.marks(mlflow.MlflowClient()) == {0}


def test_what_is_not_done_is_not_marked(
    room: Path, blocks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    the_block(blocks, OF_A_RUN)
    make_run(monkeypatch)
    look = Look(NUMBER, {})
    assert note(look, look_at(look, blocks)) == ""
    assert store.marks(mlflow.MlflowClient()) == set()


def test_a_mark_that_cannot_be_written_is_a_sentence(
    room: Path, blocks: Path, answer: Callable[..., str]
) -> None:
    mlflow.set_tracking_uri(f"sqlite:///{(room / 'nowhere.db').as_posix()}")
    the_block(blocks, OF_VARIABLES)
    look = Look(NUMBER, {"x": 1})
    report = look_at(look, blocks)
    assert report.done
    assert "make progress" in note(look, report)


def test_marks_are_read_wherever_they_are(room: Path) -> None:
    client = mlflow.MlflowClient()
    store.mark(client, 0)
    here = client.get_experiment(client.create_experiment("here"))
    gone = client.get_experiment(client.create_experiment("gone"))
    store.mark(client, 2, experiment=here)
    store.mark(client, 12, experiment=gone)
    for number, experiment in ((3, here), (4, gone), (14, here)):
        store.mark(client, number, run=client.create_run(experiment.experiment_id))
    client.delete_run(client.search_runs([here.experiment_id])[0].info.run_id)
    client.delete_experiment(gone.experiment_id)
    assert store.marks(client) == {0, 2, 3, 4, 12, 14}


def test_a_mark_that_somebody_else_wrote_is_passed_over(room: Path) -> None:
    client = mlflow.MlflowClient()
    client.create_run("0", tags={store.VERIFIED_TAG: "yes"})
    client.set_experiment_tag("0", "winelab.verified.soon", "1")
    assert store.marks(client) == set()


def test_the_same_block_can_be_marked_again(room: Path) -> None:
    client = mlflow.MlflowClient()
    run = client.create_run("0")
    for _ in range(2):
        store.mark(client, 3, run=run)
        store.mark(client, 2)
    assert store.marks(client) == {2, 3}


def test_versions_are_those_that_this_try_has_registered(room: Path, blocks: Path) -> None:
    the_block(
        blocks,
        'def test_a(versions):\n    "a"\n'
        "    assert not versions, [int(version.version) for version in versions]\n",
    )
    client = mlflow.MlflowClient()
    client.create_registered_model(REGISTERED)
    client.create_registered_model("another")

    def register(name: str, times: int = 1, tag: dict[str, str] | None = None) -> None:
        with mlflow.start_run(tags=tag) as run:
            pass
        for _ in range(times):
            client.create_model_version(name, "file:///nowhere", run.info.run_id)

    register(REGISTERED, tag={"winelab.try": "0-0/1"})  # another day's
    register("another")
    assert "has made a version" in hints(seen(blocks))[0]
    register(REGISTERED, times=10)
    assert str(list(range(2, 12))) in hints(seen(blocks))[0]


def test_the_logged_model_is_the_one_of_the_run(room: Path, blocks: Path) -> None:
    the_block(
        blocks,
        'def test_a(logged_model):\n    "a"\n'
        '    assert logged_model.name == "b", logged_model.name\n',
    )
    client = mlflow.MlflowClient()

    def log(*names: str) -> None:
        with mlflow.start_run() as run:
            for name in names:
                model = client.create_logged_model("0", name=name, source_run_id=run.info.run_id)
                client.log_outputs(run.info.run_id, [LoggedModelOutput(model.model_id, step=0)])

    log()
    assert "there is no model on the run" in hints(seen(blocks))[0]
    log("one", "two")
    assert "there are 2 models on the run" in hints(seen(blocks))[0]
    log("a")
    assert hints(seen(blocks)) == ["a"]


# --- checks.py ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        pytest.param("x = 1\n", 1, "no check", id="no check"),
        pytest.param(
            "\n\ndef test_a(namespace):\n    assert namespace, 'h'\n",
            3,
            "no docstring",
            id="no docstring",
        ),
        pytest.param(
            'def test_a(namespace):\n    "a"\n    assert namespace\n',
            3,
            "no message",
            id="an assert without a hint",
        ),
        pytest.param(
            'def _help(x):\n    assert x\n\n\ndef test_a(namespace):\n    "a"\n',
            2,
            "no message",
            id="an assert without a hint in a helper",
        ),
        pytest.param('def test_a(client, rum):\n    "a"\n', 1, "rum", id="an unknown fixture"),
        pytest.param('def test_a(*, rum):\n    "a"\n', 1, "rum", id="an unknown keyword fixture"),
        pytest.param(
            'def test_a(run):\n    "a"\n\n\ndef test_a(run):\n    "b"\n',
            5,
            "test_a",
            id="a name twice",
        ),
    ],
)
def test_checks_that_cannot_be_are_refused_with_their_line(
    blocks: Path, text: str, line: int, words: str
) -> None:
    path = the_block(blocks, "pass\n") / "checks.py"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CourseError) as caught:
        load_checks(path)
    assert str(caught.value).startswith(f"03_made/checks.py:{line}: ")
    assert words in str(caught.value)


def test_checks_are_run_in_the_order_they_are_written(blocks: Path) -> None:
    text = '''
def test_z(namespace):
    "first"


def _help():
    """No check."""


def test_a(namespace):
    "second"
'''
    the_block(blocks, text)
    assert [verdict.line for verdict in seen(blocks, {}).verdicts] == ["first", "second"]


def test_a_given_check_is_known_as_one(blocks: Path) -> None:
    text = """
from winelab.checks.authoring import given


@given
def test_a(namespace):
    "already there"


def test_b(namespace):
    "the change"
"""
    the_block(blocks, text)
    assert [verdict.given for verdict in seen(blocks, {}).verdicts] == [True, False]
