"""UtiliMax against numbers measured with cvxpy/CLARABEL, cvxpy itself, and what must hold of any mixture."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.mixture.portfolio import utilimax
from tasks.mixture.solver.capped_simplex import project
from tasks.mixture.solver.solving import Solution, solve

pytestmark = pytest.mark.filterwarnings("ignore:Solution may be inaccurate")  # the oracle at 1e-13

UTILITY = pd.DataFrame([[0.8, 0.2], [0.3, 0.7], [0.5, 0.5]], index=["a", "b", "c"], columns=["t", "u"])
TOKENS = {"a": 1000, "b": 2000, "c": 1500}


def oracle(utility: np.ndarray, upper: np.ndarray, risk: float) -> tuple[np.ndarray, float]:
    cvxpy = pytest.importorskip("cvxpy", reason="cvxpy is the oracle of the mixture solver")
    w = cvxpy.Variable(len(utility))
    objective = cvxpy.norm(w @ utility - 1, 2) + risk * cvxpy.sum_squares(w)
    problem = cvxpy.Problem(cvxpy.Minimize(objective), [w >= 0, cvxpy.sum(w) == 1, w <= np.minimum(upper, 1)])
    problem.solve(solver=cvxpy.CLARABEL, tol_gap_abs=1e-13, tol_gap_rel=1e-13, tol_feas=1e-13)
    # Its weights leave the bounds by its tolerance: put them back, so that its objective is one of a mixture.
    feasible = project(w.value, upper)
    return feasible, float(np.linalg.norm(1 - feasible @ utility) + risk * feasible @ feasible)


def test_reference_vector() -> None:
    mixture = utilimax(UTILITY, TOKENS, budget=1000, epoch_cap=2)
    assert list(mixture.weights.values()) == pytest.approx([0.3294, 0.3368, 0.3338], abs=5e-5)
    assert mixture.certificate["objective"] == pytest.approx(1.70859, abs=5e-6)
    assert mixture.tokens == {"a": 329, "b": 337, "c": 334}
    assert mixture.epochs == {"a": 0.329, "b": 337 / 2000, "c": 334 / 1500}
    assert mixture.certificate["risk"] == 3


@pytest.mark.parametrize("order", [["c", "a", "b"], ["b", "c", "a"]])
def test_sources_are_matched_by_name_not_by_position(order: list[str]) -> None:
    expected = utilimax(UTILITY, TOKENS, 1000, 2)
    mixture = utilimax(UTILITY.loc[order], {name: TOKENS[name] for name in reversed(order)}, 1000, 2)
    assert mixture.weights == expected.weights
    assert mixture.tokens == expected.tokens


def test_with_the_paper_risk_a_source_hardly_stands_out() -> None:
    # One task, utility x for the first of d and 0 for the rest: 1 - x + d (x^2 + (1-x)^2 / (d-1)) is least at
    # x = (1 + 2d/(d-1)) / (2d + 2d/(d-1)).
    d, others = 15, 30 / 14
    utility = np.eye(d)[:, :1]
    found = solve(utility, np.ones(d), float(d))
    assert found.w[0] == pytest.approx((1 + others) / (30 + others), abs=1e-10)


def random_problem(random_seed: int, d: int, num_tasks: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(random_seed)
    upper = rng.random(d) + 0.1
    return rng.random((d, num_tasks)), upper * 1.5 / upper.sum()


CASES = {
    "one source": (np.array([[0.4, 0.7]]), np.ones(1), 1.0),
    "one task": (*random_problem(1, 6, 1), 6.0),
    "no cap": (random_problem(2, 8, 4)[0], np.ones(8), 8.0),
    "small risk": (*random_problem(3, 10, 5), 1e-4),
    "no risk": (*random_problem(4, 7, 3), 0.0),
    "more tasks than sources": (*random_problem(5, 4, 12), 4.0),
    "ideal attainable": (np.vstack([np.ones((3, 2)), np.zeros((2, 2))]), np.full(5, 0.5), 1.0),
    "nearly ideal, small risk": (np.vstack([np.ones((3, 2)), np.zeros((2, 2))]), np.full(5, 0.5), 1e-3),
    "no utility at all": (np.zeros((5, 3)), np.full(5, 0.3), 5.0),
    "identical sources": (np.tile([0.3, 0.6], (4, 1)), np.array([1.0, 0.2, 0.3, 1.0]), 4.0),
    "caps leave one point": (random_problem(6, 4, 3)[0], np.full(4, 0.25), 4.0),
    "caps nearly leave one point": (random_problem(7, 4, 3)[0], np.full(4, 0.25 * (1 + 1e-6)), 4.0),
    "some without tokens": (random_problem(8, 4, 3)[0], np.array([1.0, 1e-9, 0.0, 0.6]), 4.0),
    "each task its source": (np.eye(6), np.ones(6), 0.1),
}


@pytest.mark.parametrize("case", CASES)
def test_agrees_with_the_oracle(case: str) -> None:
    utility, upper, risk = CASES[case]
    found = solve(utility, upper, risk)
    w, objective = oracle(utility, upper, risk)
    _check(found, objective, upper)
    if risk > 0:
        np.testing.assert_allclose(found.w, w, atol=3e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("d", "num_tasks", "risk"), [(200, 20, 200.0), (200, 20, 0.01), (1000, 10, 1.0), (2000, 30, 2000.0)]
)
def test_agrees_with_the_oracle_on_many_sources(d: int, num_tasks: int, risk: float) -> None:
    utility, upper = random_problem(d, d, num_tasks)
    found = solve(utility, upper, risk)
    _check(found, oracle(utility, upper, risk)[1], upper)


def _check(found: Solution, objective: float, upper: np.ndarray) -> None:
    """The duality gap proves the optimum to 1e-10; the oracle's mixture is never better, nor much worse."""
    assert found.gap <= 1e-10 * found.objective + 1e-12
    assert found.objective <= objective + 1e-9 * max(objective, 1e-3)
    assert found.objective == pytest.approx(objective, rel=1e-7, abs=1e-7)
    assert found.w.sum() == pytest.approx(1, abs=1e-12)
    assert (found.w >= 0).all() and (found.w <= upper + 1e-15).all()


