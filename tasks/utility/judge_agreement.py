"""How far judges can be trusted: AUC on documents with binary labels, rank correlation with another utility.

AUC is the probability that a good document scores above a poor one (ties count half), with the interval of
DeLong et al. 1988, on the logit scale so that it stays within [0, 1]. Rank correlation is Spearman's over
sources, for each task and averaged, with a percentile bootstrap over sources: tasks share them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.utility.matrix import UtilityMatrix
from tasks.utility.medu.labelling import label_documents
from tasks.utility.medu.verdicts import Judge, Verdict

Array = NDArray[np.float64]
TWO_SIDED = 1.959963984540054  # of the normal distribution, 95%
FEWEST_SOURCES = 4


@dataclass(frozen=True)
class Auc:
    """The value with its 95% interval and standard error; documents with a score, and those without one."""

    value: float
    low: float
    high: float
    stderr: float
    good: int
    poor: int
    missing: int = 0

    def line(self) -> str:
        dropped = f", {self.missing} without a score" if self.missing else ""
        return (
            f"AUC {self.value:.3f} [{self.low:.3f}, {self.high:.3f}] on {self.good} good and {self.poor} poor "
            f"documents{dropped}"
        )


def auc(labels: Sequence[int], scores: Sequence[float | None]) -> Auc:
    """AUC of scores for labels 0 and 1, over the documents that have a score (not None).

    Raises ValueError for other labels, and for fewer than two documents of a class.
    """
    wrong = sorted({str(label) for label in labels if label not in (0, 1)})
    if wrong:
        raise ValueError(f"labels {wrong}: must be 0 or 1")
    kept = [(label, score) for label, score in zip(labels, scores, strict=True) if score is not None]
    good = np.array([score for label, score in kept if label == 1], float)
    poor = np.array([score for label, score in kept if label == 0], float)
    if min(len(good), len(poor)) < 2:
        raise ValueError(
            f"{len(good)} documents of label 1 and {len(poor)} of label 0 have a score: must be 2 or more"
        )
    above_poor, below_good = _placements(good, poor), 1 - _placements(poor, good)
    value = float(above_poor.mean())
    error = math.sqrt(above_poor.var(ddof=1) / len(good) + below_good.var(ddof=1) / len(poor))
    low, high = _logit_interval(value, error)
    return Auc(value, low, high, error, len(good), len(poor), len(labels) - len(kept))


def judge_agreement(
    judge: Judge, items: Mapping[str, Sequence[str]], documents: Sequence[str], labels: Sequence[int]
) -> Auc:
    """AUC of a judge: a document's score is its mean verdict over the tasks of `items` that it has one for."""
    return auc(labels, document_scores(list(label_documents(judge, items, documents).values())))


def document_scores(verdicts: Sequence[Sequence[Verdict]]) -> list[float | None]:
    """The mean verdict of each document over the tasks that it has one for. verdicts: by task, then by document."""
    scores: list[float | None] = []
    for of_document in zip(*verdicts, strict=True):
        known = [verdict.value for verdict in of_document if verdict.value is not None]
        scores.append(float(np.mean(known)) if known else None)
    return scores


def auc_gain(
    labels: Sequence[int],
    scores: Sequence[float],
    reference: Sequence[float],
    draws: int = 2000,
    random_seed: int = 0,
) -> tuple[float, float, float]:
    """AUC of the scores less that of the reference on the same documents, with its 95% interval.

    Percentile bootstrap, both on the same drawn documents, drawn within each label.
    """
    truth = np.array(labels)
    kinds = [np.flatnonzero(truth == label) for label in (1, 0)]
    pairs = [_in_order(np.array(each, float), *kinds) for each in (scores, reference)]
    gain = pairs[0] - pairs[1]  # (good, poor): what each pair of documents adds to the difference
    random = np.random.default_rng(random_seed)
    drawn = [
        gain[np.ix_(*(random.integers(0, len(kind), len(kind)) for kind in kinds))].mean()
        for _ in range(draws)
    ]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(gain.mean()), float(low), float(high)


def _in_order(scores: Array, good: NDArray[np.int64], poor: NDArray[np.int64]) -> Array:
    """(good, poor): 1 where the good document has the higher score, 1/2 where they tie."""
    above = scores[good][:, None] - scores[poor][None, :]
    return (above > 0) + 0.5 * (above == 0)


