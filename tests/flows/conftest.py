"""Models of a few thousand weights with their tokenizer, as a user would have them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import models
from tasks.sources.settings import TokenizerSettings
from tasks.sources.tokenization import make_tokenizer

SEEDS = {"seed": 0, "code": 1, "math": 2, "broken": 3}


@pytest.fixture(scope="session")
def own_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of seed, code and math, which are alike; `wide`, of another width; `broken`, with a weight that is NaN."""
    folder = tmp_path_factory.mktemp("own-models")
    texts = [f"a text of number {number} and more" for number in range(500)]
    tokenizer = make_tokenizer(TokenizerSettings(vocab_size=320), texts)
    for name, random_seed in {**SEEDS, "wide": 4}.items():
        config = models.seed_config(
            vocab_size=len(tokenizer),
            hidden_size=64 if name == "wide" else 32,
            num_layers=2,
            num_heads=2,
            max_length=64,
            ffn_multiple=16,
            tie_embeddings=True,
            bos_token_id=0,
            eos_token_id=0,
        )
        model = models.new_seed_model(config, random_seed)
        if name == "broken":
            with torch.no_grad():
                model.model.layers[0].mlp.up_proj.weight[0, 0] = torch.nan
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    return folder


@pytest.fixture(scope="session")
def own_text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with two sources of a few thousand tokens each."""
    folder = tmp_path_factory.mktemp("own-text")
    for name in ("words", "numbers"):
        rows = [
            {
                "text": f"a text of {name} {number} and more of it, each with words of its own. It ends with {number}."
            }
            for number in range(400)
        ]
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return folder
