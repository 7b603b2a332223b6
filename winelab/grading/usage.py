"""Measure what a tree of processes uses: memory, and the bytes and files that it has written."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import psutil


def memory(tree: Sequence[psutil.Process], most: int) -> int:
    """Return the bytes of memory that the processes hold together.

    Exact figures, with what forks share counted once, cost a hundred times as much as quick ones:
    they are asked for only where the quick ones are above `most`.
    """

    def total(ask: Callable[[psutil.Process], int]) -> int:
        found = 0
        for process in tree:
            with suppress(psutil.Error, OSError):
                found += ask(process)
        return found

    def private(process: psutil.Process) -> int:
        info = process.memory_info()
        return int(info.rss - getattr(info, "shared", 0))

    def share(process: psutil.Process) -> int:
        info = process.memory_full_info()
        return int(getattr(info, "pss", 0) or getattr(info, "uss", 0) or info.rss)

    quick = total(private)
    return quick if quick <= most else total(share)


def in_memory(tree: Sequence[psutil.Process], folders: Iterable[str]) -> tuple[int, int]:
    """Return bytes and files in file systems of a namespace, asked through one of its processes."""
    for process in reversed(tree):
        with suppress(OSError):
            states = [os.statvfs(f"/proc/{process.pid}/root{folder}") for folder in folders]
            used = sum((state.f_blocks - state.f_bfree) * state.f_frsize for state in states)
            return used, sum(state.f_files - state.f_ffree for state in states)
    return 0, 0


def on_disk(folder: Path, most: int, over: Callable[[], bool]) -> tuple[int, int]:
    """Return bytes and files in a folder, as the disk holds them.

    It stops counting above `most` files, and as soon as nobody needs it because all is `over`.
    """
    used = files = 0
    waiting = [str(folder)]
    while waiting and files <= most and not over():
        with suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                files += 1
                with suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    state = entry.stat(follow_symlinks=False)
                    # Windows counts no blocks.
                    used += getattr(state, "st_blocks", state.st_size // 512 + 1) * 512
    return int(used), files
