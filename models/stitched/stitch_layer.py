"""One stitch: where hidden states pass between the hub and its experts (BTS, arXiv 2502.00075).

h0 is the hub's hidden state, h1..hn the experts', each (..., d). Gates read h0 only and act per channel:

    g = act(dropout(W_gate h0)),  W_gate: d -> (n+1) d        p_i = W_i h_i

    experts into hub (E2H), act = softmax over the n+1 streams:
        h0' = g_0 * h0 + sum_i g_i * p_i;     h_i' = p_i
    hub into experts (H2E), act = sigmoid:
        h0' = h0;                             h_i' = (1 - g_i) * h_i + g_i * (W_i h0)

Projections start as the identity and gates at zero (the paper leaves this open), so that a hub stitched to
copies of itself gives its own output. Both kinds carry (2n+1) d^2 weights: H2E's gate of stream 0 is unused.

An expert may have a gate bias, a constant b_i added to its E2H gate logits after dropout (ours, not the paper's):
a new expert with b_i = -4 starts nearly shut, at no more than e^-4 / (e^-4 + sum_j e^{l_j}) of the mix.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import initialization as init

from models.streams import linear_by_stream

StitchKind = Literal["experts-into-hub", "hub-into-experts"]
Layout = Literal["alternating", "experts-into-hub"]


class StitchPlace(NamedTuple):
    """Where a stitch stands: after `layer` decoder layers (1-based count), and which way it passes states."""

    layer: int
    kind: StitchKind


def stitch_places(num_layers: int, num_stitches: int, layout: Layout = "alternating") -> list[StitchPlace]:
    """Places of K stitches over L layers: after every floor(L/K) layers, the last one always after layer L.

    alternating: stitch j (from 0) is experts-into-hub iff K-1-j is even, so the last one always is. L=20, K=4
    gives H2E after layer 5, E2H after 10, H2E after 15, E2H after 20. experts-into-hub: every stitch is.
    Raises ValueError unless 1 <= K <= L, and for another layout.
    """
    if layout not in get_args(Layout):
        raise ValueError(f"layout is {layout!r}; allowed: {', '.join(get_args(Layout))}")
    if not 1 <= num_stitches <= num_layers:
        raise ValueError(
            f"num_stitches is {num_stitches}; allowed: 1 to the number of layers, here {num_layers}"
        )
    spacing = num_layers // num_stitches
    places = []
    for index in range(num_stitches):
        is_last = index == num_stitches - 1
        layer = num_layers if is_last else spacing * (index + 1)
        to_hub = layout == "experts-into-hub" or (num_stitches - 1 - index) % 2 == 0
        places.append(StitchPlace(layer, "experts-into-hub" if to_hub else "hub-into-experts"))
    return places


class NewestExpert(nn.Module):
    """Stitch weights of the expert that was added last, apart from the others' so that they alone can train."""

    def __init__(self, gate: Tensor, projections: Tensor) -> None:
        super().__init__()
        self.gate = nn.Parameter(gate)
        self.projections = nn.Parameter(projections)


