"""Get ready for `check` while the student's first cells run (a run-context plugin).

MLflow loads it by its entry point (pyproject.toml) when it is imported. That is earlier than the
first run, and a fresh process needs all of that time.
"""

from __future__ import annotations

import os
import sys
import threading

from winelab.core.paths import BLOCKS
from winelab.system.forkserver import SOCKET_VARIABLE
from winelab.tracking.run_tags import block_slug, source_name


class WarmUp:
    """Has the methods of MLflow's RunContextProvider (see `tracking.run_tags`); gives no tags."""

    def __init__(self) -> None:
        slug = block_slug(source_name()) if in_a_kernel() else ""
        if slug:
            threading.Thread(target=warm_up, args=(slug,), daemon=True).start()

    def in_context(self) -> bool:
        """Return False: there are no tags."""
        return False

    def tags(self) -> dict[str, str]:
        """Return none."""
        return {}


def in_a_kernel() -> bool:
    """Return whether this is a notebook's kernel, and no fork of the proofs."""
    return "ipykernel.kernelapp" in sys.modules and SOCKET_VARIABLE not in os.environ


def warm_up(slug: str) -> None:
    """Load the checks of a block, and start the fresh process that they ask for, if they do."""
    from winelab.checks.checking import checks_of
    from winelab.checks.isolated_predict import keep_ready

    folder = BLOCKS / slug
    if folder.is_dir() and "fresh" in checks_of(folder).fixtures:
        keep_ready()
