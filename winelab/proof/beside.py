"""Start what a script needs beside it: for the block about servers, a tracking server."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from winelab.core.paths import ARTIFACTS, store_uri
from winelab.system.serve import HOST, MARK, Server, start
from winelab.tracking.store import sqlite_file

PORT = 5060
"""The first that is tried."""


@contextmanager
def beside(needed: bool) -> Iterator[None]:
    """Run a tracking server within the `with`, if `needed` (see `Checks.server_beside_script`).

    It stands before the store that MLFLOW_TRACKING_URI names, by default the file mlflow.db of the
    working folder, and the variable then names the server. One that it names already is kept.

    Raises CourseError where the server doesn't start.
    """
    database = os.environ.get("MLFLOW_TRACKING_URI") or store_uri(Path.cwd())
    file = sqlite_file(database)
    if not needed or file is None:
        yield
        return
    server = start(
        partial(_server, database, file.parent), PORT, file.parent, file.parent / "output"
    )
    os.environ["MLFLOW_TRACKING_URI"] = server.address
    try:
        yield
    finally:
        server.stop()


def _server(database: str, folder: Path, port: int) -> Server:
    mark = secrets.token_hex(16)
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port)),
        *("--backend-store-uri", database, "--workers", "1"),
        *("--artifacts-destination", (folder / ARTIFACTS.name).as_uri()),
        *("--uvicorn-opts", f"--header {MARK}:{mark}"),
    ]
    # Jobs are for language models; without them it is up in half the time.
    settings = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    return Server("tracking-server", port, command, settings, "/health", mark=mark)
