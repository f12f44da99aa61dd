"""All streams of a stitched model in one call a layer: stacked weights, batched products, for inference.

The n+1 streams become one decoder of width (n+1) d. Its hidden states are (batch, length, (n+1) d), stream by
stream along the last axis, so that to the attention the streams are just (n+1) times as many heads: transformers'
layers, masks, rotary embedding and KV caches are used as they are. Every linear layer multiplies each stream's
part by that stream's weights, all streams in one batched product; every norm normalises each stream's part.
That pays in decoding, which is bound by the number of calls. Long prompts are slower than in sequential streams on
a CPU, whose cache a wider state leaves.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Cache

from models.stitched.prefix_cache import Prefix
from models.stitched.stitch_layer import Stitch
from models.stitched.stitched_parts import StitchedParts
from models.streams import linear_by_stream, run_streams

StitchesByLayer = Mapping[int, Callable[[list[Tensor]], list[Tensor]]]


class StreamLinear(nn.Module):
    """The linear layers of all S streams at one place: (.., S in) -> (.., S out), stream by stream."""

    def __init__(self, linears: Sequence[Any]) -> None:
        super().__init__()
        self.weight = _stacked([linear.weight for linear in linears])
        biases = [linear.bias for linear in linears]
        self.bias = None if biases[0] is None else _stacked(biases)

    def forward(self, states: Tensor) -> Tensor:
        return linear_by_stream(states, self.weight, self.bias)


class StreamNorm(nn.Module):
    """The norms of all S streams at one place, by the architecture's own formula.

    Norms over a stream's whole width find the streams along the last axis, norms over one head among the heads,
    which are the last axis but one or (after a transposition) but two. Which of them is read off the first states
    that pass, whose length must not be a multiple of S.
    """

    def __init__(self, norms: Sequence[Any]) -> None:
        super().__init__()
        self.weights = _stacked([norm.weight for norm in norms])
        self.norm: Any = copy.deepcopy(norms[0])
        self.axis = 0  # not known yet

    def forward(self, states: Tensor) -> Tensor:
        num_streams, width = self.weights.shape
        if not self.axis:
            among_heads = -2 if states.shape[-2] % num_streams == 0 else -3
            self.axis = among_heads if states.shape[-1] == width else -1
            shape = (num_streams, *[1] * (-self.axis - 1), width)
            self.norm.weight = nn.Parameter(self.weights.view(shape), requires_grad=False)
        by_stream = states.unflatten(self.axis, (num_streams, -1))
        return self.norm(by_stream).flatten(self.axis - 1, self.axis)


class BatchedStreams:
    """The streams `decoders` (hub first) as one decoder that `run_streams` takes.

    Their weights become views of the stacked ones, so that there is no second copy of them; `own_weights` undoes
    it. KV cache: slots 0 to L-1, each (batch, (n+1) key-value heads, length, head_dim). Raises ValueError where a
    layer holds parameters that are neither a linear layer's nor the one weight vector of a norm.
    """

    def __init__(self, decoders: Sequence[Any]) -> None:
        for name, modules in _modules_by_place(decoders):
            _check_can_stack(name, modules[0])
        self.decoders = list(decoders)
        self.config = decoders[0].config
        self.rotary_emb = decoders[0].rotary_emb
        self.layers = [
            _stack_layer([decoder.layers[index] for decoder in decoders])
            for index in range(self.config.num_hidden_layers)
        ]
        firsts = [next(layer.parameters()) for decoder in decoders for layer in decoder.layers]
        self._places = [(weight, weight.data_ptr()) for weight in firsts]

    def embed_tokens(self, input_ids: Tensor) -> Tensor:
        """Each stream's own embeddings of (batch, length), side by side: (batch, length, (n+1) d)."""
        return torch.cat([decoder.embed_tokens(input_ids) for decoder in self.decoders], dim=-1)

    def check_current(self) -> None:
        """Raise ValueError where a stream's weights are no longer the stacked ones."""
        if torch.compiler.is_compiling():  # addresses mean nothing while a graph is traced
            return
        if any(weight.data_ptr() != place for weight, place in self._places):
            raise ValueError(
                "a stream's weights were moved or replaced after batch_streams(); allowed: to move the whole "
                "model, or batch_streams() again"
            )

    def __reduce__(self) -> tuple[Any, ...]:
        # Weights that are copied are no views any more, so a copy of the model starts without.
        return type(None), ()


def batch_streams(model: StitchedParts, on: bool) -> None:
    """See `StitchedForCausalLM.batch_streams`."""
    decoders = model.decoders()
    if model.batched is not None:
        model.batched = None
        _own_weights(decoders)
    if not on:
        return
    devices = {weight.device for decoder in decoders for weight in decoder.parameters()}
    if len(devices) > 1 or next(iter(devices)).type == "meta":
        raise ValueError(
            f"the streams are on {', '.join(sorted(map(str, devices)))}; allowed for batched streams: all on one "
            "device"
        )
    batched = BatchedStreams(decoders)
    try:
        _check_equals_sequential(model, batched)
    except ValueError:
        del batched
        _own_weights(decoders)
        raise
    model.batched = batched


