"""Read a deck of slides: Markdown with `:::` lines that name blocks, whose code is filled in.

Every mistake in a deck is a CourseError that names the file and the line to fix.
"""

from __future__ import annotations

import base64
import html
import re
import struct
from dataclasses import dataclass, field, replace
from itertools import groupby, pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from pydantic import BaseModel
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from winelab.core.errors import CourseError
from winelab.core.paths import ROOT
from winelab.course.difference import Changed, changed_lines
from winelab.course.reading import Line, read_lines, read_top
from winelab.course.source import Block, Course, minutes
from winelab.course.templates import render

SLIDES = ROOT / "slides"
THEME = SLIDES / "theme"

# The room for content on a slide of 1280 by 720, and the gap between two columns, in pixels.
WIDTH, HEIGHT, GAP = 1152, 490, 40
# Sizes of code, largest first; the width of a letter and the height of a line at size 1.
SIZES, LETTER, LEADING = (27, 25, 23, 21, 20, 19, 18), 0.605, 1.42

DIRECTIVES = ("blocks", "code", "change", "map", "question", "columns", "next", "end", "notes")
_DIRECTIVE = re.compile(rf"::: *({'|'.join(DIRECTIVES)})\b *(.*)")
_RANGE = re.compile(r'"([^"]+)"(?: to "([^"]+)")?')
_FACT = re.compile(r"\{([a-z]+) ([^{}\n]*)\}")
_IMAGE = re.compile(r"!\[([^\]]*\S[^\]]*)\]\(([^\s)]+)(?: \"crop (\d+) (\d+) (\d+) (\d+)\")?\)")
Row = tuple[str, str]
"""A line of code on a slide, or a gap between two: its kind and its text."""
_GAP: Row = ("gap", "...")


@dataclass
class Slide:
    """One slide: its HTML, the notes' HTML, and what of it is counted."""

    title: str
    line: Line
    body: str = ""
    notes: str = ""
    blocks: tuple[int, ...] = ()
    changes: list[int] = field(default_factory=list)
    """The blocks whose code is shown."""
    pictures: list[str] = field(default_factory=list)
    """The names of the files that are shown."""
    question: bool = False
    map: bool = False

    @property
    def about(self) -> str:
        """How the slide names its blocks: "Block 3", "Blocks 6 to 9", or ""."""
        if len(self.blocks) < 2:
            return f"Block {self.blocks[0]}" if self.blocks else ""
        return f"Blocks {self.blocks[0]} to {self.blocks[-1]}"


class Top(BaseModel, strict=True, extra="forbid"):
    """What a deck declares on top."""

    title: str
    subtitle: str


@dataclass(frozen=True)
class Deck:
    """A deck as it was read: the title, what stands below it, and the slides in order."""

    path: Path
    title: str
    subtitle: str
    slides: list[Slide]


def read_deck(path: Path, course: Course) -> Deck:
    """Read one deck. Raises CourseError, with file and line, for what is not as it must be."""
    lines = [_with_facts(line, course) for line in read_lines(path, course.order)]
    top, below = read_top(lines, path, Top)
    slides = _Reader(course).read(below)
    if not slides:
        raise lines[0].wrong('there is no slide; begin one with "## Title".')
    return Deck(path, top.title, top.subtitle, slides)


def _with_facts(line: Line, course: Course) -> Line:
    """Fill in {minutes run}, {blocks all}, {range part 1}, {title run} and {version mlflow}."""

    def fact(match: re.Match[str]) -> str:
        name, about = match[1], match[2].strip()
        if name == "minutes":
            return str(minutes(course.find(about)))
        if name == "blocks":
            return str(len(course.find(about)))
        if name == "range":
            first, *_, last = course.find(about)
            return f"{first.number} to {last.number}"
        if name == "title":
            return _find_one(course, about).title
        if name != "version":
            known = "there are minutes, blocks, range, title, version"
            raise CourseError(f"{match[0]} is not known; {known}.")
        pins = (ROOT / "requirements.txt").read_text(encoding="utf-8")
        found = re.search(rf"(?m)^{re.escape(about)}==([\w.]+)", pins)
        if not found:
            raise CourseError(f"requirements.txt pins no {about}.")
        return found[1]

    try:
        return replace(line, text=_FACT.sub(fact, line.text))
    except CourseError as error:
        raise line.wrong(str(error)) from None


