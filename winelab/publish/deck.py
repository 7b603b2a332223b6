"""Reads a deck of slides: Markdown with `:::` lines that name blocks, whose code is filled in.

Every mistake in a deck is a CourseError that names the file and the line to mend.
"""

from __future__ import annotations

import base64
import html
import re
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from markdown_it import MarkdownIt
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from winelab.core.errors import CourseError
from winelab.core.paths import ROOT
from winelab.course.difference import Changed, changed_lines
from winelab.course.source import PARTS, Block, Course, fail

# The room for content on a slide of 1280 by 720, and the gap between two columns, in pixels.
WIDTH, HEIGHT, GAP = 1152, 490, 40
# Sizes of code, largest first; the width of a letter and the height of a line at size 1.
SIZES, LETTER, LEADING = (27, 25, 23, 21, 20, 19, 18), 0.605, 1.42

_DIRECTIVE = re.compile(r"::: *([a-z]+) *(.*)")
_RANGE = re.compile(r'"([^"]+)"(?: to "([^"]+)")?')
_FACT = re.compile(r"\{([a-z]+) ([^{}\n]*)\}")
_NUMBERS = re.compile(r"(\d+)(?:-(\d+))?")
_IMAGE = re.compile(r"!\[([^\]]*)\]\(([^\s)]+)(?: \"([^\"]*)\")?\)")
_CROP = re.compile(r"crop (\d+) (\d+) (\d+) (\d+)")
_GAP = "\0"


@dataclass
class Slide:
    """One slide: its HTML, the notes' HTML, and what of it is counted."""

    title: str
    line: int
    body: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    blocks: tuple[int, ...] = ()
    changes: list[int] = field(default_factory=list)
    """The blocks whose code is shown."""
    pictures: list[str] = field(default_factory=list)
    """The names of the files that are shown."""
    question: bool = False
    map: bool = False


@dataclass(frozen=True)
class Deck:
    """A deck as it was read: the title, what stands below it, and the slides in order."""

    path: Path
    title: str
    subtitle: str
    slides: tuple[Slide, ...]


def read_deck(path: Path, course: Course) -> Deck:
    """Read one deck; CourseError names file and line of what is not as it must be."""
    lines = path.read_text(encoding="utf-8").splitlines()
    meta, start = _metadata(path, lines)
    reader = _Reader(path, course)
    for number, text in enumerate(lines[start:], start=start + 1):
        reader.take(number, text)
    reader.finish()
    title, subtitle = (reader.facts(meta[name], 2) for name in ("title", "subtitle"))
    return Deck(path, title, subtitle, tuple(reader.slides))


def _metadata(path: Path, lines: list[str]) -> tuple[dict[str, str], int]:
    """The title and subtitle on top of a deck, and the number of the line that closes them."""
    if not lines or lines[0] != "---" or "---" not in lines[1:]:
        raise fail(path, 1, 'begin with "---", the lines "title:" and "subtitle:", and "---".')
    end = lines.index("---", 1)
    try:
        meta = yaml.safe_load("\n".join(lines[1:end]))
    except yaml.YAMLError:
        meta = None
    if not isinstance(meta, dict) or set(meta) != {"title", "subtitle"}:
        raise fail(path, 2, 'the lines on top must be "title: ..." and "subtitle: ...".')
    return {name: str(value) for name, value in meta.items()}, end + 1


