"""What a block's checks.py is written with: which check catches what, and what else is right.

Comparisons are in `comparing`, what the store holds in `looking`, and calls of a student's
functions in `scratch`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

F = TypeVar("F", bound=Callable[..., None])
Sections = dict[str, str]
"""The solution's sections by name, each with its code."""
Cells = list[tuple[str, str]]
"""The cells in the order in which they run: name and source. A name may stand there twice."""


def given(check: F) -> F:
    """Mark a check of something that is already true on the untouched notebook.

    All other checks are about the block's own change, and must fail there.
    """
    check.given = True  # type: ignore[attr-defined]
    return check


# --- what differs from the solution ------------------------------------------------------------


class DoesNotFit(Exception):
    """An edit does not fit the solution; the message says why."""


@dataclass(frozen=True)
class Edit:
    """A change of the solution: of its sections, or of the cells that are made of them.

    Edits are made in the order in which they are written, those of sections first. Each changes
    what it is given, or raises DoesNotFit.
    """

    of_sections: Callable[[Sections], None] | None = None
    section: str = ""
    """The section that `of_sections` changes."""
    of_cells: Callable[[Cells], None] | None = None

    def __call__(self, check: F) -> F:
        """Make it a part of the mistake above: `@swap(...)` below `@catches(...)`."""
        return _noted(self, check)


def swap(section: str, old: str, new: str) -> Edit:
    """Replace `old`, which must stand exactly once in the section, by `new`."""

    def edit(sections: Sections) -> None:
        count = sections.get(section, "").count(old)
        if count != 1:
            raise DoesNotFit(f'{old!r} stands {count} times in "{section}"')
        sections[section] = sections[section].replace(old, new)

    return Edit(edit, section)


def put(section: str, code: str) -> Edit:
    """Replace all code of a section; "" takes the section away."""

    def edit(sections: Sections) -> None:
        if section not in sections:
            raise DoesNotFit(f'there is no section "{section}" to replace')
        sections[section] = code

    return Edit(edit, section)


def remove(section: str) -> Edit:
    """Take a section away."""
    return put(section, "")


def skip(*cells: str) -> Edit:
    """Leave cells out, by name."""

    def edit(run: Cells) -> None:
        for cell in cells:
            del run[_place(run, cell)]

    return Edit(of_cells=edit)


def skip_all() -> Edit:
    """Leave every cell out. What `before` and `after` add still runs."""

    def edit(run: Cells) -> None:
        run[:] = [(name, source) for name, source in run if not name]

    return Edit(of_cells=edit)


def twice(cell: str) -> Edit:
    """Run a cell twice in a row."""

    def edit(run: Cells) -> None:
        at = _place(run, cell)
        run.insert(at, run[at])

    return Edit(of_cells=edit)


def split(cell: str, before_line: str) -> Edit:
    """Cut a cell in two, above the line that begins with `before_line`.

    Both parts must be whole statements: the line stands at the margin.
    """

    def edit(run: Cells) -> None:
        at = _place(run, cell)
        lines = run[at][1].split("\n")
        found = [number for number, line in enumerate(lines) if line.startswith(before_line)]
        if len(found) != 1:
            raise DoesNotFit(f'{len(found)} lines of [{cell}] begin with "{before_line}"')
        first, second = "\n".join(lines[: found[0]]), "\n".join(lines[found[0] :])
        run[at : at + 1] = [(cell, first), (cell, second)]

    return Edit(of_cells=edit)


def before(code: str) -> Edit:
    """Run code before the first cell: what happened earlier."""
    return Edit(of_cells=lambda run: run.insert(0, ("", code)))


def after(code: str) -> Edit:
    """Run code after the last cell, before the check."""
    return Edit(of_cells=lambda run: run.append(("", code)))


def _place(run: Cells, cell: str) -> int:
    names = [name for name, _ in run]
    if cell not in names:
        raise DoesNotFit(f"there is no cell [{cell}]")
    return names.index(cell)


# --- mistakes, and other right ways ------------------------------------------------------------


@dataclass(frozen=True)
class Variant:
    """A notebook that differs from the solution."""

    what: str
    """What the learner did, for the report."""
    edits: tuple[Edit, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    """Environment variables that differ; an empty value takes one away."""


@dataclass(frozen=True)
class Mistake(Variant):
    """A mistake that learners make, and the hint meant for it."""

    caught_by: str = ""
    """The name of the check that must fail."""
    hint: str = ""
    """Words of the hint that the learner must read then."""
    error: str = ""
    """Words of the error that the learner sees, where there is one."""


@dataclass(frozen=True)
class Words:
    """What the learner reads after a mistake; put below `catches`."""

    kind: str
    """ "hint" or "error"."""
    text: str

    def __call__(self, check: F) -> F:
        return _noted(self, check)


def hint(words: str) -> Words:
    """Words of the hint that the learner must read; each mistake has one."""
    return Words("hint", words)


def error(words: str) -> Words:
    """Words of the error that the learner sees first, where there is one."""
    return Words("error", words)


def _noted(part: Edit | Words, check: F) -> F:
    """Keep a part of a mistake with the check, until its `catches` comes: Python goes upwards."""
    check.parts = (part, *getattr(check, "parts", ()))  # type: ignore[attr-defined]
    return check


def catches(
    what: str, *edits: Edit, environment: Mapping[str, str] | None = None
) -> Callable[[F], F]:
    """Say of a check that it catches a mistake; the lines below say how it comes, and the hint.

        @catches("the alpha is negative")
        @swap("settings", "alpha = 0.5", "alpha = -0.5")
        @hint("`alpha` is below zero")
        def test_alpha(namespace): ...

    Args:
        what: what the learner did; no other mistake of the block has the same words.
        edits: what makes the mistake of the solution, before the edits on the lines below.
        environment: variables that differ; an empty value takes one away.
    """

    def decorate(check: F) -> F:
        parts = check.__dict__.pop("parts", ())
        more = tuple(part for part in parts if isinstance(part, Edit))
        words = {part.kind: part.text for part in parts if isinstance(part, Words)}
        made = Mistake(what, (*edits, *more), environment or {}, check.__name__, **words)
        # The list reads from the top, as the file does.
        check.mistakes = (made, *getattr(check, "mistakes", ()))  # type: ignore[attr-defined]
        return check

    return decorate


def right(what: str, *edits: Edit, environment: Mapping[str, str] | None = None) -> Variant:
    """Return another right way, for RIGHT_WAYS: every check of the block must accept it.

    Args:
        what: what is done differently.
        edits: what makes it of the solution.
        environment: variables that differ; an empty value takes one away.
    """
    return Variant(what, edits, environment or {})
