"""The test run: what `make check` asks, in which order, and how its tests are handed out."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from ahead import CasesAhead, case_of, parameters
from progress import Progress, weight
from table import BLOCK, PART, BlockTable
from xdist.scheduler import LoadScopeScheduling

from winelab.core.paths import TABLE
from winelab.course.source import Block, Course, course
from winelab.proof.cases import Case, Part, cases
from winelab.system import forkserver
from winelab.tracking.data import which_table

CASES, PROMISES = "test_cases.py", "test_promises.py"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--block", default=None, help="only what is about this block: its number or name"
    )
    parser.addoption("--part", type=int, help="only what is about the blocks of this part")
    parser.addoption("--full", action="store_true", help="all that is proven, and not the half")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "quick: asked by every `make check`")
    config.addinivalue_line("markers", "block(slug): the block that a test is about")
    stay = ExitStack()
    config.add_cleanup(stay.close)
    if not hasattr(config, "workerinput"):
        # A shell starts a command in the background with Ctrl-C turned off: what the tests start
        # would inherit that.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        # The controller starts it; the workers inherit its address in their environment.
        stay.enter_context(forkserver.fork_server())
        if not config.getoption("numprocesses"):
            config.pluginmanager.register(CasesAhead(), CasesAhead.NAME)
        config.pluginmanager.register(BlockTable(), "block-table")
        config.pluginmanager.register(Progress(), "block-progress")


class CasesApart(LoadScopeScheduling):
    """Hands the blocks' cases out one by one, and the other tests a file at a time.

    Those share what their file has started, such as a server or a browser.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", 1)[0]
        return nodeid if file.endswith(CASES) else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> CasesApart:
    """Let xdist schedule as above."""
    return CasesApart(config, log)


def block_of(item: pytest.Item) -> int | None:
    """The number of the block that a test is about; None for tests of the tools."""
    for value in parameters(item):
        if isinstance(value, Case | Block):
            return value.block.number if isinstance(value, Case) else value.number
    if marker := item.get_closest_marker("block"):
        return course().block(marker.args[0]).number
    folder = item.path.parent
    return course().block(folder.name).number if folder.parent.name == "blocks" else None


def only_blocks(config: pytest.Config) -> tuple[Block, ...]:
    """The blocks that are asked for by name or part; none where all are."""
    if (asked := config.getoption("--block")) is not None:
        return (course().block(asked),)
    part = config.getoption("--part")
    return tuple(course().find(f"part {part}")) if part is not None else ()


def in_full(config: pytest.Config) -> bool:
    """Whether everything is asked of these blocks; of one it always is."""
    return config.getoption("--full") or config.getoption("--block") is not None


def blocks_of(config: pytest.Config) -> tuple[Block, ...]:
    """The blocks that this run is about: those on request where they are asked for, or all is."""
    return only_blocks(config) or (course().blocks if in_full(config) else course().main)


def part_of(item: pytest.Item) -> Part:
    """The column of the table that a test is about."""
    if case := case_of(item):
        return case.part
    return Part.BROWSER if item.path.parent.name == "browser" else Part.PROMISES


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep what is asked for, the longest first: at the end no processor waits for another."""
    only = {block.number for block in only_blocks(config)}
    full = in_full(config)
    kept, left_out = [], []
    for item in items:
        number = block_of(item)
        # The reports carry them, also from one process to another.
        item.user_properties += [(BLOCK, number), (PART, part_of(item).name)]
        if (not only or number in only) and (full or item.get_closest_marker("quick")):
            kept.append(item)
        else:
            left_out.append(item)
    config.hook.pytest_deselected(items=left_out)
    files: dict[Path, float] = {}
    for item in kept:
        files[item.path] = files.get(item.path, 0.0) + weight(item.nodeid)

    ahead = config.pluginmanager.has_plugin(CasesAhead.NAME)

    def turn(item: pytest.Item) -> tuple[bool, float, str]:
        length = weight(item.nodeid) if item.path.name == CASES else files[item.path]
        # What is only read fills the seconds in which MLflow is loaded for the cases.
        return not (ahead and item.path.name == PROMISES), -length, str(item.path)

    # Sorting keeps the order of equals: a file's tests stay together, in their order.
    items[:] = sorted(kept, key=turn)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "block" in metafunc.fixturenames:
        blocks = blocks_of(metafunc.config)
        metafunc.parametrize("block", blocks, ids=[f"{block.number:02d}" for block in blocks])
    if "case" in metafunc.fixturenames:
        quick = not in_full(metafunc.config)
        # All together have a case of their own: shuffled.
        everything = not (quick or only_blocks(metafunc.config))
        blocks = () if everything else blocks_of(metafunc.config)
        found = [
            pytest.param(
                case,
                id=f"{case.block.number:02d}-{case.part.name}-{case.name}",
                marks=[pytest.mark.quick] if case.quick else [],
            )
            for case in cases(course(), original_table(), blocks, quick)
        ]
        metafunc.parametrize("case", found)


@pytest.fixture(scope="session")
def whole() -> Course:
    """The course of this checkout."""
    return course()


def pytest_report_header() -> str:
    forked = forkserver.SOCKET_VARIABLE in os.environ
    return "runs: forked from a loaded process" if forked else "runs: a fresh process each"


def original_table() -> Path | None:
    """The original UCI table: in data/ after `make data`, or where WINELAB_ORIGINAL says."""
    if which_table(TABLE) == "original":
        return TABLE
    named: Any = os.environ.get("WINELAB_ORIGINAL")
    return Path(named) if named else None


@pytest.fixture(scope="session")
def original() -> Path:
    """The original UCI table; the test is skipped where it is not at hand."""
    found = original_table()
    if found is None:
        pytest.skip("the original table is neither in data/ nor named by WINELAB_ORIGINAL")
    return found
