"""Stability monitor: what Adam's state tells of each layer, without stored gradients or waiting for the device.

Molybog et al. 2023, arXiv 2304.09871: the update ratio r = m / (sqrt(v) + eps), bias-corrected, is bell-shaped around 0
while gradient estimates are independent in time, and gathers near +-1 once they correlate. For zero-mean gradients
with lag-one correlation rho (AR(1)) and k = (1 - b1) / (1 + b1):

    E[m^2] / E[v] = R = k (1 + b1 rho) / (1 - b1 rho)      so      rho = (R/k - 1) / (b1 (R/k + 1))
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

TAIL = 0.8  # |r| above this is in the tail
FLOOR = 10.0  # sqrt(v) below so many epsilons is at the floor
FEWEST = 1000  # coordinates of a layer whose statistics mean something; what has fewer joins the others
OTHERS = "others"
LAYER = re.compile(r"^(.*?\.\d+)(?:\.|$)")
SUMS = ("m2", "v", "r", "r2", "r3", "r4", "tail", "floor")


@dataclass(frozen=True)
class Adam:
    """The constants of the optimizer that its state is read with."""

    beta1: float
    beta2: float
    epsilon: float


def layer_of(name: str) -> str:
    """The layer that a weight is of: its name up to the first number, or its module where there is none."""
    found = LAYER.match(name)
    if found:
        return found.group(1)
    return name.rpartition(".")[0] or name


class Monitor:
    """Measures layers by at most `coordinates` of each, evenly spread, into buffers made once."""

    def __init__(self, weights: Mapping[str, nn.Parameter], coordinates: int) -> None:
        layers: dict[str, list[nn.Parameter]] = {}
        for name, weight in weights.items():
            layers.setdefault(layer_of(name), []).append(weight)
        few = [name for name, members in layers.items() if sum(w.numel() for w in members) < FEWEST]
        if few and len(few) < len(layers):
            layers[OTHERS] = [weight for name in few for weight in layers.pop(name)]
        self.layers = list(layers)
        self._strides = [_stride(members, coordinates) for members in layers.values()]
        self._weights = list(layers.values())
        self._seen = [
            sum(-(-weight.numel() // stride) for weight in members)
            for members, stride in zip(self._weights, self._strides, strict=True)
        ]
        self._sizes = [sum(weight.numel() for weight in members) for members in self._weights]
        device = self._weights[0][0].device
        self._m = torch.zeros(len(layers), max(self._seen), device=device)
        self._v = torch.zeros_like(self._m)

    @torch.no_grad()
    def measure(self, optimizer: torch.optim.Optimizer, adam: Adam, step: int) -> Tensor:
        """Sums (layers, SUMS) over the coordinates seen, on the device; `step`: updates that made the state, >= 1."""
        for row, (members, stride) in enumerate(zip(self._weights, self._strides, strict=True)):
            for entry, buffer in (("exp_avg", self._m), ("exp_avg_sq", self._v)):
                parts = [_state(optimizer, weight, entry).reshape(-1)[::stride] for weight in members]
                torch.cat(parts, out=buffer[row, : self._seen[row]])
        m = self._m / (1 - adam.beta1**step)
        v = self._v / (1 - adam.beta2**step)
        root = v.sqrt()
        # where no gradient ever came and epsilon is 0, the update is 0, not 0/0
        r = m / (root + adam.epsilon).clamp_min_(torch.finfo(root.dtype).tiny)
        r2 = r * r
        floor = (root < FLOOR * adam.epsilon).sum(1, dtype=torch.float32)
        tail = (r.abs() > TAIL).sum(1, dtype=torch.float32)
        sums = [(m * m).sum(1), v.sum(1), r.sum(1), r2.sum(1), (r2 * r).sum(1), (r2 * r2).sum(1), tail, floor]
        return torch.stack(sums, dim=1)

    def read(
        self, sums: Sequence[Sequence[float]], adam: Adam, step: int, rate: float
    ) -> dict[str, dict[str, float]]:
        """Statistics by layer, and of all coordinates as "all", from what `measure` gave, on the host."""
        empty = [
            self._m.shape[1] - seen for seen in self._seen
        ]  # cells of the buffer that hold no coordinate
        found, total = {}, [0.0] * len(SUMS)
        for row, layer in enumerate(self.layers):
            mine = list(sums[row])
            if adam.epsilon:
                mine[-1] -= empty[row]
            found[layer] = statistics_of(mine, self._seen[row], self._sizes[row], adam, step, rate)
            scale = self._sizes[row] / self._seen[row]
            total = [t + scale * one for t, one in zip(total, mine, strict=True)]
        size = sum(self._sizes)
        return {"all": statistics_of(total, size, size, adam, step, rate), **found}


def statistics_of(
    sums: Sequence[float], seen: float, size: int, adam: Adam, step: int, rate: float
) -> dict[str, float]:
    """STATISTICS from SUMS over `seen` of a layer's `size` coordinates; NaN where they are not defined."""
    m2, v, r, r2, r3, r4, tail, floor = (value / seen for value in sums)
    variance = r2 - r * r
    bimodality = math.nan
    if variance > 1e-12 * max(r2, 1e-30):
        third = r3 - 3 * r * r2 + 2 * r**3
        fourth = r4 - 4 * r * r3 + 6 * r * r * r2 - 3 * r**4
        bimodality = (third**2 / variance**3 + 1) / (fourth / variance**2)
    return {
        "std_r": math.sqrt(variance) if variance > 0 else math.nan if math.isnan(variance) else 0.0,
        "tail_r": tail,
        "bimodality_r": bimodality,
        "correlation": correlation(m2 / v if v else math.nan, adam.beta1, step),
        "floor_share": floor,
        "gradient_scale": math.sqrt(v) if v >= 0 else math.nan,
        "update_norm": rate * math.sqrt(r2 * size) if r2 >= 0 else math.nan,
    }


def correlation(ratio: float, beta1: float, step: int) -> float:
    """rho from R = E[m^2] / E[v] after `step` updates.

    With few updates behind it the bias-corrected m of independent gradients has k (1 + b1^t) / (1 - b1^t) in the place
    of k, its limit, so that rho is 0 for them early too. NaN at the first step, where R is 1 whatever the gradients.
    """
    if beta1 == 0 or step < 2:
        return math.nan
    k = (1 - beta1) / (1 + beta1) * (1 + beta1**step) / (1 - beta1**step)
    return (ratio / k - 1) / (beta1 * (ratio / k + 1))


def _state(optimizer: torch.optim.Optimizer, weight: nn.Parameter, entry: str) -> Tensor:
    """Zeros for a weight that no gradient has reached yet."""
    return optimizer.state[weight].get(entry, torch.zeros_like(weight))


def _stride(members: Sequence[nn.Parameter], coordinates: int) -> int:
    """Every so manieth coordinate is seen: no multiple of a row's length, lest it always be the same columns."""
    size = sum(weight.numel() for weight in members)
    stride = max(1, -(-size // coordinates))
    while stride > 1 and any(math.gcd(stride, weight.shape[-1]) > 1 for weight in members if weight.ndim):
        stride += 1
    return stride
