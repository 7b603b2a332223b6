"""A block's number is its place: one put in or moved changes no source of another block."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from course_copy import course_copy

from tools.made_up import lesson, write_block
from winelab.core.errors import CourseError
from winelab.core.order import ORDER, read_order
from winelab.core.paths import ROOT
from winelab.course.build import differences, write
from winelab.course.source import course, read_course
from winelab.publish import slides
from winelab.system import environment

REFERENCE = re.compile(r"\[\[([a-z_]+)\]\](_?)")
WORDS = "As in block [[log_model]], which comes later, and block [[run]], which came before."


def slugs(root: Path) -> list[str]:
    """The blocks in the order of course.txt, read here by other means than the course's own."""
    lines = (root / "blocks" / ORDER).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and line[0] not in "#["]


def reorder(root: Path, change: Callable[[list[str]], list[str]]) -> None:
    """Change the lines of course.txt, and nothing else."""
    path = root / "blocks" / ORDER
    lines = change(path.read_text(encoding="utf-8").splitlines())
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def put_in(root: Path) -> None:
    """Write a small block, and its line below that of `run`."""
    before = (root / "blocks" / ORDER).read_text(encoding="utf-8").splitlines()
    write_block(
        root / "blocks", "tea", text=lesson(title="Tea").replace("## Why", f"{WORDS}\n\n## Why")
    )
    at = before.index("run") + 1
    reorder(root, lambda _: [*before[:at], "tea", *before[at:]])


def moved(lines: list[str]) -> list[str]:
    """The lines with a block one place further down."""
    at = lines.index("tracking_uri")
    return [*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]]


CHANGES: dict[str, Callable[[Path], None]] = {
    "put in": put_in,
    "moved": lambda root: reorder(root, moved),
}


@pytest.fixture(params=CHANGES)
def changed(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """What the build reads and writes, copied, with one block put in or moved, not built yet."""
    for name in ("blocks", "labs", "solutions", "docs", "slides"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "README.md", tmp_path)
    CHANGES[request.param](tmp_path)
    return tmp_path


def sources(root: Path) -> dict[str, bytes]:
    """All that people write below blocks/ and slides/, by its place."""
    found = [*root.glob("blocks/*/*"), *root.glob("slides/*.md"), root / "blocks" / "outline.txt"]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in found}


def test_the_build_alone_renumbers_everything(changed: Path) -> None:
    before = sources(changed)
    order = slugs(changed)
    write(read_course(changed / "blocks"), changed)
    slides.write_html(read_course(changed / "blocks"), changed / "slides")
    assert sources(changed) == before
    assert {p: b for p, b in before.items() if "/tea/" not in p} == sources(ROOT)
    blocks = read_order(changed / "blocks").blocks
    assert [block.name for block in blocks] == [f"{n:02d}_{slug}" for n, slug in enumerate(order)]
    labs = {f"{block.name}.ipynb" for block in blocks}
    assert {path.name for path in (changed / "labs").iterdir()} == labs
    scripts = {Path(block.solution).parts[0] for block in blocks}
    assert {path.name for path in (changed / "solutions").iterdir()} == labs | scripts
    assert differences(read_course(changed / "blocks"), changed) == []
    lessons_name_the_right_blocks(changed, order)
    pages_name_the_right_blocks(changed, order)
    slides_name_the_right_blocks(changed, order)
    solved_as_before(changed, order)


def filled(text: str, order: list[str]) -> str:
    """A source's text with the numbers that it must get."""

    def number(match: re.Match[str]) -> str:
        place = order.index(match[1])
        return f"{place:02d}_" if match[2] else str(place)

    return REFERENCE.sub(number, text)


def lessons_name_the_right_blocks(root: Path, order: list[str]) -> None:
    """Each line of a lesson or hint that names another block has its number in the lab."""
    seen = 0
    for number, slug in enumerate(order):
        cells = nbformat.read(root / "labs" / f"{number:02d}_{slug}.ipynb", as_version=4).cells
        lab = " ".join("\n".join(cell.source for cell in cells).split())
        for name in ("lesson.md", "code.py"):
            text = (root / "blocks" / slug / name).read_text(encoding="utf-8")
            for line in filter(REFERENCE.search, text.splitlines()):
                words = " ".join(filled(re.sub(r"^#:( hint:)?|^#", "", line), order).split())
                assert words in lab, f"{slug}/{name}: {line}"
                seen += 1
    assert seen > 50


def pages_name_the_right_blocks(root: Path, order: list[str]) -> None:
    """Each link to a lab or a solution has its block's number, and so has its text."""
    seen = 0
    for page in (root / "README.md", *root.glob("docs/**/*.md")):
        text = page.read_text(encoding="utf-8")
        for words, number, slug in re.findall(
            r"\[([^\]]*)\]\((?:\.\./)*(?:labs|solutions)/(\d\d)_(\w+)\.\w+\)", text
        ):
            assert int(number) == order.index(slug), f"{page.name}: {number}_{slug}"
            if match := re.fullmatch(r"(?:[Bb]lock )?(\d+)", words):
                assert int(match[1]) == order.index(slug), f"{page.name}: [{words}] of {slug}"
                seen += 1
    assert seen > 100
    row = rf"^\| {order.index('autolog')} \| \[[^\]]+\]\(labs/\d\d_autolog\.ipynb\)"
    assert re.search(row, (root / "README.md").read_text(encoding="utf-8"), re.MULTILINE)


