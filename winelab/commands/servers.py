"""`make lab` and `make ui`: JupyterLab and MLflow's UI on the course, until they are stopped."""

from __future__ import annotations

import secrets
from functools import partial

from winelab.core.order import find_all, read_order
from winelab.core.paths import ROOT, STATE
from winelab.system.course_servers import (
    LAB_PORT,
    UI_PORT,
    first_page,
    has_display,
    lab_server,
    ui_server,
    write_settings,
)
from winelab.system.environment import compiling, venv_environment
from winelab.system.packages import install_for
from winelab.system.serve import serve
from winelab.tracking.store import prepare


def lab(no_browser: bool = False, part: int | None = None) -> int:
    """Run JupyterLab on the course until it is stopped; return an exit code.

    Args:
        no_browser: leave the page to be opened by hand.
        part: begin with its first lab, and install what it needs.

    Raises CourseError when it does not start, and where there is no such part.
    """
    page = ""
    if part is not None:
        page = f"/lab/tree/labs/{find_all(read_order().blocks, f'part {part}')[0].name}.ipynb"
        install_for(part)
    home = ROOT / STATE / "jupyter"
    write_settings(home / "config")
    # Ours, so that the address is known.
    plan = partial(
        lab_server,
        token=secrets.token_hex(16),
        variables=venv_environment(ROOT),
        page=page or first_page(home / "workspaces"),
        browser=not no_browser and has_display(),
    )
    # The first time there is much to do. What JupyterLab can do without waits, or is done beside.
    return serve(plan, LAB_PORT, meanwhile=partial(prepare, ROOT), beside=compiling(ROOT))


def ui() -> int:
    """Run MLflow's UI on the course's store until it is stopped; return an exit code.

    Raises CourseError when it does not start.
    """
    prepare(ROOT)
    plan = partial(ui_server, mark=secrets.token_hex(16), variables=venv_environment(ROOT))
    return serve(plan, UI_PORT)
