"""A model with a weight that is no number is refused wherever it enters, and the weight is named."""

from __future__ import annotations

import math

import pytest
import torch

import models
from models.finite import check_finite


def _broken(model, value=math.nan):
    with torch.no_grad():
        model.model.layers[1].mlp.up_proj.weight[3, 2] = value
    return model


SAID = r"weight 'model\.layers\.1\.mlp\.up_proj\.weight' holds 1 of [\d,]+ values that are NaN or infinite"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_saved_model_is_refused_where_it_is_loaded(tiny_llama, tmp_path, value):
    _broken(tiny_llama(0), value).save_pretrained(tmp_path / "m")
    with pytest.raises(ValueError, match=rf"model '.*/m': {SAID}"):
        models.load_causal_lm(tmp_path / "m")


def test_large_weights_are_finite(tiny_llama):
    model = tiny_llama(0)
    with torch.no_grad():
        model.lm_head.weight.fill_(3e38)
    check_finite(model, "m")


@pytest.mark.parametrize("place", [0, 1])
def test_soups_merges_and_compositions_name_model_and_weight(tiny_llama, place):
    seed, expert = tiny_llama(0), tiny_llama(1)
    _broken([seed, expert][place])
    name = ["seed", "code"][place]
    with pytest.raises(ValueError, match=rf"model '{place} of the soup': {SAID}"):
        models.uniform_soup([seed, expert])
    for combine in (
        lambda: models.mergekit_merge("ties", seed, {"code": expert}),
        lambda: models.EnsembleForCausalLM.from_models(seed, {"code": expert}),
        lambda: models.UpcycledForCausalLM.from_models(seed, {"code": expert}),
        lambda: models.RoutedForCausalLM.from_models(seed, {"code": expert}),
    ):
        with pytest.raises(ValueError, match=rf"model '{name}': {SAID}"):
            combine()


def test_a_stitch_names_hub_or_expert(tiny_llama):
    with pytest.raises(ValueError, match=f"model 'hub': {SAID}"):
        models.StitchedForCausalLM.from_models(_broken(tiny_llama(0)), {"code": tiny_llama(1)})
    with pytest.raises(ValueError, match=f"model 'code': {SAID}"):
        models.StitchedForCausalLM.from_models(tiny_llama(0), {"code": _broken(tiny_llama(1))})
    stitched = models.StitchedForCausalLM.from_models(tiny_llama(0), {"code": tiny_llama(1)})
    with pytest.raises(ValueError, match=f"model 'math': {SAID}"):
        stitched.add_expert("math", _broken(tiny_llama(2)))
