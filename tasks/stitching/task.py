"""Stages `stitched` and `composition`: seed and experts joined into one model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from storage.artifacts import Artifact, label_of
from storage.runs import Run
from storage.stage import Stage
from tasks.stage import Progress, stage_task
from tasks.stitching.compositions import COMPOSITIONS_BY_NAME
from tasks.stitching.compositions.composition import CompositionSettings, TrainedSettings
from tasks.stitching.settings import StitchSettings
from tasks.training.settings import TrainingSettings
from tasks.training.training_run import ExtraText, run_training, training_identity

VERSION = 4
GATES = ".gate"  # how the names of gate weights end


@stage_task(name="stitched", task_run_name="train-stitches")
def train_stitches(
    run: Run,
    settings: StitchSettings,
    training: TrainingSettings,
    corpus: Artifact,
    mixture: Artifact,
    hub: Artifact,
    experts: Mapping[str, Artifact],
    seed: int,
    name: str = "",
    extra: ExtraText | None = None,
    keep_snapshots: bool = False,
) -> Artifact:
    """Hub and experts frozen, stitch layers between them trained on the stitch mixture.

    name: for one of several. extra: text to train on that the corpus does not hold. keep_snapshots: those that the
    settings of training ask for.
    """
    progress = Progress(run, label_of("stitched", name))
    own = stitch_training(settings, training)
    stitch = settings.model_dump(mode="json", include=set(StitchSettings.model_fields))
    identity = {
        "stitching": stitch,
        "training": training_identity(own, settings.learning_rate, keep_snapshots),
        "experts": list(experts),
        "seed": seed,
        **_extra_share(extra),
    }
    inputs = {"sources": corpus.digest, "mixture": mixture.digest, **_digests(hub, experts, extra)}

    def build(folder: Path) -> dict:
        import models

        stitched = models.StitchedForCausalLM.from_models(
            models.load_causal_lm(hub.path / "model"),
            {name: models.load_causal_lm(artifact.path / "model") for name, artifact in experts.items()},
            num_stitches=settings.num_stitches,
            layout=settings.layout,
            gate_dropout=settings.gate_dropout,
        )
        start = folder / "progress" / "start"
        stitched.save_pretrained(start)
        facts = run_training(
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
            extra=extra,
            keep_snapshots=keep_snapshots,
        )
        facts |= _gate_use(folder / "model", corpus, training.sequence_length)
        for fact in ("gate_use", "token_view"):
            (folder / f"{fact}.json").write_text(json.dumps(facts[fact], indent=1), encoding="utf-8")
        return facts

    return run.stage(
        Stage(name="stitched", version=VERSION, identity=identity, inputs=inputs, build=build, label=name)
    )


def stitch_training(settings: StitchSettings, training: TrainingSettings) -> TrainingSettings:
    """The loop's settings, with the stitches' own warm-up and weight decay."""
    return training.model_copy(
        update={"warmup_share": settings.warmup_share, "weight_decay": settings.weight_decay}
    )


@stage_task(name="composition", task_run_name="compose-{settings.called}")
def compose_models(
    run: Run,
    settings: CompositionSettings,
    training: TrainingSettings,
    corpus: Artifact,
    mixture: Artifact,
    hub: Artifact,
    experts: Mapping[str, Artifact],
    seed: int,
    name: str = "",
) -> Artifact:
    """Seed and experts combined as `settings` say; trained on the mixture, at their learning rate, where it trains.

    name: for one of several; empty: as the settings call it.
    """
    name = name or settings.called
    progress = Progress(run, label_of("composition", name))
    identity: dict[str, Any] = {**settings.identity(), "experts": list(experts)}
    inputs = _digests(hub, experts)
    rate = settings.learning_rate if isinstance(settings, TrainedSettings) else None
    if rate is not None:
        identity |= {"training": training_identity(training, rate), "seed": seed}
        inputs |= {"sources": corpus.digest, "mixture": mixture.digest}

    def build(folder: Path) -> dict:
        import models

        combined = COMPOSITIONS_BY_NAME[settings.method].build(
            settings,
            models.load_causal_lm(hub.path / "model"),
            {name: models.load_causal_lm(artifact.path / "model") for name, artifact in experts.items()},
        )
        if rate is None:
            combined.save_pretrained(folder / "model")
            return {"metrics": {"parameters": models.count_parameters(combined)[0]}}
        start = folder / "progress" / "start"
        combined.save_pretrained(start)
        return run_training(
            folder,
            progress.step,
            str(start),
            settings.method,
            training,
            rate,
            corpus,
            mixture,
            hub,
            experts,
            seed,
        )

    return run.stage(
        Stage(
            name="composition",
            version=VERSION,
            identity=identity,
            inputs=inputs,
            build=build,
            label=name,
        )
    )


def _digests(
    hub: Artifact, experts: Mapping[str, Artifact], extra: ExtraText | None = None
) -> dict[str, str]:
    found = {"hub": hub.digest, **{f"expert {name}": artifact.digest for name, artifact in experts.items()}}
    return found if extra is None else found | {"extra": extra.artifact.digest}


def _extra_share(extra: ExtraText | None) -> dict:
    return {} if extra is None else {"extra": {"source": extra.source, "share": extra.share}}


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
    return {
        "gate_use": gates_by_domain(model, tokenizer, documents, length),
        "token_view": token_view(model, tokenizer, switching_text(documents, length), length),
    }
