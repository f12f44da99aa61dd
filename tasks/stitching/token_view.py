"""Which expert carries each token of a text through a stitched model: one row a token, for a page that colours it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

CHARACTERS_PER_TOKEN = 3


def token_view(model: Any, tokenizer: PreTrainedTokenizerBase, text: str, max_tokens: int) -> dict[str, Any]:
    """{"streams", "tokens": [{"text", "start", "carrier", "share", "shares"}], "cut"} of the text's first tokens.

    model: a `models.StitchedForCausalLM`. shares: each stream's part of ||g_i * p_i||, the mean over the stitches
    that lead into the hub; the hub's part is of what it keeps of itself. carrier: the *expert* with the largest
    part, and share: its part of what the experts bring. start: its first character in the text. cut: whether the
    text has more tokens than max_tokens. A text that is longer than the model's context is read in pieces of its
    length, each without the one before.
    Raises ValueError for a text without tokens.
    """
    read = tokenizer(text, add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True)
    ids = read["input_ids"]
    if not ids:
        raise ValueError("the text has no tokens; allowed: at least one")
    kept, length = ids[:max_tokens], model.config.max_position_embeddings
    shares = torch.cat([_shares(model, kept[i : i + length]) for i in range(0, len(kept), length)])
    experts = shares[:, 1:]
    of_experts = experts / experts.sum(dim=-1, keepdim=True).clamp_min(1e-30)
    names = ["hub", *model.config.expert_names]
    rows = [
        {
            "text": tokenizer.decode([token]),
            "start": read["offset_mapping"][place][0],
            "carrier": names[1 + int(of_experts[place].argmax())],
            "share": float(of_experts[place].max()),
            "shares": dict(zip(names, shares[place].tolist(), strict=True)),
        }
        for place, token in enumerate(kept)
    ]
    return {"streams": names, "tokens": rows, "cut": len(ids) > max_tokens}


def _shares(model: Any, ids: Sequence[int]) -> torch.Tensor:
    """Each stream's part of the contributions at each token, (length, n+1)."""
    found = model.token_contributions(torch.tensor([ids], device=model.device)).values()
    parts = [
        norms[0].float() / norms[0].float().sum(dim=-1, keepdim=True).clamp_min(1e-30) for norms in found
    ]
    return torch.stack(parts).mean(dim=0).cpu()


def switching_text(documents: Mapping[str, Sequence[str]], num_tokens: int) -> tuple[str, dict[str, int]]:
    """A text that switches domain, of about `num_tokens` tokens, and where in it each domain begins.

    It holds the beginning of one document of each domain.
    """
    first = {domain: texts[0] for domain, texts in documents.items() if texts}
    size = max(CHARACTERS_PER_TOKEN * num_tokens // max(len(first), 1), 20)
    text, starts = "", {}
    for domain, document in first.items():
        text += "\n\n" if text else ""
        starts[domain] = len(text)
        text += document[:size].strip()
    return text, starts
