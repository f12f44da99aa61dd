"""Paired differences, the interval of a ratio, and what is called best: numbers worked by hand."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tasks.report.differences import (
    Score,
    chance_levels,
    difference,
    fieller,
    read_scores,
    summed,
    summed_covariance,
)
from tasks.report.findings import benchmark_means, headline_metrics, kept_gains, kept_together
from tasks.report.pictures.colours import looks
from tasks.report.score_tables import ALIKE, BEST, dots_of, kept_text, marked

BITS = ("heldout:code", "bits_per_byte")


def scored(
    folder: Path, name: str, hits: list[float], documents: Sequence[tuple[float, int]] = ()
) -> dict[tuple[str, str], Score]:
    """Scores as an evaluation keeps them: one task's hits, and (bits, bytes) of held-out documents."""
    path = folder / name
    path.mkdir()
    rows = [
        ["t", str(i), "acc", hit, json.dumps([[-1.0, False], [-2.0, False]])] for i, hit in enumerate(hits)
    ]
    for i, (bits, size) in enumerate(documents):
        outputs = {"nats": bits * math.log(2), "tokens": 3, "bytes": size}
        rows.append(["heldout:code", str(i), "bits_per_byte", bits / size, json.dumps(outputs)])
    frame = pd.DataFrame(rows, columns=["task", "item", "metric", "value", "outputs"]).assign(target="")
    frame.to_parquet(path / "samples.parquet")
    told = [{"task": "t", "metric": "acc", "value": float(np.mean(hits)), "stderr": 0.25, "n": len(hits)}]
    if documents:
        value = sum(bits for bits, _ in documents) / sum(size for _, size in documents)
        told.append({"task": BITS[0], "metric": BITS[1], "value": value, "stderr": 0.5, "n": len(documents)})
    return read_scores(path, told)


def test_difference_of_accuracies_is_paired_over_items(tmp_path: Path) -> None:
    first = scored(tmp_path, "a", [1, 0, 1, 1])["t", "acc"]
    second = scored(tmp_path, "b", [1, 0, 0, 1])["t", "acc"]
    found = difference(first, second)
    # Items differ by 0, 0, 1, 0: mean 1/4, standard deviation 1/2, over sqrt(4).
    assert found.value == pytest.approx(0.25)
    assert found.stderr == pytest.approx(0.25)
    assert found.paired and not found.is_distinguishable


def test_a_model_that_was_asked_fewer_items_is_compared_on_those(tmp_path: Path) -> None:
    (few,) = scored(tmp_path, "few", [1, 0, 1, 1]).values()
    (many,) = scored(tmp_path, "many", [1, 0, 0, 0, 1, 1]).values()
    for sign, gain in ((1, difference(few, many)), (-1, difference(many, few))):
        # On the four items that both have 3/4 and 1/4; item by item 0, 0, 1, 1: variance 1/3, over 4.
        assert (gain.value, gain.paired, gain.n) == (pytest.approx(sign / 2), True, 4)
        assert gain.stderr == pytest.approx(math.sqrt(1 / 3 / 4))
    (other,) = scored(tmp_path, "other", [1, 0, 1]).values()
    apart = difference(many, replace(other, items=("t/0/", "t/1/", "t/9/")))
    assert (apart.paired, apart.value) == (False, pytest.approx(1 / 2 - 2 / 3))


def test_difference_of_bits_per_byte_uses_the_delta_method_over_documents(tmp_path: Path) -> None:
    first = scored(tmp_path, "a", [1, 0], [(20, 10), (60, 30)])[BITS]
    second = scored(tmp_path, "b", [1, 0], [(10, 10), (60, 30)])[BITS]
    found = difference(first, second)
    # R = 10/40; residuals 10 - R*10 = 7.5 and 0 - R*30 = -7.5; sqrt(2/1 * 112.5) / 40.
    assert found.value == pytest.approx(0.25)
    assert found.stderr == pytest.approx(0.375)


def test_scores_without_common_samples_count_both_errors() -> None:
    found = difference(Score(0.5, 0.03, 100), Score(0.4, 0.04, 50))
    assert (found.stderr, found.paired, found.n) == (pytest.approx(0.05), False, 50)
    assert difference(Score(0.5, None, 9), Score(0.4, 0.04, 9)).stderr is None


def test_a_score_that_is_not_the_mean_of_its_samples_is_not_paired(tmp_path: Path) -> None:
    scored(tmp_path, "a", [1, 0, 1, 1])
    rows = [{"task": "t", "metric": "acc", "value": 0.7, "stderr": 0.1, "n": 4}]
    assert read_scores(tmp_path / "a", rows)["t", "acc"].influences is None


def test_differences_over_the_same_documents_are_added_document_by_document(tmp_path: Path) -> None:
    seed = scored(tmp_path, "seed", [1, 0], [(20, 10), (60, 30)])[BITS]
    other = scored(tmp_path, "other", [1, 0], [(10, 10), (60, 30)])[BITS]
    apart = difference(seed, other)
    assert summed([apart, apart]).stderr == pytest.approx(2 * 0.375)
    assert summed_covariance([apart], [apart]) == pytest.approx(0.375**2)
    assert summed([apart, difference(other, seed)]).stderr == pytest.approx(0)
    unpaired = difference(Score(0.5, 0.3, 9), Score(0.4, 0.4, 9))
    assert summed([unpaired, unpaired]).stderr == pytest.approx(0.5 * math.sqrt(2))


