"""Cross-entropy of the tokens of documents that are read apart: L = -1/A sum_t log p(x_t | x_<t of its document).

A is the number of targets of the whole optimiser step: all tokens but the first of each document. The mask is made by
the model itself, from positions that begin again, which every attention of transformers understands.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from tasks.training.objectives.answer_tokens import DOCUMENTS, TOKENS, loss_of_step, positions


def document_tokens(model: Any, batch: Tensor) -> Tensor:
    """batch: planes (sequences, 4, length) of `answer_tokens`; the last token of a sequence is asked for, not read."""
    read = batch[..., :-1]
    logits = model(
        input_ids=read[:, TOKENS], position_ids=positions(read[:, DOCUMENTS]), use_cache=False
    ).logits
    return loss_of_step(logits, batch)
