"""Which functions a piece of code calls, by their full names: what a block must explain (P6)."""

from __future__ import annotations

import ast
from contextlib import suppress


def _aliases(tree: ast.AST) -> dict[str, str]:
    """Name in the code to full name, from the imports."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                found[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                found[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return found


def _full_name(function: ast.expr, aliases: dict[str, str]) -> str | None:
    if isinstance(function, ast.Name):
        return aliases.get(function.id)
    if isinstance(function, ast.Attribute):
        owner = _full_name(function.value, aliases)
        # A method of a variable or of a result: its class is not known, its name is.
        return f"{owner}.{function.attr}" if owner else f".{function.attr}"
    return None


def calls(source: str) -> set[str]:
    """Return the functions that `source` calls.

    Imported ones by their full name (``mlflow.log_params``), methods of anything else as
    ``.fit``; also those of a program that stands in it as a text (the code of a model). Left
    out: builtins, and functions that the code defines itself.
    """
    tree = ast.parse(source)
    aliases = _aliases(tree)
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and "\nimport " in str(node.value):
            # A text with imports, which may be something else than Python.
            with suppress(SyntaxError):
                found |= calls(str(node.value))
        if isinstance(node, ast.Call):
            name = _full_name(node.func, aliases)
            # Builtins and the code's own functions are imported from nowhere: no full name.
            if name:
                found.add(name)
    return found
