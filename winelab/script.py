"""Composes sections into scripts and cells: the newest version of each section, in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from winelab.syllabus import Block, Change, Course, Form, Line, Slot, Task, fail

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


def _opens(lines: tuple[Line, ...] | None) -> bool:
    """Whether a section's code is the head of a block (``with ...:``) that others stand in."""
    return bool(lines) and lines[-1].text.rstrip().endswith(":")  # type: ignore[index]


def _defines(lines: tuple[Line, ...]) -> bool:
    """Whether code begins with a function or class."""
    return bool(lines) and lines[0].text.startswith(("def ", "class "))


def _depth(slot: Slot, sections: Mapping[str, tuple[Line, ...]]) -> int:
    return sum(_opens(sections.get(parent)) for parent in slot.parents)


def compose(course: Course, sections: Sections, tasks: tuple[Task, ...] = ()) -> list[Cell]:
    """Lay sections out as cells, in the outline's order, each child indented under its head.

    A task's TODO comments stand at its section's place, above the code that is there now.
    """
    todo = {task.section: task for task in tasks}
    cells = []
    for name, title in course.outline.titles.items():
        lines: list[Line] = []
        if title:
            lines.append(Line(f"# {title}", course.outline.path, course.outline.where[name]))
        head, gap = len(lines), False
        for slot in course.outline.slots:
            if slot.cell != name:
                continue
            code = sections.get(slot.section, ())
            task = todo.get(slot.section)
            gap |= slot.gap
            if not (code or task):
                continue
            source = code[0].source if code else course.outline.path
            if gap and len(lines) > head and not _opens(tuple(lines)):
                # Two round a definition, as everywhere in Python.
                lines += [Line("", source, 1)] * (2 if _defines(code) else 1)
            gap = False
            indent = INDENT * _depth(slot, sections)
            if task:
                # An argument of a call stands further in than the section does.
                first = code[0].text if code else ""
                at_its_code = indent + first[: len(first) - len(first.lstrip())]
                lines += [
                    Line(f"{at_its_code}# {'TODO: ' if at == 0 else '      '}{text}", source, 1)
                    for at, text in enumerate(task.todo)
                ]
            lines += [
                Line(indent + line.text if line.text.strip() else "", line.source, line.number)
                for line in code
            ]
        if len(lines) > head:
            mine = tuple(task for task in tasks if course.outline.cell_of(task.section) == name)
            cells.append(Cell(name, tuple(lines), mine))
    return cells


def solved_cells(course: Course, number: int, form: Form = "notebook") -> list[Cell]:
    """The cells of the script after block `number`."""
    return compose(course, sections_after(course, number, form))


def unsolved_cells(course: Course, number: int) -> list[Cell]:
    """The cells that a student opens at block `number`: what is there, with its TODOs."""
    tasks = tuple(task for task in course.block(number).tasks if "notebook" in task.forms)
    return compose(course, sections_before(course, number, "notebook"), tasks)


def _is_definition(cell: Cell) -> bool:
    return _defines(tuple(line for line in cell.lines if not line.text.startswith("#")))


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
    lesson = block.folder / "lesson.md"
    lines = [Line(text, lesson, 1) for text in header(block).splitlines()]
    previous: Cell | None = None
    for cell in solved_cells(course, number, "script"):
        wide = previous is not None and (_is_definition(cell) or _is_definition(previous))
        lines += [Line("", lesson, 1)] * (2 if wide else 1)
        lines += cell.lines
        previous = cell
    return lines


def script_text(course: Course, number: int) -> str:
    """The script after block `number`, as it is written to solutions/."""
    return "".join(f"{line.text}\n" for line in script_lines(course, number))


def source_of(path: Path, number: int) -> str:
    """Where a line was written, as a person would look it up."""
    # The outline lies in blocks/, all else one folder deeper.
    steps = 2 if path.parent.name == "blocks" else 3
    return f"{'/'.join(path.parts[-steps:])}:{number}"
