"""Sentences and numbers: what they say at, within and without errors."""

from __future__ import annotations

import math

import pytest

from tasks.evaluation.stopping import ALL_SEEN, DECIDED
from tasks.report.differences import Difference
from tasks.report.findings import BenchmarkMeans, Kept
from tasks.report.formatting import (
    compact,
    duration,
    fixed,
    listed,
    num_bytes,
    plus_minus,
    share,
    shortened,
    significant,
    with_error,
)
from tasks.report.words import (
    on_benchmarks,
    on_gates,
    on_mixture,
    on_partly_asked,
    on_preference,
    on_specialisation,
    on_stitching,
    on_told_apart,
)


@pytest.mark.parametrize(
    ("value", "stderr", "text"),
    [
        (0.2571, 0.0331, "0.257 ± 0.033"),
        (2.27240, 0.00664, "2.2724 ± 0.0066"),
        (12.34, 1.5, "12.3 ± 1.5"),
        (-0.00483, 0.0024, "−0.0048 ± 0.0024"),
        (0.5, None, "0.500 (error unknown)"),
        (0.5, math.nan, "0.500 (error unknown)"),
        (None, 0.1, "–"),
    ],
)
def test_a_value_has_the_digits_that_its_error_carries(
    value: float | None, stderr: float | None, text: str
) -> None:
    assert with_error(value, stderr) == text


def test_numbers_as_people_read_them() -> None:
    assert [compact(x) for x in (512, 98_304, 999_999, 1_739_799, 2.5e9)] == [
        "512",
        "98.3 k",
        "1 M",
        "1.74 M",
        "2.5 B",
    ]
    assert [num_bytes(x) for x in (12, 5_112_958)] == ["12 B", "5.11 MB"]
    assert [duration(x) for x in (0.05, 26.3, 200, 7505)] == ["0.05 s", "26 s", "3 min 20 s", "2 h 05 min"]
    assert [significant(x) for x in (1.61e12, 1e-6, 0.0634, 4.0, 0)] == [
        "1.61 × 10¹²",
        "1 × 10⁻⁶",
        "0.0634",
        "4",
        "0",
    ]
    assert [share(x) for x in (0, 0.0004, 0.268)] == ["0", "<0.1%", "26.8%"]
    assert (plus_minus(1e-6), plus_minus(0.0)) == ("± <0.0001", "± 0.000")
    assert fixed(-0.0001, 2) == "0.00"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert listed(list("abcdefgh"), 2) == "a, b and 6 more"
    assert shortened("professional_law_of_long_names", 12) == "professi…mes"


def means(best: float, second: float, error: float, chance: float | None) -> BenchmarkMeans:
    return BenchmarkMeans(
        ["one", "two"],
        [],
        {"stitched": (best, 0.02), "seed": (second, 0.02)},
        "stitched",
        {
            "stitched": Difference(0, 0, True, None),
            "seed": Difference(best - second, error, True, None),
        },
        chance,
    )


def test_the_best_is_called_ahead_only_beyond_two_standard_errors() -> None:
    assert on_benchmarks(means(0.5, 0.4, 0.04, None)).endswith(
        "ahead of every other model by more than 2 standard errors."
    )
    assert on_benchmarks(means(0.5, 0.4, 0.06, None)).endswith("no other model is distinguishable from it.")
    assert "0.500 ± 0.020" in on_benchmarks(means(0.5, 0.4, 0.06, None))
    assert "No benchmark" in on_benchmarks(None)


def test_guessing_is_named_where_the_best_does_not_beat_it() -> None:
    assert "from which it is not distinguishable" in on_benchmarks(means(0.27, 0.2, 0.01, 0.25))
    told = on_benchmarks(means(0.5, 0.2, 0.01, 0.25))
    assert "guessing gives 0.250;" in told


def kept(moved: float, error: float, share_kept: float | None) -> Kept:
    gain = Difference(0.2, 0.01 if share_kept else 0.2, True, 20)
    return Kept("stitched", gain, Difference(moved, error, True, 20), share_kept, 0.4, 0.6, "coder", "code")


def test_stitching_sentence_follows_the_sign_and_the_error() -> None:
    better = on_stitching(kept(0.1, 0.01, 0.5), 2)
    assert "needs 0.050 ± 0.0050 fewer" in better or "needs 0.0500 ± 0.0050 fewer" in better
    assert "keeps 50% (95% interval 40% to 60%)" in better
    assert "0.0500 ± 0.0050 more bits per byte" in on_stitching(kept(-0.1, 0.01, 0.5), 2)
    within = on_stitching(kept(0.1, 0.06, None), 1)
    assert "not distinguishable from the seed" in within and "too small to state a share" in within
    assert "not known" in on_stitching(None, 0)


def test_specialisation_names_what_fails_and_which_gains_are_within_errors() -> None:
    rows = [
        {"subject": "coder", "check": "own share", "holds": True},
        {"subject": "seed", "check": "junk", "holds": False},
    ]
    assert on_specialisation(rows[:1], []) == "All 1 check of specialisation hold."
    assert "1 of 2 checks of specialisation fail (seed: junk)" in on_specialisation(rows, [])
    assert "the gain over the seed of coder on code is not distinguishable from zero" in on_specialisation(
        rows[:1], [kept(0.1, 0.06, None)]
    )


