"""Gate use by domain: shares of each stitch sum to one, and a gate that is opened shows."""

from __future__ import annotations

import pytest
import torch

import models
from tasks.sources.settings import TokenizerSettings
from tasks.sources.tokenization import make_tokenizer
from tasks.stitching.gate_use import gates_by_domain

DOCUMENTS = {"a": ["aaa bbb ccc " * 30], "b": ["xyz " * 5, "uvw " * 40], "empty": []}


@pytest.fixture(scope="module")
def tokenizer():
    return make_tokenizer(TokenizerSettings(vocab_size=320), ["aaa bbb ccc xyz uvw " * 10])


@pytest.fixture
def stitched(tokenizer):
    config = models.seed_config(len(tokenizer), 32, 2, 2, max_length=32, ffn_multiple=16)
    hub = models.new_seed_model(config, 0)
    experts = {name: models.new_seed_model(config, seed) for seed, name in enumerate(("one", "two"), 1)}
    return models.StitchedForCausalLM.from_models(hub, experts, num_stitches=2)


def rows_at(rows, domain, stitch):
    return {row["stream"]: row for row in rows if row["domain"] == domain and row["stitch"] == stitch}


def test_shares_of_each_stitch_sum_to_one_for_every_domain_with_text(stitched, tokenizer):
    rows = gates_by_domain(stitched, tokenizer, DOCUMENTS, 16)
    assert {row["domain"] for row in rows} == {"a", "b"}
    for domain in ("a", "b"):
        assert rows_at(rows, domain, 0).keys() == {"one", "two"}  # hub into experts
        assert rows_at(rows, domain, 1).keys() == {"hub", "one", "two"}  # experts into hub
        for stitch in (0, 1):
            assert sum(row["share"] for row in rows_at(rows, domain, stitch).values()) == pytest.approx(1)


def test_an_untrained_stitch_lets_every_stream_through_alike(stitched, tokenizer):
    rows = gates_by_domain(stitched, tokenizer, DOCUMENTS, 16)
    assert all(row["gate_mean"] == pytest.approx(0.5) for row in rows if row["stitch"] == 0)  # sigmoid(0)
    assert all(row["gate_mean"] == pytest.approx(1 / 3) for row in rows if row["stitch"] == 1)  # softmax of 3


def test_a_silenced_expert_contributes_nothing(stitched, tokenizer):
    with torch.no_grad():
        stitched.stitches[1].projections[0].zero_()
    rows = gates_by_domain(stitched, tokenizer, DOCUMENTS, 16)
    assert rows_at(rows, "a", 1)["one"]["share"] == 0
    assert rows_at(rows, "a", 1)["two"]["share"] > 0
