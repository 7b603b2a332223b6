"""Read a deck of slides: Markdown with `:::` lines that name blocks, whose code is filled in.

Every mistake in a deck is a CourseError that names the file and the line to mend.
"""

from __future__ import annotations

import base64
import html
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader
from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.token import Token
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from winelab.core.errors import CourseError
from winelab.core.paths import ROOT
from winelab.course.difference import Changed, changed_lines
from winelab.course.source import COURSE_PARTS, Block, Course, fail

SLIDES = ROOT / "slides"
THEME = SLIDES / "theme"

# The room for content on a slide of 1280 by 720, and the gap between two columns, in pixels.
WIDTH, HEIGHT, GAP = 1152, 490, 40
# Sizes of code, largest first; the width of a letter and the height of a line at size 1.
SIZES, LETTER, LEADING = (27, 25, 23, 21, 20, 19, 18), 0.605, 1.42

_DIRECTIVE = re.compile(r"::: *([a-z]+) *(.*)")
_RANGE = re.compile(r'"([^"]+)"(?: to "([^"]+)")?')
_FACT = re.compile(r"\{([a-z]+) ([^{}\n]*)\}")
_NUMBERS = re.compile(r"(\d+)(?:-(\d+))?")
_IMAGE = re.compile(r"!\[([^\]]*\S[^\]]*)\]\(([^\s)]+)(?: \"([^\"]*)\")?\)")
_CROP = re.compile(r"crop (\d+) (\d+) (\d+) (\d+)")
_OMITTED = "\0"

TEMPLATES = Environment(loader=FileSystemLoader(THEME), trim_blocks=True, lstrip_blocks=True)
# Jinja's own writes an apostrophe in another way than the rest of a built page.
TEMPLATES.filters["e"] = html.escape


def render(template: str, **values: Any) -> str:
    """Return the HTML that a template of slides/theme makes of these values."""
    return TEMPLATES.get_template(f"{template}.html.j2").render(**values)


@dataclass
class Slide:
    """One slide: its HTML, the notes' HTML, and what of it is counted."""

    title: str
    line: int
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


@dataclass(frozen=True)
class Deck:
    """A deck as it was read: the title, what stands below it, and the slides in order."""

    path: Path
    title: str
    subtitle: str
    slides: list[Slide]


def read_deck(path: Path, course: Course) -> Deck:
    """Read one deck. Raises CourseError, with file and line, for what is not as it must be."""
    lines = path.read_text(encoding="utf-8").splitlines()
    if not lines or lines[0] != "---" or "---" not in lines[1:]:
        raise fail(path, 1, 'begin with "---", the lines "title:" and "subtitle:", and "---".')
    end = lines.index("---", 1)
    try:
        meta = yaml.safe_load("\n".join(lines[1:end]))
    except yaml.YAMLError:
        meta = None
    if not isinstance(meta, dict) or set(meta) != {"title", "subtitle"}:
        raise fail(path, 2, 'the lines on top must be "title: ..." and "subtitle: ...".')
    reader = _Reader(path, course)
    title, subtitle = (reader.facts(str(meta[name]), 2) for name in ("title", "subtitle"))
    # Empty lines in place of those on top: the others keep their numbers.
    reader.read("\n".join([*[""] * (end + 1), *lines[end + 1 :]]))
    return Deck(path, title, subtitle, reader.slides)


