"""Checks of a student's work: always an answer, in words that help, whatever was done."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow.entities import LoggedModelOutput
from mlflow.tracking import fluent

from tools.made_up import lesson, mlflow_at, write_block, write_order
from winelab import check
from winelab.checks import checking
from winelab.checks.checking import load_checks, note, run_checks
from winelab.checks.fixtures import FIXTURES, NEED_A_RUN, CheckContext
from winelab.checks.looking import EXPERIMENT, REGISTERED
from winelab.checks.report import Report, Verdict
from winelab.checks.report import marked as marked_up
from winelab.core.errors import CourseError
from winelab.core.order import Listed, read_order
from winelab.core.paths import STORE, course_environment, store_uri
from winelab.course.source import course
from winelab.tracking import store
from winelab.tracking.workspace import furnish

USE = "from winelab.checks.authoring import catches, hint\n"
"""The first line of a checks.py that uses both."""
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


Answer = Callable[..., str]
"""A function of checks: what `check` prints of them."""
Make = Callable[..., str]
"""A function that makes a finished run as a notebook's cell would; its id."""


@pytest.fixture
def blocks(tmp_path: Path) -> Path:
    """A folder of blocks, still empty."""
    return tmp_path / "blocks"


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A workspace in whose store this very process works, as the notebook of block 3."""
    here = furnish(tmp_path / "wine-lab")
    for name, value in course_environment(here).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("WINELAB_SOURCE", "03_run.ipynb")
    monkeypatch.chdir(here / "labs")
    with mlflow_at(store_uri(here)):
        yield here


def the_block(blocks: Path, checks: str) -> Path:
    """Write block 3 with these checks."""
    text = lesson(title="Made up")
    write_order(blocks, "train", "import_mlflow", "experiment")
    return write_block(blocks, "run", text=text, checks=checks.lstrip("\n"))


@pytest.fixture
def answer(
    blocks: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Answer:
    """What `check` prints for a block with these checks, called where there are these variables."""
    monkeypatch.setattr(checking, "read_order", lambda folder=blocks: read_order(folder))

    def asked(checks: str, **variables: Any) -> str:
        if not blocks.exists():
            the_block(blocks, checks)
        capsys.readouterr()
        exec(f"check({NUMBER})", {"check": check, **variables})
        printed = capsys.readouterr().out
        assert "Traceback" not in printed
        return printed

    return asked


# --- an answer, whatever happened --------------------------------------------------------------


@pytest.mark.parametrize("which", [999, -1, None, 3.0, "nothing", "03_autolog"])
def test_a_block_that_is_not_there_is_said_to_be_none(
    which: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    check(which)
    assert f"There is no block {which}: " in capsys.readouterr().out


AUTOLOG = course().block("autolog")


@pytest.mark.parametrize("which", [AUTOLOG.number, str(AUTOLOG.number), AUTOLOG.slug, AUTOLOG.name])
def test_a_block_is_found_by_number_and_by_name(
    workspace: Path,
    which: Any,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WINELAB_SOURCE", "Untitled.ipynb")
    check(which)
    assert capsys.readouterr().out.startswith(f"Block {AUTOLOG.number} - ")


def _failed_run() -> None:
    with suppress(ZeroDivisionError), mlflow.start_run():
        _ = 1 / 0


def _deleted_experiment() -> None:
    mlflow.delete_experiment(mlflow.set_experiment(EXPERIMENT).experiment_id)


MISSING: dict[str, tuple[Callable[[], object], str, tuple[str, ...]]] = {
    # What was done before, the checks, and words of the answer. A run that is not there, is open or
    # has failed, and an experiment that is not there, are mistakes of the blocks.
    "a deleted experiment": (_deleted_experiment, OF_THE_EXPERIMENT, ('restore_experiment("1")',)),
    "no database": (
        partial(mlflow.set_tracking_uri, "sqlite:///nowhere.db"),
        OF_A_RUN,
        ("run the cells above",),
    ),
}
MISSING |= {
    uri: (partial(mlflow.set_tracking_uri, uri), OF_A_RUN, (uri, "set_tracking_uri"))
    for uri in ("./mlruns", "mlruns", "file:///tmp/mlruns")
}


@pytest.mark.parametrize("what", MISSING)
def test_what_is_missing_comes_with_what_to_do(workspace: Path, answer: Answer, what: str) -> None:
    before, checks, words = MISSING[what]
    before()
    printed = answer(checks)
    assert all(word in printed for word in words), printed
    # A look makes nothing.
    assert not list(Path.cwd().iterdir())


NO_STORES: dict[str, tuple[bytes | str, str]] = {
    # The file's bytes, or SQL on a store.
    "text": (b"this is no database at all, only text" * 50, "cannot be read"),
    "damaged": (b"SQLite format 3\x00" + b"\xff" * 5000, "cannot be read"),
    "empty": (b"", "no MLflow store"),
    "something else": ("DROP TABLE runs", "no MLflow store"),
    "another MLflow's": (
        "UPDATE alembic_version SET version_num = 'ffffffffffff'", "another version of MLflow",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", NO_STORES)
def test_a_file_that_is_no_store_leads_to_a_fresh_one(
    workspace: Path, answer: Answer, what: str
) -> None:
    content, words = NO_STORES[what]
    # Under a new name, which MLflow has not opened in this process.
    path = workspace / "other.db"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        shutil.copyfile(workspace / STORE.name, path)
        with closing(sqlite3.connect(path)) as database:
            database.execute(content)
            database.commit()
    before = path.read_bytes()
    mlflow.set_tracking_uri(f"sqlite:///{path.as_posix()}")
    printed = answer(OF_A_RUN)
    assert words in printed and "make reset" in printed
    assert path.read_bytes() == before


def test_a_locked_store_is_said_to_be_busy() -> None:
    error = Exception("(sqlite3.OperationalError) database is locked [SQL: ...]")
    assert "busy" in store.explain(error)


@pytest.mark.parametrize("listens", [False, True], ids=["not there", "never answers"])
def test_a_server_without_an_answer_is_named_soon_and_waited_for_once(
    workspace: Path, answer: Answer, monkeypatch: pytest.MonkeyPatch, listens: bool
) -> None:
    monkeypatch.setitem(store.IMPATIENT, "MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    checks = [OF_THE_EXPERIMENT.replace("there_is", f"there_is_{at}") for at in range(5)]
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        if not listens:
            silent.close()
        mlflow.set_tracking_uri(address)
        started = time.monotonic()
        printed = answer("".join(checks))
        # Two tries and the pause between them, not five times that.
        assert time.monotonic() - started < 5
    assert f"Nothing answers at {address}: start the server" in printed


@pytest.mark.parametrize(
    "code", ["1 / 0", "raise KeyError('x')", "raise AssertionError", "exit()", "namespace['f']()"]
)
def test_a_check_that_breaks_is_a_todo_and_stops_no_other(
    workspace: Path, answer: Answer, code: str
) -> None:
    printed = answer(f'def test_breaks(namespace):\n    "this breaks"\n    {code}\n{OF_THE_STORE}')
    assert "TODO this breaks" in printed
    assert "ok   the store answers" in printed
    assert "hint: " in printed


def test_checks_that_are_broken_or_gone_are_a_sentence(blocks: Path, answer: Answer) -> None:
    assert "SyntaxError" in answer("def test(:\n")
    (blocks / "run" / "checks.py").unlink()
    assert "FileNotFoundError" in answer("")


# --- words -------------------------------------------------------------------------------------


MISSING_X = (
    "there is no variable `x` here yet: if a cell above stopped with an error, fix that one "
    "first. Then run the cells from the top, and mind the spelling."
)


@pytest.mark.parametrize(
    ("variables", "hint", "words"),
    [
        ({}, MISSING_X, ["0 of 1 done. Solution: solutions/03_run.py"]),
        ({"x": 2}, "x is 2: say x = 1.", ["Block 3 - Made up", "TODO x is 1", "hint: x is 2"]),
        ({"x": 1}, "", ["ok   x is 1", "1 of 1 done. Block 3 is yours."]),
    ],
    ids=["missing", "wrong", "right"],
)
def test_a_report_says_what_is_done_and_what_to_do(
    blocks: Path,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, Any],
    hint: str,
    words: list[str],
) -> None:
    the_block(blocks, OF_VARIABLES)
    # As in block 0, where nothing has loaded it: a check of variables is quick.
    monkeypatch.delitem(sys.modules, "mlflow")
    looked = context(blocks, **variables)
    report = run_checks(looked)
    [verdict] = report.verdicts
    assert verdict.hint == hint
    assert report.done == (not hint)
    assert not replace(report, problem="no store").done
    assert not replace(report, verdicts=()).done
    assert all(word in str(report) for word in words)
    assert "client" not in looked.found and "mlflow" not in sys.modules


def test_the_check_sees_the_variables_of_the_place_that_called_it(answer: Answer) -> None:
    assert "TODO x is 1" in answer(OF_VARIABLES)
    assert "ok   x is 1" in answer(OF_VARIABLES, x=1)


def test_a_report_is_text_in_a_terminal_and_a_table_of_words_in_jupyter() -> None:
    todo = [Verdict(name, name, False, "do it.") for name in ("one", "two")]
    report = Report(1, "T", (Verdict("a", "a", True), *todo))
    bundle = report._repr_mimebundle_()
    text, page = bundle["text/plain"], bundle["text/html"]
    assert text == str(report)
    # The same hint is shown once, and no TODO stands bare.
    assert text.count("do it.") == page.count("do it.") == 1
    assert text.count("TODO") == 2
    assert text.count("hint: as above.") == page.count("hint: as above.") == 1
    # Words, not only colours.
    assert all(word in page for word in ("<table", ">ok<", ">TODO<"))


def test_values_in_a_hint_cannot_break_the_page() -> None:
    hint = "`x` is <script>alert(1)</script> & `more`"
    odd = Verdict("odd", "line", False, "x is ` and <b>")
    page = Report(1, "<b>T</b>", (Verdict("test", "a < b", False, hint), odd), "s.py").to_html()
    assert "<script>" not in page and "<b>" not in page
    assert "&lt;script&gt;" in page and "a &lt; b" in page
    assert "<code>x</code>" in page
    assert "x is ` and &lt;b&gt;" in page


@pytest.mark.parametrize(
    ("text", "page"),
    [
        ("call f(a, b).", "call <code>f(a, b)</code>."),
        ("say `x` = g(1)", "say <code>x</code> = <code>g(1)</code>"),
        ('use a.b({"c": d(1)}).', 'use <code>a.b({"c": d(1)})</code>.'),
        ("three runs (not two)", "three runs (not two)"),
        ("an open f( stays", "an open f( stays"),
        ("`a.b(1)`", "<code>a.b(1)</code>"),
        ("f(x < 1) < 2", "<code>f(x &lt; 1)</code> &lt; 2"),
    ],
)
def test_a_call_is_set_as_code_as_a_variable_is(text: str, page: str) -> None:
    assert marked_up(text) == page


# --- nothing of the student's is changed -------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "checks"),
    [(None, OF_A_RUN), ("http://127.0.0.1:9", OF_VARIABLES.replace("1,", "1 / 0,"))],
    ids=["done", "a check that breaks"],
)
def test_checking_changes_no_setting_and_makes_no_run(
    workspace: Path, answer: Answer, uri: str | None, checks: str
) -> None:
    mlflow.set_experiment(EXPERIMENT)
    with mlflow.start_run() as run:
        mlflow.log_param("alpha", 1)
    mlflow.set_tracking_uri(uri or mlflow.get_tracking_uri())
    before = dict(os.environ), mlflow.get_tracking_uri(), fluent._get_experiment_id()
    assert ("3 of 3 done." in answer(checks)) == (uri is None)
    assert (dict(os.environ), mlflow.get_tracking_uri(), fluent._get_experiment_id()) == before
    assert mlflow.active_run() is None
    assert fluent._last_active_run_id.get() == run.info.run_id
    client = mlflow.MlflowClient(store_uri(workspace))
    assert len(client.search_runs([run.info.experiment_id])) == 1


def test_a_name_that_holds_something_else_is_named_with_its_kind(answer: Answer) -> None:
    checks = OF_VARIABLES.replace('namespace["x"] == 1', 'namespace["x"].mean() == 1')
    printed = answer(checks, x=None, y=2)
    assert "does not hold what the lesson puts there: `x` is nothing (None)." in printed
    assert "Error" not in printed


def test_what_a_run_or_a_table_lacks_is_named(answer: Answer) -> None:
    checks = OF_VARIABLES.replace('namespace["x"] == 1', 'namespace["x"]["rmse"] == 1')
    printed = answer(checks, x={})
    assert 'there is no "rmse" on the run or in the table' in printed
    assert "Error" not in printed


# --- whose run is judged -----------------------------------------------------------------------


@pytest.fixture
def made(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Make a finished run as a notebook's cell would; its id."""

    def make(source: str = "03_run.ipynb", cell: int = 1, **params: Any) -> str:
        monkeypatch.setenv("WINELAB_SOURCE", source)
        monkeypatch.setenv("WINELAB_CELL", str(cell))
        with mlflow.start_run() as run:
            mlflow.log_params(params)
        # Start times count milliseconds.
        time.sleep(0.002)
        return str(run.info.run_id)

    return make


