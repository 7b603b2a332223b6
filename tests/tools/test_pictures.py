"""The pictures: each has its scene, its place and its words; a real one is taken in Chromium."""

from __future__ import annotations

import io
import random
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from browsers import required_browser
from PIL import Image

from winelab.core.errors import CourseError
from winelab.core.paths import BLOCKS, ROOT
from winelab.course.source import Course, course
from winelab.proof.runner import fork_server
from winelab.publish import pictures, screenshot_specs, screenshots
from winelab.publish.screenshot_specs import Scene, read_file, read_scenes
from winelab.system.browser import chromium

PAGES = [ROOT / "README.md", *sorted(BLOCKS.glob("[0-9][0-9]_*/lesson.md"))]
SHOWN = re.compile(r"!\[([^\]]*)\]\((?:\.\./)?docs/pictures/([^)]+)\)")


def shown() -> dict[str, list[tuple[Path, str]]]:
    """The pictures that the README and the lessons show: the page and the words of each place."""
    found: dict[str, list[tuple[Path, str]]] = {}
    for page in PAGES:
        for words, name in SHOWN.findall(page.read_text(encoding="utf-8")):
            found.setdefault(name, []).append((page, words))
    return found


def test_each_picture_has_a_scene_a_file_and_a_place() -> None:
    files = {path.name for path in pictures.PICTURES.glob("*.png")}
    made = {scene.file for scene in read_scenes()}
    assert files == made, "a picture without a scene, or a scene without its picture"
    assert files == set(shown()), "a picture that nobody shows, or one that is not there"


def test_a_lesson_shows_its_own_block() -> None:
    blocks = {scene.file: scene.block for scene in read_scenes()}
    for name, places in shown().items():
        for page, _ in places:
            if page.name == "lesson.md":
                assert page.parent.name.startswith(f"{blocks[name]:02d}_")


def test_only_a_block_that_writes_nothing_has_no_picture() -> None:
    without = set(range(len(course().blocks))) - {scene.block for scene in read_scenes()}
    assert without == {1}


def test_each_picture_has_words_for_those_who_do_not_see_it() -> None:
    for name, places in shown().items():
        for page, words in places:
            assert len(words.split()) > 4, f"{page.name}: {name} needs alternative text"


@pytest.mark.parametrize("path", sorted(pictures.PICTURES.glob("*.png")), ids=lambda p: p.name)
def test_each_file_is_a_sharp_and_light_picture(path: Path) -> None:
    assert path.stat().st_size < pictures.HEAVIEST
    with Image.open(path) as image:
        image.load()
        assert image.format == "PNG"
        assert image.width >= 700
        assert image.height >= 300


# --- picture.yaml ------------------------------------------------------------------------------

GOOD = "a.png:\n  page: experiments\n  shows: [Default]\n"
WRONG = {
    "- a.png": "1: write lines",
    "a.png: [": ":1: this is not YAML",
    "a.png:\n": ':1: write lines of "name: value"',
    "A b.png:\n  page: experiments\n  shows: [x]\n": ":1: name the picture",
    GOOD + GOOD: ':4: "a.png" stands here a second time',
    "a.png:\n  shows: [x]\n": ':1: a.png lacks "page"',
    "a.png:\n  page: experiments\n": ':1: a.png lacks "shows"',
    "a.png:\n  page: experiments\n  shows: []\n": ':1: a.png lacks "shows"',
    "a.png:\n  shows: [x]\n  page: home\n": ':3: "page" is one of',
    GOOD + "  wait: 5\n": ':4: nothing reads "wait"',
    GOOD + "  height: tall\n": ':4: "height" must be a int',
    GOOD + "  ran: [99]\n": ':4: "ran" names block 99',
    GOOD + "  ran: [x]\n": ':4: "x" in "ran" must begin with a block\'s number',
    GOOD + "  then:\n    - press: x\n": ':4: each step of "then"',
    GOOD + "  then:\n    - click: [x]\n": ':4: the step "click" must be given a str',
    "a.png:\n  page: runs\n  shows: [x]\n": ':1: a page "runs" needs "experiment"',
}


@pytest.fixture
def made_up(tmp_path: Path) -> Path:
    """The folder of a block that has no picture yet."""
    folder = tmp_path / "07_block"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("text", WRONG)
def test_a_mistake_is_told_with_its_file_and_line(made_up: Path, text: str) -> None:
    path = made_up / screenshot_specs.NAME
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CourseError) as caught:
        read_file(path)
    assert str(caught.value).startswith("07_block/picture.yaml:")
    assert WRONG[text] in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_left_out(made_up: Path) -> None:
    path = made_up / screenshot_specs.NAME
    path.write_text(GOOD + "  ran: [7, 7 --alpha 0.1]\n", encoding="utf-8")
    (scene,) = read_file(path)
    assert [(one.block, one.arguments) for one in scene.ran] == [(7, ()), (7, ("--alpha", "0.1"))]
    path.write_text(GOOD, encoding="utf-8")
    # Its own block alone, once.
    assert [one.block for one in read_file(path)[0].ran] == [7]


