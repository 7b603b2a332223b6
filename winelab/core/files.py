"""Write files whole or not at all, and keep a second process out meanwhile.

Standard library only: this module is read before anything is installed.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import IO


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all, in UTF-8, with `\\n` line ends on every system.

    Raises OSError when it cannot be written; the old file is then as it was.
    """
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; its folder is made where it is missing.

    Raises OSError when it cannot be written; the old file is then as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.new")
    try:
        draft.write_bytes(content)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def locked(path: Path, wait: bool = True) -> IO[bytes]:
    """Take the lock of a file, which is made where it is missing, until what is returned is closed.

    The lock is the system's: it ends with the process, however that ends.
    Raises OSError when the file cannot be written, and BlockingIOError when another process
    holds the lock and this one shall not `wait`.
    """
    file = path.open("wb")
    try:
        _lock(file.fileno(), wait)
    except BaseException:
        file.close()
        raise
    return file


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int, wait: bool) -> None:
        while True:
            try:
                # Its own way of waiting gives up after ten seconds.
                return msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            except OSError as error:
                if not wait:
                    raise BlockingIOError from error
            time.sleep(0.2)

else:
    import fcntl

    def _lock(descriptor: int, wait: bool) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))


def files_within(folder: Path) -> list[Path]:
    """Return the files in a folder and below, in order, but for what tools leave there.

    That is what lies in a folder whose name begins with a dot or an underscore, such as a cache,
    and what pip notes of a package.
    """

    def made(path: Path) -> bool:
        names = path.relative_to(folder).parts[:-1]
        return any(name[:1] in "._" or name.endswith(".egg-info") for name in names)

    return [path for path in sorted(folder.rglob("*")) if path.is_file() and not made(path)]
