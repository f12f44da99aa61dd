"""Where to label next: the expected fall of the mixture's variance, against brute force."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tasks.mixture.portfolio import utilimax
from tasks.utility.matrix import UtilityMatrix
from tasks.utility.medu.allocation import label_gains

VALUES = pd.DataFrame(
    [[0.8, 0.2], [0.3, 0.7], [0.5, 0.4]], index=["web", "code", "books"], columns=["t", "s"]
)
ERRORS = pd.DataFrame([[0.05, 0.02], [0.03, 0.06], [0.04, 0.0]], index=VALUES.index, columns=VALUES.columns)
LABELS = {"web": {"t": 50, "s": 50}, "code": {"t": 50, "s": 20}, "books": {"t": 200, "s": 50}}
TOKENS = {"web": 10**9, "code": 2 * 10**9, "books": 10**9}


def solve(values: pd.DataFrame) -> dict[str, float]:
    """A mixture with all sources inside their bounds."""
    return dict(utilimax(values, TOKENS, 10**9, 4.0, risk=0.7).weights)


def weights(values: pd.DataFrame) -> np.ndarray:
    found = solve(values.clip(0, 1))
    return np.array([found[name] for name in VALUES.index])


def variance_from(source: str, task: str, error: float) -> float:
    """Brute force: the variance of the weights when this cell alone is normal, by Gauss-Hermite quadrature."""
    nodes, mass = np.polynomial.hermite_e.hermegauss(9)
    drawn = []
    for node in nodes:
        moved = VALUES.copy()
        moved.loc[source, task] += node * error
        drawn.append(weights(moved))
    mean = mass @ np.array(drawn) / mass.sum()
    return float(mass @ ((np.array(drawn) - mean) ** 2).sum(axis=1) / mass.sum())


def test_the_fall_is_what_brute_force_finds() -> None:
    gains = label_gains(UtilityMatrix(VALUES, ERRORS), LABELS, solve, more=50)
    assert len(gains.cells) == 6
    for row in gains.cells.itertuples():
        n = LABELS[row.source][row.task]
        before = variance_from(row.source, row.task, row.stderr)
        after = variance_from(row.source, row.task, row.stderr * np.sqrt(n / (n + 50)))
        assert row.fall == pytest.approx(before - after, rel=0.05, abs=1e-12)
    assert gains.cells["fall"].is_monotonic_decreasing
    exact = gains.cells.set_index(["source", "task"]).loc[("books", "s")]
    assert exact["fall"] == exact["variance"] == 0


def test_the_cells_together_are_the_variance_of_the_weights() -> None:
    gains = label_gains(UtilityMatrix(VALUES, ERRORS), LABELS, solve, more=50)
    random = np.random.default_rng(5)
    drawn = np.array([weights(VALUES + ERRORS * random.standard_normal(VALUES.shape)) for _ in range(800)])
    # The standard error of a variance from 800 draws is some 5% of it.
    assert gains.deviation**2 == pytest.approx(drawn.var(axis=0, ddof=1).sum(), rel=0.15)
    assert gains.cells["fall_share"].sum() == pytest.approx(gains.cells["fall"].sum() / gains.deviation**2)
    by_source = gains.cells.groupby("source")["fall"].sum()
    assert gains.sources.set_index("source")["fall"].to_dict() == pytest.approx(by_source.to_dict())


def test_by_hand_with_weights_that_are_linear_in_the_utility() -> None:
    def linear(values: pd.DataFrame) -> dict[str, float]:
        return {"web": 3 * values.loc["web", "t"], "code": -values.loc["web", "t"], "books": 0.0}

    gains = label_gains(UtilityMatrix(VALUES, ERRORS), LABELS, linear, more=150)
    # ||(3, -1)||^2 * .05^2 = .025; 150 more beside 50 take three quarters of it.
    first = gains.cells.iloc[0]
    assert (first["source"], first["task"]) == ("web", "t")
    assert first["variance"] == pytest.approx(0.025)
    assert first["fall"] == pytest.approx(0.01875)
    assert gains.deviation == pytest.approx(np.sqrt(0.025))


def test_a_cell_at_the_edge_is_moved_inwards_only() -> None:
    values = VALUES.copy()
    values.loc["web", "t"] = 1.0

    def watched(moved: pd.DataFrame) -> dict[str, float]:
        assert (moved.to_numpy() <= 1).all()
        return {"web": 2 * moved.loc["web", "t"], "code": 0.0, "books": 0.0}

    gains = label_gains(UtilityMatrix(values, ERRORS), LABELS, watched, more=50)
    assert gains.cells.iloc[0]["variance"] == pytest.approx(4 * 0.05**2)


def test_names_not_places_decide() -> None:
    gains = label_gains(UtilityMatrix(VALUES, ERRORS), LABELS, solve, more=50)
    turned = label_gains(
        UtilityMatrix(VALUES.iloc[::-1, ::-1], ERRORS.iloc[::-1, ::-1]), LABELS, solve, more=50
    )
    pd.testing.assert_frame_equal(gains.cells, turned.cells)


def test_what_is_not_known_is_named() -> None:
    with pytest.raises(ValueError, match=r"labels is not known for \[\('books', 't'\)"):
        label_gains(UtilityMatrix(VALUES, ERRORS), {**LABELS, "books": {}}, solve, more=50)
    with pytest.raises(ValueError, match="more=0"):
        label_gains(UtilityMatrix(VALUES, ERRORS), LABELS, solve, more=0)
