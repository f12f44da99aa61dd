"""A stitched model saved as stitches and references to hub and experts."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM

from models import StitchedForCausalLM, load_causal_lm

NAMES = ("hub", "code", "math")


@pytest.fixture
def folders(tiny_llama, tmp_path):
    for seed, name in enumerate(NAMES):
        tiny_llama(seed).save_pretrained(tmp_path / name)
    return tmp_path


@pytest.fixture
def saved(folders, random_stitches):
    hub, code, math = (load_causal_lm(folders / name) for name in NAMES)
    model = StitchedForCausalLM.from_models(
        hub, {"code": code, "math": math}, 2, gate_dropout=0.2, gate_biases={"math": -2.5}
    )
    model.generation_config.eos_token_id = 7
    random_stitches(model).save_pretrained(folders / "stitched", bundle=False)
    return model


@pytest.mark.parametrize(
    "load", [StitchedForCausalLM.from_pretrained, AutoModelForCausalLM.from_pretrained, load_causal_lm]
)
@torch.no_grad()
def test_round_trip_gives_the_same_bits(saved, folders, tokens, load):
    loaded = load(folders / "stitched")
    input_ids = tokens(2, 8)
    assert torch.equal(loaded(input_ids).logits, saved(input_ids).logits)
    assert loaded.num_trainable == saved.num_trainable
    assert loaded.config.gate_dropout == 0.2
    assert loaded.stitches[1].gate_biases == [0, 0, -2.5]
    assert loaded.generation_config.eos_token_id == 7
    assert not loaded.training
    loaded.save_pretrained(folders / "again", bundle=False)  # it still knows where its streams are
    assert torch.equal(load(folders / "again")(input_ids).logits, saved(input_ids).logits)
    loaded.save_pretrained(folders / "bundle")
    assert str(folders) not in (folders / "bundle" / "config.json").read_text()
    assert torch.equal(load(folders / "bundle")(input_ids).logits, saved(input_ids).logits)


def test_only_stitches_are_stored_beside_paths_and_digests(saved, folders):
    with safe_open(folders / "stitched" / "model.safetensors", "pt") as weights:
        names = set(weights.keys())
    assert {name.split(".")[0] for name in names} == {"stitches"}
    config = json.loads((folders / "stitched" / "config.json").read_text())
    assert config["streams_elsewhere"] == {
        name: {
            "folder": str(folders / name),
            "sha256": {
                "model.safetensors": hashlib.sha256(
                    (folders / name / "model.safetensors").read_bytes()
                ).hexdigest()
            },
        }
        for name in NAMES
    }
    assert saved.config.streams_elsewhere is None
    card = (folders / "stitched" / "README.md").read_text()
    assert "Hub and experts are not in this folder" in card
    assert str(folders) not in card


def test_changed_and_missing_files_are_refused(saved, folders):
    file = folders / "math" / "model.safetensors"
    needed = hashlib.sha256(file.read_bytes()).hexdigest()
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    found = hashlib.sha256(content).hexdigest()
    with pytest.raises(ValueError, match=f"'math': .*has changed: its SHA-256 is {found}; needed: {needed}"):
        load_causal_lm(folders / "stitched")
    file.unlink()
    with pytest.raises(ValueError, match=f"'math': .*is not there; needed: the file with SHA-256 {needed}"):
        load_causal_lm(folders / "stitched")


def test_streams_of_no_folder_or_changed_since_are_refused(saved, tiny_llama, folders, tmp_path):
    of_no_folder = StitchedForCausalLM.from_models(tiny_llama(0), {"code": tiny_llama(1)}, 2)
    with pytest.raises(ValueError, match="'hub' was not loaded from a folder"):
        of_no_folder.save_pretrained(tmp_path / "x", bundle=False)
    with torch.no_grad():
        saved.experts[0].layers[1].mlp.up_proj.weight[0, 0] += 1
    with pytest.raises(ValueError, match=r"layers\.1\.mlp\.up_proj\.weight of 'code' is not what"):
        saved.save_pretrained(tmp_path / "x", bundle=False)
    assert not (tmp_path / "x").exists()


@torch.no_grad()
def test_experts_come_and_go(saved, tiny_llama, folders, tokens):
    tiny_llama(3).save_pretrained(folders / "new")
    saved.add_expert("new", load_causal_lm(folders / "new"), gate_bias=-4)
    saved.drop_expert("code")
    saved.save_pretrained(folders / "stitched", bundle=False)
    loaded = load_causal_lm(folders / "stitched")
    assert torch.equal(loaded(tokens(1, 5)).logits, saved(tokens(1, 5)).logits)
    assert loaded.num_trainable == saved.num_trainable == 2 * 2 * 16**2
    config = json.loads((folders / "stitched" / "config.json").read_text())
    assert set(config["streams_elsewhere"]) == {"hub", "math", "new"}


def test_other_dtype_and_unusable_options(saved, folders, tokens):
    loaded = load_causal_lm(folders / "stitched", dtype=torch.bfloat16)
    assert {weight.dtype for weight in loaded.parameters()} == {torch.bfloat16}
    with pytest.raises(ValueError, match=r"device_map is given for .*; allowed: dtype, attn_implementation"):
        AutoModelForCausalLM.from_pretrained(folders / "stitched", device_map="auto")
    eager = AutoModelForCausalLM.from_pretrained(folders / "stitched", attn_implementation="eager")
    assert {decoder.config._attn_implementation for decoder in eager.decoders()} == {"eager"}
    placed = AutoModelForCausalLM.from_pretrained(folders / "stitched", device_map={"": "cpu"})
    assert torch.equal(placed(tokens(1, 5)).logits, saved(tokens(1, 5)).logits)


def test_incomplete_stitches_are_refused(saved, folders):
    config = json.loads((folders / "stitched" / "config.json").read_text())
    config["num_stitches"] = 4
    (folders / "stitched" / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"is incomplete: 4 weights are missing, 'stitches\.2\.gate' first"):
        load_causal_lm(folders / "stitched")
    with pytest.raises(ValueError, match=r"lacks stitches\.2\.gate, stitches\.2\.projections"):
        StitchedForCausalLM.from_pretrained(folders / "stitched")


def test_bundle_is_written_in_shards_without_a_second_copy(tmp_path):
    """On the CPU shards are written from the weights' own memory: the process grows by less than one copy."""
    script = f"""
import resource, torch, models
config = models.seed_config(vocab_size=64, hidden_size=256, num_layers=8, num_heads=4)
models_ = [models.new_seed_model(config, seed) for seed in range(3)]
model = models.StitchedForCausalLM.from_models(models_[0], dict(a=models_[1], b=models_[2]), 4)
size = sum(weight.nbytes for weight in model.parameters())
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
model.save_pretrained({str(tmp_path)!r}, max_shard_size="4MB")
grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
print(size, grown)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
    )
    size, grown = map(int, done.stdout.split())
    files = list(tmp_path.glob("model-*.safetensors"))
    assert len(files) >= size / 4e6
    assert max(file.stat().st_size for file in files) < 4.1e6
    assert grown < size / 3
