"""What was lost on the way: benchmarks and kinds of prompts, paired over items, against the base and step by step.

OPT-IML (arXiv 2212.12017) fell from 78.8 to 69.2 on PIQA; Llama 2 (arXiv 2307.09288, section 3.2.3) lost skills from
round to round of rejection sampling. A change is of the same items, so what is hard about them cancels.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from tasks.chat.over_seeds import CONFIDENCE, over_seeds
from tasks.evaluation.metrics import headline, lower_is_better
from tasks.evaluation.standard_errors import mean_error
from tasks.report.differences import Score, difference, not_zero, read_scores

if TYPE_CHECKING:
    from storage.artifact import Artifact

Skills = dict[tuple[str, str], Score]
BASE = "base"
PROMPTS = "prompts: "
RIGHT = "right"
WORSE, BETTER, UNKNOWN = "worse", "better", "not told apart"


def skills_of(scores: Artifact | None, answers: Sequence[Mapping[str, Any]]) -> Skills:
    """(benchmark, its metric) and ("prompts: <kind>", "right") -> score, with what each item gives to it.

    scores: of the evaluation; answers: to the held-out prompts, those without a known answer count for none.
    """
    found: Skills = {}
    if scores is not None:
        rows = [row for by_model in headline(scores.facts["scores"]).values() for row in by_model.values()]
        found |= read_scores(scores.path, rows)
    known = [row for row in answers if row["points"] is not None]
    for kind in dict.fromkeys(row["kind"] for row in known):
        own = [row for row in known if row["kind"] == kind]
        values = np.array([row["right"] for row in own], float)
        items = tuple(row["prompt"] for row in own)
        mean = float(values.mean())
        found[f"{PROMPTS}{kind}", RIGHT] = Score(
            mean, mean_error(values.tolist()), len(own), items, values - mean
        )
    return found


def harm_pairs(names: Sequence[str]) -> list[tuple[str, str]]:
    """Every model against the base."""
    return [(BASE, name) for name in names if name != BASE]


def forgetting_pairs(names: Sequence[str]) -> list[tuple[str, str]]:
    """Every model against the one that it was trained from, from fine-tuning on."""
    return [pair for pair in itertools.pairwise(names) if pair[0] != BASE]


def changes(seeds: Sequence[Mapping[str, Skills]], pairs: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """A row a pair and skill: of, against, task, metric, n, before, after, mean, low, high of after - before, verdict.

    seeds: one mapping model -> skills a seed. The interval is over seeds where there are several, else over items; a
    verdict is told where it leaves out 0, and by the metric's direction.
    """
    rows = []
    for first, second in pairs:
        shared = [
            key
            for key in seeds[0][second]
            if all(key in one[name] for one in seeds for name in (first, second))
        ]
        for task, metric in shared:
            each = [difference(one[second][task, metric], one[first][task, metric]) for one in seeds]
            gain, stderr = each[0].value, not_zero(each[0])
            is_known = len(seeds) > 1 or (stderr is not None and not math.isnan(stderr))
            half = _quantile(each[0].n) * (stderr or 0.0)
            told = over_seeds([one.value for one in each], (gain - half, gain + half))
            rows.append(
                {
                    "of": second,
                    "against": first,
                    "task": task,
                    "metric": metric,
                    "n": each[0].n,
                    "before": _mean(seeds, first, (task, metric)),
                    "after": _mean(seeds, second, (task, metric)),
                    **(told if is_known else told | {"low": None, "high": None}),
                    "verdict": _verdict(told, metric) if is_known else UNKNOWN,
                }
            )
    return rows


def _quantile(n: int | None) -> float:
    """Of Student's t with n - 1 degrees: a kind of prompt may have but a few items; normal where n is not known."""
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1 if n is not None and n > 1 else math.inf))


def _mean(seeds: Sequence[Mapping[str, Skills]], model: str, key: tuple[str, str]) -> float:
    return float(np.mean([one[model][key].value for one in seeds]))


def _verdict(told: Mapping[str, float], metric: str) -> str:
    if told["low"] <= 0 <= told["high"]:
        return UNKNOWN
    return WORSE if (told["mean"] < 0) != lower_is_better(metric) else BETTER


def said_of_losses(harm: Sequence[Mapping[str, Any]], forgetting: Sequence[Mapping[str, Any]]) -> list[str]:
    """The losses in sentences; how many were looked at stands beside, since one in forty is found by chance."""
    found = []
    for rows, against in ((harm, "than the base"), (forgetting, "than what it was trained from")):
        worse = [row for row in rows if row["verdict"] == WORSE]
        if not rows:
            continue
        if not worse:
            found.append(f"Nothing is told to be worse {against}, of {len(rows)} comparisons.")
        for row in worse:
            found.append(
                f"{row['of']} is worse {against} ({row['against']}) on {row['task']}: {row['metric']} "
                f"{row['before']:.2f} to {row['after']:.2f}, {row['mean']:+.2f} [{row['low']:+.2f}, "
                f"{row['high']:+.2f}] (one of {len(rows)} comparisons)."
            )
    return found
