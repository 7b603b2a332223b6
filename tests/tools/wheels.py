"""The smallest wheels that an installer takes; a made-up build backend imports this too."""

from __future__ import annotations

import zipfile
from pathlib import Path


def write_wheel(folder: Path, name: str, version: str, files: dict[str, str]) -> str:
    """Write a wheel of these files into a folder; return its name."""
    info = f"{name}-{version}.dist-info"
    about = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": "",
    }
    file = f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(folder / file, "w") as wheel:
        for path, text in {**files, **about}.items():
            entry = zipfile.ZipInfo(path)
            # A file that may be executed, as a script must.
            entry.external_attr = 0o100755 << 16
            wheel.writestr(entry, text)
    return file
