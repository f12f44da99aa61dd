"""Utility by tf-idf: worked by hand where it can be, and there wherever methods are."""

from __future__ import annotations

import math

import pytest

from flows.recipes import load_recipe
from storage.home import Home
from storage.unrecorded import UnrecordedRun
from tasks.sources.task import prepare_sources
from tasks.utility.methods.tfidf import TfidfSettings, tfidf_utility
from tasks.utility.task import estimate_utility

SETTINGS = TfidfSettings(features=100)


def test_cosines_by_hand():
    """Two words that are each in one of two texts have the same idf; ln is of counts: 1 + ln 2 for two."""
    matrix = tfidf_utility({"one": ["red red blue"], "other": ["green"]}, {"t": ["red blue"]}, SETTINGS)
    red = 1 + math.log(2)
    expected = (red + 1) / (math.hypot(red, 1) * math.sqrt(2))
    assert matrix.values.loc["one", "t"] == pytest.approx(expected)
    assert matrix.values.loc["other", "t"] == 0.0


def test_the_error_falls_with_documents_and_is_unknown_for_one():
    words = ["red", "blue", "green", "red blue"]
    few, many = (
        tfidf_utility({"s": words * repeats}, {"t": ["red"] * 20}, SETTINGS).errors.loc["s", "t"]
        for repeats in (2, 50)
    )
    assert 0 < many < few / 3
    assert tfidf_utility({"s": ["red"]}, {"t": ["red"]}, SETTINGS).errors.loc["s", "t"] >= 0.5


def test_a_source_without_texts_is_named():
    with pytest.raises(ValueError, match=r"sources \['empty'\] have no texts"):
        tfidf_utility({"empty": []}, {"t": ["red"]}, SETTINGS)


def test_a_recipe_names_it_and_the_stage_ranks_sources_by_their_own_tasks(home: Home):
    e = load_recipe("tests/tiny.yaml", ["utility={method: tfidf, tfidf: {features: 2000}}"])
    run = UnrecordedRun(home)
    corpus = prepare_sources(run, e.sources, e.evaluation, e.random_seed)
    found = estimate_utility(run, e.utility, corpus)
    by_task = {row["task"]: {} for row in found.facts["utility"]}
    for row in found.facts["utility"]:
        by_task[row["task"]][row["source"]] = row["value"]
    assert max(by_task["docs-cloze"], key=by_task["docs-cloze"].get) == "python-docs"
    assert max(by_task["arithmetic-answer"], key=by_task["arithmetic-answer"].get) == "arithmetic"
    assert all(min(values, key=values.get) == "noise" for values in by_task.values())
