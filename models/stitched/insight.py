"""What happens inside a stitched model: gates, contributions, and what each expert is worth at each token."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from models.stitched.stitched_parts import StitchedParts
from models.streams import language_model_head, run_streams


def _evaluating(look: Callable[..., Any]) -> Callable[..., Any]:
    """`look` at a model in evaluation mode without gradients, whatever mode it is in and goes back to."""

    @functools.wraps(look)
    def evaluating(model: StitchedParts, *args: Any) -> Any:
        was_training = model.training
        model.eval()
        try:
            with torch.no_grad():
                return look(model, *args)
        finally:
            model.train(was_training)

    return evaluating


@_evaluating
def gate_statistics(
    model: StitchedParts, input_ids: Tensor, attention_mask: Tensor | None = None
) -> list[dict[str, Any]]:
    """How much each stream passes on at each stitch, over the tokens of `input_ids` (batch, length).

    One dict a stitch and gated stream: `stitch` (from 0), `layer`, `kind`, `stream` ("hub" or the expert's
    name), `gate_mean` over tokens and channels, `gate_std` over channels (per token, then averaged), and
    `contribution`, the mean over tokens of ||g_i * p_i||. At experts-into-hub that is what stream i brings into
    the hub, with p_0 = h0; at hub-into-experts what the hub brings into expert i, ||g_i * (W_i h0)||. The
    contribution is there because a projection can rescale what its gate lets through.

    Two more numbers exist only where gates compete, at experts-into-hub, and are None elsewhere: `gate_entropy`
    of the softmax over streams in nats, 0 to log(n+1), mean over tokens and channels, the same for all streams
    of a stitch; and `utilisation`, the share of tokens and channels where the stream's gate is the largest
    (where several are equally large, each has its part). Dropout is off and padding (attention_mask 0) is left
    out.
    """
    keep = (torch.ones_like(input_ids) if attention_mask is None else attention_mask).bool()
    rows = []
    for index, states in enumerate(_states_at_stitches(model, input_ids, attention_mask)):
        stitch: Any = model.stitches[index]
        gates, messages = stitch.gates_and_messages(states)
        kept_gates = torch.stack([gate[keep] for gate in gates]).float()
        competing = stitch.kind == "experts-into-hub"
        entropy = torch.special.entr(kept_gates).sum(dim=0).mean().item() if competing else None
        largest = kept_gates == kept_gates.amax(dim=0)
        utilisation = (largest / largest.sum(dim=0)).mean(dim=(1, 2)).tolist()
        names = ["hub", *model.config.expert_names][-len(gates) :]
        for row, (name, gate, message) in enumerate(zip(names, kept_gates, messages, strict=True)):
            rows.append(
                {
                    "stitch": index,
                    "layer": model.places[index].layer,
                    "kind": stitch.kind,
                    "stream": name,
                    "gate_mean": gate.mean().item(),
                    "gate_std": gate.std(dim=-1, correction=0).mean().item(),
                    "contribution": (gate * message[keep].float()).norm(dim=-1).mean().item(),
                    "gate_entropy": entropy,
                    "utilisation": utilisation[row] if competing else None,
                }
            )
    return rows


@_evaluating
def token_contributions(
    model: StitchedParts, input_ids: Tensor, attention_mask: Tensor | None = None
) -> dict[int, Tensor]:
    """What each stream brings into the hub at each token of `input_ids` (batch, length).

    Number of the stitch (from 0; those into the hub only) -> norms ||g_i * p_i|| (batch, length, n+1), hub
    first with p_0 = h0. Dropout is off. Padding has numbers too: leave them out by the mask.
    """
    found = {}
    for index, states in enumerate(_states_at_stitches(model, input_ids, attention_mask)):
        stitch: Any = model.stitches[index]
        if stitch.kind == "experts-into-hub":
            pairs = zip(*stitch.gates_and_messages(states), strict=True)
            found[index] = torch.stack([(gate * message).norm(dim=-1) for gate, message in pairs], dim=-1)
    return found


@_evaluating
def leave_one_out(
    model: StitchedParts, input_ids: Tensor, attention_mask: Tensor | None = None
) -> dict[str, Tensor]:
    """What each expert is worth at each token: expert's name -> (batch, length - 1), in nats.

    Element t is the loss on token t+1 without the expert (as after `drop_expert`) less the loss with
    all of them: positive where the expert helps. It is nan where token t or t+1 is padding (attention_mask 0).
    Costs one pass of all streams and, for each expert, one of all streams but its own. Dropout is off.
    Without its only expert the model is the hub by itself.
    """
    names = model.config.expert_names
    whole = _token_losses(model, list(range(len(names))), input_ids, attention_mask)
    losses = {
        name: _token_losses(model, [i for i in range(len(names)) if i != left], input_ids, attention_mask)
        for left, name in enumerate(names)
    }
    differences = {name: loss - whole for name, loss in losses.items()}
    if attention_mask is None:
        return differences
    real = attention_mask.bool()
    known = real[:, 1:] & real[:, :-1]
    return {name: each.masked_fill(~known, torch.nan) for name, each in differences.items()}


def _token_losses(
    model: StitchedParts, experts: list[int], input_ids: Tensor, attention_mask: Tensor | None
) -> Tensor:
    decoders = model.decoders()
    states = run_streams(
        [decoders[0], *(decoders[expert + 1] for expert in experts)],
        {
            layer: functools.partial(stitch, experts=experts)
            for layer, stitch in model.stitches_by_layer().items()
        },
        input_ids,
        attention_mask=attention_mask,
    )
    logits = language_model_head(model.hub, states[0][:, :-1]).float()
    return F.cross_entropy(logits.transpose(1, 2), input_ids[:, 1:], reduction="none")


def _states_at_stitches(
    model: StitchedParts, input_ids: Tensor, attention_mask: Tensor | None
) -> list[list[Tensor]]:
    """The states that go into each stitch, hub first."""
    seen: list[list[Tensor]] = []

    def look(stitch: Any, states: list[Tensor]) -> list[Tensor]:
        seen.append(list(states))
        return stitch(states)

    stitches = {layer: functools.partial(look, each) for layer, each in model.stitches_by_layer().items()}
    run_streams(model.decoders(), stitches, input_ids, attention_mask=attention_mask)
    return seen
