"""Gwet's coefficients against the package irrCAC 0.4.4, and by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.preference.annotation.gwet import agreement, ordinal_weights, with_interval

NONE = -1
JUDGED = [  # twelve units, four annotators, categories 0 to 4
    *([3, 4, 4, 4], [3, 3, 3, 2], [3, NONE, 2, 3], [3, NONE, 3, NONE], [0, 1, 0, 2], [0, NONE, 1, 1]),
    *([3, 2, 3, 1], [4, NONE, 4, 4], [1, 0, 1, 2], [2, 3, 1, 1], [4, 4, NONE, 4], [4, NONE, 4, 4]),
]
COUNTS = np.array([[row.count(category) for category in range(5)] for row in JUDGED])


def test_they_are_those_of_an_independent_package():
    assert agreement(COUNTS) == pytest.approx(0.41645, abs=5e-6)
    assert agreement(COUNTS, ordinal_weights(5)) == pytest.approx(0.78714, abs=5e-6)


def test_two_units_by_hand():
    # unit 1: both say yes; unit 2: one yes, one no. p_a = 1/2; shares 3/4 and 1/4; p_e = 2 * 3/16 = 3/8.
    assert agreement(np.array([[2, 0], [1, 1]])) == pytest.approx((1 / 2 - 3 / 8) / (1 - 3 / 8))


def test_nothing_is_known_where_nobody_judged_twice():
    assert np.isnan(agreement(np.array([[1, 0], [0, 1]])))
    assert with_interval(np.array([[1, 0], [0, 1]]), None, 0.9, 0) == {
        "value": None,
        "low": None,
        "high": None,
    }


def test_a_rare_category_does_not_undo_agreement():
    """Of 100 units 98 have two yes, 2 one of each: chance-corrected kappa would be about 0."""
    assert agreement(np.array([[2, 0]] * 98 + [[1, 1]] * 2)) > 0.97
