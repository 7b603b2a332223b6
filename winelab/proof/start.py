"""What of a block is run outside of a notebook, and the store that it starts from.

A store is empty at first. A part on request begins with the registered champion of the parts
before it: that store is made once, by their last script, and kept in .winelab/, which `make clean`
empties.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import sqlite3
import tarfile
import tempfile
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

from winelab.core.errors import CourseError
from winelab.core.paths import ARTIFACTS, ROOT, STATE, STORE
from winelab.course.compose import script_text
from winelab.course.source import Block, Course
from winelab.proof.execute import Code, execute
from winelab.tracking.workspace import clean_workspace

_MADE_IN = "made-in.txt"
"""Beside a kept store: the folder that its paths speak of."""


def solution_code(block: Block, arguments: tuple[str, ...] = ()) -> Code:
    """Return a block's script with these arguments, or what is run of its package.

    It lies in the workspace's solutions/.
    """
    if block.package:
        return Code(block.name, runs=tuple(block.meta.runs))
    return Code(f"{block.name}.py", arguments=arguments)


def furnish_for(course: Course, block: Block, workspace: Path) -> None:
    """Put into a clean workspace the store that a block of a part on request starts from.

    That of another block stays empty. Raises CourseError where the last script before it fails.
    """
    if packed := packed_store(course, block):
        unpack_store(packed, workspace)


def packed_store(course: Course, block: Block) -> bytes:
    """Return the store that a block starts from as a tar file; nothing where that is empty.

    Raises CourseError where the last script before it fails.
    """
    if not course.parts[block.part].on_request:
        return b""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        archive.add(_kept(course), arcname=".")
    return content.getvalue()


def unpack_store(packed: bytes, workspace: Path) -> None:
    """Put a packed store into a workspace, in place of the one that is there."""
    with tempfile.TemporaryDirectory(dir=workspace) as folder:
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(folder, filter="data")
        kept = Path(folder)
        old = Path((kept / _MADE_IN).read_text(encoding="utf-8"))
        (kept / ARTIFACTS.name).rename(workspace / ARTIFACTS.name)
        (kept / STORE.name).replace(workspace / STORE.name)
    with closing(sqlite3.connect(workspace / STORE.name)) as database:
        _rename(database, old.as_uri(), workspace.as_uri())
        _rename(database, old.as_posix(), workspace.as_posix())
        database.commit()


def _rename(database: sqlite3.Connection, old: str, new: str) -> None:
    """Write `new` for `old` in all texts of a database."""
    tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    for (table,) in tables:
        for _, column, kind, *_ in database.execute(f'PRAGMA table_info("{table}")').fetchall():
            if kind.startswith(("VARCHAR", "TEXT")):
                database.execute(
                    f'UPDATE "{table}" SET "{column}" = replace("{column}", ?, ?) '
                    f'WHERE instr("{column}", ?)',
                    [old, new, old],
                )


def _kept(course: Course) -> Path:
    """Return the folder of the kept store, made now where there is none of today's script."""
    last = course.main[-1]
    text = script_text(course, last.number)
    digest = hashlib.sha256(f"{version('mlflow')}\0{text}".encode()).hexdigest()[:16]
    kept = ROOT / STATE / "cache" / f"store-after-{last.slug}-{digest}"
    if kept.is_dir():
        return kept
    kept.parent.mkdir(parents=True, exist_ok=True)
    with clean_workspace() as workspace, tempfile.TemporaryDirectory(dir=kept.parent) as folder:
        (workspace / "solutions" / f"{last.name}.py").write_text(text, encoding="utf-8")
        outcome = execute(solution_code(last), workspace)
        if outcome.error:
            raise CourseError(f"The script of block {last.number} failed: {outcome.last_line}")
        made = Path(folder, "made")
        made.mkdir()
        shutil.copytree(workspace / ARTIFACTS.name, made / ARTIFACTS.name)
        shutil.copyfile(workspace / STORE.name, made / STORE.name)
        (made / _MADE_IN).write_text(str(workspace), encoding="utf-8")
        # Two processes may be here at once: the first whole one stays.
        if not kept.is_dir():
            made.rename(kept)
    return kept
