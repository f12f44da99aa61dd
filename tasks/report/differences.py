"""Differences of scores and their errors, paired over the items that two models share.

All models see the same test items and documents, so most of a score's error is common to them and cancels
in a difference. A score R is a mean of v_i, or a ratio sum(y_i)/sum(x_i) (bits per byte of documents); its
items' influences are

    u_i = v_i - R        or        u_i = (y_i - R x_i) / mean(x)

and for any sum of scores over the same n items, the influences add, with variance n/(n-1) sum(u_i^2) / n^2.
The share of a gain that is kept is a ratio of two such differences; its interval is Fieller's (1954).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.benchmarks.kinds import KINDS_BY_NAME
from tasks.evaluation.metrics import HELDOUT
from tasks.report.formatting import is_number

Array = NDArray[np.float64]
DISTINGUISHABLE = 2.0  # standard errors


@dataclass(frozen=True)
class Score:
    """A model's score on a task; stderr None where unknown; influences, where every sample is kept.

    is_mean: over items, so that the score on some of them follows from the influences.
    """

    value: float
    stderr: float | None
    n: int | None
    items: tuple[str, ...] = ()
    influences: Array | None = None
    is_mean: bool = True


@dataclass(frozen=True)
class Difference:
    """value with its standard error (None: unknown), and whether it is paired over items."""

    value: float
    stderr: float | None
    paired: bool
    n: int | None
    items: tuple[str, ...] = ()
    influences: Array | None = None

    @property
    def is_distinguishable(self) -> bool:
        """More than 2 standard errors from zero; False where the error is unknown."""
        return self.stderr is not None and abs(self.value) > DISTINGUISHABLE * self.stderr


def is_paired(*scores: Score) -> bool:
    """Whether the same items, in the same order, are behind all of them."""
    return all(s.influences is not None and s.items == scores[0].items for s in scores) and (
        len(scores[0].items) > 1
    )


def on_common_items(first: Score, second: Score) -> tuple[Score, Score]:
    """Both on the items of the one that has fewer, if the other has all these too; otherwise as they are."""
    fewer, more = (first, second) if len(first.items) < len(second.items) else (second, first)
    if not (fewer.is_mean and more.is_mean and 1 < len(fewer.items) < len(more.items)):
        return first, second
    if more.influences is None or len(set(more.items)) < len(more.items):
        return first, second
    places = {item: place for place, item in enumerate(more.items)}
    if not all(item in places for item in fewer.items):
        return first, second
    influences = more.influences[[places[item] for item in fewer.items]]
    moved = float(influences.mean())
    cut = replace(
        more,
        value=more.value + moved,
        n=len(influences),
        items=fewer.items,
        influences=influences - moved,
        stderr=math.sqrt(covariance(influences - moved, influences - moved)),
    )
    return (fewer, cut) if fewer is first else (cut, fewer)


def difference(first: Score, second: Score) -> Difference:
    """first - second, on the items that both have where one was asked fewer.

    Without common samples, as of independent scores: their common error is then counted.
    """
    first, second = on_common_items(first, second)
    if is_paired(first, second):
        assert first.influences is not None and second.influences is not None
        u = first.influences - second.influences
        if (
            first.value != second.value and not u.any()
        ):  # each item differs by the same: no spread tells the error
            return replace(
                difference(replace(first, influences=None), replace(second, influences=None)), n=len(u)
            )
        return Difference(
            first.value - second.value, math.sqrt(covariance(u, u)), True, len(u), first.items, u
        )
    known = first.stderr is not None and second.stderr is not None
    stderr = math.hypot(first.stderr or 0, second.stderr or 0) if known else None
    sizes = [s.n for s in (first, second) if s.n]
    return Difference(first.value - second.value, stderr, False, min(sizes) if sizes else None)


def not_zero(gain: Difference) -> float | None:
    """The error of a difference of two models; where no item told them apart, as if half an item of n + 1 had.

    sqrt(d / n) with d = 1/2 / (n + 1), the mean of Jeffreys' posterior of the share of items that do.
    """
    if gain.stderr == 0 and gain.n:
        return math.sqrt(0.5 / (gain.n + 1) / gain.n)
    return gain.stderr


def summed(parts: Sequence[Difference]) -> Difference:
    """The sum of differences; those over the same items are added item by item, others are independent."""
    value, sizes = sum(part.value for part in parts), [part.n for part in parts if part.n]
    stderr: float | None = None
    if all(part.stderr is not None for part in parts):
        apart = sum((part.stderr or 0) ** 2 for part in parts if part.influences is None)
        stderr = math.sqrt(apart + sum(covariance(u, u) for u in _by_items(parts).values()))
    return Difference(value, stderr, all(p.paired for p in parts), min(sizes) if sizes else None)


def summed_covariance(first: Sequence[Difference], second: Sequence[Difference]) -> float:
    """Covariance of two sums of differences, from the items that they share."""
    of_first, of_second = _by_items(first), _by_items(second)
    return sum(covariance(of_first[items], of_second[items]) for items in of_first.keys() & of_second.keys())


def _by_items(parts: Sequence[Difference]) -> dict[tuple[str, ...], Array]:
    groups: dict[tuple[str, ...], Array] = {}
    for part in parts:
        if part.influences is not None:
            groups[part.items] = groups.get(part.items, 0) + part.influences
    return groups


def covariance(u: Array, v: Array) -> float:
    """Covariance of two scores over the same n items, from their influences."""
    n = len(u)
    return float(n / (n - 1) * (u @ v) / n**2)


def fieller(
    numerator: float, denominator: float, variances: tuple[float, float], covariance: float, n: int
) -> tuple[float, float] | None:
    """The 95% interval of numerator / denominator; None where the denominator may be zero.

    variances: of numerator and denominator. n: items behind them, for Student's t with n - 1 degrees.
    """
    if n < 2:
        return None
    from scipy.special import stdtrit

    t = float(stdtrit(n - 1, 0.975))
    g = t**2 * variances[1] / denominator**2 if denominator else math.inf
    if g >= 1:
        return None
    ratio = numerator / denominator
    spread = variances[0] - 2 * ratio * covariance + ratio**2 * variances[1]
    if variances[1] > 0:
        spread -= g * (variances[0] - covariance**2 / variances[1])
    half = t / abs(denominator) * math.sqrt(max(spread, 0.0))
    centre = ratio - g * covariance / variances[1] if variances[1] > 0 else ratio
    return (centre - half) / (1 - g), (centre + half) / (1 - g)


def read_scores(folder: Path, rows: list[dict]) -> dict[tuple[str, str], Score]:
    """(task, metric) -> score of one model; with its items' influences where `folder` keeps the samples."""
    samples = _read_influences(folder / "samples.parquet")
    found = {}
    for row in rows:
        if not is_number(row["value"]):
            continue
        stderr = float(row["stderr"]) if is_number(row["stderr"]) else None
        key = (row["task"], row["metric"])
        value, items, influences = samples.get(key, (math.nan, (), None))
        # The mean of the samples is not what every metric aggregates to: such scores are not paired.
        if not math.isclose(value, row["value"], rel_tol=1e-6, abs_tol=1e-9):
            items, influences = (), None
        is_mean = not row["task"].startswith(HELDOUT)
        found[key] = Score(float(row["value"]), stderr, row.get("n"), items, influences, is_mean)
    return found


