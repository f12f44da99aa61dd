"""Stages `stitched` and `composition`: seed and experts joined into one model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from storage.artifact import Artifact, label_of
from storage.stages import Stage
from storage.unrecorded import AnyRun
from tasks.stage import Progress, stage_task
from tasks.stitching.compositions import COMPOSITIONS_BY_NAME
from tasks.stitching.compositions.composition import CompositionSettings, TrainedSettings
from tasks.stitching.settings import StitchSettings
from tasks.stitching.stitch_loop import rates_of, stitch_training
from tasks.training.estimates import config_of_artifact, stitched_shape, training_told
from tasks.training.lineage import Lineage
from tasks.training.parameter_counts import parameters_of
from tasks.training.training_memory import Shape
from tasks.training.training_run import Rates, Training, TrainingData, run_training

VERSION = 8


@stage_task(name="stitched", task_run_name="train-stitches")
def train_stitches(
    run: AnyRun,
    settings: StitchSettings,
    training: Training,
    data: TrainingData,
    lineage: Lineage,
    name: str = "",
) -> Artifact:
    """Hub and experts frozen, stitch layers between them trained on the stitch mixture. name: for one of several."""
    progress = Progress(run, label_of("stitched", name))
    training = stitch_training(settings, training)
    identity = {
        "stitching": settings.model_dump(mode="json", include=set(StitchSettings.model_fields)),
        **training.identity(settings.learning_rate),
        "experts": list(lineage.experts),
        **data.extra_identity,
    }

    def build(folder: Path) -> dict:
        import models

        stitched = models.StitchedForCausalLM.from_models(
            *load_members(lineage),
            num_stitches=settings.num_stitches,
            layout=settings.layout,
            gate_dropout=settings.gate_dropout,
        )
        facts = run_stitch_training(folder, progress.step, stitched, settings, training, data, lineage)
        facts |= _gate_use(folder / "model", data.corpus, training.settings.sequence_length)
        for fact in ("gate_use", "token_view"):
            (folder / f"{fact}.json").write_text(json.dumps(facts[fact], indent=1), encoding="utf-8")
        return facts

    return run.stage(
        Stage(
            name="stitched",
            title="stitching",
            did="stitches trained",
            version=VERSION,
            identity=identity,
            inputs=data.inputs | lineage.inputs,
            build=build,
            label=name,
            **stitching_told(settings, training, data, lineage),
        )
    )


def stitching_told(
    settings: StitchSettings, training: Training, data: TrainingData, lineage: Lineage
) -> dict[str, Any]:
    """`cost`, `expected` and `headline` of a stage that trains stitches."""
    num_experts, length = len(lineage.experts), training.settings.sequence_length
    return training_told(
        lambda: config_of_artifact(lineage.hub),
        lambda config: stitched_shape(config, num_experts, settings.num_stitches, length),
        data.mixture.facts["budget"],
        training,
        num_streams=num_experts + 1,
    )


def run_stitch_training(
    folder: Path,
    report: Callable[[dict[str, float]], None],
    stitched: Any,
    settings: StitchSettings,
    training: Training,
    data: TrainingData,
    lineage: Lineage,
) -> dict:
    """Train what requires a gradient in a stitched model, into folder/model; the facts of the stage.

    training: as `stitch_training` gives it.
    """
    start = folder / "progress" / "start"
    stitched.save_pretrained(start)
    return run_training(folder, report, str(start), "stitched", training, rates_of(settings), data, lineage)


def load_members(lineage: Lineage) -> tuple[Any, dict[str, Any]]:
    """The hub and the experts by name, as transformers models."""
    import models

    experts = {name: models.load_causal_lm(each.path / "model") for name, each in lineage.experts.items()}
    return models.load_causal_lm(lineage.hub.path / "model"), experts


@stage_task(name="composition", task_run_name="compose-{settings.called}")
def compose_models(
    run: AnyRun,
    settings: CompositionSettings,
    training: Training,
    data: TrainingData,
    lineage: Lineage,
    name: str = "",
) -> Artifact:
    """Seed and experts combined as `settings` say; trained on the mixture, at their learning rate, where it trains.

    name: for one of several; empty: as the settings call it.
    """
    name = name or settings.called
    progress = Progress(run, label_of("composition", name))
    composition = COMPOSITIONS_BY_NAME[settings.method]
    identity: dict[str, Any] = {**settings.identity(), "experts": list(lineage.experts)}
    inputs = lineage.inputs
    rates: Rates | None = None
    if composition.is_trained:
        assert isinstance(settings, TrainedSettings) and settings.learning_rate is not None
        rates = rates_of(settings)
        identity |= training.identity(rates.learning_rate)
        inputs |= data.inputs

    def build(folder: Path) -> dict:
        combined = composition.build(settings, *load_members(lineage))
        if rates is None:
            combined.save_pretrained(folder / "model")
            return {"metrics": parameters_of(combined)}
        start = folder / "progress" / "start"
        combined.save_pretrained(start)
        return run_training(
            folder, progress.step, str(start), settings.method, training, rates, data, lineage
        )

    def shape(config: Any) -> Shape:
        return composition.cost(config, len(lineage.experts), training.settings.sequence_length, settings)

    return run.stage(
        Stage(
            name="composition",
            title="compositions",
            did="composed",
            version=VERSION,
            identity=identity,
            inputs=inputs,
            build=build,
            label=name,
            **training_told(
                lambda: config_of_artifact(lineage.hub),
                shape,
                data.mixture.facts["budget"] if composition.is_trained else 0,
                training,
            ),
        )
    )


def _gate_use(model_folder: Path, corpus: Artifact, length: int) -> dict[str, Any]:
    """gate_use: by domain of held-out text. token_view: of a text that goes through all domains."""
    from accelerate import PartialState

    import models
    from tasks.benchmarks.items import read_items
    from tasks.sources.tokenization import load_tokenizer
    from tasks.stitching.gate_use import gates_by_domain
    from tasks.stitching.token_view import switching_text, token_view

    documents = {
        source: [row["text"] for row in read_items(corpus.path / "heldout" / f"{source}.jsonl")]
        for source in corpus.facts["sources"]
    }
    tokenizer = load_tokenizer(corpus.path / "tokenizer")
    model = models.load_causal_lm(model_folder).to(PartialState().device)
    text, domains = switching_text(documents, length)
    return {
        "gate_use": gates_by_domain(model, tokenizer, documents, length),
        "token_view": token_view(model, tokenizer, text, length) | {"domains": domains},
    }
