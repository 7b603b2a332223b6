"""The tags on each run: the block and the try that made it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tools.made_up import needs_fork
from winelab.course.source import course
from winelab.proof.execute import Code, execute
from winelab.tracking import run_tags
from winelab.tracking.run_tags import (
    BLOCK_TAG,
    TRY_TAG,
    CourseContext,
    block_slug,
    source_name,
    this_try,
)
from winelab.tracking.workspace import furnish

TAGS = (
    "import mlflow\n"
    "with mlflow.start_run() as run:\n"
    "    pass\n"
    "tags = mlflow.get_run(run.info.run_id).data.tags\n"
    f"print(tags.get({BLOCK_TAG!r}), tags[{TRY_TAG!r}])\n"
)


@pytest.fixture(autouse=True)
def outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody says which notebook or script this is."""
    for name in ("WINELAB_SOURCE", "WINELAB_CELL", "JPY_SESSION_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(sys.modules, "IPython.core.getipython", None)
    monkeypatch.setattr(sys, "argv", [""])


def in_a_kernel(
    monkeypatch: pytest.MonkeyPatch, names: dict[str, str] | None = None, cell: int = 1
) -> None:
    """Let this process look like a notebook's kernel."""
    shell = SimpleNamespace(user_ns=names or {}, execution_count=cell)
    module = SimpleNamespace(get_ipython=lambda: shell)
    monkeypatch.setitem(sys.modules, "IPython.core.getipython", module)


# --- the file's name ---------------------------------------------------------------------------

NAMES = {
    "autolog": [
        # The slug counts, whatever the number is.
        "14_autolog.ipynb", "9_autolog.ipynb", "99_autolog_maria.py",
        "14_autolog (1).ipynb", "14_autolog-Copy1.ipynb",
        "14_autolog - Müller.ipynb", "14-autolog.ipynb",
        "14 autolog.ipynb",
    ],
    "params_metrics": ["05_params_metrics.ipynb", "14-params-metrics (1).ipynb"],
    "train": ["00_train.ipynb"],
    "": [
        "autolog.ipynb", "Untitled14.ipynb", "2024_report.ipynb", "140_much.ipynb",
        "14autolog.ipynb", "99.py", "",
    ],
}  # fmt: skip


@pytest.mark.parametrize("slug", NAMES)
def test_a_files_name_says_the_block_by_its_slug_or_number(slug: str) -> None:
    assert {block_slug(name) for name in NAMES[slug]} == {slug}


def test_a_number_alone_is_looked_up_in_the_course() -> None:
    assert [block_slug(f"{block.number}.py") for block in course().blocks] == [
        block.slug for block in course().blocks
    ]


def test_without_a_course_the_name_alone_says_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_tags, "_listed", lambda: ())
    assert block_slug("14_autolog.ipynb") == "autolog"
    assert block_slug("14.ipynb") == ""


NAME = "14_autolog (1).ipynb"
LAB = {"JPY_SESSION_NAME": f"labs/{NAME}"}
# The names in IPython, if it runs; the variables of the environment; the name read out of it.
SOURCES: dict[str, tuple[dict[str, str] | None, dict[str, str], str]] = {
    "absolute": ({}, {"JPY_SESSION_NAME": f"/home/jö/labs/{NAME}"}, NAME),
    "relative": ({}, LAB, NAME),
    "alone": ({}, {"JPY_SESSION_NAME": NAME}, NAME),
    "Windows": ({}, {"JPY_SESSION_NAME": rf"C:\Users\Zoë Kovács\wine lab\labs\{NAME}"}, NAME),
    "numbered folder": ({}, {"JPY_SESSION_NAME": f"/home/me/03_old/{NAME}"}, NAME),
    "the course says it": ({}, {"WINELAB_SOURCE": "05_uri.ipynb"} | LAB, "05_uri.ipynb"),
    # VS Code may have been started from a Jupyter server.
    "VS Code": ({"__vsc_ipynb_file__": r"c:\labs\05_uri.ipynb"}, LAB, "05_uri.ipynb"),
    # Started from a notebook's terminal, a script inherits that notebook's name.
    "script": (None, LAB, "05_uri.py"),
    "nobody says it": ({}, {}, ""),
}


@pytest.mark.parametrize("source", SOURCES)
def test_the_notebook_or_script_is_named(monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    in_ipython, variables, name = SOURCES[source]
    monkeypatch.setattr(sys, "argv", ["solutions/05_uri.py", "--alpha", "1"])
    if in_ipython is not None:
        in_a_kernel(monkeypatch, in_ipython)
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    assert source_name() == name
    assert CourseContext().in_context()
    assert CourseContext().tags().keys() == ({TRY_TAG, BLOCK_TAG} if name else {TRY_TAG})


def test_an_embedded_python_has_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [])
    assert source_name() == ""


# --- the try -----------------------------------------------------------------------------------


def test_each_execution_of_a_cell_is_a_try_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []
    for cell in (1, 1, 2):
        in_a_kernel(monkeypatch, cell=cell)
        tries.append(this_try())
    assert tries[0] == tries[1] != tries[2]


@needs_fork
def test_a_forked_process_is_a_new_session(tmp_path: Path) -> None:
    workspace = furnish(tmp_path / "workspace")
    code = (
        "import os\n"
        "from winelab.tracking.run_tags import session\n"
        "mine = session()\n"
        "there, here = os.pipe()\n"
        "if os.fork() == 0:\n"
        "    os.write(here, session().encode())\n"
        "    os._exit(0)\n"
        "print(mine, os.read(there, 100).decode())\n"
    )
    mine, its = execute(Code("mine.ipynb", (code,)), workspace).printed.split()
    assert mine != its


# --- what MLflow says --------------------------------------------------------------------------


@pytest.mark.parametrize(("level", "shown"), [("", "WARNING"), ("INFO", "INFO WARNING")])
def test_mlflow_warns_and_does_not_chat(level: str, shown: str) -> None:
    code = "import mlflow, logging; log = logging.getLogger('mlflow.x'); "
    code += "log.info('a'); log.warning('b')"
    variables = {k: v for k, v in os.environ.items() if k != "MLFLOW_LOGGING_LEVEL"}
    variables |= {"MLFLOW_LOGGING_LEVEL": level} if level else {}
    done = subprocess.run(
        [sys.executable, "-c", code], env=variables, capture_output=True, encoding="utf-8"
    )
    assert " ".join(re.findall(r"(INFO|WARNING) mlflow\.x", done.stderr)) == shown


# --- on real runs ------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["cells", "script"])
def test_mlflow_puts_the_tags_on_runs(tmp_path: Path, form: str) -> None:
    workspace = furnish(tmp_path / "workspace")
    if form == "cells":
        outcome = execute(Code("14_autolog (1).ipynb", (TAGS, TAGS)), workspace)
    else:
        mine = f"{course().block('autolog').number}_mine.py"
        (workspace / "solutions" / mine).write_text(TAGS * 2, encoding="utf-8")
        outcome = execute(Code(mine), workspace, environment={"WINELAB_SOURCE": ""})
    (one, first), (other, second) = (line.split() for line in outcome.printed.splitlines())
    assert one == other == "autolog"
    # One session; two cells are two tries.
    assert first.split("/")[0] == second.split("/")[0]
    assert (first != second) == (form == "cells")
