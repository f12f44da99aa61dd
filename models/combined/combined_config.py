"""What every model made of a seed and its experts is configured by: their shared architecture and names."""

# No `from __future__ import annotations`: transformers reads these classes' annotations as types.

import copy
from dataclasses import field
from typing import Any, ClassVar

from transformers import AutoConfig, PreTrainedConfig

# A stitched model takes these from its hub, or does not need them: experts may differ in them.
NOT_ARCHITECTURE = frozenset(
    {
        "_attn_implementation",
        "_name_or_path",
        "architectures",
        "attention_dropout",
        "bos_token_id",
        "dtype",
        "eos_token_id",
        "initializer_range",
        "pad_token_id",
        "tie_word_embeddings",
        "transformers_version",
        "use_cache",
    }
)


class CombinedConfig(PreTrainedConfig):
    """Shared by the configurations of all combined models.

    base_config: the configuration that seed and experts share (a `PreTrainedConfig`, or its dict).
    expert_names: the experts' names in order; member 0 is the seed.

    Sizes are read from `base_config`. `num_hidden_layers` is what sizes the KV cache and may count more than
    one member's layers; `num_attention_layers` is how many attention layers run for a token.
    """

    sub_configs: ClassVar[dict] = {"base_config": AutoConfig}
    has_no_defaults_at_init: ClassVar[bool] = True
    keys_to_ignore_at_inference: ClassVar[list[str]] = ["past_key_values"]

    base_config: Any = None  # a dict where it comes from config.json, a PreTrainedConfig ever after
    expert_names: list[str] = field(default_factory=list)
    use_cache: bool = True
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None
    pad_token_id: int | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        if self.base_config is None:
            raise ValueError("base_config is missing: give the configuration that seed and experts share")
        if isinstance(self.base_config, dict):
            self.base_config = AutoConfig.for_model(**copy.deepcopy(self.base_config))
        check_names(self.expert_names)
        for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
            if getattr(self, name) is None:
                setattr(self, name, getattr(self.base_config, name, None))
        super().__post_init__(**kwargs)

    @property
    def num_members(self) -> int:
        """n + 1: the seed and its experts."""
        return len(self.expert_names) + 1

    @property
    def num_attention_layers(self) -> int:
        return self.num_members * self.base_config.num_hidden_layers

    @property
    def num_hidden_layers(self) -> int:
        return self.num_attention_layers

    @property
    def vocab_size(self) -> int:
        return self.base_config.vocab_size

    @property
    def hidden_size(self) -> int:
        return self.base_config.hidden_size

    @property
    def num_attention_heads(self) -> int:
        return self.base_config.num_attention_heads

    @property
    def num_key_value_heads(self) -> int:
        return self.base_config.num_key_value_heads

    @property
    def head_dim(self) -> int:
        return self.base_config.head_dim

    @property
    def max_position_embeddings(self) -> int:
        return self.base_config.max_position_embeddings

    @property
    def sliding_window(self) -> int | None:
        return self.base_config.sliding_window


class WholeModelsConfig(CombinedConfig):
    """Configuration of models that keep seed and experts whole, side by side.

    The KV cache has (n+1) L slots for attention, member * L + layer, and one more in which the model notes
    what it needs to know about the tokens it has read.
    """

    @property
    def num_hidden_layers(self) -> int:
        return self.num_attention_layers + 1

    @property
    def layer_types(self) -> list[str]:
        """Attention type of each slot of the cache; the notes of the last one are never dropped."""
        inner = self.base_config
        is_sliding = getattr(inner, "sliding_window", None) is not None
        one_type = "sliding_attention" if is_sliding else "full_attention"
        types = getattr(inner, "layer_types", None) or [one_type] * inner.num_hidden_layers
        return [*(self.num_members * types), "full_attention"]


class EnsembleConfig(WholeModelsConfig):
    """Configuration of `EnsembleForCausalLM`; see `CombinedConfig`."""

    model_type = "expert-ensemble"


