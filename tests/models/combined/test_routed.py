"""The router over whole models: whom it picks from what, and what it is trained towards."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from models import RoutedForCausalLM


@pytest.fixture
def members(tiny_llama):
    return [tiny_llama(number, 2) for number in range(3)]


@pytest.fixture
def routed(members, off_their_start):
    return off_their_start(RoutedForCausalLM.from_models(members[0], {"a": members[1], "b": members[2]}))


@torch.no_grad()
def test_each_position_is_predicted_by_the_pick_from_what_was_read(routed, members, tokens):
    input_ids = tokens(3, 10)
    logits = routed(input_ids).logits
    embedding, router = members[0].model.embed_tokens.weight, routed.router
    picked = set()
    for row in range(3):
        for position in range(10):
            prefix = input_ids[row : row + 1, : position + 1]
            scores = router @ embedding[prefix[0]].mean(dim=0)
            pick = int(scores.argmax())
            picked.add(pick)
            expected = members[pick](prefix).logits[0, -1]
            torch.testing.assert_close(logits[row, position], expected, atol=1e-5, rtol=0)
    assert picked == {0, 1, 2}


def test_training_loss_is_cross_entropy_to_the_lowest_loss_member(routed, members, tokens):
    input_ids, mask = tokens(4, 8), torch.ones(4, 8, dtype=torch.long)
    mask[0, :3] = 0  # left padding
    labels = input_ids.masked_fill(mask == 0, -100)
    labels[1, 5:] = -100
    terms, targets = [], []
    for row in range(4):
        start = 3 if row == 0 else 0
        text, wanted = input_ids[row : row + 1, start:], labels[row, start:]
        with torch.no_grad():
            losses = [F.cross_entropy(m(text).logits[0, :-1], wanted[1:]) for m in members]
        targets.append(int(torch.stack(losses).argmin()))
        for end in range(1, text.shape[1] + 1):
            mean = members[0].model.embed_tokens.weight[text[0, :end]].mean(dim=0)
            terms.append(-torch.log_softmax(routed.router @ mean, dim=-1)[targets[-1]])
    assert len(set(targets)) > 1
    expected = sum(terms) / len(terms)
    (gradient,) = torch.autograd.grad(expected, routed.router)
    routed.train()
    loss = routed(input_ids, attention_mask=mask, labels=labels, use_cache=False).loss
    loss.backward()
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(routed.router.grad, gradient)
    assert all(weight.grad is None for weight in routed.members.parameters())


def test_router_learns_which_tokens_are_whose(members):
    """Texts of low tokens are labelled by what the first expert says, texts of high ones by the second."""
    model = RoutedForCausalLM.from_models(members[0], {"a": members[1], "b": members[2]})
    generator = torch.Generator().manual_seed(0)
    low = torch.randint(0, 40, (8, 10), generator=generator)
    high = torch.randint(50, 97, (8, 10), generator=generator)
    labels = []
    for text, member in ((low, members[1]), (high, members[2])):
        with torch.no_grad():
            said = member(text).logits.argmax(-1)
        labels.append(torch.cat([said[:, :1], said[:, :-1]], dim=1))
    texts, labels = torch.cat([low, high]), torch.cat(labels)
    optimizer = torch.optim.Adam([model.router], lr=0.1)
    model.train()
    for _ in range(60):
        model(texts, labels=labels, use_cache=False).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.eval()
    with torch.no_grad():
        for text, member in ((low, members[1]), (high, members[2])):
            right = (model(text).logits[:, -1] - member(text).logits[:, -1]).abs().amax(-1) < 1e-5
            assert right.float().mean() >= 0.75


@torch.no_grad()
def test_later_tokens_change_no_earlier_choice(routed, tokens):
    input_ids = tokens(2, 10)
    changed = input_ids.clone()
    changed[:, 6:] = (changed[:, 6:] + 31) % 97
    torch.testing.assert_close(routed(changed).logits[:, :6], routed(input_ids).logits[:, :6])
