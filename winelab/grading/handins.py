"""Finds the hand-ins of a class in a folder or a zip file, however students and systems name them.

What a file's name says counts. Where it says nothing, the notebook's own metadata or a script's
first line may; each such case, and each file that is left out, gets a remark: nothing is guessed
silently.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import unicodedata
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

from winelab.core.errors import CourseError
from winelab.core.paths import BLOCKS, SOLUTIONS
from winelab.course.notebook import fingerprint
from winelab.grading.result import HandIn

KINDS = (".ipynb", ".py")
ARCHIVES = (".7z", ".rar", ".tar", ".gz", ".tgz", ".bz2", ".xz")

# What systems and programs leave beside a hand-in, and no student means to hand in.
JUNK = {
    *("__macosx", "mlruns", "mlartifacts", "output", "outputs", "venv", "env", "__pycache__"),
    *("node_modules", "thumbs.db", "desktop.ini"),
}
# In a copy of the whole course: what is not the student's.
OF_THE_COURSE = {"solutions", "blocks", "winelab", "tests", "slides", "stack", "docs", "data"}

MOST_BYTES = 20_000_000
"""A hand-in larger than this is left out: a notebook with all its pictures has a tenth."""
MOST_UNPACKED = 2_000_000_000
"""Bytes that may come out of all zip files together."""
MOST_MEMBERS = 100_000
"""Entries that are looked at in one zip file."""
DEEPEST = 3
"""A zip in a zip in a zip: the system's, the student's, and one more."""
MOST_VERSIONS = 5
"""Versions of one block by one student that are graded."""


@dataclass(frozen=True)
class Found:
    """A file that may be a hand-in, or that must be remarked on."""

    place: tuple[str, ...]
    """Its folders and its name, as a student or a system wrote them, zip files among them."""
    file: Path

    @property
    def shown(self) -> str:
        """Its place for a remark."""
        return "/".join(self.place)


# --- names ---------------------------------------------------------------------------------------


def shown(name: str) -> str:
    """A name that can be shown and compared: composed accents, and no control characters."""
    text = unicodedata.normalize(
        "NFC", name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    )
    return "".join(
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(c)[0] == "C" else c for c in text
    )


def key(name: str) -> str:
    """What two spellings of one student's name share: accents, case and spaces do not matter."""
    return " ".join(re.split(r"[\s_.,-]+", shown(name).casefold())).strip()


@cache
def slugs(blocks: Path = BLOCKS) -> dict[int, str]:
    """Each block's number and its slug, such as 14 and "autolog"."""
    return {int(path.name[:2]): path.name[3:] for path in sorted(blocks.glob("[0-9][0-9]_*"))}


# What browsers, desktops and Jupyter add to the name of a copy.
_COPY_BEFORE = re.compile(
    r"(?:copy of|kopie von|copia de|copie de|kopia|kopi av)[\s_-]+", re.IGNORECASE
)
_COPY_AFTER = re.compile(
    r"(?:\s*\(\d{1,3}\)"
    r"|[\s_-]+(?:copy|kopie|copia|copie|kopia)[\s_-]*\(?\d*\)?)$",
    re.IGNORECASE,
)
_WORDS = r"(?:lab|block|notebook|bloque|bloc|blocco)"
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


def without_copy_marks(stem: str) -> str:
    """A name's stem without the marks of copies: "14_autolog" of "14_autolog - Copy (2)"."""
    before = None
    while stem != before:
        before = stem
        stem = _COPY_AFTER.sub("", _COPY_BEFORE.sub("", stem, count=1)).strip()
    return stem


