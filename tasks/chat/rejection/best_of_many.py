"""Best of many: the ledger of samples, the pool of the best, and how the best grows with how many are drawn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.chat.reward.piecewise import Judged, whitened

COLUMNS = ["round", "prompt", "sample", "temperature", "answer", "score", "chosen"]


def ledger(
    round_number: int,
    prompts: Sequence[str],
    answers: Sequence[Sequence[str]],
    judged: Judged,
    temperature: float,
) -> pd.DataFrame:
    """A row a sample; `chosen`: the first of a prompt's best. judged: (prompts, samples); its parts are columns.

    `score` is not whitened, since rounds are pooled by it; with two models `whitened` is, over the whole round.
    """
    scores = judged.scores
    best = scores.argmax(axis=1)
    rows = [
        (round_number, prompt, number, temperature, answer, float(scores[at, number]), number == best[at])
        for at, (prompt, said) in enumerate(zip(prompts, answers, strict=True))
        for number, answer in enumerate(said)
    ]
    table = pd.DataFrame(rows, columns=COLUMNS)
    further = {**judged.parts, "whitened": whitened(scores)} if judged.parts else {}
    return table.assign(**{name: own.ravel() for name, own in further.items()})


def pooled_best(ledgers: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Each prompt's best answer of all rounds (of one score, the earliest), in the order of the prompts.

    An answer without text is never chosen: nothing is learnt from it. The scores must be of one reward model.
    """
    rows = pd.concat(list(ledgers), ignore_index=True)
    rows = rows[rows["answer"].str.strip() != ""]
    order = rows.sort_values(["score", "round", "sample"], ascending=[False, True, True], kind="stable")
    return order.drop_duplicates("prompt").sort_index()


def best_against_median(scores: NDArray) -> list[dict[str, float]]:
    """For N = 1 to K: the mean over prompts of the expected best of N of the K samples, and of the median of the K.

    Expected without bias: sample i of the sorted K is the best of N with probability C(i-1, N-1) / C(K, N).
    """
    middle = float(np.median(scores, axis=1).mean())
    return [
        {"n": n, "best": float(expected_best(scores, n).mean()), "median": middle}
        for n in range(1, scores.shape[1] + 1)
    ]


def expected_best(scores: NDArray, n: int) -> NDArray:
    """Of each prompt: the expected best of n of its K samples, scores (prompts, K)."""
    count = scores.shape[1]
    chance = np.full(count, 1 / count)  # of n = 1
    for m in range(2, n + 1):
        # C(i-1, m-1) / C(K, m) from that of m - 1
        chance = chance * np.maximum(np.arange(count) - m + 2, 0) / (m - 1) * m / (count - m + 1)
    return np.sort(scores, axis=1) @ chance
