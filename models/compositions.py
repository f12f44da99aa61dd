"""Every way to combine a seed and its experts into one causal language model, by name.

    model = COMPOSITIONS["btm"].build(seed, {"code": code, "math": math})

gives a transformers model that generates, evaluates and saves like any other. If seed and experts are equal, it
gives the seed's logits. The stitched model is `models.StitchedForCausalLM`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from transformers import PreTrainedModel

from models.combined.ensemble import EnsembleForCausalLM
from models.combined.members import check_members
from models.combined.routed import RoutedForCausalLM
from models.combined.upcycled import UpcycledForCausalLM
from models.merging import mergekit_merge
from models.soup import uniform_soup

Experts = Mapping[str, PreTrainedModel]


@dataclass(frozen=True)
class Composition:
    """One way to combine.

    build: (seed, experts by name, **options) -> model, leaving what it is given untouched. It raises ValueError
    for experts that differ from the seed and for options out of range.
    trains: whether it needs training once built. What requires a gradient then is what trains: `trained`.
    description: one line.
    """

    build: Callable[..., PreTrainedModel]
    trains: bool
    description: str
    trained: str = "nothing"

    @property
    def options(self) -> dict[str, Any]:
        """Names of `build`'s options, with their defaults."""
        parameters = list(inspect.signature(self.build).parameters.values())[2:]
        return {parameter.name: parameter.default for parameter in parameters}


def _soup(seed: PreTrainedModel, experts: Experts) -> PreTrainedModel:
    check_members(seed, experts)
    return uniform_soup([seed, *experts.values()])


def _ties(
    seed: PreTrainedModel,
    experts: Experts,
    density: float = 0.5,
    weight: float | None = None,
    folder: str | None = None,
) -> PreTrainedModel:
    return mergekit_merge("ties", seed, experts, density, weight, folder=folder)


def _btx_soft(seed: PreTrainedModel, experts: Experts) -> PreTrainedModel:
    return UpcycledForCausalLM.from_models(seed, experts)


def _btx_sampled(
    seed: PreTrainedModel, experts: Experts, temperature: float = 1.0, soft_layers: int = 1
) -> PreTrainedModel:
    return UpcycledForCausalLM.from_models(
        seed, experts, routing="sampled", temperature=temperature, soft_layers=soft_layers
    )


def _bam(seed: PreTrainedModel, experts: Experts) -> PreTrainedModel:
    return UpcycledForCausalLM.from_models(seed, experts, mixes_attention=True)


def _bam_adapters(seed: PreTrainedModel, experts: Experts) -> PreTrainedModel:
    return UpcycledForCausalLM.from_models(seed, experts, mixes_attention=True, adapters=True)


COMPOSITIONS: dict[str, Composition] = {
    "soup": Composition(_soup, False, "uniform mean of all weights"),
    "ties": Composition(_ties, False, "largest weight changes, those of the elected sign averaged"),
    "dare-linear": Composition(
        partial(mergekit_merge, "dare_linear"), False, "random weight changes, scaled up and summed"
    ),
    "dare-ties": Composition(
        partial(mergekit_merge, "dare_ties"),
        False,
        "random weight changes, scaled up, those of the elected sign summed",
    ),
    "btm": Composition(
        EnsembleForCausalLM.from_models, False, "Bayes mixture of the models' next-token probabilities"
    ),
    "routing": Composition(
        RoutedForCausalLM.from_models,
        True,
        "one whole model predicts each token, picked by the text so far",
        "the router",
    ),
    "btx-soft": Composition(
        _btx_soft, True, "feed-forward blocks mixed by routers, all other weights averaged", "all weights"
    ),
    "btx-sampled": Composition(
        _btx_sampled, True, "one feed-forward block a token, all other weights averaged", "all weights"
    ),
    "bam": Composition(
        _bam, True, "attention and feed-forward blocks mixed, all other weights averaged", "all weights"
    ),
    "bam-adapters": Composition(
        _bam_adapters,
        True,
        "frozen attention and feed-forward blocks mixed, each through a d x d linear",
        "routers and linears",
    ),
}
