"""The pictures: each has its spec, its place and its words; a real one is taken in Chromium."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image
from required import required_browser

from tools.made_up import write_order
from winelab.core.errors import CourseError
from winelab.core.order import read_order
from winelab.core.paths import BLOCKS, ROOT
from winelab.course.source import Course
from winelab.publish import pictures, screenshot_specs, screenshots
from winelab.publish.screenshot_specs import ScreenshotSpec, read_file, read_specs
from winelab.system.browser import chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PAGES = [ROOT / "README.md", *sorted(BLOCKS.glob("*/lesson.md"))]
IMAGE = re.compile(r"!\[([^\]]*)\]\((?:\.\./)?docs/pictures/([^)]+)\)")
# Where the README and the lessons show a picture: page, alternative text, the picture's name.
SHOWN = [
    (page, words, name)
    for page in PAGES
    for words, name in IMAGE.findall(page.read_text(encoding="utf-8"))
]

Specs = dict[str, ScreenshotSpec]


@pytest.fixture(scope="module")
def specs() -> Specs:
    """The specs of the course, by their picture's name."""
    return {spec.file: spec for spec in read_specs()}


def test_each_picture_has_a_spec_a_file_and_a_place(specs: Specs) -> None:
    files = {path.name for path in pictures.PICTURES.glob("*.png")}
    assert files == set(specs), "a picture without a spec, or a spec without its picture"
    assert files == {name for *_, name in SHOWN}, "one that nobody shows, or that is not there"


def test_each_picture_has_its_words_and_stands_in_its_own_lesson(specs: Specs) -> None:
    for page, words, name in SHOWN:
        assert len(words.split()) > 4, f"{page.name}: {name} needs alternative text"
        if page.name == "lesson.md":
            assert page.parent.name == specs[name].block


def test_only_a_block_that_shows_nothing_in_mlflow_has_no_picture(
    specs: Specs, whole: Course
) -> None:
    without = {block.slug for block in whole.blocks} - {spec.block for spec in specs.values()}
    # The first changes no result, and the others write and answer elsewhere.
    assert without == {"program", "pipeline_steps", "service"}
    with pytest.raises(CourseError, match="block program has no picture"):
        screenshot_specs.of_block(list(specs.values()), "program")


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
    GOOD + GOOD: ':4: this is not YAML: "a.png" stands here a second time',
    "a.png:\n  shows: [x]\n": ':1: a.png lacks "page"',
    "a.png:\n  page: experiments\n": ':1: a.png lacks "shows"',
    "a.png:\n  page: experiments\n  shows: []\n": ':1: a.png lacks "shows"',
    "a.png:\n  shows: [x]\n  page: home\n": ':3: "page" is one of',
    GOOD + "  wait: 5\n": ':4: nothing reads "wait"',
    GOOD + "  height: tall\n": ':4: "height" of a.png is wrong: input should be a valid integer',
    GOOD + "  ran: [99]\n": ':4: "ran" of a.png is wrong: "99" must begin with a block\'s name',
    GOOD + "  ran: [x]\n": ':4: "ran" of a.png is wrong: "x" must begin with a block\'s name',
    GOOD + "  then:\n    - press: x\n": ":4: \"then\" of a.png is wrong: input should be 'click'",
    GOOD + "  then: x\n": ':4: "then" of a.png is wrong: input should be a valid list',
    "a.png:\n  page: runs\n  shows: [x]\n": ':1: a page "runs" needs "experiment"',
}


@pytest.fixture
def made_up(tmp_path: Path) -> Path:
    """The place for the picture.yaml of a block that has none yet."""
    write_order(tmp_path, "block", "other")
    return tmp_path / "block" / screenshot_specs.NAME


@pytest.mark.parametrize("text", WRONG)
def test_a_mistake_is_told_with_its_file_and_line(made_up: Path, text: str) -> None:
    made_up.write_text(text, encoding="utf-8")
    with pytest.raises(CourseError) as caught:
        read_file(made_up, read_order(made_up.parents[1]))
    assert str(caught.value).startswith("block/picture.yaml:")
    assert WRONG[text] in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_ran_its_own_block_ran_once(made_up: Path) -> None:
    both = "  ran: [block, other --alpha 0.1]\n"
    for line, ran in [
        (both, [["block"], ["other", "--alpha", "0.1"]]),
        ("  ran: []\n", []),
        ("", [["block"]]),
    ]:
        made_up.write_text(GOOD + line, encoding="utf-8")
        assert read_file(made_up, read_order(made_up.parents[1]))[0].ran == ran


def test_two_blocks_cannot_make_one_picture(made_up: Path) -> None:
    other = made_up.parents[1] / "other" / made_up.name
    for path in (made_up, other):
        path.write_text(GOOD, encoding="utf-8")
    with pytest.raises(CourseError, match=r"block block has a\.png already"):
        read_specs(made_up.parents[1])


