"""Tables of how a mixture of experts routed while it trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tasks.report.formatting import fixed


def layer_rows(facts: Mapping[str, Any]) -> list[dict[str, str]]:
    """One row a layer of experts: its loads, in equal shares, dropped choices, gate entropy, balance loss."""
    return [
        {
            "layer": layer.removeprefix("model.").removesuffix(".mlp"),
            "highest": fixed(max(told["load"]) * len(told["load"]), 2),
            "lowest": fixed(min(told["load"]) * len(told["load"]), 2),
            **_dropped(told["dropped"]),
            "entropy": fixed(told["entropy"], 3),
            "unused": str(told["unused"]),
            "balance": fixed(told["balance"], 3),
        }
        for layer, told in facts["routing"]["layers"].items()
    ]


def source_rows(facts: Mapping[str, Any]) -> list[dict[str, str]]:
    """One row a source of the mixture, the most dropped first; means over layers."""
    by_source: Mapping[str, Sequence[float]] = facts["routing"]["dropped_by_source"]
    ranked = sorted(by_source.items(), key=lambda told: (-sum(told[1]), told[0]))
    return [{"source": source, **_dropped(shares)} for source, shares in ranked]


def _dropped(shares: Sequence[float]) -> dict[str, str]:
    """Share of first choices, and the mean share of all further ones."""
    further = sum(shares[1:]) / len(shares[1:]) if len(shares) > 1 else None
    return {"first": _percent(shares[0]), "further": _percent(further)}


def _percent(share: float | None) -> str:
    return fixed(None if share is None else 100 * share, 1) + ("" if share is None else " %")
