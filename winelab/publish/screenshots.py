"""Takes a picture of a page in a browser, once all that it must show is seen.

A page stands still when two pictures of it are the same: MLflow's asks its server all the time,
so that the end of its requests cannot be waited for.
"""

from __future__ import annotations

import json
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from winelab.core.errors import CourseError
from winelab.publish.screenshot_specs import Scene
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

# Whether a text is seen: whole, inside the window, and under nothing else. The first and the last
# letter are looked at, where a long text would be cut off.
IS_SEEN = """(text) => {
  const inside = (x, y, box) =>
    x >= box.left && x <= box.right && y >= box.top && y <= box.bottom;
  const seen = (x, y, node) => {
    const top = document.elementFromPoint(x, y);
    if (top === null || !(top.contains(node) || node.contains(top))) return false;
    for (let up = node; up; up = up.parentElement) {
      const cuts = getComputedStyle(up).overflowX !== "visible" && up !== document.body;
      if (cuts && !inside(x, y, up.getBoundingClientRect())) return false;
    }
    return true;
  };
  const lies = (box, node) => {
    const y = (box.top + box.bottom) / 2;
    return box.width > 0 && box.height > 0
      && [box.left + 1, box.right - 1].every((x) => seen(x, y, node));
  };
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const node = walk.currentNode;
    for (let at = node.data.indexOf(text); at >= 0; at = node.data.indexOf(text, at + 1)) {
      const range = document.createRange();
      range.setStart(node, at);
      range.setEnd(node, at + text.length);
      const boxes = [...range.getClientRects()];
      if (boxes.length && boxes.every((box) => lies(box, node.parentElement))) return true;
    }
  }
  return [...document.querySelectorAll("input")].some(
    (field) => field.value.includes(text) && lies(field.getBoundingClientRect(), field));
}"""

# Puts neutral words for what differs from machine to machine; gives back what is left of it.
NEUTRAL = """([words, foreign]) => {
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const node = walk.currentNode;
    let text = node.data;
    for (const [old, fresh] of words) text = text.split(old).join(fresh);
    if (text !== node.data) node.data = text;
  }
  return foreign.filter((path) => document.body.innerText.includes(path));
}"""

PICTURES_ARE_THERE = "() => [...document.images].every((image) => image.complete)"


class Unseen(CourseError):
    """A text that a picture must show did not appear."""


@contextmanager
def page_of(browser: Browser, height: int) -> Iterator[Page]:
    """A new page of the browser: the same language, time zone and size on every machine."""
    from playwright.sync_api import Error

    context = browser.new_context(
        viewport={"width": WIDTH, "height": height}, locale="en-US", timezone_id="UTC"
    )
    items = "".join(
        f"localStorage.setItem({json.dumps(k)}, {json.dumps(CLOSED[k])});" for k in CLOSED
    )
    context.add_init_script(items)
    page = context.new_page()
    page.set_default_timeout(LIMIT * 1000)
    try:
        yield page
    except Error as error:
        raise CourseError(f"the browser gave up: {error.message.splitlines()[0]}") from error
    finally:
        context.close()


def until(page: Page, done: Callable[[], bool], limit: float = LIMIT) -> bool:
    """Whether `done` comes true within `limit` seconds, looking at the page now and then."""
    end = time.monotonic() + limit
    while not done():
        if time.monotonic() > end:
            return False
        page.wait_for_timeout(100)
    return True


def wait_for(page: Page, texts: tuple[str, ...], limit: float = LIMIT) -> None:
    """Waits until each text is seen. Raises Unseen with the first one that is not."""
    for text in texts:
        if until(page, partial(page.evaluate, IS_SEEN, text), limit):
            continue
        if page.evaluate("(text) => document.body.innerText.includes(text)", text):
            how = "is on the page, but outside the picture, cut off or covered"
        else:
            how = "did not appear on the page"
        raise Unseen(f'the text "{text}" {how}')


