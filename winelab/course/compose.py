"""Composes sections into scripts and cells: the newest version of each section, in order."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from winelab.course.source import Block, Change, Course, Form, Line, Task, fail

INDENT = "    "
BUILT = "Built by `make build`."
Sections = dict[str, tuple[Line, ...]]
"""Section name to its code, for the sections that are there."""


@dataclass(frozen=True)
class Cell:
    """A cell of the script: its name, its lines of code, its tasks."""

    name: str
    lines: tuple[Line, ...]
    tasks: tuple[Task, ...] = ()
    depth: int = 0
    """How deep the whole cell stands: 1 inside of a function that began in an earlier cell."""

    @property
    def source(self) -> str:
        """The cell's text, without a newline at the end."""
        return "\n".join(line.text for line in self.lines)


def sections_after(course: Course, number: int, form: Form) -> Sections:
    """The sections of the script after block `number`; none at -1."""
    history = _history(course, number, form)
    return history[-1] if history else {}


def sections_before(course: Course, number: int, form: Form) -> Sections:
    """The sections that a student finds at block `number`.

    They are those of the script before it, and what the block's changes marked ``given`` do
    to them: all that there is at block 0, scaffolding and ways back to a simpler script later.
    """
    history = _history(course, number - 1, form)
    now = dict(history[-1]) if history else {}
    _apply_all(now, course.block(number), form, True, history)
    return now


def _history(course: Course, number: int, form: Form) -> list[Sections]:
    """The sections after each block from 0 to `number`."""
    history: list[Sections] = []
    for block in course.blocks[: number + 1]:
        now = dict(history[-1]) if history else {}
        # What is given comes first: the student changes what was found there.
        for given in (True, False):
            _apply_all(now, block, form, given, history)
        history.append(now)
    return history


def _apply_all(
    now: Sections, block: Block, form: Form, given: bool, history: list[Sections]
) -> None:
    for change in block.changes:
        if change.form == form and change.given == given:
            _apply(now, block, change, history)


def _apply(now: Sections, block: Block, change: Change, history: list[Sections]) -> None:
    path, section = block.folder / "code.py", change.section
    if change.kind == "code":
        now[section] = change.lines
    elif change.kind == "removed":
        if section not in now:
            raise fail(path, change.where, f'"{section}" is not there to be removed.')
        del now[section]
    elif change.back_to is not None:
        if change.back_to >= block.number:
            raise fail(path, change.where, f'"as in {change.back_to}" must name an earlier block.')
        before = history[change.back_to].get(section)
        if before is None:
            raise fail(path, change.where, f'block {change.back_to} has no section "{section}".')
        now[section] = before


def _ends_with_colon(lines: Sequence[Line]) -> bool:
    """Whether the last line opens a block: no empty line stands below it."""
    return bool(lines) and lines[-1].text.rstrip().endswith(":")


def _opens(lines: Sequence[Line]) -> bool:
    """Whether code is the head of a block (``with ...:``, a function) that others stand in.

    Below the first line of a function its docstring may stand, and what it begins with.
    """
    return _ends_with_colon(lines) or (len(lines) > 1 and lines[0].text.startswith(("def ", "@")))


def _depth(parents: Iterable[str], sections: Mapping[str, tuple[Line, ...]]) -> int:
    return sum(_opens(sections.get(parent, ())) for parent in parents)


def _indented(lines: Iterable[Line], indent: str) -> list[Line]:
    """Lines, moved in; those within a text of several lines stay: a text is what it is.

    A docstring (between double quotes) moves with its function.
    """
    lines = list(lines)
    kept: set[int] = set()
    code = "".join(f"{line.text}\n" for line in lines)
    try:
        for token in tokenize.generate_tokens(io.StringIO(code).readline):
            if token.type == tokenize.STRING and '"""' not in token.string[:3]:
                kept.update(range(token.start[0], token.end[0]))
    except (tokenize.TokenError, IndentationError):
        pass  # a section may be a part of a statement
    return [
        line
        if at in kept
        else Line(indent + line.text if line.text.strip() else "", line.source, line.number)
        for at, line in enumerate(lines)
    ]


def _begins_with_definition(lines: Iterable[Line]) -> bool:
    """Whether code, below comments, begins with a function or class; its head alone will do."""
    code = (line.text for line in lines if not line.text.startswith("#"))
    return next(code, "").startswith(("def ", "class ", "@"))


def _ends_with_definition(lines: Iterable[Line]) -> bool:
    """Whether the last statement of code is a function or class."""
    try:
        body = ast.parse("\n".join(line.text for line in lines)).body
    except SyntaxError:
        return False  # a part of a statement
    return bool(body) and isinstance(body[-1], ast.FunctionDef | ast.ClassDef)


def _far_apart(before: Sequence[Line], after: Sequence[Line]) -> bool:
    """Whether two empty lines stand between: round a definition, as everywhere in Python."""
    return _begins_with_definition(after) or _ends_with_definition(before)


