"""Models are ranked by the raters who can be relied on, and one who votes by lot is found out."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.preference.annotation.bradley_terry import fit_strengths
from tasks.preference.annotation.rater_strengths import ELO, fit

TRUE = np.array([0.9, 0.2, -0.3, -0.8])


def votes(reliance: list[float], each: int = 400, random_seed: int = 0):
    rng = np.random.default_rng(random_seed)
    raters = np.repeat(np.arange(len(reliance)), each)
    pairs = np.array([rng.choice(4, 2, replace=False) for _ in raters])
    p = 1 / (1 + np.exp(-np.array(reliance)[raters] * (TRUE[pairs[:, 0]] - TRUE[pairs[:, 1]])))
    return pairs, raters, (rng.random(len(raters)) < p).astype(float)


def test_planted_strengths_and_raters_come_back():
    found = fit(*votes([1.5, 1.0, 0.0, 1.0]))
    assert (np.abs(found.strengths / ELO - TRUE) < 3 * found.errors / ELO + 0.15).all()
    assert found.reliance.argmin() == 2 and found.reliance[2] < 0.5
    assert found.reliance[0] == found.reliance.max()


def test_with_equal_raters_it_is_bradley_terry():
    pairs, _, wins = votes([1.0])
    found = fit(pairs, np.zeros(len(pairs), int), wins)
    kinds = sorted({tuple(sorted(pair)) for pair in pairs.tolist()})
    counts = np.zeros((1, len(kinds), 3))
    for (a, b), won in zip(pairs.tolist(), wins, strict=True):
        first_won = won == 1 if a < b else won == 0
        counts[0, kinds.index((min(a, b), max(a, b))), 0 if first_won else 1] += 1
    plain, _ = fit_strengths(np.array(kinds), counts, 4)
    # one discrimination for all is a scale that the priors share out: the same up to it
    ratio = found.reliance[0] * found.strengths / ELO / plain[0]
    assert ratio == pytest.approx(1, abs=0.03)


def test_the_error_covers():
    inside = 0
    for random_seed in range(40):
        found = fit(*votes([1.0, 1.0, 1.0], 100, random_seed))
        inside += int(abs(found.strengths[0] / ELO - TRUE[0]) < 1.645 * found.errors[0] / ELO)
    assert inside >= 30  # of 90%: fewer has a chance below 1 in 100
