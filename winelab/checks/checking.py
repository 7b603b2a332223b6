"""Run a block's checks, and answer a student. `check` never raises, whatever the student did."""

from __future__ import annotations

import ast
import inspect
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from winelab.checks.authoring import Mistake, Variant, given
from winelab.checks.comparing import kind, listed
from winelab.checks.fixtures import FIXTURES, NEED_A_RUN, CheckContext, Namespace
from winelab.checks.looking import trouble
from winelab.checks.report import Report, Verdict
from winelab.core.console import shortened
from winelab.core.errors import CourseError, Missing, fail
from winelab.core.order import find_one, read_order, refers
from winelab.tracking import store
from winelab.tracking.run_tags import block_slug, source_name

if TYPE_CHECKING:
    from mlflow.entities import Run

UNFILLED = "WINELAB_UNFILLED"
"""Set where `make outputs` runs: what a check shows is kept with references for numbers."""

# --- a block's checks.py -----------------------------------------------------------------------


@dataclass(frozen=True)
class Checks:
    """What a checks.py holds: its check functions in order, and the other right ways to accept."""

    functions: tuple[Callable[..., None], ...]
    right_ways: tuple[Variant, ...] = ()
    server_beside_script: bool = False
    """Whether a script needs a tracking server beside it: SERVER_BESIDE_SCRIPT in checks.py."""

    @property
    def mistakes(self) -> tuple[Mistake, ...]:
        """Return the mistakes to catch, in the order of the checks that catch them."""
        return tuple(m for function in self.functions for m in getattr(function, "mistakes", ()))

    @property
    def fixtures(self) -> set[str]:
        """Return the names of the fixtures that any of the checks asks for."""
        return {name for function in self.functions for name in _fixtures_of(function)}

    @property
    def lines(self) -> tuple[Callable[..., None], ...]:
        """Return the checks of a report's lines: in a block about a run, first whether it ended."""
        first = (the_newest_run_has_finished,) if self.subject == "run" else ()
        return (*first, *self.functions)

    @property
    def subject(self) -> str:
        """Return the fixture that all this is about: "run", "experiment", or "" for neither."""
        if not self.fixtures.isdisjoint(NEED_A_RUN):
            return "run"
        return "experiment" if "experiment" in self.fixtures else ""


@given
def the_newest_run_has_finished(run: Run) -> None:
    "your newest run has finished, and none is open"


def _fixtures_of(function: Callable[..., None]) -> tuple[str, ...]:
    return tuple(inspect.signature(function).parameters)


def load_checks(path: Path) -> Checks:
    """Load a block's checks.py.

    Raises CourseError with file and line of what is not as it must be: each check has a docstring,
    which is its line, and asks for known fixtures; each assert has a message, which is the hint;
    each mistake has a @hint.
    """

    def refuse(line: int, why: str) -> CourseError:
        return fail(path, line, why)

    tree = ast.parse(source_text(path), filename=str(path))
    checks = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name.startswith("test_")]
    if not checks:
        raise refuse(1, "there is no check; write functions named test_....")
    for at, check in enumerate(checks):
        if check.name in {other.name for other in checks[:at]}:
            raise refuse(check.lineno, f"{check.name} stands here a second time.")
        if not ast.get_docstring(check):
            why = f"{check.name} has no docstring; it is the line that a student sees."
            raise refuse(check.lineno, why)
        for argument in [*check.args.posonlyargs, *check.args.args, *check.args.kwonlyargs]:
            if argument.arg not in FIXTURES:
                why = f"no fixture is called {argument.arg}; there are {', '.join(FIXTURES)}."
                raise refuse(check.lineno, why)
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert) and node.msg is None:
            raise refuse(node.lineno, "the assert has no message; it is the student's hint.")
    names: dict[str, Any] = {"__name__": f"checks of {path.parent.name}", "__file__": str(path)}
    exec(compile(tree, str(path), "exec"), names)
    functions = tuple(names[check.name] for check in checks)
    for check, function in zip(checks, functions, strict=True):
        wordless = [one.what for one in getattr(function, "mistakes", ()) if not one.hint]
        if wordless:
            raise refuse(check.lineno, f'the mistake "{wordless[0]}" has no @hint below it.')
        if getattr(function, "parts", ()):
            raise refuse(check.lineno, "an edit or a hint stands above its @catches; put it below.")
    right_ways = tuple(names.get("RIGHT_WAYS", ()))
    return Checks(functions, right_ways, names.get("SERVER_BESIDE_SCRIPT", False))


