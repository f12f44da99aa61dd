"""The training run that the stages seed, expert and stitched share: from a model and a mixture to a model."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storage.artifacts import Artifact
from tasks.training.jobs import TrainingJob, run_job
from tasks.training.lineage import lineage_use, tokens_of
from tasks.training.settings import SNAPSHOTS, TrainingSettings


@dataclass(frozen=True)
class ExtraText:
    """Text of one run that the corpus does not hold: `tokens/<source>.bin` of an artifact, as a share of the run."""

    artifact: Artifact
    source: str
    share: float

    def added_to(self, plan: Mapping[str, int]) -> dict[str, int]:
        """The token plan with this text in it, of the same sum."""
        kept = {source: int(tokens * (1 - self.share)) for source, tokens in plan.items()}
        return {**kept, self.source: sum(plan.values()) - sum(kept.values())}


def training_identity(
    settings: TrainingSettings, learning_rate: float, keep_snapshots: bool = False
) -> dict[str, Any]:
    """What of the settings decides the result: not how often checkpoints are written, or how many run at once.

    keep_snapshots: whether the run keeps those that the settings ask for.
    """
    kept = settings.model_dump(
        mode="json",
        exclude={
            "checkpoint_seconds",
            "parallel_experts",
            "learning_rate",
            "expert_learning_rate",
            "freeze_expert_embeddings",
            "snapshots",
        },
    )
    if keep_snapshots and settings.snapshots > 0:
        kept["snapshots"] = settings.snapshots
    return {**kept, "learning_rate": learning_rate}


def run_training(
    folder: Path,
    report: Callable[[dict[str, float]], None],
    start: str,
    name: str,
    settings: TrainingSettings,
    learning_rate: float,
    corpus: Artifact,
    mixture: Artifact,
    seed_model: Artifact | None,
    experts: Mapping[str, Artifact],
    seed: int,
    limits: Mapping[str, int] | None = None,
    rate_scales: Mapping[str, float] | None = None,
    extra: ExtraText | None = None,
    freeze_embeddings: bool = False,
    keep_snapshots: bool = False,
) -> dict:
    """Train `start` into folder/model and return the facts of the stage.

    seed_model, experts: the trained models behind this run, whose sequences are not read again before the rest.
    limits: source -> tokens of it that this run may see; None: all. rate_scales: as of `make_optimizer`. extra:
    text beside the corpus. freeze_embeddings: token embeddings and output head do not train. keep_snapshots: those
    that the settings ask for are models too, in folder/snapshots/<step>.
    """
    plan = tokens_of(mixture)
    files = {source: str(corpus.path / "tokens" / f"{source}.bin") for source in plan}
    if extra is not None:
        plan = extra.added_to(plan)
        files[extra.source] = str(extra.artifact.path / "tokens" / f"{extra.source}.bin")
    read = [model.facts["trained_tokens"] for model in experts.values()]
    outcome = run_job(
        TrainingJob(
            model=start,
            out=str(folder / "model"),
            progress=str(folder / "progress"),
            tokens=files,
            token_dtype=corpus.facts["token_dtype"],
            plan=plan,
            used=lineage_use(seed_model.facts["trained_tokens"] if seed_model else None, read),
            learning_rate=learning_rate,
            name=name,
            seed=seed,
            settings=settings.model_dump(mode="json"),
            limits=dict(limits or {}),
            rate_scales=dict(rate_scales or {}),
            freeze_embeddings=freeze_embeddings,
            snapshots=str(folder / SNAPSHOTS) if keep_snapshots else None,
        ),
        report,
    )
    (folder / "trained_tokens.json").write_text(json.dumps(outcome["trained_tokens"]), encoding="utf-8")
    metrics = {k: outcome[k] for k in ("tokens", "flops", "parameters", "final_loss", "steps")}
    provenance = {
        "seed": seed,
        "resumed_at": outcome["resumed_at"],
        "tokens": outcome["tokens"],
        "flops": outcome["flops"],
        "device": outcome["device"],
        "training_seconds": outcome["seconds"],
    }
    return {
        "metrics": metrics,
        "trained_tokens": outcome["trained_tokens"],
        "snapshots": settings.snapshots_at(outcome["snapshots"]),
        "provenance": provenance,
    }
