"""`make pictures`: take the pictures of the lessons and of the README again.

Each picture has a workspace of its own, in which the solutions run that its spec names.
"""

from __future__ import annotations

import io
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from winelab.checks.checking import checks_of
from winelab.core.console import say
from winelab.core.errors import CourseError
from winelab.core.files import write_bytes
from winelab.core.paths import ROOT
from winelab.course.compose import solved_cells
from winelab.course.notebook import as_text, lab_notebook
from winelab.course.source import Course, course
from winelab.proof.execute import SHOWN_FOLDER, Code, Where, execute
from winelab.proof.mistakes import edited_cells
from winelab.proof.outputs import solved_code
from winelab.proof.start import furnish_for
from winelab.publish import screenshots
from winelab.publish.screenshot_specs import (
    SOLVED,
    UNTOUCHED,
    ScreenshotSpec,
    of_block,
    read_specs,
)
from winelab.system.browser import chromium
from winelab.system.course_servers import lab_server, ui_server
from winelab.system.forkserver import fork_server
from winelab.system.serve import free_port
from winelab.tracking.workspace import clean_workspace, workspace_environment

if TYPE_CHECKING:
    from PIL.Image import Image
    from playwright.sync_api import Browser

PICTURES = ROOT / "docs" / "pictures"
HEAVIEST = 150_000
"""Bytes: thirty pictures shall not make a clone slow."""
COLOURS = 256

# Away from the ports of `make ui` and `make lab`, and from those that browsers refuse; any of
# them, so that two that start at once hardly ever want the same.
PORTS = range(15_000, 25_000)
# By these MLflow and Jupyter know who works here: the same person on every machine.
STUDENT = dict.fromkeys(("LOGNAME", "USER", "LNAME", "USERNAME"), "student")
FONTS = {"Roboto": "fonts-roboto-unhinted", "Liberation Sans": "fonts-liberation"}


def main(number: int | None = None) -> int:
    """Take the pictures of one block, or all; return 1 if any could not be taken.

    Raises CourseError when there is no browser, or a mistake in a picture.yaml.
    """
    slug = None if number is None else course().block(number).slug
    specs = of_block(read_specs(), slug)
    if missing := missing_fonts():
        say(f"The letters will look different: this machine lacks {' and '.join(missing)}.")
    started = time.monotonic()
    with fork_server(), chromium() as browser:
        failed = take_all(specs, browser, PICTURES, course())
    seconds = time.monotonic() - started
    taken = len(specs) - len(failed)
    say(f"{taken} of {len(specs)} pictures taken in {seconds:.0f} s. Look at each of them.")
    return 1 if failed else 0


def missing_fonts() -> list[str]:
    """Return Debian's packages of the fonts that all pictures are taken with and that lack here."""
    if sys.platform != "linux" or not shutil.which("fc-list"):
        return []
    known = subprocess.run(
        ["fc-list", ":", "family"], capture_output=True, text=True, encoding="utf-8", check=False
    ).stdout
    return [package for font, package in FONTS.items() if font not in known]


def take_all(
    specs: list[ScreenshotSpec], browser: Browser, folder: Path, course: Course
) -> list[ScreenshotSpec]:
    """Take pictures into `folder`; return those that could not be taken.

    Each of these is told in a sentence, and its old picture stays as it was.
    """
    failed = []
    for spec in specs:
        try:
            with prepared(spec, course) as (workspace, address):
                png = take(spec, course, workspace, address, browser)
            keep(png, folder / spec.file)
        except CourseError as error:
            failed.append(spec)
            words = str(error).rstrip(".")
            say(f"{spec.file} ({spec.block}): {words}. The old picture is kept.")
        else:
            say(f"docs/pictures/{spec.file}")
    return failed


# --- before the picture ------------------------------------------------------------------------


@contextmanager
def prepared(spec: ScreenshotSpec, course: Course) -> Iterator[tuple[Path, str]]:
    """Yield a workspace in which all has run that a picture needs, and its page's address.

    The address of a file is "". Raises CourseError when a block does not run, or a server does
    not start.
    """
    with clean_workspace() as workspace, serving(spec, workspace, course) as address:
        furnish_for(course, course.block(spec.block), workspace)
        # Meanwhile the server loads what it needs.
        for slug, *arguments in spec.ran:
            code, where = solved_code(course, course.block(slug), check=True), Where.KERNEL
            if arguments:
                script = Path(code.source).with_suffix(".py").name
                shutil.copy(ROOT / "solutions" / script, workspace / "solutions")
                code, where = Code(script, arguments=tuple(arguments)), Where.FORKED
            # MLflow asks for the notebook's name, where no JupyterLab can tell it.
            names = {"IPYNB_FILE": code.source} if where is Where.KERNEL else {}
            outcome = execute(code, workspace, where, environment={**names, **STUDENT})
            if outcome.error:
                raise CourseError(f"{code.source} does not run: {outcome.last_line}")
        yield workspace, address()


