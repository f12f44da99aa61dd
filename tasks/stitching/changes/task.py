"""Stages `dropped` and `added`: a stitched model less an expert without training, and with one more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from storage.artifact import Artifact, label_of
from storage.stages import Stage
from storage.unrecorded import AnyRun
from tasks.stage import Progress, stage_task
from tasks.stitching.settings import StitchSettings
from tasks.stitching.stitch_loop import stitch_training
from tasks.stitching.task import run_stitch_training, stitching_told
from tasks.training.estimates import config_of_artifact, training_headline
from tasks.training.lineage import Lineage
from tasks.training.parameter_counts import PARAMETERS, parameters_of
from tasks.training.training_run import Training, TrainingData

VERSION = 6


@stage_task(name="dropped", task_run_name="drop-{expert}")
def drop_expert(run: AnyRun, stitched: Artifact, expert: str, name: str) -> Artifact:
    """The stitched model without the expert; nothing is trained. name: for one of several."""

    def build(folder: Path) -> dict:
        import models

        model: Any = models.load_causal_lm(stitched.path / "model")
        model.drop_expert(expert)
        model.save_pretrained(folder / "model")
        return {"metrics": parameters_of(model)}

    def expected() -> dict:
        metrics = stitched.facts["metrics"]
        return {
            "metrics": {name: metrics[name] for name in PARAMETERS},
            "config": config_of_artifact(stitched),
        }

    return run.stage(
        Stage(
            name="dropped",
            title="fewer experts",
            did="dropped",
            version=VERSION,
            identity={"expert": expert},
            inputs={"stitched": stitched.digest},
            build=build,
            label=name,
            expected=expected,
            headline=training_headline,
        )
    )


@stage_task(name="added", task_run_name="add-{expert}")
def add_expert(
    run: AnyRun,
    settings: StitchSettings,
    training: Training,
    data: TrainingData,
    lineage: Lineage,
    stitched: Artifact,
    expert: str,
    name: str,
) -> Artifact:
    """The stitched model with one more of the lineage's experts, whose new weights alone are trained.

    name: for one of several.
    """
    progress = Progress(run, label_of("added", name))
    training = stitch_training(settings, training)
    identity = {
        "expert": expert,
        **training.identity(settings.learning_rate),
        "gate_rate_scale": settings.gate_rate_scale,
        "decay_towards": settings.decay_towards,
        **data.extra_identity,
    }

    def build(folder: Path) -> dict:
        import models

        model: Any = models.load_causal_lm(stitched.path / "model")
        model.add_expert(expert, models.load_causal_lm(lineage.experts[expert].path / "model"))
        return run_stitch_training(folder, progress.step, model, settings, training, data, lineage)

    return run.stage(
        Stage(
            name="added",
            title="more experts",
            did="added, trained",
            version=VERSION,
            identity=identity,
            inputs={**data.inputs, **lineage.inputs, "stitched": stitched.digest},
            build=build,
            label=name,
            **stitching_told(settings, training, data, lineage),
        )
    )
