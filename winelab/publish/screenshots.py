"""Take a picture of a page in a browser, once all that it must show is seen.

A page stands still when two pictures of it are the same: MLflow's asks its server all the time,
so that the end of its requests cannot be waited for.
"""

from __future__ import annotations

import json
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from winelab.core.errors import CourseError
from winelab.publish.screenshot_specs import ScreenshotSpec
from winelab.tracking.run_tags import BLOCK_TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from playwright.sync_api import Browser, Locator, Page

WIDTH = 1240
MENU_HEIGHT = 1000
LIMIT = 40.0
"""Seconds in which a text must appear, and a page must come to a stand."""

# Panels that lie over MLflow's pages at the first visit, closed before it.
CLOSED = {
    "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": "true",
    "mlflow.assistant.panelOpen_v1": "false",
    "_mlflow_model_registry_promo_modal_dismissed_v1": "true",
    "mlflow.workflowType_v1": '"machine_learning"',
}
IS_SEEN, MAKE_NEUTRAL = (
    Path(__file__).with_name(name).read_text(encoding="utf-8")
    for name in ("is_seen.js", "make_neutral.js")
)
IMAGES_ARE_THERE = "() => [...document.images].every((image) => image.complete)"


@contextmanager
def page_of(browser: Browser, height: int) -> Iterator[Page]:
    """Open a page: the same language, time zone and size on every machine."""
    from playwright.sync_api import Error

    context = browser.new_context(
        viewport={"width": WIDTH, "height": height}, locale="en-US", timezone_id="UTC"
    )
    context.add_init_script(f"Object.assign(localStorage, {json.dumps(CLOSED)})")
    context.set_default_timeout(1000 * LIMIT)
    try:
        yield context.new_page()
    except Error as error:
        raise CourseError(f"the browser gave up: {error.message.splitlines()[0]}") from error
    finally:
        context.close()


def wait_for(page: Page, texts: list[str]) -> None:
    """Wait until each text is seen. Raises CourseError with the first one that is not."""
    from playwright.sync_api import TimeoutError

    for text in texts:
        try:
            page.wait_for_function(IS_SEEN, arg=text, polling=100)
        except TimeoutError:
            how = "did not appear on the page"
            if page.evaluate("(text) => document.body.innerText.includes(text)", text):
                how = "is on the page, but outside the picture, cut off or covered"
            raise CourseError(f'the text "{text}" {how}') from None


def still(page: Page, shoot: Callable[[], bytes]) -> bytes:
    """Return the PNG that `shoot` takes of the page, once two in a row are the same.

    Raises CourseError when the page does not come to a stand.
    """
    from playwright.sync_api import TimeoutError

    with suppress(TimeoutError):
        page.wait_for_function(IMAGES_ARE_THERE)
    end = time.monotonic() + LIMIT
    before, now = b"", shoot()
    while before != now:
        if time.monotonic() > end:
            raise CourseError("the page does not come to a stand")
        page.wait_for_timeout(350)
        before, now = now, shoot()
    return now


def make_neutral(page: Page, words: Mapping[str, str], foreign: list[str]) -> None:
    """Put `words` on the page in place of this machine's.

    Raises CourseError when one of `foreign`, paths of this machine, is seen afterwards.
    """
    if left := page.evaluate(MAKE_NEUTRAL, [list(words.items()), foreign]):
        raise CourseError(f"a path of this machine would be seen: {left[0]}")


def paths_of(folder: Path) -> list[str]:
    """Return the ways in which a folder's path is written on a page, the longest first."""
    ways = [folder.as_uri().removeprefix("file://"), folder.as_posix(), str(folder)]
    if folder.is_relative_to(Path.home()):
        ways.append(f"~/{folder.relative_to(Path.home()).as_posix()}")
    return sorted(set(ways), key=len, reverse=True)


# --- MLflow's pages ----------------------------------------------------------------------------


def mlflow_page(spec: ScreenshotSpec, client: MlflowClient) -> str:
    """Return the address of a page in MLflow's UI, from "#" on.

    Raises CourseError when what it is about is not in the store.
    """
    tab = f"/{spec.tab}" if spec.tab else ""
    if spec.page == "experiments":
        return "#/experiments?workflowType=machine_learning"
    if spec.page == "runs":
        words = f"?searchFilter={urllib.parse.quote(spec.filter)}" if spec.filter else ""
        return f"#/experiments/{_experiment(client, spec.experiment)}/runs{words}"
    if spec.page == "runs of several experiments":
        ids = json.dumps([_experiment(client, name) for name in spec.experiments])
        return f"#/compare-experiments/s?experiments={urllib.parse.quote(ids)}"
    if spec.page == "logged model":
        run = _newest_run(client, spec.block, models=True)
        model = max(run.outputs.model_outputs, key=lambda output: output.step).model_id
        return f"#/experiments/{run.info.experiment_id}/models/{model}{tab}"
    name = urllib.parse.quote(spec.name)
    if spec.page == "registered model":
        return f"#/models/{name}"
    if spec.page == "run":
        run = _newest_run(client, spec.block, spec.run)
    else:
        version = client.get_model_version_by_alias(spec.name, spec.alias)
        if spec.page == "version":
            return f"#/models/{name}/versions/{version.version}"
        run = client.get_run(str(version.run_id))
    return f"#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}{tab}"