def source_text(path: Path) -> str:
    """Return the text of a file in a block's folder, with the blocks' numbers in it.

    Raises CourseError for a reference to a block that is not there.
    """
    text = path.read_text(encoding="utf-8")
    # A hand-in's room has no other block, and no reference is left in what lies there.
    if not refers(text) or os.environ.get(UNFILLED):
        return text
    order = read_order(path.parents[1])
    lines = enumerate(text.split("\n"), start=1)
    return "\n".join(order.fill(line, path, number) for number, line in lines)


@cache
def checks_of(folder: Path) -> Checks:
    """Return the checks of the block in `folder`, loaded once a process."""
    return load_checks(folder / "checks.py")


# --- a student's work --------------------------------------------------------------------------


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def verdict_of(function: Callable[..., None], context: CheckContext) -> Verdict:
    """Return what one check says. Never raises, whatever the check or the student's code does."""
    hint = ""
    variables: Namespace = context.get("namespace")
    variables.read.clear()
    try:
        with store.environment(**store.IMPATIENT):
            function(**{name: context.get(name) for name in _fixtures_of(function)})
    except (AssertionError, Missing) as error:
        # Without words it is an assert of the student's own, in a function that a check calls.
        hint = str(error).strip() or _explain(error)
    # A function of the student's may call exit().
    except (Exception, SystemExit) as error:
        hint = _explain(error, variables.read)
    return verdict_on(function, " ".join(hint.split()))


def verdict_on(function: Callable[..., None], hint: str = "") -> Verdict:
    """Return the verdict on a check: done where there is no hint."""
    line = _first_line(function.__doc__ or function.__name__)
    return Verdict(function.__name__, line, not hint, hint, getattr(function, "given", False))


def _explain(error: BaseException, read: Mapping[str, Any] | None = None) -> str:
    """Word an error that no check foresaw.

    Args:
        error: what ended the check.
        read: the student's variables that the check has read.
    """
    asked_the_store = ("mlflow", "sqlalchemy", "alembic", "sqlite3", "requests")
    if isinstance(error, Exception) and type(error).__module__.startswith(asked_the_store):
        found = store.known_trouble(error)
        # Where a name holds something else, the store was asked for something that cannot be.
        if found or not read:
            return found or store.explain(error)
    if type(error) is KeyError and error.args and isinstance(error.args[0], str):
        return (
            f'there is no "{error.args[0]}" on the run or in the table where the lesson has it: '
            "compare with the TODO, and run the cells again from the top."
        )
    if read:
        held = [f"`{name}` is {kind(value)}" for name, value in read.items()]
        return (
            "a file on the run, or one of these names, does not hold what the lesson puts there: "
            f"{listed(held[-4:])}. Compare with the TODO, and run the cells again from the top."
        )
    said = f": {shortened(str(error))}" if str(error) else ""
    return f"this could not be looked at ({type(error).__name__}{said})."


def run_checks(context: CheckContext) -> Report:
    """Run the checks of the block that `context` is about, and return what they found.

    Raises CourseError where its checks.py is none.
    """
    block = context.block
    checks = checks_of(block.folder)
    own = [verdict_of(function, context) for function in checks.functions]
    verdicts = (*_first_lines(context, checks), *own)
    number = f"[[{block.slug}]]" if os.environ.get(UNFILLED) else block.number
    return Report(number, _title(block.folder), verdicts, f"solutions/{block.solution}")


def _first_lines(context: CheckContext, checks: Checks) -> Iterator[Verdict]:
    """Yield what comes before a block's own checks: whether a run is open, or the newest failed.

    In a block that is about no run a line appears only when something is wrong, and nothing is
    asked of a store that the block does not need.
    """
    check = the_newest_run_has_finished
    if checks.subject == "run":
        verdict = verdict_of(check, context)
        # Before the first run there is nothing to fix: to make one is the block's own change.
        made = context.found["runs"]
        yield replace(verdict, given=isinstance(made, list) and bool(made))
    elif "mlflow" in sys.modules and not (context.failed or _is_noting()):
        with suppress(Exception), store.environment(**store.IMPATIENT):
            if found := trouble(context.get("runs")):
                yield verdict_on(check, found)