def supervised_ngram_scores(
    documents: Sequence[str], labels: Sequence[int], folds: int = 10, random_seed: int = 0
) -> list[float]:
    """Scores by a classifier on the same n-grams that has read labels, though never a document's own.

    Cross-fitted logistic regression on TF-IDF weighted words and pairs of words. It is what labels of the very
    kind to be predicted can do, not a judge: nobody has such labels for a new task.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    from tasks.utility.methods.ngram_utility import words

    # The weights of words come from the documents without their labels, so all of them may be read at once.
    features = TfidfVectorizer(analyzer=_word_pairs(words), sublinear_tf=True, min_df=2).fit_transform(
        documents
    )
    split = StratifiedKFold(folds, shuffle=True, random_state=random_seed)
    model = LogisticRegression(C=10.0, solver="liblinear", random_state=random_seed)
    found = cross_val_predict(model, features, np.array(labels), cv=split, method="decision_function")
    return [float(score) for score in found]


@dataclass(frozen=True)
class RankAgreement:
    """Spearman's rank correlation of two utilities over sources: mean over tasks with its 95% interval, and by task.

    cost_ratio: FLOPs of the second in units of the first's; None where one does not state its FLOPs.
    """

    mean: float
    low: float
    high: float
    by_task: dict[str, float]
    sources: int
    cost_ratio: float | None

    def line(self) -> str:
        cost = "" if self.cost_ratio is None else f"; the second cost {self.cost_ratio:,.0f} times as much"
        return (
            f"Spearman {self.mean:.3f} [{self.low:.3f}, {self.high:.3f}], mean over {len(self.by_task)} tasks, "
            f"{self.sources} sources{cost}"
        )


def rank_agreement(
    a: UtilityMatrix, b: UtilityMatrix, draws: int = 2000, random_seed: int = 0
) -> RankAgreement:
    """How alike `a` (say MEDU's) and `b` (say ablations') rank sources, over the names that both have.

    A task that does not tell the sources apart in one of them correlates 0. Costs are about["cost"]["flops"].
    Raises ValueError for fewer than 4 sources or no task in common.
    """
    sources = [name for name in a.values.index if name in set(b.values.index)]
    tasks = [name for name in a.values.columns if name in set(b.values.columns)]
    if len(sources) < FEWEST_SOURCES or not tasks:
        raise ValueError(
            f"rank agreement: {len(sources)} sources and {len(tasks)} tasks in common; it needs {FEWEST_SOURCES} "
            "sources and one task at least"
        )
    first, second = a.values.loc[sources, tasks].to_numpy(float), b.values.loc[sources, tasks].to_numpy(float)
    by_task = _spearman(first, second)
    random = np.random.default_rng(random_seed)
    means: list[float] = []
    while len(means) < draws:
        rows = random.integers(len(sources), size=len(sources))
        if len(set(rows.tolist())) > 2:  # of two different sources any order correlates 1 or -1
            means.append(float(_spearman(first[rows], second[rows]).mean()))
    low, high = np.quantile(means, [0.025, 0.975])
    return RankAgreement(
        float(by_task.mean()),
        float(low),
        float(high),
        dict(zip(map(str, tasks), by_task.tolist(), strict=True)),
        len(sources),
        _cost_ratio(a.about, b.about),
    )


def _placements(of: Array, among: Array) -> Array:
    """For each of `of` the share of `among` below it, ties counting half."""
    ordered = np.sort(among)
    below, up_to = np.searchsorted(ordered, of, "left"), np.searchsorted(ordered, of, "right")
    return (below + up_to) / 2 / len(among)


def _logit_interval(value: float, error: float) -> tuple[float, float]:
    if not 0 < value < 1:
        return value, value
    centre, spread = math.log(value / (1 - value)), TWO_SIDED * error / (value * (1 - value))
    return 1 / (1 + math.exp(-(centre - spread))), 1 / (1 + math.exp(-(centre + spread)))


def _spearman(first: Array, second: Array) -> Array:
    """Of each column; 0 where one side is constant."""
    from scipy.stats import rankdata

    one, other = rankdata(first, axis=0), rankdata(second, axis=0)
    one, other = one - one.mean(axis=0), other - other.mean(axis=0)
    scale = np.sqrt((one**2).sum(axis=0) * (other**2).sum(axis=0))
    return np.divide((one * other).sum(axis=0), scale, out=np.zeros(one.shape[1]), where=scale > 0)


def _cost_ratio(a: Mapping[str, Any], b: Mapping[str, Any]) -> float | None:
    costs = [about.get("cost", {}).get("flops") for about in (a, b)]
    return costs[1] / costs[0] if all(costs) else None


def _word_pairs(words: Any) -> Any:
    def analyse(text: str) -> list[str]:
        found = words(text)
        return found + [f"{one} {other}" for one, other in itertools.pairwise(found)]

    return analyse