def _experiment(client: MlflowClient, name: str) -> str:
    found = client.get_experiment_by_name(name)
    if found is None:
        raise CourseError(f'there is no experiment "{name}" in the store')
    return str(found.experiment_id)


def _newest_run(client: MlflowClient, block: str, name: str = "", models: bool = False) -> Any:
    """Return the newest run of a block: of this name, or one that has logged a model."""
    words = f"tags.`{BLOCK_TAG}` = '{block}'"
    if name:
        words += f" and attributes.run_name = '{name}'"
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    for run in client.search_runs(ids, words, order_by=["attributes.start_time DESC"]):
        if not models or (run.outputs and run.outputs.model_outputs):
            return run
    raise CourseError(f"block {block} has left no such run in the store")


def take_steps(page: Page, spec: ScreenshotSpec) -> None:
    """Do on MLflow's page what comes before the picture; CourseError for what is not there."""
    for step, texts in [item for steps in spec.then for item in steps.items()]:
        if step == "columns":
            _switch_columns(page, texts)
            continue
        for text in texts:
            place = page.get_by_text(text, exact=True)
            if step == "open":
                # A run's list of children opens by the sign beside its name.
                row = _found(page.get_by_role("row").filter(has=place), text)
                row.get_by_role("button").first.click()
            elif step == "scroll to":
                center = "(element) => element.scrollIntoView({block: 'center'})"
                _found(place, text).evaluate(center)
            else:
                _found(place, text).click()


def _found(place: Locator, what: str) -> Locator:
    """Return the first element at a place, once it is seen there."""
    from playwright.sync_api import TimeoutError

    try:
        place.first.wait_for()
    except TimeoutError:
        raise CourseError(f'the text "{what}" did not appear on the page') from None
    return place.first


def _switch_columns(page: Page, names: list[str]) -> None:
    """Turn columns of a list of runs on, or off where they were on."""
    before = page.viewport_size
    # The menu is longer than a low page, and does not scroll into it.
    page.set_viewport_size({"width": WIDTH, "height": MENU_HEIGHT})
    # The menu lists what the runs have, once they are there.
    _found(page.get_by_text("matching run"), "matching run")
    _found(page.get_by_text("Columns", exact=True), "Columns").click()
    shut = page.locator("[class*='tree-switcher_close']")
    for name in names:
        # Where the runs come later than the menu, their metrics and tags stand folded in it.
        while shut.count():
            shut.first.click()
        # The list itself may have the same words; the menu comes after it.
        _found(page.get_by_text(name, exact=True).last, name).click()
    page.keyboard.press("Escape")
    # A click on nothing closes what Escape leaves open.
    page.mouse.click(WIDTH / 2, 8)
    if before:
        page.set_viewport_size(before)


# --- JupyterLab --------------------------------------------------------------------------------

CELL = ".jp-Notebook .jp-Cell"
# So high that no cell is out of sight: JupyterLab draws only those in sight.
TALL = 6000


def run_all_cells(page: Page) -> None:
    """Run all cells of the open notebook, and wait until none is running."""
    _found(page.locator(CELL), "a cell")
    # Before its kernel rests, JupyterLab would ask for one.
    _rest(page)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text("Run All Cells", exact=True).click()
    _rest(page)


def run_cell(page: Page, number: int) -> None:
    """Run a code cell once more, and wait until it has ended; -1 is the last one, the check."""
    page.locator(".jp-CodeCell").nth(number).locator(".cm-content").click()
    page.keyboard.press("Control+Enter")
    _rest(page)


def _rest(page: Page) -> None:
    """Wait until no cell waits for the kernel, and it rests."""
    from playwright.sync_api import TimeoutError

    idle = page.locator("#jp-main-statusbar", has_text="| Idle")
    # A cell that runs or waits has a star for its number.
    waiting = page.locator(".jp-InputArea-prompt", has_text="[*]")
    # What was started a moment ago may not have reached the kernel yet.
    page.wait_for_timeout(1000)
    try:
        waiting.first.wait_for(state="detached", timeout=3000 * LIMIT)
        idle.wait_for(timeout=3000 * LIMIT)
    except TimeoutError:
        raise CourseError("the kernel in JupyterLab does not come to rest") from None


def leave_out(page: Page, heading: str) -> None:
    """Hide the open notebook's cells from a heading on, all but the check.

    Raises CourseError when there is no such heading.
    """
    hide = """(heading, every) => {
        const cells = [...document.querySelectorAll(every)];
        const first = cells.indexOf(heading.closest(every));
        for (const cell of cells.slice(first, -1)) cell.style.display = "none";
    }"""
    _found(page.locator(f"{CELL} h2", has_text=heading), heading).evaluate(hide, CELL)


def notebook_clip(page: Page, begin: str) -> dict[str, float]:
    """Return the part of the page from the text `begin` to the end of the check, in pixels.

    Raises CourseError when that text is not there.
    """
    text = page.locator(f"{CELL} :is(h1, h2, .jp-InputArea)", has_text=begin)
    first = _found(text, begin).bounding_box()
    last = page.locator(".jp-CodeCell").last.bounding_box()
    if not first or not last:
        raise CourseError("JupyterLab's page is not laid out as it was")
    top, bottom = first["y"] - 12, last["y"] + last["height"] + 12
    return {"x": last["x"], "y": top, "width": last["width"] + 4, "height": bottom - top}