def still(page: Page, shoot: Callable[[], bytes], limit: float = LIMIT) -> bytes:
    """The picture that `shoot` takes of the page, as a PNG, once two in a row are the same."""
    seen = [b""]

    def stands() -> bool:
        seen.append(shoot())
        if seen[-1] == seen[-2]:
            return True
        page.wait_for_timeout(250)
        return False

    until(page, lambda: bool(page.evaluate(PICTURES_ARE_THERE)), limit)
    if not until(page, stands, limit):
        raise CourseError("the page does not come to a stand")
    return seen[-1]


def make_neutral(page: Page, words: Mapping[str, str], foreign: list[str]) -> None:
    """Puts `words` on the page in place of this machine's.

    Raises CourseError when one of `foreign`, paths of this machine, is seen afterwards.
    """
    if left := page.evaluate(NEUTRAL, [list(words.items()), foreign]):
        raise CourseError(f"a path of this machine would be seen: {left[0]}")


# --- MLflow's pages ----------------------------------------------------------------------------


def mlflow_page(scene: Scene, client: MlflowClient) -> str:
    """The address of a scene's page in MLflow's UI, from "#" on.

    Raises CourseError when what it is about is not in the store.
    """
    which = scene.which
    tab = f"/{which['tab']}" if "tab" in which else ""
    if scene.page == "experiments":
        return "#/experiments?workflowType=machine_learning"
    if scene.page == "runs":
        words = f"?searchFilter={urllib.parse.quote(which['filter'])}" if "filter" in which else ""
        return f"#/experiments/{_experiment(client, which['experiment'])}/runs{words}"
    if scene.page == "runs of several experiments":
        ids = json.dumps([_experiment(client, name) for name in which["experiments"]])
        return f"#/compare-experiments/s?experiments={urllib.parse.quote(ids)}"
    if scene.page == "run":
        run = _newest_run(client, scene.block, which.get("run", ""))
        return f"#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}{tab}"
    if scene.page == "logged model":
        run = _newest_run(client, scene.block, models=True)
        model = max(run.outputs.model_outputs, key=lambda output: output.step).model_id
        return f"#/experiments/{run.info.experiment_id}/models/{model}{tab}"
    name = urllib.parse.quote(which["name"])
    if scene.page == "registered model":
        return f"#/models/{name}"
    version = client.get_model_version_by_alias(which["name"], which["alias"])
    if scene.page == "version":
        return f"#/models/{name}/versions/{version.version}"
    run = client.get_run(str(version.run_id))
    return f"#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}{tab}"


def _experiment(client: MlflowClient, name: str) -> str:
    found = client.get_experiment_by_name(name)
    if found is None:
        raise CourseError(f'there is no experiment "{name}" in the store')
    return str(found.experiment_id)


def _newest_run(client: MlflowClient, block: int, name: str = "", models: bool = False) -> Any:
    """The newest run of a block: of this name, or one that has logged a model."""
    words = f"tags.`{BLOCK_TAG}` = '{block}'"
    if name:
        words += f" and attributes.run_name = '{name}'"
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    runs = client.search_runs(ids, words, order_by=["attributes.start_time DESC"])
    for run in runs:
        if not models or (run.outputs and run.outputs.model_outputs):
            return run
    raise CourseError(f"block {block} has left no such run in the store")


def take_steps(page: Page, scene: Scene) -> None:
    """Does on MLflow's page what comes before the picture. Raises Unseen for what is not there."""
    for name, about in scene.then:
        STEPS[name](page, about)


def _found(page: Page, place: Locator, what: str) -> Locator:
    if not until(page, lambda: place.count() > 0 and place.first.is_visible()):
        raise Unseen(f'the text "{what}" did not appear on the page')
    return place.first


def _click(page: Page, text: str) -> None:
    _found(page, page.get_by_text(text, exact=True), text).click()


def _open(page: Page, text: str) -> None:
    """Opens a run's list of children, by the sign beside its name."""
    row = _found(page, page.get_by_role("row").filter(has=page.get_by_text(text, exact=True)), text)
    row.get_by_role("button").first.click()


