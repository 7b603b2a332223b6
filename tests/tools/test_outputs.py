"""Stored outputs: what differs from run to run by nature is no difference, all else is."""

from __future__ import annotations

from typing import Any

import pytest

from winelab.proof.outputs import differences


def cell(text: str, **data: str) -> list[Any]:
    """The outputs of a cell that prints this text, and shows this data."""
    printed = {"output_type": "stream", "name": "stdout", "text": text}
    return [printed, {"output_type": "display_data", "data": data}] if data else [printed]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("run 0123456789abcdef0123456789abcdef", "run fedcba9876543210fedcba9876543210"),
        ("at 2026-01-31 09:00:00.123", "at 2026-02-01 10:00:00"),
        ("/tmp/ipykernel_12/34.py:2: ...", "/var/ipykernel_56/78.py:2: ..."),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5001"),
        ("grid   9.8 s", "grid  10.2 s"),
    ],
    ids=["ID", "TIME", "CELL", "SERVER", "SECONDS"],
)
def test_what_differs_by_nature_is_no_difference(old: str, new: str) -> None:
    assert differences([cell(old)], [cell(new)]) == []


def test_each_digit_counts_in_what_is_printed_and_shown_but_not_how_a_picture_is_drawn() -> None:
    stored = [cell("rmse 0.744"), cell("", **{"text/plain": "5.1", "image/png": "iVBO"})]
    now = [cell("rmse 0.745"), cell("", **{"text/plain": "5.2", "image/png": "AAAA"})]
    assert differences(stored, now) == [
        "cell 1, stdout: it shows 'rmse 0.745'; stored is 'rmse 0.744'",
        "cell 2, text/plain: it shows '5.2'; stored is '5.1'",
    ]
    assert differences(stored, [now[0], cell("")])[1].endswith("it shows None; stored is ''")


def test_another_number_of_cells_asks_for_new_outputs() -> None:
    assert "run make outputs" in differences([cell("1")], [])[0]
