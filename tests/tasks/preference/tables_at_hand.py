"""Joined tables with known truth, for tests."""

from __future__ import annotations

import numpy as np

from tasks.preference.sheets.joining import Paired


def paired(
    scores: np.ndarray,
    ratings: np.ndarray,
    families: list[str] | None = None,
    log_params: np.ndarray | None = None,
    dates: np.ndarray | None = None,
    errors: np.ndarray | None = None,
    others: np.ndarray | None = None,
) -> Paired:
    n, unknown = len(scores), np.full(len(scores), np.nan)
    other_scores = np.zeros((0, scores.shape[1])) if others is None else others
    blank = np.full(len(other_scores), np.nan)
    models = [f"m{i:03d}" for i in range(n)]
    return Paired(
        models=models,
        benchmarks=[f"b{j}" for j in range(scores.shape[1])],
        targets=[f"t{k}" for k in range(ratings.shape[1])],
        scores=scores.astype(float),
        ratings=ratings.astype(float),
        rating_errors=np.full(ratings.shape, np.nan) if errors is None else errors,
        families=np.array(families or models),
        log_params=unknown if log_params is None else log_params,
        dates=unknown if dates is None else dates,
        unrated=[f"u{i}" for i in range(len(other_scores))],
        other_scores=other_scores,
        other_log_params=blank,
        other_dates=blank,
        near=[],
        notes=[],
    )


def leveled(
    random_seed: int, n: int, p: int, targets: int, factors: int = 1, noise: float = 0.4, holes: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Scores (n, p) and ratings (n, targets) from common factors; a share of the scores is missing."""
    generator = np.random.default_rng(random_seed)
    level = generator.normal(size=(n, factors))
    scores = level @ generator.uniform(0.5, 1.5, size=(factors, p)) + noise * generator.normal(size=(n, p))
    ratings = level @ generator.normal(size=(factors, targets)) + noise / 4 * generator.normal(
        size=(n, targets)
    )
    scores[generator.random(scores.shape) < holes] = np.nan
    return scores, ratings
