"""Find the hand-ins of a class in a folder or a zip file, however students and systems name them.

What a file's name says counts. Where it says nothing, the notebook's own metadata or a script's
first line may; each such case, and each file that is left out, gets a remark: nothing is guessed
silently.
"""

from __future__ import annotations

import json
import os
import re
import stat
import tempfile
import unicodedata
import zipfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

from winelab.core.errors import CourseError
from winelab.core.order import read_order
from winelab.core.paths import SOLUTIONS
from winelab.course.compose import solution_files, text_of
from winelab.course.notebook import fingerprint
from winelab.course.source import course
from winelab.grading.package_folders import SOURCE, as_notebook, depth_of_package, package_blocks
from winelab.grading.result import MOST_BYTES, HandIn, read_file
from winelab.tracking.data import sha256

KINDS = (".ipynb", ".py")
ARCHIVES = (".7z", ".rar", ".tar", ".gz", ".tgz", ".bz2", ".xz")

# What systems and programs leave beside a hand-in, and no student means to hand in.
JUNK = {
    *("__macosx", "mlruns", "mlartifacts", "output", "outputs", "venv", "env", "__pycache__"),
    *("node_modules", "thumbs.db", "desktop.ini"),
}
# By the first a copy of the whole course is known; the second are not the student's.
A_COURSE = {"labs", "winelab", "blocks"}
OF_THE_COURSE = {"solutions", "blocks", "winelab", "tests", "slides", "stack", "docs", "data"}

MOST_UNPACKED = 2_000_000_000
"""Bytes that may come out of all zip files together."""
MOST_MEMBERS = 100_000
"""Entries that are looked at in one zip file."""
DEEPEST = 3
"""A zip in a zip in a zip: the system's, the student's, and one more."""
MOST_VERSIONS = 5
"""Versions of one block by one student that are graded."""

Place = tuple[str, ...]
"""A file's folders and its name, as a student or a system wrote them, zip files among them."""


# --- names ---------------------------------------------------------------------------------------


def shown(name: str) -> str:
    """Return a name that can be shown and compared: composed accents, no control characters."""
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(c)[0] == "C" else c
        for c in unicodedata.normalize("NFC", text)
    )


def key(name: str) -> str:
    """Return what two spellings of a name share: accents, case and spaces do not matter."""
    return " ".join(re.split(r"[\s_.,-]+", shown(name).casefold())).strip()


@cache
def slugs() -> dict[int, str]:
    """Return each block's number and its slug, such as 14 and "autolog"."""
    return {block.number: block.slug for block in read_order().blocks}


# What browsers, desktops and Jupyter add to the name of a copy.
_COPY = re.compile(
    r"(?:copy of|kopie von|copia de|copie de|kopia|kopi av)[\s_-]+"
    r"|\s*\(\d{1,3}\)$"
    r"|[\s_-]+(?:copy|kopie|copia|copie|kopia)[\s_-]*\(?\d*\)?$",
    re.IGNORECASE,
)
# Which block a name means: its number, and whether one that stands there says so for certain.
_WORD, _END = r"(?:lab|block|notebook|bloque|bloc|blocco)", r"(?=$|[\s_.-])"
_ALONE = rf"(?<![^\s_.-])(?P<block>\d{{1,2}}){_END}"
_BLOCK = {
    rf"^{_WORD}?[\s_.-]*(?P<block>\d{{1,2}}){_END}": True,
    rf"(?<![^\W\d_]){_WORD}[\s_.-]*(?P<block>\d{{1,2}}){_END}": True,
    _ALONE: False,
}
# Words beside a block in a file's name that are nobody's name.
_FILLERS = {
    *("lab", "labs", "block", "notebook", "final", "finished", "done", "solution", "solved"),
    *("submission", "homework", "hw", "assignment", "copy", "new", "my", "version", "the"),
}


@dataclass(frozen=True)
class Named:
    """What a file's name says."""

    block: int | None
    rest: str = ""
    """What else it says: in a flat folder, whose it is."""
    sure: bool = True
    """Whether it says so in a usual form; where not, it is remarked on."""


