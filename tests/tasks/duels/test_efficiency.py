"""Speed-up by hand, refused outside of what both reach, its band over seeds, and tokens at equal FLOPs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tasks.duels.efficiency.efficiency_results import (
    INSIDE,
    OUTSIDE,
    Rung,
    answer,
    efficiency,
    means,
    measured,
    token_counts_by_share,
)
from tasks.duels.efficiency.settings import EfficiencySettings
from tasks.duels.efficiency.speedups import Family, compute_to_reach, overlap, speedups

FLOPS = np.array([1e9, 1e10, 1e11])


def family(*means_of, spread=0.0):
    """Three seeds a rung, around its mean."""
    return Family(FLOPS, np.array([[mean - spread, mean, mean + spread] for mean in means_of]))


def test_compute_is_interpolated_in_its_logarithm():
    scores = np.array([4.0, 3.0, 2.0])
    assert compute_to_reach(FLOPS, scores, 3.5) == pytest.approx(10**9.5)
    assert compute_to_reach(FLOPS, scores, 4.0) == pytest.approx(1e9)
    assert compute_to_reach(FLOPS, scores, 2.0) == pytest.approx(1e11)


def test_what_gets_worse_on_the_way_counts_from_where_it_was_reached_first():
    assert compute_to_reach(FLOPS, np.array([4.0, 2.0, 3.0]), 2.5) == pytest.approx(10**9.75)


@pytest.mark.parametrize("level", [4.1, 1.9, math.nan])
def test_outside_of_the_runs_it_is_refused(level):
    with pytest.raises(ValueError, match="nothing is extrapolated"):
        compute_to_reach(FLOPS, np.array([4.0, 3.0, 2.0]), level)


def test_speedup_by_hand():
    """The mixture is at each rung where the dense model is with ten times the compute."""
    dense, moe = family(4.0, 3.0, 2.0), family(3.0, 2.0, 1.0)
    assert overlap(dense, moe) == (3.0, 2.0)
    found = speedups(dense, moe, levels=3, resamples=100)
    assert [at.level for at in found] == pytest.approx([2.75, 2.5, 2.25])
    assert [at.value for at in found] == pytest.approx([10.0] * 3)
    assert [(at.low, at.high) for at in found] == [(pytest.approx(10), pytest.approx(10))] * 3


def test_without_overlap_there_is_no_speedup():
    assert speedups(family(4.0, 3.5, 3.2), family(3.0, 2.0, 1.0), 3, 100) == []


def test_the_band_holds_the_value_and_grows_with_the_spread():
    narrow, wide = (
        speedups(family(4.0, 3.0, 2.0, spread=s), family(3.4, 2.4, 1.4, spread=s), 3, 400)[1]
        for s in (0.02, 0.1)
    )
    for at in (narrow, wide):
        assert at.low is not None and at.high is not None
        assert at.low < at.value < at.high
    assert wide.high / wide.low > 2 * (narrow.high / narrow.low - 1) + 1
    # by the delta method: log10 s is the sum of two means' errors, here over slopes of 1 a decade
    error = math.sqrt(2 * 0.5) * 0.02 * math.sqrt(2 / 3) / math.sqrt(3)
    assert math.log10(narrow.high / narrow.low) == pytest.approx(2 * 1.96 * error, rel=0.35)


def test_a_band_is_refused_where_many_resamples_do_not_reach():
    """Of seven levels the outer ones lie within the spread of the ends."""
    found = speedups(family(4.0, 3.0, 2.0, spread=0.4), family(3.4, 2.4, 1.4, spread=0.4), 7, 400)
    assert (found[0].low, found[6].low) == (None, None)
    assert found[3].low is not None


def test_one_seed_gives_no_band():
    dense, moe = (Family(FLOPS, np.array(scores)[:, None]) for scores in ([4.0, 3.0, 2.0], [3.0, 2.0, 1.0]))
    assert [(at.low, at.high) for at in speedups(dense, moe, 2, 100)] == [(None, None)] * 2


def rows_of(code, docs, accuracy):
    return [
        {"task": "heldout:code", "metric": "bits_per_byte", "value": code},
        {"task": "heldout:sums", "metric": "bits_per_byte", "value": code - 1},
        {"task": "heldout:docs", "metric": "bits_per_byte", "value": docs},
        {"task": "quiz", "metric": "acc", "value": accuracy},
    ]


@pytest.fixture
def table():
    scores = {
        ("dense", 0.1): (4.0, 5.0, 0.25), ("dense", 1.0): (3.0, 4.0, 0.45),
        ("moe", 0.1): (3.5, 5.5, 0.35), ("moe", 1.0): (2.5, 5.2, 0.55),
    }  # fmt: skip
    return measured(
        [
            Rung(name, share, 1e10 * share, 100, seed, rows_of(*told))
            for (name, share), told in scores.items()
            for seed in (0, 1)
        ],
        {"code": 0.8, "sums": 0.2, "docs": 0.0},
    )


def test_what_was_not_trained_on_is_out_of_domain(table):
    kinds = {(row["kind"], row["measure"]) for row in means(table)}
    assert kinds == {
        (INSIDE, "code"), (INSIDE, "sums"), (INSIDE, "mean"), (OUTSIDE, "docs"), ("benchmark", "quiz"),
    }  # fmt: skip
    of_mean = next(row for row in means(table) if row["measure"] == "mean")
    assert (of_mean["mean"], of_mean["spread"], of_mean["seeds"]) == (pytest.approx(3.5), 0.0, 2)


def test_speedups_by_domain_and_by_benchmark(table):
    rows = {(row["measure"], row["level"]): row for row in efficiency(table, EfficiencySettings(levels=1))}
    assert rows[("code", 3.25)]["speedup"] == pytest.approx(10**0.5)
    assert rows[("quiz", 0.4)]["speedup"] == pytest.approx(10**0.5)  # of accuracy, more is better
    refused = rows[("docs", None)]
    assert refused["speedup"] is None
    assert (
        refused["why"] == "no level that both reach on their way: dense 4.000 to 5.000 and moe 5.200 to 5.500"
    )


def test_the_answer_is_in_sentences(table):
    said = answer(efficiency(table, EfficiencySettings(levels=1)), {"dense": 100.0, "moe": 125.0})
    assert said[0] == "A token costs the mixture of experts 1.25 times what it costs the dense model."
    assert "at 2.750 bits per byte the dense model needs 3.16 times the compute of the mixture" in said[1]
    assert said[2].startswith("Held-out text out of domain: no level that both reach")


def test_tokens_at_equal_flops_in_whole_steps():
    settings = EfficiencySettings(rungs=(0.5, 1.0))
    counts = token_counts_by_share(settings, 1000, {"dense": 100.0, "moe": 125.0}, 50)
    assert counts == {"dense": [500, 1000], "moe": [400, 800]}
    with pytest.raises(ValueError, match="different numbers of steps, one at least"):
        token_counts_by_share(settings, 1000, {"dense": 100.0, "moe": 125.0}, 1000)
