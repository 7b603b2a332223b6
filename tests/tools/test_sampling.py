"""Where time goes: what a stack is busy with, and what `make bench` makes of it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from winelab import bench, sampling
from winelab.sampling import CHILD, IMPORTS, KERNEL, MLFLOW, OURS, REST, kind_of

PACKAGE = Path(sampling.__file__).parent


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        pytest.param(["numpy.py", "<cell 3>", str(PACKAGE / "worker.py")], REST, id="the script"),
        pytest.param([str(PACKAGE / "room.py"), "pytest.py"], OURS, id="ours"),
        pytest.param(
            ["sqlalchemy.py", str(Path("/x", "mlflow", "client.py")), "<cell 3>"],
            MLFLOW,
            id="what MLflow calls",
        ),
        pytest.param(
            ["numpy.py", "<frozen importlib._bootstrap>", str(Path("/x", "mlflow", "a.py"))],
            IMPORTS,
            id="an import inside of MLflow",
        ),
        pytest.param(
            ["socket.py", str(PACKAGE / "process.py"), "pytest.py"], CHILD, id="a child to wait for"
        ),
        pytest.param(
            ["zmq.py", str(Path("/x", "nbval", "kernel.py"))], KERNEL, id="a notebook's kernel"
        ),
        pytest.param(["re.py", "blocks/03_run/checks.py", "<cell 3>"], OURS, id="a check"),
        pytest.param(["selectors.py"], REST, id="all else"),
    ],
)
def test_a_stack_is_sorted_by_what_it_is_busy_with(files: list[str], kind: str) -> None:
    assert kind_of(files) == kind


def test_seconds_are_added_up_by_line_only_when_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sampling.sampled("run 05_made.py"):
        pass
    assert sampling.gathered(tmp_path) == []
    monkeypatch.setenv(sampling.FOLDER, str(tmp_path))
    code = compile("import time\ntime.sleep(0.2)\n", "<cell 2>", "exec")
    with sampling.sampled("run 05_made.py"):
        exec(code, {})
    (figures,) = sampling.gathered(tmp_path)
    assert figures["label"] == "run 05_made.py"
    at_the_line = sum(value for _, line, value in figures["rows"] if line == "<cell 2>:2")  # type: ignore[attr-defined]
    assert 0 < at_the_line <= figures["wall"]  # type: ignore[operator]


def test_a_tests_waiting_is_counted_as_what_its_run_did(tmp_path: Path) -> None:
    samples = [
        {"label": "test 5", "wall": 3, "rows": [[CHILD, "", 2.0], [OURS, "", 1.0]]},
        {"label": "run 05_made.ipynb", "wall": 1, "rows": [[MLFLOW, "<cell 1>:1", 1.5]]},
        {"label": "tools", "wall": 9, "rows": [[OURS, "", 9.0]]},
    ]
    assert bench.spent(samples) == {5: {CHILD: 0.5, OURS: 1.0, MLFLOW: 1.5}}


def test_sampling_ends_with_the_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(sampling.FOLDER, str(tmp_path))
    with pytest.raises(ZeroDivisionError), sampling.sampled("test 1"):
        _ = 1 / 0
    assert len(sampling.gathered(tmp_path)) == 1
    before = (tmp_path / next(tmp_path.iterdir()).name).stat().st_mtime_ns
    time.sleep(sampling.INTERVAL * 5)
    assert len(list(tmp_path.iterdir())) == 1
    assert next(tmp_path.iterdir()).stat().st_mtime_ns == before
