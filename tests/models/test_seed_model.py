"""The seed model's architecture, its determinism, what it costs and how it is loaded."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from transformers import LlamaForCausalLM

from models import (
    StitchedConfig,
    StitchedForCausalLM,
    count_parameters,
    load_causal_lm,
    new_seed_model,
    seed_config,
    train_flops_per_token,
)

SMALL = {
    "vocab_size": 100,
    "hidden_size": 32,
    "num_layers": 2,
    "num_heads": 4,
    "num_kv_heads": 2,
    "ffn_multiple": 16,
}
# One layer: attention 2 (32*32) + 2 (32*16), feed-forward 3 (32*96), two norms of 32.
LAYER = 2048 + 1024 + 9216 + 64


def test_llama_2_sizes():
    """Widths and weights of the published Llama 2 7B and 13B."""
    seven, thirteen = seed_config(32000, 4096, 32, 32), seed_config(32000, 5120, 40, 40)
    assert (seven.intermediate_size, thirteen.intermediate_size) == (11008, 13824)
    with torch.device("meta"):
        assert count_parameters(LlamaForCausalLM(seven))[0] == 6_738_415_616
    assert seven.rms_norm_eps == 1e-5
    assert seven.rope_parameters["rope_theta"] == 10000
    assert seven.num_key_value_heads == 32
    assert not (seven.attention_bias or seven.mlp_bias or seven.tie_word_embeddings)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_size": 30}, "hidden_size is 30; allowed: a multiple of"),
        ({"num_heads": 32}, "hidden_size is 32; allowed: a multiple of 2 . num_heads = 64"),
        ({"num_kv_heads": 3}, "num_kv_heads is 3; allowed: a divisor of num_heads = 4"),
        ({"num_layers": 0}, "num_layers is 0; allowed: at least 1"),
        ({"max_length": -1}, "max_length is -1; allowed: at least 1"),
    ],
)
def test_impossible_sizes_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        seed_config(**{**SMALL, **change})


def test_same_seed_same_weights_and_global_random_state_untouched():
    config = seed_config(**SMALL)
    torch.manual_seed(5)
    expected_next = torch.rand(3)
    torch.manual_seed(5)
    first, again, other = (new_seed_model(config, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(3), expected_next)
    weights = [model.model.layers[0].mlp.up_proj.weight for model in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize(
    ("tied", "total"), [(False, 2 * LAYER + 32 + 2 * 3200), (True, 2 * LAYER + 32 + 3200)]
)
def test_parameters_by_hand(tied, total):
    model = new_seed_model(seed_config(**SMALL, tie_embeddings=tied), 0)
    assert count_parameters(model) == (total, 2 * LAYER + 32)


@pytest.mark.parametrize("tied", [False, True])
def test_flops_by_hand(tied):
    """6 (2 layers + norm + head) + 12 * 2 layers * 32 * 64, tied or not: 216768."""
    config = seed_config(**SMALL, tie_embeddings=tied)
    assert train_flops_per_token(config, 64) == 6 * (2 * LAYER + 32 + 3200) + 12 * 2 * 32 * 64 == 216768
    assert train_flops_per_token(new_seed_model(config, 0), 64) == 216768


def test_flops_of_a_stitched_model_by_hand():
    """Frozen weights cost 4, the 2 * 5 * 32^2 stitch weights 6, attention runs in 3 * 2 layers."""
    config = seed_config(**SMALL)
    model = new_seed_model(config, 0)
    stitched = StitchedForCausalLM.from_models(model, {"a": model, "b": model}, 2)
    expected = 4 * (3 * 2 * LAYER + 32 + 3200) + 6 * 2 * 5 * 32**2 + 12 * 6 * 32 * 64
    assert train_flops_per_token(stitched, 64) == expected
    assert isinstance(stitched.config, StitchedConfig)
    assert train_flops_per_token(stitched.config, 64) == expected


def test_saved_seed_is_loaded_with_the_same_bits(tmp_path):
    model = new_seed_model(seed_config(**SMALL), 3)
    model.save_pretrained(tmp_path)
    loaded = load_causal_lm(tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(loaded.parameters(), model.parameters(), strict=True))


def test_missing_folder_is_named(tmp_path):
    missing = tmp_path / "no-such-model"
    for given in (missing, str(missing)):
        with pytest.raises(ValueError, match=r"model '.*no-such-model' is not there"):
            load_causal_lm(given)


def test_hub_name_without_network_is_named(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match=r"model 'no-such/model' could not be loaded"):
        load_causal_lm("no-such/model")


def test_pickled_weights_are_not_read(tmp_path):
    model = new_seed_model(seed_config(**SMALL), 3)
    model.config.save_pretrained(tmp_path)
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"could not be loaded; allowed: .* safetensors"):
        load_causal_lm(tmp_path)


def test_broken_weights_are_named(tmp_path):
    new_seed_model(seed_config(**SMALL), 3).save_pretrained(tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ValueError, match="could not be loaded"):
        load_causal_lm(tmp_path)


def test_threads_that_make_and_load_models_at_once_get_whole_ones(tmp_path):
    """While one loads, transformers changes how all models of the process are initialised."""
    config = seed_config(vocab_size=64, hidden_size=16, num_layers=1, num_heads=1, tie_embeddings=True)

    def made_and_loaded(number: int) -> float:
        new_seed_model(config, 7).save_pretrained(tmp_path / str(number))
        loaded = load_causal_lm(tmp_path / str(number))
        return sum(float(weight.abs().sum()) for weight in loaded.parameters())

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(made_and_loaded, range(40)))) == 1
