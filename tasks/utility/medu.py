"""MEDU (Held et al. 2025, arXiv 2501.11747): a language model describes benchmarks and labels documents.

Describe: the dev items, in chunks, each into a short general description of the test. Merge: descriptions
pairwise, in a binary tree, into one. Label: each sampled document against the description, ending with `Final
Score:` and one of Great, Good, Okay, Poor, Useless. U_ij is the mean label value of source i's documents for
task j, over the n answers that can be read; the others are dropped and counted.

Standard error, with s^2 the variance of the n labels: sqrt(((n-1) s^2 + 1/4) / n / n). The added 1/4 is one
observation of the largest variance there is in [0, 1], so that a few labels that happen to agree are not
taken for certainty: .5 at n = 1, s/sqrt(n) for many.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from tasks.utility.endpoint import USAGE, Endpoint
from tasks.utility.matrix import UNKNOWN_DEVIATION, UtilityMatrix
from tasks.utility.settings import LABELS, MeduSettings

PROMPTS = Path(__file__).parent / "prompts"
SCORE_LINE = re.compile(r"final\s+score", re.IGNORECASE)
LABEL = re.compile(rf"^\W*final\s+score\W+({'|'.join(LABELS)})\W*$", re.IGNORECASE)
MOST_UNREADABLE = 0.5


def medu_utility(
    samples: Mapping[str, Sequence[str]],
    dev_items: Mapping[str, Sequence[str]],
    settings: MeduSettings,
    progress: Path,
    report: Callable[[str], None],
) -> UtilityMatrix:
    """The utility of each source's sampled documents (texts) for each task's dev items (texts).

    progress: folder that keeps every answer, so that a killed run asks nothing twice. report: told one line
    now and then. about: descriptions by task, requests, tokens, and unreadable answers by source and task.
    Raises ValueError for a source or task without texts, for an endpoint that is down, slow or no chat
    endpoint, and where more than half of a cell's answers cannot be read.
    """
    for what, given in (("source", samples), ("task", dev_items)):
        empty = sorted(name for name, texts in given.items() if not texts)
        if empty or not given:
            raise ValueError(
                f"utility: {what}s {empty} have no texts; MEDU needs at least one of each {what}"
            )
    endpoint = Endpoint(settings, progress, report)
    descriptions = _describe(dev_items, endpoint, settings)
    cells = [(source, task) for task in dev_items for source in samples]
    prompts, owners = [], []
    for source, task in cells:
        for text in samples[source][: settings.documents]:
            prompts.append(_label_prompt(descriptions[task], text, settings))
            owners.append((source, task))
    answers = endpoint.ask_all(prompts, "labels")

    labels: dict[tuple[str, str], list[str | None]] = {cell: [] for cell in cells}
    for cell, answer in zip(owners, answers, strict=True):
        labels[cell].append(read_label(answer))
    values = pd.DataFrame(index=list(samples), columns=list(dev_items), dtype=float)
    errors = values.copy()
    unreadable: dict[str, dict[str, int]] = {source: {} for source in samples}
    for (source, task), found in labels.items():
        read = [settings.label_values[label] for label in found if label is not None]
        unreadable[source][task] = len(found) - len(read)
        if len(read) < MOST_UNREADABLE * len(found) or not read:
            raise ValueError(
                f"utility: {len(found) - len(read)} of {len(found)} answers of model {settings.model!r} at "
                f"{settings.base_url} for source {source!r} and task {task!r} have no line 'Final Score: "
                f"{'|'.join(LABELS)}'; at most half may lack it. Use a model that follows instructions, or "
                f"raise utility.medu.max_answer_tokens={settings.max_answer_tokens}"
            )
        values.loc[source, task] = float(np.mean(read))
        errors.loc[source, task] = label_error(read)
    about = {
        "method": "medu",
        "settings": settings.model_dump(mode="json"),
        "descriptions": descriptions,
        "documents": {source: min(len(texts), settings.documents) for source, texts in samples.items()},
        "items": {task: len(items) for task, items in dev_items.items()},
        "requests": {"asked": endpoint.asked, "answered_before": endpoint.remembered},
        **{name: endpoint.used[name] for name in USAGE},
        "unreadable": unreadable,
    }
    return UtilityMatrix(values, errors, about)


def read_label(answer: str) -> str | None:
    """The label on the last line that speaks of a final score; None unless it is exactly one of the five."""
    lines = [line for line in answer.splitlines() if SCORE_LINE.search(line)]
    match = LABEL.match(lines[-1]) if lines else None
    return match.group(1).capitalize() if match else None


def label_error(values: Sequence[float]) -> float:
    """Standard error of the mean of label values (n,), n >= 1; see the module."""
    n = len(values)
    scatter = float(((np.array(values) - np.mean(values)) ** 2).sum())
    return math.sqrt((scatter + UNKNOWN_DEVIATION**2) / n / n)


def item_chunks(items: Sequence[str], settings: MeduSettings) -> list[str]:
    """Items joined into chunks of chunk_characters at most, longer ones cut; the first max_chunks chunks."""
    chunks: list[str] = []
    for item in items:
        piece = item[: settings.chunk_characters]
        if chunks and len(chunks[-1]) + 2 + len(piece) <= settings.chunk_characters:
            chunks[-1] += "\n\n" + piece
        elif len(chunks) < settings.max_chunks:
            chunks.append(piece)
        else:
            break
    return chunks


def _describe(
    dev_items: Mapping[str, Sequence[str]], endpoint: Endpoint, settings: MeduSettings
) -> dict[str, str]:
    chunks = [(task, chunk) for task, items in dev_items.items() for chunk in item_chunks(items, settings)]
    answers = endpoint.ask_all([_prompt("describe", items=chunk) for _, chunk in chunks], "descriptions")
    level: dict[str, list[str]] = {task: [] for task in dev_items}
    for (task, _), answer in zip(chunks, answers, strict=True):
        level[task].append(answer.strip())
    while any(len(descriptions) > 1 for descriptions in level.values()):
        level = _merged(level, endpoint)
    return {task: descriptions[0] for task, descriptions in level.items()}


def _merged(level: dict[str, list[str]], endpoint: Endpoint) -> dict[str, list[str]]:
    """Each task's descriptions two by two into one; an odd one goes up as it is."""
    pairs = [
        (task, first, second)
        for task, descriptions in level.items()
        for first, second in zip(descriptions[::2], descriptions[1::2], strict=False)
    ]
    prompts = [_prompt("merge", first=first, second=second) for _, first, second in pairs]
    merged: dict[str, list[str]] = {task: [] for task in level}
    for (task, _, _), answer in zip(pairs, endpoint.ask_all(prompts, "merged descriptions"), strict=True):
        merged[task].append(answer.strip())
    for task, descriptions in level.items():
        if len(descriptions) % 2:
            merged[task].append(descriptions[-1])
    return merged


def _label_prompt(description: str, text: str, settings: MeduSettings) -> str:
    return _prompt("label", description=description, document=text[: settings.document_characters])


def _prompt(name: str, **data: str) -> str:
    """The prompt with its data filled in. Data cannot close the tag it stands in, nor name another slot."""
    template = (PROMPTS / f"{name}.txt").read_text(encoding="utf-8")
    parts = re.split(r"\{(\w+)\}", template)
    filled = [data[part].replace("</", "< /") if i % 2 else part for i, part in enumerate(parts)]
    return "".join(filled)
