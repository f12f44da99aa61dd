"""The law `auto`: of five laws the middle three, averaged, for every mixture and loss.

What is asked of a law is to rank mixtures away from the runs and at a larger scale, and held-out runs of the table
itself do not tell which law will: weights chosen by cross-validation were no better there than equal ones. Three of
the five are the power law with diminishing or constant returns, alone or corrected; two know no shape. The highest and
the lowest are left out each time, so that one law that runs away where no run was cannot carry the answer with it (a
trimmed mean; Jose and Winkler 2008, International Journal of Forecasting 24).
"""

from __future__ import annotations

import numpy as np

from tasks.mixture.laws.gaussian_process import MOST_RUNS, fit_gaussian, fit_process
from tasks.mixture.laws.lightgbm_trees import fit_trees
from tasks.mixture.laws.power_laws import fit_diminishing, fit_power
from tasks.mixture.laws.predictor import Predictor
from tasks.mixture.solver.capped_simplex import Array

LAWS = ("diminishing", "power", "gp", "diminishing+gp", "lightgbm")
RUNS_FOR_SCALES = 128  # That the length scales of a process are found from.


def fit_middle(mixtures: Array, losses: Array) -> Predictor:
    """The middle of the five laws for mixtures (n, d) and losses (n, m)."""
    shape = fit_diminishing(mixtures, losses)
    parts = [
        shape,
        fit_power(mixtures, losses),
        fit_gaussian(mixtures, losses, RUNS_FOR_SCALES),
        _corrected(shape, mixtures, losses, RUNS_FOR_SCALES),
        fit_trees(mixtures, losses, quick=True),
    ]

    def predict(points: Array) -> Array:
        return np.sort([part.predict(points) for part in parts], axis=0)[1:-1].mean(axis=0)

    return Predictor(predict, False, {"middle_of": list(LAWS)})


def fit_residual_process(mixtures: Array, losses: Array) -> Predictor:
    """The law `diminishing+gp` for mixtures (n, d) and losses (n, m)."""
    return _corrected(fit_diminishing(mixtures, losses), mixtures, losses)


def _corrected(shape: Predictor, mixtures: Array, losses: Array, most_runs: int = MOST_RUNS) -> Predictor:
    """The shape, and a process for what it leaves."""
    rest = fit_process(mixtures, losses - shape.predict(mixtures), most_runs=most_runs)
    return Predictor(lambda points: shape.predict(points) + rest.predict(points), True)