class Stitch(nn.Module):
    """One stitch layer over n+1 streams of width d.

    `gate` is (n+1, d, d), row block i being W_gate's output for stream i; `projections` is (n, d, d), one W_i
    an expert. Streams lie on the first axis so that an expert's weights are one slice. While the newest expert
    trains alone, its two slices are in `newest` (1, d, d each), not in these. `gate_biases` has one number a
    stream, hub first.
    """

    def __init__(
        self,
        kind: StitchKind,
        hidden_size: int,
        num_experts: int,
        gate_dropout: float,
        gate_biases: Sequence[float] | None = None,
        newest_apart: bool = False,
    ) -> None:
        super().__init__()
        self.kind = kind
        self.gate_biases = list(gate_biases or [0.0] * (num_experts + 1))
        old = num_experts - newest_apart
        self.gate = nn.Parameter(torch.zeros(old + 1, hidden_size, hidden_size))
        self.projections = nn.Parameter(torch.eye(hidden_size).repeat(old, 1, 1))
        self.newest: NewestExpert | None = None
        if newest_apart:
            self.newest = NewestExpert(
                torch.zeros(1, hidden_size, hidden_size), torch.eye(hidden_size).unsqueeze(0)
            )
        self.dropout = nn.Dropout(gate_dropout)

    def reset_parameters(self) -> None:
        """Identity projections and zero gates, leaving alone what was loaded from a checkpoint."""
        identity = torch.eye(self.projections.shape[-1], device=self.projections.device)
        for part in self._parts():
            init.zeros_(part.gate)
            init.copy_(part.projections, identity.expand_as(part.projections))

    def add_expert(self, gate_bias: float) -> None:
        """Append an expert with identity projection and zero gate; it alone requires gradients from now on."""
        self.train_all()
        identity = torch.eye(self.gate.shape[-1], device=self.gate.device, dtype=self.gate.dtype)
        self.newest = NewestExpert(torch.zeros_like(identity)[None], identity[None])
        self.gate_biases.append(gate_bias)
        self.set_trainable()

    def drop_expert(self, index: int) -> None:
        """Remove expert `index` (from 0): its projection, its gate slice and its gate bias."""
        del self.gate_biases[index + 1]
        if self.newest is not None and index == len(self.projections):
            self.newest = None
        else:
            self.gate = nn.Parameter(_without(self.gate, index + 1))
            self.projections = nn.Parameter(_without(self.projections, index))
        self.set_trainable()

    def train_all(self) -> None:
        """Put the newest expert's weights with the others'; all of them require gradients."""
        if self.newest is not None:
            self.gate = nn.Parameter(torch.cat([self.gate.detach(), self.newest.gate.detach()]))
            self.projections = nn.Parameter(
                torch.cat([self.projections.detach(), self.newest.projections.detach()])
            )
            self.newest = None
        self.set_trainable()

    def set_trainable(self) -> None:
        """Require gradients of the newest expert's weights alone where they are apart, else of all."""
        self.requires_grad_(self.newest is None)
        if self.newest is not None:
            self.newest.requires_grad_(True)

    def forward(self, states: Sequence[Tensor], experts: Sequence[int] | None = None) -> list[Tensor]:
        """Pass the streams' hidden states (hub first), each (batch, length, d), through the stitch.

        `experts`: which experts the states after the hub's are of, counted from 0; None is all. Those left out
        are as if they did not exist: their E2H gate logit is -inf.
        """
        gates, messages = self.gates_and_messages(states, experts)
        hub, *others = states
        if self.kind == "experts-into-hub":
            return [_mixed(gates, messages), *messages[1:]]
        pairs = zip(gates, others, messages, strict=True)
        return [hub, *(torch.lerp(state, message, gate) for gate, state, message in pairs)]

    def pass_side_by_side(self, states: Tensor) -> Tensor:
        """`forward` in inference for all streams' states side by side, hub first: (batch, length, (n+1) d)."""
        width, parts = self.gate.shape[-1], self._parts()
        hub, others = states[..., :width], states[..., width:]
        if self.kind == "hub-into-experts":
            used = [self.gate[1:], *(part.gate for part in parts[1:])]
            gates = torch.sigmoid(_side_by_side(hub, used)).to(states.dtype)
            messages = _side_by_side(hub, [part.projections for part in parts]).to(states.dtype)
            return torch.cat([hub, torch.lerp(others, messages, gates)], dim=-1)
        split = others.split([len(part.projections) * width for part in parts], dim=-1)
        pairs = zip(split, parts, strict=True)
        projected = [linear_by_stream(each, part.projections).to(states.dtype) for each, part in pairs]
        logits = _side_by_side(hub, [part.gate for part in parts]).unflatten(-1, (-1, width))
        if any(self.gate_biases):
            logits = logits + logits.new_tensor(self.gate_biases).unsqueeze(-1)
        gates = torch.softmax(logits, dim=-2).to(states.dtype)
        messages = torch.cat([hub, *projected], dim=-1).view_as(gates)
        return torch.cat([(gates * messages).sum(dim=-2), *projected], dim=-1)

    def gates_and_messages(
        self, states: Sequence[Tensor], experts: Sequence[int] | None = None
    ) -> tuple[Sequence[Tensor], list[Tensor]]:
        """What is multiplied in this stitch, one pair of tensors (batch, length, d) a gated stream.

        E2H: n+1 gates over h0, p_1, .., p_n. H2E: n gates over W_1 h0, .., W_n h0. `experts`: as of `forward`.
        """
        hub, *others = states
        numbers = range(len(self.gate_biases) - 1) if experts is None else experts
        if self.kind == "experts-into-hub":
            return self._hub_gates(hub, numbers), [hub, *self.project(others, numbers)]
        gates = self._gate_logits(hub, [number + 1 for number in numbers])
        messages = self.project([hub] * len(numbers), numbers)
        return [torch.sigmoid(logits).to(hub.dtype) for logits in gates], messages

    def project(self, states: Sequence[Tensor], experts: Sequence[int]) -> list[Tensor]:
        """W_i of each of these experts (counted from 0) times its state."""
        weights = [weight for part in self._parts() for weight in part.projections]
        # Under bf16 autocast the product is bf16; the residual stream stays in the dtype it came in.
        pairs = zip(states, experts, strict=True)
        return [F.linear(state, weights[expert]).to(state.dtype) for state, expert in pairs]

    def mix_into_hub(self, hub: Tensor, projected: Sequence[Tensor]) -> Tensor:
        """h0' of an E2H stitch from h0 and all experts' p_i."""
        return _mixed(self._hub_gates(hub, range(len(projected))), [hub, *projected])

    def _hub_gates(self, hub: Tensor, experts: Sequence[int]) -> Sequence[Tensor]:
        logits = self._gate_logits(hub, [0, *(expert + 1 for expert in experts)])
        return torch.softmax(torch.stack(logits), dim=0).to(hub.dtype).unbind()

    def _gate_logits(self, hub: Tensor, streams: Sequence[int]) -> list[Tensor]:
        rows = [row for part in self._parts() for row in part.gate]
        logits = [self.dropout(F.linear(hub, rows[stream])) for stream in streams]
        if self.kind == "hub-into-experts" or not any(self.gate_biases):
            return logits
        return [each + self.gate_biases[stream] for each, stream in zip(logits, streams, strict=True)]

    def _parts(self) -> list[Any]:
        return [self] if self.newest is None else [self, self.newest]

    def extra_repr(self) -> str:
        return f"{self.kind}, hidden_size={self.gate.shape[-1]}, num_experts={len(self.gate_biases) - 1}"


def _side_by_side(hub: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """The hub's state times each (d, d) of `weights`, which are (.., d, d): (batch, length, number of them d)."""
    products = [F.linear(hub, weight.flatten(0, 1)) for weight in weights]
    return products[0] if len(products) == 1 else torch.cat(products, dim=-1)


def _mixed(gates: Sequence[Tensor], messages: Sequence[Tensor]) -> Tensor:
    mixed = gates[0] * messages[0]
    for gate, message in zip(gates[1:], messages[1:], strict=True):
        mixed = torch.addcmul(mixed, gate, message)
    return mixed


def _without(weights: Tensor, index: int) -> Tensor:
    return torch.cat([weights[:index], weights[index + 1 :]]).detach()
