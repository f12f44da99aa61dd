"""How far annotators agree, and whether the place in which an answer was shown decided."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[np.float64]
LEVELS: dict[str, Any] = {"likert": "ordinal", "choice": "nominal", "absolute": "interval"}
DRAWS = 200


def alpha(rows: pd.DataFrame, kind: str, confidence: float, random_seed: int) -> dict[str, Any] | None:
    """Krippendorff's alpha with its interval over resampled units, and the units that two or more judged.

    A unit is an item with its pair of models. Likert scores are ordinal, choices nominal, ratings interval. None where
    no unit has two judgements; value is None where all judgements are the same.
    """
    import krippendorff

    if kind not in LEVELS:
        return None
    values = np.unique(rows["value"])
    units = rows.groupby(["item", "first", "second"], sort=False).ngroup().to_numpy()
    counts = np.zeros((int(units.max()) + 1, len(values)), dtype=int)
    np.add.at(counts, (units, np.searchsorted(values, rows["value"].to_numpy())), 1)
    counts = counts[counts.sum(1) >= 2]
    if not len(counts):
        return None

    def of(table: NDArray[np.int_]) -> float:
        if (table.sum(0) > 0).sum() < 2:
            return float("nan")
        return float(
            krippendorff.alpha(value_counts=table, value_domain=values, level_of_measurement=LEVELS[kind])
        )

    rng = np.random.default_rng([random_seed, 21])
    drawn = [of(counts[rng.integers(0, len(counts), len(counts))]) for _ in range(DRAWS)]
    tail = (1 - confidence) / 2
    known = np.array(drawn)[np.isfinite(drawn)]
    low, high = np.quantile(known, [tail, 1 - tail]) if len(known) >= DRAWS / 2 else (np.nan, np.nan)
    value = of(counts)
    return {
        "alpha": None if np.isnan(value) else value,
        "low": None if np.isnan(low) else float(low),
        "high": None if np.isnan(high) else float(high),
        "units": len(counts),
        "level": LEVELS[kind],
    }


def order_effect(rows: pd.DataFrame, confidence: float, random_seed: int) -> dict[str, Any] | None:
    """Share of decided choices that went to the first-named answer, with its interval over resampled items.

    .5 where the place does not matter, provided that which model stood first was drawn by lot: `balance` is the
    share of pairs of models that stood in both orders. None without a decided choice.
    """
    decided = rows[rows["value"] != 0.5]
    if decided.empty:
        return None
    per_item = (
        decided.assign(first_won=decided["value"] > 0.5).groupby("item")["first_won"].agg(["sum", "size"])
    )
    won, all_of = per_item["sum"].to_numpy(float), per_item["size"].to_numpy(float)
    rng = np.random.default_rng([random_seed, 22])
    weights = rng.multinomial(len(won), np.full(len(won), 1 / len(won)), size=1000)
    drawn = (weights @ won) / np.maximum(weights @ all_of, 1)
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    orders = set(zip(rows["first"], rows["second"], strict=True))
    pairs = {frozenset(pair) for pair in orders}
    both = sum((b, a) in orders for a, b in orders) / 2
    return {
        "share_first": float(won.sum() / all_of.sum()),
        "low": float(low),
        "high": float(high),
        "decided": int(all_of.sum()),
        "balance": both / len(pairs),
    }