def compose(course: Course, sections: Sections, tasks: tuple[Task, ...] = ()) -> list[Cell]:
    """Lay sections out as cells, in the outline's order, each child indented under its head.

    A task's TODO comments stand at its section's place, above the code that is there now.
    """
    todo = {task.section: task for task in tasks}
    cells = []
    for name, title in course.outline.titles.items():
        lines: list[Line] = []
        within = _depth(course.outline.inside[name], sections)
        if title:
            words = f"{INDENT * within}# {title}"
            lines.append(Line(words, course.outline.path, course.outline.where[name]))
        head, gap, inside = len(lines), False, 0
        for slot in course.outline.slots:
            if slot.cell != name:
                continue
            code = sections.get(slot.section, ())
            task = todo.get(slot.section)
            # A gap among sections of a head that are not there stays inside of it.
            gap = slot.gap or (gap and len(slot.parents) >= inside)
            inside = len(slot.parents)
            if not (code or task):
                continue
            source = code[0].source if code else course.outline.path
            depth = _depth(slot.parents, sections)
            wide = depth == 0 and _far_apart(lines, code)
            if (gap or wide) and len(lines) > head and not _ends_with_colon(lines):
                lines += [Line("", source, 1)] * (2 if wide else 1)
            gap = False
            indent = INDENT * depth
            if task:
                # An argument of a call stands further in than the section does.
                first = code[0].text if code else ""
                at_its_code = indent + first[: len(first) - len(first.lstrip())]
                lines += [
                    Line(f"{at_its_code}# {'TODO: ' if at == 0 else '      '}{text}", source, 1)
                    for at, text in enumerate(task.todo)
                ]
            lines += _indented(code, indent)
        if len(lines) > head:
            mine = tuple(task for task in tasks if course.outline.cell_of(task.section) == name)
            cells.append(Cell(name, tuple(lines), mine, within))
    return cells


def solved_cells(course: Course, number: int, form: Form = "notebook") -> list[Cell]:
    """The cells of the script after block `number`."""
    return compose(course, sections_after(course, number, form))


def unsolved_cells(course: Course, number: int, form: Form = "notebook") -> list[Cell]:
    """The cells that a student opens at block `number`: what is there, with its TODOs."""
    tasks = tuple(task for task in course.block(number).tasks if form in task.forms)
    return compose(course, sections_before(course, number, form), tasks)


def header(block: Block) -> str:
    """The docstring on top of a script: what it is, and where it is edited."""
    return (
        f'"""Wine Lab, block {block.number}: {block.title}.\n\n'
        f"{BUILT} Edit blocks/{block.name}/code.py and build again, not this file.\n"
        '"""\n'
    )


def built_script(text: str) -> bool:
    """Whether a script was written by the course, and not by a person."""
    return BUILT in text.partition('"""\n')[0]


def script_lines(course: Course, number: int) -> list[Line]:
    """The script after block `number`, line by line, each with the place it was written at."""
    block = course.block(number)
    return _laid_out(course, block, header(block), solved_cells(course, number, "script"))


def _laid_out(course: Course, block: Block, top: str, cells: list[Cell]) -> list[Line]:
    """Cells below each other as one script, under `top`, with empty lines as Python has them."""
    lesson = block.folder / "lesson.md"
    lines = [Line(text, lesson, 1) for text in top.splitlines()]
    previous: Cell | None = None
    for cell in cells:
        wide = (
            previous is not None
            and cell.depth == 0
            and (previous.depth > 0 or _far_apart(previous.lines, cell.lines))
        )
        lines += [Line("", lesson, 1)] * (2 if wide else 1)
        # A function's docstring says in a script what the title says in a notebook.
        titled = course.outline.titles[cell.name] and _begins_with_definition(cell.lines)
        lines += cell.lines[1:] if titled else cell.lines
        previous = cell
    return lines


def script_text(course: Course, number: int) -> str:
    """The script after block `number`, as it is written to solutions/."""
    return "".join(f"{line.text}\n" for line in script_lines(course, number))


def unsolved_script(course: Course, number: int) -> str:
    """The script that a student begins block `number` with: what is there, with its TODOs."""
    block = course.block(number)
    top = (
        f'"""Wine Lab, block {number}: {block.title}.\n\n'
        f"Your script: write where a TODO stands. The lesson is labs/{block.name}.ipynb.\n"
        '"""\n'
    )
    lines = _laid_out(course, block, top, unsolved_cells(course, number, "script"))
    return "".join(f"{line.text}\n" for line in lines)


def source_of(path: Path, number: int) -> str:
    """Where a line was written, as a person would look it up."""
    # The outline lies in blocks/, all else one folder deeper.
    steps = 2 if path.parent.name == "blocks" else 3
    return f"{'/'.join(path.parts[-steps:])}:{number}"
