"""The sandbox: what a command in it can do, what it cannot, and how it is ended.

On Linux, bubblewrap's walls are tried as this user and, where this is root, as one without rights.
What needs no walls is tried with the limits alone too, as on a system that has no sandbox.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tools.made_up import Lifeline
from winelab.core.paths import ROOT, SOLUTIONS
from winelab.grading import sandbox
from winelab.grading.sandbox import MB, Limits, Sandbox, Way

PATIENT = 120.0
"""Seconds, where it is not the time that is tried: the machine may be busy."""
LIMITS_ALONE = Way("")


def walls() -> list[Way]:
    """The ways with walls that this machine is expected to have."""
    if sys.platform == "linux" and shutil.which("bwrap"):
        return list({way.drop: way for way in sandbox._bubblewraps()}.values())
    if sys.platform == "darwin":
        return [Way("seatbelt")]
    return []


def named(ways: list[Way]) -> list[object]:
    """The ways as parameters of a test."""
    return [pytest.param(w, id=f"{w.name or 'limits'}{' as nobody' * w.drop}") for w in ways]


walled = pytest.mark.parametrize(
    "way",
    named(walls())
    or [pytest.param(None, marks=pytest.mark.skip(reason="no bubblewrap or Seatbelt here"))],
)
each_way = pytest.mark.parametrize("way", named([*walls(), LIMITS_ALONE]))
posix = pytest.mark.skipif(os.name != "posix", reason="signals and sessions are POSIX's")
linux = pytest.mark.skipif(sys.platform != "linux", reason="as /proc and tmpfs of Linux have it")


@pytest.mark.skipif(
    os.environ.get("WINELAB_SANDBOX") != "required", reason="WINELAB_SANDBOX is not `required`"
)
def test_this_machine_has_walls() -> None:
    """CI sets it: there the tests of the walls must not be skipped without a word."""
    assert sandbox.walled(), sandbox.guarantees()[0]


def python(code: str, *arguments: str) -> list[str]:
    """The command that runs this code."""
    return [sys.executable, "-u", "-c", code, *arguments]


def run(way: Way, code: str, *arguments: str, **limits: float) -> Sandbox:
    """Run code in a sandbox to its end; what it printed and how it ended is in the result."""
    limits = {"seconds": PATIENT, **limits}
    with Sandbox(Limits(**limits), way) as box:  # type: ignore[arg-type]
        box.start(python(code, *arguments), {"PATH": os.defpath})
        box.wait()
    return box


def say(expression: str, setup: str = "") -> str:
    """Code that says a value, as JSON."""
    return f"import json, os, sys\n{setup}\nprint(json.dumps({expression}), file=sys.stderr)"


def said(way: Way, expression: str, setup: str = "", *arguments: str) -> object:
    """The value of an expression inside."""
    box = run(way, say(expression, setup), *arguments)
    assert box.code == 0, box.printed()
    return json.loads(box.printed())


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file of the instructor's."""
    file = tmp_path / "secret.txt"
    file.write_text("the instructor's", encoding="utf-8")
    return file


# --- a command that does no harm ----------------------------------------------------------------


@each_way
def test_lines_go_in_and_out_and_the_rest_is_output(way: Way) -> None:
    # The output first: with the second answer, all of it has been written.
    code = "import sys\nfor l in sys.stdin: print('oh', file=sys.stderr); print('got', l.strip())"
    with Sandbox(Limits(), way) as box:
        box.start(python(code), {"PATH": os.defpath})
        for word in (b"one", b"two"):
            box.send(word)
            assert box.receive() == b"got " + word
        box.stop()
        assert box.printed().split() == ["oh", "oh"]
        assert box.receive() is None
    box.send(b"nobody hears it")


@each_way
def test_it_tells_how_a_command_ended(way: Way) -> None:
    assert (run(way, "raise SystemExit(3)").code, run(way, "pass").code) == (3, 0)


@each_way
@posix
def test_it_tells_the_signal_that_a_command_died_of(way: Way) -> None:
    box = run(way, "import os; os.kill(os.getpid(), 11)")
    assert box.code in (-signal.SIGSEGV, 128 + signal.SIGSEGV)
    assert box.stopped == ""


@each_way
def test_home_is_empty_and_can_be_written_to_and_is_gone_afterwards(way: Way) -> None:
    with Sandbox(Limits(), way) as box:
        code = "open('here', 'w').close(); os.makedirs('a/b')"
        box.start(python(say("[before, sorted(os.listdir(os.environ['HOME']))]",
                             f"before = os.listdir(); {code}")), {"PATH": os.defpath})  # fmt: skip
        box.wait()
        assert json.loads(box.printed()) == [[], ["a", "here"]]
        home = box.home
    assert not home.exists()


