"""Memory that training takes: what a plan tells of it, and how many sequences fit through the model at once.

Activations by Korthikanti et al. 2022 (arXiv 2205.05198), eq. 1 without its last term, since fused attention keeps no
score matrix: 34 s b h bytes a layer in 16 bits, twice that in 32; where they are computed again, 2 s b h a layer, and
one layer whole. Beside them the logits, four times in fp32: themselves, their logarithms, and a gradient of each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.training.settings import TrainingSettings

if TYPE_CHECKING:
    from transformers import PretrainedConfig

BYTES_PER_TRAINED_WEIGHT = 16  # fp32 weight, gradient and the two moments of AdamW
BYTES_PER_FROZEN_WEIGHT = 4
LAYER_BYTES, KEPT_BYTES = 34, 2  # a token and channel in 16 bits: of a layer whole, and of its input alone
LOGIT_BYTES = 16
USABLE = 0.6  # of the memory that is free: the estimate is up to a quarter too low, and others work here too


@dataclass(frozen=True)
class Shape:
    """What of a model decides its cost: weights, those that train, training FLOPs a token, weights a token meets."""

    parameters: int
    trained: int
    flops_per_token: float
    active: int


def training_bytes(
    shape: Shape, config: PretrainedConfig, training: TrainingSettings, num_streams: int = 1
) -> int:
    """Memory of weights, optimiser and activations of one process, in bytes.

    num_streams: models of `config` side by side; 0: nothing is read.
    """
    sequences = micro_batch_in(shape, config, training, num_streams)
    return _weight_bytes(shape) + sequences * _sequence_bytes(config, training, num_streams)


def micro_batch_in(
    shape: Shape, config: PretrainedConfig, training: TrainingSettings, num_streams: int
) -> int:
    """Sequences in a forward pass; for `auto` the most whose estimate fits into what is free, one at least."""
    if training.micro_batch_size is None:
        return training.share
    if training.micro_batch_size != "auto":
        return training.micro_batch_size
    left = USABLE * free_bytes(training) - _weight_bytes(shape)
    each = _sequence_bytes(config, training, num_streams)
    return next((size for size in divisors(training.share) if size * each <= left), 1)


def divisors(share: int) -> list[int]:
    """Of so many sequences, the largest first."""
    return [size for size in range(share, 0, -1) if share % size == 0]


def free_bytes(training: TrainingSettings) -> int:
    """Memory that is free for one process: of the GPU that torch sees, else its part of this machine's."""
    import psutil
    import torch

    if torch.cuda.is_available():
        return torch.cuda.mem_get_info()[0]
    return psutil.virtual_memory().available // (training.processes * training.parallel_experts)


def _weight_bytes(shape: Shape) -> int:
    return BYTES_PER_TRAINED_WEIGHT * shape.trained + BYTES_PER_FROZEN_WEIGHT * (
        shape.parameters - shape.trained
    )


def _sequence_bytes(config: PretrainedConfig, training: TrainingSettings, num_streams: int) -> int:
    """Of the activations of one sequence."""
    precision = 1 if training.precision == "bf16" else 2
    layers = num_streams * config.num_hidden_layers
    channels = training.sequence_length * config.hidden_size * precision
    whole = 1 if training.gradient_checkpointing else layers
    again = layers if training.gradient_checkpointing else 0
    logits = LOGIT_BYTES * training.sequence_length * config.vocab_size if num_streams else 0
    return channels * (LAYER_BYTES * min(whole, layers) + KEPT_BYTES * again) + logits
