"""What a duel would train, as one row a stage: how many models, and the most that they cost together."""

from __future__ import annotations

from typing import Any

from flows.plan_costs import COST_COLUMNS
from flows.settings import Experiment
from tasks.duels.mixtures.settings import DuelSettings
from tasks.duels.stitches.settings import StitchDuelSettings
from tasks.stitching.settings import TRAINED_COMPOSITIONS

Costs = dict[str, dict[str, float]]


def duel_rows(e: Experiment, costs: Costs, num_experts: int, proxies: list[str]) -> list[dict[str, Any]]:
    """{stage, name, cached, tokens, flops, memory_gb, minutes}: name is the number of models, cached is not known.

    costs: of one model of each stage, as `training_costs` and `proxy_costs` give them; a composition that trains
    counts its tokens alone.
    """
    if e.duel is not None:
        counted = _of_mixtures(e.duel, len(proxies), costs, e.budget.tokens)
    else:
        assert e.stitch_duel is not None
        counted = _of_combinations(e.stitch_duel, costs, num_experts, len(proxies))
    rows = []
    for stage, (count, share) in counted.items():
        cost = costs.get(stage.partition(" ")[0])
        told: dict[str, Any] = dict.fromkeys(COST_COLUMNS)
        if cost is not None:
            told = {name: value * count * share for name, value in cost.items()}
            told["memory_gb"] = cost["memory_gb"]
        elif stage == "composition" and "stitched" in costs:
            told["tokens"] = count * share * costs["stitched"]["tokens"]
        rows.append({"stage": stage, "name": f"{count} models", "cached": None, **told})
    return rows


def _of_mixtures(
    duel: DuelSettings, num_proxies: int, costs: Costs, tokens: int
) -> dict[str, tuple[int, float]]:
    """Stage -> how many models, and what one costs on average, as a multiple of its cost in `costs`.

    tokens: the largest rung's, of which a seed model outside a duel has a part.
    """
    count = len(duel.contenders) * len(duel.regimes) * len(duel.rungs) * duel.seeds
    ablations = sum(contender.utility == "ablation" for contender in duel.contenders)
    proxies = num_proxies * len(duel.regimes) * bool(ablations)
    rows = {"proxy": (proxies, 1.0)} if proxies else {}
    multiple = tokens / costs["seed"]["tokens"] if costs else 1.0
    share = multiple * sum(duel.rungs) / len(duel.rungs)
    return rows | {"seed": (count, share), "evaluation": (count, 1.0)}


def _of_combinations(
    duel: StitchDuelSettings, costs: Costs, num_experts: int, num_proxies: int
) -> dict[str, tuple[int, float]]:
    def times(*methods: str) -> int:
        return sum(1 if v.side else duel.seeds for v in duel.variants if v.method in methods)

    rows: dict[str, tuple[int, float]] = {"proxy": (num_proxies, 1.0)} if num_proxies else {}
    rows["seed"], rows["expert"] = (duel.seeds, 1.0), (duel.seeds * num_experts, 1.0)
    if costs:
        one = costs["expert"]["tokens"]
        rows["expert (dense)"] = (times("dense"), num_experts + costs["stitched"]["tokens"] / one)
    rows["stitched"] = (times("stitched"), 1.0)
    rows["composition"] = (times(*TRAINED_COMPOSITIONS), 1.0)
    count = duel.seeds * (1 + num_experts) + sum(1 if v.side else duel.seeds for v in duel.variants)
    return rows | {"evaluation": (count, 1.0)}
