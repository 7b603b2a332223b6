"""docs/add-a-block.md is typed as it stands into a copy of the course: its block must hold."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from course_copy import course_copy

from winelab.core.paths import ROOT
from winelab.course.source import course
from winelab.system import environment

pytestmark = pytest.mark.skipif(os.name == "nt", reason="ends servers as a terminal does")

PAGE = (ROOT / "docs" / "add-a-block.md").read_text(encoding="utf-8")


def fence(below: str) -> str:
    """What stands in the first fenced block below these words of the page."""
    found = re.search(r"^(`{3,})\w+\n(.*?)^\1$", PAGE.partition(below)[2], re.DOTALL | re.MULTILINE)
    assert found, f"the page shows nothing below {below!r}"
    return found[2]


def type_the_page(root: Path) -> None:
    """Write into the course at `root` what the page says."""

    def change(name: str, old: str, new: str) -> None:
        path = root / name
        before, found, after = path.read_text(encoding="utf-8").partition(old)
        assert found, f"{name} has no {old!r}"
        path.write_text(f"{before}{new}{after}", encoding="utf-8")

    change("blocks/outline.txt", "\n[call-main]", f"{fence('above `[call-main]`')}\n[call-main]")
    change("blocks/course.txt", "\nposter\n", f"\nposter\n{fence('Below `poster`, add:')}")
    (root / "blocks" / "worst").mkdir()
    for name in re.findall(r"^## .*: `(blocks/worst/.*)`$", PAGE, re.MULTILINE):
        (root / name).write_text(fence(f"`{name}`\n"), encoding="utf-8")


def test_the_block_of_the_page_holds(tmp_path: Path) -> None:
    # Not this run's fork server: it has loaded this course.
    own = {name: os.environ[name] for name in os.environ if not name.startswith("WINELAB_")}
    with course_copy(tmp_path) as root:
        type_the_page(root)

        def python(*arguments: str) -> str:
            done = subprocess.run(
                [environment.venv_python(root), "-m", *arguments],
                cwd=root,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                env=own | {"PYTHONUTF8": "1"},
            )
            assert done.returncode == 0, f"{arguments}:\n{done.stdout}"
            return done.stdout

        said = python("winelab", "build").splitlines()
        number = course().block("poster").number + 1
        assert {f"labs/{number}_worst.ipynb", f"solutions/{number}_worst.py", "README.md"} <= {
            *said
        }
        # What `make check BLOCK=worst` asks, but for the outputs and for runs on runs of before.
        tests = [f"tests/course/test_{name}.py" for name in ("cases", "promises")]
        asked = ("-q", "-n", "0", "--block", "worst", "-k", "not outputs and not elsewhere")
        assert " passed" in python("pytest", *tests, *asked)
