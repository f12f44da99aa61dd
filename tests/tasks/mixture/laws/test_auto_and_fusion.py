"""The laws that are made of others: `auto`, and the prior of `fusion`."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tasks.mixture.laws.fitted_law import fit_law
from tasks.mixture.laws.lightgbm_trees import fit_trees
from tasks.mixture.laws.run_folds import random_folds
from tests.tasks.mixture.laws.made_runs import SOURCES, TASKS, made_mixtures, power_losses


def test_a_mixture_is_never_on_both_sides_of_a_fold():
    mixtures = np.repeat(made_mixtures(20, 0).to_numpy(), 2, axis=0)
    folds = random_folds(mixtures)
    assert sorted(np.concatenate(folds)) == list(range(40))
    for fold in folds:
        assert {i // 2 for i in fold}.isdisjoint({i // 2 for i in set(range(40)) - set(fold)})


def test_auto_is_no_worse_than_its_parts_and_says_what_it_is():
    runs, others = made_mixtures(64, 0), made_mixtures(100, 1)
    noise = np.random.default_rng(2).normal(size=(64, 2)) * 0.01
    law = fit_law(runs, power_losses(runs, 0.5) + noise, "auto")
    truth = power_losses(others, 0.5)
    assert np.sqrt(((law.predict(others) - truth) ** 2).mean().mean()) < 0.01


def test_auto_is_the_mean_of_the_middle_three_of_its_five_laws():
    runs, others = made_mixtures(64, 0), made_mixtures(20, 1)
    losses = power_losses(runs, 0.5) + np.random.default_rng(2).normal(size=(64, 2)) * 0.05
    auto = fit_law(runs, losses, "auto")
    assert auto.about["middle_of"] == ["diminishing", "power", "gp", "diminishing+gp", "lightgbm"]
    shapes = [
        fit_law(runs, losses, law).predict(others) for law in ("diminishing", "power", "gp", "diminishing+gp")
    ]
    trees = fit_trees(runs.to_numpy(), losses.to_numpy(), quick=True).predict(others.to_numpy())
    five = np.sort([*(found.to_numpy() for found in shapes), trees], axis=0)
    assert auto.predict(others).to_numpy() == pytest.approx(five[1:4].mean(axis=0), rel=1e-9)


def test_auto_can_do_with_few_runs():
    runs = made_mixtures(8, 0)
    law = fit_law(runs, power_losses(runs), "auto")
    assert np.isfinite(law.predict(made_mixtures(5, 1)).to_numpy()).all()
    with pytest.raises(ValueError, match="7 runs are too few; it needs at least 8"):
        fit_law(runs.iloc[:7], power_losses(runs.iloc[:7]), "auto")


UTILITY = pd.DataFrame(
    [[0.9, 0.1], [0.2, 0.9], [0.6, 0.1], [0.4, 0.4]], index=list(SOURCES), columns=["reading", "coding"]
)


def test_fusion_without_runs_ranks_by_the_objective_of_utilimax():
    empty = made_mixtures(4, 0).iloc[:0]
    others = made_mixtures(50, 1)
    predicted = fit_law(empty, power_losses(empty), "fusion", utility=UTILITY).predict(others).mean(axis=1)
    w = others.to_numpy()
    objective = np.linalg.norm(1 - w @ UTILITY.to_numpy(), axis=1) + 4 * (w**2).sum(axis=1)
    assert predicted.rank().tolist() == pd.Series(objective, others.index).rank().tolist()


def test_fusion_with_many_runs_follows_them_and_not_a_wrong_prior():
    runs, others = made_mixtures(150, 0), made_mixtures(50, 1)
    law = fit_law(runs, power_losses(runs), "fusion", utility=1 - UTILITY)
    error = (law.predict(others) - power_losses(others)).abs().mean() / power_losses(others).std()
    assert error.max() < 0.1


def test_fusion_takes_utilities_by_name():
    runs, others = made_mixtures(10, 0), made_mixtures(10, 1)
    first = fit_law(runs, power_losses(runs), "fusion", utility=UTILITY).predict(others)
    second = fit_law(runs, power_losses(runs), "fusion", utility=UTILITY.iloc[::-1]).predict(others)
    assert second.to_numpy() == pytest.approx(first.to_numpy(), rel=1e-12)
    with pytest.raises(ValueError, match=r"missing \['wiki'\]"):
        fit_law(runs, power_losses(runs), "fusion", utility=UTILITY.drop("wiki"))


def test_fusion_takes_a_losss_own_task_where_the_names_match():
    """`prose` is served by web and `programs` by code: without any run each loss ranks its own source first."""
    empty = made_mixtures(4, 0).iloc[:0]
    corners = pd.DataFrame(np.eye(4), list(SOURCES), list(SOURCES))
    utility = UTILITY.set_axis(list(TASKS), axis=1)
    predicted = fit_law(empty, power_losses(empty), "fusion", utility=utility).predict(corners)
    assert predicted["prose"].idxmin() == "web"
    assert predicted["programs"].idxmin() == "code"
