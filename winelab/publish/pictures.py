"""`make pictures`: takes the pictures of the lessons and of the README again.

Each picture has a room of its own, in which the solutions run that its scene names. While one is
taken, the room of the next is made ready, in a thread.
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
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from winelab.checks.checking import checks_of
from winelab.core.console import say
from winelab.core.errors import CourseError
from winelab.core.files import write_bytes
from winelab.core.paths import ROOT
from winelab.core.processes import stop_group
from winelab.course.compose import solved_cells
from winelab.course.notebook import as_text, check_source, lab_notebook, solved_notebook
from winelab.course.source import Course, course
from winelab.proof.mistakes import mistaken_cells
from winelab.proof.outputs import SHOWN_FOLDER, execute
from winelab.proof.runner import fork_server, run
from winelab.publish import screenshots
from winelab.publish.screenshot_specs import SOLVED, UNTOUCHED, Ran, Scene, of_block, read_scenes
from winelab.system.browser import chromium
from winelab.system.course_servers import jupyter_variables, lab_command, ui_command
from winelab.system.serve import HOST, free_port, start_server, wait_until_up
from winelab.tracking.workspace import clean_room, room_environment

if TYPE_CHECKING:
    from PIL.Image import Image
    from playwright.sync_api import Browser, Page

PICTURES = ROOT / "docs" / "pictures"
HEAVIEST = 150_000
"""Bytes: thirty pictures shall not make a clone slow."""
COLOURS = 256

# Away from the ports of `make ui` and `make lab`, and from those that browsers refuse; any of
# them, so that two that start at once hardly ever want the same.
PORTS = range(15_000, 25_000)
STUDENT = "student"
"""Whose runs they are, on every machine."""
FONTS = {"Roboto": "fonts-roboto-unhinted", "Liberation Sans": "fonts-liberation"}


@dataclass
class Stage:
    """A room with all that a scene needs; its servers run until `stay` is closed."""

    scene: Scene
    room: Path
    stay: ExitStack
    address: str = ""
    token: str = ""


def main(number: int | None = None) -> int:
    """Takes the pictures of one block, or all; returns 1 if any could not be taken.

    Raises CourseError when there is no browser, or a mistake in a picture.yaml.
    """
    scenes = of_block(read_scenes(), number)
    if missing := missing_fonts():
        say(f"The letters will look different: this machine lacks {' and '.join(missing)}.")
    started = time.monotonic()
    with fork_server(), chromium() as browser:
        failed = take_all(scenes, browser, PICTURES, course())
    seconds = time.monotonic() - started
    taken = len(scenes) - len(failed)
    say(f"{taken} of {len(scenes)} pictures taken in {seconds:.0f} s. Look at each of them.")
    return 1 if failed else 0


def missing_fonts() -> list[str]:
    """Debian's packages of the fonts that all pictures are taken with, where they are missing."""
    if sys.platform != "linux" or not shutil.which("fc-list"):
        return []
    known = subprocess.run(
        ["fc-list", ":", "family"], capture_output=True, text=True, encoding="utf-8", check=False
    ).stdout
    return [package for font, package in FONTS.items() if font not in known]


def take_all(
    scenes: list[Scene],
    browser: Browser,
    folder: Path,
    course: Course,
    limit: float = screenshots.LIMIT,
) -> list[Scene]:
    """Takes the pictures of `scenes` into `folder`; returns those that could not be taken.

    Each of these is told in a sentence, and its old picture stays as it was.
    """
    failed: list[Scene] = []
    with ThreadPoolExecutor(1) as pool:
        ahead: list[Future[Stage]] = [pool.submit(prepare, scenes[0], course)]
        try:
            for at, scene in enumerate(scenes):
                stage = ahead.pop()
                if at + 1 < len(scenes):
                    # Only once this one is ready: two at a time would take each other's port.
                    ahead.append(pool.submit(prepare, scenes[at + 1], course))
                try:
                    ready = stage.result()
                    with ready.stay:
                        keep(take(ready, browser, limit), folder / scene.file)
                except CourseError as error:
                    failed.append(scene)
                    words = str(error).rstrip(".")
                    say(f"{scene.file} (block {scene.block}): {words}. The old picture is kept.")
                else:
                    say(f"docs/pictures/{scene.file}")
        finally:
            # Ctrl-C: the room that is being made ready would be left with its server.
            for left in ahead:
                if left.exception() is None:
                    left.result().stay.close()
    return failed


# --- the room of a scene -----------------------------------------------------------------------


def prepare(scene: Scene, course: Course) -> Stage:
    """Furnishes a room for a scene: its runs, then the server of its page.

    Raises CourseError when a block does not run, or a server does not start.
    """
    with ExitStack() as stay:
        stage = Stage(scene, stay.enter_context(clean_room()), stay)
        up: Callable[[], None] = start_page(stage, course)
        # Meanwhile the server loads what it needs.
        for ran in scene.ran:
            run_block(ran, stage.room, course)
        up()
        stage.stay = stay.pop_all()
    return stage


def run_block(ran: Ran, room: Path, course: Course) -> None:
    """Runs a block in the room: its solved notebook, or with arguments its script."""
    block = course.block(ran.block)
    if not ran.arguments:
        # MLflow asks this variable for the notebook's name, where no JupyterLab can tell it.
        names = {"IPYNB_FILE": f"{block.name}.ipynb", **user()}
        execute(solved_notebook(course, block.number), room, f"{block.name}.ipynb", **names)
        return
    script = f"{block.name}.py"
    shutil.copyfile(ROOT / "solutions" / script, room / "solutions" / script)
    outcome = run(room, source=script, arguments=ran.arguments, environment=user())
    if outcome.error:
        raise CourseError(f"{script} does not run: {outcome.last_line}")


