"""Frozen streams are in bf16 while stitches train in bf16, which changes neither the stitches nor what is saved."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState

import models
from tasks.training.jobs import TrainingJob, run_job
from tasks.training.settings import TrainingSettings


@pytest.fixture(autouse=True)
def own_precision():
    """Accelerate takes one precision a process; other tests of this one have theirs."""
    AcceleratorState._reset_state(True)
    yield
    AcceleratorState._reset_state(True)


@pytest.fixture
def job(tiny_llama, tmp_path):
    hub, expert = tiny_llama(0, 2), tiny_llama(1, 2)
    stitched = models.StitchedForCausalLM.from_models(hub, {"a": expert}, num_stitches=1, gate_dropout=0.0)
    stitched.save_pretrained(tmp_path / "start")
    vocabulary = hub.config.vocab_size
    np.random.default_rng(0).integers(0, vocabulary, 4000).astype("<u2").tofile(tmp_path / "text.bin")
    settings = TrainingSettings(sequence_length=16, batch_size=4, precision="bf16", snapshots=1)

    def build(name: str) -> TrainingJob:
        (tmp_path / name).mkdir()
        return TrainingJob(
            model=str(tmp_path / "start"),
            out=str(tmp_path / name / "model"),
            progress=str(tmp_path / name / "progress"),
            tokens={"text": str(tmp_path / "text.bin")},
            token_dtype="<u2",
            plan={"text": 4 * settings.tokens_per_step},
            used={},
            learning_rate=1e-2,
            name="stitched",
            random_seed=0,
            settings=settings.model_dump(mode="json"),
            snapshots=str(tmp_path / name / "snapshots"),
        )

    return build


def test_the_stitches_are_those_of_fp32_streams_and_the_streams_are_saved_as_they_came(job, monkeypatch):
    rounded, plain = job("rounded"), job("plain")
    counted = []
    original = models.round_frozen
    monkeypatch.setattr(models, "round_frozen", lambda model: counted.append(original(model)) or counted[-1])
    run_job(rounded, lambda row: None)
    monkeypatch.setattr(models, "round_frozen", lambda model: 0)
    run_job(plain, lambda row: None)
    (count,) = counted
    start = models.load_causal_lm(rounded.model)
    linear = [m for m in start.modules() if isinstance(m, torch.nn.Linear)]
    embeddings = start.get_input_embeddings().weight
    assert count == sum(m.weight.numel() for m in linear if m.weight is not embeddings) > 0
    before = dict(start.named_parameters())
    for place in ("out", "snapshots"):
        folders = [getattr(each, place) + ("/2" if place == "snapshots" else "") for each in (rounded, plain)]
        found, other = (dict(models.load_causal_lm(folder).named_parameters()) for folder in folders)
        for name, weight in found.items():
            assert torch.equal(weight, other[name]), name
            assert torch.equal(weight, before[name]) == (not name.startswith("stitches.")), name


def test_what_trains_and_tied_heads_stay_in_fp32(tiny_llama):
    model = tiny_llama(0, 2)
    assert models.round_frozen(model) == 0
    model.requires_grad_(False)
    model.model.layers[0].self_attn.q_proj.weight.requires_grad_(True)
    models.round_frozen(model)
    assert model.model.layers[0].self_attn.q_proj.weight.dtype == torch.float32
    assert model.model.layers[0].self_attn.k_proj.weight.dtype == torch.bfloat16
    assert model.model.norm.weight.dtype == torch.float32
