"""Stored outputs: the same every time, whatever pieces a kernel sends them in."""

from __future__ import annotations

from typing import Any

from winelab.proof.outputs import _joined


def piece(name: str, text: str) -> dict[str, Any]:
    return {"output_type": "stream", "name": name, "text": text}


def test_what_a_cell_prints_is_one_piece_until_something_else_comes() -> None:
    table = {"output_type": "display_data", "data": {"text/plain": "a table"}}
    sent = [piece("stdout", "a\n"), piece("stdout", "b\n"), piece("stderr", "!\n"), table, table]
    assert _joined([*sent, piece("stdout", "c\n")]) == [
        piece("stdout", "a\nb\n"),
        piece("stderr", "!\n"),
        table,
        table,
        piece("stdout", "c\n"),
    ]
