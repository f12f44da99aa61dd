"""A stitched model saved and loaded again."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM

from models import StitchedForCausalLM, load_causal_lm


@pytest.fixture(params=[False, True], ids=["untied", "tied"])
def saved(request, tiny_llama, random_stitches, tmp_path):
    hub, code, math = (tiny_llama(seed, tie_embeddings=request.param) for seed in range(3))
    hub.generation_config.eos_token_id = 7
    model = StitchedForCausalLM.from_models(hub, {"code": code, "math": math}, 2, gate_dropout=0.2)
    random_stitches(model).save_pretrained(tmp_path)
    return model, tmp_path


@pytest.mark.parametrize(
    "load", [StitchedForCausalLM.from_pretrained, AutoModelForCausalLM.from_pretrained, load_causal_lm]
)
@torch.no_grad()
def test_round_trip_gives_the_same_bits(saved, tokens, load):
    model, folder = saved
    loaded = load(folder)
    assert isinstance(loaded, StitchedForCausalLM)
    input_ids = tokens(2, 8)
    assert torch.equal(loaded(input_ids).logits, model(input_ids).logits)
    assert {name for name, parameter in loaded.named_parameters() if parameter.requires_grad} == {
        name for name, _ in loaded.named_parameters() if name.startswith("stitches.")
    }
    assert loaded.num_trainable == model.num_trainable
    assert loaded.generation_config.eos_token_id == 7
    assert loaded.config.gate_dropout == loaded.stitches[0].dropout.p == 0.2


def test_folder_holds_safetensors_config_and_card_only(saved):
    _, folder = saved
    assert {path.name for path in folder.iterdir()} == {
        "README.md",
        "config.json",
        "generation_config.json",
        "model.safetensors",
    }
    config = json.loads((folder / "config.json").read_text())
    assert config["expert_names"] == ["code", "math"]
    assert (config["num_stitches"], config["gate_dropout"]) == (2, 0.2)
    assert (config["base_config"]["model_type"], config["base_config"]["num_hidden_layers"]) == ("llama", 4)


def test_only_what_is_needed_is_stored(saved):
    model, folder = saved
    with safe_open(folder / "model.safetensors", "pt") as weights:
        names = set(weights.keys())
    assert ("hub.lm_head.weight" in names) is not model.config.base_config.tie_word_embeddings
    assert "hub.model.norm.weight" in names
    assert {"experts.0.embed_tokens.weight", "experts.1.embed_tokens.weight"} <= names
    assert not {
        name for name in names if name.startswith("experts.") and ("lm_head" in name or ".norm." in name)
    }


def test_tied_embeddings_stay_tied(saved):
    model, folder = saved
    loaded = load_causal_lm(folder)
    is_tied = loaded.hub.lm_head.weight is loaded.hub.model.embed_tokens.weight
    assert is_tied == model.config.base_config.tie_word_embeddings


@torch.no_grad()
def test_shards_round_trip(saved, tokens, tmp_path_factory):
    model, _ = saved
    folder = tmp_path_factory.mktemp("sharded")
    model.save_pretrained(folder, max_shard_size="30KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 1
    assert torch.equal(load_causal_lm(folder)(tokens(1, 5)).logits, model(tokens(1, 5)).logits)


def test_dtype_can_be_chosen(saved, tokens):
    _, folder = saved
    loaded = load_causal_lm(folder, dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.bfloat16}
    assert loaded(tokens(1, 5)).logits.dtype == torch.bfloat16


def test_model_card_says_what_it_is(saved):
    model, folder = saved
    card = (folder / "README.md").read_text()
    for fact in (
        "hub, code, math",
        "hub-into-experts after layer 2, experts-into-hub after layer 4",
        f"{model.num_trainable:,} in the stitches",
        "AutoModelForCausalLM.from_pretrained",
    ):
        assert fact in card
    assert str(folder) not in card


def test_checkpoint_that_lacks_weights_is_refused(saved):
    _, folder = saved
    config = json.loads((folder / "config.json").read_text())
    config["num_stitches"] = 4
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"is incomplete: 4 weights are missing, 'stitches\.2\.gate' first"):
        load_causal_lm(folder)
