"""The door: `python -m winelab COMMAND`, which the Makefile calls.

Standard library only at import, and no syntax newer than Python 3.8: a command is read, and
.venv is made, by whatever Python there is. What a command needs is imported inside it.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import NoReturn

from winelab import environment
from winelab.errors import CourseError
from winelab.paths import ARTIFACTS, BLOCKS, KEPT, OUTPUT, ROOT, STACK_DATA, STATE, STORE

# Ctrl-C, as a shell reports it.
INTERRUPTED = 130

# What `clean` removes wherever it lies, and where it does not look.
MADE_AGAIN = ("__pycache__", ".pytest_cache", ".ruff_cache", ".mypy_cache", ".ipynb_checkpoints")
NOT_OURS = (".git", ".venv", STATE, "mlruns", "node_modules")

# The commands that can be about one block.
BY_BLOCK = (
    *("check", "matrix", "outputs", "run", "pictures"),
    *("watch", "hint", "solution", "catchup"),
)

OLD_STORES = Path(STATE, "old-stores")


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; returns its exit code.

    2 for a command that is not understood, 1 for a mistake or a failure, else 0.
    """
    given = sys.argv[1:] if arguments is None else arguments
    if not given or given[0] in ("-h", "--help"):
        given = ["help"]
    try:
        options = parser().parse_args(given)
    except SystemExit as stop:
        return int(stop.code or 0)
    try:
        return run(options, given)
    except CourseError as error:
        print(f"winelab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return INTERRUPTED


def parser() -> argparse.ArgumentParser:
    """The parser of all commands; a mistake in them is one sentence and exit code 2."""
    top = Parser(prog="python -m winelab")
    commands = top.add_subparsers(metavar="COMMAND", dest="name")
    for name, function in COMMANDS.items():
        command = commands.add_parser(name, description=function.__doc__)
        command.set_defaults(command=function)
        if name in BY_BLOCK:
            command.add_argument("--block", type=block_number, metavar="N", help="only this one")
    commands.choices["lab"].add_argument("--no-browser", action="store_true")
    commands.choices["grade"].add_argument("--submissions", metavar="FOLDER", default="")
    commands.choices["grade"].add_argument("--report", metavar="FOLDER", default="")
    commands.choices["nbgrader"].add_argument("--course", metavar="FOLDER", default="")
    commands.choices["nbgrader"].add_argument("--blocks", metavar="3,14", default="")
    commands.choices["matrix"].add_argument(
        "--versions", nargs="+", metavar="VERSION", default=[], help="these, such as 3.16.1"
    )
    commands.choices["data"].add_argument(
        "--twin", action="store_true", help="put the table back that ships with the course"
    )
    commands.choices["clean"].add_argument("--all", action="store_true", help="remove .venv too")
    commands.choices["watch"].add_argument(
        "--script", metavar="FILE", default="", help="a file of your own, instead of the one in my/"
    )
    for name in ("reset", "grade"):
        commands.choices[name].add_argument("--yes", action="store_true", help="do not ask")
    return top


class Parser(argparse.ArgumentParser):
    """argparse's, with one sentence for a mistake in place of a page."""

    def __init__(self, **settings: object) -> None:
        super().__init__(allow_abbrev=False, **settings)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        """Prints the mistake and ends with exit code 2."""
        # argparse lists every command, and before Python 3.12 in another form.
        message = re.sub(
            r"argument COMMAND: invalid choice: ('[^']*').*",
            r"there is no command \1; `python -m winelab help` lists them",
            message,
            flags=re.DOTALL,
        )
        self.exit(2, f"winelab: {message}\n")


def block_number(text: str) -> int | None:
    """The number of a block that exists, or None for the empty text that make passes.

    Raises ArgumentTypeError for anything else.
    """
    if not text.strip():
        return None
    if not re.fullmatch(r"\d+", text.strip()):
        raise argparse.ArgumentTypeError(f"{text!r} is no block number")
    number = int(text)
    numbers = [int(path.name[:2]) for path in BLOCKS.glob("[0-9][0-9]_*")]
    if number not in numbers:
        known = f"blocks go from {min(numbers)} to {max(numbers)}" if numbers else "no block yet"
        raise argparse.ArgumentTypeError(f"there is no block {number}: {known}")
    return number


def run(options: argparse.Namespace, arguments: list[str]) -> int:
    """Runs a command in .venv, which is made first where the command needs it."""
    # These work before anything is installed, and when something is broken.
    if options.command in (help_, doctor, clean):
        return int(options.command(options))
    environment.set_up(ROOT)
    if not environment.in_venv(ROOT):
        return run_in_venv(arguments)
    os.environ.update(environment.venv_environment(ROOT))
    return int(options.command(options))


def run_in_venv(arguments: list[str]) -> int:
    """Runs the same command with .venv's Python; returns its exit code."""
    command = [str(environment.venv_python(ROOT)), "-m", "winelab", *arguments]
    variables = environment.venv_environment(ROOT)
    sys.stdout.flush()
    if os.name != "nt":
        # In place of this process: signals, the terminal and the exit code need no passing on.
        os.execve(command[0], command, variables)
    # Windows gives Ctrl-C to both processes: the child ends itself, this one waits for it.
    child = subprocess.Popen(command, env=variables)
    while True:
        try:
            return child.wait()
        except KeyboardInterrupt:
            continue


def help_text() -> str:
    """The commands of the Makefile, one a line, from their `##` comments."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    found = re.findall(r"^([a-z-]+):.*?## (.*)$", makefile, re.MULTILINE)
    lines = [f"  make {name:<10} {text}" for name, text in found]
    return "\n".join(["Wine Lab, a course in MLflow.", "", *lines])


def help_(options: argparse.Namespace) -> int:
    """Print the commands."""
    print(help_text())
    print("\nWithout make: python -m winelab COMMAND; its options: python -m winelab COMMAND -h")
    return 0


def setup(options: argparse.Namespace) -> int:
    """Make .venv, or bring it up to date."""
    # By the time a command runs, it has been.
    print(".venv is ready: `make lab` opens the course.")
    return 0


def lab(options: argparse.Namespace) -> int:
    """Open the course in JupyterLab; Ctrl-C stops it."""
    from winelab import serve

    return serve.lab(browser=not options.no_browser)


def ui(options: argparse.Namespace) -> int:
    """Open MLflow's UI on the course's store; Ctrl-C stops it."""
    from winelab import serve

    return serve.ui()


def stack(options: argparse.Namespace) -> int:
    """Run MLflow on PostgreSQL and S3, in Docker or from installed programs; Ctrl-C stops it."""
    from winelab import stack

    return stack.main()


def doctor(options: argparse.Namespace) -> int:
    """Say what is right and wrong on this machine."""
    from winelab import doctor

    return doctor.main()


def check(options: argparse.Namespace) -> int:
    """Prove that the blocks work."""
    from winelab import prove

    return int(prove.main(options.block))


def build(options: argparse.Namespace) -> int:
    """Build labs/ and solutions/ from blocks/."""
    from winelab import build

    return int(build.main())


def outputs(options: argparse.Namespace) -> int:
    """Execute the solved notebooks and keep their outputs."""
    from winelab import outputs

    return int(outputs.main(options.block))


def run_block(options: argparse.Namespace) -> int:
    """Run the script of a block in the course's store."""
    from winelab import run

    return int(run.main(options.block))


def watch(options: argparse.Namespace) -> int:
    """Run a student's own script at each save, and check it."""
    from winelab import watch

    return int(watch.main(options.block, options.script))


def hint(options: argparse.Namespace) -> int:
    """Show the next hint for a block."""
    from winelab import hint

    return int(hint.main(options.block))


def solution(options: argparse.Namespace) -> int:
    """Show what a block changes in the script."""
    from winelab import solution

    return int(solution.main(options.block))


def catchup(options: argparse.Namespace) -> int:
    """Add the runs of the blocks before this one that your store does not have."""
    from winelab import catchup

    return int(catchup.main(options.block))


def progress(options: argparse.Namespace) -> int:
    """Show which blocks are done."""
    from winelab import progress

    return int(progress.main())


def grade(options: argparse.Namespace) -> int:
    """Grade a folder of hand-ins."""
    from winelab import grade

    def go_on(question: str) -> bool:
        return bool(options.yes) or agreed("grade", question)

    return int(grade.main(options.submissions, options.report, go_on))


def nbgrader(options: argparse.Namespace) -> int:
    """Write blocks as assignments of an nbgrader course."""
    from winelab import assignments

    return int(assignments.main(options.course, options.blocks))


def matrix(options: argparse.Namespace) -> int:
    """Run the course on other versions of MLflow, and say what breaks; Ctrl-C stops it."""
    from winelab import matrix

    return int(matrix.main(options.versions, options.block))


def slides(options: argparse.Namespace) -> int:
    """Build the slides to HTML and PDF."""
    from winelab import slides

    return int(slides.main())


def pictures(options: argparse.Namespace) -> int:
    """Take the pictures of the lessons again."""
    from winelab import pictures

    return int(pictures.main(options.block))


def lint(options: argparse.Namespace) -> int:
    """Mend the code's style, and say what is left to mend by hand."""
    from winelab import lint

    return int(lint.main())


def bench(options: argparse.Namespace) -> int:
    """Measure what takes time."""
    from winelab import bench

    return int(bench.main())


def store(options: argparse.Namespace) -> int:
    """Make the tracking store if there is none."""
    from winelab.store import prepare

    return prepare(ROOT)


def data(options: argparse.Namespace) -> int:
    """Get the original wine table, or put the one back that ships with the course."""
    from winelab.data import DataError, get_original, restore_twin

    try:
        print(restore_twin() if options.twin else get_original())
    except DataError as error:
        raise CourseError(str(error)) from error
    return 0


def clean(options: argparse.Namespace) -> int:
    """Remove what the course made and can make again; never the store, never your files."""
    keep = [ROOT / OLD_STORES, ROOT / KEPT, ROOT / STACK_DATA]
    remove = [OUTPUT, *(path for path in ROOT.glob(f"{STATE}/*") if path not in keep)]
    for folder, names, _ in os.walk(ROOT):
        remove += [Path(folder, name) for name in names if name in MADE_AGAIN]
        names[:] = [name for name in names if name not in (*MADE_AGAIN, *NOT_OURS)]
    if options.all:
        environment.remove_venv(ROOT)
    for path in remove:
        # What another program holds open or has just removed is no reason to stop.
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    print("Clean." if options.all else "Clean. `make clean ALL=1` would remove .venv too.")
    return 0


def reset(options: argparse.Namespace) -> int:
    """Put the tracking store aside and start with a fresh one."""
    if not options.yes and not agreed("reset", "This puts the store with all your runs aside."):
        print("Nothing was changed.")
        return 1
    aside = put_store_aside(ROOT)
    if aside is not None:
        print(f"The old store is in {aside}: move its files back to have it again.")
    store(options)
    print("There is a fresh store now; restart the kernels of open notebooks.")
    return 0


def agreed(command: str, question: str) -> bool:
    """True if the person at the terminal types "yes". Raises CourseError without a terminal."""
    if not sys.stdin.isatty():
        raise CourseError(
            f"{command} asks first ({question}), and there is no terminal to ask on: "
            "add --yes (with make, YES=1)."
        )
    return input(f"{question} Type yes to go on: ").strip().lower() == "yes"


def put_store_aside(root: Path) -> Path | None:
    """Moves the store and its artifacts aside; returns where they are, None if there were none.

    Raises CourseError when another program holds the store; nothing is moved then.
    """
    # The database first: where open files cannot be moved, it is the one that is held open.
    names = [STORE.name, *(STORE.name + end for end in ("-wal", "-shm", "-journal"))]
    there = [name for name in (*names, ARTIFACTS.name) if (root / name).exists()]
    if not there:
        return None
    aside = root / OLD_STORES / datetime.now().strftime("%Y-%m-%d-%H%M%S")
    aside.mkdir(parents=True)
    moved: list[str] = []
    try:
        for name in there:
            (root / name).rename(aside / name)
            moved.append(name)
    except OSError as error:
        for name in moved:
            (aside / name).rename(root / name)
        aside.rmdir()
        raise CourseError(
            f"The store is in use ({error}): stop `make lab` and `make ui`, then try again."
        ) from error
    return aside


COMMANDS = {
    "help": help_,
    "lab": lab,
    "ui": ui,
    "stack": stack,
    "run": run_block,
    "watch": watch,
    "hint": hint,
    "solution": solution,
    "catchup": catchup,
    "progress": progress,
    "data": data,
    "doctor": doctor,
    "check": check,
    "build": build,
    "outputs": outputs,
    "grade": grade,
    "nbgrader": nbgrader,
    "matrix": matrix,
    "slides": slides,
    "pictures": pictures,
    "lint": lint,
    "bench": bench,
    "setup": setup,
    "reset": reset,
    "clean": clean,
    "store": store,
}
