"""Lets nbval run each notebook in a clean room: its own folder, store and environment."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import nbval.kernel
import nbval.plugin

from winelab.tracking.workspace import clean_room, room_environment


class RoomKernel(nbval.kernel.RunningKernel):
    """nbval's kernel, started in the room's labs folder as `make lab` would start it."""

    def __init__(self, notebook: Path, kernel_name: str, cwd: str, startup_timeout: int) -> None:
        del cwd
        self.stay = ExitStack()
        room = self.stay.enter_context(clean_room())
        null = self.stay.enter_context(Path(os.devnull).open("w"))  # noqa: SIM115
        self.km, self.kc = nbval.kernel.start_new_kernel(
            startup_timeout=startup_timeout,
            kernel_name=kernel_name,
            stderr=null,
            cwd=str(room / "labs"),
            # JupyterLab names the notebook this way; the runs are tagged with it.
            env=room_environment(room, JPY_SESSION_NAME=f"labs/{notebook.name}"),
        )
        self._ensure_iopub_up()

    def stop(self) -> None:
        """End the kernel, then take its room away."""
        super().stop()
        self.stay.close()


def install() -> None:
    """Make nbval start its kernels in rooms, for this process."""
    setup = nbval.plugin.IPyNbFile.setup

    def setup_in_room(self: Any) -> None:
        nbval.plugin.RunningKernel = lambda kernel_name, cwd, startup_timeout: RoomKernel(
            Path(self.path), kernel_name, cwd, startup_timeout
        )
        setup(self)

    nbval.plugin.IPyNbFile.setup = setup_in_room
