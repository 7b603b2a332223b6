"""Every claim of every block (see `winelab.proof.cases`), a test each."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from ahead import CasesAhead, timed_reasons
from table import SECONDS

from winelab.checks.checking import checks_of
from winelab.course.source import Block
from winelab.proof.cases import Case

NOT_YET: dict[str, set[str]] = {
    # By the name of a case, the blocks whose checks are not fair yet. This only gets shorter.
    "names of another kind": set(),
    "functions that do harm": set(),
}


def test_case(
    case: Case, request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
) -> None:
    ahead = request.config.pluginmanager.get_plugin(CasesAhead.NAME)
    found, seconds = ahead.found[request.node.nodeid].result() if ahead else timed_reasons(case)
    record_property(SECONDS, seconds)
    if case.block.slug in NOT_YET.get(case.name, ()):
        assert found, f"{case.name_in_full} holds: take the block out of NOT_YET."
        return
    assert not found, f"{case.name_in_full}:\n" + "\n".join(found)


@pytest.mark.quick
def test_every_check_is_seen_to_fail(block: Block) -> None:
    """By a mistake that is meant for it; of those, one is made in every `make check`."""
    checks = checks_of(block.folder)
    caught = {mistake.caught_by for mistake in checks.mistakes}
    names = {function.__name__ for function in checks.functions}
    assert names == caught, f"no mistake for {names - caught}; no check called {caught - names}"
    assert len(checks.mistakes) >= 3


def test_the_original_table_is_at_hand(original: object) -> None:
    """Where it is not, this says so, and that the cases on it were left out."""
