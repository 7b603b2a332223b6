"""Find the installed Chromium for pictures, PDFs and tests, and open it headless and offline.

What this module opens is driven by playwright (``browser-requirements.txt``), imported only
when a browser is really opened.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from winelab.core.errors import CourseError
from winelab.system import packages

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PINS = packages.GROUPS["browser"]
VARIABLE = "WINELAB_BROWSER"
"""Names a browser's program, where it is none of those that are looked for."""

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge")
PLACES = {
    "darwin": (
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
        "/Applications/Chromium.app/Contents/MacOS/Chromium",
        "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
    ),
    "win32": (
        r"%PROGRAMFILES%\Google\Chrome\Application\chrome.exe",
        r"%LOCALAPPDATA%\Google\Chrome\Application\chrome.exe",
        r"%PROGRAMFILES(X86)%\Microsoft\Edge\Application\msedge.exe",
    ),
}

# A page that asks the internet for anything fails, so that what works here works offline (P8).
OFFLINE = "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"


def find() -> str:
    """Return the program of a Chromium, Chrome or Edge on this machine.

    Raises CourseError when there is none.
    """
    if named := os.environ.get(VARIABLE):
        if not Path(named).is_file():
            raise CourseError(f"{VARIABLE} names {named}, and there is no such file.")
        return named
    for name in NAMES:
        if found := shutil.which(name):
            return found
    for place in PLACES.get(sys.platform, ()):
        path = Path(os.path.expandvars(place))
        if path.is_file():
            return str(path)
    raise CourseError(
        "No Chromium, Chrome or Edge is on this machine: install one "
        f"(Debian, Ubuntu: `sudo apt install chromium`), or name its program in {VARIABLE}."
    )


@contextmanager
def chromium() -> Iterator[Browser]:
    """Open a headless browser that reaches 127.0.0.1 and nothing else; closed afterwards.

    Raises CourseError when there is no browser, or when playwright cannot be installed.
    """
    program = find()
    packages.install(PINS, "the browser")
    from playwright.sync_api import sync_playwright

    arguments = ["--disable-gpu", OFFLINE]
    # Chromium's own sandbox refuses to work for root, as in a container.
    if sys.platform != "win32" and os.geteuid() == 0:
        arguments.append("--no-sandbox")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        try:
            yield browser
        finally:
            browser.close()
