"""Seed, expert and stitch mixtures of one experiment: specialisation, junk, lineage caps."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tasks.mixture.experts import auto_experts
from tasks.mixture.methods import mixture_settings
from tasks.mixture.plans import expert_plan, seed_plan, stitch_plan

UTILITY = pd.DataFrame(
    [[0.8, 0.3, 0.2], [0.3, 0.8, 0.25], [0.2, 0.25, 0.8], [0.03, 0.03, 0.03]],
    index=["code", "docs", "math", "noise"],
    columns=["code-task", "docs-task", "math-task"],
)
ERRORS = UTILITY * 0 + 0.01
TOKENS = dict.fromkeys(UTILITY.index, 1_000_000)
SETTINGS = mixture_settings(method="utilimax")
OWN = {"code-task": "code", "docs-task": "docs", "math-task": "math"}


def experts(errors: pd.DataFrame = ERRORS, tokens: dict[str, int] = TOKENS, budget: int = 400_000):
    seed = seed_plan(UTILITY, tokens, 800_000, SETTINGS)
    return seed, {
        task: expert_plan(UTILITY, errors, [task], seed, tokens, budget, SETTINGS, seed.tokens)
        for task in OWN
    }


def test_experts_specialise_and_keep_junk_out() -> None:
    _, plans = experts()
    for task, plan in plans.items():
        assert plan.weights[OWN[task]] >= 0.6
        assert plan.weights["noise"] <= 0.02
        assert plan.certificate["admitted"] == [OWN[task]]
        assert sum(plan.tokens.values()) == 400_000


def test_relative_utility_and_its_error_are_certified() -> None:
    _, plans = experts()
    facts = plans["code-task"].certificate
    assert facts["relative_utility"]["code"] == pytest.approx(0.8 - (0.3 + 0.2) / 2)
    # One own cell and the mean of two others: .01 * sqrt(1 + 2/4).
    assert facts["relative_utility_errors"]["code"] == pytest.approx(0.01 * np.sqrt(1.5))
    assert facts["own_tasks"] == ["code-task"]


def test_junk_with_a_trace_of_relative_utility_is_not_admitted_without_errors() -> None:
    utility = UTILITY.copy()
    utility.loc["noise", "code-task"] = 0.032
    seed = seed_plan(utility, TOKENS, 800_000, SETTINGS)
    plan = expert_plan(utility, ERRORS * 0, ["code-task"], seed, TOKENS, 400_000, SETTINGS, seed.tokens)
    assert plan.certificate["admitted"] == ["code"]


def test_an_expert_reaches_the_wanted_number_of_sources() -> None:
    utility = UTILITY.copy()
    utility.loc["docs", "code-task"] = 0.85
    seed = seed_plan(utility, TOKENS, 800_000, SETTINGS)
    plan = expert_plan(utility, ERRORS, ["code-task"], seed, TOKENS, 400_000, SETTINGS, seed.tokens)
    assert plan.certificate["admitted"] == ["code", "docs"]
    assert plan.certificate["effective_sources_solved"] == pytest.approx(1.5, abs=1e-6)
    # Two sources with 1 / (x^2 + (1-x)^2) = 1.5: x = (1 + sqrt(1/3)) / 2.
    before = plan.certificate["before_replay"]["code"]
    assert before == pytest.approx((1 + np.sqrt(1 / 3)) / 2, abs=1e-6)
    assert plan.weights["code"] == pytest.approx(0.9 * before + 0.1 * seed.weights["code"], abs=1e-9)


def test_a_source_that_serves_one_of_several_own_tasks_is_admitted() -> None:
    # On average over both tasks math is of no more use than elsewhere, but one of them needs it.
    utility = pd.DataFrame(
        [[0.7, 0.2, 0.5], [0.1, 0.9, 0.1], [0.05, 0.05, 0.05]],
        index=["math", "tatoeba", "noise"],
        columns=["gsm8k", "xcopa", "boolq"],
    )
    tokens = dict.fromkeys(utility.index, 1_000_000)
    seed = seed_plan(utility, tokens, 1000, SETTINGS)
    plan = expert_plan(utility, utility * 0 + 0.01, ["gsm8k", "xcopa"], seed, tokens, 1000, SETTINGS, {})
    assert plan.certificate["admitted"] == ["math", "tatoeba"]


def test_where_nothing_is_admitted_the_best_source_is() -> None:
    _, plans = experts(errors=ERRORS * 100)
    assert plans["math-task"].certificate["admitted"] == ["math"]


def test_an_expert_of_all_tasks_uses_the_utility_itself() -> None:
    seed, _ = experts()
    plan = expert_plan(UTILITY, ERRORS, list(OWN), seed, TOKENS, 400_000, SETTINGS, seed.tokens)
    assert plan.certificate["relative_utility"]["code"] == pytest.approx(UTILITY.loc["code"].mean())


def test_further_sources_are_admitted_until_they_hold_the_budget() -> None:
    seed, _ = experts()
    tokens = TOKENS | {"code": 120_000}
    used = {"code": 0.0}
    plan = expert_plan(UTILITY, ERRORS, ["code-task"], seed, tokens, 600_000, SETTINGS, used)
    # 4 epochs of code are 480,000 of 600,000; docs is next in utility for the task.
    assert plan.certificate["admitted_for_capacity"] == ["docs"]
    assert plan.tokens["code"] <= 480_000
    assert plan.weights["code"] > 0.7


def test_epochs_count_along_the_lineage() -> None:
    tokens = {"code": 200_000, "docs": 250_000, "math": 150_000, "noise": 400_000}
    seed, plans = experts(tokens=tokens)
    used = {name: seed.tokens[name] + max(p.tokens[name] for p in plans.values()) for name in tokens}
    stitch = stitch_plan(UTILITY, tokens, 300_000, SETTINGS, used)
    assert sum(stitch.tokens.values()) == 300_000
    for name, size in tokens.items():
        for plan in plans.values():
            assert plan.certificate["lineage_epochs"][name] == (seed.tokens[name] + plan.tokens[name]) / size
            assert seed.tokens[name] + plan.tokens[name] <= 4 * size
        assert used[name] + stitch.tokens[name] <= 4 * size
        assert stitch.epochs[name] == stitch.tokens[name] / size


def test_replay_passes_no_cap() -> None:
    seed = seed_plan(UTILITY, TOKENS, 800_000, SETTINGS)
    used = {"noise": 3_999_000}
    plan = expert_plan(UTILITY, ERRORS, ["code-task"], seed, TOKENS, 400_000, SETTINGS, used)
    assert plan.certificate["capped_in_replay"] == ["noise"]
    assert plan.tokens["noise"] == 1_000
    assert sum(plan.tokens.values()) == 400_000


def test_the_stitch_mixture_has_the_wanted_number_of_sources_or_the_nearest() -> None:
    stitch = stitch_plan(UTILITY, TOKENS, 200_000, SETTINGS, {})
    low, _ = stitch.certificate["effective_sources_attainable"]
    # The three domains are needed alike, so no mixture near the optimum has fewer sources than this.
    assert stitch.certificate["effective_sources"] == pytest.approx(max(low, 2.7), abs=1e-6)
    assert stitch.weights["noise"] <= 0.01 and stitch.certificate["useless"] == ["noise"]
    for wanted, reached in ((3.03, 3.03), (3.5, None)):  # of three sources and a hundredth of what is useless
        wider = stitch_plan(UTILITY, TOKENS, 200_000, mixture_settings(stitch_effective_sources=wanted), {})
        most = wider.certificate["effective_sources_attainable"][1]
        assert wider.certificate["effective_sources"] == pytest.approx(reached or most, abs=1e-6)
        assert wider.weights["noise"] <= 0.01 + 1e-9
    assert most == pytest.approx(1 / (3 * 0.33**2 + 0.01**2), abs=1e-3)


def test_stitches_see_every_experts_text_however_many_benchmarks_ask_for_it() -> None:
    copies = pd.concat([UTILITY, *(UTILITY[["code-task"]].add_suffix(f"-{n}") for n in range(9))], axis=1)
    code = [task for task in copies if task.startswith("code")]
    groups = [code, *([task] for task in copies if task not in code)]
    crowded = stitch_plan(copies, TOKENS, 200_000, SETTINGS, {})
    fair = stitch_plan(copies, TOKENS, 200_000, SETTINGS, {}, experts=groups)
    alone = stitch_plan(UTILITY, TOKENS, 200_000, SETTINGS, {})
    assert crowded.weights["code"] > alone.weights["code"] + 0.05
    assert fair.weights == pytest.approx(alone.weights, abs=1e-6)
    # Tasks that no expert serves are one group.
    rest = stitch_plan(copies, TOKENS, 200_000, SETTINGS, {}, experts=groups[1:])
    assert rest.weights == pytest.approx(alone.weights, abs=1e-6)


@pytest.mark.parametrize("method", ["uniform", "proportional", "unimax"])
def test_baselines_respect_the_lineage(method: str) -> None:
    settings = mixture_settings(method=method)
    used = {"code": 3_990_000}
    assert sum(seed_plan(UTILITY, TOKENS, 800_000, settings).tokens.values()) == 800_000
    stitch = stitch_plan(UTILITY, TOKENS, 100_000, settings, used)
    assert stitch.tokens == {"code": 10_000, "docs": 30_000, "math": 30_000, "noise": 30_000}


def test_a_used_up_lineage_says_what_is_left() -> None:
    used = dict.fromkeys(TOKENS, 3_900_000)
    with pytest.raises(
        ValueError, match=r"earlier stages used 15,600,000; the largest feasible budget is 400,000"
    ):
        stitch_plan(UTILITY, TOKENS, 500_000, SETTINGS, used)


def test_unknown_tasks_and_errors_of_other_names_are_refused() -> None:
    seed, _ = experts()
    with pytest.raises(ValueError, match=r"unknown \['chess'\]"):
        expert_plan(UTILITY, ERRORS, ["chess"], seed, TOKENS, 1000, SETTINGS, {})
    with pytest.raises(ValueError, match="name at least one"):
        expert_plan(UTILITY, ERRORS, [], seed, TOKENS, 1000, SETTINGS, {})
    with pytest.raises(ValueError, match="errors of the utility"):
        expert_plan(UTILITY, ERRORS.drop(index="code"), ["code-task"], seed, TOKENS, 1000, SETTINGS, {})


def test_tasks_served_by_the_same_data_form_one_expert() -> None:
    utility = pd.DataFrame(
        [[0.9, 0.8, 0.1, 0.2], [0.2, 0.1, 0.9, 0.8], [0.5, 0.5, 0.4, 0.5]],
        index=["code", "math", "web"],
        columns=["mbpp", "humaneval", "gsm8k", "mgsm"],
    )
    expected = {"code": ("humaneval", "mbpp"), "math": ("gsm8k", "mgsm")}
    assert auto_experts(utility, 2) == expected
    assert auto_experts(utility.iloc[::-1, ::-1], 2) == expected
    assert auto_experts(utility, 1) == {"code": ("gsm8k", "humaneval", "mbpp", "mgsm")}
    names = auto_experts(utility, 4)
    assert sorted(sum(names.values(), ())) == sorted(utility.columns)
    assert len(names) == 4
    with pytest.raises(ValueError, match="from 1 to the number of tasks, 4"):
        auto_experts(utility, 5)


def test_an_expert_has_no_name_of_another_model() -> None:
    utility = pd.DataFrame(
        [[0.9, 0.1], [0.2, 0.9], [0.5, 0.4]], index=["ties", "soup", "web"], columns=["mbpp", "gsm8k"]
    )
    assert auto_experts(utility, 2, ["ties"]) == {"web": ("mbpp",), "soup": ("gsm8k",)}
    reserved = ["ties", "soup", "web", "soup-1"]
    named = {tasks: name for name, tasks in auto_experts(utility, 2, reserved).items()}
    assert named == {("mbpp",): "ties-2", ("gsm8k",): "soup-2"}


def test_the_seeds_weights_have_intervals_and_kappa_turns_from_what_is_known_badly():
    tokens = dict.fromkeys(UTILITY.index, 10**6)
    spread = pd.DataFrame(0.01, index=UTILITY.index, columns=UTILITY.columns)
    spread.loc["code"] = 0.3
    plain = seed_plan(UTILITY, tokens, 10**5, SETTINGS, errors=spread)
    assert plain.weights == seed_plan(UTILITY, tokens, 10**5, SETTINGS).weights
    widths = {name: high - low for name, (low, high) in plain.certificate.weight_intervals.items()}
    assert max(widths, key=widths.get) == "code"
    wary = seed_plan(UTILITY, tokens, 10**5, mixture_settings(method="utilimax", kappa=2.0), errors=spread)
    assert wary.weights["code"] < plain.weights["code"]
    with pytest.raises(ValueError, match=r"kappa=2\.0 has no effect with method 'uniform'"):
        mixture_settings(method="uniform", kappa=2.0)
