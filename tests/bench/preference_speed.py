"""Resampled left-out ridge of 29 targets, against the same loops with multi-target scikit-learn, in one run."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from tests.bench.resampled_ridge import left_out_predictions

TARGETS, MODELS, BENCHMARKS, RESAMPLES = 29, 150, 60, 1000
ALPHA = 3.0
LOOPED = 4


def measure() -> Iterator[str]:
    from threadpoolctl import threadpool_limits

    scores, ratings, weights = instance(0, MODELS, BENCHMARKS, TARGETS, RESAMPLES)
    workers = min(2, os.cpu_count() or 1)
    with threadpool_limits(1), ThreadPoolExecutor(workers) as pool:
        left_out_predictions(scores, ratings, weights[:2], ALPHA)
        began = time.perf_counter()
        parts = pool.map(
            lambda rows: left_out_predictions(scores, ratings, rows, ALPHA), np.array_split(weights, workers)
        )
        ours = np.concatenate(list(parts))
        seconds = time.perf_counter() - began
    began = time.perf_counter()
    theirs = np.array([looped(scores, ratings, row, ALPHA) for row in weights[:LOOPED]])
    loops = (time.perf_counter() - began) * RESAMPLES / LOOPED
    gap = float(np.nanmax(np.abs(ours[:LOOPED] - theirs)) / np.nanstd(ratings))
    yield (
        f"{TARGETS} targets x {MODELS} models x {BENCHMARKS} benchmarks x {RESAMPLES} resamples, ridge, scaling "
        f"refitted, all copies of a model left out: {seconds:.2f} s with {workers} threads; scikit-learn's loops "
        f"{loops:.0f} s "
        f"({LOOPED} resamples timed and scaled by {RESAMPLES // LOOPED}), {loops / seconds:.0f}x; largest difference "
        f"{gap:.0e} of the ratings' deviation"
    )


def instance(
    random_seed: int, models: int, benchmarks: int, targets: int, resamples: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(random_seed)
    level = generator.normal(size=(models, 4))
    scores = level @ generator.normal(size=(4, benchmarks)) + generator.normal(size=(models, benchmarks))
    ratings = level @ generator.normal(size=(4, targets)) + 0.5 * generator.normal(size=(models, targets))
    weights = generator.multinomial(models, np.full(models, 1 / models), size=resamples)
    return scores, ratings, weights


def looped(scores: np.ndarray, ratings: np.ndarray, weights: np.ndarray, alpha: float) -> np.ndarray:
    """The same with one scikit-learn fit a left-out model: (n, T), NaN where the model was not drawn."""
    from sklearn.linear_model import Ridge
    from sklearn.preprocessing import StandardScaler

    rows = np.repeat(np.arange(len(scores)), weights)
    found = np.full(ratings.shape, np.nan)
    for model in np.unique(rows):
        train = rows[rows != model]
        scaler = StandardScaler().fit(scores[train])
        ridge = Ridge(alpha).fit(scaler.transform(scores[train]), ratings[train])
        found[model] = ridge.predict(scaler.transform(scores[[model]]))[0]
    return found
