"""The router that decides once a text, by its first tokens: whom it picks, what it keeps, what it learns towards."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from models import RoutedConfig, RoutedForCausalLM

PREFIX = 3


@pytest.fixture
def members(tiny_llama):
    return [tiny_llama(number, 2) for number in range(3)]


@pytest.fixture
def routed(members, off_their_start):
    experts = {"a": members[1], "b": members[2]}
    return off_their_start(
        RoutedForCausalLM.from_models(members[0], experts, prefix_tokens=PREFIX, longest_prefix=4)
    )


def scores_of(routed, members, text, num_first):
    """W times the mean of the seed's embeddings of a text's first tokens, (members,)."""
    return routed.router @ members[0].model.embed_tokens.weight[text[:num_first]].mean(dim=0)


def pick(routed, members, text, num_first=PREFIX):
    return int(scores_of(routed, members, text, num_first).argmax())


@torch.no_grad()
def test_the_first_tokens_decide_who_predicts_all_that_follows(routed, members, tokens):
    input_ids = tokens(12, 10)
    logits = routed(input_ids).logits
    picked, changed = set(), 0
    for text, row in zip(input_ids, logits, strict=True):
        member = pick(routed, members, text)
        picked.add(member)
        changed += member != pick(routed, members, text, 10)
        expected = members[member](text[None]).logits[0]
        torch.testing.assert_close(row[PREFIX - 1 :], expected[PREFIX - 1 :], atol=1e-5, rtol=0)
        for position in range(PREFIX - 1):  # before: by what there is, so that no token picks who predicts it
            early = members[pick(routed, members, text, position + 1)](text[None]).logits[0, position]
            torch.testing.assert_close(row[position], early, atol=1e-5, rtol=0)
    assert picked == {0, 1, 2} and changed  # the whole text would have decided otherwise


@torch.no_grad()
def test_a_text_shorter_than_the_prefix_decides_by_what_there_is(routed, members, tokens):
    routed.config.prefix_tokens = 32
    for text in tokens(6, 5):
        expected = members[pick(routed, members, text, 5)](text[None]).logits[0, -1]
        torch.testing.assert_close(routed(text[None]).logits[0, -1], expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("side", ["left", "right"])
@torch.no_grad()
def test_a_row_decides_by_itself_and_padding_does_not_count(routed, tokens, side):
    rows = [tokens(1, length, random_seed=length)[0] for length in (4, 6, 9)]
    padded, mask = torch.full((3, 9), 5), torch.zeros(3, 9, dtype=torch.long)
    for number, row in enumerate(rows):
        place = slice(9 - len(row), 9) if side == "left" else slice(0, len(row))
        padded[number, place], mask[number, place] = row, 1
    logits = routed(padded, attention_mask=mask).logits
    for number, row in enumerate(rows):
        alone = routed(row[None]).logits[0]
        torch.testing.assert_close(logits[number][mask[number].bool()], alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("length", [2, 8])
@torch.no_grad()
def test_generation_keeps_what_the_prompt_decided(routed, members, tokens, length):
    """A prompt of fewer tokens than the prefix decides too; what is generated would decide otherwise somewhere."""
    prompts, others = tokens(8, length, random_seed=3), 0
    generated = routed.generate(
        prompts, attention_mask=torch.ones_like(prompts), max_new_tokens=8, do_sample=False, pad_token_id=0
    )
    for prompt, text in zip(prompts, generated, strict=True):
        member = pick(routed, members, prompt)
        alone = members[member].generate(
            prompt[None],
            attention_mask=torch.ones(1, length, dtype=torch.long),
            max_new_tokens=8,
            do_sample=False,
            pad_token_id=0,
        )
        assert torch.equal(text, alone[0])
        others += any(pick(routed, members, text, at) != member for at in range(length + 1, length + 8))
    assert others


def test_the_router_learns_from_a_prefix_who_is_best_on_what_follows(routed, members, tokens):
    """Of 6 tokens at most half may be read, which is also the fewest, so all read 3; of 4 tokens it is 2."""
    input_ids, mask = tokens(4, 6), torch.ones(4, 6, dtype=torch.long)
    mask[0, :2] = 0
    labels = input_ids.masked_fill(mask == 0, -100)
    labels[1, 3:] = -100  # nothing to be best on: left out
    terms, targets = [], []
    for row, (begin, num_first) in ((0, (2, 2)), (2, (0, 3)), (3, (0, 3))):
        text = input_ids[row, begin:]
        with torch.no_grad():
            losses = [
                F.cross_entropy(m(text[None]).logits[0, num_first - 1 : -1], text[num_first:])
                for m in members
            ]
        targets.append(int(torch.stack(losses).argmin()))
        terms.append(-torch.log_softmax(scores_of(routed, members, text, num_first), dim=0)[targets[-1]])
    expected = sum(terms) / 3
    (gradient,) = torch.autograd.grad(expected, routed.router)
    routed.train()
    loss = routed(input_ids, attention_mask=mask, labels=labels, use_cache=False).loss
    loss.backward()
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(routed.router.grad, gradient)


def test_prefixes_are_drawn_evenly_up_to_half_of_the_text(routed):
    torch.manual_seed(0)
    routed.config.prefix_tokens, routed.config.longest_prefix = 32, 256
    drawn = routed._drawn_prefixes(torch.full((20_000,), 128.0))
    assert (drawn.min(), drawn.max()) == (32, 64)
    assert drawn.mean().item() == pytest.approx(48, abs=0.4)  # standard error 9.5 / sqrt(20000) = .07
    longer = routed._drawn_prefixes(torch.full((20_000,), 4096.0))
    assert (longer.min(), longer.max()) == (32, 256)
    assert routed._drawn_prefixes(torch.tensor([1.0, 2.0, 7.0])).tolist() == [1, 1, 3]


def test_a_prefix_that_ends_before_it_begins_is_refused(members):
    with pytest.raises(ValueError, match="prefix_tokens is 5 and longest_prefix 4; allowed"):
        RoutedConfig(base_config=members[0].config, expert_names=["a"], prefix_tokens=5, longest_prefix=4)
