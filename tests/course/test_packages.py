"""Each package of part 4 runs by itself: installed elsewhere, its own tests pass."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from pathlib import Path

import pytest

from winelab.core.paths import SOLUTIONS, course_environment
from winelab.course.source import Block, course

PACKAGES = [block for block in course().blocks if block.package]


def said(command: list[str | Path], folder: Path) -> str:
    """What a command prints here, without what the course's tools set; it must end well."""
    outside = {name: value for name, value in os.environ.items() if not name.startswith("WINE")}
    for name in course_environment():
        outside.pop(name, None)
    done = subprocess.run(
        list(map(str, command)),
        cwd=folder,
        env={**outside, "PYTHONUTF8": "1", "MLFLOW_DISABLE_TELEMETRY": "true"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.parametrize(
    "package",
    [pytest.param(block, id=block.name, marks=pytest.mark.block(block.slug)) for block in PACKAGES],
)
def test_a_package_installs_elsewhere_and_its_own_tests_pass(
    package: Block, tmp_path: Path
) -> None:
    folder = tmp_path / "Käse und Wein" / "wineops"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(SOLUTIONS / package.name, folder, ignore=ignored)
    # An environment of its own that sees the course's packages, since there is no network here.
    own = tmp_path / "venv"
    venv.create(own, with_pip=False)
    scheme = {"base": str(own), "platbase": str(own)}
    (Path(sysconfig.get_path("purelib", "venv", scheme)) / "course.pth").write_text(
        sysconfig.get_path("purelib"), encoding="utf-8"
    )
    python = Path(sysconfig.get_path("scripts", "venv", scheme)) / Path(sys.executable).name
    quiet = ("-q", "--no-deps", "--no-build-isolation", "--disable-pip-version-check")
    said([python, "-m", "pip", "install", *quiet, "-e", "."], folder)
    printed = said([python, "-m", "pytest", "-q", "-p", "no:cacheprovider"], folder)
    assert " passed" in printed and "failed" not in printed, printed
    where = said([python, "-c", "import wineops; print(wineops.__file__)"], tmp_path)
    assert Path(where.strip()) == folder / "src" / "wineops" / "__init__.py"


@pytest.mark.parametrize(
    "package",
    [pytest.param(block, id=block.name, marks=pytest.mark.block(block.slug)) for block in PACKAGES],
)
def test_a_package_names_what_it_imports(package: Block) -> None:
    folder = SOLUTIONS / package.name
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = {name.partition("[")[0].lower().replace("-", "_") for name in project["dependencies"]}
    distributions = {"sklearn": "scikit_learn", "yaml": "pyyaml", "PIL": "pillow"}
    imported = set()
    for path in (folder / "src").rglob("*.py"):
        for line in path.read_text(encoding="utf-8").splitlines():
            words = line.split()
            if words[:1] in (["import"], ["from"]):
                imported.add(words[1].partition(".")[0])
    foreign = imported - sys.stdlib_module_names - {"wineops"}
    missing = {distributions.get(name, name.lower()) for name in foreign} - named
    assert not missing, f"{package.name}: pyproject.toml does not name {missing}"
    readme = (folder / "README.md").read_text(encoding="utf-8")
    for line in package.meta.runs:
        assert f"python -m {line.split()[0]}" in readme, f"README.md does not say how {line} is run"
