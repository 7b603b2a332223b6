"""The report of `make grade`, made by really grading two students, and read in a browser."""

from __future__ import annotations

import shutil
from pathlib import Path

from browsers import opened
from required import required_browser

from winelab.checks.checking import checks_of
from winelab.core.paths import LABS, SOLUTIONS
from winelab.course.source import Course
from winelab.grading import command
from winelab.system.browser import chromium


def test_a_class_is_graded_and_its_report_read(whole: Course, tmp_path: Path) -> None:
    required_browser()
    block = whole.block("run")
    hand_ins, report = tmp_path / "Übung 1", tmp_path / "the report"
    for student, file in (("Zoë Ångström", SOLUTIONS), ("Tom & Co", LABS)):
        (hand_ins / student).mkdir(parents=True)
        shutil.copy(file / f"{block.name}.ipynb", hand_ins / student / f"{block.name} (1).ipynb")
    assert command.main(str(hand_ins), str(report)) == 0
    hint = next(
        mistake.hint
        for mistake in checks_of(block.folder).mistakes
        if "made no run" in mistake.hint
    )
    with chromium() as browser, opened(browser, tmp_path, "report") as page:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto((report / "grades.html").as_uri())
        # Of itself it needs no other file, and no network.
        assert len(asked) == 1
        hardest = page.get_by_role("table").first
        assert "1 of 2" in (hardest.text_content() or "")
        detail = page.get_by_role("dialog")
        page.get_by_role("button", name="Tom").click()
        assert hint.replace("`", "") in (detail.text_content() or "")
        page.keyboard.press("Escape")
        detail.wait_for(state="hidden")
        # With the keyboard alone, and the right one has no hint to show.
        page.get_by_role("button", name=f"Zoë Ångström, block {block.number}").press("Enter")
        detail.wait_for(state="visible")
        words = detail.text_content() or ""
        assert "ok" in words and "hint" not in words.lower()
