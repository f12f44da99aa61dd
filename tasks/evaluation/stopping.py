"""Enough is enough: items are asked until the wanted interval, or the wanted decision between two models, is there.

After every so many items the interval is looked at, which holds at all looks together (`confidence_sequence`). Where
several models are told from one, each interval holds with 1 - alpha / (how many they are), so that all of a benchmark
hold together with 1 - alpha (the union bound).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from tasks.evaluation.confidence_sequence import MARGINS, running_difference, running_interval

if TYPE_CHECKING:
    from tasks.evaluation.items_in_turn import ItemsInTurn

About = Literal["benchmark", "population"]
CONFIDENCE = 0.95
REACHED = "the interval is narrow enough"
DECIDED = "which of the two is better is told"
ALL_SEEN = "all items were asked"
UNBOUNDED = "all items were asked: no metric of the task is a mean of values from 0 to 1"


@dataclass(frozen=True)
class ToldFrom:
    """A model that was asked all items, and from which others are told.

    values: (task, metric) -> the items by name, in the task's order, and the metric's value on each.
    """

    model: str
    values: Mapping[tuple[str, str], tuple[Sequence[str], NDArray[np.float64]]]


@dataclass(frozen=True)
class Enough:
    """When it is: at a half-width of each score's interval, or without one once each model is told from another.

    every: items between looks. about: what intervals are of, the score on the whole benchmark, which is known once all
    its items were asked, or the mean of items like these. order_seed: of the order of the items. told_from: the model
    that others are told from; None: the first of those that are asked. others: how many are told from it in all, of
    which only some may be asked here.
    """

    half_width: float | None = None
    every: int = 50
    about: About = "benchmark"
    order_seed: int = 0
    told_from: ToldFrom | None = None
    others: int = 1

    @property
    def confidence_each(self) -> float:
        """Of each difference, so that those of all models hold together."""
        return 1 - (1 - CONFIDENCE) / self.others


@dataclass(frozen=True)
class AskedItems:
    """The values of a metric on the items that were asked, in the order in which they were, of `of` items."""

    values: NDArray[np.float64]
    of: int
    about: About
    margins: tuple[float, ...] = MARGINS
    confidence_each: float = CONFIDENCE

    def interval(self) -> tuple[float, float]:
        return running_interval(self.values, CONFIDENCE, self._population, self.margins)

    def lead(self, other: AskedItems) -> tuple[float, float]:
        """The interval of how much higher this one's mean is, from the items that both were asked."""
        return self.lead_over(other.values)

    def lead_over(self, values: NDArray[np.float64]) -> tuple[float, float]:
        """The same of another's values, in the same order."""
        common = min(len(self.values), len(values))
        return running_difference(
            self.values[:common], values[:common], self.confidence_each, self._population
        )

    @property
    def _population(self) -> int | None:
        return self.of if self.about == "benchmark" else None


@dataclass(frozen=True)
class Stop:
    """Where asking a model ended on a task: items asked of how many, the interval of what decided, and why.

    metric: None where none is bounded. against: the model that it was compared with; low and high are then of the
    difference, else of the score. confidence: that low and high hold at every look.
    """

    model: str
    task: str
    metric: str | None
    asked: int
    of: int
    low: float | None
    high: float | None
    about: About
    because: str
    against: str | None = None
    confidence: float = CONFIDENCE

    def row(self) -> dict[str, Any]:
        return asdict(self)


def ask_until_enough(models: Mapping[str, Mapping[str, ItemsInTurn]], enough: Enough) -> list[Stop]:
    """Ask the models' items, model -> task -> items, until it is enough on every task.

    Without a half-width each is compared with `told_from`, or where that is not given with the first, which is asked,
    too.
    """
    stops = []
    first, *others = models
    for task in models[first]:
        if enough.half_width is not None:
            stops += [_narrowed(name, task, models[name][task], enough) for name in models]
        elif enough.told_from is not None:
            stops += [_decided(name, task, models[name][task], enough, enough.told_from) for name in models]
        else:
            stops += _told_apart(first, others, task, {name: models[name][task] for name in models}, enough)
    return stops


