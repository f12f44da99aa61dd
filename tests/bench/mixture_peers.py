"""Mixtures that others would train: those that were published, and RegMix's own choice."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from tasks.mixture.found_weights import capped
from tasks.mixture.laws.fitted_law import FittedLaw
from tasks.mixture.mixture import Mixture
from tasks.mixture.solver.capped_simplex import fill

PUBLISHED = {"the Pile's own": "pile_baseline_256kvocab", "DoReMi's": "pile_doremi_280M_256kvocab_paper"}
REGMIX = "RegMix, mean of the best simulated"
# RegMix averages the 128 best of 100,000 mixtures drawn about the natural one; the same share of fewer here.
SIMULATED, KEPT = 25_000, 32


def published(file: Path, sources: list[str]) -> dict[str, dict[str, float]]:
    """Those of a table of config, kind, domain and weight, of the domains that are among the sources; no file: none."""
    if not file.is_file():
        return {}
    table = pd.read_csv(file)
    names = table["domain"].str.lower().str.replace(r"[^a-z0-9]+", "_", regex=True).str.strip("_")
    table = table.assign(source=names)[(table["kind"] == "train") & names.isin(sources)]
    found = {
        told: table[table["config"] == config].set_index("source")["weight"]
        for told, config in PUBLISHED.items()
    }
    return {
        told: (own / own.sum()).to_dict() for told, own in found.items() if set(own.index) == set(sources)
    }


def regmix(law: FittedLaw, sizes: Mapping[str, int], budget: int, cap: float, random_seed: int) -> Mixture:
    """The mean of those that the law likes best among many drawn about the natural mixture, all under the cap."""
    names, held = list(sizes), np.array(list(sizes.values()), float)
    simulated = np.random.default_rng(random_seed).dirichlet(held / held.sum(), SIMULATED)
    upper = np.minimum(cap * held / budget, 1.0)
    allowed = np.stack([fill(weights, upper) for weights in simulated])
    forecast = law.predict(pd.DataFrame(allowed, columns=names)).mean(axis=1).to_numpy()
    best = allowed[np.argsort(forecast, kind="stable")[:KEPT]].mean(axis=0)
    return capped(dict(zip(names, best, strict=True)), sizes, budget, cap, {}, {"method": REGMIX})
