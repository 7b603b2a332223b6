"""What nbgrader and an assignment's notebook need of the course: a place, and the labs' text.

`begin` is called by the first cell of each notebook, in the student's kernel and when it is
graded; `use_labs` by the course's nbgrader_config.py. nbgrader itself is imported only there.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from winelab.core.order import find_one, read_order
from winelab.core.paths import LABS, ROOT, course_environment
from winelab.tracking.store import prepare
from winelab.tracking.workspace import NAME, furnish

GRADING = "NBGRADER_EXECUTION"
"""nbgrader sets it in the kernel while it grades or validates a notebook."""
SECONDS = 120
"""What one cell may take when it is graded; nbgrader's own limit, 30 s, ends a slow start."""

_begun: list[str] = []


def begin(slug: str) -> None:
    """Make this kernel one of the course's, for the block `slug`: its folder and its store.

    For a student that is the course's own folder, so that `make ui` shows the runs. While
    nbgrader grades it is an empty room, taken away when the kernel ends: no hand-in meets the
    runs of another. Call it before MLflow is imported; a second call does nothing.
    """
    if slug in _begun:
        return
    block = find_one(read_order().blocks, slug)
    if os.environ.get(GRADING):
        desk = tempfile.mkdtemp(prefix="winelab-")
        atexit.register(shutil.rmtree, desk, ignore_errors=True)
        root = furnish(Path(desk).resolve() / NAME)
        # Windows removes no folder that a process stands in.
        atexit.register(os.chdir, tempfile.gettempdir())
        # Of the instructor's MLflow, nothing.
        for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
            del os.environ[name]
        labs = root / LABS.name
    else:
        prepare()
        root, labs = ROOT, LABS
    os.environ.update(course_environment(root))
    # Runs are tagged with the block that this name says, whatever the file is called.
    os.environ["WINELAB_SOURCE"] = f"{block.name}.ipynb"
    os.chdir(labs)
    _begun.append(slug)


def use_labs(config: Any) -> None:
    """Set nbgrader up for the course's notebooks; called with `get_config()`.

    nbgrader puts a stub where a solution was. A student of this course finds the script of the
    block before there, with its TODOs: a step after nbgrader's own puts that in its place.

    Args:
        config: traitlets' Config.
    """
    from nbconvert.preprocessors import Preprocessor
    from nbgrader.converters import GenerateAssignment
    from nbgrader.preprocessors import ClearSolutions

    class PutLabs(Preprocessor):
        """Puts the lab's text into each cell whose solution was cleared."""

        enabled = True

        def preprocess_cell(self, cell: Any, resources: Any, index: int) -> tuple[Any, Any]:
            """Return the cell as the student gets it."""
            return as_released(cell), resources

    steps = list(GenerateAssignment.preprocessors.default_args[0])
    steps.insert(steps.index(ClearSolutions) + 1, PutLabs)
    config.GenerateAssignment.preprocessors = steps
    config.Execute.timeout = SECONDS


def as_released(cell: Any) -> Any:
    """Return the cell with the lab's text, if it is one whose solution was cleared."""
    mark = cell["metadata"].pop("winelab", None)
    if mark is not None:
        cell["source"] = mark["lab"]
    return cell
