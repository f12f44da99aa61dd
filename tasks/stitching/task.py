"""Stages `stitched` and `composition`: seed and experts joined into one model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from storage.artifacts import Artifact
from storage.runs import Run
from tasks.stitching.settings import StitchingSettings
from tasks.task import Progress, stage_task
from tasks.training.run import run_training, training_identity
from tasks.training.settings import TrainingSettings

VERSION = 3


@stage_task(name="stitched", task_run_name="train-stitches")
def train_stitches(
    run: Run,
    settings: StitchingSettings,
    training: TrainingSettings,
    corpus: Artifact,
    mixture: Artifact,
    hub: Artifact,
    experts: Mapping[str, Artifact],
    seed: int,
) -> Artifact:
    """Hub and experts frozen, stitch layers between them trained on the stitch mixture."""
    progress = Progress(run, "stitched")
    identity = {
        "stitching": settings.model_dump(mode="json", exclude={"compositions"}),
        "training": training_identity(training, settings.learning_rate),
        "experts": list(experts),
        "seed": seed,
    }
    inputs = {"sources": corpus.digest, "mixture": mixture.digest, **_digests(hub, experts)}

    def build(folder: Path) -> dict:
        import models

        stitched = models.StitchedForCausalLM.from_models(
            models.load_causal_lm(hub.path / "model"),
            {name: models.load_causal_lm(artifact.path / "model") for name, artifact in experts.items()},
            num_stitches=settings.num_stitches,
            gate_dropout=settings.gate_dropout,
        )
        start = folder / "progress" / "start"
        stitched.save_pretrained(start)
        facts = run_training(
            folder,
            progress.step,
            str(start),
            "stitched",
            training,
            settings.learning_rate,
            corpus,
            mixture,
            hub,
            experts,
            seed,
        )
        facts["gate_use"] = _gate_use(folder / "model", corpus, training.sequence_length)
        (folder / "gate_use.json").write_text(json.dumps(facts["gate_use"], indent=1), encoding="utf-8")
        return facts

    return run.stage("stitched", VERSION, identity, inputs, build)


@stage_task(name="composition", task_run_name="compose-{method}")
def compose_models(run: Run, method: str, hub: Artifact, experts: Mapping[str, Artifact]) -> Artifact:
    """Seed and experts combined without training."""

    def build(folder: Path) -> dict:
        import models

        parts = [hub, *experts.values()]
        combined = models.compose(method, [models.load_causal_lm(part.path / "model") for part in parts])
        combined.save_pretrained(folder / "model")
        return {"metrics": {"parameters": models.count_parameters(combined)[0]}}

    identity = {"method": method, "experts": list(experts)}
    return run.stage("composition", VERSION, identity, _digests(hub, experts), build, method)


def _digests(hub: Artifact, experts: Mapping[str, Artifact]) -> dict[str, str]:
    return {"hub": hub.digest, **{f"expert {name}": artifact.digest for name, artifact in experts.items()}}


def _gate_use(model_folder: Path, corpus: Artifact, length: int) -> list[dict]:
    from accelerate import PartialState

    import models
    from tasks.sources.items import read_items
    from tasks.sources.tokenization import load_tokenizer
    from tasks.stitching.gates import gates_by_domain

    documents = {
        source: [row["text"] for row in read_items(corpus.path / "heldout" / f"{source}.jsonl")]
        for source in corpus.facts["sources"]
    }
    tokenizer = load_tokenizer(corpus.path / "tokenizer")
    model = models.load_causal_lm(model_folder).to(PartialState().device)
    return gates_by_domain(model, tokenizer, documents, length)