def _title(folder: Path) -> str:
    """The lesson's title, without what the reading of a lesson loads: a check must be quick."""
    lines = source_text(folder / "lesson.md").splitlines()
    titles = (line.partition(":")[2] for line in lines if line.startswith("title:"))
    return next(titles, folder.name).strip().strip("\"'")


def note(context: CheckContext, report: Report) -> str:
    """Mark the block as done in the student's store; return the sentence to show if that failed.

    What carries the mark is fixed by the block's checks: the run that they verified, else the
    experiment, else the store's Default experiment.
    """
    if not report.done:
        return ""
    try:
        subject = checks_of(context.block.folder).subject
        with store.environment(**store.IMPATIENT):
            marked = {subject: context.get(subject)} if subject else {}
            store.mark(context.get("client"), context.block.slug, **marked)
    except Missing as error:
        if str(error) == store.REPLACED:
            return f"(Not noted for `make progress`: {error})"
        return "(Not noted for `make progress`: `make lab` starts Jupyter with the course's store.)"
    except Exception as error:
        return f"(Not noted for `make progress`: {store.explain(error)})"
    return ""


def _show(report: Report) -> None:
    """Show a report as a table in Jupyter, as text elsewhere."""
    if "IPython" in sys.modules:
        from IPython.display import display

        display(report)
    else:
        print(report)


def _callers_variables() -> dict[str, Any]:
    """The global names of the place that called `check` or `require`."""
    return dict(sys._getframe(2).f_globals)


_one_at_a_time = threading.Lock()
"""Held while a check reads or marks a store: it sets environment variables meanwhile."""


def check(block: int | str) -> None:
    """Check a block against what can be seen: your variables and your MLflow store.

    The block is a number or a name, such as 14 or "autolog".

    Shows a line a check, with a hint where it is not done yet. When all is done, the verified
    run gets a tag, which `make progress` reads. Never raises.
    """
    variables = _callers_variables()
    try:
        blocks = read_order().blocks
        context = CheckContext(find_one(blocks, block), variables)
        asked, here = context.block, block_slug(source_name())
        if here not in ("", asked.slug):
            raise CourseError(
                f"This is the notebook of block {find_one(blocks, here).number}, and its runs do "
                f"not count for block {asked.number}: call check({asked.number}) in that block's "
                "notebook."
            )
        with _one_at_a_time:
            report = run_checks(context)
    except Exception as error:
        words = str(error) if isinstance(error, CourseError) else _explain(error)
        _show(Report(block, "not checked", (), problem=words))
        return
    # The answer first.
    _show(report)
    if not report.done:
        return
    if _is_noting():
        return
    if hasattr(sys.modules.get("mlflow"), "MlflowClient"):
        _note(context, report)
    else:
        # To load MLflow takes seconds, in which the student reads. Python waits for the thread.
        threading.Thread(target=_note, args=(context, report), name=_NOTING).start()


_NOTING = "winelab notes a block that is done"


def _is_noting() -> bool:
    """Whether a check of a moment ago is still being noted, for which MLflow is loaded."""
    return any(thread.name == _NOTING for thread in threading.enumerate())


def _note(context: CheckContext, report: Report) -> None:
    import mlflow  # noqa: F401

    with _one_at_a_time:
        missed = note(context, report)
    if missed:
        print(missed)


def require(block: int | str, name: str) -> None:
    """Pass if the check called `name` of a block does; else raise its hint.

    For who grades with test cells, as nbgrader does: `check` shows, and never raises.

    Raises AssertionError with the hint; CourseError where there is no such block or check.
    """
    context = CheckContext(find_one(read_order().blocks, block), _callers_variables())
    functions = {one.__name__: one for one in checks_of(context.block.folder).functions}
    if name not in functions:
        raise CourseError(f"Block {context.block.number} has no check called {name}.")
    verdict = verdict_of(functions[name], context)
    if not verdict.done:
        raise AssertionError(verdict.hint)
