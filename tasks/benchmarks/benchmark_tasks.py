"""Our benchmarks as tasks of the harness: choice, cloze and answer items in its terms."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from datasets import Dataset
from lm_eval.api.metrics import bits_per_byte, mean
from lm_eval.api.task import ConfigurableTask

from tasks.benchmarks.items import FIELDS, Benchmark

Results = list[tuple[float, bool]]


def benchmark_task(benchmark: Benchmark) -> ConfigurableTask:
    """A harness task with the benchmark's items as its test split. Raises ValueError for one without items.

    choice   acc: the choice with the highest log-likelihood; acc_norm: the highest a UTF-8 byte
    cloze    acc: the context after which the continuation is likeliest
    answer   acc: whether an accepted answer is the greedy text

    and bits_per_byte of the right choice, of the continuation after the right context, of the first answer: it
    moves in models too small for accuracy to leave chance.
    """
    if not benchmark.items:
        raise ValueError(f"benchmark {benchmark.name!r} has no items; allowed: at least one")
    fields = FIELDS[benchmark.kind]
    rows = Dataset.from_list([{field: item[field] for field in fields} for item in benchmark.items])
    metrics: dict[str, Callable[..., float]] = {"acc": mean}
    if benchmark.kind == "choice":
        metrics["acc_norm"] = mean
    metrics["bits_per_byte"] = bits_per_byte
    texts: dict[str, Any] = {
        "choice": {"doc_to_text": _context, "doc_to_choice": _choices, "doc_to_target": _answer},
        "cloze": {"doc_to_text": _answer, "doc_to_choice": _contexts, "doc_to_target": _continuation},
        "answer": {"doc_to_text": _context, "doc_to_choice": _answers, "doc_to_target": _first},
    }[benchmark.kind]
    return ConfigurableTask(
        config={
            "task": benchmark.name,
            "custom_dataset": lambda **_: {"test": rows},
            "test_split": "test",
            "output_type": "multiple_choice",
            "target_delimiter": "",
            "num_fewshot": 0,
            "process_results": {"choice": _score_choice, "cloze": _score_cloze, "answer": _score_answer}[
                benchmark.kind
            ],
            "metric_list": [
                {"metric": name, "aggregation": aggregation, "higher_is_better": name != "bits_per_byte"}
                for name, aggregation in metrics.items()
            ],
            **texts,
        }
    )


def _context(doc: dict[str, Any]) -> str:
    return doc["context"]


def _choices(doc: dict[str, Any]) -> list[str]:
    return doc["choices"]


def _contexts(doc: dict[str, Any]) -> list[str]:
    return doc["contexts"]


def _answers(doc: dict[str, Any]) -> list[str]:
    return doc["answers"]


def _continuation(doc: dict[str, Any]) -> str:
    return doc["continuation"]


def _answer(doc: dict[str, Any]) -> int:
    return doc["answer"]


def _first(doc: dict[str, Any]) -> int:
    return 0


def _score_choice(doc: dict[str, Any], results: Results) -> dict[str, Any]:
    nats = np.array([value for value, _ in results])
    sizes = [_bytes(choice) for choice in doc["choices"]]
    right = doc["answer"]
    return {
        "acc": float(np.argmax(nats) == right),
        "acc_norm": float(np.argmax(nats / sizes) == right),
        "bits_per_byte": (float(nats[right]), sizes[right]),
    }


def _score_cloze(doc: dict[str, Any], results: Results) -> dict[str, Any]:
    right = doc["answer"]
    return {
        "acc": float(np.argmax([value for value, _ in results]) == right),
        "bits_per_byte": (results[right][0], _bytes(doc["continuation"])),
    }


def _score_answer(doc: dict[str, Any], results: Results) -> dict[str, Any]:
    size = _bytes(doc["answers"][0])
    return {"acc": float(any(greedy for _, greedy in results)), "bits_per_byte": (results[0][0], size)}


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def bits_of(value: tuple[float, int]) -> float:
    """Bits of a (log-likelihood in nats, bytes) pair."""
    return -value[0] / math.log(2)
