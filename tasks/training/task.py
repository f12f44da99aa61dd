"""Stages `seed` and `expert`: one training run each, on its mixture's token plan, or a model taken as it is given."""

from __future__ import annotations

import json
import platform
from dataclasses import replace
from pathlib import Path

from storage.artifact import Artifact, label_of
from storage.stages import Cost, Stage
from storage.unrecorded import AnyRun
from tasks.pretrained_places import digest_pretrained
from tasks.stage import Progress, stage_task
from tasks.training.architecture import check_pretrained
from tasks.training.budget import Budget, measure_speeds, split_budget, tokens_in_time
from tasks.training.estimates import (
    config_of,
    config_of_artifact,
    dense_shape,
    matmul_flops_per_second,
    stitched_shape,
    training_told,
)
from tasks.training.given import GIVEN_BASIS, checked_config, given_headline
from tasks.training.lineage import Lineage
from tasks.training.parameter_counts import parameters_of
from tasks.training.settings import BudgetSettings, ModelSettings
from tasks.training.start import start_of
from tasks.training.training_memory import BYTES_PER_FROZEN_WEIGHT, Shape
from tasks.training.training_run import (
    Rates,
    Training,
    TrainingData,
    run_training,
    training_identity,
)

VERSION = 8
SPEED_SECONDS = 20.0  # to measure two models, with their warm-up
SEED = "seed"


@stage_task(name="budget", task_run_name="budget")
def plan_budget(
    run: AnyRun,
    settings: BudgetSettings,
    model: ModelSettings,
    training: Training,
    corpus: Artifact,
    num_experts: int,
    num_stitches: int,
    num_given: int = 0,
) -> Budget:
    """Tokens of each training run; where minutes are asked for, from this machine's speed, measured once.

    num_given: of the experts, those that are not trained.
    """
    num_trained = num_experts - num_given
    if model.pretrained is not None:
        check_pretrained(model.pretrained, corpus.facts["vocab_size"], num_stitches)
    if settings.minutes is None:
        return split_budget(settings.tokens, settings, num_trained, training.settings.tokens_per_step)
    loop = training.settings
    progress = Progress(run, "speed")
    vocab_size = corpus.facts["vocab_size"]
    identity = {
        "model": model.model_dump(mode="json"),
        "training": training_identity(loop, loop.learning_rate),
        "vocab_size": vocab_size,
        "num_experts": num_experts,
        "num_stitches": num_stitches,
        "machine": platform.node(),
    }

    def build(folder: Path) -> dict:
        progress.say("measuring training tokens/s")
        speeds = measure_speeds(model, loop, vocab_size, num_experts, num_stitches, training.random_seed)
        progress.say(", ".join(f"{name} {speed:,.0f} tokens/s" for name, speed in speeds.items()))
        (folder / "logs").mkdir()
        (folder / "logs" / "speeds.json").write_text(json.dumps(speeds), encoding="utf-8")
        return {"metrics": {f"{name}_tokens_per_second": speed for name, speed in speeds.items()}}

    def expected() -> dict:
        config = config_of(model, loop, vocab_size)
        stitched = stitched_shape(config, num_experts, num_stitches, loop.sequence_length)
        speed = matmul_flops_per_second(loop.precision)
        flops = {
            "dense": dense_shape(config, loop.sequence_length).flops_per_token,
            "stitched": stitched.flops_per_token,
        }
        return {"metrics": {f"{name}_tokens_per_second": speed / each for name, each in flops.items()}}

    measured = run.stage(
        Stage(
            name="speed",
            title="speed",
            did="measured",
            version=VERSION,
            identity=identity,
            inputs={},
            build=build,
            cost=lambda: Cost(seconds=SPEED_SECONDS),
            expected=expected,
            headline=lambda facts: f"{facts['metrics']['dense_tokens_per_second']:,.0f} training tokens/s",
        )
    ).facts["metrics"]
    tokens = tokens_in_time(
        settings,
        settings.minutes,
        measured["dense_tokens_per_second"],
        measured["stitched_tokens_per_second"],
        num_trained,
    )
    return split_budget(tokens, settings, num_trained, loop.tokens_per_step)


