"""One cut-off for every regression by pseudo-inverse, against rank told in advance and a loop that leaves rows out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tasks.preference.engine.linear import coefficients, standardise
from tasks.pseudo_inverse import pseudo_inverse

TASKS = Path(__file__).resolve().parents[2] / "tasks"


@pytest.mark.parametrize("random_seed", range(5))
def test_centred_columns_have_a_direction_that_counts_for_nothing(random_seed: int) -> None:
    scores = np.random.default_rng(random_seed).normal(size=(17, 17)) * np.logspace(0, 3, 17)
    z = scores - scores.mean(0)
    inverse = pseudo_inverse(z)
    np.testing.assert_allclose(z @ inverse @ z, z, atol=1e-9 * np.abs(z).max())
    assert np.linalg.matrix_rank(inverse, tol=1e-9 * np.linalg.norm(inverse, 2)) == 16


@pytest.mark.parametrize(
    ("shape", "centre", "spread"),
    [((17, 17), 0.5, 0.01), ((17, 17), 60, 9), ((4, 160), 0.5, 0.1), ((4, 160), 60, 9), ((17, 17), 1e4, 1)],
)
def test_left_out_predictions_equal_the_explicit_loop(
    shape: tuple[int, int], centre: float, spread: float
) -> None:
    """n centred rows have rank n - 1 at most: the loop keeps as many directions, and never one of rounding."""
    for random_seed in range(5):
        rng = np.random.default_rng(random_seed)
        scores = centre + spread * rng.normal(size=shape)
        elo = 1000 + 50 * rng.normal(size=shape[0])
        for i in range(shape[0]):
            rest = np.arange(shape[0]) != i
            z, new = standardise(scores[rest], scores[[i]])
            found = new @ coefficients(
                "min-norm", z, elo[rest, None] - elo[rest].mean(), np.arange(rest.sum())
            )
            mean, sd = scores[rest].mean(0), scores[rest].std(0)
            u, s, vt = np.linalg.svd((scores[rest] - mean) / sd, full_matrices=False)
            kept = min(rest.sum() - 1, shape[1])
            expected = (
                ((scores[i] - mean) / sd)
                @ vt[:kept].T
                @ (u[:, :kept].T @ (elo[rest] - elo[rest].mean()) / s[:kept])
            )
            assert found[0, 0] == pytest.approx(expected, rel=1e-6, abs=1e-4)


def test_nothing_else_calls_a_pseudo_inverse_with_a_cut_off_of_its_own() -> None:
    own = [path.name for path in TASKS.rglob("*.py") if "linalg.pinv" in path.read_text(encoding="utf-8")]
    assert own == ["pseudo_inverse.py"]
