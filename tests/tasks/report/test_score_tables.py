"""Marks of the best score: no star for a tie."""

from __future__ import annotations

import numpy as np

from tasks.report.differences import Score, difference
from tasks.report.score_tables import ALIKE, BEST, marked


def test_a_tie_has_no_best() -> None:
    cells = {"a": Score(0.5, 0.01, 9), "b": Score(0.5, 0.01, 9), "c": Score(0.1, 0.01, 9)}
    assert marked(cells, "acc") == {"a": ALIKE, "b": ALIKE}
    assert marked({"a": cells["a"], "c": cells["c"]}, "acc") == {"a": BEST}
    assert marked(dict.fromkeys("abc", Score(0.0, 0.01, 56)), "acc") == dict.fromkeys("abc", ALIKE)


def test_models_that_differ_alike_on_every_item_have_an_error() -> None:
    items, still = tuple("abcd"), np.zeros(4)
    first, second = Score(1.0, 0.2, 4, items, still), Score(0.0, 0.2, 4, items, still)
    assert abs(difference(first, second).stderr - 0.2 * 2**0.5) < 1e-12
    assert difference(first, first).stderr == 0
