"""Agreement: AUC against independent references, ranks of two utilities, and the shared quality labels."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from sklearn.metrics import roc_auc_score

from tasks.utility.judge_agreement import auc, judge_agreement, rank_agreement
from tasks.utility.labelled_documents import (
    LENGTH,
    SUPERVISED,
    agreement_lines,
    measure_agreement,
    read_target,
)
from tasks.utility.matrix import UtilityMatrix
from tasks.utility.medu.settings import MeduSettings
from tasks.utility.medu.verdicts import Verdict
from tasks.utility.methods.ngram import NgramSettings
from tasks.utility.methods.ngram_utility import ngram_utility
from tasks.utility.ngram_judge import NgramJudge
from tasks.utility.quality_labels import read_labelled
from tasks.utility.settings import UtilitySettings
from tests.chat_server import ChatServer

KNOWLEDGE = (
    "arc_challenge_test",
    "arc_easy_test",
    "boolq_val",
    "mmlu_dev",
    "mmlu_test",
    "sciq_val",
    "triviaqa",
)


def test_auc_by_hand() -> None:
    # Good 3 and 1 against poor 2 and 0: three of four pairs are in order.
    found = auc([1, 1, 0, 0], [3.0, 1.0, 2.0, 0.0])
    assert found.value == 0.75
    # Placements (1, .5) and (.5, 1): variance .125 each, over 2 documents each.
    assert found.stderr == pytest.approx(np.sqrt(0.125))
    assert 0 < found.low < 0.75 < found.high < 1


def test_auc_is_that_of_scikit_learn_ties_included() -> None:
    random = np.random.default_rng(1)
    labels = random.integers(0, 2, 200)
    scores = np.round(random.normal(0.4 * labels, 1), 1)
    assert auc(labels.tolist(), scores.tolist()).value == pytest.approx(roc_auc_score(labels, scores))


def test_the_interval_covers_and_its_error_is_the_spread_of_samples() -> None:
    random = np.random.default_rng(2)
    labels = [1] * 80 + [0] * 60
    true = scipy.stats.norm.cdf(1 / np.sqrt(2))
    found = [auc(labels, random.normal(labels, 1).tolist()) for _ in range(400)]
    assert np.mean([one.stderr for one in found]) == pytest.approx(
        np.std([one.value for one in found]), rel=0.1
    )
    assert np.mean([one.low <= true <= one.high for one in found]) == pytest.approx(0.95, abs=0.03)


def test_documents_without_a_score_are_left_out_and_counted() -> None:
    found = auc([1, 1, 0, 0, 1], [3.0, 1.0, 2.0, 0.0, None])
    assert (found.value, found.missing) == (0.75, 1)
    with pytest.raises(ValueError, match="1 documents of label 1"):
        auc([1, 0, 0], [1.0, 0.0, 0.0])
    with pytest.raises(ValueError, match=r"labels \['2'\]"):
        auc([1, 2], [1.0, 0.0])


class Fixed:
    """A judge that has read the answer in the document."""

    def describe(self, dev_items):
        return dict.fromkeys(dev_items, "")

    def label(self, questions):
        return [Verdict(float(text)) if text != "?" else Verdict(None, "unreadable") for _, text in questions]

    def about(self, sources):
        return {}


def test_any_judge_can_be_measured() -> None:
    found = judge_agreement(Fixed(), {"a": ["x"], "b": ["y"]}, ["1", "?", ".4", ".3", ".1"], [1, 1, 1, 0, 0])
    assert (found.value, found.missing) == (1.0, 1)


def test_the_ngram_judge_scores_documents_as_the_utility_does() -> None:
    samples = {"a": ["x x y", "x y", "q"], "b": ["y z", "z z w"]}
    items = {"t": ["x y", "x"], "s": ["z", "z y"]}
    settings = NgramSettings(scale="none")
    judge = NgramJudge(samples, settings)
    descriptions = judge.describe(items)
    wanted = ngram_utility(samples, items, settings).values
    for source, texts in samples.items():
        for task in items:
            verdicts = judge.label([(descriptions[task], text) for text in texts])
            assert np.mean([v.value for v in verdicts]) == pytest.approx(wanted.loc[source, task])
    assert judge.label([(descriptions["t"], "...")])[0].value == pytest.approx(0.1 / 1.1)


def utility(values: np.ndarray, **cost: float) -> UtilityMatrix:
    frame = pd.DataFrame(
        values, index=[f"s{i}" for i in range(len(values))], columns=["t", "u", "v"][: values.shape[1]]
    )
    return UtilityMatrix(frame, frame * 0, {"cost": cost} if cost else {})


def test_rank_agreement_is_spearman_over_sources_by_name() -> None:
    random = np.random.default_rng(0)
    a, b = (
        utility(random.uniform(size=(12, 3)), flops=1e15),
        utility(random.uniform(size=(12, 3)), flops=2e17),
    )
    found = rank_agreement(a, UtilityMatrix(b.values.iloc[::-1], b.errors.iloc[::-1], b.about), draws=200)
    for task in a.values.columns:
        wanted = scipy.stats.spearmanr(a.values[task], b.values[task])[0]
        assert found.by_task[task] == pytest.approx(wanted)
    assert found.mean == pytest.approx(np.mean(list(found.by_task.values())))
    assert found.low <= found.mean <= found.high
    assert found.cost_ratio == pytest.approx(200)
    assert "200 times" in found.line()


def test_the_interval_of_ranks_covers() -> None:
    random, covered = np.random.default_rng(4), []
    true = 6 / np.pi * np.arcsin(0.7 / 2)
    for _ in range(50):
        pairs = scipy.stats.norm.cdf(random.multivariate_normal([0, 0], [[1, 0.7], [0.7, 1]], 25))
        found = rank_agreement(utility(pairs[:, :1]), utility(pairs[:, 1:]), draws=200)
        covered.append(found.low <= true <= found.high)
    assert np.mean(covered) == pytest.approx(0.95, abs=0.07)


def test_a_constant_column_tells_nothing_and_few_sources_are_refused() -> None:
    values = np.linspace(0, 1, 6)[:, None]
    assert rank_agreement(utility(values * 0 + 0.5), utility(values)).by_task == {"t": 0.0}
    assert rank_agreement(utility(values), utility(values**2)).mean == pytest.approx(1)
    assert rank_agreement(utility(values), utility(values)).cost_ratio is None
    with pytest.raises(ValueError, match="3 sources"):
        rank_agreement(utility(values[:3]), utility(values))


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    path = tmp_path / "labelled.jsonl"
    texts = [(f"Great words about item{i}", 1) for i in range(12)] + [
        (f"Poor words {i}", 0) for i in range(12)
    ]
    path.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in texts))
    return path


def test_a_judge_that_is_not_at_hand_has_no_figure(labelled: Path, tmp_path: Path) -> None:
    found = measure_agreement(
        read_labelled(labelled), {"t": ["item1 words"]}, ["ngram"], UtilitySettings(), tmp_path, str
    )
    assert found["openai"] is None and found["transformers"] is None
    assert found["ngram"] is not None and found["ngram"].good == 12
    lines = agreement_lines(found)
    assert lines[1:3] == ["openai: not yet measured", "transformers: not yet measured"]


def test_an_endpoint_is_measured_like_the_others(labelled: Path, tmp_path: Path) -> None:
    server = ChatServer()
    settings = UtilitySettings(medu=MeduSettings(base_url=server.url, model="m"))
    try:
        found = measure_agreement(
            read_labelled(labelled), {"t": ["item1"]}, ["openai"], settings, tmp_path, str
        )
    finally:
        server.close()
    assert found["openai"] is not None and found["openai"].value == 1.0
    assert "ngram" not in found
    with pytest.raises(ValueError, match="--judge openay"):
        measure_agreement(read_labelled(labelled), {"t": ["x"]}, ["openay"], settings, tmp_path, str)
    with pytest.raises(ValueError, match=r"-o medu\.judge=transformers"):
        measure_agreement(read_labelled(labelled), {"t": ["x"]}, ["transformers"], settings, tmp_path, str)


def test_documents_without_label_are_named(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "x.jsonl.gz", "wt") as stream:
        stream.write('{"text": "a", "label": 1}\n{"text": "b"}\n')
    with pytest.raises(ValueError, match=r"x\.jsonl\.gz:2: label None"):
        read_labelled(tmp_path / "x.jsonl.gz")


def test_on_the_shared_quality_labels(shared_data: Path) -> None:
    documents = read_labelled(shared_data / "corpora" / "web_dclm_quality_labels.jsonl.gz")
    target = read_target(shared_data / "benchmarks", KNOWLEDGE)
    found = measure_agreement(documents, target, ["ngram"], UtilitySettings(), Path(), str)
    ngram, length, supervised = found["ngram"], found[LENGTH], found[SUPERVISED]
    assert ngram is not None and length is not None and supervised is not None
    assert ngram.low > 0.75  # better than a coin, and (.815 against .763) than the length of the document
    assert ngram.value > length.value
    assert supervised.value > ngram.value
    with pytest.raises(ValueError, match="--task gsm9k"):
        read_target(shared_data / "benchmarks", ["gsm9k"])