class _Reader:
    """Takes a deck line by line, and lays out its slides."""

    def __init__(self, path: Path, course: Course) -> None:
        self.path, self.course = path, course
        self.slides: list[Slide] = []
        self.markdown = MarkdownIt("commonmark").enable("table")
        self.prose: list[str] = []
        self.prose_at = 1
        self.in_notes = self.fenced = False
        self.columns: tuple[int, ...] = ()
        self.column = 0
        self.directives: dict[str, Callable[[int, str], None]] = {
            "blocks": self.about,
            "code": self.code,
            "change": self.code,
            "map": self.map,
            "question": self.ask,
            "columns": self.begin_columns,
            "next": self.next_column,
            "end": self.end_columns,
            "notes": self.begin_notes,
        }
        self.name = ""

    # --- lines ---

    def take(self, number: int, text: str) -> None:
        """Take the next line of the deck."""
        if text.startswith("```"):
            self.fenced = not self.fenced
        if text.startswith("## ") and not self.fenced:
            self.close(number)
            self.slides.append(Slide(self.facts(text[3:].strip(), number), number))
            return
        if not self.slides:
            if text.strip():
                raise fail(self.path, number, 'text stands above the first "## Title" of a slide.')
            return
        if not text.startswith(":::") or self.fenced:
            if not self.prose:
                self.prose_at = number
            if self.prose or text.strip():
                self.prose.append(text)
            return
        self.flush()
        match = _DIRECTIVE.fullmatch(text.strip())
        self.name = match[1] if match else ""
        if match is None or self.name not in self.directives:
            names = ", ".join(self.directives)
            raise fail(self.path, number, f"{text.strip()!r} is not known; there are {names}.")
        if self.in_notes:
            raise fail(self.path, number, 'below "::: notes" there is prose only.')
        self.directives[self.name](number, match[2].strip())

    def close(self, number: int) -> None:
        """End the slide that is open, if there is one."""
        self.flush()
        if self.columns:
            raise fail(self.path, number, 'an "::: end" of the columns is missing above.')
        if self.slides and not "".join(self.slides[-1].notes).strip():
            raise fail(self.path, self.slides[-1].line, 'the slide has no text below "::: notes".')
        self.in_notes = False

    def finish(self) -> None:
        """End the deck."""
        self.close(self.slides[-1].line if self.slides else 1)
        if not self.slides:
            raise fail(self.path, 1, 'there is no slide; begin one with "## Title".')

    def flush(self) -> None:
        """Lay out the prose that has come together."""
        text, self.prose = "\n".join(self.prose).strip("\n"), []
        if not text.strip():
            return
        text = self.facts(text, self.prose_at)
        slide = self.slides[-1]
        if self.in_notes:
            slide.notes.append(self.markdown.render(text))
            return
        line = self.prose_at
        for at, part in enumerate(re.split(r"(?m)^(!\[.*)$", text)):
            if part.strip():
                slide.body.append(
                    self.picture(part, line) if at % 2 else self.markdown.render(part)
                )
            line += part.count("\n")

    # --- facts of the course ---

    def facts(self, text: str, line: int) -> str:
        """`text` with each {minutes 3}, {minutes 0-13}, {blocks 0-13}, {title 3}, {version mlflow}
        filled in."""

        def fact(match: re.Match[str]) -> str:
            name, of = match[1], match[2].strip()
            at = line + text[: match.start()].count("\n")
            if name == "version":
                return self.version(of, at)
            blocks = self.blocks(of, at)
            if name == "minutes":
                return str(sum(block.meta["minutes"] for block in blocks))
            if name == "blocks":
                return str(len(blocks))
            if name == "title" and len(blocks) == 1:
                return blocks[0].title
            raise fail(
                self.path,
                at,
                f"{match[0]} is not known; there are minutes, blocks, title, version.",
            )

        return _FACT.sub(fact, text)

    def version(self, package: str, line: int) -> str:
        """The version of a package that requirements.txt pins."""
        pins = (ROOT / "requirements.txt").read_text(encoding="utf-8")
        found = re.search(rf"(?m)^{re.escape(package)}==([\w.]+)", pins)
        if not found:
            raise fail(self.path, line, f"requirements.txt pins no {package}.")
        return found[1]

    def blocks(self, text: str, line: int) -> list[Block]:
        """The blocks that a text such as "3", "0-13" or "all" names."""
        if text == "all":
            return list(self.course.blocks)
        match = _NUMBERS.fullmatch(text)
        if not match:
            raise fail(self.path, line, f'{text!r} names no block; write "3", "0-13" or "all".')
        first, last = int(match[1]), int(match[2] or match[1])
        try:
            found = [self.course.block(number) for number in range(first, last + 1)]
        except CourseError as error:
            raise fail(self.path, line, str(error)) from None
        if not found:
            raise fail(self.path, line, f"{text} goes backwards.")
        return found

    # --- directives ---

    def about(self, line: int, words: str) -> None:
        """`::: blocks 3`: the blocks that the slide is about; named on it, their minutes noted."""
        blocks = self.blocks(words, line)
        slide = self.slides[-1]
        slide.blocks = tuple(block.number for block in blocks)
        lines = [
            f"Block {block.number}, {block.title}: {block.meta['minutes']} minutes in the lab."
            for block in blocks
        ]
        if len(blocks) > 1:
            lines = [f"{named(slide.blocks)}: {self.facts(f'{{minutes {words}}}', line)} minutes."]
        slide.notes.insert(0, "".join(f'<p class="lab">{html.escape(text)}</p>' for text in lines))

    def code(self, line: int, words: str) -> None:
        """`::: code 4 "a" to "b" and "c"`: lines of the script after block 4, the new ones marked.

        `::: change 4` shows the lines that went away too. Without a range, all that changed.
        """
        number, _, ranges = words.partition(" ")
        blocks = self.blocks(number, line)
        if len(blocks) != 1:
            raise fail(self.path, line, "name one block.")
        block = blocks[0]
        lines = changed_lines(self.course, block.number)
        if self.name == "code":
            lines = [item for item in lines if item.kind != "removed"]
        shown = self.selected(lines, ranges, line, block) if ranges.strip() else _changed(lines)
        if all(item.kind == "kept" for item in shown):
            raise fail(self.path, line, f"block {block.number} changes none of these lines.")
        slide = self.slides[-1]
        slide.changes.append(block.number)
        slide.body.append(code_html(shown, self.width()))

    def selected(self, lines: list[Changed], ranges: str, line: int, block: Block) -> list[Changed]:
        """The lines of the ranges, with a gap between two that do not touch."""
        if _RANGE.sub("", ranges).replace("and", "").strip():
            raise fail(self.path, line, 'write the lines to show as "first" to "last" and "other".')
        shown: list[Changed] = []
        at = 0
        for first, last in _RANGE.findall(ranges):
            begin = _find(lines, first, at)
            # A range may end in the line that it begins with.
            end = _find(lines, last, begin) if last and begin is not None else begin
            if begin is None or end is None:
                missing = first if begin is None else last
                raise fail(
                    self.path,
                    line,
                    f'block {block.number} has no line with "{missing}" (below what stands '
                    "before it here).",
                )
            if shown and begin > at:
                shown.append(Changed("kept", _GAP))
            shown += lines[begin : end + 1]
            at = end + 1
        return shown

    def map(self, line: int, words: str) -> None:
        """`::: map 0-13 in 7`: the blocks with their titles and minutes, seven to a column."""
        text, _, rows = words.partition(" in ")
        blocks = self.blocks(text.strip(), line)
        if rows and not (rows.isdigit() and int(rows)):
            raise fail(self.path, line, 'write the map as "0-13 in 7".')
        self.slides[-1].map = True
        self.slides[-1].body.append(map_html(blocks, int(rows or len(blocks))))

    def ask(self, line: int, words: str) -> None:
        """`::: question`: what follows is put to the room."""
        self.slides[-1].question = True
        self.slides[-1].body.append('<p class="ask">A question for the room</p>')

    def begin_columns(self, line: int, words: str) -> None:
        """`::: columns 3 2`: columns of these widths follow."""
        shares = tuple(int(word) for word in words.split() if word.isdigit())
        if len(shares) < 2 or self.columns:
            raise fail(self.path, line, 'write "::: columns 3 2", and no columns in columns.')
        self.columns, self.column = shares, 0
        template = " ".join(f"{share}fr" for share in shares)
        self.slides[-1].body.append(
            f'<div class="columns" style="grid-template-columns:{template}"><div>'
        )

    def next_column(self, line: int, words: str) -> None:
        """`::: next`: the next column."""
        if self.column + 1 >= len(self.columns):
            raise fail(self.path, line, 'there is no next column; "::: columns" names them all.')
        self.column += 1
        self.slides[-1].body.append("</div><div>")

    def end_columns(self, line: int, words: str) -> None:
        """`::: end`: the columns are over."""
        if not self.columns:
            raise fail(self.path, line, "there are no columns to end.")
        self.columns = ()
        self.slides[-1].body.append("</div></div>")

    def begin_notes(self, line: int, words: str) -> None:
        """`::: notes`: what follows is for the speaker."""
        self.in_notes = True

    def width(self) -> float:
        """The width in pixels that is there for what comes next."""
        if not self.columns:
            return WIDTH
        room = WIDTH - GAP * (len(self.columns) - 1)
        return room * self.columns[self.column] / sum(self.columns)

    # --- pictures ---

    def picture(self, text: str, at: int) -> str:
        """The HTML of an image line: an SVG as it is, a PNG inlined, perhaps a part of it."""
        match = _IMAGE.fullmatch(text.strip())
        if not match or not match[1].strip():
            raise fail(self.path, at, 'write a picture as ![what it shows](file "crop 0 0 50 50").')
        alt, path = match[1], (self.path.parent / match[2]).resolve()
        if not path.is_file():
            raise fail(self.path, at, f"there is no picture {match[2]}.")
        crop = _CROP.fullmatch(match[3] or "crop 0 0 100 100")
        if not crop:
            raise fail(self.path, at, 'a crop is "crop LEFT TOP WIDTH HEIGHT", in percent.')
        self.slides[-1].pictures.append(path.name)
        if path.suffix == ".svg":
            return svg_html(path, alt)
        left, top, wide, high = (int(part) for part in crop.groups())
        if left + wide > 100 or top + high > 100 or not wide or not high:
            raise fail(self.path, at, "the crop reaches beyond the picture.")
        return png_html(path, alt, (left, top, wide, high))


