"""A task's items asked one after another in a fixed random order, so that asking may end before all were.

All requests are built first, in the task's own order: few-shot examples are those of asking every item. The order is a
hash of the task's name and each item's place, so it is the same for every model and in every run.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.metrics import mean
from lm_eval.api.task import Task

from tasks.benchmarks.pass_at_k import NAME
from tasks.evaluation.harness_scores import item_name

# Means over items of values from 0 to 1; no other metric has an interval that may be looked at again and again.
BOUNDED_BY_NAME = (
    "acc",
    "pass_at_1",
    "acc_norm",
    "acc_bytes",
    "acc_mutual_info",
    "exact_match",
    "mc1",
    "mc2",
)


def is_bounded(metric: str) -> bool:
    return metric in BOUNDED_BY_NAME or metric.startswith(NAME)


class ItemsInTurn:
    """Items of one task and one model: those asked so far, and each one's value by (metric, filter)."""

    def __init__(self, model: Any, name: str, task: Task, indices: Sequence[int] | None, seed: int) -> None:
        """indices: sorted places of the items in the task; None or empty: all."""
        self.task, self._model = task, model
        task.build_all_requests(samples=list(indices) if indices else None)
        self._docs = dict(task.doc_iterator(samples=list(indices) if indices else None))
        self._indices = list(indices or self._docs)
        self._order = sorted(self._docs, key=lambda place: _drawn(name, self._indices[place], seed))
        self._requests: dict[int, list[Instance]] = defaultdict(list)
        for instance in task.instances:
            assert instance.doc_id is not None
            self._requests[instance.doc_id].append(instance)
        self._answers: dict[int, list[Any]] = {}  # by the request's id
        self.asked = 0
        self.values: dict[tuple[str, str], list[float]] = {}

    def __len__(self) -> int:
        return len(self._order)

    @property
    def names(self) -> list[str]:
        """Of the items, in the task's own order."""
        return [item_name(doc, self._indices[place]) for place, doc in self._docs.items()]

    @property
    def order(self) -> list[int]:
        """Which of them are asked, one after another."""
        places = {place: number for number, place in enumerate(self._docs)}
        return [places[place] for place in self._order]

    def ask(self, count: int) -> None:
        """Ask on until so many items were asked."""
        places = self._order[self.asked : count]
        instances = [instance for place in places for instance in self._requests[place]]
        by_kind: dict[str, list[Instance]] = defaultdict(list)
        for instance in instances:
            by_kind[instance.request_type] += [instance] * (instance.repeats or 1)
        for kind, requests in by_kind.items():
            for request, answer in zip(requests, getattr(self._model, kind)(requests), strict=True):
                request.resps.append(answer)
        self.task._instances = instances
        self.task.apply_filters()
        for place in places:
            self._value(place)
        self._answers |= {id(instance): list(instance.resps) for instance in instances}
        self.asked += len(places)

    def _value(self, place: int) -> None:
        requests = sorted(self._requests[place], key=lambda request: request.idx)
        for chosen in requests[0].filtered_resps:
            results: Any = [request.filtered_resps[chosen] for request in requests]
            told: Any = self.task.process_results(self._docs[place], results)
            for metric, value in told.items():
                if is_bounded(metric) and self.task.aggregation().get(metric, mean) is mean:
                    self.values.setdefault((metric, chosen), []).append(float(value))

    def left_to_the_harness(self) -> tuple[list[int], dict[int, list[Any]]]:
        """The places of the items asked, sorted, and the answers by request, for the harness to score them as its own.

        The task's requests are those of these items from here on, numbered as it numbers those of chosen items.
        """
        places = sorted(self._order[: self.asked])
        instances = []
        for number, place in enumerate(places):
            for instance in self._requests[place]:
                instance.doc_id, instance.resps, instance.filtered_resps = number, [], {}
                instances.append(instance)
        self.task._instances = instances
        built: Any = self.task
        built.build_all_requests = lambda **_: None
        return [self._indices[place] for place in places], self._answers


def answering(answers: dict[int, list[Any]]) -> Any:
    """What the harness takes for a model: it gives the answers that were given, by request."""

    def told(requests: Sequence[Instance]) -> list[Any]:
        remaining: dict[int, Iterator[Any]] = {key: iter(given) for key, given in answers.items()}
        return [next(remaining[id(request)]) for request in requests]

    kinds = ("loglikelihood", "loglikelihood_rolling", "generate_until", "multiple_choice")
    return SimpleNamespace(rank=0, world_size=1, **dict.fromkeys(kinds, told))


def _drawn(name: str, index: int, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}/{name}/{index}".encode()).digest()
