"""What a stitched model is made of: one inner architecture, the experts' names, and how they are stitched."""

# No `from __future__ import annotations`: transformers reads this class's annotations as types.

import math
from dataclasses import field
from typing import Any

from models.combined.combined_config import CombinedConfig
from models.stitched.stitch_layer import stitch_places


class StitchedConfig(CombinedConfig):
    """Configuration of `StitchedForCausalLM`.

    base_config, expert_names: as of `CombinedConfig`; stream 0, the hub, is its seed.
    num_stitches: K, 1 to the number of layers of one stream.
    layout: which way the stitches pass states (see `models.stitched.stitch_layer.stitch_places`).
    gate_dropout: dropout on the gate logits while training, in [0, 1).
    gate_biases: expert name -> constant added to its gate logits where experts go into the hub; 0 if not listed.
    newest_trains_alone: of the stitches only the last expert's weights train.
    streams_elsewhere: set where hub and experts are saved elsewhere (see `models.stitched.by_reference`).

    Sizes are read from `base_config`, except `num_hidden_layers` and `layer_types`, which count the layers of
    all n+1 streams: that is what sizes the KV cache.
    """

    model_type = "stitched"
    num_stitches: int = 4
    layout: str = "alternating"
    gate_dropout: float = 0.1
    gate_biases: dict[str, float] = field(default_factory=dict)
    newest_trains_alone: bool = False
    streams_elsewhere: dict[str, Any] | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        stitch_places(self.base_config.num_hidden_layers, self.num_stitches, self.layout)  # type: ignore[arg-type]
        if not 0 <= self.gate_dropout < 1:
            raise ValueError(f"gate_dropout is {self.gate_dropout}; allowed: 0 up to, but not, 1")
        check_biases(self.gate_biases, self.expert_names)

    @property
    def layer_types(self) -> list[str]:
        """Attention type of each of the (n+1) L layers; missing where the inner architecture has one type."""
        return self.num_members * self.base_config.layer_types


def check_biases(biases: dict[str, float], names: list[str]) -> None:
    """Raise ValueError unless all gate biases are finite and of experts in `names`."""
    for name, bias in biases.items():
        if name not in names:
            raise ValueError(f"gate_biases names {name!r}; allowed: the experts {', '.join(names)}")
        if not math.isfinite(bias):
            raise ValueError(f"gate bias of expert {name!r} is {bias}; allowed: a finite number")
