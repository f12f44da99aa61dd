"""TIES and DARE through mergekit: by hand on small numbers, and as random variables."""

from __future__ import annotations

import logging

import pytest
import torch

from models import mergekit_merge

SEED = [1.0] * 16
# Changes of two experts to one vector of 16 weights; density 0.25 keeps the 4 largest of each.
FIRST = [4.0, -3.0, 2.0, 1.0, *[0.1] * 12]
SECOND = [2.0, 5.0, -4.0, 0.2, 3.0, *[-0.1] * 11]
# Kept: first 0..3, second 0, 1, 2, 4. Signs of the sums 6, 2, -2, 1, 3: elected means 3, 5, -4, 1, 3.
TIES = [3.0, 5.0, -4.0, 1.0, 3.0, *[0.0] * 11]


@pytest.fixture
def vectors(tiny_llama):
    """Seed and experts that differ in their final norm only."""
    models = [tiny_llama(0, 1) for _ in range(3)]
    with torch.no_grad():
        for model, change in zip(models, ([0.0] * 16, FIRST, SECOND), strict=True):
            model.model.norm.weight.copy_(torch.tensor(SEED) + torch.tensor(change))
    return models[0], {"a": models[1], "b": models[2]}


def test_ties_by_hand(vectors):
    seed, experts = vectors
    merged = mergekit_merge("ties", seed, experts, density=0.25)
    change = merged.model.norm.weight.detach() - 1
    torch.testing.assert_close(change, torch.tensor(TIES), atol=1e-5, rtol=0)
    others = zip(merged.named_parameters(), seed.parameters(), strict=True)
    assert all(torch.equal(mine, theirs) for (name, mine), theirs in others if name != "model.norm.weight")


def test_density_one_sums_or_averages_the_changes(vectors):
    seed, experts = vectors
    linear = mergekit_merge("dare_linear", seed, experts, density=1.0)
    mean = (torch.tensor(FIRST) + torch.tensor(SECOND)) / 2  # the default weight is 1/n
    torch.testing.assert_close(linear.model.norm.weight.detach() - 1, mean, atol=1e-5, rtol=0)
    doubled = mergekit_merge("dare_linear", seed, experts, density=1.0, weight=1.0)
    torch.testing.assert_close(doubled.model.norm.weight.detach() - 1, 2 * mean, atol=1e-5, rtol=0)


def test_the_weight_of_ties_scales_what_it_adds(vectors):
    """The paper's lambda is n w: 1 unless given, here 2 * 0.75."""
    seed, experts = vectors
    merged = mergekit_merge("ties", seed, experts, density=0.25, weight=0.75)
    change = merged.model.norm.weight.detach() - 1
    torch.testing.assert_close(change, 1.5 * torch.tensor(TIES), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["dare_linear", "dare_ties"])
def test_dare_is_drawn_by_its_seed(name, tiny_llama):
    seed, experts = tiny_llama(0), {"a": tiny_llama(1), "b": tiny_llama(2)}
    one, again, other = (
        mergekit_merge(name, seed, experts, random_seed=number).lm_head.weight for number in (3, 3, 4)
    )
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_dare_keeps_density_and_the_mean_of_the_changes(tiny_llama):
    seed, expert = tiny_llama(0), tiny_llama(0)
    with torch.no_grad():
        for weight in expert.parameters():
            weight += 0.5
    changes = []
    for number in range(24):
        merged = mergekit_merge("dare_linear", seed, {"a": expert}, density=0.25, random_seed=number)
        changes.append((merged.lm_head.weight - seed.lm_head.weight).detach())
    kept = torch.stack([change.abs() > 1e-6 for change in changes]).float()
    # 24 draws of 1552 weights: the standard errors are 0.0022 (share kept) and 0.0045 (mean change).
    assert kept.mean().item() == pytest.approx(0.25, abs=0.01)
    assert torch.stack(changes).mean().item() == pytest.approx(0.5, abs=1e-3)  # the l1 norm is kept exactly
    # Each weight's own mean over 24 draws has standard error 0.5 sqrt(3 / 24) = 0.18; their spread tells.
    per_weight = torch.stack(changes).mean(dim=0)
    assert per_weight.std().item() == pytest.approx(0.5 * (3 / 24) ** 0.5, rel=0.15)


@pytest.mark.parametrize("architecture", ["qwen3", "olmo2", "gemma", "gemma2", "mistral"])
def test_other_architectures_merge(architecture, tiny_of):
    seed, expert = tiny_of(architecture, 0), tiny_of(architecture, 1)
    merged = mergekit_merge("ties", seed, {"a": expert}, density=1.0)
    pairs = zip(merged.named_parameters(), expert.parameters(), strict=True)
    for (name, mine), theirs in pairs:  # all of one expert's changes is that expert
        torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=0, msg=name)
    assert type(merged) is type(seed)


def test_architecture_that_mergekit_cannot_merge_is_named(tiny_of, tmp_path):
    seed = tiny_of("cohere", 0)
    message = r"mergekit cannot merge CohereForCausalLM by ties: Tensor .*q_norm.weight required but not"
    with pytest.raises(ValueError, match=message):
        mergekit_merge("ties", seed, {"a": tiny_of("cohere", 1)}, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_behind_or_said(vectors, tmp_path, capfd, caplog):
    from mergekit.io.tasks import LoaderCache

    seed, experts = vectors
    handlers, level = list(logging.getLogger().handlers), logging.getLogger("mergekit").level
    caplog.set_level(logging.INFO)
    seed.generation_config.eos_token_id = 7
    merged = mergekit_merge("dare_ties", seed, experts, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert not [key for key in LoaderCache().loaders if str(tmp_path) in str(key.model.path)]
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger().handlers == handlers
    assert logging.getLogger("mergekit").level == level
    assert merged.generation_config.eos_token_id == 7
    assert merged.config.to_dict() == seed.config.to_dict()


@pytest.mark.parametrize("density", [0.0, 1.5])
def test_density_out_of_range_is_refused(vectors, density):
    with pytest.raises(ValueError, match=f"density is {density}; allowed: above 0 up to 1"):
        mergekit_merge("ties", *vectors, density=density)