def read_name(stem: str) -> Named:
    """Return what a file's name, without its suffix, says about block and student.

    A number with its block's slug says it; so does a number at the very beginning, or after a
    word such as "lab". A number elsewhere does, if there is no other, and is not sure.
    """
    # In a zip file a name may be endless, and to look through it, too.
    stem, before = unicodedata.normalize("NFC", stem[:255]), ""
    # "14_autolog - Copy (2)" has two marks.
    while stem != before:
        stem, before = _COPY.sub("", stem).strip(), stem

    def matches(pattern: str) -> list[re.Match[str]]:
        found = re.finditer(pattern, stem, re.IGNORECASE)
        return [match for match in found if int(match["block"]) in slugs()]

    def named(match: re.Match[str], sure: bool = True) -> Named:
        # A version's number behind it is the system's, as Canvas' "-2" and Jupyter's "-Copy1".
        after = re.sub(r"^-\d{1,2}$", "", stem[match.end() :])
        return Named(int(match["block"]), _person(f"{stem[: match.start()]} {after}"), sure)

    full = [match for pattern in _with_slugs() for match in matches(pattern)]
    if full:
        return named(full[0]) if len({int(match["block"]) for match in full}) == 1 else Named(None)
    numbers = re.findall(_ALONE, stem)
    for pattern, sure in _BLOCK.items():
        found = matches(pattern)
        if len(found) == 1 and (sure or len(numbers) == 1):
            after = "_".join(re.split(r"[\s_.-]+", stem[found[0].end() :].casefold().strip(" _.-")))
            # "15_autolog": number and slug of two blocks; the name does not say which it is.
            return Named(None) if after in slugs().values() else named(found[0], sure)
    return Named(None, _person(stem))


def _with_slugs() -> Iterator[str]:
    for number, slug in slugs().items():
        words = re.escape(slug).replace("_", r"[\s_.-]*")
        # Below ten with or without the zero.
        zero = "0?" if number < 10 else ""
        yield rf"(?<![0-9])(?P<block>{zero}{number})[\s_.-]+{words}(?![a-z])"


def _person(text: str) -> str:
    words = [word for word in re.split(r"[\s_.-]+", text) if word]
    kept = [w for w in words if w.casefold() not in _FILLERS and not re.fullmatch(r"v?\d+", w)]
    return " ".join(kept)


# Whose a file is: how a system names a student's folder, or begins the name of each file.
_SYSTEMS = (
    # Moodle.
    re.compile(r"(?P<student>.+?)_(?P<id>\d+)_assignsubmission_[^\W_]+(?:_(?P<file>.*))?"),
    # Canvas: student, perhaps LATE, two ids, the file's own name.
    re.compile(r"(?P<student>[^_]+)_(?P<late>LATE_)?(?P<id>\d{2,})_\d{2,}_(?P<file>.+)"),
)


@dataclass(frozen=True)
class Owner:
    """Whose a file is, as its place says."""

    name: str
    """Empty where nothing says it."""
    file: str
    """The file's own name, without what a system put in front."""
    ident: str = ""
    """The number that Moodle or Canvas gives the student."""
    late: bool = False
    within: Place = ()
    """What the part of the place that says so lies in."""


def owner_of(place: Place) -> Owner:
    """Return whose the file at `place` is: a system's mark, at any depth; else the first folder."""
    for at, part in enumerate(place):
        for pattern in _SYSTEMS:
            if match := pattern.fullmatch(part):
                said = match.groupdict(default="")
                own = said["file"] if at == len(place) - 1 else ""
                name, late = said["student"].strip(), bool(said.get("late"))
                return Owner(name, own or place[-1], said["id"], late, place[:at])
    first = place[0] if len(place) > 1 else ""
    return Owner(re.sub(r"\.zip$", "", first, flags=re.IGNORECASE), place[-1])


# --- what a file says of itself -----------------------------------------------------------------


@dataclass(frozen=True)
class Content:
    """What a file says of itself, without running it."""

    digest: str = ""
    block: int | None = None
    untouched: bool = False
    """A notebook of the course whose cells are as they were built."""
    unread: str = ""
    """Why it was not read, in a few words."""


