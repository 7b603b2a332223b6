"""Read the files of a source, their lines and their YAML; a mistake names file and line."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from winelab.core.errors import CourseError, fail
from winelab.core.order import Order

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class Line:
    """A line, and the place it was written at."""

    text: str
    source: Path
    number: int
    written: str = ""
    """The text as it was written, where a block's number was filled in."""

    @property
    def unfilled(self) -> str:
        """The text with the reference in place of a block's number, indented as the text is."""
        indent = self.text[: len(self.text) - len(self.text.lstrip())]
        return indent + self.written.lstrip() if self.written else self.text

    def wrong(self, message: str) -> CourseError:
        """Return the error for a mistake in this line."""
        return fail(self.source, self.number, message)


def read_lines(path: Path, order: Order | None = None) -> list[Line]:
    """Return the lines of a source; with an `order`, the blocks' numbers in place of references.

    Raises CourseError where the file is missing or not in UTF-8, and for a block that is not there.
    """
    try:
        content = path.read_bytes()
        # Editors on Windows may put a byte order mark in front.
        texts = content.decode("utf-8-sig").splitlines()
    except OSError:
        raise fail(path, 1, "the file is missing, or cannot be read.") from None
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise fail(path, line, "this line is not in UTF-8; save the file as UTF-8.") from None
    lines = [Line(text, path, number) for number, text in enumerate(texts, start=1)]
    if order is None:
        return lines
    filled = [order.fill(line.text, path, line.number) for line in lines]
    return [
        line if line.text == text else replace(line, text=text, written=line.text)
        for line, text in zip(lines, filled, strict=True)
    ]


def holds(path: Path, text: str) -> bool:
    """Return whether a file is there and says this, with line ends as we write them."""
    return path.is_file() and path.read_bytes() == text.encode("utf-8")


# --- YAML --------------------------------------------------------------------------------------


class Mapping(dict[str, Any]):
    """A mapping of a YAML file, and the line of each of its names."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[str, int] = {}


class _Loader(yaml.SafeLoader):
    """Reads each mapping as a Mapping, in which no name stands twice."""

    def mapping(self, node: yaml.MappingNode) -> Mapping:
        found = Mapping()
        for key, value in node.value:
            name = str(key.value)
            if name in found:
                problem = f'"{name}" stands here a second time'
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            found[name] = self.construct_object(value, deep=True)
            found.lines[name] = key.start_mark.line + 1
        return found


_Loader.add_constructor("tag:yaml.org,2002:map", _Loader.mapping)


def read_mapping(lines: list[Line], path: Path) -> Mapping:
    """Return the mapping that the first lines of a file are. Raises CourseError for none."""
    text = "\n".join(line.text for line in lines)
    try:
        found = yaml.load(text, _Loader)
    # A date that is none is a ValueError.
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        above = mark.line if mark else text.count("\n", 0, getattr(error, "position", 0))
        why = getattr(error, "problem", None) or " ".join(str(error).split())
        raise fail(path, above + 1, f"this is not YAML: {why}.") from None
    if not isinstance(found, Mapping):
        raise fail(path, 1, 'write lines of "name: value" here.')
    return found


def read_top(lines: list[Line], path: Path, model: type[Model]) -> tuple[Model, list[Line]]:
    """Return the metadata between the two `---` on top of a file, and the lines below them.

    Raises CourseError where they are not as `model` says.
    """
    ends = [at for at, line in enumerate(lines) if line.text.rstrip() == "---"]
    if len(ends) < 2 or ends[0]:
        names = ", ".join(model.model_fields)
        raise fail(path, 1, f'begin with "---", the metadata ({names}), and "---".')
    values = read_mapping(lines[: ends[1]], path)
    return checked(model, values, lines[ends[1]], "the metadata"), lines[ends[1] + 1 :]


def checked(
    model: type[Model], values: Mapping, missed: Line, what: str, known: object = None
) -> Model:
    """Return the model of these values. Raises CourseError for the first that is not right.

    A value that is not there is missed at the line `missed`. `known` is the context in which the
    model's own functions look at a value.
    """
    try:
        return model.model_validate(values, context=known)
    except ValidationError as wrong:
        first = wrong.errors()[0]
        name, why = str(first["loc"][0]), first["msg"].removeprefix("Value error, ")
        sentence = {
            "missing": f'{what} lacks "{name}".',
            "extra_forbidden": f'{what} has "{name}", which nothing reads.',
        }.get(first["type"], f'"{name}" of {what} is wrong: {why[0].lower()}{why[1:]}.')
        raise fail(missed.source, values.lines.get(name, missed.number), sentence) from None
