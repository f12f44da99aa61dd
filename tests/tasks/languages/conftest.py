"""A made benchmark in three languages, a tiny model and a tokenizer of bytes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from models import new_seed_model, seed_config
from tasks.languages.settings import LanguagesSettings

WORDS = {"en": ("rain", "wet", "dry"), "et": ("vihm", "märg", "kuiv"), "sw": ("mvua", "maji", "kavu")}
TEMPLATES = """
written_by: machine
en: {cause: "{premise} because {choice}", effect: "{premise} so {choice}"}
et: {cause: "{premise} sest {choice}", effect: "{premise} nii et {choice}"}
sw: {cause: "{premise} kwa sababu {choice}", effect: "{premise} hivyo {choice}"}
"""


def made_rows(languages=("en", "et", "sw"), items=12) -> list[dict]:
    rows = []
    for code in languages:
        cause, right, wrong = WORDS[code]
        for i in range(items):
            choices = [f"{right} {i}", f"{wrong} {i}"]
            rows.append(
                {
                    "id": f"made-{code}-{i}",
                    "lang": code,
                    "premise": f"{cause} {i}",
                    "question": "effect" if i % 2 else "cause",
                    "choices": choices if i % 3 else choices[::-1],
                    "answer_idx": 0 if i % 3 else 1,
                }
            )
    return rows


def write_rows(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def benchmark_file(tmp_path) -> Path:
    return write_rows(tmp_path / "made.jsonl", made_rows())


@pytest.fixture
def settings(tmp_path, benchmark_file):
    (tmp_path / "templates.yaml").write_text(TEMPLATES, encoding="utf-8")

    def given(**also) -> LanguagesSettings:
        own = {
            "files": str(benchmark_file),
            "templates": tmp_path / "templates.yaml",
            "shots": (0, 2),
            "sets": 3,
        }
        return LanguagesSettings.model_validate(own | also)

    return given


@pytest.fixture(scope="session")
def byte_tokenizer() -> PreTrainedTokenizerFast:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: place for place, letter in enumerate([*alphabet, "<|endoftext|>"])}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<|endoftext|>", eos_token="<|endoftext|>"
    )


@pytest.fixture(scope="session")
def tiny_model() -> torch.nn.Module:
    config = seed_config(
        vocab_size=257, hidden_size=16, num_layers=2, num_heads=2, max_length=256, ffn_multiple=8
    )
    config.initializer_range = 0.2
    return new_seed_model(config, 0).eval()
