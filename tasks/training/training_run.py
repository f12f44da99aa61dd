"""The training run that the stages seed, expert and stitched share: from a model and a mixture to a model."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from storage.artifact import Artifact
from tasks.sources.stated_sizes import token_file
from tasks.training.jobs import TrainingJob, run_job
from tasks.training.lineage import Lineage, tokens_of
from tasks.training.settings import READING, SNAPSHOTS, TrainingSettings
from tasks.training.stability.telling import catalog_rows

OUTCOME = (
    "tokens",
    "flops",
    "parameters",
    "active_parameters",
    "final_loss",
    "steps",
)  # metrics of what was trained


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
            "expert_warmup_share",
            "expert_final_share",
            "freeze_expert_embeddings",
            "snapshots",
            "stability",
            "gradient_checkpointing",
            "compile",
            "peak_flops",
            *(name for name in READING if name not in settings.reading),
        },
    )
    if settings.stability.recovery.when != "never":  # what only watches, decides nothing
        kept["stability"] = settings.stability.model_dump(mode="json")
    if keep_snapshots and settings.snapshots > 0:
        kept["snapshots"] = settings.snapshots
    return {**kept, "learning_rate": learning_rate}


@dataclass(frozen=True)
class TrainingData:
    """What a run reads: a corpus by the token plan of a mixture.

    extra: text that the corpus does not hold. limits: source -> tokens of it that the run may see; None: all.
    """

    corpus: Artifact
    mixture: Artifact
    extra: ExtraText | None = None
    limits: Mapping[str, int] | None = None

    @property
    def inputs(self) -> dict[str, str]:
        """Digests of all that is read."""
        digests = {"sources": self.corpus.digest, "mixture": self.mixture.digest}
        return digests if self.extra is None else digests | {"extra": self.extra.artifact.digest}

    @property
    def extra_identity(self) -> dict[str, Any]:
        """What of the extra text decides the result; nothing where there is none."""
        if self.extra is None:
            return {}
        return {"extra": {"source": self.extra.source, "share": self.extra.share}}


@dataclass(frozen=True)
class Training:
    """How the runs of an experiment are trained: the loop's settings, and the seed of the order of the data.

    keep_snapshots: whether those that the settings ask for are kept, as models in folder/snapshots/<step>.
    """

    settings: TrainingSettings
    random_seed: int
    keep_snapshots: bool = False

    def identity(self, learning_rate: float) -> dict[str, Any]:
        """What decides the result of a run with this peak learning rate."""
        return {
            "training": training_identity(self.settings, learning_rate, self.keep_snapshots),
            "random_seed": self.random_seed,
        }


@dataclass(frozen=True)
class Rates:
    """How fast which weights of a run train.

    learning_rate: at its peak. scales: of its `rate_scales`, and near_identity: as of `make_optimizer`.
    freeze_embeddings: token embeddings and output head do not train.
    """

    learning_rate: float
    scales: Mapping[str, float] = field(default_factory=dict)
    near_identity: tuple[str, ...] = ()
    freeze_embeddings: bool = False


def run_training(
    folder: Path,
    report: Callable[[dict[str, float]], None],
    start: str,
    name: str,
    training: Training,
    rates: Rates,
    data: TrainingData,
    lineage: Lineage = Lineage(),
) -> dict:
    """Train the model in `start` into folder/model and return the facts of the stage.

    name: decides the order of the data, with the seed. lineage: the models behind this run, whose sequences are not
    read again before the rest.
    """
    from tasks.sources.tokenization import end_of_text

    plan = tokens_of(data.mixture)
    files = {source: str(token_file(data.corpus, source)) for source in plan}
    if data.extra is not None:
        plan = data.extra.added_to(plan)
        files[data.extra.source] = str(data.extra.artifact.path / "tokens" / f"{data.extra.source}.bin")
    outcome = run_job(
        TrainingJob(
            model=start,
            out=str(folder / "model"),
            progress=str(folder / "progress"),
            tokens=files,
            token_dtype=data.corpus.facts["token_dtype"],
            end_of_text=end_of_text(data.corpus.path) if training.settings.document_masks else None,
            plan=plan,
            used=lineage.used,
            learning_rate=rates.learning_rate,
            name=name,
            random_seed=training.random_seed,
            settings=training.settings.model_dump(mode="json"),
            limits=dict(data.limits or {}),
            rate_scales=dict(rates.scales),
            near_identity=rates.near_identity,
            freeze_embeddings=rates.freeze_embeddings,
            snapshots=str(folder / SNAPSHOTS) if training.keep_snapshots else None,
        ),
        report,
    )
    (folder / "trained_tokens.json").write_text(json.dumps(outcome["trained_tokens"]), encoding="utf-8")
    metrics = {name: outcome[name] for name in OUTCOME}
    events = outcome["events"]
    for kind in ("alarm", "spike", "rewind"):
        metrics[f"{kind}s"] = sum(event["event"] == kind for event in events)
    if outcome["routing"] is not None:
        from tasks.training.routing_log import routing_metrics

        metrics |= routing_metrics(outcome["routing"])
    metrics["skipped_tokens"] = sum(outcome["skipped_tokens"].values())
    provenance = {
        "seed": training.random_seed,
        "resumed_at": outcome["resumed_at"],
        "tokens": outcome["tokens"],
        "flops": outcome["flops"],
        "device": outcome["device"],
        "training_seconds": outcome["seconds"],
        **outcome["measured"],
    }
    return {
        "metrics": metrics,
        "trained_tokens": outcome["trained_tokens"],
        "snapshots": training.settings.snapshots_at(outcome["snapshots"]),
        "training_events": catalog_rows(events),
        **({"routing": outcome["routing"]} if outcome["routing"] is not None else {}),
        "provenance": provenance,
    }
