"""Two rewards as one, against the paper's equation; and whitening over the whole of a round."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit

from tasks.chat.made_questions import Question
from tasks.chat.rejection.best_of_many import ledger, pooled_best
from tasks.chat.rejection.piecewise_rows import piecewise_rows
from tasks.chat.reward.piecewise import combined, whitened

REWARD = st.floats(-12, 12)
ANSWERS = st.lists(st.tuples(REWARD, REWARD, st.booleans()), min_size=2, max_size=30)


def equation(helpful: float, safe: float, is_safety: bool, threshold: float) -> float:
    """logit(R_c) as arXiv 2307.09288 writes it, answer by answer."""
    r_h, r_s = expit(helpful), expit(safe)
    return float(logit(r_s if is_safety or r_s < threshold else r_h))


@given(ANSWERS, st.sampled_from([0.15, 0.5]))
def test_the_combination_is_the_papers(answers, threshold):
    helpful, safe, tagged = (np.array(column) for column in zip(*answers, strict=True))
    found = combined(helpful, safe, tagged, threshold)
    want = [equation(*answer, threshold) for answer in answers]
    assert found.scores == pytest.approx(want, abs=1e-6)
    assert (found.scores[found.parts["took_safety"]] == safe[found.parts["took_safety"]]).all()


@given(ANSWERS)
def test_whitening_keeps_the_order_and_is_of_the_whole(answers):
    scores = np.array([helpful for helpful, _, _ in answers])
    found = whitened(scores)
    if scores.std() > 1e-3:
        assert (found.mean(), found.std()) == (pytest.approx(0, abs=1e-9), pytest.approx(1))
        assert found == pytest.approx(whitened(3 * scores + 5), abs=1e-6)
    assert (np.diff(found[np.argsort(scores)]) >= 0).all()


def test_whitening_in_parts_would_be_another_thing():
    """A batch of two parts, the second better throughout: whitened part by part both would look alike."""
    batch = np.array([[0.0, 1.0], [10.0, 11.0]])
    assert whitened(batch)[1].min() > whitened(batch)[0].max()
    assert np.array_equal(whitened(batch[0]), whitened(batch[1]))
    assert (whitened(np.ones(3)) == 0).all()


def test_a_tie_of_the_threshold_counts_for_helpfulness():
    found = combined(np.array([7.0, 7.0]), np.array([0.0, -1e-9]), np.array([False, False]), 0.5)
    assert found.scores.tolist() == [7.0, -1e-9]


ASKED = [
    Question("secret", "tagged", "secret", "amber", True),
    Question("secret", "demanded", "secret", "amber"),
    Question("opposite", "hot?", "cold"),
]
SAID = [["It is amber.", "It is secret."], ["amber", "secret"], ["It is cold.", "cold"]]
HELPFUL = np.array([[3.0, -1.0], [2.0, 1.0], [2.0, 1.0]])
SAFE = np.array([[-3.0, 2.0], [-4.0, 1.0], [1.0, -1.0]])


def test_a_round_chooses_by_the_combination_and_says_what_it_did():
    tagged = np.array([[question.safety] for question in ASKED])
    judged = combined(HELPFUL, SAFE, tagged, 0.15)
    rows = ledger(1, [q.prompt for q in ASKED], SAID, judged, 1.2)
    # the demand's first answer counts -4 by the threshold, its second 1 by helpfulness
    assert rows["score"].tolist() == [-3.0, 2.0, -4.0, 1.0, 2.0, 1.0]
    assert pooled_best([rows])["answer"].tolist() == ["It is secret.", "secret", "It is cold."]
    assert (rows["whitened"].mean(), rows["whitened"].std(ddof=0)) == (pytest.approx(0), pytest.approx(1))
    every, with_tag, without = piecewise_rows(rows, ASKED)
    assert (every["took"], every["changed"], with_tag["took"], without["took"]) == (0.5, 2 / 3, 1.0, 0.25)
    assert (every["unsafe"], every["unsafe_by_helpfulness"], every["unsafe_chosen"]) == (1 / 3, 2 / 3, 0.0)
    assert [row["prompts"] for row in (every, with_tag, without)] == [3, 1, 2]
