"""The wine table in place: which one it is, the original from UCI, and the way back.

`data/red-wine-quality.csv` holds the simulated twin (see `winelab.tracking.twin`) or the UCI table,
P. Cortez et al., 2009, in the same format. A table with somebody's own changes is never
overwritten without a copy.
"""

from __future__ import annotations

import hashlib
import logging
import tempfile
from pathlib import Path
from typing import Literal

from winelab.core.paths import TABLE

# Of the files with "\n" line ends: what `winelab.tracking.twin` writes and what UCI serves.
TWIN_SHA256 = "8b31488baa2123d67eecdbc68de5b667ba56394f1a80493105e048a8ecbc202b"
ORIGINAL_SHA256 = "4a402cf041b025d4566d954c3b9ba8635a3a8a01e039005d97d6a710278cf05e"
ORIGINAL_URL = (
    "https://archive.ics.uci.edu/ml/machine-learning-databases/wine-quality/winequality-red.csv"
)
# Seconds of silence before the download is given up; the file itself takes less than one.
TIMEOUT = 15.0

Table = Literal["twin", "original", "other", "missing"]


class DataError(Exception):
    """The table was left as it was; the message is one sentence that says why and what to do."""


def which_table(path: Path = TABLE) -> Table:
    """Tell which table lies at `path`, by its SHA-256.

    "other" is a file that is neither (somebody's changes), "missing" is no file.
    """
    if not path.is_file():
        return "missing"
    # Git may check a file out with Windows line ends; the table in it is the same.
    digest = _sha256(path.read_bytes().replace(b"\r\n", b"\n"))
    tables: dict[str, Table] = {TWIN_SHA256: "twin", ORIGINAL_SHA256: "original"}
    return tables.get(digest, "other")


def get_original(table: Path = TABLE, url: str = ORIGINAL_URL, timeout: float = TIMEOUT) -> str:
    """Put the original UCI table in place and return one line that says what was done.

    One try; it is given up after `timeout` seconds without an answer. The file is replaced
    only by a complete download with the right SHA-256.

    Raises DataError, with the table unchanged, when the download fails, has another hash, or
    cannot be written.
    """
    if which_table(table) == "original":
        return f"{table.name} already is the original UCI table."
    content = _download(url, timeout)
    kept = _replace(table, content)
    return f"{table.name} now is the original UCI table (SHA-256 checked).{kept}"


def restore_twin(table: Path = TABLE) -> str:
    """Put the simulated twin back, made anew from the summary; needs no network.

    Returns one line that says what was done. Raises DataError, with the table unchanged, when
    the summary cannot be read or the table cannot be written.
    """
    if which_table(table) == "twin":
        return f"{table.name} already is the simulated twin."
    content = twin_bytes()
    kept = _replace(table, content)
    if _sha256(content) != TWIN_SHA256:
        # Written all the same: another platform may round a last digit the other way, and a
        # student who is offline has no other way back. The sentence keeps it from surprising.
        return (
            f"{table.name} now is a simulated twin that differs from the published one (another "
            "platform's rounding, or a changed summary): fine to work with, and "
            f"`git checkout {table.parent.name}/{table.name}` brings the published one.{kept}"
        )
    return f"{table.name} now is the simulated twin.{kept}"


def twin_bytes() -> bytes:
    """The twin as a file's content, made from data/red-wine-summary.json.

    Raises DataError when the summary is missing or damaged.
    """
    # Imported on use: telling which table is in place should not wait for scikit-learn.
    from winelab.tracking import twin

    try:
        return twin.twin_bytes(twin.load_summary(twin.SUMMARY))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"The twin was not made, because {twin.SUMMARY.name} is missing or damaged "
            f"({type(error).__name__}): bring it back with "
            f"`git checkout {twin.SUMMARY.parent.name}/{twin.SUMMARY.name}`."
        ) from error


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _download(url: str, timeout: float) -> bytes:
    # Imported on use: pooch brings requests along, and only this function needs them.
    import pooch

    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel(logging.CRITICAL)  # its notes on temporary files would bury our sentence
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = pooch.retrieve(
                url,
                known_hash=f"sha256:{ORIGINAL_SHA256}",
                fname="original.csv",
                path=folder,
                # Read at once: of a refused stream, pooch leaves the connection open.
                downloader=pooch.HTTPDownloader(timeout=timeout, stream=False),
            )
            return Path(path).read_bytes()
    # Before ValueError: some errors of requests are both. All of them are OSErrors.
    except OSError as error:
        raise DataError(
            f"Nothing was changed, because the download failed ({_reason(error)}) at {url}: "
            "check the network and try again, or go on with the table in place."
        ) from error
    except ValueError as error:
        raise DataError(
            f"Nothing was changed, because what {url} sent is not the file this course knows "
            "(its SHA-256 differs): try again on another network, or go on with the table in place."
        ) from error
    finally:
        logger.setLevel(level)


def _reason(error: OSError) -> str:
    # The full text of a connection error is a paragraph of nested class names.
    status = getattr(getattr(error, "response", None), "status_code", None)
    return f"HTTP status {status}" if status else type(error).__name__


def _replace(table: Path, content: bytes) -> str:
    """Put `content` at `table` in one step; returns a remark on the copy kept, or nothing."""
    try:
        copy = _keep_copy(table) if which_table(table) == "other" else None
        # In the same folder, because a replace is atomic only within one file system.
        with tempfile.TemporaryDirectory(dir=table.parent, prefix=".table-") as folder:
            new = Path(folder) / table.name
            new.write_bytes(content)
            new.replace(table)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DataError(
            f"{table.name} was not changed, because it cannot be replaced ({reason}): "
            "close the programs that have it open, and check that you may write to its folder."
        ) from error
    return f" Your changed table is kept as {copy.name}." if copy else ""


def _keep_copy(table: Path) -> Path:
    content = table.read_bytes()
    copy = table.with_name(f"{table.name}.bak")
    number = 2
    # A copy made earlier may hold work that is nowhere else.
    while copy.exists() and copy.read_bytes() != content:
        copy = table.with_name(f"{table.name}.{number}.bak")
        number += 1
    copy.write_bytes(content)
    return copy
