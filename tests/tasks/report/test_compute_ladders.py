"""The picture of a ladder: both families at their compute, which is written out."""

from __future__ import annotations

import pandas as pd

from tasks.report.pictures.compute_ladders import draw_compute_ladder


def test_both_families_stand_at_their_compute():
    rows = [
        {"family": family, "share": share, "flops": 1e11 * share, "seed": seed, "value": value + seed}
        for family, values in (("dense", (3.0, 2.0)), ("moe", (2.8, 1.8)))
        for share, value in zip((1, 10), values, strict=True)
        for seed in (0, 1)
    ]
    picture = draw_compute_ladder(pd.DataFrame(rows), "mean", "bits per byte")
    (axes,) = picture.figure.axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1 × 10¹¹", "1 × 10¹²"]
    assert [line.get_ydata().tolist() for line in axes.lines] == [[3.5, 2.5], [3.3, 2.3]]
    assert picture.words.endswith("at the most: dense 2.500, moe 2.300.")