def asked_items(items: ItemsInTurn, enough: Enough) -> dict[tuple[str, str], AskedItems]:
    """(metric, filter) -> values, of the bounded metrics; the first decides. What lies outside [0, 1] is none."""
    margins = MARGINS if enough.half_width is None else (enough.half_width,)
    return {
        key: AskedItems(np.array(values), len(items), enough.about, margins, enough.confidence_each)
        for key, values in items.values.items()
        if len(values) == items.asked and all(0 <= value <= 1 for value in values)
    }


def _deciding(items: ItemsInTurn, enough: Enough) -> tuple[str | None, AskedItems | None]:
    for (metric, _), asked in asked_items(items, enough).items():
        return metric, asked
    return None, None


def _narrowed(name: str, task: str, items: ItemsInTurn, enough: Enough) -> Stop:
    assert enough.half_width is not None
    while True:
        items.ask(min(items.asked + enough.every, len(items)))
        metric, asked = _deciding(items, enough)
        low, high = (None, None) if asked is None else asked.interval()
        because = UNBOUNDED if asked is None else ALL_SEEN
        is_last = items.asked == len(items)
        if low is not None and high is not None and (high - low) / 2 <= enough.half_width:
            because = ALL_SEEN if is_last else REACHED
        if because == REACHED or is_last:
            return Stop(name, task, metric, items.asked, len(items), low, high, enough.about, because)


def _decided(name: str, task: str, items: ItemsInTurn, enough: Enough, base: ToldFrom) -> Stop:
    """Raises ValueError where the other model was asked other items."""
    while True:
        items.ask(min(items.asked + enough.every, len(items)))
        metric, own = _deciding(items, enough)
        is_last = items.asked == len(items)
        low, high = None, None
        if own is not None:
            low, high = own.lead_over(_in_turn(items, task, base))
        because = UNBOUNDED if low is None else ALL_SEEN
        if low is not None and high is not None and (low > 0 or high < 0):
            because = ALL_SEEN if is_last and enough.about == "benchmark" else DECIDED
        if because == DECIDED or is_last:
            told = (items.asked, len(items), low, high, enough.about, because, base.model)
            return Stop(name, task, metric, *told, enough.confidence_each)


def _in_turn(items: ItemsInTurn, task: str, base: ToldFrom) -> NDArray[np.float64]:
    """The other model's values of what decides, in the order in which items are asked."""
    (metric, chosen), *_ = items.values
    several = len({one for _, one in items.values}) > 1
    shown = f"{metric}:{chosen}" if several else metric
    names, values = base.values.get((task, shown), ((), np.zeros(0)))
    if list(names) != items.names:
        raise ValueError(
            f"{task}: {base.model}, which models are told from, was asked {len(names)} items by {shown}, and not the "
            f"{len(items)} that are there; allowed: a model that was asked all of them"
        )
    return values[items.order]


def _told_apart(
    first: str, others: Sequence[str], task: str, items: Mapping[str, ItemsInTurn], enough: Enough
) -> list[Stop]:
    """A stop for each of the others; the first is asked as long as one of them is not told from it."""
    open_ones, stops = list(others), []
    while open_ones:
        count = min(items[first].asked + enough.every, len(items[first]))
        for name in (first, *open_ones):
            items[name].ask(count)
        metric, base = _deciding(items[first], enough)
        for name in list(open_ones):
            _, own = _deciding(items[name], enough)
            low, high = (None, None) if own is None or base is None else own.lead(base)
            because = UNBOUNDED if low is None else ALL_SEEN
            is_last = count == len(items[first])
            if low is not None and high is not None and (low > 0 or high < 0):
                because = ALL_SEEN if is_last and enough.about == "benchmark" else DECIDED
            if because == DECIDED or is_last:
                told = (count, len(items[name]), low, high, enough.about, because, first)
                stops.append(Stop(name, task, metric, *told, enough.confidence_each))
                open_ones.remove(name)
    return stops
