"""Execute one job in this process: code, then the checks. See `execute` for its use.

``python -m winelab.proof.worker JOB RESULT``: JOB is a JSON file, and RESULT the one to write.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

from winelab.checks.checking import checks_of, note, run_checks
from winelab.checks.fixtures import CheckContext
from winelab.core.files import write_text
from winelab.core.order import Listed, find_one, read_order
from winelab.proof.beside import beside
from winelab.proof.fairness import PROBES
from winelab.proof.run_code import run_cells, run_package, run_script


def is_deprecation(warning: warnings.WarningMessage) -> bool:
    """Return whether a warning says that something the course calls will go away."""
    old = (DeprecationWarning, PendingDeprecationWarning, FutureWarning)
    if not issubclass(warning.category, old):
        return False
    # What SQLAlchemy and pandas say of MLflow's own lines: nothing that the course could write
    # otherwise, and nothing that Python shows a student.
    library = warning.category.__module__.partition(".")[0]
    in_mlflow = "mlflow" in Path(warning.filename).parts
    return library != "sqlalchemy" and not (library == "pandas" and in_mlflow)


def run_job(job: dict[str, Any]) -> dict[str, Any]:
    """Run one job; return what it printed, how it failed, and what the checks say.

    Args:
        job: ``cells`` (a list of sources), ``script`` (a path) with ``arguments``, or ``package``
            (a folder) with ``runs``; and ``check``, a block's number or name, or None, and
            ``probe``, the name of one or "".
    """
    block = find_one(read_order().blocks, job["check"]) if job["check"] is not None else None
    needed = block is not None and "script" in job and checks_of(block.folder).server_beside_script
    with beside(needed):
        return _run_job(job, block)


def _run_job(job: dict[str, Any], block: Listed | None) -> dict[str, Any]:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        if "script" in job:
            end = run_script(Path(job["script"]), job["arguments"])
        elif "package" in job:
            end = run_package(Path(job["package"]), job["runs"])
        else:
            end = run_cells(job["cells"])
    result: dict[str, Any] = {
        "printed": printed.getvalue(),
        "error": end.traceback(),
        "warnings": [f"{w.category.__name__}: {w.message}" for w in warned if is_deprecation(w)],
        "report": None,
        "found": [],
    }
    if block is not None:
        context = CheckContext(block, end.variables)
        report = run_checks(context)
        result["not_noted"] = note(context, report)
        result["report"] = asdict(report)
        if job["probe"] and report.done:
            result["found"] = PROBES[job["probe"]](context)
    return result


def main() -> None:
    """Read the job, run it, write the result whole."""
    job_file, result_file = map(Path, sys.argv[1:3])
    result = run_job(json.loads(job_file.read_text(encoding="utf-8")))
    write_text(result_file, json.dumps(result))


if __name__ == "__main__":
    main()