def slides_name_the_right_blocks(root: Path, order: list[str]) -> None:
    """Each line of a deck that names a block has its number in the deck's page."""
    seen = 0
    for deck in slides.decks(root / "slides"):
        page = re.sub(r"<[^>]+>", "", deck.with_suffix(".html").read_text(encoding="utf-8"))
        for line in deck.read_text(encoding="utf-8").splitlines():
            for words in re.findall(r"[Bb]locks? \[\[[a-z_]+\]\](?: to \[\[[a-z_]+\]\])?", line):
                if not line.startswith("!["):
                    assert filled(words, order) in page, f"{deck.name}: {line}"
                    seen += 1
    assert seen > 15
    # The drawing too.
    assert f">block {order.index('artifacts')}</text>" in (
        root / "slides" / "1-track.html"
    ).read_text(encoding="utf-8")


def solved_as_before(root: Path, order: list[str]) -> None:
    """The solved notebooks keep all of their stored outputs; the check's has the new number."""
    for old, slug in enumerate(slugs(ROOT)):
        new = order.index(slug)
        before, after = (
            nbformat.read(folder / "solutions" / f"{number:02d}_{slug}.ipynb", as_version=4).cells
            for folder, number in ((ROOT, old), (root, new))
        )
        codes = [cell for cell in after if cell.cell_type == "code"]
        assert codes[-1].source.endswith(f"check({new})")
        assert f"Block {new} - " in json.dumps(codes[-1].outputs)
        # Where a block moves, cells of the two that changed places are others.
        same = {cell.id: cell for cell in before if cell.cell_type == "code"}
        for cell in codes[:-1]:
            assert cell.source == same[cell.id].source or "tea" not in order
            if cell.source == same[cell.id].source:
                assert cell.outputs == same[cell.id].outputs, f"{slug}: {cell.id}"


def test_a_wrong_number_in_a_page_is_not_what_its_source_says(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    page = tmp_path / "docs" / "teaching.md"
    name = course().block("autolog").name
    page.write_text(page.read_text("utf-8") + f"[99](../labs/{name}.ipynb)\n", encoding="utf-8")
    found = [words for words in differences(course(), tmp_path) if words.startswith("docs/")]
    assert found == [
        f"docs/teaching.md is not what its source says: edit blocks/{ORDER} or a lesson.md, then "
        "run make build."
    ]
    text = page.read_text("utf-8")
    page.write_text(text + "\n[14](../labs/14_teapot.ipynb)\n", encoding="utf-8")
    line = text.count("\n") + 2
    words = rf"^docs/teaching\.md:{line}: \.\./labs/14_teapot\.ipynb: There is no block teapot"
    with pytest.raises(CourseError, match=words):
        differences(course(), tmp_path)


@pytest.mark.parametrize("name", ["lesson.md", "code.py", "checks.py", "picture.yaml"])
def test_a_name_of_no_block_is_refused_with_its_line_in_every_source(
    tmp_path: Path, name: str
) -> None:
    shutil.copytree(ROOT / "blocks", tmp_path / "blocks")
    path = tmp_path / "blocks" / "autolog" / name
    text = path.read_text(encoding="utf-8")
    path.write_text(f"{text}# As in block [[autlog]].\n", encoding="utf-8")
    line = text.count("\n") + 1
    words = rf"^autolog/{name}:{line}: \[\[autlog\]\]: There is no block autlog"
    with pytest.raises(CourseError, match=words):
        read_course(tmp_path / "blocks")


@pytest.mark.skipif(os.name == "nt", reason="ends servers as a terminal does")
def test_later_blocks_run_as_before(tmp_path: Path) -> None:
    # Not this run's fork server: it has loaded this course.
    own = {name: os.environ[name] for name in os.environ if not name.startswith("WINELAB_")}
    with course_copy(tmp_path) as root:
        put_in(root)

        def python(*arguments: str) -> str:
            done = subprocess.run(
                [environment.venv_python(root), "-m", *arguments],
                cwd=root,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                env=own | {"PYTHONUTF8": "1"},
            )
            assert done.returncode == 0, f"{arguments}:\n{done.stdout}"
            return done.stdout

        number = course().block("autolog").number + 1
        assert f"solutions/{number}_autolog.ipynb" in python("winelab", "build").splitlines()
        assert "Nothing to build" in python("winelab", "build")
        # The script, its check, and the solved notebook beside what is stored of it.
        asked = ("-q", "-n", "0", "--block", "autolog", "-k", "-SOLVED- or -OUTPUTS-")
        assert "2 passed" in python("pytest", "tests/course/test_cases.py", *asked)