def context(blocks: Path = Path("blocks"), **variables: Any) -> CheckContext:
    """A look at the work of block 3."""
    return CheckContext(Listed(NUMBER, "run", 1, blocks / "run", False), variables)


def found(fixture: str) -> Any:
    """What a check of block 3 gets: the id of a run, or those of several."""
    value = context().get(fixture)
    return [run.info.run_id for run in value] if isinstance(value, list) else value.info.run_id


def test_the_newest_finished_run_of_the_block_is_judged(made: Make) -> None:
    made(cell=1)
    os.environ["WINELAB_SOURCE"] = "03_made.ipynb"
    _failed_run()
    mine = made(cell=2)
    made("04_later.ipynb", cell=3)
    made("14_autolog.ipynb", cell=4)
    os.environ["WINELAB_SOURCE"] = "03_run.ipynb"
    mlflow.delete_run(made(cell=5))
    assert found("run") == mine


OPEN, FAILED, FINE = (
    "a run is still open",
    "your newest run ended as FAILED",
    "ok   your newest run",
)


def _open_run() -> None:
    # A param that was logged above the `with`.
    mlflow.log_param("alpha", 2)


def _run_that_stood_open() -> None:
    _open_run()
    mlflow.end_run()


@pytest.mark.parametrize("checks", [OF_A_RUN, OF_VARIABLES], ids=["of a run", "of variables"])
@pytest.mark.parametrize(
    ("later", "words"),
    [
        (_open_run, OPEN),
        (_failed_run, FAILED),
        (_run_that_stood_open, FINE),
        (lambda: None, FINE),
    ],
)
def test_the_first_line_says_of_a_run_that_is_open_or_failed(
    made: Make, answer: Answer, checks: str, later: Callable[[], None], words: str
) -> None:
    """And no check praises or blames the run before it."""
    made(alpha=1)
    later()
    _, first, second, *_ = answer(checks, x=1).splitlines()
    if words != FINE:
        assert first == "  TODO your newest run has finished, and none is open"
        assert words in second
    elif checks == OF_A_RUN:
        assert words in first
    else:
        # Where no run is asked for there is nothing to say.
        assert first == "  ok   x is 1"
    if words != FINE and checks == OF_A_RUN:
        assert answer(checks).count("hint: as above.") == 2
    mlflow.end_run()


