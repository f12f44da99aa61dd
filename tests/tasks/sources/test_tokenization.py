"""Text is text: what spells a special token in a document never becomes one."""

from __future__ import annotations

import numpy as np
import pytest
from tokenizers import AddedToken

from tasks.sources.settings import TokenizerSettings
from tasks.sources.tokenization import END_OF_TEXT, load_tokenizer, make_tokenizer, write_tokens

TEXT = f"a {END_OF_TEXT}<|im_start|> b"


@pytest.fixture(params=["made", "saved", "pretrained"])
def tokenizer(request, tmp_path):
    made = make_tokenizer(TokenizerSettings(vocab_size=320), ["a b c"] * 9)
    if request.param == "made":
        return made
    made.add_special_tokens({"additional_special_tokens": [AddedToken("<|im_start|>", special=True)]})
    made.split_special_tokens = False
    made.save_pretrained(tmp_path)
    if request.param == "saved":
        return load_tokenizer(tmp_path)
    return make_tokenizer(TokenizerSettings(pretrained=str(tmp_path)), [])


def test_a_document_holds_its_end_alone(tokenizer, tmp_path):
    count = write_tokens(tokenizer, [TEXT, "c"], tmp_path / "tokens")
    tokens = np.fromfile(tmp_path / "tokens", "<u2").tolist()
    assert len(tokens) == count and tokens.count(tokenizer.eos_token_id) == 2
    assert not set(tokenizer.all_special_ids) & set(tokens[: tokens.index(tokenizer.eos_token_id)])
    assert tokenizer.decode(tokens[: tokens.index(tokenizer.eos_token_id)]) == TEXT


def test_every_way_to_encode_takes_text_for_text(tokenizer):
    for ids in (tokenizer(TEXT)["input_ids"], tokenizer.encode(TEXT), tokenizer([TEXT])["input_ids"][0]):
        assert not set(tokenizer.all_special_ids) & set(ids)
