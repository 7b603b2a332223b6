"""`make stack` without a database: its passwords, its sentences, its Compose file."""

from __future__ import annotations

import os
import re
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from winelab.core.errors import CourseError
from winelab.core.paths import ROOT
from winelab.course.source import course
from winelab.proof import run_pytest
from winelab.stack import command, local_services, postgres
from winelab.system import environment, packages

posix = pytest.mark.skipif(os.name == "nt", reason="writes a shell script")

# What a docker command says to the questions that we ask it. What it was asked goes to a file, with
# any password that it found in its environment.
DOCKER = """\
#!/bin/sh
echo "$STACK_PORT $*${{POSTGRES_PASSWORD:+ $POSTGRES_PASSWORD}}" >> "{log}"
case "$*" in {fails}) exit 1;; esac
"""


def test_secrets_are_made_once(tmp_path: Path) -> None:
    first = local_services.keep_secrets(tmp_path / "stack")
    assert set(first) == set(local_services.NAMES)
    assert [len(word) for word in set(first.values())] == [40] * len(local_services.NAMES)
    assert local_services.keep_secrets(tmp_path / "stack") == first
    assert local_services.keep_secrets(tmp_path / "another") != first
    assert [path.name for path in (tmp_path / "stack").iterdir()] == [local_services.SECRETS]
    if os.name != "nt":
        assert stat.S_IMODE((tmp_path / "stack" / local_services.SECRETS).stat().st_mode) == 0o600


def test_secrets_that_were_lost_are_not_made_up(tmp_path: Path) -> None:
    local_services.keep_secrets(tmp_path)
    file = tmp_path / local_services.SECRETS
    file.write_text(file.read_text(encoding="utf-8").replace("S3_SECRET_KEY", "X"))
    with pytest.raises(CourseError, match="holds no S3_SECRET_KEY") as caught:
        local_services.keep_secrets(tmp_path)
    assert "\n" not in str(caught.value)


def test_git_does_not_see_the_secrets() -> None:
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").split()
    assert {local_services.SECRETS, ".winelab/"} <= set(ignored)


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without Docker and rclone; gives the one folder on its PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(local_services, "venv_scripts", lambda root: tmp_path / "pinned")
    monkeypatch.setattr(command, "ROOT", tmp_path)
    monkeypatch.setattr(command, "PINS", tmp_path / "requirements.txt")
    (tmp_path / "requirements.txt").touch()
    return folder


def program(folder: Path, name: str, text: str = "#!/bin/sh\n") -> None:
    """Puts a command into a folder."""
    folder.mkdir(exist_ok=True)
    file = folder / (f"{name}.exe" if os.name == "nt" else name)
    file.write_text(text, encoding="utf-8")
    file.chmod(0o755)


def test_what_is_missing_is_one_sentence_and_nothing_is_made(bare: Path, tmp_path: Path) -> None:
    with pytest.raises(CourseError, match="rclone is not on this machine") as caught:
        command.main()
    assert "\n" not in str(caught.value)
    assert not (tmp_path / ".winelab").exists()
    for folder in (bare, tmp_path / "pinned"):
        program(folder, "rclone")
        assert Path(local_services.rclone()).parent == folder


@pytest.mark.skipif(sys.platform == "win32", reason="looks for users of a Unix")
def test_root_becomes_another_user(monkeypatch: pytest.MonkeyPatch) -> None:
    import pwd

    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert postgres.unprivileged() is None
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert postgres.unprivileged().pw_uid != 0

    def nobody(name: str) -> None:
        raise KeyError(name)

    monkeypatch.setattr(pwd, "getpwnam", nobody)
    with pytest.raises(CourseError, match="does not run as root"):
        postgres.unprivileged()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="for root alone")