@pytest.mark.parametrize("what", ["before the first run", "without a store"])
def test_without_a_run_the_first_line_is_no_promise_of_the_untouched_lab(
    workspace: Path, blocks: Path, what: str
) -> None:
    the_block(blocks, OF_A_RUN)
    if what == "without a store":
        mlflow.set_tracking_uri("sqlite:///nowhere.db")
    first, *_ = run_checks(context(blocks)).verdicts
    assert not first.done and not first.given and first.hint


def test_a_check_in_the_notebook_of_another_block_is_one_sentence(
    made: Make, answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(alpha=1)
    monkeypatch.setenv("WINELAB_SOURCE", "02_experiment.ipynb")
    printed = answer(OF_A_RUN)
    assert "This is the notebook of block 2" in printed and "TODO" not in printed
    # A notebook under a name of the student's own is of any block.
    monkeypatch.setenv("WINELAB_SOURCE", "Untitled.ipynb")
    assert "3 of 3 done." in answer(OF_A_RUN)


def test_a_try_is_all_runs_of_one_execution_of_the_cell(made: Make) -> None:
    made(cell=1)
    both = {made(cell=2), made(cell=2)}
    made("04_later.ipynb", cell=2)
    assert set(found("attempt")) == both


def test_a_script_a_copy_and_a_notebook_without_a_number_count(made: Make) -> None:
    mine = [made(name) for name in ("Untitled.ipynb", "03_run.py", "03_run (1).ipynb")]
    assert found("runs") == mine[::-1]


@pytest.mark.parametrize("source", ["03_run.ipynb", "Untitled.ipynb"])
def test_runs_of_an_earlier_session_prove_nothing(made: Make, source: str) -> None:
    mlflow.MlflowClient().set_tag(made(source), "winelab.try", "0-0/1")
    with pytest.raises(CourseError, match="run the cells from the top"):
        found("run")
    mine = made(source)
    assert found("runs") == [mine]


def test_a_run_is_found_in_any_experiment_and_in_a_full_store(workspace: Path, made: Make) -> None:
    mlflow.set_experiment("elsewhere")
    mine = made()
    with closing(sqlite3.connect(workspace / STORE.name)) as database:
        names = [row[1] for row in database.execute("PRAGMA table_info(runs)")]
        # Of yesterday, in milliseconds.
        copied = {"run_uuid": "printf('%032x', i)", "start_time": "start_time - 86400000"}
        columns = ", ".join(copied.get(n, n) for n in names)
        database.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500) "
            f"INSERT INTO runs SELECT {columns} FROM runs, n WHERE run_uuid = ?",
            [mine],
        )
        database.commit()
    assert found("run") == mine


