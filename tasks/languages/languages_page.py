"""The page of a cube: one HTML file with the maps of every model inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.report.language_maps import language_section
from tasks.report.templating import page_environment, page_style


def write_languages_page(path: Path, title: str, told: Sequence[Mapping[str, Any]]) -> None:
    """Write the page to `path`. told: of each model, as `asking.ask` gives it."""
    template = page_environment(Path(__file__).parent).get_template("languages.html")
    page = template.render(
        title=title,
        style=page_style(),
        form=told[0]["form"],
        tests=list(dict.fromkeys(cell["test"] for cell in told[0]["cells"])),
        answer=[sentence for one in told for sentence in one["answer"]],
        models=[language_section(one) for one in told],
    )
    path.write_text(page, encoding="utf-8")
