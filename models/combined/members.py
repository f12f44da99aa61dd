"""What all models made of a seed and its experts share: which members they take, loading, what trains."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Self, TypeVar

import torch
from torch import nn
from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, GenerationMixin, PreTrainedModel

from models.combined.combined_config import CombinedConfig, check_same_architecture
from models.finite import check_finite
from models.streams import check_runs_as_streams

ATTENTION_SUPPORT = (
    "_supports_attention_backend",
    "_supports_flash_attn",
    "_supports_flex_attn",
    "_supports_sdpa",
)
UNSUPPORTED = ("inputs_embeds", "output_attentions", "output_hidden_states")  # where models run side by side
AnyConfig = TypeVar("AnyConfig", bound=CombinedConfig)


class CombinedForCausalLM(PreTrainedModel, GenerationMixin):
    """Base of the combined models: a subclass holds its members as modules and says what trains."""

    config_class = CombinedConfig
    supports_gradient_checkpointing = True
    frozen_pass_gradients = True  # False where gradients never flow through frozen weights

    def __init__(self, config: CombinedConfig) -> None:
        # By these transformers picks the attention to run: what the inner architecture can do decides.
        for flag in ATTENTION_SUPPORT:
            setattr(self, flag, getattr(MODEL_FOR_CAUSAL_LM_MAPPING[type(config.base_config)], flag))
        super().__init__(config)

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
        """Load as any transformers model does, then freeze what does not train (loading unfreezes)."""
        loaded = super().from_pretrained(*args, **kwargs)
        model = loaded[0] if isinstance(loaded, tuple) else loaded  # output_loading_info=True gives a pair
        model.freeze()
        return loaded

    @classmethod
    def on_meta(cls, config: CombinedConfig, seed: PreTrainedModel) -> Self:
        """The frame of a model, without weights, with the seed's attention and generation settings."""
        config._attn_implementation = seed.config._attn_implementation
        with torch.device("meta"):
            model = cls(config)
        model.generation_config = copy.deepcopy(seed.generation_config)
        return model

    def freeze(self) -> None:
        """Let only what this kind of model trains require a gradient."""
        self.requires_grad_(False)

    def settle(self) -> None:
        """Give all inner modules this model's configuration of them, tie their weights' names, and freeze."""
        for module in self.modules():
            if module is not self and hasattr(module, "config"):
                module.config = self.config.base_config
        self.all_tied_weights_keys = self.get_expanded_tied_weights_keys(all_submodels=True)
        self.freeze()

    def _init_weights(self, module: nn.Module) -> None:
        """Nothing: members initialise themselves, and what is added starts at zero or the identity."""


def config_of(
    config_class: type[AnyConfig],
    seed: PreTrainedModel,
    experts: Mapping[str, PreTrainedModel],
    **options: Any,
) -> AnyConfig:
    """Configuration for copies of `seed` and `experts`, once they are found fit to be combined.

    Raises ValueError where an expert differs from the seed in architecture, shape, vocabulary, dtype or tying
    (naming expert, field and both values), and where the architecture cannot be run as a stream.
    """
    check_members(seed, experts)
    check_runs_as_streams(seed)
    return config_class(
        base_config=copy.deepcopy(seed.config), expert_names=list(experts), dtype=seed.dtype, **options
    )


def check_members(seed: PreTrainedModel, experts: Mapping[str, PreTrainedModel]) -> None:
    """Raise ValueError naming the expert, the field and both values where an expert differs from the seed.

    And naming the model and the weight, where one is NaN or infinite.
    """
    check_finite(seed, "seed")
    for name, expert in experts.items():
        check_same_architecture(seed.config, expert.config, name)
        for field, theirs, ours in (
            ("dtype", expert.dtype, seed.dtype),
            ("tie_word_embeddings", expert.config.tie_word_embeddings, seed.config.tie_word_embeddings),
        ):
            if theirs != ours:
                raise ValueError(
                    f"expert {name!r}: {field} is {theirs} but the seed's is {ours}; "
                    "seed and experts must share it"
                )
        check_finite(expert, name)
