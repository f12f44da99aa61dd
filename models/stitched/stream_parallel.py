"""Forward pass of a stitched model with its streams on several processes.

Streams meet only at stitches, so a pass has K synchronisations: hub-into-experts broadcasts h0 from the hub's
process, experts-into-hub gathers the projected states there. Tensor parallelism would have two a layer.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from models.stitched.stitch_layer import Stitch
from models.stitched.stitched_parts import StitchedParts
from models.streams import language_model_head, run_streams

HUB = 0


class StreamParallel(nn.Module):
    """The streams r, r + size, r + 2 size, .. of a stitched model on the process of rank r of `group`.

    Stream 0 is the hub, so that rank 0 has it. `model` is left as it was; when the caller lets go of it, the
    weights of other ranks' streams are released. Each process keeps all stitches. Inference only, without a KV
    cache. Raises ValueError where there are more processes than streams.
    """

    def __init__(self, model: StitchedParts, group: dist.ProcessGroup | None = None) -> None:
        super().__init__()
        self.group = group
        self.rank, self.size = dist.get_rank(group), dist.get_world_size(group)
        self.num_experts = len(model.config.expert_names)
        if self.size > self.num_experts + 1:
            raise ValueError(
                f"{self.size} processes for {self.num_experts + 1} streams; allowed: one stream or more a process"
            )
        self.decoders = nn.ModuleList(model.decoders()[self.rank :: self.size])
        self.hub: Any = model.hub if self.rank == HUB else None
        self.stitches = nn.ModuleList(model.stitches)
        self.layers = [place.layer for place in model.places]
        self.eval()

    @torch.no_grad()
    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor | None:
        """Logits (batch, length, vocabulary) on rank 0, None on the others; all are called with the same input."""
        pairs: Any = zip(self.layers, self.stitches, strict=True)
        stitches = {layer: functools.partial(self._through, stitch) for layer, stitch in pairs}
        decoders: list[Any] = list(self.decoders)
        states = run_streams(decoders, stitches, input_ids, attention_mask=attention_mask, use_cache=False)
        return language_model_head(self.hub, states[0]) if self.rank == HUB else None

    def _through(self, stitch: Stitch, states: list[Tensor]) -> list[Tensor]:
        has_hub = self.rank == HUB
        experts, others = self._experts_of(self.rank), states[1:] if has_hub else states
        if stitch.kind == "hub-into-experts":
            hub = states[0].contiguous() if has_hub else torch.empty_like(states[0])
            dist.broadcast(hub, group_src=HUB, group=self.group)
            passed = stitch([hub, *others], experts)
            return passed if has_hub else passed[1:]
        projected = stitch.project(others, experts)
        gathered = self._gather(projected, states[0])
        return [stitch.mix_into_hub(states[0], gathered), *projected] if has_hub else projected

    def _gather(self, projected: list[Tensor], like: Tensor) -> list[Tensor]:
        """All experts' projected states in their order on rank 0; nothing on the others."""
        most = max(len(self._experts_of(rank)) for rank in range(self.size))
        padded = torch.stack([*projected, *[torch.zeros_like(like)] * (most - len(projected))])
        received = [torch.empty_like(padded) for _ in range(self.size)] if self.rank == HUB else None
        dist.gather(padded, received, group_dst=HUB, group=self.group)
        if received is None:
            return []
        found = {
            expert: received[rank][row]
            for rank in range(self.size)
            for row, expert in enumerate(self._experts_of(rank))
        }
        return [found[expert] for expert in range(self.num_experts)]

    def _experts_of(self, rank: int) -> list[int]:
        return [stream - 1 for stream in range(rank, self.num_experts + 1, self.size) if stream != HUB]