def _take_directive(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Take a line that begins with `:::` or `![` as a block of its own (a rule of markdown-it)."""
    begin = state.bMarks[start]
    line = state.src[begin : state.eMarks[start]]
    # In a quotation, what stands before the line is no end of another.
    if not line.startswith((":::", "![")) or state.src[:begin][-1:] not in ("", "\n"):
        return False
    if not silent:
        state.line = start + 1
        token = state.push("directive", "", 0)
        token.content, token.map = line.strip(), [start, state.line]
    return True


_MARKDOWN = MarkdownIt("commonmark").enable("table")
_MARKDOWN.block.ruler.before(
    "table",
    "directive",
    _take_directive,
    # What it puts an end to.
    {"alt": ["paragraph", "reference", "blockquote", "list"]},
)


class _Reader:
    """Lay out the slides of a deck, one piece of its Markdown after the other."""

    def __init__(self, path: Path, course: Course) -> None:
        self.path, self.course = path, course
        self.slides: list[Slide] = []
        self.line = 1
        self.pieces: list[Token] = []
        self.changes: set[int] = set()
        self.in_notes = False
        self.columns: tuple[int, ...] = ()
        self.column = 0
        self.directives: dict[str, Callable[[str], str]] = {
            "blocks": self.blocks,
            "code": partial(self.code, kinds=("added", "kept")),
            "change": partial(self.code, kinds=("added", "kept", "removed")),
            "map": self.map,
            "question": self.question,
            "columns": self.begin_columns,
            "next": self.next_column,
            "end": self.end_columns,
            "notes": self.begin_notes,
        }

    def wrong(self, message: str) -> CourseError:
        """Return the error for the line that is being read."""
        return fail(self.path, self.line, message)

    def read(self, text: str) -> None:
        """Read a whole deck into `slides`."""
        # Known first: a map marks the blocks whose code comes after it.
        self.changes = set(map(int, re.findall(r"(?m)^::: *(?:code|change) +(\d+)", text)))
        tokens = iter(_MARKDOWN.parse(self.facts(text)))
        for token in tokens:
            self.line = token.map[0] + 1 if token.map else self.line
            if token.type == "heading_open" and token.markup == "##" and not token.level:
                self.end_slide()
                self.slides.append(Slide(next(tokens).content, self.line))
                next(tokens)  # the heading's end
            elif not self.slides:
                raise self.wrong('text stands above the first "## Title" of a slide.')
            elif token.type == "directive":
                piece = self.follow(token.content)
                self.pieces.append(Token("html_block", "", 0, content=piece))
            else:
                self.pieces.append(token)
        self.end_slide()
        if not self.slides:
            raise fail(self.path, 1, 'there is no slide; begin one with "## Title".')

    def end_slide(self) -> None:
        """Keep what came together for the notes, and see that the slide is complete."""
        if self.columns:
            raise self.wrong('an "::: end" of the columns is missing above.')
        if self.slides:
            slide = self.slides[-1]
            slide.notes += self.rendered()
            if not self.in_notes or not slide.notes.strip():
                raise fail(self.path, slide.line, 'the slide has no text below "::: notes".')
        self.in_notes = False

    def rendered(self) -> str:
        """Return the HTML of what came together since it was last asked for."""
        pieces, self.pieces = self.pieces, []
        return _MARKDOWN.renderer.render(pieces, _MARKDOWN.options, {})

    def follow(self, text: str) -> str:
        """Do what a line that begins with `:::` or `![` says; return the HTML in its place."""
        match = _DIRECTIVE.fullmatch(text)
        if not text.startswith("![") and (match is None or match[1] not in self.directives):
            raise self.wrong(f"{text!r} is not known; there are {', '.join(self.directives)}.")
        if self.in_notes:
            raise self.wrong('below "::: notes" there is prose only.')
        return self.directives[match[1]](match[2]) if match else self.picture(text)

    # --- facts of the course ---

    def facts(self, text: str, line: int = 1) -> str:
        """Fill in each {minutes 3}, {blocks 0-13}, {title 3} and {version mlflow} of a text.

        `line` is the number of its first line.
        """

        def fact(match: re.Match[str]) -> str:
            self.line = line + text[: match.start()].count("\n")
            name, about = match[1], match[2].strip()
            if name == "minutes":
                return str(minutes(self.find(about)))
            if name == "blocks":
                return str(len(self.find(about)))
            if name == "title":
                return self.find_one(about).title
            if name != "version":
                known = "there are minutes, blocks, title, version"
                raise self.wrong(f"{match[0]} is not known; {known}.")
            pins = (ROOT / "requirements.txt").read_text(encoding="utf-8")
            found = re.search(rf"(?m)^{re.escape(about)}==([\w.]+)", pins)
            if not found:
                raise self.wrong(f"requirements.txt pins no {about}.")
            return found[1]

        return _FACT.sub(fact, text)

    def find_one(self, text: str) -> Block:
        """Return the block that a text such as "3" names."""
        found = self.find(text)
        if len(found) != 1:
            raise self.wrong("name one block.")
        return found[0]

    def find(self, text: str) -> list[Block]:
        """Return the blocks that a text such as "3", "0-13" or "all" names."""
        if text == "all":
            return list(self.course.blocks)
        match = _NUMBERS.fullmatch(text)
        if not match:
            raise self.wrong(f'{text!r} names no block; write "3", "0-13" or "all".')
        first, last = int(match[1]), int(match[2] or match[1])
        try:
            found = [self.course.block(number) for number in range(first, last + 1)]
        except CourseError as error:
            raise self.wrong(str(error)) from None
        if not found:
            raise self.wrong(f"{text} goes backwards.")
        return found

    # --- directives ---

    def blocks(self, words: str) -> str:
        """`::: blocks 3`: the blocks that the slide is about; named on it, their minutes noted."""
        found, slide = self.find(words), self.slides[-1]
        slide.blocks = tuple(block.number for block in found)
        told = f"{slide.about}: {minutes(found)} minutes."
        if len(found) == 1:
            told = f"{slide.about}, {found[0].title}: {minutes(found)} minutes in the lab."
        slide.notes = f'<p class="lab">{html.escape(told)}</p>' + slide.notes
        return ""

    def code(self, words: str, kinds: tuple[str, ...]) -> str:
        """`::: code 4 "a" to "b" and "c"`: lines of the script after block 4, the new ones marked.

        `::: change 4` shows the lines that went away too. Without a range, all that changed.
        """
        number, _, ranges = words.partition(" ")
        block = self.find_one(number)
        lines = [one for one in changed_lines(self.course, block.number) if one.kind in kinds]
        shown = self.selected(lines, ranges, block) if ranges else _changed(lines)
        if all(item.kind == "kept" for item in shown):
            raise self.wrong(f"block {block.number} changes none of these lines.")
        self.slides[-1].changes.append(block.number)
        return code_html(shown, self.width())

    def selected(self, lines: list[Changed], ranges: str, block: Block) -> list[Changed]:
        """Return the lines of the ranges, with a mark between two that do not touch."""
        if _RANGE.sub("", ranges).replace("and", "").strip():
            raise self.wrong('write the lines to show as "first" to "last" and "other".')

        def find(words: str, start: int) -> int:
            for at in range(start, len(lines)):
                if words in lines[at].text:
                    return at
            raise self.wrong(
                f'block {block.number} has no line with "{words}" (below what stands before it '
                "here)."
            )

        shown: list[Changed] = []
        at = 0
        for first, last in _RANGE.findall(ranges):
            begin = find(first, at)
            if shown and begin > at:
                shown.append(Changed("kept", _OMITTED))
            # A range may end in the line that it begins with.
            at = find(last or first, begin) + 1
            shown += lines[begin:at]
        return shown

    def map(self, words: str) -> str:
        """`::: map 0-13 in 7`: the blocks with their titles and minutes, seven to a column.

        Blocks of several parts have a column a part. Where one column has the whole slide, what a
        student can do afterwards stands there too.
        """
        text, _, rows = words.partition(" in ")
        found = self.find(text.strip())
        if rows and not (rows.isdigit() and int(rows)):
            raise self.wrong('write the map as "0-13 in 7".')
        self.slides[-1].map = True
        size = int(rows or len(found))
        columns = [found[at : at + size] for at in range(0, len(found), size)]
        parts = sorted({block.meta.part for block in found})
        if len(parts) > 1:
            columns = [[block for block in found if block.meta.part == part] for part in parts]
        named = COURSE_PARTS if len(parts) > 1 else None
        return render("map", columns=columns, parts=named, shown=self.changes, minutes=minutes)

    def question(self, words: str) -> str:
        """`::: question`: what follows is put to the room."""
        self.slides[-1].question = True
        return '<p class="ask">A question for the room</p>'

    def begin_columns(self, words: str) -> str:
        """`::: columns 3 2`: columns of these widths follow."""
        shares = tuple(int(word) for word in words.split() if word.isdigit())
        if len(shares) < 2 or self.columns:
            raise self.wrong('write "::: columns 3 2", and no columns in columns.')
        self.columns, self.column = shares, 0
        template = " ".join(f"{share}fr" for share in shares)
        return f'<div class="columns" style="grid-template-columns:{template}"><div>'

    def next_column(self, words: str) -> str:
        """`::: next`: the next column."""
        if self.column + 1 >= len(self.columns):
            raise self.wrong('there is no next column; "::: columns" names them all.')
        self.column += 1
        return "</div><div>"

    def end_columns(self, words: str) -> str:
        """`::: end`: the columns are over."""
        if not self.columns:
            raise self.wrong("there are no columns to end.")
        self.columns = ()
        return "</div></div>"

    def begin_notes(self, words: str) -> str:
        """`::: notes`: what follows is for the speaker."""
        self.slides[-1].body = self.rendered()
        self.in_notes = True
        return ""

    def width(self) -> float:
        """Return the width in pixels that is there for what comes next."""
        if not self.columns:
            return WIDTH
        left = WIDTH - GAP * (len(self.columns) - 1)
        return left * self.columns[self.column] / sum(self.columns)

    def picture(self, text: str) -> str:
        """Return the HTML of an image line: an SVG as it is, or a PNG, perhaps a part of it."""
        match = _IMAGE.fullmatch(text)
        if not match:
            raise self.wrong('write a picture as ![what it shows](file "crop 0 0 50 50").')
        path = (self.path.parent / match[2]).resolve()
        if not path.is_file():
            raise self.wrong(f"there is no picture {match[2]}.")
        crop = _CROP.fullmatch(match[3] or "crop 0 0 100 100")
        if not crop:
            raise self.wrong('a crop is "crop LEFT TOP WIDTH HEIGHT", in percent.')
        left, top, wide, high = map(int, crop.groups())
        if left + wide > 100 or top + high > 100 or not wide or not high:
            raise self.wrong("the crop reaches beyond the picture.")
        self.slides[-1].pictures.append(path.name)
        if path.suffix == ".png":
            return png_html(path, match[1], (left, top, wide, high))
        drawing = path.read_text(encoding="utf-8").partition("<svg ")[2].strip()
        label = f'<svg role="img" aria-label="{html.escape(match[1])}" '
        return f'<figure class="drawing">{label}{drawing}</figure>'


def minutes(blocks: list[Block]) -> int:
    """Return the minutes in the lab of all these blocks together."""
    return sum(block.meta.minutes for block in blocks)


def _changed(lines: list[Changed]) -> list[Changed]:
    """Return the lines that changed, with a mark wherever something stands between them."""
    shown: list[Changed] = []
    between: list[Changed] = []
    for item in lines:
        if item.kind == "kept" or not item.text.strip():
            between.append(item)
            continue
        if shown and between:
            code = any(other.text.strip() for other in between)
            shown.append(Changed("kept", _OMITTED if code else ""))
        shown.append(item)
        between = []
    return shown


def code_size(lines: list[str], width: float) -> int:
    """Return the largest size, in pixels, at which lines fit; the smallest where none does."""
    # The mark in front, the border and the padding.
    longest = max(len(text) for text in lines) + 2
    for size in SIZES:
        if longest * LETTER * size + 36 <= width and len(lines) * LEADING * size <= HEIGHT:
            return size
    return SIZES[-1]


def code_html(lines: list[Changed], width: float) -> str:
    """Return lines of code as HTML, highlighted, each with its mark: + added, - removed."""
    # Two empty lines in a script are one on a slide.
    lines = [
        item
        for at, item in enumerate(lines)
        if item.text.strip() or (at and lines[at - 1].text.strip())
    ]
    code = [item.text for item in lines if item.text.strip() and item.text != _OMITTED]
    indent = min(len(text) - len(text.lstrip()) for text in code)
    texts = ["..." if item.text == _OMITTED else item.text[indent:] for item in lines]
    coloured = highlight(
        "\n".join(texts), PythonLexer(stripnl=False), HtmlFormatter(nowrap=True)
    ).split("\n")
    rows = []
    for at, (item, shown) in enumerate(zip(lines, coloured, strict=False)):
        # An empty line between two new ones is as new as they are to the reader.
        beside = {lines[there].kind for there in (at - 1, at + 1) if 0 <= there < len(lines)}
        kind = item.kind if item.text.strip() or len(beside) > 1 else beside.pop()
        rows.append(("gap" if item.text == _OMITTED else kind, shown))
    return render("code", rows=rows, size=code_size(texts, width))


def png_html(path: Path, alt: str, crop: tuple[int, int, int, int]) -> str:
    """Return a PNG inlined; `crop` is left, top, width and height of what is shown, in percent."""
    content = path.read_bytes()
    wide, high = struct.unpack(">II", content[16:24])
    left, top, width, height = (
        f"{size * share / 100:g}" for size, share in zip((wide, high) * 2, crop, strict=True)
    )
    return render(
        "picture",
        alt=alt,
        box={"width": width, "height": height, "x": left, "y": top},
        size=(wide, high),
        data=base64.b64encode(content).decode("ascii"),
    )