def _find_one(course: Course, text: str) -> Block:
    found, *others = course.find(text)
    if others:
        raise CourseError("name one block.")
    return found


_MARKDOWN = MarkdownIt("commonmark").enable("table")


class _Reader:
    """Lay out the slides of a deck, one line after the other."""

    line: Line
    """The one that is being read."""

    def __init__(self, course: Course) -> None:
        self.course = course
        self.slides: list[Slide] = []
        self.prose: list[str] = []
        self.in_notes = False
        self.changes: set[int] = set()
        """The blocks whose code the deck shows."""
        self.widths: list[float] = []
        """Of the column that is filled and of those that follow it, in pixels."""

    def read(self, lines: list[Line]) -> list[Slide]:
        """Return the slides of a deck, whose facts are filled in."""
        # Known first: a map marks the blocks whose code comes after it.
        shown = (re.match(r"::: *(?:code|change) +(\w+)", line.text) for line in lines)
        named = {match[1] for match in shown if match}
        self.changes = {b.number for b in self.course.blocks if named & {b.slug, str(b.number)}}
        fenced = False
        for line in lines:
            self.line = line
            if line.text.startswith("```"):
                fenced = not fenced
            if line.text.startswith("## ") and not fenced:
                self.end_slide()
                self.slides.append(Slide(line.text.removeprefix("## ").strip(), line))
            elif not self.slides:
                if line.text.strip():
                    raise line.wrong('text stands above the first "## Title" of a slide.')
            elif line.text.startswith((":::", "![")) and not fenced:
                self.end_prose()
                self.add(self.follow(line.text.strip()))
            else:
                self.prose.append(line.text)
        self.end_slide()
        return self.slides

    def end_slide(self) -> None:
        """See that the slide is complete."""
        if self.widths:
            raise self.line.wrong('an "::: end" of the columns is missing above.')
        if self.slides:
            self.end_prose()
            slide = self.slides[-1]
            if not self.in_notes or not slide.notes.strip():
                raise slide.line.wrong('the slide has no text below "::: notes".')
        self.in_notes = False

    def end_prose(self) -> None:
        """Add the lines of Markdown that came together."""
        self.add(_MARKDOWN.render("\n".join(self.prose)))
        self.prose.clear()

    def add(self, piece: str) -> None:
        """Add HTML to the slide, or to its notes."""
        if self.in_notes:
            self.slides[-1].notes += piece
        else:
            self.slides[-1].body += piece

    def follow(self, text: str) -> str:
        """Do what a line that begins with `:::` or `![` says; return the HTML in its place."""
        match = _DIRECTIVE.fullmatch(text)
        if not match and not text.startswith("!["):
            known = ", ".join(DIRECTIVES)
            raise self.line.wrong(f"{text!r} is not known; there are {known}.")
        if self.in_notes:
            raise self.line.wrong('below "::: notes" there is prose only.')
        act = getattr(self, f"do_{match[1]}") if match else self.picture
        try:
            return str(act(match[2] if match else text))
        except CourseError as error:
            raise self.line.wrong(str(error)) from None

    # --- directives ---

    def do_blocks(self, words: str) -> str:
        """`::: blocks run`: the blocks that a slide is about; named on it, their minutes noted."""
        found, slide = self.course.find(words), self.slides[-1]
        slide.blocks = tuple(block.number for block in found)
        told = f"{slide.about}: {minutes(found)} minutes."
        if len(found) == 1:
            told = f"{slide.about}, {found[0].title}: {minutes(found)} minutes in the lab."
        slide.notes += f'<p class="lab">{html.escape(told)}</p>'
        return ""

    def do_code(self, words: str, *more: str) -> str:
        """`::: code run "a" to "b" and "c"`: lines of the script after a block, new ones marked.

        Without a range, all that changed.
        """
        kinds = ("added", "kept", *more)
        number, _, ranges = words.partition(" ")
        block = _find_one(self.course, number)
        lines = [line for line in changed_lines(self.course, block.number) if line.kind in kinds]
        rows = self.selected(lines, ranges, block) if ranges else _changed(lines)
        if {"added", "removed"}.isdisjoint(kind for kind, _ in rows):
            raise CourseError(f"block {block.number} changes none of these lines.")
        self.slides[-1].changes.append(block.number)
        return code_html(rows, self.widths[0] if self.widths else WIDTH)

    def do_change(self, words: str) -> str:
        """`::: change run`: as `code`, with the lines that went away."""
        return self.do_code(words, "removed")

    def selected(self, lines: list[Changed], ranges: str, block: Block) -> list[Row]:
        """Return the lines of the ranges, with a mark between two that do not touch."""
        if _RANGE.sub("", ranges).replace("and", "").strip():
            raise CourseError('write the lines to show as "first" to "last" and "other".')

        def find(words: str, start: int) -> int:
            for at in range(start, len(lines)):
                if words in lines[at].text:
                    return at
            raise CourseError(
                f'block {block.number} has no line with "{words}" (below what stands before it '
                "here)."
            )

        rows: list[Row] = []
        at = 0
        for first, last in _RANGE.findall(ranges):
            begin = find(first, at)
            if rows and begin > at:
                rows.append(_GAP)
            # A range may end in the line that it begins with.
            at = find(last or first, begin) + 1
            rows += lines[begin:at]
        return rows

    def do_map(self, words: str) -> str:
        """`::: map part 1 in 7`: the blocks with their titles and minutes, seven to a column.

        Blocks of several parts have a column a part. Where one column has the whole slide, what a
        student can do afterwards stands there too.
        """
        text, _, rows = words.partition(" in ")
        found = self.course.find(text.strip())
        if rows and not (rows.isdigit() and int(rows)):
            raise CourseError('write the map as "part 1 in 7".')
        self.slides[-1].map = True
        size = int(rows or len(found))
        columns = [found[at : at + size] for at in range(0, len(found), size)]
        by_part = [list(own) for _, own in groupby(found, key=lambda block: block.part)]
        parts = self.course.parts if len(by_part) > 1 else None
        return render(
            THEME / "map.html.j2",
            columns=by_part if parts else columns,
            parts=parts,
            shown=self.changes,
            minutes=minutes,
        )

    def do_question(self, words: str) -> str:
        """`::: question`: what follows is put to the room."""
        self.slides[-1].question = True
        return '<p class="ask">A question for the room</p>'

    def do_columns(self, words: str) -> str:
        """`::: columns 3 2`: columns of these widths follow."""
        shares = [int(word) for word in words.split() if word.isdigit()]
        if len(shares) < 2 or self.widths:
            raise CourseError('write "::: columns 3 2", and no columns in columns.')
        left = WIDTH - GAP * (len(shares) - 1)
        self.widths = [left * share / sum(shares) for share in shares]
        template = " ".join(f"{share}fr" for share in shares)
        return f'<div class="columns" style="grid-template-columns:{template}"><div>'

    def do_next(self, words: str) -> str:
        """`::: next`: the next column."""
        if len(self.widths) < 2:
            raise CourseError('there is no next column; "::: columns" names them all.')
        del self.widths[0]
        return "</div><div>"

    def do_end(self, words: str) -> str:
        """`::: end`: the columns are over."""
        if not self.widths:
            raise CourseError("there are no columns to end.")
        self.widths = []
        return "</div></div>"

    def do_notes(self, words: str) -> str:
        """`::: notes`: what follows is for the speaker."""
        self.in_notes = True
        return ""

    def picture(self, text: str) -> str:
        """Return the HTML of an image line: an SVG as it is, or a PNG, perhaps a part of it."""
        match = _IMAGE.fullmatch(text)
        if not match:
            form = '![what it shows](file "crop LEFT TOP WIDTH HEIGHT")'
            raise CourseError(f"write a picture as {form}, in percent.")
        alt, file, *crop = match.groups()
        path = (self.line.source.parent / file).resolve()
        if not path.is_file():
            raise CourseError(f"there is no picture {file}.")
        self.slides[-1].pictures.append(path.name)
        if path.suffix == ".png":
            left, top, wide, high = (int(share) for share in crop) if crop[0] else (0, 0, 100, 100)
            if left + wide > 100 or top + high > 100 or not wide or not high:
                raise CourseError("the crop reaches beyond the picture.")
            return png_html(path, alt, (left, top, wide, high))
        lines = [line.text for line in read_lines(path, self.course.order)]
        drawing = "\n".join(lines).partition("<svg ")[2].strip()
        label = f'<svg role="img" aria-label="{html.escape(alt)}" '
        return f'<figure class="drawing">{label}{drawing}</figure>'