def read_content(file: Path) -> Content:
    """Return what a notebook's metadata or a script's first lines say; nothing if they do not.

    Never raises: a hand-in may hold anything.
    """
    try:
        data = read_file(file)
    except CourseError as error:
        return Content(unread=str(error))
    digest = sha256(data)
    if file.suffix.lower() == ".py":
        head = data[:400].decode("utf-8", "replace")
        match = re.match(r"\W{0,4}Wine Lab, block .*?(?:blocks/|labs/\d\d_)(\w+)", head, re.DOTALL)
        return Content(digest, _number(match[1]) if match else None)
    try:
        notebook = json.loads(data)
        marks = notebook["metadata"].get("winelab", {})
        cells = [{"source": "".join(cell["source"])} for cell in notebook["cells"]]
        return Content(
            digest, _number(marks.get("block")), marks.get("built") == fingerprint(cells)
        )
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        # Broken, and like no other file: a script under this name is also there as a script.
        return Content(str(file))


def _number(slug: object) -> int | None:
    """Return the number of the block of that name, whatever it was when the file was made."""
    return next((number for number, name in slugs().items() if name == slug), None)


@cache
def _own_solutions() -> dict[str, str]:
    """Return the digest of each script and package of the course's own, and its name."""
    own = {sha256(path.read_bytes()): path.name for path in sorted(SOLUTIONS.glob("*.py"))}
    for number in package_blocks():
        name = course().block(number).name
        files = solution_files(course(), number)
        texts = {path.partition("/")[2]: text_of(lines) for path, lines in files.items()}
        own[sha256(as_notebook(number, texts).encode())] = name
    return own


# --- folders and zip files ----------------------------------------------------------------------


@dataclass(frozen=True)
class Found:
    """A file in a folder or in a zip file."""

    place: Place
    file: Path
    """Where it lies; of an entry that is not unpacked, the zip file."""
    member: zipfile.ZipInfo | None = None
    """Its entry in the zip file, until it is unpacked."""

    @property
    def suffix(self) -> str:
        """The end of its name, in small letters."""
        return PurePosixPath(self.place[-1]).suffix.lower()

    @property
    def is_link(self) -> bool:
        """Whether it is a symbolic link."""
        if self.member:
            return stat.S_ISLNK(self.member.external_attr >> 16)
        return self.file.is_symlink()


def _worth_a_look(found: list[Found]) -> Iterator[Found]:
    """Yield what is no junk, and in a copy of the whole course no part of its own."""
    inside: dict[Place, set[str]] = defaultdict(set)
    for entry in found:
        for at, name in enumerate(entry.place[:-1]):
            inside[entry.place[:at]].add(name)
    courses = {place for place, names in inside.items() if names >= A_COURSE}
    for entry in found:
        folders = enumerate(entry.place[:-1])
        of_course = any(p in OF_THE_COURSE and entry.place[:at] in courses for at, p in folders)
        if not of_course and not any(map(_is_junk, entry.place)):
            yield entry


def _is_junk(name: str) -> bool:
    return name.startswith((".", "~$")) or name.lower() in JUNK or ".db" in name.lower()


def _place(member: zipfile.ZipInfo) -> Place:
    """Return the folders and the name of a zip's entry; none where it leads out of the zip."""
    name = member.filename
    if not member.flag_bits & 0x800:
        # Finder writes UTF-8 without saying so, and Python reads it as the code page of DOS.
        with suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    name = name.replace("\\", "/")
    parts = tuple(shown(part) for part in name.split("/") if part not in ("", "."))
    leads_out = name.startswith("/") or ".." in parts or re.match(r"[A-Za-z]:", name)
    return () if leads_out else parts


