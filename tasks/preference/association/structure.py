"""Spectrum of the correlations against chance, communities with their stability, and benchmarks by what they tell.

Spectrum: singular values of the benchmark x category matrix of Pearson correlations (missing pairs 0), beside
those with the ratings' models permuted. Communities: average-linkage clustering (Sokal and Michener 1958) of
benchmarks and categories at distance 1 - r, with the number of clusters of the best mean silhouette; stability
is the mean adjusted Rand index (Hubert and Arabie 1985) with clusterings of resampled families of models.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from tasks.preference.association.pair_groups import FEWEST_OF_A_PAIR
from tasks.preference.sheets.joining import Paired

Array = NDArray[np.float64]
DRAWS = 200
MOST_CLUSTERS = 8
METHOD = "average linkage on 1 - r"
STABLE = 0.6


def pairwise_pearson(x: Array, y: Array, weights: Array | None = None) -> Array:
    """Pearson r (p, T) of columns of x (n, p) and y (n, T) over rows that have both; NaN where undefined.

    weights (n,): how often a row counts.
    """
    w = np.ones(len(x)) if weights is None else weights
    known_x, known_y = np.isfinite(x), np.isfinite(y)
    x = np.where(known_x, x - np.nanmean(np.where(known_x, x, np.nan), axis=0), 0)
    y = np.where(known_y, y - np.nanmean(np.where(known_y, y, np.nan), axis=0), 0)
    wx, mask = w[:, None] * known_x, known_y.astype(float)
    count = wx.T @ mask
    safe = np.where(count > 0, count, 1)
    mean_x, mean_y = (w[:, None] * x).T @ mask / safe, wx.T @ y / safe
    covariance = (w[:, None] * x).T @ y / safe - mean_x * mean_y
    var_x = (w[:, None] * x**2).T @ mask / safe - mean_x**2
    var_y = wx.T @ y**2 / safe - mean_y**2
    floor_x = 1e-12 * np.maximum((x**2).max(0, initial=0)[:, None], 1e-300)
    floor_y = 1e-12 * np.maximum((y**2).max(0, initial=0)[None], 1e-300)
    defined = (var_x > floor_x) & (var_y > floor_y)
    scale = np.sqrt(np.where(defined, var_x * var_y, 1))
    return np.where(defined, (covariance / scale).clip(-1, 1), np.nan)


def spectrum(data: Paired, random_seed: int, confidence: float = 0.95, draws: int = DRAWS) -> dict[str, Any]:
    """Singular values, the null's quantile of each, how many exceed it one after the other, and the rank ceiling."""
    rng = np.random.default_rng([random_seed, 11])
    observed = np.linalg.svd(np.nan_to_num(pairwise_pearson(data.scores, data.ratings)), compute_uv=False)
    null = np.array(
        [
            np.linalg.svd(
                np.nan_to_num(pairwise_pearson(data.scores, data.ratings[rng.permutation(len(data.models))])),
                compute_uv=False,
            )
            for _ in range(draws)
        ]
    )
    quantile = np.quantile(null, confidence, axis=0)
    above = observed > quantile
    complete = bool(np.isfinite(data.scores).all() and np.isfinite(data.ratings).all())
    ceiling = min(len(data.models) - 1, len(observed))
    return {
        "singular_values": observed.tolist(),
        "null_quantile": quantile.tolist(),
        "confidence": confidence,
        "above_chance": int(np.argmin(above)) if not above.all() else len(above),
        "rank_ceiling": ceiling if complete else len(observed),
        "complete": complete,
        "draws": draws,
    }


@dataclass(frozen=True)
class Communities:
    """labels: by name of benchmark or category its cluster, 1 the largest; silhouette; stability (0 chance, 1 same)."""

    method: str
    labels: dict[str, int]
    silhouette: float
    stability: float
    resamples: int


def communities(data: Paired, random_seed: int, resamples: int = 100) -> Communities | None:
    """Clusters of benchmarks and categories together; None with fewer than four of them."""
    from sklearn.metrics import adjusted_rand_score, silhouette_score

    both = np.hstack([data.scores, data.ratings])
    names = [*data.benchmarks, *data.targets]
    if len(names) < 4:
        return None
    distance = _distance(both, None)
    tree = linkage(squareform(distance, checks=False), "average")
    best, labels = -1.0, np.ones(len(names), dtype=int)
    for count in range(2, min(MOST_CLUSTERS, len(names) - 1) + 1):
        found = fcluster(tree, count, "maxclust")
        if len(np.unique(found)) > 1:
            score = float(silhouette_score(distance, found, metric="precomputed"))
            if score > best:
                best, labels = score, found
    count = len(np.unique(labels))
    rng = np.random.default_rng([random_seed, 12])
    agreement = []
    for weights in family_weights(data.families, resamples, rng):
        again = linkage(squareform(_distance(both, weights), checks=False), "average")
        agreement.append(adjusted_rand_score(labels, fcluster(again, count, "maxclust")))
    sizes = pd.Series(labels).value_counts()
    order = {label: i + 1 for i, label in enumerate(sizes.index)}
    told = {name: order[label] for name, label in zip(names, labels, strict=True)}
    return Communities(METHOD, told, best, float(np.mean(agreement)), resamples)


def _distance(both: Array, weights: Array | None) -> Array:
    r = pairwise_pearson(both, both, weights)
    distance = 1 - np.where(np.isfinite(r), r, 0)
    distance = (distance + distance.T) / 2
    np.fill_diagonal(distance, 0)
    return distance.clip(0)


