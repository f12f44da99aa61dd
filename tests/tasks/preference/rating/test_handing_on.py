"""Votes as other tools read them: ratings, pairs with margins, agreement."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from tasks.preference.annotation.aggregating import aggregate
from tasks.preference.rating.compared_answers import Answer, Prompt
from tasks.preference.rating.handing_on import handed_on, in_order, reward_pairs
from tasks.preference.rating.vote_book import LEFT, RIGHT, TIE, Said, VoteBook

BETTER_FIRST = ("alpha", "beta", "gamma")


def voted(folder, annotators=("ann", "bo", "cy"), items: int = 8, gold: int = 0) -> VoteBook:
    """Everybody takes the model whose name comes first, ann by more than bo."""
    answers = [Answer(f"q{i}", "c", f"q {i}", m, f"{m} {i}") for i in range(items) for m in BETTER_FIRST]
    golden = [Prompt(f"g{i}", "", f"gold {i}", f"a good one {i}", f"some bad one {i}") for i in range(gold)]
    book = VoteBook.made(folder / "votes.sqlite", answers, golden)
    for strength, annotator in zip((4, 1, 2), annotators, strict=True):
        while (shown := book.next(annotator)) is not None:
            book.vote(shown.id, annotator, Said(LEFT if shown.left < shown.right else RIGHT, strength))
    return book


def row(left: str, right: str, choice: str, strength: int, item: str = "q") -> dict:
    told = {"item": item, "category": "c", "prompt": "p", "left_model": left, "right_model": right}
    said = {"choice": choice, "strength": strength, "annotator": "x"}
    return {**told, "left_answer": f"of {left}", "right_answer": f"of {right}", **said}


def test_the_table_is_what_aggregate_reads(tmp_path):
    told = handed_on(voted(tmp_path), tmp_path)
    assert told["votes"] == 8 * 3 * 3
    table = aggregate(str(tmp_path / "votes.csv"), bootstraps=50).table("elo")
    ranked = table[table["category"] == table["category"].iloc[0]].sort_values("rating", ascending=False)
    assert ranked["model"].tolist() == list(BETTER_FIRST)


def test_pairs_are_what_a_reward_trainer_reads(tmp_path):
    told = handed_on(voted(tmp_path), tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "pairs.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(rows) == told["pairs"] == 8 * 3
    one = next(r for r in rows if r["item"] == "q3" and "gamma" not in r["chosen"] + r["rejected"])
    assert (one["prompt"], one["chosen"], one["rejected"]) == ("q 3", "alpha 3", "beta 3")
    assert one["strength"] == pytest.approx((4 + 1 + 2) / 3, abs=1e-6)
    assert one["margin"] == pytest.approx(((4 + 1 + 2) / 3 - 1) / 3, abs=1e-6)


def test_margins_are_llama_2_s_small_ones_whichever_side_was_shown():
    for strength, margin in ((4, 1), (3, 2 / 3), (2, 1 / 3), (1, 0)):
        votes = pd.DataFrame([row("b", "a", LEFT, strength), row("a", "b", RIGHT, strength)])
        ((pair,), undecided) = reward_pairs(in_order(votes))
        assert (pair["chosen"], pair["margin"], undecided) == ("of b", pytest.approx(margin, abs=1e-6), 0)


def test_votes_that_cancel_make_no_pair():
    votes = pd.DataFrame([row("a", "b", LEFT, 2), row("b", "a", LEFT, 2), row("a", "b", TIE, 0, "other")])
    assert reward_pairs(in_order(votes)) == ([], 2)


def test_agreement_is_high_on_who_and_lower_on_by_how_much(tmp_path):
    told = handed_on(voted(tmp_path), tmp_path)["agreement"]
    assert told["ac1"]["value"] == pytest.approx(1)
    assert 0.3 < told["ac2"]["value"] < 0.95
    assert told["units_of_several"] == 24


def test_gold_tells_of_annotators_and_is_in_no_file(tmp_path):
    told = handed_on(voted(tmp_path, gold=2), tmp_path)
    assert [(who["gold"], who["gold_right"]) for who in told["annotators"]] == [(2, 2)] * 3
    assert "gold" not in (tmp_path / "votes.csv").read_text(encoding="utf-8")


def test_without_a_vote_nothing_is_written(tmp_path):
    answers = [Answer("q", "", "?", model, model) for model in ("a1", "b1")]
    with pytest.raises(ValueError, match="no vote yet"):
        handed_on(VoteBook.made(tmp_path / "votes.sqlite", answers), tmp_path)
    assert not (tmp_path / "votes.csv").exists()