@stage_task(name="seed", task_run_name="train-seed")
def train_seed(
    run: AnyRun, model: ModelSettings, training: Training, data: TrainingData, name: str = ""
) -> Artifact:
    """The seed model: new or pretrained weights, trained on the seed's mixture; `name`: for one of several."""
    progress = Progress(run, label_of("seed", name))
    settings, corpus = training.settings, data.corpus
    identity = {
        "model": model.model_dump(mode="json", exclude={"pretrained"}),
        **training.identity(settings.learning_rate),
        "limits": dict(data.limits or {}),
    }

    def build(folder: Path) -> dict:
        start = start_of(model, settings, corpus.path, training.random_seed, folder / "progress" / "start")
        return run_training(
            folder, progress.step, start, "seed", training, Rates(settings.learning_rate), data
        )

    inputs = data.inputs
    if model.pretrained is not None:
        inputs["pretrained"] = digest_pretrained(model.pretrained)
    return run.stage(
        Stage(
            name="seed",
            title="seed",
            did="trained",
            version=VERSION,
            identity=identity,
            inputs=inputs,
            build=build,
            label=name,
            **training_told(
                lambda: config_of(model, settings, corpus.facts["vocab_size"]),
                lambda config: dense_shape(config, settings.sequence_length),
                data.mixture.facts["budget"],
                training,
            ),
        )
    )


@stage_task(name="expert", task_run_name="train-expert-{name}")
def train_expert(
    run: AnyRun,
    name: str,
    training: Training,
    data: TrainingData,
    seed_model: Artifact,
    label: str = "",
) -> Artifact:
    """An expert: the seed's weights, trained on along the expert's own mixture.

    label: for one of several of this name; empty: the name.
    """
    label = label or name
    progress, settings = Progress(run, f"expert/{label}"), training.settings.of_experts()
    training = replace(training, settings=settings)
    rates = Rates(settings.expert_learning_rate, freeze_embeddings=settings.freeze_expert_embeddings)
    identity = {"name": name, **training.identity(rates.learning_rate), **data.extra_identity}
    if rates.freeze_embeddings:
        identity["freeze_embeddings"] = True

    def build(folder: Path) -> dict:
        start = str(seed_model.path / "model")
        return run_training(folder, progress.step, start, name, training, rates, data, Lineage(seed_model))

    inputs = {**data.inputs, "seed": seed_model.digest}
    return run.stage(
        Stage(
            name="expert",
            title="experts",
            did="branched, trained",
            version=VERSION,
            identity=identity,
            inputs=inputs,
            build=build,
            label=label,
            **training_told(
                lambda: config_of_artifact(seed_model),
                lambda config: dense_shape(config, settings.sequence_length),
                data.mixture.facts["budget"],
                training,
            ),
        )
    )


@stage_task(name="given", task_run_name="take-{name}")
def take_model(run: AnyRun, name: str, pretrained: str) -> Artifact:
    """The seed (`name` is "seed") or the expert of this name as it is given, a folder or Hub name: not trained.

    Its weights are kept in fp32, as those of trained models are. Raises ValueError where they are not finite.
    """

    def build(folder: Path) -> dict:
        import torch

        import models

        given = models.load_causal_lm(pretrained, torch.float32)
        given.save_pretrained(folder / "model")
        return {
            "metrics": parameters_of(given),
            **unknown,
            "provenance": {"pretrained": pretrained},
        }

    def shape() -> Shape:
        return dense_shape(checked_config(pretrained, name), 1)

    unknown: dict = {"given": True, "trained_tokens": {}, "snapshots": []}
    is_seed = name == SEED
    return run.stage(
        Stage(
            name=SEED if is_seed else "expert",
            title=SEED if is_seed else "experts",
            did="taken as given",
            version=VERSION,
            identity={"given": True},
            inputs={"pretrained": digest_pretrained(pretrained)},
            build=build,
            label="" if is_seed else name,
            cost=lambda: Cost(
                memory=BYTES_PER_FROZEN_WEIGHT * shape().parameters,
                disk=BYTES_PER_FROZEN_WEIGHT * shape().parameters,
                basis=GIVEN_BASIS,
            ),
            expected=lambda: {
                "metrics": {"parameters": shape().parameters, "active_parameters": shape().active},
                **unknown,
                "config": checked_config(pretrained, name),
            },
            headline=given_headline,
        )
    )
