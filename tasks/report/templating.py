"""How pages are made from templates: escaped, strict about names, with the macros and the style of the report."""

from __future__ import annotations

from pathlib import Path

import jinja2

HERE = Path(__file__).parent


def page_environment(*folders: Path) -> jinja2.Environment:
    """Templates of the given folders, then those of the report; a name that is not given is an error."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader([*folders, HERE]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def page_style() -> str:
    """The style sheet, to stand in the page."""
    return (HERE / "style.css").read_text(encoding="utf-8")
