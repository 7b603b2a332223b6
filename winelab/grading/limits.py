"""Say what a hand-in may take, and word what becomes of one that takes more."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import Enum

MB, GB = 2**20, 2**30


def size(count: int) -> str:
    """Return bytes as a person says them: "512 MB", "3 GB"."""
    return f"{count / GB:g} GB" if count >= GB else f"{count / MB:g} MB"


def clean(text: object, most: int = 200) -> str:
    """Return what a hand-in may have said, as one line that can be shown."""
    words = " ".join("".join(c if c.isprintable() else " " for c in str(text)[: 4 * most]).split())
    return words if len(words) <= most else words[: most - 3] + "..."


@dataclass(frozen=True)
class Limits:
    """What a command may take.

    The greedy blocks are 13 and 28, which start servers; a hand-in may do more than the solution,
    so each limit is a wide margin above what they were seen to take.
    """

    seconds: float = 180.0
    """On two cores that a dozen others wanted too, they took 85 s."""
    memory: int = 3 * GB
    """Bytes, of all processes together. They take 0.6 GB."""
    processes: int = 256
    """Processes and, where the kernel counts them too, threads. They have 6 with 15 threads."""
    disk: int = 512 * MB
    """Bytes, of all files together; also of any single one. They write 2 MB."""
    files: int = 10_000
    """Files and folders. They make 83."""
    output: int = 20 * MB
    """Bytes of output, read and thrown away but for the end."""

    def fill(self, sentence: str, **more: str) -> str:
        """Return a sentence with these limits, and what else is given, in place of its braces."""
        sizes = {name: size(getattr(self, name)) for name in ("memory", "disk", "output")}
        return sentence.format(**(asdict(self) | sizes | more))


class Limit(Enum):
    """Why the watcher ends a command; the value completes a sentence that begins with "It"."""

    TIME = (
        "did not end within {seconds:g} s{where}, and was stopped: a loop without an end, or a "
        "wait for something that never comes"
    )
    MEMORY = "took more than {memory} of memory{where}, and was stopped"
    PROCESSES = "started more processes than the {processes} allowed{where}, and was stopped"
    DISK = "wrote more than {disk} or {files} files{where}, and was stopped"
    OUTPUT = "printed more than {output}{where}, and was stopped"
    LINES = "wrote into the grader's own line{where}, and was stopped"
