"""What a UtiliMax mixture says beside its weights: optimality, prices, errors, soft epochs, the path."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

from tasks.mixture.path import mixture_path
from tasks.mixture.portfolio import utilimax
from tasks.mixture.solver.optimality import optimality
from tasks.mixture.solver.problem import Problem
from tasks.mixture.solver.soft_epochs import Repetition
from tasks.mixture.solver.solving import solve

UTILITY = pd.DataFrame([[0.9, 0.1], [0.3, 0.7], [0.2, 0.2]], index=["a", "b", "c"], columns=["t", "u"])
TOKENS = {"a": 10_000_000, "b": 20_000_000, "c": 900_000_000}


def scarce(**change):
    """At this budget `a` and `b` stand at their caps."""
    return utilimax(
        UTILITY,
        TOKENS | change.pop("tokens", {}),
        **{"budget": 200_000_000, "epoch_cap": 2.0, "risk": 0.2} | change,
    )


def test_a_shadow_price_is_what_a_billion_more_tokens_would_be_worth():
    mixture = scarce()
    prices, objective = mixture.certificate.shadow_prices, mixture.certificate.objective
    assert mixture.certificate.binding == ["a", "b"]
    assert prices["c"] == 0 < min(prices["a"], prices["b"])
    for name in ("a", "b"):
        more = scarce(tokens={name: TOKENS[name] + 1000})
        fall = (objective - more.certificate.objective) / 1000 * 1e9
        assert prices[name] == pytest.approx(fall, rel=1e-3)


def test_marginal_utility_and_risk_balance_in_every_source_inside_its_bounds():
    # Two sources, one task, no binding cap: u_i - 2 risk w_i is the same for both, with v = 1.
    table = pd.DataFrame({"t": [0.8, 0.4]}, index=["a", "b"])
    mixture = utilimax(table, {"a": 100, "b": 100}, 10, risk=2.0)
    gains = {name: by_task["t"] for name, by_task in mixture.certificate.marginal_utility.items()}
    assert gains == pytest.approx({"a": 0.8, "b": 0.4})
    # 0.8 - 4 a = 0.4 - 4 (1 - a): a = .55.
    assert mixture.weights["a"] == pytest.approx(0.55, abs=1e-10)
    assert mixture.certificate.kkt_residual < 1e-12


def test_the_kkt_residual_sees_a_mixture_that_is_not_optimal():
    values, upper = UTILITY.to_numpy(), np.array([0.5, 0.6, 1.0])
    found = solve(values, upper, 0.3)
    problem = Problem.of(values, upper, 0.3)
    assert optimality(problem, found.w, found.v).residual < 1e-10
    moved = found.w + np.array([-0.01, 0.01, 0.0])
    assert optimality(problem, moved, found.v).residual > 1e-3


def test_a_certificate_without_a_fact_names_those_it_has():
    with pytest.raises(AttributeError, match=r"no 'shadow'; it has .*kkt_residual"):
        _ = scarce().certificate.shadow


def errors(*cells: float) -> pd.DataFrame:
    return pd.DataFrame([[cell] * 2 for cell in cells], index=UTILITY.index, columns=UTILITY.columns)


def test_the_robust_risk_by_hand():
    # Alike in utility; variances .04, .01, .01 have the mean .02: R = 1 + kappa * (2, .5, .5) = 3, 1.5, 1.5.
    # Weights go as 1 / R: 1/3, 2/3, 2/3 over 5/3.
    alike = UTILITY.copy()
    alike.loc[:] = 0.5
    mixture = utilimax(alike, TOKENS, 1000, errors=errors(0.2, 0.1, 0.1))
    assert list(mixture.weights.values()) == pytest.approx([0.2, 0.4, 0.4], abs=1e-12)
    heavier = utilimax(alike, TOKENS, 1000, errors=errors(0.2, 0.1, 0.1), kappa=4.0)
    assert list(heavier.weights.values()) == pytest.approx([1 / 9 / (1 / 9 + 2 / 3), 3 / 7, 3 / 7], abs=1e-12)


def test_errors_alike_and_no_errors_give_the_papers_mixture():
    plain = utilimax(UTILITY, TOKENS, 1000, risk=1.0)
    assert utilimax(UTILITY, TOKENS, 1000, risk=1.0, errors=errors(0, 0, 0)).weights == plain.weights
    assert (
        utilimax(UTILITY, TOKENS, 1000, risk=1.0, errors=errors(0.3, 0.1, 0), kappa=0).weights
        == plain.weights
    )
    # Alike, R = (1 + kappa) I: the paper's with twice the risk.
    twice = utilimax(UTILITY, TOKENS, 1000, risk=2.0)
    same = utilimax(UTILITY, TOKENS, 1000, risk=1.0, errors=errors(0.1, 0.1, 0.1))
    assert list(same.weights.values()) == pytest.approx(list(twice.weights.values()), abs=1e-12)


def test_intervals_of_the_weights_match_the_delta_method_for_small_errors():
    # 0.8 and 0.4 as above: a = .5 + (u_a - u_b) / 8, so its deviation is sqrt(2) s / 8 for errors s.
    table = pd.DataFrame({"t": [0.8, 0.4]}, index=["a", "b"])
    spread = pd.DataFrame({"t": [0.01, 0.01]}, index=["a", "b"])
    mixture = utilimax(table, {"a": 100, "b": 100}, 10, risk=2.0, errors=spread, kappa=0.0, bootstraps=4000)
    low, high = mixture.certificate.weight_intervals["a"]
    half = 1.96 * math.sqrt(2) * 0.01 / 8
    assert (low, high) == (pytest.approx(0.55 - half, abs=2e-4), pytest.approx(0.55 + half, abs=2e-4))
    exact = utilimax(table, {"a": 100, "b": 100}, 10, errors=0 * spread, bootstraps=3)
    assert exact.certificate.weight_intervals["a"] == [exact.weights["a"]] * 2


def test_what_does_not_go_together_is_refused():
    with pytest.raises(ValueError, match="bootstraps=5: intervals need the standard errors"):
        utilimax(UTILITY, TOKENS, 1000, bootstraps=5)
    with pytest.raises(ValueError, match="kappa=-1"):
        utilimax(UTILITY, TOKENS, 1000, errors=errors(0.1, 0.1, 0.1), kappa=-1)
    with pytest.raises(ValueError, match=r"soft_epochs=True with risk=0"):
        utilimax(UTILITY, TOKENS, 1000, risk=0.0, soft_epochs=True)
    with pytest.raises(ValueError, match=r"errors of the utility: .*missing \['c'\]"):
        utilimax(UTILITY, TOKENS, 1000, errors=errors(0.1, 0.1, 0.1).drop(index="c"))


def test_repetition_is_worth_what_the_paper_says():
    # D' = U + U R* (1 - exp(-R / R*)) with R = 3 repeats of U = .1 at R* = 15.39.
    worth = Repetition(np.array([0.1]))
    assert worth.value(np.array([0.4]))[0] == pytest.approx(0.1 + 0.1 * 15.39 * (1 - math.exp(-3 / 15.39)))
    assert worth.value(np.array([0.07]))[0] == pytest.approx(0.07)
    w, step = np.array([0.35]), 1e-6
    slope = (worth.value(w + step) - worth.value(w - step)) / (2 * step)
    assert worth.slope(w)[0] == pytest.approx(slope[0], rel=1e-6)
    bend = -(worth.slope(w + step) - worth.slope(w - step)) / (2 * step)
    assert worth.bend(w)[0] == pytest.approx(bend[0], rel=1e-6)


@pytest.mark.parametrize("budget", [1000, 4_000, 20_000, 500_000])
def test_soft_epochs_agree_with_a_general_optimiser(budget):
    tokens = {"a": 1000, "b": 2000, "c": 1500}
    mixture = utilimax(UTILITY, tokens, budget, risk=0.4, soft_epochs=True)
    worth = Repetition(np.array([1000, 2000, 1500]) / budget)

    def objective(w):
        return float(np.linalg.norm(1 - worth.value(w) @ UTILITY.to_numpy()) + 0.4 * w @ w)

    found = minimize(
        objective,
        np.full(3, 1 / 3),
        bounds=[(0, 1)] * 3,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        options={"ftol": 1e-15, "maxiter": 1000},
    )
    assert mixture.certificate.objective <= found.fun + 1e-12
    assert list(mixture.weights.values()) == pytest.approx(found.x.tolist(), abs=1e-5)
    assert mixture.certificate.gap <= 1e-10 * mixture.certificate.objective
    assert mixture.certificate.kkt_residual < 1e-8
    assert sum(mixture.tokens.values()) == budget


def test_without_scarcity_soft_epochs_and_caps_change_nothing():
    plain = utilimax(UTILITY, TOKENS, 1000, risk=0.4)
    soft = utilimax(UTILITY, TOKENS, 1000, risk=0.4, soft_epochs=True)
    assert list(soft.weights.values()) == pytest.approx(list(plain.weights.values()), abs=1e-9)


def test_the_path_holds_every_budget_under_every_cap_and_says_which_cannot_be():
    points = mixture_path(UTILITY, TOKENS, [10**6, 2 * 10**8, 2 * 10**9], [2.0, 8.0], risk=0.2)
    assert [(p.epoch_cap, p.budget) for p in points] == [
        (cap, budget) for cap in (2.0, 8.0) for budget in (10**6, 2 * 10**8, 2 * 10**9)
    ]
    assert points[0].mixture.weights == utilimax(UTILITY, TOKENS, 10**6, 2.0, risk=0.2).weights
    assert points[2].mixture is None
    assert "at most 1,860,000,000 tokens" in points[2].row()["infeasible"]
    assert points[5].row()["binding"] == ["a", "b"]


@pytest.mark.parametrize("risk", [1000.0, 1.0, 0.01])
def test_newton_on_the_dual_closes_the_gap_without_the_interior_point_method(risk, monkeypatch):
    generator = np.random.default_rng(7)
    utility = generator.random((1000, 50))
    upper = np.minimum(generator.lognormal(size=1000) * 4 / 1000, 1)
    monkeypatch.setattr("tasks.mixture.solver.solving.newton_step", None)  # calling it would fail
    found = solve(utility, upper, risk)
    assert found.gap <= 1e-12 * found.objective


def test_both_methods_agree_where_an_ideal_mixture_is_within_reach():
    # Source 0 serves both tasks wholly: any weight on it lowers the norm; at a small risk it takes its bound.
    utility = np.array([[1.0, 1.0], [0.0, 0.2], [0.4, 0.0]])
    found = solve(utility, np.array([1.0, 1.0, 1.0]), 1e-3)
    # All on the first: norm 0, risk 1e-3; leaving it by e costs at least 0.6 e of norm and gains 2e-3 e of risk.
    np.testing.assert_allclose(found.w, [1, 0, 0], atol=1e-12)
    assert found.objective == pytest.approx(1e-3, rel=1e-9)


def test_a_risk_of_its_own_for_each_source_and_another_target_agree_with_the_oracle():
    cvxpy = pytest.importorskip("cvxpy", reason="cvxpy is the oracle of the mixture solver")
    generator = np.random.default_rng(3)
    utility, upper = generator.random((12, 5)), np.minimum(generator.random(12), 1)
    risk, linear = generator.random(12) + 0.05, generator.normal(size=12) * 0.1
    target = generator.random(5)
    found = solve(utility, upper, risk, target, linear)
    w = cvxpy.Variable(12)
    objective = cvxpy.norm(target - w @ utility, 2) + risk @ cvxpy.square(w) - linear @ w
    problem = cvxpy.Problem(cvxpy.Minimize(objective), [w >= 0, w <= upper, cvxpy.sum(w) == 1])
    problem.solve(solver=cvxpy.CLARABEL)
    assert found.objective == pytest.approx(problem.value, abs=1e-7)
    np.testing.assert_allclose(found.w, w.value, atol=1e-4)
