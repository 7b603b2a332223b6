"""Compose sections into scripts and cells: the newest version of each section, in order."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from winelab.course.reading import Line
from winelab.course.source import Block, Change, Course, Form, Outline, OutlineCell

INDENT = "    "
BUILT = "Built by `make build`."
WRITTEN_TO = "../output/package"
"""Where a notebook writes a package's files, from the folder it runs in."""
Sections = dict[str, tuple[Line, ...]]
"""Section name to its code, for the sections that are there."""


@dataclass(frozen=True)
class Cell:
    """A cell of the script: its name, its lines of code, its tasks."""

    name: str
    lines: tuple[Line, ...]
    tasks: tuple[Change, ...]
    depth: int
    """How deep the whole cell stands: 1 inside of a function that began in an earlier cell."""
    file: str = ""
    """The file of the package that it is; "" where it is none."""
    title: str = ""

    @property
    def text(self) -> str:
        """Its code, without a newline at the end."""
        return "\n".join(line.text for line in self.lines)

    @property
    def source(self) -> str:
        """The notebook's cell: its code, and of a file the line that has it written."""
        return f"%%writefile {WRITTEN_TO}/{self.file}\n{self.text}" if self.file else self.text

    @property
    def unfilled(self) -> str:
        """The cell's text with references in place of blocks' numbers."""
        return "\n".join(line.unfilled for line in self.lines)


# --- which code is there -----------------------------------------------------------------------


def sections_after(course: Course, number: int, form: Form) -> Sections:
    """Return the sections of the script, or package, after block `number`; none at -1."""
    return _history(course, course.until(course.block(number)), form)[-1] if number >= 0 else {}


def sections_before(course: Course, number: int, form: Form) -> Sections:
    """Return the sections that a student finds at block `number`.

    They are those of the script before it, and what the block's changes marked ``given`` do
    to them: all that there is at block 0, scaffolding and ways back to a simpler script later.
    """
    *before, block = course.until(course.block(number))
    return _changed(course, _history(course, before, form), block, form, given=True)


def _history(course: Course, blocks: Sequence[Block], form: Form) -> list[Sections]:
    """Return the sections before the first of these blocks, which are none, and after each."""
    history: list[Sections] = [{}]
    for block in blocks:
        # What is given comes first: the student changes what was found there.
        found = _changed(course, history, block, form, given=True)
        history.append(_changed(course, [*history, found], block, form, given=False))
    return history


def _changed(
    course: Course, history: list[Sections], block: Block, form: Form, given: bool
) -> Sections:
    """Return the last sections of `history` after a block's changes, the given or the others.

    Raises CourseError for a change of something that is not there.
    """
    now = dict(history[-1])
    if given:  # the first look at this block
        now = {name: code for name, code in now.items() if name not in block.outline.passing}
    for change in block.changes:
        if form not in change.forms or change.given != given:
            continue
        section = change.section
        if change.lines:
            now[section] = change.lines
        elif not change.back_to:
            if section not in now:
                raise change.mark.wrong(f'"{section}" is not there to be removed.')
            del now[section]
        else:
            back = course.block(change.back_to)
            before = course.until(block)[:-1]
            if back not in before:
                raise change.mark.wrong(f'"as in {back.slug}" must name an earlier block.')
            then = history[before.index(back) + 1]
            if section not in then:
                raise change.mark.wrong(f'block {back.number} has no section "{section}".')
            now[section] = then[section]
    return now


# --- how it is laid out ------------------------------------------------------------------------


def _ends_with_colon(lines: Sequence[Line]) -> bool:
    """Whether the last line opens a block: no empty line stands below it."""
    return bool(lines) and lines[-1].text.rstrip().endswith(":")


def _depth(parents: Iterable[str], sections: Sections) -> int:
    """Return how many of the heads are there and open a block: a ``with``, a function.

    Below the first line of a function its docstring may stand, and what it begins with.
    """
    heads = [sections.get(parent, ()) for parent in parents]
    return sum(
        _ends_with_colon(head) or (len(head) > 1 and head[0].text.startswith(("def ", "@")))
        for head in heads
    )


def _indented(lines: Sequence[Line], indent: str) -> list[Line]:
    """Move lines in; those within a text of several lines stay: a text is what it is.

    A docstring (between double quotes) moves with its function.
    """
    kept: set[int] = set()
    code = "".join(f"{line.text}\n" for line in lines)
    try:
        for token in tokenize.generate_tokens(io.StringIO(code).readline):
            if token.type == tokenize.STRING and '"""' not in token.string[:3]:
                kept.update(range(token.start[0], token.end[0]))
    except (tokenize.TokenError, IndentationError):
        pass  # a section may be a part of a statement
    return [
        line if at in kept else replace(line, text=indent + line.text if line.text.strip() else "")
        for at, line in enumerate(lines)
    ]


def _begins_with_definition(lines: Iterable[Line]) -> bool:
    """Whether code, below comments, begins with a function or class; its head alone will do."""
    code = (line.text for line in lines if not line.text.startswith("#"))
    return next(code, "").startswith(("def ", "class ", "@"))


def _far_apart(before: Sequence[Line], after: Sequence[Line]) -> bool:
    """Whether two empty lines stand between: round a definition, as everywhere in Python."""
    if _begins_with_definition(after):
        return True
    try:
        body = ast.parse("\n".join(line.text for line in before)).body
    except SyntaxError:
        return False  # a part of a statement
    return bool(body) and isinstance(body[-1], ast.FunctionDef | ast.ClassDef)


