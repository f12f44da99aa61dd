"""Documents with binary quality labels, and how a judge is tried on them before it is asked for more.

A judge's AUC on them is compared with that of the documents' length, which is a judge for nothing: the difference
with a paired bootstrap over documents, within each label. Where the lower end of its 95% interval is not above zero,
the judge tells no more than length does, and what it would say of sources is not worth its price.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tasks.tables.json_lines import read_json_table
from tasks.utility.judge_agreement import Auc, auc, auc_gain, document_scores
from tasks.utility.medu.verdicts import Judge, Verdict


@dataclass(frozen=True)
class Labelled:
    """Documents and their labels, 1 for the good ones."""

    texts: list[str]
    labels: list[int]

    def first(self, number: int) -> Labelled:
        """At most so many, those with the lowest hashes, so that their order in a file does not matter."""
        order = sorted(range(len(self.texts)), key=lambda i: hashlib.sha256(self.texts[i].encode()).digest())
        return Labelled([self.texts[i] for i in order[:number]], [self.labels[i] for i in order[:number]])


def read_labelled(path: Path) -> Labelled:
    """JSON lines with `text` and `label` (0 or 1), plain, .gz or .zst; ValueError naming file and line."""
    texts, labels = [], []
    for number, row in read_json_table(path):
        text, label = row.get("text"), row.get("label")
        if not isinstance(text, str) or label not in (0, 1):
            raise ValueError(
                f"{path}:{number}: label {label!r} and text of type {type(text).__name__}; each row needs `text`, a "
                "string, and `label`, 0 or 1"
            )
        texts.append(text)
        labels.append(int(label))
    if not texts:
        raise ValueError(f"{path}: no documents")
    return Labelled(texts, labels)


@dataclass(frozen=True)
class JudgeCheck:
    """AUC of the judge and of length on the documents that the judge has a score for, and their paired difference."""

    judge: Auc
    length: Auc
    difference: float
    low: float
    high: float
    unreadable: float

    @property
    def is_better_than_length(self) -> bool:
        return self.low > 0

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "is_better_than_length": self.is_better_than_length, "line": self.line()}

    def line(self) -> str:
        better = "better" if self.is_better_than_length else "no better"
        return (
            f"the judge is {better} than document length: AUC {self.judge.value:.3f} against {self.length.value:.3f} "
            f"on {self.judge.good} good and {self.judge.poor} poor documents, difference {self.difference:+.3f} "
            f"[{self.low:+.3f}, {self.high:+.3f}]"
        )


def check_judge(judge: Judge, descriptions: Mapping[str, Any], documents: Labelled) -> JudgeCheck:
    """The judge on these documents, which it sees without their labels; a score is the mean over the tasks.

    Raises ValueError where fewer than two documents of a label have a score.
    """
    questions = [(description, text) for text in documents.texts for description in descriptions.values()]
    verdicts = judge.label(questions)
    return checked(documents, verdicts, len(descriptions))


def checked(documents: Labelled, verdicts: Sequence[Verdict], num_tasks: int) -> JudgeCheck:
    """The check from verdicts, those of a document for all tasks side by side."""
    scores = document_scores([verdicts[task::num_tasks] for task in range(num_tasks)])
    kept = [i for i, score in enumerate(scores) if score is not None]
    labels = [documents.labels[i] for i in kept]
    judged = [float(scores[i]) for i in kept]  # type: ignore[arg-type]
    lengths = [float(len(documents.texts[i])) for i in kept]
    difference, low, high = auc_gain(labels, judged, lengths)
    unreadable = float(np.mean([verdict.missing == "unreadable" for verdict in verdicts]))
    return JudgeCheck(auc(labels, judged), auc(labels, lengths), difference, low, high, unreadable)


def checker(file: Path | None, number: int) -> Callable[[Judge, Mapping[str, Any]], JudgeCheck] | None:
    """What tries a judge on at most so many documents of a file; None without a file."""
    if file is None:
        return None
    documents = read_labelled(file).first(number)
    return lambda judge, descriptions: check_judge(judge, descriptions, documents)
