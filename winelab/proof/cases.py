"""Every claim of every block, as cases: made here, executed and judged here, used by all proofs.

A case is one claim: the untouched lab runs and its checks fail, the solution passes, a mistake is
caught with the hint meant for it, an example prints what the lesson says, and so on. `make check`
and `make matrix` run them.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from pathlib import Path

import nbformat

from winelab.checks.authoring import Mistake
from winelab.checks.checking import checks_of, source_text, the_newest_run_has_finished
from winelab.checks.report import Verdict
from winelab.core.mlflow_private import ARTIFACT_ROOT
from winelab.core.paths import SOLUTIONS, TABLE
from winelab.course.compose import solution_files, unsolved_cells, unsolved_files
from winelab.course.source import Block, Course, course
from winelab.proof.examples import Example, examples, output_matches
from winelab.proof.execute import TIME_LIMIT, Code, Outcome, Where, execute
from winelab.proof.fairness import PROBES
from winelab.proof.mistakes import edited_cells
from winelab.proof.outputs import differences, solved_code
from winelab.proof.start import furnish_for, solution_code
from winelab.tracking.workspace import clean_workspace


class Part(Enum):
    """What of a block is proven; the values are the headings of the table's columns, in order."""

    UNSOLVED = "unsolved runs,\nchecks fail"
    SOLVED = "solution\npasses"
    MISTAKES = "mistakes\ncaught"
    RIGHT_WAYS = "right\nways"
    FAIR = "fair"
    OUTPUTS = "outputs\nmatch"
    EXAMPLES = "examples\nprint"
    ELSEWHERE = "again and\nelsewhere"
    BROWSER = "in a\nbrowser"
    PROMISES = "promises\nheld"


Judge = Callable[[Outcome], list[str]]
"""Says why an outcome is not as it should be; nothing where it is."""


@dataclass(frozen=True)
class Step:
    """One run of a case, and what must come of it."""

    code: Code
    judge: Judge
    where: Where = Where.FORKED
    check: bool = True
    """Whether the block's checks look at it."""
    environment: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str | Path] = field(default_factory=dict)
    """What is put into the workspace before: a text, or a file of the workspace to copy."""
    limit: float = TIME_LIMIT
    probe: str = ""
    """What is tried on the checks afterwards (see `winelab.proof.fairness`)."""


@dataclass(frozen=True)
class Case:
    """A claim: steps on one store, each of which must hold."""

    block: Block
    part: Part
    name: str
    steps: tuple[Step, ...]
    quick: bool = False
    """Whether an instructor needs it before a class: `make check` asks it, not FULL=1 alone."""
    table: Path | None = None
    """Another wine table than the twin."""
    blocks: tuple[Block, ...] = ()
    """Where each step is about a block of its own: these, in order."""

    @property
    def name_in_full(self) -> str:
        """Return block, part and name, such as "14 MISTAKES: autolog was turned on too late"."""
        return f"{self.block.number:02d} {self.part.name}: {self.name}"


def reasons(case: Case) -> list[str]:
    """Execute a case, and return why it does not hold; nothing where it does."""
    with clean_workspace(case.table) as workspace:
        furnish_for(course(), case.block, workspace)
        for number, step in enumerate(case.steps):
            block = case.blocks[number] if case.blocks else case.block
            for name, content in step.files.items():
                target = workspace / name
                target.parent.mkdir(parents=True, exist_ok=True)
                if isinstance(content, Path):
                    target.write_bytes((workspace / content).read_bytes())
                else:
                    target.write_text(content, encoding="utf-8")
            outcome = execute(
                step.code,
                workspace,
                step.where,
                check=block.number if step.check else None,
                environment=step.environment,
                limit=step.limit,
                probe=step.probe,
            )
            found = step.judge(outcome)
            # A learner's mistake may well be a call of yesterday's.
            if case.part is not Part.MISTAKES:
                found = [*found, *_deprecations(outcome, workspace)]
            if found:
                return found
    return []


# --- judges -------------------------------------------------------------------------------------

_AGE = re.compile(r"\b(?:Deprecation|PendingDeprecation|Future)Warning\b.*")
FINISHED = the_newest_run_has_finished.__name__
DEPRECATED = "deprecated: "
"""How a reason begins that is about a deprecation alone."""


