"""The sandbox: what a command in it can do, what it cannot, and how it is ended.

On Linux, bubblewrap's walls are tried as this user and, where this is root, as one without rights.
What needs no walls is tried with the limits alone too, as on a system that has no sandbox.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from winelab.core.paths import ROOT, SOLUTIONS
from winelab.grading import backends, sandbox, usage
from winelab.grading.backends import Backend, Bubblewrap, LimitsAlone, Seatbelt
from winelab.grading.limits import MB, Limit, Limits
from winelab.grading.sandbox import Sandbox

PATIENT = 120.0
"""Seconds, where it is not the time that is tried: the machine may be busy."""


def walls() -> list[Backend]:
    """The backends with walls that this machine is expected to have."""
    if sys.platform == "linux" and shutil.which("bwrap"):
        return list({backend.drop: backend for backend in backends.bubblewraps()}.values())
    return [Seatbelt()] if sys.platform == "darwin" else []


def parameters(found: list[Backend]) -> list[Any]:
    """The backends as parameters of a test."""
    no = pytest.mark.skip(reason="no bubblewrap or Seatbelt here")
    named = [pytest.param(b, id=f"{type(b).__name__}{' as nobody' * b.drop}") for b in found]
    return named or [pytest.param(None, marks=no)]


walled = pytest.mark.parametrize("backend", parameters(walls()))
each_backend = pytest.mark.parametrize("backend", parameters([*walls(), LimitsAlone()]))
posix = pytest.mark.skipif(os.name != "posix", reason="signals and sessions are POSIX's")
linux = pytest.mark.skipif(sys.platform != "linux", reason="as /proc and tmpfs of Linux have it")


@pytest.mark.skipif(
    os.environ.get("WINELAB_SANDBOX") != "required", reason="WINELAB_SANDBOX is not `required`"
)
def test_this_machine_has_walls() -> None:
    """CI sets it: there the tests of the walls must not be skipped without a word."""
    assert sandbox.best_backend().walled, sandbox.best_backend().guarantees()[0]


def start(box: Sandbox, code: str, *arguments: str) -> None:
    """Start this code in a sandbox."""
    box.start([sys.executable, "-u", "-c", code, *arguments], {"PATH": os.defpath})


def run(backend: Backend, code: str, *arguments: str, **limits: Any) -> Sandbox:
    """Run code in a sandbox to its end; what it printed and how it ended is in the result."""
    with Sandbox(Limits(**{"seconds": PATIENT, **limits}), backend) as box:
        start(box, code, *arguments)
        while box.receive() is not None:
            pass
        box.wait(PATIENT)
    return box


def said(backend: Backend, expression: str, setup: str = "", *arguments: str) -> Any:
    """The value of an expression inside."""
    code = f"import json, os, sys\n{setup}\nprint(json.dumps({expression}), file=sys.stderr)"
    box = run(backend, code, *arguments)
    assert box.code == 0, box.printed()
    return json.loads(box.printed())


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    """Whether something holds before these seconds are over."""
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        time.sleep(0.02)
    return holds()


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file of the instructor's."""
    file = tmp_path / "secret.txt"
    file.write_text("the instructor's", encoding="utf-8")
    return file


# --- a command that does no harm ----------------------------------------------------------------


@each_backend
def test_lines_go_in_and_out_and_the_rest_is_output(backend: Backend) -> None:
    # The output first: with the second answer, all of it has been written.
    code = "import sys\nfor l in sys.stdin: print('oh', file=sys.stderr); print('got', l.strip())"
    with Sandbox(Limits(), backend) as box:
        start(box, code)
        for word in (b"one", b"two"):
            box.send(word)
            assert box.receive() == b"got " + word
        box.stop()
        assert box.printed().split() == ["oh", "oh"]
        assert box.receive() is None
    box.send(b"nobody hears it")


@each_backend
@pytest.mark.parametrize(
    ("code", "codes"),
    [
        ("pass", {0}),
        ("raise SystemExit(3)", {3}),
        pytest.param("import os; os.kill(os.getpid(), 11)", {-11, 128 + 11}, marks=posix),
    ],
)
def test_it_tells_how_a_command_ended(backend: Backend, code: str, codes: set[int]) -> None:
    box = run(backend, code)
    assert box.code in codes
    assert box.stopped is None


