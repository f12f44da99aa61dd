"""Sequences with the documents in them told apart: what a run reads under `training.document_masks`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tasks.training.objectives.answer_tokens import DOCUMENTS, LABELS, NOT_LEARNT, STEP, TOKENS
from tasks.training.objectives.document_tokens import document_tokens
from tasks.training.objectives.next_token import Objective, Sequences, following_token, next_token
from tasks.training.settings import TrainingSettings
from tasks.training.token_order import TokenOrder

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def read_as_set(
    order: TokenOrder, settings: TrainingSettings, end_of_text: int | None, model: PreTrainedModel
) -> tuple[Sequences, Objective]:
    """What a run reads and minimises under the settings' document_masks and border_targets.

    Raises ValueError for a model that cannot be trained so.
    """
    if not settings.reading:
        return order, next_token
    if not settings.document_masks:
        return order, following_token
    import models

    assert end_of_text is not None
    models.check_reads_apart(model)
    return DocumentOrder(order, end_of_text, settings.batch_size), document_tokens


class DocumentOrder:
    """The sequences of `order` as planes (4, length): tokens, labels, number of the document, and of the step.

    A document ends with the token `end_of_text`; one that a window cuts is two. The last plane begins with how many
    tokens the whole optimiser step learns, and how many sequences it has.
    """

    def __init__(self, order: TokenOrder, end_of_text: int, batch_size: int) -> None:
        self._order, self._end, self._batch_size = order, end_of_text, batch_size
        self._step, self._learnt = -1, 0

    @property
    def sources(self) -> list[str]:
        return self._order.sources

    def __len__(self) -> int:
        return len(self._order)

    def source_numbers(self, numbers: range) -> np.ndarray:
        return self._order.source_numbers(numbers)

    def batch(self, numbers: range) -> np.ndarray:
        """int64 (len(numbers), 4, length) of sequences of one step. ValueError where the step has no target."""
        tokens = self._order.batch(numbers)
        found = np.zeros((len(numbers), 4, tokens.shape[1]), np.int64)
        found[:, TOKENS] = tokens
        begins = self._begins(tokens)
        found[:, LABELS] = np.where(begins, NOT_LEARNT, tokens)
        found[:, DOCUMENTS] = begins.cumsum(axis=1)
        found[:, STEP, :2] = self._learnt_in(numbers.start // self._batch_size), self._batch_size
        return found

    def _begins(self, tokens: np.ndarray) -> np.ndarray:
        """Which tokens are the first of a document, or of a sequence."""
        begins = np.ones(tokens.shape, bool)
        begins[:, 1:] = tokens[:, :-1] == self._end
        return begins

    def _learnt_in(self, step: int) -> int:
        if step != self._step:
            first = step * self._batch_size
            whole = self._order.batch(range(first, first + self._batch_size))
            self._step, self._learnt = step, int((~self._begins(whole)).sum())
        if self._learnt == 0:
            raise ValueError(
                f"step {step + 1} has no target: every token of its {self._batch_size} sequences begins a document; "
                "allowed: document_masks: false, or documents of two tokens and more"
            )
        return self._learnt
