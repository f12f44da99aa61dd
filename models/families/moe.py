"""Qwen3-MoE as a sparse seed: top-k experts with normalised gates in every second layer (arXiv 2112.10684)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from transformers import Qwen3MoeConfig

from models.families.decoder_sizes import decoder_fields


@dataclass(frozen=True)
class Sparsity:
    """Which layers hold experts, and how they are trained.

    num_experts: E, in every layer of experts. top_k: experts a token. sparse_step: every so many layers one holds
    experts, the last of each such group. capacity_factor: f of the slots f ceil(S/E) that an expert has for S tokens
    while training; None: nothing is dropped. balance_weight: of the balance loss E sum_e m_e c_e, a layer.
    """

    num_experts: int = 8
    top_k: int = 2
    sparse_step: int = 2
    capacity_factor: float | None = 2.0
    balance_weight: float = 0.01

    def check(self, num_layers: int) -> None:
        """Raise ValueError naming the field, its value and what is allowed."""
        if self.num_experts < 2:
            raise ValueError(f"num_experts is {self.num_experts}; allowed: at least 2")
        if not 1 <= self.top_k <= self.num_experts:
            raise ValueError(f"top_k is {self.top_k}; allowed: 1 to num_experts = {self.num_experts}")
        if not 1 <= self.sparse_step <= num_layers:
            raise ValueError(
                f"sparse_step is {self.sparse_step}, so that none of {num_layers} layers holds experts; allowed: "
                f"1 to {num_layers}"
            )
        if self.capacity_factor is not None and not self.capacity_factor > 0:
            raise ValueError(
                f"capacity_factor is {self.capacity_factor}; allowed: above 0, or none for no drops"
            )
        if not self.balance_weight >= 0:
            raise ValueError(f"balance_weight is {self.balance_weight}; allowed: at least 0")

    def fields(self, expert_width: int) -> dict[str, Any]:
        """Of a transformers configuration; `capacity_factor` is ours, and other tools read past it."""
        return {
            "num_experts": self.num_experts,
            "num_experts_per_tok": self.top_k,
            "decoder_sparse_step": self.sparse_step,
            "moe_intermediate_size": expert_width,
            "norm_topk_prob": True,
            "router_aux_loss_coef": self.balance_weight,
            "capacity_factor": self.capacity_factor,
        }


def moe_config(sparsity: Sparsity, *sizes: Any, **options: Any) -> Qwen3MoeConfig:
    """Qwen3-MoE configuration whose experts are as wide as its dense layers. Sizes: as of `decoder_fields`.

    Raises ValueError as it and `Sparsity.check` do.
    """
    fields = decoder_fields(*sizes, **options)
    sparsity.check(fields["num_hidden_layers"])
    head_size = fields["hidden_size"] // fields["num_attention_heads"]
    own = sparsity.fields(fields["intermediate_size"])
    return Qwen3MoeConfig(**fields, **own, **{"head_dim": head_size})