@each_way
@posix
def test_a_folder_that_the_command_has_locked_is_gone_too(way: Way) -> None:
    with Sandbox(Limits(), way) as box:
        code = "import os; os.makedirs('a/b'); open('a/b/c', 'w')"
        code += "; os.chmod('a/b', 0); os.chmod('a', 0)"
        box.start(python(code), {"PATH": os.defpath})
        box.wait()
        assert box.code == 0, box.printed()
    assert not box.home.exists()


@each_way
def test_nothing_of_the_callers_environment_gets_in(
    way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_TOKEN", "of the instructor")
    found = said(way, "dict(os.environ)")
    assert isinstance(found, dict)
    assert "MY_TOKEN" not in found
    assert Path(found["HOME"]) != Path.home()


@each_way
def test_the_courses_packages_are_there(way: Way) -> None:
    assert said(
        way,
        "[numpy.__name__, run_tags.BLOCK_TAG]",
        "import numpy; from winelab.tracking import run_tags",
    )


# --- walls --------------------------------------------------------------------------------------


@walled
def test_the_instructors_files_are_not_seen(way: Way, secret: Path) -> None:
    places = [
        secret,
        SOLUTIONS,
        ROOT / "blocks",
        ROOT / "tests",
        ROOT / ".git",
        Path.home() / ".ssh",
    ]
    if way.name == "bubblewrap":
        places.append(Path("/etc/shadow"))
    assert said(way, "[os.path.exists(p) for p in sys.argv[1:]]", "", *map(str, places)) == [
        False
    ] * len(places)
    # Seen from here they are there, so that the line above says something.
    assert secret.exists() and SOLUTIONS.exists()


@walled
def test_it_writes_nowhere_but_in_its_own_folders(way: Way, secret: Path) -> None:
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
    done = said(way, "[wrote(p) for p in sys.argv[1:]]", setup, *map(str, targets))
    assert done == [False] * len(targets)
    assert secret.read_text(encoding="utf-8") == "the instructor's"


@walled
def test_what_it_writes_to_tmp_stays_inside(way: Way) -> None:
    name = f"/tmp/winelab-{os.getpid()}-{time.monotonic_ns()}"
    run(way, "import sys; open(sys.argv[1], 'w').close()", name)
    assert not Path(name).exists()


@walled
def test_it_has_no_network_but_its_own_address(way: Way) -> None:
    setup = """
import socket
def reaches(*address):
    try:
        socket.create_connection(address, 5).close()
    except OSError:
        return False
    return True
server = socket.create_server(("127.0.0.1", 0))
"""
    found = said(
        way, "[reaches('192.0.2.1', 80), reaches(*server.getsockname()),"
        " reaches('localhost', server.getsockname()[1])]", setup,
    )  # fmt: skip
    assert found == [False, True, True]


@walled
def test_a_server_of_the_instructors_is_not_reached(way: Way, lifeline: Lifeline) -> None:
    if way.name == "seatbelt":
        pytest.skip("Seatbelt has one 127.0.0.1 for all")
    box = run(way, lifeline.code)
    assert "ConnectionRefusedError" in box.printed()


@walled
@posix
def test_it_has_no_rights_and_cannot_get_any(way: Way) -> None:
    if way.name != "bubblewrap":
        pytest.skip("these are Linux's")
    status = said(way, "open('/proc/self/status').read()")
    assert isinstance(status, str)
    fields = dict(line.split(":", 1) for line in status.splitlines())
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(fields[name], 16) & ~0xC0 == 0 and (
            name == "CapInh" or int(fields[name], 16) == 0
        )
    assert fields["NoNewPrivs"].strip() == "1"
    assert said(way, "os.getuid()") != 0


@walled
@linux
def test_it_sees_no_process_but_its_own(way: Way) -> None:
    found = said(way, "[int(p) for p in os.listdir('/proc') if p.isdecimal()]")
    assert isinstance(found, list) and len(found) <= 3 and max(found) < 10


@walled
def test_it_cannot_end_processes_of_others(way: Way) -> None:
    """All that it may signal, its parents, and one by its number."""
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        code = """
import os, signal, sys
for target in (-1, os.getppid(), 1, int(sys.argv[1])):
    try:
        os.kill(target, signal.SIGKILL)
    except OSError:
        pass
print("still here", file=sys.stderr)
"""
        box = run(way, code, str(other.pid))
        assert "still here" in box.printed()
        assert other.poll() is None
    finally:
        other.communicate()
    assert other.returncode is not None


# --- limits -------------------------------------------------------------------------------------


@each_way
def test_a_loop_without_end_is_ended(way: Way) -> None:
    box = run(way, "while True: pass", seconds=0.5)
    assert (box.stopped, box.code) == (sandbox.TIME, None)


@each_way
@posix
def test_one_that_ignores_requests_to_end_is_ended_too(way: Way) -> None:
    code = """
import signal
for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
    signal.signal(number, signal.SIG_IGN)
print("deaf", flush=True)
while True: pass
"""
    with Sandbox(Limits(seconds=PATIENT), way) as box:
        box.start(python(code), {"PATH": os.defpath})
        assert box.receive() == b"deaf"
        box._end = 0
        box.wait()
    assert box.stopped == sandbox.TIME


@each_way
def test_memory_that_grows_is_ended(way: Way) -> None:
    code = "import time; kept = []\nwhile True: kept.append(b'x' * 10_000_000); time.sleep(0.01)"
    # Without walls the kernel's own limit may come first, with a MemoryError.
    box = run(way, code, memory=150 * MB)
    assert box.stopped == sandbox.MEMORY or "MemoryError" in box.printed()


@each_way
@linux
def test_memory_asked_for_at_once_is_refused(way: Way) -> None:
    assert "MemoryError" in run(way, "x = b'x' * (50 * 2**30)").printed()


@each_way
@linux
def test_memory_of_several_processes_is_added_up(way: Way) -> None:
    code = """
import os, time
kept = []
for _ in range(4):
    if os.fork() == 0:
        kept.append(b"x" * 60_000_000)
        time.sleep(600)
time.sleep(600)
"""
    assert run(way, code, memory=150 * MB).stopped == sandbox.MEMORY


def test_what_forks_share_is_counted_once() -> None:
    """Four forks of a process with 200 MB are no 800 MB."""
    if sys.platform != "linux":
        pytest.skip("the figures are Linux's")
    code = """
import os, time
kept = b"x" * 200_000_000
for _ in range(3):
    if os.fork() == 0:
        time.sleep(600)
print("there", flush=True)
time.sleep(600)
"""
    with Sandbox(Limits(), LIMITS_ALONE) as box:
        box.start(python(code), {"PATH": os.defpath})
        assert box.receive() == b"there"
        assert 190 * MB < sandbox._memory(box._tree(), 150 * MB) < 400 * MB


@walled
@linux
def test_a_fork_bomb_is_ended(way: Way) -> None:
    code = """
import os
while True:
    try:
        os.fork()
    except OSError:
        pass
"""
    if sandbox._is_root() and not way.drop:
        # The kernel sets root no limit: between two looks thousands would come, on this machine.
        code = code.replace("os.fork()", "__import__('time').sleep(0.02); os.fork()")
    assert run(way, code, processes=40).stopped == sandbox.PROCESSES


@each_way
@posix
def test_many_processes_are_ended(way: Way) -> None:
    code = """
import os, time
for _ in range(30):
    if os.fork() == 0:
        time.sleep(600)
time.sleep(600)
"""
    box = run(way, code, processes=20)
    assert box.stopped == sandbox.PROCESSES or "Resource temporarily" in box.printed()


@each_way
@posix
def test_a_file_that_is_too_long_is_refused(way: Way) -> None:
    code = "with open('big', 'wb') as f:\n    while True: f.write(b'x' * 1_000_000)"
    box = run(way, code, disk=20 * MB)
    assert "Error" in box.printed() or box.stopped == sandbox.DISK


@each_way
@posix
def test_a_sparse_file_that_is_too_long_is_refused(way: Way) -> None:
    assert "OSError" in run(way, "open('big', 'wb').truncate(10 * 2**30)", disk=20 * MB).printed()


@each_way
def test_files_that_are_too_long_together_are_ended(way: Way) -> None:
    code = """
import time
for n in range(30):
    with open(f"part-{n}", "wb") as f:
        f.write(b"x" * 5_000_000)
time.sleep(600)
"""
    box = run(way, code, disk=50 * MB)
    assert box.stopped == sandbox.DISK or "No space left" in box.printed()


@each_way
def test_too_many_small_files_are_ended(way: Way) -> None:
    code = """
import os, time
for n in range(600):
    os.makedirs(f"{n % 7}", exist_ok=True)
    open(f"{n % 7}/{n}", "w").close()
time.sleep(600)
"""
    assert run(way, code, files=500).stopped == sandbox.DISK


@each_way
def test_output_without_end_is_ended_and_its_end_kept(way: Way) -> None:
    code = "import os\nwhile True: os.write(2, b'x' * 100_000)"
    box = run(way, code, output=MB)
    assert box.stopped == sandbox.OUTPUT
    assert 0 < len(box.printed()) <= sandbox.TAIL


@each_way
def test_a_line_without_end_is_ended(way: Way) -> None:
    assert run(way, "import os\nwhile True: os.write(1, b'x' * 100_000)").stopped == sandbox.LINES


@each_way
@posix
def test_what_cut_all_ties_is_gone_afterwards(way: Way) -> None:
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

    def daemons() -> list[int]:
        found = []
        for process in psutil.process_iter():
            try:
                if process.cmdline()[-1:] == [token]:
                    found.append(process.pid)
            except psutil.Error:
                continue
        return found

    with Sandbox(Limits(seconds=PATIENT), way) as box:
        box.start(python(code), {"PATH": os.defpath})
        assert box.receive() == b"left"
        end = time.monotonic() + 20
        while not daemons() and time.monotonic() < end:
            time.sleep(0.02)
        assert len(daemons()) == 1
        box.stop()
    gone = time.monotonic() + 10
    while daemons() and time.monotonic() < gone:
        time.sleep(0.02)
    assert not daemons()


@each_way
def test_two_at_once_do_not_meet(way: Way) -> None:
    with Sandbox(Limits(), way) as one, Sandbox(Limits(), way) as other:
        for box in (one, other):
            box.start(python("open('mine', 'x'); print('made'); input()"), {"PATH": os.defpath})
        assert one.receive() == other.receive() == b"made"
        one.stop()
        assert other.code is None and other._process is not None and other._process.poll() is None


# --- which way is taken, and what is promised ---------------------------------------------------


@pytest.fixture
def asked_again() -> Iterator[None]:
    """Each test asks anew what this machine allows."""
    for known in (sandbox.best_way, sandbox._best_way):
        known.cache_clear()
    yield
    for known in (sandbox.best_way, sandbox._best_way):
        known.cache_clear()


@pytest.fixture
def lifeline() -> Iterator[Lifeline]:
    line = Lifeline()
    yield line
    line.close()


@pytest.mark.usefixtures("asked_again")
def test_where_there_are_walls_they_are_used() -> None:
    assert sandbox.walled() == bool(walls())
    first = sandbox.guarantees()[0]
    assert ("bubblewrap" in first or "Seatbelt" in first) == bool(walls())
    if not walls():
        assert first.startswith("THERE IS NO SANDBOX")


@pytest.mark.usefixtures("asked_again")
@linux
def test_a_bubblewrap_that_does_not_work_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "bwrap"
    broken.write_text(
        "#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n"
    )
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    way = sandbox.best_way()
    assert way.name == ""
    assert "No permissions to create new namespace" in way.why
    assert sandbox.guarantees()[0].startswith("THERE IS NO SANDBOX")
    assert way.why in sandbox.guarantees()[0]


@pytest.mark.usefixtures("asked_again")
@linux
def test_walls_with_a_hole_are_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bwrap that starts the command as it is."""
    hole = tmp_path / "bwrap"
    hole.write_text('#!/bin/sh\nwhile [ "$1" != "--" ]; do shift; done\nshift\nexec "$@"\n')
    hole.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    way = sandbox.best_way()
    assert way.name == ""
    assert "it sees the solutions" in way.why or "it cannot write" in way.why


@pytest.mark.usefixtures("asked_again")
@linux
def test_without_bubblewrap_it_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "apt install bubblewrap" in sandbox.guarantees()[0]
    assert any("network" in sentence for sentence in sandbox.guarantees())


def test_the_profile_for_macos_has_its_rules_in_order(tmp_path: Path) -> None:
    """The last rule that fits counts: what is allowed stands below what is forbidden."""
    home, kept, hidden = (tmp_path / name for name in ('a "room" é', "packages", "course"))
    text = sandbox.seatbelt_profile(home, [hidden, tmp_path], [kept])
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


def test_sizes_are_said_as_a_person_would() -> None:
    assert [sandbox.size(n) for n in (512 * MB, 3 * 2**30)] == ["512 MB", "3 GB"]