def read_name(stem: str, known: dict[int, str]) -> Named:
    """What a file's name, without its suffix, says about block and student.

    A number with its block's slug says it; so does a number at the very beginning, or after a
    word such as "lab". A number elsewhere does, if there is no other, and is not sure.
    """
    stem = without_copy_marks(unicodedata.normalize("NFC", stem))
    full = []
    for number, slug in known.items():
        words = r"[\s_.-]*".join(map(re.escape, slug.split("_")))
        # Below ten with or without the zero.
        pattern = rf"(?<![0-9]){number:02d}[\s_.-]+{words}(?![a-z])"
        if number < 10:
            pattern = rf"(?<![0-9])0?{number}[\s_.-]+{words}(?![a-z])"
        full += [(number, match) for match in re.finditer(pattern, stem, re.IGNORECASE)]
    if len({number for number, _ in full}) > 1:
        return Named(None)
    if full:
        number, match = full[0]
        # A version's number behind it is the system's, as Canvas' "-2" and Jupyter's "-Copy1".
        after = re.sub(r"^-\d{1,2}$", "", stem[match.end() :])
        return Named(number, _person(f"{stem[: match.start()]} {after}"))
    patterns = (
        (rf"^{_WORDS}?[\s_.-]*(\d{{1,2}})(?=$|[\s_.-])", True),
        (rf"(?<![^\W\d_]){_WORDS}[\s_.-]*(\d{{1,2}})(?=$|[\s_.-])", True),
        (r"(?<![^\s_.-])(\d{1,2})(?=$|[\s_.-])", False),
    )
    for pattern, sure in patterns:
        matches = [m for m in re.finditer(pattern, stem, re.IGNORECASE) if int(m[1]) in known]
        others = re.findall(r"(?<![^\s_.-])\d{1,2}(?=$|[\s_.-])", stem)
        if len(matches) == 1 and (sure or len(others) == 1):
            match = matches[0]
            following = stem[match.end() :]
            # "15_autolog": number and slug of two blocks; the name does not say which it is.
            if _other_slug(following, int(match[1]), known):
                return Named(None)
            after = re.sub(r"^-\d{1,2}$", "", following)
            return Named(int(match[1]), _person(f"{stem[: match.start()]} {after}"), sure)
    return Named(None, _person(stem))


def _other_slug(text: str, number: int, known: dict[int, str]) -> bool:
    words = "_".join(re.split(r"[\s_.-]+", text.casefold().strip(" _.-")))
    return any(words == slug for other, slug in known.items() if other != number)


def _person(text: str) -> str:
    words = [word for word in re.split(r"[\s_.-]+", text) if word]
    kept = [w for w in words if w.casefold() not in _FILLERS and not re.fullmatch(r"v?\d+", w)]
    return " ".join(kept)


# Moodle: a folder a student, or the same in front of each file's name.
_MOODLE = re.compile(r"(?P<student>.+?)_(?P<id>\d+)_assignsubmission_\w+?_(?P<file>.*)")
_MOODLE_FOLDER = re.compile(r"(?P<student>.+?)_(?P<id>\d+)_assignsubmission_[a-z]+_?(?P<file>)")
# Canvas: student, perhaps LATE, two ids, the file's own name.
_CANVAS = re.compile(r"(?P<student>[^_]+)_(?P<late>LATE_)?(?P<id>\d{2,})_\d{2,}_(?P<file>.+)")


@dataclass(frozen=True)
class Owner:
    """Whose a file is, as its place says."""

    name: str
    """Empty where nothing says it."""
    ident: str = ""
    """The number that Moodle or Canvas gives the student."""
    file: str = ""
    """The file's own name, without what a system put in front."""
    late: bool = False


def owner_of(place: tuple[str, ...]) -> Owner:
    """Whose the file at `place` is: a system's mark first, at any depth; else the first folder."""
    *folders, name = place
    for at, part in enumerate(place):
        last = at == len(place) - 1
        patterns = (_MOODLE, _CANVAS) if last else (_MOODLE_FOLDER, _MOODLE, _CANVAS)
        for pattern in patterns:
            if match := pattern.fullmatch(part):
                late = bool(match.groupdict().get("late"))
                file = match["file"] if last else name
                return Owner(match["student"].strip(), match["id"], file or name, late)
    first = folders[0] if folders else ""
    return Owner(re.sub(r"\.zip$", "", first, flags=re.IGNORECASE), "", name)


# --- what a file says of itself -----------------------------------------------------------------


@dataclass(frozen=True)
class Content:
    """What a file says of itself, without running it."""

    block: int | None = None
    untouched: bool = False
    """A notebook of the course whose cells are as they were built."""
    digest: str = ""


