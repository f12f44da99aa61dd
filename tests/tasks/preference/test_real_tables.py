"""On the real tables: left-out error beside the baselines, the paper's three sizes, and three thousand human votes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.preference.annotation.aggregating import aggregate
from tasks.preference.correlating import correlate
from tasks.preference.sheets.joining import Paired, pair
from tasks.preference.validating import validate_pair

IGNORED = ["Arena-Elo", "Pretraining Data Size (T)", "FLOPs (1E21)"]


@pytest.fixture
def instruct(shared_data: Path) -> Paired:
    models = shared_data / "models"
    scores, ratings = (
        models / "obsscaling_instruct_benchmarks.csv",
        models / "arena_human_ratings_by_category.csv.gz",
    )
    return pair(scores, ratings, ignore=IGNORED)


def test_files_of_others_are_read_as_they_are(instruct: Paired) -> None:
    assert (len(instruct.models), len(instruct.benchmarks), len(instruct.targets)) == (10, 8, 29)
    assert len(set(instruct.families)) == 7
    assert (instruct.rating_errors > 0).sum() == 246


@pytest.mark.parametrize("scheme", ["leave-one-model-out", "leave-one-family-out"])
def test_the_forecast_is_better_than_the_best_of_three_baselines(instruct: Paired, scheme: str) -> None:
    told = {row["method"]: row for row in validate_pair(instruct, ["auto"], scheme).summary()}
    assert told["auto"]["median_ratio"] < 0.9
    assert told["auto"]["ratio_of_medians"] < 1
    # Without a family nine models remain for four of the ten alone: 90 intervals of four models err together.
    assert told["auto"]["intervals"] == (180 if scheme == "leave-one-model-out" else 90)
    assert told["auto"]["coverage"] >= 0.85
    assert scheme != "leave-one-model-out" or told["auto"]["coverage"] <= 0.95


def test_three_sizes_agree_in_sign_and_carry_no_claim(shared_data: Path) -> None:
    models = shared_data / "models"
    found = correlate(
        models / "obsscaling_instruct_benchmarks.csv",
        models / "arena_human_ratings_by_category.csv.gz",
        ignore=IGNORED,
        only_models=[f"llama-2-{size}b-chat" for size in (7, 13, 70)],
        permutations=99,
    )
    assert len(found.by_target) == 27
    assert (found.by_target["share_positive"] > 0.5).all()
    assert (found.by_target["p"] >= 1 / 6).all()
    assert (found.pairs["p_family_wise"] >= 1 / 3).all()
    assert {claim["needed"] for claim in found.refused} >= {5, 8, 10}


def test_human_votes_rank_five_models_alike_by_means_and_bradley_terry(shared_data: Path) -> None:
    found = aggregate(
        shared_data / "models" / "pandalm_human_pairwise.jsonl.gz", category_column="app", bootstraps=50
    )
    whole = found.ratings[found.ratings["level"] == "all"].set_index("model")
    for column in ("score", "elo"):
        order = whole[column].sort_values().index.tolist()
        assert order == ["cerebras-gpt-6.7B", "opt-7b", "bloom-7b", "pythia-6.9b", "llama-7b"]
    places = found.places[found.places["level"] == "all"].iloc[0]
    assert (places["items"], places["annotators"], places["judgements"]) == (999, 3, 2997)
    assert 0.8 < places["alpha"]["alpha"] < 0.9
    assert any("place and model are not told apart" in note for note in found.notes)
