"""Pictures show what they are given: order, panels that can be read, and honest calibration."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from tasks.preference.association.pairs import guarded_pairs
from tasks.preference.validating import validate_pair
from tasks.report.pictures.preference_pictures import (
    calibration,
    draw_calibration,
    draw_correlations,
    draw_forecasts,
)
from tests.tasks.preference.tables_at_hand import leveled, paired


def test_wide_tables_are_spread_over_panels_and_every_name_is_there() -> None:
    rng = np.random.default_rng(0)
    pairs = guarded_pairs(paired(rng.normal(size=(8, 50)), rng.normal(size=(8, 3))), 99, 0).pairs
    figure = draw_correlations(pairs)
    panels = figure.axes[:-1]
    assert len(panels) == 3
    labels = [label.get_text() for axes in panels for label in axes.get_xticklabels()]
    assert sorted(labels) == sorted(f"b{j}" for j in range(50))
    with pytest.raises(ValueError, match="no pair of statistic='pearson', removed='log parameters'"):
        draw_correlations(pairs, removed="log parameters")


def test_like_benchmarks_stand_together() -> None:
    rng = np.random.default_rng(1)
    f = rng.normal(size=(40, 2))
    scores = f[:, [0, 1, 0, 1, 0, 1]] + 0.2 * rng.normal(size=(40, 6))
    pairs = guarded_pairs(paired(scores, f + 0.2 * rng.normal(size=(40, 2))), 99, 0).pairs
    labels = [label.get_text() for label in draw_correlations(pairs).axes[0].get_xticklabels()]
    kinds = [int(name[1:]) % 2 for name in labels]
    assert sum(a != b for a, b in itertools.pairwise(kinds)) == 1


def test_forecasts_are_drawn_by_category_with_the_identity_line() -> None:
    scores, ratings = leveled(2, 14, 4, 3)
    found = validate_pair(paired(scores, ratings), ["ridge"], "leave-one-model-out")
    figure = draw_forecasts(found.cells[found.cells["method"] == "ridge"])
    assert [axes.get_title() for axes in figure.axes] == ["t0", "t1", "t2"]
    line = figure.axes[0].lines[-1]
    np.testing.assert_array_equal(line.get_xdata(), line.get_ydata())
    assert len(draw_calibration(found.cells[found.cells["method"] == "ridge"], 0.9).axes) == 1


def test_calibration_of_normal_errors_is_the_diagonal() -> None:
    rng = np.random.default_rng(3)
    cells = pd.DataFrame({"truth": rng.normal(size=20_000), "low": -1.6448536, "high": 1.6448536})
    cells["half_width"] = (cells["high"] - cells["low"]) / 2
    levels, shares = calibration(cells, 0.9)
    np.testing.assert_allclose(shares, levels, atol=0.012)
