"""Calling a student's function: it can do no harm, and what goes wrong is a sentence."""

from __future__ import annotations

import linecache
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest

from tools.made_up import mlflow_at
from winelab.checks.checking import verdict_of
from winelab.checks.fixtures import CheckContext, Namespace
from winelab.checks.scratch import _untouched, call, scratch_store, student_function
from winelab.core.order import Listed
from winelab.core.paths import course_environment, store_uri
from winelab.proof import fairness
from winelab.tracking.workspace import furnish


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A workspace in whose store this very process works."""
    here = furnish(tmp_path / "wine-lab")
    for name, value in course_environment(here).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(here / "labs")
    with mlflow_at(store_uri(here)):
        yield here


def written(source: str) -> Callable[..., Any]:
    """The function `f` of this source, as a student's cell defines it."""
    name = "<cell 7>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    variables: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(source, name, "exec"), variables)
    function: Callable[..., Any] = variables["f"]
    return function


def refusal(function: Any, *arguments: Any, **more: Any) -> str:
    with pytest.raises(AssertionError) as caught:
        call(function, *arguments, **more)
    return str(caught.value)


# --- no harm -----------------------------------------------------------------------------------


@pytest.mark.parametrize("fails", [False, True], ids=["it answers", "it stops"])
@pytest.mark.parametrize("open_run", [False, True], ids=["no run is open", "a run is open"])
def test_whatever_a_function_does_all_is_as_before(
    workspace: Path, fails: bool, open_run: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    import matplotlib.pyplot as plt

    mlflow.set_experiment("wine-quality")
    with mlflow.start_run():
        mlflow.log_metric("mine", 1)
    if open_run:
        mlflow.start_run()
    figure = plt.figure()
    capsys.readouterr()
    before = fairness._state(workspace)
    harmful = fairness._harmful(lambda x: x + 1, fails)
    for _ in range(2):
        if fails:
            assert "a student's error" in refusal(harmful, 1)
        else:
            assert call(harmful, 1) == 2
    after = fairness._state(workspace)
    assert [what for what in before if before[what] != after[what]] == []
    assert plt.fignum_exists(figure.number)
    plt.close(figure)
    assert capsys.readouterr() == ("", "")


def test_what_is_done_in_a_scratch_store_stays_there(workspace: Path) -> None:
    with pytest.raises(ZeroDivisionError), scratch_store() as client:
        client.create_registered_model("tea")
        # Also of a function that makes a client of its own; and each call sees what came before.
        assert call(lambda: mlflow.MlflowClient().get_registered_model("tea").name) == "tea"
        call(lambda: mlflow.log_param("cups", 3))
        # The run that it left open is nobody's.
        assert call(mlflow.active_run) is None
        assert len(client.search_runs(["0"])) == 1
        raise ZeroDivisionError
    assert mlflow.get_tracking_uri() == store_uri(workspace)
    assert not mlflow.MlflowClient().search_registered_models()
    with scratch_store() as client:
        assert not client.search_registered_models()


def test_the_figures_that_a_function_leaves_open_are_told(workspace: Path) -> None:
    import matplotlib.pyplot as plt

    def draw(closed: bool) -> object:
        figure = plt.figure()
        if closed:
            plt.close(figure)
        return figure

    for closed in (True, False):
        left_open: list[Any] = []
        figure = call(draw, closed, left_open=left_open)
        assert left_open == ([] if closed else [figure])


def test_a_call_is_quick(workspace: Path) -> None:
    call(len, "")
    started = time.perf_counter()
    for _ in range(5):
        call(len, "")
    assert (time.perf_counter() - started) / 5 < 0.2


# --- what goes wrong ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("return x / 0", "f stops in its line `return x / 0`: division by zero. Mind x."),
        ("return {}['rmse']", "f stops in its line `return {}['rmse']`: there is nothing under"),
        ("raise SystemExit('no wine')", 'it ends the program, with "no wine". Mind x.'),
        ("exit()", "it ends the program. Mind x."),
        ("assert x == 2", "an assert in it does not hold. Mind x."),
        ("raise ValueError", "it raises an error that says no more. Mind x."),
        ("import json; json.loads('{')", "f stops in its line `import json; json.loads('{')`: "),
    ],
)
def test_an_error_is_a_sentence_with_the_line_and_without_pythons_name(
    workspace: Path, body: str, words: str
) -> None:
    said = refusal(written(f"def f(x):\n    {body}\n"), 1, on_error="Mind x.")
    assert words in said
    assert "Error" not in re.sub("`.*?`", "", said)


