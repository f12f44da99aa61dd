"""Duels: what is measured, paired and read off the ladder, and a small one from recipe to page."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from flows.experiment import run_experiment
from flows.recipes import load_recipe
from tasks.duels.mixtures.mixture_duel_page import speedup_text
from tasks.duels.mixtures.mixture_duel_results import (
    Round,
    differences,
    mean_interval,
    means,
    measured,
    speedups,
    tokens_to_reach,
)
from tasks.duels.mixtures.settings import DuelSettings
from tasks.duels.mixtures.task import budgets


def scores(heldout: dict[str, float], answers: float, accuracy: float) -> list[dict]:
    rows = [{"task": f"heldout:{s}", "metric": "bits_per_byte", "value": v} for s, v in heldout.items()]
    return [
        *rows,
        {"task": "q", "metric": "acc", "value": accuracy},
        {"task": "q", "metric": "bits_per_byte", "value": answers},
    ]


def table(cells: dict[tuple[str, int, int], float]) -> pd.DataFrame:
    """(contender, tokens, seed) -> held-out bits per byte."""
    rounds = [
        Round("r", name, tokens, seed, scores({"a": bits}, bits, 0.5))
        for (name, tokens, seed), bits in cells.items()
    ]
    return measured(rounds, ())


def test_means_are_over_sources_without_junk_and_over_tasks():
    found = measured(
        [Round("r", "u", 8, 0, scores({"a": 1.0, "b": 2.0, "noise_x": 9.0}, 3.0, 0.25))], ("noise*",)
    )
    assert found.iloc[0].to_dict() == {
        "regime": "r", "contender": "u", "tokens": 8, "seed": 0, "heldout": 1.5, "answers": 3.0, "accuracy": 0.25
    }  # fmt: skip


def test_the_interval_is_students():
    # t(.975, 2) = 4.302653; sd 1.
    mean, low, high = mean_interval(pd.Series([1.0, 2.0, 3.0]).to_numpy())
    assert (mean, low, high) == (
        2.0,
        pytest.approx(2 - 4.302653 / 3**0.5),
        pytest.approx(2 + 4.302653 / 3**0.5),
    )
    assert mean_interval(pd.Series([1.0]).to_numpy()) == (1.0, None, None)


def test_differences_are_paired_by_seed_and_positive_where_the_champion_is_better():
    cells = {("u", 8, 0): 1.0, ("u", 8, 1): 2.0, ("x", 8, 0): 1.1, ("x", 8, 1): 2.1}
    rows = {row["measure"]: row for row in differences(table(cells), ["u"])}
    assert rows["heldout"]["mean"] == pytest.approx(0.1)
    assert (
        rows["heldout"]["high"] - rows["heldout"]["low"] < 1e-9
    )  # the seeds differ, their differences do not
    assert rows["accuracy"]["mean"] == 0


def test_tokens_to_reach_a_score():
    # From 4 to 1 bits between 100 and 400 tokens, on a line in log tokens: 2.5 at 200.
    assert tokens_to_reach([100, 400], [4.0, 1.0], 2.5).tokens == pytest.approx(200)
    assert (
        tokens_to_reach([100, 400], [4.0, 1.0], 0.5).side,
        tokens_to_reach([100, 400], [4.0, 1.0], 5).side,
    ) == (
        ">",
        "<",
    )
    at_first = tokens_to_reach([100, 400], [4.0, 1.0], 4.0)
    assert (at_first.tokens, at_first.side) == (100, "=")


def test_speedup_by_hand():
    cells = {("u", 100, 0): 2.5, ("u", 400, 0): 0.9, ("x", 100, 0): 4.0, ("x", 400, 0): 1.0}
    found = {
        row["tokens"]: row["by_seed"] for row in speedups(table(cells), ["u"]) if row["measure"] == "heldout"
    }
    assert found[100] == [[pytest.approx(2.0), "="]]  # x needs 200 tokens
    assert found[400] == [[1.0, ">"]]  # x never gets there
    assert speedup_text([[1.2, "="], [2.0, ">"], [0.5, "<"]]) == "<0.50, 1.20, >2.00"


def test_means_are_given_for_every_budget():
    cells = {("u", tokens, seed): 1.0 + seed for tokens in (4, 8) for seed in (0, 1)}
    rows = [row for row in means(table(cells)) if row["measure"] == "heldout"]
    assert [(row["tokens"], row["mean"], row["seeds"]) for row in rows] == [(4, 1.5, 2), (8, 1.5, 2)]


def test_budgets_are_whole_steps_and_rungs_that_are_none_are_refused():
    assert budgets(DuelSettings(rungs=(0.25, 1.0)), 10_000, 1_000) == [2_000, 10_000]
    with pytest.raises(
        ValueError, match=r"duel\.rungs=\[0\.05, 1\.0\] of budget\.tokens=10,000 are \[0, 10000\]"
    ):
        budgets(DuelSettings(rungs=(0.05, 1.0)), 10_000, 1_000)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("duel.rungs=[0.5]", "ascending shares above 0 that end with 1"),
        ("budget={minutes: 5}", "budget.minutes=5 with a duel"),
        ("duel.regimes=[{name: a}, {name: a}]", r"regimes are named \['a', 'a'\]"),
    ],
)
def test_a_wrong_duel_is_refused(override, said):
    with pytest.raises(ValueError, match=said):
        load_recipe("mixture-duel", [override])


def test_a_folder_of_ones_own_takes_the_place_of_pockets_sources_and_tasks():
    experiment = load_recipe("mixture-duel", ["sources.folder=texts"])
    assert (experiment.sources.listed, experiment.evaluation.made) == ((), ())
    assert experiment.evaluation.made_from_each == 120
    own_tasks = load_recipe("mixture-duel", ["sources.folder=texts", "evaluation.folder=tests"])
    assert own_tasks.evaluation.made_from_each is None
    assert len(load_recipe("mixture-duel").sources.listed) == 4


@pytest.mark.slow
def test_a_small_duel_from_recipe_to_page(home):
    contenders = (
        "[{name: best, mixture: {method: utilimax}}, {name: even, mixture: {method: uniform, epoch_cap: 1000}},"
        " {name: unimax, mixture: {method: unimax}}]"
    )
    small = ["model={hidden_size: 32, num_layers: 1, num_heads: 2}", "evaluation.max_items=20"]
    sources = (
        "sources.listed=[{name: python-docs, reader: python-docs, max_bytes: 300000},"
        " {name: arithmetic, reader: arithmetic, max_bytes: 100000}]"
    )
    tasks = "evaluation.made=[{name: sums, kind: arithmetic-answer, source: arithmetic, num_items: 40}]"
    duel = [
        f"duel.contenders={contenders}",
        "duel.seeds=2",
        "duel.rungs=[0.5, 1]",
        "duel.regimes=[{name: all}]",
    ]
    small += ["budget.tokens=8192", "sources.tokenizer.vocab_size=512"]
    summary = run_experiment(load_recipe("mixture-duel", [*small, sources, tasks, *duel])).summary
    assert {row["contender"] for row in summary.duel} == {"best", "even", "unimax"}
    assert all(math.isfinite(row["mean"]) for row in summary.duel)
    page = (home.root / "artifacts").glob("duel/*/report.html")
    assert "best over even" in next(page).read_text()
    # Without scarcity uniform is UniMax: the same plan is trained once.
    trained = [stage for stage in summary.stages if stage["name"].startswith("seed/")]
    assert sum(not stage["cache_hit"] for stage in trained) == 8
