"""Reads what each picture shows, from the file picture.yaml in its block's folder.

Every mistake there is a CourseError that names the file and the line to mend.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from winelab.core.errors import CourseError
from winelab.core.paths import BLOCKS
from winelab.course.source import fail

NAME = "picture.yaml"

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
# What is done on a page before the picture is taken, and what each is given.
STEPS = {"click": str, "open": str, "columns": list, "scroll to": str}
# The keys that every picture may have, and the type of each value.
KEYS: dict[str, type] = {"page": str, "ran": list, "height": int, "then": list, "shows": list}
UNTOUCHED, SOLVED = "untouched", "solved"
HEIGHT = 520


@dataclass(frozen=True)
class Ran:
    """One block that ran before the picture: its notebook, or its script with arguments."""

    block: int
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scene:
    """What one picture shows."""

    file: str
    block: int
    page: str
    which: dict[str, Any]
    """The page's own keys: see PAGES."""
    ran: tuple[Ran, ...]
    """What ran in an empty store before, in order."""
    shows: tuple[str, ...]
    """Texts that must be seen, whole and uncovered."""
    then: tuple[tuple[str, Any], ...]
    """What is done on the page first: see STEPS."""
    height: int
    """Of the page, in pixels."""


def read_scenes(folder: Path = BLOCKS) -> list[Scene]:
    """The scenes of all blocks, in the blocks' order. CourseError for a mistake in one."""
    found: dict[str, Scene] = {}
    for path in sorted(folder.glob(f"[0-9][0-9]_*/{NAME}")):
        for scene in read_file(path):
            if scene.file in found:
                raise fail(path, 1, f"block {found[scene.file].block} has {scene.file} already.")
            found[scene.file] = scene
    return list(found.values())


def read_file(path: Path) -> list[Scene]:
    """The scenes of one picture.yaml: a mapping of the pictures' names to what they show."""
    try:
        loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
        node = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise fail(path, line, f"this is not YAML: {error.problem}.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise fail(path, 1, f"this is not YAML: {' '.join(str(error).split())}.") from None
    pictures = _mapping(path, loader, node, 1)
    return [_scene(path, loader, name, value, line) for name, (value, line) in pictures.items()]


Node = tuple[Any, int]


def _mapping(path: Path, loader: yaml.SafeLoader, node: Any, line: int) -> dict[str, Node]:
    """A mapping's keys, each with its value's node and its line."""
    if not isinstance(node, yaml.MappingNode) or not node.value:
        raise fail(path, line, 'write lines of "name: value" here.')
    found: dict[str, Node] = {}
    for key, value in node.value:
        name, at = str(key.value), key.start_mark.line + 1
        if name in found:
            raise fail(path, at, f'"{name}" stands here a second time.')
        found[name] = (value, at)
    return found


def _scene(path: Path, loader: yaml.SafeLoader, file: str, node: Any, line: int) -> Scene:
    if not re.fullmatch(r"[a-z0-9-]+\.png", file):
        raise fail(path, line, f'name the picture like "14-autolog.png", not "{file}".')
    lines, values = {}, {}
    for name, (value, at) in _mapping(path, loader, node, line).items():
        lines[name], values[name] = at, loader.construct_object(value, deep=True)
    if "page" not in values:
        raise fail(path, line, f'{file} lacks "page".')
    if values["page"] not in PAGES:
        raise fail(path, lines["page"], f'"page" is one of: {", ".join(PAGES)}.')
    own = PAGES[values["page"]]
    for name, value in values.items():
        if name not in KEYS and name not in own:
            raise fail(path, lines[name], f'nothing reads "{name}" of a page "{values["page"]}".')
        kind = KEYS.get(name, list if name == "experiments" else str)
        if not isinstance(value, kind) or isinstance(value, bool) or value == "":
            raise fail(path, lines[name], f'"{name}" must be a {kind.__name__}.')
    for name, needed in own.items():
        if needed and name not in values:
            raise fail(path, line, f'a page "{values["page"]}" needs "{name}".')
    # What a file shows is no text that could be found.
    if not values.get("shows") and values["page"] != "file":
        raise fail(path, line, f'{file} lacks "shows", one text at least that must be seen.')
    block = int(path.parent.name[:2])
    ran = tuple(_ran(path, lines["ran"], one) for one in values["ran"]) if "ran" in values else None
    steps = tuple(_step(path, lines["then"], step) for step in values.get("then", ()))
    return Scene(
        file=file,
        block=block,
        page=values["page"],
        which={name: values[name] for name in own if name in values},
        ran=(Ran(block),) if ran is None else ran,
        shows=tuple(map(str, values.get("shows", ()))),
        then=steps,
        height=values.get("height", HEIGHT),
    )


def _ran(path: Path, line: int, value: Any) -> Ran:
    """A block's number, and the arguments of its script: `29 --alpha 0.05`."""
    words = shlex.split(str(value))
    if not words or not re.fullmatch(r"\d{1,2}", words[0]):
        raise fail(path, line, f'"{value}" in "ran" must begin with a block\'s number.')
    if not any(path.parents[1].glob(f"{int(words[0]):02d}_*")):
        raise fail(path, line, f'"ran" names block {words[0]}, and there is none.')
    return Ran(int(words[0]), tuple(words[1:]))


def _step(path: Path, line: int, value: Any) -> tuple[str, Any]:
    known = ", ".join(f'"{name}"' for name in STEPS)
    if not isinstance(value, dict) or len(value) != 1 or next(iter(value)) not in STEPS:
        raise fail(path, line, f'each step of "then" is one of {known}, with what it is about.')
    ((name, about),) = value.items()
    if not isinstance(about, STEPS[name]):
        raise fail(path, line, f'the step "{name}" must be given a {STEPS[name].__name__}.')
    return name, about


def of_block(scenes: list[Scene], block: int | None) -> list[Scene]:
    """The scenes of one block, or all. CourseError where the block has none."""
    found = [scene for scene in scenes if block in (None, scene.block)]
    if not found:
        raise CourseError(
            f"Block {block} has no picture: write what it shows into its {NAME} "
            "(docs/pictures/README.md says how)."
        )
    return found
