"""A hub and frozen experts stitched into one causal language model (BTS, arXiv 2502.00075).

The hub (stream 0) and n experts of the same architecture run side by side. After every floor(L/K) layers a
trained stitch passes hidden states between them (equations in `models.stitched.stitch_layer`); the next token is read
from the hub. Only the K (2n+1) d^2 weights of the stitches train. Experts keep their token embeddings and
layers; their final norms and heads are neither stored nor computed.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from transformers import AutoModel, AutoModelForCausalLM, Cache, DynamicCache, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast
from transformers.utils import can_return_tuple

from models.combined.members import UNSUPPORTED, CombinedForCausalLM
from models.finite import check_finite
from models.stitched import batched_streams
from models.stitched import by_reference as stitched_files
from models.stitched import changing_experts as stitched_experts
from models.stitched import insight as stitched_insight
from models.stitched.model_card import write_model_card
from models.stitched.prefix_cache import Prefix
from models.stitched.stitch_layer import Layout, Stitch, StitchPlace, stitch_places
from models.stitched.stitched_config import StitchedConfig
from models.streams import check_runs_as_streams, language_model_head, number_cache_slots, run_streams


class StitchedForCausalLM(CombinedForCausalLM):
    """Causal LM of a hub, its experts and the stitches between them. Build it with `from_models`."""

    config_class = StitchedConfig
    batched: batched_streams.BatchedStreams | None = None  # what runs while streams are batched

    def __init__(self, config: StitchedConfig) -> None:
        inner = config.base_config
        super().__init__(config)
        self.hub: Any = AutoModelForCausalLM.from_config(inner)
        self.experts = nn.ModuleList([AutoModel.from_config(inner) for _ in config.expert_names])
        layout: Any = config.layout
        self.places: list[StitchPlace] = stitch_places(inner.num_hidden_layers, config.num_stitches, layout)
        self.stitches = nn.ModuleList(self._new_stitches())
        self._no_split_modules = [*(self.hub._no_split_modules or []), Stitch.__name__]
        self.origins: dict[str, str] = {}  # "hub" and experts' names -> the folder that they were loaded from
        self.settle()
        self.post_init()

    @classmethod
    def from_models(
        cls,
        hub: PreTrainedModel,
        experts: Mapping[str, PreTrainedModel],
        num_stitches: int = 4,
        layout: Layout = "alternating",
        gate_dropout: float = 0.1,
        gate_biases: Mapping[str, float] | None = None,
        newest_trains_alone: bool = False,
    ) -> StitchedForCausalLM:
        """Stitch copies of `experts` (name -> causal LM) into a copy of `hub`, leaving all of them untouched.

        The result is on the hub's device and in its dtype, in evaluation mode, with identity projections and
        zero gates: if all experts equal the hub, so do its logits. Uses no random numbers. `gate_biases` and
        `newest_trains_alone` (of the last expert): as `add_expert` leaves them.

        Raises ValueError where an expert differs from the hub in architecture, shape, vocabulary or dtype
        (naming expert, field and both values), where num_stitches is not 1..L, and where the architecture
        cannot be run as a stream.
        """
        check_finite(hub, "hub")
        check_runs_as_streams(hub)
        for name, expert in experts.items():
            stitched_experts.check_fits(hub.config, hub.dtype, name, expert)
        base_config = copy.deepcopy(hub.config)
        base_config._name_or_path = ""  # a saved model does not tell where its hub was
        config = StitchedConfig(
            base_config=base_config,
            expert_names=list(experts),
            num_stitches=num_stitches,
            layout=layout,
            gate_dropout=gate_dropout,
            gate_biases=dict(gate_biases or {}),
            newest_trains_alone=newest_trains_alone,
            dtype=hub.dtype,
        )
        model = cls.on_meta(config, hub)  # the frame only: every weight is replaced below
        model.hub = copy.deepcopy(hub)
        model.experts = nn.ModuleList([copy.deepcopy(expert.base_model) for expert in experts.values()])
        model.stitches = nn.ModuleList([stitch.to(hub.device, hub.dtype) for stitch in model._new_stitches()])
        model.origins = stitched_files.folders_of({"hub": hub, **experts})
        model.settle()
        return model.eval()

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls, folder: str | Path, *args: Any, **kwargs: Any
    ) -> Any:
        """Load as any transformers model does, then freeze what does not train again (loading unfreezes it).

        Hub and experts that are saved elsewhere (`save_pretrained(bundle=False)`) are loaded from there, which
        takes dtype, attn_implementation, output_loading_info and a device_map of one device only. Raises
        ValueError naming the file, and both digests, where one of theirs is missing or has changed.
        """
        config = kwargs.get("config")
        if not isinstance(config, StitchedConfig) and Path(folder).is_dir():
            config = StitchedConfig.from_pretrained(folder)
        if isinstance(config, StitchedConfig) and config.streams_elsewhere is not None:
            return stitched_files.load_from_elsewhere(cls.from_models, Path(folder), config, kwargs)
        return super().from_pretrained(folder, *args, **kwargs)

    def save_pretrained(  # type: ignore[override]
        self, save_directory: str | Path, bundle: bool = True, **kwargs: Any
    ) -> None:
        """Save into one folder: config.json, safetensors, and a README.md.

        bundle: hub and experts are in the folder too. Otherwise only the stitches are, beside the paths of the
        folders that hub and experts were loaded from and the SHA-256 of every safetensors file there; raises
        ValueError where one has no such folder or its weights are not what the folder holds. Weights are written
        file by file, each of at most `max_shard_size`.
        """
        if bundle:
            with batched_streams.apart(self):  # shards are counted by tensors that share no memory
                super().save_pretrained(save_directory, **kwargs)
        else:
            with stitched_files.streams_elsewhere(self) as stitch_weights:
                super().save_pretrained(save_directory, state_dict=stitch_weights, **kwargs)
        if kwargs.get("is_main_process", True):
            write_model_card(self, save_directory, bundle)

    def drop_expert(self, name: str) -> None:
        """Take an expert out, in place and without training: as if its gate logits into the hub were -inf.

        The softmax over the streams that are left renormalises by itself. Its weights are released, and caches
        made before do not fit any more. Where it is the newest and trains alone, the other stitch weights train
        again. Make a new optimizer afterwards. Raises ValueError for an unknown name and for the last expert.
        """
        with batched_streams.apart(self):
            stitched_experts.drop_expert(self, name)

    def add_expert(self, name: str, model: PreTrainedModel, gate_bias: float | None = None) -> None:
        """Append a copy of `model` as an expert, in place; only its own stitch weights train from now on.

        At every stitch it gets an identity projection and a zero gate. `gate_bias` is added to its gate logits
        where experts go into the hub, for good. With zero gates elsewhere -4 leaves the new expert
        e^-4 / (e^-4 + number of streams before) of the mix, below 1%, so that the output hardly changes until
        it is trained. Make a new optimizer afterwards. `train_all_stitches` ends training alone.
        Raises ValueError where the name is taken or the model does not fit, as `from_models`.
        """
        with batched_streams.apart(self):
            stitched_experts.add_expert(self, name, model, gate_bias)

    def train_all_stitches(self) -> None:
        """Let all stitch weights train, after `add_expert`. Make a new optimizer afterwards."""
        stitched_experts.train_all_stitches(self)

    def batch_streams(self, on: bool = True) -> None:
        """From now on run all n+1 streams of a layer in one batched product, or one after the other (False).

        For inference, mostly decoding, which is bound by the number of calls. Equal up to rounding; so are the
        ways to generate. The layers' weights become views of stacked ones, (n+1, out, in) for a linear layer:
        there is no second copy, beyond one weight of all streams for a moment. The KV cache then has L slots of
        (batch, (n+1) key-value heads, length, head_dim) and fits this mode only. Saving, dropping and adding
        experts and moving the whole model keep the mode; copies of the model start without it.

        Raises ValueError for streams on several devices and for layers that hold more than linear layers and
        norms or mix up batched streams; a forward pass then refuses training mode, and `prefix`.
        """
        batched_streams.batch_streams(self, on)

    def settle(self) -> None:
        """Make loose base models into streams: one configuration, own cache slots, no norms of experts, frozen."""
        for stream, decoder in enumerate(self.decoders()):
            if stream:
                decoder.norm = nn.Identity()
            number_cache_slots(decoder, stream, self.config.base_config.num_hidden_layers)
        super().settle()

    def freeze(self) -> None:
        """Freeze hub and experts; of each stitch let train what trains."""
        super().freeze()
        for stitch in self.stitches_by_layer().values():
            stitch.set_trainable()

    @property
    def num_trainable(self) -> int:
        """Number of weights that train: K (2n+1) d^2, or 2 K d^2 while the newest expert trains alone."""
        return sum(parameter.numel() for parameter in self.stitch_parameters())

    def stitch_parameters(self) -> list[nn.Parameter]:
        """Everything that trains: the stitches' weights, or after `add_expert` the new expert's in them."""
        return [parameter for parameter in self.stitches.parameters() if parameter.requires_grad]

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
        prefix: Prefix | None = None,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """Logits (batch, length, vocabulary) of the hub's stream, and next-token cross-entropy given labels.

        `labels` (batch, length) are not shifted; -100 is left out of the loss. The cache holds (n+1) L slots,
        slot stream * L + layer. `logits_to_keep` > 0 gives the last positions only. `prefix`: states of these
        input_ids that no trainable weight reaches, from `models.stitched.prefix_cache.PrefixCache`; it goes without KV
        cache. Further keyword arguments go to the decoder layers and the loss, as in transformers' own models.
        """
        for name in UNSUPPORTED:
            if kwargs.pop(name, None):
                raise ValueError(f"{name} is given; allowed: to omit it, since there are several streams")
        if prefix is not None and (use_cache or past_key_values is not None):
            raise ValueError(
                "prefix is given with a KV cache; allowed: use_cache=False and no past_key_values"
            )
        if use_cache is None:
            use_cache = self.config.use_cache and not self.training and prefix is None
        if use_cache and past_key_values is None:
            past_key_values = DynamicCache(config=self.config)
        decoders, stitches = batched_streams.as_run(self, prefix, past_key_values)
        states = run_streams(
            decoders,
            stitches,
            input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            use_cache=use_cache,
            known=None if prefix is None else prefix.known,
            **kwargs,
        )
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        hidden = states[0][:, kept, : self.config.hidden_size]  # batched streams lie side by side, hub first
        logits = language_model_head(self.hub, hidden)
        loss = None
        if labels is not None:
            loss = self.loss_function(
                logits=logits, labels=labels, vocab_size=self.config.vocab_size, **kwargs
            )
        return CausalLMOutputWithPast(loss=loss, logits=logits, past_key_values=past_key_values)

    def gate_statistics(
        self, input_ids: Tensor, attention_mask: Tensor | None = None
    ) -> list[dict[str, Any]]:
        """How much each stream passes on at each stitch: see `models.stitched.insight.gate_statistics`."""
        return stitched_insight.gate_statistics(self, input_ids, attention_mask)

    def token_contributions(
        self, input_ids: Tensor, attention_mask: Tensor | None = None
    ) -> dict[int, Tensor]:
        """Contribution of each stream to each token: see `models.stitched.insight.token_contributions`."""
        return stitched_insight.token_contributions(self, input_ids, attention_mask)

    def leave_one_out(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> dict[str, Tensor]:
        """What each expert is worth at each token: see `models.stitched.insight.leave_one_out`."""
        return stitched_insight.leave_one_out(self, input_ids, attention_mask)

    def get_input_embeddings(self) -> nn.Module:
        """The hub's token embeddings; every expert has its own beside them."""
        return self.hub.get_input_embeddings()

    def get_output_embeddings(self) -> nn.Module:
        return self.hub.get_output_embeddings()

    def _init_weights(self, module: nn.Module) -> None:
        # Hub and experts initialise themselves as their own architecture does.
        if isinstance(module, Stitch):
            module.reset_parameters()

    def _apply(self, *args: Any, **kwargs: Any) -> Any:
        with batched_streams.apart(self):  # a change of device or dtype replaces every weight by itself
            return super()._apply(*args, **kwargs)

    def decoders(self) -> list[Any]:
        """The streams' base models, hub first."""
        return [self.hub.base_model, *self.experts]

    def stitches_by_layer(self) -> dict[int, Stitch]:
        """Number of layers -> the stitch that follows them."""
        pairs: Iterator[tuple[StitchPlace, Any]] = zip(self.places, self.stitches, strict=True)
        return {place.layer: stitch for place, stitch in pairs}

    def _new_stitches(self) -> Sequence[Stitch]:
        config = self.config
        biases = [0.0, *(config.gate_biases.get(name, 0.0) for name in config.expert_names)]
        sizes = (config.hidden_size, len(config.expert_names), config.gate_dropout)
        return [Stitch(place.kind, *sizes, biases, config.newest_trains_alone) for place in self.places]
