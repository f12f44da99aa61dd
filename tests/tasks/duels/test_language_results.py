"""A duel by language: thirds by size, each language counts once, and a winner is sure only where intervals say so."""

from __future__ import annotations

import pytest

from tasks.duels.mixtures.language_results import (
    by_language,
    language_findings,
    resource_classes,
    winner_sentences,
)
from tasks.duels.mixtures.mixture_duel_results import Round

LANGUAGES = {"news": "de", "books": "de", "talk": "et", "tales": "sw"}
CLASSES = {"de": "high", "et": "middle", "sw": "low"}


def round_of(contender: str, seed: int, values: dict[str, float], tokens: int = 100) -> Round:
    scores = [
        {"task": f"heldout:{source}", "metric": "bits_per_byte", "value": value}
        for source, value in values.items()
    ]
    return Round(
        "as-it-is", contender, tokens, seed, [*scores, {"task": "talk-cloze", "metric": "acc", "value": 1.0}]
    )


def values(news: float, books: float, talk: float, tales: float) -> dict[str, float]:
    return {"news": news, "books": books, "talk": talk, "tales": tales, "noise": 9.0}


ROUNDS = [
    round_of("even", 0, values(2.0, 3.0, 2.0, 2.0)),
    round_of("even", 1, values(2.2, 3.2, 2.1, 2.2)),
    round_of("skewed", 0, values(1.8, 2.8, 2.1, 3.0)),
    round_of("skewed", 1, values(2.0, 3.0, 2.0, 3.2)),
    round_of("skewed", 1, values(9.0, 9.0, 9.0, 9.0), tokens=50),
]


def test_classes_are_thirds_by_tokens():
    sizes = {code: size for size, code in enumerate("abcdefghij", 1)}
    classes = resource_classes(sizes)
    assert [code for code in classes if classes[code] == "high"] == ["j", "i", "h"]
    assert [code for code in classes if classes[code] == "low"] == ["c", "b", "a"]
    assert resource_classes({"a": 1, "b": 2}) == {"a": "middle", "b": "middle"}


def test_sources_of_a_language_count_together_and_smaller_budgets_and_others_do_not():
    table = by_language(ROUNDS, LANGUAGES)
    assert len(table) == 4 * 3
    own = table[(table["contender"] == "even") & (table["seed"] == 0)].set_index("language")["bits_per_byte"]
    assert own.to_dict() == {"de": 2.5, "et": 2.0, "sw": 2.0}


def test_differences_are_paired_by_seed_and_winners_are_sure_only_where_every_interval_is():
    found = language_findings(by_language(ROUNDS, LANGUAGES), CLASSES)
    differences = {(row["kind"], row["name"]): row for row in found["differences"]}
    low = differences["class", "low"]
    assert (low["first"], low["second"], low["mean"]) == ("even", "skewed", pytest.approx(-1.0))
    assert low["low"] == low["high"] == pytest.approx(-1.0)  # the same in both seeds, though levels differ
    assert differences["class", "middle"]["mean"] == pytest.approx(0.0)
    winners = {row["name"]: (row["contender"], row["over"]) for row in found["winners"]}
    assert winners["low"] == ("even", ["skewed"]) and winners["high"] == ("skewed", ["even"])
    assert winners["middle"][1] == []
    means = {(row["name"], row["contender"]): row["mean"] for row in found["means"]}
    assert means["all", "even"] == pytest.approx((2.6 + 2.05 + 2.1) / 3)
    said = winner_sentences(found)
    assert any(
        "with least text: even has the fewest bits per byte, 2.100 (skewed 3.100)." in line for line in said
    )
    assert any("in the middle" in line and "not distinguishable from " in line for line in said)