def user() -> dict[str, str]:
    """The variables by which MLflow and Jupyter know who works here."""
    return dict.fromkeys(("LOGNAME", "USER", "LNAME", "USERNAME"), STUDENT)


def start_page(stage: Stage, course: Course) -> Callable[[], None]:
    """Starts the server of a scene's page; what is returned waits until it answers."""
    scene, room = stage.scene, stage.room
    if scene.page == "file":
        return lambda: None
    port, log = free_port(secrets.choice(PORTS)), room / "server.log"
    stage.address = f"http://{HOST}:{port}"
    # By it our server is known from another that has taken the port.
    secret = secrets.token_hex(16)
    if scene.page == "notebook":
        block = course.block(scene.block)
        text = as_text(worked_notebook(course, scene))
        (room / "labs" / f"{block.name}.ipynb").write_text(text, encoding="utf-8")
        command = lab_command(port, "/lab", browser=False, root=room)
        more = {**jupyter_variables(room), "JUPYTER_TOKEN": secret}
        token, mark, answer = secret, "", f"{stage.address}/api/status"
    else:
        command = ui_command(port, secret, root=room)
        more = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        token, mark, answer = "", secret, f"{stage.address}/health"
    stage.token = token
    process = start_server(command, room_environment(room, **more, **user()), room, log)
    stage.stay.callback(stop_group, process)
    return partial(wait_until_up, process, answer, log, token=token, mark=mark)


def worked_notebook(course: Course, scene: Scene) -> object:
    """The block's notebook as a student has it: untouched, solved, or with a mistake made."""
    notebook = lab_notebook(course, scene.block)
    work = scene.which["cells"]
    if work == UNTOUCHED:
        return notebook
    cells = solved_cells(course, scene.block)
    names, sources = [cell.name for cell in cells], [cell.source for cell in cells]
    if work != SOLVED:
        sources = mistaken(course, scene)[0]
    written = dict(zip(names, sources, strict=True))
    for cell in notebook.cells:
        # A cell's id is the block's number and the cell's name.
        cell["source"] = written.get(cell["id"].partition("-")[2], cell["source"])
    return notebook


def mistaken(course: Course, scene: Scene) -> tuple[list[str], str]:
    """The cells' sources with the scene's mistake made, and that of the cell to run twice, or "".

    Raises CourseError when the block knows no such mistake.
    """
    block = course.block(scene.block)
    what = scene.which["cells"]
    for mistake in checks_of(block.folder).mistakes:
        if mistake.what == what:
            cells = mistaken_cells(course, block, mistake)
            again = next((one for at, one in enumerate(cells) if one in cells[:at]), "")
            return list(dict.fromkeys(cells)), again
    raise CourseError(f'{block.name}/checks.py has no mistake "{what}"')


# --- the picture -------------------------------------------------------------------------------


def take(stage: Stage, browser: Browser, limit: float = screenshots.LIMIT) -> bytes:
    """The picture of a scene, as a PNG.

    Raises CourseError when something that must be seen is not.
    """
    scene = stage.scene
    if scene.page == "file":
        return poster(stage.room / scene.which["path"])
    words = {way: SHOWN_FOLDER for root in (stage.room, ROOT) for way in screenshots.paths_of(root)}
    foreign = [tempfile.gettempdir() + os.sep, str(ROOT), str(Path.home()) + os.sep]
    with screenshots.page_of(browser, scene.height) as page:
        if scene.page == "notebook":
            return take_notebook(stage, page, words, foreign, limit)
        from mlflow import MlflowClient

        page.goto(f"{stage.address}/{screenshots.mlflow_page(scene, MlflowClient(stage.address))}")
        screenshots.take_steps(page, scene)
        # Where nothing changes its colour under the mouse.
        page.mouse.move(2, scene.height // 2)
        screenshots.wait_for(page, scene.shows, limit)
        screenshots.make_neutral(page, words, foreign)
        return screenshots.still(page, partial(page.screenshot, animations="disabled"), limit)


def take_notebook(
    stage: Stage, page: Page, words: dict[str, str], foreign: list[str], limit: float
) -> bytes:
    """The picture of a notebook in JupyterLab, from a text to the end of its check, as a PNG."""
    scene = stage.scene
    block = course().block(scene.block)
    page.set_viewport_size({"width": screenshots.WIDTH, "height": screenshots.TALL})
    page.goto(f"{stage.address}/lab/tree/labs/{block.name}.ipynb?token={stage.token}")
    sessions = f"{stage.address}/api/sessions?token={stage.token}"
    screenshots.run_all_cells(page, sessions)
    if scene.which["cells"] not in (UNTOUCHED, SOLVED):
        _, again = mistaken(course(), scene)
        for text in filter(None, [again, check_source(scene.block)]):
            screenshots.run_cell(page, text, sessions)
    screenshots.make_neutral(page, words, foreign)
    screenshots.wait_for(page, scene.shows, limit)
    clip = screenshots.notebook_clip(page, scene.which["from"])
    shoot = partial(page.screenshot, animations="disabled", clip=clip)
    return screenshots.still(page, shoot, limit)


def poster(path: Path) -> bytes:
    """A drawing that a block has made, as wide as the other pictures, as a PNG.

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
    """An image as the bytes of a PNG file."""
    held = io.BytesIO()
    image.save(held, "PNG", optimize=True)
    return held.getvalue()


def keep(png: bytes, target: Path) -> None:
    """Puts a picture in the place of the old one, whole or not at all.

    A heavy one gets fewer colours. Raises CourseError when it is blank, or too heavy even so.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(png)) as opened:
            image = opened.convert("RGB")
    except (UnidentifiedImageError, OSError) as error:
        raise CourseError("what the browser gave is no picture") from error
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
