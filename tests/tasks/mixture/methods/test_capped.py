"""Instruction mixing: what large collections hold beyond the cap does not count, and groups have fixed shares."""

from __future__ import annotations

import pytest

from flows.recipes import load_recipe
from tasks.mixture.methods.capped import capped

# Datasets by examples; the cap of OPT-IML is 4096.
SIZES = {"ni/a": 100_000, "ni/b": 1_000, "flan/a": 4_096, "flan/b": 8_192, "t5": 500}
GROUPS = {"ni": ["ni/*"], "flan": ["flan/*"], "t5": ["t5"]}


def test_what_lies_beyond_the_cap_does_not_count():
    mixture = capped(SIZES, 13_788)  # 4096 + 1000 + 4096 + 4096 + 500
    assert mixture.tokens == {"ni/a": 4096, "ni/b": 1000, "flan/a": 4096, "flan/b": 4096, "t5": 500}


def test_groups_have_their_shares_and_are_capped_inside():
    mixture = capped(SIZES, 1_000_000, groups=GROUPS, group_shares={"ni": 25, "flan": 20, "t5": 5})
    assert mixture.weights["ni/a"] == pytest.approx(0.5 * 4096 / 5096)
    assert mixture.weights["flan/a"] == mixture.weights["flan/b"] == pytest.approx(0.2)
    assert mixture.weights["t5"] == pytest.approx(0.1)
    assert mixture.certificate.group_shares == {"ni": 25, "flan": 20, "t5": 5}


@pytest.mark.parametrize(
    ("groups", "shares", "message"),
    [
        ({"ni": ["ni/*"]}, {"ni": 1}, "flan/a is in no group"),
        ({**GROUPS, "all": ["*"]}, {**dict.fromkeys(GROUPS, 1), "all": 1}, "flan/a is in flan and all"),
        ({**GROUPS, "x": ["none*"]}, {**dict.fromkeys(GROUPS, 1), "x": 1}, "'none\\*' is no source"),
        (GROUPS, {"ni": 1}, "flan, t5 is in one of them alone"),
    ],
)
def test_groups_that_do_not_fit_are_refused(groups, shares, message):
    with pytest.raises(ValueError, match=message):
        capped(SIZES, 1_000, groups=groups, group_shares=shares)


def test_a_recipe_takes_it():
    settings = load_recipe("pocket", ["mixture={method: capped, size_cap: 50_000}"]).mixture
    assert settings.size_cap == 50_000
    with pytest.raises(ValueError, match="one above 0"):
        load_recipe("pocket", ["mixture={method: capped, groups: {a: ['*']}, group_shares: {a: 0}}"])