def named(blocks: tuple[int, ...]) -> str:
    """How a slide names its blocks: "Block 3", "Blocks 6 to 9"."""
    if not blocks:
        return ""
    if len(blocks) == 1:
        return f"Block {blocks[0]}"
    return f"Blocks {blocks[0]} to {blocks[-1]}"


# --- the map of the blocks -------------------------------------------------------------------


def map_html(blocks: list[Block], rows: int) -> str:
    """Blocks with titles and minutes: a column a part, or columns of so many rows for one part.

    Where one column has the whole slide, what a student can do afterwards stands there too.
    """
    parts = sorted({int(block.meta["part"]) for block in blocks})
    several = len(parts) > 1
    if several:
        columns = [[b for b in blocks if b.meta["part"] == part] for part in parts]
    else:
        columns = [blocks[at : at + rows] for at in range(0, len(blocks), rows)]
    lists = []
    for column in columns:
        items = []
        for block in column:
            words = f"<b>{block.number}</b> <span>{html.escape(block.title)}</span>"
            if len(columns) == 1:
                words += f" <em>{html.escape(str(block.meta['objectives'][0]))}</em>"
            if not several:
                words += f" <i>{block.meta['minutes']} min</i>"
            # By this name slides.py marks the blocks that a deck shows.
            mark = "" if several else f' data-block="{block.number}"'
            items.append(f"<li{mark}>{words}</li>")
        part, minutes = int(column[0].meta["part"]), sum(b.meta["minutes"] for b in column)
        head = f"<h3>{part} {PARTS[part]}, {minutes} min</h3>" if several else ""
        lists.append(f"<div>{head}<ul>{''.join(items)}</ul></div>")
    return f'<div class="map{" parts" if several else ""}">{"".join(lists)}</div>'


