"""Which proxies to train: one on each source alone, and a swarm of mixtures."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tasks.proxies.ablation.settings import AblationSettings


@dataclass(frozen=True)
class ProxyPlan:
    """A proxy to train: its name, the weights of the sources (sum 1), and the seed of its model weights."""

    name: str
    weights: dict[str, float]
    random_seed: int


def proxy_plans(
    sources: Mapping[str, object], settings: AblationSettings, random_seed: int
) -> list[ProxyPlan]:
    """One proxy a source and seed, then the swarm. The order of `sources` does not matter.

    Swarm mixture number k is the same for every number of mixtures, so that a larger swarm adds to a smaller one.
    A source's part of it is a gamma variate that depends on seed, k and its name alone, so that one more source
    does not change what the others have relative to each other.
    """
    names = sorted(sources)
    plans = [
        ProxyPlan(name if repeat == 0 else f"{name}-seed{repeat}", {name: 1.0}, random_seed + repeat)
        for repeat in range(settings.seeds)
        for name in names
    ]
    for number in range(settings.swarm):
        parts = np.array([_gamma(settings.concentration, random_seed, number, name) for name in names])
        weights = dict(zip(names, (parts / parts.sum()).tolist(), strict=True))
        plans.append(ProxyPlan(f"swarm-{number:03d}", weights, random_seed))
    return plans


def _gamma(shape: float, random_seed: int, number: int, name: str) -> float:
    digest = hashlib.sha256(f"swarm\0{name}".encode()).digest()
    generator = np.random.default_rng([random_seed, number, int.from_bytes(digest[:8], "big")])
    return max(float(generator.gamma(shape)), 1e-12)
