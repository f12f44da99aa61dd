"""Seeds and experts that are mixtures of experts: what can be combined with them is, the rest is refused by a plan."""

from __future__ import annotations

import pytest
import torch

import models
from tasks.stitching.compositions import COMPOSITIONS_BY_NAME

WORKS = ("soup", "task-arithmetic", "btm", "routing", "token-routing", "btx-soft", "bam", "bam-adapters")
REFUSED = {
    "ties": "ties of qwen3_moe models: mergekit takes every layer",
    "dare-linear": "dare-linear of qwen3_moe models",
    "dare-ties": "dare-ties of qwen3_moe models",
    "btx-sampled": "btx-sampled of qwen3_moe models: the members' own routers",
    "upcycle": "upcycling from qwen3_moe, which has experts already",
}
IDS = torch.randint(0, 64, (2, 12), generator=torch.Generator().manual_seed(0))


def mixture(random_seed=0):
    sizes = {"num_heads": 4, "num_kv_heads": 2, "ffn_multiple": 16, "max_length": 32}
    config = models.moe_config(models.Sparsity(num_experts=4), 64, 32, 2, **sizes)
    return models.new_seed_model(config, random_seed).eval()


def test_every_composition_either_works_or_is_refused():
    assert {*WORKS, *REFUSED} == set(COMPOSITIONS_BY_NAME)


@pytest.mark.parametrize("name", WORKS)
def test_of_equal_mixtures_it_has_their_probabilities_also_when_loaded(name, tmp_path):
    seed, composition = mixture(), COMPOSITIONS_BY_NAME[name]
    combined = composition.combine(seed, {"a": seed})
    own = seed(IDS).logits.softmax(-1)
    torch.testing.assert_close(combined(IDS).logits.softmax(-1), own, rtol=1e-4, atol=1e-6)
    combined.save_pretrained(tmp_path)
    loaded = models.load_causal_lm(tmp_path)
    torch.testing.assert_close(loaded(IDS).logits.softmax(-1), own, rtol=1e-4, atol=1e-6)
    assert composition.cost(seed.config, 1, 16).active == models.model_costs(loaded, 16).active


@pytest.mark.parametrize("name", REFUSED)
def test_the_rest_is_refused_from_the_configuration_alone(name):
    with pytest.raises(ValueError, match=REFUSED[name]):
        COMPOSITIONS_BY_NAME[name].cost(mixture().config, 1, 16)


def test_mixtures_are_stitched_and_their_streams_stay_sequential(tmp_path):
    seed = mixture()
    stitched = models.StitchedForCausalLM.from_models(seed, {"a": seed}, num_stitches=1)
    torch.testing.assert_close(stitched(IDS).logits, seed(IDS).logits)
    stitched.save_pretrained(tmp_path)
    loaded = models.load_causal_lm(tmp_path)
    torch.testing.assert_close(loaded(IDS).logits, seed(IDS).logits)
    assert not models.TrainedRouters(loaded.train())  # hub and experts are frozen: nothing balances or drops
    with pytest.raises(ValueError, match=r"Qwen3MoeExperts .* allowed for batched streams"):
        stitched.batch_streams()


def test_a_mixture_writes_the_same_with_and_without_a_cache():
    model = mixture()
    options = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": 0}
    cached = model.generate(IDS[:, :4], use_cache=True, **options)
    assert torch.equal(cached, model.generate(IDS[:, :4], use_cache=False, **options))