class _Reader:
    """Reads folders and zip files alike, and gathers the remarks."""

    def __init__(self, desk: Path) -> None:
        self.desk = desk
        self.remarks: list[str] = []
        self.bytes = 0
        """What has come out of all zip files."""

    def remark(self, place: Place, words: str) -> None:
        """Say something of a file."""
        self.remarks.append(f"{'/'.join(place)}: {words}.")

    def folder(self, folder: Path) -> Iterator[Found]:
        """Yield all files below a folder, in order; symbolic links are not followed."""

        def place(path: str | Path) -> Place:
            return tuple(map(shown, Path(path).relative_to(folder).parts))

        def unread(error: OSError) -> None:
            self.remark(place(error.filename), f"cannot be read ({error.strerror})")

        found = []
        for where, folders, names in os.walk(folder, onerror=unread):
            folders[:] = [name for name in folders if not _is_junk(name)]
            for path in (Path(where, name) for name in (*folders, *names)):
                if path.is_symlink() or path.is_file():
                    found.append(Found(place(path), path))
        yield from self.opened(sorted(found, key=lambda entry: entry.place))

    def zip(self, file: Path, place: Place, depth: int = 1) -> Iterator[Found]:
        """Yield what is in a zip file, as if it were a folder.

        Its own place is empty for the one of the whole class; `depth` counts it, too.
        """
        where = place or (file.name,)
        if depth > DEEPEST:
            self.remark(where, f"left out, a zip file in {DEEPEST} others")
            return
        try:
            with zipfile.ZipFile(file) as archive:
                members = [member for member in archive.infolist() if not member.is_dir()]
                if len(members) > MOST_MEMBERS:
                    self.remark(where, f"left out, it has {len(members):,} entries")
                    return
                found = []
                for member in members:
                    if inner := _place(member):
                        found.append(Found((*place, *inner), file, member))
                        continue
                    name = f"its entry {shown(member.filename)!r}"
                    self.remark(where, f"{name} was left out, since it leads out of the zip file")
                yield from self.opened(found, archive, depth)
        # What zipfile and its decompressors raise for a file that is broken.
        except (zipfile.BadZipFile, zlib.error, OSError, ValueError, RuntimeError, EOFError) as no:
            self.remark(where, f"this zip file cannot be read ({no})")

    def opened(
        self, found: list[Found], archive: zipfile.ZipFile | None = None, depth: int = 0
    ) -> Iterator[Found]:
        """Yield what is worth a look, unpacked if it can be graded; for a zip, what is in it."""
        for entry in _worth_a_look(found):
            if entry.is_link:
                self.remark(entry.place, "left out, it is a symbolic link")
            elif entry.suffix not in (*KINDS, ".zip") and not _in_package(entry.place):
                yield entry
            elif file := self.unpacked(entry, archive) if archive else entry.file:
                if entry.suffix == ".zip":
                    yield from self.zip(file, entry.place, depth + 1)
                else:
                    yield Found(entry.place, file)

    def unpacked(self, entry: Found, archive: zipfile.ZipFile) -> Path | None:
        """Write an entry to the desk, in a folder of its own; None where that must not be."""
        assert entry.member is not None
        if entry.member.flag_bits & 1:
            self.remark(entry.place, "left out, it is encrypted")
            return None
        most = MOST_BYTES if entry.suffix in KINDS else MOST_UNPACKED
        most = min(most, MOST_UNPACKED - self.bytes)
        # No system minds this name, whatever the zip's maker called it.
        stem = re.sub(r"[^A-Za-z0-9._ ()-]", "_", PurePosixPath(entry.place[-1]).stem)[:80]
        file = Path(tempfile.mkdtemp(dir=self.desk), f"{stem}{entry.suffix}")
        size = 0
        with archive.open(entry.member) as source, file.open("wb") as out:
            # The sizes in a zip are what its maker says: count what really comes out.
            while size <= most and (piece := source.read(1 << 20)):
                size += len(piece)
                out.write(piece)
        self.bytes += size
        if size <= most:
            return file
        file.unlink()
        self.remark(entry.place, f"left out, it is larger than {most:,} bytes")
        return None


# --- packages -----------------------------------------------------------------------------------


def _in_package(place: Place) -> bool:
    return depth_of_package(place, _block_of_folder) is not None


def _block_of_folder(name: str) -> int | None:
    said = read_name(name)
    return said.block if said.sure else None


def _with_packages(found: list[Found], reader: _Reader) -> list[Found]:
    """Put a notebook that writes its files in the place of each package's folder.

    A folder is one by its block's name and its folder src/; else its files are hand-ins by
    themselves.
    """
    folders: dict[tuple[Place, int], list[Found]] = defaultdict(list)
    for entry in found:
        if at := depth_of_package(entry.place, _block_of_folder):
            folders[entry.place[: at[0]], at[1]].append(entry)
    packed: dict[Place, Found | None] = {}
    for (place, number), entries in folders.items():
        inner = {entry.place[len(place) :]: entry for entry in entries}
        if not any(len(path) > 1 and path[0] == SOURCE for path in inner):
            continue
        texts = {}
        for path, entry in inner.items():
            # A notebook beside src/ is a hand-in of its own.
            if len(path) > 1 or entry.suffix != ".ipynb":
                packed[entry.place] = None
                with suppress(CourseError):
                    texts["/".join(path)] = read_file(entry.file).decode("utf-8", "replace")
        file = Path(tempfile.mkdtemp(dir=reader.desk), "package.ipynb")
        file.write_text(as_notebook(number, texts), encoding="utf-8")
        packed[entries[0].place] = Found((*place[:-1], f"{place[-1]}.ipynb"), file)
    kept = (packed.get(entry.place, entry) for entry in found)
    return [entry for entry in kept if entry]


