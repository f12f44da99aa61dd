"""What a utility cost: tokens, FLOPs, price, and how that compares with ablations.

    FLOPs of the judge     = 2 x parameters x tokens          (a forward pass, over prompts and answers)
    FLOPs of ablations     = sources x 6 x N x D              (one training run of N parameters, D tokens a source)

D is 20 N unless given: compute-optimal training (Hoffmann et al. 2022, arXiv 2203.15556). Held et al. 2025
(arXiv 2501.11747) state 2.1M tokens through 70B parameters, 2.9e17 FLOPs.
"""

from __future__ import annotations

from typing import Any

from tasks.utility.medu.settings import CostSettings
from tasks.utility.medu.spending import Spending

COMPUTE_OPTIMAL = 20.0
MILLION = 1e6


def meter(cost: CostSettings, spending: Spending, sources: int, parameters: float | None) -> dict[str, Any]:
    """prompt_tokens, completion_tokens, and `cost`: whatever can be said from the settings. JSON-ready."""
    known: dict[str, Any] = {
        "tokens": spending.tokens,
        "bought_in_this_run": spending.bought_tokens,
        "max_tokens": spending.most,
        "counted_for_max_tokens": None if spending.most is None else spending.counted,
        "budget_spent": spending.exhausted,
        "answers_whose_tokens_were_counted_here": spending.counted_here,
    }
    if parameters is not None:
        known["flops"] = 2 * parameters * spending.tokens
        known["flops_formula"] = f"2 x {parameters:.4g} parameters x {spending.tokens} tokens"
    if cost.price_in is not None and cost.price_out is not None:
        known["price"] = (
            cost.price_in * spending.prompt_tokens + cost.price_out * spending.completion_tokens
        ) / MILLION
    if cost.proxy_parameters is not None:
        known |= _ablations(cost.proxy_parameters, cost.proxy_tokens, sources)
        if known.get("flops"):
            known["ablations_cost_times_as_much"] = known["ablation_flops"] / known["flops"]
    return {
        "prompt_tokens": spending.prompt_tokens,
        "completion_tokens": spending.completion_tokens,
        "cost": known,
    }


def ablation_flops(sources: int, parameters: float, tokens: float | None = None) -> float:
    """FLOPs of one training run a source; tokens None: 20 a parameter."""
    return sources * 6 * parameters * (COMPUTE_OPTIMAL * parameters if tokens is None else tokens)


def _ablations(parameters: float, tokens: float | None, sources: int) -> dict[str, Any]:
    length = COMPUTE_OPTIMAL * parameters if tokens is None else tokens
    return {
        "ablation_flops": ablation_flops(sources, parameters, tokens),
        "ablation_formula": f"{sources} sources x 6 x {parameters:.4g} parameters x {length:.4g} tokens",
    }
