"""Language models and what is done to their weights: seed, stitched model, compositions.

Importing this package registers the stitched architecture with transformers' Auto classes, so that
`AutoModelForCausalLM.from_pretrained` loads a saved stitched model without remote code.
"""

from __future__ import annotations

from transformers import AutoConfig, AutoModelForCausalLM

from models.compositions import COMPOSITIONS, compose, uniform_soup
from models.seed import count_parameters, load_causal_lm, new_seed_model, seed_config, train_flops_per_token
from models.stitch_layer import Stitch, StitchPlace, stitch_places
from models.stitched import StitchedForCausalLM
from models.stitched_config import StitchedConfig

AutoConfig.register(StitchedConfig.model_type, StitchedConfig, exist_ok=True)
AutoModelForCausalLM.register(StitchedConfig, StitchedForCausalLM, exist_ok=True)

__all__ = [
    "COMPOSITIONS",
    "Stitch",
    "StitchPlace",
    "StitchedConfig",
    "StitchedForCausalLM",
    "compose",
    "count_parameters",
    "load_causal_lm",
    "new_seed_model",
    "seed_config",
    "stitch_places",
    "train_flops_per_token",
    "uniform_soup",
]
