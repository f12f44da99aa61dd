"""Conformal intervals of many targets at once, from the out-of-fold errors of the training models.

CV+ (Barber, Candes, Ramdas and Tibshirani 2021, arXiv 1905.02928, section 3), which with folds of one model is
their jackknife+: with R_i the error on model i of the fit without its fold and mu_i that fit at the new model,

    [ k_low-th smallest of mu_i - R_i ,  k_high-th smallest of mu_i + R_i ],
    k_low = floor((1-c)(n+1)), k_high = ceil(c(n+1)).
"""

from __future__ import annotations

import math

import numpy as np

from tasks.preference.engine.predicting import Array, Predicted


def models_needed(confidence: float) -> int:
    """Fewest rated models for a finite interval: n with ceil(c(n+1)) <= n."""
    return math.ceil(round(1 / (1 - confidence), 9)) - 1


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
