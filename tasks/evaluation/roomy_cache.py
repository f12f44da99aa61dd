"""A KV cache with room for what is to come: new tokens are written behind those that are held, which stay in place.

transformers' own copies all that is held for every token that a model writes.
"""

from __future__ import annotations

import functools
from typing import Any

from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer


class RoomyLayer(DynamicLayer):
    """States of a layer, (rows, heads, tokens, size). room: of how many more tokens, where more is taken at all."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self._room = room
        self._places: dict[str, Tensor] = {}

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        self.keys, self.values = self._with("keys", key_states), self._with("values", value_states)
        return self.keys, self.values

    def _with(self, name: str, new: Tensor) -> Tensor:
        held = getattr(self, name)
        length = held.shape[-2] if held.numel() else 0
        end = length + new.shape[-2]
        place = self._places.get(name)
        if place is None or place.shape[-2] < end:
            place = new.new_empty((*new.shape[:-2], end + self._room, new.shape[-1]))
            place[..., :length, :] = held if length else place[..., :0, :]
            self._places[name] = place
        place[..., length:end, :] = new
        return place[..., :end, :]


def roomy_cache(room: int) -> DynamicCache:
    """An empty one whose layers, made when they are first used, have room."""
    cache = DynamicCache()
    made: Any = functools.partial(RoomyLayer, room)
    cache.layer_class_to_replicate = made
    return cache
