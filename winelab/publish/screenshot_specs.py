"""Read what each picture shows, from the file picture.yaml in its block's folder.

Every mistake there is a CourseError that names the file and the line to mend.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, Field, StrictInt, ValidationError, ValidationInfo

from winelab.core.errors import CourseError
from winelab.core.paths import BLOCKS
from winelab.course.source import fail

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
    "notebook": {"cells": True, "from": True},
    "file": {"path": True},
}
# The keys that every picture may have.
KEYS = {"page", "ran", "height", "then", "shows"}


def _split(value: Any, info: ValidationInfo) -> list[str]:
    """Split a block's number from the arguments of its script: `29 --alpha 0.05`."""
    words = shlex.split(str(value)) or [""]
    if not re.fullmatch(r"\d{1,2}", words[0]):
        raise ValueError(f'"{value}" must begin with a block\'s number')
    if int(words[0]) not in (info.context or ()):
        raise ValueError(f"there is no block {words[0]}")
    return words


def _as_list(value: Any) -> Any:
    """Take one text for a list of one."""
    return [value] if isinstance(value, str) else value


Texts = Annotated[list[str], BeforeValidator(_as_list)]
Step = Literal["click", "open", "columns", "scroll to"]


class ScreenshotSpec(BaseModel, frozen=True, coerce_numbers_to_str=True):
    """What one picture shows: the keys that stand below its name in picture.yaml."""

    file: str = Field(pattern=r"^[a-z0-9-]+\.png$")
    block: int
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
    ran: list[Annotated[list[str], BeforeValidator(_split)]]
    """What ran before in an empty store, in order: a block's number; with it, for its script in
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
    for path in sorted(folder.glob(f"[0-9][0-9]_*/{NAME}")):
        for spec in read_file(path):
            if spec.file in found:
                raise fail(path, 1, f"block {found[spec.file].block} has {spec.file} already.")
            found[spec.file] = spec
    return list(found.values())


def read_file(path: Path) -> list[ScreenshotSpec]:
    """Return the specs of one picture.yaml: a mapping of pictures' names to what they show."""
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), yaml.SafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        why = getattr(error, "problem", None) or " ".join(str(error).split())
        raise fail(path, mark.line + 1 if mark else 1, f"this is not YAML: {why}.") from None
    pictures = _mapping(path, node, 1)
    return [_read_spec(path, file, value, line) for file, (value, line) in pictures.items()]


def _mapping(path: Path, node: Any, line: int) -> dict[str, tuple[Any, int]]:
    """Return a mapping's keys, each with its value's node and its line."""
    if not isinstance(node, yaml.MappingNode) or not node.value:
        raise fail(path, line, 'write lines of "name: value" here.')
    found: dict[str, tuple[Any, int]] = {}
    for key, value in node.value:
        name, at = str(key.value), key.start_mark.line + 1
        if name in found:
            raise fail(path, at, f'"{name}" stands here a second time.')
        found[name] = (value, at)
    return found


def _read_spec(path: Path, file: str, node: Any, line: int) -> ScreenshotSpec:
    """Read what stands below one picture's name."""
    lines = {name: at for name, (_, at) in _mapping(path, node, line).items()}
    values = yaml.constructor.SafeConstructor().construct_document(node)
    block = int(path.parent.name[:2])
    known = {int(folder.name[:2]) for folder in path.parents[1].glob("[0-9][0-9]_*")}
    try:
        spec = ScreenshotSpec.model_validate(
            # Where nothing is said, the block itself ran once.
            {"ran": [block]} | values | {"file": file, "block": block},
            context=known,
        )
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0])
        at = lines.get(key, line)
        if first["type"] == "missing":
            raise fail(path, at, f'{file} lacks "{key}".') from None
        if key == "file":
            raise fail(path, at, f'name the picture like "14-autolog.png", not "{file}".') from None
        why = first["msg"].removeprefix("Value error, ").replace("Input should", "input should")
        raise fail(path, at, f'"{key}" of {file} is wrong: {why}.') from None
    if spec.page not in PAGES:
        raise fail(path, lines["page"], f'"page" is one of: {", ".join(PAGES)}.')
    own = PAGES[spec.page]
    for name in lines.keys() - KEYS - own.keys():
        raise fail(path, lines[name], f'nothing reads "{name}" of a page "{spec.page}".')
    for name in [name for name, needed in own.items() if needed and not values.get(name)]:
        raise fail(path, line, f'a page "{spec.page}" needs "{name}".')
    # What a file shows is no text that could be found.
    if not spec.shows and spec.page != "file":
        raise fail(path, line, f'{file} lacks "shows", one text at least that must be seen.')
    return spec


def of_block(specs: list[ScreenshotSpec], block: int | None) -> list[ScreenshotSpec]:
    """Return the specs of one block, or all. Raises CourseError where the block has none."""
    found = [spec for spec in specs if block in (None, spec.block)]
    if not found:
        raise CourseError(
            f"Block {block} has no picture: write what it shows into its {NAME} "
            "(docs/pictures/README.md says how)."
        )
    return found
