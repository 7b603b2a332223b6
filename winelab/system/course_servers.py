"""JupyterLab and MLflow's UI as they run on the course."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from winelab.core.paths import ARTIFACTS, LABS, ROOT, STATE, store_uri
from winelab.system.environment import VENV, venv_scripts
from winelab.system.serve import HOST, MARK, Server
from winelab.system.terminal import VENV_VARIABLE, shell_command

LAB_PORT = 8888
UI_PORT = 5000


def first_page(workspaces: Path) -> str:
    """Return the page that JupyterLab opens: a newcomer's first lab, else the folder of labs."""
    first = min(LABS.glob("[0-9]*.ipynb"), default=None)
    # JupyterLab itself opens again what was open the last time.
    known = any(workspaces.glob("*.jupyterlab-workspace"))
    return f"/lab/tree/{LABS.name}" + (f"/{first.name}" if first and not known else "")


def write_settings(folder: Path) -> None:
    """Write Jupyter's own settings file, which names the shell of its terminals."""
    shell = shell_command(venv_scripts(ROOT))
    settings = {"terminado_settings": {"shell_command": shell}} if shell else {}
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"ServerApp": settings}, indent=2)
    (folder / "jupyter_server_config.json").write_text(text, encoding="utf-8")


def jupyter_variables(root: Path) -> dict[str, str]:
    """Return the variables that keep JupyterLab to the folder `root` and to .venv's own kernel."""
    home = root / STATE / "jupyter"
    return {
        # The person's own Jupyter settings, kernels and histories are neither used nor touched.
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "IPYTHONDIR": str(home / "ipython"),
        "JUPYTER_CONFIG_PATH": str(Path(__file__).with_name("jupyter")),
        # First among the kernels, before any of the same name on the machine.
        "JUPYTER_PATH": str(Path(sys.prefix, "share", "jupyter")),
        "JUPYTER_PREFER_ENV_PATH": "1",
        VENV_VARIABLE: str(ROOT / VENV),
    }


def lab_server(
    port: int,
    token: str,
    variables: dict[str, str],
    page: str = "/lab",
    browser: bool = False,
    root: Path = ROOT,
) -> Server:
    """Return JupyterLab on this port and the folder `root`; who has the token may use it."""
    command = [
        *(sys.executable, "-m", "jupyterlab"),
        f"--ServerApp.ip={HOST}",
        f"--ServerApp.port={port}",
        # Another port than the one we print would be no use.
        "--ServerApp.port_retries=0",
        # The root, not labs/: a lab links to ../solutions and ../data.
        f"--ServerApp.root_dir={root}",
        f"--LabApp.default_url={page}",
        "--LabApp.extension_manager=readonly",
        "--KernelSpecManager.allowed_kernelspecs=python3",
        # Looking for language servers starts npm, which writes to the person's home.
        "--LanguageServerManager.autodetect=False",
        "--ServerApp.log_level=WARN",
    ]
    if not browser:
        command.append("--no-browser")
    if sys.platform != "win32" and os.geteuid() == 0:
        # Jupyter refuses root; in a container there is often no other user.
        command.append("--allow-root")
    return Server(
        f"lab-{port}",
        port,
        command,
        # In a variable, where no list of processes shows it.
        {**variables, **jupyter_variables(root), "JUPYTER_TOKEN": token},
        "/api/status",
        token=token,
        ready=f"JupyterLab: http://{HOST}:{port}{page}?token={token} - Ctrl-C stops it",
    )


def has_display() -> bool:
    """Return True if a browser can be expected to open a window here."""
    # Without a display Python would take a text browser, over the terminal.
    graphical = ("DISPLAY", "WAYLAND_DISPLAY")
    return sys.platform in ("win32", "darwin") or any(os.environ.get(name) for name in graphical)


def ui_server(port: int, mark: str, variables: dict[str, str], root: Path = ROOT) -> Server:
    """Return MLflow's UI on this port and `root`'s store, with a mark that no other has."""
    command = [
        *(sys.executable, "-m", "mlflow", "ui"),
        *("--host", HOST, "--port", str(port)),
        *("--backend-store-uri", store_uri(root)),
        # For an experiment made in the UI; the others know where their files are.
        *("--default-artifact-root", (root / ARTIFACTS.name).as_uri()),
        # Where the block `server`'s own server keeps the files that went through it.
        *("--artifacts-destination", (root / ARTIFACTS.name).as_uri()),
        *("--workers", "1"),
        *("--uvicorn-opts", f"--header {MARK}:{mark}"),
    ]
    # Jobs are for evaluating language models; their helpers are eight processes and 1.3 GB.
    variables = {**variables, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    # The page opens on language models unless the address says otherwise.
    page = f"http://{HOST}:{port}/#/experiments?workflowType=machine_learning"
    ready = f"MLflow UI: {page} - Ctrl-C stops it"
    return Server(f"ui-{port}", port, command, variables, "/health", mark=mark, ready=ready)
