"""A budget is shared out in whole steps; what costs are expected."""

from __future__ import annotations

import pytest

from tasks.training.budget import split_budget, tokens_in_time, whole_steps
from tasks.training.estimates import config_of, dense_shape, stitched_shape
from tasks.training.settings import BudgetSettings, ModelSettings, TrainingSettings

SHARES = BudgetSettings(seed_share=0.5, stitch_share=0.1)


def test_shares_are_whole_steps_and_never_more_than_the_budget():
    budget = split_budget(100_000, SHARES, num_trained=3, tokens_per_step=1_000)
    assert (budget.seed, budget.expert, budget.stitch) == (50_000, 13_000, 10_000)
    assert budget.total == 99_000


def test_a_budget_that_is_too_small_says_what_is_enough():
    with pytest.raises(ValueError, match=r"at least 10,001 tokens"):
        split_budget(5_000, SHARES, num_trained=3, tokens_per_step=1_000)
    assert split_budget(10_001, SHARES, num_trained=3, tokens_per_step=1_000).stitch == 1_000


def test_tokens_in_time_take_that_time():
    settings = BudgetSettings(minutes=10, training_share=0.5, stitch_share=0.2)
    tokens = tokens_in_time(settings, 10, dense_speed=1_000, stitched_speed=250, num_trained=3)
    assert tokens * 0.8 / 1_000 + tokens * 0.2 / 250 == pytest.approx(300, rel=1e-4)


def test_shapes_are_those_of_the_equations():
    model = ModelSettings(hidden_size=64, num_layers=4, num_heads=4, tie_embeddings=True)
    training = TrainingSettings(sequence_length=128)
    config = config_of(model, training, 1000)
    parameters = dense_shape(config, 128).parameters
    shape = stitched_shape(config, num_experts=3, num_stitches=2, sequence_length=128)
    trained, frozen = shape.trained, shape.parameters - shape.trained
    assert trained == 2 * (2 * 3 + 1) * 64**2  # K (2n+1) d^2
    assert frozen == 4 * parameters - 3 * 64  # experts' final norms are not kept


def test_what_is_taken_as_it_is_shares_no_tokens():
    of_seed = split_budget(100_000, BudgetSettings(seed_share=0, stitch_share=0.1), 2, 1_000)
    assert (of_seed.seed, of_seed.expert, of_seed.stitch, of_seed.total) == (0, 45_000, 10_000, 100_000)
    assert of_seed.first == 55_000  # what one expert and the stitches read
    of_experts = split_budget(100_000, BudgetSettings(seed_share=0.3, stitch_share=0.1), 0, 1_000)
    assert (of_experts.seed, of_experts.expert, of_experts.stitch) == (75_000, 0, 25_000)
    stitches_alone = split_budget(100_000, BudgetSettings(seed_share=0, stitch_share=0.1), 0, 1_000)
    assert (stitches_alone.seed, stitches_alone.expert, stitches_alone.stitch) == (0, 0, 100_000)
    with pytest.raises(ValueError, match=r"at least 1,001 tokens"):
        split_budget(999, BudgetSettings(seed_share=0, stitch_share=0.1), 0, 1_000)


def test_a_budget_of_one_run_is_whole_steps():
    assert whole_steps(24_000, 2_048) == 11 * 2_048 == whole_steps(11 * 2_048, 2_048)
    with pytest.raises(ValueError, match="less than one step; allowed: at least 2,048"):
        whole_steps(2_047, 2_048)
