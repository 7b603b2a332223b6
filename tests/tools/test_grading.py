"""Grading one hand-in: right ones get their marks, bad ones one clear line, and none does harm."""

from __future__ import annotations

import json
import shutil
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nbformat
import pytest

from winelab.checks.checking import checks_of
from winelab.core.paths import LABS, ROOT, SOLUTIONS
from winelab.course.compose import solved_cells
from winelab.course.source import course
from winelab.grading import grader
from winelab.grading.backends import LimitsAlone
from winelab.grading.grader import grade_one
from winelab.grading.limits import MB, Limit, Limits
from winelab.grading.result import Grade, HandIn
from winelab.grading.sandbox_worker import code_cells, denied

PATIENT = 600.0
"""Seconds, where it is not the time that is tried: the machine may be busy."""
walled = pytest.mark.skipif(
    not (sys.platform == "linux" and shutil.which("bwrap")), reason="no bubblewrap here"
)
linux = pytest.mark.skipif(sys.platform != "linux", reason="the limits are Linux's")


def notebook(*cells: str, **more: Any) -> bytes:
    """A notebook with these code cells."""
    made = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_markdown_cell("# Mine"), *map(nbformat.v4.new_code_cell, cells)]
    )
    return json.dumps({**made, **more}).encode()


def graded(
    folder: Path, content: bytes | str, name: str = "mine.py", block: int | str = 0, **limits: Any
) -> Grade:
    """Grade a file with this content."""
    file = folder / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    number = block if isinstance(block, int) else course().block(block).number
    return grade_one(HandIn("Ada", number, file), Limits(**{"seconds": PATIENT, **limits}))


def nothing_earned(grade: Grade) -> bool:
    """Whether no check passed."""
    return not any(verdict.done for verdict in grade.verdicts)


def one_clear_sentence(grade: Grade) -> None:
    """Whatever happened, it is told in a line."""
    assert grade.problem
    assert "\n" not in grade.problem and len(grade.problem) < 450
    assert all(c.isprintable() for c in grade.problem)
    assert "Traceback" not in grade.problem and "grader failed" not in grade.problem
    assert len(grade.printed) <= grader.PRINTED


def sources(slug: str) -> list[str]:
    """The solved cells of a block, without the check."""
    return [cell.source for cell in solved_cells(course(), course().block(slug).number)]


RIGHT = sources("train")
"""The solved cells of the first block, which needs no MLflow: it is soon done."""


# --- right hand-ins -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("slug", "name"),
    [
        pytest.param("run", "Übung 3 (final) (2).ipynb", id="a notebook without its check"),
        pytest.param("autolog", "script_ada.py", id="a script"),
        pytest.param(
            "environment", "16.py", id="one whose checks ask for the versions of packages"
        ),
        pytest.param("serve", "28.ipynb", id="one that starts a server on this machine"),
    ],
)
def test_a_right_hand_in_has_all_its_marks(tmp_path: Path, slug: str, name: str) -> None:
    block = course().block(slug)
    built = (SOLUTIONS / f"{block.name}{Path(name).suffix}").read_bytes()
    content = notebook(*sources(slug)) if slug == "run" else built
    grade = graded(tmp_path, content, name, slug)
    assert (grade.problem, grade.score) == ("", 1.0), grade
    names = [function.__name__ for function in checks_of(block.folder).lines]
    assert [verdict.name for verdict in grade.verdicts] == names
    assert all(verdict.line and not verdict.hint for verdict in grade.verdicts)
    assert grade.seconds > 0


def test_a_run_left_open_costs_nothing_in_a_block_that_is_about_none(tmp_path: Path) -> None:
    """The student is told in a line on top of the report; a grade is of the block's own checks."""
    content = notebook(*sources("train"), "import mlflow\nmlflow.start_run()")
    grade = graded(tmp_path, content, "00.ipynb", "train")
    assert (grade.problem, grade.score) == ("", 1.0), grade


