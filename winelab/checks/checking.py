"""Runs a block's checks and words the result. Never raises, whatever the student did."""

from __future__ import annotations

import ast
import html
import importlib.util
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from winelab.checks.authoring import Mistake
from winelab.checks.fixtures import FIXTURES, Look, Missing
from winelab.core.errors import CourseError
from winelab.core.paths import BLOCKS
from winelab.tracking import store


@dataclass(frozen=True)
class Verdict:
    """One check's result: its line, and the hint where it is not done yet."""

    name: str
    line: str
    done: bool
    hint: str = ""
    given: bool = False


@dataclass(frozen=True)
class Report:
    """A block's checks, worded."""

    number: int
    title: str
    verdicts: tuple[Verdict, ...]
    solution: str = ""
    trouble: str = ""
    """One sentence, where the checks could not be run at all."""

    @property
    def done(self) -> bool:
        """Whether every check passed."""
        return not self.trouble and bool(self.verdicts) and all(v.done for v in self.verdicts)

    def summary(self) -> str:
        """The last line: how many are done, and what comes next."""
        if self.trouble:
            return self.trouble
        count = f"{sum(v.done for v in self.verdicts)} of {len(self.verdicts)} done."
        if self.done:
            return f"{count} Block {self.number} is yours."
        return f"{count} Solution: {self.solution}"

    def rows(self) -> list[tuple[Verdict, str]]:
        """Each check with the hint to show: the same hint is shown once."""
        shown: set[str] = set()
        rows = []
        for verdict in self.verdicts:
            rows.append((verdict, "" if verdict.hint in shown else verdict.hint))
            shown.add(verdict.hint)
        return rows

    def __str__(self) -> str:
        lines = [f"Block {self.number} - {self.title}"]
        for verdict, hint in self.rows():
            lines.append(f"  {'ok  ' if verdict.done else 'TODO'} {verdict.line}")
            if hint:
                lines.append(f"       hint: {hint}")
        return "\n".join([*lines, self.summary()])

    def to_html(self) -> str:
        """A small table that reads well in light and dark themes: words as well as colours."""
        rows = []
        for verdict, words in self.rows():
            colour, word = ("#1a7f37", "ok") if verdict.done else ("#bc4c00", "TODO")
            hint = f'<div style="margin-top:2px">hint: {marked(words)}</div>' if words else ""
            rows.append(
                '<tr style="background:transparent">'
                f'<td style="text-align:left;vertical-align:top;padding:4px 12px 4px 0;'
                f'color:{colour};font-weight:bold">{word}</td>'
                f'<td style="text-align:left;padding:4px 0;white-space:normal">'
                f"{marked(verdict.line)}{hint}</td></tr>"
            )
        edge = "#1a7f37" if self.done else "#bc4c00"
        return (
            f'<div style="border-left:4px solid {edge};padding:2px 0 2px 12px;max-width:46em">'
            f"<strong>Block {self.number} - {html.escape(self.title)}</strong>"
            f'<table style="margin:4px 0;border:none">{"".join(rows)}</table>'
            f"<div>{marked(self.summary())}</div></div>"
        )

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": str(self), "text/html": self.to_html()}


def marked(text: str) -> str:
    """Escape text for HTML; words between backticks become code."""
    pieces = html.escape(text, quote=False).split("`")
    if len(pieces) % 2 == 0:
        return html.escape(text, quote=False)
    return "".join(f"<code>{piece}</code>" if at % 2 else piece for at, piece in enumerate(pieces))


# --- a block's checks.py -----------------------------------------------------------------------


@dataclass(frozen=True)
class Checks:
    """What a checks.py holds: its check functions in order, and the mistakes to catch."""

    functions: tuple[Callable[..., None], ...]
    mistakes: tuple[Mistake, ...] = ()


def load_checks(path: Path) -> Checks:
    """Load a block's checks.py; CourseError names file and line of what is not as it must be."""
    _read_source(path)
    spec = importlib.util.spec_from_file_location(f"winelab_checks_{path.parent.name}", path)
    if spec is None or spec.loader is None:
        raise CourseError(f"{path} is no Python file.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return Checks(_functions(module), tuple(getattr(module, "MISTAKES", ())))


def _functions(module: ModuleType) -> tuple[Callable[..., None], ...]:
    return tuple(
        value
        for name, value in vars(module).items()
        if name.startswith("test_") and inspect.isfunction(value)
    )


def _read_source(path: Path) -> None:
    """Refuse a check without its line, an assert without its hint, an unknown fixture."""
    where = f"{path.parent.name}/{path.name}"
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    checks = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name.startswith("test_")]
    if not checks:
        raise CourseError(f"{where}:1: there is no check; write functions named test_....")
    for at, check in enumerate(checks):
        if check.name in {other.name for other in checks[:at]}:
            raise CourseError(f"{where}:{check.lineno}: {check.name} stands here a second time.")
        if not ast.get_docstring(check):
            raise CourseError(
                f"{where}:{check.lineno}: {check.name} has no docstring; "
                "it is the line that a student sees."
            )
        for argument in [*check.args.posonlyargs, *check.args.args, *check.args.kwonlyargs]:
            if argument.arg not in FIXTURES:
                raise CourseError(
                    f"{where}:{check.lineno}: no fixture is called {argument.arg}; "
                    f"there are {', '.join(FIXTURES)}."
                )
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert) and node.msg is None:
            raise CourseError(
                f"{where}:{node.lineno}: the assert has no message; it is the student's hint."
            )


