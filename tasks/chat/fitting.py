"""Fits a model of the chat stage by the project's own loop: checkpoints, kills and the step log as of any training."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tasks.chat.dialogue_lines import Example
from tasks.chat.packing import rows_of, tokens_of
from tasks.chat.row_order import AnswerOrder, RowOrder
from tasks.chat.settings import FitSettings
from tasks.training.settings import TrainingSettings

Report = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Fit:
    """One fit: how, where it reports, and its seed; `name` decides the order of the data with it."""

    settings: FitSettings
    training: TrainingSettings
    random_seed: int
    name: str
    report: Report

    @property
    def loop(self) -> TrainingSettings:
        """The loop's settings, with this fit's own; in one process, and without snapshots."""
        own = {name: getattr(self.settings, name) for name in OWN}
        told = self.training.model_dump() | own | {"processes": 1, "snapshots": 0}
        micro = told["micro_batch_size"]
        if isinstance(micro, int) and own["batch_size"] % micro:
            told["micro_batch_size"] = None
        return TrainingSettings(**told)


OWN = ("learning_rate", "batch_size", "weight_decay", "warmup_share", "final_share")
DECIDING = (
    "sequence_length", "micro_batch_size", "beta1", "beta2", "epsilon", "clip", "precision",
)  # fmt: skip


def fit_identity(settings: FitSettings, training: TrainingSettings, random_seed: int) -> dict[str, Any]:
    """What decides the result of a fit."""
    told = {name: getattr(training, name) for name in DECIDING}
    return {
        "fit": settings.model_dump(mode="json", exclude_none=True),
        "training": told,
        "random_seed": random_seed,
    }


def fit_answers(
    start: Path, examples: list[Example], tokenizer: Any, folder: Path, fit: Fit
) -> dict[str, Any]:
    """Train the model in `start` on the answers of the examples, into folder/model; the facts of the stage."""
    import torch

    import models
    from tasks.training.objectives.answer_tokens import answer_tokens, packed_answer_tokens

    model = models.load_causal_lm(start, torch.float32)
    packed = fit.settings.packed
    if fit.settings.lora is not None and model.config.model_type in models.OWN_MODEL_TYPES:
        raise ValueError(
            f"{fit.name}: a {model.config.model_type} model takes no low-rank adapters; allowed: lora empty"
        )
    if packed and model.config.model_type in models.OWN_MODEL_TYPES:
        raise ValueError(
            f"{fit.name}: a {model.config.model_type} model takes no mask of documents; allowed: packed: false, one "
            "dialogue a sequence"
        )
    length = fit.training.sequence_length
    dialogues = [tokens_of(tokenizer, example, length) for example in examples]
    rows = rows_of(dialogues, length, packed, tokenizer.eos_token_id)
    order = AnswerOrder(rows, fit.settings.epochs, fit.settings.batch_size, fit.random_seed, fit.name)
    facts = fit_rows(model, order, packed_answer_tokens if packed else answer_tokens, folder, fit)
    facts["metrics"] |= {"dialogues": len(examples), "sequences": len(rows)}
    return facts


def fit_rows(
    model: Any, order: RowOrder, objective: Any, folder: Path, fit: Fit, texts: int = 1
) -> dict[str, Any]:
    """Train the model by the loop, going on from folder/progress; into folder/model. texts: that a row holds."""
    import models
    from models.low_rank import add_adapters
    from tasks.training.loop import train
    from tasks.training.parameter_counts import parameters_of

    loop, lora = fit.loop, fit.settings.lora
    merge = None if lora is None else add_adapters(model, **lora.model_dump(), random_seed=fit.random_seed)
    outcome = train(
        model,
        order,
        loop,
        loop.learning_rate,
        fit.random_seed,
        folder / "progress",
        fit.report,
        objective=objective,
    )
    trained = models.model_costs(model, 1).trained
    tokens = outcome.tokens * texts
    flops = tokens * models.train_flops_per_token(model, loop.sequence_length)
    if merge is not None:
        merge()
    model.save_pretrained(folder / "model")
    (folder / "logs").mkdir(exist_ok=True)
    shutil.copy(folder / "progress" / "steps.jsonl", folder / "logs" / "steps.jsonl")
    return {
        "metrics": {
            "tokens": tokens,
            "flops": flops,
            **parameters_of(model),
            "trained_parameters": trained,
            "final_loss": outcome.final_loss,
            "steps": outcome.steps,
        },
        "provenance": {
            "seed": fit.random_seed,
            "resumed_at": outcome.resumed_at,
            "training_seconds": outcome.seconds,
            **outcome.measured(),
            "tokens": tokens,
            "flops": flops,
            "device": model.device.type,
        },
    }


def padded(texts: list[list[int]], length: int, fill: int) -> np.ndarray:
    """int64 (texts, length), padded on the right."""
    found = np.full((len(texts), length), fill, np.int64)
    for row, tokens in zip(found, texts, strict=True):
        row[: len(tokens)] = tokens
    return found