# --- finding ------------------------------------------------------------------------------------


def find(folder: Path, desk: Path) -> tuple[list[HandIn], list[str]]:
    """Return the hand-ins of a class, by student and block, and a remark on all that is not plain.

    Args:
        folder: a folder with a folder a student, or with all files in one; or a zip file of it.
        desk: an empty folder, into which zip files are unpacked.

    Returns:
        Several hand-ins of one student for one block are all there, up to `MOST_VERSIONS`, the
        notebooks first. Each remark is one sentence.

    Raises CourseError where there is no such folder, or nothing in it that can be graded.
    """
    reader = _Reader(desk)
    whole = folder.resolve()
    if not folder.exists():
        raise CourseError(f"There is no folder {folder}: name the one that holds the hand-ins.")
    if folder.is_dir():
        name = shown(whole.name)
        found = _without_wrapper(list(reader.folder(folder)), "")
    elif folder.suffix.lower() == ".zip":
        name = shown(whole.stem)
        found = _without_wrapper(list(reader.zip(folder, ())), name)
    else:
        raise CourseError(
            f"{folder} is a file: name the folder that holds the hand-ins, or a zip file of it."
        )
    hand_ins = _sort_out(_with_packages(found, reader), name, reader)
    if not hand_ins:
        more = f" ({reader.remarks[0]})" if reader.remarks else ""
        raise CourseError(
            f"There is no notebook (.ipynb) or script (.py) of a block in {folder}{more}: "
            'name each after its block, such as "14_autolog.ipynb".'
        )
    return hand_ins, reader.remarks


def _without_wrapper(found: list[Found], name: str) -> list[Found]:
    """Take what all the rest lies in away, where it is the class's and no student's.

    That is the one zip file that a system made of all hand-ins, and in the zip file `name` a
    folder of that name.
    """
    while True:
        tops = {entry.place[0] for entry in found}
        if len(tops) != 1 or any(len(entry.place) < 2 for entry in found):
            return found
        top = next(iter(tops))
        inner = [Found(entry.place[1:], entry.file) for entry in found]
        # A student's own zip, the only one that was handed in, holds files and no folders.
        of_a_class = any(len(e.place) > 1 or owner_of(e.place).ident for e in inner)
        is_zip = top.lower().endswith(".zip") and not owner_of((top, "")).ident
        if not (of_a_class and (is_zip or key(top) == key(name))):
            return found
        found, name = inner, top[: -len(".zip")] if is_zip else ""


# What is said once of all such files of a student: {some} names the first few, {all} each.
_SUMS = {
    "packed": "{who}: {some} cannot be unpacked here: do so, or ask for a zip.",
    "other": "{who}: left out {some}: no notebook and no script.",
    "untouched": "{who}: handed in the whole course; {count} untouched notebooks of it were left "
    "out.",
    "late": "{who}: late, says Canvas (block {all}).",
    "nobody's": '{some}: nothing says whose it is; shown as "{who}".',
}


_Versions = dict[tuple[str, int], list[tuple[str, str, Found]]]
"""By the `key` of a student's name, and block: the name as it was written, digest, and file."""