def test_identical_sources_share_alike() -> None:
    found = solve(np.tile([0.3, 0.6], (4, 1)), np.array([1.0, 0.2, 0.3, 1.0]), 4.0)
    np.testing.assert_allclose(found.w, [0.25 + 0.05 / 3, 0.2, 0.25 + 0.05 / 3, 0.25 + 0.05 / 3], atol=1e-9)


@st.composite
def problems(draw: st.DrawFn) -> tuple[np.ndarray, list[int], int, float]:
    d, num_tasks = draw(st.integers(1, 7)), draw(st.integers(1, 4))
    cells = st.floats(0, 1).map(lambda x: round(x, 3))
    utility = np.array([[draw(cells) for _ in range(num_tasks)] for _ in range(d)])
    sizes = [draw(st.integers(1, 10**7)) for _ in range(d)]
    cap = draw(st.sampled_from([0.5, 1.0, 1.7, 4.0]))
    largest = sum(int(cap * size) for size in sizes)
    budget = max(1, int(largest * draw(st.floats(0.001, 1))))
    return utility, sizes, budget, cap


@settings(max_examples=60)
@given(problems(), st.randoms(use_true_random=False))
def test_any_mixture_is_feasible_and_belongs_to_names(problem, random) -> None:
    utility, sizes, budget, cap = problem
    if budget > sum(int(cap * size) for size in sizes):
        budget = sum(int(cap * size) for size in sizes)
    if budget == 0:
        return
    names = [f"source{i}" for i in range(len(sizes))]
    table = pd.DataFrame(utility, index=names, columns=[f"task{j}" for j in range(utility.shape[1])])
    tokens = dict(zip(names, sizes, strict=True))
    mixture = utilimax(table, tokens, budget, cap)
    assert sum(mixture.tokens.values()) == budget
    assert sum(mixture.weights.values()) == pytest.approx(1, abs=1e-12)
    for name, size in tokens.items():
        assert 0 <= mixture.tokens[name] <= int(cap * size)
        assert 0 <= mixture.weights[name] <= cap * size / budget + 1e-12
        assert mixture.epochs[name] == mixture.tokens[name] / size

    renamed = dict(zip(names, random.sample([f"z{i}" for i in range(99)], len(names)), strict=True))
    shuffled = table.rename(index=renamed).loc[random.sample(list(renamed.values()), len(names))]
    other = utilimax(shuffled, {renamed[name]: tokens[name] for name in reversed(names)}, budget, cap)
    for name in names:
        assert other.weights[renamed[name]] == pytest.approx(mixture.weights[name], abs=1e-9)


def test_a_cap_that_does_not_allow_the_budget_names_what_does() -> None:
    with pytest.raises(
        ValueError, match=r"largest feasible budget is 9,000.*smallest epoch_cap.* is 22\.2226"
    ):
        utilimax(UTILITY, TOKENS, 100_000, 2)
    assert sum(utilimax(UTILITY, TOKENS, 9_000, 2).tokens.values()) == 9_000
    assert sum(utilimax(UTILITY, TOKENS, 100_000, 22.2226).tokens.values()) == 100_000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"utility": UTILITY.rename(index={"a": "x"})}, r"missing \['a'\], unknown \['x'\]"),
        ({"utility": UTILITY.drop(index="b")}, r"missing \['b'\]"),
        ({"utility": UTILITY.replace(0.8, 1.2)}, r"'a' for task 't' is 1\.2.*from 0 to 1"),
        ({"utility": UTILITY.replace(0.8, np.nan)}, r"'a' for task 't' is nan"),
        ({"utility": pd.concat([UTILITY, UTILITY.loc[["a"]]])}, r"\['a'\] stand twice"),
        ({"utility": UTILITY[[]]}, "no tasks"),
        ({"tokens": {}}, "empty"),
        ({"tokens": {**TOKENS, "b": 0}}, r"'b': 0.*at least one token"),
        ({"budget": 0}, "budget=0"),
        ({"budget": -5}, "budget=-5"),
        ({"epoch_cap": 0}, "epoch_cap=0"),
        ({"epoch_cap": float("nan")}, "epoch_cap=nan"),
        ({"risk": -1.0}, r"risk=-1\.0"),
    ],
)
def test_bad_input_is_named(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        utilimax(**{"utility": UTILITY, "tokens": TOKENS, "budget": 1000, "epoch_cap": 2} | change)
