"""Execute the cases of a run several at a time, where no workers of pytest's do.

A case runs in processes of its own. So threads are enough, and no second pytest has to start.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from queue import Empty, SimpleQueue

import pytest

from winelab.proof.cases import Case, reasons
from winelab.proof.run_pytest import at_a_time
from winelab.tracking.workspace import clean_workspace


def parameters(item: pytest.Item) -> list[object]:
    """Return what a test is parametrised with."""
    called = getattr(item, "callspec", None)
    return list(called.params.values()) if called else []


def case_of(item: pytest.Item) -> Case | None:
    """Return the case that a test is about; None where it is about none."""
    return next((value for value in parameters(item) if isinstance(value, Case)), None)


class CasesAhead:
    """A pytest plugin that begins with the cases once all are known, in their tests' order."""

    NAME = "cases-ahead"

    def __init__(self) -> None:
        self.found: dict[str, Future[tuple[list[str], float]]] = {}
        self.waiting: SimpleQueue[tuple[str, Case]] = SimpleQueue()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            if (case := case_of(item)) and not session.config.option.collectonly:
                self.found[item.nodeid] = Future()
                self.waiting.put((item.nodeid, case))
        if not self.found:
            return
        with clean_workspace():
            # Makes the empty store that all others are copied from, before the threads start.
            pass
        for _ in range(at_a_time()):
            # Daemons: after Ctrl-C, nobody waits for the cases that run.
            threading.Thread(target=self._work, daemon=True).start()

    def _work(self) -> None:
        with suppress(Empty):
            while True:
                name, case = self.waiting.get_nowait()
                try:
                    self.found[name].set_result(timed_reasons(case))
                except BaseException as error:
                    self.found[name].set_exception(error)


def timed_reasons(case: Case) -> tuple[list[str], float]:
    """Return why a case does not hold, and the seconds that it took."""
    started = time.monotonic()
    return reasons(case), time.monotonic() - started