def family_weights(families: NDArray[np.str_], resamples: int, rng: np.random.Generator) -> Array:
    """How often each model stands in resamples of whole families: (resamples, n)."""
    kinds, members = np.unique(families, return_inverse=True)
    return rng.multinomial(len(kinds), np.full(len(kinds), 1 / len(kinds)), size=resamples)[
        :, members
    ].astype(float)


def predictive_benchmarks(
    data: Paired, random_seed: int, confidence: float, resamples: int = 500
) -> pd.DataFrame:
    """Benchmarks by mean Pearson r over the categories, best first, with intervals by resampled families.

    Ratings are drawn anew within their published errors in each resample. Columns: benchmark, n (fewest models
    behind a correlation), mean_r, low, high, rank, rank_low, rank_high (of the mean among benchmarks).
    """
    rng = np.random.default_rng([random_seed, 13])
    observed = _mean_r(_told(data))
    errors = np.nan_to_num(data.rating_errors)
    drawn = []
    for weights in family_weights(data.families, resamples, rng):
        noisy = data.ratings + errors * rng.normal(size=errors.shape)
        drawn.append(_mean_r(pairwise_pearson(data.scores, noisy, weights)))
    means = np.array(drawn)
    tail = [(1 - confidence) / 2, (1 + confidence) / 2]
    enough = np.isfinite(means).mean(0) >= 0.5
    low, high = np.full((2, len(observed)), np.nan)
    if enough.any():
        low[enough], high[enough] = np.nanquantile(means[:, enough], tail, axis=0)
    ranks = pd.DataFrame(-means).rank(axis=1).to_numpy()
    rank_low, rank_high = np.nanquantile(np.where(np.isfinite(means), ranks, np.nan)[:, :], tail, axis=0)
    frame = pd.DataFrame(
        {
            "benchmark": data.benchmarks,
            "n": _counts(data).min(1),
            "mean_r": observed,
            "low": low,
            "high": high,
            "rank": pd.Series(-observed).rank().to_numpy(),
            "rank_low": rank_low,
            "rank_high": rank_high,
        }
    )
    return frame.sort_values("mean_r", ascending=False, na_position="last", ignore_index=True)


def signs_by_target(data: Paired) -> pd.DataFrame:
    """Of each category: benchmarks and fewest models of a pair, share of benchmarks with r > 0, and mean r.

    mean r is NaN where no correlation is defined. Pairs count from FEWEST_OF_A_PAIR models on.
    """
    observed = _told(data)
    counts = _counts(data)
    known = np.isfinite(observed)
    return pd.DataFrame(
        {
            "target": data.targets,
            "benchmarks": known.sum(0),
            "models": counts.min(0),
            "share_positive": (observed > 0).sum(0) / np.maximum(known.sum(0), 1),
            "mean_r": _mean_r(observed.T),
        }
    )


def _told(data: Paired) -> Array:
    """r (p, T) of the pairs that are tested too."""
    r = pairwise_pearson(data.scores, data.ratings)
    return np.where(_counts(data) >= FEWEST_OF_A_PAIR, r, np.nan)


def _counts(data: Paired) -> NDArray[np.intp]:
    return np.isfinite(data.scores).T.astype(int) @ np.isfinite(data.ratings).astype(int)


def refused_by_resampling(
    n: int, predictive: pd.DataFrame, groups: Communities | None
) -> list[dict[str, Any]]:
    """Claims on the order of benchmarks and on communities that do not hold when families are resampled."""
    refused = []
    if len(predictive) > 1:
        first, second = predictive.iloc[0], predictive.iloc[1]
        gap = float(np.arctanh(min(first["mean_r"], 0.9999)) - np.arctanh(min(second["mean_r"], 0.9999)))
        if not first["rank_high"] < 2:
            needed = math.ceil(3 + 2 * 2.706 / max(gap, 0.02) ** 2)
            refused.append(
                {
                    "claim": f"that {first['benchmark']} is the benchmark that tells most",
                    "why": f"in resamples of families it ranks from {_rank(first['rank_low'])} to "
                    f"{_rank(first['rank_high'])} of {len(predictive)}; to tell it from {second['benchmark']} at 90% "
                    "takes about 3 + 2 (1.645 / difference of Fisher's z)^2 models",
                    "have": n,
                    "needed": max(needed, n + 1),
                    "of": "models",
                }
            )
    if groups is not None and not groups.stability >= STABLE:
        refused.append(
            {
                "claim": "which benchmarks and categories form communities",
                "why": f"clusterings of resampled families agree with this one by {groups.stability:.2f} only (1 the "
                f"same, 0 chance; {STABLE:g} is asked for); the spread of a correlation falls with the root of the "
                "models, and half of it is asked for",
                "have": n,
                "needed": 4 * n,
                "of": "models",
            }
        )
    return refused


def _rank(value: float) -> str:
    return "?" if not np.isfinite(value) else f"{value:.0f}"


def _mean_r(r: Array) -> Array:
    """Mean over targets by Fisher's z, (p,)."""
    z = np.arctanh(np.clip(r, -0.999999, 0.999999))
    known = np.isfinite(z)
    count = known.sum(1)
    mean = np.divide(np.where(known, z, 0).sum(1), count, out=np.full(len(r), np.nan), where=count > 0)
    return np.tanh(mean)
