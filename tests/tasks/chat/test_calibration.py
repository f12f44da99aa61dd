"""Accuracy, calibration and histogram of a reward model, worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tasks.chat.reward.calibration import accuracy_by_strength, calibration_error, reward_histogram


def test_accuracy_by_strength_counts_a_draw_as_half():
    rows = accuracy_by_strength(np.array([1.0, -1.0, 0.0, 2.0]), [4, 4, 1, 1.2])
    assert [(r["strength"], r["pairs"], r["accuracy"]) for r in rows] == [
        (None, 4, 0.625),
        (4, 2, 0.5),
        (1, 2, 0.75),
    ]
    assert all(r["low"] < r["accuracy"] < r["high"] for r in rows)


def test_calibration_error_by_hand():
    """Confidence 3/4 and right half of the time: 1/4 off. Half of the pairs at 9/10 and always right: 1/10 off."""
    three, nine = math.log(3), math.log(9)
    assert calibration_error(np.array([three, -three])) == pytest.approx(0.25)
    assert calibration_error(np.array([three, -three, nine, nine])) == pytest.approx(0.5 * 0.25 + 0.5 * 0.1)


def test_the_histogram_counts_every_reward():
    found = reward_histogram(np.array([1.0, 2.0]), np.array([0.0, -1.0, 0.5]))
    assert (sum(found["chosen"]), sum(found["rejected"])) == (2, 3)
    assert (found["edges"][0], found["edges"][-1]) == (-1.0, 2.0)
