"""Execute the cases of a run several at a time, where no workers of pytest's do.

A case runs in processes of its own. So threads are enough, and no second pytest has to start.
"""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import Future
from queue import SimpleQueue

import pytest

from winelab.proof.cases import Case, reasons
from winelab.tracking.workspace import clean_workspace


class CasesAhead:
    """A pytest plugin that begins with the cases once all are known, in their tests' order."""

    NAME = "cases-ahead"

    def __init__(self) -> None:
        self.found: dict[str, Future[tuple[list[str], float]]] = {}
        self.waiting: SimpleQueue[tuple[str, Case]] = SimpleQueue()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            called = getattr(item, "callspec", None)
            case = called.params.get("case") if called else None
            if case and not session.config.option.collectonly:
                self.found[item.nodeid] = Future()
                self.waiting.put((item.nodeid, case))
        if self.found:
            with clean_workspace():
                # Makes the empty store that all others are copied from, before the threads start.
                pass
        for _ in range(min(os.cpu_count() or 1, 8)):
            # Daemons: after Ctrl-C, nobody waits for the cases that run.
            threading.Thread(target=self._work, daemon=True).start()

    def _work(self) -> None:
        while not self.waiting.empty():
            name, case = self.waiting.get()
            try:
                self.found[name].set_result(timed_reasons(case))
            except BaseException as error:
                self.found[name].set_exception(error)


def timed_reasons(case: Case) -> tuple[list[str], float]:
    """Return why a case does not hold, and the seconds that it took."""
    started = time.monotonic()
    return reasons(case), time.monotonic() - started
