"""Wine Lab: the tools behind the course. A student needs one name of it: ``check``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from winelab.checks.checking import check

__all__ = ["check"]


def __getattr__(name: str) -> Any:
    # Loaded on use: `python -m winelab` must start on a Python that has nothing installed yet.
    if name == "check":
        from winelab.checks.checking import check

        return check
    raise AttributeError(f"module 'winelab' has no attribute {name!r}")