def test_wrong_arguments_are_a_sentence(workspace: Path) -> None:
    said = refusal(written("def f(x):\n    pass\n"), 1, 2, on_error="It takes x.")
    assert said == "f stops: f() takes 1 positional argument but 2 were given. It takes x."


def test_a_long_error_is_cut_between_two_words(workspace: Path) -> None:
    said = refusal(written("def f():\n    raise ValueError('wine ' * 100)\n"))
    assert said.endswith("wine wine [...].")
    assert len(said) < 250


def test_an_answer_of_another_type_is_a_sentence(workspace: Path) -> None:
    said = refusal(print, "x", expect=dict, on_error="Return it.")
    assert said == (
        "print gives back nothing (None), since it ends without `return`, and should give a "
        "dictionary. Return it."
    )
    assert refusal(len, "x", expect=(dict, list)) == (
        "len gives back a number, and should give a dictionary."
    )
    assert call(len, "x", expect=(int, float)) == 1


def test_an_error_may_be_an_answer(workspace: Path) -> None:
    end = call(written("def f():\n    raise SystemExit('none')\n"), may_raise=SystemExit)
    assert isinstance(end, SystemExit) and end.code == "none"


def test_a_function_that_is_not_there_or_none_is_a_sentence() -> None:
    names = Namespace({"f": len, "g": 7.5, "h": None})
    assert student_function(names, "f", "Settings") is len
    for name in ("h", "nowhere"):
        with pytest.raises(AssertionError, match=f'no function `{name}` yet.*cell "Settings"'):
            student_function(names, name, "Settings")
    with pytest.raises(AssertionError, match="`g` is a number, not a function"):
        student_function(names, "g")


# --- the probes that all blocks' checks go through ---------------------------------------------

CHECKS = """
from winelab.checks.scratch import call, student_function


def test_f_doubles(namespace):
    "f doubles"
    {body}
"""
FAIR = 'assert call(student_function(namespace, "f"), 1, expect=int) == 2, "say 2 * x."'
RAW = 'assert namespace["f"](1) == 2, "say 2 * x."'
NAMED = """
    try:
        namespace["f"](1)
    except Exception as error:
        raise AssertionError(f"it ends in {type(error).__name__}") from None"""


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (FAIR, {}),
        (RAW, {"functions that do harm": "change the store, the files, the active run"}),
        (
            NAMED,
            {
                "names of another kind": "where `f` is nothing (None): it ends in TypeError",
                "functions that do harm": "change the store, the files",
            },
        ),
    ],
    ids=["fair", "called as it is", "Python's error"],
)
def test_a_probe_finds_what_is_not_fair(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, body: str, found: dict[str, str]
) -> None:
    from winelab.checks import checking

    blocks = workspace / "blocks" / "03_made"
    blocks.mkdir(parents=True)
    (blocks / "checks.py").write_text(CHECKS.format(body=body), encoding="utf-8")
    (blocks / "lesson.md").write_text("title: Made up\n", encoding="utf-8")
    checks = checking.load_checks(blocks / "checks.py")
    monkeypatch.setattr(fairness, "checks_of", lambda folder: checks)
    monkeypatch.setattr(
        fairness,
        "run_checks",
        lambda context: [verdict_of(function, context) for function in checks.functions],
    )
    for name, probe in fairness.PROBES.items():
        # What the harm has changed is put back here.
        with _untouched():
            mlflow.set_tracking_uri(store_uri(workspace))
            block = Listed(3, "made", 1, blocks, False)
            said = probe(CheckContext(block, {"f": written("def f(x):\n    return 2 * x\n")}))
        assert bool(said) == (name in found), said
        assert found.get(name, "") in "\n".join(said)
