"""What experts and mixtures must show before anything is stitched."""

from __future__ import annotations

from tasks.training.specialisation import own_sources, specialisation

TASKS = {"quiz": {"source": "code"}, "exam": {"source": None}}
MIXTURES = {
    "seed": {"code": 0.5, "noise": 0.3, "docs": 0.2},
    "coder": {"code": 0.7, "noise": 0.03, "docs": 0.27},
    "stitched": {"code": 0.6, "noise": 0.0, "docs": 0.4},
}


def check(expert_bpb: float):
    rows = specialisation(
        {"coder": ["quiz"]},
        TASKS,
        MIXTURES,
        {"seed": {"code": 2.0}, "coder": {"code": expert_bpb}},
        own_share=0.6,
        junk_sources=["noise"],
        junk_share=0.02,
    )
    return {(row["subject"], row["check"]): row["holds"] for row in rows}


def test_each_claim_is_a_row():
    assert check(1.9) == {
        ("coder", "own-domain share of code"): True,
        ("coder", "bits per byte on code, below the seed's"): True,
        ("coder mixture", "share of noise"): False,
        ("stitched mixture", "share of noise"): True,
    }


def test_an_expert_that_is_not_better_than_the_seed_does_not_hold():
    assert not check(2.0)["coder", "bits per byte on code, below the seed's"]


def test_without_a_source_of_its_own_the_domain_is_the_heaviest_source():
    assert own_sources(["quiz"], TASKS, MIXTURES["seed"]) == ["code"]
    assert own_sources(["exam"], TASKS, {"a": 0.2, "b": 0.5, "c": 0.3}) == ["b"]
