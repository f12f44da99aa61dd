"""The README.md of a model that leaves: what it is, what it is from, and how it is loaded."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

FRONT = """---
library_name: transformers
pipeline_tag: text-generation
tags: [mixstitch]
---

# {title}

"""
LOAD = "## Load"


def write_card(folder: Path, title: str, what: str, sections: Mapping[str, str]) -> Path:
    """Write README.md into a folder that holds a model, and return its path.

    what: a paragraph. sections: heading -> Markdown. A card that is there already (a stitched model has one) keeps its
    own words, and gets these before those on loading.
    """
    import models

    path = folder / "README.md"
    if path.exists():
        head, load, rest = path.read_text(encoding="utf-8").partition(LOAD)
    else:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        is_ours = config["model_type"] in models.OWN_MODEL_TYPES
        head, load, rest = FRONT.format(title=title), LOAD, f"\n\n{models.loading_words(is_ours)}"
    told = "".join(f"## {heading}\n\n{text.strip()}\n\n" for heading, text in sections.items())
    begin = f"{what.strip()}\n\n" if what else ""
    path.write_text(f"{head}{begin}{told}{load}{rest}", encoding="utf-8")
    return path


def table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