class RoutedConfig(WholeModelsConfig):
    """Configuration of `RoutedForCausalLM`; see `CombinedConfig`.

    prefix_tokens: so many first tokens of a text decide who predicts what follows; None: every token decides anew.
    longest_prefix: while training, the router reads from prefix_tokens to so many first tokens.
    """

    model_type = "expert-routing"

    prefix_tokens: int | None = None
    longest_prefix: int = 256

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        if self.prefix_tokens is not None and not 1 <= self.prefix_tokens <= self.longest_prefix:
            raise ValueError(
                f"prefix_tokens is {self.prefix_tokens} and longest_prefix {self.longest_prefix}; allowed: 1 or more, "
                "and a longest_prefix of at least prefix_tokens"
            )


class UpcycledConfig(CombinedConfig):
    """Configuration of `UpcycledForCausalLM`; see `CombinedConfig`.

    mixes_attention: mix attention blocks as well as feed-forward blocks (BAM), or average them (BTX).
    adapters: freeze all blocks and train a d x d linear after each, with the routers (BAM with adapters).
    routing: 'soft' (all experts, weighted by softmax) or 'sampled' (one feed-forward expert a token).
    soft_layers: with 'sampled', so many first layers use soft routing all the same.
    temperature: of the Gumbel-softmax that samples, above 0.
    """

    model_type = "upcycled-experts"

    mixes_attention: bool = False
    adapters: bool = False
    routing: str = "soft"
    soft_layers: int = 1
    temperature: float = 1.0

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        if self.routing not in ("soft", "sampled"):
            raise ValueError(f"routing is {self.routing!r}; allowed: 'soft', 'sampled'")
        if self.soft_layers < 0:
            raise ValueError(f"soft_layers is {self.soft_layers}; allowed: 0 or more")
        if not self.temperature > 0:
            raise ValueError(f"temperature is {self.temperature}; allowed: above 0")

    @property
    def num_attention_layers(self) -> int:
        """L, or (n+1) L where attention blocks are mixed: each keeps keys and values of its own."""
        num_layers = self.base_config.num_hidden_layers
        return self.num_members * num_layers if self.mixes_attention else num_layers

    @property
    def layer_types(self) -> list[str]:
        """Attention type of each slot of the cache; missing where the inner architecture has one type."""
        copies = self.num_attention_layers // self.base_config.num_hidden_layers
        return copies * self.base_config.layer_types


def check_names(names: list[str]) -> None:
    """Raise ValueError unless experts may have these names."""
    if not names:
        raise ValueError("experts is empty: give at least one expert")
    for name in names:
        if not isinstance(name, str) or not name.strip() or name == "hub":
            raise ValueError(
                f"expert name is {name!r}; allowed: any text that is not empty and not 'hub', "
                "which names the hub's own stream"
            )
    if len(set(names)) != len(names):
        raise ValueError(f"expert names are {names}; allowed: each name once")


def check_same_architecture(hub: PreTrainedConfig, expert: PreTrainedConfig, name: str) -> None:
    """Raise ValueError naming the expert, the field and both values where an expert differs from the hub.

    Everything that decides the shape or the arithmetic of a stream must be equal; see `NOT_ARCHITECTURE` for
    what may differ.
    """
    hub_fields = {"model_type": hub.model_type, **hub.to_dict()}
    expert_fields = {"model_type": expert.model_type, **expert.to_dict()}
    for key in [*hub_fields, *(key for key in expert_fields if key not in hub_fields)]:
        if key in NOT_ARCHITECTURE:
            continue
        if hub_fields.get(key) != expert_fields.get(key):
            raise ValueError(
                f"expert {name!r}: {key} is {expert_fields.get(key)!r} but the hub's is "
                f"{hub_fields.get(key)!r}; hub and experts must share architecture, shape and vocabulary"
            )
