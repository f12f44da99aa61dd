"""Leaderboards as they are: ranks, votes, dates and ratings are no benchmarks, and all that is left out is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tasks.preference.sheets.joining import pair
from tasks.preference.sheets.other_columns import BENCHMARKS, CATEGORIES, what_else


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("Rank", "a rank"),
        ("Rank* (UB)", "a rank"),
        ("rank_style_control", "a rank"),
        ("#", "a rank"),
        ("Unnamed: 0", "a rank"),
        ("Votes", "votes"),
        ("num_battles", "votes"),
        ("Knowledge Cutoff", "a date"),
        ("ReleaseDate", "a date"),
        ("#Params (B)", "a parameter count"),
        ("Model Size", "a parameter count"),
        ("learning_rate", "a training setting"),
        ("lr", "a training setting"),
        ("weight_decay", "a training setting"),
        ("batch size", "a training setting"),
        ("Train Tokens (T)", "a training setting"),
        ("Context Length", "a training setting"),
        ("License", "a training setting"),
        ("Price ($/M)", "a price or a speed"),
    ],
)
def test_what_is_neither_a_benchmark_nor_a_rating(name: str, what: str) -> None:
    assert what_else(name, BENCHMARKS) == what_else(name, CATEGORIES) == what


@pytest.mark.parametrize(
    "name", ["Arena Elo", "elo", "Chatbot Arena", "Arena Score", "human_rating", "ELO_code"]
)
def test_a_rating_is_no_benchmark(name: str) -> None:
    assert (what_else(name, BENCHMARKS), what_else(name, CATEGORIES)) == ("a rating", None)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "MMLU",
            "date_understanding",
            "arena-hard-v2.0",
            "SEED-Bench",
            "MT-bench",
            "narrative",
            "IFEval",
            "GSM8K",
        ),
        *(
            "object_counting",
            "TruthfulQA",
            "msmarco ranker",
            "Average",
            "elocution",
            "HumanEval",
            "parameterised",
        ),
    ],
)
def test_benchmarks_are_benchmarks(name: str) -> None:
    assert what_else(name, BENCHMARKS) is None


def _leaderboard() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    elo = np.arange(1000.0, 1120, 10)
    return pd.DataFrame(
        {
            "Rank": range(12, 0, -1),
            "model": [f"m{i}" for i in range(12)],
            "Organization": "a lab",
            "Arena Elo": elo,
            "Votes": 5000 - np.arange(12) ** 2,
            "MMLU": elo / 20 + rng.normal(0, 5, 12),
            "copied": elo / 3 + 7,
        }
    )


def test_one_leaderboard_gives_its_benchmarks_and_its_ratings(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = tmp_path / "t.csv"
    _leaderboard().to_csv(table, index=False)
    with caplog.at_level("INFO", "mixstitch.taken"):
        found = pair(table, table)
    assert (found.benchmarks, found.targets) == (["MMLU", "copied"], ["Arena Elo"])
    assert caplog.messages == [
        f"{table}: read as 2 benchmarks (MMLU, copied); left out: Rank (a rank), Arena Elo (a rating), Votes (votes), "
        "Organization (text); --also NAME takes one",
        f"{table}: read as 1 ratings (Arena Elo); left out: Rank (a rank), Votes (votes), Organization (text), "
        "MMLU (a benchmark), copied (a benchmark); --also NAME takes one",
    ]
    (pointed_at,) = [note for note in found.notes if "if it is made of that rating" in note]
    assert pointed_at.startswith("'copied' goes with 'Arena Elo' at r = 1.000 over 12 models")


def test_what_is_left_out_is_taken_where_it_is_asked_for() -> None:
    table = _leaderboard()
    assert pair(table, table, also=["Rank"]).benchmarks == ["Rank", "MMLU", "copied"]
    assert pair(table, table, benchmarks=["Votes"], targets=["MMLU"]).benchmarks == ["Votes"]
    long = table.melt("model", ["Rank", "Arena Elo", "MMLU"], "benchmark", "score")
    assert pair(long, table).benchmarks == ["MMLU"]
    assert pair(long, table, also=["Rank"], ignore=["MMLU"]).benchmarks == ["Rank"]


def test_a_table_without_a_benchmark_says_what_it_holds() -> None:
    with pytest.raises(
        ValueError, match="no column of benchmarks: Rank is a rank, Votes is votes; take one with --also"
    ):
        pair(_leaderboard()[["model", "Rank", "Votes"]], _leaderboard())


@pytest.mark.parametrize("also", [[], ["Note"]])
def test_a_column_with_digits_in_it_is_no_text_to_leave_out(also: list[str]) -> None:
    table = _leaderboard().assign(Note=["50%"] * 12)
    with pytest.raises(ValueError, match="column 'Note': '50%' is not a finite number"):
        pair(table, _leaderboard(), also=also)