@cache
def checks_of(folder: Path) -> Checks:
    """The checks of the block in `folder`, loaded once a process."""
    return load_checks(folder / "checks.py")


# --- a look at a student's work ----------------------------------------------------------------


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def _verdict(function: Callable[..., None], look: Look) -> Verdict:
    line = _first_line(function.__doc__ or function.__name__)
    is_given = bool(getattr(function, "given", False))
    hint = ""
    try:
        arguments = {name: look.get(name) for name in inspect.signature(function).parameters}
        function(**arguments)
    except (AssertionError, Missing) as error:
        # Without words it is an assert of the student's own, in a function that a check calls.
        hint = str(error).strip() or _explain(error)
    # A function of the student's may call exit().
    except (Exception, SystemExit) as error:
        hint = _explain(error)
    if not hint:
        return Verdict(function.__name__, line, True, given=is_given)
    return Verdict(function.__name__, line, False, " ".join(hint.split()), is_given)


def _explain(error: BaseException) -> str:
    module = type(error).__module__
    if isinstance(error, Exception) and module.startswith(
        ("mlflow", "sqlalchemy", "alembic", "sqlite3", "requests")
    ):
        return store.explain(error)
    return f"this could not be looked at ({type(error).__name__}: {_first_line(str(error))})."


def look_at(look: Look, blocks: Path = BLOCKS) -> Report:
    """Run the checks of the block that `look` is about."""
    folder = _folder(look.number, blocks)
    with store.environment(**store.IMPATIENT):
        verdicts = tuple(_verdict(function, look) for function in checks_of(folder).functions)
    return Report(look.number, _title(folder), verdicts, f"solutions/{folder.name}.py")


def _folder(number: int, blocks: Path) -> Path:
    found = sorted(blocks.glob(f"{number:02d}_*")) if isinstance(number, int) else []
    if not found:
        last = max((int(path.name[:2]) for path in blocks.glob("[0-9][0-9]_*")), default=0)
        raise CourseError(f"There is no block {number}: the blocks are 0 to {last}.")
    return found[0]


def _title(folder: Path) -> str:
    """The lesson's title, read without the rest of the lesson: a check must be quick."""
    with (folder / "lesson.md").open(encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("title:"):
                return line.partition(":")[2].strip().strip("\"'")
    return folder.name


def note(look: Look, report: Report) -> str:
    """Mark the block as done in the student's store; the sentence to show if that failed."""
    if not report.done:
        return ""
    try:
        with store.environment(**store.IMPATIENT):
            run = look.found.get("run")
            experiment = None if run else look.found.get("experiment")
            store.mark(look.get("client"), look.number, run, experiment)
    except Missing:
        return "(Not noted for `make progress`: `make lab` starts Jupyter with the course's store.)"
    except Exception as error:
        return f"(Not noted for `make progress`: {store.explain(error)})"
    return ""


def _show(report: Report) -> None:
    """Show a report as a table in Jupyter, as text elsewhere."""
    if "IPython" in sys.modules:
        from IPython import get_ipython
        from IPython.display import display

        if get_ipython() is not None:
            display(report)
            return
    print(report)


def check(number: int) -> None:
    """Check block `number` against what can be seen: your variables and your MLflow store.

    Shows a line a check, with a hint where it is not done yet. When all is done, the verified
    run gets a tag, which `make progress` reads. Never raises.
    """
    frame = inspect.currentframe()
    caller = frame.f_back if frame else None
    try:
        look = Look(number, dict(caller.f_globals) if caller else None)
        report = look_at(look)
    except Exception as error:
        words = str(error) if isinstance(error, CourseError) else _explain(error)
        _show(Report(number, "not checked", (), trouble=words))
        return
    # The answer first: noting it may take a second where MLflow is not loaded yet.
    _show(report)
    if missed := note(look, report):
        print(missed)


def require(number: int, name: str) -> None:
    """Pass if the check called `name` of block `number` does; else raise its hint.

    For who grades with test cells, as nbgrader does: `check` shows, and never raises.

    Raises AssertionError with the hint; CourseError where there is no such block or check.
    """
    frame = inspect.currentframe()
    caller = frame.f_back if frame else None
    folder = _folder(number, BLOCKS)
    functions = {function.__name__: function for function in checks_of(folder).functions}
    if name not in functions:
        raise CourseError(f"Block {number} has no check called {name}.")
    with store.environment(**store.IMPATIENT):
        verdict = _verdict(
            functions[name], Look(number, dict(caller.f_globals) if caller else None)
        )
    if not verdict.done:
        raise AssertionError(verdict.hint)