def _sort_out(found: list[Found], folder: str, reader: _Reader) -> list[HandIn]:
    """Return the files that are hand-ins; the rest becomes remarks."""
    numbered = _with_numbers(found, reader)
    versions: _Versions = defaultdict(list)
    sums: dict[str, dict[str, list[str]]] = {what: defaultdict(list) for what in _SUMS}
    for entry in found:
        owner = owner_of(entry.place)
        student = numbered.get((key(owner.name), owner.ident), owner.name)
        if entry.suffix not in KINDS:
            what = "packed" if entry.suffix in ARCHIVES else "other"
            sums[what][student or folder].append(owner.file)
            continue
        said = read_name(PurePosixPath(owner.file).stem)
        content = read_content(entry.file)
        block = _block(said, content, entry, reader)
        if block is None:
            continue
        student = student or said.rest
        if not student:
            student = folder
            sums["nobody's"][folder].append("/".join(entry.place))
        if content.untouched and "labs" in entry.place[:-1]:
            sums["untouched"][student].append(owner.file)
            continue
        if solution := _own_solutions().get(content.digest):
            reader.remark(entry.place, f"is solutions/{solution} of the course, to the letter")
        if owner.late:
            sums["late"][student].append(str(block))
        versions[key(student), block].append((student, content.digest, entry))
    for what, students in sums.items():
        for who, files in sorted(students.items()):
            each = ", ".join(sorted(set(files), key=int)) if what == "late" else ""
            words = {"who": who, "some": _listed(files), "all": each, "count": len(files)}
            reader.remarks.append(_SUMS[what].format(**words))
    return _pick(versions, reader)


def _with_numbers(found: list[Found], reader: _Reader) -> dict[tuple[str, str], str]:
    """Return, of students who share a name, each one's name with the number that a system gave."""
    idents: dict[str, set[tuple[str, Place]]] = defaultdict(set)
    for owner in (owner_of(entry.place) for entry in found):
        if owner.ident:
            idents[owner.name].add((owner.ident, owner.within))
    names: dict[tuple[str, str], str] = {}
    for name, seen in idents.items():
        # Moodle gives a student another number in each assignment: only within one folder or
        # zip file do two numbers mean two people.
        if len(seen) > len({within for _, within in seen}):
            names |= {(key(name), ident): f"{name} ({ident})" for ident, _ in seen}
            words = "several students share this name; their numbers tell them apart."
            reader.remarks.append(f"{name}: {words}")
    return names


def _block(said: Named, content: Content, entry: Found, reader: _Reader) -> int | None:
    """Return the block that a file is for; None where it is left out."""
    block, made_for = said.block, content.block
    words = ""
    if content.unread:
        block, words = None, content.unread
    elif block is None and made_for is not None:
        block = made_for
        words = f"taken for block {block}; its content says so, its name says no block"
    elif block is None:
        words = "left out, nothing says which block it is for"
    elif not said.sure:
        words = f"taken for block {block}, the only number in its name"
    elif made_for not in (None, block) and entry.suffix == ".ipynb":
        words = f"graded as block {block}, as its name says; it was made from the notebook of block"
        words += f" {made_for}"
    if words:
        reader.remark(entry.place, words)
    return block


def _pick(versions: _Versions, reader: _Reader) -> list[HandIn]:
    """Return each hand-in once: of equal files one, and no more than `MOST_VERSIONS`."""
    names = _spellings(versions, reader)
    picked = []
    for (who, block), several in sorted(versions.items()):
        several.sort(key=lambda version: (version[2].suffix != ".ipynb", version[2].place))
        kept: dict[str, Found] = {}
        for _, digest, entry in several:
            first = kept.setdefault(digest, entry)
            if first is not entry:
                same = "/".join(first.place)
                reader.remark(entry.place, f"left out, it is the same file as {same}")
        for at, entry in enumerate(kept.values()):
            if at < MOST_VERSIONS:
                picked.append(HandIn(names[who], block, entry.file))
                continue
            count = f"{names[who]} has {len(kept)} versions of block {block}"
            reader.remark(entry.place, f"left out, {count} and {MOST_VERSIONS} are graded")
    return picked


def _spellings(versions: _Versions, reader: _Reader) -> dict[str, str]:
    """Return one spelling for each student: the one that most of the files have."""
    spellings: dict[str, Counter[str]] = defaultdict(Counter)
    for (who, _), several in versions.items():
        spellings[who].update(student for student, _, _ in several)
    names = {who: max(sorted(counts), key=counts.__getitem__) for who, counts in spellings.items()}
    for who, counts in sorted(spellings.items()):
        if len(counts) > 1:
            both = " and ".join(sorted(counts))
            reader.remarks.append(f"{both} are taken for one student, {names[who]}.")
    return names


def _listed(names: list[str], most: int = 4) -> str:
    """Return names for a sentence, the first few of many."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
