"""A job trains from folders to a folder, in one process or in several, with the same result."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import models
from tasks.training.checkpoints import save_checkpoint
from tasks.training.jobs import row_of, run_job


class Cut(Exception):
    """Stands for a kill in the middle of training."""


def test_a_plan_of_less_than_a_step_is_refused(job):
    small = job("small")
    small.plan["text"] = 100
    with pytest.raises(ValueError, match="a budget of 100 tokens is less than one step of 256"):
        run_job(small, lambda row: None)


def test_a_job_says_what_it_cost(job):
    outcome = run_job(job("one"), lambda row: None)
    assert outcome["tokens"] == 4 * 256
    assert outcome["trained_tokens"] == {"text": 4 * 256}
    model = models.load_causal_lm(job("again").model)
    assert outcome["flops"] == pytest.approx(models.train_flops_per_token(model, 32) * 4 * 256)


def test_a_row_is_found_behind_what_another_process_left_on_the_line():
    assert row_of('step-row {"step": 4}\n') == {"step": 4}
    assert row_of('Loading weights:  50%|##  step-row {"step": 4}\n') == {"step": 4}
    assert row_of("[W] a warning\n") is None


@pytest.mark.slow
def test_two_processes_end_with_the_weights_of_one(job):
    one, two = job("one"), job("two", processes=2)
    rows = []
    run_job(one, lambda row: None)
    outcome = run_job(two, rows.append)
    assert outcome["steps"] == 4
    assert rows[-1]["step"] == 4
    first, second = (models.load_causal_lm(j.out) for j in (one, two))
    for (name, weight), other in zip(first.named_parameters(), second.parameters(), strict=True):
        torch.testing.assert_close(weight, other, atol=2e-5, rtol=0, msg=name)


@pytest.mark.slow
def test_a_run_goes_on_in_two_processes_and_then_in_one_again(job, monkeypatch):
    """Killed after two of six steps in one process, after four in two: the weights are those of a run in peace."""
    steps, often = 6, {"checkpoint_seconds": 1e-9}
    peace, moved = job("peace"), job("moved", **often)
    for each in (peace, moved):
        each.plan["text"] = steps * 256
    run_job(peace, lambda row: None)

    def cut_after_two(progress, step, *rest):
        save_checkpoint(progress, step, *rest)
        if step == 2:
            raise Cut

    with monkeypatch.context() as patch, pytest.raises(Cut):
        patch.setattr("tasks.training.position.save_checkpoint", cut_after_two)
        run_job(moved, lambda row: None)
    in_two = replace(moved, settings={**moved.settings, "processes": 2})
    resumed = [run_job(in_two, lambda row: None)["resumed_at"]]
    shutil.rmtree(Path(moved.progress) / "step-000000005")  # as if it had been killed before that was written
    resumed.append(run_job(moved, lambda row: None)["resumed_at"])
    assert resumed == [2, 4]
    first, second = (models.load_causal_lm(j.out) for j in (peace, moved))
    for (name, weight), other in zip(first.named_parameters(), second.parameters(), strict=True):
        torch.testing.assert_close(weight, other, atol=2e-5, rtol=0, msg=name)


@pytest.mark.slow
def test_a_process_that_fails_is_reported_with_its_last_words(job):
    broken = job("broken", processes=2)
    broken.tokens["text"] = "/nowhere.bin"
    with pytest.raises(RuntimeError, match=r"(?s)failed with exit status.*nowhere\.bin"):
        run_job(broken, lambda row: None)


def test_frozen_embeddings_stay_the_seeds_while_all_else_trains(job):
    frozen = replace(job("frozen"), freeze_embeddings=True)
    run_job(frozen, lambda row: None)
    before = dict(models.load_causal_lm(frozen.model).named_parameters())
    after = dict(models.load_causal_lm(frozen.out).named_parameters())
    same = {name for name, weight in after.items() if torch.equal(weight, before[name])}
    assert same == {name for name in after if "embed_tokens" in name or "lm_head" in name} != set()


@pytest.mark.parametrize(("scale", "moved"), [(1.0, 1.0), (0.25, 0.25)])
def test_a_rate_scale_scales_the_first_step(job, scale, moved):
    # AdamW's first step is the learning rate in each weight whose gradient is not zero; weight decay is off.
    one = replace(
        job(f"scaled-{scale}", weight_decay=0.0, warmup_share=0.0), rate_scales={"q_proj.weight": scale}
    )
    one.plan["text"] //= 4
    run_job(one, lambda row: None)
    name = "model.layers.0.self_attn.q_proj.weight"
    before, after = (dict(models.load_causal_lm(m).named_parameters())[name] for m in (one.model, one.out))
    assert (after - before).abs().max().item() == pytest.approx(moved * 1e-2, rel=0.02)


def test_a_weight_near_the_identity_decays_towards_it(job):
    # In one step the two differ by what decay adds: rate * decay, .01 * .5, on the diagonal.
    jobs = {
        ends: job(f"near-{ends}", weight_decay=0.5, warmup_share=0.0) for ends in ("q_proj.weight", "none")
    }
    trained = {}
    for ends, one in jobs.items():
        one.plan["text"] //= 4
        run_job(replace(one, near_identity=(ends,)), lambda row: None)
        trained[ends] = dict(models.load_causal_lm(one.out).named_parameters())
    for name, weight in trained["none"].items():
        added = 0.005 * torch.eye(32) if name.endswith("q_proj.weight") else torch.zeros_like(weight)
        torch.testing.assert_close(trained["q_proj.weight"][name] - weight, added, atol=1e-7, rtol=0)
