"""What the functions on stitched models use of one: its streams, its stitches, and where they stand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from models.stitched.stitch_layer import Stitch, StitchPlace


class StitchedParts(Protocol):
    """A `StitchedForCausalLM`, as `models.stitched.stitched_model` has it.

    hub: a causal LM. experts: base models. batched: the streams that run in its place while they are batched, a
    `BatchedStreams`. origins: "hub" and experts' names -> the folder that they were loaded from.
    """

    config: Any  # a StitchedConfig
    hub: Any
    experts: nn.ModuleList
    stitches: nn.ModuleList
    places: list[StitchPlace]
    origins: dict[str, str]
    batched: Any
    training: bool

    @property
    def dtype(self) -> torch.dtype: ...

    @property
    def device(self) -> torch.device: ...

    @property
    def num_trainable(self) -> int: ...

    def decoders(self) -> list[Any]: ...

    def stitches_by_layer(self) -> Mapping[int, Stitch]: ...

    def settle(self) -> None: ...

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]: ...

    def state_dict(self) -> Mapping[str, Tensor]: ...

    def train(self, mode: bool = True) -> Any: ...

    def eval(self) -> Any: ...
