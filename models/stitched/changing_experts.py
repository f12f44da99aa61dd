"""Experts that come and go: which models fit a stitched one, how they are added and dropped."""

from __future__ import annotations

import copy
from typing import Any

import torch
from transformers import PreTrainedConfig, PreTrainedModel

from models.combined.combined_config import check_names, check_same_architecture
from models.finite import check_finite
from models.stitched.by_reference import folders_of
from models.stitched.stitched_config import check_biases
from models.stitched.stitched_parts import StitchedParts


def drop_expert(model: StitchedParts, name: str) -> None:
    """See `StitchedForCausalLM.drop_expert`."""
    names = model.config.expert_names
    if name not in names:
        raise ValueError(f"no expert {name!r} to drop; allowed: {', '.join(names)}")
    if len(names) == 1:
        raise ValueError(f"expert {name!r} is the only one; allowed: to drop one of several")
    index = names.index(name)
    for stitch in _stitches(model):
        stitch.drop_expert(index)
    del model.experts[index]
    model.origins.pop(name, None)
    model.config.expert_names = names[:index] + names[index + 1 :]
    model.config.gate_biases = {k: v for k, v in model.config.gate_biases.items() if k != name}
    if index == len(names) - 1:
        model.config.newest_trains_alone = False
    model.settle()


def add_expert(model: StitchedParts, name: str, expert: PreTrainedModel, gate_bias: float | None) -> None:
    """See `StitchedForCausalLM.add_expert`."""
    config = model.config
    check_fits(config.base_config, model.dtype, name, expert)
    biases = config.gate_biases if gate_bias is None else {**config.gate_biases, name: float(gate_bias)}
    names = [*config.expert_names, name]
    check_names(names)
    check_biases(biases, names)
    for stitch in _stitches(model):
        stitch.add_expert(biases.get(name, 0.0))
    model.experts.append(copy.deepcopy(expert.base_model).to(model.device))
    model.origins |= folders_of({name: expert})
    config.expert_names, config.gate_biases = names, biases
    config.newest_trains_alone = True
    model.settle()
    model.train(model.training)


def train_all_stitches(model: StitchedParts) -> None:
    """See `StitchedForCausalLM.train_all_stitches`."""
    for stitch in _stitches(model):
        stitch.train_all()
    model.config.newest_trains_alone = False


def check_fits(hub: PreTrainedConfig, dtype: torch.dtype, name: str, expert: PreTrainedModel) -> None:
    """Raise ValueError unless `expert` can be a stream beside a hub of this configuration and dtype.

    Its weights must be finite too.
    """
    check_same_architecture(hub, expert.config, name)
    if expert.dtype != dtype:
        raise ValueError(
            f"expert {name!r}: dtype is {expert.dtype} but the hub's is {dtype}; hub and experts must share it"
        )
    check_finite(expert, name)


def _stitches(model: StitchedParts) -> list[Any]:
    return list(model.stitches)
