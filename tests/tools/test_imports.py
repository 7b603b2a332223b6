"""The rooms of winelab: who may import whom, and what README.md says of them."""

from __future__ import annotations

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from winelab.core.paths import ROOT

PACKAGE = ROOT / "winelab"
# Each room, and the rooms that it may import. A new arrow is a decision: make it here.
MAY_IMPORT: dict[str, set[str]] = {
    "core": set(),
    "system": {"core"},
    "course": {"core"},
    "tracking": {"core", "system"},
    "checks": {"core", "system", "tracking"},
    "proof": {"core", "system", "course", "tracking", "checks"},
    "grading": {"core", "system", "course", "tracking", "checks", "proof"},
    "publish": {"core", "system", "course", "tracking", "checks", "proof"},
    "stack": {"core", "system"},
}
MAY_IMPORT["commands"] = set(MAY_IMPORT)


def imported(path: Path) -> set[str]:
    """The rooms that a module imports, at its top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and node.module == "winelab":
            names = [f"winelab.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("winelab.")}
    return found


def test_the_rooms_are_those_listed() -> None:
    there = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert there == set(MAY_IMPORT)
    # The package's own modules: the name that students import, and `python -m winelab`.
    assert {path.name for path in PACKAGE.glob("*.py")} == {"__init__.py", "__main__.py"}


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_imports_run_downwards(room: str) -> None:
    order = list(MAY_IMPORT)
    assert all(order.index(other) < order.index(room) for other in MAY_IMPORT[room])
    for path in sorted((PACKAGE / room).rglob("*.py")):
        wrong = imported(path) - MAY_IMPORT[room] - {room}
        assert not wrong, f"{room}/{path.name} imports {', '.join(sorted(wrong))}"


def test_no_two_modules_import_each_other() -> None:
    modules = {f"winelab.{p.parent.name}.{p.stem}": p for p in PACKAGE.glob("*/*.py")}
    graph: dict[str, set[str]] = {}
    for name, path in modules.items():
        found = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                # A module itself, or a name that is a module: `from winelab.core import paths`.
                found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        graph[name] = found & set(modules) - {name}
    assert set(TopologicalSorter(graph).static_order()) == set(modules)


def test_every_room_has_its_line_in_the_readme_and_every_module_says_what_it_does() -> None:
    text = (PACKAGE / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE) == list(MAY_IMPORT)
    for path in PACKAGE.glob("*/*.py"):
        if path.stem != "__init__":
            said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            assert said.splitlines()[:1] and said.splitlines()[0].endswith("."), path
    # What it names is there.
    for name in re.findall(r"`(\w+/\w+)`", text):
        assert (PACKAGE / f"{name}.py").is_file() or (ROOT / name).exists(), name
