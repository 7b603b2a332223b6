"""Where time goes: what a stack is busy with, and what `make bench` makes of it."""

from __future__ import annotations

import linecache
import time
from pathlib import Path

import pytest

from winelab.commands import bench
from winelab.proof import sampling
from winelab.proof.sampling import (
    CHILD,
    IMPORTS,
    KERNEL,
    MLFLOW,
    OURS,
    REST,
    SERVERS,
    Place,
    kind_of,
)

PACKAGE = Path(sampling.__file__).parent


@pytest.fixture(autouse=True)
def unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    """`make bench` may be sampling this very test."""
    monkeypatch.delenv(sampling.FOLDER, raising=False)
    monkeypatch.delenv(sampling.WITHIN, raising=False)


def a_place(*parts: str, function: str = "f") -> tuple[str, str]:
    return str(Path(*parts)), function


@pytest.mark.parametrize(
    ("places", "kind"),
    [
        pytest.param([("numpy.py", "f"), ("<cell 3>", "f")], REST, id="the script"),
        pytest.param([a_place(str(PACKAGE), "room.py")], OURS, id="ours"),
        pytest.param(
            [("sqlalchemy.py", "f"), a_place("/x", "mlflow", "client.py"), ("<cell 3>", "f")],
            MLFLOW,
            id="what MLflow calls",
        ),
        pytest.param(
            [("<frozen importlib._bootstrap>", "f"), a_place("/x", "mlflow", "a.py")],
            IMPORTS,
            id="an import inside of MLflow",
        ),
        pytest.param(
            [("socket.py", "f"), a_place(str(PACKAGE), "process.py")], CHILD, id="a child"
        ),
        pytest.param([("zmq.py", "f"), a_place("/x", "nbval", "kernel.py")], KERNEL, id="a kernel"),
        pytest.param(
            [("subprocess.py", "f"), ("<cell 2>", "start_server")], SERVERS, id="block 13's server"
        ),
        pytest.param(
            [a_place(str(PACKAGE), "serve.py"), ("test_stack.py", "f")], SERVERS, id="our server"
        ),
        pytest.param([("re.py", "f"), a_place("blocks", "checks.py")], OURS, id="a check"),
        pytest.param([("selectors.py", "f")], REST, id="all else"),
    ],
)
def test_a_stack_is_sorted_by_what_it_is_busy_with(places: list[Place], kind: str) -> None:
    assert kind_of(places) == kind


def test_seconds_are_added_up_by_line_only_when_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sampling.sampled("run"):
        pass
    assert sampling.gathered(tmp_path) == []
    monkeypatch.setenv(sampling.FOLDER, str(tmp_path))
    source = "import time\ntime.sleep(0.2)\n"
    lines = source.splitlines(keepends=True)
    monkeypatch.setitem(linecache.cache, "<cell 2>", (len(source), None, lines, "<cell 2>"))
    with sampling.sampled("run"):
        exec(compile(source, "<cell 2>", "exec"), {})
    (figures,) = sampling.gathered(tmp_path)
    assert (figures["label"], figures["within"]) == ("run", "")
    assert sum(value for _, line, value in figures["rows"] if line == "time.sleep(0.2)") > 0


def test_a_child_knows_what_waits_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(sampling.FOLDER, str(tmp_path))
    with sampling.sampled("test 5"), sampling.sampled("run"), sampling.sampled("fresh"):
        pass
    assert {(f["label"], f["within"]) for f in sampling.gathered(tmp_path)} == {
        ("test 5", ""),
        ("run", "test 5"),
        ("fresh", "test 5"),
    }


def test_a_tests_waiting_is_counted_as_what_its_run_did() -> None:
    samples = [
        {"label": "test 5", "within": "", "rows": [[CHILD, "", 2.0], [OURS, "", 1.0]]},
        {"label": "run", "within": "test 5", "rows": [[MLFLOW, "fit()", 1.5]]},
        {"label": "tools", "within": "", "rows": [[OURS, "", 9.0]]},
        {"label": "run", "within": "tools", "rows": [[OURS, "", 9.0]]},
    ]
    assert bench.spent(samples) == {5: {CHILD: 0.5, OURS: 1.0, MLFLOW: 1.5}}
    assert bench.slowest_lines(5, samples) == {"fit()": 1.5}


def test_sampling_ends_with_the_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(sampling.FOLDER, str(tmp_path))
    with pytest.raises(ZeroDivisionError), sampling.sampled("test 1"):
        _ = 1 / 0
    assert len(sampling.gathered(tmp_path)) == 1
    before = (tmp_path / next(tmp_path.iterdir()).name).stat().st_mtime_ns
    time.sleep(sampling.INTERVAL * 5)
    assert len(list(tmp_path.iterdir())) == 1
    assert next(tmp_path.iterdir()).stat().st_mtime_ns == before
