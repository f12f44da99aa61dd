"""One HTML page on a text: who carries each token, and how gates are used at every stitch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.report.heatmaps import gate_maps
from tasks.report.templating import page_environment, page_style
from tasks.report.token_text import coloured


def write_gates_page(path: Path, title: str, view: Mapping[str, Any], rows: list[dict]) -> None:
    """view: as `token_view` gives it. rows: as `gates_by_domain` does."""
    page = page_environment(Path(__file__).parent).get_template("gates.html")
    path.write_text(
        page.render(
            title=title, style=page_style(), text=coloured(view), gate_maps=gate_maps(rows, {}), rows=rows
        ),
        encoding="utf-8",
    )
