"""Execute the code of a block in a workspace, and say what became of it.

One function for all: forked from a loaded process (milliseconds), in a fresh one (where fork is
missing, or a fork would not do), or in a Jupyter kernel, as a student has it.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from winelab.checks.report import Report, Verdict
from winelab.core.console import last_line
from winelab.system import forkserver
from winelab.system.run_module import run_module
from winelab.tracking.workspace import workspace_environment

TIME_LIMIT = 120.0
"""Seconds after which a run is ended; in a kernel, those of one cell."""


SHOWN_FOLDER = "/home/you/wine-lab"
"""What stands in a kernel's outputs for the workspace that they were made in."""


class Where(Enum):
    """The kind of process that code is executed in."""

    FORKED = "forked from a process that has MLflow loaded, if this system can"
    FRESH = "a process of its own"
    KERNEL = "a Jupyter kernel"


@dataclass(frozen=True)
class Code:
    """What is executed: a notebook's cells, a script, or modules of a package."""

    source: str
    """The file that it stands for, such as "03_run.ipynb". Of a script, or of a package's folder,
    its path from the workspace's `solutions/`."""
    cells: tuple[str, ...] | None = None
    """The cells' sources, in the order in which they run; None for all else."""
    arguments: tuple[str, ...] = ()
    """A script's command line."""
    runs: tuple[str, ...] = ()
    """Of a package: the modules to run, each with its arguments."""
    folder: str = ""
    """The working folder, from the workspace; by default `labs` for cells, else `solutions`."""


@dataclass(frozen=True)
class Outcome:
    """What became of a run."""

    printed: str = ""
    error: str = ""
    """The traceback; "" where there was none."""
    report: Report | None = None
    """What the block's checks say, where they were asked."""
    warnings: tuple[str, ...] = ()
    """Deprecations that Python, MLflow, scikit-learn or pandas warned of."""
    stderr: str = ""
    not_noted: str = ""
    """Why progress could not be noted in the store, in one sentence."""
    found: tuple[str, ...] = ()
    """What a probe found, a sentence each."""
    outputs: tuple[list[Any], ...] = ()
    """Of a kernel: each cell's outputs, as a notebook stores them, free of this machine's paths."""

    @property
    def last_line(self) -> str:
        """The end of the traceback, which names the error; "" where there was none."""
        return last_line(self.error)


def execute(
    code: Code,
    workspace: Path,
    where: Where = Where.FORKED,
    *,
    check: int | str | None = None,
    environment: Mapping[str, str] | None = None,
    limit: float = TIME_LIMIT,
    probe: str = "",
) -> Outcome:
    """Execute code in a workspace, and let a block's checks look at what it left.

    Args:
        code: what to run.
        workspace: a furnished folder (see `tracking.workspace`).
        where: the kind of process. In a kernel no checks are asked: a notebook's last cell does.
        check: the block whose checks run afterwards, in the same process.
        environment: variables that differ from the workspace's; "" takes one away.
        limit: seconds.
        probe: what is tried on the checks afterwards, one of `fairness.PROBES`.

    Returns the outcome. A run that was ended by its limit, or that died, says so in `error`.
    """
    if where is Where.KERNEL:
        return _in_kernel(code, workspace, environment or {}, limit)
    job: dict[str, Any] = {"check": check, "probe": probe}
    if code.runs:
        job |= {"package": str(workspace / "solutions" / code.source), "runs": code.runs}
    elif code.cells is None:
        job["script"] = str(workspace / "solutions" / code.source)
        job["arguments"] = list(code.arguments)
    else:
        job["cells"] = code.cells
    folder = workspace / (code.folder or ("solutions" if code.cells is None else "labs"))
    variables = {"WINELAB_SOURCE": code.source, **(environment or {})}
    with tempfile.TemporaryDirectory(prefix="winelab-job-") as name:
        job_file, result_file = Path(name, "job.json"), Path(name, "result.json")
        job_file.write_text(json.dumps(job), encoding="utf-8")
        with Path(name, "stderr").open("w+b") as err:
            exit_code = run_module(
                "winelab.proof.worker",
                [str(job_file), str(result_file)],
                folder,
                workspace_environment(workspace, **variables),
                err.fileno(),
                limit,
                fork=where is Where.FORKED,
            )
            err.seek(0)
            stderr = err.read().decode("utf-8", errors="replace")
        if not result_file.is_file():
            how = (
                f"was ended after {limit:g} s"
                if exit_code is None
                else f"died with exit code {exit_code}"
            )
            return Outcome(error=f"The run {how}.\n{stderr}", stderr=stderr)
        result = json.loads(result_file.read_text(encoding="utf-8"))
    report = result.pop("report")
    if report:
        report = Report(**{**report, "verdicts": tuple(Verdict(**v) for v in report["verdicts"])})
    result |= {name: tuple(result[name]) for name in ("warnings", "found")}
    return Outcome(**result, report=report, stderr=stderr)


def _in_kernel(
    code: Code, workspace: Path, environment: Mapping[str, str], limit: float
) -> Outcome:
    """Execute cells in a kernel that is started as `make lab` would start it."""
    # Imported on use: a run in a fork needs none of Jupyter.
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    cells = [nbformat.v4.new_code_cell(source) for source in code.cells or ()]
    forked = forkserver.SOCKET_VARIABLE in os.environ
    client = NotebookClient(
        nbformat.v4.new_notebook(cells=cells),
        timeout=int(limit),
        kernel_name=forkserver.KERNEL if forked else "python3",
        resources={"metadata": {"path": str(workspace / (code.folder or "labs"))}},
        record_timing=False,
    )
    # JupyterLab names the notebook this way; the runs are tagged with it.
    variables = {"JPY_SESSION_NAME": f"labs/{code.source}", **environment}
    error = ""
    try:
        client.execute(
            env=workspace_environment(workspace, **variables),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    except CellExecutionError as failed:
        error = str(failed)
    shown = tuple(_joined(_without_folder(cell["outputs"], workspace)) for cell in cells)
    return Outcome(error=error, outputs=shown)


def _without_folder(value: Any, folder: Path) -> Any:
    """`value` with SHOWN_FOLDER for the folder's path, in every text of it."""
    text = json.dumps(value)
    for path in (folder.as_posix(), str(folder)):
        text = text.replace(json.dumps(path)[1:-1], SHOWN_FOLDER)
    return json.loads(text)


def _joined(outputs: list[Any]) -> list[Any]:
    """Outputs with what a cell printed in one piece: a kernel sends it in as many as it likes."""
    joined: list[Any] = []
    for output in outputs:
        last = joined[-1] if joined else {}
        if output.get("name") and output.get("name") == last.get("name"):
            last["text"] += output["text"]
        else:
            joined.append(output)
    return joined
