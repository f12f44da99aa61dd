"""Log-likelihoods of continuations in which what several rows begin with is read once, from the model's own KV cache.

The rows fed to the model (context and continuation but for its last token) form a tree of common beginnings: a few-shot
block, under it questions, under them choices (`prefix_reading`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from tasks.evaluation.prefix_reading import PrefixReading
from tasks.evaluation.prefix_tree import PrefixNode, prefix_tree

Answered = Callable[[Sequence[int], Sequence[float], Sequence[bool]], None]


def told_nobody(which: Sequence[int], nats: Sequence[float], greedy: Sequence[bool]) -> None:
    pass


class Row(NamedTuple):
    """tokens: all that the model is fed; targets: what its last places are asked to predict, at most all of them."""

    tokens: Sequence[int]
    targets: Sequence[int]


def shared_loglikelihoods(
    model: Any,
    rows: Sequence[Row],
    batch_tokens: int,
    answered: Answered = told_nobody,
) -> tuple[np.ndarray, np.ndarray]:
    """Of each row: the sum of its targets' log-likelihoods in nats, and whether each is the likeliest token.

    Log-probabilities are computed in float32. model: one that `can_share`, in evaluation mode. batch_tokens: read at
    a time, at least one row. answered: called with the rows that each batch finishes, and their answers.
    """
    scoring = _Scoring(model, rows, batch_tokens, answered)
    with torch.no_grad():
        scoring.read(prefix_tree([row.tokens for row in rows], scoring.shortest), None)
    return scoring.nats, scoring.greedy


class _Scoring(PrefixReading):
    """One pass over a tree, and the sums so far."""

    def __init__(self, model: Any, rows: Sequence[Row], batch_tokens: int, answered: Answered) -> None:
        super().__init__(model, batch_tokens)
        self.rows, self.answered = rows, answered
        self.firsts = [
            len(row.tokens) - len(row.targets) for row in rows
        ]  # place that predicts the first target
        self.nats = np.zeros(len(rows))
        self.greedy = np.ones(len(rows), bool)

    def wanted(self, node: PrefixNode) -> int:
        """How many of the node's last places predict a target of a row below it."""
        first = min(self.firsts[row] for row in node.below)
        return max(0, node.end - max(node.start, first))

    def note(self, batch: Sequence[PrefixNode], logits: Tensor | None) -> None:
        if logits is not None:
            self._score(batch, logits)
        if ended := [row for node in batch for row in node.rows]:
            self.answered(ended, self.nats[ended].tolist(), self.greedy[ended].tolist())

    def _score(self, batch: Sequence[PrefixNode], logits: Tensor) -> None:
        """Add up what the last places of the batch's rows say of the targets that they predict."""
        kept = logits.shape[1]
        places, owners, targets = [], [], []
        for number, node in enumerate(batch):
            end = node.end
            for row in node.below:
                first = self.firsts[row]
                begin = max(node.start, first)
                if begin < end:
                    at = (number + 1) * kept - end
                    places.append(np.arange(at + begin, at + end))
                    owners.append(np.full(end - begin, row))
                    targets.append(self.rows[row].targets[begin - first : end - first])
        asked, inverse = np.unique(np.concatenate(places), return_inverse=True)
        flat = logits.reshape(-1, logits.shape[-1])
        if len(asked) < len(flat):
            flat = flat[torch.from_numpy(asked).to(flat.device)]
        log_probabilities = functional.log_softmax(flat, dim=-1, dtype=torch.float32)
        wanted, which = np.concatenate(targets), torch.from_numpy(inverse).to(flat.device)
        nats = log_probabilities[which, torch.from_numpy(wanted).to(flat.device)]
        likeliest = log_probabilities.amax(dim=-1)[which] == nats
        tied = which[likeliest]  # or the only one: argmax, which is slow, says
        greedy = likeliest.cpu().numpy()
        greedy[greedy] = log_probabilities[tied].argmax(dim=-1).cpu().numpy() == wanted[greedy]
        rows = np.concatenate(owners)
        np.add.at(self.nats, rows, nats.double().cpu().numpy())
        self.greedy[rows[~greedy]] = False
