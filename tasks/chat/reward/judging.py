"""What chooses among answers: one reward model, or two and their combination."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tasks.chat.made_questions import Question
from tasks.chat.reward.piecewise import Judged, combined
from tasks.chat.reward.reward_pairs import rewards


@dataclass(frozen=True)
class Judge:
    """reward: the only model, or helpfulness'; safety: None with one. length: most tokens of prompt and answer."""

    reward: Any
    safety: Any | None
    tokenizer: Any
    length: int
    threshold: float

    def judged(self, asked: Sequence[Question], answers: Sequence[Sequence[str]]) -> Judged:
        """Of answers to each question, as many to one as to another: arrays (questions, answers)."""
        said = [(question.prompt, text) for question, own in zip(asked, answers, strict=True) for text in own]

        def by(model: Any) -> np.ndarray:
            return rewards(model, self.tokenizer, said, self.length).reshape(len(asked), -1)

        if self.safety is None:
            return Judged(by(self.reward))
        tagged = np.array([question.safety for question in asked])[:, None]
        return combined(by(self.reward), by(self.safety), tagged, self.threshold)


def judge_of(reward: Path, safety: Path | None, tokenizer: Any, length: int, threshold: float) -> Judge:
    """Of the reward models in these folders, on this machine's device."""
    from accelerate import PartialState

    import models

    device = PartialState().device
    second = None if safety is None else models.reward_model(safety).to(device)
    return Judge(models.reward_model(reward).to(device), second, tokenizer, length, threshold)
