"""The card of a model that was joined without a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.stitching.cards import table, write_card
from tasks.stitching.compositions import COMPOSITIONS_BY_NAME
from tasks.stitching.joined_models import HUB, Members, Way


def write_joined_card(folder: Path, members: Members, way: Way, facts: Mapping[str, Any]) -> Path:
    """README.md of the model in `folder`. facts: as `join` gives them."""
    names = ", ".join(members.experts)
    composition = COMPOSITIONS_BY_NAME.get(way.name)
    what = (
        f"The models {HUB}, {names} joined: {composition.title}, {composition.line}." if composition else ""
    )
    paths = [(HUB, f"`{members.hub}`"), *((name, f"`{path}`") for name, path in members.experts.items())]
    made_from = table(("model", "from"), paths) + "\n\nTheir licences apply to this model."
    sections = {"Made from": made_from}
    if facts["tokens"]:
        rows = [(source, f"{tokens:,}") for source, tokens in facts["trained_tokens"].items()]
        sections["Trained on"] = (
            f"{facts['tokens']:,} tokens, last loss {facts['final_loss']:.3f} nats a token.\n\n"
            + table(("text", "tokens"), rows)
        )
    return write_card(folder, f"{way.name} of {HUB}, {names}", what, sections)