def read_content(file: Path) -> Content:
    """What a notebook's metadata or a script's first lines say; nothing where they do not.

    Never raises: a hand-in may hold anything.
    """
    try:
        if file.stat().st_size > MOST_BYTES:
            return Content()
        data = file.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        if file.suffix.lower() == ".py":
            match = re.match(
                r"\W{0,4}Wine Lab, block (\d+):", data[:200].decode("utf-8", "replace")
            )
            return Content(int(match[1]) if match else None, digest=digest)
        notebook = json.loads(data)
        marks = notebook["metadata"].get("winelab", {})
        cells = [{"source": "".join(cell["source"])} for cell in notebook["cells"]]
        block = marks.get("block")
        return Content(
            block if isinstance(block, int) and not isinstance(block, bool) else None,
            marks.get("built") == fingerprint(cells),
            digest,
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return Content(digest=f"{file}")


@cache
def _own_solutions(folder: Path = SOLUTIONS) -> dict[str, str]:
    """The digest of each solution of the course's own, and its name; notebooks by their cells."""
    found = {}
    for path in sorted(folder.glob("*.py")):
        found[hashlib.sha256(path.read_bytes()).hexdigest()] = path.name
    return found


# --- finding ------------------------------------------------------------------------------------


def find(folder: Path, desk: Path) -> tuple[list[HandIn], list[str]]:
    """The hand-ins of a class, by student and block, and a remark on all that is not plain.

    Args:
        folder: a folder with a folder a student, or with all files in one; or a zip file of it.
        desk: an empty folder, into which zip files are unpacked.

    Returns:
        Several hand-ins of one student for one block are all there, up to `MOST_VERSIONS`, the
        notebooks first. Each remark is one sentence.

    Raises CourseError where there is no such folder, or nothing in it that can be graded.
    """
    search = _Search(desk)
    if not folder.exists():
        raise CourseError(f"There is no folder {folder}: name the one that holds the hand-ins.")
    if folder.is_file():
        if folder.suffix.lower() != ".zip":
            raise CourseError(
                f"{folder} is a file: name the folder that holds the hand-ins, or a zip file of it."
            )
        files = search.unpack(folder, (), 1)
    else:
        files = search.walk(folder)
    whole = folder.resolve()
    name = shown(whole.stem if whole.is_file() else whole.name)
    found = _without_wrapper(list(files), name if whole.is_file() else "")
    hand_ins = search.sort_out(found, name)
    if not hand_ins:
        more = f" ({search.remarks[0]})" if search.remarks else ""
        raise CourseError(
            f"There is no notebook (.ipynb) or script (.py) of a block in {folder}{more}: "
            'name each after its block, such as "14_autolog.ipynb".'
        )
    return hand_ins, search.remarks


def _without_wrapper(found: list[Found], name: str) -> list[Found]:
    """Takes what all the rest lies in away, where it is the class's and no student's.

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


class _Search:
    """One search, with its remarks."""

    def __init__(self, desk: Path) -> None:
        self.desk = desk
        self.remarks: list[str] = []
        self.unpacked = 0
        self.zips = 0

    def walk(self, folder: Path, place: tuple[str, ...] = ()) -> Iterator[Found]:
        """All files below `folder`, in order; symlinks are not followed."""
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: shown(entry.name))
        except OSError as error:
            self.remarks.append(f"{'/'.join(place)}: cannot be read ({error.strerror}).")
            return
        names = {entry.name for entry in entries}
        whole_course = {"labs", "winelab", "blocks"} <= names
        for entry in entries:
            here = (*place, shown(entry.name))
            if _is_junk(entry.name) or (whole_course and entry.name in OF_THE_COURSE):
                continue
            if entry.is_symlink():
                self.remarks.append(f"{'/'.join(here)}: left out, it is a symbolic link.")
            elif entry.is_dir():
                yield from self.walk(Path(entry.path), here)
            elif entry.is_file():
                yield from self.take(Path(entry.path), here, 1)

    def take(self, file: Path, place: tuple[str, ...], depth: int) -> Iterator[Found]:
        """The file; what is in it, if it is a zip."""
        if file.suffix.lower() == ".zip":
            yield from self.unpack(file, place, depth)
        else:
            yield Found(place, file)

    def unpack(self, file: Path, place: tuple[str, ...], depth: int) -> Iterator[Found]:
        """What is in a zip file, as if it were a folder; only what can be graded is written."""
        where = "/".join(place) or file.name
        if depth > DEEPEST:
            self.remarks.append(f"{where}: left out, a zip file in {DEEPEST} others.")
            return
        self.zips += 1
        target = self.desk / f"{self.zips}"
        try:
            with zipfile.ZipFile(file) as archive:
                members = archive.infolist()
                if len(members) > MOST_MEMBERS:
                    self.remarks.append(f"{where}: left out, it has {len(members):,} entries.")
                    return
                inside = [(member, _parts(member)) for member in members if not member.is_dir()]
                courses = _courses([parts for _, parts in inside if parts])
                for at, (member, parts) in enumerate(inside):
                    if parts is None:
                        self.remarks.append(
                            f"{where}: its entry {shown(member.filename)!r} was left out, since "
                            "it leads out of the zip file."
                        )
                    elif not any(map(_is_junk, parts)) and not _in_course(parts, courses):
                        written = self._write(archive, member, target / f"{at}", where, parts[-1])
                        if written:
                            yield from self.take(written, (*place, *parts), depth + 1)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError) as error:
            self.remarks.append(f"{where}: this zip file cannot be read ({error}).")

    def _write(
        self, archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, where: str, name: str
    ) -> Path | None:
        """Write one entry to `target`, a file under its own name; None where it is left out."""
        suffix = PurePosixPath(name).suffix.lower()
        if stat.S_ISLNK(member.external_attr >> 16):
            self.remarks.append(f"{where}/{name}: left out, it is a symbolic link.")
            return None
        if member.flag_bits & 1 and suffix in (*KINDS, ".zip"):
            self.remarks.append(f"{where}/{name}: left out, it is encrypted.")
            return None
        target.mkdir(parents=True)
        # No system minds this name, whatever the zip's maker called it.
        file = (
            target / f"{re.sub(r'[^A-Za-z0-9._ ()-]', '_', PurePosixPath(name).stem)[:80]}{suffix}"
        )
        if suffix not in (*KINDS, ".zip"):
            # Not needed, but the remarks must know of it.
            file.touch()
            return file
        most = MOST_BYTES if suffix in KINDS else MOST_UNPACKED
        most = min(most, MOST_UNPACKED - self.unpacked)
        with archive.open(member) as source, file.open("wb") as out:
            # The sizes in a zip are what its maker says: count what really comes out.
            size = 0
            while piece := source.read(1 << 20):
                size += len(piece)
                if size > most:
                    break
                out.write(piece)
        self.unpacked += size
        if size > most:
            file.unlink()
            self.remarks.append(f"{where}/{name}: left out, it is larger than {most:,} bytes.")
            return None
        return file

    def sort_out(self, found: list[Found], folder: str) -> list[HandIn]:
        """Of the files, those that are hand-ins; the rest becomes remarks."""
        known = slugs()
        names = _names(found, self.remarks)
        hand_ins: dict[tuple[str, int], list[tuple[HandIn, str, str]]] = defaultdict(list)
        others: dict[str, list[str]] = defaultdict(list)
        untouched: dict[str, int] = defaultdict(int)
        late: dict[str, list[str]] = defaultdict(list)
        nameless = []
        for entry in found:
            owner = owner_of(entry.place)
            path = PurePosixPath(owner.file)
            student = names.get((key(owner.name), owner.ident), owner.name)
            if path.suffix.lower() not in KINDS:
                others[student].append(path.name)
                continue
            try:
                if entry.file.stat().st_size > MOST_BYTES:
                    self.remarks.append(
                        f"{entry.shown}: left out, it is larger than {MOST_BYTES:,} bytes."
                    )
                    continue
            except OSError as error:
                self.remarks.append(f"{entry.shown}: cannot be read ({error.strerror}).")
                continue
            said, content = read_name(path.stem, known), read_content(entry.file)
            block = said.block
            if block is None and content.block in known:
                block = content.block
                self.remarks.append(
                    f"{entry.shown}: taken for block {block}; its content says so, its name says "
                    "no block."
                )
            elif block is None:
                self.remarks.append(f"{entry.shown}: left out, nothing says which block it is for.")
                continue
            elif not said.sure:
                self.remarks.append(
                    f"{entry.shown}: taken for block {block}, the only number in its name."
                )
            elif content.block not in (None, block) and path.suffix.lower() == ".ipynb":
                self.remarks.append(
                    f"{entry.shown}: graded as block {block}, as its name says; it was made from "
                    f"the notebook of block {content.block}."
                )
            if not student:
                student = said.rest
            if not student:
                student = folder
                nameless.append(entry.shown)
            if content.untouched and _in_a_course(entry.place):
                untouched[student] += 1
                continue
            if content.digest in _own_solutions():
                self.remarks.append(
                    f"{entry.shown}: is solutions/{_own_solutions()[content.digest]} of the "
                    "course, to the letter."
                )
            if owner.late:
                late[student].append(str(block))
            made = HandIn(student, int(block or 0), entry.file)
            hand_ins[key(student), made.block].append((made, content.digest, entry.shown))
        self._say(others, untouched, late, nameless, folder)
        return self._pick(hand_ins)

    def _say(
        self,
        others: dict[str, list[str]],
        untouched: dict[str, int],
        late: dict[str, list[str]],
        nameless: list[str],
        folder: str,
    ) -> None:
        for student, files in sorted(others.items()):
            packed = [name for name in files if PurePosixPath(name).suffix.lower() in ARCHIVES]
            who = student or folder
            if packed:
                self.remarks.append(
                    f"{who}: {_listed(packed)} cannot be unpacked here: do so, or ask for a zip."
                )
            rest = [name for name in files if name not in packed]
            if rest:
                self.remarks.append(f"{who}: left out {_listed(rest)}: no notebook and no script.")
        for student, count in sorted(untouched.items()):
            self.remarks.append(
                f"{student}: handed in the whole course; {count} untouched notebooks of it were "
                "left out."
            )
        for student, blocks in sorted(late.items()):
            self.remarks.append(
                f"{student}: late, says Canvas (block {', '.join(sorted(set(blocks), key=int))})."
            )
        if nameless:
            self.remarks.append(
                f'{_listed(nameless)}: nothing says whose it is; shown as "{folder}".'
            )

    def _pick(self, hand_ins: dict[tuple[str, int], list[tuple[HandIn, str, str]]]) -> list[HandIn]:
        """Each hand-in once: of equal files one, and no more than `MOST_VERSIONS`."""
        # One spelling a student: the one that most of the files have.
        spellings: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for (who, _), versions in hand_ins.items():
            for made, _, _ in versions:
                spellings[who][made.student] += 1
        name = {
            who: max(sorted(counts), key=lambda spelling: counts[spelling])
            for who, counts in spellings.items()
        }
        for who, counts in sorted(spellings.items()):
            if len(counts) > 1:
                self.remarks.append(
                    f"{' and '.join(sorted(counts))} are taken for one student, {name[who]}."
                )
        picked = []
        for (who, block), versions in sorted(hand_ins.items()):
            ordered = sorted(versions, key=lambda v: (v[0].file.suffix.lower() != ".ipynb", v[2]))
            kept: dict[str, tuple[HandIn, str]] = {}
            for made, digest, place in ordered:
                if digest in kept:
                    self.remarks.append(
                        f"{place}: left out, it is the same file as {kept[digest][1]}."
                    )
                else:
                    kept[digest] = (made, place)
            for _, place in list(kept.values())[MOST_VERSIONS:]:
                self.remarks.append(
                    f"{place}: left out, {name[who]} has {len(kept)} versions of block {block} and "
                    f"{MOST_VERSIONS} are graded."
                )
            picked += [
                HandIn(name[who], block, made.file)
                for made, _ in list(kept.values())[:MOST_VERSIONS]
            ]
        return picked


def _names(found: list[Found], remarks: list[str]) -> dict[tuple[str, str], str]:
    """A name for each student that a system knows by a number: with it, where two share a name."""
    idents: dict[tuple[str, str], set[tuple[str, tuple[str, ...]]]] = defaultdict(set)
    for entry in found:
        owner = owner_of(entry.place)
        if owner.ident:
            # Moodle gives a student another number in each assignment: only within one folder or
            # zip file do two numbers mean two people.
            at = next(i for i, part in enumerate(entry.place) if owner.name in part)
            idents[key(owner.name), owner.name].add((owner.ident, entry.place[:at]))
    found_names: dict[tuple[str, str], str] = {}
    for (who, name), seen in idents.items():
        places = [place for _, place in seen]
        if len(places) == len(set(places)):
            continue
        for ident, _ in seen:
            found_names[who, ident] = f"{name} ({ident})"
        remarks.append(f"{name}: several students share this name; their numbers tell them apart.")
    return found_names


def _is_junk(name: str) -> bool:
    return name.startswith(("._", ".", "~$")) or name.lower() in JUNK or ".db" in name.lower()


def _parts(member: zipfile.ZipInfo) -> tuple[str, ...] | None:
    """The folders and the name of a zip's entry; None where it leads out of the zip."""
    name = member.filename
    if not member.flag_bits & 0x800:
        # Finder writes UTF-8 without saying so, and Python reads it as the code page of DOS.
        with suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    name = name.replace("\\", "/")
    parts = tuple(shown(part) for part in name.split("/") if part not in ("", "."))
    if name.startswith("/") or ".." in parts or re.match(r"[A-Za-z]:", name) or not parts:
        return None
    return parts


def _courses(places: Iterable[tuple[str, ...]]) -> set[tuple[str, ...]]:
    """The folders in a zip that are copies of the whole course."""
    inside: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for parts in places:
        for at in range(len(parts) - 1):
            inside[parts[:at]].add(parts[at])
    return {place for place, names in inside.items() if {"labs", "winelab", "blocks"} <= names}


def _in_course(parts: tuple[str, ...], courses: set[tuple[str, ...]]) -> bool:
    return any(
        parts[: len(place)] == place and parts[len(place)] in OF_THE_COURSE
        for place in courses
        if len(parts) > len(place) + 1
    )


def _in_a_course(place: tuple[str, ...]) -> bool:
    return "labs" in place[:-1]


def _listed(names: list[str], most: int = 4) -> str:
    """Names for a sentence, the first few of many."""
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return ", ".join(names)
