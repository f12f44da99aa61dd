"""One stitch: where hidden states pass between the hub and its experts (BTS, arXiv 2502.00075).

h0 is the hub's hidden state, h1..hn the experts', each (..., d). Gates read h0 only and act per channel:

    g = act(dropout(W_gate h0)),  W_gate: d -> (n+1) d        p_i = W_i h_i

    experts into hub (E2H), act = softmax over the n+1 streams:
        h0' = g_0 * h0 + sum_i g_i * p_i;     h_i' = p_i
    hub into experts (H2E), act = sigmoid:
        h0' = h0;                             h_i' = (1 - g_i) * h_i + g_i * (W_i h0)

Projections start as the identity and gates at zero (the paper leaves this open), so that a hub stitched to
copies of itself gives its own output. Both kinds carry (2n+1) d^2 weights: H2E's gate of stream 0 is unused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import initialization as init

StitchKind = Literal["experts-into-hub", "hub-into-experts"]


class StitchPlace(NamedTuple):
    """Where a stitch stands: after `layer` decoder layers (1-based count), and which way it passes states."""

    layer: int
    kind: StitchKind


def stitch_places(num_layers: int, num_stitches: int) -> list[StitchPlace]:
    """Places of K stitches over L layers: after every floor(L/K) layers, the last one always after layer L.

    Stitch j (from 0) is experts-into-hub iff K-1-j is even, so the last one always is. L=20, K=4 gives
    H2E after layer 5, E2H after 10, H2E after 15, E2H after 20. Raises ValueError unless 1 <= K <= L.
    """
    if not 1 <= num_stitches <= num_layers:
        raise ValueError(
            f"num_stitches is {num_stitches}; allowed: 1 to the number of layers, here {num_layers}"
        )
    spacing = num_layers // num_stitches
    places = []
    for index in range(num_stitches):
        is_last = index == num_stitches - 1
        layer = num_layers if is_last else spacing * (index + 1)
        to_hub = (num_stitches - 1 - index) % 2 == 0
        places.append(StitchPlace(layer, "experts-into-hub" if to_hub else "hub-into-experts"))
    return places


class Stitch(nn.Module):
    """One stitch layer over n+1 streams of width d.

    `gate` is (n+1, d, d), row block i being W_gate's output for stream i; `projections` is (n, d, d), one W_i
    an expert. Streams lie on the first axis so that an expert's weights are one slice.
    """

    def __init__(self, kind: StitchKind, hidden_size: int, num_experts: int, gate_dropout: float) -> None:
        super().__init__()
        self.kind = kind
        self.gate = nn.Parameter(torch.zeros(num_experts + 1, hidden_size, hidden_size))
        self.projections = nn.Parameter(torch.eye(hidden_size).repeat(num_experts, 1, 1))
        self.dropout = nn.Dropout(gate_dropout)

    def reset_parameters(self) -> None:
        """Identity projections and zero gates, leaving alone what was loaded from a checkpoint."""
        identity = torch.eye(self.projections.shape[-1], device=self.projections.device)
        init.zeros_(self.gate)
        init.copy_(self.projections, identity.expand_as(self.projections))

    def forward(self, states: Sequence[Tensor]) -> list[Tensor]:
        """Pass the streams' hidden states (hub first), each (batch, length, d), through the stitch."""
        gates, messages = self.gates_and_messages(states)
        hub, *experts = states
        if self.kind == "experts-into-hub":
            mixed = gates[0] * messages[0]
            for gate, message in zip(gates[1:], messages[1:], strict=True):
                mixed = mixed + gate * message
            return [mixed, *messages[1:]]
        pairs = zip(gates, experts, messages, strict=True)
        return [hub, *((1 - gate) * expert + gate * message for gate, expert, message in pairs)]

    def gates_and_messages(self, states: Sequence[Tensor]) -> tuple[Sequence[Tensor], list[Tensor]]:
        """What is multiplied in this stitch, one pair of tensors (batch, length, d) a gated stream.

        E2H: n+1 gates over h0, p_1, .., p_n. H2E: n gates over W_1 h0, .., W_n h0.
        """
        hub, *experts = states
        if self.kind == "experts-into-hub":
            logits = self._gate_logits(hub, self.gate)
            projected = [_project(state, w) for state, w in zip(experts, self.projections, strict=True)]
            return torch.softmax(logits, dim=-2).unbind(-2), [hub, *projected]
        logits = self._gate_logits(hub, self.gate[1:])
        return torch.sigmoid(logits).unbind(-2), [_project(hub, weight) for weight in self.projections]

    def _gate_logits(self, hub: Tensor, gate: Tensor) -> Tensor:
        logits = F.linear(hub, gate.flatten(0, 1)).unflatten(-1, gate.shape[:2])
        return self.dropout(logits)

    def extra_repr(self) -> str:
        return f"{self.kind}, hidden_size={self.gate.shape[-1]}, num_experts={self.projections.shape[0]}"


def _project(state: Tensor, weight: Tensor) -> Tensor:
    # Under bf16 autocast the product is bf16; the residual stream stays in the dtype it came in.
    return F.linear(state, weight).to(state.dtype)
