"""Try a block's checks with what a student may also have: names of another kind, harmful functions.

Each probe runs in the process where the solution has run, and returns what it found, a sentence
each. No check may show Python's error in place of a hint (P12 of the design), and none may change
the student's store, kernel or folder.
"""

from __future__ import annotations

import importlib
import inspect
import os
import random
import re
import sqlite3
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import cache, partial, wraps
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

from winelab.checks import scratch
from winelab.checks.checking import checks_of, run_checks, verdict_of
from winelab.checks.comparing import kind, listed
from winelab.checks.fixtures import CheckContext
from winelab.core.mlflow_private import active_experiment_id, autolog_is_off, last_run_id
from winelab.tracking.store import sqlite_file

OF_THE_STORE = ("client", "experiment", "runs", "run", "attempt", "logged_model", "versions")
"""The fixtures that no variable changes: found once, they serve every look."""


# --- names of another kind ---------------------------------------------------------------------


def _stops(*arguments: Any, **named: Any) -> Any:
    """A function that stops with an error."""
    raise LookupError("a student's error")


def _kinds(value: Any) -> Iterator[tuple[str, Any]]:
    """What a name may hold in place of this value, each with its words."""
    others: tuple[Any, ...] = (None, "a text", 7.5, [1, 2])
    yield from ((kind(other), other) for other in others)
    yield "a function that stops", _stops
    if callable(value):
        for other in others:
            yield f"a function that answers {kind(other)}", lambda *_, _answer=other, **__: _answer


def wrong_kinds(context: CheckContext) -> list[str]:
    """Give each name that a check reads a value of another kind, and look at the hint.

    Args:
        context: of the solution, which passes.
    """
    checks = checks_of(context.block.folder)
    kept = {name: found for name, found in context.found.items() if name in OF_THE_STORE}
    # A fresh process takes seconds, and the same model and table give the same answer.
    kept["fresh"] = _remembered(context.get("fresh"))
    wrong = []
    for function in checks.functions:
        look = CheckContext(context.block, context.variables, dict(kept))
        verdict_of(function, look)
        namespace = look.found.get("namespace")
        for name in namespace.read if namespace else ():
            for words, value in _kinds(context.variables[name]):
                variables = {**context.variables, name: value}
                hint = verdict_of(function, CheckContext(context.block, variables, dict(kept))).hint
                if _is_pythons(hint, Path(function.__code__.co_filename)):
                    wrong.append(f"{function.__name__}, where `{name}` is {words}: {hint}")
    return wrong


def _remembered(fresh: Callable[[str, Any], list[float]]) -> Callable[[str, Any], list[float]]:
    answers: dict[tuple[str, str], list[float]] = {}

    def ask(uri: str, table: Any) -> list[float]:
        key = uri, table.to_json()
        if key not in answers:
            answers[key] = fresh(uri, table)
        return answers[key]

    return ask


@cache
def _words_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _is_pythons(hint: str, checks: Path) -> bool:
    """Whether a hint names an error of Python's, and its author did not write that name there."""
    # Between backticks is the student's own code.
    said = re.sub("`[^`]*`", "", hint)
    names = re.findall(r"\b(?:\w+(?:Error|Exception)|SystemExit)\b", said)
    return "could not be looked at" in hint or any(name not in _words_of(checks) for name in names)


# --- functions that do harm --------------------------------------------------------------------


def harmful_functions(context: CheckContext) -> list[str]:
    """Let each of the student's functions do harm, and look at what the checks leave behind.

    Args:
        context: of the solution, which passes.
    """
    for fails in (False, True):
        variables = {
            name: _harmful(value, fails)
            if inspect.isfunction(value) and value.__module__ == "__main__"
            else value
            for name, value in context.variables.items()
        }
        before = _state(Path.cwd().parent)
        with patch.object(scratch, "_imported", partial(_harmful_module, fails=fails)):
            run_checks(CheckContext(context.block, variables))
        after = _state(before["the course's folder"])
        changed = [what for what in before if before[what] != after[what]]
        if changed:
            how = "does harm and stops with an error" if fails else "does harm"
            return [
                f"with a function of the student's that {how}, the checks change {listed(changed)}"
            ]
    return []


def _harmful_module(name: str, fails: bool) -> ModuleType:
    """Import a module of the student's package; each function of its own does harm."""
    module = importlib.import_module(name)
    for key, value in list(vars(module).items()):
        if inspect.isfunction(value) and value.__module__ == name:
            setattr(module, key, _harmful(value, fails))
    return module


def _harmful(function: Callable[..., Any], fails: bool) -> Callable[..., Any]:
    """Return the function with a run left open, a picture, and more of what a student may write."""
    import matplotlib.pyplot as plt
    import mlflow
    import numpy as np

    @wraps(function)
    def harmful(*arguments: Any, **named: Any) -> Any:
        print("harm")
        random.seed(1)
        np.random.seed(1)
        warnings.simplefilter("error")
        os.environ["HARM"] = "1"
        plt.rcParams["lines.linewidth"] = 9.0
        plt.close("all")
        plt.figure()
        with suppress(mlflow.MlflowException):
            mlflow.log_param("harm", random.random())
            mlflow.log_metric("harm", 1)
            mlflow.start_run(nested=True)
            mlflow.log_text("harm", "harm.txt")
        try:
            return function(*arguments, **named)
        finally:
            Path("harm.txt").write_text("harm", encoding="utf-8")
            mlflow.set_experiment("harm")
            mlflow.set_tracking_uri("sqlite:///harm.db")
            mlflow.set_registry_uri("sqlite:///harm.db")
            # As one that is never turned off, or that was on: what is not as the student had it.
            mlflow.sklearn.autolog(disable=not autolog_is_off("sklearn"))
            os.chdir(tempfile.gettempdir())
            if fails:
                raise LookupError("a student's error")

    return harmful


def _state(course: Path) -> dict[str, Any]:
    """What a check must leave as it is, by what it is called."""
    import matplotlib.pyplot as plt
    import mlflow
    import numpy as np

    active = mlflow.active_run()
    files = {path for path in course.rglob("*") if path.is_file()}
    uri = mlflow.get_tracking_uri()
    return {
        "the store": {path: _rows(path) for path in files if path.suffix == ".db"},
        "the files": {path: path.stat().st_size for path in files if ".db" not in path.name},
        "the active run": active and active.info.run_id,
        "the last run": last_run_id(),
        "the active experiment": active_experiment_id() if sqlite_file(uri) else "",
        "the tracking URI": uri,
        "the registry URI": mlflow.get_registry_uri(),
        "autolog": autolog_is_off("sklearn"),
        "the working folder": Path.cwd(),
        "the environment": dict(os.environ),
        "the open figures": plt.get_fignums(),
        "matplotlib's settings": dict(plt.rcParams),
        "the random numbers": (random.getstate(), str(np.random.get_state())),
        "the filters of warnings": list(warnings.filters),
        "the course's folder": course,
    }


def _rows(database: Path) -> list[str]:
    with closing(sqlite3.connect(database)) as opened:
        return list(opened.iterdump())


PROBES: dict[str, Callable[[CheckContext], list[str]]] = {
    "names of another kind": wrong_kinds,
    "functions that do harm": harmful_functions,
}
