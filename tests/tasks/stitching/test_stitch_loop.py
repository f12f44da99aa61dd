"""How stitches train: their own schedule, and weight decay that leaves projections where they start."""

from __future__ import annotations

import math

import pytest
import torch

import models
from tasks.stitching.compositions import COMPOSITIONS_BY_NAME
from tasks.stitching.settings import StitchSettings
from tasks.stitching.stitch_loop import rates_of, stitch_training
from tasks.training.loop import learning_rate_at, make_optimizer, pull_to_identity
from tasks.training.settings import TrainingSettings
from tasks.training.training_run import Training

RATE, DECAY = 0.1, 0.5


def test_stitches_follow_the_schedule_of_the_paper_where_it_is_set():
    """7000 steps: up to 5e-6 at step 2000, then a cosine to 1% of it; the seed's own schedule is another."""
    paper = StitchSettings(learning_rate=5e-6, warmup_share=2000 / 7000, final_share=0.01)
    seeds = Training(TrainingSettings(warmup_share=0.05, final_share=0.1), 0)
    loop = stitch_training(paper, seeds).settings
    rates = [learning_rate_at(step, 7000, paper.learning_rate, loop) for step in (0, 999, 1999, 4500, 6999)]
    assert rates[:3] == pytest.approx([5e-6 / 2000, 2.5e-6, 5e-6])
    assert rates[3] == pytest.approx(5e-6 * (1 + 0.01) / 2)
    end = (1 + math.cos(math.pi * 4999 / 5000)) / 2
    assert rates[4] == pytest.approx(5e-6 * (0.01 + 0.99 * end))
    assert seeds.settings.final_share == 0.1


def test_experts_go_on_from_a_final_rate_without_warming_up_where_it_is_set():
    own = TrainingSettings(expert_learning_rate=5e-6, expert_warmup_share=0.0, expert_final_share=0.01)
    loop = own.of_experts()
    assert learning_rate_at(0, 100, 5e-6, loop) == 5e-6
    assert learning_rate_at(50, 100, 5e-6, loop) == pytest.approx(5e-6 * 0.505)
    assert (loop.beta1, loop.sequence_length) == (own.beta1, own.sequence_length)
    unset = TrainingSettings(warmup_share=0.2, final_share=0.3)
    assert unset.of_experts() == unset


def one_step(model, rates):
    """The weights after one step without gradients, in which weight decay alone acts."""
    loop = TrainingSettings(weight_decay=DECAY)
    optimizer = make_optimizer(model, loop, rates.scales, rates.near_identity)
    for group in optimizer.param_groups:
        group["lr"] = RATE * group["scale"]
        for weight in group["params"]:
            weight.grad = torch.zeros_like(weight)
    pull_to_identity(optimizer.param_groups)
    optimizer.step()
    return dict(model.named_parameters())


@pytest.mark.parametrize("towards", ["identity", "zero"])
def test_one_step_of_decay_by_hand(tiny_llama, towards):
    """A step takes rate * decay = .05 of the way: a 3 on the diagonal goes to 2.9 or 2.85, a 2 beside it to 1.9."""
    model = models.StitchedForCausalLM.from_models(tiny_llama(0, 2), {"a": tiny_llama(1, 2)}, num_stitches=1)
    (stitch,) = model.stitches
    with torch.no_grad():
        stitch.projections[0, 0, 0], stitch.projections[0, 0, 1], stitch.gate[0, 0, 0] = 3.0, 2.0, 4.0
    one_step(model, rates_of(StitchSettings(decay_towards=towards, gate_rate_scale=2.0)))
    there = {"identity": (2.9, 1.0), "zero": (2.85, 0.95)}[towards]
    found = [stitch.projections[0, 0, 0], stitch.projections[0, 1, 1], stitch.projections[0, 0, 1]]
    assert [value.item() for value in found] == pytest.approx([*there, 1.9])
    assert stitch.gate[0, 0, 0].item() == pytest.approx(4 * (1 - 2 * RATE * DECAY))


def test_adapters_decay_towards_the_identity_and_routers_towards_zero(tiny_llama):
    composition = COMPOSITIONS_BY_NAME["bam-adapters"]
    model = composition.combine(tiny_llama(0, 1), {"a": tiny_llama(1, 1)})
    with torch.no_grad():
        for mixture in model.mixtures():
            mixture.router.fill_(1.0)
    weights = one_step(model, rates_of(composition.settings(learning_rate=RATE)))
    for name, weight in weights.items():
        if name.endswith(".adapters"):
            torch.testing.assert_close(weight.detach(), torch.eye(16).expand_as(weight))
        if name.endswith(".router"):
            torch.testing.assert_close(weight.detach(), torch.full_like(weight, 0.95))


def test_the_added_experts_projection_alone_is_pulled(tiny_llama):
    model = models.StitchedForCausalLM.from_models(tiny_llama(0, 2), {"a": tiny_llama(1, 2)}, num_stitches=1)
    model.add_expert("b", tiny_llama(2, 2))
    (stitch,) = model.stitches
    with torch.no_grad():
        stitch.projections.fill_(7.0)
        stitch.newest.projections.fill_(2.0)
    one_step(model, rates_of(StitchSettings()))
    assert stitch.projections.eq(7.0).all()
    assert stitch.newest.projections[0, 0, :2].tolist() == pytest.approx([1.95, 1.9])