def _changed(lines: list[Changed]) -> list[Row]:
    """Return the lines that changed, with a mark wherever something stands between them."""
    changed = [at for at, line in enumerate(lines) if line.kind != "kept" and line.text.strip()]
    rows: list[Row] = [lines[at] for at in changed[:1]]
    for before, at in pairwise(changed):
        between = [line.text.strip() for line in lines[before + 1 : at]]
        if between:
            rows.append(_GAP if any(between) else ("kept", ""))
        rows.append(lines[at])
    return rows


def code_size(lines: list[str], width: float) -> int:
    """Return the largest size, in pixels, at which lines fit; the smallest where none does."""
    # The mark in front, the border and the padding.
    longest = max(len(text) for text in lines) + 2
    largest = min((width - 36) / longest / LETTER, HEIGHT / len(lines) / LEADING)
    return next((size for size in SIZES if size <= largest), SIZES[-1])


def code_html(rows: list[Row], width: float) -> str:
    """Return lines of code as HTML, highlighted, each with its mark: + added, - removed."""
    # Two empty lines in a script are one on a slide.
    rows = [
        row for at, row in enumerate(rows) if row[1].strip() or (at and rows[at - 1][1].strip())
    ]
    code = [text for kind, text in rows if text.strip() and kind != "gap"]
    indent = min(len(text) - len(text.lstrip()) for text in code)
    texts = [text if kind == "gap" else text[indent:] for kind, text in rows]
    coloured = highlight(
        "\n".join(texts), PythonLexer(stripnl=False), HtmlFormatter(nowrap=True)
    ).split("\n")
    shown = []
    for at, ((kind, text), line) in enumerate(zip(rows, coloured, strict=False)):
        # An empty line between two new ones is as new as they are to the reader.
        beside = {rows[there][0] for there in (at - 1, at + 1) if 0 <= there < len(rows)}
        shown.append((kind if text.strip() or len(beside) > 1 else beside.pop(), line))
    return render(THEME / "code.html.j2", rows=shown, size=code_size(texts, width))


def png_html(path: Path, alt: str, crop: tuple[int, int, int, int]) -> str:
    """Return a PNG inlined; `crop` is left, top, width and height of what is shown, in percent."""
    content = path.read_bytes()
    size = struct.unpack(">II", content[16:24])
    box = [f"{pixels * share / 100:g}" for pixels, share in zip(size * 2, crop, strict=True)]
    data = base64.b64encode(content).decode("ascii")
    return render(THEME / "picture.html.j2", alt=alt, box=box, size=size, data=data)
