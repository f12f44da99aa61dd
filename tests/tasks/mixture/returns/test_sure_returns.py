"""The default mixture: thin evidence stays at UniMax, good evidence moves it, junk gets next to nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tasks.mixture.methods.returns import sure_returns
from tasks.mixture.methods.unimax import unimax
from tasks.mixture.mixture_method import Found, Question
from tasks.mixture.returns.curves import Gains
from tasks.mixture.returns.lower_end import best_lower_end, bolder
from tasks.mixture.returns.run_evidence import curves_of_runs

SOURCES = ["code", "math", "web", "logs"]
TOKENS = {"code": 4000, "math": 1500, "web": 9000, "logs": 2500}
UTILITY = pd.DataFrame(
    [[0.9, 0.3, 0.5], [0.4, 0.9, 0.4], [0.5, 0.4, 0.9], [0.0, 0.0, 0.0]], SOURCES, ["x", "y", "z"]
)
BUDGET = 8000


def errors(value: float) -> pd.DataFrame:
    return 0 * UTILITY + value


def solved(cap: float = 4.0, budget: int = BUDGET, tokens=TOKENS, **known):
    return sure_returns(Question(tokens, budget, **known), cap)


def away(mixture, cap: float = 4.0) -> float:
    """Total variation from UniMax."""
    even = unimax(TOKENS, BUDGET, cap).weights
    return sum(abs(mixture.weights[name] - even[name]) for name in SOURCES) / 2


def true_losses(mixtures: np.ndarray) -> np.ndarray:
    """Losses by the law, b = .7, a = .2, E = 1: what a swarm of runs would show."""
    corners = np.array([[2.6, 3.4, 3.1], [3.2, 2.5, 3.3], [2.9, 3.1, 2.7], [4.6, 4.4, 4.8]])
    return 1 + (mixtures**0.7 @ (corners - 1) ** -5) ** -0.2


def runs(mixtures: np.ndarray, noise: float = 0.0) -> pd.DataFrame:
    losses = true_losses(mixtures) + noise * np.random.default_rng(1).standard_normal((len(mixtures), 3))
    return pd.DataFrame(mixtures, columns=[f"w_{s}" for s in SOURCES]).join(
        pd.DataFrame(losses, columns=["loss_x", "loss_y", "loss_z"])
    )


def test_no_evidence_is_unimax_and_says_so():
    mixture = solved()
    assert mixture.weights == pytest.approx(unimax(TOKENS, BUDGET, 4.0).weights)
    assert mixture.certificate["gain"] is None
    assert "UniMax" in mixture.certificate["says"]


def test_the_worse_the_evidence_the_nearer_to_unimax():
    tokens = {**TOKENS}
    even = UTILITY.assign(x=[0.9, 0.4, 0.5, 0.3])  # nothing is useless
    distances = [
        away(solved(tokens=tokens, utility=even, errors=errors(error))) for error in (0.02, 0.2, 0.45)
    ]
    assert distances[0] > 0.05
    assert distances[0] > distances[1] > distances[2] - 1e-9
    assert distances[2] < 0.02


def test_junk_gets_one_percent_at_most_unless_the_caps_leave_no_choice():
    mixture = solved(utility=UTILITY, errors=errors(0.02))
    assert mixture.certificate["useless"] == ["logs"]
    assert mixture.weights["logs"] <= 0.01
    # 4 x (4000 + 1500 + 9000) = 58,000 tokens without the logs; a budget of 60,000 needs 2,000 of theirs.
    forced = solved(utility=UTILITY, errors=errors(0.02), budget=60_000)
    assert forced.tokens["logs"] == pytest.approx(2000, abs=1)


def test_two_sources_one_of_them_junk():
    table = pd.DataFrame({"t": [0.9, 0.0]}, ["good", "junk"])
    known = pd.DataFrame({"t": [0.10, 0.01]}, ["good", "junk"])
    mixture = sure_returns(Question({"good": 10**9, "junk": 10**9}, 10**9, table, known), 4.0)
    assert mixture.weights["junk"] <= 0.01


@pytest.mark.parametrize("kind", ["utility", "losses", "runs"])
def test_names_decide_and_not_their_order(kind):
    if kind == "utility":
        known, turned = ({"utility": u, "errors": 0 * u + 0.1} for u in (UTILITY, UTILITY.iloc[::-1, ::-1]))
    elif kind == "losses":
        table = pd.DataFrame(true_losses(np.eye(4)), SOURCES, list("xyz"))
        known, turned = ({"found": Found(losses=t)} for t in (table, table.iloc[::-1, ::-1]))
    else:
        table = runs(np.random.default_rng(0).dirichlet(np.ones(4), 12))
        known, turned = ({"found": Found(runs=t)} for t in (table, table.iloc[:, ::-1]))
    first = solved(**known)
    second = solved(tokens=dict(reversed(TOKENS.items())), **turned)
    assert list(first.weights) == sorted(SOURCES)
    assert second.weights == pytest.approx(first.weights, abs=1e-9)


def test_losses_of_single_sources_move_it_to_a_lower_loss():
    table = pd.DataFrame(true_losses(np.eye(4)), SOURCES, list("xyz"))
    mixture = solved(found=Found(losses=table))
    losses = {
        name: float(true_losses(np.array([[weights[s] for s in SOURCES]])).mean())
        for name, weights in {"sure": mixture.weights, "even": unimax(TOKENS, BUDGET, 4.0).weights}.items()
    }
    gain = mixture.certificate["gain"]
    assert losses["sure"] < losses["even"]
    assert gain["low"] <= (losses["even"] - losses["sure"]) / losses["even"] <= gain["high"]
    assert gain["worst_tenth"] > 0


def test_a_swarm_tells_the_curves_and_its_interval_holds_the_gain():
    told = {}
    for number in (8, 40):
        mixtures = np.random.default_rng(5).dirichlet(np.ones(4), number)
        mixture = solved(found=Found(runs=runs(mixtures, noise=0.005)))
        told[number] = float(true_losses(np.array([[mixture.weights[s] for s in SOURCES]])).mean())
    even = unimax(TOKENS, BUDGET, 4.0).weights
    base = float(true_losses(np.array([[even[s] for s in SOURCES]])).mean())
    assert told[40] <= told[8] + 1e-3 < base
    gain = mixture.certificate["gain"]
    assert gain["low"] - 0.005 <= (base - told[40]) / base <= gain["high"] + 0.005


def test_losses_with_their_sign_turned_do_not_count():
    table = runs(np.eye(4))
    table["loss_x"] = -table["loss_x"]
    mixture = solved(utility=UTILITY, errors=errors(0.1), found=Found(runs=table))
    assert "not all above 0" in mixture.certificate["evidence"][0]
    assert mixture.certificate["evidence"][1].startswith("utilities")


def test_what_to_ask_next_names_the_source_nobody_knows():
    uneven = errors(0.01)
    uneven.loc["web"] = 0.4
    mixture = solved(utility=UTILITY.assign(x=[0.9, 0.4, 0.5, 0.3]), errors=uneven)
    assert mixture.certificate["ask_next"][0]["source"] == "web"


@pytest.mark.parametrize(
    ("known", "message"),
    [
        ({"utility": UTILITY.drop(index="web")}, "names do not match"),
        ({"utility": UTILITY + 0.5}, "must be a number from 0 to 1"),
        ({"found": Found(losses=UTILITY.drop(index="web") + 1)}, "names do not match"),
        ({"budget": 10**6}, "cap"),
    ],
)
def test_what_cannot_be_solved_is_refused(known, message):
    with pytest.raises(ValueError, match=message):
        solved(**known)


def test_what_to_ask_next_is_worth_something_beside_a_source_of_no_use():
    uneven = errors(0.01)
    uneven.loc["web"] = 0.4
    mixture = solved(utility=UTILITY, errors=uneven)
    assert mixture.certificate["useless"] == ["logs"]
    first = mixture.certificate["ask_next"][0]
    assert first["source"] == "web"
    assert first["worth"] > 1e-4


def test_runs_that_are_fewer_than_half_of_the_sources_tell_nothing():
    names = [f"s{i}" for i in range(11)]
    mixtures = np.random.default_rng(0).dirichlet(np.ones(11), 5)
    table = pd.DataFrame(mixtures, columns=[f"w_{s}" for s in names]).assign(loss_x=[2.0, 2.1, 2.2, 2.3, 2.4])
    sizes = dict.fromkeys(names, 10_000)
    mixture = sure_returns(Question(sizes, 20_000, found=Found(runs=table)), 4.0)
    assert mixture.weights == pytest.approx(unimax(sizes, 20_000, 4.0).weights)
    assert "5 runs are fewer than half of the 11 sources" in mixture.certificate["evidence"][0]


def test_measured_losses_buy_the_mean_with_at_most_half_of_what_is_sure():
    mixtures = np.random.default_rng(5).dirichlet(np.ones(4), 12)
    table = runs(mixtures, noise=0.02)
    curves = curves_of_runs(mixtures, table[["loss_x", "loss_y", "loss_z"]].to_numpy(float))
    gains, upper = Gains(curves, np.full(4, 0.25)), np.ones(4)
    surest = best_lower_end(gains, np.full(4, 0.25), upper)
    bold = bolder(gains, surest, upper)
    assert bold.share > surest.share
    assert bold.gains.mean() > surest.gains.mean()
    assert 0.5 * surest.worst_tenth <= bold.worst_tenth <= surest.worst_tenth + 1e-6
    # one more step to a larger share and less than half would be sure, or the mean itself is reached
    further = best_lower_end(gains, bold.w, upper, min(1.0, bold.share * 1.2))
    assert bold.share == 1 or further.worst_tenth < 0.5 * surest.worst_tenth


def test_of_utilities_alone_the_worst_tenth_decides():
    assert solved(utility=UTILITY, errors=errors(0.1)).certificate["worst_share"] == 0.1
    table = pd.DataFrame(true_losses(np.eye(4)), SOURCES, list("xyz"))
    assert solved(found=Found(losses=table)).certificate["worst_share"] > 0.1


def test_what_runs_show_to_be_of_no_use_is_useful_in_no_draw():
    random, even = np.random.default_rng(2), np.full(8, 1 / 8)
    corners = np.full((8, 2), 5.0)
    corners[:2] = [[2.5, 3.2], [3.2, 2.5]]

    def mean_loss(mixtures: np.ndarray) -> np.ndarray:
        return 1 + (mixtures**0.7 @ (corners - 1) ** -5) ** -0.2

    mixtures = random.dirichlet(np.ones(8), 20)
    curves = curves_of_runs(mixtures, mean_loss(mixtures) + 0.02 * random.standard_normal((20, 2)))
    assert (curves.usefulness[:, 2:] > 0.3).mean() < 0.001
    found = best_lower_end(Gains(curves, even), even, np.ones(8))
    best = np.array([0.5, 0.5, *np.zeros(6)])
    gained, whole = (mean_loss(even).mean() - mean_loss(w).mean() for w in (found.w, best))
    assert gained > 0.98 * whole
