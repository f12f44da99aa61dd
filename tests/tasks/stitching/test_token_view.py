"""The view of a text by token: the expert that is let through carries it, and the page shows the text."""

from __future__ import annotations

import html
import re
import sys

import pytest
import torch

import models
from flows.commands.app import main
from tasks.report.token_text import coloured
from tasks.sources.settings import TokenizerSettings
from tasks.sources.tokenization import make_tokenizer
from tasks.stitching.token_view import switching_text, token_view

TEXT = "aaa bbb <i>ccc</i> & xyz"


@pytest.fixture(scope="module")
def tokenizer():
    return make_tokenizer(TokenizerSettings(vocab_size=320), ["aaa bbb ccc xyz uvw " * 10])


@pytest.fixture
def stitched(tokenizer):
    config = models.seed_config(len(tokenizer), 32, 2, 2, max_length=64, ffn_multiple=16)
    hub = models.new_seed_model(config, 0)
    experts = {name: models.new_seed_model(config, seed) for seed, name in enumerate(("one", "two"), 1)}
    return models.StitchedForCausalLM.from_models(hub, experts, num_stitches=2)


@pytest.mark.parametrize("expert", ["one", "two"])
def test_the_only_expert_that_is_let_through_carries_every_token(stitched, tokenizer, expert):
    stitched.drop_expert("two" if expert == "one" else "one")
    view = token_view(stitched, tokenizer, TEXT, 64)
    assert {token["carrier"] for token in view["tokens"]} == {expert}
    assert {token["share"] for token in view["tokens"]} == {1.0}


def test_shares_sum_to_one_and_tokens_to_the_text(stitched, tokenizer):
    view = token_view(stitched, tokenizer, TEXT, 64)
    assert "".join(token["text"] for token in view["tokens"]) == TEXT
    assert not view["cut"]
    assert all(TEXT[token["start"] :].startswith(token["text"]) for token in view["tokens"])
    for token in view["tokens"]:
        assert sum(token["shares"].values()) == pytest.approx(1, abs=1e-5)
        of_experts = {name: share for name, share in token["shares"].items() if name != "hub"}
        assert token["carrier"] == max(of_experts, key=of_experts.get)
    assert token_view(stitched, tokenizer, TEXT, 3)["cut"]
    longer = token_view(stitched, tokenizer, TEXT * 9, 1000)
    assert len(longer["tokens"]) > stitched.config.max_position_embeddings
    assert "".join(token["text"] for token in longer["tokens"]) == TEXT * 9
    with pytest.raises(ValueError, match="no tokens"):
        token_view(stitched, tokenizer, "", 3)


def test_colours_are_the_carriers_and_fuller_where_it_brings_more():
    def token(carrier: str, share: float) -> dict:
        return {"text": "x", "carrier": carrier, "share": share, "shares": {"hub": 0.5}}

    tokens = [token("a", 0.5), token("a", 0.75), token("b", 1.0), token("a", 1.0)]
    shown = coloured({"streams": ["hub", "a", "b"], "tokens": tokens, "cut": False})
    colours = {name: colour for name, colour, _ in shown["legend"]}
    assert [piece.background[:7] for piece in shown["pieces"]] == [colours[t["carrier"]] for t in tokens]
    alphas = [int(piece.background[7:], 16) for piece in shown["pieces"]]
    assert alphas[0] == 0 < alphas[1] < alphas[2] == alphas[3]
    assert [part for *_, part in shown["legend"]] == ["75%", "25%"]


def test_a_switching_text_has_a_piece_of_every_domain():
    text, starts = switching_text({"a": ["aaaa " * 100], "none": [], "b": ["bbbb " * 100]}, 40)
    assert starts == {"a": 0, "b": text.index("b")}
    first, second = text.split("\n\n")
    assert set(first) == set("a ") and set(second) == set("b ") and len(first) <= 60


def test_the_page_says_who_carries_the_part_of_each_domain():
    tokens = [
        {"text": "x", "start": start, "carrier": carrier, "share": 1.0, "shares": {}}
        for start, carrier in ((0, "one"), (4, "two"), (5, "two"), (6, "two"), (9, "one"))
    ]
    view = {
        "streams": ["hub", "one", "two"],
        "tokens": tokens,
        "cut": True,
        "domains": {"a": 0, "b": 5, "c": 50},
    }
    assert coloured(view)["domains"] == [("a", 2, "one 50%, two 50%"), ("b", 3, "two 67%, one 33%")]


def test_the_command_writes_the_page(stitched, tokenizer, tmp_path, monkeypatch, capsys):
    stitched.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    (tmp_path / "text.txt").write_text(TEXT)

    def run(*words: object) -> int:
        monkeypatch.setattr(sys, "argv", ["mixstitch", "gates", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code

    words = (tmp_path / "model", "--text", tmp_path / "text.txt", "--out", tmp_path / "page.html")
    assert run(*words) == 0
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    (shown,) = re.findall(r'<div class="tokens">(.*?)</div>', page, re.DOTALL)
    assert html.unescape(re.sub(r"<span[^>]*>|</span>", "", shown)) == TEXT
    assert "<i>" not in shown
    assert page.count("hub-into-experts") >= 2 and page.count("experts-into-hub") >= 3
    capsys.readouterr()
    assert run(tmp_path / "model", "--text", tmp_path / "none.txt") == 2
    assert "none.txt: cannot be read" in capsys.readouterr().err
    hub = models.new_seed_model(stitched.config.base_config, 0)
    hub.save_pretrained(tmp_path / "hub")
    tokenizer.save_pretrained(tmp_path / "hub")
    assert run(tmp_path / "hub", "--text", tmp_path / "text.txt") == 2
    assert "holds a LlamaForCausalLM; allowed: a stitched model" in capsys.readouterr().err
    assert torch.is_grad_enabled()
