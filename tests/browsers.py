"""A browser's page for tests, which tells what it showed where a test fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

# Seconds that a page may take to show something: this machine may be busy with other tests.
LIMIT = 240


@contextmanager
def opened(browser: Browser, folder: Path, name: str = "page") -> Iterator[Page]:
    """An empty page of its own cookies and storage; closed afterwards.

    Where the block fails, what the page shows and what its console said are kept in `folder`,
    and the failure's message says so.
    """
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(LIMIT * 1000)
    page = context.new_page()
    console: list[str] = []
    page.on("console", lambda message: console.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: console.append(f"error: {error}"))
    page.on("crash", lambda _: console.append("the page crashed"))
    try:
        yield page
    except BaseException as error:
        for line in _kept(page, folder / name, console):
            error.add_note(line)
        raise
    finally:
        context.close()


def _kept(page: Page, path: Path, console: list[str]) -> list[str]:
    """Writes a screenshot and the console beside each other; where they are, a line each."""
    log = path.with_suffix(".log")
    log.write_text("\n".join([page.url, *console]) + "\n", encoding="utf-8")
    lines = [f"The page's console: {log}"]
    try:
        page.screenshot(path=path.with_suffix(".png"), timeout=20_000)
    except Exception as error:
        return [*lines, f"There is no screenshot: {error}"]
    return [f"What the page showed: {path.with_suffix('.png')}", *lines]
