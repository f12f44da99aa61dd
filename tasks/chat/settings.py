"""Settings of the chat stage; defaults are Llama 2's (arXiv 2307.09288), for models of billions of weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Margin = Literal["none", "small", "large"]
AUTO = "auto"


class MadeChatSettings(BaseModel):
    """Dialogues, pairs and prompts that are made by rules with known answers; each is marked programmatic."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dialogues: int = Field(3000, ge=1, description="Dialogues to fine-tune on.")
    pairs: int = Field(3000, ge=10, description="Pairs of answers for the reward model; a tenth is held out.")
    prompts: int = Field(150, ge=1, description="Prompts that rejection sampling answers.")
    heldout: int = Field(80, ge=2, description="Prompts that nothing is trained on, to compare models.")
    safety_pairs: int | None = Field(
        None,
        ge=20,
        description="Pairs for `reward.safety` beside `pairs`, about secrets that no answer may tell; a tenth is held "
        "out. Prompts and dialogues ask for secrets then, too. Empty: none.",
    )


class LoraSettings(BaseModel):
    """Low-rank adapters on every linear layer but the output head, merged into the weights at the end."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rank: int = Field(16, ge=1, le=1024, description="Rank r of an adapter.")
    alpha: int = Field(32, ge=1, le=10_000, description="An adapter counts alpha / rank times.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Share of an adapter's input that is dropped.")


class FitSettings(BaseModel):
    """How one model of the chat stage is fitted; the rest is as in `training`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    learning_rate: float = Field(2e-5, gt=0, le=1, description="Peak learning rate of a cosine.")
    epochs: int = Field(2, ge=1, le=100, description="How often everything is read.")
    batch_size: int = Field(64, ge=1, description="Sequences in an optimiser step.")
    weight_decay: float = Field(0.1, ge=0, description="AdamW weight decay, on matrices only.")
    warmup_share: float = Field(0.03, ge=0, lt=1, description="Share of the steps that warm up linearly.")
    final_share: float = Field(0.1, ge=0, le=1, description="The cosine ends at this share of the peak.")
    packed: bool = Field(
        True,
        description="Several dialogues a sequence, which do not see each other; no: one, padded (any model).",
    )
    lora: LoraSettings | None = Field(
        None,
        description="Low-rank adapters alone train and are merged at the end, so that what follows meets an ordinary "
        "model; empty: all weights train.",
    )


class SafetySettings(BaseModel):
    """A second reward model, of safety, and when its reward is the one that counts (section 3.2 and equation 4)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    auxiliary: float = Field(
        1.0,
        ge=0,
        le=100,
        allow_inf_nan=False,
        description="Weight of the loss that tells safe answers from unsafe ones, beside that of pairs; 0: none.",
    )
    threshold: float = Field(
        0.15,
        ge=0,
        le=1,
        description="Safety's reward counts where the prompt is tagged, or sigma of that reward is below this; else "
        "helpfulness'.",
    )
    helpfulness_share: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="Share of what the safety model learns from that are helpfulness pairs, those whose unsafe answer "
        "is the better one left out.",
    )
    safety_share: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Share of what the helpfulness model learns from that are safety pairs.",
    )


class RewardSettings(FitSettings):
    """The reward model; `batch_size` counts pairs."""

    learning_rate: float = Field(1e-5, gt=0, le=1, description="Peak learning rate of a cosine.")
    epochs: int = Field(1, ge=1, le=100, description="How often all pairs are read; more over-fits.")
    batch_size: int = Field(512, ge=1, description="Pairs in an optimiser step.")
    packed: Literal[False] = Field(False, description="Each answer is a sequence of its own.")
    margin: Margin = Field("small", description="Of the reward model that rejection sampling uses.")
    compared: tuple[Margin, ...] = Field(
        ("none", "small", "large"), description="Margins that a reward model is trained with, side by side."
    )
    safety: SafetySettings | None = Field(
        None,
        description="Two reward models, helpfulness and safety, and the paper's combination of them: pairs say which "
        "learns from them by `kind`. Empty: one, which takes pairs of helpfulness alone.",
    )

    @model_validator(mode="after")
    def _margin_is_trained(self) -> RewardSettings:
        if self.margin not in self.compared or len(set(self.compared)) < len(self.compared):
            raise ValueError(
                f"compared is {', '.join(self.compared) or 'empty'}; allowed: margins that "
                f"differ, {self.margin} among them"
            )
        return self


class RejectionSettings(FitSettings):
    """Rejection sampling."""

    rounds: int = Field(2, ge=0, le=20, description="Rounds, each from the model of the one before.")
    samples: Annotated[int, Field(ge=2, le=1000)] | Literal["auto"] = Field(
        10, description="Answers sampled for each prompt; auto: as many as `answers` allows."
    )
    temperature: Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)] | Literal["auto"] = Field(
        1.2,
        description="Of sampling; the paper's best is 1.2 to 1.3 for 10 to 100. auto: that of `temperatures` with the "
        "best expected reward, found anew in each round.",
    )
    temperatures: tuple[Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)], ...] = Field(
        (0.6, 0.9, 1.2, 1.5), description="Those that auto chooses from."
    )
    answers: int | None = Field(
        None, ge=4, description="Answers that a round draws at most, those to find the temperature included."
    )
    pool: Literal["all", "last"] = Field(
        "all",
        description="Which rounds the best answer of a prompt is taken from; with `last` the paper's model forgot.",
    )
    replay: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Share of what a round trains on that are dialogues of the fine-tuning before, so that what the "
        "reward model does not ask for is kept; 0: none, as in the paper.",
    )

    @model_validator(mode="after")
    def _auto_has_a_budget(self) -> RejectionSettings:
        is_auto = AUTO in (self.samples, self.temperature)
        if is_auto != (self.answers is not None):
            raise ValueError(
                "samples or temperature auto goes with answers, the number that a round may draw; allowed: both or "
                "neither"
            )
        if self.temperature == AUTO and len(set(self.temperatures)) < max(2, len(self.temperatures)):
            raise ValueError("temperatures: allowed: at least two, which differ")
        return self


class PpoSettings(BaseModel):
    """Proximal policy optimisation after rejection sampling; betas and the largest gradient are as in `training`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    iterations: int = Field(200, ge=1, description="Batches of answers; the paper has 200 to 400.")
    batch_size: int = Field(
        512, ge=2, description="Answers of an iteration, over which rewards are whitened."
    )
    mini_batch_size: int = Field(64, ge=1, description="Answers in an optimiser step; each is read once.")
    learning_rate: float = Field(1e-6, gt=0, le=1, description="Constant learning rate.")
    kl: float = Field(
        0.01,
        ge=0,
        le=10,
        allow_inf_nan=False,
        description="Weight beta of the divergence from the model before; the paper's .005 for 34B and 70B.",
    )
    clip: float = Field(0.2, gt=0, lt=1, description="How far from 1 the ratio of probabilities counts.")
    temperature: float = Field(1.0, gt=0, le=10, allow_inf_nan=False, description="Of sampling.")
    weight_decay: float = Field(0.1, ge=0, description="AdamW weight decay.")
    epsilon: float = Field(1e-5, ge=0, description="AdamW epsilon.")

    @model_validator(mode="after")
    def _is_whole(self) -> PpoSettings:
        if self.batch_size % self.mini_batch_size:
            raise ValueError(
                f"mini_batch_size is {self.mini_batch_size}; allowed: a divisor of batch_size, {self.batch_size}"
            )
        return self


