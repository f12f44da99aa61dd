"""Language models and what is done to their weights: seed, stitched model, compositions.

Importing this package registers the stitched and combined architectures with transformers' Auto classes, so that
`AutoModelForCausalLM.from_pretrained` loads a saved model of them without remote code.
"""

from __future__ import annotations

from transformers import AutoConfig, AutoModelForCausalLM

from models.averaging import uniform_soup
from models.combined.combined_config import EnsembleConfig, RoutedConfig, UpcycledConfig
from models.combined.ensemble import EnsembleForCausalLM
from models.combined.routed import RoutedForCausalLM
from models.combined.upcycled import UpcycledForCausalLM
from models.costs import ModelCosts, count_parameters, model_costs, train_flops_per_token
from models.families.expert_routing import TrainedRouters
from models.families.llama import seed_config
from models.families.moe import Sparsity, moe_config
from models.families.qwen3 import qwen3_config
from models.families.upcycling import upcycle, upcycled_config
from models.frozen_weights import copy_trained, round_frozen
from models.gguf_files import UNREADABLE, pretrained_place
from models.loading_words import loading_words
from models.merging import mergekit_merge
from models.reading_apart import check_config_reads_apart, check_reads_apart
from models.reward_head import reward_model
from models.seed import load_causal_lm, new_seed_model
from models.stitched.prefix_cache import Prefix, PrefixCache
from models.stitched.stitch_layer import Stitch, StitchPlace, stitch_places
from models.stitched.stitched_config import StitchedConfig
from models.stitched.stitched_model import StitchedForCausalLM
from models.stitched.stream_parallel import StreamParallel

OWN = (
    (StitchedConfig, StitchedForCausalLM),
    (EnsembleConfig, EnsembleForCausalLM),
    (RoutedConfig, RoutedForCausalLM),
    (UpcycledConfig, UpcycledForCausalLM),
)
OWN_MODEL_TYPES = tuple(config_class.model_type for config_class, _ in OWN)

for config_class, model_class in OWN:
    AutoConfig.register(config_class.model_type, config_class, exist_ok=True)
    AutoModelForCausalLM.register(config_class, model_class, exist_ok=True)

__all__ = [
    "OWN_MODEL_TYPES",
    "UNREADABLE",
    "EnsembleConfig",
    "EnsembleForCausalLM",
    "ModelCosts",
    "Prefix",
    "PrefixCache",
    "RoutedConfig",
    "RoutedForCausalLM",
    "Sparsity",
    "Stitch",
    "StitchPlace",
    "StitchedConfig",
    "StitchedForCausalLM",
    "StreamParallel",
    "TrainedRouters",
    "UpcycledConfig",
    "UpcycledForCausalLM",
    "check_config_reads_apart",
    "check_reads_apart",
    "copy_trained",
    "count_parameters",
    "load_causal_lm",
    "loading_words",
    "mergekit_merge",
    "model_costs",
    "moe_config",
    "new_seed_model",
    "pretrained_place",
    "qwen3_config",
    "reward_model",
    "round_frozen",
    "seed_config",
    "stitch_places",
    "train_flops_per_token",
    "uniform_soup",
    "upcycle",
    "upcycled_config",
]