@contextmanager
def serving(spec: ScreenshotSpec, workspace: Path, course: Course) -> Iterator[Callable[[], str]]:
    """Start the server of a page; what is yielded waits for it, and returns the page's address."""
    if spec.page == "file":
        yield lambda: ""
        return
    port = free_port(secrets.choice(PORTS))
    # By it our server is known from another that has taken the port.
    secret = secrets.token_hex(16)
    environment = workspace_environment(workspace, **STUDENT)
    if spec.page == "notebook":
        name = f"labs/{course.block(spec.block).name}.ipynb"
        (workspace / name).write_text(as_text(worked_notebook(course, spec)[0]), encoding="utf-8")
        server = lab_server(port, secret, environment, root=workspace)
    else:
        server = ui_server(port, secret, environment, workspace)
    server.start(workspace, logs=workspace)

    def page() -> str:
        server.wait_until_up()
        if spec.page == "notebook":
            return f"{server.address}/lab/tree/{name}?token={secret}"
        from mlflow import MlflowClient

        return f"{server.address}/{screenshots.mlflow_page(spec, MlflowClient(server.address))}"

    try:
        yield page
    finally:
        server.stop()


def worked_notebook(course: Course, spec: ScreenshotSpec) -> tuple[Any, list[int]]:
    """Return the block's notebook as a student has it, and the code cells that run once more.

    It is untouched, solved, or has a mistake. Raises CourseError when the block knows no such one.
    """
    block = course.block(spec.block)
    notebook = lab_notebook(course, block.number)
    if spec.cells == UNTOUCHED:
        return notebook, []
    cells, again = solved_cells(course, block.number), []
    sources = [cell.source for cell in cells]
    if spec.cells != SOLVED:
        found = [one for one in checks_of(block.folder).mistakes if one.what == spec.cells]
        if not found:
            raise CourseError(f'{block.slug}/checks.py has no mistake "{spec.cells}"')
        # A cell that runs twice stands there once; then the check, the last one, runs again.
        run = edited_cells(course, block, found[0])
        sources = list(dict.fromkeys(run))
        again = [*(at for at, source in enumerate(sources) if run.count(source) > 1), -1]
    empty = [cell for cell in notebook.cells if cell.cell_type == "code"][:-1]
    for cell, source in zip(empty, sources, strict=True):
        cell["source"] = source
    return notebook, again


# --- the picture -------------------------------------------------------------------------------


def take(
    spec: ScreenshotSpec, course: Course, workspace: Path, address: str, browser: Browser
) -> bytes:
    """Return a picture as a PNG. Raises CourseError when something that must be seen is not."""
    if spec.page == "file":
        return poster(workspace / spec.path)
    words = {way: SHOWN_FOLDER for root in (workspace, ROOT) for way in screenshots.paths_of(root)}
    foreign = [tempfile.gettempdir() + os.sep, str(ROOT), str(Path.home()) + os.sep]
    notebook = spec.page == "notebook"
    height = screenshots.TALL if notebook else spec.height
    with screenshots.page_of(browser, height) as page:
        page.goto(address)
        if notebook:
            screenshots.run_all_cells(page)
            for number in worked_notebook(course, spec)[1]:
                screenshots.run_cell(page, number)
            screenshots.leave_out(page, spec.up_to)
        else:
            screenshots.take_steps(page, spec)
            # Where nothing changes its colour under the mouse.
            page.mouse.move(2, spec.height // 2)
        screenshots.wait_for(page, spec.shows)
        screenshots.make_neutral(page, words, foreign)

        def shoot() -> bytes:
            clip = screenshots.notebook_clip(page, spec.begin) if notebook else None
            return bytes(page.screenshot(animations="disabled", clip=clip))

        return screenshots.still(page, shoot)


def poster(path: Path) -> bytes:
    """Return a drawing that a block has made, as wide as the other pictures, as a PNG.

    Raises CourseError when the block has left no such file.
    """
    from PIL import Image

    if not path.is_file():
        raise CourseError(f"the block has left no file {path.name}")
    with Image.open(path) as drawn:
        height = round(drawn.height * screenshots.WIDTH / drawn.width)
        small = drawn.convert("RGB").resize((screenshots.WIDTH, height), Image.Resampling.LANCZOS)
    return as_png(small)


def as_png(image: Image) -> bytes:
    """Return an image as the bytes of a PNG file."""
    held = io.BytesIO()
    image.save(held, "PNG", optimize=True)
    return held.getvalue()


def keep(png: bytes, target: Path) -> None:
    """Put a picture in the place of the old one, whole or not at all.

    A heavy one gets fewer colours. Raises CourseError when it is blank, or too heavy even so.
    """
    from PIL import Image

    with Image.open(io.BytesIO(png)) as opened:
        image = opened.convert("RGB")
    if all(low == high for low, high in image.getextrema()):
        raise CourseError("the picture is blank")
    if len(png) >= HEAVIEST:
        png = as_png(image.quantize(COLOURS))
    if len(png) >= HEAVIEST:
        raise CourseError(
            f"the picture weighs {len(png) // 1000} kB, and {HEAVIEST // 1000} are allowed: "
            "lower its height, or show less"
        )
    write_bytes(target, png)