class GhostSettings(FitSettings):
    """Ghost Attention."""

    dialogues: int = Field(
        300, ge=0, description="Dialogues that are sampled and trained on; 0: no Ghost Attention."
    )
    turns: int = Field(6, ge=2, le=50, description="Most user turns of such a dialogue; the least is 2.")
    recall_turns: tuple[int, ...] = Field(
        (2, 4, 6), description="Turns at which it is asked whether what the first turn asked for still holds."
    )
    probes: int = Field(60, ge=2, description="Dialogues that the probe has.")

    @property
    def most_turns(self) -> int:
        """Of a dialogue, learnt from or probed; 0 without Ghost Attention."""
        return max(self.turns, *self.recall_turns) if self.dialogues else 0

    @field_validator("recall_turns")
    @classmethod
    def _turns_rise(cls, turns: tuple[int, ...]) -> tuple[int, ...]:
        if not turns or min(turns) < 1 or list(turns) != sorted(set(turns)):
            raise ValueError("allowed: turns from 1 in rising order, at least one")
        return turns


class ChatSettings(BaseModel):
    """The chat stage: what it learns from, and how."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seeds: int = Field(
        1, ge=1, le=20, description="Random seeds that the whole stage is done with, from the same base."
    )
    new_tokens: int = Field(32, ge=1, description="Most tokens of an answer.")
    dialogues: Path | None = Field(
        None,
        description="JSONL with `messages`, or `prompt` and `response`, a dialogue a line, and perhaps `safety`, true "
        "where the prompt is one of safety; empty: made by rules.",
    )
    pairs: Path | None = Field(
        None,
        description="JSONL with `prompt`, `chosen`, `rejected` and `strength` (1 to 4), as `mixstitch rate` writes it, "
        "and perhaps `kind` (helpfulness or safety), `chosen_safe` and `rejected_safe`; empty: made by rules.",
    )
    made: MadeChatSettings = Field(MadeChatSettings(), description="What is made by rules.")
    sft: FitSettings = Field(FitSettings(), description="Supervised fine-tuning.")
    reward: RewardSettings = Field(RewardSettings(), description="The reward model.")
    rejection: RejectionSettings = Field(RejectionSettings(), description="Rejection sampling.")
    ppo: PpoSettings | None = Field(
        None, description="PPO after the rounds, by the package trl (extra `ppo`); empty: none."
    )
    ghost: GhostSettings = Field(GhostSettings(), description="Ghost Attention.")

    @model_validator(mode="after")
    def _safety_is_shown_pairs(self) -> ChatSettings:
        """Where pairs are made, those of safety go with the model that learns from them."""
        if self.pairs is None and (self.reward.safety is None) != (self.made.safety_pairs is None):
            raise ValueError(
                "reward.safety goes with made.safety_pairs, or with pairs of your own of which some are of the kind "
                "safety; allowed: both or neither"
            )
        return self
