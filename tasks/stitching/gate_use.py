"""How a stitched model uses its experts, by domain: gate mass and contribution on held-out text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

NUM_SEQUENCES = 8


def gates_by_domain(
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    documents: Mapping[str, Sequence[str]],
    length: int,
) -> list[dict]:
    """Rows of {domain, stitch, layer, kind, stream, gate_mean, gate_std, contribution, share}.

    model: a `models.StitchedForCausalLM`. documents: domain -> held-out texts, of which the first that fill 8
    sequences of `length` tokens are read; a domain with less than one sequence is read whole. share: the
    stream's part of all contributions at its stitch (see `StitchedForCausalLM.gate_statistics`).
    """
    rows = []
    for domain, texts in documents.items():
        ids: list[int] = []
        for text in texts:
            ids += [
                *tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"],
                tokenizer.eos_token_id,
            ]
            if len(ids) >= NUM_SEQUENCES * length:
                break
        if not ids:
            continue
        length_here = min(length, len(ids))
        whole = len(ids) // length_here * length_here
        batch = torch.tensor(ids[:whole]).reshape(-1, length_here)[:NUM_SEQUENCES].to(model.device)
        statistics = model.gate_statistics(batch)
        for row in statistics:
            total = sum(r["contribution"] for r in statistics if r["stitch"] == row["stitch"])
            rows.append({"domain": domain, **row, "share": row["contribution"] / total})
    return rows
