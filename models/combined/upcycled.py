"""A seed and its experts as one model whose blocks are mixtures: BTX, BAM, and BAM with adapters.

Branch-Train-MiX (BTX, arXiv 2403.07816): the feed-forward blocks of the n+1 members become experts of a
mixture with a linear router a layer; all other weights are averaged. BAM (arXiv 2408.08274): attention blocks
too. Which trains is as in the BTS paper's comparison (arXiv 2502.00075, section 3.3): 'the entire MoE' for BTX
and BAM; for BAM with adapters only routers and adapters, a d x d linear after each expert's block (equation 5
there), everything else being frozen.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, Cache, DynamicCache, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast
from transformers.utils import can_return_tuple

from models.averaging import uniform_soup
from models.combined.combined_config import UpcycledConfig
from models.combined.members import CombinedForCausalLM, config_of
from models.combined.mixture_blocks import (
    MixtureOfAttentions,
    MixtureOfBlocks,
    MixtureOfFeedForwards,
    SampledFeedForwards,
)

BLOCKS = ("self_attn", "mlp")


class UpcycledForCausalLM(CombinedForCausalLM):
    """Causal LM with a mixture of the members' blocks in every layer. Build it with `from_models`."""

    config_class = UpcycledConfig

    def __init__(self, config: UpcycledConfig) -> None:
        super().__init__(config)
        self.mixed: Any = AutoModelForCausalLM.from_config(config.base_config)
        mix_blocks(self.mixed, [self.mixed] * config.num_members, config)
        self.post_init()
        self.settle()

    @classmethod
    def from_models(
        cls, seed: PreTrainedModel, experts: Mapping[str, PreTrainedModel], **options: Any
    ) -> UpcycledForCausalLM:
        """Upcycle copies of `seed` and `experts` (name -> causal LM), leaving all of them untouched.

        `options` are those of `UpcycledConfig`. The result is on the seed's device and in its dtype, in
        evaluation mode; its routers are zero and its adapters identities, so that experts equal to the seed
        give the seed's logits. Uses no random numbers. Raises ValueError as `models.combined.members.config_of` does,
        and for layers that are not made of `self_attn` and `mlp`.
        """
        config = config_of(UpcycledConfig, seed, experts, **options)
        decoder: Any = seed.base_model
        for layer in decoder.layers:
            missing = [block for block in BLOCKS if not hasattr(layer, block)]
            if missing:
                raise ValueError(
                    f"hub is a {type(seed).__name__}, whose layers have no {', '.join(missing)}; allowed: "
                    f"layers made of {' and '.join(BLOCKS)}"
                )
        model = cls.on_meta(config, seed)
        model.mixed = uniform_soup([seed, *experts.values()])
        mix_blocks(model.mixed, [seed, *experts.values()], config, device=seed.device, dtype=seed.dtype)
        model.settle()
        return model.eval()

    def freeze(self) -> None:
        """With adapters only routers and adapters train, else everything does."""
        self.requires_grad_(not self.config.adapters)
        for mixture in self.mixtures():
            mixture.router.requires_grad_(True)
            if mixture.adapters is not None:
                mixture.adapters.requires_grad_(True)

    def mixtures(self) -> list[MixtureOfBlocks]:
        """The mixtures of all layers, in order."""
        return [module for module in self.modules() if isinstance(module, MixtureOfBlocks)]

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """Logits (batch, length, vocabulary), and next-token cross-entropy given labels (batch, length).

        `labels` are not shifted; -100 is left out of the loss. The cache holds L slots, or (n+1) L where
        attention blocks are mixed, slot member * L + layer.
        """
        if kwargs.pop("output_attentions", None):
            raise ValueError("output_attentions is given; allowed: to omit it")
        if use_cache is None:
            use_cache = self.config.use_cache and not self.training
        if use_cache and past_key_values is None:
            past_key_values = DynamicCache(config=self.config)
        return self.mixed(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            labels=labels,
            use_cache=use_cache,
            logits_to_keep=logits_to_keep,
            **kwargs,
        )

    def get_input_embeddings(self) -> nn.Module:
        return self.mixed.get_input_embeddings()

    def get_output_embeddings(self) -> nn.Module:
        return self.mixed.get_output_embeddings()


@torch.no_grad()
def mix_blocks(model: Any, members: Sequence[Any], config: UpcycledConfig, **where: Any) -> None:
    """Put mixtures of copies of the members' blocks in the place of `model`'s own, layer by layer."""
    num_layers = config.base_config.num_hidden_layers
    for index, layer in enumerate(model.base_model.layers):
        parts = [member.base_model.layers[index] for member in members]
        feed_forwards = [copy.deepcopy(part.mlp) for part in parts]
        if config.routing == "sampled" and index >= config.soft_layers:
            mlp: MixtureOfBlocks = SampledFeedForwards(
                feed_forwards, config.hidden_size, config.adapters, config.temperature, **where
            )
        else:
            mlp = MixtureOfFeedForwards(feed_forwards, config.hidden_size, config.adapters, **where)
        layer.mlp = mlp
        if config.mixes_attention:
            attentions = [copy.deepcopy(part.self_attn) for part in parts]
            for member, attention in enumerate(attentions):
                attention.layer_idx = member * num_layers + index
            layer.self_attn = MixtureOfAttentions(attentions, config.hidden_size, config.adapters, **where)