def _columns(page: Page, names: list[str]) -> None:
    """Turns columns of a list of runs on, or off where they were on."""
    before = page.viewport_size
    # The menu is longer than a low page, and does not scroll into it.
    page.set_viewport_size({"width": WIDTH, "height": MENU_HEIGHT})
    # The menu lists what the runs have, once they are there.
    _found(page, page.get_by_text("matching run"), "matching run")
    _click(page, "Columns")
    for name in map(str, names):
        # The list itself may have the same words; the menu comes after it.
        place = page.get_by_text(name, exact=True)
        _found(page, place.last, name).click()
    page.keyboard.press("Escape")
    # A click on nothing closes what Escape leaves open.
    page.mouse.click(WIDTH / 2, 8)
    if before:
        page.set_viewport_size(before)


def _scroll_to(page: Page, text: str) -> None:
    place = page.get_by_text(text, exact=True)
    if not until(page, lambda: place.count() > 0):
        raise Unseen(f'the text "{text}" did not appear on the page')
    place.first.evaluate("(element) => element.scrollIntoView({block: 'center'})")


STEPS: dict[str, Callable[[Page, Any], None]] = {
    "click": _click,
    "open": _open,
    "columns": _columns,
    "scroll to": _scroll_to,
}


# --- JupyterLab --------------------------------------------------------------------------------

CELL = ".jp-Notebook .jp-Cell"
# So high that no cell is out of sight: JupyterLab draws only those in sight.
TALL = 6000


def run_all_cells(page: Page, sessions: str) -> None:
    """Runs all cells of the open notebook, and waits until none is running.

    Args:
        page: JupyterLab's.
        sessions: the address at which its server tells of the kernels.
    """
    _found(page, page.locator(CELL), "a cell")
    # Before its kernel rests, JupyterLab would ask for one.
    _rest(page, sessions)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text("Run All Cells", exact=True).click()
    _rest(page, sessions)


def run_cell(page: Page, source: str, sessions: str) -> None:
    """Runs the code cell that holds this source, once more; `sessions` as above."""
    for editor in page.locator(".jp-CodeCell .cm-content").all():
        # The editor has lines of its own.
        if "".join(editor.inner_text().split()) == "".join(source.split()):
            editor.click()
            page.keyboard.press("Control+Enter")
            _rest(page, sessions)
            return
    raise Unseen(f'the cell "{source.splitlines()[0]}" did not appear in the notebook')


def _rest(page: Page, sessions: str) -> None:
    """Waits until the kernel rests, and no cell waits for it."""

    def rests() -> bool:
        # A cell that runs or waits has a star for its number.
        waiting = page.locator(".jp-InputArea-prompt", has_text="[*]").count()
        kernels = [session["kernel"] for session in page.request.get(sessions).json()]
        states = {kernel["execution_state"] for kernel in kernels}
        return not waiting and states == {"idle"}

    # What was started a moment ago may not have reached the kernel yet.
    page.wait_for_timeout(1000)
    if not until(page, rests, 3 * LIMIT):
        raise CourseError("the kernel in JupyterLab does not come to rest")


def notebook_clip(page: Page, begins: str) -> dict[str, float]:
    """The part of the page from the text `begins` to the end of the check, in pixels.

    Raises Unseen when that text is not there.
    """
    text = page.locator(f"{CELL} :is(h1, h2, .jp-InputArea)", has_text=begins).first
    first = _found(page, text, begins).bounding_box()
    last = page.locator(".jp-CodeCell").last.bounding_box()
    if not first or not last:
        raise CourseError("JupyterLab's page is not laid out as it was")
    top = first["y"] - 12
    return {
        "x": last["x"],
        "y": top,
        "width": last["width"] + 4,
        "height": last["y"] + last["height"] + 12 - top,
    }


def paths_of(folder: Path) -> list[str]:
    """The ways in which a folder's path is written on a page, the longest first."""
    ways = [folder.as_uri().removeprefix("file://"), folder.as_posix(), str(folder)]
    if folder.is_relative_to(Path.home()):
        ways.append(f"~/{folder.relative_to(Path.home()).as_posix()}")
    return sorted(set(ways), key=len, reverse=True)
