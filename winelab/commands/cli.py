"""The command-line entry point: `python -m winelab COMMAND`, which the Makefile calls.

Standard library only at import, and no syntax newer than Python 3.8: a command is read, and
.venv is made, by whatever Python there is. What a command needs is imported when it runs.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from importlib import import_module
from typing import Any, NoReturn

from winelab.core.errors import CourseError
from winelab.core.order import find_one, read_order
from winelab.core.paths import BLOCKS, ROOT
from winelab.system import environment
from winelab.system.packages import GROUPS

INTERRUPTED = 130
"""The exit code after Ctrl-C, as a shell reports it."""


def block_number(text: str) -> int | None:
    """Return the number of the block of this number or name; None for the empty text of make.

    Raises ArgumentTypeError where there is no such block.
    """
    if not text.strip():
        return None
    try:
        return find_one(read_order(BLOCKS).blocks, text).number
    except CourseError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


_FOLDER = {"metavar": "FOLDER", "default": ""}
# An option's name, or its `dest`, is the parameter that it is passed as.
OPTIONS: dict[str, dict[str, Any]] = {
    "all": {"action": "store_true", "help": "remove .venv too"},
    "block": {
        "dest": "number",
        "type": block_number,
        "metavar": "BLOCK",
        "help": "only this one: its number or name",
    },
    "blocks": {"metavar": "BLOCKS", "default": "", "help": "such as 3,14 or run..tags"},
    "course": _FOLDER,
    "full": {"action": "store_true", "help": "prove everything"},
    "no_browser": {"action": "store_true"},
    "only": {"choices": ["checks", "commands"], "default": "", "help": "this part alone"},
    "part": {"type": int, "metavar": "PART", "help": "only this one: its number"},
    "report": _FOLDER,
    "script": {"metavar": "FILE", "default": "", "help": "a file of your own"},
    "submissions": _FOLDER,
    "twin": {"action": "store_true", "help": "put the table back that ships"},
    "versions": {"dest": "named", "nargs": "+", "metavar": "VERSION", "default": []},
    "with": {"dest": "groups", "nargs": "+", "choices": [*GROUPS], "default": []},
    "yes": {"action": "store_true", "help": "do not ask"},
}
# Each command: the function that does it, its options, and what it is for (in `COMMAND -h`).
COMMANDS = {
    "help": ("commands.cli:show_help", "", "print the commands"),
    "lab": (
        "commands.servers:lab",
        "no_browser part",
        "open the course in JupyterLab; Ctrl-C stops it",
    ),
    "ui": ("commands.servers:ui", "", "open MLflow's UI on the course's store; Ctrl-C stops it"),
    "stack": ("stack.command:main", "", "run MLflow on PostgreSQL and S3; Ctrl-C stops it"),
    "run": ("commands.run:main", "block", "run the script of a block in the course's store"),
    "watch": (
        "commands.watch:main",
        "block script",
        "run a student's own script at each save, and check it",
    ),
    "hint": ("commands.hint:main", "block", "show the next hint for a block"),
    "solution": ("commands.solution:main", "block", "show what a block changes in the script"),
    "catchup": (
        "commands.catchup:main",
        "block",
        "add the runs that a class has before this block",
    ),
    "progress": ("commands.progress:main", "", "show which blocks are done"),
    "data": (
        "commands.housekeeping:data",
        "twin",
        "get the original wine table, or put the one back that ships with the course",
    ),
    "doctor": ("commands.doctor:main", "", "say what is right and wrong on this machine"),
    "check": ("proof.run_pytest:main", "block part full", "prove that the blocks work"),
    "build": ("course.build:main", "", "build labs/ and solutions/ from blocks/"),
    "outputs": ("proof.outputs:main", "block", "execute the solved notebooks, keep their outputs"),
    "grade": ("grading.command:main", "submissions report yes", "grade a folder of hand-ins"),
    "nbgrader": (
        "grading.assignments:main",
        "course blocks",
        "write blocks as assignments of an nbgrader course",
    ),
    "matrix": (
        "proof.matrix:main",
        "block versions",
        "run the course on other versions of MLflow, and say what breaks; Ctrl-C stops it",
    ),
    "slides": ("publish.slides:main", "", "build the slides to HTML and PDF"),
    "pictures": ("publish.pictures:main", "block", "take the pictures of the lessons again"),
    "lint": ("commands.lint:main", "", "fix the code's style, and say what is left to fix"),
    "bench": ("commands.bench:main", "only", "measure what takes time"),
    "setup": (
        "commands.housekeeping:setup",
        "with",
        "make .venv, or bring it up to date; also with what some commands install at first use",
    ),
    "reset": (
        "commands.housekeeping:reset",
        "yes",
        "put the tracking store aside and start with a fresh one",
    ),
    "clean": (
        "commands.housekeeping:clean",
        "all",
        "remove what the course made and can make again; never the store, never your files",
    ),
    "store": ("tracking.store:prepare", "", "make the tracking store if there is none"),
}

WITHOUT_VENV = ("help", "doctor", "clean")
"""These work before anything is installed, and when something is broken."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    Returns its exit code: 2 for a command that is not understood, 1 for a mistake or a failure,
    130 after Ctrl-C, else 0.
    """
    given = sys.argv[1:] if arguments is None else arguments
    if not given or given[0] in ("-h", "--help"):
        given = ["help"]
    try:
        options = vars(parser().parse_args(given))
    except SystemExit as stop:
        return int(stop.code or 0)
    try:
        code = run(options.pop("name"), options, given)
        # What is still unwritten meets a closed pipe here, and not when Python has ended.
        sys.stdout.flush()
        return code
    except (BrokenPipeError, SystemExit) as end:
        # rich ends the process in place of the error.
        if not isinstance(end if isinstance(end, OSError) else end.__context__, BrokenPipeError):
            raise
        # Whoever read it has seen enough, as in `make progress | head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except CourseError as error:
        print(f"winelab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return INTERRUPTED


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands; a mistake in them is one sentence and exit code 2."""
    top = Parser(prog="python -m winelab")
    commands = top.add_subparsers(metavar="COMMAND", dest="name")
    for name, (_, options, what_for) in COMMANDS.items():
        command = commands.add_parser(name, description=what_for)
        for option in options.split():
            command.add_argument(f"--{option.replace('_', '-')}", **OPTIONS[option])
    return top


