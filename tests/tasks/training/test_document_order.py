"""Packed documents have the loss and gradients that they have alone; every token is asked for once."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import models
from tasks.training.document_order import DocumentOrder, read_as_set
from tasks.training.jobs import run_job
from tasks.training.token_order import TokenOrder

VOCABULARY, LENGTH, END = 64, 32, 0
SIZES = (VOCABULARY, 32, 2, 2)


def llama():
    return models.new_seed_model(models.seed_config(*SIZES, max_length=LENGTH, ffn_multiple=16), 0)


def qwen3():
    return models.new_seed_model(models.qwen3_config(*SIZES, max_length=LENGTH, ffn_multiple=16), 0)


def moe():
    sparsity = models.Sparsity(num_experts=4, top_k=2, sparse_step=1, capacity_factor=None)
    return models.new_seed_model(models.moe_config(sparsity, *SIZES, max_length=LENGTH, ffn_multiple=16), 0)


def stitched():
    config = models.seed_config(*SIZES, max_length=LENGTH, ffn_multiple=16)
    hub, expert = (models.new_seed_model(config, seed) for seed in (0, 1))
    model = models.StitchedForCausalLM.from_models(hub, {"x": expert}, num_stitches=2, gate_dropout=0.0)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.stitch_parameters():  # gates at zero would pass nothing on that could be wrong
            weight += 0.1 * torch.randn(weight.shape, generator=generator)
    return model


def documents_text(seed: int = 0, size: int = 700) -> np.ndarray:
    """Documents of one token to twenty, each ended by END."""
    generator = np.random.default_rng(seed)
    parts = [generator.integers(1, VOCABULARY, generator.integers(0, 20)) for _ in range(size)]
    return np.concatenate([[*part, END] for part in parts]).astype(np.uint16)[:size]


def documents_of(row: np.ndarray) -> list[np.ndarray]:
    """The documents in a sequence, cut by hand."""
    found, begin = [], 0
    for place, token in enumerate(row):
        if token == END:
            found.append(row[begin : place + 1])
            begin = place + 1
    return [*found, row[begin:]] if begin < len(row) else found


def gradients(model) -> list[torch.Tensor]:
    found = [w.grad.clone() for w in model.parameters() if w.requires_grad]
    model.zero_grad()
    return found


@pytest.mark.parametrize("following", [0, 1])
@pytest.mark.parametrize("make", [llama, qwen3, moe, stitched], ids=lambda make: make.__name__)
def test_packed_documents_have_the_loss_and_gradients_that_they_have_alone(make, following, settings):
    model = make().train()
    text = documents_text()
    order = TokenOrder({"x": text}, {"x": 8}, {}, LENGTH, "seed", 0, following=following)
    masked = settings.model_copy(update={"document_masks": True, "border_targets": bool(following)})
    sequences, objective = read_as_set(order, masked, END, model)

    rows = [order.sequence(number) for number in range(8)]
    alone = [document for row in rows for document in documents_of(row)]
    assert len(alone) > 24 and min(map(len, alone)) == 1
    learnt = sum(len(document) - 1 for document in alone)
    total = 0.0
    for document in alone:
        if len(document) > 1:
            ids = torch.from_numpy(document)[None]
            loss = (
                F.cross_entropy(model(input_ids=ids[:, :-1]).logits[0], ids[0, 1:], reduction="sum") / learnt
            )
            loss.backward()
            total += loss.item()
    apart = gradients(model)

    packed = 0.0
    for begin in (0, 2):  # passes of 2 and of 6: the loss of a step does not hang on how it is cut
        numbers = range(begin, begin + (2 if begin == 0 else 6))
        loss = objective(model, torch.from_numpy(sequences.batch(numbers))) * len(numbers) / 8
        loss.backward()
        packed += loss.item()
    assert packed == pytest.approx(total, abs=1e-5)
    for mine, theirs in zip(gradients(model), apart, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=0)


def test_a_document_is_not_reached_from_another():
    model = llama().train()
    two = torch.tensor([[1, 2, END, 3, 4, 5, 6, END], [9, 7, END, 3, 4, 5, 6, END]])
    places = torch.tensor([[0, 1, 2, 0, 1, 2, 3, 4]] * 2)
    read = model(input_ids=two, position_ids=places, use_cache=False).logits[:, 3:]
    assert torch.equal(read[0], read[1])
    across = model(input_ids=two, use_cache=False).logits[:, 3:]
    assert (across[0] - across[1]).abs().max() > 1e-3


def targets_of(following: int, end: int | None, used: int = 0) -> Counter:
    """How often each place of a source of ten windows is a target in one epoch."""
    length = 8
    text = np.arange(10 * length, dtype=np.uint16) + 1
    if end is not None:
        text[[4, 15, 16, 40]] = 0
    places = np.arange(len(text))
    order = TokenOrder({"x": text}, {"x": 10}, {"x": used}, length, "seed", 0, following=following)
    where = TokenOrder({"x": places}, {"x": 10}, {"x": used}, length, "seed", 0, following=following)
    found: Counter = Counter()
    for number in range(10):
        row = where.sequence(number)
        if end is None:
            found.update(row[1:].tolist())
        else:
            labels = DocumentOrder(order, 0, 10).batch(range(number, number + 1))[0, 1]
            found.update(row[1:][labels[1:] >= 0].tolist())
    return found


def test_every_token_is_a_target_once_an_epoch_with_border_targets():
    assert targets_of(1, None) == Counter(range(80))


def test_without_them_the_first_token_of_each_window_is_none():
    assert targets_of(0, None) == Counter(place for place in range(80) if place % 8)


def test_under_masks_a_token_that_begins_a_document_is_no_target_and_all_others_are():
    begins = {5, 16, 17, 41, 0}  # after the ends at 4, 15, 16 and 40; the source itself begins at 0
    last = targets_of(1, 0)
    assert last == Counter(place for place in range(80) if place not in begins - {0})
    # the text does not end with an end of text, so that its last document goes on at its first token


def test_limits_count_the_tokens_that_follow():
    text = np.arange(800, dtype=np.uint16)
    order = TokenOrder({"x": text}, {"x": 40}, {}, 8, "seed", 0, limits={"x": 36}, following=1)
    seen = {int(token) for number in range(40) for token in order.sequence(number)}
    assert len(seen) <= 36


def test_a_step_of_documents_of_one_token_is_refused():
    order = TokenOrder({"x": np.zeros(64, np.uint16)}, {"x": 4}, {}, 8, "seed", 0)
    with pytest.raises(
        ValueError, match="step 1 has no target: every token of its 2 sequences begins a document"
    ):
        DocumentOrder(order, 0, 2).batch(range(2))


def test_the_default_reads_as_ever(settings):
    order = TokenOrder({"x": documents_text()}, {"x": 8}, {}, LENGTH, "seed", 0)
    sequences, objective = read_as_set(order, settings, None, llama())
    assert sequences is order and objective.__name__ == "next_token"


@pytest.mark.parametrize("reading", [{"document_masks": True}, {"border_targets": True}])
def test_a_job_reads_as_its_settings_say(job, reading):
    told = {}
    for name, changes in {"plain": {}, "own": reading}.items():
        one = replace(job(name, **changes), end_of_text=5)
        told[name] = run_job(one, lambda row: None)
    assert told["plain"]["tokens"] == told["own"]["tokens"]
    assert told["plain"]["final_loss"] != told["own"]["final_loss"]


def test_a_model_that_carries_a_state_across_documents_is_refused():
    from transformers import MambaConfig

    config = MambaConfig(vocab_size=64, hidden_size=16, num_hidden_layers=1, state_size=4)
    with pytest.raises(ValueError, match=r"training\.document_masks: here: a mamba model carries a state"):
        models.check_config_reads_apart(config, "here")
    with pytest.raises(ValueError, match="a mamba model"):
        models.check_reads_apart(models.new_seed_model(config, 0))
