"""From judgements to ratings: worked examples, planted strengths, clustered intervals, and bad rows by name."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tasks.preference.annotation.aggregating import Aggregate, aggregate
from tasks.preference.annotation.agreement import alpha, order_effect
from tasks.preference.annotation.bradley_terry import ELO, fit_strengths, unlinked
from tasks.preference.annotation.judgements import read_judgements
from tasks.preference.sheets.figures import read_figures

LIKERT = pd.DataFrame(
    [
        # item, area, category, turns, model, annotator, score
        ("i1", "Dialogue", "Code", 1, "m", "a", 1),
        ("i1", "Dialogue", "Code", 1, "m", "b", 3),
        ("i1", "Dialogue", "Code", 1, "m", "c", 2),
        ("i2", "Dialogue", "Code", 4, "m", "a", 7),
        ("i3", "Dialogue", "Safety", 1, "m", "b", 4),
        ("i3", "Dialogue", "Safety", 1, "n", "b", 5),
    ],
    columns=["item", "area", "category", "turns", "model", "annotator", "score"],
).assign(reference="ref")


def of(found: Aggregate, model: str, **place: str) -> pd.Series:
    rows = found.ratings[found.ratings["model"] == model]
    for column, name in {"level": "all", **place}.items():
        rows = rows[rows[column] == name]
    assert len(rows) == 1
    return rows.iloc[0]


def expected_outcomes(strengths: np.ndarray, tie: float, a: int, b: int) -> np.ndarray:
    """Probability that a wins, b wins, they tie (3,)."""
    logits = np.array([strengths[a], strengths[b], tie + (strengths[a] + strengths[b]) / 2])
    chances = np.exp(logits - logits.max())
    return chances / chances.sum()


def test_the_paper_s_means_by_hand() -> None:
    found = aggregate(LIKERT, bootstraps=50)
    # i1: mean score 2 -> 5/6; i2: 7 -> 0; i3: 4 -> 1/2. Pairs count alike, not judgements.
    assert of(found, "m")["score"] == pytest.approx((5 / 6 + 0 + 1 / 2) / 3)
    assert of(found, "m", level="category", category="Code")["score"] == pytest.approx(5 / 12)
    assert of(found, "n")["score"] == pytest.approx(2 / 6)
    whole = found.places[found.places["level"] == "all"].iloc[0]
    assert (whole["items"], whole["annotators"], whole["judgements"]) == (3, 3, 6)
    assert (whole["single_turn"], whole["multi_turn"]) == (2, 1)
    assert found.places["level"].value_counts().to_dict() == {"category": 2, "all": 1, "area": 1}


def test_two_models_with_ties_in_closed_form() -> None:
    # Davidson: e^(s_a - s_b) = wins_a / wins_b, e^t = ties / sqrt(wins_a wins_b).
    strengths, tie = fit_strengths(np.array([[0, 1]]), np.array([[[6000.0, 3000.0, 2000.0]]]), 2)
    assert strengths[0, 0] - strengths[0, 1] == pytest.approx(math.log(2), abs=1e-4)
    assert tie[0] == pytest.approx(math.log(2000 / math.sqrt(6000 * 3000)), abs=1e-4)
    np.testing.assert_allclose(expected_outcomes(strengths[0], tie[0], 0, 1) * 11, [6, 3, 2], atol=1e-3)
    plain, none = fit_strengths(np.array([[0, 1]]), np.array([[[6000.0, 3000.0, 0.0]]]), 2)
    assert plain[0, 0] - plain[0, 1] == pytest.approx(math.log(2), abs=1e-4)
    assert none[0] == -np.inf


TRUTH = np.array([1.0, 0.3, -0.2, -1.1])
PAIRS = np.array([[a, b] for a in range(4) for b in range(a + 1, 4)])


def planted_counts() -> np.ndarray:
    """20,000 votes on each of PAIRS by models of strengths TRUTH."""
    rng = np.random.default_rng(0)
    drawn = [rng.multinomial(20_000, expected_outcomes(TRUTH, -0.5, a, b)) for a, b in PAIRS]
    return np.array(drawn, float)


def test_planted_strengths_come_back_and_weightings_are_independent() -> None:
    counts = planted_counts()
    found, tie = fit_strengths(PAIRS, np.array([counts, 2 * counts, counts[:, [1, 0, 2]]]), 4)
    np.testing.assert_allclose(found[0], TRUTH - TRUTH.mean(), atol=0.03)
    assert tie[0] == pytest.approx(-0.5, abs=0.03)
    np.testing.assert_allclose(found[1], found[0], atol=1e-4)
    np.testing.assert_allclose(found[2], -found[0], atol=1e-6)


@pytest.mark.parametrize("ties", [True, False])
@pytest.mark.parametrize("times", [1e-9, 1e-3, 1e3, 1e6, 1e9])
def test_strengths_are_found_for_few_votes_and_for_many(times: float, ties: bool) -> None:
    counts = planted_counts() * [1, 1, ties]
    found, _ = fit_strengths(PAIRS, np.array([counts, times * counts]), 4)
    assert (np.diff(found[1]) < 0).all()
    if times > 1:
        np.testing.assert_allclose(found[1], found[0], atol=1e-4)


@pytest.mark.parametrize("votes", [3.0, 1e5, 1e10])
def test_a_model_that_all_but_never_lost_settles_at_the_penalised_odds(votes: float) -> None:
    for lost in (0.0, 1e-4):
        found, _ = fit_strengths(np.array([[0, 1]]), np.array([[[votes, lost, 0.0]]]), 2)
        s, apart = found[0, 0], found[0, 0] - found[0, 1]
        # Where the posterior is highest, the votes pull as hard as the prior.
        assert (votes - lost * math.exp(apart)) / (1 + math.exp(apart)) == pytest.approx(s / 100, rel=1e-6)


@pytest.mark.parametrize("votes", [2e5, 2e10])
def test_groups_that_never_met_are_told_apart_by_the_prior_alone(votes: float) -> None:
    pairs = np.array([[0, 1], [2, 3]])
    found, _ = fit_strengths(pairs, np.array([[[votes, votes / 3, 0.0], [votes / 7, votes, 0.0]]]), 4)
    np.testing.assert_allclose(found[0, :2].sum(), 0, atol=1e-3)
    np.testing.assert_allclose(found[0, 0] - found[0, 1], math.log(3), atol=1e-3)
    np.testing.assert_allclose(found[0, 2] - found[0, 3], -math.log(7), atol=1e-3)


def test_counts_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match="the counts are not finite"):
        fit_strengths(np.array([[0, 1]]), np.array([[[1.0, np.inf, 0.0]]]), 2)


def test_models_that_never_lost_are_named_and_stay_finite() -> None:
    rows = [
        ("i1", "x", "y", "p", "A"),
        ("i2", "x", "y", "q", "A"),
        ("i3", "y", "z", "p", "A"),
        ("i4", "y", "z", "q", "B"),
    ]
    found = aggregate(
        pd.DataFrame(rows, columns=["item", "model_a", "model_b", "annotator", "choice"]), bootstraps=50
    )
    assert np.isfinite(found.ratings["elo"]).all()
    assert any("never won, or never lost" in note and "x" in note for note in found.notes)
    assert unlinked(np.array([[0, 1]]), np.array([[1.0, 1.0, 0.0]]), 2) == [[0, 1]]
    assert len(unlinked(np.array([[0, 1]]), np.array([[1.0, 0.0, 0.0]]), 2)) == 2


def votes(random_seed: int, items: int, annotators: int, taste: float, noise: float) -> pd.DataFrame:
    """Choices between two models whose answers differ by item, and annotators who differ by taste."""
    rng = np.random.default_rng(random_seed)
    likes, hard = taste * rng.normal(size=annotators), noise * rng.normal(size=items)
    rows = []
    for i in range(items):
        for a in rng.choice(annotators, 3, replace=False):
            wins = rng.random() < 1 / (1 + np.exp(-(0.4 + likes[a] + hard[i])))
            turned = rng.random() < 0.5
            first, second = ("n", "m") if turned else ("m", "n")
            rows.append((f"i{i}", first, second, f"a{a}", "A" if wins != turned else "B"))
    return pd.DataFrame(rows, columns=["item", "model_a", "model_b", "annotator", "choice"])


def test_intervals_widen_with_the_cluster_that_varies() -> None:
    tasteful = of(aggregate(votes(1, 200, 12, 2.0, 0.0), bootstraps=200), "m")
    hard = of(aggregate(votes(2, 60, 60, 0.0, 2.5), bootstraps=200), "m")
    width = {
        (name, by): row[f"score_high_by_{by}"] - row[f"score_low_by_{by}"]
        for name, row in (("taste", tasteful), ("hard", hard))
        for by in ("annotators", "items")
    }
    assert width["taste", "annotators"] > 1.5 * width["taste", "items"]
    assert width["hard", "items"] > 1.1 * width["hard", "annotators"]
    for row in (tasteful, hard):
        assert row["score_low"] <= row["score"] <= row["score_high"]
        assert row["elo_low"] <= row["elo"] <= row["elo_high"]


def test_item_clustered_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    held = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        chance = rng.beta(2, 1, size=40)
        rows = [
            (f"i{i}", "m", "n", f"{i}-{k}", "A" if rng.random() < chance[i] else "B")
            for i in range(40)
            for k in range(3)
        ]
        frame = pd.DataFrame(rows, columns=["item", "model_a", "model_b", "annotator", "choice"])
        row = of(aggregate(frame, bootstraps=100, random_seed=seed), "m")
        held.append(row["score_low_by_items"] <= 2 / 3 <= row["score_high_by_items"])
    # Nominal .9; 60 draws have a standard error of .04.
    assert 0.78 <= np.mean(held) <= 1


def test_alpha_by_hand() -> None:
    # Nominal, two judges, four units AA BB AB AA: observed disagreement 2/8, expected 2*5*3/(8*7).
    rows = pd.DataFrame(
        {"item": list("11223344"), "first": "m", "second": "n", "value": [1, 1, 0, 0, 1, 0, 1, 1]}
    )
    told = alpha(rows, "choice", 0.9, 0)
    assert told is not None
    assert told["alpha"] == pytest.approx(1 - (2 / 8) / (30 / 56))
    assert told["units"] == 4
    same = alpha(rows.assign(value=1), "choice", 0.9, 0)
    assert same is not None and same["alpha"] is None
    assert alpha(rows.drop_duplicates("item"), "choice", 0.9, 0) is None


def test_place_of_the_answer_shows_in_choices_of_like_models() -> None:
    rng = np.random.default_rng(3)
    rows = pd.DataFrame(
        {
            "item": [f"i{i}" for i in range(400)],
            "first": np.where(np.arange(400) % 2, "m", "n"),
            "second": np.where(np.arange(400) % 2, "n", "m"),
            "value": (rng.random(400) < 0.65).astype(float),
        }
    )
    told = order_effect(rows, 0.9, 0)
    assert told is not None
    assert told["low"] > 0.5
    assert told["balance"] == 1


def test_wins_and_choices_are_the_same_votes() -> None:
    choices = votes(4, 80, 10, 0.0, 0.0)
    first = choices["model_a"].eq("m")
    won = choices["choice"].eq("A").eq(first)
    wins = pd.DataFrame(
        {"model_a": ["m"], "model_b": ["n"], "wins_a": [int(won.sum())], "wins_b": [int((~won).sum())]}
    )
    one, two = aggregate(choices, bootstraps=50), aggregate(wins, bootstraps=50)
    assert of(one, "m")["elo"] == pytest.approx(of(two, "m")["elo"])
    assert of(two, "m")["score"] == pytest.approx(won.mean())
    share = won.mean()
    assert of(two, "m")["elo"] - of(two, "n")["elo"] == pytest.approx(
        ELO * math.log(share / (1 - share)), abs=0.1
    )


def test_absolute_ratings_are_means_in_their_own_unit() -> None:
    frame = pd.DataFrame(
        [("i1", "m", "a", 8), ("i1", "m", "b", 6), ("i2", "m", "a", 4), ("i1", "n", "a", 1)],
        columns=["item", "model", "annotator", "rating"],
    )
    found = aggregate(frame, bootstraps=50)
    assert of(found, "m")["score"] == pytest.approx((7 + 4) / 2)
    assert "elo" not in found.ratings


def test_ratings_go_back_in_as_a_table(tmp_path: Path) -> None:
    found = aggregate(votes(5, 60, 10, 0.5, 0.5).assign(category="Code"), bootstraps=50)
    path = tmp_path / "ratings.csv"
    found.table("elo").to_csv(path, index=False)
    again = read_figures(path, "ratings")
    assert again.values.columns.tolist() == ["all", "Code"]
    assert again.values.loc["m", "Code"] == pytest.approx(
        of(found, "m", level="category", category="Code")["elo"]
    )
    row = of(found, "m", level="category", category="Code")
    error = (row["elo_high"] - row["elo_low"]) / (2 * 1.6448536)
    assert again.errors.loc["m", "Code"] == pytest.approx(error)
    assert found.table("score").columns.tolist() == ["model", "category", "rating", "rating_se"]


def test_a_column_an_annotator_is_read_too() -> None:
    frame = pd.DataFrame(
        {
            "id": [0, 1],
            "model_1": ["m", "m"],
            "model_2": ["n", "n"],
            "annotator_1": [1, 0],
            "annotator_2": [2, 1],
        }
    )
    rows = read_judgements(frame).rows
    assert rows["value"].tolist() == [1.0, 0.0, 0.5, 1.0]
    assert rows["annotator"].tolist() == ["annotator_1", "annotator_2"] * 2


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            lambda f: f.assign(score=[8, *f["score"][1:]]),
            r"1 bad cells: row 0, column 'score': 8 must be 1, 2",
        ),
        (lambda f: f.assign(score=[1.5, "x", *f["score"][2:]]), r"2 bad cells: row 0.*1.5.*; row 1.*'x'"),
        (lambda f: f.assign(annotator=[None, *f["annotator"][1:]]), r"row 0, column 'annotator': empty"),
        (lambda f: f.assign(reference="m"), r"row 0: 'm' is compared with itself"),
        (lambda f: pd.concat([f, f.head(1)]), r"row 6: annotator 'a' judged item 'i1' of 'm' twice"),
        (lambda f: f.drop(columns=["reference", "annotator"]), r"are of no kind: likert \(item, model"),
    ],
)
def test_bad_rows_are_named(change, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        read_judgements(change(LIKERT.copy()).reset_index(drop=True))


def test_bad_choices_and_counts_are_named() -> None:
    frame = votes(6, 3, 4, 0, 0)
    frame.loc[1, "choice"] = "maybe"
    with pytest.raises(ValueError, match=r"row 1, column 'choice': 'maybe' must be A, B or tie"):
        read_judgements(frame)
    wins = pd.DataFrame({"model_a": ["m"], "model_b": ["n"], "wins_a": [1.5], "wins_b": [2]})
    with pytest.raises(ValueError, match=r"row 0, column 'wins_a': 1.5 must be a whole number"):
        read_judgements(wins)
    with pytest.raises(ValueError, match=r"kind='stars': allowed are \['likert'"):
        read_judgements(frame, "stars")
