"""Run decoder-only transformers models side by side, with stitches between their layers.

Embeddings, masks, rotary embedding and decoder layers are transformers' own; only the order in which they are
called is ours. A stream is the base model of a causal LM (`LlamaModel`, say).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import Cache, PreTrainedConfig
from transformers.masking_utils import create_masks_for_generate

PARTS = ("embed_tokens", "layers", "norm", "rotary_emb")


def run_streams(
    decoders: Sequence[Any],
    stitches: Mapping[int, Callable[[list[Tensor]], list[Tensor]]],
    input_ids: Tensor,
    attention_mask: Tensor | dict[str, Tensor] | None = None,
    position_ids: Tensor | None = None,
    past_key_values: Cache | None = None,
    known: Sequence[Mapping[int, Tensor]] | None = None,
    num_layers: int | None = None,
    **kwargs: Any,
) -> list[Tensor]:
    """Last hidden states of all streams, before the final norm: one (batch, length, d) a decoder.

    `stitches` maps a number of layers to the stitch that follows them. `attention_mask` is (batch, length), 1
    for tokens to attend to, or masks already made by transformers. `known` has a mapping a decoder, number of
    layers -> its state after them and before the stitch there; its layers up to the last of these are not run.
    `num_layers` is how many to run, None for all.
    All decoders share one configuration, so mask and rotary embedding are made once.
    """
    config: PreTrainedConfig = decoders[0].config
    known = known or [{} for _ in decoders]
    begins = [max(given, default=0) for given in known]
    states = [
        given[begin] if begin else decoder.embed_tokens(input_ids)
        for decoder, given, begin in zip(decoders, known, begins, strict=True)
    ]
    if position_ids is None:
        num_seen = past_key_values.get_seq_length() if past_key_values is not None else 0
        position_ids = (torch.arange(input_ids.shape[1], device=input_ids.device) + num_seen).unsqueeze(0)
    masks: Any = attention_mask
    if not isinstance(masks, dict):
        masks = create_masks_for_generate(
            config=config,
            inputs_embeds=states[0],
            attention_mask=masks,
            past_key_values=past_key_values,
            position_ids=position_ids,
        )
    rotary = rotary_embeddings(decoders[0], states[0], position_ids)
    for index in range(config.num_hidden_layers if num_layers is None else num_layers):
        layer_type = config.layer_types[index] if hasattr(config, "layer_types") else None
        for stream, decoder in enumerate(decoders):
            if index < begins[stream]:
                states[stream] = known[stream].get(index + 1, states[stream])
                continue
            states[stream] = decoder.layers[index](
                states[stream],
                attention_mask=masks[layer_type] if isinstance(masks, dict) else masks,
                position_ids=position_ids,
                position_embeddings=rotary[layer_type] if isinstance(rotary, dict) else rotary,
                past_key_values=past_key_values,
                **kwargs,
            )
        if index + 1 in stitches and index + 1 >= min(begins):
            states = stitches[index + 1](states)
    return states


def rotary_embeddings(decoder: Any, states: Tensor, position_ids: Tensor) -> Any:
    """The decoder's rotary embedding of these positions, or one a layer type where the types differ in it."""
    types = [kind for kind, own in decoder.config.rope_parameters.items() if isinstance(own, dict)]
    if not types:
        return decoder.rotary_emb(states, position_ids)
    return {kind: decoder.rotary_emb(states, position_ids, kind) for kind in types}


def linear_by_stream(states: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Each stream's linear layer on its part of (.., S in), in one batched product: (.., S out).

    `weight` is (S, out, in), `bias` (S, out).
    """
    num_streams, _, width = weight.shape
    rows = states.reshape(-1, num_streams, width).transpose(0, 1)
    transposed = weight.transpose(1, 2)
    out = rows.bmm(transposed) if bias is None else torch.baddbmm(bias.unsqueeze(1), rows, transposed)
    return out.transpose(0, 1).reshape(*states.shape[:-1], -1)


def language_model_head(hub: Any, hidden: Tensor) -> Tensor:
    """Logits (batch, length, vocabulary) from the hub's last hidden states before its final norm."""
    logits = hub.get_output_embeddings()(hub.base_model.norm(hidden))
    softcap = getattr(hub.config, "final_logit_softcapping", None)
    return logits if softcap is None else softcap * torch.tanh(logits / softcap)


def number_cache_slots(decoder: Any, stream: int, num_layers: int) -> None:
    """Give the decoder's layers the KV cache slots stream * L + layer: one cache holds all streams."""
    for index, layer in enumerate(decoder.layers):
        for module in layer.modules():
            if hasattr(module, "layer_idx"):
                module.layer_idx = stream * num_layers + index


def check_runs_as_streams(hub: Any) -> None:
    """Raise ValueError unless `run_streams` and `language_model_head` give the hub's own logits.

    Architectures that do more than embed, decode, normalise and project (a scaled logit, say) are refused
    here rather than stitched wrongly.
    """
    architecture = type(hub).__name__
    missing = [part for part in PARTS if not hasattr(hub.base_model, part)]
    if missing or hub.get_output_embeddings() is None:
        raise ValueError(
            f"hub is a {architecture}, which has no {', '.join(missing) or 'language model head'}; allowed: "
            f"a decoder-only causal LM whose base model has {', '.join(PARTS)}"
        )
    rotary_arguments = [*inspect.signature(hub.base_model.rotary_emb.forward).parameters]
    if rotary_arguments not in (["x", "position_ids"], ["x", "position_ids", "layer_type"]):
        raise ValueError(
            f"hub is a {architecture}, whose rotary embedding reads {', '.join(rotary_arguments)}; allowed: "
            "x, position_ids and the layer's type"
        )
    num_tokens = min(8, hub.config.vocab_size)
    probe = torch.arange(num_tokens, device=hub.device).unsqueeze(0)
    was_training = hub.training
    hub.eval()
    with torch.no_grad():
        own = hub(input_ids=probe, use_cache=False).logits
        ours = language_model_head(hub, run_streams([hub.base_model], {}, probe)[0])
    hub.train(was_training)
    tolerance = 8 * torch.finfo(own.dtype).eps * own.abs().max().item()
    difference = (own - ours).abs().max().item()
    if not difference <= tolerance:
        raise ValueError(
            f"hub is a {architecture}, whose forward pass does more than embed, decode, normalise and "
            f"project: its logits differ by {difference:.2g} from theirs; it cannot be stitched"
        )
