"""A mix of a collection: shares by a mixture method with examples in place of tokens, rows in their exact order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tasks.instructions.collections import Example
from tasks.instructions.exact_order import ExactOrder

FEWER_SHOTS = 0.5  # each further demonstration is half as likely: MetaICL's skew as OPT-IML has it


def weights_of(
    collection: Mapping[str, Sequence[Example]], size: int, settings: Any, utility: Any = None
) -> dict[str, float]:
    """Task -> share, by the method of the settings (`tasks.mixture.methods`); a size is a task's examples.

    utility: tasks x what is tested, for a method that solves on it. Raises ValueError as that method does.
    """
    from tasks.mixture.methods import method_of
    from tasks.mixture.mixture_method import Question

    sizes = {task: len(examples) for task, examples in collection.items()}
    values = None if utility is None else utility.values
    errors = None if utility is None else utility.errors
    question = Question(sizes, size, values, errors)
    return dict(method_of(settings).solve(settings, question).weights)


def written(
    collection: Mapping[str, Sequence[Example]],
    order: ExactOrder,
    start: int,
    size: int,
    shots: int = 0,
    random_seed: int = 0,
) -> Iterator[dict[str, Any]]:
    """Rows from place `start` to `size`: messages, task, category, template, place, and the demonstrations before it.
    A document's row has its `text` in the place of messages.

    shots: at most so many other examples of the task stand before it, as turns of the same dialogue; how many is drawn,
    0 as often as 1, each further one half as likely. A row depends on its place and the seed alone.
    """
    for place in range(start, size):
        task, number, _ = order.at(place)
        examples = collection[task]
        about = examples[number]
        told = {"task": task, "category": about.category, "template": about.template, "place": place}
        if about.document:
            yield {"text": about.document, **told, "demonstrations": 0}
            continue
        rng = np.random.default_rng([random_seed, place, 31])
        before = _demonstrations(examples, number, shots, rng)
        system, turns = parted(examples[number])
        shown = [message for other in before for message in parted(other)[1]]
        yield {"messages": [*system, *shown, *turns], **told, "demonstrations": len(before)}


def _demonstrations(
    examples: Sequence[Example], number: int, shots: int, rng: np.random.Generator
) -> list[Example]:
    most = min(shots, len(examples) - 1)
    if most < 1:
        return []
    likely = np.array([1.0, *(FEWER_SHOTS**further for further in range(most))])
    count = int(rng.choice(most + 1, p=likely / likely.sum()))
    others = rng.permutation(len(examples) - 1)[:count]
    return [examples[other + (other >= number)] for other in others]


def parted(example: Example) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """The system message, if there is one, and the turns."""
    messages = list(example.messages)
    return (messages[:1], messages[1:]) if messages[0]["role"] == "system" else ([], messages)
