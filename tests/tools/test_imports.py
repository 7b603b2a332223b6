"""The modules of winelab: each is in the list of winelab/README.md, and imports run one way."""

from __future__ import annotations

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

from winelab.paths import ROOT

PACKAGE = ROOT / "winelab"
MODULES = {path.stem: path for path in PACKAGE.glob("*.py") if not path.stem.startswith("__")}


def imported(path: Path) -> set[str]:
    """The modules of winelab that a module imports, at its top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "winelab":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("winelab."):
            found.add(str(node.module).split(".")[1])
    return found & set(MODULES)


def test_imports_run_one_way() -> None:
    graph = {name: imported(path) - {name} for name, path in MODULES.items()}
    order = list(TopologicalSorter(graph).static_order())
    assert set(order) == set(MODULES)
    assert order.index("paths") < order.index("checking") < order.index("runner")


def test_every_module_has_its_line_in_the_list() -> None:
    table = (PACKAGE / "README.md").read_text(encoding="utf-8")
    first_cells = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    listed = {name for cell in first_cells for name in re.findall(r"`(\w+)`", cell)}
    assert listed == set(MODULES)
