"""What changes how a model computes in training changes nothing of what comes out."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import models
from tasks.training.document_order import read_as_set
from tasks.training.engine_options import check_compiler, computing_as_set
from tasks.training.jobs import run_job
from tasks.training.loop import train
from tasks.training.peak_memory import CLEAR
from tasks.training.read_ahead import read_ahead

ROOT = Path(__file__).resolve().parents[3]
SIZES = (64, 32, 2, 2)


def moe():
    sparsity = models.Sparsity(num_experts=4, top_k=2, sparse_step=1, capacity_factor=1.0)
    return models.new_seed_model(models.moe_config(sparsity, *SIZES, max_length=32, ffn_multiple=16), 0)


def stitched():
    config = models.seed_config(*SIZES, max_length=32, ffn_multiple=16)
    hub, expert = (models.new_seed_model(config, seed) for seed in (0, 1))
    return models.StitchedForCausalLM.from_models(hub, {"x": expert}, num_stitches=2, gate_dropout=0.2)


def trained(model, order, settings, folder):
    sequences, objective = read_as_set(order, settings, 0, model)
    train(model, sequences, settings, 1e-2, 0, folder, lambda row: None, objective=objective)
    return torch.cat([weight.detach().flatten() for weight in model.parameters()])


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("make", [None, moe, stitched], ids=["llama", "moe", "stitched"])
def test_gradient_checkpointing_gives_the_very_same_weights(
    new_model, token_order, settings, tmp_path, make, masked
):
    make = make or new_model
    settings = settings.model_copy(update={"micro_batch_size": 4, "document_masks": masked})
    again = settings.model_copy(update={"gradient_checkpointing": True})
    plain = trained(make(), token_order(8 * 4), settings, tmp_path / "plain")
    recomputed = trained(make(), token_order(8 * 4), again, tmp_path / "again")
    torch.testing.assert_close(plain, recomputed, atol=1e-6, rtol=0)


def test_gradient_checkpointing_computes_layers_twice_and_is_off_afterwards(new_model, settings):
    model = new_model().train()
    calls = []
    for layer in model.model.layers:
        layer.self_attn.register_forward_hook(lambda *_: calls.append(1))
    ids = torch.arange(16)[None]
    counts = []
    for on in (True, False):
        with computing_as_set(model, settings.model_copy(update={"gradient_checkpointing": on})):
            model(input_ids=ids, labels=ids, use_cache=False).loss.backward()
        counts.append(len(calls))
        calls.clear()
    model(input_ids=ids, labels=ids, use_cache=False).loss.backward()
    assert [*counts, len(calls)] == [4, 2, 2]


def has_compiler() -> bool:
    try:
        check_compiler()
    except ValueError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.skipif(not has_compiler(), reason="torch.compile finds no compiler here")
def test_a_compiled_run_has_the_losses_of_one_that_is_not(token_order, settings, tmp_path, monkeypatch):
    """Captured and differentiated as a whole; the code that Inductor would make of it takes half a minute."""
    traced = []
    compile_by_backend = torch.compile
    monkeypatch.setattr(
        torch,
        "compile",
        lambda *known, **named: (
            traced.append(known) or compile_by_backend(*known, **named, backend="aot_eager")
        ),
    )
    compiled = settings.model_copy(update={"compile": True})
    config = models.seed_config(64, 32, 1, 2, max_length=32, ffn_multiple=16)
    plain, own = (
        trained(models.new_seed_model(config, 0), token_order(8 * 4), each, tmp_path / str(each.compile))
        for each in (settings, compiled)
    )
    assert len(traced) == 1
    torch.testing.assert_close(plain, own, atol=1e-4, rtol=0)


def test_what_is_read_ahead_is_what_is_asked_for(token_order):
    order = token_order(40)
    with read_ahead(order, torch.device("cpu")) as reader:
        for numbers, following in (
            (range(0, 4), range(4, 8)),
            (range(4, 8), range(8, 12)),
            (range(20, 24), None),  # gone back, or on
            (range(0, 4), range(4, 8)),
        ):
            ids, sources = reader.take(numbers, following)
            assert np.array_equal(ids, order.batch(numbers))
            assert np.array_equal(sources, order.source_numbers(numbers))


def test_what_cannot_be_read_is_said_where_it_is_taken(token_order):
    class Broken:
        sources = ("text",)

        def source_numbers(self, numbers):
            return np.zeros(len(numbers), np.int64)

        def batch(self, numbers):
            if numbers.start:
                raise OSError("the disk is gone")
            return np.zeros((len(numbers), 8), np.int64)

    with read_ahead(Broken(), torch.device("cpu")) as reader:
        reader.take(range(0, 2), range(2, 4))
        with pytest.raises(OSError, match="the disk is gone"):
            reader.take(range(2, 4), None)


def test_speed_memory_and_share_of_the_peak_are_kept(job):
    rows = []
    one = replace(job("one", peak_flops=1e12), end_of_text=0)
    outcome = run_job(one, rows.append)
    told = outcome["measured"]
    model = models.load_causal_lm(one.out)
    flops = models.train_flops_per_token(model, 32)
    assert told["mfu"] == pytest.approx(told["tokens_per_second"] * flops / 1e12)
    assert rows[-1]["mfu"] == pytest.approx(rows[-1]["tokens_per_second"] * flops / 1e12)
    assert told["peak_memory"] > 16 * models.count_parameters(model)[0]
    assert told["micro_batch_size"] == 8
    unknown = run_job(job("two"), rows.append)["measured"]
    assert "mfu" not in unknown and "mfu" not in rows[-1]


HELD = """
import torch
from tasks.training.peak_memory import begin_peak, peak_bytes

device = torch.device("cpu")
torch.ones(100_000_000)
begin_peak(device)
before = peak_bytes(device)
torch.ones(50_000_000)
print(peak_bytes(device) - before)
"""


@pytest.mark.skipif(not os.access(CLEAR, os.W_OK), reason="the system does not let the peak be forgotten")
def test_the_peak_of_memory_grows_by_what_is_held():
    """In a process of its own: one that has freed much may hold more without growing."""
    done = subprocess.run([sys.executable, "-c", HELD], capture_output=True, text=True, check=True, cwd=ROOT)
    assert math.isclose(int(done.stdout), 200e6, rel_tol=0.2)
