"""JupyterLab's and MLflow's pages as a student uses them: with the keyboard and the mouse.

Nothing here sleeps: each step waits for what the page shows when it is done.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from winelab.course.notebook import lab_notebook
from winelab.course.source import Block, course

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page


@dataclass(frozen=True)
class Row:
    """A line of the check's table."""

    word: str
    """ok or TODO."""
    line: str
    hint: str


class Lab:
    """A block's notebook, open in JupyterLab."""

    def __init__(self, page: Page, address: str, block: Block) -> None:
        """Open the course at the printed address, and there the block by a double click."""
        self.page = page
        cells = lab_notebook(course(), block.number)["cells"]
        # JupyterLab knows a cell by its place alone.
        self.places = {cell["id"]: at for at, cell in enumerate(cells)}
        page.goto(address)
        name = f"{block.name}.ipynb"
        page.locator(f".jp-DirListing-item[title^='Name: {name}']").dblclick()
        page.locator(f".lm-TabBar-tab.lm-mod-current[title^='Name: {name}']").wait_for()
        self.panel = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")
        self._cell(len(cells) - 1).wait_for(state="attached")
        # Until the kernel is up and has nothing to do.
        page.locator("#jp-main-statusbar", has_text="| Idle").wait_for()

    def _cell(self, at: int) -> Locator:
        return self.panel.locator(f".jp-Cell[data-windowed-list-index='{at}']")

    def _menu(self, name: str, entry: str) -> None:
        self.page.locator("#jp-MainMenu").get_by_role("menuitem", name=name, exact=True).click()
        self.page.get_by_role("menu").get_by_text(entry, exact=True).click()

    def start_all(self) -> None:
        """Start all cells in a fresh kernel; do not wait for what they do."""
        if not self.panel.locator(".jp-InputPrompt", has_text=re.compile(r"\d")).count():
            self._menu("Run", "Run All Cells")
            return
        # An old answer must not be taken for the new one.
        self._menu("Edit", "Clear Outputs of All Cells")
        self._output("check").locator("table").wait_for(state="detached")
        # In one step: cells that are run while the kernel is still on its way down are lost.
        self._menu("Kernel", "Restart Kernel and Run All Cells…")
        self.page.get_by_role("button", name="Confirm Kernel Restart").click()

    def _output(self, name: str) -> Locator:
        return self._cell(self.places[name]).locator(".jp-Cell-outputArea")

    def run_all(self) -> list[Row]:
        """Run all cells in a fresh kernel; return the check's table, as soon as it is there."""
        self.start_all()
        table = self._output("check").locator("table")
        table.scroll_into_view_if_needed()
        # All at once, and not as it is drawn: JupyterLab draws only what is in sight.
        found = table.evaluate(
            """table => [...table.rows].map(row => {
                const [word, words] = row.cells;
                const hint = words.querySelector("div")?.textContent ?? "";
                const line = words.textContent.slice(0, words.textContent.length - hint.length);
                return [word.textContent, line, hint];
            })"""
        )
        return [Row(*row) for row in found]

    def summary(self) -> str:
        """Return the last line of the check."""
        return self._output("check").locator("table + div").text_content() or ""

    def printed(self, name: str) -> str:
        """Return what a cell printed."""
        return self._output(name).text_content() or ""

    def source(self, name: str) -> str:
        """Return what stands in a cell now."""
        lines = self._cell(self.places[name]).locator(".cm-line")
        # A line without text holds an empty mark.
        return "\n".join((text or "").rstrip() for text in lines.all_text_contents())

    def write(self, name: str, code: str) -> None:
        """Paste code into a cell, in the place of all that stands there."""
        self._cell(self.places[name]).locator(".cm-content").click()
        keyboard = self.page.keyboard
        keyboard.press("ControlOrMeta+a")
        keyboard.press("Delete")
        keyboard.insert_text(code)
        assert self.source(name) == code, f"this came of it:\n{self.source(name)}"

    def wait_for_print(self, name: str, text: str) -> None:
        """Wait until a cell has printed a text, while it may still run."""
        self._output(name).get_by_text(text).wait_for()

    def shut_down(self) -> None:
        """Shut the kernel down, by the menu."""
        self._menu("Kernel", "Shut Down Kernel")
        self.page.locator("#jp-main-statusbar", has_text="No Kernel").wait_for()


class Mlflow:
    """MLflow's pages, as a browser shows them that has never been there."""

    def __init__(self, page: Page, address: str) -> None:
        """Open the printed address."""
        self.page = page
        # What MLflow puts over its pages at a first visit is closed when it comes.
        assistant = page.locator("[data-component-id='mlflow.assistant.chat_panel.close']")
        note = page.get_by_role("button", name="Got it")
        news = page.get_by_role("dialog").get_by_role("button", name="Close")
        for button in (assistant, note, news):
            page.add_locator_handler(button, lambda button: button.click())
        page.goto(address)

    def open_newest_run(self, experiment: str) -> None:
        """Go from the list of experiments to an experiment, and there to the run on top."""
        page = self.page
        page.locator(f"a.experiment-link[title='{experiment}']").click()
        # At a first visit MLflow opens its other half, on language models.
        page.get_by_text("Model training", exact=True).click()
        page.locator("[role='row'][row-index='0'] a").first.click()
        page.get_by_text("About this run").wait_for()

    def metric(self, name: str) -> float:
        """Return a metric on the open run's page."""
        row = self.page.get_by_role("row").filter(has=self.page.get_by_text(name, exact=True))
        row.first.wait_for()
        figure = re.search(r"-?\d+(\.\d+)?", row.first.inner_text().partition(name)[2])
        assert figure, f"there is no figure beside {name}: {row.first.inner_text()}"
        return float(figure[0])

    def shows(self, *pieces: str) -> None:
        """Wait until the page shows all of these pieces of text."""
        for piece in pieces:
            self.page.locator("body", has_text=piece).wait_for()

    def open_version(self, model: str, alias: str) -> int:
        """Go by the menu to a registered model, to the version with an alias; return its number."""
        page = self.page
        page.get_by_role("link", name="Model registry").click()
        page.get_by_role("link", name=model, exact=True).click()
        row = page.get_by_role("row").filter(has_text=f"@ {alias}")
        link = row.get_by_role("link", name=re.compile(r"^Version \d+$"))
        number = int((link.text_content() or "").removeprefix("Version "))
        link.click()
        return number

    def open_source_run(self, name: str) -> None:
        """Go from a version's page to the run that made it, which is called `name`."""
        self.page.get_by_text("Source Run").wait_for()
        self.page.get_by_role("link", name=name, exact=True).click()
        self.page.get_by_text("About this run").wait_for()