def test_fieller_limits_are_the_ratios_that_the_data_do_not_reject() -> None:
    limits = fieller(1.0, 2.0, (0.04, 0.09), 0.03, 10)
    assert limits is not None
    low, high = limits
    t = 2.2621571628  # Student, 9 degrees of freedom, 0.975
    for ratio in (low, high):
        variance = 0.04 - 2 * ratio * 0.03 + ratio**2 * 0.09
        assert (1.0 - ratio * 2.0) ** 2 == pytest.approx(t**2 * variance)
    assert low < 0.5 < high
    # With an exact denominator it is the plain interval.
    assert fieller(1.0, 2.0, (0.04, 0.0), 0.0, 10) == pytest.approx((0.5 - t * 0.1, 0.5 + t * 0.1))


def test_fieller_has_no_limits_where_the_denominator_may_be_zero() -> None:
    assert fieller(1.0, 2.0, (0.04, 1.0), 0.0, 10) is None
    assert fieller(1.0, 0.0, (0.04, 0.0), 0.0, 10) is None
    assert fieller(1.0, 2.0, (0.04, 0.01), 0.0, 1) is None


def three(expert: float, stitched: float) -> dict[str, dict[tuple[str, str], Score]]:
    values = {"seed": 2.0, "coder": expert, "stitched": stitched}
    return {name: {BITS: Score(value, 0.001, 50)} for name, value in values.items()}


def test_share_kept_is_the_combined_gain_over_the_experts() -> None:
    [part] = kept_gains(three(1.6, 1.7), {"coder": ["code"]}, ["stitched"])
    assert part.share == pytest.approx(0.75)
    assert part.low is not None and part.high is not None
    assert part.low < 0.75 < part.high
    assert kept_text(part).startswith("75.0% [")
    together = kept_together([part])
    assert together is not None and together.share == pytest.approx(0.75)
    assert kept_together([]) is None


def test_no_share_where_the_expert_gained_nothing_beyond_errors() -> None:
    [part] = kept_gains(three(1.9999, 1.7), {"coder": ["code"]}, ["stitched"])
    assert part.share is None
    assert kept_text(part) == "no share: gain not distinguishable from 0"
    [worse] = kept_gains(three(2.5, 1.7), {"coder": ["code"]}, ["stitched"])
    assert kept_text(worse) == "no share: gain below 0"


def test_best_is_marked_and_so_is_what_cannot_be_told_from_it() -> None:
    cells = {"a": Score(0.5, 0.01, 9), "b": Score(0.48, 0.01, 9), "c": Score(0.3, 0.01, 9)}
    assert marked(cells, "acc") == {"a": BEST, "b": ALIKE}
    assert marked(cells, "bits_per_byte") == {"c": BEST}
    unknown = {"a": Score(0.5, None, 9), "b": Score(0.48, 0.01, 9)}
    assert marked(unknown, "acc") == {"a": BEST}


def test_means_count_only_tasks_that_every_model_has_and_that_lie_in_0_to_1() -> None:
    tasks: dict[str, dict] = {name: {"metric": "acc", "kind": "choice"} for name in ("one", "two", "three")}
    tasks["four"] = {"metric": None, "kind": "harness"}
    scores = {
        "a": {("one", "acc"): Score(0.6, 0.03, 9), ("two", "acc"): Score(0.4, 0.04, 9)},
        "b": {("one", "acc"): Score(0.5, 0.03, 9), ("two", "acc"): Score(0.2, 0.04, 9)},
    }
    scores["a"]["three", "acc"] = Score(0.9, 0.01, 9)
    for name in scores:
        scores[name]["four", "perplexity"] = Score(12.0, 1.0, 9)
    headline = headline_metrics(tasks, scores)
    assert headline == {"one": "acc", "two": "acc", "three": "acc", "four": "perplexity"}
    means = benchmark_means(tasks, headline, scores, {"one": 0.25, "two": 0.5})
    assert means is not None
    assert (means.tasks, means.left_out) == (["one", "two"], ["three", "four"])
    assert means.means["a"] == pytest.approx((0.5, 0.025))
    assert means.to_best["b"].value == pytest.approx(0.15)
    assert means.chance == pytest.approx(0.375)
    assert benchmark_means(tasks, headline, {"a": {}}, {}) is None


def test_chance_is_known_where_one_of_several_texts_is_chosen(tmp_path: Path) -> None:
    scored(tmp_path, "a", [1, 0])
    assert chance_levels(tmp_path / "a", {"t": {"kind": "choice"}}) == {"t": 0.5}
    assert chance_levels(tmp_path / "a", {"t": {"kind": "harness"}}) == {}
    assert chance_levels(tmp_path, {"t": {"kind": "choice"}}) == {}


def test_pictures_show_how_far_each_model_is_from_the_first_by_item(tmp_path: Path) -> None:
    """Items differ by 0, 0, 1, 0: 1/4 with an error of 1/4, whatever the spread of the items themselves."""
    scores = {
        "seed": scored(tmp_path, "seed", [1, 0, 0, 1]),
        "code": scored(tmp_path, "code", [1, 0, 1, 1]),
        "math": {},
    }
    stages = {"seed": "seed", "code": "expert", "math": "expert"}
    code, none = dots_of("t", "acc", scores, looks(stages))
    assert (code.name, code.value, code.low, code.high) == ("code", 0.25, -0.25, 0.75)
    assert (none.name, none.value, none.low, none.high) == ("math", None, None, None)
