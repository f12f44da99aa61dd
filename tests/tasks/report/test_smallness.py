"""A run that is far too small says so, and a decent one does not."""

from __future__ import annotations

from tasks.report.differences import Score
from tasks.report.smallness import too_small

HEADLINE = {"sciq": "acc", "quiz": "acc", "heldout:code": "bits_per_byte"}


def scored(value: float, stderr: float, n: int, quiz: int = 200) -> dict[str, dict[tuple[str, str], Score]]:
    own = {
        ("sciq", "acc"): Score(value, stderr, n),
        ("quiz", "acc"): Score(0.4, 0.04, quiz),
        ("heldout:code", "bits_per_byte"): Score(3.0, 2.0, 1),
    }
    return {"seed": own, "stitched": own}


def test_few_steps_few_items_and_errors_as_large_as_scores_are_each_said() -> None:
    told = too_small({"seed": 23, "docs": 8, "math": 400}, HEADLINE, scored(0.6, 0.63, 5, quiz=15))
    assert told == (
        "This run is far too small to tell anything from: seed and docs trained for fewer than 30 steps (8 at the "
        "fewest); sciq and quiz have fewer than 30 items (5 at the fewest)."
    )
    both = {model: {("sciq", "acc"): Score(0.6, 0.63, 90)} for model in ("seed", "stitched")}
    assert too_small({"seed": 5000}, HEADLINE, both) == (
        "This run is far too small to tell anything from: 2 of 2 benchmark scores are within 2 standard errors of "
        "zero."
    )


def test_a_decent_run_and_one_small_benchmark_among_others_are_not_called_small() -> None:
    assert too_small({"seed": 183, "docs": 46}, HEADLINE, scored(0.25, 0.04, 112)) == ""
    assert too_small({"seed": 30}, HEADLINE, scored(0.6, 0.63, 5)) == ""
    assert too_small({}, {}, {}) == ""
