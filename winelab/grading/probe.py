"""Look from inside a sandbox whether its walls stand: a wrong promise is worse than none.

``python -P -m winelab.grading.probe HIDDEN ROOT`` prints, as JSON, two lists of what is wrong:
what does not work and must, and what works and must not.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

# A hand-in needs them too.
import numpy  # noqa: F401


def _works(action: Callable[..., object], *arguments: object) -> bool:
    try:
        action(*arguments)
    except OSError:
        return False
    return True


def _loopback() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), 5).close()


def _network() -> None:
    # Of a datagram socket this sends nothing that arrives: it only asks for a route.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        asked.connect(("192.0.2.1", 9))
        asked.send(b"")


def _write(folder: str) -> None:
    file = Path(folder, ".winelab-probe")
    file.touch()
    file.unlink()


def main(hidden: str, root: str) -> None:
    """Print what is wrong."""
    broken = {
        "127.0.0.1 does not work in it": not _works(_loopback),
        "it cannot write into its own folder": not _works(_write, os.environ["HOME"]),
    }
    holes = {
        "it reaches the network": _works(_network),
        "it sees the solutions": _works(os.listdir, hidden),
        "it can write outside of its folder": _works(_write, root) or _works(_write, "/"),
    }
    print(json.dumps([[words for words, so in told.items() if so] for told in (broken, holes)]))


if __name__ == "__main__":
    main(*sys.argv[1:3])
