"""The test run: one fork server for all, notebooks in clean rooms, a table a row a block."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path

import pytest
import rooms
from table import BlockTable, block_of
from xdist.scheduler import LoadScopeScheduling

from winelab.core.paths import TABLE
from winelab.course.source import Course, course
from winelab.proof.runner import fork_server
from winelab.proof.sampling import sampled
from winelab.system import forkserver
from winelab.tracking.data import which_table


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--block", type=int, default=None, help="only what is about this block")


def pytest_configure(config: pytest.Config) -> None:
    rooms.install()
    stay = ExitStack()
    config.add_cleanup(stay.close)
    if not hasattr(config, "workerinput"):
        # The controller starts it; the workers inherit its address in their environment.
        stay.enter_context(fork_server())
        config.pluginmanager.register(BlockTable(), "block-table")
    if forkserver.SOCKET_VARIABLE in os.environ:
        config.option.nbval_kernel_name = forkserver.KERNEL
    else:
        config.option.nbval_current_env = True


class ByBlock(LoadScopeScheduling):
    """Hands tests out a file at a time, and two long files a block at a time.

    In one piece, all mistakes of thirty blocks would keep one worker long after the other has
    nothing left to do. The cells of a notebook must stay together: they share a kernel.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", 1)[0]
        long = file.endswith(("test_mistakes.py", "test_blocks.py"))
        return f"{file}::{block_of(nodeid)}" if long else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByBlock:
    """Let xdist schedule as above."""
    return ByBlock(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    only = config.getoption("--block")
    if only is not None:
        config.hook.pytest_deselected(items=[i for i in items if block_of(i.nodeid) != only])
        items[:] = [item for item in items if block_of(item.nodeid) == only]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "block" in metafunc.fixturenames:
        blocks = course().blocks
        metafunc.parametrize("block", blocks, ids=[f"{block.number:02d}" for block in blocks])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """`make bench` asks where each test spends its time."""
    number = block_of(item.nodeid)
    with sampled("tools" if number is None else f"test {number}"):
        return (yield)


@pytest.fixture(scope="session")
def whole() -> Course:
    """The course of this checkout."""
    return course()


def pytest_report_header() -> str:
    forked = forkserver.SOCKET_VARIABLE in os.environ
    return "runs: forked from a loaded process" if forked else "runs: a fresh process each"


@pytest.fixture(scope="session")
def original() -> Path:
    """The original UCI table: in data/ after `make data`, or where WINELAB_ORIGINAL says."""
    if which_table(TABLE) == "original":
        return TABLE
    named = os.environ.get("WINELAB_ORIGINAL")
    if not named:
        pytest.skip("the original table is neither in data/ nor named by WINELAB_ORIGINAL")
    return Path(named)
