"""How a round's answers are spent: K a prompt, and before them some at each temperature, of which the best is taken.

At a fixed number of answers G what an answer is worth, (expected best of K - median) / K, falls from K = 3 on (normal
scores: .28 deviations for 2 and 3, .26 for 4, .23 for 5): so all prompts are answered, with K = G / prompts. What is
left to choose is the temperature: the one with the highest expected best on some prompts, by the curve that is also
shown (Llama 2, arXiv 2307.09288, figures 7 and 8: the best one rises with K and changes from round to round).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.chat.rejection.best_of_many import expected_best
from tasks.chat.settings import AUTO, RejectionSettings
from tasks.evaluation.standard_errors import mean_error

TRIED_SHARE = 4  # with K chosen too, one of four answers is drawn to find the temperature
FEWEST_PROMPTS = 4


@dataclass(frozen=True)
class Spending:
    """samples: K of the round. tried: answers to a prompt at each temperature; on: prompts that are; both 0: none."""

    samples: int
    tried: int = 0
    on: int = 0

    def answers(self, settings: RejectionSettings, prompts: int) -> int:
        """All that are drawn."""
        return self.samples * prompts + self.tried * self.on * len(settings.temperatures)


def spending_of(settings: RejectionSettings, prompts: int) -> Spending:
    """What is drawn for so many prompts. Raises ValueError where the answers do not suffice."""
    if settings.answers is None:
        assert isinstance(settings.samples, int)
        return Spending(settings.samples)
    tries = settings.temperature == AUTO
    each = len(settings.temperatures)
    for_tries = settings.answers // TRIED_SHARE if tries else 0
    given = settings.samples
    samples = given if isinstance(given, int) else (settings.answers - for_tries) // prompts
    left = (settings.answers - samples * prompts) // each if tries else 0
    tried = max(2, min(samples, left // FEWEST_PROMPTS))
    on = min(prompts, left // tried)
    if samples < 2 or samples * prompts > settings.answers or (tries and on < 2):
        raise ValueError(
            f"chat.rejection.answers is {settings.answers}, too few for {prompts} prompts: at least 2 answers to each"
            + (f", and 2 to two prompts at each of {each} temperatures" if tries else "")
            + "; allowed: more answers, or fewer prompts"
        )
    return Spending(samples, tried, on) if tries else Spending(samples)


def choose_temperature(
    temperatures: Sequence[float], scores_at: Callable[[float], NDArray]
) -> tuple[float, list[dict[str, Any]]]:
    """The temperature with the highest mean expected best, of equals the lowest; and what each gave.

    scores_at: temperature -> (prompts, samples).
    """
    tried = []
    for temperature in sorted(temperatures):
        scores = scores_at(temperature)
        best = expected_best(scores, scores.shape[1])
        tried.append(
            {
                "temperature": temperature,
                "n": scores.shape[1],
                "prompts": scores.shape[0],
                "best": float(best.mean()),
                "stderr": None if math.isnan(error := mean_error(best.tolist())) else error,
                "median": float(np.median(scores, axis=1).mean()),
            }
        )
    return max(tried, key=lambda row: row["best"])["temperature"], tried
