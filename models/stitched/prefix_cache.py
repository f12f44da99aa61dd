"""States that no trainable weight reaches, computed once for given tokens and kept on disk.

Experts are frozen until the first stitch of any kind (into the hub it projects them), the hub until the first one
into the hub. A training step of the stitches that starts from those states runs n a + b layers less forward, for
stitches after a and b layers; autograd never went back there anyway.
"""

from __future__ import annotations

import functools
import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from models.stitched.stitched_parts import StitchedParts
from models.streams import run_streams


@dataclass(frozen=True)
class Prefix:
    """`known`: for each stream, hub first, number of layers -> its state (batch, length, d) before the stitch there."""

    known: list[dict[int, Tensor]]


class PrefixCache:
    """Prefixes of one stitched model, a safetensors file each in `folder`.

    A file's name is the SHA-256 of the frozen weights that it depends on, the configuration, the places of the
    stitches, the tokens, the mask and the autocast dtype, so that a folder can serve several models. Raises
    ValueError for a model that drops out attention, whose states differ from step to step.
    """

    def __init__(self, model: StitchedParts, folder: str | Path) -> None:
        dropout = getattr(model.config.base_config, "attention_dropout", 0.0)
        if dropout:
            raise ValueError(
                f"attention_dropout is {dropout}; allowed: 0, since a cached state is one draw of it"
            )
        self.model = model
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._streams = list(model.config.expert_names)
        self._frozen = self._digest_of_frozen()

    def __call__(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Prefix:
        """The prefix of `input_ids` (batch, length), read from disk or else computed and written."""
        if self._streams != self.model.config.expert_names:
            raise ValueError(
                f"experts are {self.model.config.expert_names} but were {self._streams}; allowed: a new PrefixCache"
            )
        path = self.folder / f"{self._key(input_ids, attention_mask)}.safetensors"
        if not path.exists():
            prefix = compute_prefix(self.model, input_ids, attention_mask)
            _write(path, prefix)
            return prefix
        stored = load_file(path, device=str(input_ids.device))
        known: list[dict[int, Tensor]] = [{} for _ in self.model.decoders()]
        for name, state in stored.items():
            stream, layer = map(int, name.split("."))
            known[stream][layer] = state
        return Prefix(known)

    def _digest_of_frozen(self) -> str:
        config = self.model.config.base_config
        digest = hashlib.sha256(repr((frozen_layers(self.model), config._attn_implementation)).encode())
        digest.update(config.to_json_string(use_diff=False).encode())
        for decoder, layers in zip(self.model.decoders(), frozen_layers(self.model), strict=True):
            for module in [decoder.embed_tokens, *decoder.layers[: max(layers)]]:
                for name, weight in module.named_parameters():
                    digest.update(f"{name} {weight.dtype} {tuple(weight.shape)}".encode())
                    digest.update(_bytes(weight))
        return digest.hexdigest()

    def _key(self, input_ids: Tensor, attention_mask: Tensor | None) -> str:
        digest = hashlib.sha256(self._frozen.encode())
        kind = input_ids.device.type
        digest.update(f"{torch.is_autocast_enabled(kind)} {torch.get_autocast_dtype(kind)}".encode())
        for tensor in (input_ids, attention_mask):
            digest.update(b"none" if tensor is None else repr(tuple(tensor.shape)).encode() + _bytes(tensor))
        return digest.hexdigest()


def frozen_layers(model: StitchedParts) -> list[list[int]]:
    """For each stream, hub first, the numbers of layers after which its state enters a stitch while still frozen."""
    first = model.places[0].layer
    into_hub = next(place.layer for place in model.places if place.kind == "experts-into-hub")
    hub = [place.layer for place in model.places if place.layer <= into_hub]
    return [hub, *([first] for _ in model.experts)]


@torch.no_grad()
def compute_prefix(model: StitchedParts, input_ids: Tensor, attention_mask: Tensor | None = None) -> Prefix:
    """The prefix of `input_ids` (batch, length), without a cache."""
    known: list[dict[int, Tensor]] = []
    for decoder, layers in zip(model.decoders(), frozen_layers(model), strict=True):
        seen: dict[int, Tensor] = {}
        run_streams(
            [decoder],
            {layer: functools.partial(_look, seen, layer) for layer in layers},
            input_ids,
            attention_mask=attention_mask,
            num_layers=max(layers),
            use_cache=False,
        )
        known.append(seen)
    return Prefix(known)


def _look(seen: dict[int, Tensor], layer: int, states: list[Tensor]) -> list[Tensor]:
    seen[layer] = states[0]
    return states


def _bytes(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes()


def _write(path: Path, prefix: Prefix) -> None:
    tensors = {
        f"{stream}.{layer}": state.contiguous()
        for stream, states in enumerate(prefix.known)
        for layer, state in states.items()
    }
    number, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
    os.close(number)
    unfinished = Path(name)
    try:
        save_file(tensors, unfinished)
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
