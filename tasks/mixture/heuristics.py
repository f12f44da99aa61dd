"""Mixtures that need no utility: uniform, proportional, UniMax, OLMo's and weights chosen by hand.

UniMax (Chung et al. 2023, arXiv 2304.09151): visit the sources from the smallest on, give each an equal part
of what is left, but no more than its cap.

OLMo: weight ~ tokens * passes, each kind of data sampled down or up by hand. In Dolma 1.7, the mix of OLMo
1.7 7B (the table "Sample Proportion" of its dataset card, April 2024), Common Crawl and C4 have 50%, Wikipedia
and Wikibooks 200%, all others 100%. Passes that are not given follow from the words of a source's NAME: .5
for web, cc, commoncrawl, crawl, c4; 2 for what begins with wiki or encyclop; else 1.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from tasks.mixture.mixture import Mixture, planned
from tasks.mixture.solver.capped_simplex import Array, fill
from tasks.training.token_plans import (
    capacity,
    check_budget,
    check_cap,
    check_names,
    check_sizes,
    upper_bounds,
)

CRAWLS, CRAWL_PASSES = ("web", "cc", "commoncrawl", "crawl", "c4"), 0.5
ENCYCLOPEDIAS, ENCYCLOPEDIA_PASSES = ("wiki", "encyclop"), 2.0


def unimax(tokens: Mapping[str, int], budget: int, epoch_cap: float) -> Mixture:
    """As even as the epoch cap allows. tokens: tokens a source holds.

    Raises ValueError where the cap does not allow the budget, naming the largest that it does.
    """
    return heuristic("unimax", tokens, budget, epoch_cap)


def uniform(tokens: Mapping[str, int], budget: int, epoch_cap: float = math.inf) -> Mixture:
    """The same weight for every source. No cap unless given; with one it is the same as `unimax`."""
    return heuristic("uniform", tokens, budget, epoch_cap)


def proportional(tokens: Mapping[str, int], budget: int, epoch_cap: float = math.inf) -> Mixture:
    """Weights in proportion to the tokens, so the same epochs everywhere. No cap unless given."""
    return heuristic("proportional", tokens, budget, epoch_cap)


def olmo(
    tokens: Mapping[str, int],
    budget: int,
    epoch_cap: float = math.inf,
    passes: Mapping[str, float] | None = None,
) -> Mixture:
    """Weights in proportion to tokens times passes. No cap unless given.

    passes: of sources by name, above 0; those of the others follow from their names. The certificate holds all
    of them and which were guessed. Raises ValueError for passes of what is no source.
    """
    return heuristic("olmo", tokens, budget, epoch_cap, passes=passes)


def manual(
    weights: Mapping[str, float], tokens: Mapping[str, int], budget: int, epoch_cap: float = math.inf
) -> Mixture:
    """Weights by hand, divided by their sum; one for every source. No cap unless given.

    Raises ValueError naming sources without a weight, weights without a source, and a source whose weight
    breaks the cap: weights chosen by hand are never moved.
    """
    return heuristic("manual", tokens, budget, epoch_cap, weights=weights)


def heuristic(
    method: str,
    tokens: Mapping[str, int],
    budget: int,
    epoch_cap: float,
    used: Mapping[str, float] | None = None,
    weights: Mapping[str, float] | None = None,
    passes: Mapping[str, float] | None = None,
) -> Mixture:
    """The mixture of `method`, capped along a lineage that has `used` tokens already.

    What the cap takes from a source goes to the others in proportion to their weights.
    """
    sizes = check_sizes(tokens)
    budget, epoch_cap, used = check_budget(budget), check_cap(epoch_cap), used or {}
    limit = capacity(sizes, budget, epoch_cap, used)
    upper = upper_bounds(sizes, limit, budget)
    facts: dict[str, Any] = {"method": method, "epoch_cap": None if math.isinf(epoch_cap) else epoch_cap}
    match method:
        case "uniform" | "unimax":  # under a cap, the most even weights are UniMax's
            w = fill(np.ones(len(sizes)), upper)
        case "proportional":
            w = fill(np.array(list(sizes.values()), float), upper)
        case "olmo":
            all_passes = _passes(passes or {}, sizes)
            w = fill(np.array([size * all_passes[name] for name, size in sizes.items()], float), upper)
            facts |= {"passes": all_passes, "passes_by_name": sorted(set(sizes) - set(passes or {}))}
        case "manual":
            w = _manual_weights(weights or {}, sizes, upper, limit, budget, epoch_cap)
        case _:
            raise ValueError(f"method={method!r}: must be uniform, proportional, unimax, olmo or manual")
    return planned(w, sizes, budget, limit, used, facts)


def passes_by_name(source: str) -> float:
    """Passes over a source of this name in OLMo's mix: see above."""
    words = re.split(r"[^a-z0-9]+", source.lower())
    if any(word.startswith(ENCYCLOPEDIAS) for word in words):
        return ENCYCLOPEDIA_PASSES
    return CRAWL_PASSES if any(word in CRAWLS for word in words) else 1.0


def _passes(given: Mapping[str, float], sizes: Mapping[str, int]) -> dict[str, float]:
    check_names("passes", given, sizes, all_needed=False)
    wrong = {name: count for name, count in given.items() if not (math.isfinite(count) and count > 0)}
    if wrong:
        raise ValueError(f"passes={wrong}: must be finite and above 0")
    return {name: float(given[name]) if name in given else passes_by_name(name) for name in sizes}


def _manual_weights(
    weights: Mapping[str, float],
    sizes: Mapping[str, int],
    upper: Array,
    limit: Mapping[str, int],
    budget: int,
    epoch_cap: float,
) -> Array:
    check_names("manual", weights, sizes)
    w = np.array([float(weights[name]) for name in sizes])
    if not (np.isfinite(w).all() and w.min() >= 0 and w.sum() > 0):
        raise ValueError(f"manual={dict(weights)}: weights must be finite, at least 0 and not all 0")
    w = w / w.sum()
    for name, share, bound in zip(sizes, w, upper, strict=True):
        if math.floor(share * budget) > limit[name]:
            raise ValueError(
                f"manual: weight {share:.4g} of {name!r} is {share * budget:,.0f} of {budget:,} tokens, but "
                f"epoch_cap={epoch_cap:g} leaves {limit[name]:,}; its weight can be at most {bound:.4g}"
            )
    return w
