"""A hub and frozen experts stitched into one causal language model (BTS, arXiv 2502.00075).

The hub (stream 0) and n experts of the same architecture run side by side. After every floor(L/K) layers a
trained stitch passes hidden states between them (equations in `models.stitch_layer`); the next token is read
from the hub. Only the K (2n+1) d^2 weights of the stitches train. Experts keep their token embeddings and
layers; their final norms and heads are neither stored nor computed.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoModel,
    AutoModelForCausalLM,
    Cache,
    DynamicCache,
    GenerationMixin,
    PreTrainedModel,
)
from transformers.modeling_outputs import CausalLMOutputWithPast
from transformers.utils import can_return_tuple

from models.model_card import write_model_card
from models.stitch_layer import Layout, Stitch, StitchPlace, stitch_places
from models.stitched_config import StitchedConfig, check_same_architecture
from models.streams import check_runs_as_streams, language_model_head, number_cache_slots, run_streams

UNSUPPORTED = ("inputs_embeds", "output_attentions", "output_hidden_states")
ATTENTION_SUPPORT = (
    "_supports_attention_backend",
    "_supports_flash_attn",
    "_supports_flex_attn",
    "_supports_sdpa",
)


class StitchedForCausalLM(PreTrainedModel, GenerationMixin):
    """Causal LM of a hub, its experts and the stitches between them. Build it with `from_models`."""

    config_class = StitchedConfig
    supports_gradient_checkpointing = True

    def __init__(self, config: StitchedConfig) -> None:
        inner = config.base_config
        # By these transformers picks the attention to run: what the inner architecture can do decides.
        for flag in ATTENTION_SUPPORT:
            setattr(self, flag, getattr(MODEL_FOR_CAUSAL_LM_MAPPING[type(inner)], flag))
        super().__init__(config)
        num_experts = len(config.expert_names)
        self.hub: Any = AutoModelForCausalLM.from_config(inner)
        self.experts = nn.ModuleList([AutoModel.from_config(inner) for _ in range(num_experts)])
        self.places: list[StitchPlace] = stitch_places(
            inner.num_hidden_layers,
            config.num_stitches,
            config.layout,  # type: ignore[arg-type]
        )
        self.stitches = nn.ModuleList(
            [Stitch(place.kind, inner.hidden_size, num_experts, config.gate_dropout) for place in self.places]
        )
        self._settle()
        self.post_init()

    @classmethod
    def from_models(
        cls,
        hub: PreTrainedModel,
        experts: Mapping[str, PreTrainedModel],
        num_stitches: int = 4,
        layout: Layout = "alternating",
        gate_dropout: float = 0.1,
    ) -> StitchedForCausalLM:
        """Stitch copies of `experts` (name -> causal LM) into a copy of `hub`, leaving all of them untouched.

        The result is on the hub's device and in its dtype, in evaluation mode, with identity projections and
        zero gates: if all experts equal the hub, so do its logits. Uses no random numbers.

        Raises ValueError where an expert differs from the hub in architecture, shape, vocabulary or dtype
        (naming expert, field and both values), where num_stitches is not 1..L, and where the architecture
        cannot be run as a stream.
        """
        check_runs_as_streams(hub)
        for name, expert in experts.items():
            check_same_architecture(hub.config, expert.config, name)
            if expert.dtype != hub.dtype:
                raise ValueError(
                    f"expert {name!r}: dtype is {expert.dtype} but the hub's is {hub.dtype}; "
                    "hub and experts must share it"
                )
        config = StitchedConfig(
            base_config=copy.deepcopy(hub.config),
            expert_names=list(experts),
            num_stitches=num_stitches,
            layout=layout,
            gate_dropout=gate_dropout,
            dtype=hub.dtype,
        )
        config._attn_implementation = hub.config._attn_implementation
        with torch.device("meta"):  # the frame only: every weight is replaced below
            model = cls(config)
        model.hub = copy.deepcopy(hub)
        model.experts = nn.ModuleList([copy.deepcopy(expert.base_model) for expert in experts.values()])
        model.stitches = nn.ModuleList(
            [
                Stitch(place.kind, config.hidden_size, len(experts), gate_dropout).to(hub.device, hub.dtype)
                for place in model.places
            ]
        )
        model._settle()
        model.generation_config = copy.deepcopy(hub.generation_config)
        return model.eval()

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
        """Load as any transformers model does, then freeze hub and experts again (loading unfreezes)."""
        loaded = super().from_pretrained(*args, **kwargs)
        model = loaded[0] if isinstance(loaded, tuple) else loaded  # output_loading_info=True gives a pair
        model._freeze_streams()
        return loaded

    def save_pretrained(self, save_directory: str | Path, **kwargs: Any) -> None:  # type: ignore[override]
        """Save hub, experts and stitches into one folder: config.json, safetensors, and a README.md."""
        super().save_pretrained(save_directory, **kwargs)
        if kwargs.get("is_main_process", True):
            write_model_card(self, save_directory)

    @property
    def num_trainable(self) -> int:
        """Number of weights that train: K (2n+1) d^2."""
        return sum(parameter.numel() for parameter in self.stitch_parameters())

    def stitch_parameters(self) -> list[nn.Parameter]:
        """The stitches' weights: everything that trains."""
        return list(self.stitches.parameters())

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
        """Logits (batch, length, vocabulary) of the hub's stream, and next-token cross-entropy given labels.

        `labels` (batch, length) are not shifted; -100 is left out of the loss. The cache holds (n+1) L slots,
        slot stream * L + layer. `logits_to_keep` > 0 gives the last positions only. Further keyword arguments
        go to the decoder layers and the loss, as in transformers' own models.
        """
        for name in UNSUPPORTED:
            if kwargs.pop(name, None):
                raise ValueError(f"{name} is given; allowed: to omit it, since there are several streams")
        if use_cache is None:
            use_cache = self.config.use_cache and not self.training
        if use_cache and past_key_values is None:
            past_key_values = DynamicCache(config=self.config)
        states = run_streams(
            self._decoders(),
            {place.layer: stitch for place, stitch in zip(self.places, self.stitches, strict=True)},
            input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            use_cache=use_cache,
            **kwargs,
        )
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = language_model_head(self.hub, states[0][:, kept])
        loss = None
        if labels is not None:
            loss = self.loss_function(
                logits=logits, labels=labels, vocab_size=self.config.vocab_size, **kwargs
            )
        return CausalLMOutputWithPast(loss=loss, logits=logits, past_key_values=past_key_values)

    @torch.no_grad()
    def gate_statistics(
        self, input_ids: Tensor, attention_mask: Tensor | None = None
    ) -> list[dict[str, Any]]:
        """How much each stream passes on at each stitch, over the tokens of `input_ids` (batch, length).

        One dict a stitch and gated stream: `stitch` (from 0), `layer`, `kind`, `stream` ("hub" or the
        expert's name), `gate_mean` over tokens and channels, `gate_std` over channels (per token, then
        averaged), and `contribution`, the mean over tokens of ||g_i * p_i||. At experts-into-hub that is what
        stream i brings into the hub, with p_0 = h0; at hub-into-experts what the hub brings into expert i,
        ||g_i * (W_i h0)||. The contribution is there because a projection can rescale what its gate lets
        through. Dropout is off and padding (attention_mask 0) is left out.
        """
        keep = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        seen: list[list[Tensor]] = []
        hooks = [
            stitch.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
            for stitch in self.stitches
        ]
        was_training = self.training
        self.eval()
        try:
            self(input_ids=input_ids, attention_mask=attention_mask, use_cache=False, logits_to_keep=1)
            rows = [self._statistics_of(index, states, keep.bool()) for index, states in enumerate(seen)]
        finally:
            self.train(was_training)
            for hook in hooks:
                hook.remove()
        return [row for rows_of_stitch in rows for row in rows_of_stitch]

    def _statistics_of(self, index: int, states: list[Tensor], keep: Tensor) -> list[dict[str, Any]]:
        names = ["hub", *self.config.expert_names]
        stitch: Any = self.stitches[index]
        gates, messages = stitch.gates_and_messages(states)
        rows = []
        for name, gate, message in zip(names[-len(gates) :], gates, messages, strict=True):
            kept_gate = gate[keep].float()
            kept_message = message[keep].float()
            rows.append(
                {
                    "stitch": index,
                    "layer": self.places[index].layer,
                    "kind": self.places[index].kind,
                    "stream": name,
                    "gate_mean": kept_gate.mean().item(),
                    "gate_std": kept_gate.std(dim=-1, correction=0).mean().item(),
                    "contribution": (kept_gate * kept_message).norm(dim=-1).mean().item(),
                }
            )
        return rows

    def get_input_embeddings(self) -> nn.Module:
        """The hub's token embeddings; every expert has its own beside them."""
        return self.hub.get_input_embeddings()

    def get_output_embeddings(self) -> nn.Module:
        return self.hub.get_output_embeddings()

    def _init_weights(self, module: nn.Module) -> None:
        # Hub and experts initialise themselves as their own architecture does.
        if isinstance(module, Stitch):
            module.reset_parameters()

    def _decoders(self) -> list[PreTrainedModel]:
        return [self.hub.base_model, *self.experts]

    def _settle(self) -> None:
        """Make loose base models into streams of this model: one configuration, own cache slots, frozen."""
        for expert in self.experts:
            expert.norm = nn.Identity()
        for stream, decoder in enumerate(self._decoders()):
            number_cache_slots(decoder, stream, self.config.base_config.num_hidden_layers)
        for module in [*self.hub.modules(), *self.experts.modules()]:
            if hasattr(module, "config"):
                module.config = self.config.base_config
        self._freeze_streams()

    def _freeze_streams(self) -> None:
        self.hub.requires_grad_(False)
        self.experts.requires_grad_(False)
