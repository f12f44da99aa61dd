"""What the chat stage costs, told before it runs: of a fit by its sequences, of answers by their tokens."""

from __future__ import annotations

import copy
import functools
from typing import Any

from storage.artifact import Artifact
from storage.stages import Cost
from tasks.chat.dialogue_lines import SAFETY, read_pairs
from tasks.chat.settings import ChatSettings, FitSettings
from tasks.training.estimates import (
    AsText,
    config_of_artifact,
    dense_shape,
    reading_cost,
    training_cost,
)
from tasks.training.settings import TrainingSettings
from tasks.training.training_memory import Shape

TOKENS_A_TURN = 28  # of what is made by rules, question and answer with the template's words
BASIS = f"{TOKENS_A_TURN} tokens a turn, which ends before as often as not"


def fit_told(
    model: Artifact,
    settings: FitSettings,
    training: TrainingSettings,
    sequences: int,
    rows: int = 1,
    length: int = 0,
) -> dict[str, Any]:
    """`cost` and `expected` of a stage that fits a model to so many sequences, each read as `rows` texts.

    length: of a text; 0: that of the loop.
    """
    length = length or training.sequence_length
    steps = sequences * settings.epochs // settings.batch_size
    tokens = steps * settings.batch_size * rows * length

    def cost() -> Cost:
        config = config_of_artifact(model)
        shape = dense_shape(config, length)
        if settings.lora is not None:
            shape = adapted_shape(AsText(config), length, settings.lora.rank)
        own = training.model_copy(
            update={
                "batch_size": settings.batch_size * rows,
                "micro_batch_size": None,
                "processes": 1,
                "sequence_length": length,
            }
        )
        return training_cost(shape, tokens, config, own)

    def expected() -> dict[str, Any]:
        config = config_of_artifact(model)
        shape = dense_shape(config, length)
        return {
            "metrics": {
                "parameters": shape.parameters,
                "active_parameters": shape.active,
                "tokens": tokens,
                "steps": steps,
            },
            "config": config,
        }

    return {"cost": cost, "expected": expected}


@functools.cache
def adapted_shape(config: AsText, length: int, rank: int) -> Shape:
    """The shape of a model of which low-rank adapters alone train."""
    import torch
    from transformers import AutoModelForCausalLM

    import models
    from models.low_rank import add_adapters

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(copy.deepcopy(config.config))
        add_adapters(model, rank, rank, 0.0, 0)
    costs = models.model_costs(model, length)
    return Shape(costs.total, costs.trained, models.train_flops_per_token(model, length), costs.active)


def answering_cost(model: Artifact, chat: ChatSettings, answers: int) -> Cost:
    """So many answers of a model, at their longest."""
    tokens = answers * (TOKENS_A_TURN + chat.new_tokens)
    return reading_cost(model.facts["metrics"], tokens, answers, 0.0, BASIS)


def instructions_expected(chat: ChatSettings, length: int) -> dict[str, Any]:
    """How much there will be to learn from, as far as it can be told from the settings: a line of a file counts
    as one of those that are made."""
    dialogues = chat.made.dialogues if chat.dialogues is None else _lines(chat.dialogues)
    pairs = chat.made.pairs if chat.pairs is None else _lines(chat.pairs)
    safety: dict[str, int] = {}
    if chat.reward.safety is not None:
        if chat.pairs is None:
            safety["safety_pairs"] = chat.made.safety_pairs or 0
            pairs += safety["safety_pairs"]
        else:
            safety["safety_pairs"] = sum(pair.kind == SAFETY for pair in read_pairs(chat.pairs))
        safety["tagged_prompts"] = 0
    return safety | {
        "dialogues": dialogues,
        "sequences": max(1, dialogues * TOKENS_A_TURN // length) if chat.sft.packed else dialogues,
        "pairs": pairs,
        "heldout_pairs": max(1, pairs // 10),
        "prompts": chat.made.prompts if chat.dialogues is None else dialogues,
        "heldout": chat.made.heldout if chat.dialogues is None else max(1, dialogues // 10),
        "is_made": chat.dialogues is None,
    }


def _lines(path: Any) -> int:
    with path.open("rb") as stream:
        return sum(1 for line in stream if line.strip())
