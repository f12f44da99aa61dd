"""What a number of models allows to say, before anything is said: limits, and claims refused in words.

With n models a correlation matrix has rank at most n - 1, as figures are centred; the smallest two-sided exact
p of n models without ties is 2/n!; a null Pearson r lies beyond +-t / sqrt(n - 2 + t^2) as often as Student's
t_{n-2} lies beyond +-t (at n = 4 it is uniform on [-1, 1]); and least squares on p benchmarks fits any n <= p + 1
ratings exactly, with an interpolation peak of the error near p = n.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import stats

from tasks.preference.engine.intervals import models_needed
from tasks.preference.sheets.joining import Paired

LEVELS = (0.5, 0.9, 0.95, 0.99)
PEAK = (0.5, 2.0)
MOST_SEARCHED = 10_000
FAMILIES_FOR_NEW = 4


def limits(data: Paired, level: float = 0.05) -> dict[str, Any]:
    """Numbers that depend on the counts alone, for `data` and for the pair with the fewest models in common."""
    n, p, targets = len(data.models), len(data.benchmarks), len(data.targets)
    both = np.isfinite(data.scores).T.astype(int) @ np.isfinite(data.ratings).astype(int)
    pairs = p * targets
    return {
        "models": n,
        "families": len(np.unique(data.families)),
        "benchmarks": p,
        "targets": targets,
        "pairs": pairs,
        "fewest_models_of_a_pair": int(both.min()),
        "rank_ceiling": min(n - 1, p, targets),
        "smallest_exact_p": smallest_exact_p(n),
        "smallest_p_after_removing_one_part": smallest_exact_p(n - 1),
        "level": level,
        "null_abs_r_quantiles": {str(q): pearson_null_quantile(n, q) for q in LEVELS},
        "chance_of_abs_r_above_0.9": chance_above(0.9, n),
        "abs_r_needed_for_one_pair": r_needed(n, level),
        "abs_r_needed_for_all_pairs": r_needed(n, level / pairs),
        "models_needed_for_one_pair": models_for_p(level),
        "models_needed_for_all_pairs": models_for_p(level / pairs),
        "models_needed_for_all_pairs_at_abs_r": {
            str(r): models_for_r(r, level / pairs) for r in (0.5, 0.8, 0.9, 0.95)
        },
        "benchmarks_per_model": p / n,
        "at_interpolation_peak": bool(PEAK[0] <= p / n <= PEAK[1]),
        "least_squares_fits_anything": bool(n <= p + 1),
    }


def smallest_exact_p(n: int) -> float:
    """Smallest two-sided p over all orders of n untied models: 2/n!, at most 1."""
    return min(1.0, 2 / math.factorial(max(n, 0))) if n < 170 else 0.0


def pearson_null_quantile(n: int, level: float) -> float:
    """|r| that two unrelated normal variables stay below with probability `level`, from n >= 3 pairs."""
    if n < 3:
        raise ValueError(f"n={n}: at least 3 pairs are needed for a correlation to vary")
    t = stats.t.ppf((1 + level) / 2, n - 2)
    return float(t / math.sqrt(n - 2 + t * t))


def chance_above(r: float, n: int) -> float:
    """Probability that |Pearson r| of two unrelated normal columns of n >= 3 models exceeds r."""
    if n < 3:
        return 1.0
    return float(2 * stats.t.sf(r * math.sqrt((n - 2) / max(1 - r * r, 1e-300)), n - 2))


def r_needed(n: int, level: float) -> float:
    """|r| that is exceeded with probability `level` by chance at n >= 3 models."""
    return pearson_null_quantile(n, 1 - level)


def models_for_p(level: float) -> int:
    """Fewest models whose smallest exact p, 2/n!, is at most `level`."""
    return next(n for n in range(2, 171) if smallest_exact_p(n) <= level)


def models_for_r(r: float, level: float) -> int:
    """Fewest models at which |r| is beyond chance at `level` and an exact test could say so."""
    fewest = models_for_p(level)
    return next(
        (n for n in range(max(3, fewest), MOST_SEARCHED) if chance_above(r, n) <= level), MOST_SEARCHED
    )


def refused_claims(data: Paired, level: float = 0.05, confidence: float = 0.9) -> list[dict[str, Any]]:
    """Claims that these counts cannot carry: claim, why in words, models (or families) at hand and needed."""
    told = limits(data, level)
    n, p, pairs = told["models"], told["benchmarks"], told["pairs"]
    refused = []

    def refuse(claim: str, why: str, needed: int, of: str = "models", have: int = n) -> None:
        refused.append({"claim": claim, "why": why, "have": have, "needed": needed, "of": of})

    if smallest_exact_p(n) > level:
        refuse(
            "that any one benchmark correlates with a category",
            f"with {n} models even a perfect order has an exact p of {smallest_exact_p(n):.3f}; unrelated "
            f"figures reach |r| > 0.9 with probability {told['chance_of_abs_r_above_0.9']:.0%}",
            told["models_needed_for_one_pair"],
        )
    if pairs > 1 and smallest_exact_p(n) > level / pairs:
        refuse(
            f"which of the {pairs} pairs correlate, or have the sign that they show",
            f"{pairs} pairs at {level:g} together need a p of {level / pairs:.2g}; {n} models give at least "
            f"{smallest_exact_p(n):.2g}",
            told["models_needed_for_all_pairs"],
        )
    if smallest_exact_p(n - 1) > level / max(pairs, 1):
        refuse(
            "a correlation of a category beyond scale or the general level",
            "removing log parameters or the overall rating leaves one model fewer to test with",
            models_for_p(level / max(pairs, 1)) + 1,
        )
    if min(p, told["targets"]) >= n:
        refuse(
            "how many components or communities the correlations have",
            f"centred figures of {n} models have rank at most {n - 1}, whatever the truth is",
            min(p, told["targets"]) + 1,
        )
    if told["least_squares_fits_anything"]:
        refuse(
            "weights of single benchmarks in a regression",
            f"{p} benchmarks fit the ratings of {n} models exactly in more than one way",
            p + 2,
        )
    if told["at_interpolation_peak"]:
        refuse(
            "a min-norm or unpenalised regression",
            f"{p} benchmarks for {n} models, p/n = {p / n:.2f}, is where its error peaks",
            2 * p + 1,
        )
    needed = models_needed(confidence)
    if n - 1 < needed:
        refuse(
            f"that {confidence:.0%} intervals cover {confidence:.0%}",
            f"with one model left out {n - 1} remain, and a finite interval needs {needed}",
            needed + 1,
        )
    if told["families"] < FAMILIES_FOR_NEW:
        refuse(
            "how well a model of a new family is forecast",
            f"{told['families']} families are too few to leave one out and still learn across families",
            FAMILIES_FOR_NEW,
            "families",
            told["families"],
        )
    return refused


def in_words(refusal: dict[str, Any]) -> str:
    """One sentence."""
    return (
        f"Refused: {refusal['claim']}. {refusal['why'][0].upper()}{refusal['why'][1:]}. {refusal['have']} "
        f"{refusal['of']} are at hand, at least {refusal['needed']} are needed."
    )