@pytest.mark.parametrize("count", [0, 2])
def test_a_logged_model_is_the_only_one_of_the_run(workspace: Path, count: int) -> None:
    client = mlflow.MlflowClient()
    with mlflow.start_run() as run:
        for _ in range(count):
            model = client.create_logged_model("0", source_run_id=run.info.run_id)
            client.log_outputs(run.info.run_id, [LoggedModelOutput(model.model_id, step=0)])
    words = "there are 2 models on the run" if count else "there is no model on the run"
    with pytest.raises(CourseError, match=words):
        context().get("logged_model")


def test_versions_are_those_that_this_try_has_registered(made: Make) -> None:
    client = mlflow.MlflowClient()
    client.create_registered_model(REGISTERED)
    client.create_registered_model("another")

    def register(name: str, times: int = 1) -> str:
        run = made()
        for _ in range(times):
            client.create_model_version(name, "file:///nowhere", run)
        return run

    client.set_tag(register(REGISTERED), "winelab.try", "0-0/1")  # another day's
    register("another")
    with pytest.raises(CourseError, match="has made a version"):
        context().get("versions")
    register(REGISTERED, times=10)
    versions = context().get("versions")
    assert [int(version.version) for version in versions] == list(range(2, 12))


# --- marks of progress -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("checks", "where"),
    [
        pytest.param(OF_A_RUN, "run", id="of a run"),
        pytest.param(
            'def test_a(attempt, experiment):\n    "a"\n', "run", id="of a run and its experiment"
        ),
        pytest.param(OF_THE_EXPERIMENT, "experiment", id="of an experiment"),
        pytest.param(OF_VARIABLES, "0", id="of variables"),
        pytest.param(OF_A_RUN.replace('"alpha"', '"beta"'), "", id="of what is not done"),
    ],
)
def test_the_mark_is_where_the_blocks_checks_look(
    blocks: Path, made: Make, checks: str, where: str
) -> None:
    """Fixed by what they ask for: that there is more in the store changes nothing."""
    the_block(blocks, checks)
    experiment = mlflow.set_experiment(EXPERIMENT).experiment_id
    made()
    mine = made(alpha=1)
    looked = context(blocks, x=1)
    looked.get("run"), looked.get("experiment")
    assert note(looked, run_checks(looked)) == ""
    client = mlflow.MlflowClient()
    tagged = [
        *(run.info.run_id for run in client.search_runs([experiment, "0"]) if marked(run.data)),
        *(found.experiment_id for found in client.search_experiments() if marked(found)),
    ]
    assert tagged == ([{"run": mine, "experiment": experiment}.get(where, where)] if where else [])
    assert store.marks(client) == ({"run"} if where else set())


