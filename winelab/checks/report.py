"""Word what a block's checks have found: as text for a terminal, as a table for Jupyter."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Verdict:
    """One check's result: its line, and the hint where it is not done yet."""

    name: str
    line: str
    done: bool
    hint: str = ""
    given: bool = False


@dataclass(frozen=True)
class Report:
    """What the checks of a block have found."""

    number: int | str
    """The block's, or what was taken for one."""
    title: str
    verdicts: tuple[Verdict, ...]
    solution: str = ""
    problem: str = ""
    """One sentence, where the checks could not be run at all."""

    @property
    def done(self) -> bool:
        """Return whether every check passed."""
        return not self.problem and bool(self.verdicts) and all(v.done for v in self.verdicts)

    def summary(self) -> str:
        """Return the last line: how many are done, and what comes next."""
        if self.problem:
            return self.problem
        count = f"{sum(v.done for v in self.verdicts)} of {len(self.verdicts)} done."
        if self.done:
            return f"{count} Block {self.number} is yours."
        return f"{count} Solution: {self.solution}"

    def rows(self) -> Iterator[tuple[Verdict, str]]:
        """Yield each check with the hint to show: a hint that stands above is not repeated."""
        shown: set[str] = set()
        for verdict in self.verdicts:
            yield verdict, "as above." if verdict.hint in shown else verdict.hint
            shown |= {verdict.hint} - {""}

    def __str__(self) -> str:
        lines = [f"Block {self.number} - {self.title}"]
        for verdict, hint in self.rows():
            lines.append(f"  {'ok  ' if verdict.done else 'TODO'} {verdict.line}")
            if hint:
                lines.append(f"       hint: {hint}")
        return "\n".join([*lines, self.summary()])

    def to_html(self) -> str:
        """Return a small table that reads well in light and dark: words as well as colours."""
        rows = []
        for verdict, words in self.rows():
            colour, word = ("#1a7f37", "ok") if verdict.done else ("#bc4c00", "TODO")
            hint = f'<div style="margin-top:2px">hint: {marked(words)}</div>' if words else ""
            rows.append(
                '<tr style="background:transparent">'
                f'<td style="text-align:left;vertical-align:top;padding:4px 12px 4px 0;'
                f'color:{colour};font-weight:bold">{word}</td>'
                f'<td style="text-align:left;padding:4px 0;white-space:normal">'
                f"{marked(verdict.line)}{hint}</td></tr>"
            )
        edge = "#1a7f37" if self.done else "#bc4c00"
        return (
            f'<div style="border-left:4px solid {edge};padding:2px 0 2px 12px;max-width:46em">'
            f"<strong>Block {self.number} - {html.escape(self.title)}</strong>"
            f'<table style="margin:4px 0;border:none">{"".join(rows)}</table>'
            f"<div>{marked(self.summary())}</div></div>"
        )

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": str(self), "text/html": self.to_html()}


def marked(text: str) -> str:
    """Return text escaped for HTML; calls, and words between backticks, become code."""
    pieces = text.split("`")
    if len(pieces) % 2 == 0:
        return html.escape(text, quote=False)
    return "".join(
        f"<code>{html.escape(piece, quote=False)}</code>" if at % 2 else _marked_calls(piece)
        for at, piece in enumerate(pieces)
    )


def _marked_calls(text: str) -> str:
    """Escape text for HTML; a call such as client.set_tag(run_id, "a", "b") becomes code."""
    found, at = [], 0
    for match in re.finditer(r"(?<![\w.])[A-Za-z_][\w.]*\(", text):
        if match.start() < at:
            continue
        depth, end = 1, match.end()
        while depth and end < len(text):
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
        if not depth:
            found.append(html.escape(text[at : match.start()], quote=False))
            found.append(f"<code>{html.escape(text[match.start() : end], quote=False)}</code>")
            at = end
    return "".join([*found, html.escape(text[at:], quote=False)])
