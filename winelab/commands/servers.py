"""`make lab` and `make ui`: JupyterLab and MLflow's UI on the course, until they are stopped."""

from __future__ import annotations

import secrets
from pathlib import Path

from winelab.core.paths import ROOT, STATE
from winelab.system.course_servers import (
    LAB_PORT,
    UI_PORT,
    first_page,
    has_display,
    jupyter_variables,
    lab_command,
    ui_command,
    write_settings,
)
from winelab.system.environment import venv_environment
from winelab.system.serve import HOST, Server, serve
from winelab.tracking.store import prepare


def lab(no_browser: bool = False) -> int:
    """Runs JupyterLab on the course until it is stopped; returns an exit code.

    Raises CourseError when it does not start.
    """
    prepare(ROOT)
    # Ours, so that the address is known; in a variable, where no list of processes shows it.
    token = secrets.token_hex(16)
    variables = {**venv_environment(ROOT), **jupyter_variables(), "JUPYTER_TOKEN": token}
    page = first_page(ROOT / STATE / "jupyter" / "workspaces")
    write_settings(Path(variables["JUPYTER_CONFIG_DIR"]))

    def plan(port: int) -> Server:
        address = f"http://{HOST}:{port}"
        return Server(
            "lab",
            lab_command(port, page, not no_browser and has_display()),
            variables,
            f"{address}/api/status",
            f"JupyterLab: {address}{page}?token={token} - Ctrl-C stops it",
            token=token,
        )

    return serve(plan, LAB_PORT)


def ui() -> int:
    """Runs MLflow's UI on the course's store until it is stopped; returns an exit code.

    Raises CourseError when it does not start.
    """
    prepare(ROOT)
    mark = secrets.token_hex(16)
    variables = venv_environment(ROOT)
    # Jobs are for evaluating language models; their helpers are eight processes and 1.3 GB.
    variables["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"

    def plan(port: int) -> Server:
        address = f"http://{HOST}:{port}"
        return Server(
            "ui",
            ui_command(port, mark),
            variables,
            f"{address}/health",
            # The page opens on language models unless the address says otherwise.
            f"MLflow UI: {address}/#/experiments?workflowType=machine_learning - Ctrl-C stops it",
            mark=mark,
        )

    return serve(plan, UI_PORT)
