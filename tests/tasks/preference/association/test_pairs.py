"""Pairs, guard and structure: against SciPy and pandas, by hand at small n, and on planted truths."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tasks.preference.association.guard import (
    chance_above,
    in_words,
    limits,
    models_for_p,
    models_for_r,
    refused_claims,
    smallest_exact_p,
)
from tasks.preference.association.pair_groups import general_factor
from tasks.preference.association.pairs import guarded_pairs
from tasks.preference.association.structure import (
    communities,
    pairwise_pearson,
    predictive_benchmarks,
    signs_by_target,
    spectrum,
)
from tasks.preference.correlating import correlate
from tasks.preference.sheets.joining import Paired
from tests.tasks.preference.tables_at_hand import leveled, paired


def indexed(table: pd.DataFrame) -> pd.DataFrame:
    return table.set_index(["benchmark", "target", "removed", "statistic"])


def test_every_pair_equals_scipy_on_the_models_that_have_both() -> None:
    scores, ratings = leveled(0, 14, 3, 2, holes=0.2)
    scores[:, 2] = np.round(scores[:, 2])
    ratings[4, 1] = np.nan
    found = indexed(guarded_pairs(paired(scores, ratings), 99, 0).pairs)
    for j in range(3):
        for k in range(2):
            both = np.isfinite(scores[:, j]) & np.isfinite(ratings[:, k])
            x, y = scores[both, j], ratings[both, k]
            for name, function in (
                ("pearson", stats.pearsonr),
                ("spearman", stats.spearmanr),
                ("kendall", stats.kendalltau),
            ):
                row = found.loc[(f"b{j}", f"t{k}", "", name)]
                assert row["value"] == pytest.approx(function(x, y)[0])
                assert (row["n"], row["missing"]) == (both.sum(), 14 - both.sum())


def test_exact_p_at_four_models_is_two_in_24_and_at_three_one_in_three() -> None:
    four = indexed(guarded_pairs(paired(np.arange(4.0)[:, None], np.arange(4.0)[:, None]), 99, 0).pairs)
    assert four.loc[("b0", "t0", "", "spearman"), "p"] == pytest.approx(2 / 24)
    assert four.loc[("b0", "t0", "", "kendall"), "p_family_wise"] == pytest.approx(2 / 24)
    assert (four["test"] == "exact permutation").all()
    three = indexed(guarded_pairs(paired(np.arange(3.0)[:, None], np.arange(3.0)[:, None]), 99, 0).pairs)
    assert three.loc[("b0", "t0", "", "spearman"), "p"] == pytest.approx(2 / 6)


def test_exact_p_values_count_all_orders() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 6))
    found = indexed(guarded_pairs(paired(x[:, None], y[:, None]), 99, 0).pairs)
    for name, function in (("pearson", stats.pearsonr), ("kendall", stats.kendalltau)):
        height = abs(function(x, y)[0]) - 1e-9
        reached = [abs(function(x, order)[0]) >= height for order in permutations(y)]
        assert found.loc[("b0", "t0", "", name), "p"] == pytest.approx(np.mean(reached))


def unrelated(rng: np.random.Generator, by_size: float = 0.0) -> Paired:
    """Ten models with 2 benchmarks and 2 categories, a level a side; by_size: what both owe to it."""
    size = rng.normal(size=10)
    scores = rng.normal(size=(10, 2)) + 0.7 * rng.normal(size=(10, 1)) + by_size * size[:, None]
    ratings = 0.5 * rng.normal(size=(10, 2)) + rng.normal(size=(10, 1)) + by_size * size[:, None]
    return paired(scores, ratings, log_params=size)


def test_any_claim_at_all_is_made_of_at_most_one_unrelated_table_in_twenty() -> None:
    rng = np.random.default_rng(2)
    guarded = naive = 0
    for seed in range(200):
        found = guarded_pairs(unrelated(rng), 99, seed)
        assert found.count == 2 * 2 * 3 * 3 + 2 + 2
        everything = pd.concat([found.pairs, found.benchmarks, found.targets])
        guarded += bool((everything["p_family_wise"] <= 0.05).any())
        naive += bool((everything["p"] <= 0.05).any())
    # Binomial(200, .05) exceeds 16 with probability .02; a guard for each statistic and part claims in some 30.
    assert guarded <= 16
    assert naive >= 60


def test_what_only_size_brings_together_is_not_claimed_beyond_size() -> None:
    rng = np.random.default_rng(3)
    raw = beyond = 0
    for seed in range(60):
        table = guarded_pairs(unrelated(rng, by_size=2.0), 99, seed).pairs
        held = table[table["p_family_wise"] <= 0.05]["removed"]
        raw, beyond = raw + bool((held == "").any()), beyond + bool((held == "log parameters").any())
    assert raw >= 30
    # Binomial(60, .05) exceeds 6 with probability .03.
    assert beyond <= 6


def test_only_figures_as_they_are_have_exact_p() -> None:
    few = guarded_pairs(unrelated(np.random.default_rng(4)), 99, 0).pairs
    five = paired(*leveled(5, 5, 2, 2), log_params=np.arange(5.0))
    told = {
        (row.removed, row.statistic): row.test
        for row in pd.concat([few, guarded_pairs(five, 99, 0).pairs]).itertuples()
    }
    assert {few.loc[few["removed"] == "", "test"].unique()[0], told["", "pearson"]} == {
        "random permutation",
        "exact permutation",
    }
    for part in ("log parameters", "general factor"):
        assert told[part, "pearson"] == "Freedman-Lane permutation"
        assert told[part, "kendall"] == told[part, "spearman"] == "permuted residuals"


def test_the_guard_says_what_it_covers_and_counts_no_component_where_nothing_holds() -> None:
    rng = np.random.default_rng(12)
    names = [f"m{i}" for i in range(9)]
    ratings = pd.DataFrame({"model": names, **{f"t{k}": rng.normal(size=9) for k in range(2)}})
    for related in (False, True):
        columns = {"a": rng.normal(size=9), "b": ratings["t0"] if related else rng.normal(size=9)}
        found = correlate(pd.DataFrame({"model": names, **columns}), ratings, permutations=999)
        assert found.guard["tests"] == 2 * 2 * 3 * 2 + 4
        assert "as they are and without general factor" in found.guard["words"]
        assert (found.guard["hold"] > 0) == (found.spectrum["above_chance"] > 0) == related
        assert found.to_json()["guard"] == found.guard


def test_category_specific_signal_shows_once_the_general_factor_is_gone() -> None:
    rng = np.random.default_rng(3)
    level, own = rng.normal(size=(2, 60))
    scores = np.column_stack([level + 0.2 * rng.normal(size=60), own + level])
    ratings = level[:, None] + 0.1 * rng.normal(size=(60, 10))
    ratings[:, 0] += 0.3 * own
    found = indexed(guarded_pairs(paired(scores, ratings), 499, 0).pairs)
    raw, freed = (found.xs((r, "pearson"), level=("removed", "statistic")) for r in ("", "general factor"))
    assert (raw["p_family_wise"] <= 0.05).all()
    claimed = freed.index[freed["p_family_wise"] <= 0.05].tolist()
    assert ("b1", "t0") in claimed
    assert not any(benchmark == "b0" and target != "t0" for benchmark, target in claimed)
    assert freed.loc[("b1", "t0"), "value"] > 0.8


def test_removing_scale_is_the_partial_correlation() -> None:
    rng = np.random.default_rng(4)
    size = rng.normal(size=25)
    x, y = size + rng.normal(size=25), size + rng.normal(size=25)
    found = indexed(guarded_pairs(paired(x[:, None], y[:, None], log_params=size), 99, 0).pairs)
    r = pd.DataFrame({"x": x, "y": y, "z": size}).corr()
    partial = (r.loc["x", "y"] - r.loc["x", "z"] * r.loc["y", "z"]) / np.sqrt(
        (1 - r.loc["x", "z"] ** 2) * (1 - r.loc["y", "z"] ** 2)
    )
    assert found.loc[("b0", "t0", "log parameters", "pearson"), "value"] == pytest.approx(partial)


def test_general_factor_leaves_the_category_itself_out() -> None:
    ratings = np.array([[1.0, 10, 100], [2, 30, 200], [3, 20, np.nan]])
    found = general_factor(ratings, 0, None)
    z = (np.array([10.0, 30, 20]) - 20) / np.std([10, 30, 20])
    np.testing.assert_allclose(found, [(z[0] - 1) / 2, (z[1] + 1) / 2, z[2]])
    np.testing.assert_array_equal(general_factor(ratings, 0, 2), ratings[:, 2])


def test_what_chance_gives_at_four_models() -> None:
    assert chance_above(0.9, 4) == pytest.approx(0.1)
    assert smallest_exact_p(4) == pytest.approx(1 / 12)
    assert models_for_p(0.05) == 5
    assert models_for_p(0.05 / 8800) == 9
    n = models_for_r(0.8, 0.05)
    assert chance_above(0.8, n) <= 0.05 < chance_above(0.8, n - 1)


def test_the_paper_s_four_models_carry_hardly_a_claim() -> None:
    rng = np.random.default_rng(5)
    data = paired(rng.normal(size=(4, 160)), rng.normal(size=(4, 55)), ["Llama-2-Chat"] * 4)
    told = limits(data)
    assert (told["rank_ceiling"], told["pairs"]) == (3, 8800)
    assert told["null_abs_r_quantiles"]["0.9"] == pytest.approx(0.9)
    words = " ".join(in_words(claim) for claim in refused_claims(data))
    for part in (
        "exact p of 0.083",
        "8800 pairs",
        "rank at most 3",
        "fit the ratings of 4 models exactly",
        "1 families",
    ):
        assert part in words
    needed = {claim["claim"]: claim["needed"] for claim in refused_claims(data)}
    assert needed["that any one benchmark correlates with a category"] == 5
    assert needed["weights of single benchmarks in a regression"] == 162


def test_a_large_table_carries_all_claims() -> None:
    rng = np.random.default_rng(6)
    data = paired(rng.normal(size=(60, 5)), rng.normal(size=(60, 3)))
    assert refused_claims(data) == []


def test_pairwise_matrix_is_pandas_s_and_weights_are_copies() -> None:
    scores, ratings = leveled(7, 12, 4, 3, holes=0.2)
    ratings[3, 1] = np.nan
    expected = pd.DataFrame(np.hstack([scores, ratings])).corr().to_numpy()[:4, 4:]
    np.testing.assert_allclose(pairwise_pearson(scores, ratings), expected, atol=1e-9)
    weights = np.array([2, 0, 1, 1, 3, 1, 1, 0, 2, 1, 1, 1])
    again = pairwise_pearson(np.repeat(scores, weights, axis=0), np.repeat(ratings, weights, axis=0))
    np.testing.assert_allclose(pairwise_pearson(scores, ratings, weights.astype(float)), again, atol=1e-9)


def test_spectrum_counts_planted_factors_and_none_where_there_are_none() -> None:
    rng = np.random.default_rng(8)
    f = rng.normal(size=(60, 2))
    scores = np.hstack(
        [f[:, [0]] + 0.5 * rng.normal(size=(60, 5)), f[:, [1]] + 0.5 * rng.normal(size=(60, 5))]
    )
    ratings = np.hstack(
        [f[:, [0]] + 0.5 * rng.normal(size=(60, 4)), f[:, [1]] + 0.5 * rng.normal(size=(60, 4))]
    )
    assert spectrum(paired(scores, ratings), 0)["above_chance"] == 2
    assert spectrum(paired(rng.normal(size=(60, 8)), rng.normal(size=(60, 6))), 0)["above_chance"] == 0
    few = spectrum(paired(scores[:4], ratings[:4]), 0)
    assert few["rank_ceiling"] == 3
    assert np.allclose(few["singular_values"][3:], 0, atol=1e-9)


def test_communities_find_planted_blocks_and_tell_when_they_are_not_stable() -> None:
    rng = np.random.default_rng(9)
    f = rng.normal(size=(80, 2))
    scores = np.hstack(
        [f[:, [0]] + 0.4 * rng.normal(size=(80, 4)), f[:, [1]] + 0.4 * rng.normal(size=(80, 4))]
    )
    found = communities(paired(scores, f + 0.4 * rng.normal(size=(80, 2))), 0, 30)
    assert found is not None
    assert len({found.labels[f"b{j}"] for j in range(4)} | {found.labels["t0"]}) == 1
    assert len(set(found.labels.values())) == 2
    assert found.stability > 0.9
    loose = communities(paired(rng.normal(size=(6, 8)), rng.normal(size=(6, 2))), 0, 30)
    assert loose is not None and loose.stability < 0.6


def test_the_telling_benchmark_comes_first_and_noisy_ratings_widen_intervals() -> None:
    rng = np.random.default_rng(10)
    level = rng.normal(size=(50, 1))
    scores = np.hstack([rng.normal(size=(50, 2)), level + 0.2 * rng.normal(size=(50, 1))])
    ratings = level + 0.2 * rng.normal(size=(50, 3))
    sure = predictive_benchmarks(paired(scores, ratings), 0, 0.9, 200)
    assert sure["benchmark"].iloc[0] == "b2"
    assert sure["rank_high"].iloc[0] == 1
    unsure = predictive_benchmarks(paired(scores, ratings, errors=np.full(ratings.shape, 1.0)), 0, 0.9, 200)
    width = [(t["high"] - t["low"]).iloc[0] for t in (sure, unsure)]
    assert width[1] > 1.3 * width[0]


def test_public_function_tells_near_names_and_notes(tmp_path) -> None:
    rng = np.random.default_rng(11)
    names = [f"Model {i}" for i in range(8)]
    scores = pd.DataFrame({"model": names, "a": rng.normal(size=8), "b": rng.normal(size=8)})
    ratings = pd.DataFrame({"model": [*names[:7], "model-7"], "x": rng.normal(size=8)})
    found = correlate(scores, ratings, permutations=99)
    assert found.near == [("Model 7", "model-7")]
    assert len(found.models) == 7
    assert any("Scale was not removed" in note for note in found.notes)
    assert any("general factor was not removed" in note for note in found.notes)
    with pytest.raises(ValueError, match=r"overall='y': no such category; there are \['x'\]"):
        correlate(scores, ratings, permutations=99, overall="y")


@pytest.mark.parametrize("n", [5, 9])
def test_a_category_without_a_correlation_has_no_p(n: int) -> None:
    scores, ratings = leveled(21, n, 3, 2)
    ratings[:, 1] = 4.0
    data = paired(scores, ratings)
    told, means = guarded_pairs(data, 99, 0).targets, signs_by_target(data)
    assert (
        np.isfinite(told["p"]).tolist()
        == np.isfinite(told["p_family_wise"]).tolist()
        == np.isfinite(means["mean_r"]).tolist()
        == [True, False]
    )


def test_p_of_a_mean_counts_all_orders() -> None:
    scores, ratings = leveled(22, 5, 3, 2)
    found = guarded_pairs(paired(scores, ratings), 99, 0).targets
    mean = [
        abs(np.arctanh([stats.pearsonr(scores[:, j], ratings[list(order), 0])[0] for j in range(3)]).mean())
        for order in permutations(range(5))
    ]
    assert found.loc[0, "p"] == pytest.approx(np.mean(np.array(mean) >= mean[0] - 1e-9))
