"""Objectives with values worked by hand: what is learnt, whom a token sees, and margins."""

from __future__ import annotations

import math

import pytest
import torch

import models
from tasks.training.objectives.answer_tokens import (
    NOT_LEARNT,
    answer_tokens,
    document_mask,
    packed_answer_tokens,
    positions,
)
from tasks.training.objectives.preference_margin import margin_loss, preference_margin, rewards_of


@pytest.fixture(scope="module")
def model():
    return models.new_seed_model(models.seed_config(32, 16, 2, 2, max_length=16, ffn_multiple=8), 0)


def batch_of(rows, learnt_in_step, sequences_in_step):
    """rows: (tokens, labels, documents)."""
    step = [learnt_in_step, sequences_in_step, *[0] * (len(rows[0][0]) - 2)]
    return torch.tensor([[*row, step] for row in rows])


N = NOT_LEARNT
ONE = ([1, 2, 3, 4, 5, 0, 0, 0], [N, N, 3, 4, 5, N, N, N], [0] * 5 + [-1] * 3)
TWO = ([6, 7, 8, 0, 0, 0, 0, 0], [N, 7, N, N, N, N, N, N], [0] * 3 + [-1] * 5)


def test_a_packed_step_has_the_loss_of_the_same_documents_apart(model):
    packed = (
        [1, 2, 3, 4, 5, 6, 7, 8],
        [N, N, 3, 4, 5, N, 7, N],
        [0, 0, 0, 0, 0, 1, 1, 1],
    )
    together = packed_answer_tokens(model, batch_of([packed], 4, 1))
    apart = answer_tokens(model, batch_of([ONE, TWO], 4, 2))
    torch.testing.assert_close(together, apart)


def test_the_loss_is_the_mean_over_learnt_tokens_however_a_step_is_cut(model):
    logits = model(input_ids=torch.tensor([ONE[0], TWO[0]])).logits.log_softmax(-1)
    by_hand = -(logits[0, 1, 3] + logits[0, 2, 4] + logits[0, 3, 5] + logits[1, 0, 7]) / 4
    torch.testing.assert_close(answer_tokens(model, batch_of([ONE, TWO], 4, 2)), by_hand)
    halves = [answer_tokens(model, batch_of([row], 4, 2)) for row in (ONE, TWO)]
    torch.testing.assert_close(sum(halves) / 2, by_hand)  # as the loop averages its forward passes


def test_documents_do_not_see_each_other_and_count_from_zero():
    documents = torch.tensor([[0, 0, 1, 1, -1]])
    assert positions(documents).tolist() == [[0, 1, 0, 1, 0]]
    assert document_mask(documents)[0, 0].int().tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [0, 0, 1, 0, 0],
        [0, 0, 1, 1, 0],
        [0, 0, 0, 0, 1],
    ]


def test_margin_loss_by_hand():
    """sigma(0) = 1/2; -log sigma(ln 3) = log 4/3; a margin of ln 3 takes that advantage away."""
    loss = margin_loss(
        torch.tensor([0.0, math.log(3), math.log(3)]), torch.zeros(3), torch.tensor([0.0, 0.0, math.log(3)])
    )
    torch.testing.assert_close(loss, torch.tensor([math.log(2), math.log(4 / 3), math.log(2)]))


def test_a_reward_model_has_a_head_of_width_one_and_starts_at_zero(model, tmp_path):
    model.save_pretrained(tmp_path)
    reward = models.reward_model(tmp_path, new_head=True)
    assert reward.score.weight.shape == (1, 16)
    pairs = torch.tensor([[[1, 2, 3, 0], [1, 4, 0, 0], [2, 1, 1_000_000, 0]]])  # a margin of 1
    loss = preference_margin(reward, pairs)
    assert float(loss.detach()) == pytest.approx(math.log(1 + math.e), rel=1e-6)


def test_a_reward_is_read_at_the_last_token_whatever_pads(model, tmp_path):
    model.save_pretrained(tmp_path)
    reward = models.reward_model(tmp_path)
    tokens, last = torch.tensor([[1, 2, 3, 0, 0]]), torch.tensor([2])
    bare = rewards_of(reward, tokens[:, :3], last)
    for fill in (0, 3, 9):
        tokens[:, 3:] = fill
        torch.testing.assert_close(rewards_of(reward, tokens, last), bare)


def test_a_model_without_a_trunk_gets_no_reward_head(tmp_path):
    config = models.StitchedConfig(
        base_config=models.seed_config(32, 16, 2, 2, max_length=16, ffn_multiple=8),
        expert_names=["a"],
        num_stitches=1,
    )
    config.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="a reward model cannot be made from"):
        models.reward_model(tmp_path, new_head=True)