# --- code ------------------------------------------------------------------------------------


def _find(lines: list[Changed], words: str, start: int) -> int | None:
    """The first line from `start` on that has these words; None where there is none."""
    return next((at for at in range(start, len(lines)) if words in lines[at].text), None)


def _changed(lines: list[Changed]) -> list[Changed]:
    """The lines that changed, with a gap wherever something stands between them."""
    shown: list[Changed] = []
    previous = None
    for at, item in enumerate(lines):
        if item.kind == "kept" or not item.text.strip():
            continue
        between: list[Changed] = lines[previous + 1 : at] if previous is not None else []
        if any(other.text.strip() for other in between):
            shown.append(Changed("kept", _GAP))
        elif between and shown:
            shown.append(Changed("kept", ""))
        shown.append(item)
        previous = at
    return shown


def code_size(lines: Iterable[str], width: float) -> int:
    """The largest size, in pixels, at which these lines fit; the smallest where none does."""
    texts = list(lines)
    # The mark in front, the border and the padding.
    longest = max(len(text) for text in texts) + 2
    for size in SIZES:
        if longest * LETTER * size + 36 <= width and len(texts) * LEADING * size <= HEIGHT:
            return size
    return SIZES[-1]


def code_html(lines: list[Changed], width: float) -> str:
    """Lines of code as HTML, highlighted, each with its mark: + added, - removed."""
    # Two empty lines in a script are one on a slide.
    lines = [
        item
        for at, item in enumerate(lines)
        if item.text.strip() or (at and lines[at - 1].text.strip())
    ]
    texts = [item.text for item in lines]
    code = [text for text in texts if text.strip() and text != _GAP]
    indent = min(len(text) - len(text.lstrip()) for text in code)
    texts = ["..." if text == _GAP else text[indent:] for text in texts]
    coloured = highlight(
        "\n".join(texts), PythonLexer(stripnl=False), HtmlFormatter(nowrap=True)
    ).split("\n")
    marks = {"added": "+", "removed": "\N{MINUS SIGN}", "kept": " "}
    words = {"added": "added: ", "removed": "removed: ", "kept": ""}
    rows = []
    for at, (item, shown) in enumerate(zip(lines, coloured, strict=False)):
        if item.text == _GAP:
            rows.append('<span class="row gap">  ⋮</span>')
            continue
        # An empty line between two new ones is as new as they are to the reader.
        beside = {lines[there].kind for there in (at - 1, at + 1) if 0 <= there < len(lines)}
        kind = item.kind if item.text.strip() or len(beside) > 1 else beside.pop()
        rows.append(
            f'<span class="row {kind}"><span class="mark">{marks[kind]}</span>'
            f'<span class="spoken">{words[kind]}</span> {shown}</span>'
        )
    size = code_size(texts, width)
    return f'<pre class="change" style="font-size:{size}px"><code>{"".join(rows)}</code></pre>'