# --- what is kept ------------------------------------------------------------------------------


def noise(colours: int) -> bytes:
    """A picture that no PNG makes small: 400 x 400 points of so many colours, at random."""
    draw = random.Random(1)
    points = (draw.randrange(colours) for _ in range(400 * 400))
    data = b"".join(bytes((p, p * 3 % 256, p * 7 % 256)) for p in points)
    return pictures.as_png(Image.frombytes("RGB", (400, 400), data))


def test_a_light_picture_is_kept_as_it_is_and_a_heavy_one_gets_fewer_colours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    light, heavy = noise(4), noise(256)
    assert len(light) < pictures.HEAVIEST < len(heavy)
    pictures.keep(light, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == light
    monkeypatch.setattr(pictures, "COLOURS", 4)
    pictures.keep(heavy, tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size < pictures.HEAVIEST
    with Image.open(tmp_path / "a.png") as kept:
        assert kept.size == (400, 400)


def test_what_is_no_good_leaves_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "a.png"
    target.write_bytes(b"old")
    blank = pictures.as_png(Image.new("RGB", (900, 400), "white"))
    for png, words in ((noise(256), "kB"), (blank, "blank")):
        with pytest.raises(CourseError, match=words):
            pictures.keep(png, target)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a.png", b"old")]


# --- in Chromium -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for all tests of this file."""
    required_browser()
    with chromium() as opened:
        yield opened


def test_a_picture_is_taken(
    specs: Specs,
    browser: Browser,
    whole: Course,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One that succeeds, after one in which something is not seen: this keeps the old picture."""
    # The cheapest: nothing runs before it.
    one = next(spec for spec in specs.values() if not spec.ran and spec.page != "notebook")
    absent = {"file": "absent.png", "shows": ["Default", "no such words"]}
    asked = [one.model_copy(update=absent), one]
    (tmp_path / "absent.png").write_bytes(b"old")
    monkeypatch.setattr(screenshots, "LIMIT", 15)
    with pictures.prepared(one, whole) as ready:
        # One server for both.
        monkeypatch.setattr(pictures, "prepared", lambda *_: nullcontext(ready))
        failed = pictures.take_all(asked, browser, tmp_path, whole)
    assert failed == asked[:1]
    assert capsys.readouterr().out.splitlines() == [
        f"absent.png ({one.block}): "
        'the text "no such words" did not appear on the page. The old picture is kept.',
        f"docs/pictures/{one.file}",
    ]
    assert {path.name for path in tmp_path.iterdir()} == {"absent.png", one.file}
    assert (tmp_path / "absent.png").read_bytes() == b"old"
    assert 5_000 < (tmp_path / one.file).stat().st_size < pictures.HEAVIEST
    with Image.open(tmp_path / one.file) as image:
        assert image.size == (screenshots.WIDTH, one.height)
        # Letters and lines, not an empty frame.
        assert len(image.convert("L").getcolors(256) or []) > 50


def test_a_path_of_this_machine_is_not_shown(browser: Browser) -> None:
    here = Path.home() / "course"
    words = dict.fromkeys(screenshots.paths_of(here), "/home/you/wine-lab")
    with screenshots.page_of(browser, 300) as page:
        page.set_content(f"<p>{here}/mlruns</p><p>~/course/labs</p>")
        screenshots.make_neutral(page, words, [str(Path.home())])
        assert page.inner_text("body").split() == [
            "/home/you/wine-lab/mlruns",
            "/home/you/wine-lab/labs",
        ]
        page.set_content(f"<p>{Path.home()}/other</p>")
        with pytest.raises(CourseError, match="a path of this machine would be seen"):
            screenshots.make_neutral(page, words, [str(Path.home())])


def test_a_text_must_be_seen_whole(browser: Browser) -> None:
    cut = "width:60px;overflow:hidden;text-overflow:ellipsis;white-space:nowrap"
    cover = "position:fixed;left:0;top:200px;width:300px;height:90px;background:blue"
    with screenshots.page_of(browser, 300) as page:
        page.set_content(
            f"<p>seen</p><p style='{cut}'>a long text that ends here</p><input value='typed'>"
            f"<p style='position:absolute;top:210px'>covered</p><div style='{cover}'></div>"
            "<p style='position:absolute;top:900px'>below</p>"
        )
        for text in ("seen", "a lo", "typed"):
            screenshots.wait_for(page, [text])
        page.set_default_timeout(300)
        for text in ("ends here", "covered", "below"):
            hidden = f'the text "{text}" is on the page, but outside the picture, cut off'
            with pytest.raises(CourseError, match=hidden):
                screenshots.wait_for(page, [text])