@each_backend
def test_home_is_empty_and_gone_afterwards_even_if_the_command_locks_it(backend: Backend) -> None:
    code = """
import os, sys
print(os.getcwd() == os.environ["HOME"], os.listdir(), file=sys.stderr)
os.makedirs("a/b")
open("a/b/c", "w").close()
os.chmod("a/b", 0)
os.chmod("a", 0)
"""
    box = run(backend, code)
    assert (box.code, box.printed().strip()) == (0, "True []")
    with Sandbox(Limits(), backend) as unused:
        pass
    assert not box.home.exists() and not unused.home.exists()


@each_backend
def test_it_has_the_courses_packages_and_nothing_of_the_callers_environment(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_TOKEN", "of the instructor")
    setup = "import numpy; from winelab.tracking import run_tags"
    found, tag = said(backend, "[dict(os.environ), run_tags.BLOCK_TAG]", setup)
    assert "MY_TOKEN" not in found and tag
    assert Path(found["HOME"]) != Path.home()


# --- walls --------------------------------------------------------------------------------------


@walled
def test_the_instructors_files_are_not_seen(backend: Backend, secret: Path) -> None:
    places = [secret, SOLUTIONS, *(ROOT / name for name in ("blocks", "tests", ".git"))]
    places += [Path.home() / ".ssh"]
    places += [Path("/etc/shadow")] if isinstance(backend, Bubblewrap) else []
    seen = said(backend, "[p for p in sys.argv[1:] if os.path.exists(p)]", "", *map(str, places))
    assert seen == []
    # Seen from here they are there, so that the line above says something.
    assert secret.exists() and SOLUTIONS.exists()


@walled
def test_it_writes_nowhere_but_in_its_own_folders(backend: Backend, secret: Path) -> None:
    targets = [secret, ROOT / "x", ROOT / "winelab" / "x", Path(sys.prefix, "x"), Path("/usr/x")]
    targets += [Path("/x"), Path("/etc/x"), Path("/dev/x")]
    setup = """
def wrote(path):
    try:
        open(path, "w").write("changed")
    except OSError:
        return False
    return True
"""
    assert said(backend, "[p for p in sys.argv[1:] if wrote(p)]", setup, *map(str, targets)) == []
    assert secret.read_text(encoding="utf-8") == "the instructor's"
    # What it writes to /tmp stays inside.
    name = f"/tmp/winelab-{os.getpid()}-{time.monotonic_ns()}"
    run(backend, "import sys; open(sys.argv[1], 'w').close()", name)
    assert not Path(name).exists()


@walled
def test_it_has_no_network_but_its_own_address(backend: Backend) -> None:
    setup = """
import socket
def reaches(name, port):
    try:
        socket.create_connection((name, port), 5).close()
    except OSError:
        return False
    return True
server = socket.create_server(("127.0.0.1", 0))
mine = server.getsockname()[1]
"""
    with socket.create_server(("127.0.0.1", 0)) as ours:
        places = [("192.0.2.1", 80), ("127.0.0.1", ours.getsockname()[1])]
        own = "[reaches(name, mine) for name in ('127.0.0.1', 'localhost')]"
        found = said(backend, f"[[reaches(*p) for p in {places}], {own}]", setup)
    # Seatbelt has one 127.0.0.1 for all.
    assert found == [[False, isinstance(backend, Seatbelt)], [True, True]]


@linux
@walled
def test_it_has_no_rights_and_cannot_get_any(backend: Backend) -> None:
    status, uid = said(backend, "[open('/proc/self/status').read(), os.getuid()]")
    fields = dict(line.split(":", 1) for line in status.splitlines())
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        allowed = 0xC0 if name == "CapInh" else 0
        assert int(fields[name], 16) & ~allowed == 0, name
    assert fields["NoNewPrivs"].strip() == "1"
    assert uid != 0


@linux
@walled
def test_it_sees_no_process_but_its_own(backend: Backend) -> None:
    found = said(backend, "[int(p) for p in os.listdir('/proc') if p.isdecimal()]")
    assert len(found) <= 3 and max(found) < 10


@walled
def test_it_cannot_end_processes_of_others(backend: Backend) -> None:
    """All that it may signal, its parents, and one by its number."""
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    code = """
import os, signal, sys
for target in (-1, os.getppid(), 1, int(sys.argv[1])):
    try:
        os.kill(target, signal.SIGKILL)
    except OSError:
        pass
print("still here", file=sys.stderr)
"""
    try:
        assert "still here" in run(backend, code, str(other.pid)).printed()
        assert other.poll() is None
    finally:
        other.communicate()


# --- limits -------------------------------------------------------------------------------------

FORKS = """
import os, time
kept = []
for _ in range({count}):
    if os.fork() == 0:
        kept.append(b"x" * {size})
        time.sleep(600)
time.sleep(600)
"""
EXCESS: dict[str, tuple[str, dict[str, Any], Limit | None, str]] = {
    # What it does, the limits, what it is ended for, and what it may say where the kernel's own
    # limit comes first.
    "a loop": ("while True: pass", {"seconds": 0.5}, Limit.TIME, ""),
    "a loop that hears no request to end": (
        "import signal\nfor number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:\n"
        "  signal.signal(number, signal.SIG_IGN)\nwhile True: pass", {"seconds": 3}, Limit.TIME, "",
    ),
    "output": (
        "import os\nwhile True: os.write(2, b'x' * 100_000)", {"output": MB}, Limit.OUTPUT, "",
    ),
    "a line": ("import os\nwhile True: os.write(1, b'x' * 100_000)", {}, Limit.LINES, ""),
    "memory that grows": (
        "import time; kept = []\nwhile True: kept.append(b'x' * 10_000_000); time.sleep(0.01)",
        {"memory": 150 * MB}, Limit.MEMORY, "MemoryError",
    ),
    "files that are too long together": (
        "import time\nfor n in range(30):\n  open(f'part-{n}', 'wb').write(b'x' * 5_000_000)\n"
        "time.sleep(600)", {"disk": 50 * MB}, Limit.DISK, "No space left",
    ),
    "many small files": (
        "import os, time\nfor n in range(600):\n  os.makedirs(f'{n % 7}', exist_ok=True)\n"
        "  open(f'{n % 7}/{n}', 'w').close()\ntime.sleep(600)", {"files": 500}, Limit.DISK, "",
    ),
    "many processes": (
        FORKS.format(count=30, size=1), {"processes": 20}, Limit.PROCESSES, "Resource temporarily",
    ),
    "a file that is too long": (
        "with open('big', 'wb') as f:\n  while True: f.write(b'x' * 1_000_000)",
        {"disk": 20 * MB}, Limit.DISK, "Error",
    ),
    "a sparse file": (
        "open('big', 'wb').truncate(10 * 2**30)", {"disk": 20 * MB}, None, "OSError",
    ),
    "memory at once": ("x = b'x' * (50 * 2**30)", {}, None, "MemoryError"),
    "memory of several processes": (
        FORKS.format(count=4, size=60_000_000), {"memory": 150 * MB}, Limit.MEMORY, "",
    ),
}  # fmt: skip
# Where there are such forks and limits; every system can try the others.
ONLY_ON = {
    **dict.fromkeys(("many processes", "a file that is too long", "a sparse file"), posix),
    "a loop that hears no request to end": posix,
    **dict.fromkeys(("memory at once", "memory of several processes"), linux),
}


@each_backend
@pytest.mark.parametrize(
    "what", [pytest.param(what, marks=ONLY_ON.get(what, ())) for what in EXCESS]
)
def test_what_takes_too_much_is_ended(backend: Backend, what: str) -> None:
    code, limits, reason, words = EXCESS[what]
    box = run(backend, code, **limits)
    assert (reason and box.stopped is reason) or (words and words in box.printed())
    assert len(box.printed()) <= sandbox.TAIL
    assert box.stopped is None or box.code is None
    if reason is Limit.OUTPUT:
        assert box.printed(), "its end is kept"


@linux
def test_what_forks_share_is_counted_once() -> None:
    """Four forks of a process with 200 MB are no 800 MB."""
    code = """
import os, time
kept = b"x" * 200_000_000
for _ in range(3):
    if os.fork() == 0:
        time.sleep(600)
print("there", flush=True)
time.sleep(600)
"""
    with Sandbox(Limits(), LimitsAlone()) as box:
        start(box, code)
        assert box.receive() == b"there"
        assert 190 * MB < usage.memory(box._tree(), 150 * MB) < 400 * MB


@walled
@linux
def test_a_fork_bomb_is_ended(backend: Backend) -> None:
    code = "import os\nwhile True:\n  try: os.fork()\n  except OSError: pass"
    if backends.is_root() and not backend.drop:
        # The kernel sets root no limit: should the watcher be late on a busy machine, endless forks
        # would take it down. These stop at 256.
        code = "import os, time\nfor _ in range(8):\n  os.fork()\ntime.sleep(600)"
    assert run(backend, code, processes=40).stopped is Limit.PROCESSES


@each_backend
@posix
def test_what_cut_all_ties_is_gone_afterwards(backend: Backend) -> None:
    """A daemon: a session of its own, and no parent; it holds none of the pipes."""
    token = f"daemon-{time.monotonic_ns()}"
    code = f"""
import os, sys, subprocess
if os.fork() == 0:
    os.setsid()
    null = subprocess.DEVNULL
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", {token!r}],
                     stdin=null, stdout=null, stderr=null, start_new_session=True)
    os._exit(0)
os.wait()
print("left", flush=True)
sys.stdin.read()
"""

    def daemons() -> int:
        lines = (process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"]))
        return sum(line[-1:] == [token] for line in lines)

    with Sandbox(Limits(seconds=PATIENT), backend) as box:
        start(box, code)
        assert box.receive() == b"left"
        assert within(20, lambda: daemons() == 1)
        box.stop()
    assert within(10, lambda: daemons() == 0)


@each_backend
def test_two_at_once_do_not_meet(backend: Backend) -> None:
    with Sandbox(Limits(), backend) as one, Sandbox(Limits(), backend) as other:
        for box in (one, other):
            start(box, "open('mine', 'x'); print('made'); input()")
        assert one.receive() == other.receive() == b"made"
        one.stop()
        assert other.code is None and other._process.poll() is None


# --- which backend is taken, and what is promised -----------------------------------------------


@pytest.fixture
def asked_again() -> Iterator[None]:
    """Each test asks anew what this machine allows."""
    sandbox.best_backend.cache_clear()
    yield
    sandbox.best_backend.cache_clear()


@pytest.mark.usefixtures("asked_again")
def test_where_there_are_walls_they_are_used() -> None:
    assert sandbox.best_backend().walled == bool(walls())
    first = sandbox.best_backend().guarantees()[0]
    assert ("bubblewrap" in first or "Seatbelt" in first) == bool(walls())
    assert first.startswith("THERE IS NO SANDBOX") != bool(walls())


@pytest.mark.usefixtures("asked_again")
@linux
@pytest.mark.parametrize(
    ("bwrap", "words"),
    [
        pytest.param(None, "apt install bubblewrap", id="none"),
        pytest.param(
            "echo 'bwrap: No permissions to create new namespace' >&2\nexit 1",
            "No permissions to create new namespace", id="one that does not work",
        ),
        pytest.param(
            'while [ "$1" != "--" ]; do shift; done\nshift\nexec "$@"',
            "it sees the solutions|it cannot write", id="one that starts the command as it is",
        ),
    ],
)  # fmt: skip
def test_walls_that_do_not_stand_are_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bwrap: str | None, words: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    if bwrap:
        (tmp_path / "bwrap").write_text(f"#!/bin/sh\n{bwrap}\n", encoding="utf-8")
        (tmp_path / "bwrap").chmod(0o755)
    assert not sandbox.best_backend().walled
    first, *rest = sandbox.best_backend().guarantees()
    assert first.startswith("THERE IS NO SANDBOX")
    assert any(word in first for word in words.split("|")), first
    assert any("network" in sentence for sentence in rest)


def test_the_profile_for_macos_has_its_rules_in_order(tmp_path: Path) -> None:
    """The last rule that fits counts: what is allowed stands below what is forbidden."""
    home, kept, hidden = (tmp_path / name for name in ('a "room" é', "packages", "course"))
    text = backends.seatbelt_profile(home, [hidden, tmp_path], [kept])
    lines = text.splitlines()

    def at(*words: str) -> int:
        return next(i for i, line in enumerate(lines) if all(w in line for w in words))

    quoted = '(subpath "' + str(home.resolve()).replace('"', '\\"') + '")'
    assert at("(deny file-write*)") < at("(allow file-write*", quoted)
    assert at("(deny file-read*", str(hidden.resolve())) < at("(allow file-read*", quoted)
    assert str(kept.resolve()) in lines[at("(allow file-read*", quoted)]
    assert at("(deny network*)") < at('(allow network* (remote ip "localhost:*"))')
    assert at("(deny signal)") < at("(allow signal (target same-sandbox))")
    assert text.count("(") == text.count(")")
