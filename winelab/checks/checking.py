"""Run a block's checks, and answer a student. `check` never raises, whatever the student did."""

from __future__ import annotations

import ast
import inspect
import sys
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
from winelab.core.errors import CourseError, Missing
from winelab.core.paths import BLOCKS, block_folders
from winelab.tracking import store
from winelab.tracking.run_tags import block_number, source_name

if TYPE_CHECKING:
    from mlflow.entities import Run

# --- a block's checks.py -----------------------------------------------------------------------


@dataclass(frozen=True)
class Checks:
    """What a checks.py holds: its check functions in order, and the other right ways to accept."""

    functions: tuple[Callable[..., None], ...]
    right_ways: tuple[Variant, ...] = ()

    @property
    def mistakes(self) -> tuple[Mistake, ...]:
        """Return the mistakes to catch, in the order of the checks that catch them."""
        return tuple(m for function in self.functions for m in getattr(function, "mistakes", ()))

    @property
    def lines(self) -> tuple[Callable[..., None], ...]:
        """Return the checks of a report's lines: in a block about a run, first whether it ended."""
        first = (the_newest_run_has_finished,) if self.subject == "run" else ()
        return (*first, *self.functions)

    @property
    def subject(self) -> str:
        """Return the fixture that all this is about: "run", "experiment", or "" for neither."""
        asked = {name for function in self.functions for name in _fixtures_of(function)}
        if not asked.isdisjoint(NEED_A_RUN):
            return "run"
        return "experiment" if "experiment" in asked else ""


@given
def the_newest_run_has_finished(run: Run) -> None:
    "your newest run has finished, and none is open"


def _fixtures_of(function: Callable[..., None]) -> tuple[str, ...]:
    return tuple(inspect.signature(function).parameters)


def load_checks(path: Path) -> Checks:
    """Load a block's checks.py.

    Raises CourseError with file and line of what is not as it must be: each check has a docstring,
    which is its line, and asks for known fixtures; each assert has a message, which is the hint.
    """

    def refuse(line: int, why: str) -> CourseError:
        return CourseError(f"{path.parent.name}/{path.name}:{line}: {why}")

    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
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
    return Checks(functions, tuple(names.get("RIGHT_WAYS", ())))


@cache
def checks_of(folder: Path) -> Checks:
    """Return the checks of the block in `folder`, loaded once a process."""
    return load_checks(folder / "checks.py")


def block_checks(number: int, blocks: Path = BLOCKS) -> Checks:
    """Return the checks of a block. Raises CourseError where there is no such block."""
    return checks_of(_folder(number, blocks))


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
    if read:
        held = [f"`{name}` is {kind(value)}" for name, value in read.items()]
        return (
            f"a name does not hold what the lesson puts there: {listed(held[-4:])}. Run the cells "
            "again from the top, and give no other thing one of these names."
        )
    said = f": {shortened(str(error))}" if str(error) else ""
    return f"this could not be looked at ({type(error).__name__}{said})."


def run_checks(context: CheckContext, blocks: Path = BLOCKS) -> Report:
    """Run the checks of the block that `context` is about, and return what they found.

    Raises CourseError where there is no such block below `blocks`, or its checks.py is none.
    """
    folder = _folder(context.number, blocks)
    checks = checks_of(folder)
    own = [verdict_of(function, context) for function in checks.functions]
    verdicts = (*_first_lines(context, checks), *own)
    return Report(context.number, _title(folder), verdicts, f"solutions/{folder.name}.py")


def _first_lines(context: CheckContext, checks: Checks) -> Iterator[Verdict]:
    """Yield what comes before a block's own checks: whether a run is open, or the newest failed.

    In a block that is about no run a line appears only when something is wrong, and nothing is
    asked of a store that the block does not need.
    """
    check = the_newest_run_has_finished
    if checks.subject == "run":
        verdict = verdict_of(check, context)
        # Before the first run there is nothing to mend: to make one is the block's own change.
        made = context.found["runs"]
        yield replace(verdict, given=isinstance(made, list) and bool(made))
    elif "mlflow" in sys.modules and not context.failed:
        with suppress(Exception), store.environment(**store.IMPATIENT):
            if found := trouble(context.get("runs")):
                yield verdict_on(check, found)


def _folder(number: int, blocks: Path) -> Path:
    folders = block_folders(blocks)
    if not isinstance(number, int) or number not in folders:
        last = max(folders, default=0)
        raise CourseError(f"There is no block {number}: the blocks are 0 to {last}.")
    return folders[number]


def _title(folder: Path) -> str:
    """The lesson's title, read without the rest of the lesson: a check must be quick."""
    with (folder / "lesson.md").open(encoding="utf-8") as lines:
        titles = (line.partition(":")[2] for line in lines if line.startswith("title:"))
        return next(titles, folder.name).strip().strip("\"'")


def note(context: CheckContext, report: Report, blocks: Path = BLOCKS) -> str:
    """Mark the block as done in the student's store; return the sentence to show if that failed.

    What carries the mark is fixed by the block's checks: the run that they verified, else the
    experiment, else the store's Default experiment.
    """
    if not report.done:
        return ""
    try:
        subject = block_checks(context.number, blocks).subject
        with store.environment(**store.IMPATIENT):
            marked = {subject: context.get(subject)} if subject else {}
            store.mark(context.get("client"), context.number, **marked)
    except Missing:
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


def check(number: int) -> None:
    """Check block `number` against what can be seen: your variables and your MLflow store.

    Shows a line a check, with a hint where it is not done yet. When all is done, the verified
    run gets a tag, which `make progress` reads. Never raises.
    """
    context = CheckContext(number, _callers_variables())
    here = block_number(source_name())
    try:
        _folder(number, BLOCKS)
        if here not in (None, number):
            raise CourseError(
                f"This is the notebook of block {here}, and its runs do not count for block "
                f"{number}: call check({number}) in the notebook of block {number}."
            )
        report = run_checks(context)
    except Exception as error:
        words = str(error) if isinstance(error, CourseError) else _explain(error)
        _show(Report(number, "not checked", (), problem=words))
        return
    # The answer first: noting it may take a second where MLflow is not loaded yet.
    _show(report)
    if missed := note(context, report):
        print(missed)


def require(number: int, name: str) -> None:
    """Pass if the check called `name` of block `number` does; else raise its hint.

    For who grades with test cells, as nbgrader does: `check` shows, and never raises.

    Raises AssertionError with the hint; CourseError where there is no such block or check.
    """
    context = CheckContext(number, _callers_variables())
    functions = {function.__name__: function for function in block_checks(number).functions}
    if name not in functions:
        raise CourseError(f"Block {number} has no check called {name}.")
    verdict = verdict_of(functions[name], context)
    if not verdict.done:
        raise AssertionError(verdict.hint)
