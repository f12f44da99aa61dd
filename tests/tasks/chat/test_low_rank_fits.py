"""A fit of low-rank adapters: an ordinary model comes out, also after a kill, and the plan knows what trains."""

from __future__ import annotations

import json

import pytest
import torch

import models
from storage.artifact import Artifact
from tasks.chat.chat_prices import fit_told
from tasks.chat.dialogue_lines import Example
from tasks.chat.fitting import Fit, fit_answers, fit_identity
from tasks.chat.plain_template import with_template
from tasks.chat.settings import FitSettings
from tasks.sources.settings import TokenizerSettings
from tasks.sources.tokenization import make_tokenizer
from tasks.training.objectives import answer_tokens
from tasks.training.settings import TrainingSettings

LORA = {"rank": 2, "alpha": 4, "dropout": 0.1}
SETTINGS = FitSettings(learning_rate=0.05, epochs=1, batch_size=2, packed=False, lora=LORA)
LOOP = TrainingSettings(sequence_length=64, checkpoint_seconds=1e-9)
EXAMPLES = [
    Example([{"role": "user", "content": f"a{n}"}, {"role": "assistant", "content": f"b{n}"}], "here")
    for n in range(6)
]


@pytest.fixture(scope="module")
def tokenizer():
    return with_template(make_tokenizer(TokenizerSettings(vocab_size=320), ["some words of text"] * 9))


@pytest.fixture(scope="module")
def base(tokenizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    config = models.seed_config(len(tokenizer), 16, 2, 2, max_length=64, ffn_multiple=8)
    models.new_seed_model(config, 0).save_pretrained(folder / "model")
    return folder


def fitted(base, tokenizer, folder):
    fit = Fit(SETTINGS, LOOP, 0, "sft", lambda row: None)
    return fit_answers(base / "model", EXAMPLES, tokenizer, folder, fit)


def weights(folder):
    return models.load_causal_lm(folder / "model").state_dict()


def test_a_killed_fit_ends_as_one_in_peace_and_changes_linear_layers_alone(
    base, tokenizer, tmp_path, monkeypatch
):
    fitted(base, tokenizer, tmp_path / "peace")
    plain, calls = answer_tokens.answer_tokens, []

    def killed(model, batch):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return plain(model, batch)

    monkeypatch.setattr(answer_tokens, "answer_tokens", killed)
    with pytest.raises(KeyboardInterrupt):
        fitted(base, tokenizer, tmp_path / "killed")
    facts = fitted(base, tokenizer, tmp_path / "killed")
    assert facts["provenance"]["resumed_at"] == 2
    before, peace, resumed = (weights(folder) for folder in (base, tmp_path / "peace", tmp_path / "killed"))
    assert list(peace) == list(before)
    assert all(torch.equal(peace[name], resumed[name]) for name in peace)
    changed = {name for name in before if not torch.equal(before[name], peace[name])}
    assert len(changed) == 2 * 7 and all("_proj" in name for name in changed)


def test_what_trains_is_told_after_the_fit_and_by_the_plan(base, tokenizer, tmp_path):
    """Rank 2 of (16, 16) four times and of (16, 8 x k) three times, in two layers."""
    facts = fitted(base, tokenizer, tmp_path)
    config = json.loads((base / "model" / "config.json").read_text(encoding="utf-8"))
    wide = config["intermediate_size"]
    kv = config["num_key_value_heads"] * config["head_dim"]
    by_hand = 2 * 2 * (2 * (16 + 16) + 2 * (16 + kv) + 3 * (16 + wide))
    assert facts["metrics"]["trained_parameters"] == by_hand
    whole = models.count_parameters(models.load_causal_lm(base / "model"))[0]
    assert facts["metrics"]["parameters"] == whole
    made = Artifact("seed", "", "seed", "digest", base, facts, {})
    adapters, everything = (
        fit_told(made, settings, LOOP, 6)["cost"]()
        for settings in (SETTINGS, SETTINGS.model_copy(update={"lora": None}))
    )
    assert adapters.flops == pytest.approx(facts["metrics"]["flops"])
    assert adapters.memory < everything.memory and adapters.flops < everything.flops


def test_without_adapters_the_result_is_the_one_from_before_they_existed():
    told = fit_identity(FitSettings(), LOOP, 0)["fit"]
    assert "lora" not in told
    assert fit_identity(SETTINGS, LOOP, 0)["fit"]["lora"] == LORA


def test_a_stitched_model_is_refused(base, tokenizer, tmp_path):
    seed = models.load_causal_lm(base / "model")
    models.StitchedForCausalLM.from_models(seed, {"a": seed}, 1).save_pretrained(tmp_path / "model")
    with pytest.raises(ValueError, match=r"sft: a .* model takes no low-rank adapters; allowed: lora empty"):
        fitted(tmp_path, tokenizer, tmp_path / "fitted")
