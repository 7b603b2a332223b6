"""Fill in templates: what is Markdown or HTML stands as such in a file of its own."""

from __future__ import annotations

import html
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined


@cache
def _environment(folder: Path) -> Environment:
    made = Environment(
        loader=FileSystemLoader(folder),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # Jinja's own writes an apostrophe in another way than the rest of a built page.
    made.filters["e"] = html.escape
    return made


def render(template: Path, **values: Any) -> str:
    """Return the text that a template (Jinja2) makes of these values."""
    return _environment(template.parent).get_template(template.name).render(values)
