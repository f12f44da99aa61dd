"""What the scores of a run say: which model is best, and how much of the experts' gains is kept."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tasks.evaluation.metrics import HELDOUT, lower_is_better
from tasks.report.differences import (
    Difference,
    Score,
    difference,
    fieller,
    is_paired,
    summed,
    summed_covariance,
)

BITS = "bits_per_byte"
ModelScores = Mapping[str, Mapping[tuple[str, str], Score]]


@dataclass(frozen=True)
class BenchmarkMeans:
    """Mean of the headline metric over the tasks that all models have, and distances to the best.

    chance: mean accuracy of guessing, None unless known for every task. left_out: tasks that do not count.
    """

    tasks: list[str]
    left_out: list[str]
    means: dict[str, tuple[float, float | None]]
    best: str
    to_best: dict[str, Difference]
    chance: float | None


@dataclass(frozen=True)
class Kept:
    """Of experts' gains over the seed, the share that a combined model keeps.

    gain: seed's bits per byte - expert's; moved: seed's - the combined model's; share = moved / gain, with its
    95% interval. share is None where the gain is not above zero beyond its error; low and high are None where
    the interval is unbounded or errors are unknown.
    """

    combined: str
    gain: Difference
    moved: Difference
    share: float | None
    low: float | None
    high: float | None
    expert: str = ""
    source: str = ""


def headline_metrics(tasks: Mapping[str, dict], scores: ModelScores) -> dict[str, str]:
    """task -> its headline metric: the stated one, else accuracy, else the first; held-out text after tasks."""
    metrics: dict[str, list[str]] = {}
    for by_key in scores.values():
        for task, metric in by_key:
            if metric not in metrics.setdefault(task, []):
                metrics[task].append(metric)
    stated = [task for task in tasks if task in metrics]
    others = [task for task in metrics if task not in tasks and not task.startswith(HELDOUT)]
    heldout = [task for task in metrics if task.startswith(HELDOUT)]
    return {
        task: next(
            (m for m in (tasks.get(task, {}).get("metric"), "acc") if m in metrics[task]), metrics[task][0]
        )
        for task in (*stated, *others, *heldout)
    }


def benchmark_means(
    tasks: Mapping[str, dict], headline: Mapping[str, str], scores: ModelScores, chance: Mapping[str, float]
) -> BenchmarkMeans | None:
    """Means over the run's own tasks that every model has, in metrics from 0 to 1; None without any."""
    counted = []
    for task in tasks:
        cells = [by_key.get((task, headline.get(task, ""))) for by_key in scores.values()]
        fits = all(cell is not None and 0 <= cell.value <= 1 for cell in cells)
        if fits and not lower_is_better(headline[task]):
            counted.append(task)
    if not counted:
        return None
    of = {name: [by_key[task, headline[task]] for task in counted] for name, by_key in scores.items()}
    means = {
        name: (sum(s.value for s in cells) / len(cells), _mean_error([s.stderr for s in cells]))
        for name, cells in of.items()
    }
    best = max(means, key=lambda name: means[name][0])
    to_best = {}
    for name in means:
        parts = [difference(a, b) for a, b in zip(of[best], of[name], strict=True)]
        to_best[name] = Difference(
            means[best][0] - means[name][0],
            _mean_error([part.stderr for part in parts]),
            all(part.paired for part in parts),
            None,
        )
    is_chance_known = all(task in chance and headline[task].startswith("acc") for task in counted)
    guessing = sum(chance[task] for task in counted) / len(counted) if is_chance_known else None
    left_out = [task for task in tasks if task not in counted]
    return BenchmarkMeans(counted, left_out, means, best, to_best, guessing)


def _mean_error(errors: Sequence[float | None]) -> float | None:
    known = [error for error in errors if error is not None]
    return math.sqrt(sum(e**2 for e in known)) / len(errors) if len(known) == len(errors) else None


def kept_gains(
    scores: ModelScores, domains: Mapping[str, Sequence[str]], combined: Sequence[str]
) -> list[Kept]:
    """One for each expert, source of its domain and combined model that have bits per byte there."""
    found = []
    for expert, sources in domains.items():
        for source in sources:
            key = (HELDOUT + source, BITS)
            for name in combined:
                cells = [scores.get(model, {}).get(key) for model in ("seed", expert, name)]
                if all(cell is not None for cell in cells):
                    seed, own, joined = (cell for cell in cells if cell is not None)
                    found.append(_kept(expert, source, name, seed, own, joined))
    return found


def _kept(expert: str, source: str, combined: str, seed: Score, own: Score, joined: Score) -> Kept:
    gain, moved = difference(seed, own), difference(seed, joined)
    in_both = (seed.stderr or 0.0) ** 2  # where not paired, the seed's error is in both differences
    shared = summed_covariance([moved], [gain]) if is_paired(seed, own, joined) else in_both
    return Kept(combined, gain, moved, *_share(moved, gain, shared), expert, source)


def kept_together(parts: Sequence[Kept]) -> Kept | None:
    """The gains of several experts as one: sums over experts and sources. None without any."""
    if not parts:
        return None
    gain, moved = summed([part.gain for part in parts]), summed([part.moved for part in parts])
    shared = summed_covariance([part.moved for part in parts], [part.gain for part in parts])
    return Kept(parts[0].combined, gain, moved, *_share(moved, gain, shared))


def _share(
    moved: Difference, gain: Difference, shared: float
) -> tuple[float | None, float | None, float | None]:
    if gain.value <= 0 or not gain.is_distinguishable:
        return None, None, None
    if moved.stderr is None or gain.stderr is None:
        return moved.value / gain.value, None, None
    n = min(moved.n or 0, gain.n or 0)
    interval = fieller(moved.value, gain.value, (moved.stderr**2, gain.stderr**2), shared, n)
    return (moved.value / gain.value, *(interval or (None, None)))
