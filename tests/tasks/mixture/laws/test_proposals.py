"""Proposals keep the cap in whole tokens, reach the optimum, and stay near the runs and the prior."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest

from tasks.mixture.laws.fitted_law import fit_law
from tasks.mixture.laws.proposing import bounded_by_runs
from tests.tasks.mixture.laws.made_runs import (
    SOURCES,
    linear_losses,
    log_linear_losses,
    made_mixtures,
    power_losses,
)

TOKENS = {"web": 1000, "code": 300, "books": 250, "wiki": 107}
LAWS = ("ridge", "log-linear", "power", "diminishing", "lightgbm", "gp", "diminishing+gp")


@pytest.fixture(scope="module")
def laws():
    runs = made_mixtures(60, 0)
    return {law: fit_law(runs, power_losses(runs), law) for law in LAWS}


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize(("budget", "cap"), [(1000, 1.7), (1657, 1.0), (500, math.inf), (3313, 2.0)])
def test_the_cap_holds_in_whole_tokens(laws, law, budget, cap):
    mixture = laws[law].propose(budget, TOKENS, cap)
    assert sum(mixture.tokens.values()) == budget
    assert all(count <= cap * TOKENS[name] for name, count in mixture.tokens.items())
    assert sum(mixture.weights.values()) == pytest.approx(1, abs=1e-12)
    assert mixture.certificate["method"] == f"law:{law}"


@pytest.mark.parametrize("law", ["ridge", "log-linear", "power", "diminishing", "gp", "diminishing+gp"])
def test_nothing_on_a_fine_grid_is_better(laws, law):
    """All mixtures in steps of 1/40 under the cap."""
    mixture = laws[law].propose(1000, TOKENS, 1.5, pull=0.0, within_runs=False)
    upper = [math.floor(1.5 * TOKENS[name]) / 1000 for name in SOURCES]
    grid = [(*parts, 40 - sum(parts)) for parts in itertools.product(range(41), repeat=3) if sum(parts) <= 40]
    mixtures = pd.DataFrame(np.array(grid) / 40, columns=list(SOURCES))
    allowed = mixtures[(mixtures <= np.array(upper) + 1e-12).all(axis=1)]
    best = laws[law].predict(allowed).mean(axis=1).min()
    assert mixture.certificate["predicted"]["mean"] <= best + 1e-9


def test_a_linear_law_fills_the_best_sources_up_to_their_caps():
    """Mean losses of the corners: web 3.5, code 2.75, books 3.7, wiki 3.25; so code, then wiki, then web."""
    runs = made_mixtures(60, 0)
    mixture = fit_law(runs, linear_losses(runs), "ridge").propose(
        1000, TOKENS, 2.0, pull=0.0, within_runs=False
    )
    assert mixture.tokens == {"books": 0, "code": 600, "web": 186, "wiki": 214}


def test_loss_weights_say_what_counts(laws):
    prose = laws["power"].propose(
        1000, TOKENS, math.inf, pull=0, within_runs=False, loss_weights={"prose": 1, "programs": 0}
    )
    programs = laws["power"].propose(
        1000, TOKENS, math.inf, pull=0, within_runs=False, loss_weights={"prose": 0, "programs": 1}
    )
    assert prose.weights["web"] > 0.9 > 0.1 > programs.weights["web"]
    assert programs.weights["code"] > 0.9
    with pytest.raises(ValueError, match=r"loss_weights: .*missing \['programs'\]"):
        laws["power"].propose(1000, TOKENS, loss_weights={"prose": 1})


def test_a_strong_pull_gives_the_prior(laws):
    prior = {"web": 0.4, "code": 0.3, "books": 0.2, "wiki": 0.1}
    mixture = laws["power"].propose(1000, TOKENS, math.inf, pull=1e5, prior=prior, within_runs=False)
    assert mixture.weights == pytest.approx(prior, abs=1e-3)


def test_the_pull_has_its_closed_form_for_a_linear_law():
    """min a'w / s + pull * KL(w || prior) is at w ~ prior * exp(-a / (s * pull)); s: spread of the runs' mean loss."""
    runs = made_mixtures(200, 0)
    losses = linear_losses(runs)
    law = fit_law(runs, losses, "ridge")
    mean = law.predict(runs).mean(axis=1)
    scale = (mean.quantile(0.75) - mean.quantile(0.25)) / 1.349
    corners = law.predict(pd.DataFrame(np.eye(4), columns=list(SOURCES))).mean(axis=1).to_numpy()
    wanted = np.exp(-corners / scale / 2.0)
    mixture = law.propose(1000, TOKENS, math.inf, pull=2.0, prior="uniform", within_runs=False)
    assert [mixture.weights[name] for name in SOURCES] == pytest.approx(wanted / wanted.sum(), abs=2e-4)


def test_a_source_that_no_run_had_gets_nothing_while_the_others_can_carry_the_budget():
    runs = made_mixtures(40, 0)
    law = fit_law(runs.assign(never=0.0), log_linear_losses(runs), "diminishing")
    tokens = {**TOKENS, "never": 10_000}
    mixture = law.propose(1000, tokens, 4.0, prior="uniform")
    assert mixture.tokens["never"] == 0
    assert mixture.certificate["bounds_widened"] == 1
    forced = law.propose(8000, tokens, 4.0, prior="uniform")
    assert forced.tokens["never"] == 8000 - 4 * sum(TOKENS.values())
    assert "never" in forced.certificate["beyond_runs"]


def test_bounds_by_the_runs_widen_as_little_as_it_takes():
    upper, factor = bounded_by_runs(np.array([1.0, 0.3]), np.array([0.4, 0.4]))
    # 0.4 x factor + 0.3 = 1
    assert factor == pytest.approx(1.75)
    assert upper == pytest.approx([0.7, 0.3])
    upper, factor = bounded_by_runs(np.array([0.5, 0.4, 0.4]), np.array([0.6, 0.0, 0.0]))
    assert factor == math.inf
    assert upper == pytest.approx([0.5, 0.25, 0.25])


@pytest.mark.parametrize("law", ["diminishing", "lightgbm"])
def test_a_proposal_is_the_same_again_and_under_other_names(law):
    runs = made_mixtures(60, 0)
    losses = power_losses(runs)
    renamed = {"web": "a", "code": "z", "books": "c", "wiki": "b"}
    first = fit_law(runs, losses, law).propose(1000, TOKENS, 1.7)
    again = fit_law(runs, losses, law).propose(1000, TOKENS, 1.7)
    other = fit_law(runs.rename(columns=renamed)[["b", "c", "z", "a"]], losses, law).propose(
        1000, {renamed[name]: count for name, count in TOKENS.items()}, 1.7
    )
    assert again.tokens == first.tokens
    assert {name: other.weights[renamed[name]] for name in TOKENS} == pytest.approx(first.weights, abs=1e-9)


def test_what_a_user_can_get_wrong_is_said(laws):
    with pytest.raises(ValueError, match="largest feasible budget is 1,657"):
        laws["power"].propose(2000, TOKENS, 1.0)
    with pytest.raises(ValueError, match=r"tokens: .*missing \['wiki'\]"):
        laws["power"].propose(100, {"web": 10, "code": 10, "books": 1000}, 1.0)
    with pytest.raises(ValueError, match=r"pull=-1"):
        laws["power"].propose(100, TOKENS, pull=-1)
    with pytest.raises(ValueError, match=r"prior='natural': must be proportional, uniform"):
        laws["power"].propose(100, TOKENS, prior="natural")
