"""What training will cost, before it is started: FLOPs, memory, and time from the matrix speed of this machine."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from storage.artifact import Artifact
from storage.artifacts import ArtifactStore
from storage.home import Home
from storage.stages import Cost
from tasks.training.architecture import pretrained_architecture, read_config, seed_architecture
from tasks.training.parameter_counts import said_parameters
from tasks.training.settings import ModelSettings, TrainingSettings
from tasks.training.training_memory import BYTES_PER_FROZEN_WEIGHT, Shape, training_bytes
from tasks.training.training_run import Training

if TYPE_CHECKING:
    from transformers import PretrainedConfig

FORWARD_FLOPS_PER_WEIGHT = 2  # and token: a product and a sum


def config_of(model: ModelSettings, training: TrainingSettings, vocab_size: int) -> PretrainedConfig:
    """The configuration of a seed model: of new weights, or of pretrained ones, whose config alone is read."""
    if model.pretrained is not None:
        return pretrained_architecture(model)
    return seed_architecture(model, training, vocab_size)


def config_of_artifact(model: Artifact) -> PretrainedConfig:
    """The configuration of a trained model, or of one that is still to be trained, which a plan expects."""
    if model.expected:
        return model.facts["config"]
    return read_config(str(model.path / "model"))


def dense_shape(config: PretrainedConfig, sequence_length: int) -> Shape:
    """The shape of one model that trains whole."""
    return _shape(AsText(config), sequence_length)


def stitched_shape(config: Any, num_experts: int, num_stitches: int, sequence_length: int) -> Shape:
    """The shape of a frozen hub and experts of `config` with trained stitches between them."""
    import models

    stitched = models.StitchedConfig(
        base_config=config,
        expert_names=[str(number) for number in range(num_experts)],
        num_stitches=num_stitches,
    )
    return _shape(AsText(stitched), sequence_length)


class AsText:
    """A configuration that counts as equal to one of the same text, so that a shape is found once."""

    def __init__(self, config: PretrainedConfig) -> None:
        self.config = config
        self.text = config.to_json_string(use_diff=False)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AsText) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)


@functools.cache
def _shape(config: AsText, sequence_length: int) -> Shape:
    import models

    costs = models.model_costs(config.config, sequence_length)
    flops = models.train_flops_per_token(config.config, sequence_length)
    return Shape(costs.total, costs.trained, flops, costs.active)


def training_cost(
    shape: Shape,
    tokens: int,
    config: PretrainedConfig,
    training: TrainingSettings,
    num_streams: int = 1,
    copies: int = 1,
) -> Cost:
    """A run of so many tokens. num_streams: models of `config` side by side. copies: of the weights, kept on disk."""
    recovery, steps = training.stability.recovery, tokens // (training.batch_size * training.sequence_length)
    return Cost(
        tokens=tokens,
        flops=tokens * shape.flops_per_token,
        memory=training_bytes(shape, config, training, num_streams if tokens else 0),
        disk=BYTES_PER_FROZEN_WEIGHT * shape.parameters * copies,
        basis=recovery.ring_told(shape.trained) if steps and recovery.applies(steps) else "",
    )


def training_told(
    config: Callable[[], PretrainedConfig],
    shape: Callable[[PretrainedConfig], Shape],
    tokens: int,
    training: Training,
    num_streams: int = 1,
) -> dict[str, Any]:
    """`cost`, `expected` and `headline` of a stage that trains a model on so many tokens.

    num_streams: models of the configuration whose activations are kept side by side.
    """

    def cost() -> Cost:
        base = config()
        return training_cost(shape(base), tokens, base, settings, num_streams, copies=1 + len(steps))

    def expected() -> dict:
        base = config()
        told = shape(base)
        metrics = {
            "tokens": tokens,
            "flops": tokens * told.flops_per_token,
            "parameters": told.parameters,
            "active_parameters": told.active,
        }
        return {"metrics": metrics, "snapshots": settings.snapshots_at(steps), "config": base}

    settings = training.settings
    steps = settings.snapshot_steps(tokens // settings.tokens_per_step) if training.keep_snapshots else []
    return {"cost": cost, "expected": expected, "headline": training_headline}


def training_headline(facts: dict) -> str:
    """What a trained model is, and how far it got."""
    metrics = facts["metrics"]
    loss = f", loss {metrics['final_loss']:.3f}" if "final_loss" in metrics else ""
    return f"{said_parameters(metrics)}, {metrics.get('tokens', 0):,} tokens{loss}"


def reading_cost(metrics: dict, tokens: float, requests: int, seconds: float, basis: str) -> Cost:
    """What it costs that a model reads `tokens`, in so many requests. seconds: beside the FLOPs.

    metrics: its `parameters`, which are in memory, and `active_parameters`, which a token is computed with.
    """
    parameters = metrics["parameters"]
    return Cost(
        read=tokens,
        flops=FORWARD_FLOPS_PER_WEIGHT * metrics["active_parameters"] * tokens,
        memory=BYTES_PER_FROZEN_WEIGHT * parameters,
        requests=requests,
        seconds=seconds,
        basis=basis,
    )


def expected_flops_per_second(home: Home, precision: str) -> tuple[float, str]:
    """FLOP/s to expect and where that is from: what the latest training run of this home reached, else products."""
    for manifest in reversed(ArtifactStore(home).manifests()):
        made = manifest["provenance"]
        if made.get("training_seconds") and made.get("flops"):
            speed = made["flops"] / made["training_seconds"]
            return speed, (
                f"Minutes at {speed:.3g} FLOP/s, which stage {manifest['stage']} reached here last in training."
            )
    speed = matmul_flops_per_second(precision)
    return speed, (
        f"Minutes at {speed:.3g} FLOP/s, the speed of bare matrix products here, which training rarely reaches."
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
