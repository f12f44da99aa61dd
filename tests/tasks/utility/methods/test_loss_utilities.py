"""Utility by ablation: which proxies, how their losses become utilities, and what a run makes of them."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from flows.experiment import run_experiment
from flows.recipes import load_recipe
from storage.artifacts import ArtifactStore
from tasks.evaluation.scores import Scores
from tasks.proxies.ablation.item_losses import item_losses
from tasks.proxies.ablation.proxy_plans import proxy_plans
from tasks.proxies.ablation.settings import AblationSettings
from tasks.sources.scarcity import data_limits, share_for_epochs
from tasks.utility.methods.loss_utilities import ProxyRun, ablation_utility, runs_table


def run(
    name: str, weights: dict[str, float], losses: dict[str, list[float]], random_seed: int = 0
) -> ProxyRun:
    rows = [
        {"task": task, "item": str(i), "loss": loss}
        for task, values in losses.items()
        for i, loss in enumerate(values)
    ]
    return ProxyRun(name, weights, random_seed, pd.DataFrame(rows))


def alone(**losses: list[float]) -> list[ProxyRun]:
    return [run(name, {name: 1.0}, {"t": values}) for name, values in losses.items()]


def test_utility_by_hand():
    # Means 1, 3, 4 of losses: (4 - 1) / 3, (4 - 3) / 3, 0; ranks 1, .5, 0.
    runs = alone(a=[0.5, 1.5], b=[2.0, 4.0], c=[4.0, 4.0])
    assert ablation_utility(runs, AblationSettings()).values["t"].tolist() == pytest.approx([1, 1 / 3, 0])
    assert ablation_utility(runs, AblationSettings(scale="rank")).values["t"].tolist() == [1, 0.5, 0]


def test_the_order_of_proxies_does_not_matter():
    runs = alone(a=[0.5, 1.5], b=[2.0, 4.0], c=[4.0, 4.0])
    one, other = (ablation_utility(order, AblationSettings()) for order in (runs, runs[::-1]))
    pd.testing.assert_frame_equal(one.values, other.values)


def test_items_that_all_proxies_find_hard_alike_are_no_uncertainty():
    shared = np.linspace(0, 9, 50)
    runs = alone(a=(shared + 1).tolist(), b=(shared + 2).tolist(), c=(shared + 4).tolist())
    assert ablation_utility(runs, AblationSettings()).errors["t"].tolist() == pytest.approx(
        [0] * 3, abs=1e-12
    )


def test_errors_are_those_of_the_mean_over_items():
    # Independent items of deviation 1 around 0, 2, 4: sd(theta_i - mean theta) = sqrt(2 / 3 / n), over a range of 4.
    generator, n = np.random.default_rng(0), 400
    runs = alone(
        **{name: (generator.normal(size=n) + mean).tolist() for name, mean in (("a", 0), ("b", 2), ("c", 4))}
    )
    errors = ablation_utility(runs, AblationSettings()).errors["t"]
    assert errors.to_numpy() == pytest.approx(np.full(3, np.sqrt(2 / 3 / n) / 4), rel=0.2)


@pytest.mark.parametrize("seeds", [2, 4])
def test_training_noise_is_in_the_errors_where_seeds_tell_it(seeds):
    """Losses 0, 2, 4 less a noise of .3 a run: .3 / sqrt(seeds) * sqrt(2 / 3) / 4 of the range, on average."""
    generator, found = np.random.default_rng(0), []
    for _ in range(12):
        runs = [
            run(
                f"{name}{seed}",
                {name: 1.0},
                {t: [mean + noise] * 3 for t, noise in zip("tuv", told, strict=True)},
                seed,
            )
            for seed in range(seeds)
            for name, mean in (("a", 0.0), ("b", 2.0), ("c", 4.0))
            for told in [0.3 * generator.standard_normal(3)]
        ]
        found.append(ablation_utility(runs, AblationSettings()).errors.to_numpy() ** 2)
    expected = 0.3 / np.sqrt(seeds) * np.sqrt(2 / 3) / 4
    assert np.sqrt(np.mean(found)) == pytest.approx(expected, rel=0.2)


def test_one_seed_tells_nothing_of_training_noise_and_it_is_said():
    about = ablation_utility(alone(a=[1.0, 2.0], b=[2.0, 3.0]), AblationSettings()).about
    assert about["training_noise"] == "unknown: one seed"


def test_a_swarm_on_a_plane_changes_nothing_and_one_off_it_counts():
    vertices = {"a": 1.0, "b": 3.0}
    mixes = [{"a": w, "b": 1 - w} for w in (0.2, 0.5, 0.9)]
    on_plane = [run(f"m{i}", m, {"t": [m["a"] * 1.0 + m["b"] * 3.0]}) for i, m in enumerate(mixes)]
    singles = [run(name, {name: 1.0}, {"t": [loss]}) for name, loss in vertices.items()]
    assert ablation_utility([*singles, *on_plane], AblationSettings()).values["t"].tolist() == pytest.approx(
        [1, 0]
    )
    # Mixing is worse than the plane: least squares over (1,0):1, (0,1):3, (.5,.5):4 has theta = 5/3, 11/3.
    off = [*singles, run("m", {"a": 0.5, "b": 0.5}, {"t": [4.0]})]
    table = runs_table(off)
    theta = np.linalg.lstsq(table[["w_a", "w_b"]], table["loss_t"], rcond=None)[0]
    assert theta == pytest.approx([5 / 3, 11 / 3])


def test_a_source_without_a_proxy_and_other_items_are_refused():
    mixed = run("m", {"a": 0.5, "b": 0.5}, {"t": [1.0]})
    with pytest.raises(ValueError, match=r"sources \['b'\] have no proxy of their own"):
        ablation_utility([*alone(a=[1.0]), mixed], AblationSettings())
    with pytest.raises(ValueError, match="scored on different items"):
        ablation_utility(alone(a=[1.0], b=[1.0, 2.0]), AblationSettings())


def test_the_runs_table_is_what_mix_fit_reads():
    table = runs_table(
        [*alone(a=[1.0, 2.0], b=[3.0, 3.0]), run("m", {"a": 0.25, "b": 0.75}, {"t": [1.0, 1.0]})]
    )
    assert list(table.columns) == ["run", "w_a", "w_b", "loss_t"]
    assert table.iloc[2].tolist() == ["m", 0.25, 0.75, 1.0]


def test_proxies_belong_to_names():
    settings = AblationSettings(swarm=3, seeds=2)
    plans = proxy_plans({"b": 1, "a": 1, "c": 1}, settings, random_seed=5)
    assert [p.name for p in plans[:6]] == ["a", "b", "c", "a-seed1", "b-seed1", "c-seed1"]
    assert [p.random_seed for p in plans[:6]] == [5, 5, 5, 6, 6, 6]
    assert plans == proxy_plans({"c": 9, "b": 9, "a": 9}, settings, random_seed=5)
    swarm = plans[6:]
    assert all(sum(p.weights.values()) == pytest.approx(1) for p in swarm)
    # One more source leaves what the others have relative to each other; a larger swarm adds to a smaller one.
    wider = proxy_plans(
        {"a": 1, "b": 1, "c": 1, "d": 1}, settings.model_copy(update={"swarm": 4}), random_seed=5
    )[8:]
    assert wider[0].weights["a"] / wider[0].weights["b"] == pytest.approx(
        swarm[0].weights["a"] / swarm[0].weights["b"]
    )


def test_dirichlet_mixtures_have_its_mean_and_variance():
    # Dirichlet(2, 2, 2): mean 1/3, variance (1/3)(2/3) / 7.
    plans = proxy_plans(dict.fromkeys("abc"), AblationSettings(swarm=4000, concentration=2.0), 0)[3:]
    weights = np.array([p.weights["a"] for p in plans])
    assert weights.mean() == pytest.approx(1 / 3, abs=0.01)
    assert weights.var() == pytest.approx(2 / 63, rel=0.08)


def test_scarcity_takes_the_same_share_of_all_and_never_empties_a_source():
    tokens = {"large": 1_000_000, "rare": 2_000, "tiny": 50}
    assert data_limits(tokens, 0.01, 128) == {"large": 10_000, "rare": 128, "tiny": 50}
    assert data_limits(tokens, 1.0, 128) == tokens
    # 500,000 tokens are two epochs of a quarter of a million.
    assert share_for_epochs({"a": 400_000, "b": 600_000}, 500_000, 2.0) == 0.25
    assert share_for_epochs({"a": 400_000}, 500_000, 0.5) == share_for_epochs({"a": 400_000}, 1, None) == 1.0


def test_losses_are_bits_per_byte_where_a_task_has_them_and_turned_accuracy_elsewhere():
    samples = [
        {"model": "m", "task": "t", "item": "0", "metric": "acc", "value": 1.0},
        {"model": "m", "task": "t", "item": "0", "metric": "bits_per_byte", "value": 0.7},
        {"model": "m", "task": "u", "item": "0", "metric": "acc", "value": 1.0},
        {"model": "m", "task": "u", "item": "1", "metric": "acc", "value": 0.0},
    ]
    losses = item_losses(Scores.from_rows([], samples))
    assert losses.to_dict("list") == {
        "task": ["t", "u", "u"],
        "item": ["0", "0", "1"],
        "loss": [0.7, -1.0, 0.0],
    }
    with pytest.raises(ValueError, match="task 't': item '9' has no value of the metric 'acc'"):
        item_losses(Scores.from_rows([], [samples[0] | {"item": "9", "value": float("nan")}]))


def test_a_pretrained_proxy_is_refused():
    with pytest.raises(ValueError, match=r"utility\.ablation\.model: pretrained='x': proxies start from new"):
        load_recipe("pocket", ["utility.ablation.model.pretrained=x"])


@pytest.mark.slow
def test_a_run_by_ablation_trains_each_proxy_once_and_keeps_the_runs(home):
    changes = ["utility.method=ablation", "utility.ablation.tokens=4096", "utility.ablation.swarm=1"]
    parallel = [*changes, "utility.ablation.parallel=2"]
    summary = run_experiment(load_recipe("tests/tiny.yaml", parallel), "utility").summary
    proxies = [stage for stage in summary.stages if stage["name"].startswith("proxy/")]
    names = ["arithmetic", "noise", "python-code", "python-docs", "swarm-000"]
    assert sorted(stage["name"] for stage in proxies) == [f"proxy/{name}" for name in names]
    again = run_experiment(load_recipe("tests/tiny.yaml", changes), "utility").summary
    assert all(stage["cache_hit"] for stage in again.stages)

    store = ArtifactStore(home)
    artifact = next(m for m in store.manifests() if m["stage"] == "utility")
    folder = next(home.artifacts.glob("utility/*"))
    runs = pd.read_csv(folder / "runs.csv")
    assert len(runs) == 5
    assert sorted(runs.columns[runs.columns.str.startswith("w_")]) == [f"w_{name}" for name in names[:4]]
    about = json.loads((folder / "about.json").read_text())
    assert about["cost"]["flops"] > 0
    assert artifact["facts"]["method"] == "ablation"
