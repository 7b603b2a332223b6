"""`make lab` and `make ui`: JupyterLab and MLflow's UI on the course, until they are stopped."""

from __future__ import annotations

import secrets
from functools import partial
from pathlib import Path

from winelab.core.paths import ROOT, STATE
from winelab.system.course_servers import (
    LAB_PORT,
    UI_PORT,
    UI_VARIABLES,
    first_page,
    has_display,
    jupyter_variables,
    lab_command,
    ui_command,
    write_settings,
)
from winelab.system.environment import compiling, venv_environment
from winelab.system.serve import HOST, Server, serve
from winelab.tracking.store import prepare


def lab(no_browser: bool = False) -> int:
    """Run JupyterLab on the course until it is stopped; return an exit code.

    Raises CourseError when it does not start.
    """
    # Ours, so that the address is known; in a variable, where no list of processes shows it.
    token = secrets.token_hex(16)
    variables = {**venv_environment(ROOT), **jupyter_variables(), "JUPYTER_TOKEN": token}
    page = first_page(ROOT / STATE / "jupyter" / "workspaces")
    write_settings(Path(variables["JUPYTER_CONFIG_DIR"]))

    def plan(port: int) -> Server:
        address = f"http://{HOST}:{port}"
        return Server(
            f"lab-{port}",
            lab_command(port, page, not no_browser and has_display()),
            variables,
            f"{address}/api/status",
            token=token,
            ready=f"JupyterLab: {address}{page}?token={token} - Ctrl-C stops it",
        )

    # The first time there is much to do. What JupyterLab can do without waits, or is done beside.
    return serve(plan, LAB_PORT, meanwhile=partial(prepare, ROOT), beside=compiling(ROOT))


def ui() -> int:
    """Run MLflow's UI on the course's store until it is stopped; return an exit code.

    Raises CourseError when it does not start.
    """
    prepare(ROOT)
    mark = secrets.token_hex(16)

    def plan(port: int) -> Server:
        address = f"http://{HOST}:{port}"
        # The page opens on language models unless the address says otherwise.
        page = f"{address}/#/experiments?workflowType=machine_learning"
        return Server(
            f"ui-{port}",
            ui_command(port, mark),
            {**venv_environment(ROOT), **UI_VARIABLES},
            f"{address}/health",
            mark=mark,
            ready=f"MLflow UI: {page} - Ctrl-C stops it",
        )

    return serve(plan, UI_PORT)