def marked(entity: Any) -> bool:
    """Whether a run's data or an experiment has a mark of progress."""
    return any(name.startswith(store.VERIFIED_TAG) for name in entity.tags)


@pytest.mark.parametrize("fixture", FIXTURES)
def test_a_block_is_about_a_run_where_a_fixture_of_its_checks_needs_one(
    workspace: Path, fixture: str
) -> None:
    looked = context()
    with suppress(CourseError):
        looked.get(fixture)
    assert ("run" in looked.found) == (fixture in NEED_A_RUN)


def test_a_mark_that_cannot_be_written_is_a_sentence(workspace: Path, answer: Answer) -> None:
    mlflow.set_tracking_uri("sqlite:///nowhere.db")
    printed = answer(OF_VARIABLES, x=1)
    assert "1 of 1 done. Block 3 is yours.\n(Not noted for `make progress`" in printed


def test_marks_are_read_wherever_they_are(workspace: Path) -> None:
    client = mlflow.MlflowClient()
    store.mark(client, "train")
    here = client.get_experiment(client.create_experiment("here"))
    gone = client.get_experiment(client.create_experiment("gone"))
    store.mark(client, "experiment", experiment=here)
    store.mark(client, "log_model", experiment=gone)
    for slug, experiment in (("run", here), ("tags", gone), ("autolog", here), ("autolog", here)):
        store.mark(client, slug, run=client.create_run(experiment.experiment_id))
    client.delete_run(client.search_runs([here.experiment_id])[0].info.run_id)
    client.delete_experiment(gone.experiment_id)
    # The same block can be marked again.
    store.mark(client, "train")
    assert store.marks(client) == {"train", "experiment", "run", "tags", "log_model", "autolog"}


