"""What the ladder shows: every measure by family, compute and seed; speed-ups of each measure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tasks.duels.efficiency.settings import DENSE, MOE, EfficiencySettings
from tasks.duels.efficiency.speedups import Family, overlap, speedups
from tasks.evaluation.metrics import BITS_PER_BYTE, HELDOUT, lower_is_better

INSIDE, OUTSIDE, BENCHMARK = "in domain", "out of domain", "benchmark"
MEAN = "mean"


@dataclass(frozen=True)
class Rung:
    """One trained model: family, share of the compute, FLOPs and tokens that it took, seed, score rows."""

    family: str
    share: float
    flops: float
    tokens: int
    random_seed: int
    scores: Sequence[Mapping[str, Any]]


def measured(rungs: Iterable[Rung], read: Mapping[str, float]) -> pd.DataFrame:
    """One row a model and measure: family, share, flops, tokens, seed, kind, measure, metric, value.

    read: source -> weight in training; text of those with none is out of domain. Kinds in domain and out of domain
    are bits per byte of held-out text, with their means over sources; benchmarks have all their metrics.
    """
    rows = []
    for rung in rungs:
        own = {
            "family": rung.family,
            "share": rung.share,
            "flops": rung.flops,
            "tokens": rung.tokens,
            "seed": rung.random_seed,
        }
        kinds: dict[str, list[float]] = {}
        for score in rung.scores:
            task, metric, value = score["task"], score["metric"], float(score["value"])
            kind = BENCHMARK
            if task.startswith(HELDOUT):
                task = task.removeprefix(HELDOUT)
                kind = INSIDE if read.get(task, 0) > 0 else OUTSIDE
                if metric == BITS_PER_BYTE:
                    kinds.setdefault(kind, []).append(value)
            rows.append(own | {"kind": kind, "measure": task, "metric": metric, "value": value})
        for kind, values in kinds.items():
            if len(values) > 1:
                told = {
                    "kind": kind,
                    "measure": MEAN,
                    "metric": BITS_PER_BYTE,
                    "value": float(np.mean(values)),
                }
                rows.append(own | told)
    return pd.DataFrame(rows)


def means(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Mean over seeds and standard deviation, of each measure, family and share of the compute."""
    rows = []
    keys = ["kind", "measure", "metric", "family", "share"]
    for key, group in table.groupby(keys, sort=False):
        values = group["value"].to_numpy(float)
        spread = float(values.std(ddof=1)) if len(values) > 1 else None
        rows.append(
            dict(zip(keys, key, strict=True))
            | {"flops": float(group["flops"].mean()), "tokens": int(group["tokens"].iloc[0])}
            | {"mean": float(values.mean()), "spread": spread, "seeds": len(values)}
        )
    return rows


def efficiency(table: pd.DataFrame, settings: EfficiencySettings) -> list[dict[str, Any]]:
    """Speed-ups of each measure. A measure without overlap has one row, which says why it has no speed-up."""
    rows = []
    for (kind, measure, metric), group in table.groupby(["kind", "measure", "metric"], sort=False):
        sign = 1.0 if lower_is_better(str(metric)) else -1.0
        own = {"kind": kind, "measure": measure, "metric": metric}
        families = {name: _family(group[group["family"] == name], sign) for name in (DENSE, MOE)}
        found = speedups(families[DENSE], families[MOE], settings.levels, settings.resamples)
        for at in found:
            rows.append(
                own
                | {"level": sign * at.level, "dense_flops": at.dense_flops, "moe_flops": at.moe_flops}
                | {"speedup": at.value, "low": at.low, "high": at.high, "why": ""}
            )
        if not found:
            rows.append(own | _refused(families, sign))
    return rows


def _refused(families: Mapping[str, Family], sign: float) -> dict[str, Any]:
    assert overlap(families[DENSE], families[MOE]) is None
    spans = {}
    for name, family in families.items():
        own = family.means()
        spans[name] = sorted([float(sign * own[0]), float(sign * own.min())])
    told = " and ".join(f"{name} {low:.3f} to {high:.3f}" for name, (low, high) in spans.items())
    nothing = dict.fromkeys(("level", "dense_flops", "moe_flops", "speedup", "low", "high"))
    return nothing | {"why": f"no level that both reach on their way: {told}"}


def _family(runs: pd.DataFrame, sign: float) -> Family:
    by_rung = runs.pivot(index="share", columns="seed", values="value").sort_index()
    flops = runs.groupby("share")["flops"].mean().sort_index()
    return Family(flops.to_numpy(float), sign * by_rung.to_numpy(float))


def answer(rows: Sequence[Mapping[str, Any]], costs: Mapping[str, float]) -> list[str]:
    """The finding in sentences: what a token costs, and s(t) at the hardest of the levels, of the means."""
    ratio = costs[MOE] / costs[DENSE]
    said = [f"A token costs the mixture of experts {ratio:.2f} times what it costs the dense model."]
    for kind in (INSIDE, OUTSIDE):
        of_kind = [row for row in rows if row["kind"] == kind and row["metric"] == BITS_PER_BYTE]
        own = [row for row in of_kind if row["measure"] == MEAN] or of_kind
        if not own:
            continue
        last = own[-1]
        if last["speedup"] is None:
            said.append(f"Held-out text {kind}: {last['why']}.")
            continue
        band = "no band" if last["low"] is None else f"{last['low']:.2f} to {last['high']:.2f} over seeds"
        said.append(
            f"Held-out text {kind}: at {last['level']:.3f} bits per byte the dense model needs "
            f"{last['speedup']:.2f} times the compute of the mixture ({band})."
        )
    return said


def token_counts_by_share(
    settings: EfficiencySettings, tokens: int, costs: Mapping[str, float], tokens_per_step: int
) -> dict[str, list[int]]:
    """family -> tokens at each rung, in whole steps: as many as the rung's compute pays for.

    costs: family -> training FLOPs a token. Raises ValueError where one is less than a step, or two are the same.
    """
    found = {}
    for family, cost in costs.items():
        counts = [
            math.floor(share * tokens * costs[DENSE] / cost / tokens_per_step) * tokens_per_step
            for share in settings.rungs
        ]
        if counts[0] == 0 or len(set(counts)) < len(counts):
            raise ValueError(
                f"moe_efficiency.rungs={list(settings.rungs)} of budget.tokens={tokens:,} are {counts} tokens of the "
                f"{family} model in whole steps of {tokens_per_step:,}; allowed: rungs that are different numbers of "
                "steps, one at least"
            )
        found[family] = counts
    return found
