"""Runs made from a known law, for the tests of laws."""

from __future__ import annotations

import numpy as np
import pandas as pd

SOURCES = ("web", "code", "books", "wiki")
TASKS = ("prose", "programs")


def made_mixtures(count: int, random_seed: int, concentration: float = 1.0) -> pd.DataFrame:
    drawn = np.random.default_rng(random_seed).dirichlet(np.full(len(SOURCES), concentration), count)
    return pd.DataFrame(drawn, [f"run{i}" for i in range(count)], list(SOURCES))


def linear_losses(mixtures: pd.DataFrame) -> pd.DataFrame:
    slopes = np.array([[3.0, 4.0], [4.5, 1.0], [3.2, 4.2], [3.5, 3.0]])
    return pd.DataFrame(mixtures.to_numpy() @ slopes, mixtures.index, list(TASKS))


def log_linear_losses(mixtures: pd.DataFrame) -> pd.DataFrame:
    exponents = np.array([[-1.0, 0.5], [0.8, -2.0], [-0.5, 0.2], [-0.2, 0.0]])
    grown = np.exp(mixtures.to_numpy() @ exponents)
    return pd.DataFrame(grown + np.array([1.5, 1.0]), mixtures.index, list(TASKS))


def power_losses(mixtures: pd.DataFrame, returns: float = 1.0) -> pd.DataFrame:
    serves = np.array([[2.0, 0.3], [0.2, 3.0], [1.0, 0.2], [0.6, 0.8]])
    total = (mixtures.to_numpy() ** returns) @ serves
    fallen = total ** np.array([-0.4, -0.6])
    return pd.DataFrame(fallen + np.array([2.0, 1.0]), mixtures.index, list(TASKS))
