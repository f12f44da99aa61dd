"""Scheffe's quadratic finds what it is made of, and what no linear law can say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from flows.recipes import load_recipe
from tasks.mixture.laws.fitted_law import fit_law

SOURCES = ["a", "b", "c"]


def runs(n: int, random_seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Losses 3, 2 and 4 of the sources alone; a and b together help by 8 w_a w_b, 2 at half and half."""
    w = np.random.default_rng(random_seed).dirichlet(np.ones(3), n)
    loss = w @ [3.0, 2.0, 4.0] - 8 * w[:, 0] * w[:, 1]
    return pd.DataFrame(w, columns=SOURCES), pd.DataFrame({"task": loss})


def test_planted_terms_come_back():
    law = fit_law(*runs(40), "scheffe")
    corners = pd.DataFrame([[1, 0, 0], [0, 1, 0], [0.5, 0.5, 0]], columns=SOURCES)
    assert law.predict(corners)["task"].tolist() == pytest.approx([3.0, 2.0, 0.5], abs=2e-3)


def test_it_proposes_the_pair_that_a_linear_law_misses():
    tokens, budget = dict.fromkeys(SOURCES, 10**9), 10**6
    quadratic, linear = (
        fit_law(*runs(40), law).propose(budget, tokens, pull=0.0, within_runs=False)
        for law in ("scheffe", "ridge")
    )
    # 3 a + 2 b - 8 a b with b = 1 - a is least at a = 7/16.
    assert quadratic.weights["a"] == pytest.approx(7 / 16, abs=0.01)
    assert linear.weights["a"] < 0.3


def test_a_recipe_may_name_it():
    overrides = ["mixture={method: law, law: scheffe}", "utility={method: ablation, ablation: {swarm: 8}}"]
    assert load_recipe("pocket", overrides).mixture.law == "scheffe"
