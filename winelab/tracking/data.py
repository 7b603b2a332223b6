"""The wine table in place: which one it is, the original from UCI, and the way back.

`data/red-wine-quality.csv` holds the simulated twin (see `data/make_twin.py`) or the UCI table,
P. Cortez et al., 2009, in the same format. A table with somebody's own changes is never
overwritten without a copy.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from pathlib import Path
from typing import Literal

from winelab.core.errors import CourseError
from winelab.core.files import write_bytes
from winelab.core.paths import DATA, TABLE

# The twin once more. Not made anew: another platform may round a last digit the other way.
TWIN_COPY = DATA / "red-wine-twin.csv.gz"
# Of the files with "\n" line ends: what `data/make_twin.py` writes and what UCI serves.
TWIN_SHA256 = "8b31488baa2123d67eecdbc68de5b667ba56394f1a80493105e048a8ecbc202b"
ORIGINAL_SHA256 = "4a402cf041b025d4566d954c3b9ba8635a3a8a01e039005d97d6a710278cf05e"
ORIGINAL_URL = (
    "https://archive.ics.uci.edu/ml/machine-learning-databases/wine-quality/winequality-red.csv"
)
# Seconds of silence before the download is given up; the file itself takes less than one.
TIMEOUT = 15.0

Table = Literal["twin", "original", "other", "missing"]


def which_table(path: Path = TABLE) -> Table:
    """Tell which table lies at `path`, by its SHA-256.

    "other" is a file that is neither (somebody's changes), "missing" is no file.
    """
    if not path.is_file():
        return "missing"
    # Git may check a file out with Windows line ends; the table in it is the same.
    digest = sha256(path.read_bytes().replace(b"\r\n", b"\n"))
    tables: dict[str, Table] = {TWIN_SHA256: "twin", ORIGINAL_SHA256: "original"}
    return tables.get(digest, "other")


def get_original(table: Path = TABLE, url: str = ORIGINAL_URL, timeout: float = TIMEOUT) -> str:
    """Put the original UCI table in place and return one line that says what was done.

    One try; it is given up after `timeout` seconds without an answer. The file is replaced
    only by a complete download with the right SHA-256.

    Raises CourseError, with the table unchanged, when the download fails, has another hash, or
    cannot be written.
    """
    if which_table(table) == "original":
        return f"{table.name} already is the original UCI table."
    kept = _replace(table, _download(url, timeout))
    return f"{table.name} now is the original UCI table (SHA-256 checked).{kept}"


def restore_twin(table: Path = TABLE) -> str:
    """Put the simulated twin back and return one line that says what was done; needs no network.

    Raises CourseError, with the table unchanged, when the copy of the twin is missing or
    damaged, or the table cannot be written.
    """
    if which_table(table) == "twin":
        return f"{table.name} already is the simulated twin."
    kept = _replace(table, twin_bytes())
    return f"{table.name} now is the simulated twin.{kept}"


def twin_bytes() -> bytes:
    """Return the twin as a file's content, from the compressed copy that lies beside the table.

    Raises CourseError when the copy is missing or damaged.
    """
    try:
        content = gzip.decompress(TWIN_COPY.read_bytes())
    except (OSError, EOFError, zlib.error):
        content = b""
    if sha256(content) != TWIN_SHA256:
        raise CourseError(
            f"The twin cannot be put back, because {TWIN_COPY.name} is missing or damaged: copy "
            f"it from the course's repository into {TWIN_COPY.parent.name}/."
        )
    return content


def sha256(content: bytes) -> str:
    """Return the SHA-256 of `content` in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def _download(url: str, timeout: float) -> bytes:
    # Imported on use: telling which table is in place should not wait for it.
    import requests

    try:
        answer = requests.get(url, timeout=timeout)
        answer.raise_for_status()
    except requests.RequestException as error:
        # The full text of a connection error is a paragraph of nested class names.
        status = error.response is not None and f"HTTP status {error.response.status_code}"
        raise CourseError(
            f"Nothing was changed, because the download failed ({status or type(error).__name__}) "
            f"at {url}: check the network and try again, or go on with the table in place."
        ) from error
    if sha256(answer.content) != ORIGINAL_SHA256:
        raise CourseError(
            f"Nothing was changed, because what {url} sent is not the file this course knows "
            "(its SHA-256 differs): try again on another network, or go on with the table in place."
        )
    return answer.content


def _replace(table: Path, content: bytes) -> str:
    """Put `content` at `table` in one step; return a remark on the copy kept, or nothing."""
    try:
        copy = _keep_copy(table) if which_table(table) == "other" else None
        write_bytes(table, content)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise CourseError(
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