def test_two_blocks_cannot_make_one_picture(tmp_path: Path) -> None:
    for name in ("01_a", "02_b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / screenshot_specs.NAME).write_text(GOOD, encoding="utf-8")
    with pytest.raises(CourseError, match=r"block 1 has a\.png already"):
        read_scenes(tmp_path)


def test_every_step_is_known_to_the_browser() -> None:
    assert set(screenshot_specs.STEPS) == set(screenshots.STEPS)


def test_a_block_without_a_picture_is_told() -> None:
    with pytest.raises(CourseError, match="Block 1 has no picture"):
        screenshot_specs.of_block(read_scenes(), 1)


# --- what is kept ------------------------------------------------------------------------------


def noise(colours: int) -> bytes:
    """A picture that no PNG makes small: 400 x 400 points of so many colours, at random."""
    draw = random.Random(1)
    points = (draw.randrange(colours) for _ in range(400 * 400))
    return pictures.as_png(
        Image.frombytes(
            "RGB", (400, 400), b"".join(bytes((p, p * 3 % 256, p * 7 % 256)) for p in points)
        )
    )


def test_a_light_picture_is_kept_as_it_is(tmp_path: Path) -> None:
    png = noise(4)
    assert len(png) < pictures.HEAVIEST
    pictures.keep(png, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == png
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_heavy_picture_gets_fewer_colours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    png = noise(256)
    monkeypatch.setattr(pictures, "COLOURS", 4)
    assert len(png) > pictures.HEAVIEST
    pictures.keep(png, tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size < pictures.HEAVIEST
    with Image.open(tmp_path / "a.png") as kept:
        assert kept.size == (400, 400)


@pytest.mark.parametrize("what", ["too heavy", "blank", "no picture"])
def test_what_is_no_good_leaves_the_old_one(what: str, tmp_path: Path) -> None:
    target = tmp_path / "a.png"
    target.write_bytes(b"old")
    png = {
        "too heavy": noise(256),
        "blank": pictures.as_png(Image.new("RGB", (900, 400), "white")),
        "no picture": b"<html>",
    }[what]
    with pytest.raises(CourseError, match=r"kB|blank|no picture"):
        pictures.keep(png, target)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a.png", b"old")]


# --- in Chromium -------------------------------------------------------------------------------


@pytest.fixture
def one(whole: Course) -> Iterator[Scene]:
    """The cheapest scene: nothing runs before it."""
    required_browser()
    del whole
    with fork_server():
        yield next(scene for scene in read_scenes() if not scene.ran and scene.page != "notebook")


def test_a_picture_is_taken(
    one: Scene, whole: Course, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that succeeds, after two in which something is not seen: these keep the old picture."""
    absent = replace(one, file="absent.png", shows=("Default", "no such words"))
    hidden = replace(one, file="hidden.png", height=60)
    for name in ("absent.png", "hidden.png"):
        (tmp_path / name).write_bytes(b"old")
    with chromium() as browser:
        failed = pictures.take_all([absent, hidden, one], browser, tmp_path, whole, limit=15)
    assert failed == [absent, hidden]
    told = capsys.readouterr().out.splitlines()
    assert told[0] == (
        f"absent.png (block {one.block}): "
        'the text "no such words" did not appear on the page. The old picture is kept.'
    )
    assert "hidden.png" in told[1] and "outside the picture, cut off or covered" in told[1]
    assert (tmp_path / "absent.png").read_bytes() == b"old"
    assert (tmp_path / "hidden.png").read_bytes() == b"old"
    png = (tmp_path / one.file).read_bytes()
    assert 5_000 < len(png) < pictures.HEAVIEST
    with Image.open(io.BytesIO(png)) as image:
        assert image.size == (screenshots.WIDTH, one.height)
        # Letters and lines, not an empty frame.
        assert len(image.convert("L").getcolors(256) or []) > 50
    assert len(list(tmp_path.iterdir())) == 3


def test_a_path_of_this_machine_is_not_shown(tmp_path: Path) -> None:
    required_browser()
    here = Path.home() / "course"
    words = dict.fromkeys(screenshots.paths_of(here), "/home/you/wine-lab")
    with chromium() as browser, screenshots.page_of(browser, 300) as page:
        page.set_content(f"<p>{here}/mlruns</p><p>~/course/labs</p>")
        screenshots.make_neutral(page, words, [str(Path.home())])
        assert page.inner_text("body").split() == [
            "/home/you/wine-lab/mlruns",
            "/home/you/wine-lab/labs",
        ]
        page.set_content(f"<p>{Path.home()}/other</p>")
        with pytest.raises(CourseError, match="a path of this machine would be seen"):
            screenshots.make_neutral(page, words, [str(Path.home())])


def test_a_text_must_be_seen_whole(tmp_path: Path) -> None:
    required_browser()
    cut = "width:60px;overflow:hidden;text-overflow:ellipsis;white-space:nowrap"
    cover = "position:fixed;left:0;top:200px;width:300px;height:90px;background:blue"
    with chromium() as browser, screenshots.page_of(browser, 300) as page:
        page.set_content(
            f"<p>seen</p><p style='{cut}'>a long text that ends here</p><input value='typed'>"
            f"<p style='position:absolute;top:210px'>covered</p><div style='{cover}'></div>"
            "<p style='position:absolute;top:900px'>below</p>"
        )
        for text in ("seen", "a lo", "typed"):
            screenshots.wait_for(page, (text,), 2)
        for text in ("ends here", "covered", "below", "absent"):
            with pytest.raises(screenshots.Unseen, match=text):
                screenshots.wait_for(page, (text,), 0.3)
