"""GitHub's workflow, which no test can run: its form, its pins, and that all it calls is there.

The form of Docker's Compose file, which is not run either, is held against its schema here too.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from winelab.commands.cli import parser
from winelab.core.paths import ROOT
from winelab.system import environment

FILE = ROOT / ".github" / "workflows" / "check.yml"


@pytest.fixture(scope="module")
def workflow() -> dict[str, Any]:
    """The workflow; every value is a text."""
    # To YAML 1.1 the word `on` is a truth.
    return yaml.load(FILE.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)


def steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    """The steps of all jobs."""
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize(
    ("schema", "file"), [("github-workflows", FILE), ("compose-spec", ROOT / "stack/compose.yaml")]
)
def test_who_reads_it_would_understand_it(schema: str, file: Path) -> None:
    pytest.importorskip("check_jsonschema", reason="stack/requirements.txt is not installed")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}"]
    done = subprocess.run([*command, str(file)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_it_runs_when_something_changes_each_week_and_on_demand(workflow: dict[str, Any]) -> None:
    assert set(workflow["on"]) == {"push", "pull_request", "schedule", "workflow_dispatch"}
    # And nothing runs for ever.
    assert all(int(job["timeout-minutes"]) <= 120 for job in workflow["jobs"].values())
    assert workflow["concurrency"]["cancel-in-progress"] == "true"


def test_it_may_read_and_nothing_else(workflow: dict[str, Any]) -> None:
    assert workflow["permissions"] == {"contents": "read"}
    assert not any("permissions" in job for job in workflow["jobs"].values())
    assert "secrets." not in FILE.read_text(encoding="utf-8")
    used = {step["uses"]: step for step in steps(workflow) if "uses" in step}
    # GitHub's own actions alone, each pinned.
    form = re.compile(r"actions/[\w-]+@(v\d+|[0-9a-f]{40})")
    assert [name for name in used if not form.fullmatch(name)] == []
    checkouts = [one for name, one in used.items() if name.startswith("actions/checkout")]
    assert checkouts
    assert all(one["with"]["persist-credentials"] == "false" for one in checkouts)


def test_the_oldest_and_the_newest_python_are_tried_on_three_systems(
    workflow: dict[str, Any],
) -> None:
    minors = environment.requires_python(ROOT)
    for job in workflow["jobs"].values():
        assert job["strategy"]["matrix"]["python"] == [f"3.{minors[0]}", f"3.{minors[-1]}"]
    systems = [workflow["jobs"]["linux"]["runs-on"]]
    systems += workflow["jobs"]["others"]["strategy"]["matrix"]["system"]
    assert [re.split(r"-", name)[0] for name in systems] == ["ubuntu", "macos", "windows"]


def commands(workflow: dict[str, Any]) -> list[list[str]]:
    """The words of each command line of each step."""
    lines = [line for step in steps(workflow) for line in step.get("run", "").splitlines()]
    return [shlex.split(line) for line in lines]


def test_what_it_calls_is_there(workflow: dict[str, Any]) -> None:
    lines = commands(workflow)
    assert [".ci/run"] in [words[-1:] for words in lines]
    assert ["python", "-m", "winelab", "check", "--full"] in lines
    for words in lines:
        if words[:3] == ["python", "-m", "winelab"]:
            # Raises SystemExit for what it does not understand.
            parser().parse_args(words[3:])
        for word in words:
            # A file of the course, and not a variable or one of .venv's.
            if re.fullmatch(r"[\w./-]+", word) and not word.startswith(("-", ".venv")):
                looks = "/" in word or word.endswith(".txt")
                assert not looks or (ROOT / word).is_file(), word


@pytest.mark.skipif(os.name == "nt", reason="Windows knows no permission to execute")
def test_what_ci_runs_can_be_run() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