ODD = {
    "magics, display and shell commands": (
        "%matplotlib inline\nimport matplotlib.pyplot as plt",
        "%%time\nplt.plot([1, 2]); plt.show()",
        "!echo from the shell",
        "display('shown')\n'the last value'",
        "import asyncio\nawait asyncio.sleep(0)",
        "from pathlib import Path\nPath.cwd().name",
        "x = 1;\n?x",
        "from winelab import check\ncheck(0)",
        "from winelab import check\ncheck()",
    ),
    "another working folder": ("import os; os.chdir('/')",),
    # In Jupyter such a notebook has run: only a script must come to its end.
    "a thread that goes on": (
        "import threading, time\nthreading.Thread(target=time.sleep, args=[6000]).start()",
    ),
}


@pytest.mark.parametrize("what", ODD)
def test_what_works_in_jupyter_works(tmp_path: Path, what: str) -> None:
    grade = graded(tmp_path, notebook(*RIGHT, *ODD[what]), "a.ipynb")
    assert (grade.problem, grade.score) == ("", 1.0), grade
    if "shell" in what:
        for words in ("from the shell", "'shown'", "'the last value'", "'labs'"):
            assert words in grade.printed


def test_a_cell_that_is_meant_to_fail_is_no_problem(tmp_path: Path) -> None:
    content = json.loads(notebook("1 / 0", *RIGHT))
    content["cells"][1]["metadata"]["tags"] = ["raises-exception"]
    grade = graded(tmp_path, json.dumps(content), "a.ipynb")
    assert (grade.problem, grade.score) == ("", 1.0)


def test_exit_0_is_a_normal_end_of_a_script_wherever_it_stands(tmp_path: Path) -> None:
    before = "\n".join(["import sys", *RIGHT])
    grade = graded(tmp_path, f"{before}\nsys.exit()\nraise ValueError\n")
    assert (grade.problem, grade.score) == ("", 1.0), grade


def test_a_script_in_latin_1_that_says_so_is_run(tmp_path: Path) -> None:
    grade = graded(tmp_path, "# -*- coding: latin-1 -*-\nprint('ü')\n".encode("latin-1"))
    assert (grade.problem, grade.printed.strip()) == ("", "ü")


def test_the_untouched_lab_has_its_todos_with_hints(tmp_path: Path) -> None:
    lab = (LABS / f"{course().block('run').name}.ipynb").read_bytes()
    grade = graded(tmp_path, lab, "3_run.ipynb", "run")
    assert (grade.problem, grade.score) == ("", 0.0)
    assert grade.own and all(not verdict.done and verdict.hint for verdict in grade.own)
    assert "checks are run by the grader" in grade.printed


