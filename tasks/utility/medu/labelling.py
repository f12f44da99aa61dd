"""MEDU (Held et al. 2025, arXiv 2501.11747): a language model describes benchmarks and labels documents.

Describe: the dev items, in chunks, each into a short general description of the test. Merge: descriptions
pairwise, in a binary tree, into one. Label: each sampled document against the description, with one of Great,
Good, Okay, Poor, Useless. U_ij is the mean label value of source i's documents for task j, over the n of them
that have one; the others are dropped and counted.

Standard error, with s^2 the variance of the n label values: sqrt(((n-1) s^2 + 1/4) / n / n). The added 1/4 is
one observation of the largest variance there is in [0, 1], so that a few labels that happen to agree are not
taken for certainty: .5 at n = 1, s/sqrt(n) for many.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from tasks.utility.matrix import UNKNOWN_DEVIATION, UtilityMatrix
from tasks.utility.medu.answers import AnswerFile
from tasks.utility.medu.judges import language_judge
from tasks.utility.medu.prompting import Prompter
from tasks.utility.medu.settings import LABELS, MeduSettings
from tasks.utility.medu.verdicts import Judge, Verdict

MOST_UNREADABLE = 0.5


class Tried(Protocol):
    """How a judge did on documents whose quality is known."""

    @property
    def is_better_than_length(self) -> bool: ...

    def line(self) -> str: ...

    def to_json(self) -> dict[str, Any]: ...


Check = Callable[[Judge, Mapping[str, Any]], Tried]


def medu_utility(
    samples: Mapping[str, Sequence[str]],
    dev_items: Mapping[str, Sequence[str]],
    settings: MeduSettings,
    kept: Path,
    report: Callable[[str], None],
    check: Check | None = None,
) -> UtilityMatrix:
    """The utility of each source's sampled documents (texts) for each task's dev items (texts).

    kept: folder of answers.jsonl, which keeps every answer, so that no run asks what another asked. report: told
    one line now and then. check: tries the judge, with the descriptions, on documents whose quality is known; one that
    it finds no better than their length is asked nothing more, and every utility is 1/2 with the largest error there
    is. about: descriptions by task, and what was read (`seen`); requests, tokens and their cost; labels, and documents
    without one, by source and task. Raises ValueError for a source or task without texts, for a judge that
    cannot be used, where more than half of a cell's answers cannot be read, and for a cell without a label.
    """
    for what, given in (("source", samples), ("task", dev_items)):
        empty = sorted(name for name, texts in given.items() if not texts)
        if empty or not given:
            raise ValueError(
                f"utility: {what}s {empty} have no texts; MEDU needs at least one of each {what}"
            )
    with AnswerFile(kept / "answers.jsonl", report) as answers:
        judge = language_judge(settings, answers, report)
        about: dict[str, Any] = {
            "method": "medu",
            "settings": settings.model_dump(mode="json"),
            "items": {task: len(items) for task, items in dev_items.items()},
            **seen(judge.prompter, samples, dev_items, settings.documents),
        }
        for line in said_of_seen(about, settings):
            report(line)
        about["descriptions"] = descriptions = judge.describe(dev_items)
        if check is not None:
            tried = check(judge, descriptions)
            report(tried.line())
            about["judge_check"] = tried.to_json()
            if not tried.is_better_than_length:
                return _nothing_known(samples, dev_items, {**about, **judge.about(len(samples))})
        cells, documents = _in_turns(samples, list(dev_items), settings.documents)
        verdicts = judge.label(
            [(descriptions[task], text) for (_, task), text in zip(cells, documents, strict=True)]
        )
        facts = judge.about(len(samples))
    by_cell: dict[tuple[str, str], list[Verdict]] = {(s, t): [] for s in samples for t in dev_items}
    for cell, verdict in zip(cells, verdicts, strict=True):
        by_cell[cell].append(verdict)
    values = pd.DataFrame(index=list(samples), columns=list(dev_items), dtype=float)
    errors = values.copy()
    for (source, task), found in by_cell.items():
        read = _readable(source, task, found, settings)
        values.loc[source, task] = float(np.mean(read))
        errors.loc[source, task] = label_error(read)
    return UtilityMatrix(values, errors, {**about, **facts, **_counts(by_cell)})


def seen(
    prompter: Prompter,
    samples: Mapping[str, Sequence[str]],
    dev_items: Mapping[str, Sequence[str]],
    most: int,
) -> dict[str, Any]:
    """described: items of each task that its description is of. documents: of each source that are labelled. cut: how
    many of them are longer than what is read of one."""
    labelled = {source: texts[:most] for source, texts in samples.items()}
    return {
        "described": {task: prompter.num_described(items) for task, items in dev_items.items()},
        "documents": {source: len(texts) for source, texts in labelled.items()},
        "cut": {source: sum(map(prompter.is_cut, texts)) for source, texts in labelled.items()},
    }


def said_of_seen(about: Mapping[str, Any], settings: MeduSettings) -> list[str]:
    """What was not read of what there is, in sentences; none where all of it was."""
    lines = []
    partly = {t: (n, about["items"][t]) for t, n in about["described"].items() if n < about["items"][t]}
    if partly:
        told = ", ".join(f"{n:,} of {of:,} items of {task}" for task, (n, of) in partly.items())
        lines.append(f"described by {told}: medu.max_chunks and chunk_tokens hold no more")
    few = {source: n for source, n in about["documents"].items() if n < settings.documents}
    if few:
        told = ", ".join(f"{n:,} of {source}" for source, n in few.items())
        lines.append(
            f"of the {settings.documents:,} documents of medu.documents there are {told}: sources.sample_documents"
        )
    cut, total = sum(about["cut"].values()), sum(about["documents"].values())
    if cut:
        lines.append(f"{cut:,} of {total:,} documents are longer than medu.document_tokens and are cut")
    if settings.judge == "openai" and settings.tokenizer is None:
        lines.append(
            f"lengths are told from bytes, {settings.bytes_per_token:g} a token, so of a document at most "
            f"{int(settings.document_tokens * settings.bytes_per_token):,} bytes are read: medu.tokenizer counts tokens"
        )
    return lines


def _nothing_known(sources: Iterable[str], tasks: Iterable[str], about: dict[str, Any]) -> UtilityMatrix:
    """A utility that tells nothing apart: 1/2 everywhere, with the error of what may be anything in [0, 1]."""
    values = pd.DataFrame(0.5, index=list(sources), columns=list(tasks))
    return UtilityMatrix(values, pd.DataFrame(UNKNOWN_DEVIATION, values.index, values.columns), about)


def label_documents(
    judge: Judge, items: Mapping[str, Sequence[str]], documents: Sequence[str]
) -> dict[str, list[Verdict]]:
    """Verdicts of any judge on the same documents for each task of `items` (task -> texts)."""
    descriptions = judge.describe(items)
    verdicts = judge.label([(descriptions[task], text) for text in documents for task in items])
    return {task: verdicts[position :: len(items)] for position, task in enumerate(items)}


def label_error(values: Sequence[float]) -> float:
    """Standard error of the mean of label values (n,), n >= 1; see the module."""
    n = len(values)
    scatter = float(((np.array(values) - np.mean(values)) ** 2).sum())
    return math.sqrt((scatter + UNKNOWN_DEVIATION**2) / n / n)


def _in_turns(
    samples: Mapping[str, Sequence[str]], tasks: Sequence[str], most: int
) -> tuple[list[tuple[str, str]], list[str]]:
    """Cells and documents in the order they are labelled: every cell's first, then every cell's second, ...

    So a budget that ends early leaves all cells with as many labels, but for one.
    """
    cells, documents = [], []
    for turn in range(min(max(map(len, samples.values())), most)):
        for source, texts in samples.items():
            for task in tasks if turn < len(texts) else ():
                cells.append((source, task))
                documents.append(texts[turn])
    return cells, documents


def _readable(source: str, task: str, found: Sequence[Verdict], settings: MeduSettings) -> list[float]:
    read = [verdict.value for verdict in found if verdict.value is not None]
    answered = [verdict for verdict in found if verdict.missing != "budget"]
    cell = f"source {source!r} and task {task!r}"
    if not answered:
        raise ValueError(
            f"utility.medu.max_tokens={settings.max_tokens}: spent before any document of {cell} was labelled; "
            "raise it, or label fewer documents of fewer sources and tasks. Answers so far are kept"
        )
    if len(read) < MOST_UNREADABLE * len(answered) or not read:
        raise ValueError(
            f"utility: {len(answered) - len(read)} of {len(answered)} answers of model {settings.model!r} at "
            f"{settings.base_url} for {cell} do not end with a line 'Final Score: {'|'.join(LABELS)}', or are "
            f"refusals; at most half may. Use a model that follows instructions, or raise "
            f"utility.medu.max_answer_tokens={settings.max_answer_tokens}"
        )
    return read


def _counts(by_cell: Mapping[tuple[str, str], Sequence[Verdict]]) -> dict[str, Any]:
    """labels, unreadable, refused and not_asked by source and task, and the mean share of each label."""
    counts: dict[str, Any] = {
        name: {} for name in ("labels", "unreadable", "refused", "not_asked", "label_shares")
    }
    for (source, task), found in by_cell.items():
        missing = Counter(verdict.missing for verdict in found)
        shares = [verdict.shares for verdict in found if verdict.shares is not None]
        cell = {
            "labels": missing[""],
            "unreadable": missing["unreadable"],
            "refused": missing["refused"],
            "not_asked": missing["budget"],
            "label_shares": dict(zip(LABELS, np.mean(shares, axis=0).round(6).tolist(), strict=True)),
        }
        for name, number in cell.items():
            counts[name].setdefault(source, {})[task] = number
    return counts
