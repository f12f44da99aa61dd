"""A judge is tried on documents of known quality before it is asked: one no better than their length is not used."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tasks.mixture.methods.returns import sure_returns
from tasks.mixture.methods.unimax import unimax
from tasks.mixture.mixture_method import Question
from tasks.utility.judge_agreement import auc, auc_gain
from tasks.utility.medu.labelling import medu_utility
from tasks.utility.medu.verdicts import Verdict
from tasks.utility.quality_labels import Labelled, checked, checker, read_labelled
from tests.chat_server import settings_for

SAMPLES = {"web": ["Great", "Good"], "junk": ["Useless", "Poor"]}
ITEMS = {"t": ["item1"]}


def labelled(path: Path, honest: bool) -> Path:
    """Forty documents of like length; the fake judge gives the label that a document begins with."""
    rows = []
    for number in range(40):
        good = number % 2
        begins = ("Great" if good else "Poor ") if honest else "Great"
        rows.append({"text": f"{begins} {'x' * (number // 2 % 7)} {number:02}", "label": good})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_the_gain_by_hand() -> None:
    # Three of four pairs in order against a reference that ties all: .75 - .5.
    gain, low, high = auc_gain([1, 1, 0, 0], [3.0, 1.0, 2.0, 0.0], [1.0] * 4)
    assert gain == 0.25
    assert low <= gain <= high


def test_the_gain_is_the_difference_of_the_two_and_its_interval_is_paired() -> None:
    random = np.random.default_rng(4)
    labels = random.integers(0, 2, 120)
    scores = labels + random.normal(0, 1.2, 120)
    near = scores + random.normal(0, 0.05, 120)
    gain, low, high = auc_gain(labels.tolist(), scores.tolist(), near.tolist())
    both = [auc(labels.tolist(), each.tolist()) for each in (scores, near)]
    assert gain == pytest.approx(both[0].value - both[1].value)
    # Of two scores that nearly agree the difference is far surer than either.
    assert high - low < (both[0].high - both[0].low) / 5


def test_a_document_counts_where_the_judge_has_a_score_for_it() -> None:
    documents = Labelled(["a", "bb", "ccc", "d", "e" * 9], [1, 1, 0, 0, 1])
    verdicts = [Verdict(0.9), Verdict(0.7), Verdict(0.2), Verdict(0.1), Verdict(None, "unreadable")]
    check = checked(documents, verdicts, 1)
    assert (check.judge.value, check.judge.good, check.judge.poor) == (1.0, 2, 2)
    # Lengths 1 and 2 against 3 and 1: one pair in order, one tied.
    assert check.length.value == (1 + 0.5) / 4
    assert check.unreadable == pytest.approx(0.2)


def test_which_documents_are_tried_does_not_depend_on_their_order() -> None:
    texts = [f"text {number}" for number in range(30)]
    one = Labelled(texts, [number % 2 for number in range(30)]).first(10)
    other = Labelled(texts[::-1], [number % 2 for number in range(30)][::-1]).first(10)
    assert one == other


def test_a_judge_that_is_better_than_length_goes_on(serve, tmp_path: Path) -> None:
    server = serve()
    check = checker(labelled(tmp_path / "labels.jsonl", honest=True), 32)
    found = medu_utility(SAMPLES, ITEMS, settings_for(server.url), tmp_path, str, check)
    assert found.about["judge_check"]["is_better_than_length"]
    assert found.values.loc["web", "t"] == pytest.approx(0.875)
    assert found.values.loc["junk", "t"] == pytest.approx(0.125)


def test_a_judge_that_is_not_is_asked_nothing_more_and_the_mixture_stays_as_without_it(
    serve, tmp_path: Path
) -> None:
    server, said = serve(), []
    check = checker(labelled(tmp_path / "labels.jsonl", honest=False), 32)
    found = medu_utility(SAMPLES, ITEMS, settings_for(server.url), tmp_path, said.append, check)
    assert any("the judge is no better than document length: AUC 0.500" in line for line in said)
    assert len(server.log.prompts) == 1 + 32  # a description and the labelled documents; none of a source
    assert (found.values == 0.5).all(axis=None)
    assert (found.errors == 0.5).all(axis=None)
    tokens = {"web": 4000, "junk": 1500}
    mixture = sure_returns(Question(tokens, 5000, utility=found.values, errors=found.errors), 4.0)
    assert mixture.weights == pytest.approx(unimax(tokens, 5000, 4.0).weights)


def test_a_row_without_a_label_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"text": "a", "label": 1}\n{"text": "b", "label": "good"}\n', encoding="utf-8")
    with pytest.raises(ValueError, match=r"x\.jsonl:2: label 'good'.*0 or 1"):
        read_labelled(path)
