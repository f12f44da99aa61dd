"""The ledger of rounds in the catalog: there after the run, the same after a rebuild, and the pool as a view."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from storage.artifacts import ArtifactStore
from storage.catalog import Catalog
from storage.run_records import read_records
from storage.runs import Run
from storage.stages import Stage
from tasks.chat.rejection.best_of_many import ledger, pooled_best
from tasks.chat.rejection.rejecting import LEDGER
from tasks.chat.reward.piecewise import Judged, combined

PROMPTS = ["a", "it's b"]
TAGGED = np.array([[False], [True]])
TWO = combined(np.array([[0.5, 0.2], [9.0, 9.0]]), np.array([[1.0, 1.0], [0.7, 0.6]]), TAGGED, 0.15)
ROUNDS = [
    ledger(1, PROMPTS, [["one", " "], ["x", "y"]], Judged(np.array([[0.5, 0.9], [0.1, 0.3]])), 1.2),
    ledger(2, PROMPTS, [["two", "three"], ["z", "w"]], TWO, 0.8),
]  # of one reward model, and of two


@pytest.fixture
def rounds(home):
    run = Run(home, "chat", {"random_seed": 3})
    for number, rows in enumerate(ROUNDS, 1):

        def build(folder, rows=rows):
            rows.to_parquet(folder / LEDGER, index=False)
            return {"provenance": {"seed": 3}}

        run.stage(Stage("rejection", 1, {"round": number}, {}, build, f"round{number}-seed3"))
    run.finish("completed")
    return run


def test_every_answer_of_every_round_is_there_also_after_a_rebuild(home, rounds):
    catalog = Catalog(home)
    query = "select * exclude (run_id) from run_rejection_samples order by round, prompt, sample"
    found = catalog.query(query)
    assert found["random_seed"].tolist() == [3] * 8
    expected = pd.concat(ROUNDS, ignore_index=True).sort_values(
        ["round", "prompt", "sample"], ignore_index=True
    )
    maybe = {"took_safety": "boolean"}
    told = found[list(expected)].astype(maybe)
    pd.testing.assert_frame_equal(told, expected.astype(maybe), check_dtype=False)
    assert found["took_safety"].isna().tolist() == [True] * 4 + [False] * 4
    home.catalog.unlink()
    catalog.rebuild(lambda: read_records(home), ArtifactStore(home).manifests)
    pd.testing.assert_frame_equal(catalog.query(query), found)


def test_the_pool_is_that_of_the_rounds(home, rounds):
    """The blank answer of score .9 is passed over; of two of score .5 the earlier is taken."""
    found = Catalog(home).query("select prompt, answer, round from run_rejection_pool order by prompt")
    assert found.to_dict("list") == {"prompt": PROMPTS, "answer": ["one", "z"], "round": [1, 2]}
    pool = pooled_best(ROUNDS)
    assert sorted(pool["answer"]) == sorted(found["answer"])


def test_views_and_columns_are_documented(home, rounds):
    told = Catalog(home).query(
        "select comment from duckdb_views() where view_name in ('run_rejection_samples', 'run_rejection_pool')"
    )
    assert len(told) == 2 and told["comment"].notna().all()
