"""Reads a tree of common beginnings (`prefix_tree`), each node once, from the model's own KV cache.

Nodes are read level by level, many at a time: a batch holds rows of like length, up to so many tokens, each going on
from its parent's cached states. In a batch every row ends at the right edge, its cached part directly before the tokens
that are read now, so that models that keep notes on the text in their caches meet nothing else than in generation. A
row that has fewer tokens to read than the longest of its batch reads the last ones of its cached part again.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from tasks.evaluation.prefix_tree import PrefixNode
from tasks.evaluation.roomy_cache import RoomyLayer

MOST_LOGITS = 1 << 26  # of a batch: 256 MB in float32
MOST_CACHED = 1 << 30  # bytes of a batch's KV cache
MOST_PADDED = 64  # tokens of a batch: about what one call more costs a small model
ASKED = ("attention_mask", "position_ids", "past_key_values", "use_cache", "logits_to_keep")
ATTENTION = {"full_attention", "sliding_attention", "chunked_attention"}


@dataclass(frozen=True)
class ReadNodes:
    """Nodes that were read: their cache, whose columns end with each one's last token, and each child's row there."""

    cache: DynamicCache
    width: int
    places: dict[int, int]


class _Size(NamedTuple):
    """Of a batch: tokens read of each row, rows, tokens that are padding, places whose logits are kept, longest row."""

    width: int = 0
    rows: int = 0
    padded: int = 0
    wanted: int = 0
    longest: int = 0

    def joined(self, row: _Size) -> _Size:
        """With one more row, no wider than those before."""
        width = self.width or row.width
        return _Size(
            width,
            self.rows + 1,
            self.padded + width - row.width,
            max(self.wanted, row.wanted),
            max(self.longest, row.longest),
        )


def can_share(model: Any) -> bool:
    """Whether the model can go on from a cache of keys and values by token; a recurrent state cannot be cut."""
    asked = inspect.signature(model.forward).parameters
    config = getattr(model.config, "base_config", model.config)
    kinds = set(getattr(config, "layer_types", None) or ATTENTION)
    return all(name in asked for name in ASKED) and not model._is_stateful and kinds <= ATTENTION


class PrefixReading:
    """One pass over a tree. What is done at its ends (`read_leaves`) and on the way (`note`) is for those who read."""

    def __init__(self, model: Any, batch_tokens: int) -> None:
        """model: one that `can_share`, in evaluation mode. batch_tokens: read at a time, at least one row."""
        self.model, self.batch_tokens = model, batch_tokens
        self.shortest = max(1, getattr(model, "tokens_read_whole", 0))
        self.vocabulary = model.get_input_embeddings().weight.shape[0]
        self.cache_bytes = 0  # a token; known after the first batch that is kept

    def read(self, nodes: Sequence[PrefixNode], parents: ReadNodes | None) -> None:
        """Read nodes whose parents' caches are `parents`, and all below them."""
        inner = [node for node in nodes if node.children]
        self.read_leaves([node for node in nodes if not node.children], parents)
        for batch in self.batches(inner, parents):
            self.read(
                [child for node in batch for child in node.children], self.forward(batch, parents, True)
            )

    def read_leaves(self, leaves: Sequence[PrefixNode], parents: ReadNodes | None) -> None:
        for batch in self.batches(leaves, parents):
            self.forward(batch, parents, keep=False)

    def wanted(self, node: PrefixNode) -> int:
        """Of how many of a node's last places `note` is to see the logits."""
        return 0

    def note(self, batch: Sequence[PrefixNode], logits: Tensor | None) -> None:
        """Told of each batch that was read: logits of the last places, as many as any of its nodes wants."""

    def batches(self, nodes: Sequence[PrefixNode], parents: ReadNodes | None) -> Iterator[list[PrefixNode]]:
        """Nodes with like numbers of tokens to read together, the most first: what does not fit shows at once."""
        batch: list[PrefixNode] = []
        size = _Size()
        for node in sorted(nodes, key=lambda node: node.start - node.end):
            one = _Size(node.end - node.start, 1, 0, self.wanted(node), node.end)
            both = size.joined(one)
            # Each row keeps a part that is cached, as long as the model asks for.
            keeps_cached = parents is None or node.end - both.width >= self.shortest
            if batch and not (keeps_cached and self._fits(both)):
                yield batch
                batch, both = [], one
            batch.append(node)
            size = both
        if batch:
            yield batch

    def _fits(self, size: _Size) -> bool:
        return (
            size.rows * size.width <= self.batch_tokens
            and size.padded <= MOST_PADDED
            and size.rows * size.wanted * self.vocabulary <= MOST_LOGITS
            and size.rows * size.longest * self.cache_bytes <= MOST_CACHED
        )

    def forward(self, batch: Sequence[PrefixNode], parents: ReadNodes | None, keep: bool) -> ReadNodes | None:
        """Read the batch's nodes, score what they predict, and keep their states where wanted."""
        width = max(node.end - node.start for node in batch)
        wanted = max(self.wanted(node) for node in batch)
        input_ids = np.zeros((len(batch), width), np.int64)
        real = np.ones((len(batch), width), bool)
        for place, node in enumerate(batch):
            given = node.tokens[-width:]
            input_ids[place, width - len(given) :] = given
            real[place, : width - len(given)] = False
        positions = np.array([node.end for node in batch])[:, None] + np.arange(-width, 0)
        device = self.model.device
        cache = DynamicCache() if parents is None else self.cut(batch, parents, width)
        past = cache.get_seq_length()
        if past:
            cached = positions[:, :1] + np.arange(-past, 0) >= 0
            real = np.concatenate([cached, real], axis=1)
        output = self.model(
            input_ids=torch.from_numpy(input_ids).to(device),
            attention_mask=None if real.all() else torch.from_numpy(real.astype(np.int64)).to(device),
            position_ids=torch.from_numpy(positions.clip(0)).to(device),
            past_key_values=cache if keep or past else None,
            use_cache=bool(keep or past),
            logits_to_keep=max(wanted, 1),
        )
        self.note(batch, output.logits if wanted else None)
        if not keep:
            return None
        layers: list[Any] = [layer for layer in cache.layers if isinstance(layer, DynamicLayer)]
        states = [layer for layer in layers if layer.is_initialized]
        self.cache_bytes = sum(
            tensor[0].numel() * tensor.element_size()
            for layer in states
            for tensor in (layer.keys, layer.values)
        ) // (past + width)
        places = {id(child): place for place, node in enumerate(batch) for child in node.children}
        return ReadNodes(cache, past + width, places)

    def cut(self, batch: Sequence[PrefixNode], parents: ReadNodes, width: int, room: int = 0) -> DynamicCache:
        """What is cached of each node's tokens but for its last `width`, at the right edge. room: for so many more."""
        rows = [parents.places[id(node)] for node in batch]
        held = np.array([node.end - width for node in batch])
        starts = np.array([node.start for node in batch])
        longest = int(held.max())
        columns = (parents.width - starts - longest + held)[:, None] + np.arange(longest)
        first = int(columns[0, 0])
        alike = bool((columns[:, 0] == first).all()) and first >= 0
        device = self.model.device
        at = torch.tensor(rows, device=device)
        picked = torch.from_numpy(columns.clip(0)).to(device)
        cache = DynamicCache()
        layers: list[Any] = list(parents.cache.layers)
        for layer in layers:
            cut = RoomyLayer(room)
            if layer.is_initialized:
                cut.lazy_initialization(layer.keys, layer.values)
                for name in ("keys", "values"):
                    states = getattr(layer, name)
                    if alike:
                        states = states[:, :, first : first + longest]
                        one = len(set(rows)) == 1
                        states = (
                            states[rows[:1]].expand(len(rows), -1, -1, -1)
                            if one
                            else states.index_select(0, at)
                        )
                    else:
                        states = states.transpose(1, 2)[at[:, None], picked].transpose(1, 2)
                    setattr(cut, name, states)
            cache.layers.append(cut)
        return cache
