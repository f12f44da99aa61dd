"""How mixtures of experts train: gates in fp32, a balance loss a layer, slots that run out (arXiv 2112.10684).

    g = softmax(W x) in fp32; e_1, e_2, ... the k experts with the largest g
    l = E sum_e m_e c_e        m_e mean gate of e, c_e share of tokens whose e_1 it is, before drops; 1 where uniform
    C = ceil(f ceil(S/E))      slots of an expert for S tokens; first choices take them in the order of the tokens, then
                               second choices; what finds no slot is dropped
    y = sum_k g_k FFN_k(x)     g divided by its sum over what was kept; a token without any passes by the residual

In evaluation transformers' own router is at work, and nothing is dropped.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel
from transformers.models.qwen3_moe.modeling_qwen3_moe import Qwen3MoeSparseMoeBlock


@dataclass(frozen=True)
class Choices:
    """gates (tokens, experts) in fp32; experts (tokens, k), the best first; kept (tokens, k): what found a slot."""

    gates: Tensor
    experts: Tensor
    kept: Tensor


def choose(logits: Tensor, top_k: int, capacity: int | None, mask: Tensor | None = None) -> Choices:
    """The experts of each token by logits (tokens, experts). capacity: slots of an expert; None: no end of them.

    mask (tokens,): True where there is a token; padding takes no slot and is kept nowhere.
    """
    gates = torch.softmax(logits.float(), dim=-1)
    experts = gates.topk(top_k, dim=-1).indices
    kept = torch.ones_like(experts, dtype=torch.bool) if mask is None else mask[:, None].expand_as(experts)
    if capacity is not None:
        queue = F.one_hot(experts.T.reshape(-1), logits.shape[-1]) * kept.T.reshape(-1, 1)
        place = (queue.cumsum(dim=0) * queue).sum(dim=-1).reshape(top_k, -1).T
        kept = kept & (place <= capacity)
    return Choices(gates, experts, kept)


def capacity_of(num_tokens: int, num_experts: int, factor: float | None) -> int | None:
    """Slots of an expert, ceil(f ceil(S/E)); None without a factor."""
    return None if factor is None else math.ceil(factor * math.ceil(num_tokens / num_experts))


def shares_of(choices: Choices, normalised: bool) -> Tensor:
    """Weights (tokens, k) of the experts' outputs: the gates of what was kept, divided by their sum if normalised."""
    gates = choices.gates.gather(-1, choices.experts) * choices.kept
    if not normalised:
        return gates
    return gates / gates.sum(dim=-1, keepdim=True).clamp_min(torch.finfo(gates.dtype).tiny)


def first_choices(choices: Choices, mask: Tensor | None = None) -> Tensor:
    """How many tokens have each expert as their first choice, whether or not it had a slot: (experts,) in fp32."""
    counted = F.one_hot(choices.experts[:, 0], choices.gates.shape[-1]).float()
    return (counted if mask is None else counted * mask[:, None]).sum(dim=0)


def balance_loss(gate_sums: Tensor, counts: Tensor, num_tokens: Tensor | float) -> Tensor:
    """E sum_e m_e c_e of one layer from sums over tokens, which add up over parts of a batch.

    gate_sums (experts,): of gates over `num_tokens` tokens. counts (experts,): of first choices, over as many or more.
    """
    return len(counts) * ((gate_sums / num_tokens) * (counts / counts.sum())).sum()


