"""Set limits on itself, then become another program: the first process inside a sandbox.

``python -I -S set_limits.py LIMITS COMMAND...``: LIMITS is a JSON object. POSIX only.
A function that runs between fork and exec would do the same, but not beside other threads.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sys
from pathlib import Path


def set_limits(limits: dict[str, int]) -> None:
    """Take rights and room from this process and all that it will start; no way back.

    Args:
        limits: ``uid`` to become that user, where this one is root; and the names of
            `resource` without RLIMIT_, such as ``FSIZE``, each with the most that is allowed.
    """
    # Where memory runs out all the same, the kernel ends this first, and not the grader.
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    uid = limits.pop("uid", None)
    for name, value in limits.items():
        kind = getattr(resource, f"RLIMIT_{name}", None)
        if kind is None:
            continue
        hard = resource.getrlimit(kind)[1]
        most = value if hard == resource.RLIM_INFINITY else min(value, hard)
        # macOS refuses some of them; the watcher is there too.
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(kind, (most, most))
    if uid is not None:
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)


if __name__ == "__main__":
    set_limits(json.loads(sys.argv[1]))
    os.execv(sys.argv[2], sys.argv[2:])