def _deprecations(outcome: Outcome, workspace: Path) -> list[str]:
    """What warned of a deprecation: the code itself, or a server that it started, in its log."""
    found = list(outcome.warnings)
    for log in (workspace / "output").glob("*.log"):
        found += _AGE.findall(log.read_text(encoding="utf-8", errors="replace"))
    return [f"{DEPRECATED}{words}" for words in found]


def _verdicts(outcome: Outcome) -> tuple[Verdict, ...]:
    return outcome.report.verdicts if outcome.report and not outcome.report.problem else ()


def _not_checked(outcome: Outcome) -> list[str]:
    """Why a run did not come as far as its checks; empty if it did."""
    if outcome.error:
        return [outcome.error]
    if _verdicts(outcome):
        return []
    return [(outcome.report.problem if outcome.report else "") or "its checks did not run"]


def passes(outcome: Outcome) -> list[str]:
    """Return why a solution does not pass."""
    failed = [
        f'the check "{verdict.line}" fails: {verdict.hint}'
        for verdict in _verdicts(outcome)
        if not verdict.done
    ]
    return _not_checked(outcome) or failed or [outcome.not_noted] * bool(outcome.not_noted)


def is_untouched(outcome: Outcome, may_pass: int = 0, may_stop: bool = False) -> list[str]:
    """Return why an untouched notebook is not what a student should open.

    Args:
        outcome: of the run of its cells.
        may_pass: how many checks of the block's own change may pass all the same.
        may_stop: whether it, or its newest run, may end in an error: a program lacks a function.
    """
    if not (may_stop and _verdicts(outcome)) and (found := _not_checked(outcome)):
        return found
    own = [verdict for verdict in _verdicts(outcome) if not verdict.given]
    passed = [verdict for verdict in own if verdict.done]
    found = [
        f'the check "{verdict.line}" is marked given, and fails before there is anything to do: '
        f"{verdict.hint}"
        for verdict in _verdicts(outcome)
        if verdict.given and not verdict.done and not (may_stop and verdict.name == FINISHED)
    ]
    if len(passed) > may_pass:
        found += [f'the check "{one.line}" passes before anything is done' for one in passed]
    if len(passed) == len(own):
        found.append("no check fails")
    return found + [f'the check "{v.line}" has no hint' for v in own if not v.done and not v.hint]


def is_caught(outcome: Outcome, mistake: Mistake) -> list[str]:
    """Return why a mistake is not caught as it should be."""
    if mistake.error not in outcome.error:
        return [f'it no longer ends in the error "{mistake.error}": {outcome.error or "none"}']
    if outcome.error and not mistake.error:
        return [f"it ends in an error: {outcome.error}"]
    caught = [verdict for verdict in _verdicts(outcome) if verdict.name == mistake.caught_by]
    if not caught:
        return [f"the check {mistake.caught_by} did not run ({outcome.report})"]
    if caught[0].done:
        return [f"it is not caught:\n{outcome.report}"]
    if mistake.hint not in caught[0].hint:
        return [f"it meets another hint: {caught[0].hint}"]
    return []


def is_fair(outcome: Outcome) -> list[str]:
    """Return what a probe found, below why the solution itself does not pass."""
    return passes(outcome) or list(outcome.found)


def prints(outcome: Outcome, example: Example) -> list[str]:
    """Return why an example does not print what its lesson says."""
    printed = outcome.printed + outcome.last_line
    if example.prints is None:
        return [outcome.error] if outcome.error else []
    if output_matches(example.prints, printed):
        return []
    return [f"it prints something else than the lesson says: {printed or 'nothing'}"]


def shows(outcome: Outcome, path: Path) -> list[str]:
    """Return why a solved notebook does not show the outputs stored in the file `path`."""
    if outcome.error:
        return [outcome.error]
    notebook = nbformat.read(path, as_version=4)
    stored = [cell["outputs"] for cell in notebook.cells if cell.cell_type == "code"]
    return differences(stored, outcome.outputs)


def ends_in(outcome: Outcome, words: tuple[str, ...]) -> list[str]:
    """Return the words that neither the error nor the standard error of a run has."""
    said = outcome.error + outcome.stderr
    return [f"it does not end in {word!r}: {said}" for word in words if word not in said]


def prints_rmse(outcome: Outcome, figure: str) -> list[str]:
    """Return why a run did not end well, or did not print this metric."""
    if outcome.error:
        return [outcome.error]
    return [] if figure in outcome.printed else [f"{figure} is not in: {outcome.printed}"]


