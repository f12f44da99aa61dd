"""What experts and mixtures must show before anything is stitched."""

from __future__ import annotations

import pytest

from tasks.evaluation.specialisation import own_sources, specialisation

TASKS = {"quiz": {"source": "code"}, "exam": {"source": None}}
UTILITY = [
    {"source": "code", "task": "exam", "value": 0.2},
    {"source": "docs", "task": "exam", "value": 0.9},
    {"source": "noise", "task": "quiz", "value": 1.0},
]
MIXTURES = {
    "seed": {"code": 0.5, "noise": 0.3, "docs": 0.2},
    "coder": {"code": 0.7, "noise": 0.03, "docs": 0.27},
    "stitched": {"code": 0.6, "noise": 0.0, "docs": 0.4},
}


def check(expert: dict[str, float], junk_sources=("noise",)):
    rows = specialisation(
        {"coder": ["quiz"]},
        TASKS,
        UTILITY,
        MIXTURES,
        {"seed": {"code": 2.0}, "coder": expert},
        own_share=0.6,
        junk_sources=junk_sources,
        junk_share=0.02,
    )
    return {(row["subject"], row["check"]): row["holds"] for row in rows}


def test_each_claim_is_a_row():
    assert check({"code": 1.9}) == {
        ("coder", "own-domain share of code"): True,
        ("coder", "bits per byte on code, below the seed's"): True,
        ("coder mixture", "share of noise"): False,
        ("stitched mixture", "share of noise"): True,
    }


@pytest.mark.parametrize("expert", [{"code": 2.0}, {}])
def test_an_expert_that_is_not_better_than_the_seed_or_was_not_measured_does_not_hold(expert):
    assert not check(expert)["coder", "bits per byte on code, below the seed's"]


def test_a_misspelt_junk_source_is_refused():
    with pytest.raises(ValueError, match=r"no sources \['nosie'\]; allowed: code, docs, noise"):
        check({"code": 1.9}, junk_sources=["nosie"])


def test_without_a_source_of_its_own_the_domain_is_the_most_useful_one():
    assert own_sources(["quiz"], TASKS, UTILITY) == ["code"]
    assert own_sources(["exam"], TASKS, UTILITY) == ["docs"]