Samples = dict[tuple[str, str], tuple[float, tuple[str, ...], Array | None]]


def _read_influences(path: Path) -> Samples:
    if not path.is_file():
        return {}
    import pandas as pd

    found: Samples = {}
    frame = pd.read_parquet(path, columns=["task", "metric", "item", "value", "target"])
    for (task, metric), part in frame.groupby(["task", "metric"], sort=False):
        values = part["value"].to_numpy(float)
        mean = float(values.mean())
        found[str(task), str(metric)] = (mean, _names(task, part["item"], part["target"]), values - mean)
    documents = pd.read_parquet(
        path, columns=["task", "item", "outputs"], filters=[("metric", "==", "bits_per_byte")]
    )
    documents = documents[documents["task"].str.startswith(HELDOUT)]
    for task, part in documents.groupby("task", sort=False):
        outputs = [json.loads(text) for text in part["outputs"]]
        bits = np.array([output["nats"] for output in outputs]) / math.log(2)
        sizes = np.array([output["bytes"] for output in outputs], dtype=float)
        value = float(bits.sum() / sizes.sum())
        influences = (bits - value * sizes) / sizes.mean()
        found[str(task), "bits_per_byte"] = (value, _names(task, part["item"], sizes), influences)
    return found


def _names(task: object, items: Iterable[object], answers: Iterable[object]) -> tuple[str, ...]:
    """What two scores must share to be paired: items by name, with their right answers or the sizes of documents."""
    return tuple(f"{task}/{item}/{answer}" for item, answer in zip(items, answers, strict=True))


def chance_levels(folder: Path, tasks: Mapping[str, dict]) -> dict[str, float]:
    """Accuracy of guessing by task, 1 / number of choices averaged over the items that were scored.

    Only for kinds where one of several texts is chosen; tasks whose samples are not kept have none.
    """
    path = folder / "samples.parquet"
    if not path.is_file():
        return {}
    import pandas as pd

    frame = pd.read_parquet(path, columns=["task", "outputs"], filters=[("metric", "==", "acc")])
    levels = {}
    for task, part in frame.groupby("task", sort=False):
        kind = KINDS_BY_NAME.get(tasks.get(str(task), {}).get("kind", ""))
        if kind is not None and kind.guess is not None:
            levels[str(task)] = float(
                np.mean([kind.guess(len(json.loads(text))) for text in part["outputs"]])
            )
    return levels
