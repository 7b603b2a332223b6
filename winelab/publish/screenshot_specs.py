"""Read what each picture shows, from the file picture.yaml in its block's folder.

Every mistake there is a CourseError that names the file and the line to fix.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, StrictInt, ValidationInfo

from winelab.core.errors import CourseError, fail
from winelab.core.order import Order, read_order
from winelab.core.paths import BLOCKS
from winelab.course.reading import Line, Mapping, checked, read_lines, read_mapping

NAME = "picture.yaml"
UNTOUCHED, SOLVED = "untouched", "solved"

# Each kind of page with the keys that say which one; True where the key must be there.
PAGES: dict[str, dict[str, bool]] = {
    "experiments": {},
    "runs": {"experiment": True, "filter": False},
    "runs of several experiments": {"experiments": True},
    "run": {"run": False, "tab": False},
    "logged model": {"tab": False},
    "registered model": {"name": True},
    "version": {"name": True, "alias": True},
    "run of a version": {"name": True, "alias": True, "tab": False},
    "notebook": {"cells": True, "from": True, "up to": True},
    "file": {"path": True},
}
# The keys that every picture may have.
KEYS = {"page", "ran", "height", "then", "shows"}


def _split(value: Any, info: ValidationInfo) -> list[str]:
    """Split a block's name from the arguments of its script: `poster --alpha 0.05`."""
    words = shlex.split(str(value)) or [""]
    if words[0] not in (info.context or ()):
        raise ValueError(f'"{value}" must begin with a block\'s name')
    return words


def _as_list(value: Any) -> Any:
    """Take one text for a list of one."""
    return [value] if isinstance(value, str) else value


Texts = Annotated[list[str], BeforeValidator(_as_list)]
Step = Literal["click", "open", "columns", "scroll to"]


class ScreenshotSpec(BaseModel, frozen=True, coerce_numbers_to_str=True):
    """What one picture shows: the keys that stand below its name in picture.yaml."""

    file: str
    block: str
    """The slug of the block in whose folder it stands."""
    page: str
    """One of PAGES, which says what of these it takes."""
    experiment: str = ""
    experiments: list[str] = []
    filter: str = ""
    run: str = ""
    tab: str = ""
    name: str = ""
    alias: str = ""
    path: str = ""
    cells: str = ""
    begin: str = Field("", alias="from")
    up_to: str = Field("", alias="up to")
    """A heading of the notebook: what stands from it on is left out, but for the check."""
    ran: list[Annotated[list[str], BeforeValidator(_split)]]
    """What ran before in an empty store, in order: a block's name; with it, for its script in
    place of its notebook, the arguments."""
    shows: list[str] = []
    """Texts that must be seen, whole and uncovered."""
    then: list[dict[Step, Texts]] = []
    """What is done on the page before, step by step, each with the texts that it is about."""
    height: StrictInt = 520
    """Of the page, in pixels."""


def read_specs(folder: Path = BLOCKS) -> list[ScreenshotSpec]:
    """Return the specs of all blocks, in order. Raises CourseError for a mistake in one."""
    found: dict[str, ScreenshotSpec] = {}
    order = read_order(folder)
    for block in order.blocks:
        path = block.folder / NAME
        for spec in read_file(path, order) if path.is_file() else ():
            if spec.file in found:
                raise fail(path, 1, f"the block {found[spec.file].block} has {spec.file} already.")
            found[spec.file] = spec
    return list(found.values())


def read_file(path: Path, order: Order) -> list[ScreenshotSpec]:
    """Return the specs of one picture.yaml: a mapping of pictures' names to what they show."""
    lines = read_lines(path, order)
    pictures = read_mapping(lines, path)
    known = {block.slug for block in order.blocks}
    specs = []
    for file, values in pictures.items():
        line = lines[pictures.lines[file] - 1]
        if not re.fullmatch(r"[a-z0-9_-]+\.png", file):
            raise line.wrong(f'name the picture like "autolog-run.png", not "{file}".')
        if not isinstance(values, Mapping):
            raise line.wrong('write lines of "name: value" here.')
        specs.append(_read_spec(file, values, line, known))
    return specs


def _read_spec(file: str, values: Mapping, line: Line, known: set[str]) -> ScreenshotSpec:
    """Read what stands below one picture's name, in `line`."""
    block = line.source.parent.name
    # Where nothing is said, the block itself ran once.
    values.setdefault("ran", [block])
    values.update(file=file, block=block)
    spec = checked(ScreenshotSpec, values, line, file, known)
    if spec.page not in PAGES:
        raise fail(line.source, values.lines["page"], f'"page" is one of: {", ".join(PAGES)}.')
    own = PAGES[spec.page]
    for name in values.lines.keys() - KEYS - own.keys():
        where = values.lines[name]
        raise fail(line.source, where, f'nothing reads "{name}" of a page "{spec.page}".')
    for name in [name for name, needed in own.items() if needed and not values.get(name)]:
        raise line.wrong(f'a page "{spec.page}" needs "{name}".')
    # What a file shows is no text that could be found.
    if not spec.shows and spec.page != "file":
        raise line.wrong(f'{file} lacks "shows", one text at least that must be seen.')
    return spec


def of_block(specs: list[ScreenshotSpec], block: str | None) -> list[ScreenshotSpec]:
    """Return the specs of one block, or all. Raises CourseError where the block has none."""
    found = [spec for spec in specs if block in (None, spec.block)]
    if not found:
        raise CourseError(
            f"The block {block} has no picture: write what it shows into its {NAME} "
            "(docs/pictures/README.md says how)."
        )
    return found
