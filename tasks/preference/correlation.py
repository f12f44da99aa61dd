"""Correlates every benchmark with the human rating, beside what chance gives at that number of models.

Pearson r, Spearman rho and Kendall tau-b (Schaeffer et al. 2025, arXiv 2502.18339, section 3), each on the
models that have both figures, as they are and after removing log parameters by linear regression from both
sides. With n models a null r exceeds |t| / sqrt(n - 2 + t^2) with the probability that Student's t_{n-2}
exceeds |t|: at n = 4 that is uniform on [-1, 1], so r = .9 means nothing. Hence, beside each coefficient:

- an interval from resampling model *families* (siblings are not independent evidence),
- a permutation p-value and the null quantile of |coefficient| from the same permutations,
- a family-wise p-value: the share of permutations whose largest standardised |coefficient| over all
  benchmarks reaches the observed one (Westfall and Young 1993). Standardised by the null deviation at the
  benchmark's own n: 1/sqrt(n-1) for Pearson and Spearman, sqrt(2(2n+5) / (9n(n-1))) for Kendall.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import permutations as orderings

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]
STATISTICS = ("pearson", "spearman", "kendall")
COLUMNS = [
    "benchmark",
    "statistic",
    "removed",
    "n",
    "families",
    "value",
    "low",
    "high",
    "p",
    "p_family_wise",
    "null_quantile",
]
MIN_MODELS = 4
_CELLS_AT_ONCE = 4_000_000
_TIE = 1e-9


@dataclass(frozen=True)
class Resampling:
    """How much chance is drawn: resamples, permutations, level of intervals and null quantiles, seed."""

    bootstraps: int
    permutations: int
    confidence: float
    seed: int


def correlate(
    scores: pd.DataFrame,
    ratings: pd.Series,
    families: pd.Series,
    params_b: pd.Series,
    rating_errors: pd.Series,
    resampling: Resampling,
) -> pd.DataFrame:
    """One row a benchmark, statistic and `removed` ('' or 'log parameters').

    scores: models x benchmarks, NaN where missing. ratings, families, params_b (billions, NaN unknown),
    rating_errors (standard error, NaN unknown) by the same models. Columns: n models and families used;
    value; low, high (interval at `confidence`; [-1, 1] when fewer than half of the resamples define the
    coefficient); p (two-sided, smallest attainable included), p_family_wise (over the benchmarks);
    null_quantile (|coefficient| that an unrelated benchmark stays below with probability `confidence`). A
    benchmark with fewer than four models has no row.
    """
    order = np.argsort(scores.index.to_numpy(), kind="stable")
    y = ratings.to_numpy(float)[order]
    x = scores.to_numpy(float)[order]
    log_params = np.log(params_b.to_numpy(float)[order])
    error = np.nan_to_num(rating_errors.to_numpy(float)[order])
    family = pd.factorize(families.to_numpy()[order], sort=True)[0]
    rows = []
    for removed, covariate in (("", None), ("log parameters", log_params)):
        known = np.isfinite(y) if covariate is None else np.isfinite(y) & np.isfinite(covariate)
        z = None if covariate is None else covariate[known]
        rows += _rows(
            list(scores.columns), x[known], y[known], error[known], family[known], z, removed, resampling
        )
    return pd.DataFrame(rows, columns=COLUMNS)


def pearson_null_quantile(n: int, level: float) -> float:
    """|r| that two unrelated normal variables stay below with probability `level`, from n >= 3 pairs."""
    if n < 3:
        raise ValueError(f"n={n}: at least 3 pairs are needed for a correlation to vary")
    t = stats.t.ppf((1 + level) / 2, n - 2)
    return float(t / math.sqrt(n - 2 + t * t))


def coefficients(x: Array, y: Array, weights: Array) -> Array:
    """Pearson, Spearman (midranks), Kendall tau-b of each row: x, y, weights (B, n) -> (B, 3), NaN undefined.

    A weight is how often a model stands in a resample; with weights of 1 these are the usual coefficients.
    """
    size = max(1, _CELLS_AT_ONCE // x.shape[1] ** 2)
    blocks = range(0, len(x), size)
    return np.concatenate([_block(x[i : i + size], y[i : i + size], weights[i : i + size]) for i in blocks])


def _block(x: Array, y: Array, weights: Array) -> Array:
    sign_x = np.sign(x[:, :, None] - x[:, None, :])
    sign_y = np.sign(y[:, :, None] - y[:, None, :])
    rank_x = np.einsum("bj,bij->bi", weights, 1 + sign_x)
    rank_y = np.einsum("bj,bij->bi", weights, 1 + sign_y)
    pairs = weights[:, :, None] * weights[:, None, :]
    concordant = np.einsum("bij,bij,bij->b", pairs, sign_x, sign_y)
    untied_x = np.einsum("bij,bij->b", pairs, np.abs(sign_x))
    untied_y = np.einsum("bij,bij->b", pairs, np.abs(sign_y))
    untied = np.sqrt(untied_x * untied_y)
    kendall = np.divide(concordant, untied, out=np.full(len(x), np.nan), where=untied > 0)
    return np.stack([_pearson(x, y, weights), _pearson(rank_x, rank_y, weights), kendall], axis=1)


def _pearson(x: Array, y: Array, weights: Array) -> Array:
    x, y = _centred(x, weights), _centred(y, weights)
    spread_x = np.sqrt((weights * x * x).sum(1))
    spread_y = np.sqrt((weights * y * y).sum(1))
    defined = (spread_x > 1e-12) & (spread_y > 1e-12)
    value = np.full(len(x), np.nan)
    np.divide((weights * x * y).sum(1), spread_x * spread_y, out=value, where=defined)
    return np.clip(value, -1, 1)


def _centred(x: Array, weights: Array) -> Array:
    return x - ((weights * x).sum(1) / weights.sum(1))[:, None]


def _residual(x: Array, covariate: Array | None, weights: Array) -> Array:
    """x (B, n) less its weighted regression on [1, covariate]; x itself without a covariate."""
    if covariate is None:
        return x
    z = _centred(np.broadcast_to(covariate, x.shape), weights)
    x = _centred(x, weights)
    spread = (weights * z * z).sum(1)
    slope = np.divide((weights * z * x).sum(1), spread, out=np.zeros(len(x)), where=spread > 1e-12)
    return x - slope[:, None] * z


def _rows(
    benchmarks: list[str],
    x: Array,
    y: Array,
    error: Array,
    family: NDArray[np.intp],
    covariate: Array | None,
    removed: str,
    resampling: Resampling,
) -> list[dict[str, object]]:
    used = [j for j in range(len(benchmarks)) if np.isfinite(x[:, j]).sum() >= MIN_MODELS]
    if not used:
        return []
    rng = np.random.default_rng([resampling.seed, 0 if covariate is None else 1])
    shuffles, exact = _shuffles(len(y), resampling.permutations, rng)
    counts = _family_counts(family, resampling.bootstraps, rng)
    noise = rng.normal(size=counts.shape) * error
    # Freedman and Lane 1983: under the null it is the residuals of the rating that may change places.
    exchangeable = _residual(y[None], covariate, np.ones((1, len(y))))[0]

    observed, null, spread, rows = [], [], [], []
    for j in used:
        has = np.isfinite(x[:, j])
        z = None if covariate is None else covariate[has]
        values = _coefficients_of(x[has, j], y[None, has], z, np.ones((1, has.sum())))[0]
        shuffled = _coefficients_of(
            x[has, j], exchangeable[shuffles][:, has], z, np.ones((len(shuffles), has.sum()))
        )
        resampled = _coefficients_of(x[has, j], y[has] + noise[:, has], z, counts[:, has])
        low, high = _interval(resampled, resampling.confidence)
        n = int(has.sum())
        observed.append(values)
        null.append(np.abs(np.nan_to_num(shuffled)))
        spread.append(_null_deviation(n))
        rows += [
            {
                "benchmark": benchmarks[j],
                "statistic": statistic,
                "removed": removed,
                "n": n,
                "families": len(np.unique(family[has])),
                "value": values[k],
                "low": low[k],
                "high": high[k],
            }
            for k, statistic in enumerate(STATISTICS)
        ]
    strength = np.abs(np.array(observed))
    reached = np.array(null)
    deviation = np.array(spread)[:, None, :]
    largest = (reached / deviation).max(0)
    p = _share(reached >= strength[:, None, :] - _TIE, exact, axis=1)
    p_family_wise = _share(largest[None] >= (strength / deviation[:, 0])[:, None, :] - _TIE, exact, axis=1)
    quantile = np.quantile(reached, resampling.confidence, axis=1, method="higher")
    for i, row in enumerate(rows):
        j, k = divmod(i, len(STATISTICS))
        undefined = np.isnan(strength[j, k])
        row["p"] = 1.0 if undefined else p[j, k]
        row["p_family_wise"] = 1.0 if undefined else p_family_wise[j, k]
        row["null_quantile"] = quantile[j, k]
    return rows


def _coefficients_of(x: Array, y: Array, covariate: Array | None, weights: Array) -> Array:
    present = weights.sum(1) > 0
    values = np.full((len(y), len(STATISTICS)), np.nan)
    y, weights = y[present], weights[present]
    if len(y):
        x = np.broadcast_to(x, y.shape)
        values[present] = coefficients(
            _residual(x, covariate, weights), _residual(y, covariate, weights), weights
        )
    return values


def _shuffles(n: int, limit: int, rng: np.random.Generator) -> tuple[NDArray[np.intp], bool]:
    """All orders of n when there are at most `limit` of them, else `limit` random ones."""
    if n <= 8 and math.factorial(n) <= limit:
        return np.array(list(orderings(range(n)))), True
    return rng.permuted(np.tile(np.arange(n), (limit, 1)), axis=1), False


def _share(reached: NDArray[np.bool_], exact: bool, axis: int) -> Array:
    """Random permutations count the observed order as one of them, so that p is never 0."""
    extra = 0 if exact else 1
    return (reached.sum(axis) + extra) / (reached.shape[axis] + extra)


def _family_counts(family: NDArray[np.intp], bootstraps: int, rng: np.random.Generator) -> Array:
    kinds, members = np.unique(family, return_inverse=True)
    drawn = rng.multinomial(len(kinds), np.full(len(kinds), 1 / len(kinds)), size=bootstraps)
    return drawn[:, members].astype(float)


def _interval(resampled: Array, confidence: float) -> tuple[Array, Array]:
    enough = np.isfinite(resampled).mean(0) >= 0.5
    low, high = np.full(len(STATISTICS), -1.0), np.full(len(STATISTICS), 1.0)
    if enough.any():
        tail = (1 - confidence) / 2
        low[enough], high[enough] = np.nanquantile(resampled[:, enough], [tail, 1 - tail], axis=0)
    return low, high


def _null_deviation(n: int) -> Array:
    linear = 1 / math.sqrt(n - 1)
    return np.array([linear, linear, math.sqrt(2 * (2 * n + 5) / (9 * n * (n - 1)))])
