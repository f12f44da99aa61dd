"""Conformal intervals of many targets at once, from the out-of-fold errors of the training models.

CV+ (Barber, Candes, Ramdas and Tibshirani 2021, arXiv 1905.02928, section 3), which with folds of one model is
their jackknife+: with R_i the error on model i of the fit without its fold and mu_i that fit at the new model,

    [ k_low-th smallest of mu_i - R_i ,  k_high-th smallest of mu_i + R_i ],
    k_low = floor((1-c)(n+1)), k_high = ceil(c(n+1)).

What is guaranteed of a new model exchangeable with the others is 2c - 1, not c (their theorem 1; with folds of several
models less by at most sqrt(2/n), theorem 4), for a method that is fitted anew without each fold. The weights of `auto`
and its falls to a baseline are chosen by the same errors, which no theorem covers. So the coverage is measured.
"""

from __future__ import annotations

import math

import numpy as np

from tasks.preference.engine.predicting import Array, Predicted


def models_needed(confidence: float) -> int:
    """Fewest rated models for a finite interval: n with ceil(c(n+1)) <= n."""
    return math.ceil(round(1 / (1 - confidence), 9)) - 1


def guaranteed(confidence: float) -> float:
    """Coverage that theory guarantees of intervals at `confidence`: 1 - 2 alpha."""
    return max(0.0, 2 * confidence - 1)


def coverage_words(confidence: float, held: float | None, count: int) -> str:
    """What intervals at `confidence` promise, and what share of `count` left-out ratings they held."""
    measured = (
        "how many ratings they hold could not be measured, as with a fold left out none is finite"
        if held is None
        else f"measured: {held:.0%} of {count} left-out ratings are held"
    )
    most = guaranteed(confidence)
    return (
        f"{confidence:.0%} intervals are CV+: theory guarantees at most {most:.0%} (1 - 2 alpha), less with folds of "
        f"several models or where errors choose the method, as in auto; {measured}."
    )


def intervals(predicted: Predicted, ratings: Array, confidence: float) -> tuple[Array, Array]:
    """low and high (m, T) for the new models of `predicted`; ratings (n, T) are the training models', NaN missing.

    Infinite where fewer than 1/(1-c) - 1 models have a rating of the target.
    """
    m, targets = predicted.new.shape
    low, high = np.full((m, targets), -np.inf), np.full((m, targets), np.inf)
    at_new = predicted.new_by_fold[predicted.fold_of]
    errors = np.abs(ratings - predicted.held_out)
    for t in range(targets):
        known = np.isfinite(errors[:, t])
        n = int(known.sum())
        # Rounded first, for .1 * 20 is not 2 when .1 came out of 1 - .9.
        k_low = math.floor(round((1 - confidence) * (n + 1), 9))
        k_high = math.ceil(round(confidence * (n + 1), 9))
        if k_low >= 1 and k_high <= n:
            centre, error = at_new[known, :, t], errors[known, t][:, None]
            ends = np.sort(centre - error, axis=0)[k_low - 1], np.sort(centre + error, axis=0)[k_high - 1]
            low[:, t], high[:, t] = np.minimum(*ends), np.maximum(*ends)
    return low, high
