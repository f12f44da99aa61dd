"""The law of RegMix (Liu et al. 2024, arXiv 2407.01492): gradient boosted trees on the weights, with LightGBM.

Settings as published: squared error, learning rate .01, 1000 rounds, the library's 31 leaves. Their early
stopping looked at the runs to be predicted and is left out. A leaf holds at least 20 runs as there, or a
tenth of them where the table has fewer than 200: with 20 a table of 30 runs could not be split at all.
"""

from __future__ import annotations

import warnings
from typing import Literal

import numpy as np

from tasks.method import MethodSettings
from tasks.mixture.laws.law import Law
from tasks.mixture.laws.predictor import Column, Predictor, for_each_loss, stacked
from tasks.mixture.solver.capped_simplex import Array

ROUNDS, RATE = 1000, 0.01
QUICK_ROUNDS, QUICK_RATE = 200, 0.05
LEAF_RUNS, LEAF_SHARE, SMALLEST_LEAF = 20, 0.1, 2


class LightgbmSettings(MethodSettings):
    """The law lightgbm has no settings."""

    method: Literal["lightgbm"] = "lightgbm"


def fit_trees(mixtures: Array, losses: Array, quick: bool = False) -> Predictor:
    """Trees for mixtures (n, d) and losses (n, m). quick: a fifth of the rounds at five times the rate."""
    import lightgbm

    rounds, rate = (QUICK_ROUNDS, QUICK_RATE) if quick else (ROUNDS, RATE)
    settings = {
        "objective": "regression",
        "learning_rate": rate,
        "min_data_in_leaf": max(min(LEAF_RUNS, int(LEAF_SHARE * len(mixtures))), SMALLEST_LEAF),
        "num_threads": 1,
        "deterministic": True,
        "seed": 0,
        "verbosity": -1,
    }

    def one(k: int) -> Column:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # A constant column cannot be split: that is fine.
            booster = lightgbm.train(settings, lightgbm.Dataset(mixtures, losses[:, k]), rounds)
        return lambda points: np.asarray(booster.predict(points, num_threads=1), dtype=float)

    return Predictor(stacked(for_each_loss(one, losses.shape[1])), False, {"rounds": rounds, "rate": rate})


LAW = Law(
    settings=LightgbmSettings,
    title="RegMix (lightgbm)",
    line="gradient boosted trees on the weights",
    paper="Liu et al. 2024, arXiv 2407.01492",
    equation="loss_k = sum of trees(w)",
    fit=fit_trees,
)
