"""What the kernelspec of a forked kernel starts: asks the fork server, and stands for the child.

Runs with ``python -S -E``, so it imports little. Usage: kernel_stub.py CONNECTION_FILE.
"""

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from winelab.system.forkserver import SOCKET_VARIABLE, ask


def main(connection_file: str) -> int:
    """Start a kernel in a fork, pass interrupts on, and return its exit code."""
    request: dict[str, object] = {
        "module": "ipykernel_launcher",
        "argv": ["-f", connection_file],
        "cwd": str(Path.cwd()),
        "env": dict(os.environ),
    }
    connection = ask(os.environ[SOCKET_VARIABLE], request, [0, 1, 2])
    with connection.makefile("r") as answers:
        pid = int(answers.readline())

        def interrupt(*_: object) -> None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGINT)

        signal.signal(signal.SIGINT, interrupt)
        return int(answers.readline() or 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
