"""What is read from Adam's state is what theory says of gradients that correlate in time, and of tiny ones."""

from __future__ import annotations

import math

import pytest
import torch

from tasks.training.stability.monitor import Adam, Monitor, correlation, layer_of, statistics_of

STEPS = 800


def looked_at(
    rho: float, scale: float = 1.0, beta2: float = 0.99, coordinates: int = 1 << 20, n: int = 20_000
):
    """The statistics of a layer whose gradients follow an AR(1): x' = rho x + sqrt(1 - rho^2) noise."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.nn.Parameter(torch.zeros(100, n // 100))
    optimizer = torch.optim.AdamW([weight], lr=0.5, betas=(0.9, beta2), eps=1e-8, weight_decay=0.0)
    x = torch.randn(weight.shape, generator=generator)
    for _ in range(STEPS):
        weight.grad = x * scale
        optimizer.step()
        x = rho * x + math.sqrt(1 - rho**2) * torch.randn(weight.shape, generator=generator)
    monitor, adam = Monitor({"model.layers.0.mlp.weight": weight}, coordinates), Adam(0.9, beta2, 1e-8)
    found = monitor.read(monitor.measure(optimizer, adam, STEPS).tolist(), adam, STEPS, rate=0.5)
    assert set(found) == {"all", "model.layers.0"}
    return found["model.layers.0"], optimizer.state[weight]


@pytest.mark.parametrize(
    ("rho", "std_r", "tail_r", "sarle"),
    [(0.0, 0.228, 0.0, 0.342), (0.5, 0.364, 0.025, 0.354), (0.9, 0.671, 0.262, 0.424), (0.98, 0.861, 0.434, 0.499)],
)  # fmt: skip
def test_correlated_gradients_are_told_from_independent_ones(rho, std_r, tail_r, sarle):
    found, _ = looked_at(rho)
    assert found["std_r"] == pytest.approx(std_r, abs=0.012)
    assert found["tail_r"] == pytest.approx(tail_r, abs=0.012)
    assert found["bimodality_r"] == pytest.approx(sarle, abs=0.02)
    assert found["correlation"] == pytest.approx(rho, abs=0.02)
    assert found["floor_share"] == 0


def test_independent_gradients_give_the_theorys_spread_and_tiny_ones_collapse():
    assert looked_at(0.0)[0]["std_r"] == pytest.approx(math.sqrt(0.1 / 1.9), abs=0.003)  # .2294
    tiny, _ = looked_at(0.0, scale=1e-9)
    assert tiny["std_r"] == pytest.approx(0.021, abs=0.001)
    assert tiny["floor_share"] == 1
    assert looked_at(0.0, scale=1e-8, beta2=0.95)[0]["std_r"] == pytest.approx(0.113, abs=0.003)


def test_the_statistics_are_those_of_the_whole_ratio_by_numpy():
    found, state = looked_at(0.5)
    m = state["exp_avg"].double().numpy() / (1 - 0.9**STEPS)
    v = state["exp_avg_sq"].double().numpy() / (1 - 0.99**STEPS)
    r = m / (v**0.5 + 1e-8)
    assert found["std_r"] == pytest.approx(r.std(), rel=1e-5)
    assert found["tail_r"] == (abs(r) > 0.8).mean()
    assert found["gradient_scale"] == pytest.approx(v.mean() ** 0.5, rel=1e-5)
    assert found["update_norm"] == pytest.approx(0.5 * (r**2).sum() ** 0.5, rel=1e-5)
    centred = r - r.mean()
    skew, kurtosis = (centred**3).mean() / r.std() ** 3, (centred**4).mean() / r.std() ** 4
    assert found["bimodality_r"] == pytest.approx((skew**2 + 1) / kurtosis, rel=1e-3)


def test_a_sample_of_the_coordinates_tells_nearly_the_same():
    whole, part = looked_at(0.9)[0], looked_at(0.9, coordinates=5_000)[0]
    for name in ("std_r", "tail_r", "correlation", "update_norm"):
        assert part[name] == pytest.approx(whole[name], rel=0.06)


def test_two_points_have_the_bimodality_one_and_early_steps_the_correlation_zero():
    halves = [1.0, 1.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0]  # half of the coordinates at +1, half at -1
    told = statistics_of([8 * value for value in halves], 8, 8, Adam(0.9, 0.99, 1e-8), 100, 1.0)
    assert told["bimodality_r"] == pytest.approx(1)
    assert told["update_norm"] == pytest.approx(math.sqrt(8))
    # two steps: m^ = (.9 g1 + g2) / 1.9, so E[m^2] = 1.81 / 3.61 of independent gradients
    assert correlation(1.81 / 3.61, 0.9, 2) == pytest.approx(0)


def test_a_layer_of_few_weights_joins_the_others():
    names = {"model.layers.0.a": 4_000, "model.layers.1.a": 4_000, "model.norm.weight": 32, "lm_bias": 8}
    monitor = Monitor({name: torch.nn.Parameter(torch.zeros(size)) for name, size in names.items()}, 65_536)
    assert monitor.layers == ["model.layers.0", "model.layers.1", "others"]
    assert layer_of("model.layers.12.mlp.up_proj.weight") == "model.layers.12"
    assert layer_of("model.embed_tokens.weight") == "model.embed_tokens"
