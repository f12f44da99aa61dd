"""What training will cost, before it is started: FLOPs, memory, and time from the matrix speed of this machine."""

from __future__ import annotations

import time

from tasks.training.architecture import seed_architecture
from tasks.training.settings import ModelSettings, TrainingSettings

BYTES_PER_TRAINED_WEIGHT = 16  # fp32 weight, gradient and the two moments of AdamW
BYTES_PER_FROZEN_WEIGHT = 4


def model_shape(model: ModelSettings, training: TrainingSettings, vocab_size: int) -> tuple[int, float]:
    """(parameters, training FLOPs a token) of a seed model from scratch."""
    import torch
    from transformers import AutoModelForCausalLM

    import models

    config = seed_architecture(model, training, vocab_size)
    with torch.device("meta"):
        counted = AutoModelForCausalLM.from_config(config)
    return models.count_parameters(counted)[0], models.train_flops_per_token(config, training.sequence_length)


def stitched_shape(
    model: ModelSettings,
    training: TrainingSettings,
    vocab_size: int,
    num_experts: int,
    num_stitches: int,
) -> tuple[int, int, float]:
    """(trained parameters, frozen parameters, training FLOPs a token) of seed and experts stitched."""
    import torch

    import models

    config = models.StitchedConfig(
        base_config=seed_architecture(model, training, vocab_size),
        expert_names=[str(number) for number in range(num_experts)],
        num_stitches=num_stitches,
    )
    with torch.device("meta"):
        counted = models.StitchedForCausalLM(config)
    flops = models.train_flops_per_token(counted, training.sequence_length)
    return counted.num_trainable, models.count_parameters(counted)[0] - counted.num_trainable, flops


def training_bytes(
    trained: int, frozen: int, model: ModelSettings, training: TrainingSettings, num_streams: int = 1
) -> int:
    """Memory of weights, optimiser and activations of one process, in bytes.

    Activations by Korthikanti et al. 2022 (arXiv 2205.05198), eq. 1 without its last term, since fused attention
    keeps no score matrix: 34 s b h bytes a layer in 16 bits, twice that in 32, without recomputation.
    """
    share = training.batch_size // training.processes
    sequences = training.micro_batch_size or share
    precision = 1 if training.precision == "bf16" else 2
    layer = 34 * precision * training.sequence_length * sequences * model.hidden_size
    return int(
        BYTES_PER_TRAINED_WEIGHT * trained
        + BYTES_PER_FROZEN_WEIGHT * frozen
        + num_streams * model.num_layers * layer
    )


def matmul_flops_per_second(precision: str, seconds: float = 0.5) -> float:
    """FLOP/s of matrix products on this machine in the precision of training, measured for a moment."""
    import torch

    on_gpu = torch.cuda.is_available()
    size = 4096 if on_gpu else 512
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    left, right = (torch.randn(size, size, dtype=dtype, device="cuda" if on_gpu else "cpu") for _ in range(2))
    speeds = []
    for _ in range(5):  # the best of five: other work on the machine only slows it
        products, started = 0, time.monotonic()
        while time.monotonic() - started < seconds / 5:
            product = left @ right
            products += 1
        float(product[0, 0])  # waits for a GPU
        speeds.append(2 * size**3 * products / (time.monotonic() - started))
    return max(speeds)
