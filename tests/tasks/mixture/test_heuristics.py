"""Baselines, whole-token plans and what a mixture keeps, with numbers worked by hand."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.mixture.methods import mixture_settings
from tasks.mixture.methods.manual import manual
from tasks.mixture.methods.olmo import olmo, passes_by_name
from tasks.mixture.methods.proportional import proportional
from tasks.mixture.methods.uniform import uniform
from tasks.mixture.methods.unimax import unimax
from tasks.mixture.mixture import Mixture
from tasks.mixture.solver.capped_simplex import fill, project
from tasks.training.token_plans import whole_tokens


def test_unimax_visits_the_small_source_first() -> None:
    mixture = unimax({"big": 1000, "small": 100}, 1500, 2)
    assert mixture.tokens == {"big": 1300, "small": 200}
    assert mixture.epochs["small"] == 2.0
    assert mixture.certificate["binding"] == ["small"]


def test_uniform_and_proportional() -> None:
    tokens = {"a": 100, "b": 300, "c": 600}
    assert uniform(tokens, 300).tokens == {"a": 100, "b": 100, "c": 100}
    assert proportional(tokens, 500).tokens == {"a": 50, "b": 150, "c": 300}
    # The cap takes 100 from a, and b and c share it alike.
    assert uniform(tokens, 600, epoch_cap=1).tokens == {"a": 100, "b": 250, "c": 250}
    assert uniform(tokens, 600, 1).weights == pytest.approx(unimax(tokens, 600, 1).weights)


def test_olmo_samples_crawls_down_and_encyclopedias_up() -> None:
    tokens = {"common-crawl": 800, "wiki": 100, "code": 400}
    mixture = olmo(tokens, 500)
    # 400 : 200 : 400 tokens in one pass of the mix.
    assert mixture.tokens == {"common-crawl": 200, "wiki": 100, "code": 200}
    assert mixture.certificate["passes"] == {"code": 1.0, "common-crawl": 0.5, "wiki": 2.0}
    assert mixture.certificate["passes_by_name"] == ["code", "common-crawl", "wiki"]
    given = olmo(tokens, 500, passes={"common-crawl": 0.25})
    assert given.weights == pytest.approx({"common-crawl": 0.25, "wiki": 0.25, "code": 0.5})
    assert given.certificate["passes_by_name"] == ["code", "wiki"]
    # The cap takes 40 from wiki, and the others share it alike.
    assert olmo(tokens, 500, 0.6).tokens == {"common-crawl": 220, "wiki": 60, "code": 220}


@pytest.mark.parametrize(
    ("passes", "names"),
    [
        (0.5, ["web", "c4", "C4-en", "cc_2023", "dclm.web", "CommonCrawl"]),
        (2.0, ["wiki", "Wikipedia-en", "wikibooks", "encyclopedia", "web-wiki"]),
        (1.0, ["openwebmath", "refinedweb", "accent", "code", "megawika", "noise"]),
    ],
)
def test_passes_follow_from_whole_words_of_a_name(passes: float, names: list[str]) -> None:
    assert {name: passes_by_name(name) for name in names} == dict.fromkeys(names, passes)


def test_olmo_refuses_passes_that_make_no_sense() -> None:
    with pytest.raises(ValueError, match=r"passes: .*unknown \['b'\]"):
        olmo({"a": 100}, 50, passes={"b": 1.0})
    with pytest.raises(ValueError, match="finite and above 0"):
        olmo({"a": 100}, 50, passes={"a": 0.0})


def test_largest_remainder_sums_exactly_and_prefers_names_in_order() -> None:
    assert uniform({"a": 9, "b": 9, "c": 9}, 10).tokens == {"a": 4, "b": 3, "c": 3}
    # .55 and .45 of 9: 4.95 and 4.05.
    assert manual({"a": 0.55, "b": 0.45}, {"a": 9, "b": 9}, 9).tokens == {"a": 5, "b": 4}


@given(
    st.lists(st.integers(0, 10**6), min_size=1, max_size=12).filter(any),
    st.integers(1, 10**12),
    st.floats(1, 3),
)
def test_plans_never_pass_the_limit(parts: list[int], budget: int, slack: float) -> None:
    weights = {f"s{i:02}": part / sum(parts) for i, part in enumerate(parts)}
    limit = {name: min(int(np.ceil(weight * budget * slack)), budget) for name, weight in weights.items()}
    limit["s00"] = max(limit["s00"], budget - sum(limit.values()) + limit["s00"])
    plan = whole_tokens(weights, budget, limit)
    assert sum(plan.values()) == budget
    assert all(0 <= plan[name] <= limit[name] for name in plan)
    assert all(abs(plan[name] - weights[name] * budget) < len(plan) + budget * 1e-12 for name in plan)


def test_manual_needs_every_source_and_is_never_moved() -> None:
    tokens = {"a": 100, "b": 1000}
    with pytest.raises(ValueError, match=r"missing \['b'\], unknown \['x'\]"):
        manual({"a": 1, "x": 1}, tokens, 100)
    with pytest.raises(ValueError, match=r"weight 0\.75 of 'a' is 300 of 400.*leaves 200.*at most 0\.5"):
        manual({"a": 3, "b": 1}, tokens, 400, epoch_cap=2)


@pytest.mark.parametrize("method", [uniform, proportional, unimax, olmo])
def test_infeasible_budgets_are_refused(method) -> None:
    with pytest.raises(ValueError, match="largest feasible budget is 220"):
        method({"a": 10, "b": 100}, 221, 2)
    assert sum(method({"a": 10, "b": 100}, 220, 2).tokens.values()) == 220


def test_projection_and_filling_by_hand() -> None:
    np.testing.assert_allclose(project(np.array([3.0, 1.0, 0.0]), np.array([0.5, 1, 1])), [0.5, 0.5, 0])
    np.testing.assert_allclose(project(np.array([0.4, 0.1]), np.ones(2)), [0.65, 0.35])
    np.testing.assert_allclose(
        fill(np.array([0.6, 0.3, 0.1]), np.array([0.4, 1, 1])), [0.4, 0.45, 0.15], atol=1e-15
    )
    # All that has a weight is full: the rest goes to the others in proportion to their bounds.
    np.testing.assert_allclose(fill(np.array([1.0, 0, 0]), np.array([0.4, 0.5, 1])), [0.4, 0.2, 0.4])


def test_a_mixture_comes_back_from_json() -> None:
    mixture = unimax({"big": 1000, "small": 100}, 1500, 2)
    assert Mixture.from_json(json.loads(json.dumps(mixture.to_json()))) == mixture
    facts = mixture.to_facts("seed")
    assert facts["name"] == "seed"
    assert facts["sources"]["small"] == {"weight": pytest.approx(2 / 15), "tokens": 200, "epochs": 2.0}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "manual"}, "needs a weight for every source"),
        ({"manual": {"a": 1.0}}, "has no effect with method 'returns'; allowed: with 'manual'"),
        ({"method": "manual", "manual": {"a": -1.0}}, "at least 0"),
        ({"epoch_cap": 0}, "epoch_cap"),
        ({"colour": 1}, "colour"),
    ],
)
def test_settings_refuse_what_makes_no_sense(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mixture_settings(**settings)


def test_naming_the_stage_imports_no_numerical_library() -> None:
    code = (
        "import sys, tasks.mixture, tasks.mixture.settings; "
        "print([m for m in ('numpy', 'pandas', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