# --- the cases ----------------------------------------------------------------------------------

# A process that is killed while a model learns: nobody has ended its run, nor cleaned up.
KILLED = """
import os
import signal
import sklearn.linear_model

def killed(*arguments, **settings):
    os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))

for name in ("ElasticNet", "Ridge", "Lasso"):
    getattr(sklearn.linear_model, name).fit = killed
"""
# Computed from the original table with pandas and scikit-learn alone: each row once, a quarter for
# the test, ElasticNet with l1_ratio 0.3, by alpha.
ORIGINAL_RMSE = {"0.5": "0.743", "0.1": "0.693", "0.01": "0.641"}
FIRST_RUN = "run"
"""The first block that leaves a run in a store."""
FIRST_RMSE = "params_metrics"
"""The block from which on a script prints its RMSE and takes --alpha."""
AS_A_STRANGER = {"MLFLOW_TRACKING_URI": "", ARTIFACT_ROOT: ""}
"""Without what `make` sets."""


def cases(
    course: Course,
    original: Path | None = None,
    blocks: Collection[Block] = (),
    quick: bool = False,
) -> Iterator[Case]:
    """Yield every case of the course.

    Args:
        course: all blocks.
        original: the original UCI table, where it is at hand; the twin is used without it.
        blocks: those whose cases are meant; all without any.
        quick: leave out what `make check` does not ask.
    """
    for block in blocks or course.blocks:
        yield from quick_cases(course, block)
        yield from (case for case in variant_cases(course, block) if case.quick or not quick)
        if quick:
            continue
        yield from fair_cases(course, block)
        yield from example_cases(block)
        yield from thorough_cases(course, block, original)
    if not blocks and not quick:
        yield any_order(course)


def lab_code(course: Course, block: Block) -> Code:
    """Return the untouched lab's cells, without its check."""
    cells = unsolved_cells(course, block.number)
    return Code(f"{block.name}.ipynb", tuple(cell.source for cell in cells))


def script_step(
    course: Course, block: Block, judge: Judge = passes, arguments: tuple[str, ...] = ()
) -> Step:
    """Return a run of the built script, as `python solutions/NN_slug.py` would, or package."""
    names = solution_files(course, block.number)
    files = {f"solutions/{one}": (SOLUTIONS / one).read_text(encoding="utf-8") for one in names}
    return Step(solution_code(block, arguments), judge, files=files)


def quick_cases(course: Course, block: Block) -> Iterator[Case]:
    """Yield the lab untouched, and the solution as script and as notebook with its outputs."""
    lab = Step(lab_code(course, block), partial(is_untouched, may_stop=block.package))
    yield Case(block, Part.UNSOLVED, "the lab as it is opened", (lab,), quick=True)
    what = "the package" if block.package else "the script"
    yield Case(block, Part.SOLVED, what, (script_step(course, block),), quick=True)
    stored = SOLUTIONS / f"{block.name}.ipynb"
    code = solved_code(course, block, check=True)
    notebook = Step(code, partial(shows, path=stored), Where.KERNEL, check=False)
    yield Case(block, Part.OUTPUTS, "the solved notebook", (notebook,), quick=True)


def variant_cases(course: Course, block: Block) -> Iterator[Case]:
    """Yield the mistakes that learners make, each made in the solution, and other right ways.

    Quick is one mistake for each check, so that each is seen to fail, and one right way: those with
    the least code to run.
    """
    checks = checks_of(block.folder)
    variants = [*checks.mistakes, *checks.right_ways]
    cells = {one.what: tuple(edited_cells(course, block, one)) for one in variants}
    quick: dict[str, str] = {}
    for one in sorted(variants, key=lambda one: sum(map(len, cells[one.what]))):
        quick.setdefault(one.caught_by if isinstance(one, Mistake) else "", one.what)
    for one in variants:
        part, judge = Part.RIGHT_WAYS, passes
        if isinstance(one, Mistake):
            part, judge = Part.MISTAKES, partial(is_caught, mistake=one)
        code = Code(f"{block.name}.ipynb", cells[one.what])
        step = Step(code, judge, environment=one.environment)
        yield Case(block, part, one.what, (step,), quick=one.what in quick.values())