@contextmanager
def apart(model: StitchedParts) -> Iterator[None]:
    """Every stream with weights of its own while this lasts; batched again afterwards if it was before."""
    was_batched = model.batched is not None
    batch_streams(model, False)
    try:
        yield
    finally:
        if was_batched:
            batch_streams(model, True)


def as_run(
    model: StitchedParts, prefix: Prefix | None, cache: Cache | None
) -> tuple[list[Any], StitchesByLayer]:
    """The decoders and the stitches by layer that a forward pass of the model runs.

    Raises ValueError for a cache that was filled in the other mode, and in batched mode for training, for a
    prefix and for weights that were moved.
    """
    batched = model.batched
    _check_cache(cache, model.config, batched is not None)
    if batched is None:
        return model.decoders(), model.stitches_by_layer()
    given = "the model is in training mode" if model.training else "prefix is given"
    if model.training or prefix is not None:
        raise ValueError(f"{given} while streams are batched; allowed: batch_streams(False) before")
    batched.check_current()
    return [batched], _batched_stitches(model)


def _batched_stitches(model: StitchedParts) -> StitchesByLayer:
    return {layer: functools.partial(_through, stitch) for layer, stitch in model.stitches_by_layer().items()}


def _through(stitch: Stitch, states: list[Tensor]) -> list[Tensor]:
    return [stitch.pass_side_by_side(states[0])]


def _check_cache(cache: Cache | None, config: Any, is_batched: bool) -> None:
    first: list[Any] = [] if cache is None else cache.layers[:1]
    of_one = config.num_key_value_heads
    of_other_mode = of_one if is_batched else of_one * config.num_members
    for layer in first:
        if layer.is_initialized and layer.keys.ndim == 4 and layer.keys.shape[1] == of_other_mode:
            raise ValueError(
                f"past_key_values was filled {'without' if is_batched else 'with'} batched streams; allowed: a "
                "cache of the same mode, or a new one"
            )


def _check_equals_sequential(model: StitchedParts, batched: BatchedStreams) -> None:
    """Raise ValueError unless batched streams give the sequential ones' states, as far as rounding lets them."""
    num_streams = model.config.num_members
    ids = torch.arange(num_streams + 1, device=model.device) % model.config.vocab_size
    was_training = model.training
    model.eval()
    refusal = (
        f"the streams are of a {type(model.hub).__name__}, whose layers do not keep streams that lie side by side "
        "apart; allowed: sequential streams"
    )
    try:
        with torch.no_grad():
            own = torch.cat(run_streams(model.decoders(), model.stitches_by_layer(), ids[None]), dim=-1)
            ours = run_streams([batched], _batched_stitches(model), ids[None])[0]
    except RuntimeError as error:  # shapes that do not fit
        raise ValueError(refusal) from error
    finally:
        model.train(was_training)
    tolerance = torch.finfo(own.dtype).eps ** 0.5 * own.abs().max().item()
    if not (own - ours).abs().max().item() <= tolerance:
        raise ValueError(refusal)


def _modules_by_place(decoders: Sequence[Any]) -> Iterator[tuple[str, list[Any]]]:
    """The streams' modules at each place in their layers, one list a place, hub first."""
    for layers in zip(*(decoder.layers for decoder in decoders), strict=True):
        for name, _ in layers[0].named_modules():
            yield name, [layer.get_submodule(name) for layer in layers]


def _held(module: nn.Module) -> list[str]:
    """Names of the parameters and buffers that are the module's own."""
    own = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
    return [name for name, _ in own]


def _check_can_stack(name: str, module: Any) -> None:
    held = _held(module)
    is_norm = (
        held == ["weight"] and module.weight.ndim == 1 and not type(module).__module__.startswith("torch.")
    )
    if held and type(module) is not nn.Linear and not is_norm:
        raise ValueError(
            f"{name or 'the layer'} is a {type(module).__name__} that holds {', '.join(held)}; allowed for batched "
            "streams: linear layers, and norms that hold one weight vector"
        )


def _stack_layer(layers: Sequence[Any]) -> Any:
    """The hub's layer with all streams' weights. The configuration stays shared, so that attention settings do."""
    memo: dict[int, Any] = {id(weight): weight for weight in layers[0].parameters()}
    memo |= {id(each.config): each.config for each in layers[0].modules() if hasattr(each, "config")}
    stacked = copy.deepcopy(layers[0], memo)
    for name, module in layers[0].named_modules():
        if _held(module):
            modules = [layer.get_submodule(name) for layer in layers]
            parent, _, last = name.rpartition(".")
            kind = StreamLinear if type(module) is nn.Linear else StreamNorm
            setattr(stacked.get_submodule(parent), last, kind(modules))
    return stacked.eval()


def _stacked(weights: Sequence[nn.Parameter]) -> nn.Parameter:
    """The weights in one tensor (S, ..), of which each of them is a view from now on."""
    stacked = torch.stack([weight.detach() for weight in weights])
    for weight, part in zip(weights, stacked, strict=True):
        weight.data = part
    return nn.Parameter(stacked, requires_grad=False)


def _own_weights(decoders: Sequence[Any]) -> None:
    """Give every weight of the layers memory of its own, place by place, so that little is held twice."""
    for _, modules in _modules_by_place(decoders):
        for module in modules:
            for weight in module.parameters(recurse=False):
                weight.data = weight.data.clone()