class TrainedRouters:
    """The routers of a model that train, while the training loop runs: what they add to its loss, and what they did.

    names: of the layers, in their order; empty for a model without such routers, and then nothing is done.
    """

    def __init__(self, model: nn.Module, num_sources: int = 1) -> None:
        self.names: list[str] = []
        self._hooks: list[Any] = []
        self._layers: list[Any] = []
        self._num_sources = num_sources
        for name, block in model.named_modules():
            if isinstance(block, Qwen3MoeSparseMoeBlock) and block.gate.weight.requires_grad:
                self.names.append(name)
                layer = RoutedLayer(block, self._source_of_tokens)
                self._layers.append(layer)
                self._hooks.append(block.gate.register_forward_hook(layer.route))
        self._sources: Tensor | None = None
        self.clear()

    def __bool__(self) -> bool:
        return bool(self.names)

    def begin_step(self) -> None:
        """Forget the first choices of the step before."""
        for layer in self._layers:
            layer.begin_step()

    def reads(self, sources: Tensor) -> None:
        """Say which source (batch,) each sequence of the next forward pass is of."""
        self._sources = sources

    def loss(self) -> Tensor | float:
        """Weight times balance loss of the last forward pass, summed over layers; 0.0 without routers."""
        return sum((layer.weighted_loss() for layer in self._layers), start=0.0)

    def clear(self) -> None:
        """Begin new sums."""
        for layer in self._layers:
            layer.clear(self._num_sources)

    def sums(self) -> list[dict[str, list]]:
        """Of each layer since the last `clear`: sums over tokens, as `RoutedLayer` keeps them."""
        return [{name: value.tolist() for name, value in layer.sums.items()} for layer in self._layers]

    def remove(self) -> None:
        """Leave the model as it was."""
        for hook in self._hooks:
            hook.remove()

    def _source_of_tokens(self, num_tokens: int) -> Tensor | None:
        return (
            None
            if self._sources is None
            else self._sources.repeat_interleave(num_tokens // len(self._sources))
        )


class RoutedLayer:
    """One layer's router while it trains.

    sums, over tokens: `first` (experts,) and `load` (experts,) count first choices and all choices,
    `dropped` (k,) choices without a slot, first, second, ...; `entropy` (1,) of the gates, in nats; `balance` (1,) the
    balance loss of the forward pass that a token was in; `sources` (sources, 1 + k) tokens and dropped choices of each.
    """

    sums: dict[str, Tensor]

    def __init__(self, block: Any, source_of_tokens: Callable[[int], Tensor | None]) -> None:
        config = block.experts.config
        self._top_k, self._num_experts = config.num_experts_per_tok, config.num_experts
        self._is_normalised, self._weight = config.norm_topk_prob, config.router_aux_loss_coef
        self._factor = getattr(config, "capacity_factor", None)
        self._source_of_tokens, self._device = source_of_tokens, block.gate.weight.device
        self._gates: Tensor | None = None
        self.begin_step()

    def begin_step(self) -> None:
        self._counts: Tensor | float = 0.0

    def clear(self, num_sources: int) -> None:
        shapes = {
            "first": (self._num_experts,),
            "load": (self._num_experts,),
            "dropped": (self._top_k,),
            "entropy": (1,),
            "balance": (1,),
            "sources": (num_sources, 1 + self._top_k),
        }
        self.sums = {name: torch.zeros(shape, device=self._device) for name, shape in shapes.items()}

    def route(self, router: Any, given: tuple[Tensor, ...], routed: tuple[Tensor, ...]) -> Any:
        """The router's forward hook: its output while training, in the place of transformers' own."""
        if not router.training:
            return None
        hidden = given[0].reshape(-1, router.weight.shape[-1])
        with torch.autocast(hidden.device.type, enabled=False):
            logits = F.linear(hidden.float(), router.weight.float())
            capacity = capacity_of(len(hidden), self._num_experts, self._factor)
            choices = choose(logits, self._top_k, capacity)
            shares = shares_of(choices, self._is_normalised)
        if not _is_computed_again():
            self._gates = choices.gates
            self._keep(choices)
        return logits, shares.to(routed[1].dtype), choices.experts

    def weighted_loss(self) -> Tensor:
        """Of the last forward pass, with the first choices of the whole step so far, over all processes."""
        assert self._gates is not None, "no forward pass yet"
        gates, self._gates = self._gates, None
        assert isinstance(self._counts, Tensor)
        return self._weight * balance_loss(gates.sum(dim=0), self._counts, len(gates))

    @torch.no_grad()
    def _keep(self, choices: Choices) -> None:
        first = first_choices(choices)
        gates, lost = choices.gates, ~choices.kept
        self.sums["first"] += first
        self.sums["load"] += F.one_hot(choices.experts.reshape(-1), self._num_experts).sum(dim=0)
        self.sums["dropped"] += lost.sum(dim=0)
        self.sums["entropy"] += -(gates * gates.clamp_min(torch.finfo(gates.dtype).tiny).log()).sum()
        self.sums["balance"] += len(gates) * balance_loss(gates.sum(dim=0), first, len(gates))
        sources = self._source_of_tokens(len(gates))
        if sources is not None:
            told = torch.cat([torch.ones_like(lost[:, :1]), lost], dim=1).float()
            self.sums["sources"].index_add_(0, sources, told)
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            first = first.clone()
            torch.distributed.all_reduce(first)
        self._counts = self._counts + first


def _is_computed_again() -> bool:
    """Whether this forward pass is part of a backward one, as under gradient checkpointing."""
    return torch._C._current_graph_task_id() != -1


def set_experts_to_machine(model: nn.Module) -> None:
    """Run experts one after the other where there is no GPU: transformers' grouped products are slower on a CPU."""
    if torch.cuda.is_available():
        return
    for module in model.modules():
        if isinstance(module, PreTrainedModel) and module._can_set_experts_implementation():
            module.set_experts_implementation("eager")
