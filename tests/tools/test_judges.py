"""The judges of a case: each finds what is wrong, and finds nothing where all is well."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest

from winelab.checks.authoring import Mistake
from winelab.checks.checking import Report, Verdict
from winelab.proof import cases
from winelab.proof.execute import Outcome


def outcome(error: str = "", **verdicts: tuple[bool, str]) -> Outcome:
    found = tuple(Verdict(name, f"{name}!", done, hint) for name, (done, hint) in verdicts.items())
    return Outcome(error=error, report=Report(3, "Three", found))


caught = partial(
    cases.is_caught, mistake=Mistake("x", caught_by="a", hint="call it", error="old words")
)


@pytest.mark.parametrize(
    ("judge", "seen", "said"),
    [
        (cases.passes, outcome(a=(True, "")), ""),
        (cases.passes, outcome("KeyError: 'a'", a=(True, "")), "KeyError"),
        (cases.passes, outcome(a=(True, ""), b=(False, "log it")), 'check "b!" fails: log it'),
        (cases.passes, Outcome(), "its checks did not run"),
        (cases.is_fair, outcome(a=(True, "")), ""),
        (cases.is_fair, outcome(a=(False, "log it")), 'check "a!" fails: log it'),
        (cases.is_fair, replace(outcome(a=(True, "")), found=("it harms",)), "it harms"),
        (cases.is_untouched, outcome(a=(False, "do it")), ""),
        (cases.is_untouched, outcome(a=(True, ""), b=(False, "do it")), "passes before anything"),
        (caught, outcome("old words", a=(False, "call it")), ""),
        (caught, outcome("new words", a=(False, "call it")), "no longer ends in the error"),
        (caught, outcome("old words", a=(True, "")), "is not caught"),
        (caught, outcome("old words", a=(False, "other")), "meets another hint: other"),
        (caught, outcome("old words", b=(False, "")), "did not run"),
    ],
)
def test_a_judge_says_what_is_wrong(
    judge: Callable[[Outcome], list[str]], seen: Outcome, said: str
) -> None:
    found = "\n".join(judge(seen))
    assert said in found and bool(found) == bool(said)
