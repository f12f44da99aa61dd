"""Whether a run is far too small to tell anything from, and why, in one sentence.

It is where a model trained for fewer than FEWEST_STEPS steps, or where more than half of its benchmarks have fewer than
FEWEST_ITEMS items, or where more than half of its scores are within two standard errors of zero.
"""

from __future__ import annotations

from collections.abc import Mapping

from tasks.evaluation.metrics import HELDOUT, lower_is_better
from tasks.report.differences import DISTINGUISHABLE, Score
from tasks.report.findings import ModelScores
from tasks.report.formatting import listed

FEWEST_STEPS = 30
FEWEST_ITEMS = 30


def too_small(steps: Mapping[str, int], headline: Mapping[str, str], scores: ModelScores) -> str:
    """The sentence, empty for a run of a decent size.

    steps: of each model that was trained. headline: task -> metric. scores: of each model; held-out text does not
    count.
    """
    short = {name: count for name, count in steps.items() if count < FEWEST_STEPS}
    items = _items(headline, scores)
    few = {task: count for task, count in items.items() if count < FEWEST_ITEMS}
    known = [
        score
        for own in scores.values()
        for task, metric in headline.items()
        if task in items and not lower_is_better(metric) and (score := own.get((task, metric)))
    ]
    vague = [score for score in known if _near_zero(score)]
    why = []
    if short:
        why.append(
            f"{listed(list(short), 4)} trained for fewer than {FEWEST_STEPS} steps ({min(short.values())} at the "
            "fewest)"
        )
    if 2 * len(few) > len(items):
        why.append(
            f"{listed(list(few), 4)} {'has' if len(few) == 1 else 'have'} fewer than {FEWEST_ITEMS} items "
            f"({min(few.values())} at the fewest)"
        )
    if 2 * len(vague) > len(known):
        why.append(
            f"{len(vague)} of {len(known)} benchmark scores are within {DISTINGUISHABLE:g} standard errors of zero"
        )
    return f"This run is far too small to tell anything from: {'; '.join(why)}." if why else ""


def _items(headline: Mapping[str, str], scores: ModelScores) -> dict[str, int]:
    """task -> fewest items behind a model's score, of benchmarks whose items are counted."""
    found: dict[str, int] = {}
    for own in scores.values():
        for task, metric in headline.items():
            score = own.get((task, metric))
            if score is not None and score.n is not None and not task.startswith(HELDOUT):
                found[task] = min(score.n, found.get(task, score.n))
    return found


def _near_zero(score: Score) -> bool:
    return score.stderr is not None and score.value <= DISTINGUISHABLE * score.stderr