def compose(outline: Outline, sections: Sections, tasks: tuple[Change, ...] = ()) -> list[Cell]:
    """Lay sections out as cells, in the outline's order, each child indented under its head.

    A task's TODO comments stand at its section's place, above the code that is there now.
    """
    cells = []
    for place in outline.cells.values():
        names = [slot.section for slot in place.slots]
        mine = [task for task in tasks if task.section in names]
        own = {task.section: task for task in sorted(mine, key=lambda t: names.index(t.section))}
        if own or any(sections.get(name) for name in names):
            lines = _cell_lines(place, sections, own)
            depth = _depth(place.parents, sections)
            cells.append(
                Cell(place.name, tuple(lines), tuple(own.values()), depth, place.file, place.title)
            )
    return cells


def _cell_lines(place: OutlineCell, sections: Sections, tasks: dict[str, Change]) -> list[Line]:
    """Return the lines of one cell, its title and its TODOs among them."""
    lines: list[Line] = []
    if place.title:
        indent = INDENT * _depth(place.parents, sections)
        lines.append(replace(place.line, text=f"{indent}# {place.title}"))
    head, gap, inside = len(lines), False, 0
    for slot in place.slots:
        code, task = sections.get(slot.section, ()), tasks.get(slot.section)
        # A gap among sections of a head that are not there stays inside of it.
        gap = slot.gap or (gap and len(slot.parents) >= inside)
        inside = len(slot.parents)
        if not (code or task):
            continue
        first = next(iter(code or (task.lines if task else ())), replace(place.line, text=""))
        indent = INDENT * _depth(slot.parents, sections)
        wide = not indent and _far_apart(lines, code)
        if (gap or wide) and len(lines) > head and not _ends_with_colon(lines):
            lines += [replace(first, text="", written="")] * (2 if wide else 1)
        gap = False
        # An argument of a call stands further in than the section does.
        at_its_code = indent + first.text[: len(first.text) - len(first.text.lstrip())]
        for at, text in enumerate(task.todo if task else ()):
            todo = f"{at_its_code}# {'      ' if at else 'TODO: '}{text}"
            lines.append(replace(first, text=todo, written=""))
        lines += _indented(code, indent)
    return lines


def solved_cells(course: Course, number: int, form: Form = "notebook") -> list[Cell]:
    """Return the cells of the script after block `number`."""
    return compose(course.block(number).outline, sections_after(course, number, form))


def unsolved_cells(course: Course, number: int, form: Form = "notebook") -> list[Cell]:
    """Return the cells that a student opens at block `number`: what is there, with its TODOs."""
    block = course.block(number)
    tasks = tuple(task for task in block.tasks if form in task.forms)
    return compose(block.outline, sections_before(course, number, form), tasks)


# --- the script, or the files of the package -----------------------------------------------------


_SOLUTION = f"{BUILT} Edit blocks/{{slug}}/code.py and build again, not this file."
_YOURS = "Your script: write where a TODO stands. The lesson is labs/{name}.ipynb."


def header(block: Block, words: str = _SOLUTION) -> str:
    """Return the docstring on top of a script: what it is, and where it is edited."""
    title = f"Wine Lab, block {block.number}: {block.title}."
    return f'"""{title}\n\n{words.format(name=block.name, slug=block.slug)}\n"""\n'


def built_script(text: str) -> bool:
    """Return whether a script was written by the course, and not by a person."""
    return BUILT in text.partition('"""\n')[0]


def solution_files(course: Course, number: int) -> dict[str, list[Line]]:
    """Return the files of the solution of block `number`, each line with the place it is from.

    Their names are paths in solutions/: of a script one, such as "03_run.py"; of a package, all in
    a folder that is called as the block.
    """
    return _files(course, number, solved_cells(course, number, "script"), _SOLUTION)


def unsolved_files(course: Course, number: int) -> dict[str, str]:
    """Return the files that a student begins block `number` with in my/, with its TODOs."""
    cells = unsolved_cells(course, number, "script")
    return {name: text_of(lines) for name, lines in _files(course, number, cells, _YOURS).items()}


def _files(course: Course, number: int, cells: list[Cell], words: str) -> dict[str, list[Line]]:
    block = course.block(number)
    if not block.package:
        return {f"{block.name}.py": _laid_out(block, header(block, words), cells)}
    return {f"{block.name}/{cell.file}": list(cell.lines) for cell in cells if cell.file}


def script_text(course: Course, number: int) -> str:
    """Return the script after block `number`, as it is written to solutions/."""
    return text_of(solution_files(course, number)[f"{course.block(number).name}.py"])


def unsolved_script(course: Course, number: int) -> str:
    """Return the script that a student begins block `number` with: what is there, its TODOs."""
    return unsolved_files(course, number)[f"{course.block(number).name}.py"]


def text_of(lines: list[Line]) -> str:
    """Return a file's text: its lines, each with its end."""
    return "".join(f"{line.text}\n" for line in lines)


def _laid_out(block: Block, top: str, cells: list[Cell]) -> list[Line]:
    """Lay cells below each other as one script, with empty lines as Python has them."""
    lesson = block.folder / "lesson.md"
    lines = [Line(text, lesson, 1) for text in top.splitlines()]
    for before, cell in zip([None, *cells], cells, strict=False):
        wide = (
            before is not None
            and cell.depth == 0
            and (before.depth > 0 or _far_apart(before.lines, cell.lines))
        )
        lines += [Line("", lesson, 1)] * (2 if wide else 1)
        # A function's docstring says in a script what the title says in a notebook.
        titled = cell.title and _begins_with_definition(cell.lines)
        lines += cell.lines[1:] if titled else cell.lines
    return lines
