"""`micro_batch_size: auto` takes what fits, and whatever it takes, the run is the same."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from accelerate import Accelerator

import models
from tasks.proxies.online.online_loop import ProxyTrainer
from tasks.training.loop import train
from tasks.training.micro_batches import estimated_micro_batch, largest_that_fits, try_passes
from tasks.training.objectives.next_token import next_token
from tasks.training.training_memory import Shape, training_bytes

FREE = "tasks.training.training_memory.free_bytes"


def weights_of(model) -> torch.Tensor:
    return torch.cat([weight.detach().flatten() for weight in model.parameters()])


def run(model, order, settings, folder):
    return train(model, order, settings, settings.learning_rate, 0, folder, lambda row: None)


def bytes_of(settings, **changes) -> int:
    """By hand of a model of 2 layers, width 32, vocabulary 64, no weights, on sequences of 32 tokens in fp32."""
    config = models.seed_config(64, 32, 2, 2, max_length=32, ffn_multiple=16)
    return training_bytes(Shape(0, 0, 0.0, 0), config, settings.model_copy(update=changes))


def test_memory_is_that_of_activations_and_logits(settings):
    activations, logits = 2 * 34 * 2 * 32 * 32, 16 * 32 * 64
    assert bytes_of(settings) == 8 * (activations + logits)
    assert bytes_of(settings, micro_batch_size=2) == 2 * (activations + logits)
    assert bytes_of(settings, precision="bf16") == 8 * (activations // 2 + logits)
    again = 2 * 2 * 2 * 32 * 32 + 34 * 2 * 32 * 32  # the inputs of two layers, and one layer whole
    assert bytes_of(settings, gradient_checkpointing=True) == 8 * (again + logits)


@pytest.mark.parametrize(("room", "size"), [(8.0, 8), (7.9, 4), (3.9, 2), (1.0, 1), (0.0, 1)])
def test_auto_is_the_largest_divisor_that_fits(new_model, settings, monkeypatch, room, size):
    model = new_model()
    auto = settings.model_copy(update={"micro_batch_size": "auto"})
    weights = 16 * models.count_parameters(model)[0]
    each = bytes_of(settings, micro_batch_size=1)
    monkeypatch.setattr(FREE, lambda training: (weights + room * each + 1) / 0.6)
    assert estimated_micro_batch(model, auto) == size


def test_the_run_is_the_same_whatever_auto_takes(new_model, token_order, settings, tmp_path, monkeypatch):
    auto = settings.model_copy(update={"micro_batch_size": "auto"})
    ways = {"plenty": 1e12, "little": 0.0}
    trained, outcomes, losses = {}, {}, {}
    monkeypatch.setattr("tasks.training.step_log.LOG_SECONDS", 0.0)  # a row a step
    for name, free in ways.items():
        monkeypatch.setattr(FREE, lambda training, free=free: free)
        trained[name] = new_model()
        outcomes[name] = run(trained[name], token_order(8 * 6), auto, tmp_path / name)
        rows = (tmp_path / name / "steps.jsonl").read_text().splitlines()
        losses[name] = [json.loads(row)["loss"] for row in rows]
    assert [outcomes[name].micro_batch_size for name in ways] == [8, 1]
    assert len(losses["plenty"]) == 6
    assert losses["plenty"] == pytest.approx(losses["little"], abs=1e-5)
    torch.testing.assert_close(*map(weights_of, trained.values()), atol=2e-5, rtol=0)
    assert outcomes["plenty"].measured()["micro_batch_size"] == 8


def test_a_proxy_that_learns_online_takes_auto_too(new_model, settings, monkeypatch):
    monkeypatch.setattr(FREE, lambda training: 0)
    ids = torch.randint(0, 64, (8, 32), generator=torch.Generator().manual_seed(0)).numpy()
    sizes = {}
    for micro in (None, "auto", 4):
        trainer = ProxyTrainer(new_model(), settings.model_copy(update={"micro_batch_size": micro}), 4)
        sizes[micro] = len(trainer._parts(ids))
        trainer.step(ids)
    assert sizes == {None: 1, "auto": 8, 4: 2}


def test_what_runs_out_of_memory_is_tried_smaller():
    tried = []

    def attempt(size: int) -> None:
        tried.append(size)
        if size > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")

    assert largest_that_fits(12, attempt) == 3
    assert tried == [12, 6, 4, 3]

    def never(size: int) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(
        ValueError, match="not even one sequence fits into the memory of the GPU; allowed: a shorter"
    ):
        largest_that_fits(4, never)


def test_trying_leaves_the_model_as_it_was(new_model, token_order):
    model = new_model()
    before = weights_of(model)
    try_passes(model, token_order(8), next_token, 4, Accelerator())
    assert torch.equal(before, weights_of(model))
    assert all(weight.grad is None for weight in model.parameters())


def test_runs_in_two_threads_accumulate_each_for_itself(new_model, token_order, settings, tmp_path):
    """As experts that train at once do: neither steps before its own batch is whole."""
    cut = settings.model_copy(update={"micro_batch_size": 1})
    alone = new_model()
    run(alone, token_order(8 * 6), settings, tmp_path / "alone")
    both = [new_model(), new_model()]
    with ThreadPoolExecutor(2) as threads:
        list(
            threads.map(
                lambda number: run(both[number], token_order(8 * 6), cut, tmp_path / str(number)), range(2)
            )
        )
    for model in both:
        torch.testing.assert_close(weights_of(alone), weights_of(model), atol=2e-5, rtol=0)
