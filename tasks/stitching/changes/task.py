"""Stages `dropped` and `added`: a stitched model less an expert without training, and with one more."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from storage.artifacts import Artifact, label_of
from storage.stage import Stage
from storage.unrecorded import AnyRun
from tasks.stage import Progress, stage_task
from tasks.stitching.settings import StitchSettings
from tasks.stitching.task import GATES, stitch_training
from tasks.training.estimates import (
    config_of_artifact,
    stitched_shape,
    training_headline,
    training_told,
)
from tasks.training.settings import TrainingSettings
from tasks.training.training_run import run_training, training_identity

VERSION = 2


@stage_task(name="dropped", task_run_name="drop-{expert}")
def drop_expert(run: AnyRun, stitched: Artifact, expert: str, name: str) -> Artifact:
    """The stitched model without the expert; nothing is trained. name: for one of several."""

    def build(folder: Path) -> dict:
        import models

        model: Any = models.load_causal_lm(stitched.path / "model")
        model.drop_expert(expert)
        model.save_pretrained(folder / "model")
        return {"metrics": {"parameters": models.count_parameters(model)[0]}}

    def expected() -> dict:
        metrics = stitched.facts["metrics"]
        return {"metrics": {"parameters": metrics["parameters"]}, "config": config_of_artifact(stitched)}

    return run.stage(
        Stage(
            name="dropped",
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
    training: TrainingSettings,
    corpus: Artifact,
    mixture: Artifact,
    stitched: Artifact,
    hub: Artifact,
    experts: Mapping[str, Artifact],
    expert: str,
    seed: int,
    name: str,
) -> Artifact:
    """The stitched model with one more of `experts`, whose new weights alone are trained. name: for one of several."""
    progress = Progress(run, label_of("added", name))
    own = stitch_training(settings, training)
    identity = {
        "expert": expert,
        "training": training_identity(own, settings.learning_rate),
        "gate_rate_scale": settings.gate_rate_scale,
        "seed": seed,
    }
    inputs = {"sources": corpus.digest, "mixture": mixture.digest, "stitched": stitched.digest}
    inputs |= {f"expert {each}": artifact.digest for each, artifact in experts.items()}

    def build(folder: Path) -> dict:
        import models

        model: Any = models.load_causal_lm(stitched.path / "model")
        model.add_expert(expert, models.load_causal_lm(experts[expert].path / "model"))
        start = folder / "progress" / "start"
        model.save_pretrained(start)
        return run_training(
            folder,
            progress.step,
            str(start),
            "stitched",
            own,
            settings.learning_rate,
            corpus,
            mixture,
            hub,
            experts,
            seed,
            rate_scales={GATES: settings.gate_rate_scale},
        )

    return run.stage(
        Stage(
            name="added",
            version=VERSION,
            identity=identity,
            inputs=inputs,
            build=build,
            label=name,
            **training_told(
                lambda: config_of_artifact(hub),
                lambda config: stitched_shape(
                    config, len(experts), settings.num_stitches, training.sequence_length
                ),
                mixture.facts["budget"],
                training,
                num_streams=len(experts) + 1,
            ),
        )
    )
