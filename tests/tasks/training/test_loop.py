"""The loop learns, follows its schedule, and goes on after a cut exactly as if nothing had happened."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import models
from tasks.training.checkpoints import latest_checkpoint, save_checkpoint
from tasks.training.loop import learning_rate_at, make_optimizer, train
from tasks.training.snapshots import keep_snapshot, snapshot_digest


def weights_of(model) -> torch.Tensor:
    return torch.cat([weight.detach().flatten() for weight in model.parameters()])


def run(model, order, settings, folder, report=lambda row: None):
    return train(model, order, settings, settings.learning_rate, 0, folder, report)


def test_the_schedule_warms_up_and_follows_a_cosine(settings):
    schedule = settings.model_copy(update={"warmup_share": 0.1, "final_share": 0.1})
    rates = [learning_rate_at(step, 100, 1.0, schedule) for step in range(100)]
    assert rates[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert rates[10] == pytest.approx(1.0)
    assert rates[55] == pytest.approx(0.1 + 0.9 / 2)
    assert rates[99] == pytest.approx(0.1 + 0.9 * (1 + math.cos(math.pi * 89 / 90)) / 2)


def test_training_lowers_the_loss_and_keeps_its_log(new_model, token_order, settings, tmp_path):
    rows = []
    outcome = run(new_model(), token_order(8 * 60), settings, tmp_path, rows.append)
    assert (outcome.steps, outcome.tokens, outcome.resumed_at) == (60, 60 * 8 * 32, 0)
    assert outcome.final_loss < 2.5 < math.log(64) - 1
    logged = [json.loads(line) for line in (tmp_path / "steps.jsonl").read_text().splitlines()]
    assert logged == rows
    assert rows[-1]["step"] == rows[-1]["steps"] == 60


def test_the_loop_equals_a_plain_pytorch_loop(new_model, token_order, settings, tmp_path):
    steps, order = 5, token_order(8 * 5)
    ours, plain = new_model(), new_model()
    run(ours, order, settings, tmp_path)
    optimizer = make_optimizer(plain, settings)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate_at(step, steps, settings.learning_rate, settings)
        ids = torch.from_numpy(order.batch(range(step * 8, step * 8 + 8)))
        logits = plain(input_ids=ids).logits
        loss = F.cross_entropy(logits[:, :-1].reshape(-1, 64), ids[:, 1:].reshape(-1))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(plain.parameters(), settings.clip)
        optimizer.step()
        optimizer.zero_grad()
    torch.testing.assert_close(weights_of(ours), weights_of(plain), atol=1e-6, rtol=0)


def test_accumulating_micro_batches_gives_the_same_weights(new_model, token_order, settings, tmp_path):
    whole, parts = new_model(), new_model()
    run(whole, token_order(8 * 6), settings, tmp_path / "whole")
    run(parts, token_order(8 * 6), settings.model_copy(update={"micro_batch_size": 2}), tmp_path / "parts")
    torch.testing.assert_close(weights_of(whole), weights_of(parts), atol=2e-5, rtol=0)


class Cut(Exception):
    """Stands for a kill in the middle of training."""


@pytest.mark.parametrize("stitched", [False, True])
def test_a_run_that_was_cut_ends_with_the_very_same_weights(
    new_model, token_order, settings, tmp_path, stitched, monkeypatch
):
    def build():
        if not stitched:
            return new_model()
        return models.StitchedForCausalLM.from_models(new_model(), {"x": new_model(1)}, num_stitches=1)

    frequent = settings.model_copy(update={"checkpoint_seconds": 1e-9})
    whole = build()
    run(whole, token_order(8 * 12), settings, tmp_path / "whole")

    def cut_after_seven(progress, step, *rest):
        save_checkpoint(progress, step, *rest)
        if step == 7:
            raise Cut

    monkeypatch.setattr("tasks.training.position.save_checkpoint", cut_after_seven)
    with pytest.raises(Cut):
        run(build(), token_order(8 * 12), frequent, tmp_path / "cut")
    assert latest_checkpoint(tmp_path / "cut").step == 7
    monkeypatch.setattr("tasks.training.position.save_checkpoint", save_checkpoint)
    resumed = build()
    outcome = run(resumed, token_order(8 * 12), frequent, tmp_path / "cut")
    assert outcome.resumed_at == 7
    assert torch.equal(weights_of(whole), weights_of(resumed))


def test_a_checkpoint_half_written_is_not_taken(new_model, settings, tmp_path):
    model = new_model()
    trainable = dict(model.named_parameters())
    optimizer = make_optimizer(model, settings)
    save_checkpoint(tmp_path, 3, trainable, optimizer)
    (tmp_path / "writing").mkdir()
    (tmp_path / "writing" / "weights").touch()
    assert latest_checkpoint(tmp_path).step == 3
    for step in (5, 7):
        save_checkpoint(tmp_path, step, trainable, optimizer)
    assert sorted(path.name for path in tmp_path.glob("step-*")) == ["step-000000005", "step-000000007"]


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


BROKEN = {
    "cut weights": lambda folder: (folder / "weights").write_bytes((folder / "weights").read_bytes()[:-9]),
    "a flipped bit in the weights": lambda folder: flip(folder / "weights"),
    "a flipped bit in the optimiser": lambda folder: flip(folder / "optimizer"),
    "an empty step.json": lambda folder: (folder / "step.json").write_text(""),
    "another step": lambda folder: (folder / "step.json").write_text('{"step": 11}'),
    "no step.json": lambda folder: (folder / "step.json").unlink(),
    "no weights": lambda folder: (folder / "weights").unlink(),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_checkpoint_is_set_aside_and_the_one_before_it_used(
    new_model, token_order, settings, tmp_path, broken, monkeypatch, caplog
):
    frequent = settings.model_copy(update={"checkpoint_seconds": 1e-9})
    whole = new_model()
    run(whole, token_order(8 * 12), settings, tmp_path / "whole")

    def cut_after_seven(progress, step, *rest):
        save_checkpoint(progress, step, *rest)
        if step == 7:
            raise Cut

    with monkeypatch.context() as patch, pytest.raises(Cut):
        patch.setattr("tasks.training.position.save_checkpoint", cut_after_seven)
        run(new_model(), token_order(8 * 12), frequent, tmp_path / "cut")
    BROKEN[broken](tmp_path / "cut" / "step-000000007")
    with (tmp_path / "cut" / "steps.jsonl").open("a") as stream:
        stream.write('{"step": 7, "los')
    resumed = new_model()
    outcome = run(resumed, token_order(8 * 12), frequent, tmp_path / "cut")
    assert outcome.resumed_at == 6
    assert torch.equal(weights_of(whole), weights_of(resumed))
    assert "step-000000007 is damaged" in caplog.text and "set aside as" in caplog.text
    assert (tmp_path / "cut" / "broken-step-000000007").is_dir()
    assert "steps.jsonl: 1 lines are damaged" in caplog.text
    steps = [json.loads(line)["step"] for line in (tmp_path / "cut" / "steps.jsonl").read_text().splitlines()]
    assert steps == sorted(steps) and steps[-1] == 12


def test_a_checkpoint_counts_only_with_what_belongs_to_it(new_model, settings, tmp_path):
    model = new_model()
    trainable, optimizer = dict(model.named_parameters()), make_optimizer(model, settings)
    keep_snapshot(tmp_path, 2, trainable)
    save_checkpoint(tmp_path, 1, trainable, optimizer)
    save_checkpoint(tmp_path, 3, trainable, optimizer, snapshot_digest(tmp_path, 2))
    assert latest_checkpoint(tmp_path).step == 3
    flip(tmp_path / "snapshots" / "2.safetensors")
    assert latest_checkpoint(tmp_path).step == 1
    (tmp_path / "snapshots" / "2.safetensors").unlink()
    assert latest_checkpoint(tmp_path).step == 1


def test_only_stitches_change(new_model, token_order, settings, tmp_path):
    hub, expert = new_model(), new_model(1)
    model = models.StitchedForCausalLM.from_models(hub, {"x": expert}, num_stitches=1)
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    run(model, token_order(8 * 3), settings, tmp_path)
    changed = {name.split(".")[0] for name, w in model.named_parameters() if not torch.equal(w, before[name])}
    assert changed == {"stitches"}


def test_a_diverging_run_says_so(new_model, token_order, settings, tmp_path):
    model = new_model()
    with torch.no_grad():
        next(model.parameters()).fill_(math.nan)
    with pytest.raises(FloatingPointError, match="diverged"):
        run(model, token_order(8 * 2), settings, tmp_path)


def test_the_data_of_a_step_does_not_depend_on_the_step_before(token_order):
    order = token_order(40)
    assert np.array_equal(order.batch(range(16, 24)), np.stack([order.sequence(n) for n in range(16, 24)]))