def fair_cases(course: Course, block: Block) -> Iterator[Case]:
    """Yield what holds of a block's checks after the solution, whatever the student's names hold.

    See `winelab.proof.fairness`.
    """
    for name in PROBES:
        step = Step(solved_code(course, block), is_fair, probe=name, limit=300)
        yield Case(block, Part.FAIR, name, (step,))


def example_cases(block: Block) -> Iterator[Case]:
    """Yield the small examples of a lesson."""
    for example in examples(source_text(block.folder / "lesson.md")):
        code = Code("example.ipynb", (example.code,))
        step = Step(code, partial(prints, example=example), check=False)
        yield Case(block, Part.EXAMPLES, f"lesson.md:{example.line}", (step,))


def thorough_cases(course: Course, block: Block, original: Path | None) -> Iterator[Case]:
    """Yield what a class meets beyond the first run: again, after a crash, in another folder."""
    solved = solved_code(course, block)
    killed = Code(solved.source, (KILLED, *(solved.cells or ())))
    takes_alpha = _prints_its_rmse(course, block)
    settings = ("--alpha", "0.01", "--l1-ratio", "0.9") if takes_alpha else ()
    again = (
        # What of a package may be killed is its block's own to prove.
        *[Step(killed, partial(ends_in, words=("died",)), check=False)] * (not block.package),
        script_step(course, block, arguments=settings),
        # On a store that holds a solved run: `make run`, or another day's kernel, has left it.
        Step(lab_code(course, block), partial(is_untouched, may_stop=block.package)),
        # The student runs all cells, and again, in one kernel.
        Step(solved_code(course, block, times=2), passes, limit=300),
    )
    yield Case(block, Part.ELSEWHERE, "again and again, after a run that was killed", again)

    files = unsolved_files(course, block.number)
    # What stands in main() cannot be seen from outside; all else that is asked for is missing.
    hidden = not block.package and "def main(" in "".join(files.values())
    judge = partial(is_untouched, may_pass=1 if hidden else 0, may_stop=block.package)
    laid_out = {f"solutions/{name}": text for name, text in files.items()}
    step = Step(solution_code(block), judge, files=laid_out)
    yield Case(block, Part.UNSOLVED, "the script as make watch lays it out", (step,))
    if not block.package:
        yield alone_case(course, block, original)


def _prints_its_rmse(course: Course, block: Block) -> bool:
    return not block.package and block.number >= course.block(FIRST_RMSE).number


def alone_case(course: Course, block: Block, original: Path | None) -> Case:
    """Return the script copied out of the course, without what `make` sets (P9), on a named table.

    That is the original one; the twin where it is not at hand.
    """
    name, table = f"../elsewhere/{block.name}.py", ("--data", "../my wines.csv")
    files: dict[str, str | Path] = {
        f"elsewhere/{block.name}.py": (SOLUTIONS / f"{block.name}.py").read_text(encoding="utf-8"),
        "my wines.csv": Path("data", TABLE.name),
    }
    # MLflow makes the store. To ask that twice is enough: it takes seconds.
    if block not in (course.block(FIRST_RUN), course.main[-1]):
        files["elsewhere/mlflow.db"] = Path("mlflow.db")

    def alone(judge: Judge, *arguments: str, check: bool = False) -> Step:
        code = Code(name, arguments=(*table, *arguments), folder="elsewhere")
        return Step(code, judge, check=check, environment=AS_A_STRANGER, files=files)

    steps = [alone(passes, check=True)]
    if _prints_its_rmse(course, block):
        words = ("SystemExit: 2", "argument --alpha: invalid float value: 'strong'")
        steps.append(alone(partial(ends_in, words=words), "--alpha", "strong"))
    if original and block.slug == FIRST_RMSE:
        for alpha, figure in ORIGINAL_RMSE.items():
            steps.append(alone(partial(prints_rmse, figure=figure), "--alpha", alpha))
    what = "on the original table" if original else "with a table named"
    return Case(block, Part.ELSEWHERE, f"the script alone, {what}", tuple(steps), table=original)


def any_order(course: Course) -> Case:
    """Return everybody's blocks on one store, in an order that is the same in each run."""
    blocks = random.Random(42).sample(course.main, len(course.main))
    steps = tuple(Step(solved_code(course, block), passes) for block in blocks)
    name = "all blocks on one store, shuffled"
    return Case(course.main[-1], Part.ELSEWHERE, name, steps, blocks=tuple(blocks))
