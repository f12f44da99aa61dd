"""Seed and experts whole and frozen, side by side, with notes on what was read kept in the KV cache."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, Cache, DynamicCache, PreTrainedModel

from models.combined.combined_config import WholeModelsConfig
from models.combined.members import UNSUPPORTED, CombinedForCausalLM, config_of
from models.streams import number_cache_slots, run_streams


class WholeModelsForCausalLM(CombinedForCausalLM):
    """Base of the models whose members run whole: `members[0]` is the seed."""

    config_class = WholeModelsConfig
    frozen_pass_gradients = False

    def __init__(self, config: WholeModelsConfig) -> None:
        super().__init__(config)
        self.members = nn.ModuleList(
            [AutoModelForCausalLM.from_config(config.base_config) for _ in range(config.num_members)]
        )
        self.add_trained_weights()
        self.post_init()
        self.settle()

    @classmethod
    def from_models(
        cls, seed: PreTrainedModel, experts: Mapping[str, PreTrainedModel], **options: Any
    ) -> Self:
        """Combine copies of `seed` and `experts` (name -> causal LM), leaving all of them untouched.

        `options` are those of the kind's configuration.
        The result is on the seed's device and in its dtype, in evaluation mode. Uses no random numbers.
        Raises ValueError as `models.combined.members.config_of` does.
        """
        model = cls.on_meta(config_of(cls.config_class, seed, experts, **options), seed)
        model.members = nn.ModuleList([copy.deepcopy(member) for member in [seed, *experts.values()]])
        model.add_trained_weights(device=seed.device, dtype=seed.dtype)
        model.settle()
        return model.eval()

    def add_trained_weights(self, **where: Any) -> None:
        """Add what the model has beside its members, at its start, on a device and in a dtype."""

    def settle(self) -> None:
        """Beside what every combined model does, give each member's layers cache slots of their own."""
        for index, member in enumerate(self.members):
            number_cache_slots(member.base_model, index, self.config.base_config.num_hidden_layers)
        super().settle()

    @torch.no_grad()
    def last_states(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None,
        past_key_values: Cache | None,
        **kwargs: Any,
    ) -> list[Tensor]:
        """Each member's last hidden states before its final norm, (batch, length, d), without gradients."""
        for name in UNSUPPORTED:
            if kwargs.pop(name, None):
                raise ValueError(f"{name} is given; allowed: to omit it, since there are several models")
        decoders = [member.base_model for member in self.members]
        return run_streams(decoders, {}, input_ids, attention_mask, past_key_values=past_key_values, **kwargs)

    def cache_for(self, past_key_values: Cache | None, use_cache: bool | None) -> DynamicCache | None:
        """The cache to use: the one given, a new one, or none. ValueError for one that cannot hold notes."""
        if past_key_values is not None and not isinstance(past_key_values, DynamicCache):
            raise ValueError(
                f"past_key_values is a {type(past_key_values).__name__}; allowed: a DynamicCache, since notes "
                "on the tokens read are kept with it"
            )
        if use_cache is None:
            use_cache = self.config.use_cache and not self.training
        if past_key_values is None and use_cache:
            return DynamicCache(config=self.config)
        return past_key_values

    def notes(self, cache: DynamicCache | None) -> tuple[Tensor, Tensor] | None:
        """What `note` wrote for the tokens in the cache, or None before the first."""
        slot = self.config.num_attention_layers
        if cache is None or cache.get_seq_length() == 0:
            return None
        if cache.get_seq_length(slot) != cache.get_seq_length():
            raise ValueError(
                f"past_key_values holds {cache.get_seq_length()} tokens that {type(self).__name__} has not "
                "read; allowed: a cache that this model filled"
            )
        layer: Any = cache.layers[slot]
        return layer.keys, layer.values

    def note(self, cache: DynamicCache | None, first: Tensor, second: Tensor) -> None:
        """Keep two tensors (batch, any, length, any) about the tokens just read, as one layer's cache."""
        if cache is not None:
            cache.update(first, second, self.config.num_attention_layers)

    def get_input_embeddings(self) -> nn.Module:
        """The seed's token embeddings; every expert has its own beside them."""
        seed: Any = self.members[0]
        return seed.get_input_embeddings()

    def get_output_embeddings(self) -> nn.Module:
        seed: Any = self.members[0]
        return seed.get_output_embeddings()


def token_mask(input_ids: Tensor, attention_mask: Any, num_seen: int) -> Tensor:
    """(batch, num_seen + length) of booleans: which tokens are text. Raises ValueError for another shape."""
    batch, length = input_ids.shape
    if attention_mask is None:
        return torch.ones(batch, num_seen + length, dtype=torch.bool, device=input_ids.device)
    if not isinstance(attention_mask, Tensor) or attention_mask.shape != (batch, num_seen + length):
        given = tuple(attention_mask.shape) if isinstance(attention_mask, Tensor) else type(attention_mask)
        raise ValueError(
            f"attention_mask is {given}; allowed: (batch, tokens in the cache and given) = "
            f"{(batch, num_seen + length)}, since padding must be told from text"
        )
    return attention_mask.bool()


def kept_positions(logits_to_keep: int | Tensor) -> slice | Tensor:
    """Positions whose logits are wanted: the last `logits_to_keep`, all for 0, or those given."""
    return slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