TWO = notebook("x = 1\ny = 2", "z = 3")
FORMS = {
    "version 3": {"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": [{"cells": [
        {"cell_type": "heading", "level": 1, "source": ["Mine"]},
        {"cell_type": "code", "language": "python", "input": ["x = 1\n", "y = 2"]},
        {"cell_type": "code", "language": "python", "input": "z = 3", "outputs": []},
    ]}]},
    "lists of lines": {"cells": [
        {"cell_type": "code", "source": ["x = 1\n", "y = 2"]},
        {"cell_type": "code", "source": ["z = 3"]},
    ]},
    "byte-order mark": b"\xef\xbb\xbf" + TWO,
    "CRLF": TWO.replace(rb"\n", rb"\r\n").replace(b", ", b",\r\n"),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_notebooks_of_any_form_are_read(form: str) -> None:
    found = FORMS[form]
    cells = code_cells(found if isinstance(found, bytes) else json.dumps(found).encode())
    assert [source for source, _ in cells] == ["x = 1\ny = 2", "z = 3"]


# --- hand-ins that fail, or do harm -------------------------------------------------------------

SCRIPTS: dict[str, tuple[str | bytes, str]] = {
    # What the script does, and words of the one sentence that is said of it.
    "an error": ("x = 1\nprint(y)", "Line 2 ended in NameError: name 'y' is not defined"),
    "a syntax error": ("x = 1\nx = (", "Line 2 ended in SyntaxError"),
    "an exit with a number": ("import sys\nsys.exit(3)", "Line 2 ended the run with 3"),
    "an end of its own process": ("import os\nos._exit(0)", "ended its own process"),
    "a signal to itself": ("import os\nos.kill(os.getpid(), 9)", "died of SIGKILL"),
    "a crash": ("import ctypes\nctypes.string_at(0)", "died of SIGSEGV"),
    "a question": ("input('Name? ')", "waits for something to be typed"),
    "a window": ("import tkinter\ntkinter.Tk()", "no screen|No module named"),
    "a warning of an endless recursion": ("def f(): f()\nf()", "RecursionError"),
    "an interrupt": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "an empty file": ("", "The file is empty."),
    "latin-1 that does not say so": (b"print('\xfc')", "not in UTF-8"),
    "UTF-16": ("print(1)".encode("utf-16"), "no text in UTF-8"),
    "an odd error": (
        "class E(Exception):\n  def __str__(self): raise ValueError\nraise E", "Line 3 ended in",
    ),
    "an error with a page of words": ("raise ValueError('x\\n' * 10_000)", "ValueError: x x x"),
    "words that steer a terminal": ("raise ValueError('\\x1b[2Jgone\\x07')", "ValueError: [2Jgone"),
}  # fmt: skip
NOTEBOOKS = {
    "no JSON": (b"# my notebook", "it is not JSON"),
    "empty": (b"", "The file is empty."),
    "JSON of something else": (b'{"a": 1}', "has no cells"),
    "a list": (b"[]", "has no cells"),
    "cells of another kind": (b'{"cells": [3]}', "not as Jupyter writes them"),
    "nested without end": (b"[" * 200_000, "nested without end"),
    "latin-1": (notebook("x = '?'").replace(b"?", b"\xfc"), "not in UTF-8"),
    "no code cells": (notebook(), "no code in it"),
    "code cells that are empty": (notebook("", "  \n"), "no code in it"),
    "another language": (
        notebook("x <- 1", metadata={"kernelspec": {"language": "R"}}), "in R, not in Python",
    ),
    "an exit": (notebook("import sys\nsys.exit()", "x = 1"), "Code cell 1 of 2 ended the run"),
    "quit": (notebook("x = 1", "quit()", "x = 2"), "Code cell 2 of 3 ended the run"),
    "a magic that is not there": (notebook("%no_such"), "Code cell 1 of 1 ended in UsageError"),
    "an end of its process": (notebook("1", "import os; os._exit(0)"), "in code cell 2"),
}  # fmt: skip
HARM: dict[str, tuple[str, dict[str, Any], str]] = {
    # What it does, the limits of this trial, and words of the sentence. More of what is ended, and
    # of what is not reached, is in test_sandbox.py: here is each way of saying so.
    "a thread that never ends": (
        "import threading\ndef f():\n  while True: pass\nthreading.Thread(target=f).start()",
        {"seconds": 3}, "did not end within 3 s",
    ),
    "threads": (
        "import threading, time\n"
        "for _ in range(999): threading.Thread(target=time.sleep, args=[600]).start()",
        {"processes": 60}, "started more than the 60 processes",
    ),
    "a sparse file": (
        "open('x', 'wb').truncate(10 * 2**30)", {"disk": 40 * MB}, "more to disk than the 40 MB",
    ),
    "many small files": (
        "n = 0\nwhile True:\n  n += 1\n  open(f'/tmp/{n}', 'w').close()", {"files": 2000},
        "2000 files",
    ),
    "a full disk that it does not mind": (
        "try:\n  f = open('x', 'wb')\n  while True: f.write(b'x' * 1_000_000)\n"
        "except OSError: pass\nimport time; time.sleep(600)", {"disk": 20 * MB, "seconds": 30},
        "wrote more than 20 MB",
    ),
    "50 GB of memory at once": ("x = b'x' * (50 * 2**30)", {}, "more memory than the 3 GB"),
    "a daemon, and its parent gone": (
        "import os, time\nif os.fork():\n  os._exit(0)\nos.setsid()\ntime.sleep(600)", {},
        "ended its own process",
    ),
    "no room any more": (
        "import os, shutil\nfrom pathlib import Path\n"
        "shutil.rmtree(Path.home() / 'wine-lab')\nos.getcwd()", {}, "FileNotFoundError",
    ),
    "a change of the tools": (
        f"open({str(ROOT / 'winelab' / '__init__.py')!r}, 'a')", {}, "outside of its own folder",
    ),
    "the network, by name": (
        "import urllib.request\nurllib.request.urlopen('http://example.org')", {},
        "asked the network, which is not there",
    ),
    "the network, by requests": (
        "import requests\nrequests.get('https://example.org')", {}, "asked the network",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "limits", "words"),
    [
        *(pytest.param("a.py", code, {}, w, id=what) for what, (code, w) in SCRIPTS.items()),
        *(pytest.param("a.ipynb", c, {}, w, id=f"{what} (notebook)") for what, (c, w)
          in NOTEBOOKS.items()),
        *(pytest.param("a.py", *case, id=what, marks=walled) for what, case in HARM.items()),
    ],
)  # fmt: skip
def test_what_went_wrong_is_one_clear_sentence(
    tmp_path: Path, name: str, content: str | bytes, limits: dict[str, Any], words: str
) -> None:
    grade = graded(tmp_path, content, name, **limits)
    one_clear_sentence(grade)
    assert any(word in grade.problem for word in words.split("|")), grade.problem
    assert nothing_earned(grade)


def test_a_cell_that_fails_ends_the_run_and_what_is_there_is_checked(tmp_path: Path) -> None:
    grade = graded(tmp_path, notebook(*RIGHT, "1 / 0", "wine = None"), "a.ipynb")
    assert grade.score == 1.0
    at = len(RIGHT) + 1
    assert grade.problem == (
        f"Code cell {at} of {at + 1} ended in ZeroDivisionError: division by zero; the cells after "
        "it did not run."
    )
    assert "Traceback" in grade.printed and "1 / 0" in grade.printed


@pytest.mark.parametrize("limit", Limit)
def test_each_limit_has_its_sentence(limit: Limit) -> None:
    assert not {"{", "}"} & set(Limits().fill(limit.value, where=" here"))


def test_a_store_that_it_deletes_is_a_todo(tmp_path: Path) -> None:
    code = "\n".join(sources("run")) + "\n(Path.home() / 'wine-lab' / 'mlflow.db').unlink()"
    grade = graded(tmp_path, notebook("from pathlib import Path", code), "a.ipynb", "run")
    assert grade.problem == ""
    assert nothing_earned(grade) and grade.verdicts
    assert any("There is no store" in verdict.hint for verdict in grade.verdicts)


def test_a_block_that_is_not_there_is_told(tmp_path: Path) -> None:
    grade = graded(tmp_path, "x = 1", block=99)
    one_clear_sentence(grade)
    assert "99" in grade.problem


# --- forged verdicts ----------------------------------------------------------------------------

NAMES = [f.__name__ for f in checks_of(course().block(0).folder).functions]
FORGED = json.dumps([{"name": name, "done": True, "hint": ""} for name in NAMES])

FORGERIES = {
    "words that look like a verdict": f"print({FORGED!r})\nprint('{{\"verdicts\": 1}}')",
    "words at the very end": f"import atexit\natexit.register(print, {FORGED!r})",
    "the line, found and written to": (
        "import os\n"
        f'line = b\'{{"key": "", "verdicts": {FORGED}}}\\n\'\n'
        "for number in range(3, 60):\n"
        "  try: os.write(number, line)\n"
        "  except OSError: pass"
    ),
    "the line, closed": "import os\nos.closerange(3, 200)",
    "a fork that speaks too": "import os\nos.fork()",
    "the tools, changed in memory": (
        "import winelab.checks.checking as c, winelab.checks.fixtures as f\n"
        "c._verdict = lambda function, look: c.Verdict(function.__name__, '', True)\n"
        "f.Look.get = None\nc.run_checks = None"
    ),
    "the tools, from another place": (
        "import os, sys\nos.makedirs('winelab')\n"
        "open('winelab/__init__.py', 'w').close()\n"
        "open('winelab/checks/checking.py', 'w').write('run_checks = None')\n"
        "sys.path.insert(0, os.getcwd())\nfor name in list(sys.modules):\n"
        "  if name.startswith('winelab.c'): del sys.modules[name]"
    ),
    "the language, changed": (
        "import builtins\nbuiltins.AssertionError = KeyError\n"
        "builtins.all = builtins.any = lambda *a: True\nbuiltins.len = lambda x: 1599"
    ),
    "a trace of all functions": "import sys\nsys.setrecursionlimit(60)\n"
    "sys.settrace(lambda *a: 1 / 0)",
    "an alarm after the end": "import signal\nsignal.setitimer(signal.ITIMER_REAL, 0.001)\n"
    "signal.signal(signal.SIGALRM, signal.SIG_IGN)",
}


@linux
@pytest.mark.parametrize("what", FORGERIES)
def test_a_verdict_that_it_makes_itself_is_not_believed(tmp_path: Path, what: str) -> None:
    grade = graded(tmp_path, FORGERIES[what])
    assert nothing_earned(grade) and grade.score == 0.0, grade
    if grade.problem:
        one_clear_sentence(grade)
    else:
        # The checks were run as they are.
        assert [verdict.name for verdict in grade.verdicts] == NAMES
        assert all(verdict.hint for verdict in grade.verdicts)
    if "written to" in what:
        assert "grader's own line" in grade.problem


# --- the grader ---------------------------------------------------------------------------------


def test_whatever_fails_in_the_grader_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no more\nprocesses")

    monkeypatch.setattr(grader.Sandbox, "start", broken)
    grade = graded(tmp_path, "x = 1")
    assert grade.problem == "The grader failed on it (RuntimeError: no more processes)."


def test_several_at_once_do_not_meet(tmp_path: Path) -> None:
    """Two good ones, and two that would take all there is."""
    files = {
        "good.ipynb": notebook(*RIGHT),
        # No more than 128, on whatever machine.
        "bomb.py": b"import os, time\nfor _ in range(7):\n  try: os.fork()\n  except OSError: pass"
        b"\ntime.sleep(600)",
        "loop.py": b"while True: pass",
        "also_good.ipynb": notebook(*RIGHT),
    }
    limits = Limits(seconds=60, processes=60)
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)

    def one(name: str) -> Grade:
        few = Limits(seconds=3) if name == "loop.py" else limits
        return grade_one(HandIn(name, 0, tmp_path / name), few)

    with ThreadPoolExecutor(2) as pool:
        good, bomb, loop, also = pool.map(one, files)
    assert (good.score, also.score) == (1.0, 1.0)
    assert "more processes than the 60" in bomb.problem
    assert "did not end within 3 s" in loop.problem


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    threads = threading.active_count()
    grade = graded(tmp_path, "x = 1")
    assert grade.problem == ""
    end = time.monotonic() + 10
    while threading.active_count() > threads and time.monotonic() < end:
        time.sleep(0.01)
    assert threading.active_count() <= threads
    assert [path.name for path in tmp_path.iterdir()] == ["mine.py"]


def test_without_walls_hand_ins_are_graded_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("winelab.grading.sandbox.best_backend", LimitsAlone)
    grade = graded(tmp_path, notebook(*RIGHT), "a.ipynb")
    assert (grade.problem, grade.score) == ("", 1.0), grade
    assert "did not end" in graded(tmp_path, "while True: pass", seconds=3).problem


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError(111, "Connection refused"), None),
        (OSError(28, "No space left on device"), "wrote more to disk"),
        (PermissionError(13, "Permission denied"), None),
    ],
)
def test_an_error_tells_what_was_missing(error: BaseException, words: str | None) -> None:
    try:
        raise RuntimeError("on top") from error
    except RuntimeError as above:
        assert denied(above).startswith(words) if words else denied(above) == ""