# --- pictures --------------------------------------------------------------------------------


def svg_html(path: Path, alt: str) -> str:
    """A drawing of slides/pictures/, put into the page with its words for those who cannot see."""
    text = path.read_text(encoding="utf-8")
    drawing = text[text.index("<svg") :].strip()
    label = html.escape(alt, quote=True)
    drawing = drawing.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
    return f'<figure class="drawing">{drawing}</figure>'


def png_html(path: Path, alt: str, crop: tuple[int, int, int, int]) -> str:
    """A picture inlined; `crop` is left, top, width and height of the part shown, in percent."""
    content = path.read_bytes()
    wide, high = struct.unpack(">II", content[16:24])
    left, top, part_wide, part_high = crop
    box = (wide * left / 100, high * top / 100, wide * part_wide / 100, high * part_high / 100)
    view = " ".join(f"{value:g}" for value in box)
    data = base64.b64encode(content).decode("ascii")
    label = html.escape(alt, quote=True)
    return (
        f'<figure class="screen"><svg role="img" aria-label="{label}" viewBox="{view}">'
        # The inner one cuts off what the outer one's spare room would show.
        f'<svg x="{box[0]:g}" y="{box[1]:g}" width="{box[2]:g}" height="{box[3]:g}" '
        f'viewBox="{view}"><image href="data:image/png;base64,{data}" '
        f'width="{wide}" height="{high}"/></svg></svg></figure>'
    )
