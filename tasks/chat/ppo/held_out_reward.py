"""The reward of answers to held-out prompts, before a model was trained for it and after."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tasks.chat.made_questions import Question
from tasks.chat.reward.judging import Judge
from tasks.chat.sampling import Speaker
from tasks.evaluation.standard_errors import mean_error

DRAWS = 4  # answers to a prompt
WIDE = 1.96  # standard errors, of a 95% interval


def held_out_rewards(
    speaker: Speaker, judge: Judge, questions: Sequence[Question], temperature: float, random_seed: int
) -> NDArray:
    """(questions,): the mean reward, logit(R_c), of answers to each, drawn by random numbers of their own."""
    dialogues = [[{"role": "user", "content": q.prompt}] for q in questions for _ in range(DRAWS)]
    names = [f"held out\0{q.prompt}\0{number}" for q in questions for number in range(DRAWS)]
    said = speaker.drawn(dialogues, names, temperature, random_seed)
    answers = [said[at : at + DRAWS] for at in range(0, len(said), DRAWS)]
    return np.asarray(judge.judged(questions, answers).scores.mean(axis=1))


def gained(before: NDArray, after: NDArray) -> dict[str, float]:
    """Of the same prompts: before, after, and mean, low, high of the difference, a 95% interval over prompts."""
    difference = after - before
    half, mean = WIDE * mean_error(difference.tolist()), float(difference.mean())
    ends = {"mean": mean, "low": mean - half, "high": mean + half}
    return {"before": float(before.mean()), "after": float(after.mean()), **ends, "prompts": len(before)}