class Parser(argparse.ArgumentParser):
    """argparse's, with one sentence for a mistake in place of a page."""

    def __init__(self, **settings: object) -> None:
        super().__init__(allow_abbrev=False, **settings)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        """Print the mistake, and end with exit code 2."""
        # argparse lists every command, and before Python 3.12 in another form.
        message = re.sub(
            r"argument COMMAND: invalid choice: ('[^']*').*",
            r"there is no command \1; `python -m winelab help` lists them",
            message,
            flags=re.DOTALL,
        )
        self.exit(2, f"winelab: {message}\n")


def run(name: str, options: dict[str, Any], arguments: list[str]) -> int:
    """Run a command in .venv, which is made first where the command needs it."""
    if name not in WITHOUT_VENV:
        environment.set_up(ROOT, quickly=name == "lab")
        if not environment.in_venv(ROOT):
            return run_in_venv(arguments)
        os.environ.update(environment.venv_environment(ROOT))
    module, _, function = COMMANDS[name][0].partition(":")
    return int(getattr(import_module(f"winelab.{module}"), function)(**options))


def run_in_venv(arguments: list[str]) -> int:
    """Run the same command with .venv's Python; return its exit code."""
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


def show_help() -> int:
    """Print the commands of the Makefile, one a line, from their `##` comments; return 0."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    print("Wine Lab, a course in MLflow.\n")
    for name, text in re.findall(r"^([a-z-]+):.*?## (.*)$", makefile, re.MULTILINE):
        print(f"  make {name:<10} {text}")
    print("\nWithout make: python -m winelab COMMAND; its options: python -m winelab COMMAND -h")
    return 0
