"""From a method's name to a mixture: what proxies found, capped exactly; what does not go together is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from flows.parts import utility_of, weights_learnt
from flows.planning import plan_experiment
from flows.recipes import load_recipe
from storage.runs import Run
from tasks.duels.mixtures.task import judge_duel
from tasks.mixture.found_weights import read_runs_of
from tasks.mixture.methods import mixture_settings
from tasks.mixture.mixture_method import Found
from tasks.mixture.plans import seed_plan, stitch_plan
from tasks.mixture.task import Known, Stretch, read_mixture, solve_mixture
from tasks.proxies.ablation.settings import AblationSettings
from tasks.proxies.online.settings import RULES_BY_NAME, OnlineSettings
from tasks.sources.task import prepare_sources

TINY = str(Path(__file__).resolve().parents[3] / "tiny.yaml")
SOURCES = ["a", "b", "c"]
UTILITY = pd.DataFrame([[0.9, 0.1], [0.2, 0.8], [0.1, 0.1]], SOURCES, ["x", "y"])
LEARNT = Found({"c": 0.1, "a": 0.6, "b": 0.3}, {"late_drift": 0.2})
SMALL = ("mixture.online.tokens=4096", "mixture.online.model={hidden_size: 32, num_layers: 1, num_heads: 2}")


def swarm(num_runs: int = 12) -> pd.DataFrame:
    """The more a run has of `a`, the lower its loss; `c` is worth nothing."""
    weights = np.vstack([np.eye(3), np.random.default_rng(0).dirichlet(np.ones(3), num_runs)])
    runs = pd.DataFrame(weights, columns=[f"w_{name}" for name in SOURCES])
    losses = {"loss_x": 3 - weights[:, 0] - 0.5 * weights[:, 1], "loss_y": 2 - weights[:, 0]}
    return runs.assign(run=[f"r{i}" for i in range(len(runs))], **losses)


def test_learnt_weights_are_capped_and_the_certificate_says_so():
    tokens, settings = {"a": 100, "b": 1000, "c": 1000}, mixture_settings(method="doremi", epoch_cap=4)
    mixture = seed_plan(UTILITY, tokens, 1000, settings, LEARNT)
    # a is cut from 600 to 400 tokens; b and c share 600 as 3 to 1.
    assert mixture.tokens == {"a": 400, "b": 450, "c": 150}
    facts = mixture.certificate
    assert (facts["method"], facts["capped"], facts["late_drift"]) == ("doremi", ["a"], 0.2)
    assert facts["before_cap"] == LEARNT.weights
    stitch = stitch_plan(UTILITY, tokens, 1000, settings, mixture.tokens, LEARNT)
    assert stitch.tokens == {"a": 0, "b": 750, "c": 250}
    assert stitch.certificate["capped"] == ["a"]


def test_learnt_weights_for_other_sources_are_refused():
    with pytest.raises(ValueError, match=r"weights: names do not match.*missing \['d'\], unknown \['c'\]"):
        seed_plan(UTILITY, {"a": 9, "b": 9, "d": 9}, 9, mixture_settings(method="odm"), LEARNT)


@pytest.mark.parametrize("law", ["ridge", "fusion"])
def test_a_law_proposes_what_lowers_the_loss_under_the_cap(law):
    settings = mixture_settings(method="law", law=law, epoch_cap=2)
    tokens = {"a": 300, "b": 1000, "c": 1000}
    mixture = seed_plan(UTILITY, tokens, 1000, settings, Found(runs=swarm()))
    assert mixture.tokens["a"] == 600  # the best source, up to its cap
    assert sum(mixture.tokens.values()) == 1000
    assert mixture.certificate["law"] == law
    assert mixture.certificate["runs"] == 15
    stitch = stitch_plan(UTILITY, tokens, 1000, settings, {**mixture.tokens, "a": 500}, Found(runs=swarm()))
    assert stitch.tokens["a"] == 100
    assert stitch.certificate["lineage_epochs"]["a"] == 2.0


def test_a_law_does_not_see_the_order_of_runs_and_sources():
    settings, tokens = mixture_settings(method="law", law="ridge"), dict.fromkeys(SOURCES, 1000)
    runs = swarm()
    shuffled = runs[list(reversed(runs.columns))].sample(frac=1, random_state=0)
    first = seed_plan(UTILITY, tokens, 1000, settings, Found(runs=runs))
    assert seed_plan(UTILITY, tokens, 1000, settings, Found(runs=shuffled)).tokens == first.tokens


def test_a_law_needs_a_swarm(tmp_path):
    settings, tokens = mixture_settings(method="law", law="ridge"), dict.fromkeys(SOURCES, 1000)
    with pytest.raises(ValueError, match="swarm above 0"):
        seed_plan(UTILITY, tokens, 1000, settings, Found(runs=swarm(0)))
    with pytest.raises(ValueError, match="swarm above 0"):
        read_runs_of(tmp_path)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["mixture.method=law"], "swarm of proxies, but the utility is by 'ngram'"),
        (["mixture.method=law", "utility.method=ablation"], r"utility\.ablation\.swarm=0"),
        (["mixture.law=ridge"], r"law=ridge has no effect with method 'returns'; allowed: with 'law'"),
        (["mixture.passes={noise: 2}"], "passes=.* has no effect with method 'returns'"),
        (["mixture.method=olmo", "mixture.passes={noise: 0}"], "finite and above 0"),
        (["mixture.method=odm", "mixture.risk=1"], "risk=1 has no effect with method 'odm'"),
        (
            ["mixture.method=uniform", "mixture.stitch_effective_sources=2"],
            "has no effect with method 'uniform'",
        ),
        (
            ["mixture.online.tokens=9"],
            "online=.* has no effect with method 'returns'; allowed: with 'doremi' or 'odm' or 'skill-it'",
        ),
        (
            ["mixture.method=odm", "mixture.online.doremi.eta=2"],
            r"online\.doremi is set, but the method is 'odm'",
        ),
        (["mixture.method=odm", "mixture.online.model.pretrained=x"], "proxies start from new weights"),
        (
            ["duel.contenders=[{name: a, mixture: {method: law}}, {name: b, mixture: {}}]"],
            "duel.contenders: 'a': method 'law' is fitted to a swarm",
        ),
    ],
)
def test_what_does_not_go_with_the_method_is_refused(overrides, message):
    with pytest.raises(ValueError, match=message):
        load_recipe(TINY, overrides)


def test_names_and_sizes_stay_those_of_their_origins():
    assert OnlineSettings().model == AblationSettings().model


def test_only_a_methods_own_settings_decide_its_weights():
    told = OnlineSettings().identity(RULES_BY_NAME["skill-it"])
    assert set(told) == {"tokens", "model", "skill_it"}
    assert "online" not in mixture_settings(method="odm").identity()


def test_settings_load_no_numerical_library():
    code = (
        "import sys, tasks.mixture.settings; "
        "print([m for m in ('numpy', 'torch', 'prefect') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_plan_lists_the_stage(home):
    listed = [
        (row["stage"], row["name"])
        for row in plan_experiment(load_recipe(TINY, ["mixture.method=odm"]))["stages"]
    ]
    assert listed.index(("online", "odm")) < listed.index(("mixture", "seed"))
    assert not any(row["stage"] == "online" for row in plan_experiment(load_recipe(TINY))["stages"])


@pytest.mark.slow
def test_stages_hand_learnt_weights_on(home):
    """On the tiny corpus, each method: an artifact of its own, and a mixture that follows it."""
    run = None
    for method in ("doremi", "odm", "skill-it"):
        more = ["mixture.online.skill_it.rounds=2"] if method == "skill-it" else []
        e = load_recipe(TINY, [f"mixture.method={method}", *SMALL, *more])
        run = run or Run(home, e.name, e.to_json())
        run.uses_prefect = False
        corpus = prepare_sources(run, e.sources, e.evaluation, e.random_seed)
        utility = utility_of(run, e, corpus, "ngram", 12_000)
        learnt = weights_learnt(run, e, e.mixture, corpus, 12_000)
        assert learnt is not None
        assert sum(learnt.facts["weights"].values()) == pytest.approx(1)
        assert (learnt.path / "weights.csv").is_file()
        known = Known(corpus, utility, learnt)
        mixture = solve_mixture(run, "seed", e.mixture, known, Stretch(12_000))
        told = read_mixture(mixture)
        assert told["weights"] == pytest.approx(learnt.facts["weights"])
        assert told["certificate"]["method"] == method
        assert weights_learnt(run, e, e.mixture, corpus, 12_000).hit


@pytest.mark.slow
def test_contenders_of_a_duel_may_use_them(home, monkeypatch):
    from flows import duels as flow

    online = "online: {tokens: 2048, model: {hidden_size: 32, num_layers: 1, num_heads: 2}}"
    e = load_recipe(
        TINY,
        [
            "budget.tokens=2048",
            "utility.ablation={tokens: 1024, swarm: 1, model: {hidden_size: 32, num_layers: 1, num_heads: 2}}",
            "duel={seeds: 1, rungs: [1.0], regimes: [{name: scarce, epochs: 2}], contenders: ["
            f"{{name: bandit, mixture: {{method: odm, {online}}}}}, "
            "{name: olmo, mixture: {method: olmo, passes: {noise: 0.1}}}, "
            "{name: ridge, utility: ablation, mixture: {method: law, law: ridge}}]}",
        ],
    )
    trained: list = []

    def judge(run, title, duel, corpus, utilities, rounds):
        trained.extend(rounds)
        return judge_duel(run, title, duel, corpus, utilities, rounds)

    monkeypatch.setattr(flow, "judge_duel", judge)
    run = Run(home, e.name, e.to_json())
    run.uses_prefect = False
    flow.mixture_duel(run, e, e.duel)
    methods = {t.contender: read_mixture(t.mixture)["certificate"]["method"] for t in trained}
    assert methods == {"bandit": "odm", "olmo": "olmo", "ridge": "law"}
    assert all(
        sum(share["tokens"] for share in t.mixture.facts["mixture"]["sources"].values()) == 2048
        for t in trained
    )
