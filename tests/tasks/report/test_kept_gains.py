"""Pictures of numbers that differ by rounding alone."""

from __future__ import annotations

import numpy as np

from tasks.report.pictures.kept_gains import draw_bits_against_cost


def test_names_of_models_that_differ_by_rounding_alone_find_a_place() -> None:
    bits = {"a": 3.1, "b": 3.1, "c": float(np.nextafter(3.1, 4))}
    drawn = draw_bits_against_cost(bits, dict.fromkeys(bits, 1e6))
    assert "the fewest bits: a" in drawn.words
