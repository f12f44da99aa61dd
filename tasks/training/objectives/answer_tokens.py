"""Cross-entropy of the tokens that are learnt, those of answers: L = -1/A sum_t log p(x_t | x_<t of its document).

Llama 2 (arXiv 2307.09288, section 3.1) zeroes the loss on the user's tokens. A is the number of learnt tokens of the
whole optimiser step, so that the loss does not depend on how a step is cut into forward passes. Documents that are
packed into one sequence do not see each other, and each counts its positions from 0.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

TOKENS, LABELS, DOCUMENTS, STEP = range(4)  # planes of a batch (sequences, 4, length)
NOT_LEARNT = -100
PADDING = -1  # its document


def answer_tokens(model: Any, batch: Tensor) -> Tensor:
    """One document a sequence, padded on the right: causal attention sees no padding, and any causal LM takes it."""
    return loss_of_step(model(input_ids=batch[:, TOKENS], use_cache=False).logits, batch)


def packed_answer_tokens(model: Any, batch: Tensor) -> Tensor:
    """Several documents a sequence, each for itself; the model must take masks (sequences, 1, length, length)."""
    documents = batch[:, DOCUMENTS]
    logits = model(
        input_ids=batch[:, TOKENS],
        attention_mask=document_mask(documents),
        position_ids=positions(documents),
        use_cache=False,
    ).logits
    return loss_of_step(logits, batch)


def document_mask(documents: Tensor) -> Tensor:
    """(sequences, 1, length, length), true where a token sees another: of its own document, and not after it."""
    same = documents[:, :, None] == documents[:, None, :]
    return torch.tril(same)[:, None]


def positions(documents: Tensor) -> Tensor:
    """The place of each token in its document, from 0; documents are contiguous."""
    places = torch.arange(documents.shape[1], device=documents.device).expand_as(documents)
    begins = torch.ones_like(documents, dtype=torch.bool)
    begins[:, 1:] = documents[:, 1:] != documents[:, :-1]
    return places - torch.cummax(torch.where(begins, places, 0), dim=1).values


def loss_of_step(logits: Tensor, batch: Tensor) -> Tensor:
    """A forward pass's part of the step's loss, so that the mean over its passes is L; logits of all but the last
    token of a sequence, or of all."""
    learnt_in_step, sequences_in_step = batch[0, STEP, 0], batch[0, STEP, 1]
    summed = functional.cross_entropy(
        logits[:, : batch.shape[-1] - 1].flatten(0, 1).float(),
        batch[:, LABELS, 1:].flatten(),
        ignore_index=NOT_LEARNT,
        reduction="sum",
    )
    return summed * sequences_in_step / (learnt_in_step * len(batch))