# --- checks.py ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("x = 1\n", 1, "there is no check"),
        ("\n\ndef test_a(namespace):\n    assert namespace, 'h'\n", 3, "test_a has no docstring"),
        ("def test_a(run):\n    'a'\n    assert run\n", 3, "the assert has no message"),
        ("def _help(x):\n    assert x\n\ndef test_a(run):\n    'a'\n", 2, "has no message"),
        (f"{USE}@catches('x')\ndef test_a(run):\n    'a'\n", 3, 'the mistake "x" has no @hint'),
        (
            f"{USE}@hint('b')\n@catches('x')\n@hint('a')\ndef test_a(run):\n    'a'\n",
            5,
            "put it below",
        ),
        ("def test_a(client, rum):\n    'a'\n", 1, "no fixture is called rum"),
        ("def test_a(*, rum):\n    'a'\n", 1, "no fixture is called rum"),
        ("def test_a(run):\n    'a'\n\ndef test_a(run):\n    'b'\n", 4, "a second time"),
    ],
)
def test_checks_that_cannot_be_are_refused_with_their_line(
    blocks: Path, text: str, line: int, words: str
) -> None:
    path = the_block(blocks, "pass\n") / "checks.py"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CourseError) as caught:
        load_checks(path)
    assert str(caught.value).startswith(f"run/checks.py:{line}: ")
    assert words in str(caught.value)


def test_checks_run_in_the_order_they_are_written_and_a_given_one_is_known(blocks: Path) -> None:
    text = '''
from winelab.checks.authoring import given


@given
def test_z(namespace):
    "first"


def _help():
    """No check."""


def test_a(namespace):
    "second"
'''
    the_block(blocks, text)
    verdicts = run_checks(context(blocks)).verdicts
    assert [(v.line, v.given) for v in verdicts] == [("first", True), ("second", False)]