def test_preference_names_missing_benchmarks_or_the_interval() -> None:
    row = {
        "model": "m", "target": "chat", "rating": 0.5, "low": 0.3, "high": 0.7, "extrapolates": True, "missing": [],
    }  # fmt: skip
    other = row | {"model": "n", "rating": 0.4, "low": 0.2, "high": 0.35, "extrapolates": False}
    elsewhere = row | {"target": "code", "rating": 9.0}
    told = on_preference([other, row, elsewhere], 0.9)
    assert (
        "The m model" in told
        and "of chat, 0.50 [0.30, 0.70] (90% interval; theory guarantees at most 80%), overlapping with n;"
        in told
    )
    assert "not backed by evidence" in told
    unbounded = on_preference([row | {"low": None, "high": None}, other], 0.9)
    assert "0.500 [unbounded, unbounded]" in unbounded and "overlapping with n" in unbounded
    lacking = on_preference([row | {"rating": None, "missing": ["MMLU", "GSM8K"]}], 0.9)
    assert "No human rating is forecast" in lacking and "GSM8K and MMLU" in lacking


def test_preference_leaves_snapshots_out_unless_they_are_all_there_is() -> None:
    row = {
        "model": "m", "target": "chat", "rating": 0.5, "low": 0.3, "high": 0.7, "extrapolates": False, "missing": [],
    }  # fmt: skip
    better = row | {"model": "m@8", "rating": 0.9}
    told = on_preference([better, row], 0.9)
    assert "The m model" in told and "@" not in told
    assert "The m@8 model" in on_preference([better], 0.9)


def test_gate_sentence_counts_domains_where_the_own_expert_gives_most() -> None:
    rows = [
        {"kind": "experts-into-hub", "stitch": 1, "domain": domain, "stream": stream, "share": part}
        for domain, parts in {"code": (0.5, 0.3, 0.2), "docs": (0.2, 0.5, 0.3)}.items()
        for stream, part in zip(("hub", "coder", "writer"), parts, strict=True)
    ]
    told = on_gates(rows, {"coder": ["code"], "writer": ["docs"]})
    assert "1 of 2 cases" in told
    assert on_gates([], {"coder": ["code"]}) == ""


def test_the_first_sentence_says_what_to_train_on_why_and_how_sure():
    weights = {"code": 0.62, "web": 0.375, "logs": 0.005, "rest": 0.0}
    certificate = {
        "says": "expected to lower the mean loss by 1.0% beside UniMax (90% interval 0.4% to 2.0%)",
        "evidence": ["utilities for 3 tasks"],
        "useless": ["logs"],
        "ask_next": [{"source": "web", "worth": 0.0012}],
    }
    assert on_mixture(weights, certificate, "Sure returns") == (
        "Train on 62.0% code, 37.5% web and 0.5% logs (by Sure returns, from utilities for 3 tasks): expected to "
        "lower the mean loss by 1.0% beside UniMax (90% interval 0.4% to 2.0%). UniMax needs no evidence: "
        "as much of every source, under a cap on how often its text is read. Of no use to any benchmark: logs. "
        "To know more of web is worth most: it may lower the loss by 0.12% more."
    )
    told = on_mixture(weights, certificate, "Sure returns", 3.1e12)
    assert told.endswith("0.12% more, where as much again would take 3.1 × 10¹² FLOPs.")
    assert "is not estimated" in on_mixture(weights, {"method": "uniform"}, "Uniform")


def test_it_is_said_how_much_of_the_benchmarks_was_asked() -> None:
    rows = [{"asked": 20, "of": 80}, {"asked": 50, "of": 50}], [{"asked": 40, "of": 80}]
    assert on_partly_asked(rows).startswith(
        "2 of 3 scores of models on benchmarks are of 25% to 50% of their items"
    )
    assert on_partly_asked([[{"asked": 5, "of": 5}], []]) == ""


def test_it_is_said_which_models_are_told_from_which() -> None:
    def row(model: str, task: str, low: float, high: float, because: str = DECIDED) -> dict:
        told = {"model": model, "task": task, "low": low, "high": high, "because": because}
        return {**told, "against": "seed", "about": "benchmark"}

    rows = (
        [],
        [row("math", "sums", 0.1, 0.3), row("math", "words", -0.3, -0.1)],
        [row("docs", "sums", 0.1, 0.1, ALL_SEEN), row("docs", "words", 0.02, 0.3)],
    )
    assert on_told_apart(rows) == (
        "Against seed, on all items of the benchmark, at 95%, for all 2 models together and at every look: math is "
        "better on sums; docs is better on words; math is worse on words; 1 of 4 comparisons took all items without a "
        "decision."
    )
    assert on_told_apart([[{"model": "math", "against": None}], []]) == ""
