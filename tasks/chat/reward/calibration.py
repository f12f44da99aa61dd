"""How good a reward model is on held-out pairs: accuracy by strength, calibration, and where its rewards lie."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.chat.dialogue_lines import Pair
from tasks.chat.reward.reward_pairs import rewards
from tasks.evaluation.standard_errors import share_interval

CONFIDENCE = 0.95
BINS = 10
HISTOGRAM = 24


def accuracy_by_strength(differences: NDArray, strengths: Sequence[float]) -> list[dict[str, Any]]:
    """Share of pairs whose chosen answer has the higher reward, all and by strength, with Wilson's interval.

    A difference of 0 is half right. Strengths between two are put to the nearer.
    """
    right = (np.sign(differences) + 1) / 2
    nearest = np.rint(np.asarray(strengths, float)).astype(int)
    rows = []
    for strength in (None, *sorted(set(nearest.tolist()), reverse=True)):
        own = right if strength is None else right[nearest == strength]
        low, high = share_interval(float(own.sum()), len(own), CONFIDENCE)
        rows.append(
            {"strength": strength, "pairs": len(own), "accuracy": float(own.mean()), "low": low, "high": high}
        )
    return rows


def calibration_error(differences: NDArray) -> float:
    """Expected calibration error: sum over bins of share * |accuracy - confidence|.

    A pair's confidence is sigma(|r_c - r_r|), of what the model prefers; ten bins of one width between 1/2 and 1.
    """
    confidence = 1 / (1 + np.exp(-np.abs(differences)))
    right = (np.sign(differences) + 1) / 2
    bins = np.minimum(((confidence - 0.5) * 2 * BINS).astype(int), BINS - 1)
    total = 0.0
    for number in range(BINS):
        own = bins == number
        if own.any():
            total += own.mean() * abs(right[own].mean() - confidence[own].mean())
    return float(total)


def reward_histogram(chosen: NDArray, rejected: NDArray) -> dict[str, list[float]]:
    """Edges, and how many chosen and rejected answers have a reward between them."""
    edges = np.histogram_bin_edges(np.concatenate([chosen, rejected]), bins=HISTOGRAM)
    return {
        "edges": edges.tolist(),
        "chosen": np.histogram(chosen, edges)[0].tolist(),
        "rejected": np.histogram(rejected, edges)[0].tolist(),
    }


def rewards_of_pairs(
    model: Any, tokenizer: Any, pairs: Sequence[Pair], length: int
) -> tuple[NDArray, NDArray]:
    """Of the chosen and of the rejected answers."""
    said = [(pair.prompt, getattr(pair, side)) for side in ("chosen", "rejected") for pair in pairs]
    found = rewards(model, tokenizer, said, length)
    return found[: len(pairs)], found[len(pairs) :]


def measured(chosen: NDArray, rejected: NDArray, pairs: Sequence[Pair]) -> dict[str, Any]:
    """accuracy by strength, ece and histogram of a reward model on pairs, by its rewards of their answers."""
    return {
        "accuracy": accuracy_by_strength(chosen - rejected, [pair.strength for pair in pairs]),
        "ece": calibration_error(chosen - rejected),
        "histogram": reward_histogram(chosen, rejected),
    }
