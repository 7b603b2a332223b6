"""Stand for a process that the fork server runs: ask it for a fork, pass signals on, end with it.

Runs with ``python -S -E``, so it imports little::

    fork_stub.py kernel CONNECTION_FILE    what the kernelspec of a forked kernel starts
    fork_stub.py python ARGUMENTS...       what `sys.executable` names inside a fork
    fork_stub.py uvicorn ARGUMENTS...      beside it, as in .venv

A Python that is asked for something else than what the fork server has loaded is an ordinary one.
"""

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from winelab.system.forkserver import SOCKET_VARIABLE, Stage, ask

PASSED_ON = (signal.SIGINT, signal.SIGTERM)


def request_for(program: str, arguments: list[str]) -> tuple[Stage, dict[str, Any]] | None:
    """Return the stage to fork and what is to run in it; None for an ordinary Python."""
    if program == "kernel":
        return Stage.LOADED, {"module": "ipykernel_launcher", "argv": ["-f", *arguments]}
    if program == "uvicorn":
        return Stage.SERVING, {"module": "uvicorn", "argv": arguments}
    if arguments[:1] == ["-m"] and arguments[1:2] in (["mlflow"], ["uvicorn"]):
        return Stage.SERVING, {"module": arguments[1], "argv": arguments[2:]}
    # What a check asks a logged model in.
    if arguments[:2] == ["-m", "winelab.checks.isolated_predict"]:
        return Stage.LOADED, {"module": arguments[1], "argv": arguments[2:]}
    # MLflow loads each model that it logs once more, to see which packages it needs.
    if arguments and Path(arguments[0]).name == "_capture_modules.py":
        return Stage.MLFLOW, {"script": arguments[0], "argv": arguments[1:]}
    return None


def main(program: str, *arguments: str) -> int:
    """Run what was asked for in a fork, and return its exit code."""
    found = request_for(program, list(arguments))
    if found is None:
        os.execv(sys.executable, [sys.executable, *arguments])
    stage, request = found
    request |= {"cwd": str(Path.cwd()), "env": dict(os.environ)}
    # Until there is a child to pass them on to, they wait.
    signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
    connection = ask(os.environ[SOCKET_VARIABLE], stage, request, [0, 1, 2])
    with connection.makefile("r") as answers:
        pid = int(answers.readline())

        def pass_on(number: int, _: object) -> None:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

        for number in PASSED_ON:
            signal.signal(number, pass_on)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
        return int(answers.readline() or 1)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
