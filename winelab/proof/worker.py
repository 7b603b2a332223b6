"""Runs one job in this process: cells or a script, then the checks. See `runner` for its use.

``python -m winelab.proof.worker JOB RESULT``: JOB is a JSON file, and RESULT the one to write.
"""

from __future__ import annotations

import contextlib
import io
import json
import linecache
import os
import sys
import traceback
import warnings
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any


def _run_cells(cells: list[str], variables: dict[str, Any]) -> str:
    """Run cells in order, as "Run all" would: the first error ends it. Returns the traceback."""
    for at, source in enumerate(cells):
        os.environ["WINELAB_CELL"] = str(at + 1)
        # As Jupyter does it: a traceback shows the line, not only its number.
        lines = source.splitlines(keepends=True)
        linecache.cache[f"<cell {at + 1}>"] = (len(source), None, lines, f"<cell {at + 1}>")
        try:
            exec(compile(source, f"<cell {at + 1}>", "exec"), variables)
        except BaseException:
            return traceback.format_exc()
    return ""


def _run_script(script: Path, arguments: list[str], variables: dict[str, Any]) -> str:
    """Run a script as ``python SCRIPT ARGUMENTS`` would. Returns the traceback, or ""."""
    sys.argv = [str(script), *arguments]
    sys.path[0] = str(script.parent)
    variables["__file__"] = str(script)
    try:
        exec(compile(script.read_text(encoding="utf-8"), str(script), "exec"), variables)
    except SystemExit as end:
        return f"SystemExit: {end.code}" if end.code else ""
    except BaseException:
        return traceback.format_exc()
    return ""


def _tells_of_age(warning: warnings.WarningMessage) -> bool:
    old = (DeprecationWarning, PendingDeprecationWarning, FutureWarning)
    if not issubclass(warning.category, old):
        return False
    # What SQLAlchemy and pandas say of MLflow's own lines: nothing that the course could write
    # otherwise, and nothing that Python shows a student.
    library = warning.category.__module__.partition(".")[0]
    in_mlflow = "mlflow" in Path(warning.filename).parts
    return library != "sqlalchemy" and not (library == "pandas" and in_mlflow)


def run_job(job: dict[str, Any]) -> dict[str, Any]:
    """Run one job; the result says what it printed, how it failed, and what the checks say.

    Args:
        job: ``cells`` (a list of sources) or ``script`` (a path) with ``arguments``, and
            ``check``, a block's number or None.
    """
    from winelab.checks.checking import look_at, note
    from winelab.checks.fixtures import Look

    # Pickle and inspect look a class or function of the student's up in this module.
    main_module = ModuleType("__main__")
    sys.modules["__main__"] = main_module
    variables: dict[str, Any] = main_module.__dict__
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        if "script" in job:
            error = _run_script(Path(job["script"]), job.get("arguments", []), variables)
        else:
            error = _run_cells(job["cells"], variables)
    result: dict[str, Any] = {
        "printed": printed.getvalue(),
        "error": error,
        "warnings": [f"{w.category.__name__}: {w.message}" for w in warned if _tells_of_age(w)],
        "report": None,
    }
    if job.get("check") is not None:
        look = Look(job["check"], variables)
        report = look_at(look)
        result["not_noted"] = note(look, report)
        result["report"] = asdict(report)
    return result


def main() -> None:
    """Read the job, run it, write the result whole."""
    from winelab.proof.sampling import sampled

    job_file, result_file = map(Path, sys.argv[1:3])
    with sampled("run"):
        result = run_job(json.loads(job_file.read_text(encoding="utf-8")))
    draft = result_file.with_suffix(".draft")
    draft.write_text(json.dumps(result), encoding="utf-8")
    draft.replace(result_file)


if __name__ == "__main__":
    main()