def test_root_is_told_when_no_other_user_can_look_in(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(CourseError, match="no other user may look into") as caught:
        postgres.Postgres(closed / "postgres", "word").start()
    assert "\n" not in str(caught.value)


def test_packages_are_installed_when_they_are_missing(
    bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []

    def keep(command: list[str], root: Path, purpose: str) -> None:
        commands.append(command)

    monkeypatch.setattr(environment, "get_uv", lambda root: "uv")
    monkeypatch.setattr(packages, "run_installer", keep)
    packages.install(command.PINS, "the stack")
    assert commands == []
    (tmp_path / "requirements.txt").write_text("no-such-package==1\n", encoding="utf-8")
    packages.install(command.PINS, "the stack")
    assert [command[-2:] for command in commands] == [["-r", str(tmp_path / "requirements.txt")]]


@pytest.mark.parametrize("group", packages.GROUPS)
def test_a_groups_pins_agree_with_the_courses(group: str) -> None:
    ours, courses = (
        dict(re.findall(r"^([\w.-]+)==(\S+)", path.read_text(encoding="utf-8"), re.MULTILINE))
        for path in (packages.GROUPS[group], ROOT / "requirements.txt")
    )
    assert set(ours) - set(courses)
    assert {name: ours[name] for name in set(ours) & set(courses)}.items() <= courses.items()


def test_a_servers_environment_has_nothing_of_the_persons(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "PGPORT", "RCLONE_CONFIG", "MLFLOW_TMP_DIR"):
        monkeypatch.setenv(name, "theirs")
    monkeypatch.setenv("NO_PROXY", "example.org")
    found = local_services.variables(AWS_ACCESS_KEY_ID="ours")
    assert "theirs" not in found.values()
    assert found["AWS_ACCESS_KEY_ID"] == "ours"
    assert found["NO_PROXY"] == "example.org,127.0.0.1"


def test_usage_names_both_shells() -> None:
    text = command.usage("http://127.0.0.1:5500")
    assert "  MLFLOW_TRACKING_URI=http://127.0.0.1:5500 .venv/bin/python solutions/" in text
    assert '$env:MLFLOW_TRACKING_URI = "http://127.0.0.1:5500"; .venv\\Scripts\\python' in text
    (script,) = re.findall(r"solutions/\w+\.py", text)
    assert (ROOT / script).exists()


def test_a_blocks_own_tests_are_in_its_row() -> None:
    own = {path.name for path in (ROOT / "tests" / "blocks").iterdir() if path.name[0] != "_"}
    assert "server" in own
    assert own <= {block.slug for block in course().blocks}
    asked = {b.slug: run_pytest.pytest_arguments(b.number, full=False) for b in course().blocks}
    assert [slug for slug in asked if "tests/blocks/server" in asked[slug]] == ["server"]


# --- in Docker ----------------------------------------------------------------------------------


@posix
@pytest.mark.parametrize("fails", ["compose\\ version*", "version*"])
def test_a_docker_without_compose_or_engine_is_none(bare: Path, fails: str) -> None:
    assert command.find_docker() == ""
    program(bare, "docker", DOCKER.format(log=bare / "log", fails=fails))
    assert command.find_docker() == ""
    program(bare, "docker", DOCKER.format(log=bare / "log", fails="nothing"))
    assert command.find_docker() == str(bare / "docker")


@posix
@pytest.mark.parametrize("fails", ["nothing", "*\\ up\\ *"])
def test_what_docker_is_asked(
    bare: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    fails: str,
) -> None:
    monkeypatch.setattr(command, "HOME", tmp_path / "stack")
    monkeypatch.setenv("POSTGRES_PASSWORD", "of another program")
    log = tmp_path / "asked"
    program(bare, "docker", DOCKER.format(log=log, fails=fails))
    says = "ended by itself" if fails == "nothing" else "did not start"
    with pytest.raises(CourseError, match=says):
        command.main()
    asked = log.read_text(encoding="utf-8")
    words = local_services.keep_secrets(tmp_path / "stack")
    assert not [word for word in words.values() if word in asked]
    lines = [line.rpartition("/.env ")[2] for line in asked.splitlines()[2:]]
    wait = ["wait postgres s3 mlflow"] if fails == "nothing" else []
    assert lines == ["up --build --wait", *wait, "down"]
    port = asked.splitlines()[2].split()[0]
    assert (f"http://127.0.0.1:{port} - Ctrl-C" in capsys.readouterr().out) == bool(wait)


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """The Compose file, read."""
    return dict(yaml.safe_load(command.COMPOSE.read_text(encoding="utf-8")))


def test_compose_pins_its_images_and_builds_from_what_is_there(compose: dict[str, Any]) -> None:
    dockerfile = (command.HOME / "Dockerfile").read_text(encoding="utf-8")
    images = [service["image"] for service in compose["services"].values()]
    images += re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)
    for image in images:
        assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+[\w.-]*", image), image
    mlflow = re.search(r"^mlflow==(\S+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert mlflow
    assert compose["services"]["mlflow"]["image"].endswith(f":{mlflow[1]}")
    # Built from files that are there.
    build = compose["services"]["mlflow"]["build"]
    context = (command.HOME / build["context"]).resolve()
    assert context == ROOT
    text = (context / build["dockerfile"]).read_text(encoding="utf-8")
    copied = [name for line in re.findall(r"^COPY (.*) \S+$", text, re.M) for name in line.split()]
    assert copied
    assert [name for name in copied if not (context / name).is_file()] == []


def test_compose_is_healthy_apart_and_lasting(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for service in services.values():
        assert service["healthcheck"]["test"][0] == "CMD"
        assert service["healthcheck"]["retries"] >= 10
        assert "network_mode" not in service
    needs = services["mlflow"]["depends_on"]
    assert needs == {name: {"condition": "service_healthy"} for name in ("postgres", "s3")}
    # Open to this machine alone.
    ports = {name: service.get("ports", []) for name, service in services.items()}
    assert ports == {"postgres": [], "s3": [], "mlflow": ["127.0.0.1:${STACK_PORT:-5500}:5000"]}
    mounts = [
        one.split(":")[0] for service in services.values() for one in service.get("volumes", [])
    ]
    assert mounts == list(compose["volumes"])
    assert len(mounts) == 2


def test_compose_holds_no_secret(compose: dict[str, Any]) -> None:
    text = command.COMPOSE.read_text(encoding="utf-8")
    used = set(re.findall(r"(?<!\$)\$\{(\w+)", text))
    assert used == {*local_services.NAMES, "STACK_PORT"}
    # Without .env nothing starts: an empty password would let everybody in.
    for name in local_services.NAMES:
        assert len(re.findall(rf"\$\{{{name}\b", text)) == len(re.findall(rf"\$\{{{name}:\?", text))
    for service in compose["services"].values():
        for name, value in service["environment"].items():
            if re.search("PASSWORD|SECRET|KEY", name):
                assert re.fullmatch(r"\$\{\w+:\?[^}]*\}", value), name
    address = compose["services"]["mlflow"]["environment"]["MLFLOW_BACKEND_STORE_URI"]
    assert re.match(r"postgresql://winelab:\$\{POSTGRES_PASSWORD:", address)
